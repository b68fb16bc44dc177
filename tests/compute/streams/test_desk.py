"""A running desk follows the register: shadows are compared, promoted ones stored, a bad one is in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compute.streams import child
from tests.compute.streams.child import PATHS, T0

from headrace.compute.streams.cell import CellLimits
from headrace.compute.streams.desk import StreamDesk
from headrace.compute.streams.register import Register
from headrace.exchange.local import LocalBus
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Tenants
from headrace.sdk.clock import SystemClock
from headrace.sdk.tenancy import ONE_TENANT, OneTenant

SOURCE = """
from headrace.sdk.stream import stream

@stream(name="%s", version="%s", inputs={"oil": "oil"}, outputs={"total": "float64"}, window="10s", idle="10min")
def total(columns, state):
    state["all"] = state.get("all", 0.0) + sum(columns["oil"].to_pylist())
    return {"total": %s}
"""


class World:
    """A bus, a history and a desk; `publish` as the field and the pipeline would."""

    def __init__(self, store: EmbeddedStore, folder: Path, tenants: Tenants = ONE_TENANT) -> None:
        self.store, self.bus, self.register = store, LocalBus(), Register(folder / "streams")
        limits = CellLimits(seconds=4.0, stops_max=1)  # on a busy machine a good one is given its time
        clock = SystemClock()
        self.desk = StreamDesk(
            self.register, self.bus, store, self, clock, tenants=tenants, limits=limits, settle_s=0.0
        )  # fmt: skip
        self.second = 0

    async def take(self, batches: list[Batch], marks: object = None) -> None:
        await self.store.append(batches)
        await self.bus.publish(batches, stored=True)

    async def publish(self, seconds: int) -> None:
        handles = await self.store.register(PATHS[:4])
        for _ in range(seconds):
            at = T0 + self.second * SECOND_NS
            await self.take([Batch.of(ValueKind.FLOAT64, handles, at, np.full(4, 1.0))])
            self.second += 1

    def add(self, name: str, version: str, result: str, promote: bool = False) -> None:
        self.register.add(name, version, SOURCE % (name, version, result), who="mei", now_ns=T0)
        if promote:
            self.register.promote(name, version, who="mei", now_ns=T0)

    def status(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "version": version, "stage": stage.value, **asdict(run)}
            for (name, version, stage), run in self.desk.runs().items()
        ]

    def row(self, name: str, version: str) -> dict[str, Any]:
        rows = [one for one in self.status() if (one["name"], one["version"]) == (name, version)]
        return rows[0] if rows else {"running": False, "halted": False, "counters": {}}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await self.desk.look()
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        task = asyncio.create_task(self.desk.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.store.close()

    async def stored_at(self, second: int) -> float:
        """Once it is there."""
        async with asyncio.timeout(60):
            while second not in (found := await self.stored()):
                await self.desk.look()
                await asyncio.sleep(0.02)
        return found[second]

    async def stored(self, name: str = "total") -> dict[int, float]:
        """By second, of the first press."""
        handles = await self.store.register([f"hall/press-0/{name}"])
        found = {}
        async for batch in self.store.scan(handles):
            found.update(zip(((batch.source_ns - T0) // SECOND_NS).tolist(), batch.values.tolist(), strict=True))
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await child.open_history(tmp_path)
    made = World(store, tmp_path)
    yield made
    await made.close()


async def test_shadow_promote_and_roll_back(world: World) -> None:
    world.add("total", "1", "state['all']", promote=True)
    await world.until(lambda: world.row("total", "1")["running"] is True)
    await world.publish(25)
    assert await world.stored_at(20) == 20.0
    assert await world.stored() == {10: 10.0, 20: 20.0}

    world.add("total", "2", "state['all'] + 0.5")
    await world.until(lambda: any(one["running"] and one["version"] == "2" for one in world.status()))
    await world.publish(30)
    assert await world.stored_at(50) == 50.0  # the shadow stores nothing
    await world.until(lambda: (found := world.desk.difference("total", "2")) is not None and found.both == 6)
    found = world.desk.difference("total", "2")
    assert found is not None and (found.both, found.same, found.missing) == (6, 0, 4)
    assert world.desk.difference("total", "1") is None
    await world.until(lambda: world.row("total", "2")["newest_ns"] == T0 + 54 * SECOND_NS)

    world.register.promote("total", "2", who="mei", now_ns=T0)
    await world.until(lambda: [one["stage"] for one in world.status() if one["running"]] == ["active"])
    await world.publish(10)
    assert await world.stored_at(60) == 35.5  # its own state, of the 35 s since it runs as a shadow

    world.register.roll_back("total", who="mei", now_ns=T0)
    await world.until(lambda: world.row("total", "1")["running"] is True)
    await world.publish(10)
    assert await world.stored_at(70) == 70.0  # its old state, and what it missed taken up from history


async def test_a_bad_function_is_shown_and_in_nobodys_way(world: World) -> None:
    world.add("total", "1", "state['all']", promote=True)
    world.add("endless", "1", "[0.0 for _ in iter(int, 1)]", promote=True)
    world.add("broken", "1", "1 / 0", promote=True)
    world.register.add("liar", "1", SOURCE % ("other", "1", "1.0"), who="mei", now_ns=T0)
    world.register.add("nothing", "1", "x = 1", who="mei", now_ns=T0)
    await world.until(lambda: sum(bool(one["running"]) for one in world.status()) == 3)
    await world.publish(45)
    await world.until(lambda: world.row("total", "1")["counters"].get("windows") == 8)
    await world.until(lambda: "halted" in str(world.row("endless", "1")["error"]))
    await world.until(lambda: world.row("broken", "1")["counters"].get("failed") == 8)
    rows = {one["name"]: one for one in world.status()}
    assert "ZeroDivisionError" in str(rows["broken"]["error"]) and rows["endless"]["halted"] is True
    assert "no stream function named 'liar'" in str(rows["liar"]["error"])
    assert "no stream function named" in str(rows["nothing"]["error"])
    assert rows["total"]["error"] == ""


class TwoTenants(OneTenant):
    """`acme` owns what is below `hall`, until `gone`."""

    gone = False

    def names(self) -> Sequence[str]:
        return ("default", "acme")

    def roots(self, tenant: str) -> tuple[str, ...]:
        if tenant == "acme":
            return () if self.gone else ("hall",)
        return super().roots(tenant)

    def tenant_of(self, path: str) -> str:
        return "acme" if path.partition("/")[0] == "hall" and not self.gone else "default"


async def test_a_function_is_given_the_points_of_its_tenant(tmp_path: Path) -> None:
    store = await child.open_history(tmp_path)
    tenants = TwoTenants()
    world = World(store, tmp_path, tenants)
    try:
        world.add("total", "1", "state['all']", promote=True)
        world.add("acme.total", "1", "state['all']", promote=True)
        elsewhere = SOURCE.replace('window="10s"', 'window="10s", by="all", to="yard/all"')
        world.register.add("acme.all", "1", elsewhere % ("acme.all", "1", "1.0"), who="mei", now_ns=T0)
        await world.until(lambda: sum(bool(one["running"]) for one in world.status()) == 2)
        await world.until(lambda: "'yard' is not tenant 'acme''s" in world.row("acme.all", "1")["error"])
        await world.publish(25)
        await world.until(lambda: world.row("acme.total", "1")["counters"].get("windows") == 4)
        assert world.row("total", "1")["counters"]["taken"] == 0

        tenants.gone = True
        await world.desk.look()
        await world.until(lambda: world.row("total", "1")["running"] is True)
        await world.publish(25)
        await world.until(lambda: world.row("total", "1")["counters"].get("windows", 0) > 0)
        assert world.row("acme.total", "1")["counters"]["windows"] == 4  # the points are others' now
    finally:
        await world.close()
