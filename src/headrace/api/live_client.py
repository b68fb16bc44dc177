"""One client of the live feed: what it watches, what waits for it, and the one frame on its way.

ticker ─ tick() ─► due? still sending? count : wake ─► send loop pulls: answer, then alarms, then the newest changes

Nothing is queued for a client but one answer and a bounded list of alarm steps: changes are pulled when the client
is ready for them, so what it missed is merged into the newest values and memory does not grow with its slowness.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.api.columns import json_bytes
from headrace.api.live_frames import Channel
from headrace.sdk.clock import Clock
from headrace.sdk.services import FeedCounters

ALARMS_WAITING_MAX: Final = 1_000
#: Ticks are a little early or late; a client that asks for 20 Hz should not get every other tick.
_EARLY_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Watch:
    """A subscription: replaces the former one as a whole."""

    channel: Channel
    alarms: bool
    spacing_s: float


class Client:
    def __init__(self, clock: Clock, counters: FeedCounters) -> None:
        self._clock, self._counters = clock, counters
        self._watch: Watch | None = None
        self._seen: int | None = None
        self._due_s = 0.0
        self._changes_due = False
        self._answer: str | None = None
        self._answered = asyncio.Event()
        self._ready = asyncio.Event()
        self._sending_since: float | None = None
        self.sees: Callable[[str], bool] = _anything
        self._alarms: deque[Any] = deque()
        self._alarms_lost = False

    @property
    def wants_alarms(self) -> bool:
        return self._watch is not None and self._watch.alarms

    async def answer(self, text: str, watch: Watch | None = None) -> None:
        """Send an answer, then follow `watch` from its present state on. Returns when the client took it."""
        self._answer = text
        if watch is not None:
            self._watch, self._seen, self._changes_due = watch, None, True
            self._alarms.clear()
        self._answered.clear()
        self._ready.set()
        await self._answered.wait()

    def forget(self) -> None:
        """Send nothing more of what was watched, until the next answer."""
        self._watch, self._changes_due = None, False
        self._alarms.clear()

    def push_alarms(self, steps: Sequence[Any]) -> None:
        """Alarm steps, ready for JSON. A client that is too slow for them is told to ask for all."""
        self._alarms.extend(steps)
        if len(self._alarms) > ALARMS_WAITING_MAX:
            self._alarms.clear()
            self._alarms_lost = True
        self._ready.set()

    def tick(self, version: int, now_s: float) -> None:
        """Called a hundred times a second while somebody watches: cheap where there is nothing to do."""
        watch = self._watch
        if watch is None or self._seen == version or self._changes_due or now_s < self._due_s - _EARLY_S:
            return
        self._due_s = now_s + watch.spacing_s
        if self._sending_since is not None:
            self._counters.coalesced += 1
            return
        self._changes_due = True
        self._ready.set()

    def stuck_s(self, now_s: float) -> float:
        """How long the frame on its way has not been taken."""
        return 0.0 if self._sending_since is None else now_s - self._sending_since

    async def send_forever(self, send: Callable[[str], Awaitable[None]]) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while (text := self._next()) is not None:
                self._sending_since = self._clock.monotonic_s()
                await send(text)
                self._sending_since = None
                self._counters.frames += 1

    def _next(self) -> str | None:
        if self._answer is not None:
            text, self._answer = self._answer, None
            self._answered.set()
            return text
        if self._alarms or self._alarms_lost:
            steps, lost = list(self._alarms), self._alarms_lost
            self._alarms.clear()
            self._alarms_lost = False
            return json_bytes({"type": "alarms", "transitions": steps, "reload": lost}).decode()
        if self._changes_due and self._watch is not None:
            self._changes_due = False
            frame = self._watch.channel.frame(self._seen)
            self._seen = frame.version
            return frame.text
        return None


def _anything(_: str) -> bool:
    return True
