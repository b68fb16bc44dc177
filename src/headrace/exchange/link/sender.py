"""What the edge sends next: urgent before live before backlog, and never more backlog than the link carries at once.

    events ───────────────────► urgent ─┐
    spool, as it grows ───────► live ───┼──► one frame ─► channel ─► …        ◄─ acked: more room, trim
    spool, what is missing ───► backlog ┘     └ only while the channel is not crowded
                                 └ only within the window

Backlog is read from disk ahead of need, in order. Frames that went, because the spool dropped them or the disk
damaged them, are passed over: sequences may have holes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from headrace.exchange import columns
from headrace.exchange.link.channel import Channel
from headrace.exchange.link.messages import BACKLOG, LIVE, Data, join_blocks, pack_events
from headrace.exchange.link.settings import LinkSettings
from headrace.exchange.link.squeeze import Squeezer
from headrace.exchange.link.window import Window
from headrace.exchange.link.wire import Kind
from headrace.exchange.spool import Spool
from headrace.exchange.spool.frames import Entry
from headrace.exchange.spool.names import NAMES_AT_ONCE, encode_names
from headrace.exchange.spool.state import Held, Plan
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import Clock

_READ_AHEAD_BYTES: Final = 512 * 1024
_EVENT_BYTES: Final = 64 * 1024
_SAMPLES_MAX: Final = columns.SAMPLES_MAX // 2


class Sender:
    """Of one connection. `run` until it is over; `adopt` gives it a plan before, and again later."""

    def __init__(self, spool: Spool, channel: Channel, settings: LinkSettings, clock: Clock, names_sent: int) -> None:
        self._spool, self._channel, self._settings, self._clock = spool, channel, settings, clock
        self._squeezer = Squeezer()
        self._names_sent = names_sent
        self._wake = asyncio.Event()
        self._plan: Plan | None = None
        self._held = Held()
        self._live = self._backlog = self._urgent = 0  # the next of each lane
        self._ahead: deque[Entry] = deque()
        self._live_on_the_way: deque[tuple[int, int]] = deque()
        self._live_bytes = 0
        self._window = Window(settings.window_bytes_min, settings.window_bytes_max, settings.queue_delay_s)
        self._planned_s = 0.0
        self.late = asyncio.Event()
        """Set where live frames have become old: a new plan would let newer ones pass."""
        self.sent_samples = 0

    def adopt(self, plan: Plan) -> None:
        self._plan = plan
        self._held = Held(plan.epoch, 0, plan.live_from - 1, plan.urgent_from - 1)
        self._live, self._backlog, self._urgent = plan.live_from, 0, plan.urgent_from
        self._ahead.clear()
        self._live_on_the_way.clear()
        self._live_bytes = 0
        self._window = Window(
            self._settings.window_bytes_min, self._settings.window_bytes_max, self._settings.queue_delay_s
        )
        self._planned_s = self._clock.monotonic_s()
        self.late.clear()
        self.wake()

    def suspend(self) -> None:
        """Send nothing until the next plan."""
        self._plan = None

    def wake(self) -> None:
        self._wake.set()

    @property
    def names_sent(self) -> int:
        return self._names_sent

    def acked(self, held: Held, quickest_s: float) -> None:
        if self._plan is None or held.epoch != self._plan.epoch:
            return
        self._held = held
        self._spool.acked(held)
        self._window.acked(held.backlog, self._clock.monotonic_s(), quickest_s)
        while self._live_on_the_way and self._live_on_the_way[0][0] <= held.live:
            self._live_bytes -= self._live_on_the_way.popleft()[1]
        self.wake()

    async def run(self) -> None:
        while not self._channel.over:
            await self._channel.writable()
            self._wake.clear()
            if self._plan is None or not await self._send_one(self._plan):
                await self._wake.wait()

    async def _send_one(self, plan: Plan) -> bool:
        """Whether there was anything that may be sent now. What was read for another plan is not sent."""
        if self._urgent <= self._spool.last_event:
            events = await self._spool.read_events(self._urgent, _EVENT_BYTES)
            if plan is self._plan:
                self._urgent = events[-1].sequence + 1 if events else self._spool.last_event + 1
                if events:
                    payload = pack_events(events[-1].sequence, [entry.payload for entry in events])
                    self._channel.send(Kind.EVENTS, payload)
            return True
        if self._live <= self._spool.last and self._live_bytes < self._settings.live_bytes:
            return await self._send_live(plan)
        return await self._send_backlog(plan)

    async def _send_live(self, plan: Plan) -> bool:
        size = self._settings.frame_bytes
        entries = self._spool.recent(self._live, size)
        if entries is None:
            entries = await self._spool.read(self._live, size, "live")
            if plan is not self._plan:
                return True
        if not entries:
            self._live = self._spool.last + 1  # dropped or damaged: nothing of it is left
            return True
        entries = _fitting(entries)
        self._note_late(entries[0])
        self._live = entries[-1].sequence + 1
        size = self._send(entries, LIVE)
        self._live_on_the_way.append((entries[-1].sequence, size))
        self._live_bytes += size
        return True

    def _note_late(self, entry: Entry) -> None:
        """More waits behind it, it is old, and the last plan was made a while ago."""
        settings = self._settings
        if (
            entry.newest_ns < self._clock.now_ns() - int(settings.late_s * SECOND_NS)
            and self._spool.last > entry.sequence
            and self._clock.monotonic_s() - self._planned_s > settings.plan_s
        ):
            self.late.set()

    async def _send_backlog(self, plan: Plan) -> bool:
        if self._window.on_the_way and self._window.room <= 0:
            return False
        if not self._ahead and not await self._read_ahead(plan):
            return False
        if plan is not self._plan:
            return True
        room = self._settings.frame_bytes
        if self._window.on_the_way:
            room = min(room, self._window.room)
        entries = [self._ahead.popleft()]
        size, samples = len(entries[0].payload), entries[0].weight
        while self._ahead and size + len(self._ahead[0].payload) <= room:
            if samples + self._ahead[0].weight > _SAMPLES_MAX:
                break
            entries.append(self._ahead.popleft())
            size += len(entries[-1].payload)
            samples += entries[-1].weight
        self._window.sent(entries[-1].sequence, self._send(entries, BACKLOG), self._clock.monotonic_s())
        return True

    async def _read_ahead(self, plan: Plan) -> bool:
        """More of the backlog, in order; False at its end."""
        while (first := plan.backlog.next_from(self._backlog)) is not None:
            entries = await self._spool.read(first, _READ_AHEAD_BYTES, "backlog")
            if plan is not self._plan:
                return True
            self._ahead.extend(e for e in entries if plan.backlog.touches(e.sequence, e.sequence))
            self._backlog = entries[-1].sequence + 1 if entries else plan.live_from
            if self._ahead:
                return True
        return False

    def _send(self, entries: Sequence[Entry], lane: int) -> int:
        """One DATA frame, with the names that it needs before it; gives its bytes."""
        self._send_names()
        body = join_blocks([entry.payload for entry in entries])
        plain = any(entry.payload[0] == columns.PLAIN for entry in entries)
        packing, packed = self._squeezer.squeeze(body, compressed=not plain)
        samples = sum(entry.weight for entry in entries)
        newest_ns = max(entry.newest_ns for entry in entries)
        payload = Data(entries[-1].sequence, newest_ns, samples, lane, packing, packed).payload()
        self._channel.send(Kind.DATA, payload)
        self.sent_samples += samples
        return len(payload)

    def _send_names(self) -> None:
        """All that the spool has: a name is registered before the first sample of its point."""
        names = self._spool.names.paths
        while self._names_sent < len(names):
            part = names[self._names_sent : self._names_sent + NAMES_AT_ONCE]
            self._channel.send(Kind.NAMES, encode_names(self._names_sent, part))
            self._names_sent += len(part)


def _fitting(entries: list[Entry]) -> list[Entry]:
    """As many of the first as one frame takes."""
    samples = 0
    for count, entry in enumerate(entries):
        samples += entry.weight
        if count and samples > _SAMPLES_MAX:
            return entries[:count]
    return entries
