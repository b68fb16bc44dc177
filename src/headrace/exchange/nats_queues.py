"""Subscribers of the bus over NATS: one that loses nothing and shares its work, and one that sees what passes.

DurableQueue   leases (nats_leases.py) ─► partitions held here ─► one consumer each ─► fetched within the capacity
               ─► a step hands them out ─► the next step acknowledges them
PassingQueue   plain subscription ─► a queue of this process that drops its oldest, and counts
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from headrace.exchange.local import LocalSubscription
from headrace.exchange.nats_leases import Leases
from headrace.exchange.numbering import Heard, Numbering
from headrace.model.batch import Batch
from headrace.model.errors import DataError, Unavailable
from headrace.model.packing import unpack, unpack_events
from headrace.sdk.bus import Overflow, QueueCounters

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from headrace.exchange.nats import NatsSettings

Item = TypeVar("Item")

FETCH_MESSAGES: Final = 64
FETCH_WAIT_S: Final = 1.0
ACK_PENDING_MAX: Final = 1024  # messages of one partition
REMEMBERED_MAX: Final = 65_536
_EVENTS: Final = -1  # the partition of events: there is one


class _Reading:
    """Messages to items: batches under our handles, or events. What cannot be read is counted, never handed out."""

    def __init__(self, numbering: Numbering, events: bool) -> None:
        self._numbering, self._events = numbering, events
        self.garbled = 0

    def items(self, message: bytes) -> list[Any]:
        try:
            if self._events:
                return list(unpack_events(message))
            packed = unpack(message)
            heard = Heard(self._numbering)  # each message brings its own dictionary
            heard.learn(packed.paths)
            return list(heard.ours(packed.batches))
        except DataError:
            self.garbled += 1
            return []


def weigh(item: Any) -> int:
    return len(item) if isinstance(item, Batch) else 1


@dataclass(slots=True)
class _Held:
    """One message that was fetched and not acknowledged."""

    message: Msg
    partition: int
    sequence: int
    items: list[Any]
    weight: int


class DurableQueue(Generic[Item]):
    """`sdk.bus.Subscription` that loses nothing. Iterate from one task only; a step says that the last one is done."""

    def __init__(
        self,
        name: str,
        capacity: int,
        client: Client,
        stream: JetStreamContext,
        settings: NatsSettings,
        numbering: Numbering,
        subject: str,
        partitions: int,
        forget: Callable[[str], Any],
    ) -> None:
        self.name, self.capacity = name, max(capacity, 1)
        self.counters = QueueCounters()
        self._client, self._stream, self._settings = client, stream, settings
        self._subject, self._partitions = subject, partitions
        self._forget = forget
        self._reading = _Reading(numbering, not partitions)
        self._waiting: deque[_Held] = deque()
        self._handed_out: list[_Held] = []
        self._done: dict[int, None] = {}  # sequences acknowledged of late: what comes again has lost only that
        self._pulls: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Condition()
        self._leases: Leases | None = None
        self._finishing = self._left = False
        self._lost: Unavailable | None = None

    @property
    def partitions(self) -> frozenset[int]:
        """Those that this worker reads now."""
        return frozenset(self._pulls)

    def __aiter__(self) -> DurableQueue[Item]:
        return self

    async def __anext__(self) -> Sequence[Item]:
        await self._acknowledge()
        async with self._changed:
            while not any(one.items for one in self._waiting):
                if self._lost is not None:
                    raise self._lost
                if self._left or (self._finishing and not self._pulls):
                    raise StopAsyncIteration
                await self._changed.wait()
            self._handed_out, self._waiting = list(self._waiting), deque()
            weight = sum(one.weight for one in self._handed_out)
            self.counters.delivered += weight
            self.counters.depth -= weight
            self._changed.notify_all()
        return [item for one in self._handed_out for item in one.items]

    async def open(self) -> None:
        """Make the consumers, and begin to take a share of the partitions."""
        for partition in self._all():
            await self._make_consumer(partition)
        if self._partitions:
            self._leases = Leases(
                self._stream, self._settings, self._group(), self._partitions, self._hold, self._release
            )
            await self._leases.start()
        else:
            await self._hold(_EVENTS)

    async def finish(self) -> None:
        """Nothing more is awaited: ends when the partitions held here are empty."""
        async with self._changed:
            self._finishing = True
            self._changed.notify_all()

    async def close(self) -> None:
        """Leave; what was not handed out goes to another worker of the name, or waits for one."""
        self._forget(self.name)
        await self._acknowledge()
        await self.abandon()

    async def abandon(self) -> None:
        """Stop without a word to the stream: what is not acknowledged will be given out again."""
        if self._leases is not None:
            await self._leases.stop()
        for partition in list(self._pulls):
            await self._release(partition)
        async with self._changed:
            self._left = True
            self._changed.notify_all()

    # --- partitions -----------------------------------------------------------------------------------------------

    async def _hold(self, partition: int) -> None:
        if partition not in self._pulls:
            self._pulls[partition] = asyncio.create_task(self._pull(partition), name=f"{self.name} {partition}")

    async def _release(self, partition: int) -> None:
        """What is here and was not handed out is somebody else's now."""
        task = self._pulls.pop(partition, None)
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with self._changed:
            kept = deque(one for one in self._waiting if one.partition != partition)
            gone = sum(one.weight for one in self._waiting) - sum(one.weight for one in kept)
            self.counters.depth -= gone
            self.counters.published -= gone
            for one in self._waiting:
                if one.partition == partition:
                    await one.message.nak()
            self._waiting = kept
            self._changed.notify_all()

    async def _pull(self, partition: int) -> None:
        from nats.errors import Error

        consumer = await self._stream.pull_subscribe_bind(
            durable=self._consumer(partition), stream=self._settings.stream
        )
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self.counters.depth < self.capacity)
                    finishing = self._finishing
                try:
                    messages = await consumer.fetch(FETCH_MESSAGES, timeout=0.2 if finishing else FETCH_WAIT_S)
                except TimeoutError:  # the client's own, or asyncio's, which it lets through at times
                    if finishing and await self._is_drained(consumer):
                        break
                    continue
                except Error:
                    await asyncio.sleep(0.2)  # between two servers; the client connects by itself
                    continue
                await self._take(partition, messages)
        finally:
            if self._pulls.get(partition) is asyncio.current_task() and self._finishing:
                del self._pulls[partition]
                async with self._changed:
                    self._changed.notify_all()

    async def _is_drained(self, consumer: Any) -> bool:
        info = await consumer.consumer_info()
        mine = len(self._waiting) + len(self._handed_out)
        return bool(info.num_pending == 0 and (info.num_ack_pending == 0 or mine))

    async def _take(self, partition: int, messages: Sequence[Msg]) -> None:
        async with self._changed:
            known = {one.sequence for one in (*self._waiting, *self._handed_out)}
            for message in messages:
                sequence = message.metadata.sequence.stream
                if sequence in known:
                    continue  # given out again because it took long; it is here
                if sequence in self._done:
                    await message.ack()
                    continue
                items = self._reading.items(message.data)
                weight = sum(map(weigh, items))
                self._waiting.append(_Held(message, partition, sequence, items, weight))
                self.counters.published += weight
                self.counters.depth += weight
                self.counters.depth_max = max(self.counters.depth_max, self.counters.depth)
            self._changed.notify_all()

    async def _acknowledge(self) -> None:
        for one in self._handed_out:
            await one.message.ack()
            self._done[one.sequence] = None
        self._handed_out = []
        while len(self._done) > REMEMBERED_MAX:
            del self._done[next(iter(self._done))]

    # --- names ----------------------------------------------------------------------------------------------------

    def _all(self) -> Sequence[int]:
        return range(self._partitions) if self._partitions else (_EVENTS,)

    def _group(self) -> str:
        return "".join(letter if letter.isalnum() or letter in "-_" else f"={ord(letter):x}=" for letter in self.name)

    def _consumer(self, partition: int) -> str:
        return f"{self._group()}-{'events' if partition == _EVENTS else partition}"

    async def _make_consumer(self, partition: int) -> None:
        from nats.errors import Error
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        config = ConsumerConfig(
            durable_name=self._consumer(partition),
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._settings.ack_wait_s,
            max_ack_pending=ACK_PENDING_MAX,
            inactive_threshold=self._settings.group_forgotten_s,
            filter_subject=self._subject if partition == _EVENTS else f"{self._subject}.{partition}",
        )
        try:
            await self._stream.consumer_info(self._settings.stream, self._consumer(partition))
        except Error:
            try:
                await self._stream.add_consumer(self._settings.stream, config)
            except Error as error:
                self._lost = Unavailable(f"the NATS server makes no consumer for '{self.name}': {error}")
                raise self._lost from None


class PassingQueue(LocalSubscription[Any], Generic[Item]):
    """`sdk.bus.Subscription` on what passes by from now on: full, it drops its oldest and counts them."""

    def __init__(
        self,
        name: str,
        capacity: int,
        client: Client,
        stream: JetStreamContext,
        settings: NatsSettings,
        numbering: Numbering,
        subject: str,
        partitions: int,
        forget: Callable[[str], Any],
    ) -> None:
        del stream, settings
        super().__init__(name, capacity, Overflow.DROP_OLDEST, weigh, lambda _queue: forget(name))
        self._client = client
        self._subject = f"{subject}.*" if partitions else subject
        self._reading = _Reading(numbering, not partitions)
        self._tap: Any = None

    async def open(self) -> None:
        self._tap = await self._client.subscribe(self._subject, cb=self._on_message)
        await self._client.flush()

    async def finish(self) -> None:  # type: ignore[override]
        """Everything that the server has sent by now still comes."""
        if self._tap is not None:
            await self._client.flush()
            await self._tap.drain()
        self.end()

    async def abandon(self) -> None:
        self.end()

    async def close(self) -> None:
        if self._tap is not None:
            await self._tap.unsubscribe()
        await super().close()

    async def _on_message(self, message: Msg) -> None:
        items = self._reading.items(message.data)
        for item in items:
            self.offer([item], weigh(item))
