"""What a platform stores, given on to those who share the work elsewhere; nothing is lost while they cannot be reached.

    bus ─► waiting, in memory, bounded ─► published ─► marked: the newest of each point that was
               │ full                        ▲
               └─► owed: from when on, by point ─► read again from history, in order of time

The bus is drained at once, so nobody waits for who cannot be reached. What is given twice changes nothing: a point has
one value a moment. Marks and debts are kept in a file every few seconds; after `kill -9` what history has beyond the
marks is owed. What came late, behind the newest of its point, in the seconds before that is not given again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from headrace.compute.streams import keeping
from headrace.compute.streams.feeds import HistoryFeed
from headrace.compute.streams.rows import ALWAYS, NEVER
from headrace.model.batch import Batch, Handles, TimesNs
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS
from headrace.sdk import columns_wire
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.clock import Clock
from headrace.sdk.store import HistoryStore

log = logging.getLogger(__name__)

CAPACITY: Final = 2_000_000
AT_ONCE: Final = 50_000
SAVE_S: Final = 10.0
Publish = Callable[[Sequence[Batch]], Awaitable[None]]
"""Durable on return. Raises: Unavailable."""
Settled = Callable[[], Awaitable[None]]


class Debts:
    """By point: the newest that was given, and from when on something was not. Shape: (points,) each, grows."""

    def __init__(self, told_ns: TimesNs | None = None, owed_ns: TimesNs | None = None) -> None:
        self.told_ns: TimesNs = np.empty(0, np.int64) if told_ns is None else told_ns.copy()
        self.owed_ns: TimesNs = np.full(len(self.told_ns), ALWAYS, np.int64) if owed_ns is None else owed_ns.copy()

    def tell(self, batches: Sequence[Batch]) -> None:
        """These were given."""
        for batch in batches:
            self._grow(batch.handles)
            np.maximum.at(self.told_ns, batch.handles, batch.source_ns)

    def owe(self, batches: Sequence[Batch]) -> None:
        """These were not, and are in history."""
        for batch in batches:
            self._grow(batch.handles)
            np.minimum.at(self.owed_ns, batch.handles, batch.source_ns)

    def owe_newer(self, newest: Sequence[Batch]) -> None:
        """Of the newest samples in history: whatever is newer than what was given."""
        for batch in newest:
            self._grow(batch.handles)
            newer = batch.source_ns > self.told_ns[batch.handles]
            behind = batch.handles[newer]
            from_ns = np.where(self.told_ns[behind] > NEVER, self.told_ns[behind] + 1, NEVER)
            np.minimum.at(self.owed_ns, behind, from_ns)

    def take_all(self) -> tuple[Handles, TimesNs]:
        """What is owed, and by whom it is paid now: from here on nothing is owed."""
        handles = np.flatnonzero(self.owed_ns < ALWAYS).astype(np.uint32)
        from_ns = self.owed_ns[handles]
        self.owed_ns[handles] = ALWAYS
        return handles, from_ns

    def give_back(self, handles: Handles, from_ns: TimesNs) -> None:
        np.minimum.at(self.owed_ns, handles, from_ns)

    @property
    def any(self) -> bool:
        return bool((self.owed_ns < ALWAYS).any())

    def _grow(self, handles: Handles) -> None:
        more = int(handles.max(initial=0)) + 1 - len(self.told_ns)
        if more > 0:
            more = max(more, len(self.told_ns))
            self.told_ns = np.append(self.told_ns, np.full(more, NEVER, np.int64))
            self.owed_ns = np.append(self.owed_ns, np.full(more, ALWAYS, np.int64))


class Feeder:
    """Subscribes at once. `settled` returns when all that was published before is in history."""

    def __init__(
        self, bus: Bus, store: HistoryStore, settled: Settled, clock: Clock, file: Path, *, capacity: int = CAPACITY
    ) -> None:
        self._queue = bus.subscribe("stream work", capacity=capacity, overflow=Overflow.BLOCK)
        self._store, self._settled, self._clock, self._file = store, settled, clock, file
        self._capacity, self._count = capacity, 0
        self._waiting: deque[Batch] = deque()
        self._going: list[Batch] = []
        self._paying: tuple[Handles, TimesNs] = np.empty(0, np.uint32), np.empty(0, np.int64)
        self._debts = Debts()
        self._came = asyncio.Event()
        self.told = self.again = 0  # samples that were given, and of these those read again from history

    @property
    def waiting(self) -> int:
        """Samples in memory that wait to be given."""
        return self._count + sum(map(len, self._going))

    async def start(self) -> None:
        """What history has beyond the marks is owed; without any, it begins with what comes now."""
        data = await asyncio.to_thread(lambda: self._file.read_bytes() if self._file.exists() else None)
        every = np.array(sorted(self._store.paths()), np.uint32)
        newest = await self._store.latest(every) if len(every) else []
        try:
            columns = None if data is None else columns_wire.decode(data)[1]
        except DataError as error:
            log.error("what shared stream functions were given is not known; they go on with what comes now: %s", error)
            columns = None
        if columns is None:
            self._debts.tell(newest)
            return
        self._debts = Debts(columns["told_ns"], columns["owed_ns"])
        self._debts.owe_newer(newest)

    async def gather(self) -> None:
        """Drains the bus, until that is closed."""
        async for batches in self._queue:
            self._waiting.extend(batches)
            self._count += sum(map(len, batches))
            while self._count > self._capacity and len(self._waiting) > 1:
                oldest = self._waiting.popleft()
                self._count -= len(oldest)
                self._debts.owe([oldest])
            self._came.set()

    async def keep(self) -> None:
        """Writes marks and debts down now and then, until cancelled."""
        try:
            while True:
                await self._clock.sleep(SAVE_S)
                await self.save()
        finally:
            await asyncio.shield(self.save())

    async def save(self) -> None:
        now = Debts(self._debts.told_ns, self._debts.owed_ns)
        now.owe([*self._going, *self._waiting])
        if len(self._paying[0]):
            now.give_back(*self._paying)
        data = columns_wire.encode({}, {"told_ns": now.told_ns, "owed_ns": now.owed_ns})
        await asyncio.to_thread(keeping.write, self._file, data)

    async def give(self, publish: Publish) -> None:
        """As long as that takes them: the oldest first. Raises: what `publish` does; nothing is lost then."""
        while True:
            if self._going:
                await publish(self._going)
                self._given(self._going)
                self._going = []
            elif self._debts.any:
                await self._pay(publish)
            elif self._waiting:
                self._going = self._next()
            else:
                self._came.clear()
                await self._came.wait()

    def _next(self) -> list[Batch]:
        taken: list[Batch] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0]) <= AT_ONCE):
            taken.append(self._waiting.popleft())
            count += len(taken[-1])
        self._count -= count
        return taken

    async def _pay(self, publish: Publish) -> None:
        """Read again what is owed, point by point from its own time on, and give it in order of time."""
        handles, from_ns = self._paying = self._debts.take_all()
        try:
            await self._settled()
            since_ns = np.full(int(handles.max()) + 1, ALWAYS, np.int64)
            since_ns[handles] = from_ns
            newest = await self._store.latest(handles)
            over_ns = max((int(batch.source_ns.max()) for batch in newest), default=NEVER) + 1
            start_ns = max(int(from_ns.min()), (await self._store.stats()).oldest_ns or over_ns)
            feed = HistoryFeed(self._store, start_ns, over_ns, lambda _: handles)
            async for piece in feed.pieces("", NEVER):
                found = [batch.take(batch.source_ns >= since_ns[batch.handles]) for batch in piece.batches]
                for part in await asyncio.to_thread(in_order, [batch for batch in found if len(batch)]):
                    await publish(part)
                    self._given(part)
                    self.again += sum(map(len, part))
        except BaseException:
            self._debts.give_back(handles, from_ns)
            raise
        finally:
            self._paying = handles[:0], from_ns[:0]

    def _given(self, batches: Sequence[Batch]) -> None:
        self._debts.tell(batches)
        self.told += sum(map(len, batches))


def in_order(batches: Sequence[Batch]) -> list[list[Batch]]:
    """By source time, in parts of some `AT_ONCE`; kinds take turns second by second, as they would have come."""
    if not batches:
        return []
    sorted_: list[Batch] = []
    for kind in dict.fromkeys(batch.kind for batch in batches):
        whole = Batch.concat([batch for batch in batches if batch.kind is kind])
        sorted_.append(whole.take(np.argsort(whole.source_ns, kind="stable")))
    first_ns = min(int(batch.source_ns[0]) for batch in sorted_)
    cuts: list[tuple[int, int, Batch]] = []
    for number, batch in enumerate(sorted_):
        seconds = (batch.source_ns - first_ns) // SECOND_NS if len(sorted_) > 1 else np.arange(len(batch)) // AT_ONCE
        starts = np.flatnonzero(np.append(True, np.diff(seconds) > 0)).tolist()
        ends = [*starts[1:], len(batch)]
        cuts += [
            (int(seconds[start]), number, batch.take(slice(start, end)))
            for start, end in zip(starts, ends, strict=True)
        ]
    parts: list[list[Batch]] = [[]]
    count = 0
    for _, _, cut in sorted(cuts, key=lambda one: one[:2]):
        if count + len(cut) > AT_ONCE and parts[-1]:
            parts.append([])
            count = 0
        parts[-1].append(cut)
        count += len(cut)
    return parts
