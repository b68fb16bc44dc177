"""The bus over a real NATS JetStream: the bus contract as far as it goes, and workers that die."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nats_server import Server, running
from tests.properties import drawn_seed, examples

from headrace.exchange.nats import NatsBus, NatsSettings
from headrace.exchange.numbering import PathBook
from headrace.exchange.partitions import partition_of, share, to_give, to_take
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Unavailable
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.testing.bus import BusContract, batch_of, marks, settle

QUICK = {"partitions": 4, "lease_s": 1.0, "ack_wait_s": 5.0, "publish_timeout_s": 2.0}


def book() -> PathBook:
    made = PathBook()
    for at in range(100):
        made.handle_of(f"acme/p{at}")
    return made


def settings_of(server: Server, stream: str = "TEST", **other: object) -> NatsSettings:
    return NatsSettings((server.url,), stream=stream, subject=stream.lower(), **{**QUICK, **other})  # type: ignore[arg-type]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "nats") as server:
        yield server


class TestNatsBus(BusContract):
    shares_loop = False
    holds_publishers = False

    @pytest.fixture(autouse=True)
    async def _server(self, server: Server) -> None:
        self.server = server

    @asynccontextmanager
    async def open_bus(self) -> AsyncIterator[Bus]:
        async with NatsBus.connect(settings_of(self.server, partitions=1), book(), name="test") as bus:
            yield bus

    async def settle(self, bus: Bus) -> None:
        assert isinstance(bus, NatsBus)
        await bus.opened()
        await settle()


async def test_a_point_keeps_its_order_and_its_value(server: Server) -> None:
    async with NatsBus.connect(settings_of(server), book(), name="a") as bus:
        queue = bus.subscribe("all", capacity=10_000, overflow=Overflow.BLOCK)
        dice = np.random.default_rng(1)
        for turn in range(20):
            handles = dice.integers(0, 100, 50)
            await bus.publish([Batch.of(ValueKind.INT64, handles, np.full(50, turn), np.full(50, turn))])
        seen: dict[int, list[int]] = {}
        count = 0
        while count < 1000:
            for one in await anext(queue):
                count += len(one)
                for handle, value in zip(one.handles.tolist(), one.values.tolist(), strict=True):
                    seen.setdefault(handle, []).append(value)
        assert count == 1000
        assert all(values == sorted(values) for values in seen.values())


async def test_a_batch_larger_than_a_message_arrives_whole(server: Server) -> None:
    async with NatsBus.connect(settings_of(server), book(), name="a") as bus:
        queue = bus.subscribe("all", capacity=1_000_000, overflow=Overflow.BLOCK)
        await bus.publish([Batch.of(ValueKind.INT64, np.arange(60_000) % 100, np.arange(60_000), np.arange(60_000))])
        values: list[int] = []
        while len(values) < 60_000:
            values += [value for one in await anext(queue) for value in one.values.tolist()]
        assert sorted(values) == list(range(60_000))


async def test_the_server_is_killed_and_what_it_acknowledged_is_there(server: Server) -> None:
    async with NatsBus.connect(settings_of(server), book(), name="a") as bus:
        queue = bus.subscribe("keep", capacity=1000, overflow=Overflow.BLOCK)
        sent = []
        for mark in range(40):
            if mark == 20:
                await server.kill()
                again = asyncio.ensure_future(server.start())
            try:
                await bus.publish([batch_of(1, mark)])
                sent.append(mark)
            except Unavailable:
                continue
        await again
        seen: list[int] = []
        while not set(sent) <= set(seen):
            seen += marks(await anext(queue))
        assert len(sent) >= 20


async def test_a_full_stream_makes_publishers_wait(server: Server) -> None:
    async with NatsBus.connect(settings_of(server, bytes_max=200_000, partitions=1), book(), name="a") as bus:
        queue = bus.subscribe("slow", capacity=100_000, overflow=Overflow.BLOCK)

        async def publish() -> None:
            for mark in range(100):
                await bus.publish([batch_of(100, mark)])  # 4 KB each: twice what the stream holds

        publishing = asyncio.ensure_future(publish())
        seen: list[int] = []
        while len(seen) < 100:
            seen += marks(await anext(queue))
        await publishing
        assert seen == list(range(100))


async def test_other_partitions_are_refused(server: Server) -> None:
    async with NatsBus.connect(settings_of(server), book(), name="a"):
        with pytest.raises(ConfigError, match="has 4 partitions, not 5"):
            async with NatsBus.connect(settings_of(server, partitions=5), book(), name="b"):
                pass


async def test_nobody_listens() -> None:
    with pytest.raises(Unavailable, match="no NATS server answers"):
        async with NatsBus.connect(NatsSettings(("nats://127.0.0.1:1",), connect_timeout_s=0.2), book(), name="a"):
            pass


WORKER = """
import asyncio, json, sys
from headrace.exchange.nats import NatsBus, NatsSettings
from headrace.exchange.numbering import PathBook
from headrace.sdk.bus import Overflow

async def main():
    book = PathBook()
    settings = NatsSettings((sys.argv[1],), stream="TEST", subject="test", partitions=4, lease_s=1.0, ack_wait_s=2.0)
    async with NatsBus.connect(settings, book, name=sys.argv[2]) as bus:
        queue = bus.subscribe("workers", capacity=2000, overflow=Overflow.BLOCK)
        await bus.opened()
        print(json.dumps({"ready": True}), flush=True)
        async for batches in queue:
            done = [v for one in batches for v in one.values.tolist()]
            print(json.dumps({"partitions": sorted(queue.partitions), "done": done}), flush=True)

asyncio.run(main())
"""


class Worker:
    """A process that takes its share and says what it did."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.partitions: set[int] = set()
        self.ready = asyncio.Event()
        self.news = asyncio.Event()

    async def start(self, url: str, name: str) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, url, name, stdout=asyncio.subprocess.PIPE, limit=1 << 24
        )
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            if "ready" in said:
                self.ready.set()
            else:
                self.done += said["done"]
                self.partitions |= set(said["partitions"])
                self.news.set()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.reading


@pytest.mark.seeded
async def test_two_workers_share_the_load_and_one_is_killed(server: Server) -> None:
    """Samples of 100 points in 4 partitions; the second worker is killed in the middle, and nothing is missing."""
    seed = drawn_seed()
    dice = np.random.default_rng(seed)
    workers = [Worker(), Worker()]
    try:
        for at, worker in enumerate(workers):
            await worker.start(server.url, f"worker-{at}")
        await asyncio.gather(*(worker.ready.wait() for worker in workers))
        async with NatsBus.connect(settings_of(server), book(), name="source") as bus:
            sent = 0

            async def publish(count: int) -> None:
                nonlocal sent
                for _ in range(count):
                    values = np.arange(sent, sent + 25)
                    await bus.publish([Batch.of(ValueKind.INT64, dice.integers(0, 100, 25), values, values)])
                    sent += 25

            while not all(worker.done for worker in workers):  # until both have a share
                await publish(4)
            await publish(20)
            await workers[1].kill()
            await publish(40)
            survivor = workers[0]
            async with asyncio.timeout(90):
                while set(range(sent)) - set(survivor.done) - set(workers[1].done):
                    await survivor.news.wait()
                    survivor.news.clear()
        assert survivor.partitions == {0, 1, 2, 3}  # it took over what the other held
    finally:
        for worker in workers:
            await worker.kill()


@given(st.integers(1, 64), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=examples(60), deadline=None)
def test_workers_come_to_fair_shares_in_any_order(partitions: int, workers: int, seed: int) -> None:
    """Whoever acts in whatever order: in a few rounds all is held, once, and nobody has more than a share."""
    dice = random.Random(seed)
    held: dict[int, set[int]] = {at: set() for at in range(workers)}
    for _ in range(workers + 2):
        for me in dice.sample(range(workers), workers):
            fair = share(partitions, workers)
            held[me] -= set(to_give(held[me], fair))
            free = set(range(partitions)) - set().union(*held.values())
            held[me] |= set(to_take(held[me], free, fair, dice.randrange(1000)))
    assert sorted(one for mine in held.values() for one in mine) == list(range(partitions))
    assert max(map(len, held.values())) <= share(partitions, workers)


def test_the_partition_of_a_path_never_changes() -> None:
    found: Mapping[str, int] = {path: partition_of(path, 16) for path in ("acme/p1", "acme/苏州/油温", "x")}
    assert found == {"acme/p1": 7, "acme/苏州/油温": 15, "x": 3}
