"""What is durable in the log and not yet in a segment: columns in blocks, in write order.

A block that is full is sorted once, on the first question about it, so a point is found without looking at everything.
One thread adds; any number read. A reader sees the samples that were complete when it took the block's count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import write_order
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.time import HOUR_NS

_BLOCK_MIN, _BLOCK_MAX = 1 << 10, 1 << 18
_SAMPLE_BYTES: Final = 32


class _Block:
    def __init__(self, kind: ValueKind, capacity: int) -> None:
        self.kind, self.capacity, self.count = kind, capacity, 0
        self.handles = np.empty(capacity, np.uint32)
        self.source_ns = np.empty(capacity, np.int64)
        self.received_ns = np.empty(capacity, np.int64)
        self.values = np.empty(capacity, kind.dtype)
        self.quality = np.empty(capacity, np.uint32)
        self._lookup: tuple[Handles, NDArray[np.uint32]] | None = None  # point numbers in order, and where each is

    def add(self, batch: Batch, start: int) -> int:
        """Take samples of `batch` from `start`; returns where the next block goes on."""
        taken = min(len(batch) - start, self.capacity - self.count)
        to, of = slice(self.count, self.count + taken), slice(start, start + taken)
        self.handles[to] = batch.handles[of]
        self.source_ns[to] = batch.source_ns[of]
        self.received_ns[to] = batch.received_ns[of]
        self.values[to] = batch.values[of]
        self.quality[to] = batch.quality[of]
        self.count += taken
        return start + taken

    def batch(self) -> Batch:
        to = slice(0, self.count)
        return Batch(
            self.kind, self.handles[to], self.source_ns[to], self.received_ns[to], self.values[to], self.quality[to]
        )

    def select(self, handles: Handles | None, start_ns: int, end_ns: int) -> Batch:
        if handles is not None and 0 < len(handles) <= 64 and self.count == self.capacity:
            return self._find(handles, start_ns, end_ns)
        batch = self.batch()
        mask = (batch.source_ns >= start_ns) & (batch.source_ns < end_ns)
        if handles is not None:
            mask &= (batch.handles == handles[0]) if len(handles) == 1 else np.isin(batch.handles, handles)
        return batch if mask.all() else batch.take(mask)

    def _find(self, handles: Handles, start_ns: int, end_ns: int) -> Batch:
        batch = self.batch()
        if self._lookup is None:
            order = write_order(batch.handles, batch.source_ns)
            if order is None:
                order = np.arange(len(batch))
            self._lookup = batch.handles[order], order.astype(np.uint32)
        in_order, order_of = self._lookup
        first, last = np.searchsorted(in_order, handles), np.searchsorted(in_order, handles, "right")
        parts = [order_of[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        # Equal samples keep their write order, so the answer may be merged like any other.
        found = batch.take(np.concatenate(parts))
        return found.take((found.source_ns >= start_ns) & (found.source_ns < end_ns))


class Memtable:
    """`generation` is the number of its log; it orders writes: of two generations the higher is newer."""

    def __init__(self, generation: int, born_s: float) -> None:
        self.generation, self.born_s = generation, born_s
        self.samples = self.frames = 0
        self.oldest_ns: int | None = None
        self.newest_ns: int | None = None
        self.hours: set[int] = set()
        self._blocks: dict[ValueKind, list[_Block]] = {}

    def add(self, batch: Batch) -> None:
        if not len(batch):
            return
        low, high = int(batch.source_ns.min()), int(batch.source_ns.max())
        if low // HOUR_NS == high // HOUR_NS:
            self.hours.add(low // HOUR_NS)
        else:
            self.hours.update(np.unique(batch.source_ns // HOUR_NS).tolist())
        self.oldest_ns = low if self.oldest_ns is None else min(low, self.oldest_ns)
        self.newest_ns = high if self.newest_ns is None else max(high, self.newest_ns)
        blocks = self._blocks.setdefault(batch.kind, [])
        at = 0
        while at < len(batch):
            if not blocks or blocks[-1].count == blocks[-1].capacity:
                held = sum(block.capacity for block in blocks)
                blocks.append(_Block(batch.kind, min(max(held, _BLOCK_MIN), _BLOCK_MAX)))
            at = blocks[-1].add(batch, at)
        self.samples += len(batch)

    def kinds(self) -> list[ValueKind]:
        return list(self._blocks)

    def select(self, kind: ValueKind, handles: Handles | None, start_ns: int, end_ns: int) -> Iterator[Batch]:
        """Samples of `[start_ns, end_ns)`: within a point and time, oldest write first."""
        for block in list(self._blocks.get(kind, ())):
            found = block.select(handles, start_ns, end_ns)
            if len(found):
                yield found

    @property
    def memory_bytes(self) -> int:
        """Without the text itself."""
        return sum(block.capacity for blocks in list(self._blocks.values()) for block in blocks) * _SAMPLE_BYTES
