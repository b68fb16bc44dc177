"""Alarm rules: of a type, overridden, or standing alone; each checked against the point that it watches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from headrace.model.alarms import PLAIN, AlarmClass, AlarmCondition, AlarmRule, Priority
from headrace.model.batch import ValueKind
from headrace.model.points import Point
from headrace.model.time import SECOND_NS, parse_duration_ns
from headrace.model.units import display
from headrace.registry.alarm_classes import alarm_classes, rationale
from headrace.registry.calculations import Expressions
from headrace.registry.declared import Blame, Declared
from headrace.registry.problems import Problems, did_you_mean, listed

_CONDITIONS: Final = {
    ValueKind.FLOAT64: (
        AlarmCondition.HIGH,
        AlarmCondition.LOW,
        AlarmCondition.RATE,
        AlarmCondition.DEVIATION,
        AlarmCondition.STALE,
    ),
    ValueKind.INT64: tuple(one for one in AlarmCondition if one is not AlarmCondition.EXPRESSION),
    ValueKind.BOOL: (AlarmCondition.EQUALS, AlarmCondition.STALE),
    ValueKind.TEXT: (AlarmCondition.STALE,),
}
_OF_CONDITION: Final = ("condition", "limit", "reference", "hysteresis")


class Alarms:
    """Collects rules by name."""

    def __init__(
        self,
        points: Mapping[str, Point],
        failed: Collection[str],
        problems: Problems,
        classes: Mapping[str, Declared] | None = None,
        expressions: Expressions | None = None,
        made: Collection[str] = (),
    ) -> None:
        """`failed` are points with a problem of their own: what watches them is left out without a word. `made` are
        names that stream functions give to points of assets: the alarms of a type may watch them too."""
        self._declared_classes = classes or {}
        self._classes = alarm_classes(self._declared_classes, problems)
        self.rules: dict[str, AlarmRule] = {}
        self._points = points
        self._failed = failed
        self._made = frozenset(made)
        self._problems = problems
        self._expressions = expressions or Expressions(points, problems, failed)
        self._overrides_used: set[str] = set()

    def of_type(self, asset: str, type_: Declared, overrides: Mapping[str, Declared]) -> None:
        """The alarms that an asset carries because of its type."""
        known = self._made | type_.spec.get("points", {}).keys()
        for key, spec in type_.spec.get("alarms", {}).items():
            point, _, _ = key.rpartition(":")
            blame = Blame(type_, ("alarms", key))
            if point not in known:
                message = f"type '{type_.key}' has no point '{point}'{did_you_mean(point, known)}"
                self._problems.add(blame.at(), message)
                continue
            name = f"{asset}/{key}"
            override = overrides.get(name)
            if override is not None:
                self._overrides_used.add(name)
                spec = {**_without_other(spec, override.spec), **override.spec}
                blame = Blame(override, (), blame)
            others: dict[str, str | None] = {}
            for word in ("reference", "suppressed_by"):
                other = spec.get(word)
                if other is not None and "/" not in other:
                    if other not in known:
                        message = f"type '{type_.key}' has no point '{other}'{did_you_mean(other, known)}"
                        self._problems.add(blame.at(word), message)
                        break
                    other = f"{asset}/{other}"
                others[word] = other
            else:
                self._add(name, f"{asset}/{point}", spec, others, blame)

    def standing_alone(self, one: Declared) -> None:
        """An alarm declared on its own, unless it was an override; call after every `of_type`."""
        if one.key in self._overrides_used:
            return
        point = one.key.rpartition(":")[0]
        if point in self._failed:
            return
        if point not in self._points:
            message = f"there is no point '{point}'{did_you_mean(point, self._points)}"
            self._problems.add(one.where, message)
            return
        others: dict[str, str | None] = {}
        for word in ("reference", "suppressed_by"):
            other = one.spec.get(word)
            below = other is not None and "/" not in other
            others[word] = f"{point.rpartition('/')[0]}/{other}" if below else other
        self._add(one.key, point, one.spec, others, Blame(one))

    def _add(
        self, name: str, path: str, spec: Mapping[str, Any], others: Mapping[str, str | None], blame: Blame
    ) -> None:
        """`others` are the paths of `reference` and `suppressed_by`."""
        reference, suppressed_by = others["reference"], others["suppressed_by"]
        point = self._points.get(path)
        if point is None:
            return  # the point's own error is reported where it is declared
        if "when" in spec:
            self._add_expressed(name, point, spec, suppressed_by, blame)
            return
        for key in ("condition", "limit"):
            if key not in spec:
                self._problems.add(blame.at(), f"alarm '{name}' lacks '{key}'")
                return
        condition = AlarmCondition(spec["condition"])
        possible = _CONDITIONS[point.kind]
        if condition not in possible:
            self._problems.add(
                blame.at("condition"),
                f"'{condition}' cannot watch a {point.kind.label} point; use {listed(possible)}",
            )
            return
        limit = self._limit(condition, spec["limit"], point, blame)
        if limit is None or not self._reference_fits(condition, reference, point, blame):
            return
        hysteresis = float(spec.get("hysteresis", 0))
        if not self._can_happen(condition, limit, hysteresis, point, blame):
            return
        if not self._can_suppress(suppressed_by, spec, blame):
            return
        handling, defaults = self._class(spec, blame)
        if handling is None:
            return
        self.rules[name] = self._rule(
            AlarmRule(name, path, condition, limit, hysteresis, reference=reference), spec, suppressed_by, handling,
            defaults,
        )  # fmt: skip

    def _add_expressed(
        self, name: str, point: Point, spec: Mapping[str, Any], suppressed_by: str | None, blame: Blame
    ) -> None:
        for key in _OF_CONDITION:
            if key in spec:
                message = f"'when' says all of the condition; take out '{key}', or 'when'"
                self._problems.add(blame.at(key, of_key=True), message)
                return
        text = spec["when"]
        one = self._expressions.compile(text, point.asset_path, None, blame, "when")
        if one is None or not self._can_suppress(suppressed_by, spec, blame):
            return
        if one.program.kind is not ValueKind.BOOL:
            message = f"'when' is true or false; this gives {one.program.kind.label}: compare it, such as … > 0"
            self._problems.add(blame.at("when"), message, once=True)
            return
        handling, defaults = self._class(spec, blame)
        if handling is None:
            return
        rule = AlarmRule(name, point.path, AlarmCondition.EXPRESSION, 1.0, expression=text, calculation=one)
        self.rules[name] = self._rule(rule, spec, suppressed_by, handling, defaults)

    def _rule(
        self, rule: AlarmRule, spec: Mapping[str, Any], suppressed_by: str | None, handling: AlarmClass,
        defaults: Mapping[str, Any],
    ) -> AlarmRule:  # fmt: skip
        """What rules have in common, whatever their condition."""
        return replace(
            rule,
            on_delay_ns=parse_duration_ns(spec.get("on_delay", "0s")),
            off_delay_ns=parse_duration_ns(spec.get("off_delay", "0s")),
            priority=Priority(spec.get("priority", defaults.get("priority", Priority.MEDIUM))),
            message=spec.get("message", {}),
            latched=spec.get("latched", defaults.get("latched", False)),
            suppressed_by=suppressed_by,
            release_delay_ns=parse_duration_ns(spec.get("release_delay", "0s")),
            handling=handling,
            rationale=rationale(spec),
        )

    def _class(self, spec: Mapping[str, Any], blame: Blame) -> tuple[AlarmClass | None, Mapping[str, Any]]:
        """The class and what it says for alarms that do not; None where there is no such."""
        name = spec.get("class")
        if name is None:
            return PLAIN, {}
        if name not in self._classes:
            hint = did_you_mean(name, self._classes)
            self._problems.add(blame.at("class"), f"there is no alarm class '{name}'{hint}", once=True)
            return None, {}
        return self._classes[name], self._declared_classes[name].spec

    def _can_suppress(self, path: str | None, spec: Mapping[str, Any], blame: Blame) -> bool:
        if path is None:
            if "release_delay" not in spec:
                return True
            message = "'release_delay' goes with 'suppressed_by', the point that suppresses the alarm"
            self._problems.add(blame.at("release_delay", of_key=True), message)
            return False
        other, where = self._points.get(path), blame.at("suppressed_by")
        if path in self._failed:
            return False
        if other is None:
            self._problems.add(where, f"there is no point '{path}'{did_you_mean(path, self._points)}")
        elif other.kind is not ValueKind.BOOL:
            self._problems.add(where, f"'{path}' is a {other.kind.label} point; a bool one suppresses an alarm")
        else:
            return True
        return False

    def _limit(self, condition: AlarmCondition, limit: Any, point: Point, blame: Blame) -> float | None:
        where = blame.at("limit")
        if condition is AlarmCondition.STALE:
            if isinstance(limit, str):
                return parse_duration_ns(limit) / SECOND_NS
            self._problems.add(where, "the limit of a stale alarm is a duration such as 30s")
            return None
        if isinstance(limit, str):
            self._problems.add(
                where, f"the limit of a {condition} alarm is a number in the point's unit, not a duration"
            )
            return None
        if condition is AlarmCondition.EQUALS and point.kind is ValueKind.BOOL:
            if limit in (0, 1):
                return float(limit)
            self._problems.add(where, "a bool point equals true or false")
            return None
        if isinstance(limit, bool):
            self._problems.add(where, f"the limit of a {condition} alarm on a {point.kind.label} point is a number")
            return None
        return float(limit)

    def _reference_fits(self, condition: AlarmCondition, reference: str | None, point: Point, blame: Blame) -> bool:
        if condition is not AlarmCondition.DEVIATION:
            if reference is None:
                return True
            self._problems.add(blame.at("reference", of_key=True), f"a {condition} alarm has no reference")
            return False
        if reference is None:
            self._problems.add(blame.at(), "a deviation alarm needs 'reference', the point it deviates from")
            return False
        other = self._points.get(reference)
        where = blame.at("reference")
        if reference in self._failed:
            return False
        if other is None:
            self._problems.add(where, f"there is no point '{reference}'{did_you_mean(reference, self._points)}")
        elif other.path == point.path:
            self._problems.add(where, "a point cannot deviate from itself")
        elif other.kind not in (ValueKind.FLOAT64, ValueKind.INT64):
            self._problems.add(where, f"'{reference}' is a {other.kind.label} point; a number is needed")
        elif other.unit != point.unit:
            self._problems.add(
                where, f"'{reference}' is in {other.unit} and this point in {point.unit}; give both the same unit"
            )
        else:
            return True
        return False

    def _can_happen(
        self, condition: AlarmCondition, limit: float, hysteresis: float, point: Point, blame: Blame
    ) -> bool:
        """A rule that can never be raised, or never clear, is a slip of the pen."""
        span = point.range
        positive = condition in (AlarmCondition.RATE, AlarmCondition.DEVIATION)
        if positive and limit <= 0:
            self._problems.add(
                blame.at("limit"), f"the limit of a {condition} alarm must be more than 0, not {limit:g}"
            )
            return False
        if condition in (AlarmCondition.STALE, AlarmCondition.EQUALS) and hysteresis:
            self._problems.add(blame.at("hysteresis", of_key=True), f"a {condition} alarm has no hysteresis")
            return False
        if positive and hysteresis >= limit:
            message = f"with a hysteresis of {hysteresis:g} it could never clear: the limit is {limit:g}"
            self._problems.add(blame.at("hysteresis"), message)
            return False
        if span is None or condition in (AlarmCondition.STALE, AlarmCondition.RATE):
            return True
        shown = f"[{span.low:g}, {span.high:g}] {display(point.unit)}".rstrip()
        if condition is AlarmCondition.DEVIATION:
            if limit <= span.high - span.low:
                return True
            self._problems.add(
                blame.at("limit"), f"a deviation of {limit:g} is more than the point's whole range {shown}"
            )
            return False
        if limit not in span:
            self._problems.add(blame.at("limit"), f"the limit {limit:g} lies outside the point's range {shown}")
            return False
        clears = {AlarmCondition.HIGH: limit - hysteresis, AlarmCondition.LOW: limit + hysteresis}.get(condition, limit)
        if clears not in span:
            message = f"with a hysteresis of {hysteresis:g} it could never clear within the range {shown}"
            self._problems.add(blame.at("hysteresis"), message)
            return False
        return True


def _without_other(spec: Mapping[str, Any], override: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a type's alarm an override leaves: a condition takes the place of an expression, and the other way."""
    gone = _OF_CONDITION if "when" in override else ("when",) if "condition" in override else ()
    return {name: part for name, part in spec.items() if name not in gone}
