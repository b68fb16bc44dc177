"""Suppression by design is judged by the same samples, in the same event time, as the condition that it hides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compute.alarms.test_conditions import BASE, batch_of, rule_of
from tests.compute.alarms.test_engine import HANDLES, POINTS, Sample, batches_of, some_steps
from tests.properties import examples

from headrace.compute.alarms.engine import AlarmEngine
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS


def off(time_s: float, value: bool, quality: str = "good") -> Batch:
    return batch_of(3, time_s, value, quality)


def value(time_s: float, number: float) -> Batch:
    return batch_of(1, time_s, number)


def run(steps: list[list[Batch] | float], release_s: float = 0, **settings: Any) -> list[str]:
    rule = replace(rule_of("high", **settings), suppressed_by="a/off", release_delay_ns=round(release_s * SECOND_NS))
    engine = AlarmEngine()
    engine.configure({rule.name: rule}, {"a/p": 1, "a/off": 3})
    crossings = []
    for one in steps:
        crossings += engine.take(one) if isinstance(one, list) else engine.tick(BASE + round(one * SECOND_NS))
    assert {crossing.rule for crossing in crossings} <= {rule.name}
    sign = {(False, True): "+", (False, False): "-", (True, True): "hide", (True, False): "show"}
    return [f"{sign[c.by_design, c.active]}{(c.time_ns - BASE) / SECOND_NS:g}" for c in crossings]


GOLDEN: list[tuple[str, dict[str, Any], list[list[Batch] | float], list[str]]] = [
    ("it hides and shows", {}, [[off(0, False)], [off(1, True)], [value(2, 80)], [off(3, False)]],
     ["hide1", "+2", "show3"]),
    ("all at one moment: hidden first, shown last", {},
     [[value(1, 80), off(1, True)], [off(2, False), value(2, 70)]], ["hide1", "+1", "-2", "show2"]),
    ("a starting machine has its time", {"release_s": 10},
     [[off(0, True), value(0, 80)], [off(5, False)], [value(9, 70)], 14.0, 15.0], ["hide0", "+0", "-9", "show15"]),
    ("stopped again before it was over", {"release_s": 10}, [[off(0, True)], [off(5, False)], [off(9, True)], 60.0],
     ["hide0"]),
    ("what cannot be known hides nothing", {}, [[off(0, True)], [off(1, True, "bad")], [off(2, True)]],
     ["hide0", "show1", "hide2"]),
    ("never bad to begin with", {}, [[off(0, True, "bad")], [value(1, 80)]], ["+1"]),
    ("uncertain is not bad", {}, [[off(0, True, "uncertain")]], ["hide0"]),
    ("a late sample shows nothing", {}, [[off(5, True)], [off(3, False)]], ["hide5"]),
    ("a backlog is judged in its own order", {},
     [[value(1, 80), value(4, 70), value(6, 80), off(0, True), off(5, False)]], ["hide0", "+1", "-4", "show5", "+6"]),
    ("a blink of no time is none", {}, [[off(0, True)], [off(1, False), off(1, True)], [off(2, False)]],
     ["hide0", "show2"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "how", "steps", "expected"), GOLDEN, ids=[one[0] for one in GOLDEN])
def test_golden(name: str, how: dict[str, Any], steps: list[list[Batch] | float], expected: list[str]) -> None:
    assert run(steps, **how) == expected


def test_what_is_suppressed_begins_so_after_a_restart_and_is_told_only_when_it_ends() -> None:
    rule = replace(rule_of("high"), suppressed_by="a/off")
    engine = AlarmEngine()
    engine.configure({rule.name: rule}, {"a/p": 1, "a/off": 3}, {rule.name}, {rule.name})
    assert engine.take([off(0, True), value(0, 80)]) == []
    (shown,) = engine.take([off(1, False), value(1, 81)])
    assert (shown.by_design, shown.active, shown.time_ns) == (True, False, BASE + SECOND_NS)


@settings(max_examples=examples(200), deadline=None)
@given(some_steps(disorder=True), st.sampled_from([0, 1, 3, 7]), st.integers(1, POINTS - 1))
def test_it_is_what_a_rule_of_its_own_would_say(steps: list[list[Sample] | int], release_s: int, point: int) -> None:
    """An EQUALS rule on the same samples, where a bad one stands for false."""
    ordinary = AlarmRule("p0:x", "p0", AlarmCondition.HIGH, 4)
    hidden = replace(ordinary, suppressed_by=f"p{point}", release_delay_ns=release_s * SECOND_NS)
    twin = AlarmRule("twin", f"p{point}", AlarmCondition.EQUALS, 1, off_delay_ns=release_s * SECOND_NS)
    ours, theirs, plain = AlarmEngine(), AlarmEngine(), AlarmEngine()
    ours.configure({hidden.name: hidden}, HANDLES)
    theirs.configure({twin.name: twin}, HANDLES)
    plain.configure({ordinary.name: ordinary}, HANDLES)
    by_design, alone, conditions, unhidden = [], [], [], []
    for step in steps:
        if isinstance(step, int):
            now_ns = BASE + step * SECOND_NS
            made, said, told = ours.tick(now_ns), theirs.tick(now_ns), plain.tick(now_ns)
        else:
            known = [replace(one, value=0.0, bad=False) if one.bad else one for one in step]
            made, said, told = ours.take(batches_of(step)), theirs.take(batches_of(known)), plain.take(batches_of(step))
        by_design += [(one.time_ns, one.active) for one in made if one.by_design]
        conditions += [one for one in made if not one.by_design]
        alone += [(one.time_ns, one.active) for one in said]
        unhidden += told
    assert conditions == unhidden
    assert settled(by_design) == settled(alone)


def settled(crossings: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Without what begins and ends within one moment."""
    left: list[tuple[int, bool]] = []
    for one in crossings:
        if left and left[-1][0] == one[0]:
            left.pop()
        else:
            left.append(one)
    return left


def test_text_suppresses_nothing() -> None:
    rule = replace(rule_of("high"), suppressed_by="a/off")
    engine = AlarmEngine()
    engine.configure({rule.name: rule}, {"a/p": 1, "a/off": 3})
    assert engine.take([Batch.of(ValueKind.TEXT, [3], BASE, ["1"])]) == []
