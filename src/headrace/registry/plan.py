"""The difference between two sets of declarations: objects as declared, and what that does to points and alarms.

Types, connections and assets are compared as declared. Points and alarms are compared as expanded, so a changed type
shows every point that it changes; one that is declared otherwise to the same effect (an override of what the type
says already) shows as a change of its declaration. What is created lists its fields; what is removed, only its name;
what is changed, each part that differs (`address.register`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from headrace.model.alarms import AlarmRule
from headrace.model.plant import PlantModel
from headrace.model.points import Point, Range
from headrace.model.retention import DEFAULT_CLASS
from headrace.model.time import format_duration
from headrace.registry.alarm_classes import handling_record
from headrace.registry.declared import Declared, Key, same
from headrace.registry.guards import guard_record
from headrace.registry.machines import machine_record
from headrace.registry.schema import KINDS
from headrace.sdk.services import Change, ChangeAction, FieldChange

_ORDER: Final = {kind: rank for rank, kind in enumerate(KINDS)}

Objects = Mapping[Key, Declared]


def diff(old: Objects, new: Objects, old_model: PlantModel, new_model: PlantModel) -> list[Change]:
    """Changes from old to new, by kind and key."""
    changes: dict[Key, Change] = {}
    for key in sorted(old.keys() | new.keys()):
        change = _declared_change(key, old.get(key), new.get(key))
        if change is not None:
            changes[key] = change
    _effects(changes, "point", old_model.points, new_model.points, point_record)
    _effects(changes, "alarm", old_model.alarms, new_model.alarms, alarm_record)
    return sorted(changes.values(), key=lambda change: (_ORDER[change.kind], change.key))


def point_record(point: Point) -> dict[str, Any]:
    """A point in the words of a declaration, without what is not set."""
    source = point.source
    record = {
        "type": point.kind.label,
        "unit": point.unit,
        "range": _span(point.range),
        "access": point.access.value,
        "write_range": _span(point.write_range),
        "title": dict(point.title),
        "decimals": point.decimals,
        "expression": (point.expression or None) if point.machine is None else None,
        "function": point.function or None,
        "machine": None if point.machine is None else machine_record(point.machine),
        "connection": source.connection if source else None,
        "address": source.address if source else None,
        "interval": format_duration(source.interval_ns) if source else None,
        "retention": point.retention if point.retention != DEFAULT_CLASS else None,
        **guard_record(point.guard),
    }
    return {name: value for name, value in record.items() if value is not None and value != {}}


def alarm_record(rule: AlarmRule) -> dict[str, Any]:
    """A rule in the words of a declaration, without what is not set."""
    record = {
        "when": rule.expression or None,
        "condition": None if rule.expression else rule.condition.value,
        "limit": None if rule.expression else _number(rule.limit),
        "reference": rule.reference,
        "hysteresis": None if rule.expression else _number(rule.hysteresis),
        "on_delay": format_duration(rule.on_delay_ns),
        "off_delay": format_duration(rule.off_delay_ns),
        "priority": rule.priority.value,
        "message": dict(rule.message),
        **handling_record(rule),
    }
    return {name: value for name, value in record.items() if value is not None and value != {}}


def summary(changes: list[Change]) -> str:
    """`3 created, 1 removed` in one line."""
    counts = {action: sum(change.action is action for change in changes) for action in ChangeAction}
    words = {ChangeAction.CREATE: "created", ChangeAction.CHANGE: "changed", ChangeAction.REMOVE: "removed"}
    return ", ".join(f"{count} {words[action]}" for action, count in counts.items() if count) or "nothing changed"


def _span(span: Range | None) -> list[float] | None:
    return [_number(span.low), _number(span.high)] if span is not None else None


def _number(value: float) -> float:
    """As people write it: 120, not 120.0."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _declared_change(key: Key, old: Declared | None, new: Declared | None) -> Change | None:
    kind, name = key
    if old is None and new is not None:
        return Change(ChangeAction.CREATE, kind, name, _given(new.spec))
    if new is None and old is not None:
        return Change(ChangeAction.REMOVE, kind, name)
    assert old is not None and new is not None
    details = tuple(_fields(old.spec, new.spec))
    return Change(ChangeAction.CHANGE, kind, name, details) if details else None


def _effects(
    changes: dict[Key, Change], kind: str, old: Mapping[str, Any], new: Mapping[str, Any], record: Any
) -> None:
    """Replace what was declared by what happens, and add what happens without being declared."""
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before is after or before == after:
            declared = changes.get((kind, name))
            if declared is not None and after is not None:  # declared otherwise, to the same effect
                changes[kind, name] = Change(ChangeAction.CHANGE, kind, name, declared.details)
            continue
        if before is None:
            changes[kind, name] = Change(ChangeAction.CREATE, kind, name, _given(record(after)))
        elif after is None:
            changes[kind, name] = Change(ChangeAction.REMOVE, kind, name)
        else:
            details = tuple(_fields(record(before), record(after)))
            if details or (kind, name) in changes:  # else what it refers to has changed, and is told there
                changes[kind, name] = Change(ChangeAction.CHANGE, kind, name, details)


def _given(spec: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """The fields of something new, maps whole."""
    return tuple(FieldChange(name, None, value) for name, value in spec.items())


def _fields(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[FieldChange]:
    """What differs, maps by their parts (`address.register`), everything else whole."""
    for name in [*new, *(name for name in old if name not in new)]:
        before, after = old.get(name), new.get(name)
        if before is after or same(before, after):
            continue
        before_is_map, after_is_map = isinstance(before, dict), isinstance(after, dict)
        if (before_is_map or before is None) and (after_is_map or after is None) and (before or after):
            yield from _fields(before or {}, after or {}, f"{prefix}{name}.")
        else:
            yield FieldChange(f"{prefix}{name}", before, after)
