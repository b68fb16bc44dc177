"""What can be declared: one table for each kind of object. The reference page and the error messages come from here.

    file ─┬─ retention:    name          → RETENTION   how long a class of points is kept
          ├─ types:        name          → TYPE        a template: points and alarms that its assets carry
          ├─ connections:  name          → CONNECTION  one session with one device
          ├─ assets:       path          → ASSET       a node of the equipment hierarchy
          ├─ points:       path          → POINT       one time series, or an override of a type's point
          ├─ alarms:       path:rule     → ALARM       a condition on a point, or an override of a type's alarm
          ├─ ingest:       name          → INGEST      which points the series are that others send
          └─ outlets:      name          → OUTLET      who is told of samples and events

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
from headrace.model.outlets import Waiting
from headrace.model.points import Access, check_path
from headrace.model.retention import YEAR_NS, format_age, parse_age_ns
from headrace.model.time import DAY_NS, HOUR_NS, MILLISECOND_NS
from headrace.registry.readers import (
    Choice,
    Context,
    Duration,
    Key,
    ListOf,
    MapOf,
    Number,
    Record,
    Whole,
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

POINT: Final = Record(
    "a point",
    (
        Key("type", Choice(tuple(kind.label for kind in ValueKind)), "what a value is; float64 unless given"),
        Key("unit", text, "UCUM code, such as Cel, bar, kW.h or m3/h; 1 unless given"),
        Key("range", pair, "engineering range [low, high] in the unit; values outside are flagged"),
        TITLE,
        Key("connection", text, "where its samples come from; a type's points take their asset's"),
        Key("address", free_map, "what to read, in the driver's words; {parameter} and {parameter+N} are filled in"),
        Key("interval", Duration(10 * MILLISECOND_NS, DAY_NS), "how often it is read; 1s unless given"),
        Key("access", Choice(tuple(Access)), "read unless given"),
        Key("write_range", pair, "what may be written; the range unless given"),
        Key("decimals", Whole(0, 12), "digits shown after the point"),
        Key("retention", text, "the retention class that says how long it is kept; default unless given"),
    ),
)

ALARM: Final = Record(
    "an alarm",
    (
        Key("condition", Choice(tuple(AlarmCondition)), "what is compared"),
        Key("limit", limit, "in the point's unit; per second for rate, a duration for stale, true or false for equals"),
        Key("reference", text, "deviation: the other point, by name in a type, else by path"),
        Key("hysteresis", Number(0), "how far back it must go to clear, in the point's unit; 0 unless given"),
        Key("on_delay", Duration(), "how long the condition holds before the alarm is raised; 0s unless given"),
        Key("off_delay", Duration(), "how long it is gone before the alarm clears; 0s unless given"),
        Key("priority", Choice(tuple(Priority)), "medium unless given"),
        Key("message", title, "what the operator reads, by language"),
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
    "assets": ("asset", MapOf("assets", check_path, ASSET)),
    "points": ("point", MapOf("points", check_path, POINT)),
    "alarms": ("alarm", MapOf("alarms", check_rule, ALARM)),
    "ingest": ("ingest", MapOf("ingest maps", check_name, INGEST)),
    "outlets": ("outlet", MapOf("outlets", check_name, OUTLET)),
}
"""Top-level key to the kind of its objects and their reader, in the order in which `export` writes them."""

KINDS: Final = tuple(kind for kind, _ in SECTIONS.values())
