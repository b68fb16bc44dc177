"""Which facts are here already: 128 bits of identity to a row number, in sorted columns and no object a fact.

New identities form a small level; a level that is half as long as the one before is merged into it. So a look-up
asks a few sorted columns, and a fact is moved a few times in its life.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
Rows = NDArray[np.int64]

_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


class Identities:
    """Rows have the numbers 0, 1, 2 … in the order in which they were added."""

    def __init__(self) -> None:
        self._levels: list[tuple[Ids, Rows]] = []
        self._high: Ids = np.empty(64, np.uint64)
        self._low: Ids = np.empty(64, np.uint64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._high.nbytes + self._low.nbytes + sum(keys.nbytes + rows.nbytes for keys, rows in self._levels)

    def find(self, high: Ids, low: Ids) -> Rows:
        """The row of each identity, −1 where there is none. Shape: (asked,)."""
        found = np.full(len(high), -1, np.int64)
        asked = _key(high, low)
        for keys, rows in self._levels:
            at = np.searchsorted(keys, asked)
            open_ = np.flatnonzero((found < 0) & (at < len(keys)))
            while len(open_):
                open_ = open_[keys[at[open_]] == asked[open_]]
                row = rows[at[open_]]
                same = (self._high[row] == high[open_]) & (self._low[row] == low[open_])
                found[open_[same]] = row[same]
                open_ = open_[~same]
                at[open_] += 1
                open_ = open_[at[open_] < len(keys)]
        return found

    def add(self, high: Ids, low: Ids) -> Rows:
        """The numbers of new rows. Whoever adds has asked `find`, and asks for none twice. Shape: (added,)."""
        total = self._count + len(high)
        if total > len(self._high):
            self._high = np.concatenate([self._high, np.empty(total, np.uint64)])
            self._low = np.concatenate([self._low, np.empty(total, np.uint64)])
        rows = np.arange(self._count, total)
        self._high[self._count : total], self._low[self._count : total] = high, low
        self._count = total
        keys = _key(high, low)
        order = np.argsort(keys)
        self._levels.append((keys[order], rows[order]))
        while len(self._levels) > 1 and 2 * len(self._levels[-1][0]) >= len(self._levels[-2][0]):
            self._merge()
        return rows

    def _merge(self) -> None:
        (keys, rows), (more, other) = self._levels.pop(), self._levels.pop()
        joined = np.concatenate([more, keys])
        order = np.argsort(joined, kind="stable")
        self._levels.append((joined[order], np.concatenate([other, rows])[order]))


def identity_of(text: str) -> tuple[int, int]:
    """128 bits for the id of an event, such as a UUID: of BLAKE2b, so that any text will do."""
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")


def identities_of(source: str, sequence: NDArray[np.int64]) -> tuple[Ids, Ids]:
    """Identities of facts that a source has numbered. Shape: (facts,) each."""
    high, _ = identity_of(source)
    return np.full(len(sequence), high, np.uint64), sequence.astype(np.uint64)


def _key(high: Ids, low: Ids) -> Ids:
    mixed = (high ^ (low * _MIX)) * _MIX
    return mixed ^ (mixed >> np.uint64(32))
