"""The registry: declarations in, plant out.

    files ──parse──► declared ─┐
                               ├─(merge)─► declared, new ──expand──► PlantModel ──┐
    database ──load──► declared ┴──────────expand──► PlantModel ──────────────────┴─diff─► Plan ──apply──► database
    the platform ──provide──► its own assets, in every expansion and in no file

All of it is pure but for the database, and all of it runs in a thread: a big plant must not stop the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from headrace.model.errors import ConfigError, ConfigErrors, Conflict
from headrace.model.plant import PlantModel
from headrace.registry.declared import Declared, Key, parse
from headrace.registry.emit import emit
from headrace.registry.expand import expand
from headrace.registry.plan import diff, summary
from headrace.registry.problems import Problems
from headrace.registry.shares import shares
from headrace.registry.store import ObjectStore, Revision, Stored
from headrace.sdk.clock import Clock
from headrace.sdk.driver import DriverType
from headrace.sdk.edges import Share
from headrace.sdk.outlet import OutletType
from headrace.sdk.services import Plan, SourceFile

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
    """Implements `sdk.services.Registry` over any database that SQLAlchemy knows."""

    def __init__(
        self,
        engine: Engine,
        drivers: Mapping[str, DriverType],
        clock: Clock,
        outlets: Mapping[str, OutletType] | None = None,
    ) -> None:
        self._store = ObjectStore(engine)
        self._drivers, self._outlets = drivers, outlets or {}
        self._clock = clock
        self._current: _Current | None = None
        self._own: Mapping[Key, Declared] = {}
        self._applying = asyncio.Lock()

    async def model(self) -> PlantModel:
        """The plant as declared now. What is stored and no longer valid is left out and logged once."""
        return (await asyncio.to_thread(self._load)).model

    async def errors(self) -> Sequence[ConfigError]:
        """What is stored and no longer valid, for instance because its driver is gone."""
        return (await asyncio.to_thread(self._load)).errors

    async def plan(self, files: Sequence[SourceFile], *, prune: bool = True) -> Plan:
        """Compare files with what is declared; `prune` removes what they lack. Errors are in the plan."""
        return (await asyncio.to_thread(self._prepare, files, prune)).plan

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
        expand(own, self._drivers, problems, outlets=self._outlets)
        if problems:
            raise ConfigErrors(problems.errors())
        async with self._applying:
            self._own, self._current = own, None

    async def shares(self, prefixes: Mapping[str, str]) -> Mapping[str, Share]:
        """The part of the plant that each edge (name to prefix) should run, as text that stands on its own."""

        def work() -> Mapping[str, Share]:
            current = self._load()
            return shares(current.stored.objects, current.model, prefixes)

        return await asyncio.to_thread(work)

    async def revisions(self, limit: int = 100) -> Sequence[Revision]:
        """Who changed what when, newest first."""
        return await asyncio.to_thread(self._store.history, limit)

    def _load(self) -> _Current:
        current = self._current
        if current is not None and self._store.revision() == current.stored.revision:
            return current
        stored = self._store.load()
        problems = Problems()
        model = expand(
            self._with_own(stored.objects, problems), self._drivers, problems, stored.revision, self._outlets
        )
        current = _Current(stored, model, problems.errors())
        if current.errors:
            log.warning(
                "revision %d has %d declarations that are no longer valid and are left out; first: %s",
                stored.revision,
                len(current.errors),
                current.errors[0],
            )
        self._current = current
        return current

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
        model = expand(self._with_own(declared, problems), self._drivers, problems, stored.revision, self._outlets)
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
