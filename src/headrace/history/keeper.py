"""The background of the historian: one thread that flushes, compacts and retires, never on the commit path.

woken ─► flush every frozen memtable, oldest first
timer ─► freeze the memtable if old, or the disk low ─► flush ─► make room ─► retire ─► compact ─► summarise
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from headrace.history.catalog import Catalog
from headrace.history.change import Changes
from headrace.history.classes import Classes
from headrace.history.committer import Committer
from headrace.history.compaction import Compactor
from headrace.history.flush import Flusher
from headrace.history.latest import LastValues
from headrace.history.reader import Reader
from headrace.history.retiring import Retirer
from headrace.history.segment import SegmentStore
from headrace.history.settings import HistorySettings
from headrace.history.space import DiskSpace
from headrace.history.summarising import Summariser
from headrace.history.view import Views
from headrace.model.errors import HeadraceError
from headrace.sdk.clock import Clock

_log = logging.getLogger(__name__)
_FROZEN_SLOW, _FROZEN_MAX = 2, 3  # memtables' worth of samples that wait for the flush: appends slow down, then wait
_SLOW_S = 0.01


class _Stopped(HeadraceError):
    """Work in progress is given up; what it wrote is not in the catalog and goes at the next start."""


class Keeper:
    def __init__(
        self,
        directory: Path,
        settings: HistorySettings,
        clock: Clock,
        catalog: Catalog,
        views: Views,
        latest: LastValues,
        segments: SegmentStore,
        reader: Reader,
        committer: Committer,
        classes: Classes,
        space: DiskSpace,
    ) -> None:
        self._settings, self._clock, self._views, self._committer = settings, clock, views, committer
        self._classes, self._space = classes, space
        changes = Changes(directory, catalog, views, segments, latest, lambda: committer.committed_ns, committer.marks)
        self._flusher = Flusher(changes, settings.slice_samples, self._check_stop)
        self._compactor = Compactor(settings, views, changes, segments, reader, classes, space, self._pause)
        self._summariser = Summariser(
            settings, views, changes, segments, reader, space, self._compactor.merge_hour, self._pause
        )
        self._retirer = Retirer(
            views, changes, segments, classes, space, self._compactor, self._summariser, self._pause
        )
        self._thread = ThreadPoolExecutor(1, "history-keeper")
        self._woken, self._room = asyncio.Event(), asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._notice: asyncio.Future[None] | None = None
        self._worked_from, self._forced = 0.0, False
        self._failed = ""
        self.counters: dict[str, float] = {"flushes": 0, "compactions": 0, "retired_hours": 0, "summaries": 0}

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._keep(), name="history-keeper"),
            asyncio.create_task(self._tick(), name="history-timer"),
        ]
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def room(self) -> None:
        """Slow down, then wait, while much is frozen: memory stays bounded where the disk cannot follow.

        A little longer for each of many appends is felt less than a second for one.
        """
        frozen, size = self._frozen_samples(), self._settings.memtable_samples
        if frozen < _FROZEN_SLOW * size:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_SLOW_S if frozen < _FROZEN_MAX * size else None), self._room:
                await self._room.wait_for(lambda: self._stopping.is_set() or self._frozen_samples() < frozen)

    async def settle(self, *, compact: bool = False) -> None:
        """When nothing is left to flush, and with `compact` nothing to merge. Raises: what stopped it."""
        await self._run(self._flush_all)
        await self._notify()
        if compact:
            await self._run(lambda: self._compact(force=True))

    async def close(self) -> None:
        self._stopping.set()
        await self._notify()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    async def _keep(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._run(self._flush_all)
                await self._notify()
                await self._run(self._compact)
                self._failed = ""
            except _Stopped:
                return
            except HeadraceError as error:
                if str(error) != self._failed:
                    _log.warning("history upkeep waits and tries again: %s", error)
                self._failed = str(error)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._settings.housekeeping_s)
            self._space.observe()
            await self._committer.run(self._committer.freeze_if_old)
            self.wake()

    async def _run(self, job: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def _notify(self) -> None:
        async with self._room:
            self._room.notify_all()

    def _frozen_samples(self) -> int:
        return sum(memtable.samples for memtable in self._views.current.memtables[:-1])

    # --- on the keeper's thread -----------------------------------------------------------------------------------

    def _flush_all(self) -> None:
        self._committer.prepare_next_log()
        while len(memtables := self._views.current.memtables) > 1:
            members = self._classes.members()
            self._flusher.flush(memtables[0], members)
            self.counters["flushes"] += 1
            self._committer.prepare_next_log()

    def _compact(self, *, force: bool = False) -> None:
        """Until nothing is left to do."""
        self._forced = force
        self._worked_from = time.perf_counter()
        while (done := self._step(force)) is not None:
            self.counters[done] += 1
            self._pause()

    def _step(self, force: bool) -> str | None:
        """One piece of work: what makes room first, then what leaves less for the others to do."""
        now_ns = self._clock.now_ns()
        if self._retirer.make_room():
            return "retired_hours"
        return (
            self._retirer.step(now_ns)
            or self._compactor.step(now_ns, force=force)
            or self._summariser.step(now_ns, force=force)
        )

    def _pause(self) -> None:
        """Between slices of compaction: flushes first, then rest, so that the duty is held."""
        self._check_stop()
        worked_s = time.perf_counter() - self._worked_from
        if not self._forced:
            self._stopping.wait(worked_s * (1 / self._settings.compaction_duty - 1))
            self._check_stop()
        if len(self._views.current.memtables) > 1:
            self._flush_all()
            self._loop.call_soon_threadsafe(self._freed)
        self._worked_from = time.perf_counter()

    def _freed(self) -> None:
        self._notice = asyncio.ensure_future(self._notify())

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise _Stopped("the historian is closing")
