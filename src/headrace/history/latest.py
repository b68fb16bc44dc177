"""The newest sample of every point, in arrays indexed by the point's number: a thousand of them is one gather."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, Handles, ValueKind

_NEVER: Final = np.iinfo(np.int64).min
SHARD_POINTS: Final = 4096
_PENDING_SAMPLES, _PENDING_BATCHES = 1 << 17, 64


class LastValues:
    """`shards` of 4,096 points are what the catalog keeps; `take_dirty` tells which changed.

    Batches wait until somebody asks, or until many wait. They are then taken newest first, so that of a hundred
    samples of a point one is written and ninety-nine only compared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a reader must not see one column of a sample and not yet the other
        self._size = 0
        self._text: NDArray[Any] | None = None
        self._grow(SHARD_POINTS)
        self._dirty = np.zeros(1, np.bool_)
        self._pending: list[Batch] = []
        self._waiting = 0

    def update(self, batch: Batch) -> None:
        """Take samples that are at least as new, by source time, as the one held; the last of equals wins."""
        if not len(batch):
            return
        with self._lock:
            self._pending.append(batch)
            self._waiting += len(batch)
            if self._waiting >= _PENDING_SAMPLES or len(self._pending) >= _PENDING_BATCHES:
                self._settle()

    def _settle(self) -> None:
        pending, self._pending, self._waiting = self._pending, [], 0
        if not pending:
            return
        self._grow(1 + max(int(batch.handles.max()) for batch in pending))
        touched = np.zeros(self._size, np.bool_)
        for batch in reversed(pending):
            self._take(batch, touched)

    def _take(self, batch: Batch, touched: NDArray[np.bool_]) -> None:
        """`touched` points hold a sample that was written after this batch, so equal times do not replace it."""
        handles, source = batch.handles, batch.source_ns
        held = self._source[handles]
        newer = source > held
        if not newer.all():
            if (equal := source == held).any():
                newer |= equal & ~touched[handles]
            if not newer.all():
                if not newer.any():
                    return
                batch = batch.take(newer)
                handles, source = batch.handles, batch.source_ns
        if len(handles) > 1 and bool((source[1:] < source[:-1]).any()):
            batch = batch.take(np.argsort(source, kind="stable"))
            handles, source = batch.handles, batch.source_ns
        # Where a handle repeats, NumPy keeps the last assignment: the newest.
        touched[handles] = True
        self._source[handles] = source
        self._received[handles] = batch.received_ns
        self._quality[handles] = batch.quality
        self._kind[handles] = batch.kind
        if batch.kind is ValueKind.TEXT:
            if self._text is None:
                self._text = np.empty(self._size, batch.kind.dtype)
            self._text[handles] = batch.values
        else:
            self._bits[handles] = _to_bits(batch)
        self._dirty[handles // SHARD_POINTS] = True

    def get(self, handles: Handles) -> list[Batch]:
        """One batch a kind; points without a sample are left out."""
        with self._lock:
            self._settle()
            return self._get(handles)

    def _get(self, handles: Handles) -> list[Batch]:
        known = handles[handles < self._size]
        kinds = self._kind[known]
        result = []
        for kind in ValueKind:
            chosen = known[kinds == kind]
            if len(chosen):
                values = self._text[chosen] if kind is ValueKind.TEXT and self._text is not None else None
                if values is None:
                    values = _from_bits(kind, self._bits[chosen])
                result.append(
                    Batch(kind, chosen, self._source[chosen], self._received[chosen], values, self._quality[chosen])
                )
        return result

    def newest_within(self, handles: Handles, start_ns: int, end_ns: int) -> Handles:
        """Those whose newest sample lies in the span."""
        with self._lock:
            self._settle()
            known = handles[handles < self._size]
            source = self._source[known]
            within: Handles = known[(self._kind[known] != 0) & (source >= start_ns) & (source < end_ns)]
            return within

    def replace(self, handles: Handles, batches: Sequence[Batch]) -> None:
        """Forget the samples of `handles`, then take `batches`."""
        with self._lock:
            self._settle()
            self._kind[handles] = 0
            self._source[handles] = _NEVER
            self._dirty[handles // SHARD_POINTS] = True
            self._pending += [batch for batch in batches if len(batch)]
            self._settle()

    def take_dirty(self) -> dict[int, list[Batch]]:
        """What changed since the last call, by shard."""
        with self._lock:
            self._settle()
            shards = np.flatnonzero(self._dirty)
            self._dirty[:] = False
            return {
                int(shard): self._get(np.arange(shard * SHARD_POINTS, (shard + 1) * SHARD_POINTS, dtype=np.uint32))
                for shard in shards
            }

    def mark_dirty(self, shards: list[int]) -> None:
        self._dirty[shards] = True

    def _grow(self, needed: int) -> None:
        if needed <= self._size:
            return
        old, size = self._size, max(needed, 2 * self._size)
        size = -(-size // SHARD_POINTS) * SHARD_POINTS
        self._source = _extended(self, "_source", old, np.full(size, _NEVER, np.int64))
        self._received = _extended(self, "_received", old, np.zeros(size, np.int64))
        self._quality = _extended(self, "_quality", old, np.zeros(size, np.uint32))
        self._kind = _extended(self, "_kind", old, np.zeros(size, np.uint8))
        self._bits = _extended(self, "_bits", old, np.zeros(size, np.int64))
        self._dirty = _extended(self, "_dirty", old // SHARD_POINTS, np.zeros(size // SHARD_POINTS, np.bool_))
        if self._text is not None:
            self._text = _extended(self, "_text", old, np.empty(size, self._text.dtype))
        self._size = size


def _extended(owner: LastValues, name: str, old: int, grown: NDArray[Any]) -> NDArray[Any]:
    if old:
        grown[:old] = getattr(owner, name)
    return grown


def _to_bits(batch: Batch) -> NDArray[np.int64]:
    if batch.kind is ValueKind.FLOAT64:
        return batch.values.view(np.int64)
    return batch.values.astype(np.int64, copy=False)


def _from_bits(kind: ValueKind, bits: NDArray[np.int64]) -> NDArray[Any]:
    return bits.view(np.float64) if kind is ValueKind.FLOAT64 else bits.astype(kind.dtype, copy=False)
