"""Calculated points of a running plant: caught up with history, worked out as samples come, and anew where they must.

configure ─► calculator with what stays ─► fresh points read their past ─► what came meanwhile ─► in its place
take, tick ─► calculator ─► results                     late samples ─► after a while: that stretch again, from history
start_backfill ─► backfills.py: a stretch again, for points somebody named

After a restart each point goes on behind its newest result in history, so nothing is left out and nothing depends on
a state of ours being saved: for an equal point and time the newest write wins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.points.backfills import Backfills, Declared, Publish, Settle
from headrace.compute.points.calculator import Calculator, Stretch
from headrace.compute.points.groups import Group
from headrace.compute.points.past import Past, again, begin_machine, input_handles, newest_of, older, outdated, slices
from headrace.model.batch import Batch
from headrace.model.calculations import Calculation
from headrace.model.errors import HeadraceError, Unavailable
from headrace.model.points import Point
from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk.clock import Clock
from headrace.sdk.computing import BackfillJob, CalculationStatus

log = logging.getLogger(__name__)

CATCH_UP_NS: Final = DAY_NS
"""So much is worked out by itself after a time without us; what is older waits for a back-fill."""
WARM_POINTS: Final = 500
LATE_WAIT_S: Final = 2.0
"""Late samples come in crowds: a while passes before their stretch is worked out."""
_LATEST_NS: Final = 1 << 62


@dataclass(slots=True)
class _Meanwhile:
    """Batches that arrive while new points read their past."""

    batches: list[Batch]


class CalculationDesk:
    """Implements `sdk.services.Calculations`. `settled` returns once all that was published before is in history."""

    def __init__(self, past: Past, clock: Clock, publish: Publish, settled: Settle, *, tick_s: float = 1.0) -> None:
        self._past, self._clock, self._publish, self._settled = past, clock, publish, settled
        self._tick_s = tick_s
        self._calculations: Mapping[str, Calculation] = {}
        self._points: Mapping[str, Point] = {}
        self._handles: Mapping[str, int] = {}
        self._calculator = Calculator({}, {}, {})
        self._meanwhile: _Meanwhile | None = None
        self._backfills = Backfills(past, clock, publish, settled, self._declared)
        self.again = 0  # stretches worked out anew because of late samples
        self.failed = 0  # stretches and points that could not be read

    def take(self, batches: Sequence[Batch]) -> list[Batch]:
        """The results that these samples make. At once, and never raises for what samples say."""
        if self._meanwhile is not None:
            self._meanwhile.batches += batches
        return self._calculator.take(batches) if self._calculations or self._meanwhile else []

    async def configure(
        self, calculations: Mapping[str, Calculation], points: Mapping[str, Point], handles: Mapping[str, int]
    ) -> None:
        """These and no others. Returns when new ones have read their past; meanwhile the others go on."""
        used = {path for one in calculations.values() for path in one.inputs.values()} | calculations.keys()
        points = {path: points[path] for path in used}
        handles = {path: handles[path] for path in used}
        calculator = Calculator(calculations, points, handles, self._calculator)
        if calculator.fresh:
            self._meanwhile = _Meanwhile([])
            late = self._meanwhile.batches
            try:
                await self._settled()
                await self._warm(calculator, calculations, handles)
            except Unavailable as error:
                self.failed += len(calculator.fresh)
                log.warning("calculated points begin without their past: %s", error)
            finally:
                self._meanwhile = None
            made = calculator.take(late, only=calculator.fresh) if late else []
        else:
            made = []
        self._calculations, self._points, self._handles = calculations, points, handles
        self._calculator = calculator
        if made:
            await self._publish(made)

    async def run(self) -> None:
        """Ticks, late stretches and back-fills, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick(), name="calculations-tick")
            tasks.create_task(self._mend(), name="calculations-late")
            tasks.create_task(self._backfills.run(), name="calculations-backfill")

    # --- for people -------------------------------------------------------------------------------------------------

    def status(self) -> Sequence[CalculationStatus]:
        """Every calculated point, by path."""
        found = []
        for group in self._calculator.groups():
            counts = dict(group.evaluator.counts)
            for path in group.place:
                one = self._calculations[path]
                found.append(
                    CalculationStatus(
                        path, self._points[path].expression, tuple(one.inputs.values()), len(group.place), counts
                    )
                )
        return sorted(found, key=lambda one: one.path)

    def start_backfill(self, paths: Sequence[str], start_ns: int, end_ns: int, actor: str) -> BackfillJob:
        """Work these out anew over [start, end). Raises: NotFound, DataError, Conflict where too many wait."""
        return self._backfills.start(paths, start_ns, end_ns, actor)

    def backfill(self, id: int) -> BackfillJob:
        """Raises: NotFound."""
        return self._backfills.job(id)

    def backfills(self) -> Sequence[BackfillJob]:
        """Newest first."""
        return self._backfills.jobs()

    def cancel_backfill(self, id: int, actor: str) -> BackfillJob:
        """End one between two slices; what has ended stays as it is. Raises: NotFound."""
        return self._backfills.cancel(id, actor)

    @property
    def waiting(self) -> int:
        """Points with a late stretch that is still to be worked out."""
        return len(self._calculator.late)

    @property
    def calculator(self) -> Calculator:
        return self._calculator

    def _declared(self) -> Declared:
        return Declared(self._calculations, self._points, self._handles)

    # --- catching up ------------------------------------------------------------------------------------------------

    async def _warm(
        self, calculator: Calculator, calculations: Mapping[str, Calculation], handles: Mapping[str, int]
    ) -> None:
        """Group by group, those first that others are made of."""
        for group in calculator.groups():
            made: list[Batch] = []
            if group.fresh:
                made = await self._warm_group(calculator, group, calculations, handles)
            if made:
                await self._publish(made)
                await self._settled()

    async def _warm_group(
        self, calculator: Calculator, group: Group, calculations: Mapping[str, Calculation], handles: Mapping[str, int]
    ) -> list[Batch]:
        own = {path: calculations[path] for path in group.fresh}
        told = newest_of(await self._past.latest(np.array([handles[path] for path in own], np.uint32)))
        seen = newest_of(await self._past.latest(_inputs(own, handles)))
        starts: dict[str, tuple[int, int]] = {}  # from when on to read, from when on to tell
        for path, one in own.items():
            newest = max((seen.get(handles[name], -1) for name in one.inputs.values()), default=-1)
            if newest < 0:
                continue
            done = told.get(handles[path])
            tell = newest if done is None else max(done + 1, newest - CATCH_UP_NS)
            starts[path] = (min(tell, newest) - one.memory_ns, tell)
            if one.machine is not None:
                await begin_machine(self._past, group, path, one, handles[path], tell)
        made: list[Batch] = []
        order = sorted(starts, key=lambda path: starts[path][0])
        for at in range(0, len(order), WARM_POINTS):
            some = {path: own[path] for path in order[at : at + WARM_POINTS]}
            begin = min(starts[path][0] for path in some)
            inputs = _inputs(some, handles)
            since = {handles[path]: starts[path][1] for path in some}
            calculator.feed(group, await older(self._past, inputs, begin, group.program.samples), some)
            end = max(seen.get(int(handle), begin) for handle in inputs) + 1  # what is newer comes by the other way
            async for _, _, batches in slices(self._past, inputs, begin, end):
                made += [kept for one in calculator.feed(group, batches, some) if len(kept := _told_from(one, since))]
        return made

    # --- by and by --------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._tick_s)
            made = self._calculator.tick(self._clock.now_ns(), quiet_ns=SECOND_NS)
            if made:
                await self._publish(made)

    async def _mend(self) -> None:
        while True:
            await self._clock.sleep(LATE_WAIT_S)
            late = self._calculator.late
            if not late:
                continue
            await self._settled()
            stretches = dict(late)
            late.clear()
            for path, stretch in stretches.items():
                try:
                    await self._again(path, stretch)
                except HeadraceError as error:
                    self.failed += 1
                    log.warning("late samples of '%s' are not worked out: %s", path, error)

    async def _again(self, path: str, stretch: Stretch) -> None:
        """What late samples change: until the next sample of each input, and as far as windows look back on them."""
        one = self._calculations.get(path)
        if one is None:
            return
        if one.machine is not None:
            await self._machine_again(path, one, stretch)
            return
        last = stretch.last_ns
        for handle in input_handles({path: one}, self._handles).tolist():
            page = await self._past.raw(np.array([handle], np.uint32), stretch.last_ns + 1, _LATEST_NS, limit=1)
            for batch in page.batches:
                last = max(last, int(batch.source_ns[0]))
        end_ns = last + one.memory_ns + 1
        told = self._calculator.told_ns(path)
        end_ns = min(end_ns, told + 1) if told is not None else end_ns
        async for _, made in again(
            self._past, {path: one}, self._points, self._handles, stretch.first_ns, max(end_ns, last + 1)
        ):
            if made:
                await self._publish(made)
        self._tell_others(path, stretch.first_ns, end_ns - 1)

    async def _machine_again(self, path: str, one: Calculation, stretch: Stretch) -> None:
        """A machine that was elsewhere then may be elsewhere now: all since, and where it stands."""
        group = self._calculator.group_of(path)
        told = group.told_ns(path)
        live = group.machines
        if told is None or live is None:
            return
        live.watch(group.place[path])
        try:
            await self._settled()
            first = max(stretch.first_ns, told - CATCH_UP_NS)
            worker = Calculator({path: one}, self._points, self._handles)
            made: list[Batch] = []
            async for _, some in again(self._past, {path: one}, self._points, self._handles, first, told + 1, worker):
                made += some
            made += await outdated(self._past, self._handles[path], first, told + 1, made)
            if made:
                await self._publish(made)
            machines = worker.group_of(path).machines
            assert machines is not None
            if self._calculations.get(path) is one:
                group = self._calculator.group_of(path)
                since = group.resume(path, machines.stands(0), told)
                if since is not None:
                    await self._publish([since])
        finally:
            live.forget(group.place[path])
        self._tell_others(path, first, told)

    def _tell_others(self, path: str, first_ns: int, last_ns: int) -> None:
        self.again += 1
        for other, calculation in self._calculations.items():
            if path in calculation.inputs.values():
                self._calculator.note_late(other, first_ns, last_ns)


def _inputs(calculations: Mapping[str, Calculation], handles: Mapping[str, int]) -> NDArray[np.uint32]:
    return np.array(sorted({handles[path] for one in calculations.values() for path in one.inputs.values()}), np.uint32)


def _told_from(batch: Batch, since: Mapping[int, int]) -> Batch:
    keep = np.array(
        [at >= since[handle] for handle, at in zip(batch.handles.tolist(), batch.source_ns.tolist(), strict=True)],
        np.bool_,
    )
    return batch if keep.all() else batch.take(keep)
