"""The background of the historian: one thread that flushes, compacts and retires, never on the commit path.

woken ─► flush every frozen memtable, oldest first
timer ─► freeze the memtable if old ─► flush ─► compact one hour ─► retire what is past its retention
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from headrace.history.catalog import Catalog, Edit
from headrace.history.committer import Committer
from headrace.history.disk import Disk
from headrace.history.latest import LastValues
from headrace.history.memtable import Memtable
from headrace.history.reader import Reader
from headrace.history.segment import SegmentStore
from headrace.history.settings import HistorySettings
from headrace.history.view import Views
from headrace.history.wal import log_path
from headrace.model.errors import HeadraceError
from headrace.sdk.clock import Clock

_log = logging.getLogger(__name__)
_FROZEN_MAX = 2  # memtables' worth of samples that may wait for the flush before appends have to


class Keeper:
    def __init__(
        self,
        directory: Path,
        disk: Disk,
        settings: HistorySettings,
        clock: Clock,
        catalog: Catalog,
        views: Views,
        latest: LastValues,
        segments: SegmentStore,
        reader: Reader,
        committer: Committer,
    ) -> None:
        self._directory, self._disk, self._settings, self._clock = directory, disk, settings, clock
        self._catalog, self._views, self._latest = catalog, views, latest
        self._segments, self._reader, self._committer = segments, reader, committer
        self._thread = ThreadPoolExecutor(1, "history-keeper")
        self._woken, self._room = asyncio.Event(), asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._failed = ""
        self.counters: dict[str, float] = {"flushes": 0, "compactions": 0, "retired_hours": 0}

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._keep(), name="history-keeper"),
            asyncio.create_task(self._tick(), name="history-timer"),
        ]
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def room(self) -> None:
        """Wait while too much is frozen: memory stays bounded where the disk cannot follow."""
        if self._frozen_samples() >= _FROZEN_MAX * self._settings.memtable_samples:
            async with self._room:
                await self._room.wait_for(
                    lambda: self._stopping or self._frozen_samples() < _FROZEN_MAX * self._settings.memtable_samples
                )

    async def settle(self, *, compact: bool = False) -> None:
        """When nothing is left to flush, and with `compact` nothing to merge. Raises: what stopped it."""
        await self._run(self._flush_all)
        await self._notify()

    async def close(self) -> None:
        self._stopping = True
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
                self._failed = ""
            except HeadraceError as error:
                if str(error) != self._failed:
                    _log.warning("history upkeep waits and tries again: %s", error)
                self._failed = str(error)
            await self._notify()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._settings.housekeeping_s)
            await self._committer.run(self._committer.freeze_if_old)
            self.wake()

    async def _run(self, job: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def _notify(self) -> None:
        async with self._room:
            self._room.notify_all()

    def _frozen_samples(self) -> int:
        return sum(memtable.samples for memtable in self._views.current.memtables[:-1])

    def _flush_all(self) -> None:
        self._committer.prepare_next_log()


__all__ = ["Edit", "Keeper", "Memtable", "log_path", "replace"]
