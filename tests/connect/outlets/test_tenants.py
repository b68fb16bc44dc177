"""An outlet sends what is its tenant's: whatever its declaration asks for, of others it hears nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from tests.firms import two

from headrace.connect.outlets.supervisor import OutletSupervisor, OutletSurroundings
from headrace.exchange.local import LocalBus
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import AccessError
from headrace.model.events import Event
from headrace.model.outlets import Outlet
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.access import Principal
from headrace.sdk.outlet import OutletContext, OutletType, View
from headrace.sdk.testing.outlet import Doors

PATHS = ("acme/p/oil", "acme-labs/oil", "betaworks/p/oil", "ours/oil")
HANDLES = {path: at for at, path in enumerate(PATHS)}
OWN = {"acme.out": {"acme/p/oil", "acme-labs/oil"}, "beta.out": {"betaworks/p/oil"}, "out": {"ours/oil"}}
EVENTS = [
    Event("1", "alarms", "alarm.raised", "acme/p/oil", 1),
    Event("2", "control", "command.confirmed", "betaworks/p/oil", 1),
    Event("3", "edge/acme.e/alarms", "alarm.raised", "acme-labs/oil", 1),
    Event("4", "connect", "connection.lost", "beta.plc", 1),
    Event("5", "edge/acme.e/connect", "connection.lost", "acme.plc", 1),
    Event("6", "outlet", "outlet.lost", "acme.out", 1),
    Event("7", "connect", "connection.lost", "plc", 1),
    Event("8", "alarms", "alarm.raised", "ours/oil", 1),
]


class Settings(BaseModel): ...


class Taker:
    """An outlet of every declaration; keeps whose it was."""

    def __init__(self) -> None:
        self.samples: dict[str, set[str]] = {}
        self.events: dict[str, list[str]] = {}
        self.views: dict[str, set[str]] = {}
        self.contexts: dict[str, OutletContext] = {}

    def open(self, _: Any, context: OutletContext) -> _Session:
        self.contexts[context.outlet] = context
        return _Session(self, context.outlet)


class _Session:
    def __init__(self, taker: Taker, name: str) -> None:
        self._taker, self._name = taker, name

    async def open(self, view: View) -> None:
        self._taker.views[self._name] = {point.path for point in view.points.values()}

    async def send(self, batches: Sequence[Batch]) -> int:
        got = {PATHS[handle] for batch in batches for handle in batch.handles.tolist()}
        self._taker.samples.setdefault(self._name, set()).update(got)
        return 0

    async def send_events(self, events: Sequence[Event]) -> int:
        self._taker.events.setdefault(self._name, []).extend(one.id for one in events if len(one.id) == 1)
        return 0

    async def close(self) -> None: ...


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(folder: Path, taker: Taker, outlets: Sequence[Outlet]) -> Any:
    bus = LocalBus()
    kind = OutletType("taker", "Takes all", Settings, taker.open, events=True)
    around = OutletSurroundings(
        bus, Doors().context(folder), bus.publish_events, folder, random.Random(1), tenants=two()
    )  # fmt: skip
    supervisor = OutletSupervisor({"taker": kind}, around)
    plant = PlantModel(
        points={path: Point(path, ValueKind.FLOAT64) for path in PATHS}, outlets={one.name: one for one in outlets}
    )
    await supervisor.reconcile(plant, HANDLES)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: len(taker.views) == len(outlets))
    yield bus
    supervisor.stop()
    await task


def batch() -> Batch:
    return Batch.of(ValueKind.FLOAT64, list(range(len(PATHS))), [5] * len(PATHS), np.ones(len(PATHS)), 0, 5)


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 4.1")
@pytest.mark.parametrize("points", [(), PATHS, ("acme", "acme-labs", "betaworks", "ours")])
async def test_an_outlet_of_everything_sends_what_is_its_tenants(tmp_path: Path, points: tuple[str, ...]) -> None:
    taker = Taker()
    outlets = [Outlet(name, "taker", {}, points=points) for name in OWN]
    async with running(tmp_path, taker, outlets) as bus:
        await bus.publish([batch()])
        await bus.publish_events(EVENTS)
        await until(lambda: len(taker.samples) == 3 and sum(map(len, taker.events.values())) >= len(EVENTS))
    assert taker.views == OWN and taker.samples == OWN
    assert {name: sorted(ids) for name, ids in taker.events.items()} == {
        "acme.out": ["1", "3", "5", "6"], "beta.out": ["2", "4"], "out": ["7", "8"],
    }  # fmt: skip


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
async def test_an_outlet_shows_itself_to_accounts_of_its_tenant(tmp_path: Path) -> None:
    taker = Taker()
    async with running(tmp_path, taker, [Outlet("acme.out", "taker", {})]):
        may_view = taker.contexts["acme.out"].may_view
        somebody = Principal("wang", "viewer", "token", "acme")
        may_view(somebody)
        for tenant in ("beta", "default"):
            with pytest.raises(AccessError):
                may_view(replace(somebody, tenant=tenant))
