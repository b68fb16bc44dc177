"""Moments that many samples share, kept once for an hour: when a poll was answered, when a batch came in.

A poll of sixty registers has one receive time with nanoseconds of jitter. Told sample by sample it costs three bytes
each; told as a place in the table of such moments it steps by the same number every time, which costs nothing.

    table     3 000 000 017   4 000 000 005   4 999 999 940   6 000 000 112 …        sorted, each once
    point     received at place 0, 1, 2, 3 …            late sample: received many places after it was measured

`rank` is the place of a time in the table, `lag` how many places after its source time a sample was received.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, TimesNs

Places = NDArray[np.int32]
_SHARED_BY: Final = 3  # a moment of fewer samples in a row is not worth a place
_PIECE: Final = 1 << 17
_ROUND_NS: Final = 1_000_000  # source times on whole milliseconds are told well by their steps

NONE: Final = np.empty(0, np.int64)


class Runs(NamedTuple):
    """A column as runs of equal times. Shape: (runs,) each."""

    times: TimesNs
    lengths: NDArray[np.int64]


class Timed:
    """Samples in write order, in which those of one poll are neighbours, and the runs of their times."""

    def __init__(self, parts: Sequence[Batch]) -> None:
        self.count = sum(map(len, parts))
        self.received = _joined([_runs(part.received_ns) for part in parts])
        if all(part.received_ns is part.source_ns for part in parts):
            self.source = self.received
        else:
            self.source = _joined([_runs(part.source_ns) for part in parts])


def moments_of(samples: Iterable[Timed]) -> TimesNs:
    """The table of moments that enough of them share. Shape: (moments,)."""
    found: list[TimesNs] = [NONE]
    for timed in samples:
        found.append(_shared(timed.received))
        if timed.source is not timed.received:
            source = _shared(timed.source)
            found.append(source[source % _ROUND_NS != 0])
    return np.unique(np.concatenate(found))


def _shared(runs: Runs) -> TimesNs:
    return runs.times[runs.lengths >= _SHARED_BY]


def _ranks(runs: Runs, table: TimesNs) -> tuple[Places, NDArray[np.bool_]]:
    """The place of the first moment at or after each run's time, and whether it is that very moment."""
    places = np.searchsorted(table, runs.times)
    exact = table[np.minimum(places, len(table) - 1)] == runs.times
    return places.astype(np.int32), exact


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
    def of(cls, samples: Batch | Timed, table: TimesNs) -> Stamps | None:
        """None where the table is empty."""
        if not len(table):
            return None
        timed = Timed([samples]) if isinstance(samples, Batch) else samples
        arrived, told = _ranks(timed.received, table)
        begun, sourced = _ranks(timed.source, table)
        lag = np.empty(timed.count, np.int32)
        _spread(lag, arrived, timed.received.lengths)
        rank: Places | None = None
        if sourced.any():
            rank = np.empty(timed.count, np.int32)
            _spread(rank, begun, timed.source.lengths)
            lag -= rank
        else:
            _spread(lag, begun, timed.source.lengths, minus=True)
        return cls(
            lag,
            None if told.all() else np.repeat(told, timed.received.lengths),
            rank,
            None if rank is None else np.repeat(sourced, timed.source.lengths),
        )

    def take(self, selection: Selection) -> Stamps:
        return Stamps(
            self.lag[selection],
            None if self.told is None else self.told[selection],
            None if self.rank is None else self.rank[selection],
            None if self.sourced is None else self.sourced[selection],
        )


def _spread(column: Places, of_run: Places, lengths: NDArray[np.int64], *, minus: bool = False) -> None:
    """Fill a column, or take from it, with what each run has, piece by piece: what is at work stays in the cache, and
    NumPy repeats a whole column without letting go of the GIL."""
    ends = np.cumsum(lengths)
    edges = np.searchsorted(ends, np.arange(_PIECE, len(column) + _PIECE, _PIECE), "right").tolist()
    begin = 0
    for end in sorted({min(edge, len(lengths)) for edge in edges} | {len(lengths)}):
        if end > begin:
            to = slice(int(ends[begin - 1]) if begin else 0, int(ends[end - 1]))
            part = np.repeat(of_run[begin:end], lengths[begin:end])
            if minus:
                column[to] -= part
            else:
                column[to] = part
            begin = end


def _joined(parts: Sequence[Runs]) -> Runs:
    """A run that goes on from part to part is told as two, which does no harm."""
    if len(parts) == 1:
        return parts[0]
    return Runs(np.concatenate([part.times for part in parts]), np.concatenate([part.lengths for part in parts]))


def _runs(column: TimesNs) -> Runs:
    if column[0] == column[-1] and bool((column == column[0]).all()):
        return Runs(column[:1], np.array([len(column)]))
    starts = np.concatenate([[0], np.flatnonzero(column[1:] != column[:-1]) + 1])[: len(column)]
    return Runs(column[starts], np.diff(np.append(starts, len(column))))
