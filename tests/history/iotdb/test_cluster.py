"""Three nodes of each kind: what was acknowledged outlives the death of a node, and work goes on meanwhile."""

import asyncio
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.properties import drawn_seed
from tests.services import require_service
from tools import iotdb

from headrace.history.iotdb import IotdbStore, open_iotdb
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import BASE_NS, everything

POINTS = 30
SEED = drawn_seed()


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[iotdb.Cluster]:
    require_service("Apache IoTDB", iotdb.jars() is not None, iotdb.HOW)
    with iotdb.Cluster(tmp_path_factory.mktemp("iotdb3"), nodes=3) as cluster:
        yield cluster


class Load:
    """Appends until told to stop, and remembers what was acknowledged: the newest value of each (point, time)."""

    def __init__(self, store: IotdbStore, seed: int) -> None:
        self._store, self._random = store, random.Random(seed)
        self.acknowledged: dict[tuple[int, int], float] = {}
        self.batches = 0
        self._stopping = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._stopping = True
        await self._task

    async def _run(self) -> None:
        while not self._stopping:
            # Mostly now, at times late and again: the newest write of an equal time must win.
            second = self.batches if self._random.random() < 0.8 else self._random.randrange(self.batches + 1)
            value = float(self.batches)
            times = np.full(POINTS, BASE_NS + second * SECOND_NS)
            await self._store.append(
                [Batch.of(ValueKind.FLOAT64, np.arange(POINTS), times, np.full(POINTS, value))]
            )  # fmt: skip
            for handle in range(POINTS):
                self.acknowledged[handle, int(times[0])] = value
            self.batches += 1

    async def more(self, count: int) -> None:
        goal = self.batches + count
        while self.batches < goal:
            if self._task.done():
                await self._task  # raises what ended it
            await asyncio.sleep(0.02)


async def stored(store: IotdbStore) -> dict[tuple[int, int], float]:
    batch = (await everything(store, np.arange(POINTS, dtype=np.uint32)))[ValueKind.FLOAT64]
    keys = list(zip(batch.handles.tolist(), batch.source_ns.tolist(), strict=True))
    assert len(keys) == len(set(keys))
    return dict(zip(keys, batch.values.tolist(), strict=True))


async def suffer(cluster: iotdb.Cluster, database: str, seed: int, deaths: int) -> None:
    print(f"seed {seed}")
    choose, began = random.Random(seed), time.monotonic()
    store = await open_iotdb(cluster.settings(database), SystemClock())
    try:
        assert (await store.stats()).extra["replicas"] == 3
        await store.register([f"p{n}" for n in range(POINTS)])
        load = Load(store, seed)
        await load.more(20)
        for death in range(deaths):
            role: iotdb.Role = "config" if death % 2 else "data"
            number = choose.randint(1, 3)
            print(f"{time.monotonic() - began:.0f} s, after {load.batches} batches: kill -9 {role} node {number}")
            await asyncio.to_thread(cluster.kill, number, role)
            await load.more(30)
            known = dict(load.acknowledged)
            found = await stored(store)  # values only grow, so a newer write may have come meanwhile, never an older
            assert [key for key, value in known.items() if not found.get(key, -1.0) >= value] == []
            print(f"{time.monotonic() - began:.0f} s, after {load.batches} batches: all there; restart")
            await asyncio.to_thread(cluster.restart, number, role)
            await load.more(10)
        await load.stop()
        assert await stored(store) == load.acknowledged
    finally:
        await store.close()
    again = await open_iotdb(cluster.settings(database), SystemClock())
    try:
        assert await stored(again) == load.acknowledged
    finally:
        await again.close()


@pytest.mark.timeout(300)
async def test_the_death_of_a_node_loses_nothing(three_nodes: iotdb.Cluster) -> None:
    await suffer(three_nodes, "once", SEED, deaths=2)


@pytest.mark.soak
async def test_many_deaths_lose_nothing(three_nodes: iotdb.Cluster) -> None:
    await suffer(three_nodes, "often", SEED, deaths=20)
