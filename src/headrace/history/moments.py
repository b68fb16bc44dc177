"""Moments that many samples share, kept once for an hour: when a poll was answered, when a batch came in.

A poll of sixty registers has one receive time with nanoseconds of jitter. Told sample by sample it costs three bytes
each; told as a place in the table of such moments it steps by the same number every time, which costs nothing.

    table     3 000 000 017   4 000 000 005   4 999 999 940   6 000 000 112 …        sorted, each once
    point     received at place 0, 1, 2, 3 …            late sample: received many places after it was measured

`rank` is the place of a time in the table, `lag` how many places after its source time a sample was received.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, TimesNs

Ranks = NDArray[np.int64]
Places = NDArray[np.int32]
_SHARED_BY: Final = 3  # a moment of fewer samples in a row is not worth a place
_PIECE: Final = 1 << 17
_ROUND_NS: Final = 1_000_000  # source times on whole milliseconds are told well by their steps

NONE: Final = np.empty(0, np.int64)


def moments_of(batches: Iterable[Batch]) -> TimesNs:
    """The table of samples in write order, in which those of one poll are neighbours. Shape: (moments,)."""
    found: list[TimesNs] = [NONE]
    for batch in batches:
        received = _shared(batch.received_ns)
        found.append(received)
        if batch.received_ns is not batch.source_ns:
            source = _shared(batch.source_ns)
            found.append(source[source % _ROUND_NS != 0])
    return np.unique(np.concatenate(found))


def _shared(column: TimesNs) -> TimesNs:
    starts, lengths = _runs(column)
    return column[starts[lengths >= _SHARED_BY]]


def ranks(column: TimesNs, table: TimesNs) -> tuple[Ranks, NDArray[np.bool_]]:
    """The place of the first moment at or after each time, and whether it is that very moment. Shape: (count,) each."""
    starts, lengths = _runs(column)
    few = 4 * len(starts) <= len(column)
    times = column[starts] if few else column
    places = np.searchsorted(table, times)
    exact = table[np.minimum(places, len(table) - 1)] == times
    return (np.repeat(places, lengths), np.repeat(exact, lengths)) if few else (places, exact)


class Stamps:
    """Source and received times of some samples as places in a table. All columns have the shape (samples,).

    `told` says where both the received time has a place, `sourced` where the source time has; elsewhere the places mean
    nothing and the times have to be told as they are.
    """

    def __init__(self, rank: Places, sourced: NDArray[np.bool_], lag: Places, told: NDArray[np.bool_]) -> None:
        self.rank, self.sourced, self.lag, self.told = rank, sourced, lag, told

    @classmethod
    def of(cls, batch: Batch, table: TimesNs) -> Stamps | None:
        """None where the table is empty."""
        if not len(table):
            return None
        count = len(batch)
        stamps = cls(
            np.empty(count, np.int32), np.empty(count, np.bool_), np.empty(count, np.int32), np.empty(count, np.bool_)
        )
        for start in range(
            0, count, _PIECE
        ):  # in pieces, for NumPy repeats a whole column without letting go of the GIL
            piece = slice(start, start + _PIECE)
            stamps.rank[piece], stamps.sourced[piece] = ranks(batch.source_ns[piece], table)
            places, stamps.told[piece] = ranks(batch.received_ns[piece], table)
            stamps.lag[piece] = places - stamps.rank[piece]
        return stamps

    @classmethod
    def concat(cls, parts: Sequence[Stamps]) -> Stamps | None:
        """In order; None of none."""
        if not parts:
            return None
        columns = ("rank", "sourced", "lag", "told")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))

    def take(self, selection: NDArray[np.integer[Any]] | NDArray[np.bool_] | slice) -> Stamps:
        return Stamps(self.rank[selection], self.sourced[selection], self.lag[selection], self.told[selection])


def _runs(column: TimesNs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of equal times begin, and how long they are."""
    starts = np.concatenate([[0], np.flatnonzero(column[1:] != column[:-1]) + 1])[: len(column)]
    return starts, np.diff(np.append(starts, len(column)))
