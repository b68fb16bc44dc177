"""Control charts: which rule of Nelson, or of Western Electric, the newest samples break.

    z of a sample: how many sigma it lies from the centre line      rows of the past + new ones ─► one look at each rule

Rules count usable samples, not time, and the newest one has to be part of the pattern: a chart is in control again with
the first sample that is. Of several broken rules the lowest is told; 0 is none.
Sources: Nelson, Journal of Quality Technology 16 (1984) 237; Western Electric, Statistical Quality Control Handbook,
1956.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.expressions.columns import BAD, Bools, Column, Ints, Tally
from headrace.model.expressions.past import NEVER, WAITING, Kept, own_quality
from headrace.model.expressions.rows import Rows, lasts_of, picked
from headrace.model.expressions.tree import Node

LENGTH: Final = 15
"""Samples that the longest pattern needs, the newest included."""

Floats = NDArray[np.float64]


class Chart:
    """`nelson` and `western_electric` over all instances: the newest usable z of each, oldest first."""

    def __init__(self, node: Node, instances: int) -> None:
        self._node = node
        self._rules = _RULES[node.op]
        self._z = np.full((instances, LENGTH), np.nan)
        self._kept = Kept(instances, t=(np.int64, NEVER), v=(np.int64, 0), q=(np.uint32, WAITING))

    @property
    def kept(self) -> int:
        return int(np.count_nonzero(~np.isnan(self._z)))

    def take(self, rows: Rows, argument: Column, tally: Tally) -> Column:
        del tally
        own = rows.own(self._node.parts[0].names)
        z = own.of(argument.values).astype(np.float64)
        quality = own_quality(own, argument)
        use = np.flatnonzero(quality < BAD)
        heads = np.flatnonzero(own.starts)
        again = own.instance[heads[self._kept["t"][own.instance[heads]] == own.time_ns[heads]]]
        if len(again):  # a sample at the time of the newest takes its place
            self._z[again, 1:] = self._z[again, :-1]
            self._z[again, 0] = np.nan
        broken = np.zeros(len(own.instance), np.int64)
        if len(use):
            broken[use] = self._look(own.instance[use], z[use])
        instance = rows.instance
        found = Column(
            picked(own.last, broken, self._kept["v"], instance), picked(own.last, quality, self._kept["q"], instance)
        )
        last = lasts_of(own.starts)
        whose = own.instance[last]
        # A bad sample has no z: one that takes its place finds nothing to replace.
        self._kept["t"][whose] = np.where(quality[last] < BAD, own.time_ns[last], NEVER)
        self._kept["v"][whose], self._kept["q"][whose] = broken[last], quality[last]
        return found

    def _look(self, instance: Ints, z: Floats) -> NDArray[np.int64]:
        """Of each usable row the lowest rule that it breaks. The past of each instance stands before its rows."""
        starts = np.append(True, instance[1:] != instance[:-1])
        heads = np.flatnonzero(starts)
        whose = instance[heads]
        before = self._z[whose]
        known = ~np.isnan(before)
        older = known.sum(axis=1)
        length = np.diff(np.append(heads, len(z)))
        ends = np.cumsum(older + length)
        line = np.empty(int(ends[-1]))
        first = ends - older - length
        run = np.repeat(first, older + length)  # where the run of each place begins
        place = np.arange(len(z)) + np.repeat(first + older - heads, length)
        line[place] = z
        old = np.ones(len(line), np.bool_)
        old[place] = False
        line[old] = before[known]  # both by instance, oldest first
        broken = np.zeros(len(line), np.int64)
        for number, rule in reversed(self._rules):
            broken[rule(line, run)] = number
        self._remember(whose, line, first, ends)
        return np.asarray(broken[place])

    def _remember(self, whose: Ints, line: Floats, first: Ints, ends: Ints) -> None:
        at = ends[:, None] - LENGTH + np.arange(LENGTH)
        self._z[whose] = np.where(at >= first[:, None], line[np.maximum(at, 0)], np.nan)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"z": self._z.copy(), **self._kept.state()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._z[: len(state["z"])] = state["z"]
        self._kept.restore({name: state[name] for name in self._kept.columns})


def _of_last(holds: Bools, run: Ints, count: int) -> Ints:
    """How many of the last `count` places of the run hold, the place itself included. Shape: (places,)."""
    total = np.cumsum(holds)
    place = np.arange(len(holds))
    begin = np.maximum(place - count, run - 1)
    held: Ints = total - np.where(begin >= 0, total[np.maximum(begin, 0)], 0)
    return held


def _sides(line: Floats, run: Ints, beyond: float, needed: int, count: int) -> Bools:
    """`needed` of the last `count` beyond so many sigma on one side, the newest among them."""
    up, down = line > beyond, line < -beyond
    found: Bools = (up & (_of_last(up, run, count) >= needed)) | (down & (_of_last(down, run, count) >= needed))
    return found


def _far(line: Floats, run: Ints) -> Bools:
    del run
    far: Bools = np.abs(line) > 3
    return far


def _steps(line: Floats, run: Ints) -> Floats:
    """The change to each place from the one before; 0 at the beginning of a run."""
    place = np.arange(len(line))
    return np.where(place > run, line - line[np.maximum(place - 1, 0)], 0.0)


def _trend(line: Floats, run: Ints) -> Bools:
    """Six in a row that rise, or that fall."""
    step = _steps(line, run)
    found: Bools = (_of_last(step > 0, run, 5) == 5) | (_of_last(step < 0, run, 5) == 5)
    return found


def _alternating(line: Floats, run: Ints) -> Bools:
    """Fourteen in a row that go up and down in turn."""
    step = _steps(line, run)
    turn = step * np.where(np.arange(len(line)) > run, step[np.maximum(np.arange(len(line)) - 1, 0)], 0.0) < 0
    found: Bools = _of_last(turn, run, 12) == 12
    return found


def _quiet(line: Floats, run: Ints) -> Bools:
    """Fifteen in a row within one sigma."""
    found: Bools = _of_last(np.abs(line) < 1, run, 15) == 15
    return found


def _split(line: Floats, run: Ints) -> Bools:
    """Eight in a row, none within one sigma, on both sides."""
    far = np.abs(line) > 1
    up, down = far & (line > 0), far & (line < 0)
    found: Bools = (_of_last(far, run, 8) == 8) & (_of_last(up, run, 8) > 0) & (_of_last(down, run, 8) > 0)
    return found


def _side(count: int) -> Callable[[Floats, Ints], Bools]:
    return lambda line, run: _sides(line, run, 0.0, count, count)


def _two_of_three(line: Floats, run: Ints) -> Bools:
    return _sides(line, run, 2.0, 2, 3)


def _four_of_five(line: Floats, run: Ints) -> Bools:
    return _sides(line, run, 1.0, 4, 5)


_RULES: Final[Mapping[str, list[tuple[int, Callable[[Floats, Ints], Bools]]]]] = {
    "nelson": [
        (1, _far), (2, _side(9)), (3, _trend), (4, _alternating), (5, _two_of_three), (6, _four_of_five), (7, _quiet),
        (8, _split),
    ],
    "western_electric": [(1, _far), (2, _two_of_three), (3, _four_of_five), (4, _side(8))],
}  # fmt: skip
CHARTS: Final = frozenset(_RULES)
