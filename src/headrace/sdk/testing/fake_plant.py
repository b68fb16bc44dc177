"""A plant that a test makes up: assets, points, samples that come when their time comes, alarms, and what was written.

    plant = FakePlant()
    plant.point("acme/line-1/press-3/state", ValueKind.TEXT)
    plant.feed("acme/line-1/press-3/state", {"2026-11-26T06:00:00Z": "run", "2026-11-26T06:40:00Z": "stop"})
    plant.feed("acme/line-1/press-3/pieces", every("10s", "2026-11-26T06:00:00Z", range(240)))
    plant.feed(path, {"2026-11-26T06:10:00Z": "stop"}, late="20min")        it comes 20 minutes after its time

Nothing comes by itself: `AppUnderTest.run_until` moves time on.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.model import quality as q
from headrace.model.alarms import AlarmTransition
from headrace.model.assets import Asset, Level
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.events import Event
from headrace.model.points import Access, Point, Range, Title, check_path
from headrace.model.time import SECOND_NS, parse_duration_ns, parse_time_ns
from headrace.sdk.apps.context import Samples
from headrace.sdk.services import AlarmRecord

Times = Mapping[str, Value] | Iterable[tuple[int | str, Value]]


@dataclass(frozen=True, slots=True)
class Held:
    """One sample."""

    time_ns: int
    value: Value
    quality: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class Written:
    """A setpoint that an app wrote."""

    path: str
    value: Value
    reason: str
    time_ns: int


def every(step: str, start: str, values: Iterable[Value]) -> list[tuple[int | str, Value]]:
    """Values one step after the other, for `feed`."""
    first, width = parse_time_ns(start), parse_duration_ns(step.replace("min", "m"))
    return [(first + at * width, value) for at, value in enumerate(values)]


class FakePlant:
    """`paths` gives each point its number, as a store does. `refuse` is why a write of a path is refused, by path."""

    def __init__(self) -> None:
        self.assets: dict[str, Asset] = {}
        self.points: dict[str, Point] = {}
        self.history: dict[str, dict[int, Held]] = {}  # by path and source time: the newest write wins
        self.alarms: list[AlarmRecord] = []
        self.transitions: list[AlarmTransition] = []
        self.written: list[Written] = []
        self.refuse: dict[str, str] = {}
        self.revision = 1
        self._coming: list[tuple[int, int, str, Held]] = []
        self._events: list[tuple[int, int, Event]] = []
        self._order = itertools.count()

    def asset(self, path: str, *, title: Title | None = None, level: Level = Level.EQUIPMENT, **more: Any) -> Asset:
        """It and, where they are not there yet, those above it."""
        path = check_path(path)
        parent = path.rpartition("/")[0]
        if parent and parent not in self.assets:
            self.asset(parent, level=Level.AREA)
        self.assets[path] = made = Asset(path, level, title or {}, **more)
        self.revision += 1
        return made

    def point(
        self, path: str, kind: ValueKind = ValueKind.FLOAT64, unit: str = "1", *, writable: bool = False,
        range: Range | None = None, title: Title | None = None,
    ) -> Point:  # fmt: skip
        """It and its asset."""
        access = Access.READ_WRITE if writable else Access.READ
        made = Point(check_path(path), kind, unit, range, access, title or {})
        if made.asset_path not in self.assets:
            self.asset(made.asset_path)
        self.points[made.path] = made
        self.history.setdefault(made.path, {})
        self.revision += 1
        return made

    def feed(self, path: str, samples: Times, *, quality: int = q.GOOD, late: str = "0s") -> None:
        """Samples of a point by their source times; each comes at that time, or so much later. Raises: KeyError for a
        point that was not declared; TypeError for a value that is not of its kind."""
        kind = self.points[path].kind
        behind = parse_duration_ns(late.replace("min", "m"))
        rows: Iterable[tuple[int | str, Value]] = samples.items() if isinstance(samples, Mapping) else samples
        for time, value in rows:
            time_ns = parse_time_ns(time) if isinstance(time, str) else int(time)
            if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind is not ValueKind.BOOL):
                raise TypeError(f"{path} is {kind.label}; {value!r} is not")
            held = Held(time_ns, value, quality, time_ns + behind)
            heapq.heappush(self._coming, (held.received_ns, next(self._order), path, held))

    def tell(self, type: str, subject: str, time: str, **data: Any) -> None:
        """An event that happens at a time."""
        time_ns, number = parse_time_ns(time), next(self._order)
        event = Event(f"fake-{number}", "test", type, subject, time_ns, data)
        heapq.heappush(self._events, (time_ns, number, event))

    # --- what the time machine takes ---------------------------------------------------------------------------------

    def next_ns(self) -> int | None:
        """When something comes next."""
        heads = [queue[0][0] for queue in (self._coming, self._events) if queue]
        return min(heads, default=None)

    def take(self, until_ns: int) -> tuple[Samples, list[Event]]:
        """What comes up to and including a moment; it is in history from then on."""
        arrived: list[tuple[str, Held]] = []
        while self._coming and self._coming[0][0] <= until_ns:
            _, _, path, held = heapq.heappop(self._coming)
            self.history[path][held.time_ns] = held
            arrived.append((path, held))
        events: list[Event] = []
        while self._events and self._events[0][0] <= until_ns:
            events.append(heapq.heappop(self._events)[2])
        return self.samples(arrived), events

    def samples(self, rows: Sequence[tuple[str, Held]]) -> Samples:
        """Batches, one a kind, in the order of rows."""
        numbers = {path: number for number, path in enumerate(sorted({path for path, _ in rows}))}
        batches = []
        for kind in ValueKind:
            mine = [(path, held) for path, held in rows if self.points[path].kind is kind]
            if mine:
                batches.append(
                    Batch.of(
                        kind,
                        np.array([numbers[path] for path, _ in mine], np.uint32),
                        np.array([held.time_ns for _, held in mine], np.int64),
                        np.array([held.value for _, held in mine], kind.dtype),
                        np.array([held.quality for _, held in mine], np.uint32),
                        np.array([held.received_ns for _, held in mine], np.int64),
                    )
                )
        return Samples(batches, {number: path for path, number in numbers.items()})

    def rows(self, path: str, start_ns: int, end_ns: int) -> list[tuple[str, Held]]:
        """Of one point in [start, end), by source time."""
        held = self.history.get(path, {})
        return [(path, held[time_ns]) for time_ns in sorted(held) if start_ns <= time_ns < end_ns]

    def latest(self, path: str, at_ns: int) -> list[tuple[str, Held]]:
        times = [time_ns for time_ns in self.history.get(path, {}) if time_ns <= at_ns]
        return [(path, self.history[path][max(times)])] if times else []

    def write(self, path: str, value: Value, reason: str, time_ns: int) -> str:
        """Why it was refused, or '': then the value is read back a second later."""
        if path in self.refuse:
            return self.refuse[path]
        self.written.append(Written(path, value, reason, time_ns))
        self.feed(path, [(time_ns + SECOND_NS, value)])
        return ""


_TYPES: Final[dict[ValueKind, type | tuple[type, ...]]] = {
    ValueKind.FLOAT64: (float, int), ValueKind.INT64: int, ValueKind.BOOL: bool, ValueKind.TEXT: str,
}  # fmt: skip

__all__ = ["FakePlant", "Held", "Written", "every"]
