"""A case: one alarm that somebody is to be told of, from its annunciation until a person has it or it is over. Pure.

    annunciated ─► open ──due──► told, step by step, and again ──► acknowledged ─► kept till it clears ─► gone
                    │ its root waits for somebody, too         └─► cleared: rests; raised anew, it goes on
                    └─► folded under that, and on its own again where that ends before it
    shelved, suppressed, out of service, rule or notification gone ─► gone, and nobody hears more

Two clocks: `raised_ns` and what people read is event time; when to tell is by our own clock, for a person's patience
does not run in event time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from headrace.model.alarms import AFTERWARDS, AlarmAction, AlarmRule, AlarmState, AlarmTransition
from headrace.model.notifications import Notification, as_urgent
from headrace.model.time import SECOND_NS

#: What belongs together comes together: so long the first telling waits for consequences.
GATHER_NS: Final = 2 * SECOND_NS
CASES_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Case:
    """`due_ns`: when the next step is, by our clock; None where none is. `under` is the case that it is folded under.

    `told` are the contacts whom a message has reached, each with the channel that did; `over_told` says that they know
    that it cleared.
    """

    key: str
    notification: str
    rule: str
    point: str
    raised_ns: int
    value: float | None
    opened_ns: int
    due_ns: int | None
    step: int = 0
    repeats: int = 0
    first_told_ns: int | None = None
    active: bool = True
    acknowledged: bool = False
    under: str = ""
    told: tuple[tuple[str, str], ...] = ()
    over_told: bool = False

    @property
    def waits(self) -> bool:
        """Whether somebody still has to be found for it."""
        return self.active and not self.acknowledged


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that those who were told may want to know: `case` as it was when it happened."""

    case: Case
    step: AlarmTransition


@dataclass(frozen=True, slots=True)
class Numbered:
    """A transition by its place in the journal."""

    sequence: int
    step: AlarmTransition


class Followed:
    """Cases as transitions move them. `changed` has what they have become, None for gone."""

    def __init__(self, cases: Mapping[str, Case]) -> None:
        self._by_rule: dict[str, dict[str, Case]] = {}
        self._count = len(cases)
        for case in cases.values():
            self._by_rule.setdefault(case.rule, {})[case.notification] = case
        self._waiting = [case for case in cases.values() if case.first_told_ns is None and case.due_ns is not None]
        self.changed: dict[str, Case | None] = {}
        self.endings: list[Ending] = []
        self.lost = 0  # annunciations for which there was no room

    def take(
        self, numbered: Numbered, rules: Mapping[str, AlarmRule], told_by: Iterable[Notification], now_ns: int
    ) -> None:
        """`told_by` are the notifications that the alarm's owner declared."""
        if numbered.step.action in AFTERWARDS:
            return
        step, held = numbered.step, self._by_rule.get(numbered.step.rule, {})
        if step.annunciates:
            rule = rules.get(step.rule)
            for one in told_by if rule is not None else ():
                assert rule is not None
                known = held.get(one.name)
                if known is not None and not known.acknowledged:
                    self._become(known, replace(known, active=True, value=step.value))
                elif one.enabled and one.alarms.takes(rule):
                    self._open(known, rule, numbered, one, now_ns)
            return
        for case in list(held.values()):
            after = _moved(case, step)
            if case.told and _is_end(case, step):
                self.endings.append(Ending(case, step))
            if after != case:
                self._become(case, after)

    def _open(
        self, known: Case | None, rule: AlarmRule, numbered: Numbered, one: Notification, now_ns: int
    ) -> None:  # fmt: skip
        if known is not None:
            self._become(known, None)
        if self._count >= CASES_MAX:
            self.lost += 1
            return
        self._count += 1
        case = Case(
            f"{one.name}|{numbered.sequence}", one.name, rule.name, rule.point, numbered.step.time_ns,
            numbered.step.value, now_ns, first_due_ns(one, rule, now_ns, self._waiting),
        )  # fmt: skip
        self._waiting.append(case)
        self._by_rule.setdefault(rule.name, {})[one.name] = case
        self.changed[case.key] = case

    def _become(self, case: Case, after: Case | None) -> None:
        self.changed[case.key] = after
        if after is None:
            self._count -= 1
            self._by_rule[case.rule].pop(case.notification, None)
        else:
            self._by_rule[case.rule][case.notification] = after


def first_due_ns(one: Notification, rule: AlarmRule, now_ns: int, waiting: Sequence[Case]) -> int:
    """After its first step's time; what is gathered goes with the first that waits."""
    due_ns = now_ns + max(one.steps[0].after_ns, GATHER_NS)
    if not one.digest_ns or not gathered(one, rule):
        return due_ns
    others = [case.due_ns for case in waiting if case.notification == one.name and case.due_ns is not None]
    later = [other for other in others if other > due_ns]
    return min(later) if later else now_ns + max(one.digest_ns, one.steps[0].after_ns)


def gathered(one: Notification, rule: AlarmRule) -> bool:
    """Whether an alarm can wait for others."""
    return bool(one.digest_ns) and (rule.priority is one.digest_up_to or not as_urgent(rule.priority, one.digest_up_to))


def stepped(case: Case, one: Notification, now_ns: int, *, acknowledgeable: bool = True) -> Case:
    """After its present step was told. Steps count from the first telling, so that who waits in quiet hours is not
    told by all steps at once."""
    first_ns = now_ns if case.first_told_ns is None else case.first_told_ns
    told = replace(case, first_told_ns=first_ns)
    if not acknowledgeable:  # nobody can say that they have it: once is all there is
        return replace(told, due_ns=None)
    if case.step + 1 < len(one.steps):
        after_ns = one.steps[case.step + 1].after_ns - one.steps[0].after_ns
        return replace(told, step=case.step + 1, due_ns=max(first_ns + after_ns, now_ns))
    if one.repeat_ns and case.repeats < one.repeats:
        return replace(told, repeats=case.repeats + 1, due_ns=now_ns + one.repeat_ns)
    return replace(told, due_ns=None)


def told_also(case: Case, people: Iterable[str], channel: str) -> tuple[tuple[str, str], ...]:
    """Who was told by what, the newest where somebody was told twice."""
    return tuple({**dict(case.told), **dict.fromkeys(people, channel)}.items())


def _moved(case: Case, step: AlarmTransition) -> Case | None:
    if step.state.quiet or step.state is AlarmState.NORMAL:
        return None
    if step.action is AlarmAction.ACKNOWLEDGED:
        return replace(case, acknowledged=True, due_ns=None)
    if step.action is AlarmAction.CLEARED:
        return replace(case, active=False, over_told=True)
    return case


def _is_end(case: Case, step: AlarmTransition) -> bool:
    if step.state.quiet:
        return False
    if step.action is AlarmAction.ACKNOWLEDGED:
        return not case.acknowledged
    return step.action is AlarmAction.CLEARED and not case.over_told
