"""What can be declared of who is told of alarms: ways to people, the people, who is on call, what is told to whom."""

from __future__ import annotations

import re
from typing import Any, Final
from zoneinfo import ZoneInfo

from headrace.model.alarms import Priority
from headrace.model.errors import DataError
from headrace.model.notifications import DAYS, LANGUAGES
from headrace.model.points import check_path
from headrace.model.time import DAY_NS, MINUTE_NS
from headrace.registry.readers import (
    BAD,
    Choice,
    Context,
    Duration,
    Key,
    ListOf,
    MapOf,
    Record,
    Whole,
    date,
    flag,
    free_map,
    text,
    title,
)
from headrace.registry.text import Node, describe

_HOUR = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")
PEOPLE_MAX: Final = 50


def check_shift(name: str) -> str:
    """Raises: DataError."""
    if "/" in name:
        raise DataError(f"'{name}' must be the name of a shift, without '/'")
    return check_path(name)


def check_kind(name: str) -> str:
    """Of an address: what a kind of channel asks for, such as email. Raises: DataError."""
    if not _KIND.fullmatch(name):
        raise DataError(f"'{name[:40]}' is no kind of address; write one such as email or mobile")
    return name


def hour(node: Node, name: str, context: Context) -> Any:
    """A time of the wall clock, from 00:00 to 24:00."""
    value = text(node, name, context)
    if value is not BAD and not _HOUR.fullmatch(value):
        return context.bad(node, f"'{name}' must be a time of the day such as 06:30, not {describe(node)}")
    return value


def time_zone(node: Node, name: str, context: Context) -> Any:
    """A name of the IANA time zone database."""
    value = text(node, name, context)
    if value is BAD:
        return BAD
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        return context.bad(node, f"'{name}' must be a time zone such as Asia/Shanghai or UTC, not {describe(node)}")
    return value


_TITLE: Final = Key("title", title, "display text by language")
_PEOPLE: Final = ListOf("people", text, PEOPLE_MAX)
_DAYS: Final = Key("days", ListOf("days", Choice(DAYS), 7), "from mon to sun; every day unless given")
_BREAKS: Final = Key("breaks_through", Choice(tuple(Priority)), "the lowest priority told all the same; critical")

HOURS: Final = Record(
    "a stretch of hours",
    (
        Key("from", hour, "when it begins, such as 22:00", required=True),
        Key("to", hour, "when it ends; on the next day where that is not later", required=True),
        _DAYS,
    ),
)

QUIET: Final = Record(
    "a map of quiet hours",
    (Key("hours", ListOf("stretches", HOURS, 50), "when nobody is told", required=True), _BREAKS),
)

CHANNEL: Final = Record(
    "a channel",
    (
        Key("kind", text, "how people are told, such as email", required=True),
        Key("settings", free_map, "in the words of its kind; secrets by reference"),
        _TITLE,
        Key("enabled", flag, "true unless given"),
        Key("per_minute", Whole(1, 1_000), "how many messages go out in a minute at most; 30 unless given"),
    ),
)

CONTACT: Final = Record(
    "a contact",
    (
        Key("name", text, "what the person is called", required=True),
        Key("language", Choice(LANGUAGES), "of what they are told; en unless given"),
        Key("addresses", MapOf("addresses", check_kind, text), "where they are reached, by kind, such as email"),
        Key("time_zone", time_zone, "of their quiet hours; UTC unless given"),
        Key("quiet", QUIET, "when this person is not told"),
        Key("user", text, "their account at the console"),
    ),
)

SHIFT: Final = Record(
    "a shift",
    (
        Key("from", hour, "when it begins, such as 06:00", required=True),
        Key("to", hour, "when it ends; on the next day where that is not later", required=True),
        _DAYS,
        Key("people", _PEOPLE, "who is on call, every week"),
        Key("weeks", ListOf("weeks", _PEOPLE, 53), "instead: who is on call in one week after the other"),
    ),
)

OVERRIDE: Final = Record(
    "an override",
    (
        Key("from", date, "the first day, such as 2027-02-15", required=True),
        Key("until", date, "the last day", required=True),
        Key("shift", text, "only this shift; all unless given"),
        Key("people", _PEOPLE, "who is on call instead; nobody unless given"),
    ),
)

ROSTER: Final = Record(
    "a roster",
    (
        _TITLE,
        Key("time_zone", time_zone, "of its hours and days, such as Asia/Shanghai", required=True),
        Key("shifts", MapOf("shifts", check_shift, SHIFT), "by name", required=True),
        Key("rotation_from", date, "a day of the first week of 'weeks'; 2024-01-01 unless given"),
        Key("overrides", ListOf("overrides", OVERRIDE, 1_000), "holidays and who stands in; the last that fits counts"),
    ),
)

ALARMS: Final = Record(
    "a choice of alarms",
    (
        Key("paths", ListOf("paths", text, 1_000), "assets and points with all below, or globs with * and **"),
        Key("priorities", ListOf("priorities", Choice(tuple(Priority)), 4), "all unless given"),
        Key("classes", ListOf("alarm classes", text, 100), "all unless given"),
    ),
)

STEP: Final = Record(
    "a step",
    (
        Key("after", Duration(0, 7 * DAY_NS), "how long nobody has acknowledged, from the first telling; 0s"),
        Key("rosters", ListOf("rosters", text, 20), "whoever is on call"),
        Key("contacts", _PEOPLE, "people, whoever is on call"),
        Key("channels", ListOf("channels", text, 10), "alternatives: the next where one fails", required=True),
    ),
)

DIGEST: Final = Record(
    "a digest",
    (
        Key("window", Duration(MINUTE_NS, DAY_NS), "how long alarms are gathered into one message", required=True),
        Key("up_to", Choice(tuple(Priority)), "the highest priority that is gathered; medium unless given"),
    ),
)

NOTIFICATION: Final = Record(
    "a notification",
    (
        _TITLE,
        Key("enabled", flag, "true unless given"),
        Key("time_zone", time_zone, "of the times that are told, and of its quiet hours", required=True),
        Key("alarms", ALARMS, "which alarms; all unless given"),
        Key("steps", ListOf("steps", STEP, 20), "who is told first, and who then", required=True),
        Key("repeat", Duration(MINUTE_NS, 7 * DAY_NS), "how long after the last step it is told again; never"),
        Key("repeats", Whole(1, 50), "how often it is told again; 3 unless given"),
        Key("quiet", QUIET, "hours in which it waits"),
        Key("digest", DIGEST, "several in one message"),
        Key("flood", Choice(("one", "each")), "in a flood of alarms: one message, or each alarm; one unless given"),
        Key("tell", ListOf("ends", Choice(("acknowledged", "cleared")), 2), "what else is told to those who were told"),
    ),
)
