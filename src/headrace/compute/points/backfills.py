"""Back-fills that people ask for: calculated points over a stretch of history again, one after the other.

start ─► queue ─► settled ─► past.again ─► a slice of an hour at most ─► publish ─► progress ─► next slice ─► settled
cancel ─► one that waits ends at once; the slice that is being worked out is given up, one that is being published ends

What was published before a cancel stays: whole slices, right by themselves, as any shorter stretch would have made
them. The same back-fill started anew writes them again, for an equal time the newest write wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from headrace.compute.points.past import Past, again
from headrace.model.batch import Batch
from headrace.model.calculations import Calculation
from headrace.model.errors import Conflict, DataError, HeadraceError, NotFound
from headrace.model.points import Point
from headrace.model.time import format_time
from headrace.sdk.clock import Clock
from headrace.sdk.computing import BackfillJob

JOBS_KEPT: Final = 50

_T = TypeVar("_T")
Publish = Callable[[Sequence[Batch]], Awaitable[None]]
Settle = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Declared:
    """What is calculated now: by path the calculation, and each point with its handle."""

    calculations: Mapping[str, Calculation]
    points: Mapping[str, Point]
    handles: Mapping[str, int]


class Backfills:
    """Jobs of people, newest `JOBS_KEPT`. `settled` returns once all that was published before is in history."""

    def __init__(
        self, past: Past, clock: Clock, publish: Publish, settled: Settle, declared: Callable[[], Declared]
    ) -> None:
        self._past, self._clock, self._publish, self._settled = past, clock, publish, settled
        self._declared = declared
        self._jobs: dict[int, BackfillJob] = {}
        self._waiting: asyncio.Queue[int] = asyncio.Queue()
        self._working: tuple[int, asyncio.Event] | None = None
        self._next = 1

    def start(self, paths: Sequence[str], start_ns: int, end_ns: int, actor: str) -> BackfillJob:
        """Work these out anew over [start, end). Raises: NotFound, DataError, Conflict where too many wait."""
        chosen = list(dict.fromkeys(paths))
        calculated = self._declared().calculations
        for path in chosen:
            if path not in calculated:
                raise NotFound(f"'{path[:200]}' is not calculated; a back-fill is for points with an expression")
        if not chosen or end_ns <= start_ns:
            raise DataError("a back-fill needs points, and a stretch that ends after it begins")
        if sum(job.finished_ns is None for job in self._jobs.values()) >= JOBS_KEPT:
            raise Conflict(f"{JOBS_KEPT} back-fills wait already; try again when some are done")
        job = BackfillJob(self._next, tuple(chosen), start_ns, end_ns, actor, self._clock.now_ns(), start_ns)
        self._next += 1
        if len(self._jobs) >= JOBS_KEPT:
            del self._jobs[next(one.id for one in self._jobs.values() if one.finished_ns is not None)]
        self._jobs[job.id] = job
        self._waiting.put_nowait(job.id)
        return job

    def job(self, id: int) -> BackfillJob:
        """Raises: NotFound."""
        if id not in self._jobs:
            raise NotFound(f"there is no back-fill {id}; those of before a restart are forgotten")
        return self._jobs[id]

    def jobs(self) -> Sequence[BackfillJob]:
        """Newest first."""
        return list(reversed(self._jobs.values()))

    def cancel(self, id: int, actor: str) -> BackfillJob:
        """End it between two slices; one that waits ends now. What has ended stays as it is. Raises: NotFound."""
        job = self.job(id)
        if job.finished_ns is not None or job.cancelled_by:
            return job
        job = self._set(id, cancelled_by=actor)
        if self._working is None or self._working[0] != id:
            return self._ended(id)
        self._working[1].set()
        return job

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            number = await self._waiting.get()
            if number not in self._jobs or self._jobs[number].finished_ns is not None:
                continue  # cancelled while it waited
            stop = asyncio.Event()
            self._working = (number, stop)
            try:
                await self._work(number, stop)
                self._ended(number)
            except HeadraceError as error:
                self._set(number, finished_ns=self._clock.now_ns(), error=str(error))
            finally:
                self._working = None

    async def _work(self, number: int, stop: asyncio.Event) -> None:
        job, declared = self.job(number), self._declared()
        known = declared.calculations
        chosen = {path: known[path] for path in job.points if path in known}
        await self._settled()
        if chosen:
            made = again(self._past, chosen, declared.points, declared.handles, job.start_ns, job.end_ns)
            async with aclosing(until(stop, made)) as slices:
                async for upto_ns, results in slices:
                    await self._publish(results)
                    count = self.job(number).results + sum(map(len, results))
                    self._set(number, upto_ns=upto_ns, results=count)
        await self._settled()

    def _ended(self, number: int) -> BackfillJob:
        job, now_ns = self.job(number), self._clock.now_ns()
        if not job.cancelled_by or job.upto_ns >= job.end_ns:
            return self._set(number, upto_ns=job.end_ns, finished_ns=now_ns)
        told = f"cancelled by {job.cancelled_by}; worked out up to {format_time(job.upto_ns)}"
        return self._set(number, finished_ns=now_ns, error=told)

    def _set(self, number: int, **changes: Any) -> BackfillJob:
        self._jobs[number] = job = replace(self._jobs[number], **changes)
        return job


async def until(stop: asyncio.Event, items: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
    """These items up to a stop; the one that is being made then is given up."""
    stopped = asyncio.ensure_future(stop.wait())
    step: asyncio.Future[_T | None] | None = None
    try:
        while not stop.is_set():
            step = asyncio.ensure_future(anext(items, None))
            await asyncio.wait({step, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set() or (item := step.result()) is None:
                return
            yield item
    finally:
        asked = [one for one in (stopped, step) if one is not None]
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await items.aclose()
