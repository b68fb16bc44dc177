"""What has to be told now. Pure: cases, grouping and the flood in, tellings and what cases become out.

due, active, not acknowledged ─► a consequence? ─► folded under its root's case
        ├─► quiet hours, and not urgent enough ──► waits
        ├─► a flood, and told as one ────────────► one telling of all, and then one each ten minutes
        └─► by step: a telling each, or one of many where they were gathered or are too many at once
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from headrace.compute.notify.cases import Case, gathered, stepped
from headrace.compute.notify.rosters import is_quiet
from headrace.model.alarms import AlarmRule
from headrace.model.notifications import Notification, as_urgent
from headrace.model.time import MINUTE_NS

FLOOD_EVERY_NS: Final = 10 * MINUTE_NS
#: More than so many at once are one message: nobody reads the eleventh.
TOGETHER: Final = 3


class Kind(StrEnum):
    RAISED = "raised"
    ESCALATED = "escalated"
    REPEATED = "repeated"
    FLOOD = "flood"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"
    TEST = "test"


#: They ask somebody to act, and are pointless once somebody has.
ASKING: Final = frozenset({Kind.RAISED, Kind.ESCALATED, Kind.REPEATED, Kind.FLOOD})


@dataclass(frozen=True, slots=True)
class Telling:
    """Something to say to the people of a step. `consequences` counts, by case, the alarms folded under it."""

    key: str
    notification: Notification
    kind: Kind
    step: int
    cases: tuple[Case, ...]
    consequences: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """What is around. `roots` has the root of an alarm's group by rule; `floods` those notifications whose alarms
    flood, and `flood_told_ns` when that was last said."""

    now_ns: int
    rules: Mapping[str, AlarmRule]
    roots: Mapping[str, str] = field(default_factory=dict)
    floods: frozenset[str] = frozenset()
    flood_told_ns: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Decided:
    tellings: list[Telling] = field(default_factory=list)
    changed: dict[str, Case] = field(default_factory=dict)


def decide(cases: Mapping[str, Case], notifications: Mapping[str, Notification], world: World) -> Decided:
    decided = Decided()
    now = {**cases}
    _fold(now, notifications, world, decided)
    folded = Counter(case.under for case in now.values() if case.under)
    due: dict[str, list[Case]] = {}
    for case in now.values():
        if case.waits and not case.under and case.due_ns is not None and case.due_ns <= world.now_ns:
            due.setdefault(case.notification, []).append(case)
    for name, waiting in due.items():
        one = notifications.get(name)
        if one is None:
            continue
        loud = [case for case in waiting if not _hushed(case, one, world)]
        for kind, step, together in _batches(one, loud, world):
            counts = {case.key: folded[case.key] for case in together if folded[case.key]}
            told = tuple(sorted(together, key=lambda case: (case.raised_ns, case.rule)))
            decided.tellings.append(Telling(_key(kind, told), one, kind, step, told, counts))
            for case in told:
                rule = world.rules.get(case.rule)
                decided.changed[case.key] = stepped(
                    case, one, world.now_ns, acknowledgeable=rule is None or rule.handling.acknowledge
                )
    return decided


def _fold(cases: dict[str, Case], notifications: Mapping[str, Notification], world: World, decided: Decided) -> None:
    """Consequences under their root while nobody has acknowledged that, and out again when it is over."""
    by_rule = {(case.notification, case.rule): case for case in cases.values()}
    for key, case in list(cases.items()):
        if case.notification not in notifications:
            continue
        above = cases.get(case.under) if case.under else None
        after = case
        if case.under and (above is None or not above.active):
            after = replace(case, under="", due_ns=world.now_ns)
        elif not case.under and case.waits and case.first_told_ns is None and _is_due(case, world):
            root = by_rule.get((case.notification, world.roots.get(case.rule, case.rule)))
            if root is not None and root.key != key and root.waits and not _more_urgent(case, root, world):
                after = replace(case, under=root.key)
        if after is not case:
            cases[key] = decided.changed[key] = after


def _more_urgent(case: Case, root: Case, world: World) -> bool:
    """What is worse than its cause is told for itself."""
    rule, above = world.rules.get(case.rule), world.rules.get(root.rule)
    return rule is None or above is None or not as_urgent(above.priority, rule.priority)


def _is_due(case: Case, world: World) -> bool:
    return case.due_ns is not None and case.due_ns <= world.now_ns


def _hushed(case: Case, one: Notification, world: World) -> bool:
    rule = world.rules.get(case.rule)
    if rule is not None and as_urgent(rule.priority, one.quiet.breaks_through):
        return False
    return is_quiet(one.quiet, one.time_zone, world.now_ns)


def _batches(one: Notification, due: Sequence[Case], world: World) -> Iterable[tuple[Kind, int, Sequence[Case]]]:
    first = [case for case in due if case.first_told_ns is None]
    if first and one.flood_as_one and one.name in world.floods:
        last_ns = world.flood_told_ns.get(one.name)
        if last_ns is None or world.now_ns >= last_ns + FLOOD_EVERY_NS:
            yield Kind.FLOOD, 0, first
        first = []
    together = [case for case in first if case.rule in world.rules and gathered(one, world.rules[case.rule])]
    if together:
        yield Kind.RAISED, 0, together
    yield from ((Kind.RAISED, 0, some) for some in _split([case for case in first if case not in together]))
    later: dict[tuple[int, int], list[Case]] = {}
    for case in due:
        if case.first_told_ns is not None:
            later.setdefault((case.step, case.repeats), []).append(case)
    for (step, repeats), some in sorted(later.items()):
        kind = Kind.REPEATED if repeats else Kind.ESCALATED
        yield from ((kind, step, part) for part in _split(some))


def _split(cases: Sequence[Case]) -> Iterable[Sequence[Case]]:
    if len(cases) > TOGETHER:
        return [cases]
    return [[case] for case in cases]


def _key(kind: Kind, cases: Sequence[Case]) -> str:
    """The same for the same telling, whenever and however often it is decided."""
    said = "\n".join([kind, *(f"{case.key}|{case.step}|{case.repeats}" for case in cases)])
    return blake2b(said.encode(), digest_size=16).hexdigest()


def ending_key(kind: Kind, case: Case) -> str:
    return _key(kind, [case])
