"""What every route is given: the services, the caller and the plant's index, found on the application."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import HTTPConnection

from headrace.api.narrowed_store import NarrowedStore
from headrace.api.plant_index import PlantIndex, PlantIndexes
from headrace.api.rates import Rates
from headrace.api.security import Caller, Doorkeeper
from headrace.api.services import Services
from headrace.api.settings import ApiSettings
from headrace.api.sight import Sight
from headrace.history.sql import SqlDesk, SqlLimits
from headrace.model.areas import EVERYWHERE, Area
from headrace.sdk.access import Action, Principal, Shared
from headrace.sdk.store import HistoryReader

PATHS_TOLD_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Context:
    """One an application; `app.state.context`."""

    services: Services
    settings: ApiSettings
    door: Doorkeeper
    rates: Rates
    plants: PlantIndexes
    exports: asyncio.Semaphore
    imports: asyncio.Semaphore
    ingests: asyncio.Semaphore
    sql: SqlDesk

    @classmethod
    def of(cls, services: Services, settings: ApiSettings) -> Context:
        rates = Rates(settings, services.clock.monotonic_s)
        return cls(
            services,
            settings,
            Doorkeeper(services.access, settings, rates),
            rates,
            PlantIndexes(services.registry, services.store, lambda: services.access.tenancy),
            asyncio.Semaphore(settings.exports_max),
            asyncio.Semaphore(1),
            asyncio.Semaphore(settings.ingests_max),
            SqlDesk(
                services.store,
                SqlLimits(
                    running_max=settings.sql_running_max,
                    seconds=settings.sql_timeout_s,
                    memory_bytes=settings.sql_memory_bytes,
                ),
            ),
        )

    async def seen_by(self, principal: Principal, action: Action = Action.VIEW) -> PlantIndex:
        """The plant as far as somebody has a right on it."""
        rights = self.services.access.rights(principal)
        return await self.plants.seen_by(Sight.of(rights, principal.tenant, action))

    def area(self, principal: Principal, action: Action = Action.VIEW) -> Area | None:
        """Where somebody has a right; None for everywhere."""
        area = self.services.access.rights(principal).area(action)
        return None if area == EVERYWHERE else area

    def history(self, principal: Principal, index: PlantIndex) -> HistoryReader:
        """History as somebody sees it whose plant `index` is."""
        if index.sight is None:
            return self.services.store
        tell = partial(self.tell_shared, principal, "history")
        return NarrowedStore(self.services.store, index.numbers(), index.windows, tell)

    async def tell_shared(
        self,
        principal: Principal,
        kind: str,
        grant: Shared,
        paths: Sequence[str],
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> None:
        """Write into the trails of both that a partner reads; durable on return."""
        data = {
            "grant": grant.grant,
            "reader": principal.tenant,
            "purpose": grant.purpose,
            "points": len(paths),
            "paths": list(paths[:PATHS_TOLD_MAX]),
            "start_ns": start_ns,
            "end_ns": end_ns,
        }
        for tenant in (grant.owner, principal.tenant):
            await self.services.audit.record(
                principal.name, f"shared.{kind}", grant.subtree, "done", data, tenant=tenant
            )

    async def tell_shared_points(
        self, principal: Principal, kind: str, index: PlantIndex, paths: Sequence[str]
    ) -> None:
        """The same for newest values of points, by grant."""
        read: dict[str, tuple[Shared, list[str]]] = {}
        for path in paths if index.windows else ():
            window = index.windows.get(path)
            if window is not None:
                read.setdefault(window.grant.grant, (window.grant, []))[1].append(path)
        for grant, shared in read.values():
            await self.tell_shared(principal, kind, grant, shared)


def context_of(connection: HTTPConnection) -> Context:
    context = connection.app.state.context
    assert isinstance(context, Context)
    return context


async def _context(connection: HTTPConnection) -> Context:
    return context_of(connection)


async def _services(connection: HTTPConnection) -> Services:
    return context_of(connection).services


async def _caller(connection: HTTPConnection) -> Caller:
    caller = connection.state.caller
    assert isinstance(caller, Caller)
    return caller


async def _index(connection: HTTPConnection) -> PlantIndex:
    return await context_of(connection).seen_by((await _caller(connection)).principal)


async def _store(connection: HTTPConnection) -> HistoryReader:
    context, caller = context_of(connection), await _caller(connection)
    return context.history(caller.principal, await context.seen_by(caller.principal))


InContext = Annotated[Context, Depends(_context)]
WithServices = Annotated[Services, Depends(_services)]
ByCaller = Annotated[Caller, Depends(_caller)]
WithPlant = Annotated[PlantIndex, Depends(_index)]
"""The plant as the caller sees it."""
WithHistory = Annotated[HistoryReader, Depends(_store)]
"""History as the caller sees it."""
