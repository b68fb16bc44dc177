"""Apps: installed by the platform's operator, taken in by each tenant with its own settings. docs/app-store.md."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from starlette.responses import StreamingResponse

from headrace.api.app_files import disposition
from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.apps import (
    AppAnswer,
    AppHealthAnswer,
    DisableApp,
    EnableApp,
    LocalApp,
    LogLineAnswer,
    NewSettings,
    RollBackApp,
    SettingsAnswer,
    ShelvedAppAnswer,
)
from headrace.sdk.app_desk import KeptData

router = api_router("Apps")

_PIECE_BYTES: Final = 256 * 1024
_BYTES: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_PACKAGE: Final[dict[str, Any]] = {"requestBody": {"required": True, "content": {"application/octet-stream": _BYTES}}}


@router.get("/apps", operation_id="listApps", summary="Apps, and what the tenant has taken in")
async def list_apps(caller: ByCaller, services: WithServices) -> list[AppAnswer]:
    """By name. An app whose name begins with a tenant's is that tenant's alone."""
    return [AppAnswer.of(one) for one in await services.apps.apps(caller.principal)]


@router.get("/apps/shelf", operation_id="listInstalledApps", summary="All that is installed, whosever it is")
async def list_installed_apps(caller: ByCaller, services: WithServices) -> list[ShelvedAppAnswer]:
    del caller
    return [ShelvedAppAnswer.of(one) for one in await services.apps.shelf()]


@router.post(
    "/apps", operation_id="installApp", summary="Install a signed package", status_code=201, openapi_extra=_PACKAGE
)
async def install_app(request: Request, caller: ByCaller, services: WithServices) -> ShelvedAppAnswer:
    """The body is a `.hrpkg`. 422 where publishers that this platform trusts have not signed it, or it was altered;
    409 where it is installed, or needs what is not. Nothing of it runs before a tenant enables it."""
    return ShelvedAppAnswer.of(await services.apps.install(caller.principal, await request.body()))


@router.post(
    "/apps/local", operation_id="installLocalApp", summary="Install what is not signed, from this machine",
    status_code=201,
)  # fmt: skip
async def install_local_app(body: LocalApp, caller: ByCaller, services: WithServices) -> ShelvedAppAnswer:
    """Only who can write into the platform's home can leave an app there; over the network there is no way."""
    return ShelvedAppAnswer.of(await services.apps.install_local(caller.principal, body.ticket, body.source))


@router.get("/apps/{name}", operation_id="getApp", summary="One app, with its licence")
async def get_app(name: str, caller: ByCaller, services: WithServices) -> AppAnswer:
    return AppAnswer.of(await services.apps.app(caller.principal, name))


@router.delete("/apps/{name}", operation_id="uninstallApp", summary="Take an app from all tenants", status_code=204)
async def uninstall_app(
    name: str, caller: ByCaller, services: WithServices,
    data: Annotated[KeptData, Query(description="`keep`: it is there again when the app is.")] = KeptData.KEEP,
) -> None:  # fmt: skip
    await services.apps.uninstall(caller.principal, name, data)


@router.post(
    "/apps/{name}/update", operation_id="updateApp", summary="Install a newer signed version", openapi_extra=_PACKAGE
)
async def update_app(name: str, request: Request, caller: ByCaller, services: WithServices) -> ShelvedAppAnswer:
    """Tenants follow at once, with a copy of their tables from before; those of whom it asks for more stay on their
    version until they accept that."""
    return ShelvedAppAnswer.of(await services.apps.update(caller.principal, name, await request.body()))


@router.post("/apps/{name}/rollback", operation_id="rollBackApp", summary="Go back to the version before")
async def roll_back_app(name: str, body: RollBackApp, caller: ByCaller, services: WithServices) -> ShelvedAppAnswer:
    """The code goes back; documents stay. Tables stay too, or come back as they were: 409 where they have to, because
    the older version does not know the migrations that they went through."""
    return ShelvedAppAnswer.of(await services.apps.roll_back(caller.principal, name, body.tables, body.why))


@router.post("/apps/{name}/enable", operation_id="enableApp", summary="Accept what an app asks for, and let it run")
async def enable_app(name: str, body: EnableApp, caller: ByCaller, services: WithServices) -> AppAnswer:
    return AppAnswer.of(await services.apps.enable(caller.principal, name, body.version, body.settings))


@router.post("/apps/{name}/disable", operation_id="disableApp", summary="Stop an app")
async def disable_app(name: str, body: DisableApp, caller: ByCaller, services: WithServices) -> AppAnswer:
    """Its tables, documents and settings stay unless they are to be deleted."""
    return AppAnswer.of(await services.apps.disable(caller.principal, name, body.data))


@router.get("/apps/{name}/settings", operation_id="getAppSettings", summary="The form of an app, as it is filled in")
async def get_app_settings(name: str, caller: ByCaller, services: WithServices) -> SettingsAnswer:
    return SettingsAnswer.of(await services.apps.settings(caller.principal, name))


@router.put("/apps/{name}/settings", operation_id="setAppSettings", summary="Fill in the form of an app")
async def set_app_settings(
    name: str, body: NewSettings, caller: ByCaller, services: WithServices
) -> SettingsAnswer:  # fmt: skip
    """422 with everything that does not fit. The app is started anew with them."""
    return SettingsAnswer.of(await services.apps.set_settings(caller.principal, name, body.values))


@router.get("/apps/{name}/health", operation_id="getAppHealth", summary="How an app fares, and what it takes")
async def get_app_health(name: str, caller: ByCaller, services: WithServices) -> AppHealthAnswer:
    return AppHealthAnswer.of(await services.apps.health(caller.principal, name))


@router.get("/apps/{name}/log", operation_id="getAppLog", summary="What an app said, oldest first")
async def get_app_log(name: str, caller: ByCaller, services: WithServices) -> list[LogLineAnswer]:
    """The last thousand lines since it was started."""
    return [LogLineAnswer.of(one) for one in await services.apps.log(caller.principal, name)]


@router.get(
    "/apps/{name}/export", operation_id="exportApp", summary="What an app keeps, as a zip", response_class=Response,
    responses={200: {"content": {"application/zip": _BYTES}}},
)  # fmt: skip
async def export_app(name: str, caller: ByCaller, services: WithServices) -> Response:
    """Tables as SQLite, documents, settings without secrets, and copies of tables from before updates."""
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="headrace-")
    file = Path(folder.name) / "export.zip"
    try:
        await services.apps.export(caller.principal, name, file)
    except BaseException:
        await asyncio.to_thread(folder.cleanup)
        raise
    headers = {"Content-Disposition": disposition(f"{name}.zip")}
    return StreamingResponse(_pieces(file, folder), media_type="application/zip", headers=headers)


async def _pieces(file: Path, folder: tempfile.TemporaryDirectory[str]) -> AsyncIterator[bytes]:
    try:
        opened = await asyncio.to_thread(file.open, "rb")
        try:
            while piece := await asyncio.to_thread(opened.read, _PIECE_BYTES):
                yield piece
        finally:
            opened.close()
    finally:
        folder.cleanup()
