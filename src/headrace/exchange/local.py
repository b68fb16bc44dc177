"""The bus of one process: each subscriber has its own bounded queue, and one wake-up hands over all that is queued.

publish ──┬─► queue of "history"  (BLOCK: publish waits)          ──► list of batches, oldest first
          ├─► queue of "live"     (DROP_OLDEST: oldest batch goes) ──► …
          └─► queue of "alarms"

Publishing to queues with room is plain list work: no task switch, no lock, no copy. Everything here belongs to one
event loop; other threads hand over with `loop.call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from headrace.model.batch import Batch
from headrace.model.errors import Conflict, Unavailable
from headrace.model.events import Event
from headrace.sdk.bus import Overflow, QueueCounters

Item = TypeVar("Item")


class LocalBus:
    """Implements `sdk.bus.Bus`. A publisher that is cancelled while it waits may have reached some subscribers."""

    def __init__(self) -> None:
        self._batches = _Fan[Batch](len)
        self._events = _Fan[Event](lambda _event: 1)

    async def publish(self, batches: Sequence[Batch], *, stored: bool = False) -> None:
        """Raises: Unavailable once closed."""
        fan = self._batches
        if fan.closed:
            raise Unavailable("the bus is closed; nothing more can be published")
        whole = True
        size = 0
        for batch in batches:
            count = len(batch.handles)
            size += count
            whole = whole and count > 0
        if size == 0:
            return
        full = fan.offer(batches if whole else [batch for batch in batches if len(batch)], size, stored)
        if full:
            await _finish(full)

    async def publish_events(self, events: Sequence[Event]) -> None:
        """Raises: Unavailable once closed."""
        fan = self._events
        if fan.closed:
            raise Unavailable("the bus is closed; nothing more can be published")
        if not events:
            return
        full = fan.offer(events, len(events), False)
        if full:
            await _finish(full)

    def subscribe(
        self, name: str, *, capacity: int, overflow: Overflow, stored: bool = True
    ) -> LocalSubscription[Batch]:
        """Raises: Conflict for a name in use; Unavailable once closed."""
        self._check_name(name)
        return self._batches.add(name, capacity, overflow, stored)

    def subscribe_events(self, name: str, *, capacity: int, overflow: Overflow) -> LocalSubscription[Event]:
        """Raises: Conflict for a name in use; Unavailable once closed."""
        self._check_name(name)
        return self._events.add(name, capacity, overflow, True)

    async def close(self) -> None:
        """Returns at once; publishers that already wait still deliver, then subscribers end."""
        self._batches.close()
        self._events.close()

    def counters(self) -> dict[str, QueueCounters]:
        return {queue.name: queue.counters for fan in (self._batches, self._events) for queue in fan.queues}

    def capacities(self) -> dict[str, int]:
        """By subscriber name, in samples (events)."""
        return {queue.name: queue.capacity for fan in (self._batches, self._events) for queue in fan.queues}

    def _check_name(self, name: str) -> None:
        if name in self.counters():
            raise Conflict(f"the bus has a subscriber '{name}' already")


class LocalSubscription(Generic[Item]):
    """One subscriber's queue. Iterate from one task only."""

    def __init__(
        self,
        name: str,
        capacity: int,
        overflow: Overflow,
        weigh: Callable[[Item], int],
        leave: Callable[[LocalSubscription[Item]], None],
    ) -> None:
        self.name = name
        self.capacity = max(capacity, 1)
        self.counters = QueueCounters()
        self._drops = overflow is Overflow.DROP_OLDEST
        self._weigh = weigh
        self._leave = leave
        self._items: deque[Item] = deque()
        self._closed = False
        self._left = False
        self._reader: asyncio.Future[None] | None = None
        self._space: asyncio.Future[None] | None = None  # whoever holds `_turn` waits on it
        self._turn = asyncio.Lock()
        self._blocked = 0

    def __aiter__(self) -> LocalSubscription[Item]:
        return self

    async def __anext__(self) -> Sequence[Item]:
        while not self._items:
            if self._closed and not self._blocked:
                raise StopAsyncIteration
            if self._reader is not None:
                raise RuntimeError(f"two tasks read the subscription '{self.name}'")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        taken = list(self._items)
        self._items.clear()
        self.counters.delivered += self.counters.depth
        self.counters.depth = 0
        self._wake_publisher()
        return taken

    async def close(self) -> None:
        """Leave the bus; iteration ends after what is queued, and waiting publishers go on without this queue."""
        self._left = True
        self._leave(self)
        self.end()
        self._wake_publisher()

    def finish(self) -> None:
        """Leave the bus, yet take what publishers already wait with; then iteration ends."""
        self._leave(self)
        self.end()

    def end(self) -> None:
        """Nothing more comes, apart from publishers that wait already."""
        self._closed = True
        self._wake_reader()

    def offer(self, items: Sequence[Item], size: int) -> bool:
        """Queue everything without waiting; false where the queue blocks and has no room."""
        counters = self.counters
        depth = counters.depth + size
        if depth > self.capacity and not self._drops and (counters.depth or len(items) > 1):
            return False
        if self._blocked:
            return False  # first come, first served
        self._items.extend(items)
        counters.published += size
        counters.depth = depth
        if depth > self.capacity:
            self._drop_oldest()
        if counters.depth > counters.depth_max:
            counters.depth_max = counters.depth
        if self._reader is not None:
            self._wake_reader()
        return True

    async def put(self, items: Sequence[Item]) -> None:
        """Queue item by item, waiting for room; publishers take turns in order of arrival."""
        self._blocked += 1
        try:
            async with self._turn:
                for item in items:
                    if not await self._wait_for_room(self._weigh(item)):
                        return
                    self._admit(item)
        finally:
            self._blocked -= 1
            if self._closed:
                self._wake_reader()

    async def _wait_for_room(self, size: int) -> bool:
        """False when the subscriber has left meanwhile."""
        while self.counters.depth and self.counters.depth + size > self.capacity:
            if self._left:
                return False
            self._space = asyncio.get_running_loop().create_future()
            try:
                await self._space
            finally:
                self._space = None
        return not self._left

    def _admit(self, item: Item) -> None:
        size = self._weigh(item)
        self._items.append(item)
        counters = self.counters
        counters.published += size
        counters.depth += size
        counters.depth_max = max(counters.depth_max, counters.depth)
        self._wake_reader()

    def _drop_oldest(self) -> None:
        counters = self.counters
        while counters.depth > self.capacity and len(self._items) > 1:
            size = self._weigh(self._items.popleft())
            counters.depth -= size
            counters.dropped += size

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_publisher(self) -> None:
        if self._space is not None and not self._space.done():
            self._space.set_result(None)


class _Fan(Generic[Item]):
    """All queues of one sort of item."""

    def __init__(self, weigh: Callable[[Item], int]) -> None:
        self.queues: list[LocalSubscription[Item]] = []
        self._for_stored: list[LocalSubscription[Item]] = []  # those of them that also want what history has already
        self.closed = False
        self._weigh = weigh

    def add(self, name: str, capacity: int, overflow: Overflow, stored: bool) -> LocalSubscription[Item]:
        if self.closed:
            raise Unavailable("the bus is closed; nobody can subscribe")
        queue = LocalSubscription[Item](name, capacity, overflow, self._weigh, self.remove)
        self.queues = [*self.queues, queue]
        if stored:
            self._for_stored = [*self._for_stored, queue]
        return queue

    def remove(self, queue: LocalSubscription[Item]) -> None:
        self.queues = [other for other in self.queues if other is not queue]
        self._for_stored = [other for other in self._for_stored if other is not queue]

    def offer(
        self, items: Sequence[Item], size: int, stored: bool
    ) -> list[tuple[LocalSubscription[Item], Sequence[Item]]]:
        """Queue everywhere without waiting; gives the queues that were full, for the caller to wait on."""
        full = []
        for queue in self._for_stored if stored else self.queues:
            if not queue.offer(items, size):
                full.append((queue, items))  # noqa: PERF401
        return full

    def close(self) -> None:
        self.closed = True
        for queue in self.queues:
            queue.end()


async def _finish(full: list[tuple[LocalSubscription[Item], Sequence[Item]]]) -> None:
    """Wait for each full queue; the others have their items already, so no subscriber waits for another."""
    if len(full) == 1:
        await full[0][0].put(full[0][1])
        return
    async with asyncio.TaskGroup() as tasks:
        for queue, items in full:
            tasks.create_task(queue.put(items))
