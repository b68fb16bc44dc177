"""A frozen memtable becomes segments: one file an hour, or one file for all where it is spread over many hours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import Section, SegmentFile
from headrace.history.change import Changes
from headrace.history.columns import newest_of_equal, write_order
from headrace.history.memtable import Memtable
from headrace.history.moments import Stamps, moments_of
from headrace.history.reader import EARLIEST_NS, LATEST_NS
from headrace.history.segment import SegmentWriter
from headrace.model.batch import Batch, Handles, TimesNs
from headrace.model.time import HOUR_NS

_FILES_MAX = 4  # a back-fill of a year must not become 8,760 files


def flush(memtable: Memtable, changes: Changes, slice_samples: int, pause: Callable[[], None]) -> None:
    """Write and commit. `pause` is called between slices and may raise to give up."""
    hours = sorted(memtable.hours)
    by_hour = _by_hour(memtable, hours)
    files: list[SegmentFile] = []
    sections: list[Section] = []
    for first, number in [(hour, 1) for hour in hours] if len(hours) <= _FILES_MAX else [(hours[0], len(hours))]:

        def fill(writer: SegmentWriter, number: int = number) -> None:
            for hour, batches in itertools.islice(by_hour, number):
                moments = moments_of(batches)
                writer.begin(hour, memtable.generation, 0, moments)
                for batch, stamps in _sorted_slices(batches, moments, slice_samples):
                    writer.add(batch, stamps)
                    pause()
                writer.end()

        file, added = changes.write(first, fill)
        if file is not None:
            files.append(file)
            sections += added
    changes.apply(files, sections, flushed=memtable.generation)


def _sorted_slices(batches: list[Batch], moments: TimesNs, slice_samples: int) -> Iterator[tuple[Batch, Stamps | None]]:
    """By (point, time), one sample each. Places are looked up in write order, where equal times are neighbours."""
    for batch in batches:
        stamps = Stamps.of(batch, moments)
        order = write_order(batch.handles, batch.source_ns)
        handles = batch.handles if order is None else batch.handles[order]
        for start, end in slices(handles, slice_samples):
            chosen = slice(start, end) if order is None else order[start:end]
            part = batch.take(chosen)
            keep = newest_of_equal(part.handles, part.source_ns)
            places = None if stamps is None else stamps.take(chosen)
            if keep is not None:
                part, places = part.take(keep), None if places is None else places.take(keep)
            yield part, places


def _by_hour(memtable: Memtable, hours: list[int]) -> Iterator[tuple[int, list[Batch]]]:
    """Each hour's samples in write order, one batch a kind."""
    kinds = sorted(memtable.kinds())
    if len(hours) <= _FILES_MAX:
        for hour in hours:
            found = [list(memtable.select(kind, None, hour * HOUR_NS, (hour + 1) * HOUR_NS)) for kind in kinds]
            yield hour, [Batch.concat(parts) for parts in found if parts]
        return
    # Spread over many hours: sort by hour once, for looking through everything once an hour would take for ever.
    spread: list[tuple[Batch, NDArray[np.int64]]] = []
    for kind in kinds:
        batch = Batch.concat(list(memtable.select(kind, None, EARLIEST_NS, LATEST_NS)))
        hour_of = batch.source_ns // HOUR_NS
        order = np.argsort(hour_of, kind="stable")
        spread.append((batch.take(order), hour_of[order]))
    for hour in hours:
        spans = [(batch, *np.searchsorted(hour_of, [hour, hour + 1]).tolist()) for batch, hour_of in spread]
        yield hour, [batch.take(slice(start, end)) for batch, start, end in spans if end > start]


def slices(handles: Handles, samples: int) -> Iterator[tuple[int, int]]:
    """Spans of about `samples` that end where a point ends, so equal samples stay together."""
    ends: NDArray[np.int64] = np.append(np.flatnonzero(handles[1:] != handles[:-1]) + 1, len(handles))
    start = 0
    while start < len(handles):
        at = min(int(np.searchsorted(ends, start + samples)), len(ends) - 1)
        yield start, int(ends[at])
        start = int(ends[at])
