"""One stream function over samples as they come. Pure: no clock, no I/O, and the same outcome however they are cut.

    take ─► which points ─► event time ─► where each key stood before it ─► late? counted │ waits
                                                                                             ▼
            Made ◄─ outputs ◄─ the function, or reducing ◄─ one table ◄─ windows that are complete

Samples wait as columns until their windows are complete, and are put in order then: memory is what is within a window
and its lateness, bounded by `samples_max`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams import reducing
from headrace.compute.streams.binding import Binding
from headrace.compute.streams.calling import Answers, Caller, Column, Here, Panes, States, Work
from headrace.compute.streams.closing import Closed, close, first_end_ns, last_end_ns
from headrace.compute.streams.joining import Stood, columns_of
from headrace.compute.streams.lateness import Progress
from headrace.compute.streams.rows import ALWAYS, EMPTY, NEVER, Bools, Rows, arrived
from headrace.model import quality as q
from headrace.model.batch import Batch, Handles, TimesNs, ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.sdk.stream import Kind, StreamFunction

PARTS_MAX: Final = 64
"""Pieces that wait are joined when there are more."""
FAILED: Final = q.BAD_CONFIGURATION_ERROR
PARTLY: Final = q.UNCERTAIN_SUB_NORMAL


@dataclass(slots=True)
class Counters:
    """Samples, but for `windows`, `outputs` (samples made) and `failed` (windows without an answer)."""

    taken: int = 0
    unusable: int = 0
    late: int = 0
    windows: int = 0
    outputs: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """Samples of one kind that came out. `paths` are their points, `which` the place in it of each. Shape: (rows,)."""

    kind: ValueKind
    paths: Sequence[str]
    which: NDArray[np.int64]
    time_ns: TimesNs
    values: NDArray[Any]
    quality: NDArray[np.uint32]

    def batch(self, handles: NDArray[np.uint32]) -> Batch:
        """`handles` of `paths`."""
        return Batch.of(self.kind, handles[self.which], self.time_ns, self.values, self.quality)


@dataclass(slots=True)
class _Waiting:
    parts: list[Rows] = field(default_factory=list)
    count: int = 0

    def add(self, rows: Rows) -> None:
        self.parts.append(rows)
        self.count += len(rows)
        if len(self.parts) > PARTS_MAX:
            self.parts = [Rows.concat(self.parts)]

    def all(self) -> Rows:
        return Rows.concat(self.parts)

    def set(self, rows: Rows) -> None:
        self.parts, self.count = [rows], len(rows)


class Engine:
    """`bind` first, and again when there are more points. `caller` where the function does not run here."""

    def __init__(self, function: StreamFunction, caller: Caller | None = None) -> None:
        self.function = function
        self.counters = Counters()
        self.error = ""
        self._caller = caller or Here(function)
        self._binding = Binding(function)
        self._progress = Progress(
            function.lateness_ns, function.idle_ns, lambda time_ns: last_end_ns(function, time_ns)
        )
        self._waiting = _Waiting()
        self._stood = Stood.none(len(function.inputs))
        self._states: States = {}
        self._fired_ns: TimesNs = np.empty(0, np.int64)
        self._due_ns: TimesNs = np.empty(0, np.int64)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def newest_ns(self) -> int:
        """The newest event time so far, of any key; far in the past where there is none."""
        return self._progress.newest_of_all_ns

    @property
    def waiting(self) -> int:
        """Samples that wait for their windows."""
        return self._waiting.count

    def needed_ns(self, horizon_ns: int) -> int:
        """From when on samples can still matter, looking back no further than a horizon behind the newest."""
        if not len(self._progress.newest_ns):
            return NEVER
        return int(max(self._progress.stands_ns().min(), self.newest_ns - horizon_ns))

    def bind(self, paths: Mapping[int, str]) -> None:
        """What handles mean."""
        self._binding.bind(paths)
        self._grow()

    def handles(self) -> Handles:
        """Those that the function reads, of what was bound last."""
        return np.flatnonzero(self._binding.series_of >= 0).astype(np.uint32)

    def take(self, batches: Sequence[Batch], *, stretch: bool = False) -> list[Made]:
        """Samples as they came; or a stretch of time in no order, in which what is known already is not told late.

        Raises: LimitReached where more samples wait than the function may hold.
        """
        came = arrived(batches, self._binding.series_of, self._binding.floats)
        if not len(came.series):
            return []
        self.counters.taken += len(came.series)
        keys = self._binding.key_of[came.series]
        if stretch and self._progress.take_ahead(keys, came.time_ns):
            past = np.full(len(keys), NEVER, np.int64)
        else:
            if stretch:
                came, keys = came.by_time(), keys[np.argsort(came.time_ns, kind="stable")]
            past = self._progress.take(keys, came.time_ns) - self.function.keep_ns
        ends = first_end_ns(self.function, came.time_ns, past)
        usable, in_time = came.usable, ends < ALWAYS
        self.counters.unusable += int((~usable).sum())
        if not stretch:
            self.counters.late += int((usable & (~in_time | (ends <= past + self.function.keep_ns))).sum())
        taken = usable & in_time
        rows = Rows(came.series, came.time_ns, came.bits, came.quality, past, np.ones(len(past), np.bool_))
        if not taken.all():
            rows, keys, ends = rows.take(taken), keys[taken], ends[taken]
        if len(rows):
            self._waiting.add(rows)
            self._note_due(keys, ends)
        made = self._fire()
        if self._waiting.count > self.function.samples_max:
            raise LimitReached(
                f"stream function {self.function.name} would hold {self._waiting.count} samples, more than its "
                f"{self.function.samples_max}; shorten its window or lateness, or raise samples_max"
            )
        return made

    def advance(self, time_ns: int) -> list[Made]:
        """Nothing before that time comes any more: the end of a stretch."""
        self._progress.over_ns = max(self._progress.over_ns, time_ns)
        return self._fire()

    def quiet(self, passed_ns: int) -> list[Made]:
        """Nothing came for so long: keys that are silent for longer than `idle` are closed, as if others went on."""
        self._progress.quiet(passed_ns)
        return self._fire()

    def close(self) -> None:
        self._caller.close()

    # --- windows ---------------------------------------------------------------------------------------------------

    def _note_due(self, keys: NDArray[np.int32], ends: TimesNs) -> None:
        if self.function.window.kind is Kind.COUNT:
            np.add.at(self._counts, keys, 1)
            enough = self._counts[keys] >= self.function.window.samples
            keys, ends = keys[enough], ends[enough]
        np.minimum.at(self._due_ns, keys, ends)

    def _fire(self) -> list[Made]:
        stands = self._progress.stands_ns()
        due = self._due_ns <= stands
        if not due.any():
            return []
        waiting = self._waiting.all()
        keys = self._binding.key_of[waiting.series]
        chosen = due[keys]
        others = EMPTY if (every := bool(chosen.all())) else waiting.take(~chosen)
        if not every:
            waiting, keys = waiting.take(chosen), keys[chosen]
        closed = close(self.function, waiting, keys, stands, self._fired_ns)
        made = self._work_out(closed) if len(closed) else []
        self._let_go(closed, due, stands, others)
        return made

    def _let_go(self, closed: Closed, due: Bools, stands: TimesNs, others: Rows) -> None:
        kept, rows = closed.kept, closed.rows
        if self.function.joins:
            self._stood.take(rows.take(~kept), closed.row_keys[~kept], self._binding.input_of[rows.series[~kept]])
        stay = rows.take(kept)
        stay.fresh[:] = False
        self._waiting.set(Rows.concat([others, stay]))
        self._fired_ns[due], self._due_ns[due] = stands[due], closed.due_ns[due]
        if self.function.window.kind is Kind.COUNT:
            self._counts = np.bincount(self._binding.key_of[self._waiting.all().series], minlength=len(stands))

    def _work_out(self, closed: Closed) -> list[Made]:
        self.counters.windows += len(closed)
        quality = _quality_of(closed)
        if self.function.reduce:
            reduced = reducing.reduce(self.function, closed, self._binding.input_of)
            columns = {name: [Column(one.windows, one.values)] for name, one in reduced.items()}
            return self._made(Answers(columns), closed, quality)
        return self._made(self._ask(closed), closed, quality)

    def _ask(self, closed: Closed) -> Answers:
        columns = columns_of(self.function, closed, self._binding.input_of, self._stood, self._binding.paths)
        offsets, panes = columns.offsets, np.arange(len(closed))
        filled = np.diff(offsets) > 0
        if not filled.all():  # as-of joins: no sample of the first input
            panes, offsets = panes[filled], np.append(0, np.cumsum(np.diff(offsets)[filled]))
        if not len(panes):
            return Answers({})
        keys = [self._binding.keys[key] for key in closed.keys[panes].tolist()]
        states = {key: self._states.setdefault(key, {}) for key in keys} if self.function.takes > 1 else {}
        work = Work(columns.record, offsets, Panes(keys, closed.start_ns[panes], closed.end_ns[panes]), states)
        answers = self._caller(work)
        self._states.update(work.states)
        if answers.failed:
            self.counters.failed += len(answers.failed)
            self.error = answers.error
        if len(panes) == len(closed):
            return answers
        found = {
            name: [Column(panes[one.windows], one.values, one.time_ns) for one in parts]
            for name, parts in answers.columns.items()
        }
        return Answers(found, panes[np.array(answers.failed, np.int64)].tolist(), answers.error)

    def _made(self, answers: Answers, closed: Closed, quality: NDArray[np.uint32]) -> list[Made]:
        failed = np.array(answers.failed, np.int64)
        by_kind: dict[ValueKind, list[tuple[Any, ...]]] = {}
        names = list(self.function.outputs)
        for number, (name, declared) in enumerate(self.function.outputs.items()):
            for column in answers.columns.get(name, ()):
                if not len(column.windows):
                    continue
                times = closed.stamp_ns[column.windows] if column.time_ns is None else column.time_ns
                slots = closed.keys[column.windows].astype(np.int64) * len(names) + number
                values = column.values.astype(declared.kind.dtype)
                by_kind.setdefault(declared.kind, []).append((slots, times, values, quality[column.windows]))
            if len(failed):
                slots = closed.keys[failed].astype(np.int64) * len(names) + number
                blank = np.full(len(failed), np.nan if declared.kind is ValueKind.FLOAT64 else 0, declared.kind.dtype)
                bad = np.full(len(failed), FAILED, np.uint32)
                by_kind.setdefault(declared.kind, []).append((slots, closed.stamp_ns[failed], blank, bad))
        made = []
        for kind, parts in by_kind.items():
            slots, times, values, qualities = (np.concatenate(column) for column in zip(*parts, strict=True))
            points, which = np.unique(slots, return_inverse=True)
            paths = [
                self._binding.output_path(self._binding.keys[slot // len(names)], names[slot % len(names)])
                for slot in points.tolist()
            ]
            self.counters.outputs += len(slots)
            made.append(Made(kind, paths, which, times, values, qualities))
        return made

    # --- what survives a restart -----------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """A document of JSON, states of the keys among it, and columns. A new engine of the function takes it up."""
        document = {
            "function": self.function.name,
            "version": self.function.version,
            "paths": self._binding.paths,
            "newest_ns": self._progress.newest_of_all_ns,
            "over_ns": self._progress.over_ns,
            "counters": asdict(self.counters),
            "states": self._states,
        }
        columns = {f"waiting.{name}": column for name, column in self._waiting.all().columns().items()}
        columns |= {
            "newest_ns": self._progress.newest_ns,
            "seen_ns": self._progress.seen_ns,
            "silent_ns": self._progress.silent_ns,
            "fired_ns": self._fired_ns,
            "due_ns": self._due_ns,
            "counts": self._counts,
            "stood.time_ns": self._stood.time_ns,
            "stood.bits": self._stood.bits,
        }
        return document, columns

    def restore(self, document: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> None:
        """Before anything was taken; `bind` afterwards. Raises: DataError for a state of something else."""
        if (document["function"], document["version"]) != (self.function.name, self.function.version):
            raise DataError(
                f"this is the state of {document['function']} {document['version']}, "
                f"not of {self.function.name} {self.function.version}"
            )
        self._binding.learn(list(document["paths"]))
        if len(self._binding.paths) != len(document["paths"]):
            raise DataError(f"the state of {self.function.name} is of other points than it declares now")
        self._progress.newest_of_all_ns, self._progress.over_ns = document["newest_ns"], document["over_ns"]
        self._progress.newest_ns = columns["newest_ns"].copy()
        self._progress.seen_ns, self._progress.silent_ns = columns["seen_ns"].copy(), columns["silent_ns"].copy()
        self._fired_ns, self._due_ns = columns["fired_ns"].copy(), columns["due_ns"].copy()
        self._counts = columns["counts"].copy()
        self._stood = Stood(len(self.function.inputs), columns["stood.time_ns"].copy(), columns["stood.bits"].copy())
        self._waiting.set(Rows(*(columns[f"waiting.{name}"].copy() for name in EMPTY.columns())))
        self._states = {key: dict(state) for key, state in document["states"].items()}
        self.counters = Counters(**document["counters"])
        self._grow()

    def _grow(self) -> None:
        keys = len(self._binding.keys)
        self._progress.grow(keys)
        self._stood.grow(keys)
        missing = keys - len(self._due_ns)
        if missing > 0:
            self._fired_ns = np.append(self._fired_ns, np.full(missing, NEVER, np.int64))
            self._due_ns = np.append(self._due_ns, np.full(missing, ALWAYS, np.int64))
            self._counts = np.append(self._counts, np.zeros(missing, np.int64))


def _quality_of(closed: Closed) -> NDArray[np.uint32]:
    """Good where everything in a window is. Shape: (windows,)."""
    good = q.is_good(closed.rows.quality)
    if good.all():
        return np.full(len(closed), q.GOOD, np.uint32)
    good = good[closed.index]
    return np.where(np.logical_and.reduceat(good, closed.offsets[:-1]), np.uint32(q.GOOD), np.uint32(PARTLY))
