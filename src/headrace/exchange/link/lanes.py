"""What has come from an edge and is not taken yet: a queue and a task a lane, so that none waits for another.

    DATA ─► live    ─► [decode, translate] ─► intake.take(batches, {lane: mark}) ─► durable ─► ACK
         └► backlog ─► [the same]
    EVENTS ► urgent ─► bus, then the mark alone

A take is never given up half-way: who ends a connection waits for it, and so knows what the store has. While the store
takes nothing, the queues fill, and the connection is read no further.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from headrace.exchange.link.messages import BACKLOG, LIVE, Data, read_blocks, read_events
from headrace.exchange.link.points import EdgePoints
from headrace.exchange.link.settings import HubSettings
from headrace.exchange.link.squeeze import Expander
from headrace.exchange.spool.names import decode_names
from headrace.exchange.spool.spool import event_of
from headrace.exchange.spool.state import Held
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, HeadraceError, LimitReached, Unavailable
from headrace.model.events import Event
from headrace.sdk.clock import Clock
from headrace.sdk.intake import Intake, Mark

_logger = logging.getLogger(__name__)
PublishEvents = Callable[[Sequence[Event]], Awaitable[None]]
URGENT: Final = 2
_EVENTS_MAX: Final = 1_000


def source_of(edge: str, lane: int) -> str:
    """Under which name the store keeps how far a lane has been taken."""
    return f"edge/{edge}/{('backlog', 'live', 'urgent')[lane]}"


def held_by(marks: dict[str, Mark], edge: str) -> Held:
    """What a store's marks say of an edge. The three lanes begin together, so they have one epoch."""
    found = [marks.get(source_of(edge, lane), Mark(0, 0)) for lane in (BACKLOG, LIVE, URGENT)]
    epoch = max(mark.epoch for mark in found)
    return Held(epoch, *(mark.sequence if mark.epoch == epoch else 0 for mark in found))


def marks_of(edge: str, held: Held) -> dict[str, Mark]:
    numbers = {BACKLOG: held.backlog, LIVE: held.live, URGENT: held.urgent}
    return {source_of(edge, lane): Mark(held.epoch, number) for lane, number in numbers.items()}


class Incoming:
    """Of one connection. `acked` is called with what is durable now."""

    def __init__(
        self,
        edge: str,
        points: EdgePoints,
        intake: Intake,
        publish_events: PublishEvents,
        clock: Clock,
        settings: HubSettings,
        acked: Callable[[Held], None],
        owns: Callable[[Event], bool] = lambda _: True,
    ) -> None:
        """`owns` says whether an event is one that this edge may tell of."""
        self._owns = owns
        self.refused_events = 0
        self._edge, self._points, self._intake, self._publish = edge, points, intake, publish_events
        self._clock, self._settings, self._acked = clock, settings, acked
        self._expander = Expander()
        self._lanes: dict[int, deque[Data]] = {BACKLOG: deque(), LIVE: deque()}
        self._events: deque[tuple[int, list[bytes]]] = deque()
        self._came = {lane: asyncio.Event() for lane in (BACKLOG, LIVE, URGENT)}
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0
        self._naming: asyncio.Task[None] | None = None
        self._held = Held()
        self._newest = {BACKLOG: 0, LIVE: 0, URGENT: 0}
        self._failing = self._ending = False
        self.waiting_bytes = 0
        self.taken = self.quarantined = 0
        self.newest_live_ns = 0
        self.on_room: Callable[[], None] = lambda: None
        self.on_failed: Callable[[BaseException], None] = lambda _: None

    def begin(self, start: Held) -> None:
        self._held = start
        self._newest = {BACKLOG: start.backlog, LIVE: start.live, URGENT: start.urgent}

    # --- what comes ---------------------------------------------------------------------------------------------------

    def offer(self, payload: memoryview) -> None:
        """A DATA frame. Raises: DataError."""
        data = Data.of(payload)
        self._advance(data.lane, data.sequence)
        body = bytes(self._expander.expand(data.packing, data.body))
        self._lanes[data.lane].append(Data(data.sequence, data.newest_ns, data.samples, data.lane, 0, body))
        self._note(data.lane, len(body))

    def offer_events(self, payload: memoryview) -> None:
        """An EVENTS frame. Raises: DataError."""
        sequence, events = read_events(payload)
        self._advance(URGENT, sequence)
        self._events.append((sequence, events))
        self._note(URGENT, sum(map(len, events)))

    def _advance(self, lane: int, sequence: int) -> None:
        if sequence <= self._newest[lane]:
            raise DataError(f"a frame with the sequence {sequence} came, which is not new")
        self._newest[lane] = sequence

    def offer_names(self, payload: memoryview) -> None:
        """A NAMES frame: known before any frame that came after it is taken. Raises: DataError."""
        first, paths = decode_names(bytes(payload))
        size = sum(map(len, paths))
        self.waiting_bytes += size

        def named(task: asyncio.Task[None]) -> None:
            self.waiting_bytes -= size
            self.on_room()
            if not task.cancelled() and (error := task.exception()) is not None:
                self.on_failed(error)

        self._naming = asyncio.create_task(self._name(self._naming, first, paths), name=f"names of {self._edge}")
        self._naming.add_done_callback(named)

    async def _name(self, before: asyncio.Task[None] | None, first: int, paths: list[str]) -> None:
        if before is not None:
            await before
        while True:
            try:
                return await self._points.add(first, paths)
            except Unavailable as error:
                await self._wait_for_store(error)

    def _note(self, lane: int, size: int) -> None:
        self.waiting_bytes += size
        self._idle.clear()
        self._came[lane].set()

    async def drained(self) -> None:
        """When everything that came is durable."""
        if self._naming is not None:
            await self._naming
        await self._idle.wait()

    def end(self) -> None:
        """What waits is not taken, for the edge sends it again; `run` returns after what is being taken."""
        self._ending = True
        for came in self._came.values():
            came.set()
        for queue in self._lanes.values():
            queue.clear()
        self._events.clear()

    # --- taking -------------------------------------------------------------------------------------------------------

    async def run(self, lane: int) -> None:
        """Take what comes on one lane, until `end`. Not to be cancelled: a take that has begun is finished."""
        came, work = self._came[lane], self._take_events if lane == URGENT else self._take_all
        while not self._ending:
            await came.wait()
            came.clear()
            self._busy += 1
            try:
                await work(lane)
            finally:
                self._busy -= 1
                if not self._busy and not self._events and not any(self._lanes.values()):
                    self._idle.set()

    async def _take_all(self, lane: int) -> None:
        queue = self._lanes[lane]
        while queue:
            if self._naming is not None:
                await self._naming
            frames = [queue.popleft()]
            samples = frames[0].samples
            while queue and samples + queue[0].samples <= self._settings.take_samples:
                frames.append(queue.popleft())
                samples += frames[-1].samples
            await self._take(lane, frames)

    async def _take(self, lane: int, frames: Sequence[Data]) -> None:
        now_ns = self._clock.now_ns()
        batches = [
            translated
            for frame in frames
            for batch in read_blocks(frame.body)
            if len(translated := self._points.translate(batch, now_ns))
        ]
        last = frames[-1].sequence
        await self._store(joined(batches), {source_of(self._edge, lane): Mark(self._held.epoch, last)})
        self.taken += sum(map(len, batches))
        if lane == LIVE:
            self.newest_live_ns = max(self.newest_live_ns, frames[-1].newest_ns)
            self._held = Held(self._held.epoch, self._held.backlog, last, self._held.urgent)
        else:
            self._held = Held(self._held.epoch, last, self._held.live, self._held.urgent)
        self._done(sum(len(frame.body) for frame in frames))

    async def _take_events(self, _: int) -> None:
        while self._events:
            sequence, payloads = self._events.popleft()
            events: list[Event] = []
            for payload in payloads:
                try:
                    event = event_of(payload)
                except DataError:
                    self.quarantined += 1
                    continue
                event = replace(event, source=f"edge/{self._edge}/{event.source}"[:200])
                if self._owns(event):
                    events.append(event)
                else:
                    self._refuse(event)
            await self._publish(events)
            await self._store([], {source_of(self._edge, URGENT): Mark(self._held.epoch, sequence)})
            self._held = replace(self._held, urgent=sequence)
            self._done(sum(map(len, payloads)))

    def _refuse(self, event: Event) -> None:
        if not self.refused_events:
            _logger.error(
                "edge '%s' tells of what is not its own, which is refused: %s of '%s'",
                self._edge, event.type[:60], event.subject[:200],
            )  # fmt: skip
        self.refused_events += 1

    def _done(self, size: int) -> None:
        self.waiting_bytes -= size
        self._acked(self._held)
        self.on_room()

    async def _store(self, batches: Sequence[Batch], marks: dict[str, Mark]) -> None:
        """Until it is durable. What the store refuses as wrong is counted and passed, for it would come again."""
        while True:
            try:
                await self._intake.take(batches, marks)
                if self._failing:
                    self._failing = False
                    _logger.info("samples of edge '%s' are taken again", self._edge)
                return
            except Unavailable as error:
                await self._wait_for_store(error)
            except (DataError, LimitReached) as error:
                self.quarantined += sum(map(len, batches))
                _logger.error("samples of edge '%s' cannot be stored: %s", self._edge, error)
                batches = []

    async def _wait_for_store(self, error: HeadraceError) -> None:
        if self._ending:
            raise error
        if not self._failing:
            self._failing = True
            _logger.error("samples of edge '%s' wait: %s", self._edge, error)
        await self._clock.sleep(self._settings.retry_s)


def joined(batches: Sequence[Batch]) -> list[Batch]:
    """One batch a kind, in order: the store pays for each batch."""
    kinds: dict[ValueKind, list[Batch]] = {}
    for batch in batches:
        kinds.setdefault(batch.kind, []).append(batch)
    return [Batch.concat(group) for group in kinds.values()]
