"""Facts of one kind at one unit, in order of time: columns with the identity of each row.

Rows of one time stand in order of identity, so where a fact came from decides, never when it arrived.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Values = NDArray[np.float64]
Ids = NDArray[np.uint64]

NEVER_NS: Final = -(1 << 62)
ALWAYS_NS: Final = 1 << 62


class Series:
    """Shape: (facts,) each. Grows by doubling; `time_ns` and `value` are views on what is used."""

    __slots__ = ("_columns", "_count")

    def __init__(self) -> None:
        self._count = 0
        self._columns = _room(16)

    def __len__(self) -> int:
        return self._count

    @property
    def time_ns(self) -> Times:
        return self._columns[0][: self._count]

    @property
    def value(self) -> Values:
        return self._columns[1][: self._count]

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self._columns)

    def insert(self, time_ns: Times, value: Values, high: Ids, low: Ids) -> None:
        """Rows in any order, each of an identity that is not here yet."""
        order = np.lexsort((low, high, time_ns))
        new = (time_ns[order], value[order], high[order], low[order])
        count, total = self._count, self._count + len(order)
        if total > len(self._columns[0]):
            grown = _room(2 * total)
            for old, column in zip(self._columns, grown, strict=True):
                column[:count] = old[:count]
            self._columns = grown
        first = int(np.searchsorted(self.time_ns, new[0][0], "left"))
        if first < count:  # only what is not older than the oldest new row has to be sorted anew
            joined = [
                np.concatenate([old[first:count], column]) for old, column in zip(self._columns, new, strict=True)
            ]
            order = np.lexsort((joined[3], joined[2], joined[0]))
            for kept, column in zip(self._columns, joined, strict=True):
                kept[first:total] = column[order]
        else:
            for kept, column in zip(self._columns, new, strict=True):
                kept[count:total] = column
        self._count = total

    def remove(self, time_ns: int, high: int, low: int) -> bool:
        """Whether a row of that identity was there, at that time."""
        at = int(np.searchsorted(self.time_ns, time_ns, "left"))
        while at < self._count and self._columns[0][at] == time_ns:
            if self._columns[2][at] == high and self._columns[3][at] == low:
                for column in self._columns:
                    column[at : self._count - 1] = column[at + 1 : self._count].copy()
                self._count -= 1
                return True
            at += 1
        return False

    def slice(self, start_ns: int, end_ns: int) -> tuple[Times, Values]:
        """Rows of [start, end)."""
        first, last = np.searchsorted(self.time_ns, (start_ns, end_ns))
        return self.time_ns[first:last], self.value[first:last]

    def before(self, time_ns: int) -> int:
        """The time of the last row before that time; NEVER_NS where there is none."""
        at = int(np.searchsorted(self.time_ns, time_ns, "left")) - 1
        return int(self.time_ns[at]) if at >= 0 else NEVER_NS

    def after(self, time_ns: int) -> int:
        """The time of the first row after that time; ALWAYS_NS where there is none."""
        at = int(np.searchsorted(self.time_ns, time_ns, "right"))
        return int(self.time_ns[at]) if at < self._count else ALWAYS_NS

    def at(self, times_ns: Times) -> Values:
        """What stood at each time: the last row that is not later; NaN before the first."""
        at = np.searchsorted(self.time_ns, times_ns, "right") - 1
        if not self._count:
            return np.full(len(times_ns), np.nan)
        return np.where(at >= 0, self.value[np.maximum(at, 0)], np.nan)


def _room(rows: int) -> tuple[Times, Values, Ids, Ids]:
    return (
        np.empty(rows, np.int64),
        np.empty(rows, np.float64),
        np.empty(rows, np.uint64),
        np.empty(rows, np.uint64),
    )
