"""What people do with versions of stream functions: each act is checked, done, and in the signed audit trail.

source ─► a cell loads it once and tells its declaration ─► whose name, whose outputs, room in the plant? ─► register: a
    shadow ─► trail
promote, roll back, place, retire ─► whose name? ─► register ─► trail ─► the plant: what active ones make are its points
                                                                        the running desk follows within seconds

A function is whose its name is: `acme.wear` is tenant acme's, reads acme's points and writes below acme's roots.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from headrace.compute.streams.cell import Cell
from headrace.compute.streams.desk import StreamDesk, check_ground
from headrace.compute.streams.placing import HUB, check_fits, check_place
from headrace.compute.streams.register import Register, Stage, Version
from headrace.model.errors import ConfigError, DataError, HeadraceError, LimitReached, NotFound
from headrace.model.units import check_unit
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.computing import StreamAct, StreamDifference, StreamRun, StreamVersion
from headrace.sdk.stream import StreamFunction, described, from_description
from headrace.sdk.tenancy import Ground, tenant_of_name

log = logging.getLogger(__name__)

SOURCE_CHARS_MAX: Final = 256 * 1024
RUNNING_MAX: Final = 16
"""Versions of a tenant that are shadows or active: each is a process."""
KEPT_MAX: Final = 1_000
"""Versions of a tenant altogether: each is a file."""
ACTS_MAX: Final = 1_000
MODEL_BYTES_MAX: Final = 16 * 1024 * 1024
Load = Callable[[str, str, bytes], StreamFunction]
"""Of a source and its model, the function of that name; '' for the only one."""
Check = Callable[[StreamFunction, str], Awaitable[None]]
"""Whether what a function makes finds room in the plant of a tenant. Raises: Conflict."""
Changed = Callable[[], Awaitable[None]]


async def _no_plant(function: StreamFunction, tenant: str) -> None:
    del function, tenant


async def _nobody() -> None:
    pass


class StreamVersions:
    """Implements `sdk.computing.Streams`. Without `runs`, for a home that nobody runs: nothing is told of runs."""

    def __init__(
        self, register: Register, audit: AuditLog, tenants: Tenants, clock: Clock, runs: StreamDesk | None = None,
        load: Load | None = None, check: Check = _no_plant, changed: Changed = _nobody,
    ) -> None:  # fmt: skip
        """`changed` is called when other functions are active than before: `functions` gives others then."""
        self._register, self._audit, self._tenants, self._clock, self._runs = register, audit, tenants, clock, runs
        self._load, self._check, self._changed = load or load_in_cell, check, changed
        self._active: Sequence[StreamFunction] = ()
        self._acting = asyncio.Lock()  # the register is one file; and one source is loaded at a time
        self._comparing = asyncio.Lock()

    async def start(self) -> None:
        """Learn which are active. What an older program took up without its declaration is loaded once."""
        async with self._acting:
            try:
                await asyncio.to_thread(self._describe)
                await asyncio.to_thread(self._refresh)
            except HeadraceError as error:
                log.error("the points of stream functions are not in the plant: %s", error)

    def functions(self, tenant: str) -> Sequence[StreamFunction]:
        """The declarations of a tenant's active functions, without bodies. From any thread."""
        return [one for one in self._active if self._owner(one.name) == tenant]

    async def versions(self, *, tenant: str | None = None) -> Sequence[StreamVersion]:
        runs = {} if self._runs is None else self._runs.runs()
        return [
            _told(one, runs) for one in await asyncio.to_thread(self._all) if tenant in (None, self._owner(one.name))
        ]

    async def add(
        self, actor: str, source: str, function: str = "", *, on: str = HUB, model: bytes = b"",
        tenant: str | None = None,
    ) -> StreamVersion:  # fmt: skip
        if len(source) > SOURCE_CHARS_MAX:
            raise DataError(f"a source has at most {SOURCE_CHARS_MAX} characters; this one has {len(source)}")
        if len(model) > MODEL_BYTES_MAX:
            raise DataError(f"a model has at most {MODEL_BYTES_MAX} bytes; this one has {len(model)}")
        async with self._acting:
            declared = await asyncio.to_thread(self._load, source, function, model)
            owner = self._owner(declared.name) if tenant is None else tenant
            check_ground(declared, Ground(self._tenants, owner))
            check_fits(declared, check_place(on))
            await self._fits(declared)
            self._room(owner, declared.name, declared.version)
            added = await asyncio.to_thread(
                lambda: self._register.add(
                    declared.name,
                    declared.version,
                    source,
                    who=actor,
                    now_ns=self._clock.now_ns(),
                    on=on,
                    declared=described(declared),
                    model=model,
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
        return await self._act(actor, "promote", act, why, lambda: self._register.find(name, version))

    async def roll_back(self, actor: str, name: str, why: str = "", *, tenant: str | None = None) -> StreamVersion:
        def act() -> Version:
            return self._register.roll_back(name, who=actor, now_ns=self._clock.now_ns(), why=why)

        def before() -> Version | None:
            current = self._register.active(name)
            return self._register.find(name, current.before) if current is not None and current.before else None

        self._own(tenant, name, NotFound(f"{name} has no version before the one that runs"))
        return await self._act(actor, "roll-back", act, why, before)

    async def place(
        self, actor: str, name: str, version: str, on: str, why: str = "", *, tenant: str | None = None
    ) -> StreamVersion:
        def act() -> Version:
            one = self._register.find(name, version)
            if one.declared is not None:
                check_fits(_function(one), on)
            return self._register.place(name, version, on, who=actor, now_ns=self._clock.now_ns(), why=why)

        check_place(on)
        self._own(tenant, name, _unknown(name, version))
        return await self._act(actor, "place", act, why)

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

    async def _act(
        self, actor: str, kind: str, act: Callable[[], Version], why: str,
        starts: Callable[[], Version | None] = lambda: None,
    ) -> StreamVersion:  # fmt: skip
        """`starts` is the version that will be active, if one will."""
        async with self._acting:
            one = await asyncio.to_thread(starts)
            if one is not None and one.declared is not None:
                await self._fits(_function(one))
            done = await asyncio.to_thread(act)
            await self._record(actor, kind, done, why)
            before = self._active
            await asyncio.to_thread(self._refresh)
            if self._active != before:
                try:
                    await self._changed()
                except HeadraceError as error:  # the act is done; the plant follows with its next change
                    log.error("the points of stream function %s are not in the plant yet: %s", name_of(done), error)
        return _told(done, {})

    async def _fits(self, function: StreamFunction) -> None:
        """Raises: ConfigError for a unit that is none; Conflict for an output that is there already."""
        check_units(function)
        await self._check(function, self._owner(function.name))

    def _describe(self) -> None:
        for one in self._register.versions():
            if one.declared is None and one.stage is not Stage.RETIRED:
                try:
                    declared = self._load(self._register.source(one), one.name, self._register.model(one))
                    check_units(declared)
                except HeadraceError as error:
                    log.warning("the points of stream function %s are not in the plant: %s", name_of(one), error)
                else:
                    self._register.describe(one, described(declared))

    def _refresh(self) -> None:
        active = [one for one in self._all() if one.stage is Stage.ACTIVE and one.declared is not None]
        self._active = [_function(one) for one in active]

    async def _record(self, actor: str, kind: str, one: Version, why: str = "") -> None:
        data = {"version": one.version, "sha256": one.sha256, **({"model": one.model} if one.model else {})}
        data |= {"before": one.before} if one.before else {}
        data |= {"on": one.on} if kind == "place" or one.on != HUB else {}
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


def check_units(function: StreamFunction) -> None:
    """Its outputs are points of the plant, so their units are UCUM codes. Raises: ConfigError."""
    for name, output in function.outputs.items():
        if output.unit:
            try:
                check_unit(output.unit)
            except DataError as error:
                raise ConfigError(f"stream function {function.name}: output '{name}': {error.message}") from None


def name_of(one: Version) -> str:
    return f"{one.name} {one.version}"


def _function(one: Version) -> StreamFunction:
    """Its declaration, without a body."""
    assert one.declared is not None
    return from_description(one.declared, _in_its_cell)


def _in_its_cell(*_: object) -> None:
    raise ConfigError("this function runs in its cell")


def load_in_cell(source: str, function: str, model: bytes) -> StreamFunction:
    """Its declaration: the source runs where it can do nothing. Raises: ConfigError, LimitReached, Unavailable."""
    cell = Cell(source, function, model=model)
    cell.close()
    return cell.function


def _unknown(name: str, version: str) -> NotFound:
    return NotFound(f"there is no version {version} of a stream function {name}; known: none")


def _told(one: Version, runs: Mapping[tuple[str, str, Stage], StreamRun]) -> StreamVersion:
    return StreamVersion(
        one.name, one.version, one.stage.value, one.sha256, one.added, one.by, one.before,
        runs.get((one.name, one.version, one.stage)), one.on,
    )  # fmt: skip
