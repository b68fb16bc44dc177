"""From write order to order by (point, time), slice by slice, without ever copying everything at once.

    parts, in write order ─► each ordered by point ─┬─► slice of points: a span of each part ─► by (point, time)
                                                    └─► next slice …

A part and a slice fit the processor's cache, which the whole would not: moving each sample twice within the cache costs
half of moving it once across memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from headrace.history.columns import newest_of_equal, point_order, write_order
from headrace.history.moments import Selection, Stamps
from headrace.model.batch import Batch, Handles, TimesNs


def sorted_slices(
    parts: Sequence[Batch], moments: TimesNs, slice_samples: int
) -> Iterator[tuple[Batch, Stamps | None]]:
    """Samples of one kind, about `slice_samples` at a time, one each: of equal (point, time) the last written.

    A point is in one slice only. With them their places in `moments`.
    """
    ordered = [_Part(part, moments) for part in parts]
    for begin, end in _spans([part.handles for part in ordered], slice_samples):
        found = [part.span(begin, end) for part in ordered]
        filled = [each for each in found if len(each[0])]
        batch = Batch.concat([each for each, _ in filled])
        stamps = Stamps.concat([each for _, each in filled if each is not None])
        order = write_order(batch.handles, batch.source_ns)
        if order is not None:
            batch, stamps = _take(batch, batch.handles[order], order), None if stamps is None else stamps.take(order)
        keep = newest_of_equal(batch.handles, batch.source_ns)
        if keep is not None:
            batch, stamps = batch.take(keep), None if stamps is None else stamps.take(keep)
        yield batch, stamps


class _Part:
    """Places in the table of moments are looked up in write order, in which equal times are neighbours."""

    def __init__(self, batch: Batch, moments: TimesNs) -> None:
        self._batch, self._stamps = batch, Stamps.of(batch, moments)
        order = point_order(batch.handles)
        self._order = None if order is None else order.astype(np.uint32)
        self.handles: Handles = batch.handles if order is None else batch.handles[order]

    def span(self, begin: int, end: int) -> tuple[Batch, Stamps | None]:
        """Samples of points from `begin` up to `end`, in write order within a point."""
        low, high = np.searchsorted(self.handles, [begin, end]).tolist()
        chosen: Selection = slice(low, high) if self._order is None else self._order[low:high].astype(np.int64)
        batch = _take(self._batch, self.handles[low:high], chosen)
        return batch, None if self._stamps is None else self._stamps.take(chosen)


def _take(batch: Batch, handles: Handles, chosen: Selection) -> Batch:
    """The chosen samples, whose `handles` are known; quality that is everywhere the same needs no gathering."""
    quality = batch.quality
    if len(quality) and bool((quality == quality[0]).all()):
        quality = np.broadcast_to(quality[0], len(handles))
    else:
        quality = quality[chosen]
    return Batch(batch.kind, handles, batch.source_ns[chosen], batch.received_ns[chosen], batch.values[chosen], quality)


def _spans(columns: Sequence[Handles], samples: int) -> Iterator[tuple[int, int]]:
    """Ranges of point numbers that hold about so many samples together."""
    first = min(int(column[0]) for column in columns)
    size = max(int(column[-1]) for column in columns) - first + 1
    counts = np.zeros(size, np.int64)
    for column in columns:
        counts += np.bincount(column - first, minlength=size)
    before = (np.cumsum(counts) - counts) // samples
    edges = np.flatnonzero(before[1:] != before[:-1]) + 1
    begin = 0
    for end in [*edges.tolist(), size]:
        if counts[begin:end].any():
            yield first + begin, first + end
            begin = end
