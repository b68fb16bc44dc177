"""One socket and its bounds: when it is not read, when it is too silent, too slow or too fast, and how it ends.

    OPENING ──CONNECT──► ADMITTING ──admitted──► LIVE ──────────► CLOSED
       │ no CONNECT in time    │ refused          QUARANTINED ──►    ▲
       └───────────────────────┴─────────────────────────────────────┘

What MQTT means is in `connection.py`, which is a socket.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from headrace.connect.mqtt.reasons import Reason

if TYPE_CHECKING:
    from headrace.connect.gateway.hub import Hub

_LOOK_S = 60.0
"""A connection is looked at once in so long at least; what has ended is let go of then."""
_FLUSH_S = 5.0
_LINGER_S = 1.0


class State(IntEnum):
    OPENING = 0
    ADMITTING = 1
    LIVE = 2
    QUARANTINED = 3
    CLOSED = 4


class Halt:
    """Why a socket is not read, so that the device waits and not our memory. Bits of a plain int, for speed."""

    ADMITTING = 1  # its credentials are being checked
    CONGESTED = 2  # all devices together bring more than is stored
    THROTTLED = 4  # it is faster than it may be
    WINDOW = 8  # more is unacknowledged than agreed, and 3.1.1 has no other way to say so
    SLOW = 16  # it does not read what it is sent


class Socket(asyncio.Protocol):
    """The parent of `Connection`. Times are seconds of the hub's clock."""

    __slots__ = (
        "filled_s", "halted", "heard_s", "hub", "keep_alive_s", "look_s", "rate", "slow_since_s", "state", "tokens",
        "transport",
    )  # fmt: skip

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.state = State.OPENING
        self.transport: asyncio.Transport | None = None
        self.heard_s = self.filled_s = hub.now_s
        self.look_s = 0.0
        self.keep_alive_s = 0
        self.rate = self.tokens = hub.limits.messages_per_s
        self.halted = 0
        self.slow_since_s: float | None = None

    @property
    def listens(self) -> bool:
        return self.slow_since_s is None

    @property
    def closed(self) -> bool:
        return self.state == State.CLOSED

    @abstractmethod
    def fail(self, reason: Reason, text: str) -> None:
        """Say why, and close."""

    @abstractmethod
    def began(self) -> None:
        """The socket is open."""

    @abstractmethod
    def ended(self) -> None:
        """Called once, whoever came first: the socket that breaks, or we who close it."""

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.began()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._end()

    def pause_writing(self) -> None:
        self.slow_since_s = self.hub.now_s
        self.halt(Halt.SLOW)

    def resume_writing(self) -> None:
        self.slow_since_s = None
        self.go(Halt.SLOW)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    # --- bounds ---------------------------------------------------------------------------------------------------

    def halt(self, why: int) -> None:
        """Stop reading the socket."""
        if not self.halted and self.transport is not None:
            self.transport.pause_reading()
        self.halted |= why

    def go(self, why: int) -> None:
        """Read it again, where nothing else holds."""
        if self.halted & why:
            self.halted &= ~why
            if not self.halted and self.transport is not None:
                self.heard_s = self.hub.now_s
                self.transport.resume_reading()

    def throttle(self) -> None:
        """It has used up what it may send: let it wait until that is paid back."""
        self.refill()
        if self.tokens < 0.0 and not self.halted & Halt.THROTTLED:
            self.hub.counters.throttled += 1
            self.hub.throttled.add(self)
            self.halt(Halt.THROTTLED)

    def refill(self) -> None:
        """A bucket of one second's messages; what was read beyond it is paid back by waiting."""
        now_s = self.hub.clock.monotonic_s()
        self.tokens = min(self.tokens + (now_s - self.filled_s) * self.rate, self.rate)
        self.filled_s = now_s

    def due(self, now_s: float) -> float | None:
        """For the wheel: silence and slowness end a connection."""
        if self.closed or now_s < self.look_s:
            return None
        next_s = self._look(now_s)
        if next_s is not None:
            self.look_s = next_s
        return next_s

    def watch(self, at_s: float) -> None:
        """Look at this connection then at the latest; a later look that was planned falls away."""
        if not self.look_s or at_s < self.look_s:
            self.look_s = at_s
            self.hub.wheel.put(self, at_s)

    def _look(self, now_s: float) -> float | None:
        limits = self.hub.limits
        if self.state == State.OPENING:
            if now_s - self.heard_s >= limits.connect_timeout_s:
                self.hub.counters.timed_out += 1
                self.close()
                return None
            return self.heard_s + limits.connect_timeout_s
        if self.slow_since_s is not None and now_s - self.slow_since_s > limits.slow_s_max:
            self.hub.counters.timed_out += 1
            self.close(abort=True)
            return None
        if self.halted:  # we are not listening, so it cannot be heard
            self.heard_s = now_s
        next_s = now_s + (min(_LOOK_S, limits.slow_s_max) if self.slow_since_s is not None else _LOOK_S)
        if self.keep_alive_s:
            ends_s = self.heard_s + 1.5 * self.keep_alive_s
            if now_s >= ends_s:
                self.hub.counters.timed_out += 1
                self.fail(Reason.KEEP_ALIVE_TIMEOUT, f"nothing was heard for {now_s - self.heard_s:.0f} s")
                return None
            next_s = min(next_s, ends_s)
        return next_s

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self, *, abort: bool = False, linger: bool = False) -> None:
        """After what was written; at once where `abort` is set or the device does not read.

        With `linger` our end is closed first, and for a moment what the device still sends is read and thrown away: a
        socket that is closed with unread bytes is reset, and the last words to the device are lost with it.
        """
        transport = self.transport
        if transport is not None:
            loop = asyncio.get_running_loop()
            if abort or not self.listens:
                transport.abort()
            elif linger and not self.hub.closing and transport.can_write_eof():
                transport.write_eof()
                if self.halted:
                    transport.resume_reading()
                loop.call_later(_LINGER_S, transport.abort)
            else:
                transport.close()
                if transport.get_write_buffer_size():  # a peer that has vanished would keep it for many minutes
                    loop.call_later(_FLUSH_S, transport.abort)
        self._end()

    def _end(self) -> None:
        self.transport = None
        if self.state != State.CLOSED:
            self.state = State.CLOSED
            self.ended()
