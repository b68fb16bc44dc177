"""The read planner: which round trip is due now, on a monotonic clock. Nothing here does I/O or reads a clock.

    points ──by interval──► Polled.plan ──► ReadRequests, each with a period and an offset
                                                  │
               waiting (by release time) ──due──► ready (by deadline) ──► take(now) ──► the session reads

Earliest deadline first over one session: a request is released every period and should be made before its next
release. A session that cannot keep up skips whole periods, counts them as overruns and never bursts to catch up;
what is most overdue goes first, so nothing starves.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.model.time import SECOND_NS
from headrace.sdk.driver import PointBinding, Polled, ReadRequest

PERIOD_S_MIN: Final = 0.001
#: First reads are spread over one period, but nobody waits longer than this for a first value.
SPREAD_S_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class TimedRequest:
    """A round trip and how often it is made; `offset_s` is its place after the start of the session."""

    request: ReadRequest
    period_s: float
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DueRead:
    """`overruns` counts the periods that were skipped since this request was last taken."""

    request: ReadRequest
    overruns: int


def plan_reads(driver: Polled, points: Sequence[PointBinding]) -> list[TimedRequest]:
    """Group points by interval, let the driver cut each group into round trips, and spread them evenly."""
    groups: dict[int, list[PointBinding]] = defaultdict(list)
    for point in points:
        groups[point.interval_ns].append(point)
    timed: list[TimedRequest] = []
    for interval_ns, group in sorted(groups.items()):
        period_s = max(interval_ns / SECOND_NS, PERIOD_S_MIN)
        requests = driver.plan(group)
        step_s = min(period_s, SPREAD_S_MAX) / max(len(requests), 1)
        timed += [TimedRequest(request, period_s, index * step_s) for index, request in enumerate(requests)]
    return timed


class Schedule:
    """The state of one session's requests; all times are seconds of one monotonic clock."""

    def __init__(self, requests: Sequence[TimedRequest], start_s: float) -> None:
        self._requests = requests
        self._release_s = [start_s + timed.offset_s for timed in requests]
        self._waiting = [(release_s, index) for index, release_s in enumerate(self._release_s)]
        self._ready: list[tuple[float, int]] = []
        heapq.heapify(self._waiting)

    def take(self, now_s: float) -> DueRead | None:
        """The released request with the earliest deadline, and schedule its next release; None if none is due."""
        while self._waiting and self._waiting[0][0] <= now_s:
            release_s, index = heapq.heappop(self._waiting)
            heapq.heappush(self._ready, (release_s + self._requests[index].period_s, index))
        if not self._ready:
            return None
        _, index = heapq.heappop(self._ready)
        timed = self._requests[index]
        skipped = max(int((now_s - self._release_s[index]) / timed.period_s), 0)
        self._release_s[index] += (skipped + 1) * timed.period_s
        heapq.heappush(self._waiting, (self._release_s[index], index))
        return DueRead(timed.request, skipped)

    def next_s(self) -> float | None:
        """When something will be due (possibly in the past); None for a session without reads."""
        if self._ready:
            return self._ready[0][0] - self._requests[self._ready[0][1]].period_s
        return self._waiting[0][0] if self._waiting else None
