"""The registries of all tenants of a hub, and the one plant that they make together.

    plan, apply, export, revisions ─(tenant)─► its DeclarationRegistry ──► its rows, its model
                                                     │ every tenant's, the newest
                                                     ▼
    reconcile ◄── model() ◄── merged: one plant, each part below the roots of its owner

Tenants apply side by side; a conflict is between two who change the same one. One whose declarations are no longer
valid, or cannot be read at all, loses what is wrong of its own and nothing of anybody else's.

The revision of the merged plant is the sum of the tenants' revisions: it grows by one with each change of any, and for
a single plant it is the revision that its engineer sees.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from sqlalchemy import Engine

from headrace.model.errors import ConfigError, HeadraceError
from headrace.model.plant import PlantModel
from headrace.model.retention import CLASSES_MAX, DEFAULT_CLASS
from headrace.registry.borders import Borders, TenantLimits
from headrace.registry.declarations import DeclarationRegistry
from headrace.registry.store import Revision, classes_besides, newest_revisions
from headrace.sdk.access import DEFAULT_TENANT, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.driver import DriverType
from headrace.sdk.edges import Share
from headrace.sdk.messenger import MessengerType
from headrace.sdk.outlet import OutletType
from headrace.sdk.services import Plan, SourceFile
from headrace.sdk.stream import StreamFunction
from headrace.sdk.tenancy import ONE_TENANT, HubPolicy, exists, nothing_on_hub, tenant_of_name

log = logging.getLogger(__name__)

IN_THE_WAY_MAX: Final = 20


class TenantRegistries:
    """Implements `sdk.services.Registry` and `sdk.edges.Declarations`.

    `limits` says how much a tenant may declare, `on_hub` what of it may run on the hub itself, `functions` which stream
    functions of it are active now.
    """

    def __init__(
        self, engine: Engine, drivers: Mapping[str, DriverType], clock: Clock,
        outlets: Mapping[str, OutletType] | None = None,
        messengers: Mapping[str, MessengerType] | None = None, *, tenants: Tenants = ONE_TENANT,
        limits: Callable[[str], TenantLimits] = lambda _: TenantLimits(), on_hub: HubPolicy = nothing_on_hub,
        functions: Callable[[str], Sequence[StreamFunction]] = lambda _: (),
    ) -> None:  # fmt: skip
        self._engine, self._drivers, self._clock = engine, drivers, clock
        self._outlets, self._messengers = outlets, messengers
        self._tenants, self._limits, self._on_hub, self._functions = tenants, limits, on_hub, functions
        self._registries: dict[str, DeclarationRegistry] = {}
        self._good: dict[str, PlantModel] = {}
        self._broken: dict[str, str] = {}
        self._merged: tuple[list[PlantModel], PlantModel] = [], PlantModel()
        self._merging = asyncio.Lock()

    # --- one tenant -------------------------------------------------------------------------------------------------

    def of(self, tenant: str) -> DeclarationRegistry:
        """Raises: NotFound."""
        self._tenants.roots(tenant)
        held = self._registries.get(tenant)
        if held is None:
            own = tenant == DEFAULT_TENANT
            borders = Borders(
                self._tenants, tenant, limits=None if own else self._limits(tenant), on_hub=self._on_hub,
                classes_of_others=lambda: classes_besides(self._engine, tenant),
            )  # fmt: skip
            held = self._registries[tenant] = DeclarationRegistry(
                self._engine, self._drivers, self._clock, self._outlets, self._messengers, tenant=tenant,
                borders=borders, functions=lambda: self._functions(tenant),
            )  # fmt: skip
        return held

    async def model_of(self, tenant: str) -> PlantModel:
        """What a tenant declared, with its own revision. Raises: NotFound."""
        return await self.of(tenant).model()

    async def plan(
        self, files: Sequence[SourceFile], *, prune: bool = True, tenant: str = DEFAULT_TENANT
    ) -> Plan:  # fmt: skip
        """Raises: NotFound for a tenant that is not one."""
        return await self.of(tenant).plan(files, prune=prune)

    async def preview(
        self, files: Sequence[SourceFile], *, prune: bool = False, tenant: str = DEFAULT_TENANT
    ) -> PlantModel:  # fmt: skip
        """A tenant's plant as it would be with these files. Raises: ConfigErrors, NotFound."""
        return await self.of(tenant).preview(files, prune=prune)

    async def apply(
        self, files: Sequence[SourceFile], *, actor: str, prune: bool = True, revision: int | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[Plan, PlantModel]:  # fmt: skip
        """The tenant's model, with its own revision. Raises: ConfigErrors, Conflict, NotFound."""
        return await self.of(tenant).apply(files, actor=actor, prune=prune, revision=revision)

    async def check_function(self, function: StreamFunction, *, tenant: str = DEFAULT_TENANT) -> None:
        """That its outputs find room in the tenant's plant. Raises: Conflict, NotFound."""
        await self.of(tenant).check_function(function)

    async def export(self, *, tenant: str = DEFAULT_TENANT) -> Sequence[SourceFile]:
        return await self.of(tenant).export()

    async def errors(self, *, tenant: str = DEFAULT_TENANT) -> Sequence[ConfigError]:
        return await self.of(tenant).errors()

    async def revisions(self, limit: int = 100, *, tenant: str = DEFAULT_TENANT) -> Sequence[Revision]:
        return await self.of(tenant).revisions(limit)

    # --- all of them ------------------------------------------------------------------------------------------------

    async def model(self) -> PlantModel:
        """The plant of all tenants. Its types are those of `default`, and of others as `<tenant>.<type>`."""
        async with self._merging:
            return await asyncio.to_thread(self._merge)

    async def provide(self, files: Sequence[SourceFile]) -> None:
        """What the platform itself declares; it stands in the platform's own tenant. Raises: ConfigErrors."""
        await self.of(DEFAULT_TENANT).provide(files)

    async def shares(self, prefixes: Mapping[str, str]) -> Mapping[str, Share]:
        """Each edge gets of the tenant that it belongs to, and of no other."""
        groups: dict[str, dict[str, str]] = {}
        for edge, prefix in prefixes.items():
            groups.setdefault(tenant_of_name(self._tenants, edge), {})[edge] = prefix
        found: dict[str, Share] = {}
        for tenant, group in groups.items():
            try:
                found |= await self.of(tenant).shares(group)
            except HeadraceError:
                raise
            except Exception as fault:  # as in `_load`: its edges go on with what they have
                self._note(tenant, fault)
        return found

    def forget(self) -> None:
        """A tenant came, or owns something else: what each declared is looked at anew."""
        for registry in self._registries.values():
            registry.forget()

    async def in_the_way(self, tenant: str, roots: Iterable[str]) -> Sequence[str]:
        """What `default` declares that would no longer be its own if `tenant` came and owned these roots; empty is
        well. A tenant must not be made while something is in its way: that would stop running."""
        wanted = _Joined(self._tenants, tenant, frozenset(roots))
        borders = Borders(wanted)
        declared = {(one.kind, one.key): one for one in await self.of(DEFAULT_TENANT).declared()}
        wrong = borders.outside(declared)
        return [f"{kind} '{key}' ({declared[kind, key].where})" for kind, key in islice(wrong, IN_THE_WAY_MAX)]

    # --- within, in a thread ----------------------------------------------------------------------------------------

    def _merge(self) -> PlantModel:
        newest = {DEFAULT_TENANT: 0, **newest_revisions(self._engine)}
        names = sorted(newest, key=lambda name: (name != DEFAULT_TENANT, name))
        parts = {name: self._load(name, newest[name]) for name in names if self._known(name)}
        before, merged = self._merged
        if len(before) == len(parts) and all(a is b for a, b in zip(before, parts.values(), strict=True)):
            return merged
        self._merged = list(parts.values()), merge(parts)
        return self._merged[1]

    def _load(self, tenant: str, newest: int) -> PlantModel:
        """The newest of a tenant; what cannot be read at all is logged once, and what was good last goes on."""
        try:
            model = self.of(tenant).load(newest)
        except HeadraceError:
            raise  # the database: it fails for everybody alike
        except Exception as fault:  # rows that no version of ours wrote, or a fault of ours that one plant finds
            if tenant == DEFAULT_TENANT:
                raise
            self._note(tenant, fault)
            return self._good.setdefault(tenant, PlantModel())
        self._broken.pop(tenant, None)
        self._good[tenant] = model
        return model

    def _known(self, tenant: str) -> bool:
        if exists(self._tenants, tenant):
            return True
        if tenant not in self._broken:
            self._broken[tenant] = "unknown"
            log.error(
                "declarations of '%s' are in the database, and there is no such tenant; they are left out", tenant
            )
        return False

    def _note(self, tenant: str, fault: Exception) -> None:
        if self._broken.get(tenant) != repr(fault):
            self._broken[tenant] = repr(fault)
            log.error("the declarations of tenant '%s' cannot be read; it goes on as it was", tenant, exc_info=fault)


class _Joined:
    """The tenants as they would be with one more. Implements `Tenants`."""

    def __init__(self, tenants: Tenants, name: str, roots: frozenset[str]) -> None:
        self._tenants, self._name, self._roots = tenants, name, roots

    def names(self) -> Sequence[str]:
        return [*self._tenants.names(), self._name]

    def roots(self, tenant: str) -> tuple[str, ...]:
        return tuple(self._roots) if tenant == self._name else self._tenants.roots(tenant)

    def tenant_of(self, path: str) -> str:
        return self._name if path.partition("/")[0] in self._roots else self._tenants.tenant_of(path)


def merge(parts: Mapping[str, PlantModel]) -> PlantModel:
    """One plant of many, `default` first; that of a single plant is itself."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    whole: dict[str, dict[str, Any]] = {
        name: {}
        for name in (
            "connections", "assets", "points", "alarms", "retention", "ingest", "outlets", "calculations",
            "channels", "contacts", "rosters", "notifications",
        )
    }  # fmt: skip
    types: dict[str, Any] = {}
    for tenant, part in parts.items():
        for name, held in whole.items():
            held.update(getattr(part, name))
        types.update(
            part.types
            if tenant == DEFAULT_TENANT
            else {f"{tenant}.{key}": replace(one, name=f"{tenant}.{key}") for key, one in part.types.items()}
        )
    _bound_classes(whole)
    return PlantModel(revision=sum(part.revision for part in parts.values()), types=types, **whole)


def _bound_classes(whole: dict[str, dict[str, Any]]) -> None:
    """Two tenants may have declared the last class at the same moment: the one too many is not kept apart."""
    classes = whole["retention"]
    over = sorted(classes, key=lambda name: name != DEFAULT_CLASS)[CLASSES_MAX:]
    if not over:
        return
    log.error("history keeps %d retention classes; points of %s are kept as all others", CLASSES_MAX, over)
    whole["retention"] = {name: kept for name, kept in classes.items() if name not in over}
    for path, point in whole["points"].items():
        if point.retention in over:
            whole["points"][path] = replace(point, retention=DEFAULT_CLASS)
