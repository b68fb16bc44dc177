"""Sessions with devices: their state, what a device offers, and trusting its certificate. And who is told: outlets."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any, cast

import orjson
from fastapi import Query

from headrace.api.context import ByCaller, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.schemas.system import (
    BrowseAnswer,
    BrowseNodeAnswer,
    ConnectionAnswer,
    Fingerprint,
    OutletAnswer,
    TrustRequest,
)
from headrace.model.errors import DataError, NotFound

router = api_router("Connections")

BROWSE_MAX = 5_000


@router.get("/connections", operation_id="listConnections", summary="Sessions with devices")
async def list_connections(index: WithPlant, services: WithServices) -> list[ConnectionAnswer]:
    declared = index.plant.connections
    return [
        ConnectionAnswer.of(status, declared[status.connection].title if status.connection in declared else {})
        for status in services.links.status()
        if index.sight is None or status.connection in declared
    ]


@router.get("/outlets", operation_id="listOutlets", summary="Who is told of samples and events")
async def list_outlets(index: WithPlant, services: WithServices) -> list[OutletAnswer]:
    declared = index.plant.outlets
    return [
        OutletAnswer.of(status, declared[status.outlet].title if status.outlet in declared else {})
        for status in services.outlets.status()
        if index.sight is None or status.outlet in declared
    ]


@router.get("/connections/{name}/browse", operation_id="browseConnection", summary="What a device offers")
async def browse_connection(
    name: str,
    index: WithPlant,
    services: WithServices,
    parent: Annotated[
        str | None, Query(max_length=4_000, description="A node's `address` as JSON; the roots when absent.")
    ] = None,
) -> BrowseAnswer:
    _known(name, index)
    nodes: list[BrowseNodeAnswer] = []
    found = services.links.browse(name, None if parent is None else _address(parent))
    async with aclosing(cast(Any, found)):
        async for node in found:
            if len(nodes) == BROWSE_MAX:
                return BrowseAnswer(nodes=nodes, truncated=True)
            nodes.append(BrowseNodeAnswer.of(node))
    return BrowseAnswer(nodes=nodes, truncated=False)


@router.get("/connections/{name}/trust", operation_id="getConnectionFingerprint", summary="What a server shows")
async def get_connection_fingerprint(name: str, index: WithPlant, services: WithServices) -> Fingerprint:
    """The fingerprint of the certificate that the server shows now, to be compared by a person."""
    _known(name, index)
    return Fingerprint(fingerprint=await services.links.fingerprint(name))


@router.post("/connections/{name}/trust", operation_id="trustConnection", summary="Trust a server", status_code=204)
async def trust_connection(
    name: str, body: TrustRequest, caller: ByCaller, index: WithPlant, services: WithServices
) -> None:
    """409 where the server now shows another certificate than the one that was compared."""
    _known(name, index)
    await services.links.trust(name, body.fingerprint)
    await services.audit.record(
        caller.principal.name,
        "connection.trusted",
        name,
        "done",
        {"fingerprint": body.fingerprint},
        tenant=caller.principal.tenant,
    )


def _known(name: str, index: PlantIndex) -> None:
    """Raises: NotFound for a connection of others, as for one that never was."""
    if index.sight is not None and name not in index.plant.connections:
        raise NotFound(f"there is no connection '{name[:100]}'")


def _address(text: str) -> dict[str, Any]:
    try:
        address = orjson.loads(text)
    except orjson.JSONDecodeError:
        address = None
    if not isinstance(address, dict):
        raise DataError("'parent' must be the JSON object that a node shows as its address")
    return address
