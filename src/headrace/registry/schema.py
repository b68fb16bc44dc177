"""What can be declared: one table for each kind of object. The reference page and the error messages come from here.

    file ─┬─ retention:    name          → RETENTION   how long a class of points is kept
          ├─ types:        name          → TYPE        a template: points and alarms that its assets carry
          ├─ connections:  name          → CONNECTION  one session with one device
          ├─ alarm_classes: name         → ALARM_CLASS how alarms of one kind are handled
          ├─ assets:       path          → ASSET       a node of the equipment hierarchy
          ├─ points:       path          → POINT       one time series, or an override of a type's point
          ├─ alarms:       path:rule     → ALARM       a condition on a point, or an override of a type's alarm
          ├─ ingest:       name          → INGEST      which points the series are that others send
          ├─ outlets:      name          → OUTLET      who is told of samples and events
          └─ channels, contacts, rosters, notifications: who is told of alarms, in notify_schema.py

Readers normalise (durations, whole numbers written as floats, Unicode) and keep what was left out left out, so that
`export` gives back what somebody wrote.
"""

from __future__ import annotations

import re
from typing import Final

from headrace.model.alarms import AlarmCondition, Priority
from headrace.model.assets import Level
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.guards import Comparison
from headrace.model.machines import TRANSITIONS_MAX
from headrace.model.outlets import Waiting
from headrace.model.points import Access, check_path
from headrace.model.retention import YEAR_NS, format_age, parse_age_ns
from headrace.model.time import DAY_NS, HOUR_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS
from headrace.registry.notify_schema import CHANNEL, CONTACT, NOTIFICATION, ROSTER
from headrace.registry.readers import (
    BAD,
    Choice,
    Context,
    Duration,
    Key,
    ListOf,
    MapOf,
    Number,
    Record,
    Whole,
    date,
    flag,
    free_map,
    pair,
    scalar,
    text,
    title,
)
from headrace.registry.text import Node, Scalar, describe
from headrace.sdk.edges import check_edge_name

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
STATE_LENGTH_MAX: Final = 64


def check_name(name: str) -> str:
    """A name of a type, connection or point of a type: one segment of a path. Raises: DataError."""
    if "/" in name:
        raise DataError(f"'{name}' must be a name, not a path: it has a '/'")
    return check_path(name)


def check_rule(name: str) -> str:
    """`<point>:<rule>`, both normalised. Raises: DataError."""
    point, colon, rule = name.rpartition(":")
    if not colon or not point or not rule:
        raise DataError(f"'{name}' must name a point and a rule, such as oil.temperature:hot")
    return f"{check_path(point)}:{check_name(rule)}"


def check_parameter(name: str) -> str:
    """A parameter stands in braces in templates, so its name is plain. Raises: DataError."""
    if not _PARAMETER.fullmatch(name):
        raise DataError(f"'{name}' is no parameter name: a letter, then letters, digits or '_'")
    return name


def check_free(name: str) -> str:
    """An attribute's name: any short text. Raises: DataError."""
    if not name or len(name) > 128:
        raise DataError(f"an attribute's name has 1 to 128 characters; this has {len(name)}")
    return name


def age(node: Node, name: str, context: Context) -> object:
    """How long something is kept: `90d`, `5y` or `forever`."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return context.bad(node, f"'{name}' must be an age such as 90d, 5y or forever, not {describe(node)}")
    try:
        age_ns = parse_age_ns(node.text)
    except DataError:
        return context.bad(node, f"'{name}' must be an age such as 90d, 5y or forever, not '{node.text[:40]}'")
    if age_ns is not None and not HOUR_NS <= age_ns <= 100 * YEAR_NS:
        return context.bad(node, f"'{name}' must be 1h to 100y, or forever, not {node.text[:40]}")
    return format_age(age_ns)


def give_up(node: Node, name: str, context: Context) -> object:
    """A place in an order, or `never`."""
    if isinstance(node, Scalar) and node.text == NEVER:
        return NEVER
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return context.bad(node, f"'{name}' must be a whole number from 1, or never, not {describe(node)}")
    return Whole(1, 99)(node, name, context)


def edge(node: Node, name: str, context: Context) -> object:
    """The name of an edge, whether it has enrolled yet or not."""
    value = text(node, name, context)
    try:
        return check_edge_name(value) if isinstance(value, str) else value
    except DataError as error:
        return context.bad(node, error.message)


def state(node: Node, name: str, context: Context) -> object:
    """The name of a state of a machine: any short text."""
    value = text(node, name, context)
    if isinstance(value, str) and not 0 < len(value.strip()) <= STATE_LENGTH_MAX:
        return context.bad(node, f"'{name}' is the name of a state: 1 to {STATE_LENGTH_MAX} characters")
    return value


def expression(node: Node, name: str, context: Context) -> object:
    """A text of the language of expressions, whatever it looks like; what it says is checked where names are known."""
    value: object = text(node, name, context)
    return value if value is BAD or str(value).strip() else context.bad(node, f"'{name}' is empty")


def limit(node: Node, name: str, context: Context) -> object:
    """A number, `true` or `false`, or a duration: the condition decides which, in `expand`."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return Duration(low_ns=MILLISECOND_NS)(node, name, context)
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    return Number()(node, name, context)


TITLE: Final = Key("title", title, "display text by language")

NEVER: Final = "never"

RETENTION: Final = Record(
    "a retention class",
    (
        Key("raw", age, "how long samples are kept; forever unless given"),
        Key("rollups", age, "how long their minutes are kept; forever unless given, and not shorter than raw"),
        Key("summaries", age, "how long their hours are kept; forever unless given, and not shorter than rollups"),
        Key("give_up", give_up, "when the disk runs full, class 1 loses its oldest samples first; never unless given"),
    ),
)

LIMITS: Final = Record(
    "a limits map",
    (
        Key("step", Number(0), "greatest step of one write, in the unit, from what the device holds"),
        Key("rate", Number(0), "greatest sum of steps within a minute, in the unit"),
        Key("interval", Duration(SECOND_NS // 2, DAY_NS), "least time between two writes; 500ms unless given"),
        Key("writes", Whole(1, 120), "how many writes are sent within a minute, whoever asks"),
        Key("writes_each", Whole(1, 120), "how many within a minute for each person or program"),
    ),
)

INTERLOCK: Final = Record(
    "an interlock",
    (
        Key("point", text, "what is looked at: a name of the same asset, or a path", required=True),
        Key(Comparison.IS, scalar, "the value that a whole number, truth value or text must have"),
        Key(Comparison.BELOW, Number(), "it must be less, in its unit"),
        Key(Comparison.ABOVE, Number(), "it must be more, in its unit"),
        Key(Comparison.BETWEEN, pair, "it must be in [low, high], in its unit"),
        Key("for", Duration(0, HOUR_NS), "how long that must have held; 0s unless given"),
        Key("fresh", Duration(100 * MILLISECOND_NS, HOUR_NS), "how old its newest value may be; 10s unless given"),
        Key("text", title, "what a person reads who may not write, by language", required=True),
    ),
)

TRANSITION: Final = Record(
    "a transition",
    (
        Key("from", state, "the state that it leaves; every other one unless given"),
        Key("to", state, "the state that it enters", required=True),
        Key("when", expression, "an expression that is true or false; with for alone, time is enough"),
        Key(
            "for",
            Duration(100 * MILLISECOND_NS, 7 * DAY_NS),
            "how long that must have held in the state; 0s unless given",
        ),
    ),
)

MACHINE: Final = Record(
    "a machine",
    (
        Key("initial", state, "the state that it begins in", required=True),
        Key(
            "transitions",
            ListOf("transitions", TRANSITION, TRANSITIONS_MAX),
            "in the order they are tried",
            required=True,
        ),
    ),
)

POINT: Final = Record(
    "a point",
    (
        Key("type", Choice(tuple(kind.label for kind in ValueKind)), "what a value is; float64 unless given"),
        Key("unit", text, "UCUM code, such as Cel, bar, kW.h or m3/h; 1 unless given"),
        Key("range", pair, "engineering range [low, high] in the unit; values outside are flagged"),
        TITLE,
        Key("expression", expression, "what it is calculated from, instead of read; see docs/expressions.md"),
        Key("machine", MACHINE, "instead of an expression: states, and what leads from one to another"),
        Key("connection", text, "where its samples come from; a type's points take their asset's"),
        Key("address", free_map, "what to read, in the driver's words; {parameter} and {parameter+N} are filled in"),
        Key("interval", Duration(10 * MILLISECOND_NS, DAY_NS), "how often it is read; 1s unless given"),
        Key("access", Choice(tuple(Access)), "read unless given"),
        Key("write_range", pair, "what may be written; the range unless given"),
        Key("critical", flag, "whether a second person must approve each write; false unless given"),
        Key(
            "approval", Duration(MINUTE_NS, DAY_NS), "how long a critical write waits for that person; 10m unless given"
        ),
        Key("limits", LIMITS, "how far, how fast and how often it may be written"),
        Key("interlocks", ListOf("interlocks", INTERLOCK, 32), "what must hold for a write to be sent"),
        Key("decimals", Whole(0, 12), "digits shown after the point"),
        Key("retention", text, "the retention class that says how long it is kept; default unless given"),
    ),
)

REVIEWED: Final = Record(
    "a review",
    (
        Key("on", date, "a date such as 2026-05-01", required=True),
        Key("by", text, "who", required=True),
    ),
)

_CONDITIONS: Final = tuple(one for one in AlarmCondition if one is not AlarmCondition.EXPRESSION)

ALARM: Final = Record(
    "an alarm",
    (
        Key("condition", Choice(_CONDITIONS), "what is compared"),
        Key("when", expression, "instead of condition and limit: an expression that is true or false"),
        Key("limit", limit, "in the point's unit; per second for rate, a duration for stale, true or false for equals"),
        Key("reference", text, "deviation: the other point, by name in a type, else by path"),
        Key("hysteresis", Number(0), "how far back it must go to clear, in the point's unit; 0 unless given"),
        Key("on_delay", Duration(), "how long the condition holds before the alarm is raised; 0s unless given"),
        Key("off_delay", Duration(), "how long it is gone before the alarm clears; 0s unless given"),
        Key("priority", Choice(tuple(Priority)), "as its class says, else medium"),
        Key("message", title, "what the operator reads, by language"),
        Key("class", text, "the alarm class that says how it is handled"),
        Key("latched", flag, "whether it stays until somebody resets it; as its class says, else false"),
        Key("suppressed_by", text, "the bool point that suppresses it while true, by name in a type, else by path"),
        Key("release_delay", Duration(0, DAY_NS), "how long it stays suppressed after that; 0s unless given"),
        Key("cause", title, "what brings it about, by language"),
        Key("consequence", title, "what happens where nobody responds, by language"),
        Key("response", title, "what the operator does, by language"),
        Key("time_to_respond", Duration(SECOND_NS, 7 * DAY_NS), "how long there is for that"),
        Key("setpoint_basis", text, "why the limit is what it is"),
        Key("reviewed", REVIEWED, "when and by whom all this was last looked at"),
    ),
)

ALARM_CLASS: Final = Record(
    "an alarm class",
    (
        TITLE,
        Key("acknowledge", flag, "whether its alarms must be acknowledged; true unless given"),
        Key("comment", flag, "whether who acknowledges has to say something; false unless given"),
        Key("proof", flag, "whether who acknowledges has to prove anew who they are; false unless given"),
        Key("shelve", flag, "whether its alarms may be shelved; true unless given"),
        Key("shelve_longest", Duration(MINUTE_NS, 7 * DAY_NS), "for how long at most; 8h unless given"),
        Key("latched", flag, "of its alarms that do not say; false unless given"),
        Key("priority", Choice(tuple(Priority)), "of its alarms that do not say; medium unless given"),
    ),
)

TYPE: Final = Record(
    "a type",
    (
        Key("version", Whole(1), "grows when its points change meaning; 1 unless given"),
        TITLE,
        Key("parameters", MapOf("parameters", check_parameter, scalar), "names and defaults for templates"),
        Key("points", MapOf("points", check_name, POINT), "by name"),
        Key("alarms", MapOf("alarms", check_rule, ALARM), "by <point name>:<rule name>"),
    ),
)

CONNECTION: Final = Record(
    "a connection",
    (
        Key("driver", text, "which protocol", required=True),
        Key("settings", free_map, "in the driver's words"),
        TITLE,
        Key("enabled", flag, "true unless given"),
        Key("edge", edge, "the edge that runs it; the platform itself unless given"),
    ),
)

ASSET: Final = Record(
    "an asset",
    (
        Key("level", Choice(tuple(Level)), "place in the hierarchy; equipment unless given"),
        TITLE,
        Key("type", text, "the type whose points and alarms it carries"),
        Key("connection", text, "where the points of its type come from"),
        Key("parameters", MapOf("parameters", check_parameter, scalar), "overrides of the type's defaults"),
        Key("attributes", MapOf("attributes", check_free, text), "anything worth knowing, as text"),
        Key("feeds", ListOf("paths", text, 1_000), "assets that stand still without it, with all below them"),
    ),
)

SERIES_RULE: Final = Record(
    "a rule",
    (
        Key("point", text, "its path; {measurement}, {field} and names of tags in braces are filled in", required=True),
        Key("measurement", text, "only series of this measurement"),
        Key("field", text, "only this field"),
        Key("tags", MapOf("tags", check_free, text), "only series with these tags"),
    ),
)

INGEST: Final = Record(
    "an ingest map",
    (
        Key("bucket", text, "only what is written to this bucket or database; everything unless given"),
        Key("rules", ListOf("rules", SERIES_RULE, 10_000), "the first that leads to a declared point", required=True),
        Key("unknown", Choice(("refuse", "ignore")), "what happens to other series; refuse unless given"),
    ),
)

OUTLET: Final = Record(
    "an outlet",
    (
        Key("protocol", text, "how it is told", required=True),
        Key("settings", free_map, "in the protocol's words"),
        TITLE,
        Key("enabled", flag, "true unless given"),
        Key("points", ListOf("paths", text, 10_000), "points, and assets with all below; everything unless given"),
        Key("waiting", Choice(tuple(Waiting)), "where samples wait while nobody takes them; memory unless given"),
        Key("wait_samples", Whole(100, 10_000_000), "how many wait in memory; then the oldest go; 100000 unless given"),
        Key("wait_mb", Whole(1, 1_000_000), "how much waits on disk; then the oldest go; 256 unless given"),
    ),
)

SECTIONS: Final = {
    "retention": ("retention", MapOf("retention classes", check_name, RETENTION)),
    "types": ("type", MapOf("types", check_name, TYPE)),
    "connections": ("connection", MapOf("connections", check_name, CONNECTION)),
    "alarm_classes": ("alarm-class", MapOf("alarm classes", check_name, ALARM_CLASS)),
    "assets": ("asset", MapOf("assets", check_path, ASSET)),
    "points": ("point", MapOf("points", check_path, POINT)),
    "alarms": ("alarm", MapOf("alarms", check_rule, ALARM)),
    "ingest": ("ingest", MapOf("ingest maps", check_name, INGEST)),
    "outlets": ("outlet", MapOf("outlets", check_name, OUTLET)),
    "channels": ("channel", MapOf("channels", check_name, CHANNEL)),
    "contacts": ("contact", MapOf("contacts", check_name, CONTACT)),
    "rosters": ("roster", MapOf("rosters", check_name, ROSTER)),
    "notifications": ("notification", MapOf("notifications", check_name, NOTIFICATION)),
}
"""Top-level key to the kind of its objects and their reader, in the order in which `export` writes them."""

KINDS: Final = tuple(kind for kind, _ in SECTIONS.values())
