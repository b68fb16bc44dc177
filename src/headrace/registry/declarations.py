"""The registry: declarations in, plant out.

    files ──parse──► declared ─┐
                               ├─(merge)─► borders? ─► declared, new ──expand──► PlantModel ──┐
    database ──load──► declared ┴───────── borders? ──────────expand──► PlantModel ───────────┴─diff─► Plan ─► database
    the platform ──provide──► its own assets, in every expansion and in no file
    stream functions that are active ──► the points that they make, likewise

It is the registry of one tenant; `tenants.py` has one for each.

All of it is pure but for the database, and all of it runs in a thread: a big plant must not stop the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from headrace.model.errors import ConfigError, ConfigErrors, Conflict
from headrace.model.plant import PlantModel
from headrace.registry.borders import Borders
from headrace.registry.declared import Declared, Key, parse
from headrace.registry.emit import emit
from headrace.registry.expand import expand
from headrace.registry.made import check_made
from headrace.registry.plan import diff, summary
from headrace.registry.problems import Problems
from headrace.registry.shares import shares
from headrace.registry.store import ObjectStore, Revision, Stored
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.clock import Clock
from headrace.sdk.driver import DriverType
from headrace.sdk.edges import Share
from headrace.sdk.messenger import MessengerType
from headrace.sdk.outlet import OutletType
from headrace.sdk.services import Plan, SourceFile
from headrace.sdk.stream import StreamFunction
from headrace.sdk.tenancy import ONE_TENANT

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Current:
    """What the database holds, expanded; `errors` are what a newer program no longer takes."""

    stored: Stored
    model: PlantModel
    errors: Sequence[ConfigError]


@dataclass(frozen=True, slots=True)
class _Prepared:
    current: _Current
    declared: Mapping[Key, Declared]
    model: PlantModel
    plan: Plan


class DeclarationRegistry:
    """The declarations of one tenant, over any database that SQLAlchemy knows."""

    def __init__(
        self,
        engine: Engine,
        drivers: Mapping[str, DriverType],
        clock: Clock,
        outlets: Mapping[str, OutletType] | None = None,
        messengers: Mapping[str, MessengerType] | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
        borders: Borders | None = None,
        functions: Callable[[], Sequence[StreamFunction]] = tuple,
    ) -> None:
        """Without `borders` everything is its own, as on an edge or in a single plant. `functions` are the tenant's
        stream functions that are active now; call `forget` when they are others."""
        self._store, self._tenant = ObjectStore(engine, tenant), tenant
        self._borders, self._functions = borders or Borders(ONE_TENANT), functions
        self._drivers, self._outlets, self._messengers = drivers, outlets or {}, messengers or {}
        self._clock = clock
        self._current: _Current | None = None
        self._own: Mapping[Key, Declared] = {}
        self._generation = 0  # of what stands around the declarations
        self._applying = asyncio.Lock()

    async def model(self) -> PlantModel:
        """The plant as declared now. What is stored and no longer valid is left out and logged once."""
        return (await asyncio.to_thread(self._load)).model

    def load(self, newest: int) -> PlantModel:
        """`model`, for who is in a thread and knows the newest revision: asks the database only where that is new."""
        current = self._current
        return current.model if current is not None and current.stored.revision == newest else self._load().model

    def forget(self) -> None:
        """What belongs to whom has changed: look at everything anew."""
        self._generation += 1
        self._current = None

    async def check_function(self, function: StreamFunction) -> None:
        """That its outputs find room in the plant. Raises: Conflict that names what is in the way."""
        plant = await self.model()
        await asyncio.to_thread(check_made, function, plant)

    async def errors(self) -> Sequence[ConfigError]:
        """What is stored and no longer valid, for instance because its driver is gone."""
        return (await asyncio.to_thread(self._load)).errors

    async def plan(self, files: Sequence[SourceFile], *, prune: bool = True) -> Plan:
        """Compare files with what is declared; `prune` removes what they lack. Errors are in the plan."""
        return (await asyncio.to_thread(self._prepare, files, prune)).plan

    async def preview(self, files: Sequence[SourceFile], *, prune: bool = False) -> PlantModel:
        """The plant as it would be with these files; nothing changes. Raises: ConfigErrors."""
        prepared = await asyncio.to_thread(self._prepare, files, prune)
        if prepared.plan.errors:
            raise ConfigErrors(list(prepared.plan.errors))
        return prepared.model

    async def apply(
        self, files: Sequence[SourceFile], *, actor: str, prune: bool = True, revision: int | None = None
    ) -> tuple[Plan, PlantModel]:
        """Make it so, all or nothing. Raises: ConfigErrors; Conflict where `revision` is not the current one."""
        async with self._applying:
            return await asyncio.to_thread(self._apply, files, actor, prune, revision)

    async def export(self) -> Sequence[SourceFile]:
        """The files as they were named, without comments; planning them finds no change."""
        current = await asyncio.to_thread(self._load)
        return await asyncio.to_thread(emit, current.stored.objects.values())

    async def provide(self, files: Sequence[SourceFile]) -> None:
        """What the platform itself declares, such as its edges: part of the plant from now on, and of no export.

        It takes the place of what was provided before. Raises: ConfigErrors.
        """
        problems = Problems()
        own = parse(files, problems)
        self._expand(own, problems)
        if problems:
            raise ConfigErrors(problems.errors())
        async with self._applying:
            self._own = own
            self.forget()

    async def shares(self, prefixes: Mapping[str, str]) -> Mapping[str, Share]:
        """The part of the plant that each edge (name to prefix) should run, as text that stands on its own."""

        def work() -> Mapping[str, Share]:
            current = self._load()
            return shares(current.stored.objects, current.model, prefixes)

        return await asyncio.to_thread(work)

    async def revisions(self, limit: int = 100) -> Sequence[Revision]:
        """Who changed what when, newest first."""
        return await asyncio.to_thread(self._store.history, limit)

    async def declared(self) -> Sequence[Declared]:
        """What is stored, valid or not."""
        return [*(await asyncio.to_thread(self._store.load)).objects.values()]

    def _load(self) -> _Current:
        current = self._current
        if current is not None and self._store.revision() == current.stored.revision:
            return current
        generation = self._generation
        stored = self._store.load()
        problems = Problems()
        ours = self._borders.inside(stored.objects, problems)
        model = self._expand(self._with_own(ours, problems), problems, stored.revision)
        current = _Current(stored, model, problems.errors())
        if current.errors:
            log.warning(
                "revision %d of %s has %d declarations that are no longer valid and are left out; first: %s",
                stored.revision,
                "the plant" if self._tenant == DEFAULT_TENANT else f"tenant '{self._tenant}'",
                len(current.errors),
                current.errors[0],
            )
        if generation == self._generation:
            self._current = current
        return current

    def _expand(self, declared: Mapping[Key, Declared], problems: Problems, revision: int = 0) -> PlantModel:
        functions = self._functions()
        return expand(declared, self._drivers, problems, revision, self._outlets, self._messengers, functions)

    def _with_own(self, declared: Mapping[Key, Declared], problems: Problems) -> Mapping[Key, Declared]:
        for key in self._own.keys() & declared.keys():
            problems.add(declared[key].where, f"{key[0]} '{key[1]}' is the platform's own; choose another name")
        return {**declared, **self._own}

    def _prepare(self, files: Sequence[SourceFile], prune: bool) -> _Prepared:
        current = self._load()
        problems = Problems()
        given = parse(files, problems)
        stored = current.stored
        declared = given if prune else {**stored.objects, **given}
        if self._borders.is_too_much(files, declared, problems):
            plan = Plan(stored.revision, (), tuple(problems.errors()))
            return _Prepared(current, declared, current.model, plan)
        self._borders.check(declared, problems)
        model = self._expand(self._with_own(declared, problems), problems, stored.revision)
        changes = [] if problems else diff(stored.objects, declared, current.model, model)
        plan = Plan(stored.revision, tuple(changes), tuple(problems.errors()))
        return _Prepared(current, declared, model, plan)

    def _apply(
        self, files: Sequence[SourceFile], actor: str, prune: bool, revision: int | None
    ) -> tuple[Plan, PlantModel]:
        prepared = self._prepare(files, prune)
        plan, current = prepared.plan, prepared.current
        if revision is not None and revision != plan.revision:
            raise Conflict(
                f"the declarations are at revision {plan.revision}, this plan was made at {revision}: plan again"
            )
        if plan.errors:
            raise ConfigErrors(list(plan.errors))
        number = self._store.replace(
            current.stored,
            prepared.declared,
            time_ns=self._clock.now_ns(),
            actor=actor,
            summary=summary(list(plan.changes)),
        )
        for one in prepared.declared.values():
            one.node = None  # the tree was for error messages, and is large
        model = replace(prepared.model, revision=number)
        self._current = _Current(Stored(number, prepared.declared), model, ())
        return plan, model
