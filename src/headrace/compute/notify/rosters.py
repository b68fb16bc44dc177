"""Who is on call, and whose hours are quiet. Pure, and asked of the wall clock of a time zone.

    instant ─► wall clock of the zone ─► which shift began today or yesterday and has not ended ─► week ─► people

Where clocks are set back, the hour that comes twice belongs twice to whom the wall clock says; the hour that is left
out in spring is nobody's, for it never is. A shift over midnight belongs to the day and the week in which it begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from headrace.model.notifications import Contact, Hours, Quiet, Roster, Shift
from headrace.model.time import SECOND_NS

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OnCall:
    """A shift that goes on, by the day on which it began, and its people; none where nobody is."""

    shift: str
    began: date
    people: tuple[str, ...]


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Raises: ValueError for none."""
    try:
        return ZoneInfo(name)
    except (OSError, KeyError) as error:
        raise ValueError(f"'{name[:60]}' is no time zone, such as Asia/Shanghai or UTC") from error


def wall_clock(time_ns: int, time_zone: str) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).astimezone(zone(time_zone))


def on_call(roster: Roster, time_ns: int) -> Sequence[OnCall]:
    """Every shift that goes on, in the order of declaration."""
    local = wall_clock(time_ns, roster.time_zone)
    return [
        OnCall(shift.name, began, _people(roster, shift, began))
        for shift in roster.shifts
        for began in _began(shift.hours, local)
    ]


def people_on_call(roster: Roster, time_ns: int) -> tuple[str, ...]:
    """Each once."""
    return tuple(dict.fromkeys(one for shift in on_call(roster, time_ns) for one in shift.people))


def covers(hours: Hours, local: datetime) -> bool:
    return any(True for _ in _began(hours, local))


def is_quiet(quiet: Quiet, time_zone: str, time_ns: int) -> bool:
    if not quiet.hours:
        return False
    local = wall_clock(time_ns, time_zone)
    return any(covers(hours, local) for hours in quiet.hours)


def sleeps(contact: Contact, time_ns: int) -> bool:
    return is_quiet(contact.quiet, contact.time_zone, time_ns)


def _began(hours: Hours, local: datetime) -> Iterator[date]:
    """The days on which stretches began that cover a moment: yesterday's first."""
    today, minute = local.date(), local.hour * 60 + local.minute
    over_midnight = hours.end <= hours.start
    yesterday = today - _DAY
    if over_midnight and minute < hours.end and yesterday.weekday() in hours.days:
        yield yesterday
    if today.weekday() in hours.days and hours.start <= minute and (over_midnight or minute < hours.end):
        yield today


def _people(roster: Roster, shift: Shift, began: date) -> tuple[str, ...]:
    for override in reversed(roster.overrides):
        if override.first <= began <= override.last and override.shift in ("", shift.name):
            return override.people
    if not shift.weeks:
        return ()
    return shift.weeks[(_monday(began) - _monday(roster.rotation_from)).days // 7 % len(shift.weeks)]


def _monday(day: date) -> date:
    return day - day.weekday() * _DAY
