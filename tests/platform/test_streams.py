"""Stream functions in a running platform: what an active one makes are points of the plant, from then on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Conflict
from headrace.platform.offline import open_registry, open_streams
from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk.services import SourceFile

PLANT = """\
assets: {acme: {level: enterprise}, acme/press-1: {}}
points: {acme/press-1/oil: {unit: Cel}}
"""
ALARM = """\
alarms: {"acme/press-1/oil.mean:hot": {condition: high, limit: 80}}
"""
SOURCE = """
from headrace.sdk.stream import stream

@stream(version="%s", inputs={"oil": "oil"}, outputs={"%s": "[%s]"}, window="1s")
def warm(columns):
    return {"%s": sum(columns["oil"].to_pylist()) / columns.num_rows}
"""


def source(version: str = "1", output: str = "oil.mean", unit: str = "Cel") -> str:
    return SOURCE % (version, output, unit, output)


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running(Settings(home=tmp_path / "home", commit_interval_s=0.01, alarm_tick_s=0.05)) as platform:
        await platform.registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
        yield platform


async def made(platform: Platform) -> dict[str, tuple[str, str]]:
    points = (await platform.registry.model()).points
    return {path: (one.unit, one.function) for path, one in points.items() if one.function}


async def test_its_points_come_and_go_with_it(platform: Platform) -> None:
    await platform.streams.add("wang", source())
    assert await made(platform) == {}  # a shadow stores nothing
    await platform.streams.promote("wang", "warm", "1")
    assert await made(platform) == {"acme/press-1/oil.mean": ("Cel", "warm")}
    await platform.streams.add("wang", source("2", "oil.high"))
    await platform.streams.promote("wang", "warm", "2")
    assert await made(platform) == {"acme/press-1/oil.high": ("Cel", "warm")}
    await platform.streams.roll_back("wang", "warm")
    assert await made(platform) == {"acme/press-1/oil.mean": ("Cel", "warm")}
    await platform.streams.retire("wang", "warm", "1")
    assert await made(platform) == {}


async def test_an_alarm_on_its_point_is_judged(platform: Platform) -> None:
    await platform.streams.add("wang", source())
    await platform.streams.promote("wang", "warm", "1")
    await platform.registry.apply([SourceFile("plant.yaml", PLANT + ALARM)], actor="wang")
    handle = np.array([platform.reconciler.directory.handles["acme/press-1/oil"]], np.uint32)
    async with asyncio.timeout(60):
        while not platform.alarms.current():
            await platform.pipeline.take(
                [Batch.of(ValueKind.FLOAT64, handle, platform.clock.now_ns(), np.full(1, 99.0))]
            )
            await asyncio.sleep(0.2)
    assert platform.alarms.current()[0].rule.name == "acme/press-1/oil.mean:hot"


async def test_what_is_in_its_way_is_said_before_it_starts(platform: Platform) -> None:
    with pytest.raises(Conflict, match=r"would make 'acme/press-1/oil\.high', which is declared already"):
        await platform.registry.apply(
            [SourceFile("plant.yaml", PLANT.replace("points: {", "points: {acme/press-1/oil.high: {}, "))], actor="wang"
        )
        await platform.streams.add("wang", source("2", "oil.high"))
    with pytest.raises(ConfigError, match=r"output 'oil\.mean'.*celsius"):
        await platform.streams.add("wang", source("3", unit="celsius"))
    assert await platform.streams.versions() == []


async def test_a_declaration_in_its_place_is_refused(platform: Platform) -> None:
    await platform.streams.add("wang", source())
    await platform.streams.promote("wang", "warm", "1")
    plan = await platform.registry.plan(
        [SourceFile("plant.yaml", PLANT.replace("points: {", "points: {acme/press-1/oil.mean: {}, "))]
    )
    assert "stream function 'warm' makes a point of that path" in str(plan.errors[0])


async def test_a_home_at_rest_has_them_too(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_registry(home) as registry:
        await registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
    async with open_streams(home) as streams:
        await streams.add("local", source())
        await streams.promote("local", "warm", "1")
        with pytest.raises(Conflict, match="'acme/press-1/oil', which is declared already"):
            reads = (
                source("1", "oil").replace("def warm", "def other").replace('"oil": "oil"', '"oil": "acme/*/oil.mean"')
            )
            await streams.add("local", reads)
    async with open_registry(home) as registry:
        assert (await registry.model()).points["acme/press-1/oil.mean"].function == "warm"
    async with running(Settings(home=home)) as platform:
        assert "acme/press-1/oil.mean" in platform.reconciler.directory.handles
