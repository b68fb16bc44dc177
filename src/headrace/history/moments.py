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


Flags = NDArray[np.bool_]
Selection = NDArray[np.integer[Any]] | Flags | slice


class Stamps:
    """Source and received times of some samples as places in a table. All columns have the shape (samples,).

    `told` says where the received time has a place (None: everywhere), `sourced` where the source time has (None:
    nowhere, and then there is no `rank`). Elsewhere the places mean nothing and the times have to be told as they are.
    """

    def __init__(self, lag: Places, told: Flags | None, rank: Places | None, sourced: Flags | None) -> None:
        self.lag, self.told, self.rank, self.sourced = lag, told, rank, sourced

    @classmethod
    def of(cls, batch: Batch, table: TimesNs) -> Stamps | None:
        """None where the table is empty."""
        if not len(table):
            return None
        count = len(batch)
        rank, lag = np.empty(count, np.int32), np.empty(count, np.int32)
        sourced, told = np.empty(count, np.bool_), np.empty(count, np.bool_)
        for start in range(0, count, _PIECE):  # NumPy repeats a whole column without letting go of the GIL
            piece = slice(start, start + _PIECE)
            rank[piece], sourced[piece] = ranks(batch.source_ns[piece], table)
            places, told[piece] = ranks(batch.received_ns[piece], table)
            lag[piece] = places - rank[piece]
        some = bool(sourced.any())
        return cls(lag, None if told.all() else told, rank if some else None, sourced if some else None)

    @classmethod
    def concat(cls, parts: Sequence[Stamps]) -> Stamps | None:
        """In order; None of none."""
        if not parts:
            return None
        told = rank = sourced = None
        if any(part.told is not None for part in parts):
            told = np.concatenate([_flags(part.told, part.lag, True) for part in parts])
        if any(part.rank is not None for part in parts):
            rank = np.concatenate([part.lag if part.rank is None else part.rank for part in parts])
            sourced = np.concatenate([_flags(part.sourced, part.lag, False) for part in parts])
        return cls(np.concatenate([part.lag for part in parts]), told, rank, sourced)

    def take(self, selection: Selection) -> Stamps:
        return Stamps(
            self.lag[selection],
            None if self.told is None else self.told[selection],
            None if self.rank is None else self.rank[selection],
            None if self.sourced is None else self.sourced[selection],
        )


def _flags(flags: Flags | None, like: Places, default: bool) -> Flags:
    return np.full(len(like), default) if flags is None else flags


def _runs(column: TimesNs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of equal times begin, and how long they are."""
    starts = np.concatenate([[0], np.flatnonzero(column[1:] != column[:-1]) + 1])[: len(column)]
    return starts, np.diff(np.append(starts, len(column)))
