"""Stream functions of a running platform: what the register wants is made to run, each in its cell.

register ─► wanted ─┬─ active: bus ─► engine ─► history, screens, alarms
                    ├─ shadow: bus ─► engine ─► aside, compared with what the active one gave
                    └─ on workers: nothing runs here; `elsewhere.py` takes what they make

A job that ends with an error is told once, shown, and started again from its state a while later. A function is whose
its name is: it is given the points of that tenant, and no others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from headrace.compute.streams.cell import Cell, CellLimits
from headrace.compute.streams.comparing import Aside, compare
from headrace.compute.streams.elsewhere import Elsewhere
from headrace.compute.streams.engine import Engine, Made
from headrace.compute.streams.feeds import LiveFeed
from headrace.compute.streams.job import Job, Outputs, StoreOutputs
from headrace.compute.streams.placing import WORKERS
from headrace.compute.streams.register import Register, Stage, Version
from headrace.compute.streams.rows import NEVER
from headrace.model.errors import ConfigError, HeadraceError
from headrace.sdk.access import Tenants
from headrace.sdk.bus import Bus
from headrace.sdk.clock import Clock
from headrace.sdk.computing import StreamDifference, StreamRun
from headrace.sdk.intake import Intake
from headrace.sdk.store import HistoryStore
from headrace.sdk.stream import By, StreamFunction
from headrace.sdk.tenancy import ONE_TENANT, Ground, tenant_of_name

log = logging.getLogger(__name__)

LOOK_S: Final = 2.0
RETRY_S: Final = 30.0
SETTLE_S: Final = 3.0


class Both:
    """What the active version gives is stored, and held for the comparison."""

    def __init__(self, outputs: Outputs, aside: Aside) -> None:
        self._outputs, self._aside = outputs, aside

    async def put(self, made: Sequence[Made]) -> None:
        await self._outputs.put(made)
        await self._aside.put(made)


@dataclass(slots=True)
class Run:
    """One version that is wanted."""

    version: Version
    aside: Aside = field(default_factory=Aside)
    cell: Cell | None = None
    engine: Engine | None = None
    feed: LiveFeed | None = None
    task: asyncio.Task[None] | None = None
    error: str = ""
    again_s: float = 0.0


class StreamDesk:
    """`intake` stores, shows and judges outputs. Call `run` in a task; cancel it to stop."""

    def __init__(
        self, register: Register, bus: Bus, store: HistoryStore, intake: Intake, clock: Clock, *,
        tenants: Tenants = ONE_TENANT, capacity: int = 2_000_000, limits: CellLimits | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:  # fmt: skip
        self._register, self._bus, self._store, self._clock = register, bus, store, clock
        self._tenants, self._known_tenants = tenants, _grounds(tenants)
        self._outputs = StoreOutputs(store, intake)
        self._capacity, self._limits, self._settle_s = capacity, limits or CellLimits(), settle_s
        self._runs: dict[tuple[str, str, Stage], Run] = {}
        self.elsewhere = Elsewhere(store)
        self.looked = asyncio.Event()
        """Set once it is known what is wanted."""

    async def run(self) -> None:
        try:
            while True:
                await self.look()
                await self._clock.sleep(LOOK_S)
        finally:
            for run in list(self._runs.values()):
                await self._stop(run)

    async def look(self) -> None:
        """Make what runs be what is wanted."""
        try:
            versions = await asyncio.to_thread(self._register.versions)
        except HeadraceError as error:
            log.error("stream functions stay as they are: %s", error)
            return
        if (grounds := _grounds(self._tenants)) != self._known_tenants:  # each begins again, on what is its own now
            self._known_tenants = grounds
            for run in list(self._runs.values()):
                await self._stop(run)
            self._runs.clear()
            self.elsewhere.forget()
        versions = [one for one in versions if one.stage is not Stage.RETIRED]
        self.elsewhere.become([one for one in versions if one.on == WORKERS], self._tenants)
        wanted = {(one.name, one.version, one.stage): one for one in versions if one.on != WORKERS}
        for key in [key for key in self._runs if key not in wanted]:
            await self._stop(self._runs.pop(key))
        for key, version in wanted.items():
            run = self._runs.setdefault(key, Run(version))
            if run.task is not None and run.task.done():
                await self._ended(run)
            if run.task is None and self._clock.monotonic_s() >= run.again_s:
                run.task = asyncio.create_task(self._work(run), name=f"stream {version.name} {version.version}")
        self.looked.set()

    def runs(self) -> Mapping[tuple[str, str, Stage], StreamRun]:
        """How each version fares that is wanted."""
        return {**{key: _fares(run) for key, run in self._runs.items()}, **self.elsewhere.runs()}

    def difference(self, name: str, version: str) -> StreamDifference | None:
        """Of a shadow and the active version since both run; None where one of them does not."""
        asides = {**{key: run.aside for key, run in self._runs.items()}, **self.elsewhere.asides()}
        shadow = asides.get((name, version, Stage.SHADOW))
        active = next((one for (of, _, stage), one in asides.items() if (of, stage) == (name, Stage.ACTIVE)), None)
        return None if shadow is None or active is None else compare(active.table(), shadow.table())

    async def _work(self, run: Run) -> None:
        version = run.version
        ground = Ground(self._tenants, tenant_of_name(self._tenants, version.name))
        source = await asyncio.to_thread(self._register.source, version)
        model = await asyncio.to_thread(self._register.model, version)
        run.feed = LiveFeed(
            f"stream {version.name} {version.version}", self._bus, self._store, self._clock,
            capacity=self._capacity, settle_s=self._settle_s, owns=ground.owns,
        )  # fmt: skip
        run.cell = await asyncio.to_thread(Cell, source, version.name, self._limits, (), model)
        function = run.cell.function
        if (function.name, function.version) != (version.name, version.version):
            raise ConfigError(f"the source says that it is {function.name} {function.version}")
        check_ground(function, ground)
        run.engine = Engine(function, run.cell)
        outputs: Outputs = run.aside if version.stage is Stage.SHADOW else Both(self._outputs, run.aside)
        await Job(run.engine, run.feed, outputs, self._register.state_file(version)).run()

    async def _stop(self, run: Run) -> None:
        """What is queued is worked out, and the state kept."""
        if run.task is not None:
            if run.feed is None or run.engine is None:
                run.task.cancel()
            else:
                await run.feed.close()
            await asyncio.gather(run.task, return_exceptions=True)
        await self._release(run)

    async def _ended(self, run: Run) -> None:
        task, run.task = run.task, None
        assert task is not None
        error = None if task.cancelled() else task.exception()
        said = "the bus was closed" if error is None else f"{type(error).__name__}: {error}"
        if said != run.error:
            log.warning("stream function %s %s stopped: %s", run.version.name, run.version.version, said)
        run.error, run.again_s = said, self._clock.monotonic_s() + RETRY_S
        await self._release(run)

    async def _release(self, run: Run) -> None:
        if run.cell is not None:
            await asyncio.to_thread(run.cell.close)
        if run.feed is not None:
            await run.feed.close()
        run.cell = run.engine = run.feed = None


def check_ground(function: StreamFunction, ground: Ground) -> None:
    """Raises: DataError where its name or its outputs are not the tenant's."""
    ground.check_name("stream function", function.name)
    if function.by is By.ALL:
        ground.check_path(function.to)


def _grounds(tenants: Tenants) -> list[tuple[str, tuple[str, ...]]]:
    return [(name, tenants.roots(name)) for name in tenants.names()]


def _fares(run: Run) -> StreamRun:
    engine, cell = run.engine, run.cell
    newest_ns = NEVER if engine is None else engine.newest_ns
    return StreamRun(
        running=run.task is not None and not run.task.done() and engine is not None,
        waiting=0 if engine is None else engine.waiting,
        counters={**({} if engine is None else asdict(engine.counters)), **({} if cell is None else cell.counts)},
        stopped=0 if cell is None else cell.stopped,
        halted=cell is not None and cell.halted,
        lateness_ns=0 if engine is None else engine.function.lateness_ns,
        newest_ns=newest_ns if newest_ns > NEVER else None,
        error=run.error or ("" if engine is None else engine.error),
    )
