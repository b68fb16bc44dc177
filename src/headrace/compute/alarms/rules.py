"""Alarm rules as columns: what was declared, and what each rule remembers. One row a rule, in order of names.

A rule that is suppressed by design has a second row, its shadow: an EQUALS on the bool point that suppresses, true at
once and false after the release delay. So both are judged by the same samples, in the same event time.

Every condition becomes one comparison. A rule measures something, its score is the measure (LOW: negated; EQUALS:
1 or 0), and the condition holds while score > raise_at, or, once the alarm is active, score > clear_at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.time import SECOND_NS

#: No time: nothing seen yet, nothing pending.
NONE: Final = int(np.iinfo(np.int64).min)
#: A time that never comes, with room to add a delay to it.
NEVER: Final = 2**62

CODES: Final = {condition: code for code, condition in enumerate(AlarmCondition)}
RATE: Final = CODES[AlarmCondition.RATE]
DEVIATION: Final = CODES[AlarmCondition.DEVIATION]
STALE: Final = CODES[AlarmCondition.STALE]
EQUALS: Final = CODES[AlarmCondition.EQUALS]
EXPRESSION: Final = CODES[AlarmCondition.EXPRESSION]
HIGH: Final = CODES[AlarmCondition.HIGH]
LOW: Final = CODES[AlarmCondition.LOW]

MAIN_ROW: Final = 0
REFERENCE_ROW: Final = 1

_REMEMBERED: Final = {
    "active": (np.bool_, False),
    "since_ns": (np.int64, NONE),  # since when the opposite of `active` has been true; NONE: it is not
    "moved_ns": (np.int64, NONE),  # event time of the last crossing
    "at_ns": (np.int64, NONE),  # event time of the last evaluation
    "seen_ns": (np.int64, NONE),  # source time of the newest usable sample
    "value": (np.float64, np.nan),  # … and its value
    "lag_ns": (np.int64, 0),  # … and how much later it was received: turns our clock into event time
    "reference_seen_ns": (np.int64, NONE),
    "reference_value": (np.float64, np.nan),
    "alive_ns": (np.int64, NONE),  # STALE counts from here
    "gone_ns": (np.int64, NEVER),  # RATE: when the last change, spread over the time since, falls below clear_at
    "measured": (np.float64, np.nan),  # what a crossing reports
    "late_ns": (np.int64, NEVER),  # event time of the oldest sample that came too late to be judged, and was not told
}
#: What survives a change of limits or delays; the rest would mix two definitions.
_KEPT: Final = ("moved_ns", "at_ns", "seen_ns", "value", "lag_ns", "reference_seen_ns", "reference_value", "alive_ns")


_SHADOW: Final = "\0"


def shadow_of(rule: str) -> str:
    """The name of the row that says whether a rule is suppressed. No rule is called like that: names have no NUL."""
    return rule + _SHADOW


def rule_of(row: str) -> str:
    """The rule of a row, whether it is a shadow or not."""
    return row.removesuffix(_SHADOW)


def with_shadows(rules: Mapping[str, AlarmRule]) -> dict[str, AlarmRule]:
    rows = dict(rules)
    for name, rule in rules.items():
        if rule.suppressed_by is not None:
            shadow, release_ns = shadow_of(name), rule.release_delay_ns
            rows[shadow] = AlarmRule(shadow, rule.suppressed_by, AlarmCondition.EQUALS, 1.0, off_delay_ns=release_ns)
    return rows


class RuleTable:
    """Columns by rule, and the index from handles to rules. Shape of every column: (rules,)."""

    active: NDArray[np.bool_]
    since_ns: NDArray[np.int64]
    moved_ns: NDArray[np.int64]
    at_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    lag_ns: NDArray[np.int64]
    reference_seen_ns: NDArray[np.int64]
    reference_value: NDArray[np.float64]
    alive_ns: NDArray[np.int64]
    gone_ns: NDArray[np.int64]
    measured: NDArray[np.float64]
    late_ns: NDArray[np.int64]

    def __init__(self, rules: Mapping[str, AlarmRule], handles: Mapping[str, int]) -> None:
        """`rules` with their shadows."""
        self.names = sorted(rules)
        self.rules = [rules[name] for name in self.names]
        self.index = {name: at for at, name in enumerate(self.names)}
        self.by_design = np.array([name.endswith(_SHADOW) for name in self.names], np.bool_)
        self.code = np.array([CODES[rule.condition] for rule in self.rules], np.int8)
        self.limit = np.array([rule.limit for rule in self.rules], np.float64)
        hysteresis = np.array([rule.hysteresis for rule in self.rules], np.float64)
        self.on_delay_ns = np.array([rule.on_delay_ns for rule in self.rules], np.int64)
        self.off_delay_ns = np.array([rule.off_delay_ns for rule in self.rules], np.int64)
        self.stale_ns = np.where(self.code == STALE, np.minimum(self.limit * SECOND_NS, NEVER / 4), 0).astype(np.int64)
        self.sign = np.where(self.code == LOW, -1.0, 1.0)
        yes_or_no = (self.code == EQUALS) | (self.code == EXPRESSION)
        self.raise_at = np.where(yes_or_no, 0.5, self.sign * self.limit)
        clear_at = self.raise_at - np.where(yes_or_no, 0.0, hysteresis)
        unsigned = (self.code == RATE) | (self.code == DEVIATION)  # these measure 0 or more: 0 must always clear
        self.clear_at = np.where(unsigned, np.maximum(clear_at, 0.0), clear_at)
        self._handles = dict(handles)
        self._index_handles()
        for name, (dtype, start) in _REMEMBERED.items():
            setattr(self, name, np.full(len(self.rules), start, dtype))

    def __len__(self) -> int:
        return len(self.rules)

    def remember(self, old: RuleTable, active: Collection[str]) -> set[str]:
        """Take over what `old` knows; rules new to it begin active where `active` says so.

        Returns the names that are new or changed, for a look at the newest sample.
        """
        changed = set()
        for at, name in enumerate(self.names):
            before = old.index.get(name)
            if before is None:
                self.active[at] = name in active
                changed.add(name)
                continue
            self.active[at] = old.active[before]
            same_points = self._watched(at) == old._watched(before)
            if self.rules[at] == old.rules[before] and same_points:
                columns: Collection[str] = _REMEMBERED
            else:
                columns = _KEPT if same_points else ("moved_ns",)
                changed.add(name)
            for column in columns:
                getattr(self, column)[at] = getattr(old, column)[before]
        return changed

    def delay_ns(self) -> NDArray[np.int64]:
        """What has to pass before each rule crosses, from where it is. Shape: (rules,)."""
        return np.where(self.active, self.off_delay_ns, self.on_delay_ns)

    def rows_of(self, handles: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int8]]:
        """Each sample by each rule that watches its point: (sample, rule, MAIN_ROW | REFERENCE_ROW)."""
        inside = np.flatnonzero(handles < len(self._count))
        count = self._count[handles[inside]]
        samples = np.repeat(inside, count)
        ends = np.cumsum(count)
        within = np.arange(len(samples)) - np.repeat(ends - count, count)
        place = np.repeat(self._first[handles[inside]], count) + within
        return samples, self._watchers[place], self._watcher_role[place]

    def _points(self, at: int) -> tuple[int | None, int | None]:
        rule = self.rules[at]
        if rule.calculation is not None:
            return self._handles.get(rule.name), None
        return self._handles.get(rule.point), self._handles.get(rule.reference or "")

    def _watched(self, at: int) -> tuple[int | None, ...]:
        """Handles of the points behind a condition: the number of an expression itself may change."""
        one = self.rules[at].calculation
        return self._points(at) if one is None else tuple(self._handles.get(path) for path in one.inputs.values())

    def _index_handles(self) -> None:
        watching: list[tuple[int, int, int]] = []
        for at in range(len(self.rules)):
            main, reference = self._points(at)
            if main is not None:
                watching.append((main, at, MAIN_ROW))
            if reference is not None and self.code[at] == DEVIATION:
                watching.append((reference, at, REFERENCE_ROW))
        watching.sort()
        columns: NDArray[Any] = np.array(watching, np.int64).reshape(-1, 3)
        handles = columns[:, 0]
        self._count = np.bincount(handles) if len(handles) else np.zeros(0, np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._watchers = columns[:, 1].astype(np.intp)
        self._watcher_role = columns[:, 2].astype(np.int8)
