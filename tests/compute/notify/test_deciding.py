"""Whatever happens to alarms: nobody is told twice or of what somebody has, and everybody is told in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compute.notify.works import START, notification, rule
from tests.properties import examples

from headrace.compute.notify.cases import GATHER_NS, Case, Followed, Numbered
from headrace.compute.notify.deciding import FLOOD_EVERY_NS, TOGETHER, Kind, Telling, World, decide
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition, Priority
from headrace.model.notifications import Notification, Step
from headrace.model.time import MINUTE_NS, SECOND_NS

RULES = [rule(f"r{at}", f"works/line-{at}/press", list(Priority)[at % 4]) for at in range(8)]
BY_NAME = {one.name: one for one in RULES}
STEPS = (Step(0), Step(5 * MINUTE_NS), Step(20 * MINUTE_NS))
TICK_NS = 20 * SECOND_NS

#: The life of an alarm as far as people are told of it: what may happen, and what it is then.
MOVES = {
    AlarmState.NORMAL: [(AlarmAction.RAISED, AlarmState.UNACK_ACTIVE)],
    AlarmState.UNACK_ACTIVE: [
        (AlarmAction.CLEARED, AlarmState.UNACK_CLEARED),
        (AlarmAction.ACKNOWLEDGED, AlarmState.ACK_ACTIVE),
        (AlarmAction.SHELVED, AlarmState.SHELVED),
    ],
    AlarmState.UNACK_CLEARED: [
        (AlarmAction.RAISED, AlarmState.UNACK_ACTIVE),
        (AlarmAction.ACKNOWLEDGED, AlarmState.NORMAL),
    ],
    AlarmState.ACK_ACTIVE: [(AlarmAction.CLEARED, AlarmState.NORMAL), (AlarmAction.SHELVED, AlarmState.SHELVED)],
    AlarmState.SHELVED: [(AlarmAction.UNSHELVED, AlarmState.UNACK_ACTIVE), (AlarmAction.CLEARED, AlarmState.SHELVED)],
}


@dataclass
class Run:
    one: Notification
    now_ns: int = START
    sequence: int = 0
    cases: dict[str, Case] = field(default_factory=dict)
    states: dict[str, AlarmState] = field(default_factory=dict)
    told: list[tuple[int, Telling]] = field(default_factory=list)
    flooded: frozenset[str] = frozenset()
    floods: dict[str, int] = field(default_factory=dict)

    def move(self, name: str, which: int) -> None:
        before = self.states.get(name, AlarmState.NORMAL)
        action, after = MOVES[before][which % len(MOVES[before])]
        self.states[name] = after
        self.sequence += 1
        followed = Followed(self.cases)
        step = AlarmTransition(name, action, after, self.now_ns, 1.0)
        followed.take(Numbered(self.sequence, step), BY_NAME, [self.one], self.now_ns)
        for key, case in followed.changed.items():
            if case is None:
                del self.cases[key]
            else:
                self.cases[key] = case

    def tick(self) -> None:
        self.now_ns += TICK_NS
        world = World(self.now_ns, BY_NAME, {}, self.flooded, self.floods)
        decided = decide(self.cases, {self.one.name: self.one}, world)
        for telling in decided.tellings:
            for case in telling.cases:
                assert self.cases[case.key].waits and self.states[case.rule] is AlarmState.UNACK_ACTIVE
            if telling.kind is Kind.FLOOD:
                self.floods[self.one.name] = self.now_ns
            self.told.append((self.now_ns, telling))
        self.cases.update(decided.changed)


events = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 7), st.integers(0, 2))), max_size=120)


def lived(what: list[Any], **said: Any) -> Run:
    run = Run(notification(steps=STEPS, **said))
    for event in what:
        if event is None:
            run.tick()
        else:
            run.move(RULES[event[0]].name, event[1])
    return run


@settings(max_examples=examples(150), deadline=None)
@given(events, st.booleans())
def test_nobody_is_told_the_same_twice(what: list[Any], repeats: bool) -> None:
    run = lived(what, repeat_ns=2 * MINUTE_NS if repeats else 0, repeats=2)
    for _ in range(200):
        run.tick()
    said = [(case.key, case.step, case.repeats) for _, telling in run.told for case in telling.cases]
    assert len(said) == len(set(said))
    keys = [telling.key for _, telling in run.told]
    assert len(keys) == len(set(keys))
    steps = len(STEPS) + (2 if repeats else 0)
    for case in run.cases.values():
        if case.waits:  # and by now everybody was told of what still waits
            assert sum(key == case.key for key, _, _ in said) == steps


@settings(max_examples=examples(150), deadline=None)
@given(events)
def test_a_step_comes_no_earlier_than_declared_and_in_order(what: list[Any]) -> None:
    run = lived(what)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at_ns, telling in run.told:
        for case in telling.cases:
            first.setdefault(case.key, at_ns)
            assert at_ns - first[case.key] >= STEPS[telling.step].after_ns
            assert telling.step == last.get(case.key, -1) + 1
            last[case.key] = telling.step
            assert at_ns >= case.opened_ns + GATHER_NS


@settings(max_examples=examples(150), deadline=None)
@given(events, st.sampled_from(list(Priority)))
def test_a_digest_makes_few_messages_and_none_too_late(what: list[Any], up_to: Priority) -> None:
    window_ns = 10 * MINUTE_NS
    run = lived(what, digest_ns=window_ns, digest_up_to=up_to)
    for _ in range(60):
        run.tick()
    rank = list(Priority).index
    gathered = [
        at_ns
        for at_ns, telling in run.told
        if telling.kind is Kind.RAISED and rank(BY_NAME[telling.cases[0].rule].priority) >= rank(up_to)
    ]
    assert len(gathered) == len(set(gathered)), "one message of all that waited"
    for case in run.cases.values():
        assert not case.waits or case.first_told_ns is not None


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=8, unique=True))
def test_what_comes_within_a_window_goes_with_the_first(ticks: list[int]) -> None:
    window_ns = 10 * MINUTE_NS
    run, due = Run(notification(steps=STEPS, digest_ns=window_ns, digest_up_to=Priority.CRITICAL)), dict[int, int]()
    for at in range(max(ticks) + 60):
        if at in ticks:
            run.move(RULES[ticks.index(at)].name, 0)
            due[at] = next((end for end in due.values() if end > run.now_ns), run.now_ns + window_ns)
        run.tick()
    first = {at_ns: len(telling.cases) for at_ns, telling in run.told if telling.step == 0}
    expected = {end: list(due.values()).count(end) for end in due.values()}
    assert first == expected


@settings(max_examples=examples(100), deadline=None)
@given(events)
def test_a_flood_is_told_once_in_ten_minutes(what: list[Any]) -> None:
    run = Run(notification(steps=STEPS), flooded=frozenset({"all"}))
    for event in what:
        if event is None:
            run.tick()
        else:
            run.move(RULES[event[0]].name, event[1])
    first = [(at_ns, telling) for at_ns, telling in run.told if telling.step == 0]
    assert all(telling.kind is Kind.FLOOD for _, telling in first)
    times = [at_ns for at_ns, _ in first]
    assert all(b - a >= FLOOD_EVERY_NS for a, b in pairwise(times))


def test_more_at_once_than_a_person_reads_are_one() -> None:
    for count in (1, TOGETHER, TOGETHER + 1, 8):
        run = Run(notification(steps=STEPS))
        for one in RULES[:count]:
            run.move(one.name, 0)
        run.tick()
        assert len(run.told) == (count if count <= TOGETHER else 1)
