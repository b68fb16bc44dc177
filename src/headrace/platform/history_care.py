"""Checks and backups of the historian, on demand and by the clock.

    POST /history/jobs ─► start ─► task ─► check_store / back_up ─► audit
    every minute       ─► archived logs to the target;  every `backup_every_s` ─► back_up

One job at a time. A scheduled backup that fails is tried again at the next tick, and told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from headrace.history.backup import KEEP, back_up, check_store, check_target, ship_logs, summary
from headrace.history.check import document
from headrace.history.store import EmbeddedStore
from headrace.history.vault import Vault, timeline_name
from headrace.model.errors import ConfigError, Conflict, DataError, HeadraceError, NotFound, Unavailable
from headrace.model.time import SECOND_NS
from headrace.sdk.access import AuditLog
from headrace.sdk.clock import Clock
from headrace.sdk.services import HistoryJob, JobState
from headrace.sdk.store import HistoryStore

_log = logging.getLogger(__name__)
_JOBS_MAX: Final = 50
TICK_S: Final = 60.0
SCHEDULER: Final = "schedule"


class HistoryDesk:
    """A `HistoryCare`. `run` is its clock; `close` gives up what is in progress."""

    def __init__(
        self, store: HistoryStore, clock: Clock, audit: AuditLog, *, backup_to: Path | None = None,
        backup_every_s: float = 86_400.0, keep: int = KEEP,
    ) -> None:  # fmt: skip
        """Raises: ConfigError for a target that cannot be."""
        self._store, self._clock, self._audit = store, clock, audit
        self._to, self._every_s, self._keep = backup_to, backup_every_s, keep
        if backup_to is not None:
            check_target(backup_to, self._embedded().directory)
        self._jobs: OrderedDict[int, HistoryJob] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._told = ""

    def start(self, kind: str, actor: str, *, target: str | None = None, keep: int | None = None) -> HistoryJob:
        store = self._embedded()
        if self._task is not None:
            running = self._jobs[next(reversed(self._jobs))]
            raise Conflict(f"history job {running.id} ({running.kind}) is in progress; wait for it")
        folder = Path(target) if target is not None else self._to
        if kind == "backup":
            if folder is None:
                raise ConfigError("say where to: no backup folder is declared (headrace serve --backup-to)")
            check_target(folder, store.directory)
        elif kind != "check":
            raise DataError(f"'{kind}' is no history job; use check or backup")
        number = next(reversed(self._jobs), 0) + 1
        job = HistoryJob(number, kind, actor, JobState.RUNNING, self._clock.now_ns())
        self._jobs[job.id] = job
        while len(self._jobs) > _JOBS_MAX:
            self._jobs.popitem(last=False)
        self._task = asyncio.create_task(self._work(job, store, folder, keep or self._keep), name=f"history-{kind}")
        return job

    def job(self, id: int) -> HistoryJob:
        if id not in self._jobs:
            raise NotFound(f"there is no history job {id}")
        return self._jobs[id]

    def jobs(self) -> Sequence[HistoryJob]:
        return list(reversed(self._jobs.values()))

    async def run(self) -> None:
        """Archived logs every minute, backups when they are due."""
        while self._to is not None:
            try:
                await self._tick(self._to)
                self._told = ""
            except HeadraceError as error:
                if str(error) != self._told:
                    _log.warning("history backup waits and tries again: %s", error)
                self._told = str(error)
            await self._clock.sleep(min(TICK_S, self._every_s))

    async def finished(self) -> None:
        """When no job is in progress any more."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _tick(self, target: Path) -> None:
        if self._task is not None:
            return
        if await asyncio.to_thread(self._due, target):
            job = self.start("backup", SCHEDULER)
            await self.finished()
            if self.job(job.id).state is JobState.FAILED:
                raise Unavailable(self.job(job.id).error)
        await ship_logs(self._embedded(), target)

    def _due(self, target: Path) -> bool:
        made = Vault(target, timeline_name(self._embedded().timeline)).manifests()
        return not made or made[-1].taken_ns + round(self._every_s * SECOND_NS) <= self._clock.now_ns()

    async def _work(self, job: HistoryJob, store: EmbeddedStore, target: Path | None, keep: int) -> None:
        def progress(at: str, done: int, total: int) -> None:
            self._jobs[job.id] = replace(self._jobs[job.id], at=at, done_bytes=done, total_bytes=total)

        result: dict[str, Any] = {}
        error = ""
        try:
            if job.kind == "check":
                result = document(await check_store(store, progress=progress))
            else:
                assert target is not None
                result = summary(await back_up(store, target, self._clock, keep=keep, progress=progress))
        except HeadraceError as failure:
            error = str(failure)
        except asyncio.CancelledError:
            error = "given up: the platform stopped"
            raise
        finally:
            state = JobState.FAILED if error else JobState.DONE
            self._jobs[job.id] = replace(
                self._jobs[job.id], state=state, ended_ns=self._clock.now_ns(), error=error, result=result
            )
            self._task = None
        told = {"error": error} if error else {name: result[name] for name in result if name != "findings"}
        await self._audit.record(job.actor, f"history.{job.kind}", str(target or ""), state.value, told)

    def _embedded(self) -> EmbeddedStore:
        if not isinstance(self._store, EmbeddedStore):
            raise Unavailable(
                "this platform keeps its history in a cluster, which is checked and backed up by its own tools"
            )
        return self._store
