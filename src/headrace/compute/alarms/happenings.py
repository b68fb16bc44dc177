"""What happens to alarms without a person: conditions cross, suppressions begin and end, rules go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from headrace.compute.alarms.crossing import Crossing
from headrace.compute.alarms.states import Held, Moved, Step, traits_of
from headrace.model.alarms import AlarmAction, AlarmRule, AlarmState, AlarmTransition, Priority
from headrace.sdk.services import AlarmRecord

_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}
SHELVED_ONCE: Final = "it cleared"
#: By whether it is the suppression by design that crosses: what it is when it begins, and when it ends.
_CROSSED: Final = {
    False: (AlarmAction.RAISED, AlarmAction.CLEARED),
    True: (AlarmAction.SUPPRESSED, AlarmAction.RELEASED),
}


def crossed(crossings: Sequence[Crossing], held: Mapping[str, Held], rules: Mapping[str, AlarmRule]) -> Moved:
    """What these crossings do to alarms; a shelf for once ends with its condition."""
    moved = Moved(held)
    for crossing in crossings:
        traits = traits_of(rules[crossing.rule])
        begins, ends = _CROSSED[crossing.by_design]
        step = Step(begins if crossing.active else ends, crossing.time_ns, crossing.value)
        moved.take(crossing.rule, step, traits)
        shelf = moved.now(crossing.rule).shelf
        if step.action is AlarmAction.CLEARED and shelf is not None and shelf.once:
            over = Step(AlarmAction.UNSHELVED, crossing.time_ns, comment=SHELVED_ONCE)
            moved.take(crossing.rule, over, traits)
    return moved


def ended(held: Mapping[str, Held], rules: Mapping[str, AlarmRule], now_ns: int) -> Moved:
    """Alarms whose rule is gone, and suppressions that no rule declares any longer."""
    moved = Moved(held)
    for name, one in held.items():
        if name not in rules:
            end = AlarmTransition(
                name, AlarmAction.CLEARED, AlarmState.NORMAL, now_ns, one.value, comment="the rule was removed"
            )
            moved.put(end, Held())
        elif one.suppressed_ns is not None and rules[name].suppressed_by is None:
            moved.take(name, Step(AlarmAction.RELEASED, now_ns), traits_of(rules[name]))
    return moved


def record_of(rule: AlarmRule, one: Held) -> AlarmRecord:
    quiet = one.shelf or one.out
    return AlarmRecord(
        rule, one.state, one.value, one.raised_ns, one.cleared_ns, one.acknowledged_ns, one.acknowledged_by,
        one.comment, one.active, None if one.shelf is None else one.shelf.until_ns,
        one.shelf is not None and one.shelf.once, quiet.by if quiet else "", quiet.reason if quiet else "",
    )  # fmt: skip


def urgency(record: AlarmRecord) -> tuple[int, int, str]:
    return _RANK[record.rule.priority], -(record.raised_ns or 0), record.rule.name
