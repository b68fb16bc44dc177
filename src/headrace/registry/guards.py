"""What a write must pass, as it is declared on a point: critical, limits, interlocks.

    spec ─guard_of─► Guard ─with_paths, for each asset─► Point.guard ─check_interlocks, all points known─► problems

An interlock names a point of its own asset, or a path. One that can never hold is a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from headrace.model.batch import ValueKind
from headrace.model.guards import APPROVAL_NS, FRESH_NS, NO_GUARD, Comparison, Guard, Interlock, WriteLimits
from headrace.model.points import Access, Point, Range
from headrace.model.time import format_duration, parse_duration_ns
from headrace.model.units import display
from headrace.registry.declared import Blame
from headrace.registry.problems import Problems, did_you_mean, listed

GUARD_KEYS: Final = ("critical", "approval", "limits", "interlocks")
_NUMERIC: Final = (ValueKind.FLOAT64, ValueKind.INT64)
_TYPES: Final = {ValueKind.INT64: int, ValueKind.BOOL: bool, ValueKind.TEXT: str}


def guard_of(spec: Mapping[str, Any], kind: ValueKind, access: Access, blame: Blame, problems: Problems) -> Guard:
    """The guard of a spec, its interlocks by the names that stand there."""
    if not any(key in spec for key in GUARD_KEYS):
        return NO_GUARD
    if access is Access.READ:
        for key in GUARD_KEYS:
            if key in spec:
                message = f"'{key}' needs 'access: read-write'; this point is read only"
                problems.add(blame.at(key, of_key=True), message)
        return NO_GUARD
    critical = bool(spec.get("critical", False))
    if "approval" in spec and not critical:
        problems.add(blame.at("approval", of_key=True), "'approval' needs 'critical: true'; nobody is asked otherwise")
    return Guard(
        critical,
        parse_duration_ns(spec["approval"]) if "approval" in spec else APPROVAL_NS,
        _limits(spec.get("limits", {}), kind, blame, problems),
        tuple(
            one
            for at, part in enumerate(spec.get("interlocks", ()))
            if (one := _interlock(part, at, blame, problems)) is not None
        ),
    )


def with_paths(guard: Guard, asset: str) -> Guard:
    """Names of the asset's own points as paths."""
    if not guard.interlocks:
        return guard
    return replace(
        guard,
        interlocks=tuple(
            one if "/" in one.point else replace(one, point=f"{asset}/{one.point}") for one in guard.interlocks
        ),
    )


def check_interlocks(
    guarded: Mapping[str, Blame],
    points: Mapping[str, Point],
    failed: Collection[str],
    problems: Problems,
) -> None:
    """Whether what the interlocks of these points look at is there, and can be as they want it."""
    for path, blame in guarded.items():
        point = points.get(path)
        for at, interlock in enumerate(point.guard.interlocks if point is not None else ()):
            other = points.get(interlock.point)
            if other is None:
                if interlock.point not in failed:
                    where = blame.at("interlocks", at, "point")
                    hint = did_you_mean(interlock.point, points)
                    problems.add(where, f"there is no point '{interlock.point}'{hint}", once=True)
                continue
            wrong = _cannot_hold(interlock, other)
            if wrong is not None:
                problems.add(blame.at("interlocks", at, interlock.comparison.value), wrong, once=True)


def guard_record(guard: Guard) -> dict[str, Any]:
    """A guard in the words of a declaration, without what is not set."""
    record: dict[str, Any] = {}
    if guard.critical:
        record["critical"] = True
        if guard.approval_ns != APPROVAL_NS:
            record["approval"] = format_duration(guard.approval_ns)
    limits = guard.limits
    parts = {
        "step": _number(limits.step),
        "rate": _number(limits.rate_per_minute),
        "interval": None if limits.interval_ns is None else format_duration(limits.interval_ns),
        "writes": limits.writes,
        "writes_each": limits.writes_each,
    }
    if any(part is not None for part in parts.values()):
        record["limits"] = {name: part for name, part in parts.items() if part is not None}
    if guard.interlocks:
        record["interlocks"] = [interlock_record(one) for one in guard.interlocks]
    return record


def interlock_record(one: Interlock) -> dict[str, Any]:
    wanted: Any = one.limit
    if one.comparison is Comparison.BETWEEN:
        wanted = [_number(one.low), _number(one.high)]
    elif isinstance(wanted, float):
        wanted = _number(wanted)
    record: dict[str, Any] = {"point": one.point, one.comparison.value: wanted}
    if one.for_ns:
        record["for"] = format_duration(one.for_ns)
    if one.fresh_ns != FRESH_NS:
        record["fresh"] = format_duration(one.fresh_ns)
    return {**record, "text": dict(one.text)}


def _limits(spec: Mapping[str, Any], kind: ValueKind, blame: Blame, problems: Problems) -> WriteLimits:
    for name in ("step", "rate"):
        if name not in spec:
            continue
        if kind not in _NUMERIC:
            problems.add(blame.at("limits", name, of_key=True), f"a {kind.label} point has no {name}")
        elif spec[name] <= 0:
            problems.add(blame.at("limits", name), f"'{name}' must be more than 0, not {spec[name]:g}")
    step, rate = spec.get("step"), spec.get("rate")
    if step is not None and rate is not None and 0 < rate < step:
        message = f"with a rate of {rate:g} a minute a step of {step:g} could never be sent"
        problems.add(blame.at("limits", "rate"), message)
    writes, each = spec.get("writes"), spec.get("writes_each")
    if writes is not None and each is not None and each > writes:
        problems.add(blame.at("limits", "writes_each"), f"'writes_each' {each} is more than 'writes' {writes} of all")
    return WriteLimits(
        None if step is None else float(step),
        None if rate is None else float(rate),
        parse_duration_ns(spec["interval"]) if "interval" in spec else None,
        writes,
        each,
    )


def _interlock(spec: Mapping[str, Any], at: int, blame: Blame, problems: Problems) -> Interlock | None:
    given = [one for one in Comparison if one.value in spec]
    if len(given) != 1:
        words = listed(one.value for one in Comparison)
        said = listed((f"'{one.value}'" for one in given), "and") or "none"
        problems.add(blame.at("interlocks", at), f"an interlock says one of {words}; this says {said}")
        return None
    comparison = given[0]
    wanted = spec[comparison.value]
    low, high = map(float, wanted) if comparison is Comparison.BETWEEN else (0.0, 0.0)
    limit = float(wanted) if comparison in (Comparison.BELOW, Comparison.ABOVE) else wanted
    return Interlock(
        spec["point"],
        comparison,
        0.0 if comparison is Comparison.BETWEEN else limit,
        low,
        high,
        parse_duration_ns(spec.get("for", "0s")),
        parse_duration_ns(spec["fresh"]) if "fresh" in spec else FRESH_NS,
        spec["text"],
    )


def _cannot_hold(interlock: Interlock, other: Point) -> str | None:
    """Why it is none for that point, or never holds there."""
    if interlock.comparison is Comparison.IS:
        if other.kind not in _TYPES:
            return f"'{other.path}' is a {other.kind.label} point; say below, above or between"
        if type(interlock.limit) is not _TYPES[other.kind]:
            wanted = {"bool": "true or false", "int64": "a whole number"}.get(other.kind.label, "text")
            return f"'{other.path}' is a {other.kind.label} point: it is {wanted}"
        span = None if other.kind is not ValueKind.INT64 else other.range
        return _outside(span, other, float(interlock.limit)) if span is not None else None
    if other.kind not in _NUMERIC:
        return f"'{other.path}' is a {other.kind.label} point and no number; say what it is"
    if other.range is None:
        return None
    span = other.range
    limit = interlock.limit if isinstance(interlock.limit, int | float) else 0.0
    never = {
        Comparison.BELOW: limit <= span.low,
        Comparison.ABOVE: limit >= span.high,
        Comparison.BETWEEN: interlock.high < span.low or interlock.low > span.high,
    }[interlock.comparison]
    return f"this never holds: '{other.path}' has the range {_shown(span, other)}" if never else None


def _outside(span: Range, other: Point, value: float) -> str | None:
    return None if value in span else f"this never holds: '{other.path}' has the range {_shown(span, other)}"


def _shown(span: Range, other: Point) -> str:
    return f"[{span.low:g}, {span.high:g}] {display(other.unit)}".rstrip()


def _number(value: float | None) -> float | None:
    """As people write it: 120, not 120.0."""
    return int(value) if value is not None and value.is_integer() and abs(value) < 2**53 else value
