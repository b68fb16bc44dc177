"""The life of one alarm against the diagram of ISA-18.2-2016 §5, pair by pair, and against plain words, at random."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.properties import examples

from headrace.compute.alarms.states import Held, Moved, OutOfService, Shelf, Step, Traits, move
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition

SHELF = Shelf(1, 9, "wang", "sensor is being changed")
OUT = OutOfService(1, "li", "overhaul")

#: One alarm in each state; of the quiet ones, one whose condition holds beneath and one whose does not.
STATES = {
    "normal": Held(),
    "unack-active": Held(AlarmState.UNACK_ACTIVE, active=True),
    "ack-active": Held(AlarmState.ACK_ACTIVE, active=True),
    "unack-cleared": Held(AlarmState.UNACK_CLEARED),
    "latched-unack": Held(AlarmState.LATCHED_UNACK, latched=True),
    "latched-ack": Held(AlarmState.LATCHED_ACK, latched=True),
    "shelved, active": Held(AlarmState.SHELVED, active=True, shelf=SHELF),
    "shelved": Held(AlarmState.SHELVED, shelf=SHELF),
    "suppressed, active": Held(AlarmState.SUPPRESSED, active=True, suppressed_ns=1),
    "suppressed": Held(AlarmState.SUPPRESSED, suppressed_ns=1),
    "out-of-service, active": Held(AlarmState.OUT_OF_SERVICE, active=True, out=OUT),
    "out-of-service": Held(AlarmState.OUT_OF_SERVICE, out=OUT),
}
#: `·`: nothing happens. In the order of AlarmAction.
ACTIONS = [
    "raised", "cleared", "acknowledged", "reset", "shelved", "unshelved", "suppressed", "released", "removed",
    "returned",
]  # fmt: skip
TABLE = """
normal                 | unack-active   | ·              | ·           | ·             | shelved        | ·            | suppressed     | ·            | out-of-service | ·
unack-active           | ·              | unack-cleared  | ack-active  | ·             | shelved        | ·            | suppressed     | ·            | out-of-service | ·
ack-active             | ·              | normal         | ·           | ·             | shelved        | ·            | suppressed     | ·            | out-of-service | ·
unack-cleared          | unack-active   | ·              | normal      | ·             | shelved        | ·            | suppressed     | ·            | out-of-service | ·
latched-unack          | unack-active   | ·              | latched-ack | unack-cleared | shelved        | ·            | suppressed     | ·            | out-of-service | ·
latched-ack            | unack-active   | ·              | ·           | normal        | shelved        | ·            | suppressed     | ·            | out-of-service | ·
shelved, active        | ·              | shelved        | ·           | ·             | shelved        | unack-active | suppressed     | ·            | out-of-service | ·
shelved                | shelved        | ·              | ·           | ·             | shelved        | normal       | suppressed     | ·            | out-of-service | ·
suppressed, active     | ·              | suppressed     | ·           | ·             | suppressed     | ·            | ·              | unack-active | out-of-service | ·
suppressed             | suppressed     | ·              | ·           | ·             | suppressed     | ·            | ·              | normal       | out-of-service | ·
out-of-service, active | ·              | out-of-service | ·           | ·             | ·              | ·            | out-of-service | ·            | ·              | unack-active
out-of-service         | out-of-service | ·              | ·           | ·             | ·              | ·            | out-of-service | ·            | ·              | normal
"""  # noqa: E501
PAIRS = [
    (name.strip(), action, result.strip())
    for line in TABLE.strip().splitlines()
    for name, *cells in [line.split("|")]
    for action, result in zip(ACTIONS, cells, strict=True)
]


def step(action: str, time_ns: int = 5) -> Step:
    return Step(AlarmAction(action), time_ns, 80.0, "wang", "", SHELF if action == "shelved" else None)


def test_the_table_is_whole() -> None:
    assert list(AlarmAction) == [*ACTIONS, "found", "passed"]  # these two are for the history alone
    assert {(name, action) for name, action, _ in PAIRS} == set(product(STATES, ACTIONS))
    assert {held.state for held in STATES.values()} == set(AlarmState)


@pytest.mark.parametrize(("name", "action", "result"), PAIRS)
def test_each_state_under_each_action(name: str, action: str, result: str) -> None:
    after = move(STATES[name], step(action))
    assert (None if after is None else after.state) == (None if result == "·" else AlarmState(result))


@pytest.mark.parametrize(
    ("before", "action", "result"),
    [
        ("unack-active", "cleared", "latched-unack"),
        ("ack-active", "cleared", "latched-ack"),
        ("latched-unack", "raised", "unack-active"),
        ("shelved, active", "unshelved", "unack-active"),
    ],
)
def test_a_latched_alarm_outlives_its_condition(before: str, action: str, result: str) -> None:
    after = move(STATES[before], step(action), Traits(latched=True))
    assert after is not None and after.state == result


@pytest.mark.parametrize(
    ("before", "action", "latched", "result"),
    [
        ("normal", "raised", False, "ack-active"),
        ("ack-active", "cleared", False, "normal"),
        ("ack-active", "cleared", True, "latched-ack"),
        ("unack-active", "cleared", False, "normal"),  # raised when its class still asked for it
        ("latched-unack", "reset", True, "normal"),
        ("suppressed, active", "released", False, "ack-active"),
    ],
)
def test_nobody_is_asked_to_acknowledge_where_the_class_does_not(
    before: str, action: str, latched: bool, result: str
) -> None:
    after = move(STATES[before], step(action), Traits(latched, acknowledge=False))
    assert after is not None and after.state == result


def test_a_latch_waits_beneath_and_what_only_happened_beneath_sets_none() -> None:
    latched = Traits(latched=True)
    moved = Moved({})
    for action in ("raised", "shelved", "cleared", "unshelved"):
        moved.take("a:b", step(action), latched)
    assert moved.now("a:b").state is AlarmState.LATCHED_UNACK
    moved = Moved({})
    for action in ("suppressed", "raised", "cleared", "released"):
        moved.take("a:b", step(action), latched)
    assert moved.become == {"a:b": None}
    moved = Moved({})
    for action in ("suppressed", "raised", "released", "shelved", "cleared", "unshelved"):  # told in between
        moved.take("a:b", step(action), latched)
    assert moved.now("a:b").state is AlarmState.LATCHED_UNACK


def test_what_is_told_anew() -> None:
    told = {
        (action, state)
        for action, state in product(AlarmAction, AlarmState)
        if AlarmTransition("a:b", action, state, 0, None).annunciates
    }
    anew = (AlarmAction.RAISED, AlarmAction.UNSHELVED, AlarmAction.RELEASED, AlarmAction.RETURNED)
    assert told == set(product(anew, (AlarmState.UNACK_ACTIVE, AlarmState.ACK_ACTIVE)))


def test_as_events_raised_is_what_people_are_told() -> None:
    def kind(action: str, state: str) -> str:
        return AlarmTransition("a:b", AlarmAction(action), AlarmState(state), 0, None).event

    assert kind("raised", "unack-active") == kind("unshelved", "unack-active") == "alarm.raised"
    assert kind("raised", "shelved") == kind("cleared", "suppressed") == "alarm.beneath"
    assert kind("cleared", "normal") == "alarm.cleared" and kind("unshelved", "normal") == "alarm.unshelved"
    assert kind("removed", "out-of-service") == "alarm.removed"


class Life(RuleBasedStateMachine):
    """The same steps told in plain words, with a flag for everything that may be so."""

    @initialize(latched=st.booleans(), asks=st.booleans())
    def begin(self, latched: bool, asks: bool) -> None:
        self.traits = Traits(latched, asks)
        self.moved = Moved({})
        self.holds = self.seen = self.owed = self.latch = False
        self.shelf = self.design = self.out = False
        self.steps = 0

    def take(self, action: str, happens: bool) -> None:
        made = len(self.moved.made)
        self.steps += 1
        assert self.moved.take("a:b", step(action, self.steps), self.traits) == happens
        assert len(self.moved.made) == made + happens

    @property
    def quiet(self) -> bool:
        return self.shelf or self.design or self.out

    def annunciate(self) -> None:
        self.owed, self.latch = self.traits.acknowledge, self.latch or self.traits.latched

    @rule()
    def condition_begins(self) -> None:
        self.take("raised", not self.holds)
        if not self.holds:
            self.holds = True
            if not self.quiet:
                self.annunciate()

    @rule()
    def condition_ends(self) -> None:
        self.take("cleared", self.holds)
        self.holds = False

    @rule()
    def person_acknowledges(self) -> None:
        self.take("acknowledged", self.owed and not self.quiet)
        if not self.quiet:
            self.owed = False

    @rule()
    def person_resets(self) -> None:
        possible = self.latch and not self.holds and not self.quiet
        self.take("reset", possible)
        if possible:
            self.latch = False

    @rule()
    def person_shelves(self) -> None:
        self.take("shelved", not self.out)
        if not self.out:
            self.shelf = True

    @rule()
    def machine_stops(self) -> None:
        self.take("suppressed", not self.design)
        self.design = True

    @rule()
    def taken_out(self) -> None:
        self.take("removed", not self.out)
        self.out = True

    def ends(self, action: str, stood: bool, reason: str) -> None:
        self.take(action, stood)
        was_quiet = self.quiet
        setattr(self, reason, False)
        if was_quiet and not self.quiet:
            self.owed = False
            if self.holds:
                self.latch = False
                self.annunciate()
            elif self.latch:
                self.owed = self.traits.acknowledge

    @rule()
    def unshelved(self) -> None:
        self.ends("unshelved", self.shelf, "shelf")

    @rule()
    def machine_starts(self) -> None:
        self.ends("released", self.design, "design")

    @rule()
    def put_back(self) -> None:
        self.ends("returned", self.out, "out")

    @invariant()
    def shown(self) -> None:
        if not hasattr(self, "moved"):
            return
        if self.out:
            expected = "out-of-service"
        elif self.design:
            expected = "suppressed"
        elif self.shelf:
            expected = "shelved"
        elif self.holds:
            expected = "unack-active" if self.owed else "ack-active"
        elif self.latch:
            expected = "latched-unack" if self.owed else "latched-ack"
        else:
            expected = "unack-cleared" if self.owed else "normal"
        held = self.moved.now("a:b")
        assert (held.state, held.active) == (expected, self.holds)
        assert (held.shelf is not None, held.suppressed_ns is not None, held.out is not None) == (
            self.shelf,
            self.design,
            self.out,
        )


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=examples(300), stateful_step_count=40, deadline=None)
