"""Order and uniqueness of samples, over whole columns at once.

Write order is arrival order, so a *stable* sort by (point, time) leaves equal samples oldest first, and the last of
them wins.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, Handles, TimesNs

Order = NDArray[np.int64]
_LATE_SHARE: Final = 8  # with more than an eighth late, everything is sorted anew


def write_order(handles: Handles, source_ns: TimesNs) -> Order | None:
    """The stable order by (handle, time); None where the columns are in order already.

    By point first, with NumPy's radix sort for 16-bit numbers. What is then out of its time is late, and in a plant few
    samples are: they alone are sorted, and put where they belong.
    """
    if len(handles) < 2 or _in_order(handles, source_ns):
        return None
    order = order_by_point(handles - handles.min())
    by_handle, by_time = handles[order], source_ns[order]
    key = _key(by_handle, by_time)
    if key is None:
        lexical: Order = order[np.lexsort((by_time, by_handle))]
        return lexical
    late = np.flatnonzero(key[1:] < np.maximum.accumulate(key)[:-1]) + 1
    if not len(late):
        return order
    if len(late) * _LATE_SHARE > len(order):
        resorted: Order = order[np.argsort(key, kind="stable")]
        return resorted
    on_time = np.ones(len(order), np.bool_)
    on_time[late] = False
    late = late[np.argsort(key[late], kind="stable")]
    # An equal sample on time was written before the late one, so the late one goes after it.
    places = np.searchsorted(key[on_time], key[late], "right") + np.arange(len(late))
    filled = np.zeros(len(order), np.bool_)
    filled[places] = True
    merged = np.empty_like(order)
    merged[places], merged[~filled] = order[late], order[on_time]
    return merged


def order_by_point(handles: Handles) -> Order:
    """The stable order of point numbers that begin near 0."""
    order = np.argsort(handles.astype(np.uint16), kind="stable")
    if int(handles.max()) > 0xFFFF:
        high = (handles >> np.uint32(16)).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    return order


def _key(handles: Handles, source_ns: TimesNs) -> NDArray[np.int64] | None:
    """Point and time in one number of the same order; None where they do not fit."""
    low, high = int(source_ns.min()), int(source_ns.max())
    first, last = int(handles[0]), int(handles[-1])  # in order of the point
    bits = (high - low).bit_length()
    if bits + (last - first).bit_length() > 63:
        return None
    key: NDArray[np.int64] = (handles - handles[0]).astype(np.int64)
    key <<= bits
    key |= source_ns - low
    return key


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
