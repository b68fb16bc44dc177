"""Which moments of a minute have a sample: what roll-ups must know to be put together without looking at samples.

    every 1 s, whole minute       0                    even: the steps within the row are all the same
    10 s at 1 Hz, two missing     0b11_1101_1011       bit n: a sample n periods after the row's first
    anything else                 1                    uneven, and nobody knows more

Two rows of the same minute may be added up where no moment is in both; then the bits also tell whether the whole is
even. A period is the row's span divided by its highest bit, or by its samples but one where it is even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import starts_of
from headrace.model.batch import Handles

EVEN, UNKNOWN = 0, 1
BITS_MAX: Final = 63  # moments of a row; it ends before the sign
_ONE: Final = np.int64(1)
_NEVER: Final = np.iinfo(np.int64).max
_HOLES_SHARE: Final = 4  # with more than a quarter of the steps longer than the rest, nothing is periodic

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Of the samples of some chunks: each step from the one before, and where it is longer than its point's period.

    Shape: `steps` (samples,), `holes` (holes,) places in it, `period` (chunks,) ns.
    """

    steps: Whole
    holes: Whole
    period: Whole

    @classmethod
    def of(cls, steps: Whole, handles: Handles, starts: Whole, sizes: Whole, smallest: Whole, longer: Whole) -> Steps:
        """`smallest` is each chunk's smallest step, and `longer` tells where others are. What came late is in chunks of
        its own, and its point's other chunks know the period."""
        points = starts_of(handles)
        period = np.minimum.reduceat(np.where(smallest > 0, smallest, _NEVER), points)
        period = np.repeat(period, np.diff(np.append(points, len(handles))))
        sparse = np.flatnonzero((smallest > period) & (sizes > 1))
        if len(sparse):
            before = np.cumsum(sizes[sparse]) - sizes[sparse]
            places = np.repeat(starts[sparse] - before, sizes[sparse]) + np.arange(int(sizes[sparse].sum()))
            longer = np.union1d(longer, places)
        return cls(steps, longer, np.where(period == _NEVER, 0, period))


def uneven(taken: Steps, source_ns: Whole, rows: Whole, counts: Whole, run_of: Whole) -> Whole:
    """The column `uneven` of rows that begin at `rows` and are of chunk `run_of`. Shape: (rows,) all three."""
    steps = taken.steps.copy()
    several = counts > 1
    steps[rows[several]] = steps[rows[several] + 1]  # what leads to a row is none of its steps
    steps[rows[~several]] = 0
    told: Whole = (np.minimum.reduceat(steps, rows) != np.maximum.reduceat(steps, rows)).astype(np.int64)
    if not told.any() or len(taken.holes) * _HOLES_SHARE > len(steps):
        return told
    first_ns, span = source_ns[rows], source_ns[rows + counts - 1] - source_ns[rows]
    period = np.maximum(taken.period[run_of], 1)
    last = span // period
    regular = (told != EVEN) & (last < BITS_MAX) & (last * period == span)
    holes = taken.holes
    row_of = np.searchsorted(rows, holes, "right") - 1
    inner = regular[row_of] & (holes != rows[row_of])
    holes, row_of = holes[inner], row_of[inner]
    if not len(holes):
        return told
    missed = steps[holes] // period[row_of]
    place = (source_ns[holes] - first_ns[row_of]) // period[row_of]
    regular[row_of[missed * period[row_of] != steps[holes]]] = False
    group = starts_of(row_of)
    gone = np.add.reduceat((_ONE << place) - (_ONE << np.maximum(place - missed + 1, 0)), group)
    known = row_of[group]
    bits = (_ONE << last[known]) * 2 - 1 - gone
    told[known] = np.where(regular[known], bits, UNKNOWN)
    return told


@dataclass(frozen=True, slots=True)
class Presence:
    """Columns of some rows: when each begins, how long it is, its samples, and what is known of their moments."""

    first_ns: Whole
    span: Whole
    count: Whole
    uneven: Whole

    @property
    def period(self) -> Whole:
        """0 where there is none: of a single sample, or of a row that nobody knows more of."""
        between = np.where(self.uneven > UNKNOWN, _highest(self.uneven), self.count - 1)
        return np.where((self.uneven == UNKNOWN) | (self.count < 2), 0, self.span // np.maximum(between, 1))

    def bits(self, period: Whole) -> Whole:
        """The moments of each row as bits, by that period; 0 where they cannot be told so."""
        own = self.period
        step = np.where(own > 0, own // np.maximum(period, 1), 1)
        fits = (self.uneven != UNKNOWN) & (period > 0) & ((own == 0) | (step * period == own)) & (step > 0)
        fits &= self.span // np.maximum(period, 1) < BITS_MAX
        last = np.minimum(np.maximum(self.count - 1, 0), BITS_MAX - 1)
        known = np.where(self.uneven > UNKNOWN, self.uneven, (_ONE << last) * 2 - 1)
        if (spread := fits & (step > 1)).any():
            known[spread] = _apart(known[spread], step[spread])
        return np.where(fits, known, 0)


def together(one: Presence, two: Presence) -> tuple[Whole, NDArray[np.bool_]]:
    """The column `uneven` of pairs of rows as one row each; and where a moment may be in both."""
    earlier = one.first_ns <= two.first_ns
    low, high = np.minimum(one.first_ns, two.first_ns), np.maximum(one.first_ns, two.first_ns)
    end = np.maximum(one.first_ns + one.span, two.first_ns + two.span)
    apart = high > np.where(earlier, one.first_ns + one.span, two.first_ns + two.span)
    count, span = one.count + two.count, end - low
    period = _shared_period(one, two, np.where(count == 2, span, 0))
    shift = (high - low) // np.maximum(period, 1)
    fits = (period > 0) & (shift * np.maximum(period, 1) == high - low) & (span // np.maximum(period, 1) < BITS_MAX)
    place = np.where(fits, shift, 0)
    ours = one.bits(period) << np.where(earlier, 0, place)
    theirs = two.bits(period) << np.where(earlier, place, 0)
    fits &= (ours != 0) & (theirs != 0)
    union = ours | theirs
    told = np.where(fits, np.where(union & (union + 1) == 0, EVEN, union), UNKNOWN)
    # Long even rows have no bits: one after the other, a period apart, they are even again.
    row = (one.uneven == EVEN) & (two.uneven == EVEN) & apart & (period > 0) & (span == (count - 1) * period)
    told = np.where(row, EVEN, told)
    return told, ~apart & (~fits | (ours & theirs != 0))


def _shared_period(one: Presence, two: Presence, of_pair: Whole) -> Whole:
    """The smaller of both, where there are two."""
    ours, theirs = one.period, two.period
    both = np.where((ours > 0) & (theirs > 0), np.minimum(ours, theirs), np.maximum(ours, theirs))
    return np.where(of_pair > 0, of_pair, both)


def _highest(bits: Whole) -> Whole:
    """Place of the highest bit of positive numbers."""
    place = np.zeros(len(bits), np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        more = bits >> (place + step) > 0
        place += more * step
    return place


def _apart(bits: Whole, step: Whole) -> Whole:
    """Bit n moved to bit n × step."""
    moved = np.zeros_like(bits)
    for place in range(BITS_MAX):
        at = place * step
        moved |= np.where(at < BITS_MAX, (bits >> place & 1) << np.minimum(at, BITS_MAX - 1), 0)
    return moved
