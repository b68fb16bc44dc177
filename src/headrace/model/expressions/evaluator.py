"""A program over samples: one expression, many instances at once, everything in columns.

    samples by name ─► late ones out, in order ─► Rows ─► each part in turn ─► result, one a row
                              │                             │
                              └── newest value of each ──── what windows remember ── state() / restore()

An expression has a value at each source time at which one of its points has a sample; a point has the value and the
quality of its newest sample until the next. A part of an expression is worked out as if it were a point of its own,
with samples when one of its points has one: that is what `prev` and windows look back upon.

- The quality is the worst of what the result rests on. A bad result is a sample like others, and never an exception.
- Samples may be cut anywhere into calls, in order of source time: together the results are the same bit for bit. One
  at the time of the last result gives that result again, corrected: for an equal time the newest counts.
- A sample older than the newest of its point is late: ignored and counted. One that is not, but older than the last
  result of its instance, counts from that moment on (decision 0011). Whoever wants late samples in their place
  evaluates the stretch anew. Times are believed: whoever doubts a clock gives the received time, as alarms do. Only
  what is more than 146 years from 1970 is left out, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.errors import DataError
from headrace.model.expressions.charts import CHARTS, Chart
from headrace.model.expressions.columns import BAD, Bools, Column, Ints, Times, blank, starts_of
from headrace.model.expressions.elementwise import constant, work_out
from headrace.model.expressions.measures import measure_of
from headrace.model.expressions.past import NEVER, Age, Ago, Before, Kept, Memory
from headrace.model.expressions.program import Program
from headrace.model.expressions.rows import Rows, picked
from headrace.model.expressions.tree import Node
from headrace.model.expressions.windows import Window

_WAITING: Final = np.uint32(q.BAD_WAITING_FOR_INITIAL_DATA)
_UNUSABLE: Final = np.uint32(q.BAD_OUT_OF_RANGE)
_WINDOWS: Final = frozenset(
    {"mean", "stddev", "integral", "lowest", "highest", "held", "first", "last", "sum", "count"}
)
_STRETCH_SAMPLES: Final = 250_000
"""What is worked out at a time of a long stretch: enough for columns to pay, and little memory."""
_TIME_MAX_NS: Final = 1 << 62
WILD: Final = "wild"
LATE: Final = "late"
KEPT_MAX: Final = 1_000_000
"""Samples that a window keeps of one instance, some 50 MB."""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one point, or results of one instance. Shape: (samples,) each."""

    source_ns: Times
    values: NDArray[Any]
    quality: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one name, or results, over many instances. Shape: (samples,) each; `instances` counts from 0."""

    instances: Ints
    source_ns: Times
    values: NDArray[Any]
    quality: NDArray[np.uint32]


def evaluate(program: Program, inputs: Mapping[str, Series]) -> Series:
    """The program over a whole stretch, however long, in any order. Raises: DataError where an input is missing or of
    another kind.
    """
    missing = sorted(set(program.inputs) - set(inputs))
    if missing:
        raise DataError(f"the expression needs samples of {', '.join(missing)}")
    used = {name: _by_time(inputs[name]) for name in program.inputs}
    total = sum(len(series.source_ns) for series in used.values())
    longest = max((series.source_ns for series in used.values()), key=len, default=np.empty(0, np.int64))
    step = max(_STRETCH_SAMPLES * len(longest) // max(total, 1), 1)
    cuts = np.unique(longest[step::step])
    evaluator = Evaluator(program, kept_max=max(total, 1))
    places = {name: [0, *np.searchsorted(s.source_ns, cuts).tolist(), len(s.source_ns)] for name, s in used.items()}
    parts = [
        evaluator.take({name: _part(used[name], *place[at : at + 2]) for name, place in places.items()})
        for at in range(len(cuts) + 1)
    ]
    return Series(
        np.concatenate([part.source_ns for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.quality for part in parts]),
    )


class Evaluator:
    """Belongs to one caller at a time.

    `counts` tells how many results failed, by reason, how many samples came late, and how many had to be forgotten: a
    window keeps the newest `kept_max` of each instance, and one that would need more is uncertain.
    """

    def __init__(self, program: Program, instances: int = 1, *, kept_max: int = KEPT_MAX) -> None:
        self.program, self.instances = program, instances
        self.counts: Counter[str] = Counter()
        self._steps = _steps(program.tree)
        self._memories: dict[int, Memory] = {}
        for at, (node, _) in enumerate(self._steps):
            if node.op in _WINDOWS and node.detail is not None:
                self._memories[at] = Window(node, instances, measure_of(node), kept_max)
            elif node.op == "ago":
                self._memories[at] = Ago(node, instances, kept_max)
            elif node.op == "age":
                self._memories[at] = Age(node, instances)
            elif node.op in CHARTS:
                self._memories[at] = Chart(node, instances)
            elif node.op in ("prev", "change", "rate"):
                self._memories[at] = Before(node, instances)
        self._constants = {at: constant(node) for at, (node, _) in enumerate(self._steps) if node.is_constant}
        self._newest = {
            name: Kept(instances, t=(np.int64, NEVER), v=(kind.dtype, blank(kind)), q=(np.uint32, _WAITING))
            for name, kind in program.inputs.items()
        }
        self._seen_ns = np.full(instances, NEVER)

    def take(self, samples: Mapping[str, Samples], moments: tuple[Ints, Times] | None = None) -> Samples:
        """Results at the times of these samples, and at `moments` (instances, ns) if given; by instance, then time.

        Samples may be in any order within a call; of equal times of a point the last counts. Names that the program
        does not use are ignored. Raises: DataError where columns do not fit the kinds or the instances.
        """
        arrived = {
            name: self._arrived(name, given)
            for name, given in samples.items()
            if name in self.program.inputs and len(given.source_ns)
        }
        rows = self._rows(arrived, moments)
        if not len(rows):
            kind = self.program.kind
            return Samples(rows.instance, rows.time_ns, np.empty(0, kind.dtype), np.empty(0, np.uint32))
        points = {name: self._held(name, rows, arrived.get(name)) for name in self.program.inputs}
        with np.errstate(all="ignore"):
            result = self._work_out(rows, points)
        for name, given in arrived.items():
            self._remember(name, given)
        last = rows.lasts()
        self._seen_ns[rows.instance[last]] = rows.time_ns[last]
        return self._finished(rows, result)

    def newest_ns(self, name: str) -> Times:
        """The time of the newest sample of a name that each instance has; the least int64 where there is none."""
        return self._newest[name]["t"]

    @property
    def kept(self) -> int:
        """Samples that windows keep, of all instances."""
        return sum(memory.kept for memory in self._memories.values())

    def state(self) -> dict[str, NDArray[Any]]:
        """All that is remembered, as arrays by name, to be given to `restore` of an evaluator of the same program."""
        found = {"seen_ns": self._seen_ns.copy()}
        for name, kept in self._newest.items():
            found |= {f"input.{name}.{part}": column for part, column in kept.state().items()}
        for at, memory in self._memories.items():
            found |= {f"step.{at}.{part}": column for part, column in memory.state().items()}
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a state of the same program before anything else; instances that are new begin with nothing.

        Raises: DataError where it is of another program or of more instances.
        """
        if set(state) != set(self.state()) or len(state["seen_ns"]) > self.instances:
            raise DataError("this state belongs to another expression; evaluate from history instead")
        self._seen_ns[: len(state["seen_ns"])] = state["seen_ns"]
        for name, kept in self._newest.items():
            kept.restore({part: state[f"input.{name}.{part}"] for part in kept.columns})
        for at, memory in self._memories.items():
            start = f"step.{at}."
            memory.restore({name.removeprefix(start): c for name, c in state.items() if name.startswith(start)})

    # --- rows ---------------------------------------------------------------------------------------------------

    def _arrived(self, name: str, given: Samples) -> Samples:
        """Samples of one name, checked, by instance and time, each pair once, none late."""
        kind = self.program.inputs[name]
        instance, time_ns = np.asarray(given.instances), np.asarray(given.source_ns)
        values, quality = np.asarray(given.values), np.asarray(given.quality)
        shapes = {column.shape for column in (instance, time_ns, values, quality)}
        if shapes != {(len(instance),)} or time_ns.dtype != np.int64 or quality.dtype != np.uint32:
            raise DataError(f"samples of '{name}' need four columns of one length: instances, int64, values, uint32")
        if values.dtype != kind.dtype:
            raise DataError(f"samples of '{name}' are {values.dtype}, and the expression was made for {kind.label}")
        if instance.dtype.kind not in "iu" or int(instance.min()) < 0 or int(instance.max()) >= self.instances:
            raise DataError(f"samples of '{name}' have instances that are none of the {self.instances}")
        instance = instance.astype(np.intp, copy=False)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                quality = np.where(finite | (quality >= BAD), quality, _UNUSABLE)
        found = Samples(instance, time_ns, values, quality)
        if int(time_ns.min()) < -_TIME_MAX_NS or int(time_ns.max()) > _TIME_MAX_NS:
            sane = (time_ns >= -_TIME_MAX_NS) & (time_ns <= _TIME_MAX_NS)
            self.counts[WILD] += int(np.count_nonzero(~sane))
            found = _some(found, sane)
        late = found.source_ns < self._newest[name]["t"][found.instances]
        if late.any():
            self.counts[LATE] += int(np.count_nonzero(late))
            found = _some(found, ~late)
        seen_ns = self._seen_ns[found.instances]
        behind = found.source_ns < seen_ns
        if behind.any():
            self.counts[LATE] += int(np.count_nonzero(behind))
        return _in_order(found, np.where(behind, seen_ns, found.source_ns) if behind.any() else found.source_ns)

    def _rows(self, arrived: Mapping[str, Samples], moments: tuple[Ints, Times] | None) -> Rows:
        columns = [(given.instances, given.source_ns) for given in arrived.values()]
        if moments is not None and len(moments[0]):
            instance, time_ns = np.asarray(moments[0], np.intp), np.asarray(moments[1], np.int64)
            if instance.shape != time_ns.shape or int(instance.min()) < 0 or int(instance.max()) >= self.instances:
                raise DataError(f"moments need an instance of the {self.instances} and a time each")
            time_ns = np.clip(time_ns, -_TIME_MAX_NS, _TIME_MAX_NS)
            early = time_ns < self._seen_ns[instance]
            columns.append((instance, np.where(early, self._seen_ns[instance], time_ns)))
        if not columns:
            return Rows(np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.bool_))
        instance, time_ns = columns[0]
        none = {name: np.zeros(0, np.bool_) for name in self.program.inputs}
        if len(columns) == len(arrived) and all(_same(each, columns[0]) for each in columns[1:]):
            rows = Rows(instance, time_ns, starts_of(instance))
            absent = np.zeros(len(rows), np.bool_) if len(arrived) < len(none) else None
            rows.has = {name: None if name in arrived else absent for name in none}
            return rows
        instance = np.concatenate([each[0] for each in columns])
        time_ns = np.concatenate([each[1] for each in columns])
        order, instance, time_ns = _sorted(instance, time_ns)
        new = starts_of(instance, time_ns)
        row_of = np.empty(len(order), np.intp)
        row_of[order] = np.cumsum(new) - 1
        instance, time_ns = instance[new], time_ns[new]
        rows = Rows(instance, time_ns, starts_of(instance))
        rows.has = dict.fromkeys(none, np.zeros(len(rows), np.bool_))
        at = 0
        for name, given in arrived.items():
            has = np.zeros(len(rows), np.bool_)
            has[row_of[at : at + len(given.source_ns)]] = True
            rows.has[name] = None if len(given.source_ns) == len(rows) else has
            at += len(given.source_ns)
        return rows

    def _held(self, name: str, rows: Rows, given: Samples | None) -> Column:
        """Of one point the value and quality at each row."""
        kept, has = self._newest[name], rows.has[name]
        if given is None:
            values, quality = kept["v"][rows.instance], kept["q"][rows.instance]
        elif has is None:
            values, quality = given.values, given.quality
        else:
            last = rows.last(has)
            values = picked(last, given.values, kept["v"], rows.instance)
            if not given.quality.any() and not kept["q"].any():
                return Column(values)
            quality = picked(last, given.quality, kept["q"], rows.instance)
        return Column(values, quality if quality.any() else None)

    def _remember(self, name: str, given: Samples) -> None:
        last = np.append(given.instances[1:] != given.instances[:-1], True)
        kept, instance = self._newest[name], given.instances
        if not last.all():
            given, instance = _some(given, last), instance[last]
        for part, column in (("t", given.source_ns), ("v", given.values), ("q", given.quality)):
            kept[part][instance] = column

    # --- parts --------------------------------------------------------------------------------------------------

    def _work_out(self, rows: Rows, points: Mapping[str, Column]) -> Column:
        found: list[Column] = []
        for at, (node, parts) in enumerate(self._steps):
            if node.op == "point":
                column = points[node.detail]
            elif at in self._constants:
                column = self._constants[at]
            elif at in self._memories:
                column = self._memories[at].take(rows, found[parts[0]], self.counts)
            else:
                column = work_out(node, [found[part] for part in parts], self.counts)
            found.append(column)
        return found[-1]

    def _finished(self, rows: Rows, result: Column) -> Samples:
        kind, count = self.program.kind, len(rows)
        values = np.broadcast_to(result.values, (count,)).astype(kind.dtype)
        if result.quality is None:
            return Samples(rows.instance, rows.time_ns, values, np.zeros(count, np.uint32))
        quality = np.broadcast_to(result.quality, (count,)).astype(np.uint32)
        values[quality >= BAD] = blank(kind)
        return Samples(rows.instance, rows.time_ns, values, quality)


def _steps(tree: Node) -> list[tuple[Node, list[int]]]:
    """Parts before the whole, equal ones once: (node, places of its parts)."""
    places: dict[int, int] = {}  # by identity of the node
    known: dict[tuple[Any, ...], int] = {}
    steps: list[tuple[Node, list[int]]] = []
    stack = [(tree, False)]
    while stack:
        node, ready = stack.pop()
        if not ready:
            stack.append((node, True))
            stack.extend((part, False) for part in reversed(node.parts))
            continue
        parts = [places[id(part)] for part in node.parts]
        key = (node.op, type(node.detail).__name__, repr(node.detail), node.kind, *parts)
        if key not in known:
            known[key] = len(steps)
            steps.append((node, parts))
        places[id(node)] = known[key]
    return steps


def _by_time(series: Series) -> Series:
    times = series.source_ns
    if len(times) < 2 or bool((times[1:] >= times[:-1]).all()):
        return series
    order = np.argsort(times, kind="stable")
    return Series(times[order], series.values[order], series.quality[order])


def _part(series: Series, start: int, end: int) -> Samples:
    times = series.source_ns[start:end]
    return Samples(np.zeros(len(times), np.intp), times, series.values[start:end], series.quality[start:end])


def _same(a: tuple[Ints, Times], b: tuple[Ints, Times]) -> bool:
    return len(a[0]) == len(b[0]) and bool(
        (a[0] is b[0] or np.array_equal(a[0], b[0])) and (a[1] is b[1] or np.array_equal(a[1], b[1]))
    )


def _some(samples: Samples, which: Bools | Ints) -> Samples:
    return Samples(samples.instances[which], samples.source_ns[which], samples.values[which], samples.quality[which])


def _sorted(instance: Ints, time_ns: Times) -> tuple[Ints, Ints, Times]:
    """Order by instance, then time, then place; and both columns in that order."""
    first_ns, last_ns = int(time_ns.min()), int(time_ns.max())
    bits = (last_ns - first_ns).bit_length()
    if bits + int(instance.max()).bit_length() < 63:  # one key instead of two: three times as fast
        order = np.argsort((instance.astype(np.int64) << bits) | (time_ns - first_ns), kind="stable")
    else:
        order = np.lexsort((time_ns, instance))
    return order, instance[order], time_ns[order]


def _in_order(samples: Samples, time_ns: Times) -> Samples:
    """By instance and time, the last of each pair."""
    instance = samples.instances
    if len(instance) > 1:
        rising = (instance[1:] > instance[:-1]) | ((instance[1:] == instance[:-1]) & (time_ns[1:] > time_ns[:-1]))
        if not rising.all():
            order, instance, time_ns = _sorted(instance, time_ns)
            last = np.append(~((instance[1:] == instance[:-1]) & (time_ns[1:] == time_ns[:-1])), True)
            samples, instance, time_ns = _some(samples, order[last]), instance[last], time_ns[last]
    return Samples(instance, time_ns, samples.values, samples.quality)
