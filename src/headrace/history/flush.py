"""A frozen memtable becomes segments: one file an (hour, class), or one a class where it is spread over many hours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import Section, SegmentFile
from headrace.history.change import Changes
from headrace.history.classes import Members
from headrace.history.memtable import Memtable
from headrace.history.moments import moments_of
from headrace.history.reader import EARLIEST_NS, LATEST_NS
from headrace.history.segment import SegmentWriter
from headrace.history.sorting import sorted_slices
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS

ByHour = Iterator[tuple[int, list[list[Batch]]]]
Chosen = Callable[[Batch], NDArray[np.bool_]]
"""Which samples of a batch are of a class."""

_FILES_MAX = 4  # a back-fill of a year must not become 8,760 files


def flush(
    memtable: Memtable, members: Members, changes: Changes, slice_samples: int, pause: Callable[[], None]
) -> None:
    """Write and commit. `pause` is called between slices and may raise to give up."""
    files: list[SegmentFile] = []
    sections: list[Section] = []
    for retention in _classes_of(memtable, members):
        chosen = None if retention is None else (lambda batch, number=retention: members.of(batch.handles) == number)
        hours = sorted(memtable.hours)
        by_hour = _by_hour(memtable, hours, chosen)
        groups = [(hour, 1) for hour in hours] if len(hours) <= _FILES_MAX else [(hours[0], len(hours))]
        for first, number in groups:

            def fill(
                writer: SegmentWriter, number: int = number, by_hour: ByHour = by_hour, to: int = retention or 0
            ) -> None:
                for hour, kinds in itertools.islice(by_hour, number):
                    moments = moments_of(itertools.chain.from_iterable(kinds))
                    writer.begin(hour, memtable.generation, 0, moments, to)
                    for parts in kinds:
                        for batch, stamps in sorted_slices(parts, moments, slice_samples):
                            writer.add(batch, stamps)
                            pause()
                    writer.end()

            file, added = changes.write(first, fill)
            if file is not None:
                files.append(file)
                sections += added
    changes.apply(files, sections, flushed=memtable.generation)


def _classes_of(memtable: Memtable, members: Members) -> list[int] | list[None]:
    """Numbers of the classes that have samples here; a lone None where all points are of the default."""
    if not members.several:
        return [None]
    found: set[int] = set()
    for kind in memtable.kinds():
        for batch in memtable.select(kind, None, EARLIEST_NS, LATEST_NS):
            found.update(np.unique(members.of(batch.handles)).tolist())
    return sorted(found)


def _by_hour(memtable: Memtable, hours: list[int], chosen: Chosen | None) -> ByHour:
    """Each hour's samples kind by kind, in write order."""
    kinds = sorted(memtable.kinds())
    if len(hours) <= _FILES_MAX:
        for hour in hours:
            found = [_select(memtable, kind, chosen, hour * HOUR_NS, (hour + 1) * HOUR_NS) for kind in kinds]
            yield hour, [parts for parts in found if parts]
        return
    # Spread over many hours: sort by hour once, for looking through everything once an hour would take for ever.
    spread: list[tuple[Batch, NDArray[np.int64]]] = []
    for kind in kinds:
        if parts := _select(memtable, kind, chosen, EARLIEST_NS, LATEST_NS):
            batch = Batch.concat(parts)
            hour_of = batch.source_ns // HOUR_NS
            order = np.argsort(hour_of, kind="stable")
            spread.append((batch.take(order), hour_of[order]))
    for hour in hours:
        spans = [(batch, *np.searchsorted(hour_of, [hour, hour + 1]).tolist()) for batch, hour_of in spread]
        yield hour, [[batch.take(slice(start, end))] for batch, start, end in spans if end > start]


def _select(memtable: Memtable, kind: ValueKind, chosen: Chosen | None, start_ns: int, end_ns: int) -> list[Batch]:
    """Block by block, so that samples of one class are copied once."""
    found = memtable.select(kind, None, start_ns, end_ns)
    if chosen is None:
        return list(found)
    picked = ((batch, chosen(batch)) for batch in found)
    return [batch if mask.all() else batch.take(mask) for batch, mask in picked if mask.any()]
