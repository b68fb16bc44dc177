"""How good the link is, from heartbeats alone: round trip, jitter, and how far the other clock is off.

    ours ─sent─► theirs, held a while ─► back with echo and held ─► round trip = now − echo − held
                                                                    offset = their sent + half of it − now

The offset is that of the quickest of the last round trips, for a slow one says little about the way there alone.
Jitter is smoothed as in RFC 3550 §6.4.1.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from headrace.exchange.link.messages import Heartbeat

_KEPT: Final = 16


class Beat:
    """Times are ns by the wall clock of this end, which may jump: a round trip below nothing is left out."""

    def __init__(self) -> None:
        self._theirs, self._received_ns = 0, 0
        self._trips: deque[tuple[int, int]] = deque(maxlen=_KEPT)
        self._jitter_ns = 0.0

    def send(self, now_ns: int) -> Heartbeat:
        held_ns = max(now_ns - self._received_ns, 0) if self._theirs else 0
        return Heartbeat(now_ns, self._theirs, held_ns)

    def receive(self, beat: Heartbeat, now_ns: int) -> None:
        self._theirs, self._received_ns = beat.sent_ns, now_ns
        if not beat.echo_ns:
            return
        trip_ns = now_ns - beat.echo_ns - beat.held_ns
        if not 0 <= trip_ns < 60_000_000_000:
            return
        if self._trips:
            self._jitter_ns += (abs(trip_ns - self._trips[-1][0]) - self._jitter_ns) / 16
        self._trips.append((trip_ns, beat.sent_ns + trip_ns // 2 - now_ns))

    @property
    def latency_ms(self) -> float:
        """The newest round trip, NaN before there was one."""
        return self._trips[-1][0] / 1e6 if self._trips else float("nan")

    @property
    def quickest_s(self) -> float:
        return min(trip for trip, _ in self._trips) / 1e9 if self._trips else 0.0

    @property
    def jitter_ms(self) -> float:
        return self._jitter_ns / 1e6 if self._trips else float("nan")

    @property
    def offset_ns(self) -> int:
        """How far the other clock is ahead of ours."""
        return min(self._trips)[1] if self._trips else 0
