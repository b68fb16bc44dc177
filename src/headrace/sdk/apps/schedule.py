"""When a job is due: at multiples of a duration, or at times of the wall clock on some days.

    Schedule.of(every="15min")                                      00:00, 00:15, … UTC
    Schedule.of(at="06:00,14:00,22:00", zone="Asia/Shanghai")       three times a day
    Schedule.of(at="07:00", days="mon-fri")                         on working days
    Schedule.of(at="08:00", days="1")                               on the first of each month

A time that a day does not have (a clock is put forward over it) is due at the moment when the clock has passed it; one
that a day has twice is due at the first. So each day has each of its times once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from headrace.model.errors import ConfigError, DataError
from headrace.model.notifications import DAYS
from headrace.model.time import SECOND_NS, parse_duration_ns

_AT: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DAY: Final = re.compile(r"([1-9]|[12]\d|3[01])")
_LOOK_DAYS: Final = 366 * 4 + 2  # the 29th of February


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every_ns` or `minutes` (of the day). `weekdays` count from 0, Monday; `month_days` from 1. A zone may be ''."""

    every_ns: int = 0
    minutes: tuple[int, ...] = ()
    weekdays: frozenset[int] = frozenset(range(7))
    month_days: frozenset[int] = frozenset()
    zone: str = ""

    @classmethod
    def of(cls, *, every: str = "", at: str = "", days: str = "", zone: str = "") -> Schedule:
        """Raises: ConfigError."""
        if bool(every) == bool(at):
            raise ConfigError("a job has either 'every', such as '15min', or 'at', such as '06:00,14:00'")
        if every:
            if days or zone:
                raise ConfigError("'days' and 'zone' go with 'at'; 'every' counts in UTC")
            return cls(every_ns=_every_ns(every))
        weekdays, month_days = _days(days)
        return cls(0, _minutes(at), weekdays, month_days, check_zone(zone) if zone else "")

    def after(self, time_ns: int, zone: str = "UTC") -> Iterator[int]:
        """Each time due after a moment, in order; `zone` counts where the schedule has none. Ends where no more are."""
        if self.every_ns:
            due = (time_ns // self.every_ns + 1) * self.every_ns
            while True:
                yield due
                due += self.every_ns
        where = ZoneInfo(self.zone or zone)
        day = datetime.fromtimestamp(time_ns // SECOND_NS, where).date() - timedelta(days=1)
        quiet = 0
        while quiet < _LOOK_DAYS:
            quiet += 1
            if self._on(day):
                for minute in self.minutes:
                    due = _moment_ns(day, minute, where)
                    if due > time_ns:
                        quiet = 0
                        yield due
            day += timedelta(days=1)

    def _on(self, day: date) -> bool:
        return day.weekday() in self.weekdays and (not self.month_days or day.day in self.month_days)


def check_zone(name: str) -> str:
    """Raises: ConfigError."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ConfigError(f"'{name[:60]}' is no time zone; write one such as 'Asia/Shanghai'") from None
    return name


def _moment_ns(day: date, minute: int, where: ZoneInfo) -> int:
    """The first moment at which the wall clock shows it, or has passed it."""
    shown = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=where)
    moment = shown.astimezone(UTC)
    if moment.astimezone(where).replace(tzinfo=None) != shown.replace(tzinfo=None):  # in the gap: its end is due
        before, after = shown.utcoffset(), shown.replace(fold=1).utcoffset()
        assert before is not None and after is not None
        late = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute) - before
        moment = _transition(late - abs(after - before), late, where)
    return int(moment.timestamp()) * SECOND_NS


def _transition(low: datetime, high: datetime, where: ZoneInfo) -> datetime:
    """The minute between two moments at which the clock was put forward."""
    early = low.astimezone(where).utcoffset()
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        middle = middle.replace(second=0, microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(where).utcoffset() == early:
            low = middle
        else:
            high = middle
    return high


def _every_ns(text: str) -> int:
    try:
        found = parse_duration_ns(text.replace("min", "m"))
    except DataError as error:
        raise ConfigError(error.message) from None
    if found < SECOND_NS:
        raise ConfigError(f"a job every '{text}' is too often; once a second is the most")
    return found


def _minutes(text: str) -> tuple[int, ...]:
    found = set()
    for part in text.split(","):
        matched = _AT.fullmatch(part.strip())
        if matched is None:
            raise ConfigError(f"'{part.strip()[:20]}' is no time of a day; write '06:00' or '06:00,14:00'")
        found.add(int(matched[1]) * 60 + int(matched[2]))
    return tuple(sorted(found))


def _days(text: str) -> tuple[frozenset[int], frozenset[int]]:
    week: set[int] = set()
    month: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        if first in DAYS and (last in DAYS if dash else True):
            begin, end = DAYS.index(first), DAYS.index(last or first)
            week.update(range(begin, end + 1) if begin <= end else [*range(begin, 7), *range(end + 1)])
        elif _DAY.fullmatch(part):
            month.add(int(part))
        else:
            raise ConfigError(f"'{part[:20]}' names no days; write 'mon-fri', 'sat,sun' or a day of the month")
    if week and month:
        raise ConfigError("days are those of the week or those of the month, not both")
    return frozenset(week or range(7)), frozenset(month)
