"""Who is told of alarms, as declared: channels, people, who is on call when, and what is told to whom.

    Notification ──steps──► Roster ──shift, week──► Contact ──address of a kind──► Channel

Days begin at midnight of a time zone's wall clock, and so do weeks, on Monday.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from headrace.model.alarms import AlarmRule, Priority
from headrace.model.places import lies_at
from headrace.model.points import Title

#: From the first of the week on, as they are written.
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LANGUAGES: Final = ("en", "zh")
DAY_MINUTES: Final = 24 * 60
_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}


def as_urgent(priority: Priority, least: Priority) -> bool:
    """Whether a priority is `least` or a higher one."""
    return _RANK[priority] <= _RANK[least]


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to people. `settings` are its kind's own; at most `per_minute` messages go out in a minute."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: Title = field(default_factory=dict)
    enabled: bool = True
    per_minute: int = 30


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of the wall clock on some days: minutes of the day in [start, end).

    Where the end is not after the start it lies on the next day, and `days` are those of the start.
    """

    start: int = 0
    end: int = 0
    days: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Quiet:
    """When nobody is told, but of alarms as urgent as `breaks_through`."""

    hours: tuple[Hours, ...] = ()
    breaks_through: Priority = Priority.CRITICAL


@dataclass(frozen=True, slots=True)
class Contact:
    """A person. `addresses` by the kinds that channels ask for; `user` is their account at the console, or ''."""

    name: str
    called: str
    language: str = "en"
    addresses: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    quiet: Quiet = Quiet()
    user: str = ""


@dataclass(frozen=True, slots=True)
class Shift:
    """`weeks` are the people of one week after the other, and then again from the first."""

    name: str
    hours: Hours
    weeks: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Override:
    """Who is on call instead from one day to another, both included; nobody, where `people` is empty.

    It counts for shifts that begin on these days: for all of them, or the one named.
    """

    first: date
    last: date
    people: tuple[str, ...] = ()
    shift: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is on call when. `rotation_from` lies in the first week of each shift; the last override that fits counts."""

    name: str
    time_zone: str
    shifts: tuple[Shift, ...]
    overrides: tuple[Override, ...] = ()
    rotation_from: date = date(2024, 1, 1)
    title: Title = field(default_factory=dict)

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who ever is."""
        named = [one for shift in self.shifts for week in shift.weeks for one in week]
        named += [one for override in self.overrides for one in override.people]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Step:
    """`after_ns` counts from the first telling. `channels` are alternatives: the first that gets through is enough."""

    after_ns: int
    rosters: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which alarms: in one of these places, of these priorities and classes. What is empty excludes nothing.

    A place is the path of an asset or point with all below it, or a glob: `*` within a segment, `**` over segments.
    """

    paths: tuple[str, ...] = ()
    priorities: frozenset[Priority] = frozenset()
    classes: frozenset[str] = frozenset()

    def takes(self, rule: AlarmRule) -> bool:
        if self.priorities and rule.priority not in self.priorities:
            return False
        if self.classes and rule.handling.name not in self.classes:
            return False
        return not self.paths or any(lies_at(rule.point, path) for path in self.paths)


@dataclass(frozen=True, slots=True)
class Notification:
    """What is told to whom. `repeat_ns` after the last step it is told again, `repeats` times; 0 for never.

    Alarms of at most the urgency `digest_up_to` are gathered for `digest_ns`. In a flood `flood_as_one` makes one
    message of all.
    """

    name: str
    time_zone: str
    alarms: Choice
    steps: tuple[Step, ...]
    title: Title = field(default_factory=dict)
    enabled: bool = True
    repeat_ns: int = 0
    repeats: int = 3
    quiet: Quiet = Quiet()
    digest_ns: int = 0
    digest_up_to: Priority = Priority.MEDIUM
    flood_as_one: bool = True
    tell_acknowledged: bool = False
    tell_cleared: bool = False
