"""What every route is given: the services, the caller and the plant's index, found on the application."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from headrace.api.plant_index import PlantIndex, PlantIndexes
from headrace.api.security import Caller, Doorkeeper
from headrace.api.services import Services
from headrace.api.settings import ApiSettings
from headrace.history.sql import SqlDesk, SqlLimits


@dataclass(frozen=True, slots=True)
class Context:
    """One an application; `app.state.context`."""

    services: Services
    settings: ApiSettings
    door: Doorkeeper
    plants: PlantIndexes
    exports: asyncio.Semaphore
    imports: asyncio.Semaphore
    ingests: asyncio.Semaphore
    sql: SqlDesk

    @classmethod
    def of(cls, services: Services, settings: ApiSettings) -> Context:
        return cls(
            services,
            settings,
            Doorkeeper(services.access, settings),
            PlantIndexes(services.registry, services.store),
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
    return await context_of(connection).plants.current()


InContext = Annotated[Context, Depends(_context)]
WithServices = Annotated[Services, Depends(_services)]
ByCaller = Annotated[Caller, Depends(_caller)]
WithPlant = Annotated[PlantIndex, Depends(_index)]
