"""The registers in a running platform: what is declared for an edge goes there, and its link is part of the plant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk.edges import LinkQuality
from headrace.sdk.fleet import DeviceChange, NewDevice
from headrace.sdk.services import SourceFile
from headrace.sdk.testing.edges import PEER, request_for

PLANT = """\
connections:
  here: {driver: modbus, settings: {host: 127.0.0.1, port: 9}, enabled: false}
  there: {driver: modbus, settings: {host: 192.0.2.1}, edge: suzhou}
assets: {acme: {level: enterprise}, acme/suzhou: {level: site}}
points:
  acme/suzhou/speed: {connection: there, address: {table: holding, address: 1}}
  acme/suzhou/power: {connection: here, address: {table: holding, address: 1}}
alarms:
  system/edges/suzhou/latency:slow: {condition: high, limit: 200}
"""


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running(Settings(home=tmp_path / "home", commit_interval_s=0.01, alarm_tick_s=0.05)) as platform:
        yield platform


async def enrol(platform: Platform) -> None:
    _, token = await platform.edges.invite("wang", "suzhou", "acme/suzhou")
    edge, _ = await platform.edges.door.enrol(token, request_for("suzhou"), PEER)
    await platform.edges.door.admit(edge.certificate)


@pytest.mark.clause("62443-3-3 SR 5.4")
async def test_what_an_edge_runs_is_not_dialled_here(platform: Platform) -> None:
    await enrol(platform)
    await platform.registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
    assert [one.connection for one in platform.links.status()] == ["here"]
    desired = platform.edges.desk.desired("suzhou")
    assert desired is not None and desired.revision == 1
    assert "there" in desired.files["plant.yaml"] and "power" not in desired.files["plant.yaml"]
    assert platform.edges.get("suzhou").points == 1
    moved = PLANT.replace(", edge: suzhou", ", enabled: false")
    await platform.registry.apply([SourceFile("plant.yaml", moved)], actor="wang")
    assert [one.connection for one in platform.links.status()] == ["here", "there"]
    assert platform.edges.desk.desired("suzhou").files == {}  # type: ignore[union-attr]


async def test_the_quality_of_a_link_is_history_and_raises_alarms(platform: Platform) -> None:
    await enrol(platform)
    await platform.registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
    now_ns = platform.clock.now_ns()
    poor = LinkQuality(now_ns, True, 900.0, 5.0, 0.1, 1e3, 10.0, 0, 0, 0.0, 1.0, now_ns)
    platform.edges.desk.measured("suzhou", poor)
    handle = np.array([platform.reconciler.directory.handles["system/edges/suzhou/latency"]], np.uint32)
    async with asyncio.timeout(20):
        while not (found := await platform.store.latest(handle)) or not platform.alarms.current():
            await asyncio.sleep(0.02)
    assert found[0].values.tolist() == [900.0] and found[0].source_ns.tolist() == [now_ns]
    assert [one.rule.name for one in platform.alarms.current()] == ["system/edges/suzhou/latency:slow"]


async def test_a_device_of_an_edges_part_of_the_plant_is_told_to_its_gateway(platform: Platform) -> None:
    await enrol(platform)
    gate = '  gate: {driver: gateway, edge: suzhou, settings: {listen: "127.0.0.1:0", payload: {kind: raw}}}'
    await platform.registry.apply([SourceFile("plant.yaml", PLANT.replace("assets:", f"{gate}\nassets:"))], actor="w")
    await platform.devices.add("wang", NewDevice("elsewhere"))
    _, secret = await platform.devices.add("wang", NewDevice("press-7"))
    first = platform.edges.desk.desired("suzhou")
    assert first is not None and first.devices == "[]" and secret is not None
    await platform.devices.change("wang", "press-7", DeviceChange(asset="acme/suzhou"))
    async with asyncio.timeout(20):
        while (told := platform.edges.desk.desired("suzhou")) is None or told.revision == first.revision:
            await asyncio.sleep(0.05)
    assert '"press-7"' in told.devices and "elsewhere" not in told.devices and secret not in told.devices


async def test_a_restart_finds_edges_devices_and_their_points(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    async with running(settings) as platform:
        await enrol(platform)
        await platform.registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
        await platform.devices.add("wang", NewDevice("press-7"))
    async with running(settings) as platform:
        assert platform.devices.get("press-7").created_by == "wang"
        assert "system/edges/suzhou/latency" in (await platform.registry.model()).points
        assert "system/edges/suzhou/latency:slow" in (await platform.registry.model()).alarms
        assert platform.edges.desk.desired("suzhou").revision == 1  # type: ignore[union-attr]
