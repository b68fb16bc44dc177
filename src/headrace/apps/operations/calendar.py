"""When a unit is meant to work: shifts and planned stops by rules in a time zone, holidays, closures.

    rules on local clocks ─► each day's spans in UTC ─► Timetable: stretches without gaps (start, shift, status)

A rule speaks of the clock on the wall, so a night shift that changes to summer time has an hour less, and one that
changes back an hour more. A wall time that the change skips means as much later; one that happens twice, the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import ConfigError
from headrace.model.time import DAY_NS, SECOND_NS

EVERY_DAY: Final = frozenset(range(7))
NO_SHIFT: Final = -1
_RULES_MAX: Final = 64
_STEP_DAYS: Final = 64
_DAYS_MAX: Final = 200_000
_EVER_NS: Final = -(1 << 62)


class Status(IntEnum):
    OFF = 0
    STOP = 1
    BUSY = 2


@dataclass(frozen=True, slots=True)
class Shift:
    """From `start` to `end` by the clock on the wall; an `end` that is not after `start` is on the next day.

    On `days` of the week (0 is Monday) of the day on which it starts. A rotation says `cycle_days` with `cycle_first`,
    the day with which it began, and `cycle_on`, which days of it (from 0) are worked; `days` then count as well.
    """

    name: str
    start: time
    end: time
    days: frozenset[int] = EVERY_DAY
    first: date = date.min
    last: date = date.max
    cycle_days: int = 0
    cycle_first: date = date.min
    cycle_on: frozenset[int] = frozenset()

    def on(self, day: date) -> bool:
        """Whether a shift starts that day by this rule."""
        if not (self.first <= day <= self.last) or day.weekday() not in self.days:
            return False
        return not self.cycle_days or (day - self.cycle_first).days % self.cycle_days in self.cycle_on


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A break, each day of `days` by the clock on the wall; it counts where it lies within a shift."""

    name: str
    start: time
    end: time
    days: frozenset[int] = EVERY_DAY


@dataclass(frozen=True, slots=True)
class Closure:
    """Once: planned maintenance, a stocktaking. Raises: ConfigError where it ends before it begins."""

    name: str
    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise ConfigError(f"'{self.name}', planned once, ends before it begins")


@dataclass(frozen=True)
class Calendar:
    """Rules in order; a shift's number is its place, so new ones go to the end. No shifts: round the clock.

    Raises: ConfigError for too many rules or unknown zones; shifts that overlap are found by `check`.
    """

    zone: str = "UTC"
    shifts: tuple[Shift, ...] = ()
    stops: tuple[PlannedStop, ...] = ()
    closures: tuple[Closure, ...] = ()
    holidays: frozenset[date] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if len(self.shifts) > _RULES_MAX - 1:
            raise ConfigError(f"a calendar has at most {_RULES_MAX - 1} shifts, this one {len(self.shifts)}")
        try:
            ZoneInfo(self.zone)
        except (KeyError, OSError, ValueError):
            raise ConfigError(f"'{self.zone}' is no time zone; use a name such as Asia/Shanghai") from None

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def day_of(self, at_ns: int) -> date:
        """The date on the wall."""
        return datetime.fromtimestamp(at_ns // SECOND_NS, self._zone).date()

    def wall_ns(self, day: date, clock: time) -> int:
        """A time on the wall, UTC."""
        return round(datetime.combine(day, clock, self._zone).astimezone(UTC).timestamp()) * SECOND_NS

    def spans(self, day: date) -> Iterator[tuple[int, int, int]]:
        """Shifts that start that day: start and end (UTC) and number."""
        if not self.shifts:
            yield self.wall_ns(day, time()), self.wall_ns(day + timedelta(1), time()), _number(day, 0)
        elif day not in self.holidays:
            for at, shift in enumerate(self.shifts):
                if shift.on(day):
                    start_ns, end_ns = _span(self, day, shift.start, shift.end)
                    if end_ns > start_ns:
                        yield start_ns, end_ns, _number(day, at)

    def breaks(self, day: date) -> Iterator[tuple[int, int]]:
        """Planned stops that start that day, UTC."""
        for stop in self.stops:
            if day.weekday() in stop.days:
                yield _span(self, day, stop.start, stop.end)

    def shift_of(self, number: int) -> tuple[date, str]:
        """The day on which a shift starts, and its name. Raises: ConfigError where its rule is gone."""
        day, at = divmod(number, _RULES_MAX)
        if not self.shifts:
            return date.fromordinal(day), ""
        if number < 0 or at >= len(self.shifts):
            raise ConfigError(f"shift {number} is of a rule that the calendar no longer has; append rules at the end")
        return date.fromordinal(day), self.shifts[at].name

    def shift_span(self, number: int) -> tuple[int, int]:
        """Start and end of a shift, UTC. Raises: ConfigError where there is none of that number."""
        for start_ns, end_ns, found in self.spans(date.fromordinal(max(number, _RULES_MAX) // _RULES_MAX)):
            if found == number:
                return start_ns, end_ns
        raise ConfigError(f"the calendar has no shift {number}: its rule, day or holiday has changed")

    def check(self, first: date, days: int = 400) -> None:
        """Raises: ConfigError naming two shifts that overlap."""
        spans = sorted(span for ahead in range(days) for span in self.spans(first + timedelta(ahead)))
        for (_, end_ns, one), (start_ns, _, other) in pairwise(spans):
            if start_ns < end_ns:
                (_, left), (day, right) = self.shift_of(one), self.shift_of(other)
                raise ConfigError(f"shifts '{left}' and '{right}' overlap on {day}; change one's times or days")


class Stretches:
    """Parts of time in order, each until the next. Shape: (parts,) each; the first starts at or before what was
    asked. `shift`: a number or NO_SHIFT. `status`: see `Status`.
    """

    __slots__ = ("shift", "start_ns", "status")

    def __init__(self, start_ns: NDArray[np.int64], shift: NDArray[np.int32], status: NDArray[np.int8]) -> None:
        self.start_ns, self.shift, self.status = start_ns, shift, status


class Timetable:
    """A calendar worked out, as far as anybody has asked."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._first_ns = self._last_ns = 0
        self._parts = Stretches(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8))

    def between(self, start_ns: int, end_ns: int) -> Stretches:
        """The stretches of [start, end). Raises: ConfigError where shifts overlap or it is longer than centuries."""
        if not (self._first_ns <= start_ns and end_ns <= self._last_ns):
            self._extend(start_ns, end_ns)
        parts = self._parts
        first = int(np.searchsorted(parts.start_ns, start_ns, "right")) - 1
        last = int(np.searchsorted(parts.start_ns, end_ns, "left"))
        at = slice(max(first, 0), last)
        return Stretches(parts.start_ns[at], parts.shift[at], parts.status[at])

    def _extend(self, start_ns: int, end_ns: int) -> None:
        known = self._last_ns > self._first_ns
        first_ns = min(start_ns, self._first_ns) if known else start_ns
        last_ns = max(end_ns, self._last_ns) if known else end_ns
        first = self.calendar.day_of(first_ns - _STEP_DAYS * DAY_NS)
        last = self.calendar.day_of(last_ns + _STEP_DAYS * DAY_NS)
        if (last - first).days > _DAYS_MAX:
            raise ConfigError(f"a calendar is worked out over at most {_DAYS_MAX} days; ask for a shorter span")
        self._parts = _worked_out(self.calendar, first, last)
        self._first_ns, self._last_ns = first_ns - (_STEP_DAYS - 2) * DAY_NS, last_ns + (_STEP_DAYS - 2) * DAY_NS


def _worked_out(calendar: Calendar, first: date, last: date) -> Stretches:
    days = [first + timedelta(ahead) for ahead in range((last - first).days + 1)]
    calendar.check(first, len(days))
    shifts = np.array(sorted(span for day in days for span in calendar.spans(day)), np.int64).reshape(-1, 3)
    breaks = [span for day in days for span in calendar.breaks(day)]
    breaks += [(one.start_ns, one.end_ns) for one in calendar.closures]
    stops = np.array(sorted(breaks), np.int64).reshape(-1, 2)
    edges = np.unique(np.concatenate([[_EVER_NS], shifts[:, 0], shifts[:, 1], stops[:, 0], stops[:, 1]]))
    at = np.searchsorted(shifts[:, 0], edges, "right") - 1
    inside = (at >= 0) & (edges < shifts[at, 1]) if len(shifts) else np.zeros(len(edges), np.bool_)
    number = shifts[at, 2] if len(shifts) else np.zeros(len(edges), np.int64)
    begun = np.searchsorted(stops[:, 0], edges, "right")
    ended = np.searchsorted(np.sort(stops[:, 1]), edges, "right")
    status = np.where(inside, np.where(begun > ended, Status.STOP, Status.BUSY), Status.OFF).astype(np.int8)
    return Stretches(edges, np.where(inside, number, NO_SHIFT).astype(np.int32), status)


def _number(day: date, at: int) -> int:
    return day.toordinal() * _RULES_MAX + at


def _span(calendar: Calendar, day: date, start: time, end: time) -> tuple[int, int]:
    last = day if end > start else day + timedelta(1)
    return calendar.wall_ns(day, start), calendar.wall_ns(last, end)
