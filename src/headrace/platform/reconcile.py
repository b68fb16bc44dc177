"""Desired state meets actual state: idempotent, in any order, after any restart.

PlantModel ──► history.register ──► handle of each path ──► history.retain(classes, handles of each)
    ├──► alarms.configure(rules, handles)
    ├──► calculations.configure(calculations, points, handles)
    ├──► outlets.reconcile(model, handles)
    ├──► people.configure(model)            who is told of alarms; before the alarms are, so that none is missed
    └──► connect.bind ──► links.reconcile(connections, bindings)      but for those that an edge runs
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from headrace.connect.binding import bind
from headrace.model.alarms import AlarmRule
from headrace.model.calculations import Calculation
from headrace.model.plant import Connection, PlantModel
from headrace.model.points import Point
from headrace.registry import Revision, TenantRegistries
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.driver import DriverType, PointBinding
from headrace.sdk.services import Plan, SourceFile
from headrace.sdk.store import Retaining, SampleStore

log = logging.getLogger(__name__)


class AlarmSink(Protocol):
    async def configure(self, rules: Mapping[str, AlarmRule], handles: Mapping[str, int]) -> object: ...


class PeopleSink(Protocol):
    async def configure(self, plant: PlantModel) -> None: ...


class CalculationSink(Protocol):
    async def configure(
        self, calculations: Mapping[str, Calculation], points: Mapping[str, Point], handles: Mapping[str, int]
    ) -> None: ...


class LinkSink(Protocol):
    async def reconcile(
        self, connections: Mapping[str, Connection], bindings: Mapping[str, Sequence[PointBinding]]
    ) -> None: ...


class OutletSink(Protocol):
    async def reconcile(self, plant: PlantModel, handles: Mapping[str, int]) -> None: ...


@dataclass(frozen=True, slots=True)
class Directory:
    """Path to handle of this process, and the model both come from. Replaced as a whole, never half changed."""

    model: PlantModel = field(default_factory=PlantModel)
    handles: Mapping[str, int] = field(default_factory=dict)

    def points(self) -> Mapping[str, Point]:
        return self.model.points


class Reconciler:
    """Brings the running platform to what is declared, one model at a time; an older one than the last is ignored."""

    def __init__(
        self,
        store: SampleStore,
        alarms: AlarmSink,
        links: LinkSink,
        drivers: Mapping[str, DriverType],
        outlets: OutletSink | None = None,
        calculations: CalculationSink | None = None,
        people: PeopleSink | None = None,
    ) -> None:
        self._store, self._alarms, self._links, self._drivers = store, alarms, links, drivers
        self._outlets, self._calculations, self._people = outlets, calculations, people
        self._one_at_a_time = asyncio.Lock()
        self.directory = Directory()

    async def reconcile(self, model: PlantModel) -> None:
        async with self._one_at_a_time:
            if model.revision < self.directory.model.revision:
                return
            paths = list(model.points)
            numbers = await self._store.register(paths)
            handles = {path: int(number) for path, number in zip(paths, numbers, strict=True)}
            await self._retain(model, handles)
            self.directory = Directory(model, handles)
            if self._people is not None:
                await self._people.configure(model)
            await self._alarms.configure(model.alarms, handles)
            ours = {name: one for name, one in model.connections.items() if not one.edge}
            points = [one for one in model.points.values() if one.source is None or one.source.connection in ours]
            bindings = bind(points, handles, ours, self._drivers)
            for error in bindings.errors.values():
                log.error("not connected: %s", error)
            if self._outlets is not None:  # consumers first
                await self._outlets.reconcile(model, handles)
            if self._calculations is not None:  # before new samples, for they read their past
                await self._calculations.configure(model.calculations, model.points, handles)
            await self._links.reconcile(ours, bindings.by_connection)

    async def _retain(self, model: PlantModel, handles: Mapping[str, int]) -> None:
        if not isinstance(self._store, Retaining):
            if model.retention:
                log.warning("this history keeps everything: it knows no retention classes")
            return
        members: dict[str, list[int]] = {}
        for path, point in model.points.items():
            members.setdefault(point.retention, []).append(handles[path])
        numbers = {name: np.array(held, np.uint32) for name, held in members.items()}
        await self._store.retain(model.retention, numbers)


class ReconcilingRegistry:
    """The registry as the rooms above see it: what is applied is also done, here and (`edges`) elsewhere."""

    def __init__(
        self, registry: TenantRegistries, reconciler: Reconciler, edges: Callable[[PlantModel], Awaitable[None]]
    ) -> None:
        self._registry, self._reconciler, self._edges = registry, reconciler, edges

    async def model(self) -> PlantModel:
        return self._reconciler.directory.model

    async def model_of(self, tenant: str) -> PlantModel:
        return await self._registry.model_of(tenant)

    async def plan(self, files: Sequence[SourceFile], *, prune: bool = True, tenant: str = DEFAULT_TENANT) -> Plan:
        return await self._registry.plan(files, prune=prune, tenant=tenant)

    async def preview(
        self, files: Sequence[SourceFile], *, prune: bool = False, tenant: str = DEFAULT_TENANT
    ) -> PlantModel:
        return await self._registry.preview(files, prune=prune, tenant=tenant)

    async def apply(
        self,
        files: Sequence[SourceFile],
        *,
        actor: str,
        prune: bool = True,
        revision: int | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[Plan, PlantModel]:
        plan, theirs = await self._registry.apply(files, actor=actor, prune=prune, revision=revision, tenant=tenant)
        await self._become()
        return plan, theirs

    async def provide(self, files: Sequence[SourceFile]) -> None:
        """What the platform itself declares, in place of what it did before."""
        await self._registry.provide(files)
        await self._reconciler.reconcile(await self._registry.model())

    async def start(self) -> None:
        """Bring everything to what is declared."""
        await self._become()

    async def tenants_changed(self) -> None:
        """A tenant came, or owns something else."""
        self._registry.forget()
        await self._become()

    async def functions_changed(self) -> None:
        """Other stream functions are active: what they make are points of the plant."""
        await self.tenants_changed()

    async def in_the_way(self, tenant: str, roots: Iterable[str]) -> Sequence[str]:
        """What the platform's own tenant declares that a new one would take; see `TenantRegistries`."""
        return await self._registry.in_the_way(tenant, roots)

    async def export(self, *, tenant: str = DEFAULT_TENANT) -> Sequence[SourceFile]:
        return await self._registry.export(tenant=tenant)

    async def revisions(self, limit: int = 100, *, tenant: str = DEFAULT_TENANT) -> Sequence[Revision]:
        return await self._registry.revisions(limit, tenant=tenant)

    async def _become(self) -> None:
        """The plant of all tenants, as it is now: of two who apply at once, either brings what both did."""
        model = await self._registry.model()
        await self._reconciler.reconcile(model)
        await self._edges(model)
