"""What every bus must do. Inherit `BusContract` in a test module and give it a bus.

class TestMyBus(BusContract):
    def make_bus(self) -> Bus:
        return MyBus()

A bus that leaves the process says in `shares_loop` and `holds_publishers` what it cannot promise, and those cases ask
for less or skip by name: whoever reads the tests of a bus reads its limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Conflict, Unavailable
from headrace.model.events import Event
from headrace.sdk.bus import Bus, Overflow, Subscription


def batch_of(count: int, mark: int = 0) -> Batch:
    """A batch of `count` int64 samples whose values are all `mark`."""
    return Batch.of(ValueKind.INT64, np.arange(count), mark, np.full(count, mark))


def marks(batches: Sequence[Batch]) -> list[int]:
    return [int(batch.values[0]) for batch in batches]


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def drain(subscription: Subscription) -> list[int]:
    """The marks of everything until the subscription ends."""
    return [mark async for batches in subscription for mark in marks(batches)]


class BusContract:
    #: Publishing and reading happen in one event loop: one wake-up gives all that was published before it.
    shares_loop = True
    #: A full BLOCK queue makes its publisher wait. Where it does not, what is not taken waits elsewhere.
    holds_publishers = True

    def make_bus(self) -> Bus:
        raise AssertionError("a bus contract needs make_bus() or open_bus()")

    @asynccontextmanager
    async def open_bus(self) -> AsyncIterator[Bus]:
        """For a bus that needs more than a constructor."""
        yield self.make_bus()

    async def settle(self, bus: Bus) -> None:
        """Let everything happen that can happen without the test."""
        del bus
        await settle()

    @pytest.fixture
    async def bus(self) -> AsyncIterator[Bus]:
        async with self.open_bus() as bus:
            yield bus

    def needs_held_publishers(self) -> None:
        if not self.holds_publishers:
            pytest.skip("this bus does not hold its publishers: what is not taken waits elsewhere")

    async def test_every_subscriber_gets_everything_in_order(self, bus: Bus) -> None:
        one = bus.subscribe("one", capacity=1000, overflow=Overflow.BLOCK)
        two = bus.subscribe("two", capacity=1000, overflow=Overflow.DROP_OLDEST)
        for mark in range(10):
            await bus.publish([batch_of(3, 2 * mark), batch_of(2, 2 * mark + 1)])
        await bus.close()
        assert await drain(one) == list(range(20))
        assert await drain(two) == list(range(20))

    async def test_one_wake_up_gives_all_that_is_queued(self, bus: Bus) -> None:
        queue = bus.subscribe("one", capacity=1000, overflow=Overflow.BLOCK)
        reading = asyncio.ensure_future(queue.__anext__())
        await self.settle(bus)
        await bus.publish([batch_of(1, 1)])
        await bus.publish([batch_of(1, 2), batch_of(1, 3)])
        seen = marks(await reading)
        while not self.shares_loop and len(seen) < 3:
            seen += marks(await queue.__anext__())
        assert seen == [1, 2, 3]

    async def test_nothing_is_delivered_for_empty_batches(self, bus: Bus) -> None:
        queue = bus.subscribe("one", capacity=10, overflow=Overflow.BLOCK)
        await bus.publish([])
        await bus.publish([Batch.empty(ValueKind.INT64)])
        await bus.publish([Batch.empty(ValueKind.INT64), batch_of(1, 7)])
        taken = await queue.__anext__()
        assert [len(batch) for batch in taken] == [1]

    async def test_what_is_stored_already_comes_only_to_those_who_want_it(self, bus: Bus) -> None:
        every = bus.subscribe("every", capacity=1000, overflow=Overflow.BLOCK)
        fresh = bus.subscribe("fresh", capacity=1, overflow=Overflow.BLOCK, stored=False)
        await bus.publish([batch_of(3, 1)], stored=True)
        await bus.publish([batch_of(3, 2)])
        await bus.publish([batch_of(3, 3)], stored=True)
        await bus.close()
        assert await drain(every) == [1, 2, 3]
        assert await drain(fresh) == [2]

    async def test_what_was_published_before_is_not_delivered(self, bus: Bus) -> None:
        await bus.publish([batch_of(1, 1)])
        queue = bus.subscribe("late", capacity=10, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(1, 2)])
        assert marks(await queue.__anext__()) == [2]

    async def test_a_full_blocking_queue_holds_its_publisher_until_there_is_room(self, bus: Bus) -> None:
        self.needs_held_publishers()
        queue = bus.subscribe("slow", capacity=10, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(8, 1)])
        waiting = asyncio.ensure_future(bus.publish([batch_of(8, 2)]))
        await self.settle(bus)
        assert not waiting.done()
        assert marks(await queue.__anext__()) == [1]
        await waiting
        assert marks(await queue.__anext__()) == [2]
        assert queue.counters.dropped == 0
        assert queue.counters.depth_max <= 10

    async def test_a_slow_blocking_queue_does_not_delay_the_others(self, bus: Bus) -> None:
        self.needs_held_publishers()
        bus.subscribe("slow", capacity=1, overflow=Overflow.BLOCK)
        quick = bus.subscribe("quick", capacity=100, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(1, 1)])
        waiting = asyncio.ensure_future(bus.publish([batch_of(1, 2)]))
        await self.settle(bus)
        assert marks(await quick.__anext__()) == [1, 2]
        assert not waiting.done()
        waiting.cancel()

    async def test_waiting_publishers_keep_their_order(self, bus: Bus) -> None:
        self.needs_held_publishers()
        queue = bus.subscribe("slow", capacity=4, overflow=Overflow.BLOCK)
        tasks = [asyncio.ensure_future(bus.publish([batch_of(4, mark)])) for mark in range(6)]
        await self.settle(bus)
        seen: list[int] = []
        while len(seen) < 6:
            seen += marks(await queue.__anext__())
        await asyncio.gather(*tasks)
        assert seen == list(range(6))

    async def test_a_cancelled_publisher_lets_the_next_one_in(self, bus: Bus) -> None:
        self.needs_held_publishers()
        queue = bus.subscribe("slow", capacity=1, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(1, 0)])
        first = asyncio.ensure_future(bus.publish([batch_of(1, 1)]))
        await self.settle(bus)
        second = asyncio.ensure_future(bus.publish([batch_of(1, 2)]))
        await self.settle(bus)
        first.cancel()
        await self.settle(bus)
        assert marks(await queue.__anext__()) == [0]
        await second
        assert marks(await queue.__anext__()) == [2]

    async def test_drop_oldest_gives_up_whole_old_batches_and_counts_samples(self, bus: Bus) -> None:
        queue = bus.subscribe("live", capacity=10, overflow=Overflow.DROP_OLDEST)
        for mark in range(5):
            await bus.publish([batch_of(4, mark)])
        assert marks(await queue.__anext__()) == [3, 4]
        counters = queue.counters
        assert (counters.published, counters.delivered, counters.dropped, counters.depth) == (20, 8, 12, 0)
        assert counters.depth_max <= 10

    @pytest.mark.parametrize("overflow", list(Overflow))
    async def test_a_batch_larger_than_the_queue_passes_alone(self, bus: Bus, overflow: Overflow) -> None:
        queue = bus.subscribe("small", capacity=3, overflow=overflow)
        await bus.publish([batch_of(50, 1)])
        assert marks(await queue.__anext__()) == [1]
        assert queue.counters.dropped == 0

    async def test_counters_add_up(self, bus: Bus) -> None:
        queue = bus.subscribe("one", capacity=100, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(7), batch_of(5)])
        while not self.shares_loop and bus.counters()["one"].published < 12:  # noqa: ASYNC110  # they are on their way
            await asyncio.sleep(0.001)
        counters = bus.counters()["one"]
        assert (counters.published, counters.delivered, counters.depth) == (12, 0, 12)
        await queue.__anext__()
        counters = bus.counters()["one"]
        assert (counters.published, counters.delivered, counters.depth, counters.depth_max) == (12, 12, 0, 12)

    async def test_closing_the_bus_ends_subscribers_after_they_have_drained(self, bus: Bus) -> None:
        queue = bus.subscribe("one", capacity=2, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(2, 1)])
        waiting = asyncio.ensure_future(bus.publish([batch_of(2, 2)]))
        await self.settle(bus)
        await bus.close()
        assert await drain(queue) == [1, 2]
        await waiting
        with pytest.raises(Unavailable):
            await bus.publish([batch_of(1)])
        with pytest.raises(Unavailable):
            await bus.publish_events([Event("1", "test", "test.done", "a", 0)])
        await bus.close()

    async def test_closing_the_bus_wakes_a_reader(self, bus: Bus) -> None:
        queue = bus.subscribe("one", capacity=2, overflow=Overflow.BLOCK)
        reading = asyncio.ensure_future(drain(queue))
        await self.settle(bus)
        await bus.close()
        assert await reading == []

    async def test_leaving_frees_the_name_and_the_publisher(self, bus: Bus) -> None:
        self.needs_held_publishers()
        queue = bus.subscribe("one", capacity=1, overflow=Overflow.BLOCK)
        with pytest.raises(Conflict):
            bus.subscribe("one", capacity=1, overflow=Overflow.BLOCK)
        with pytest.raises(Conflict):
            bus.subscribe_events("one", capacity=1, overflow=Overflow.BLOCK)
        await bus.publish([batch_of(1, 1)])
        waiting = asyncio.ensure_future(bus.publish([batch_of(1, 2)]))
        await self.settle(bus)
        await queue.close()
        await asyncio.wait_for(waiting, 10)
        assert await drain(queue) == [1]
        assert "one" not in bus.counters()
        bus.subscribe("one", capacity=1, overflow=Overflow.BLOCK)

    async def test_events_travel_beside_batches(self, bus: Bus) -> None:
        events = bus.subscribe_events("log", capacity=2, overflow=Overflow.DROP_OLDEST)
        sent = [Event(str(at), "test", "test.done", "a", at) for at in range(3)]
        await bus.publish([batch_of(1)])
        await bus.publish_events(sent)
        assert list(await events.__anext__()) == sent[1:]
        assert (events.counters.published, events.counters.dropped) == (3, 1)
