"""Workers over a real NATS JetStream share a function; one of three is killed in the middle of its windows, and what
comes out is what one that was never disturbed gives.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.nats_server import Server, running

from headrace.compute.streams.engine import Engine
from headrace.compute.streams.placing import check_shared
from headrace.exchange.nats import NatsBus, NatsSettings
from headrace.exchange.nats_work import Partition, SharedWork
from headrace.exchange.partitions import partition_of
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Conflict
from headrace.model.packing import unpack
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.stream import StreamFunction, reduced

SOURCE = """
from headrace.sdk.stream import sliding, stream

@stream(inputs={"oil": "oil", "speed": "speed"}, outputs={"wear": "float64", "seen": "int64"},
        window=sliding("10s", every="5s"), join="asof", lateness="3s", idle="1h")
def wear(columns, state):
    state["wear"] = state.get("wear", 0.0) * 0.99 + float(columns["oil"].to_numpy().sum())
    state["seen"] = state.get("seen", 0) + columns.num_rows
    return {"wear": state["wear"], "seen": state["seen"]}
"""
T0 = 1_700_000_000 * SECOND_NS // HOUR_NS * HOUR_NS
PARTITIONS, ASSETS, SECONDS = 6, 18, 240
PATHS = [f"hall/press-{asset}/{name}" for asset in range(ASSETS) for name in ("oil", "speed")]
Told = dict[tuple[str, int], float]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "nats") as server:
        yield server


def settings_of(server: Server, **other: Any) -> NatsSettings:
    return NatsSettings((server.url,), stream="PLANT", subject="plant", partitions=PARTITIONS, **other)


def samples(seed: int) -> list[Batch]:
    """In an order of their own within lateness, cut anywhere."""
    random = np.random.default_rng(seed)
    second = np.repeat(np.arange(SECONDS), len(PATHS))
    order = np.argsort(second + random.uniform(0, 2.5, len(second)), kind="stable")
    handles = np.tile(np.arange(len(PATHS), dtype=np.uint32), SECONDS)[order]
    every = Batch.of(
        ValueKind.FLOAT64, handles, T0 + second[order] * SECOND_NS, random.normal(60, 5, len(second))[order]
    )
    cuts = np.sort(random.integers(1, len(every), 120))
    return [every.take(slice(start, end)) for start, end in zip([0, *cuts], [*cuts, len(every)], strict=True)]


def undisturbed(batches: list[Batch], function: StreamFunction) -> Told:
    """One engine a partition, in this process."""
    found: Told = {}
    for partition in range(PARTITIONS):
        engine = Engine(function)
        mine = [at for at, path in enumerate(PATHS) if partition_of(path.rpartition("/")[0], PARTITIONS) == partition]
        engine.bind({at: PATHS[at] for at in mine})
        for batch in batches:
            for made in engine.take([batch]):
                for which, at, value in zip(made.which, made.time_ns.tolist(), made.values.tolist(), strict=True):
                    found[made.paths[which], at] = value
    return found


class Made:
    """What workers told, as history would have it: an equal point and time is written over."""

    def __init__(self) -> None:
        self.told: Told = {}
        self.differed = 0

    async def read(self, settings: NatsSettings) -> None:
        async with NatsBus.client_of(settings, "reader") as client:
            subscription = await client.jetstream().subscribe("plant.made.*", ordered_consumer=True)
            async for message in subscription.messages:
                packed = unpack(message.data)
                for batch in packed.batches:
                    columns = (batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist())
                    for handle, at, value in zip(*columns, strict=True):
                        self.differed += self.told.get((packed.paths[handle], at), value) != value
                        self.told[packed.paths[handle], at] = value


async def start(server: Server, file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headrace", "stream", "worker", str(file), "--nats", server.url, "--stream", "PLANT",
        "--partitions", str(PARTITIONS), "--lease", "1s", "--keep", "300",
    )  # fmt: skip


async def until(holds: Any, why: Any = lambda: "") -> None:
    try:
        async with asyncio.timeout(120):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {why()}") from None


@pytest.mark.parametrize("seed", [1, 2])
async def test_one_of_three_is_killed_and_nothing_differs(server: Server, tmp_path: Path, seed: int) -> None:
    file = tmp_path / "wear.py"
    file.write_text(SOURCE)
    space: dict[str, Any] = {}
    exec(SOURCE, space)
    batches = samples(seed)
    expected = undisturbed(batches, space["wear"])
    made, settings = Made(), settings_of(server)
    workers: list[asyncio.subprocess.Process] = []
    async with SharedWork.connect(settings, name="plant", path_of=PATHS.__getitem__) as shared:
        reading = asyncio.create_task(made.read(settings))
        try:
            workers += [await start(server, file) for _ in range(3)]
            for batch in batches[:50]:
                await shared.publish([batch])
            await until(lambda: len(made.told) > 200, lambda: len(made.told))
            workers[seed % 3].kill()
            for batch in batches[50:]:
                await shared.publish([batch])
            await until(lambda: expected.keys() <= made.told.keys(), lambda: (len(made.told), len(expected)))
        finally:
            for worker in workers:
                if worker.returncode is None:
                    worker.kill()
                await worker.wait()
            reading.cancel()
    assert made.differed == 0  # what was told twice was told the same
    assert made.told == expected


async def test_a_worker_that_lost_its_partition_does_not_put_back_an_old_state(server: Server) -> None:
    async with SharedWork.connect(settings_of(server), name="plant") as shared:
        paused, other = Partition(shared, "wear", 0), Partition(shared, "wear", 0)
        assert await paused.read() is None
        await paused.write(b"one")
        assert await other.read() == b"one"
        await other.write(b"two")
        with pytest.raises(Conflict, match="another worker has partition 0"):
            await paused.write(b"old")
        assert await paused.read() == b"two"
        await paused.write(b"x" * 3_000_000)  # more than one message holds
        assert await other.read() == b"x" * 3_000_000


async def test_all_use_one_number_of_partitions(server: Server) -> None:
    async with SharedWork.connect(settings_of(server), name="plant"):
        pass
    wrong = NatsSettings((server.url,), stream="PLANT", subject="plant", partitions=PARTITIONS + 1)
    with pytest.raises(Conflict, match="6 partitions"):
        async with SharedWork.connect(wrong, name="plant"):
            pass


def test_what_has_to_see_everything_is_not_shared() -> None:
    every = reduced(
        "all", {"mean": ("oil", "mean", "")}, inputs={"oil": "oil"}, window="10s", by="all", to="hall"
    )  # fmt: skip
    with pytest.raises(ConfigError, match="one process has to see it all"):
        check_shared(every)
