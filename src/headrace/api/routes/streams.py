"""Stream functions: versions taken up, compared, promoted, rolled back and retired. Each tenant has its own."""

from __future__ import annotations

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.streams import (
    NewStream,
    StreamActAnswer,
    StreamAnswer,
    StreamDifferenceAnswer,
    StreamPlace,
    StreamReason,
)

router = api_router("Stream functions")


@router.get("/streams", operation_id="listStreams", summary="Versions, and how those that run fare")
async def list_streams(caller: ByCaller, services: WithServices) -> list[StreamAnswer]:
    """By name, in the order in which they were added."""
    return [StreamAnswer.of(one) for one in await services.streams.versions(tenant=caller.principal.tenant)]


@router.post("/streams", operation_id="addStream", summary="Take a version up as a shadow", status_code=201)
async def add_stream(body: NewStream, caller: ByCaller, services: WithServices) -> StreamAnswer:
    """Name and version are those that the source declares. 409 for one that is there with another source, and for an
    output whose path the plant has already; 422 with what the source said where it does not load."""
    who = caller.principal
    return StreamAnswer.of(
        await services.streams.add(
            who.name, body.source, body.function, on=body.on, model=body.model_bytes(), tenant=who.tenant
        )
    )


@router.get("/streams/acts", operation_id="listStreamActs", summary="Who did what to versions, oldest first")
async def list_stream_acts(caller: ByCaller, services: WithServices) -> list[StreamActAnswer]:
    """The last thousand; the audit trail has them all, signed."""
    return [StreamActAnswer.of(one) for one in await services.streams.acts(tenant=caller.principal.tenant)]


@router.post("/streams/{name}/rollback", operation_id="rollBackStream", summary="Bring back the version before")
async def roll_back_stream(
    name: str, body: StreamReason, caller: ByCaller, services: WithServices
) -> StreamAnswer:  # fmt: skip
    """With the state that it had; it takes up what it missed from history, up to a day."""
    who = caller.principal
    return StreamAnswer.of(await services.streams.roll_back(who.name, name, body.why, tenant=who.tenant))


@router.post(
    "/streams/{name}/versions/{version}/promote", operation_id="promoteStream", summary="Make a version the active one"
)  # fmt: skip
async def promote_stream(
    name: str, version: str, body: StreamReason, caller: ByCaller, services: WithServices
) -> StreamAnswer:
    """What it gives is stored, shown and judged from now on, and its outputs are points of the plant; the version
    before is retired. 409 for an output whose path the plant has already."""
    who = caller.principal
    return StreamAnswer.of(await services.streams.promote(who.name, name, version, body.why, tenant=who.tenant))


@router.post("/streams/{name}/versions/{version}/retire", operation_id="retireStream", summary="Stop a version")
async def retire_stream(
    name: str, version: str, body: StreamReason, caller: ByCaller, services: WithServices
) -> StreamAnswer:
    who = caller.principal
    return StreamAnswer.of(await services.streams.retire(who.name, name, version, body.why, tenant=who.tenant))


@router.post("/streams/{name}/versions/{version}/place", operation_id="placeStream", summary="Say where a version runs")
async def place_stream(
    name: str, version: str, body: StreamPlace, caller: ByCaller, services: WithServices
) -> StreamAnswer:
    """On the hub, or on workers that share it. It goes on with the state that it has there, and from now on."""
    who = caller.principal
    return StreamAnswer.of(await services.streams.place(who.name, name, version, body.on, body.why, tenant=who.tenant))


@router.get(
    "/streams/{name}/versions/{version}/difference", operation_id="getStreamDifference",
    summary="How a shadow differs from the active version",
)  # fmt: skip
async def get_stream_difference(
    name: str, version: str, caller: ByCaller, services: WithServices
) -> StreamDifferenceAnswer | None:
    """Null where one of the two does not run."""
    found = await services.streams.difference(name, version, tenant=caller.principal.tenant)
    return None if found is None else StreamDifferenceAnswer.of(found)
