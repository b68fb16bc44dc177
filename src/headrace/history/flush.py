"""A frozen memtable becomes segments: one file an hour, or one file for all where it is spread over many hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import Section, SegmentFile
from headrace.history.change import Changes
from headrace.history.columns import newest_of_equal, write_order
from headrace.history.memtable import Memtable
from headrace.history.segment import SegmentWriter
from headrace.model.batch import Batch, Handles
from headrace.model.time import HOUR_NS

_FILES_MAX = 4  # a back-fill of a year must not become 8,760 files


def flush(memtable: Memtable, changes: Changes, slice_samples: int, pause: Callable[[], None]) -> None:
    """Write and commit. `pause` is called between slices and may raise to give up."""
    hours = sorted(memtable.hours)
    groups = [[hour] for hour in hours] if len(hours) <= _FILES_MAX else [hours]
    files: list[SegmentFile] = []
    sections: list[Section] = []
    for group in groups:

        def fill(writer: SegmentWriter, group: list[int] = group) -> None:
            for hour in group:
                writer.begin(hour, memtable.generation, 0)
                for batch in _sorted_slices(memtable, hour, slice_samples):
                    writer.add(batch)
                    pause()
                writer.end()

        file, added = changes.write(group[0], fill)
        if file is not None:
            files.append(file)
            sections += added
    changes.apply(files, sections, flushed=memtable.generation)


def _sorted_slices(memtable: Memtable, hour: int, slice_samples: int) -> Iterator[Batch]:
    for kind in sorted(memtable.kinds()):
        parts = list(memtable.select(kind, None, hour * HOUR_NS, (hour + 1) * HOUR_NS))
        if not parts:
            continue
        batch = Batch.concat(parts)
        del parts
        order = write_order(batch.handles, batch.source_ns)
        handles = batch.handles if order is None else batch.handles[order]
        for start, end in slices(handles, slice_samples):
            part = batch.take(slice(start, end) if order is None else order[start:end])
            keep = newest_of_equal(part.handles, part.source_ns)
            yield part if keep is None else part.take(keep)


def slices(handles: Handles, samples: int) -> Iterator[tuple[int, int]]:
    """Spans of about `samples` that end where a point ends, so equal samples stay together."""
    ends: NDArray[np.int64] = np.append(np.flatnonzero(handles[1:] != handles[:-1]) + 1, len(handles))
    start = 0
    while start < len(handles):
        at = min(int(np.searchsorted(ends, start + samples)), len(ends) - 1)
        yield start, int(ends[at])
        start = int(ends[at])
