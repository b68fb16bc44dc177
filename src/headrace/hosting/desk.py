"""What people do with apps: each act is checked, wished for in the register, in the audit trail, and then made so.

    install, update, roll back, uninstall     the platform's operator, for all tenants    ─┐ register ─► trail ─► keeper
    enable, settings, disable, export         a tenant, for itself                        ─┘
    call, pages                               whoever has the right that a route or page takes (`using.py`)

An app is whose its name is: `acme.press-view` is tenant acme's, where there is one of that name, and no other's; all
others are for every tenant. Who may act at all is for `api/rights.py`. What is not signed comes by way of the home's
own folder `run/apps`: who can write there has the machine anyway, and nobody else can bring it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

from headrace.hosting import taking_out
from headrace.hosting.abilities import AppState as RunState
from headrace.hosting.keeper import Keeper
from headrace.hosting.register import AppRecord, Register, TenantRecord, is_secret
from headrace.hosting.releases import Release, ahead, from_kept
from headrace.hosting.shelf import Shelf
from headrace.hosting.showing import log_of, shown, use_of
from headrace.hosting.using import Using
from headrace.model.errors import Conflict, DataError, HeadraceError, LimitReached, NotFound
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Principal, Tenants
from headrace.sdk.app_desk import (
    AppLogLine,
    AppOrigin,
    AppPage,
    AppUse,
    AppVersion,
    BackTables,
    InstalledApp,
    KeptData,
    SettingsForm,
    ShelvedApp,
)
from headrace.sdk.apps import Reply, Request
from headrace.sdk.clock import Clock
from headrace.sdk.tenancy import tenant_of_name

APPS_MAX: Final = 100
VERSIONS_MAX: Final = 5
"""Kept of an app, beside those that some tenant is on."""
RESERVED: Final = frozenset({"shelf", "local", "pages"})
"""Words of addresses, which no app is called by."""
_TICKET: Final = re.compile(r"[0-9a-f]{32}\.(folder|wheel)")


class Desk:
    """Implements `sdk.app_desk.AppDesk`. `incoming` is where the local command leaves what is not signed."""

    def __init__(
        self, register: Register, shelf: Shelf, keeper: Keeper, using: Using, audit: AuditLog, tenants: Tenants,
        clock: Clock, incoming: Path,
    ) -> None:  # fmt: skip
        self._register, self._shelf, self._keeper, self._using = register, shelf, keeper, using
        self._audit, self._tenants, self._clock = audit, tenants, clock
        self._incoming = incoming
        self._bringing = asyncio.Lock()

    async def apps(self, principal: Principal) -> Sequence[InstalledApp]:
        found = []
        for name in await asyncio.to_thread(self._shelf.names):
            if self._visible(name, principal.tenant):
                try:
                    found.append(await self._shown(name, principal.tenant))
                except (NotFound, DataError):  # on its way out, or damaged: the operator's shelf says so
                    continue
        return found

    async def app(self, principal: Principal, name: str) -> InstalledApp:
        await self._offered(principal, name)
        return await self._shown(name, principal.tenant, with_licence=True)

    # --- the platform's operator -------------------------------------------------------------------------------------

    async def shelf(self) -> Sequence[ShelvedApp]:
        return [await asyncio.to_thread(self._shelved, name) for name in await asyncio.to_thread(self._shelf.names)]

    async def install(self, principal: Principal, package: bytes) -> ShelvedApp:
        async with self._bringing:
            release = await asyncio.to_thread(self._shelf.judge, package, self._clock.now_ns())
            name = release.manifest.name
            known = await asyncio.to_thread(self._register.app, name)
            if known is not None and known.removing is None:
                raise Conflict(f"{name} is installed already; update it")
            return await self._bring(principal, release, "install")

    async def update(self, principal: Principal, name: str, package: bytes) -> ShelvedApp:
        async with self._bringing:
            await asyncio.to_thread(self._own_record, name)
            release = await asyncio.to_thread(self._shelf.judge, package, self._clock.now_ns())
            if release.manifest.name != name:
                raise Conflict(f"this is {release.manifest.name}, not {name}")
            return await self._bring(principal, release, "update")

    async def install_local(self, principal: Principal, ticket: str, source: str) -> ShelvedApp:
        if not _TICKET.fullmatch(ticket):
            raise DataError("a ticket is what `headrace app install` made on the platform's own machine")
        path = self._incoming / ticket
        async with self._bringing:
            try:
                data = await asyncio.to_thread(path.read_bytes)
            except OSError:
                raise NotFound("nobody left an app under this ticket on the platform's machine") from None
            await asyncio.to_thread(path.unlink, True)
            release = await asyncio.to_thread(from_kept, data, AppOrigin(path.suffix[1:]))
            known = await asyncio.to_thread(self._shelf.record, release.manifest.name) is not None
            return await self._bring(principal, release, "update" if known else "install", source)

    async def _bring(self, principal: Principal, release: Release, act: str, source: str = "") -> ShelvedApp:
        """Onto the shelf, whole, before anybody is offered it."""
        name = release.manifest.name
        version = AppVersion(
            release.version, release.origin, release.sha256, release.signers, self._clock.now_ns(), principal.name
        )
        async with self._keeper.writing_of(name):
            record, before = await asyncio.to_thread(self._shelve, release, version)
        more = [] if before is None else release.manifest.permissions.more_than(before)
        data: dict[str, Any] = {"version": release.version, "origin": release.origin.value, "sha256": release.sha256}
        data |= {"signers": list(release.signers)} if release.signers else {"unsigned": True, "source": source[:500]}
        data |= {"asks_more": more} if more else {}
        await self._record(principal, act, name, data)
        await self._keeper.look_at(record.name)
        return await asyncio.to_thread(self._shelved, name)

    def _shelve(self, release: Release, version: AppVersion) -> tuple[AppRecord, Any]:
        name = release.manifest.name
        if name in self._shelf.built_in or name in RESERVED or name.split(".")[0] == "headrace":
            raise Conflict(f"'{name}' is a name of the platform's own; its author gives the app another")
        record = self._register.app(name) or AppRecord(name)
        if record.removing is not None:
            raise Conflict(f"{name} is being uninstalled; try again in a moment")
        if not record.versions and len(self._register.names()) >= APPS_MAX:
            raise LimitReached(f"{APPS_MAX} apps are installed, as many as may be; uninstall one first")
        known = record.version(release.version)
        local = release.origin is not AppOrigin.PACKAGE
        if (
            known is not None
            and known.sha256 != release.sha256
            and not (local and known.origin is not AppOrigin.PACKAGE)
        ):
            raise Conflict(f"another {name} {release.version} is kept; give the new content a new version")
        if record.offered and Version(release.version) < Version(record.offered):
            raise Conflict(f"{name} {record.offered} is installed and {release.version} is older; roll back instead")
        before = self._shelf.release(name, record.offered).manifest.permissions if record.offered else None
        self._register.shelve(name, release.version, release.kept)
        others = [one for one in record.versions if one.version != release.version]
        keep, drop = self._to_keep(name, [*others, version])
        record = replace(record, offered=release.version, versions=tuple(keep), back=None)
        self._register.put_app(record)
        for one in drop:
            self._register.unshelve(name, one.version)
        return record, before

    def _to_keep(self, name: str, versions: list[AppVersion]) -> tuple[list[AppVersion], list[AppVersion]]:
        versions = sorted(versions, key=lambda one: Version(one.version))
        used = {one.version for tenant in self._register.tenants(name) if (one := self._register.tenant(name, tenant))}
        drop = [one for one in versions[:-VERSIONS_MAX] if one.version not in used]
        return [one for one in versions if one not in drop], drop

    async def roll_back(self, principal: Principal, name: str, tables: BackTables, why: str) -> ShelvedApp:
        async with self._bringing, self._keeper.writing_of(name):
            record = await asyncio.to_thread(self._own_record, name)
            older = [one for one in record.versions if Version(one.version) < Version(record.offered)]
            if not older:
                raise Conflict(
                    f"{name} {record.offered} is the oldest version that is kept; there is none to go back to"
                )
            target = older[-1].version
            lost = await asyncio.to_thread(self._lost, name, record.offered, target)
            if lost and tables is BackTables.KEEP:
                raise Conflict(
                    f"{name} {record.offered} took the tables through {', '.join(lost)}, which {target} does not know: "
                    "go back with the tables as they were before the update ('restore'); what was written since is "
                    "set aside, in each tenant's export"
                )
            await asyncio.to_thread(self._register.put_app, replace(record, offered=target, back=tables))
        data = {"from": record.offered, "version": target, "tables": tables.value, **({"why": why} if why else {})}
        await self._record(principal, "rollback", name, data)
        await self._keeper.look_at(name)
        return await asyncio.to_thread(self._shelved, name)

    def _lost(self, name: str, newer: str, older: str) -> list[str]:
        return ahead(self._shelf.release(name, newer).migrations, self._shelf.release(name, older).migrations)

    async def uninstall(self, principal: Principal, name: str, data: KeptData) -> None:
        async with self._bringing, self._keeper.writing_of(name):
            record = await asyncio.to_thread(self._own_record, name)
            await asyncio.to_thread(self._register.put_app, replace(record, removing=data))
        await self._record(principal, "uninstall", name, {"version": record.offered, "data": data.value})
        await self._keeper.look_at(name)

    # --- a tenant ----------------------------------------------------------------------------------------------------

    async def enable(
        self, principal: Principal, name: str, version: str, settings: Mapping[str, Any] | None = None
    ) -> InstalledApp:
        tenant = principal.tenant
        async with self._keeper.writing_of(name):
            release = await self._offered(principal, name)
            if release.version != version:
                raise Conflict(f"{name} {release.version} is offered now, not {version}; look at what it asks for")
            one = await asyncio.to_thread(self._register.tenant, name, tenant)
            if one is None:
                one = TenantRecord(name, tenant, version=version, sha256=release.sha256)
            if one.wipe:
                raise Conflict(f"the data of {name} is being deleted; try again in a moment")
            permissions = release.manifest.permissions
            more = permissions.more_than(one.accepted)
            one = replace(one, enabled=True, accepted=permissions, by=principal.name, since_ns=self._clock.now_ns())
            await self._keep_filled(one, release, settings)
        await self._record(principal, "enable", name, {"version": version, "accepted": more}, tenant)
        await self._keeper.look_at(name)
        if (run := self._keeper.find(name, tenant)) and run.runner.health().state is RunState.HALTED:
            run.runner.restart()
        return await self._shown(name, tenant)

    async def disable(self, principal: Principal, name: str, data: KeptData) -> InstalledApp:
        tenant = principal.tenant
        async with self._keeper.writing_of(name):
            await self._offered(principal, name)
            one = await asyncio.to_thread(self._register.tenant, name, tenant)
            if one is None:
                raise Conflict(f"{name} is not taken in; there is nothing to disable")
            wished = replace(
                one, enabled=False, wipe=data is KeptData.DELETE, by=principal.name, since_ns=self._clock.now_ns()
            )
            await asyncio.to_thread(self._register.put_tenant, wished)
        await self._record(principal, "disable", name, {"version": one.version, "data": data.value}, tenant)
        await self._keeper.look_at(name)
        return await self._shown(name, tenant)

    async def settings(self, principal: Principal, name: str) -> SettingsForm:
        release = await self._offered(principal, name)
        one = await asyncio.to_thread(self._register.tenant, name, principal.tenant)
        return _form(release, one)

    async def set_settings(self, principal: Principal, name: str, values: Mapping[str, Any]) -> SettingsForm:
        async with self._keeper.writing_of(name):
            release = await self._offered(principal, name)
            one = await asyncio.to_thread(self._register.tenant, name, principal.tenant)
            if one is None:
                raise Conflict(f"{name} is not taken in; enable it with its settings")
            one = await self._keep_filled(one, release, values)
        await self._record(principal, "settings", name, {"filled": sorted(values)}, principal.tenant)
        await self._keeper.look_at(name)
        return _form(release, one)

    async def _keep_filled(self, one: TenantRecord, release: Release, values: Mapping[str, Any] | None) -> TenantRecord:
        """The record, written; what does not fit is told now, not by an app that does not start.

        Raises: DataError for a name that is no setting's; ConfigErrors.
        """
        secrets = await asyncio.to_thread(self._register.secrets, one.app, one.tenant)
        if values is not None:
            one, secrets = _filled(one, secrets, release, values)
        self._keeper.settings_of(one, release, secrets)
        if values is not None:
            await asyncio.to_thread(self._register.put_secrets, one.app, one.tenant, secrets)
        await asyncio.to_thread(self._register.put_tenant, one)
        return one

    async def health(self, principal: Principal, name: str) -> AppUse:
        await self._offered(principal, name)
        return use_of(self._keeper.find(name, principal.tenant))

    async def log(self, principal: Principal, name: str) -> Sequence[AppLogLine]:
        await self._offered(principal, name)
        return log_of(self._keeper.find(name, principal.tenant))

    async def export(self, principal: Principal, name: str, target: Path) -> None:
        await self._offered(principal, name)
        one = await asyncio.to_thread(self._register.tenant, name, principal.tenant)
        if one is None:
            raise Conflict(f"{name} is not taken in; it keeps nothing here")
        await self._record(principal, "export", name, {"version": one.version}, principal.tenant)
        await asyncio.to_thread(taking_out.write_zip, self._register, one, target)

    # --- whoever uses it ---------------------------------------------------------------------------------------------

    async def call(self, principal: Principal, name: str, request: Request) -> Reply:
        await self._known(principal, name)
        return await self._using.call(principal, name, request)

    async def pages(self, principal: Principal, name: str | None = None) -> Sequence[AppPage]:
        if name is not None:
            await self._known(principal, name)
        return await self._using.pages(principal, name)

    async def page_file(self, principal: Principal, name: str, file: str) -> bytes:
        await self._known(principal, name)
        return await self._using.page_file(principal, name, file)

    def in_the_way(self, tenant: str) -> Sequence[str]:
        """Apps that others have, and that a new tenant would take the name from; empty is well. Blocks."""
        return [
            f"app '{name}'"
            for name in self._shelf.names()
            if name.startswith(f"{tenant}.") and self._owner(name) == DEFAULT_TENANT and self._register.tenants(name)
        ][:20]

    # --- within ------------------------------------------------------------------------------------------------------

    def _owner(self, name: str) -> str:
        return tenant_of_name(self._tenants, name)

    def _visible(self, name: str, tenant: str) -> bool:
        return self._owner(name) in (DEFAULT_TENANT, tenant)

    async def _known(self, principal: Principal, name: str) -> None:
        """Of what runs for that tenant no file is asked. Raises: as `_offered`."""
        if not self._visible(name, principal.tenant) or self._keeper.find(name, principal.tenant) is None:
            await self._offered(principal, name)

    async def _offered(self, principal: Principal, name: str) -> Release:
        """Raises: NotFound, in the same words for another tenant's as for what never was."""
        if not self._visible(name, principal.tenant):
            raise NotFound(f"there is no app '{name[:100]}'")
        return await asyncio.to_thread(self._shelf.offered, name)

    def _own_record(self, name: str) -> AppRecord:
        """Raises: NotFound; Conflict for what comes and goes with the platform."""
        if name in self._shelf.built_in:
            raise Conflict(f"{name} is built in; it is updated with the platform")
        record = self._shelf.record(name)
        if record is None or record.removing is not None:
            raise NotFound(f"there is no app '{name[:100]}'")
        return record

    def _shelved(self, name: str) -> ShelvedApp:
        record, trouble = self._shelf.record(name), ""
        assert record is not None
        title: Mapping[str, str] = {}
        try:
            title = self._shelf.release(name, record.offered).manifest.title
        except HeadraceError as error:
            trouble = error.message
        taken = [self._register.tenant(name, tenant) for tenant in self._register.tenants(name)]
        enabled = sum(one.enabled for one in taken if one is not None)
        return ShelvedApp(name, title, self._owner(name), record.offered, record.versions, enabled, trouble)

    async def _shown(self, name: str, tenant: str, *, with_licence: bool = False) -> InstalledApp:
        release = await asyncio.to_thread(self._shelf.offered, name)
        record = await asyncio.to_thread(self._shelf.record, name)
        assert record is not None
        one = await asyncio.to_thread(self._register.tenant, name, tenant)
        run, trouble = self._keeper.find(name, tenant), self._keeper.trouble(name, tenant)
        return shown(release, record, one, run, trouble, with_licence=with_licence)

    async def _record(
        self, principal: Principal, act: str, name: str, data: Mapping[str, Any], tenant: str = DEFAULT_TENANT
    ) -> None:
        await self._audit.record(principal.name, f"app.{act}", name, "done", data, tenant=tenant)


def _filled(
    one: TenantRecord, secrets: Mapping[str, Any], release: Release, values: Mapping[str, Any]
) -> tuple[TenantRecord, dict[str, Any]]:
    known = {setting.name: setting for setting in release.manifest.settings}
    for name in values:
        if name not in known:
            raise DataError(f"there is no setting '{str(name)[:60]}'; there are {', '.join(known) or 'none'}")
    # those of another version are kept: for a roll back, or for the one that runs until this one may
    plain = {name: kept for name, kept in one.settings.items() if name not in known}
    hidden = {name: kept for name, kept in secrets.items() if values.get(name, "") is not None}
    for name, value in values.items():
        if value is not None:
            (hidden if is_secret(known[name]) else plain)[name] = value
    return replace(one, settings=plain, secrets=tuple(sorted(hidden))), hidden


def _form(release: Release, one: TenantRecord | None) -> SettingsForm:
    if one is None:
        return SettingsForm(release.manifest.settings, {})
    known = {setting.name for setting in release.manifest.settings}
    values = {name: value for name, value in one.settings.items() if name in known}
    return SettingsForm(release.manifest.settings, values, tuple(name for name in one.secrets if name in known))
