"""What an app is given: samples, events and jobs, each in its turn, to the handlers that it declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from headrace.hosting.abilities import Abilities, DeclaredJob
from headrace.hosting.declaring import Loaded
from headrace.hosting.granted import Granted
from headrace.hosting.jobs import Jobs
from headrace.hosting.samples import SampleFeed
from headrace.model.batch import Batch
from headrace.model.errors import ConfigError
from headrace.model.events import Event
from headrace.model.places import lies_at
from headrace.sdk.apps import Samples
from headrace.sdk.bus import Overflow
from headrace.sdk.clock import Clock

EVENTS_MAX: Final = 10_000
EVENTS_A_CALL: Final = 500

Give = Callable[[str, str, Any], Awaitable[None]]
"""A call in its turn: as what it is counted, its kind, its body. Raises only where the process ended amidst."""


class Giver:
    """Of one app and tenant; goes on over the ends of its process. `open` first, `close` last."""

    def __init__(
        self, app: str, tenant: str, granted: Granted, abilities: Abilities, folder: Path, clock: Clock, zone: str,
        give: Give,
    ) -> None:  # fmt: skip
        self._name, self._zone = f"{tenant}/{app}", zone
        self._granted, self._abilities, self._clock, self._give = granted, abilities, clock, give
        self._file = folder / "samples.json"
        self._jobs = Jobs(folder / "jobs.json", clock)
        self._loaded: Loaded | None = None
        self.feed: SampleFeed | None = None
        self.events_given = self.events_dropped = 0

    async def open(self) -> None:
        """From now on no sample is missed. Raises: OSError."""
        await self._jobs.open()
        permissions = self._granted.permissions
        if self.feed is None and (permissions.read or permissions.write):
            bus, history = self._abilities.bus, self._abilities.history
            feed = SampleFeed(f"app/{self._name}", bus, history, self._granted.reads, self._file, self._clock)
            try:
                await feed.open()
            except BaseException:
                await feed.close()
                raise
            self.feed = feed

    async def pump(self) -> None:
        """Takes what the bus has, whether the app runs or not."""
        if self.feed is not None:
            await self.feed.pump()

    async def close(self) -> None:
        if self.feed is not None:
            await self.feed.close()

    async def keep(self) -> None:
        """How far it is; durable on return. Raises: OSError."""
        if self.feed is not None:
            await self.feed.keep()

    async def want(self, loaded: Loaded) -> list[Callable[[], Awaitable[None]]]:
        """What it declared; and what to run, each in a task, as long as its process lives.

        Raises: ConfigError for what it wants and was not granted: it would wait for ever.
        """
        self._loaded = loaded
        declared, permissions = loaded.declared, self._granted.permissions
        if declared.samples and self.feed is None:
            raise ConfigError("the app wants samples and was not granted to read any: `read` in its manifest")
        if declared.events and not permissions.events:
            raise ConfigError("the app wants events and was not granted to hear any: `events` in its manifest")
        workers: list[Callable[[], Awaitable[None]]] = [self._tell_jobs]
        if declared.events:
            workers.append(self._tell_events)
        if self.feed is not None and declared.samples:
            self.feed.want(self._wants)
            workers.append(self._tell_samples)
        elif self.feed is not None:
            await self.feed.close()
        return workers

    def jobs(self) -> tuple[DeclaredJob, ...]:
        jobs = () if self._loaded is None else self._loaded.jobs
        return tuple(DeclaredJob(one.name, self._jobs.due(one, self._zone), self._jobs.last(one.name)) for one in jobs)

    # --- each of the three -------------------------------------------------------------------------------------------

    def _wants(self, path: str) -> bool:
        assert self._loaded is not None
        places = (place for each in self._loaded.declared.samples for place in each)
        return self._granted.reads(path) and any(lies_at(path, place) for place in places)

    async def _tell_samples(self) -> None:
        assert self.feed is not None and self._loaded is not None
        handlers = self._loaded.declared.samples

        async def to(batches: Sequence[Batch], from_history: bool) -> None:
            del from_history
            paths = self._abilities.history.paths()
            for at, places in enumerate(handlers):
                mine = _at_places(batches, paths, places)
                if len(mine):
                    await self._give("samples", "samples", [at, mine])

        await self.feed.give(to)

    async def _tell_events(self) -> None:
        assert self._loaded is not None
        handlers, before = self._loaded.declared.events, self.events_dropped
        queue = self._abilities.bus.subscribe_events(
            f"app-events/{self._name}", capacity=EVENTS_MAX, overflow=Overflow.DROP_OLDEST
        )
        try:
            async for events in queue:
                self.events_dropped = before + queue.counters.dropped
                mine = [one for one in events if self._granted.hears(one.type, one.source, one.subject)]
                for at, types in enumerate(handlers):
                    wanted = [one for one in mine if any(_is_of(one.type, each) for each in types)]
                    for first in range(0, len(wanted), EVENTS_A_CALL):
                        part = wanted[first : first + EVENTS_A_CALL]
                        await self._give("events", "events", [at, [_plain(one) for one in part]])
                        self.events_given += len(part)
        finally:
            await queue.close()

    async def _tell_jobs(self) -> None:
        assert self._loaded is not None
        jobs = self._loaded.jobs

        async def do(at: int, due_ns: int) -> None:
            await self._give(f"job {jobs[at].name}", "job", [at, due_ns])

        await self._jobs.run(jobs, self._zone, do)


def _at_places(batches: Sequence[Batch], paths: Mapping[int, str], places: Sequence[str]) -> Samples:
    """Those of some points, and what their handles mean."""
    found, named = [], dict[int, str]()
    for batch in batches:
        handles = np.unique(batch.handles)
        mine = [int(one) for one in handles if any(lies_at(paths[int(one)], place) for place in places)]
        if mine:
            named |= {handle: paths[handle] for handle in mine}
            found.append(batch if len(mine) == len(handles) else batch.take(np.isin(batch.handles, mine)))
    return Samples(found, named)


def _is_of(type: str, wanted: str) -> bool:
    return wanted == "*" or type == wanted or (wanted.endswith(".*") and type.startswith(wanted[:-1]))


def _plain(event: Event) -> Event:
    return replace(event, data=dict(event.data))
