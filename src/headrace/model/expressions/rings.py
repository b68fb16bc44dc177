"""What many instances remember of their past, in columns: a ring for each, all of them in one piece of memory.

    instance 0  [ . . 7 8 9 ]        row number `seq` of an instance stands at offset + (seq & (capacity - 1));
    instance 1  [ 4 5 ]              rows lo ≤ seq < hi are kept, oldest first, times ascending
    instance 2  [ 96 97 … 159 ]      a ring that is full moves to one of twice the size; now and then all are packed

Nothing here loops over samples or instances in Python, but `find` over instances where each asks much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headrace.model.batch import TEXT_DTYPE
from headrace.model.expressions.columns import Ints, Times, starts_of

_SMALLEST: Final = 4
_MANY: Final = 16
"""Questions for each instance from which on a look at all its rows at once is the faster way."""


class Rings:
    """`columns` has `t`, the time; the others are the caller's. Belongs to one caller at a time.

    A row is one record, so that looking at all of it touches one place in memory; texts are kept beside.
    """

    def __init__(self, instances: int, columns: Mapping[str, DTypeLike], kept_max: int) -> None:
        dtypes = {name: np.dtype(dtype) for name, dtype in columns.items()}
        self._texts = [name for name, dtype in dtypes.items() if dtype.kind == "T"]
        self._record = np.dtype([(n, d) for n, d in dtypes.items() if n not in self._texts], align=True)
        self._kept_max = kept_max
        self.lo = np.zeros(instances, np.int64)
        self.hi = np.zeros(instances, np.int64)
        self._capacity = np.zeros(instances, np.int64)
        self._offset = np.zeros(instances, np.int64)
        self._used = 0
        self._records, self._text = self._pool(1)  # one place that is nobody's, for those who look where nothing is

    def __len__(self) -> int:
        return int((self.hi - self.lo).sum())

    def at(self, instance: Ints, seq: Times) -> Ints:
        """Places of rows. Shape: (rows,). Rows that are not kept give a place of somebody else's."""
        place: Ints = (self._offset[instance] + (seq & (self._capacity[instance] - 1))).astype(np.intp, copy=False)
        return place

    def records(self, place: Ints) -> NDArray[Any]:
        """Copies of rows, a field a column; texts are not in them."""
        return self._records.take(place)

    def values(self, name: str, place: Ints) -> NDArray[Any]:
        """One column of rows."""
        return self._text[name][place] if name in self._text else self._records[name][place]

    def write(self, place: Ints, name: str, values: NDArray[Any]) -> None:
        self._records[name][place] = values

    def append(self, instance: Ints, columns: Mapping[str, NDArray[Any]]) -> Times:
        """Rows at the end, sorted by instance and time. Returns their seq. Columns that are not given are 0."""
        if not len(instance):
            return np.empty(0, np.int64)
        first = np.flatnonzero(starts_of(instance))
        counts = np.diff(np.append(first, len(instance)))
        whose = instance[first]
        self._make_room(whose, self.hi[whose] - self.lo[whose] + counts)
        seq = self.hi[instance]
        if len(first) < len(instance):
            seq = seq + (np.arange(len(instance)) - np.repeat(first, counts))
        place = self.at(instance, seq)
        record = np.zeros(len(instance), self._record)
        for name, values in columns.items():
            if name in self._text:
                self._text[name][place] = values
            else:
                record[name] = values
        _put(self._records, place, record)
        self.hi[whose] += counts
        return seq

    def find(self, instance: Ints, time_ns: Times) -> Times:
        """Seq of each instance's last row that is not after that time; lo − 1 where there is none. Sorted questions."""
        if not len(instance):
            return np.empty(0, np.int64)
        first = np.flatnonzero(starts_of(instance))
        if len(instance) >= _MANY * len(first):
            return self._find_in_whole(instance, time_ns, first)
        times = self._records["t"]
        below = self.lo[instance] - 1
        above = self.hi[instance]
        step = np.int64(1)
        open_ = np.arange(len(instance))
        while len(open_):  # wider and wider steps: mostly the answer is the oldest row, or the next
            probe = below[open_] + step
            inside = probe < above[open_]
            open_, probe = open_[inside], probe[inside]
            early = times[self.at(instance[open_], probe)] <= time_ns[open_] if len(open_) else inside[:0]
            above[open_[~early]] = probe[~early]
            open_ = open_[early]
            below[open_] = probe[early]
            step *= 2
        open_ = np.flatnonzero(above - below > 1)
        while len(open_):
            probe = (below[open_] + above[open_]) // 2
            early = times[self.at(instance[open_], probe)] <= time_ns[open_]
            below[open_[early]] = probe[early]
            above[open_[~early]] = probe[~early]
            open_ = open_[above[open_] - below[open_] > 1]
        return below

    def forget(self, instance: Ints, lo: Times) -> int:
        """Rows before `lo` are no longer needed. Each instance once. How many more had to go to keep the bound."""
        lo = np.maximum(self.lo[instance], lo)
        bound = np.maximum(lo, self.hi[instance] - self._kept_max)
        self.lo[instance] = bound
        return int((bound - lo).sum())

    def rows(self, instance: Ints, lo: Times, hi: Times) -> tuple[Ints, Times]:
        """(instance, seq) of the rows lo ≤ seq < hi of each instance. Shape: (rows,) each."""
        counts = np.maximum(hi - lo, 0)
        whose = np.repeat(instance, counts)
        rank = np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)
        return whose, np.repeat(lo, counts) + rank

    def state(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes, with nothing in it that is no longer needed."""
        whose, seq = self.rows(np.arange(len(self.lo)), self.lo, self.hi)
        place = self.at(whose, seq)
        records = self.records(place)
        columns = {name: np.ascontiguousarray(records[name]) for name in self._record.names or ()}
        columns |= {name: column[place] for name, column in self._text.items()}
        return {"lo": self.lo.copy(), "hi": self.hi.copy(), **columns}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Into rings that are empty; instances beyond those of the state stay so."""
        known = np.arange(len(state["lo"]))
        self.lo[known] = self.hi[known] = state["lo"]
        whose, _ = self.rows(known, state["lo"], state["hi"])
        self.append(whose, {name: column for name, column in state.items() if name not in ("lo", "hi")})

    def _find_in_whole(self, instance: Ints, time_ns: Times, first: Ints) -> Times:
        found = np.empty(len(instance), np.int64)
        ends = np.append(first[1:], len(instance))
        for start, end in zip(first.tolist(), ends.tolist(), strict=True):
            one = instance[start]
            lo, hi = int(self.lo[one]), int(self.hi[one])
            seq = np.arange(lo, hi)
            times = self._records["t"][self._offset[one] + (seq & (self._capacity[one] - 1))]
            found[start:end] = np.searchsorted(times, time_ns[start:end], side="right") + (lo - 1)
        return found

    def _make_room(self, whose: Ints, needed: Times) -> None:
        short = needed > self._capacity[whose]
        if not short.any():
            return
        whose, needed = whose[short], np.maximum(needed[short], _SMALLEST)
        wanted = np.int64(1) << np.ceil(np.log2(needed)).astype(np.int64)
        wanted[wanted < needed] *= 2
        if self._used + int(wanted.sum()) > len(self._records):
            capacity = self._capacity.copy()
            capacity[whose] = wanted
            self._pack(capacity)
        else:
            self._move(whose, wanted, self._used + np.cumsum(wanted) - wanted)
            self._used += int(wanted.sum())

    def _pack(self, capacity: Times) -> None:
        """All rings anew, with a quarter of the room free for those that will grow."""
        instances = np.flatnonzero(capacity > 0)
        whose, seq = self.rows(instances, self.lo[instances], self.hi[instances])
        source = self.at(whose, seq)
        self._capacity = capacity
        self._offset = np.cumsum(capacity) - capacity
        self._used = int(capacity.sum())
        target = self.at(whose, seq)
        records, text = self._pool(self._used + self._used // 4)
        _put(records, target, self.records(source))
        for name, column in text.items():
            column[target] = self._text[name][source]
        self._records, self._text = records, text

    def _move(self, whose: Ints, capacity: Times, offset: Times) -> None:
        moved, seq = self.rows(whose, self.lo[whose], self.hi[whose])
        source = self.at(moved, seq)
        self._capacity[whose], self._offset[whose] = capacity, offset
        target = self.at(moved, seq)
        _put(self._records, target, self.records(source))
        for column in self._text.values():
            column[target] = column[source]

    def _pool(self, rows: int) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        return np.zeros(rows, self._record), {name: np.zeros(rows, TEXT_DTYPE) for name in self._texts}


def _put(records: NDArray[Any], place: Ints, values: NDArray[Any]) -> None:
    """`records[place] = values`, five times as fast: whole words instead of fields."""
    words = records.dtype.itemsize // 8
    records.view(np.int64).reshape(-1, words)[place] = values.view(np.int64).reshape(-1, words)
