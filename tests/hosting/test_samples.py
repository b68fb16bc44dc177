"""Each sample reaches an app at least once, whoever is slow, stopped or killed; and none that it was not granted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.hosting.lending import Hasty
from tests.properties import drawn_seed

from headrace.exchange.local import LocalBus
from headrace.history import open_store
from headrace.history.settings import HistorySettings
from headrace.hosting.samples import PIECE_MAX, SampleFeed
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Unavailable
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore

PATHS = ["acme/a", "acme/b", "acme/c", "beta/a"]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[HistoryStore]:
    store = await open_store(tmp_path / "history", HistorySettings(), SystemClock())
    await store.register(PATHS)
    yield store
    await store.close()


class App:
    """Remembers what it was given; fails when it is told to."""

    def __init__(self) -> None:
        self.given: set[tuple[int, int]] = set()
        self.old = 0
        self.calls = 0
        self.fails = 0
        self.hold: asyncio.Event | None = None

    async def take(self, batches: Sequence[Batch], from_history: bool) -> None:
        self.calls += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.fails:
            self.fails -= 1
            raise Unavailable("killed")
        assert sum(map(len, batches)) <= PIECE_MAX
        for batch in batches:
            self.given |= set(zip(batch.handles.tolist(), batch.source_ns.tolist(), strict=True))
            self.old += len(batch) if from_history else 0


class World:
    """Samples that are published and in history, and a feed that somebody stops and starts."""

    def __init__(self, store: HistoryStore, file: Path, pending_max: int = 200_000) -> None:
        self.store, self.file, self.pending_max, self.bus = store, file, pending_max, LocalBus()
        self.clock, self.app = Hasty(), App()
        self.all: set[tuple[int, int]] = set()
        self.at = self.clock.now_ns() - HOUR_NS
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.feed = SampleFeed(
            "f", self.bus, self.store, lambda path: path.startswith("acme/"), self.file, self.clock,
            pending_max=self.pending_max, settle_s=0,
        )  # fmt: skip
        await self.feed.open()
        self._tasks = [asyncio.create_task(self.feed.pump()), asyncio.create_task(self._give())]
        await asyncio.sleep(0)

    async def _give(self) -> None:
        while True:
            try:
                await self.feed.give(self.app.take)
            except Unavailable:
                await asyncio.sleep(0)

    async def stop(self, *, keep: bool = True) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if keep:
            await self.feed.keep()
        await self.feed.close()

    async def publish(self, count: int, *, late_ns: int = 0, bus: bool = True, received_ns: int | None = None) -> None:
        """`count` samples of each point."""
        handles = np.repeat(np.arange(len(PATHS), dtype=np.uint32), count)
        times = np.tile(self.at - late_ns + np.arange(count) * SECOND_NS, len(PATHS))
        self.at += count * SECOND_NS
        received = self.clock.now_ns() if received_ns is None else received_ns
        batch = Batch.of(ValueKind.FLOAT64, handles, times, np.zeros(len(times)), 0, received)
        await self.store.append([batch])
        if bus:
            await self.bus.publish([batch])
        self.all |= {(handle, at) for handle, at in zip(handles.tolist(), times.tolist(), strict=True) if handle < 3}

    async def settled(self) -> None:
        async with asyncio.timeout(30):
            while not self.app.given >= self.all:
                await asyncio.sleep(0.01)


async def test_what_is_published_is_given_and_nothing_else(store: HistoryStore, tmp_path: Path) -> None:
    world = World(store, tmp_path / "at")
    await world.publish(5)  # before it was ever there
    before, world.all = world.all, set()
    await world.start()
    await world.publish(10)
    await world.settled()
    assert world.app.given == world.all and not world.app.given & before and world.app.old == 0
    await world.stop()


async def test_a_slow_app_gets_from_history_what_did_not_fit_and_holds_nobody(
    store: HistoryStore, tmp_path: Path
) -> None:
    world = World(store, tmp_path / "at", pending_max=100)
    await world.start()
    world.app.hold = asyncio.Event()
    for at in range(50):
        async with asyncio.timeout(5):
            await world.publish(10, late_ns=HOUR_NS if at == 7 else 0)  # late ones too
        await asyncio.sleep(0)
    world.app.hold.set()
    await world.settled()
    assert world.app.given == world.all and world.app.old > 0
    assert world.feed.from_history == world.app.old and world.feed.given >= len(world.all)
    await world.stop()


async def test_what_the_bus_dropped_is_given_from_history(store: HistoryStore, tmp_path: Path) -> None:
    world = World(store, tmp_path / "at", pending_max=100)
    world.at = world.clock.now_ns()
    await world.start()
    batches = []
    for _ in range(20):
        handles, times = np.zeros(20, np.uint32), world.at + np.arange(20) * SECOND_NS
        world.at += 20 * SECOND_NS
        batch = Batch.of(ValueKind.FLOAT64, handles, times, np.zeros(20))
        await store.append([batch])
        world.all |= {(0, int(at)) for at in times}
        batches.append(batch)
    for batch in batches:  # nothing else runs meanwhile
        publishing = world.bus.publish([batch])
        with pytest.raises(StopIteration):
            publishing.send(None)  # type: ignore[attr-defined]
    assert world.bus.counters()["f"].dropped
    await world.settled()
    await world.stop()


async def test_what_an_app_was_killed_over_is_given_to_the_next(store: HistoryStore, tmp_path: Path) -> None:
    world = World(store, tmp_path / "at")
    await world.start()
    world.app.fails = 2
    await world.publish(10)
    await world.settled()
    assert world.app.calls == 3 and world.app.old == 0
    await world.stop()


@pytest.mark.parametrize("late_ns", [0, 10 * MINUTE_NS])
async def test_what_came_while_it_was_away_is_given_afterwards(
    store: HistoryStore, tmp_path: Path, late_ns: int
) -> None:
    world = World(store, tmp_path / "at")
    await world.start()
    await world.publish(10)
    await world.settled()
    await world.stop()
    await world.publish(10, late_ns=late_ns, bus=False)
    await world.start()
    await world.publish(10)
    await world.settled()
    assert world.app.given == world.all
    await world.stop()


async def test_what_was_owed_when_it_was_stopped_is_owed_still(store: HistoryStore, tmp_path: Path) -> None:
    world = World(store, tmp_path / "at", pending_max=10)
    world.at -= 40 * HOUR_NS  # so old that history is asked for it only where it is owed
    await world.start()
    world.app.hold = asyncio.Event()
    for _ in range(5):
        await world.publish(10, received_ns=1)
        await asyncio.sleep(0.01)
    await world.stop()
    assert not world.app.given
    world.app.hold.set()
    await world.start()
    await world.settled()
    await world.stop()


@pytest.mark.seeded
@pytest.mark.parametrize("run", range(3))
async def test_whatever_fails_each_is_given_at_least_once(store: HistoryStore, tmp_path: Path, run: int) -> None:
    seed = drawn_seed() + run
    print("seed", seed)
    chance = random.Random(seed)
    world = World(store, tmp_path / "at", pending_max=chance.choice([30, 200, 5_000]))
    await world.start()
    for _ in range(80):
        match chance.randrange(6):
            case 0:
                world.app.fails = chance.randrange(4)
            case 1:
                await world.stop(keep=chance.random() < 0.5)
                for _ in range(chance.randrange(3)):
                    await world.publish(chance.randrange(1, 20), bus=False)
                await world.start()
            case 2:
                await asyncio.sleep(chance.random() * 0.01)
            case _:
                await world.publish(chance.randrange(1, 30), late_ns=chance.choice([0, 0, 5 * MINUTE_NS]))
    await world.settled()
    assert world.app.given <= world.all
    await world.stop()


async def test_a_position_that_is_damaged_begins_anew(store: HistoryStore, tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"until_ns": "x", "owed": {}}', '{"until_ns": 1}', '{"until_ns": 1, "owed": 5}'):
        (tmp_path / "at").write_text(text)
        world = World(store, tmp_path / "at")
        await world.start()
        await world.publish(1)
        await world.settled()
        assert world.app.given == world.all
        await world.stop()
