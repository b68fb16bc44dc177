"""Group commit: whoever waits for the disk shares one fdatasync with everyone else who waits.

    append ─► pending ─► [commit thread: frames ─► log ─► fdatasync ─► memtable, last values] ─► acknowledge
                                                               │ full, old
                                                               ▼
                                              next log, next memtable; the old one is frozen for the keeper

All changes of the memtable, the last values and the log happen on the one commit thread, so none needs a lock of
its own.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from headrace.history.disk import Disk
from headrace.history.latest import LastValues
from headrace.history.marks import Marks, MarkTable
from headrace.history.memtable import Memtable
from headrace.history.records import Buffer
from headrace.history.settings import HistorySettings
from headrace.history.space import DiskSpace
from headrace.history.view import Views
from headrace.history.wal import LogWriter, drop_used, frame_parts
from headrace.model.batch import Batch
from headrace.model.errors import Unavailable
from headrace.sdk.clock import Clock
from headrace.sdk.intake import Mark

_log = logging.getLogger(__name__)
_GROUP_SAMPLES_MAX = 1_000_000

Answer = TypeVar("Answer")
Call = tuple[Sequence[Batch], Marks]


class _Waiting(NamedTuple):
    call: Call
    done: asyncio.Future[None]
    since_s: float


class Committer:
    def __init__(
        self,
        directory: Path,
        disk: Disk,
        settings: HistorySettings,
        clock: Clock,
        views: Views,
        latest: LastValues,
        log: LogWriter,
        on_frozen: Callable[[], None],
        space: DiskSpace,
        marks: MarkTable,
    ) -> None:
        self._directory, self._disk, self._settings, self._clock = directory, disk, settings, clock
        self._views, self._latest, self._on_frozen, self._space = views, latest, on_frozen, space
        self.marks = marks
        self._log, self._next_log = log, None  # type: LogWriter, LogWriter | None
        self._making = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "history-commit")
        self._loop = asyncio.get_running_loop()
        self._waiting = threading.Lock()  # of what follows: the loop puts, the commit thread takes
        self._pending: deque[_Waiting] = deque()
        self._group: list[_Waiting] = []
        self._busy = False
        self.appended = self.commits = 0
        self.committed_ns = 0  # of the newest frame; never goes back, so that a moment cuts the log in two

    async def append(self, batches: Sequence[Batch], marks: Marks) -> None:
        """Durable on return, with its marks; not applied again where none of them is news. Raises: Unavailable."""
        done: asyncio.Future[None] = self._loop.create_future()
        with self._waiting:
            self._pending.append(_Waiting((batches, marks), done, self._clock.monotonic_s()))
            idle, self._busy = not self._busy, True
        if idle:
            self._thread.submit(self._commit_next)
        await done

    async def run(self, job: Callable[[], None]) -> None:
        """Do something else on the commit thread, between commits."""
        await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def call(self, question: Callable[[], Answer]) -> Answer:
        """Ask something on the commit thread, between commits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)

    def lag_ms(self) -> float:
        """Age of the oldest sample that is not yet durable."""
        with self._waiting:
            oldest = next(iter((*self._group[:1], *itertools.islice(self._pending, 1))), None)
        return (self._clock.monotonic_s() - oldest.since_s) * 1000 if oldest is not None else 0.0

    async def drained(self) -> None:
        """When nobody waits any more."""
        while self._busy:
            await self.run(_nothing)

    async def close(self) -> None:
        await self.drained()
        await asyncio.to_thread(self._thread.shutdown)
        self._log.close()
        if self._next_log is not None:
            self._next_log.close()

    # --- on the commit thread -------------------------------------------------------------------------------------

    def _commit_next(self) -> None:
        """All who wait now, up to a bound; who comes meanwhile is the next group, after whatever else was asked."""
        group = self._take_group()
        failure: Exception | None = None
        try:
            self._commit([waiting.call for waiting in group])
        except Exception as error:  # also a bug: those who wait must learn of it, and the next group gets its turn
            failure = error
        with self._waiting:
            self._group = []
            self._busy = bool(self._pending)
        if self._busy:
            self._thread.submit(self._commit_next)
        self._loop.call_soon_threadsafe(_answer, group, failure)

    def _take_group(self) -> list[_Waiting]:
        with self._waiting:
            samples = 0
            while self._pending:
                samples += sum(map(len, self._pending[0].call[0]))
                if self._group and samples > _GROUP_SAMPLES_MAX:
                    break
                self._group.append(self._pending.popleft())
            return self._group

    def _commit(self, calls: Sequence[Call]) -> None:
        self._space.check()
        group, marked = self._sort_out(calls)
        if not group:
            return
        now_ns = self.stamp()
        parts: list[Buffer] = []
        for place, (batches, marks) in enumerate(group):
            parts += frame_parts(batches, now_ns, place, marks, self._log.seed)
        self._log.commit(parts)
        self._space.note_log(self._log.number, self._log.size)
        self.commits += 1
        memtable = self._views.current.memtables[-1]
        for batches, _ in group:
            memtable.frames += 1
            for batch in batches:
                memtable.add(batch)
                self._latest.update(batch)
                self.appended += len(batch)
        if marked:
            self.marks.take(marked)
        if memtable.samples >= self._settings.memtable_samples or memtable.frames >= self._settings.memtable_frames:
            self.try_freeze()

    def _sort_out(self, calls: Sequence[Call]) -> tuple[Sequence[Call], Marks]:
        """The calls that are to be written, and how far they go together."""
        if not any(marks for _, marks in calls):
            return calls, {}
        group: list[Call] = []
        marked: dict[str, Mark] = {}
        for call in calls:
            if self.marks.fresh(call[1], marked):
                group.append(call)
                for source, mark in call[1].items():
                    marked[source] = max(mark, marked.get(source, mark))
        return group, marked

    def stamp(self) -> int:
        """The commit time, on the commit thread. A clock that was set back stands still instead."""
        self.committed_ns = max(self.committed_ns, self._clock.now_ns())
        return self.committed_ns

    @property
    def log_end(self) -> tuple[int, int]:
        """Number and size of the log in use, on the commit thread."""
        return self._log.number, self._log.size

    def freeze_if_old(self) -> None:
        """On the commit thread. Where the disk is low too: segments take less of it than the log."""
        memtable = self._views.current.memtables[-1]
        if memtable.samples and (
            self._space.low or self._clock.monotonic_s() - memtable.born_s >= self._settings.memtable_age_s
        ):
            self.try_freeze()

    def try_freeze(self) -> None:
        """Freeze, or carry on with the full memtable where the next log cannot be made: no sample depends on it."""
        try:
            self.freeze()
        except Unavailable as error:
            _log.warning("history memtable stays in use: %s", error)

    def freeze(self) -> None:
        """On the commit thread: the active memtable is done, a new log begins. Raises: Unavailable."""
        number = self._log.number + 1
        with self._making:
            try:
                log = self._next_log = self._next_log or LogWriter(self._disk, self._directory, number)
                self._log.finish()  # before anything is acknowledged from the next
            except OSError as error:
                raise Unavailable(f"history log {number} cannot be made: {error.strerror}") from error
            self._next_log = None
            self._log.close()
            self._log = log
        fresh = Memtable(number, self._clock.monotonic_s())
        self._views.change(lambda view: replace(view, memtables=(*view.memtables, fresh)))
        self._on_frozen()

    def prepare_next_log(self) -> None:
        """Off the commit thread, ahead of need: making a file durable takes longer than a commit."""
        with self._making:
            if self._next_log is None:
                try:
                    if self._space.low:
                        drop_used(self._disk, self._directory)
                    self._next_log = LogWriter(self._disk, self._directory, self._log.number + 1)
                except OSError:
                    return  # the freeze will try again, and say so


def _nothing() -> None:
    """A job whose only use is its turn."""


def _answer(group: Sequence[_Waiting], failure: Exception | None) -> None:
    """On the event loop."""
    for waiting in group:
        if waiting.done.done():
            continue
        if failure is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(_again(failure))


def _again(failure: Exception) -> Exception:
    """Each caller raises its own exception object, for a traceback belongs to one task."""
    return type(failure)(failure.message) if isinstance(failure, Unavailable) else failure
