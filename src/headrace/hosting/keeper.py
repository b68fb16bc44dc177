"""Makes what runs be what is wanted: for each app and tenant, after each act, any crash and any restart.

    app on its way out ─► all stop ─► data stays or goes ─► gone
    tenant ─┬ not enabled ─────────────────────────► nothing runs
            └ enabled ─┬ on the version offered ───► it runs, with what was accepted and filled in
                       └ on another one ─► asks for more, or settings are missing? the old one runs on
                                       └─► stops ─► tables copied, or brought back ─► on that version

A step that a crash cut short is done again: a copy is renamed into its place when it is whole, and the record of the
tenant says the new version only when its tables are ready for it. One tenant's trouble is no other's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from packaging.version import Version

from headrace.hosting.abilities import AppHealth, Declared
from headrace.hosting.register import Register, TenantRecord, is_secret
from headrace.hosting.releases import Release, ahead
from headrace.hosting.shelf import Shelf
from headrace.hosting.table_copies import TableCopies
from headrace.model.errors import ConfigErrors, HeadraceError, NotFound
from headrace.sdk.access import Tenants
from headrace.sdk.app_desk import AppOrigin, BackTables, KeptData
from headrace.sdk.apps import Permissions, Reply, Request
from headrace.sdk.apps.settings import check_settings
from headrace.sdk.clock import Clock
from headrace.sdk.tenancy import exists

log = logging.getLogger(__name__)

LOOK_S: Final = 10.0
Key = tuple[str, str]
"""App and tenant."""


class Runner(Protocol):
    """An `AppRunner` is one."""

    async def run(self) -> None: ...

    async def request(self, request: Request) -> Reply: ...

    @property
    def declared(self) -> Declared: ...

    def health(self) -> AppHealth: ...

    async def stop(self) -> None: ...

    def restart(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that a run is made of; another one of it is another run. `owned` is the tenant's ground."""

    release: Release
    tenant: str
    grants: Permissions
    settings: Mapping[str, Any]
    folder: Path
    owned: tuple[str, ...]


@dataclass(slots=True)
class Run:
    wanted: Wanted
    runner: Runner
    task: asyncio.Task[None]


Start = Callable[[Wanted], Runner]


class Keeper:
    """Call `run` in a task and cancel it to stop; `look_at` makes one app so at once, whether that runs or not."""

    def __init__(self, register: Register, shelf: Shelf, start: Start, tenants: Tenants, clock: Clock) -> None:
        self._register, self._shelf, self._start = register, shelf, start
        self._tenants, self._clock = tenants, clock
        self._runs: dict[Key, Run] = {}
        self._trouble: dict[Key, str] = {}
        self._looking: dict[str, asyncio.Lock] = {}
        self._writing: dict[str, asyncio.Lock] = {}
        self._copies = TableCopies(register)
        self._open = True

    async def run(self) -> None:
        try:
            while True:
                for name in await asyncio.to_thread(self._shelf.names):
                    await self.look_at(name)
                await self._clock.sleep(LOOK_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """All stop in good order, and nothing starts any more."""
        self._open = False
        await asyncio.gather(*(self._stop(key) for key in list(self._runs)))

    def writing_of(self, name: str) -> asyncio.Lock:
        """Held by whoever reads and writes records of an app."""
        return self._writing.setdefault(name, asyncio.Lock())

    def find(self, name: str, tenant: str) -> Run | None:
        return self._runs.get((name, tenant))

    def trouble(self, name: str, tenant: str) -> str:
        """Why it does not run, or not on the version offered."""
        return self._trouble.get((name, tenant), "")

    def of(self, tenant: str) -> list[Run]:
        return [self._runs[key] for key in sorted(key for key in self._runs if key[1] == tenant)]

    async def look_at(self, name: str) -> None:
        async with self._looking.setdefault(name, asyncio.Lock()):
            try:
                record = await asyncio.to_thread(self._shelf.record, name)
                tenants = await asyncio.to_thread(self._register.tenants, name)
                if record is None:
                    return
                if record.removing is not None:
                    await self._remove(name, tenants, record.removing)
                    return
            except (HeadraceError, OSError) as error:
                self._told((name, ""), error)
                return
            for tenant in {*tenants, *(of for app, of in self._runs if app == name)}:
                try:
                    await self._look_at(name, tenant)
                    self._trouble.pop((name, tenant), None)
                except (HeadraceError, OSError) as error:
                    self._told((name, tenant), error)

    # --- one tenant --------------------------------------------------------------------------------------------------

    async def _look_at(self, name: str, tenant: str) -> None:
        key = (name, tenant)
        one = await asyncio.to_thread(self._register.tenant, name, tenant)
        if one is None or not one.enabled or not exists(self._tenants, tenant):
            await self._stop(key)
            if one is not None and one.wipe:
                await asyncio.to_thread(self._wipe, one)
            return
        offered = await asyncio.to_thread(self._shelf.offered, name)
        held = ""
        if (one.version, one.sha256) != (offered.version, offered.sha256):
            held = await asyncio.to_thread(self.holds, one, offered)
            if not held:
                one = await self._follow(one, offered)
        elif key not in self._runs:
            await asyncio.to_thread(self._copies.finish, one)
        release = offered if one.version == offered.version else await asyncio.to_thread(
            self._shelf.release, name, one.version
        )  # fmt: skip
        try:
            await self._make_run(key, one, release)
        except HeadraceError:
            await self._stop(key)
            raise
        if held:
            raise _Held(held)

    def holds(self, one: TenantRecord, offered: Release) -> str:
        """What has to be done before the tenant gets the version offered; '' for nothing. Blocks."""
        more = offered.manifest.permissions.more_than(one.accepted)
        if more and offered.origin is not AppOrigin.BUILT_IN:
            return f"version {offered.version} asks for more: {', '.join(more)}; enable it to accept that"
        if offered.origin is AppOrigin.BUILT_IN:
            return ""  # what ran before came with another platform, and is not here
        try:
            self.settings_of(one, offered)
        except ConfigErrors as error:
            return f"version {offered.version} waits for settings: {error.errors[0].message}"
        return ""

    def settings_of(
        self, one: TenantRecord, release: Release, secrets: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """As the app gets them; without `secrets`, with those that are kept. Blocks.

        Raises: ConfigErrors; DataError where secrets cannot be opened.
        """
        if secrets is None:
            secrets = self._register.secrets(one.app, one.tenant) if one.secrets else {}
        given: dict[str, Any] = {}
        for setting in release.manifest.settings:
            kept = secrets if is_secret(setting) else one.settings
            if setting.name in kept:
                given[setting.name] = kept[setting.name]
        return check_settings(release.manifest.settings, given)

    async def _follow(self, one: TenantRecord, offered: Release) -> TenantRecord:
        """Onto the version offered; nothing of the app runs meanwhile."""
        await self._stop((one.app, one.tenant))
        async with self.writing_of(one.app):
            fresh = await asyncio.to_thread(self._register.tenant, one.app, one.tenant)
            if fresh is None or fresh.version != one.version:
                return fresh or one
            if fresh.version != offered.version:
                await asyncio.to_thread(self._move_tables, fresh, offered)
            moved = replace(fresh, version=offered.version, sha256=offered.sha256)
            await asyncio.to_thread(self._register.put_tenant, moved)
            await asyncio.to_thread(self._copies.finish, moved)
            log.info("app %s of tenant '%s' is on version %s now", one.app, one.tenant, offered.version)
            return moved

    def _move_tables(self, one: TenantRecord, offered: Release) -> None:
        """Blocks. Raises: Unavailable."""
        if not one.version or Version(offered.version) > Version(one.version):
            self._copies.keep(one)
            return
        if offered.origin is AppOrigin.BUILT_IN:
            return  # an older platform: its tables say whether it can read them
        record = self._shelf.record(one.app)
        newer = self._shelf.release(one.app, one.version)
        lost = ahead(newer.migrations, offered.migrations)
        if lost or (record is not None and record.back is BackTables.RESTORE):
            self._copies.bring_back(one, offered.version)

    async def _make_run(self, key: Key, one: TenantRecord, release: Release) -> None:
        settings = await asyncio.to_thread(self.settings_of, one, release)
        folder = self._register.data(one.app, one.tenant)
        wanted = Wanted(release, one.tenant, one.accepted, settings, folder, self._ground(one.tenant))
        run = self._runs.get(key)
        if run is not None and run.task.done() and not run.task.cancelled() and (error := run.task.exception()):
            log.error("app %s of tenant '%s' ended by an error of ours", one.app, one.tenant, exc_info=error)
        if run is not None and run.wanted == wanted and not run.task.done():
            return
        await self._stop(key)
        await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
        if not self._open:
            return
        runner = self._start(wanted)
        task = asyncio.create_task(runner.run(), name=f"app {one.app} of {one.tenant}")
        self._runs[key] = Run(wanted, runner, task)

    def _ground(self, tenant: str) -> tuple[str, ...]:
        """What is the tenant's; of `default` what is not."""
        roots = self._tenants.roots(tenant)
        return roots or tuple(root for name in self._tenants.names() for root in self._tenants.roots(name))

    async def _stop(self, key: Key) -> None:
        run = self._runs.pop(key, None)
        if run is None:
            return
        if not run.task.done():
            await run.runner.stop()
        await asyncio.gather(run.task, return_exceptions=True)

    # --- going -------------------------------------------------------------------------------------------------------

    async def _remove(self, name: str, tenants: list[str], data: KeptData) -> None:
        for app, tenant in list(self._runs):
            if app == name:
                await self._stop((app, tenant))
        async with self.writing_of(name):
            for tenant in tenants:
                one = await asyncio.to_thread(self._register.tenant, name, tenant)
                if one is not None and data is KeptData.DELETE:
                    await asyncio.to_thread(self._wipe, one)
                elif one is not None and one.enabled:
                    await asyncio.to_thread(self._register.put_tenant, replace(one, enabled=False))
            await asyncio.to_thread(self._register.drop_app, name)
        for key in [key for key in self._trouble if key[0] == name]:
            del self._trouble[key]

    def _wipe(self, one: TenantRecord) -> None:
        """The record last: until then a crash leaves what says that the rest has to go."""
        for folder in (self._register.data(one.app, one.tenant), self._register.before(one.app, one.tenant)):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
        self._register.drop_tenant(one.app, one.tenant)

    def _told(self, key: Key, error: HeadraceError | OSError) -> None:
        said = error.message if isinstance(error, HeadraceError) else f"the disk refuses: {error.strerror}"
        if isinstance(error, ConfigErrors):
            said = error.errors[0].message
        if self._trouble.get(key) != said:
            self._trouble[key] = said
            if not isinstance(error, NotFound | _Held):
                log.warning("app %s of tenant '%s': %s", key[0], key[1] or "all", said)


class _Held(HeadraceError):
    """Not on the version offered, and why: shown, and no failure."""
