"""A frozen memtable becomes segments: one file an (hour, class), or one a class where it is spread over many hours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import Section, SegmentFile
from headrace.history.change import Changes
from headrace.history.classes import Members
from headrace.history.memtable import Memtable
from headrace.history.moments import Stamps, Timed, moments_of
from headrace.history.segment import SegmentWriter
from headrace.history.sorting import Joined, Workspace, sorted_slices
from headrace.model.batch import Batch
from headrace.model.time import HOUR_NS, SECOND_NS

_FILES_MAX = 4  # a back-fill of a year must not become 8,760 files


_LATE_NS: Final = 2 * SECOND_NS  # older than what came before it


_FIRST: Final = 64  # samples


class _Part(NamedTuple):
    """Samples of one kind in write order, and which of them are not of the hour at hand (None: all are)."""

    batches: list[Batch]
    outside: NDArray[np.bool_] | None


ByHour = Iterator[tuple[int, list[_Part]]]


class Flusher:
    """`pause` is called between slices and may raise to give up."""

    def __init__(self, changes: Changes, slice_samples: int, pause: Callable[[], None]) -> None:
        self._changes, self._slice_samples, self._pause = changes, slice_samples, pause
        self._workspace = Workspace()

    def flush(self, memtable: Memtable, members: Members) -> None:
        """Write and commit."""
        files: list[SegmentFile] = []
        sections: list[Section] = []
        kinds = [memtable.parts(kind) for kind in sorted(memtable.kinds())]
        hours = sorted(memtable.hours)
        groups = [(hour, 1) for hour in hours] if len(hours) <= _FILES_MAX else [(hours[0], len(hours))]
        for retention in _classes_of(kinds, members):
            chosen = kinds if retention is None else _of_class(kinds, members, retention)
            by_hour = _by_hour(chosen, hours)
            for first, number in groups:

                def fill(
                    writer: SegmentWriter, number: int = number, by_hour: ByHour = by_hour, to: int = retention or 0
                ) -> None:
                    for hour, parts in itertools.islice(by_hour, number):
                        self._write(writer, hour, memtable.generation, to, parts)

                file, added = self._changes.write(first, fill)
                if file is not None:
                    files.append(file)
                    sections += added
        self._changes.apply(files, sections, flushed=memtable.generation)

    def _write(self, writer: SegmentWriter, hour: int, generation: int, retention: int, parts: list[_Part]) -> None:
        """One section."""
        timed = [Timed(part.batches) for part in parts]
        moments = moments_of(timed)
        writer.begin(hour, generation, 0, moments, retention)
        for part, times in zip(parts, timed, strict=True):
            samples, edge_ns = Joined(part.batches, self._workspace), _edge_ns(part.batches[0])
            for batch, stamps in sorted_slices(samples, part.outside, Stamps.of(times, moments), self._slice_samples):
                writer.add(batch, stamps, edge_ns=edge_ns)
                self._pause()
        writer.end()


def _edge_ns(first: Batch) -> int:
    """Where a memtable begins. What is of an earlier time came late; in chunks of its own it does not widen those of
    samples on time, which then can be merged as they are. Some of the first samples may be late themselves."""
    early = first.source_ns[:_FIRST]
    return int(early[early >= np.maximum.accumulate(early) - _LATE_NS].min())


def _classes_of(kinds: Sequence[list[Batch]], members: Members) -> list[int] | list[None]:
    """Numbers of the classes that have samples here; a lone None where all points are of the default."""
    if not members.several:
        return [None]
    found: set[int] = set()
    for batch in itertools.chain.from_iterable(kinds):
        found.update(np.unique(members.of(batch.handles)).tolist())
    return sorted(found)


def _of_class(kinds: Sequence[list[Batch]], members: Members, number: int) -> list[list[Batch]]:
    found = [_chosen(batches, [members.of(batch.handles) == number for batch in batches]) for batches in kinds]
    return [batches for batches in found if batches]


def _chosen(batches: list[Batch], masks: list[NDArray[np.bool_]]) -> list[Batch]:
    picked = zip(batches, masks, strict=True)
    return [batch if mask.all() else batch.take(mask) for batch, mask in picked if mask.any()]


def _by_hour(kinds: Sequence[list[Batch]], hours: list[int]) -> ByHour:
    """Each hour's samples kind by kind."""
    if len(hours) == 1:
        yield hours[0], [_Part(batches, None) for batches in kinds]
        return
    if len(hours) <= _FILES_MAX:
        for hour in hours:
            found = [_of_hour(batches, hour) for batches in kinds]
            yield hour, [part for part in found if part is not None]
        return
    # Spread over many hours: sort by hour once, for looking through everything once an hour would take for ever.
    spread: list[tuple[Batch, NDArray[np.int64]]] = []
    for batch in map(Batch.concat, kinds):
        hour_of = batch.source_ns // HOUR_NS
        order = np.argsort(hour_of, kind="stable")
        spread.append((batch.take(order), hour_of[order]))
    for hour in hours:
        spans = [(batch, *np.searchsorted(hour_of, [hour, hour + 1]).tolist()) for batch, hour_of in spread]
        yield hour, [_Part([batch.take(slice(start, end))], None) for batch, start, end in spans if end > start]


def _of_hour(batches: list[Batch], hour: int) -> _Part | None:
    """Where most are of the hour they are left in their place: to copy them costs more than to step over the others."""
    low, high = hour * HOUR_NS, (hour + 1) * HOUR_NS
    inside = [(batch.source_ns >= low) & (batch.source_ns < high) for batch in batches]
    count, total = sum(map(np.count_nonzero, inside)), sum(map(len, batches))
    if count == 0:
        return None
    if count == total:
        return _Part(batches, None)
    if 2 * count > total:
        return _Part(batches, ~np.concatenate(inside))
    return _Part(_chosen(batches, inside), None)
