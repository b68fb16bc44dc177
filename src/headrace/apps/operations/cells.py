"""The aggregate: two tables of small cells for each unit, sums alone, so that any span adds up.

    Times    hour, shift, job, element, cause   →  ns, runs begun, failures begun
    Counts   hour, shift, job, quantity         →  value

Rows are in the order of their keys. An hour is replaced as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Hours = NDArray[np.int64]


class Times(NamedTuple):
    """Shape: (cells,) each."""

    hour: Hours
    shift: NDArray[np.int32]
    job: NDArray[np.int32]
    element: NDArray[np.int8]
    cause: NDArray[np.int32]
    ns: NDArray[np.int64]
    runs: NDArray[np.int64]
    failures: NDArray[np.int64]


class Counts(NamedTuple):
    """Shape: (cells,) each."""

    hour: Hours
    shift: NDArray[np.int32]
    job: NDArray[np.int32]
    kind: NDArray[np.int8]
    value: NDArray[np.float64]


TIMES_KEYS: Final = 5
COUNTS_KEYS: Final = 4
_TIMES: Final = (np.int64, np.int32, np.int32, np.int8, np.int32, np.int64, np.int64, np.int64)
_COUNTS: Final = (np.int64, np.int32, np.int32, np.int8, np.float64)


def no_times() -> Times:
    columns: list[Any] = [np.empty(0, dtype) for dtype in _TIMES]
    return Times(*columns)


def no_counts() -> Counts:
    columns: list[Any] = [np.empty(0, dtype) for dtype in _COUNTS]
    return Counts(*columns)


def grouped(columns: Sequence[NDArray[Any]], keys: int) -> list[NDArray[Any]]:
    """Rows with equal keys (the first `keys` columns) added up, in order of keys; sums are in the order given."""
    if not len(columns[0]):
        return [*columns]
    order = np.lexsort(tuple(reversed(columns[:keys])))
    columns = [column[order] for column in columns]
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for key in columns[:keys]:
        new[1:] |= key[1:] != key[:-1]
    first = np.flatnonzero(new)
    return [*(key[first] for key in columns[:keys]), *(np.add.reduceat(sums, first) for sums in columns[keys:])]


class Table:
    """Columns that grow; the first is the hour. Give `like` an empty Times or Counts."""

    def __init__(self, like: Times | Counts) -> None:
        self._columns: list[NDArray[Any]] = [np.empty(64, column.dtype) for column in like]
        self._count = 0

    @property
    def columns(self) -> list[NDArray[Any]]:
        """Views on what is used."""
        return [column[: self._count] for column in self._columns]

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self._columns)

    def rows(self, first_hour: int, last_hour: int) -> slice:
        """Those of [first, last)."""
        first, last = np.searchsorted(self._columns[0][: self._count], (first_hour, last_hour))
        return slice(int(first), int(last))

    def hours(self, first_hour: int, last_hour: int) -> list[NDArray[Any]]:
        """Copies of the rows of [first, last)."""
        at = self.rows(first_hour, last_hour)
        return [column[at].copy() for column in self._columns]

    def replace(self, first_hour: int, last_hour: int, new: Sequence[NDArray[Any]]) -> None:
        """The rows of [first, last) give way to `new`."""
        at = self.rows(first_hour, last_hour)
        tail, added = self._count - at.stop, len(new[0])
        total = at.start + added + tail
        if total > len(self._columns[0]):
            self._columns = [np.concatenate([column, np.empty_like(column, shape=total)]) for column in self._columns]
        for column, rows in zip(self._columns, new, strict=True):
            if tail and added != at.stop - at.start:
                column[at.start + added : total] = column[at.stop : self._count].copy()
            column[at.start : at.start + added] = rows
        self._count = total
