"""Which outlets should run: one runner each, in one TaskGroup, and their state for whoever asks.

    declarations ──► reconcile(outlets, plant, handles) ──► one OutletRunner an outlet ◄── bus
                                                                    │ status ──► api, cli, console

`reconcile` compares what should run with what runs and touches only the difference. An outlet is its tenant's: of all
others' points and events it never hears, whatever its declaration says, and nobody else's account opens it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from headrace.connect.binding import explain
from headrace.connect.outbox import PublishEvents
from headrace.connect.outlets.disk import DiskLine
from headrace.connect.outlets.runner import OutletRunner
from headrace.connect.outlets.waiting import Line, MemoryLine
from headrace.connect.surroundings import SessionPolicy
from headrace.model.errors import AccessError, HeadraceError
from headrace.model.events import Event
from headrace.model.outlets import Outlet as Declaration
from headrace.model.outlets import Waiting
from headrace.model.plant import PlantModel
from headrace.sdk.access import Principal, Tenants
from headrace.sdk.bus import Bus
from headrace.sdk.field import LinkState
from headrace.sdk.outlet import OutletContext, OutletCounters, OutletStatus, OutletType, View
from headrace.sdk.reach import Reach
from headrace.sdk.references import References
from headrace.sdk.tenancy import ONE_TENANT, Ground, tenant_of_event, tenant_of_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutletSurroundings:
    """What all outlets share; `context` is copied for each with its own name, folder and reach."""

    bus: Bus
    context: OutletContext
    publish_events: PublishEvents
    state_dir: Path
    random: random.Random = field(default_factory=random.Random)
    policy: SessionPolicy = field(default_factory=lambda: SessionPolicy(connect_timeout_s=60.0))
    tenants: Tenants = ONE_TENANT
    reach_of: Callable[[str], Reach] = lambda _outlet: Reach()
    references_of: Callable[[str], References] = lambda _outlet: References()


@dataclass(slots=True)
class _Held:
    declared: Declaration
    counters: OutletCounters
    runner: OutletRunner | None = None
    task: asyncio.Task[None] | None = None
    status: OutletStatus | None = None


class OutletSupervisor:
    """Implements `sdk.services.Outlets`. Run `run` in the platform's TaskGroup; `stop` ends it in order."""

    def __init__(self, types: Mapping[str, OutletType], around: OutletSurroundings) -> None:
        self._types, self._around = types, around
        self._held: dict[str, _Held] = {}
        self._names = _Names()
        self._plant = PlantModel()
        self._group: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        self._reconciling = asyncio.Lock()

    async def run(self) -> None:
        """Live until `stop`."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for held in self._held.values():
                self._start(held)
            await self._stop.wait()
            async with self._reconciling:
                await asyncio.gather(*(self._end(held) for held in self._held.values()))
                self._group = None

    def stop(self) -> None:
        self._stop.set()

    async def reconcile(self, plant: PlantModel, handles: Mapping[str, int]) -> None:
        """Make what runs what is declared. An outlet that cannot run is REFUSED with the reason; the others go on."""
        async with self._reconciling:
            self._names.become(handles)
            self._plant = plant
            gone = [name for name in self._held if name not in plant.outlets]
            await asyncio.gather(*(self._end(self._held.pop(name)) for name in gone))
            for declared in plant.outlets.values():
                await self._adopt(declared)

    def status(self) -> Sequence[OutletStatus]:
        return [self._status(self._held[name]) for name in sorted(self._held)]

    # --- reconciling ----------------------------------------------------------------------------------------------

    async def _adopt(self, declared: Declaration) -> None:
        held = self._held.get(declared.name)
        view = self._view(declared)
        if held is None:
            held = self._held[declared.name] = _Held(declared, OutletCounters())
        elif held.runner is not None and replace(declared, title={}) == replace(held.declared, title={}):
            held.declared = declared
            if view != held.runner.view:
                held.runner.set_view(view)
            return
        else:
            await self._end(held)
            held.declared = declared
        held.status = None
        self._start(held)

    def _start(self, held: _Held) -> None:
        declared = held.declared
        if self._group is None or held.runner is not None:
            return
        if not declared.enabled:
            held.status = self._still(held, LinkState.DISABLED, "")
            return
        kind = self._types.get(declared.protocol)
        if kind is None:
            held.status = self._still(held, LinkState.REFUSED, f"there is no outlet protocol '{declared.protocol}'")
            return
        around = self._around
        try:
            settings: BaseModel = kind.settings.model_validate(dict(declared.settings))
            folder = around.state_dir / declared.name
            held.runner = OutletRunner(
                declared,
                kind,
                settings,
                self._view(declared),
                self._line(declared, held.counters, folder),
                around.bus,
                self._context(declared, folder),
                held.counters,
                around.publish_events,
                around.policy,
                around.random,
                self._owns(declared),
            )
        except ValidationError as error:
            held.status = self._still(held, LinkState.REFUSED, explain(error))
            return
        except HeadraceError as error:
            held.status = self._still(held, LinkState.REFUSED, str(error))
            return
        held.task = self._group.create_task(held.runner.run(), name=f"outlet {declared.name}")

    def _line(self, declared: Declaration, counters: OutletCounters, folder: Path) -> Line:
        if declared.waiting is Waiting.DISK:
            return DiskLine(folder / "waiting", counters, declared.wait_bytes, self._names)
        counters.dropped += counters.waiting  # of a line that is no more
        counters.waiting = counters.waiting_bytes = 0
        return MemoryLine(counters, declared.wait_samples)

    async def _end(self, held: _Held) -> None:
        """Let an outlet finish what it sends; one that hangs is cancelled."""
        runner, task, held.runner, held.task = held.runner, held.task, None, None
        if runner is None or task is None:
            return
        runner.stop()
        policy = self._around.policy
        _, still_running = await asyncio.wait({task}, timeout=policy.request_timeout_s + policy.close_timeout_s)
        if still_running:
            logger.error("outlet %s did not stop; cancelled", runner.declared.name)
            task.cancel()
            await asyncio.wait({task})

    def _context(self, declared: Declaration, folder: Path) -> OutletContext:
        context, owner = self._around.context, tenant_of_name(self._around.tenants, declared.name)

        def may_view(principal: Principal) -> None:
            if principal.tenant != owner:
                raise AccessError(f"'{principal.name}' may not look at what '{declared.name}' shows")
            context.may_view(principal)

        return replace(
            context, outlet=declared.name, state_dir=folder, may_view=may_view,
            reach=self._around.reach_of(declared.name), references=self._around.references_of(declared.name),
        )  # fmt: skip

    def _owns(self, declared: Declaration) -> Callable[[Event], bool]:
        tenants = self._around.tenants

        def owns(event: Event) -> bool:
            owner = tenant_of_name(tenants, declared.name)
            return tenant_of_event(tenants, event.source, event.subject) == owner

        return owns

    def _view(self, declared: Declaration) -> View:
        plant, handles = self._plant, self._names.handles
        ground = Ground(self._around.tenants, tenant_of_name(self._around.tenants, declared.name))
        points = {
            handles[path]: point
            for path, point in plant.points.items()
            if path in handles and declared.takes(path) and ground.owns(path)
        }
        assets = {}
        for point in points.values():
            path = point.asset_path
            while path and path not in assets and path in plant.assets:
                assets[path] = plant.assets[path]
                path = path.rpartition("/")[0]
        return View(points, assets)

    def _still(self, held: _Held, state: LinkState, error: str) -> OutletStatus:
        declared, now_ns = held.declared, self._around.context.clock.now_ns()
        return OutletStatus(declared.name, declared.protocol, state, now_ns, 0, error, None, held.counters)

    def _status(self, held: _Held) -> OutletStatus:
        if held.runner is not None:
            return held.runner.status()
        return held.status or self._still(held, LinkState.WAITING, "starting")


class _Names:
    """Paths and handles of the plant as it is now, for lines on disk."""

    def __init__(self) -> None:
        self.handles: Mapping[str, int] = {}
        self._paths: dict[int, str] = {}

    def become(self, handles: Mapping[str, int]) -> None:
        self.handles = handles
        self._paths = {handle: path for path, handle in handles.items()}

    def path_of(self, handle: int) -> str:
        return self._paths[handle]

    def handle_of(self, path: str) -> int | None:
        return self.handles.get(path)
