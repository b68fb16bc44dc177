"""What is durable in the log and not yet in a segment, in write order.

    large batch ──────────────────► run ─┐ full
    small ones ──► copied to a tail ─► ──┴──────► block: joined on the first question about it, and ordered by point

A large batch is kept as it came: to copy every sample once more costs as much as to write it to the log. One thread
adds; any number read. A reader sees the samples that were complete when it looked.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import write_order
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.time import HOUR_NS

_BLOCK_SAMPLES: Final = 1 << 18
_LARGE: Final = 1 << 12  # samples; of smaller batches a question would have to look at too many
_TAIL_MIN: Final = 1 << 10
_FEW: Final = 64  # points that are looked up one by one
_SAMPLE_BYTES: Final = 32


class Memtable:
    """`generation` is the number of its log; it orders writes: of two generations the higher is newer."""

    def __init__(self, generation: int, born_s: float) -> None:
        self.generation, self.born_s = generation, born_s
        self.samples = self.frames = 0
        self.oldest_ns: int | None = None
        self.newest_ns: int | None = None
        self.hours: set[int] = set()
        self._held: dict[ValueKind, _Held] = {}

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
        held = self._held.get(batch.kind)
        if held is None:
            held = self._held[batch.kind] = _Held(batch.kind)
        held.add(batch)
        self.samples += len(batch)

    def kinds(self) -> list[ValueKind]:
        return list(self._held)

    def parts(self, kind: ValueKind) -> list[Batch]:
        """Everything of a kind, in write order."""
        held = self._held.get(kind)
        return [] if held is None else held.parts()

    def select(self, kind: ValueKind, handles: Handles | None, start_ns: int, end_ns: int) -> Iterator[Batch]:
        """Samples of `[start_ns, end_ns)`: within a point and time, oldest write first."""
        held = self._held.get(kind)
        if held is None:
            return
        blocks, loose = held.now()
        found = [block.select(handles, start_ns, end_ns) for block in blocks]
        found += [_select(batch, handles, start_ns, end_ns) for batch in loose]
        yield from (batch for batch in found if len(batch))

    @property
    def memory_bytes(self) -> int:
        """Without the text itself."""
        return self.samples * _SAMPLE_BYTES


class _Block:
    """Some batches that nothing is added to any more."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches
        self._lock = threading.Lock()
        self._lookup: tuple[Handles, NDArray[np.uint32]] | None = None  # point numbers in order, and where each is

    def parts(self) -> Sequence[Batch]:
        return self._batches

    def batch(self) -> Batch:
        with self._lock:  # two readers would join it twice
            if len(self._batches) > 1:
                self._batches = [Batch.concat(self._batches)]
            return self._batches[0]

    def select(self, handles: Handles | None, start_ns: int, end_ns: int) -> Batch:
        if handles is None or not 0 < len(handles) <= _FEW:
            return _select(self.batch(), handles, start_ns, end_ns)
        batch, lookup = self.batch(), self._lookup
        if lookup is None:
            order = write_order(batch.handles, batch.source_ns)
            if order is None:
                order = np.arange(len(batch))
            self._lookup = lookup = batch.handles[order], order.astype(np.uint32)
        in_order, order_of = lookup
        first, last = np.searchsorted(in_order, handles), np.searchsorted(in_order, handles, "right")
        parts = [order_of[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        # Equal samples keep their write order, so the answer may be merged like any other.
        found = batch.take(np.concatenate(parts))
        return found.take((found.source_ns >= start_ns) & (found.source_ns < end_ns))


class _Tail:
    """Room for samples of small batches, and those of them that are in no block yet: `[start, count)`."""

    def __init__(self, kind: ValueKind, capacity: int) -> None:
        self._kind, self.capacity, self.start, self.count = kind, capacity, 0, 0
        self._columns: tuple[NDArray[Any], ...] = tuple(
            np.empty(capacity, dtype) for dtype in (np.uint32, np.int64, np.int64, kind.dtype, np.uint32)
        )

    def add(self, batch: Batch, at: int) -> int:
        """Take samples of `batch` from `at`; returns where the next tail goes on."""
        taken = min(len(batch) - at, self.capacity - self.count)
        to, of = slice(self.count, self.count + taken), slice(at, at + taken)
        given: tuple[NDArray[Any], ...] = (
            batch.handles, batch.source_ns, batch.received_ns, batch.values, batch.quality
        )  # fmt: skip
        for column, new in zip(self._columns, given, strict=True):
            column[to] = new[of]
        self.count += taken
        return at + taken

    def batch(self) -> Batch:
        chosen = slice(self.start, self.count)
        handles, source, received, values, quality = (column[chosen] for column in self._columns)
        return Batch(self._kind, handles, source, received, values, quality)

    def rest(self) -> _Tail:
        """The same room, of which only what comes from now on is to be told."""
        tail = object.__new__(_Tail)
        tail._kind, tail._columns, tail.capacity = self._kind, self._columns, self.capacity
        tail.start = tail.count = self.count
        return tail


class _Now(NamedTuple):
    """What a reader takes in one step; `run` and `tail` only grow, and whoever ends one makes another."""

    blocks: tuple[_Block, ...]
    run: list[Batch]
    tail: _Tail


class _Held:
    """Samples of one kind: blocks, then the batches of the run, then the tail."""

    def __init__(self, kind: ValueKind) -> None:
        self._kind, self._waiting = kind, 0
        self._now = _Now((), [], _Tail(kind, _TAIL_MIN))

    def add(self, batch: Batch) -> None:
        if len(batch) >= _LARGE and _is_compact(batch):
            if self._now.tail.count > self._now.tail.start:
                self._end_tail()
            self._now.run.append(batch)
        else:
            self._copy(batch)
        self._waiting += len(batch)
        if self._waiting >= _BLOCK_SAMPLES:
            self._seal()

    def now(self) -> tuple[Sequence[_Block], list[Batch]]:
        """Blocks, and what is in none, in write order."""
        blocks, run, tail = self._now
        loose = list(run)
        if tail.count > tail.start:
            loose.append(tail.batch())
        return blocks, loose

    def parts(self) -> list[Batch]:
        blocks, loose = self.now()
        return [*itertools.chain.from_iterable(block.parts() for block in blocks), *loose]

    def _copy(self, batch: Batch) -> None:
        at = self._now.tail.add(batch, 0)
        while at < len(batch):
            self._end_tail()
            at = self._now.tail.add(batch, at)

    def _end_tail(self) -> None:
        blocks, run, tail = self._now
        full = tail.count == tail.capacity
        fresh = _Tail(self._kind, min(4 * tail.capacity, _BLOCK_SAMPLES)) if full else tail.rest()
        self._now = _Now(blocks, [*run, tail.batch()], fresh)

    def _seal(self) -> None:
        if self._now.tail.count > self._now.tail.start:
            self._end_tail()
        blocks, run, tail = self._now
        self._now, self._waiting = _Now((*blocks, _Block(run)), [], tail), 0


def _select(batch: Batch, handles: Handles | None, start_ns: int, end_ns: int) -> Batch:
    if handles is not None:
        mine = (batch.handles == handles[0]) if len(handles) == 1 else np.isin(batch.handles, handles)
        places = np.flatnonzero(mine)
        if len(places) < len(batch):
            batch = batch.take(places)
    mask = (batch.source_ns >= start_ns) & (batch.source_ns < end_ns)
    return batch if mask.all() else batch.take(mask)


def _is_compact(batch: Batch) -> bool:
    """Whether keeping it keeps little more: a batch may be a small part of much larger columns."""
    base = batch.values.base
    held = len(base) if isinstance(base, bytes) else 0 if base is None else getattr(base, "nbytes", 1 << 62)
    return bool(held <= 2 * batch.values.nbytes)
