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

    By point first, with NumPy's radix sort for 16-bit numbers; then only the points whose samples did not arrive in
    time order are sorted by time, for in a plant nearly all do.
    """
    if len(handles) < 2 or _in_order(handles, source_ns):
        return None
    order = _by_handle(handles - handles.min())
    by_handle, by_time = handles[order], source_ns[order]
    wrong = (by_handle[1:] == by_handle[:-1]) & (by_time[1:] < by_time[:-1])
    if wrong.any():
        mask = np.isin(by_handle, np.unique(by_handle[1:][wrong]))
        part = order[mask]
        order[mask] = part[_by_time(by_handle[mask], by_time[mask])]
    return order


def point_order(handles: Handles) -> Order | None:
    """The stable order by handle; None where they are in order already."""
    if len(handles) < 2 or bool((handles[1:] >= handles[:-1]).all()):
        return None
    return _by_handle(handles - handles.min())


def _by_handle(handles: Handles) -> Order:
    order = np.argsort(handles.astype(np.uint16), kind="stable")
    if int(handles.max()) > 0xFFFF:
        high = (handles >> np.uint32(16)).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    return order


def _by_time(handles: Handles, source_ns: TimesNs) -> Order:
    """NumPy sorts plain uint64 several times faster than it argsorts: pack point, time and position into one key.

    Where they do not fit, sort by two keys.
    """
    index_bits, handle_bits = len(handles).bit_length(), (int(handles.max()) - int(handles.min())).bit_length()
    low, span_ns = int(source_ns.min()), int(source_ns.max()) - int(source_ns.min())
    spare = 64 - handle_bits - index_bits
    for unit in (1, 1_000, 1_000_000):
        if spare < 0 or span_ns >= 1 << 63 or (span_ns // unit).bit_length() > spare:
            continue
        offset = (source_ns - low).view(np.uint64)
        if unit > 1:
            ticks = offset // np.uint64(unit)
            if not np.array_equal(ticks * np.uint64(unit), offset):
                break
            offset = ticks
        key = (handles - handles.min()).astype(np.uint64)
        key <<= np.uint64(spare if handle_bits else 0)
        key |= offset
        key <<= np.uint64(index_bits)
        key |= np.arange(len(key), dtype=np.uint64)
        key.sort()
        key &= np.uint64((1 << index_bits) - 1)
        packed: Order = key.view(np.int64)
        return packed
    order: Order = np.lexsort((source_ns, handles))
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
