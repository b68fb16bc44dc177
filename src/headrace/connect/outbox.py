"""The bounded buffer between one session and the bus, so that a slow bus never holds a socket or a write.

    session ──put──► [ batches, at most `capacity` samples ] ──publisher task──► screen ──► publish

    peers that wait ──store──► screen ──► intake.take                            answered when it is durable

A polled session asks `full` before it reads and waits for room: the source slows down. A subscribed one cannot be
slowed: the oldest batch goes, and is counted. Events (link lost, link up) travel the same way, ahead of the samples.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np

from headrace.connect.screening import Screen
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.model.events import Event
from headrace.sdk.clock import Clock
from headrace.sdk.field import LinkCounters
from headrace.sdk.intake import Intake, halves

logger = logging.getLogger(__name__)

Publish = Callable[[Sequence[Batch]], Awaitable[None]]
PublishEvents = Callable[[Sequence[Event]], Awaitable[None]]

#: About two seconds of a saturated session; 2 MB when full.
CAPACITY_SAMPLES: Final = 65_536
_EVENTS_MAX: Final = 64


class Outbox:
    """`on_room` is called when a full outbox has been emptied. One task runs `run`; anything may `put`."""

    def __init__(
        self,
        clock: Clock,
        counters: LinkCounters,
        publish: Publish,
        publish_events: PublishEvents,
        on_room: Callable[[], None],
        capacity: int = CAPACITY_SAMPLES,
        intake: Intake | None = None,
    ) -> None:
        self.screen = Screen()
        self._clock, self._counters, self._capacity = clock, counters, capacity
        self._publish, self._publish_events, self._on_room, self._intake = publish, publish_events, on_room, intake
        self._batches: deque[Batch] = deque()
        self._depth = 0
        self._events: deque[Event] = deque(maxlen=_EVENTS_MAX)
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def full(self) -> bool:
        return self._depth >= self._capacity

    def put(self, batches: Sequence[Batch], *, drop_oldest: bool = False) -> None:
        """Take batches, also beyond the capacity; with `drop_oldest` the oldest go then, never the newest."""
        for batch in batches:
            if len(batch):
                self._batches.append(batch)
                self._depth += len(batch)
        while drop_oldest and self._depth > self._capacity and len(self._batches) > 1:
            oldest = self._batches.popleft()
            self._depth -= len(oldest)
            self._counters.dropped += len(oldest)
        self._wake.set()

    async def store(self, batches: Sequence[Batch]) -> None:
        """`sdk.driver.Stored`: durable on return. A sample that history refuses as it is costs itself alone."""
        if self._intake is None:
            raise Unavailable("nothing here makes samples durable before their sender is told")
        checked = self._checked(batches)
        if checked:
            await self._store(self._intake, checked)

    async def _store(self, intake: Intake, batches: Sequence[Batch]) -> None:
        try:
            await intake.take(batches)
        except (LimitReached, DataError) as error:
            first, second = halves(batches)
            if second:
                await self._store(intake, first)
                await self._store(intake, second)
                return
            self._counters.unstorable += 1
            if self._counters.unstorable == 1 or self._counters.unstorable % 1000 == 0:
                logger.error("%d samples could not be stored so far; the last: %s", self._counters.unstorable, error)

    def put_event(self, event: Event) -> None:
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        """Nothing more comes; `run` returns when everything is published."""
        self._closed = True
        self._wake.set()

    async def run(self) -> None:
        """Publish until closed and empty."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._events:
                events = list(self._events)
                self._events.clear()
                await self._publish_events(events)
            if self._batches:
                await self._publish(self._drain())
            if self._closed and not self._batches and not self._events:
                return

    def _drain(self) -> list[Batch]:
        """Everything buffered, one checked batch a kind: the rooms behind pay per batch."""
        was_full = self.full
        batches = list(self._batches)
        self._batches.clear()
        self._depth = 0
        if was_full:
            self._on_room()
        return self._checked(batches)

    def _checked(self, batches: Sequence[Batch]) -> list[Batch]:
        """Screened and counted."""
        kinds: dict[ValueKind, list[Batch]] = {}
        for batch in batches:
            if len(batch):
                kinds.setdefault(batch.kind, []).append(batch)
        now_ns = self._clock.now_ns()
        checked = [self.screen.check(Batch.concat(group), now_ns) for group in kinds.values()]
        counters = self._counters
        for batch in checked:
            counters.samples += len(batch)
            counters.bad_samples += int(np.count_nonzero(q.is_bad(batch.quality)))
            counters.last_sample_ns = int(batch.received_ns[-1])
        counters.wild_clocks = self.screen.wild_clocks
        return checked
