"""A hub with two firms, `acme` and `beta`, that look alike but for their names; and a plant of the platform's own.

The access desk, the historian, SQL, the live table and the registers are the real ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.api.fakes import (
    T0,
    FakeAlarms,
    FakeCommands,
    FakeLinks,
    FakeRegistry,
    World,
    apps,
    plant,
    registers,
    streams,
)
from tests.databases import sqlite_engine
from tests.hosting.house import House, write_app

from headrace.access import audit_tables
from headrace.access.desk import AccessDesk
from headrace.access.factor_tables import metadata as factor_tables
from headrace.access.passwords import Hasher
from headrace.access.roles import RIGHTS
from headrace.access.tables import metadata
from headrace.api import ApiSettings, Services, create_app
from headrace.history import HistorySettings, open_store
from headrace.hosting.releases import read_folder
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.model.batch import Batch
from headrace.model.plant import PlantModel
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Principal
from headrace.sdk.apps.app import METHODS
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.field import LinkCounters, LinkState, LinkStatus
from headrace.sdk.fleet import NewDevice
from headrace.sdk.services import AlarmRecord

PASSWORD = "four brown presses hum"
LOCAL = Principal("local", "owner", "local")
FIRMS = ("acme", "beta")
OURS = {"X-Headrace": "1"}
ROLES = tuple(RIGHTS)
ROUTES = [[method, "/count", "view"] for method in METHODS]
VIEW = """
[permissions]
read = ["*/suzhou/**"]
[settings.limit]
kind = "number"
[[pages]]
name = "line"
file = "pages/line.js"
title = "Line"
[[pages]]
name = "day"
file = "pages/day.toml"
kind = "widgets"
title = "Day"
"""
DAY = '[[rows]]\n[[rows.widgets]]\nkind = "number"\nsource = "/count"\nvalue = "n"\n'
PAGES = {"pages/line.js": "export {}", "pages/day.toml": DAY}


def rooted(model: PlantModel, root: str) -> PlantModel:
    """The plant of the other tests, below another root, with a connection by that firm's name."""

    def moved(path: str) -> str:
        return root + path.removeprefix("acme")

    prefix = "" if root == "own" else f"{root}."
    connections = {f"{prefix}{name}": replace(one, name=f"{prefix}{name}") for name, one in model.connections.items()}
    points = {}
    for point in model.points.values():
        source = point.source and replace(point.source, connection=f"{prefix}{point.source.connection}")
        points[moved(point.path)] = replace(point, path=moved(point.path), source=source)
    rules = {
        moved(one.name): replace(one, name=moved(one.name), point=moved(one.point), message={"en": f"{root} is hot"})
        for one in model.alarms.values()
    }
    assets = {
        moved(asset.path): replace(asset, path=moved(asset.path), title={"en": f"{root} {asset.title.get('en', '')}"})
        for asset in model.assets.values()
    }
    return PlantModel(1, model.types, connections, assets, points, rules)


def merged(*models: PlantModel) -> PlantModel:
    def together(kind: str) -> Any:
        return {key: one for model in models for key, one in getattr(model, kind).items()}

    return PlantModel(1, *(together(kind) for kind in ("types", "connections", "assets", "points", "alarms")))


class Links(FakeLinks):
    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names = names

    def status(self) -> list[LinkStatus]:
        counters = LinkCounters(connects=1, samples=6, last_sample_ns=T0)
        return [LinkStatus(name, "modbus", LinkState.CONNECTED, T0, 1, "", None, counters) for name in self._names]

    def _known(self, connection: str) -> None:
        if connection not in self._names:
            super()._known(connection)


@dataclass
class Hub:
    world: World
    access: AccessDesk
    app: Any
    services: Services
    tokens: dict[str, str]
    """`<tenant>.<role>` to a token of that role."""
    apps: House

    def as_(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    async def owner(self, tenant: str) -> Principal:
        return await self.access.by_token(self.tokens[f"{tenant}.owner"])


async def bring(house: House, name: str) -> None:
    """An app that is that firm's by its name, with a page, a setting and routes."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_app(
            Path(folder), more=VIEW, name=name, files=PAGES, routes=ROUTES
        )  # fmt: skip
        files = read_folder(written)
    await house.desk.install_local(LOCAL, house.leave(files), "")


async def take_in(house: House, name: str, owner: Principal) -> None:
    await bring(house, name)
    await house.desk.enable(owner, name, "1.0.0", {"limit": 80})


@asynccontextmanager
async def hub(tmp_path: Path, clock: Clock | None = None) -> AsyncIterator[Hub]:
    world = await World.make()
    model = merged(*(rooted(plant(), root) for root in ("own", *FIRMS)))
    registry, alarms = FakeRegistry(model), FakeAlarms(model)
    for name, rule in model.alarms.items():
        alarms.records[name] = AlarmRecord(rule, AlarmState.UNACK_ACTIVE, 81.5, T0)
        alarms.steps.append(AlarmTransition(name, AlarmAction.RAISED, AlarmState.UNACK_ACTIVE, T0, 81.5))
    engine = sqlite_engine(tmp_path / "access.db", metadata, factor_tables, audit_tables.metadata)
    access = AccessDesk(engine, clock or SystemClock(), hasher=Hasher(time_cost=1, memory_kib=8))
    tokens = {}
    for tenant in ("default", *FIRMS):
        actor = LOCAL
        if tenant != "default":
            await access.create_tenant(LOCAL, tenant, tenant.title(), [tenant], separate_duties=False)
            actor = Principal("local", "owner", "local", tenant)
        for role in ROLES:
            tokens[f"{tenant}.{role}"] = (await access.create_token(actor, role, role))[1]
    store = await open_store(tmp_path / "history", HistorySettings(), SystemClock())
    try:
        paths = sorted(model.points)
        handles = dict(zip(paths, (await store.register(paths)).tolist(), strict=True))
        batches = []
        for path, handle in handles.items():
            kind, count = model.points[path].kind, 600
            values = np.array([path] * count) if kind.label == "text" else np.arange(count)
            times = T0 + np.arange(count, dtype=np.int64) * SECOND_NS
            numbers = np.full(count, handle, np.uint32)
            batches.append(Batch.of(kind, numbers, times, values.astype(kind.dtype), 0, times))
        await store.append(batches)
        world.live.update(batches)
        world.registry, world.handles = registry, handles
        devices, edges = registers(registry, access, access.tenancy)
        for firm in FIRMS:
            await devices.add("local", NewDevice(f"{firm}.meter", publish=(f"{firm}/#",)), tenant=firm)
            await edges.invite("local", f"{firm}.edge", f"{firm}/suzhou", tenant=firm)
        functions = streams(access, access.tenancy)
        for firm in FIRMS:
            await functions.add("local", f"{firm}.wear 1", tenant=firm)
        house = apps(access, access, access.tenancy, registry)
        for firm in FIRMS:
            await bring(house, f"{firm}.spare")
            await take_in(house, f"{firm}.view", Principal(f"{firm}.owner", "owner", "local", firm))
        services = replace(
            world.services,
            registry=registry,
            store=store,
            alarms=alarms,
            commands=FakeCommands(registry),
            links=Links(list(model.connections)),
            access=access,
            audit=access,
            trail=access.trail,
            devices=devices,
            edges=edges,
            streams=functions,
            apps=house.desk,
            clock=clock or SystemClock(),
        )
        yield Hub(world, access, create_app(services, ApiSettings(console_dir=tmp_path)), services, tokens, house)
    finally:
        await store.close()
        engine.dispose()
