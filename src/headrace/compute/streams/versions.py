"""What people do with versions of stream functions: each act is checked, done, and in the signed audit trail.

source ─► a cell loads it once and tells its declaration ─► whose name, whose outputs? ─► register: a shadow ─► trail
promote, roll back, retire ─► whose name? ─► register ─► trail             the running desk follows within seconds

A function is whose its name is: `acme.wear` is tenant acme's, reads acme's points and writes below acme's roots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from headrace.compute.streams.cell import Cell
from headrace.compute.streams.desk import StreamDesk, check_ground
from headrace.compute.streams.register import Register, Stage, Version
from headrace.model.errors import DataError, LimitReached, NotFound
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.computing import StreamAct, StreamDifference, StreamRun, StreamVersion
from headrace.sdk.stream import StreamFunction
from headrace.sdk.tenancy import Ground, tenant_of_name

SOURCE_CHARS_MAX: Final = 256 * 1024
RUNNING_MAX: Final = 16
"""Versions of a tenant that are shadows or active: each is a process."""
KEPT_MAX: Final = 1_000
"""Versions of a tenant altogether: each is a file."""
ACTS_MAX: Final = 1_000
Load = Callable[[str, str], StreamFunction]
"""Of a source, the function of that name; '' for the only one."""


class StreamVersions:
    """Implements `sdk.computing.Streams`. Without `runs`, for a home that nobody runs: nothing is told of runs."""

    def __init__(
        self, register: Register, audit: AuditLog, tenants: Tenants, clock: Clock, runs: StreamDesk | None = None,
        load: Load | None = None,
    ) -> None:  # fmt: skip
        self._register, self._audit, self._tenants, self._clock, self._runs = register, audit, tenants, clock, runs
        self._load = load or load_in_cell
        self._acting = asyncio.Lock()  # the register is one file; and one source is loaded at a time
        self._comparing = asyncio.Lock()

    async def versions(self, *, tenant: str | None = None) -> Sequence[StreamVersion]:
        runs = {} if self._runs is None else self._runs.runs()
        return [
            _told(one, runs) for one in await asyncio.to_thread(self._all) if tenant in (None, self._owner(one.name))
        ]

    async def add(self, actor: str, source: str, function: str = "", *, tenant: str | None = None) -> StreamVersion:
        if len(source) > SOURCE_CHARS_MAX:
            raise DataError(f"a source has at most {SOURCE_CHARS_MAX} characters; this one has {len(source)}")
        async with self._acting:
            declared = await asyncio.to_thread(self._load, source, function)
            owner = self._owner(declared.name) if tenant is None else tenant
            check_ground(declared, Ground(self._tenants, owner))
            self._room(owner, declared.name, declared.version)
            added = await asyncio.to_thread(
                lambda: self._register.add(
                    declared.name, declared.version, source, who=actor, now_ns=self._clock.now_ns()
                )
            )
            await self._record(actor, "add", added)
        return _told(added, {})

    async def promote(
        self, actor: str, name: str, version: str, why: str = "", *, tenant: str | None = None
    ) -> StreamVersion:
        def act() -> Version:
            self._room(self._owner(name), name, version)
            return self._register.promote(name, version, who=actor, now_ns=self._clock.now_ns(), why=why)

        self._own(tenant, name, _unknown(name, version))
        return await self._act(actor, "promote", act, why)

    async def roll_back(self, actor: str, name: str, why: str = "", *, tenant: str | None = None) -> StreamVersion:
        def act() -> Version:
            return self._register.roll_back(name, who=actor, now_ns=self._clock.now_ns(), why=why)

        self._own(tenant, name, NotFound(f"{name} has no version before the one that runs"))
        return await self._act(actor, "roll-back", act, why)

    async def retire(
        self, actor: str, name: str, version: str, why: str = "", *, tenant: str | None = None
    ) -> StreamVersion:
        def act() -> Version:
            return self._register.retire(name, version, who=actor, now_ns=self._clock.now_ns(), why=why)

        self._own(tenant, name, _unknown(name, version))
        return await self._act(actor, "retire", act, why)

    async def difference(self, name: str, version: str, *, tenant: str | None = None) -> StreamDifference | None:
        if not any((one.name, one.version) == (name, version) for one in await self.versions(tenant=tenant)):
            raise _unknown(name, version)
        if self._runs is None:
            return None
        async with self._comparing:
            return await asyncio.to_thread(self._runs.difference, name, version)

    async def acts(self, *, tenant: str | None = None) -> Sequence[StreamAct]:
        found = [StreamAct(**one) for one in await asyncio.to_thread(self._register.journal)]
        return [one for one in found if tenant in (None, self._owner(one.name))][-ACTS_MAX:]

    def in_the_way(self, tenant: str) -> Sequence[str]:
        """Functions of `default` that a new tenant would take the name from; empty is well."""
        names = dict.fromkeys(one.name for one in self._all() if one.name.startswith(f"{tenant}."))
        return [f"stream function '{name}'" for name in names if self._owner(name) == DEFAULT_TENANT][:20]

    # --- within -----------------------------------------------------------------------------------------------------

    def _own(self, tenant: str | None, name: str, otherwise: NotFound) -> None:
        """Raises: what is said of a function that never was, where it is another's."""
        if tenant not in (None, self._owner(name)):
            raise otherwise

    async def _act(self, actor: str, kind: str, act: Callable[[], Version], why: str) -> StreamVersion:
        async with self._acting:
            done = await asyncio.to_thread(act)
            await self._record(actor, kind, done, why)
        return _told(done, {})

    async def _record(self, actor: str, kind: str, one: Version, why: str = "") -> None:
        data = {"version": one.version, "sha256": one.sha256}
        data |= {"before": one.before} if one.before else {}
        data |= {"why": why} if why else {}
        await self._audit.record(actor, f"stream.{kind}", one.name, "done", data, tenant=self._owner(one.name))

    def _all(self) -> list[Version]:
        """As the file has it: the register of the acts is not looked at from beside."""
        return Register(self._register.folder).versions()

    def _room(self, tenant: str, name: str, version: str) -> None:
        """Raises: LimitReached where one more version would be too many."""
        others = [
            one for one in self._all() if self._owner(one.name) == tenant and (one.name, one.version) != (name, version)
        ]
        running = sum(one.stage is not Stage.RETIRED for one in others)
        if running >= RUNNING_MAX:
            raise LimitReached(f"{running} versions of stream functions run already; retire some before another runs")
        if len(others) >= KEPT_MAX:
            raise LimitReached(f"there are {len(others)} versions of stream functions, as many as may be kept")

    def _owner(self, name: str) -> str:
        return tenant_of_name(self._tenants, name)


def load_in_cell(source: str, function: str) -> StreamFunction:
    """Its declaration: the source runs where it can do nothing. Raises: ConfigError, LimitReached, Unavailable."""
    cell = Cell(source, function)
    cell.close()
    return cell.function


def _unknown(name: str, version: str) -> NotFound:
    return NotFound(f"there is no version {version} of a stream function {name}; known: none")


def _told(one: Version, runs: Mapping[tuple[str, str, Stage], StreamRun]) -> StreamVersion:
    return StreamVersion(
        one.name, one.version, one.stage.value, one.sha256, one.added, one.by, one.before,
        runs.get((one.name, one.version, one.stage)),
    )  # fmt: skip
