"""Sliding windows over time, exact at any moment and independent of how samples were cut.

Time is cut into blocks as long as the window. A window then is always the end of one block and the beginning of the
next, and nothing ever has to be taken out of a sum again:

    block k−1                  │ block k
    ───a────b──────c────────d──┼────e──────f────
             s ├───────────────┼──────────────┤ now          s = now − span
               └ rest of c ┘└R┘│└──── F ────┘└┘ since f
    R  of each row, from it to the end of its block: filled in once, backwards, when the block is over
    F  from the beginning of the block to the newest row: carried along

So a spike leaves no trace once it is out of the window, and every sum is made in one order. What is summed is told by
a `Measure`; the time in which values were usable, and good, is kept here as whole ns.

Blocks of one instance end at another time than those of the next (`spread`): 10,000 that ended at once took 2.5 s.

A value stands until the next one. `flag` of a row: 0 bad, 1 uncertain, 2 good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headrace.model import quality as q
from headrace.model.expressions.columns import (
    BAD,
    GOOD_BELOW,
    Bools,
    Column,
    Ints,
    Tally,
    Times,
    scan,
    scan_back,
    starts_of,
)
from headrace.model.expressions.elementwise import finite
from headrace.model.expressions.past import NEVER, WAITING, Kept, append_own, note_forgotten, own_quality
from headrace.model.expressions.rings import Rings
from headrace.model.expressions.rows import Own, Rows, lasts_of, picked
from headrace.model.expressions.tree import Node

Columns = dict[str, NDArray[Any]]
_GOLDEN: Final = (5**0.5 - 1) / 2
PARTLY: Final = np.uint32(q.UNCERTAIN_SUB_NORMAL)
"""Of a window in which not everything was good."""


@dataclass(slots=True)
class Ahead:
    """Own rows just taken, each with the row before it. Shape: (rows,) each.

    `stood_ns`: how long the value before stood usable within the block of this row, until this row; `within`: whether
    the row before, usable, is itself in the block. `heads` begin a block; `seeds` are heads that go on where we were.
    """

    instance: Ints
    values: NDArray[Any]
    flag: NDArray[np.uint8]
    seq: Times
    before: NDArray[Any]
    before_seq: Times
    stood_ns: Times
    within: Bools
    heads: Bools
    seeds: Bools


@dataclass(slots=True)
class Ending:
    """Rows of blocks that are over: how long each stood usable until the next or the end of the block."""

    values: NDArray[Any]
    flag: NDArray[np.uint8]
    seq: Times
    stood_ns: Times
    heads: Bools


@dataclass(slots=True)
class Parts:
    """A window in its parts, for each question. Shape: (rows,) each.

    `behind_ns` and `ahead_ns`: how long it was usable in the last block and in this one; `lookup` gives values by seq.
    `edge`: the value that stood at the beginning, for `edge_ns` usable; `rest`: R of the row after it, where
    `has_rest`; `ahead`: F at the newest row, where it is of this block (`going`); `newest`: its value, for `newest_ns`.
    """

    edge: NDArray[Any]
    edge_seq: Times
    edge_ns: Times
    rest: Columns
    has_rest: Bools
    ahead: Columns
    going: Bools
    newest: NDArray[Any]
    newest_seq: Times
    newest_ns: Times
    newest_usable: Bools
    newest_within: Bools
    behind_ns: Times
    ahead_ns: Times
    lookup: Callable[[Times], NDArray[Any]]


class Measure(Protocol):
    """What a window adds up. All its columns are named in `rest` (R) and `ahead` (F, with what an empty block has)."""

    dtype: np.dtype[Any]
    rest: Mapping[str, DTypeLike]
    ahead: Mapping[str, tuple[DTypeLike, Any]]

    def go(self, rows: Ahead, kept: Mapping[str, NDArray[Any]]) -> Columns:
        """F at each row, its own value not yet counted; `kept` is F by instance."""
        ...

    def close(self, rows: Ending) -> Columns:
        """R at each row."""
        ...

    def result(self, parts: Parts) -> NDArray[Any]:
        """The values."""
        ...


class Window:
    """One window function over all instances."""

    def __init__(self, node: Node, instances: int, measure: Measure, kept_max: int) -> None:
        self._node, self._span_ns, self._measure = node, int(node.detail), measure
        self._phases_ns = spread(instances, self._span_ns)
        fixed: dict[str, DTypeLike] = {
            "t": np.int64,
            "v": measure.dtype,
            "flag": np.uint8,
            "rest_ns": np.int64,
            "rest_good_ns": np.int64,
        }
        self._rings = Rings(instances, fixed | dict(measure.rest), kept_max)
        empty: Any = "" if measure.dtype.kind == "T" else 0
        self._newest = Kept(
            instances, t=(np.int64, NEVER), v=(measure.dtype, empty), flag=(np.uint8, 0), seq=(np.int64, -1),
            ahead_ns=(np.int64, 0), ahead_good_ns=(np.int64, 0), closed=(np.int64, 0), block=(np.int64, NEVER),
            **measure.ahead,
        )  # fmt: skip

    def take(self, rows: Rows, argument: Column, tally: Tally) -> Column:
        own = rows.own(self._node.parts[0].names)
        quality = own_quality(own, argument)
        flag = np.where(quality < GOOD_BELOW, 2, quality < BAD).astype(np.uint8)
        values = own.of(argument.values).astype(self._measure.dtype, copy=False)
        if values.dtype.kind == "f" and not flag.all():
            values = np.where(flag > 0, values, 0.0)  # what is NaN would stay NaN, however little it weighs
        seq, replaced = append_own(self._rings, own, {"v": values, "flag": flag})
        start_ns = self._start_ns(rows.instance, rows.time_ns)
        ahead = self._ahead(own, own.of(start_ns), values, flag, seq, replaced)
        columns = self._go(ahead, own)
        self._close(rows, start_ns)
        result = self._ask(rows, start_ns, own, ahead, columns, argument, tally)
        self._remember(own, ahead, columns)
        return result

    def _start_ns(self, instance: Ints, time_ns: Times) -> Times:
        """When the block of a moment began."""
        phase_ns = self._phases_ns[instance]
        return (time_ns - phase_ns) // self._span_ns * self._span_ns + phase_ns

    def _ahead(
        self, own: Own, start_ns: Times, values: NDArray[Any], flag: NDArray[np.uint8], seq: Times, replaced: Ints
    ) -> Ahead:
        kept, instance, count = self._newest, own.instance, len(own.instance)
        first = np.flatnonzero(own.starts)
        whose = instance[first]

        def shifted(column: NDArray[Any], name: str) -> NDArray[Any]:
            before = np.empty(count, column.dtype)
            before[1:] = column[:-1]
            before[first] = kept[name][whose]
            return before

        before_t, before_flag = shifted(own.time_ns, "t"), shifted(flag, "flag")
        heads = starts_of(instance, start_ns) if count else own.starts
        known = before_t != NEVER
        same = known & (np.where(known, before_t, start_ns) >= start_ns)
        seeds = own.starts & same
        use = before_flag > 0
        again = np.zeros(len(self._rings.lo), np.bool_)
        again[replaced] = True
        use &= ~(own.starts & again[instance])
        stood_ns = np.where(use & known, own.time_ns - np.maximum(np.where(known, before_t, 0), start_ns), 0)
        return Ahead(
            instance, values, flag, seq, shifted(values, "v"), shifted(seq, "seq"), stood_ns, use & same, heads, seeds
        )

    def _go(self, ahead: Ahead, own: Own) -> Columns:
        good = self._newest["flag"][ahead.instance]
        good = np.where(own.starts, good, np.append(np.uint8(0), ahead.flag[:-1])) if len(good) else good
        found = {}
        for name, stood_ns in (
            ("ahead_ns", ahead.stood_ns), ("ahead_good_ns", np.where(good == 2, ahead.stood_ns, 0))
        ):  # fmt: skip
            found[name] = seeded(np.add, stood_ns, ahead, self._newest[name])
        if not len(good):
            return found | {name: np.empty(0, dtype) for name, (dtype, _) in self._measure.ahead.items()}
        return found | self._measure.go(ahead, self._newest.columns)

    def _close(self, rows: Rows, start_ns: Times) -> None:
        """R of rows whose block is over by the last moment asked about."""
        rings, last = self._rings, rows.lasts()
        whose, start_ns = rows.instance[last], start_ns[last]
        moved = start_ns != self._newest["block"][whose]
        whose, start_ns = whose[moved], start_ns[moved]
        if not len(whose):
            return
        self._newest["block"][whose] = start_ns
        until = rings.find(whose, start_ns - 1) + 1
        instance, seq = rings.rows(whose, np.maximum(self._newest["closed"][whose], rings.lo[whose]), until)
        self._newest["closed"][whose] = until
        if not len(seq):
            return
        place = rings.at(instance, seq)
        times, flag = rings.values("t", place), rings.values("flag", place)
        began_ns = self._start_ns(instance, times)
        end_ns = began_ns + self._span_ns
        follows = seq + 1 < rings.hi[instance]
        after = np.where(follows, rings.at(instance, seq + 1), 0)
        next_ns = np.where(follows, rings.values("t", after), end_ns)
        stood_ns = np.where(flag > 0, np.minimum(next_ns, end_ns) - times, 0)
        heads = starts_of(instance, began_ns)
        ending = Ending(rings.values("v", place), flag, seq, stood_ns, heads)
        rings.write(place, "rest_ns", scan_back(np.add, stood_ns, heads))
        rings.write(place, "rest_good_ns", scan_back(np.add, np.where(flag == 2, stood_ns, 0), heads))
        for name, column in self._measure.close(ending).items():
            rings.write(place, name, column)

    def _ask(
        self, rows: Rows, start_ns: Times, own: Own, ahead: Ahead, columns: Columns, argument: Column, tally: Tally
    ) -> Column:
        kept, rings, instance, now_ns = self._newest, self._rings, rows.instance, rows.time_ns
        newest_t = picked(own.last, own.time_ns, kept["t"], instance)
        flag = picked(own.last, ahead.flag, kept["flag"], instance)
        known = newest_t != NEVER
        newest_t = np.where(known, newest_t, start_ns)
        going = known & (newest_t >= start_ns)
        usable = flag > 0
        newest_ns = np.where(usable, now_ns - np.maximum(newest_t, start_ns), 0)
        f = {name: picked(own.last, column, kept[name], instance) for name, column in columns.items()}
        ahead_ns = np.where(going, f["ahead_ns"], 0) + newest_ns
        good_ns = np.where(going, f["ahead_good_ns"], 0) + np.where(flag == 2, newest_ns, 0)

        begin_ns = now_ns - self._span_ns
        edge = rings.find(instance, begin_ns)
        last = rows.lasts()
        lo = rings.lo[instance]
        after = np.maximum(edge + 1, lo)
        has_edge = edge >= lo
        has_after = after < rings.hi[instance]
        at_edge = np.where(has_edge, rings.at(instance, edge), 0)
        at_after = np.where(has_after, rings.at(instance, after), 0)
        at, then = rings.records(at_edge), rings.records(at_after)
        after_t = then["t"]
        has_rest = has_after & (after_t < start_ns)
        edge_flag = np.where(has_edge, at["flag"], 0)
        edge_ns = np.where(edge_flag > 0, np.where(has_rest, after_t, start_ns) - begin_ns, 0)
        rest = {name: then[name] for name in self._measure.rest}
        behind_ns = edge_ns + np.where(has_rest, then["rest_ns"], 0)
        good_ns = good_ns + np.where(edge_flag == 2, edge_ns, 0)
        good_ns = good_ns + np.where(has_rest, then["rest_good_ns"], 0)
        parts = Parts(
            rings.values("v", at_edge) if self._measure.dtype.kind == "T" else at["v"], edge, edge_ns, rest, has_rest,
            {name: f[name] for name in self._measure.ahead}, going,
            picked(own.last, ahead.values, kept["v"], instance), picked(own.last, ahead.seq, kept["seq"], instance),
            newest_ns, usable, usable & going, behind_ns, ahead_ns,
            lambda seq: rings.values("v", rings.at(instance, seq)),
        )  # fmt: skip
        values = self._measure.result(parts)
        note_forgotten(tally, rings.forget(instance[last], edge[last]))
        whole = good_ns == self._span_ns
        quality = self._quality(whole & (flag == 2), usable | (behind_ns + ahead_ns > 0), argument, len(rows))
        return self._judged(values, quality, behind_ns + ahead_ns, parts, tally)

    def _judged(
        self, values: NDArray[Any], quality: NDArray[np.uint32] | None, usable_ns: Times, parts: Parts, tally: Tally
    ) -> Column:
        """`held` knows more than others: one moment of false decides, and true takes the whole window."""
        if self._node.op != "held":
            if values.dtype.kind == "f":
                values, quality = finite(values, quality, tally)
            if self._node.op == "count" and quality is not None:
                seen = (parts.newest_seq >= 0) & (quality >= BAD)
                quality = np.where(seen, PARTLY, quality)
            return Column(values, quality)
        true = values.astype(np.bool_)
        if quality is None:
            return Column(true)
        unknown = true & (usable_ns < self._span_ns) & (quality < BAD)
        return Column(true, np.where(unknown, WAITING, quality))

    def _quality(self, good: Bools, some: Bools, argument: Column, count: int) -> NDArray[np.uint32] | None:
        if good.all():
            return None
        now = np.zeros(count, np.uint32) if argument.quality is None else np.broadcast_to(argument.quality, (count,))
        part = np.where((now >= GOOD_BELOW) & (now < BAD), np.maximum(now, PARTLY), PARTLY)
        none = np.where(now >= BAD, now, WAITING)
        return np.where(good, np.uint32(0), np.where(some, part, none)).astype(np.uint32)

    def _remember(self, own: Own, ahead: Ahead, columns: Columns) -> None:
        last = lasts_of(own.starts)
        if not len(last):
            return
        whose = own.instance[last]
        kept = {name: column[last] for name, column in columns.items()}
        kept |= {"t": own.time_ns[last], "v": ahead.values[last], "flag": ahead.flag[last], "seq": ahead.seq[last]}
        for name, column in kept.items():
            self._newest[name][whose] = column

    @property
    def kept(self) -> int:
        return len(self._rings)

    def state(self) -> dict[str, NDArray[Any]]:
        return {
            **{f"rows.{name}": column for name, column in self._rings.state().items()},
            **{f"newest.{name}": column for name, column in self._newest.state().items()},
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._rings.restore({n.removeprefix("rows."): c for n, c in state.items() if n.startswith("rows.")})
        self._newest.restore({n.removeprefix("newest."): c for n, c in state.items() if n.startswith("newest.")})


def spread(instances: int, span_ns: int) -> Times:
    """When the blocks of each instance begin, evenly over the span; those of instance 0 begin with 1970."""
    share = np.arange(instances) * _GOLDEN % 1.0
    return (share * span_ns).astype(np.int64)


def seeded(ufunc: np.ufunc, values: NDArray[Any], ahead: Ahead, kept: NDArray[Any]) -> NDArray[Any]:
    """`values` accumulated along each block, going on from what is kept where the block has begun before."""
    at = np.flatnonzero(ahead.seeds)
    if len(at):
        values = values.copy()
        values[at] = ufunc(kept[ahead.instance[at]], values[at])
    return scan(ufunc, values, ahead.heads) if len(values) else values
