"""The figures of ISA-18.2 §16, by small journals worked out by hand and floods against a slow count."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.compute.alarms.kpis import EARLIER_NS, Steps, floods_of, measure
from headrace.compute.alarms.states import Held
from headrace.model.alarm_kpis import AlarmKpis, Flood, Offender, Response, Standing
from headrace.model.alarms import AlarmCondition, AlarmRule, AlarmState, Priority
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

START = 1_800_000_000 * SECOND_NS
#: What a step leads to, where a test does not say.
STATES = {"raised": "unack-active", "cleared": "unack-cleared", "acknowledged": "ack-active"}

Row = tuple[str, str, str, int]


def row(time_s: float, rule: str, action: str = "raised", state: str | None = None) -> Row:
    return rule, action, state or STATES.get(action, action), START + round(time_s * SECOND_NS)


def kpis(rows: list[Row], hours: float = 1, **more: Any) -> AlarmKpis:
    rows = sorted(rows, key=lambda one: one[3])
    first_ns = more.pop("first_ns", START - 2 * EARLIER_NS)
    rules = {
        f"a/p:{name}": AlarmRule(f"a/p:{name}", "a/p", AlarmCondition.HIGH, 1, priority=priority)
        for name, priority in (("x", Priority.LOW), ("y", Priority.HIGH))
    }
    steps = Steps.of(rows, first_ns)
    return measure(steps, rules, more.pop("held", {}), START, START + round(hours * HOUR_NS), **more)


def test_rates_are_of_operators_and_of_the_time_that_the_journal_has() -> None:
    rows = [row(60 * n, "a/p:x") for n in range(12)]
    whole = kpis(rows, hours=2, operators=2)
    assert (whole.annunciated, whole.per_operator_hour, whole.per_operator_window) == (12, 3.0, 0.5)
    late = kpis([row(3600 + 60 * n, "a/p:x") for n in range(12)], hours=2, first_ns=START + HOUR_NS)
    assert (late.covered_ns, late.per_operator_hour) == (HOUR_NS, 12.0)
    nothing = kpis([], first_ns=None)
    assert (nothing.covered_ns, nothing.annunciated, nothing.per_operator_hour, nothing.peak_window) == (0, 0, 0.0, 0)


def test_only_what_people_are_told_counts() -> None:
    rows = [
        row(0, "a/p:x", "raised", "shelved"),
        row(1, "a/p:x", "cleared", "shelved"),
        row(2, "a/p:x", "unshelved", "normal"),
        row(3, "a/p:y", "suppressed"),
        row(4, "a/p:y", "raised", "suppressed"),
        row(5, "a/p:y", "released", "unack-active"),
        row(6, "a/p:z", "raised", "ack-active"),
        row(7, "a/p:z", "removed", "out-of-service"),
        row(8, "a/p:x", "shelved"),
    ]
    told = kpis(rows)
    assert (told.transitions, told.annunciated) == (9, 2)
    assert (told.shelved, told.suppressed, told.out_of_service) == (1, 1, 1)
    assert (told.priorities[Priority.HIGH], told.unknown_priority, told.never_acknowledged) == (1, 1, 1)


def test_what_was_before_the_stretch_is_known_and_not_counted() -> None:
    rows = [row(-60, "a/p:x"), row(30, "a/p:x", "acknowledged")]
    told = kpis(rows)
    assert (told.annunciated, told.transitions, told.never_acknowledged) == (0, 1, 0)
    assert told.acknowledged == Response(1, 90.0, 90.0, 90.0, 90.0)


def test_how_long_people_take() -> None:
    rows = [row(100 * n, "a/p:x") for n in range(5)]
    rows += [row(100 * n + 10 * (n + 1), "a/p:x", "acknowledged") for n in range(3)]
    rows += [row(330, "a/p:y"), row(350, "a/p:y", "cleared"), row(370, "a/p:y", "acknowledged", "normal")]
    told = kpis(rows)
    assert told.acknowledged == Response(4, 25.0, 25.0, 37.0, 40.0)
    assert told.never_acknowledged == 2


def test_chattering_fleeting_and_the_worst() -> None:
    rows: list[Row] = []
    for n in range(3):
        rows += [row(20 * n, "a/p:x"), row(20 * n + 15, "a/p:x", "cleared")]
        rows += [row(30 * n, "a/p:y"), row(30 * n + 9, "a/p:y", "cleared")]
    rows += [row(100, "a/p:z"), row(104, "a/p:z", "acknowledged"), row(105, "a/p:z", "cleared", "normal")]
    told = kpis(rows)
    assert told.chattering == [Offender("a/p:x", 3, 1.0)]
    assert told.fleeting == [Offender("a/p:y", 3, 1.0)]
    assert [(one.rule, one.count) for one in told.top] == [("a/p:x", 3), ("a/p:y", 3), ("a/p:z", 1)]
    many = kpis([row(n, f"a/p:{n % 12:02}") for n in range(36)])
    assert (len(many.top), round(many.top_share, 6)) == (10, round(30 / 36, 6))


def test_what_stands_longer_than_a_day() -> None:
    rows = [
        row(-DAY_NS / SECOND_NS + 1, "a/p:x"),
        row(600, "a/p:x", "cleared"),
        row(700, "a/p:y", "cleared"),
        row(-60, "a/p:z"),
        row(60, "a/p:z", "cleared"),
    ]
    old, new = START - 5 * DAY_NS, START
    held = {
        "a/p:old": Held(AlarmState.ACK_ACTIVE, 1.0, old, active=True),
        "a/p:new": Held(AlarmState.ACK_ACTIVE, 1.0, new, active=True),
        "a/p:quiet": Held(AlarmState.SHELVED, 1.0, old, active=True),
    }
    told = kpis(rows, held=held)
    assert told.stale == [
        Standing("a/p:y", None, START + 700 * SECOND_NS),
        Standing("a/p:old", old, None),
        Standing("a/p:x", START - DAY_NS + SECOND_NS, START + 600 * SECOND_NS),
    ]
    assert told.shelved_now == 1
    assert "a/p:y" not in {one.rule for one in kpis(rows, first_ns=START - HOUR_NS).stale}


def test_a_flood_begins_at_ten_in_ten_minutes_and_ends_below_five() -> None:
    rows = [row(30 * n, f"a/p:{n}") for n in range(12)]
    told = kpis(rows)
    # The seventh of twelve leaves four at 30 × 7 + 600 s.
    assert told.floods == [Flood(START + 270 * SECOND_NS, START + 810 * SECOND_NS, 3, 12)]
    assert (told.peak_window, told.peak_window_ns) == (12, START)
    assert told.flood_share == 540 / 3600
    assert kpis(rows[:9]).floods == []
    (goes_on,) = kpis(rows, hours=0.2).floods
    assert goes_on.end_ns is None


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.integers(0, 4_000), max_size=80), st.integers(4_000, 5_000))
def test_floods_are_what_a_slow_count_says(seconds: list[int], now_s: int) -> None:
    times = np.sort(np.array(seconds, np.int64))
    told = floods_of(times * SECOND_NS, now_s * SECOND_NS)
    slow, begun = [], None
    for second in range(6_000):
        count = int(((times > second - 600) & (times <= second)).sum())
        if begun is None and count >= 10 and second in times:
            begun = second
        elif begun is not None and count < 5:
            slow.append((begun, second if second <= now_s else None))
            begun = None
    assert [
        (one.start_ns // SECOND_NS, None if one.end_ns is None else one.end_ns // SECOND_NS) for one in told
    ] == slow
    assert all(one.peak >= 10 and one.annunciated >= 1 for one in told)


def test_a_long_journal_is_read_whole() -> None:
    rows = [row(n / 10, f"a/p:{n % 500}", "raised" if n % 2 else "cleared") for n in range(10_000)]
    told = kpis(rows)
    assert (told.transitions, told.annunciated) == (10_000, 5_000)
    assert told.floods and told.windows_in_excess > 0 and told.covered_ns > MINUTE_NS
