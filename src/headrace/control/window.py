"""What was sent within the last minute, by point: how fast and how often a setpoint may move. In memory, bounded.

SENT ─► add(point, person, step) ─► why_not(the next) ─► forgotten after a minute
Restart: the journal's sends of the last minute ─► load
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from headrace.model.points import Point
from headrace.model.time import SECOND_NS, format_duration
from headrace.sdk.clock import Clock

MINUTE_S: Final = 60.0
#: Of a step that is a sum of decimal numbers, such as 0.1 + 0.2.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Sent:
    """`at_s` on the monotonic clock; `moved` in the point's unit, 0 where nobody asked."""

    at_s: float
    person: str
    moved: float


class SendWindow:
    """`interval_s` is the least time between two writes to a point that declares none."""

    def __init__(self, clock: Clock, interval_s: float) -> None:
        self._clock, self._interval_s = clock, interval_s
        self._sent: dict[str, deque[Sent]] = {}

    def load(self, rows: Iterable[tuple[str, str, float, int]]) -> None:
        """(point, person, moved, sent_ns), the oldest first."""
        now_s, now_ns = self._clock.monotonic_s(), self._clock.now_ns()
        for point, person, moved, sent_ns in rows:
            age_s = max((now_ns - sent_ns) / SECOND_NS, 0.0)  # a clock set back makes it younger: the safe side
            self._sent.setdefault(point, deque()).append(Sent(now_s - age_s, person, moved))

    def add(self, path: str, person: str, moved: float) -> None:
        self._sent.setdefault(path, deque()).append(Sent(self._clock.monotonic_s(), person, moved))

    def why_not(self, point: Point, person: str, moved: float) -> str | None:
        """Why one more write, a step of `moved`, must wait; None where it need not."""
        limits, now_s = point.guard.limits, self._clock.monotonic_s()
        interval_s = self._interval_s if limits.interval_ns is None else limits.interval_ns / SECOND_NS
        held = self._recent(point.path, now_s, max(interval_s, MINUTE_S))
        if held and now_s - held[-1].at_s < interval_s:
            said = f"{interval_s:g} s" if limits.interval_ns is None else format_duration(limits.interval_ns)
            return f"'{point.path}' was written less than {said} ago; try again in a moment"
        minute = [one for one in held if now_s - one.at_s < MINUTE_S]
        if limits.writes is not None and len(minute) >= limits.writes:
            return f"'{point.path}' was written {len(minute)} times within a minute; at most {limits.writes} are sent"
        if limits.writes_each is not None:
            own = sum(one.person == person for one in minute)
            if own >= limits.writes_each:
                return f"you wrote '{point.path}' {own} times within a minute; at most {limits.writes_each} are sent"
        unit = "" if point.unit == "1" else f" {point.unit}"
        if limits.step is not None and moved > limits.step * (1 + _ROUNDING):
            return f"this is a step of {moved:g}{unit}; at most {limits.step:g}{unit} at once"
        if limits.rate_per_minute is not None:
            total = moved + sum(one.moved for one in minute)
            if total > limits.rate_per_minute * (1 + _ROUNDING):
                return (
                    f"with this step '{point.path}' would have moved {total:g}{unit} within a minute; "
                    f"at most {limits.rate_per_minute:g}{unit}"
                )
        return None

    def _recent(self, path: str, now_s: float, within_s: float) -> deque[Sent]:
        held = self._sent.get(path)
        if held is None:
            return deque()
        while held and now_s - held[0].at_s >= within_s:
            held.popleft()
        if not held:
            del self._sent[path]
        return held
