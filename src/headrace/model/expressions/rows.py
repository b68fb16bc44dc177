"""The moments at which an expression is worked out, and which of them belong to which of its points.

samples of a, b, …  ──sorted, late ones out──►  rows: one an (instance, source time)   ──►  newest value of each
                                                `own`: rows at which a part's points have a sample
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.expressions.columns import Bools, Ints, Times, starts_of


@dataclass(slots=True)
class Own:
    """The rows of a part of an expression among all rows. None in `at`: all are its own.

    `last` is, for each row, the place among the own rows of the newest of its instance; −1 where there is none yet.
    """

    instance: Ints
    time_ns: Times
    at: Ints | None
    last: Ints
    starts: Bools

    def of(self, column: NDArray[Any]) -> NDArray[Any]:
        """Of a column over all rows, or a constant, the own ones."""
        if column.ndim == 0:
            return np.broadcast_to(column, (len(self.instance),))
        return column if self.at is None else column[self.at]


@dataclass(slots=True)
class Rows:
    """Sorted by instance and time, each pair once. `has` says by name at which rows a point has a sample."""

    instance: Ints
    time_ns: Times
    starts: Bools
    has: dict[str, Bools | None] = field(default_factory=dict)
    _own: dict[frozenset[str], Own] = field(default_factory=dict)
    _lasts: Ints | None = None
    _firsts: Ints | None = None

    def __len__(self) -> int:
        return len(self.instance)

    def lasts(self) -> Ints:
        """The last row of each instance."""
        if self._lasts is None:
            self._lasts = lasts_of(self.starts)
        return self._lasts

    def own(self, names: frozenset[str]) -> Own:
        """Rows at which one of these points has a sample."""
        known = self._own.get(names)
        if known is None:
            known = self._own[names] = self._make_own(names)
        return known

    def _make_own(self, names: frozenset[str]) -> Own:
        flags = np.zeros(len(self), np.bool_)
        for name in names:
            has = self.has[name]
            if has is None:
                return Own(self.instance, self.time_ns, None, np.arange(len(self)), self.starts)
            flags |= has
        at = np.flatnonzero(flags)
        if len(at) == len(self):
            return Own(self.instance, self.time_ns, None, np.arange(len(self)), self.starts)
        instance = self.instance[at]
        return Own(instance, self.time_ns[at], at, self.last(flags), starts_of(instance))

    def last(self, flags: Bools) -> Ints:
        """`last_of` these rows."""
        if self._firsts is None:
            self._firsts = firsts_of(self.starts)
        return last_of(flags, self._firsts)


def lasts_of(starts: Bools) -> Ints:
    """The last row of each run."""
    return np.flatnonzero(np.append(starts[1:], True)) if len(starts) else np.empty(0, np.intp)


def firsts_of(starts: Bools) -> Ints:
    """For each row the first of its run."""
    return np.flatnonzero(starts)[np.cumsum(starts) - 1] if len(starts) else np.empty(0, np.intp)


def last_of(flags: Bools, firsts: Ints) -> Ints:
    """For each row the number of the newest flagged row of its run, counted over all flagged; −1 where none."""
    count = np.cumsum(flags) - 1
    before = (count - flags)[firsts]  # the newest of the runs before
    last: Ints = np.where(count > before, count, -1)
    return last


def picked(last: Ints, taken: NDArray[Any], kept: NDArray[Any], instance: Ints) -> NDArray[Any]:
    """What `last` says of the own rows just taken, else what is kept of the instance."""
    if not len(taken):
        return kept[instance]
    known = last >= 0
    if known.all():
        return taken[last]
    return np.where(known, taken[last], kept[instance])
