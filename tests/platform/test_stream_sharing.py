"""A platform feeds workers over a real NATS JetStream and takes what they make: a worker is killed in the middle of its
windows, the server goes away and comes back, and history has what a run on the hub would have given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.nats_server import Server
from tests.platform.test_stream_worker import (
    ASSETS,
    PARTITIONS,
    PATHS,
    SOURCE,
    T0,
    Told,
    samples,
    server,
    settings_of,
    start,
    undisturbed,
    until,
)

from headrace.exchange.nats_work import SharedWork
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError
from headrace.model.time import SECOND_NS
from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.platform.stream_sharing import label_of, of_label
from headrace.sdk.services import SourceFile

__all__ = ["server"]

PLANT = "assets:\n  hall: {level: site}\n" + "".join(f"  hall/press-{at}: {{}}\n" for at in range(ASSETS))
PLANT += "points:\n" + "".join(f"  {path}: {{}}\n" for path in PATHS)


@pytest.fixture
def settings(tmp_path: Path, server: Server) -> Settings:
    return Settings(home=tmp_path / "home", commit_interval_s=0.01, stream_work=settings_of(server))


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    async with running(settings) as platform:
        yield platform


async def begin(platform: Platform) -> None:
    await platform.registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
    await platform.streams.add("wang", SOURCE, on="workers")
    await platform.streams.promote("wang", "wear", "1")
    async with asyncio.timeout(60):
        while not (await row(platform)).running:
            await asyncio.sleep(0.05)


async def row(platform: Platform) -> Any:
    (one,) = await platform.streams.versions()
    return one.run or type("Nothing", (), {"running": False})


async def publish(platform: Platform, batches: list[Batch]) -> None:
    numbers = np.array([platform.reconciler.directory.handles[path] for path in PATHS], np.uint32)
    for one in batches:
        await platform.bus.publish(
            [Batch(one.kind, numbers[one.handles], one.source_ns, one.received_ns, one.values, one.quality)]
        )
        await asyncio.sleep(0.005)


async def stored(platform: Platform) -> Told:
    found: Told = {}
    paths = platform.store.paths()
    wanted = [at for at, path in paths.items() if path.endswith(("/wear", "/seen"))]
    if wanted:
        async for batch in platform.store.scan(np.array(wanted, np.uint32)):
            columns = (batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist())
            found |= {(paths[handle], at): value for handle, at, value in zip(*columns, strict=True)}
    return found


async def until_stored(platform: Platform, expected: Told) -> None:
    missing: set[tuple[str, int]] = set()
    try:
        async with asyncio.timeout(75):
            while missing := expected.keys() - (await stored(platform)).keys():
                await asyncio.sleep(0.2)
    except TimeoutError:
        first = sorted((path, (at - T0) // SECOND_NS) for path, at in missing)
        raise AssertionError(f"{len(missing)} of {len(expected)} in vain, {first[:9]}, {await row(platform)}") from None


def expected_of(batches: list[Batch]) -> Told:
    space: dict[str, Any] = {}
    exec(SOURCE, space)
    return undisturbed(batches, space["wear"])


async def test_a_worker_is_killed_and_the_server_goes_away(platform: Platform, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "wear.py"
    file.write_text(SOURCE)
    batches = samples(3)
    expected = expected_of(batches)
    await begin(platform)
    workers = [await start(server, file) for _ in range(2)]
    try:
        await publish(platform, batches[:40])
        async with asyncio.timeout(120):
            while len(await stored(platform)) < 100:
                await asyncio.sleep(0.1)
        workers[0].kill()
        await publish(platform, batches[40:70])
        await server.kill()
        await publish(platform, batches[70:100])  # nobody waits for who is not there
        await server.start()
        await publish(platform, batches[100:])
        await until_stored(platform, expected)
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    assert await stored(platform) == expected
    point = (await platform.registry.model()).points["hall/press-3/seen"]
    assert (point.kind, point.function) == (ValueKind.INT64, "wear")
    assert (await row(platform)).counters["outputs"] >= len(expected)


async def test_what_came_while_there_was_no_server_is_given_after_a_restart(settings: Settings, server: Server) -> None:
    batches = samples(4)
    async with running(settings) as platform:
        await begin(platform)
        await publish(platform, batches[:20])
        await until(lambda: True)
        await server.kill()
        await publish(platform, batches[20:60])
    await server.start()
    async with running(settings) as platform:
        await publish(platform, batches[60:])
        assert await heard(settings, sum(map(len, batches))) == {
            (PATHS[handle], at): value
            for one in batches
            for handle, at, value in zip(one.handles.tolist(), one.source_ns.tolist(), one.values.tolist(), strict=True)
        }


async def heard(settings: Settings, count: int) -> Told:
    """What was given, from the beginning."""
    found: Told = {}
    assert settings.stream_work is not None
    async with SharedWork.connect(settings.stream_work, name="reader") as shared, asyncio.timeout(120):
        from headrace.exchange.nats_work import Partition

        partitions = [Partition(shared, "reader", number) for number in range(PARTITIONS)]
        feeds = [(one, one.pieces("", 0)) for one in partitions]
        while len(found) < count:
            for one, feed in feeds:
                piece = await anext(feed)
                for batch in piece.batches:
                    columns = (batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist())
                    found |= {
                        (one.paths()[handle], at): value
                        for handle, at, value in zip(*columns, strict=True)
                        if one.paths()[handle] in PATHS
                    }
    return found


async def test_results_of_another_source_or_for_another_point_are_not_taken(platform: Platform) -> None:
    await begin(platform)
    (version,) = await platform.streams.versions()
    admit = platform_desk(platform).elsewhere.admit
    batch = Batch.of(ValueKind.FLOAT64, np.zeros(1, np.uint32), T0, np.ones(1))
    good = (version.name, version.version, version.sha256)
    assert len(await admit(*good, {0: "hall/press-1/wear"}, [batch])) == 1
    for label, path in (
        (("wear", "1", "0" * 64), "hall/press-1/wear"),
        (("wear", "2", version.sha256), "hall/press-1/wear"),
        (good, "hall/press-1/oil"),
        (good, "hall/press-1/seen"),  # of another kind
        (good, "hall//wear"),
    ):
        assert await admit(*label, {0: path}, [batch]) == []
    await platform.streams.add("wang", SOURCE.replace("@stream(", '@stream(version="2", '), on="workers")
    await until(lambda: len(platform_desk(platform).elsewhere.runs()) == 2)
    two = (await platform.streams.versions())[1]
    assert await admit("wear", "2", two.sha256, {0: "hall/press-1/wear"}, [batch]) == []  # aside: a shadow
    difference = await platform.streams.difference("wear", "2")
    assert difference is not None and (difference.both, difference.same) == (1, 1)


def platform_desk(platform: Platform) -> Any:
    return platform.streams._runs


async def test_without_a_server_that_is_what_it_says(tmp_path: Path) -> None:
    async with running(Settings(home=tmp_path / "home")) as platform:
        await platform.streams.add("wang", SOURCE, on="workers")
        await until(lambda: platform_desk(platform).runs())
        (one,) = await platform.streams.versions()
        assert one.on == "workers" and one.run is not None and "--stream-nats" in one.run.error
        await platform.streams.place("wang", "wear", "1", "hub", "no server here")
        async with asyncio.timeout(60):
            while (run := (await platform.streams.versions())[0].run) is None or not run.running or run.error:
                await asyncio.sleep(0.1)
        every = SOURCE.replace('join="asof"', 'by="all", to="hall", join="asof"').replace("def wear", "def whole")
        with pytest.raises(ConfigError, match="one process has to see it all"):
            await platform.streams.add("wang", every, on="workers")
        told = [one.act for one in await platform.streams.acts()]
        assert told == ["add", "place"]


@pytest.mark.parametrize("name", ["wear", "acme.wear", "磨损", "a b"])
def test_labels(name: str) -> None:
    assert of_label(label_of(name, "1", "ab")) == (name, "1", "ab")
    assert label_of(name, "1", "ab").isascii()
    assert of_label("") == ("", "", "")
