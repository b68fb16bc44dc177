"""Around alarm rules: the classes that say how they are handled, why each is one, and which asset feeds which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from headrace.model.alarms import PLAIN, SHELF_LONGEST_NS, AlarmClass, AlarmRule, Rationale
from headrace.model.time import format_duration, parse_duration_ns
from headrace.registry.declared import Declared
from headrace.registry.problems import Problems, did_you_mean

#: A record of an alarm's rationalisation consists of these keys.
RATIONALE_KEYS: Final = ("cause", "consequence", "response", "time_to_respond", "setpoint_basis", "reviewed")


def alarm_classes(declared: Mapping[str, Declared], problems: Problems) -> dict[str, AlarmClass]:
    """By name; a class that contradicts itself is reported, and taken at its stricter word."""
    classes = {}
    for name, one in declared.items():
        spec = one.spec
        must = spec.get("acknowledge", True)
        for key in ("comment", "proof"):
            if spec.get(key) and not must:
                message = f"'{key}' is asked of who acknowledges; with 'acknowledge: false' nobody does"
                problems.add(one.at(key), message, once=True)
        if "shelve_longest" in spec and not spec.get("shelve", True):
            message = "with 'shelve: false' there is no longest time"
            problems.add(one.at("shelve_longest", of_key=True), message, once=True)
        longest_ns = parse_duration_ns(spec["shelve_longest"]) if "shelve_longest" in spec else SHELF_LONGEST_NS
        classes[name] = AlarmClass(
            name=name,
            title=spec.get("title", {}),
            acknowledge=must,
            comment=spec.get("comment", False),
            proof=spec.get("proof", False),
            shelve_longest_ns=longest_ns if spec.get("shelve", True) else 0,
        )
    return classes


def rationale(spec: Mapping[str, Any]) -> Rationale | None:
    """Of an alarm's spec; None where it says nothing of it."""
    if not any(key in spec for key in RATIONALE_KEYS):
        return None
    reviewed = spec.get("reviewed", {})
    return Rationale(
        cause=spec.get("cause", {}),
        consequence=spec.get("consequence", {}),
        response=spec.get("response", {}),
        time_to_respond_ns=parse_duration_ns(spec["time_to_respond"]) if "time_to_respond" in spec else None,
        setpoint_basis=spec.get("setpoint_basis", ""),
        reviewed_on=reviewed.get("on", ""),
        reviewed_by=reviewed.get("by", ""),
    )


def handling_record(rule: AlarmRule) -> dict[str, Any]:
    """What a rule says of its handling, in the words of a declaration, without what is not set."""
    record: dict[str, Any] = {
        "class": rule.handling.name if rule.handling is not PLAIN else None,
        "latched": rule.latched or None,
        "suppressed_by": rule.suppressed_by,
        "release_delay": format_duration(rule.release_delay_ns) if rule.release_delay_ns else None,
    }
    why = rule.rationale
    if why is not None:
        record |= {
            "cause": dict(why.cause),
            "consequence": dict(why.consequence),
            "response": dict(why.response),
            "time_to_respond": None if why.time_to_respond_ns is None else format_duration(why.time_to_respond_ns),
            "setpoint_basis": why.setpoint_basis or None,
            "reviewed": {"on": why.reviewed_on, "by": why.reviewed_by} if why.reviewed_on else None,
        }
    return {name: value for name, value in record.items() if value not in (None, {})}


def fed(one: Declared, assets: Collection[str], problems: Problems) -> tuple[str, ...]:
    """The assets that an asset feeds, as far as they are some."""
    found: dict[str, None] = {}
    for at, path in enumerate(one.spec.get("feeds", ())):
        where = one.at("feeds", at)
        if path == one.key or path.startswith(f"{one.key}/") or one.key.startswith(f"{path}/"):
            problems.add(where, f"'{one.key}' feeds other assets; '{path}' is itself, or stands above or below it")
        elif path not in assets:
            problems.add(where, f"there is no asset '{path}'{did_you_mean(path, assets)}")
        elif path in found:
            problems.add(where, f"'{path}' stands here twice")
        else:
            found[path] = None
    return tuple(found)
