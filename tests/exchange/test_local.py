"""The in-process bus keeps the bus contract, and loses or doubles nothing under any mix of publishers and readers."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.exchange.local import LocalBus
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.testing.bus import BusContract, batch_of, drain


class TestLocalBus(BusContract):
    def make_bus(self) -> Bus:
        return LocalBus()


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32), publishers=st.integers(1, 4), capacity=st.integers(1, 12))
@pytest.mark.clause("62443-3-3 SR 7.1")
def test_a_blocking_queue_loses_nothing_and_keeps_each_publishers_order(
    seed: int, publishers: int, capacity: int
) -> None:
    async def run() -> None:
        dice = random.Random(seed)
        bus = LocalBus()
        queue = bus.subscribe("keep", capacity=capacity, overflow=Overflow.BLOCK)
        fast = bus.subscribe("fast", capacity=capacity, overflow=Overflow.DROP_OLDEST)

        async def publish(who: int) -> None:
            mark = 0
            while mark < 20:
                group = [batch_of(dice.randint(1, 5), 100 * who + mark + at) for at in range(dice.randint(1, 3))]
                await bus.publish(group)
                mark += len(group)
                for _ in range(dice.randint(0, 3)):
                    await asyncio.sleep(0)

        async def close_after() -> None:
            async with asyncio.TaskGroup() as tasks:
                for who in range(publishers):
                    tasks.create_task(publish(who))
            await bus.close()

        closing = asyncio.ensure_future(close_after())
        seen = await drain(queue)
        await closing
        for who in range(publishers):
            own = [mark for mark in seen if mark // 100 == who]
            assert own == list(range(100 * who, 100 * who + len(own)))
            assert len(own) >= 20
        counters = queue.counters
        assert counters.published == counters.delivered
        assert counters.dropped == 0
        await drain(fast)
        assert fast.counters.published == counters.published == fast.counters.dropped + fast.counters.delivered
        assert fast.counters.depth == 0

    asyncio.run(run())


async def test_capacities_are_told_beside_the_counters() -> None:
    bus = LocalBus()
    bus.subscribe("a", capacity=5, overflow=Overflow.BLOCK)
    bus.subscribe_events("b", capacity=6, overflow=Overflow.DROP_OLDEST)
    assert bus.capacities() == {"a": 5, "b": 6}
    assert set(bus.counters()) == {"a", "b"}
