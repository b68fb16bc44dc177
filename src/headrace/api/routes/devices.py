"""The register of devices: who may publish, who waits to be let in, who was turned away."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.fleet import (
    ApproveRequest,
    CreatedDevice,
    DeviceAnswer,
    DeviceChangeRequest,
    DeviceDetail,
    DeviceImportAnswer,
    DevicesAnswer,
    NewDeviceRequest,
    NewSecret,
    PreviewAnswer,
    RefusalAnswer,
    RotateRequest,
    State,
)
from headrace.model.errors import DataError
from headrace.registry import read_rows
from headrace.sdk.devices import DeviceState

router = api_router("Devices")


@router.get("/devices", operation_id="listDevices", summary="Devices by name")
async def list_devices(
    caller: ByCaller,
    services: WithServices,
    state: State | None = None,
    q: Annotated[str, Query(max_length=200, description="Words that all occur in it, whatever the case.")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> DevicesAnswer:
    wanted = None if state is None else DeviceState(state)
    return DevicesAnswer.of(
        services.devices.page(state=wanted, query=q, limit=limit, cursor=cursor, tenant=caller.principal.tenant)
    )


@router.get("/device-refusals", operation_id="listDeviceRefusals", summary="Who was turned away at the door")
async def list_device_refusals(caller: ByCaller, services: WithServices) -> list[RefusalAnswer]:
    """Newest first: of late, and not more than a hundred."""
    return [RefusalAnswer.of(one) for one in services.devices.refusals(tenant=caller.principal.tenant)]


@router.get("/devices/{name}", operation_id="getDevice", summary="A device, and what it sends while it waits")
async def get_device(name: str, caller: ByCaller, services: WithServices) -> DeviceDetail:
    return DeviceDetail(
        device=DeviceAnswer.of(services.devices.get(name, tenant=caller.principal.tenant)),
        previews=[PreviewAnswer.of(one) for one in services.devices.previews(name, tenant=caller.principal.tenant)],
        suggested_publish=list(services.devices.suggested(name, tenant=caller.principal.tenant)),
    )


@router.post("/devices", operation_id="createDevice", summary="Add a device", status_code=201)
async def create_device(body: NewDeviceRequest, caller: ByCaller, services: WithServices) -> CreatedDevice:
    """The secret is shown once."""
    record, secret = await services.devices.add(caller.principal.name, body.wanted(), tenant=caller.principal.tenant)
    return CreatedDevice(device=DeviceAnswer.of(record), secret=secret)


@router.post(
    "/devices/import",
    operation_id="importDevices",
    summary="Add many devices from a table",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_devices(
    request: Request,
    caller: ByCaller,
    services: WithServices,
    file: Annotated[str, Query(max_length=200, description="Its name, for messages.")] = "devices.csv",
) -> DeviceImportAnswer:
    """The body is a CSV file or an .xlsx workbook. Its first row names the columns: `name`, `secret`, `certificate`,
    `publish`, `subscribe`, `messages_per_s`, `note`, and for an asset to be declared `asset`, `type`, `connection`,
    `title`, `parameter.<name>`. Secrets that are made are shown once."""
    data = await request.body()
    if not data:
        raise DataError("the body is empty; send a CSV file or an .xlsx workbook")
    _, rows = read_rows(data, file)
    return DeviceImportAnswer.of(
        await services.devices.import_rows(caller.principal.name, rows, tenant=caller.principal.tenant)
    )


@router.patch("/devices/{name}", operation_id="updateDevice", summary="Rename a device, or change what it may do")
async def update_device(name: str, body: DeviceChangeRequest, caller: ByCaller, services: WithServices) -> DeviceAnswer:
    if not body.model_fields_set:
        raise DataError("say what to change: name, publish, subscribe, messages_per_s, note or asset")
    actor = caller.principal.name
    record = services.devices.get(name, tenant=caller.principal.tenant)
    if body.model_fields_set - {"name"}:
        record = await services.devices.change(actor, name, body.wanted(), tenant=caller.principal.tenant)
    if body.name is not None and body.name != name:
        record = await services.devices.rename(actor, name, body.name, tenant=caller.principal.tenant)
    return DeviceAnswer.of(record)


@router.post("/devices/{name}/approve", operation_id="approveDevice", summary="Let a device in")
async def approve_device(name: str, body: ApproveRequest, caller: ByCaller, services: WithServices) -> DeviceAnswer:
    """With `declare` its asset is declared too, in `devices.yaml`; if that cannot be, nothing happens."""
    record = await services.devices.approve(
        caller.principal.name,
        name,
        rename=body.name,
        change=body.wanted(),
        asset=None if body.declare is None else body.declare.wanted(),
        tenant=caller.principal.tenant,
    )
    return DeviceAnswer.of(record)


@router.post("/devices/{name}/block", operation_id="blockDevice", summary="Close a device and keep it out")
async def block_device(name: str, caller: ByCaller, services: WithServices) -> DeviceAnswer:
    return DeviceAnswer.of(await services.devices.block(caller.principal.name, name, tenant=caller.principal.tenant))


@router.post("/devices/{name}/secret", operation_id="rotateDeviceSecret", summary="Give a device a new secret")
async def rotate_device_secret(name: str, body: RotateRequest, caller: ByCaller, services: WithServices) -> NewSecret:
    """The old one is good until the new one is used for the first time."""
    return NewSecret(
        secret=await services.devices.rotate(
            caller.principal.name, name, at_once=body.at_once, tenant=caller.principal.tenant
        )
    )


@router.delete("/devices/{name}", operation_id="deleteDevice", summary="Remove a device", status_code=204)
async def delete_device(name: str, caller: ByCaller, services: WithServices) -> None:
    """Its history and its declared asset stay."""
    await services.devices.remove(caller.principal.name, name, tenant=caller.principal.tenant)
