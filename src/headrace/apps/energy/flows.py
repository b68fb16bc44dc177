"""A flow: what went through one meter, as stretches of time with an amount each. All accounts are cut from flows.

    start ──────── end   amount   grade
    08:00          08:01   1.25   measured: both ends were read
    08:01          08:40  48.0    bridged: the counter went on, nobody read it between
                                  (08:40 … 08:45 is not there: unknown)
    08:45          08:46   1.2    measured

Within a stretch the amount is spread evenly. Cutting at any time therefore loses nothing: the parts of a stretch add up
to it. Columns, not objects: a year at one reading a minute is half a million stretches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.apps.energy.completeness import Total
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

MEASURED: Final = 0
BRIDGED: Final = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """A flow over spans. Shape: (spans,) each; `amount` in the flow's unit, of the time that is known; times in ns."""

    amount: Floats
    measured_ns: Times
    bridged_ns: Times


@dataclass(frozen=True, slots=True)
class Flow:
    """Shape: (stretches,) each: `start_ns` < `end_ns`, ascending, not overlapping; `amount` finite; `grade` uint8."""

    source: str
    unit: str
    start_ns: Times
    end_ns: Times
    amount: Floats
    grade: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if np.any(self.end_ns <= self.start_ns) or np.any(self.start_ns[1:] < self.end_ns[:-1]):
            raise DataError(f"the stretches of {self.source} overlap or are not in order")
        if not np.all(np.isfinite(self.amount)):
            raise DataError(f"an amount of {self.source} is no number; leave the stretch out where it is unknown")

    def __len__(self) -> int:
        return len(self.start_ns)

    def between(self, starts_ns: ArrayLike, ends_ns: ArrayLike) -> Spread:
        """What flowed in each span [start, end). Shape: (spans,). The spans may overlap and stand in any order."""
        starts, ends = np.asarray(starts_ns, np.int64), np.asarray(ends_ns, np.int64)
        if np.any(ends < starts):
            raise DataError(f"a span asked of {self.source} ends before it begins")
        if not len(self):
            none = np.zeros(len(starts), np.int64)
            return Spread(np.zeros(len(starts)), none, none.copy())
        lengths = self.end_ns - self.start_ns
        sums = np.concatenate(([0.0], np.cumsum(self.amount)))
        measured = np.concatenate(([0], np.cumsum(np.where(self.grade == MEASURED, lengths, 0))))
        bridged = np.concatenate(([0], np.cumsum(np.where(self.grade == BRIDGED, lengths, 0))))
        first, first_ns = self._at(starts)
        last, last_ns = self._at(ends)
        amount = sums[last] - sums[first] + self._part(last, last_ns) - self._part(first, first_ns)
        alone = first == last  # within one stretch: not by the difference of sums, which would round
        held = np.clip(last, 0, len(self) - 1)
        amount[alone] = (self.amount[held] * ((last_ns - first_ns) / lengths[held]))[alone]
        of_first, of_last = self.grade[np.clip(first, 0, len(self) - 1)], self.grade[held]
        return Spread(
            amount,
            measured[last] - measured[first] + last_ns * (of_last == MEASURED) - first_ns * (of_first == MEASURED),
            bridged[last] - bridged[first] + last_ns * (of_last == BRIDGED) - first_ns * (of_first == BRIDGED),
        )

    def over(self, edges_ns: ArrayLike) -> Spread:
        """What flowed between each edge and the next. Shape: (edges - 1,)."""
        edges = np.asarray(edges_ns, np.int64)
        return self.between(edges[:-1], edges[1:])

    def total(self, start_ns: int, end_ns: int) -> Total:
        """The amount of one span with its completeness. Raises: DataError for a span without length."""
        return self.totals([start_ns, end_ns])[0]

    def totals(self, edges_ns: Sequence[int]) -> list[Total]:
        """One total for each pair of neighbouring edges."""
        edges = np.asarray(edges_ns, np.int64)
        if np.any(np.diff(edges) <= 0):
            raise DataError(f"spans asked of {self.source} have to be longer than nothing and in order")
        spread = self.over(edges)
        return [
            as_total(self.source, self.unit, float(amount), int(length), int(measured), int(bridged))
            for amount, length, measured, bridged in zip(
                spread.amount, np.diff(edges), spread.measured_ns, spread.bridged_ns, strict=True
            )
        ]

    def _at(self, times: Times) -> tuple[Times, Times]:
        """The stretch at or before each time, and how far into it, in ns (its whole length where it is over)."""
        place = np.searchsorted(self.start_ns, times, side="right") - 1
        held = np.clip(place, 0, None)
        into = np.clip(times - self.start_ns[held], 0, (self.end_ns - self.start_ns)[held])
        return held, np.where(place < 0, 0, into)

    def _part(self, place: Times, into_ns: Times) -> Floats:
        part: Floats = self.amount[place] * (into_ns / (self.end_ns - self.start_ns)[place])
        return part


def as_total(source: str, unit: str, amount: float, length_ns: int, measured_ns: int, bridged_ns: int) -> Total:
    """One row of a spread as a total: without any known time, without a value."""
    known_ns = measured_ns + bridged_ns
    return Total(
        amount if known_ns else None,
        unit,
        length_ns / SECOND_NS,
        measured_ns / SECOND_NS,
        bridged_ns / SECOND_NS,
        () if known_ns == length_ns else (source,),
    )


def empty(source: str, unit: str) -> Flow:
    """A flow of which nothing is known."""
    none = np.zeros(0, np.int64)
    return Flow(source, unit, none, none, np.zeros(0), np.zeros(0, np.uint8))


def combine(source: str, parts: Sequence[tuple[float, Flow]]) -> Flow:
    """The signed sum of flows of one unit, known only where all of them are: no part is ever taken for zero.

    The grade of a stretch is the worst of its parts. Raises: DataError for flows of different units, or none at all.
    """
    units = {flow.unit for _, flow in parts}
    if len(units) != 1:
        raise DataError(f"{source} is a sum of flows in {', '.join(sorted(units)) or 'nothing'}; it needs one unit")
    edges = np.unique(np.concatenate([column for _, flow in parts for column in (flow.start_ns, flow.end_ns)]))
    if len(edges) < 2:
        return empty(source, units.pop())
    lengths = np.diff(edges)
    amount = np.zeros(len(lengths))
    known, bridged = np.ones(len(lengths), bool), np.zeros(len(lengths), bool)
    for sign, flow in parts:
        spread = flow.over(edges)
        amount += sign * spread.amount
        known &= spread.measured_ns + spread.bridged_ns == lengths
        bridged |= spread.bridged_ns > 0
    grade = np.where(bridged, BRIDGED, MEASURED).astype(np.uint8)
    return Flow(source, units.pop(), edges[:-1][known], edges[1:][known], amount[known], grade[known])


def settled(parts: ArrayLike, total: float) -> Floats:
    """Parts of one sign that add up to `total` exactly (`math.fsum`): what rounding left over goes to the largest part.

    It is a matter of the last bits; what is too fine for the largest part goes to the next.
    Raises: DataError where the parts miss the total by more than a billionth of their size.
    """
    column = np.array(parts, np.float64)
    if not len(column):
        return column
    size = max(float(np.max(np.abs(column))), abs(total))
    if abs(math.fsum([total, *(-column)])) > 1e-9 * size * len(column):
        raise DataError(f"parts that add up to {math.fsum(column)} cannot be parts of {total}")
    for place in np.argsort(-np.abs(column), kind="stable").tolist():
        left = math.fsum([total, *(-column)])
        if math.fsum(column) == total:
            break
        column[place] += left
    return column
