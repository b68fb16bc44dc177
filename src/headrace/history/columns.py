"""Order and uniqueness of samples, over whole columns at once.

Write order is arrival order, so a *stable* sort by (point, time) leaves equal samples oldest first, and the last of
them wins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, Handles, TimesNs

Order = NDArray[np.int64]


def write_order(handles: Handles, source_ns: TimesNs) -> Order | None:
    """The stable order by (handle, time); None where the columns are in order already.

    NumPy sorts plain uint64 several times faster than it argsorts, so point, time and position are packed into one
    such key where they fit.
    """
    count = len(handles)
    if count < 2 or _in_order(handles, source_ns):
        return None
    low_handle, low_time = int(handles.min()), int(source_ns.min())
    handle_bits = (int(handles.max()) - low_handle).bit_length()
    index_bits = count.bit_length()
    span_ns = int(source_ns.max()) - low_time
    spare = 64 - handle_bits - index_bits
    for unit in (1, 1_000, 1_000_000):
        if (span_ns // unit).bit_length() > spare:
            continue
        if span_ns >= 1 << 63:
            break
        offset = (source_ns - low_time).view(np.uint64)
        if unit > 1:
            ticks = offset // np.uint64(unit)
            if not np.array_equal(ticks * np.uint64(unit), offset):
                continue
            offset = ticks
        key = (handles - np.uint32(low_handle)).astype(np.uint64)
        key <<= np.uint64(64 - handle_bits - index_bits) if handle_bits else np.uint64(0)
        key |= offset
        return _positions(key, index_bits)
    key = (handles - np.uint32(low_handle)).astype(np.uint64)
    order = _positions(key, index_bits)
    return _mend_times(order, handles, source_ns)


def _positions(key: NDArray[np.uint64], index_bits: int) -> Order:
    key <<= np.uint64(index_bits)
    key |= np.arange(len(key), dtype=np.uint64)
    key.sort()
    key &= np.uint64((1 << index_bits) - 1)
    return key.view(np.int64)


def _mend_times(order: Order, handles: Handles, source_ns: TimesNs) -> Order:
    """`order` is by (handle, arrival): sort the points whose samples did not arrive in time order."""
    by_handle, by_time = handles[order], source_ns[order]
    wrong = (by_handle[1:] == by_handle[:-1]) & (by_time[1:] < by_time[:-1])
    if wrong.any():
        mask = np.isin(by_handle, np.unique(by_handle[1:][wrong]))
        part = order[mask]
        order[mask] = part[np.lexsort((source_ns[part], handles[part]))]
    return order


def _in_order(handles: Handles, source_ns: TimesNs) -> bool:
    same = handles[1:] == handles[:-1]
    later = source_ns[1:] >= source_ns[:-1]
    return bool(((handles[1:] > handles[:-1]) | (same & later)).all())


def newest_of_equal(handles: Handles, source_ns: TimesNs) -> NDArray[np.bool_] | None:
    """Of sorted columns, which samples stay; None where all do. Shape: (count,) bool."""
    repeated = (handles[1:] == handles[:-1]) & (source_ns[1:] == source_ns[:-1])
    if not repeated.any():
        return None
    keep = np.ones(len(handles), np.bool_)
    keep[:-1] = ~repeated
    return keep


def sort_unique(batch: Batch) -> Batch:
    """By (point, time), one sample each: the newest write."""
    order = write_order(batch.handles, batch.source_ns)
    if order is not None:
        batch = batch.take(order)
    keep = newest_of_equal(batch.handles, batch.source_ns)
    return batch if keep is None else batch.take(keep)


def starts_of(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """Where a run of equal elements begins, over all columns together. Shape: (runs,) int64."""
    change = np.zeros(len(columns[0]), np.bool_)
    change[:1] = True
    for column in columns:
        change[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(change)
