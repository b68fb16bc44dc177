"""Jobs of one app when they are due, by the platform's clock; the last run of each is kept.

last run ─► schedule ─► due: passed ones first, each where the job catches up, else only the last ─► run ─► kept

A run that ended amidst is due again: at least once. One that raised was run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk.apps import Schedule
from headrace.sdk.clock import Clock
from headrace.sdk.secret_files import put_private

CATCH_UP_MAX: Final = 10_000
"""Of a job that runs `every`: of more times than that, the last are made up for."""
_LOOK_S: Final = 30.0

Do = Callable[[int, int], Awaitable[None]]
"""Runs a job by its place, for the time at which it was due."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A job as it was declared; its place in the list is what `Do` gets."""

    name: str
    schedule: Schedule
    catch_up: bool


class Jobs:
    """`open` first; `run` in a task, and again after the app was started anew."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._last: dict[str, int] = {}

    async def open(self) -> None:
        self._last = await asyncio.to_thread(_read, self._file)

    async def run(self, jobs: Sequence[Timed], zone: str, do: Do) -> None:
        """For ever; ends where nothing is ever due. Raises: what `do` raises; OSError where it cannot be kept."""
        await self._begin(jobs)
        while True:
            dues = [(due, at) for at, one in enumerate(jobs) if (due := self.due(one, zone)) is not None]
            if not dues:
                return
            due, at = min(dues)
            left_s = (due - self._clock.now_ns()) / SECOND_NS
            if left_s > 0:
                await self._clock.sleep(min(left_s, _LOOK_S))  # a clock may be put forward meanwhile
                continue
            await do(at, due)
            self._last[jobs[at].name] = due
            await self._keep()

    def due(self, job: Timed, zone: str) -> int | None:
        """When it is due next: in the past where it was missed. None for never."""
        now = self._clock.now_ns()
        last = min(self._last.get(job.name, now), now + DAY_NS)  # later: a clock was put back
        every = job.schedule.every_ns
        if every:
            last = max(last, now - every * (CATCH_UP_MAX if job.catch_up else 1) - 1)
        found: int | None = None
        for due in job.schedule.after(last, zone):
            if found is None or due <= now:
                found = due
            if due > now or job.catch_up:
                break
        return found

    def last(self, name: str) -> int | None:
        return self._last.get(name)

    async def _begin(self, jobs: Sequence[Timed]) -> None:
        """A job is new: nothing was missed before."""
        new = [one.name for one in jobs if one.name not in self._last]
        if new:
            self._last |= dict.fromkeys(new, self._clock.now_ns())
            await self._keep()

    async def _keep(self) -> None:
        await asyncio.to_thread(_write, self._file, json.dumps(self._last).encode())


def _read(file: Path) -> dict[str, int]:
    try:
        told: Any = json.loads(file.read_bytes())
        return {str(name): int(ns) for name, ns in told.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    put_private(file, data)
