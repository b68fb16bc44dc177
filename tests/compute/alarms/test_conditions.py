"""Golden pairs: what goes into one rule, and the crossings that come out. Times in seconds of event time.

A step is `(time, value)`, `(time, value, "bad" | "uncertain")`, `("ref", time, value)` or `("tick", time)`; an
outcome is `+time` where the condition begins and `-time` where it ends.
"""

from typing import Any

import numpy as np
import pytest

from headrace.compute.alarms.engine import AlarmEngine
from headrace.model import quality as q
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS

BASE = 1_800_000_000 * SECOND_NS
QUALITY = {"good": q.GOOD, "bad": q.BAD_SENSOR_FAILURE, "uncertain": q.UNCERTAIN_SUB_NORMAL}
NAN, INF = float("nan"), float("inf")

GOLDEN: list[tuple[str, dict[str, Any], list[Any], list[str]]] = [
    ("high", {}, [(0, 74), (1, 75), (2, 75.1), (3, 80), (4, 75), (5, 76)], ["+2", "-4", "+5"]),
    ("high", {"hysteresis": 2}, [(0, 76), (1, 74), (2, 73.1), (3, 73), (4, 74), (5, 76)], ["+0", "-3", "+5"]),
    ("high", {"on": 5}, [(0, 80), (4, 80), (6, 80)], ["+5"]),
    ("high", {"on": 5}, [(0, 80), (4, 70), (5, 80), (9, 80)], []),
    ("high", {"on": 5}, [(0, 80), (5, 70)], ["+5", "-5"]),
    ("high", {"on": 5}, [(0, 80), ("tick", 4), ("tick", 5), ("tick", 6)], ["+5"]),
    ("high", {"off": 5}, [(0, 80), (1, 70), (4, 80), (5, 70), (9, 70), (11, 70)], ["+0", "-10"]),
    ("high", {"off": 5}, [(0, 80), (1, 70), ("tick", 60)], ["+0", "-6"]),
    ("high", {"on": 2, "off": 3}, [(0, 80), (10, 70), (20, 80)], ["+2", "-13"]),
    ("high", {"on": 2, "off": 3}, [(0, 80), (10, 70), (20, 80), ("tick", 30)], ["+2", "-13", "+22"]),
    ("high", {}, [(0, 80, "bad"), (1, 80, "uncertain"), (2, 70, "bad"), (3, 70, "uncertain")], ["+1", "-3"]),
    ("high", {}, [(0, 80), (1, NAN), (2, INF), (3, -INF)], ["+0", "-3"]),
    ("high", {"on": 5}, [(0, 80), (1, 0, "bad"), (2, 80), (3, 0, "bad"), (5, 80)], ["+5"]),
    ("high", {}, [(10, 70), (5, 80), (9, 80), (10, 80)], ["+10"]),
    ("high", {"on": 5}, [(0, 80), ("tick", 10), (3, 70), (11, 80)], ["+5", "-5", ]),
    ("low", {}, [(0, 76), (1, 75), (2, 74.9), (3, 75)], ["+2", "-3"]),
    ("low", {"hysteresis": 2}, [(0, 74), (1, 76), (2, 77), (3, 75)], ["+0", "-2"]),
    ("low", {"on": 1, "off": 1}, [(0, 70), (2, 80), (4, 80)], ["+1", "-3"]),
    ("equals", {"limit": 3}, [(0, 2), (1, 3), (2, 3), (3, 4)], ["+1", "-3"]),
    ("equals", {"limit": 1, "hysteresis": 9, "on": 2}, [(0, 1), (1, 1), (2, 1), (3, 0)], ["+2", "-3"]),
    ("rate", {"limit": 10}, [(0, 0), (1, 10), (2, 21), (4, 10), (5, 21), (6, 10)], ["+2", "-3.1", "+5"]),
    ("rate", {"limit": 10, "hysteresis": 5}, [(0, 0), (1, 11), (2, 17), (3, 22)], ["+1", "-3"]),
    ("rate", {"limit": 10}, [(0, 0), (0, 500), (1, 505), (2, 600)], ["+2"]),
    ("rate", {"limit": 10}, [(0, 0), (1, 100), ("tick", 5), ("tick", 10), ("tick", 11)], ["+1", "-11"]),
    ("rate", {"limit": 10, "off": 5}, [(0, 0), (1, 100), ("tick", 14), ("tick", 16)], ["+1", "-16"]),
    ("rate", {"limit": 10}, [(0, 0), (1, 100), (2, 200), ("tick", 10), ("tick", 12)], ["+1", "-12"]),
    ("rate", {"limit": 2}, [(0, 0), (5, 12), ("tick", 8), (10, 24), ("tick", 14), (15, 36)], ["+5"]),
    ("rate", {"limit": 10, "on": 2}, [(0, 0), (1, 20), (2, 40), (3, 60), (4, 61)], ["+3", "-4"]),
    ("rate", {"limit": 10}, [(0, 0), (1, 900, "bad"), (2, 10)], []),
    ("deviation", {"limit": 5}, [(0, 50), ("ref", 1, 10), (2, 14), ("ref", 3, 8), (4, 13)], ["+1", "-2", "+3", "-4"]),
    ("deviation", {"limit": 5}, [(0, 50), (1, 60)], []),
    ("deviation", {"limit": 5, "hysteresis": 2}, [(0, 0), ("ref", 0, 6), (1, 2), (2, 3)], ["+0", "-2"]),
    ("deviation", {"limit": 5, "hysteresis": 9}, [(0, 0), ("ref", 0, 6), (1, 5), (2, 6)], ["+0", "-2"]),
    ("deviation", {"limit": 5, "on": 2}, [(0, 0), ("ref", 1, 9), (2, 9), ("ref", 5, 20), ("ref", 6, 9)], []),
    ("stale", {"limit": 10}, [(0, 1), (10, 1), (20, 1), ("tick", 30), ("tick", 31), (35, 1)], ["+30", "-35"]),
    ("stale", {"limit": 10}, [(0, 1), (25, 1)], ["+10", "-25"]),
    ("stale", {"limit": 10}, [(0, 1), (5, 1, "bad"), (12, 1, "bad"), ("tick", 13)], ["+10"]),
    ("stale", {"limit": 10}, [(0, 1), (12, 1, "bad"), (14, 1, "uncertain"), (20, 1, "uncertain")], ["+10", "-14"]),
    ("stale", {"limit": 10, "on": 5}, [(0, 1), (12, 1), (28, 1)], ["+27", "-28"]),
    ("stale", {"limit": 10, "off": 5}, [(0, 1), (20, 1), (22, 1), (25, 1), (26, 1)], ["+10", "-25"]),
    ("stale", {"limit": 10, "off": 30}, [(0, 1), (20, 1), (40, 1), (50, 1), (60, 1), (70, 1)], ["+10", "-70"]),
    ("stale", {"limit": 10}, [("tick", 0), ("tick", 9), ("tick", 11), (12, 1)], ["+10", "-12"]),
    ("stale", {"limit": 10}, [("tick", 0), (5, NAN), ("tick", 11)], ["+10"]),
]  # fmt: skip


def batch_of(handle: int, time_s: float, value: Any, quality: str = "good", received_s: float | None = None) -> Batch:
    kind = {bool: ValueKind.BOOL, int: ValueKind.INT64, str: ValueKind.TEXT}.get(type(value), ValueKind.FLOAT64)
    received = None if received_s is None else BASE + round(received_s * SECOND_NS)
    column = np.array([value], kind.dtype)
    return Batch.of(kind, [handle], BASE + round(time_s * SECOND_NS), column, QUALITY[quality], received)


def rule_of(condition: str, limit: float = 75, hysteresis: float = 0, on: float = 0, off: float = 0) -> AlarmRule:
    return AlarmRule(
        "a/p:x",
        "a/p",
        AlarmCondition(condition),
        limit,
        hysteresis,
        round(on * SECOND_NS),
        round(off * SECOND_NS),
        reference="a/ref",
    )


def run(engine: AlarmEngine, steps: list[Any]) -> list[str]:
    crossings = []
    for step in steps:
        if step[0] == "tick":
            crossings += engine.tick(BASE + round(step[1] * SECOND_NS))
        elif step[0] == "ref":
            crossings += engine.take([batch_of(2, *step[1:])])
        else:
            crossings += engine.take([batch_of(1, *step)])
    return [f"{'+' if one.active else '-'}{(one.time_ns - BASE) / SECOND_NS:g}" for one in crossings]


def engine_for(rule: AlarmRule) -> AlarmEngine:
    engine = AlarmEngine()
    engine.configure({rule.name: rule}, {"a/p": 1, "a/ref": 2})
    return engine


@pytest.mark.parametrize(("condition", "settings", "steps", "expected"), GOLDEN)
def test_golden(condition: str, settings: dict[str, Any], steps: list[Any], expected: list[str]) -> None:
    assert run(engine_for(rule_of(condition, **settings)), steps) == expected


def test_every_condition_has_golden_pairs() -> None:
    of_one_point = {one.value for one in AlarmCondition if one is not AlarmCondition.EXPRESSION}  # see test_expressed
    assert {condition for condition, *_ in GOLDEN} == of_one_point


def test_each_crossing_reports_what_was_measured() -> None:
    def values(condition: str, limit: float, steps: list[Batch]) -> list[float | None]:
        engine = engine_for(rule_of(condition, limit))
        return [crossing.value for batch in steps for crossing in engine.take([batch])]

    assert values("high", 75, [batch_of(1, 0, 80.5), batch_of(1, 1, 12)]) == [80.5, 12.0]
    assert values("low", 75, [batch_of(1, 0, 7.0)]) == [7.0]
    assert values("rate", 10, [batch_of(1, 0, 0.0), batch_of(1, 2, -40.0)]) == [20.0]
    assert values("deviation", 1, [batch_of(1, 0, 0.0), batch_of(2, 0, 5.0)]) == [5.0]
    assert values("equals", 1, [batch_of(1, 0, True)]) == [1.0]
    assert values("stale", 1, [batch_of(1, 0, "on"), batch_of(1, 5, "off")]) == [None, None]


def test_text_counts_for_silence_and_for_nothing_else() -> None:
    assert run(engine_for(rule_of("stale", 10)), [(0, "a"), (8, "b"), (16, "c"), ("tick", 27)]) == ["+26"]
    assert run(engine_for(rule_of("high", 0)), [(0, "9")]) == []


def test_bools_and_ints_have_limits_too() -> None:
    assert run(engine_for(rule_of("equals", 1)), [(0, False), (1, True), (2, False)]) == ["+1", "-2"]
    assert run(engine_for(rule_of("high", 2)), [(0, 2), (1, 3)]) == ["+1"]


def test_a_device_with_a_slow_clock_waits_out_its_delays_like_any_other() -> None:
    engine = engine_for(rule_of("high", on=5))
    assert engine.take([batch_of(1, 0, 80.0, received_s=3600)]) == []
    assert engine.tick(BASE + 3604 * SECOND_NS) == []
    (crossing,) = engine.tick(BASE + 3605 * SECOND_NS)
    assert crossing.time_ns == BASE + 5 * SECOND_NS


def test_a_wild_clock_does_not_blind_a_rule() -> None:
    engine = engine_for(rule_of("high"))
    engine.take([batch_of(1, 100 * 365 * 86400, 70.0, received_s=1)])
    (crossing,) = engine.take([batch_of(1, 2, 80.0, received_s=2)])
    assert crossing.time_ns == BASE + 2 * SECOND_NS


def test_samples_of_one_take_are_put_in_order() -> None:
    engine = engine_for(rule_of("high", on=2))
    steps = [batch_of(1, 3, 80.0), batch_of(1, 0, 80.0), batch_of(1, 1, 70.0)]
    assert engine.take(steps) == []
    assert [crossing.time_ns for crossing in engine.tick(BASE + 9 * SECOND_NS)] == [BASE + 5 * SECOND_NS]


def test_two_points_that_jump_together_do_not_deviate() -> None:
    engine = engine_for(rule_of("deviation", 5))
    engine.take([batch_of(1, 0, 10.0), batch_of(2, 0, 10.0)])
    assert engine.take([batch_of(1, 1, 50.0), batch_of(2, 1, 50.0)]) == []


def test_new_limits_keep_the_state_and_are_judged_at_the_next_look() -> None:
    engine = engine_for(rule_of("high"))
    engine.take([batch_of(1, 0, 80.0)])
    relaxed = rule_of("high", 90)
    assert engine.configure({relaxed.name: relaxed}, {"a/p": 1}) == {relaxed.name}
    assert engine.configure({relaxed.name: relaxed}, {"a/p": 1}) == set()
    assert [crossing.active for crossing in engine.take([batch_of(1, 0, 80.0)])] == [False]


def test_configuring_the_same_again_changes_nothing() -> None:
    rule = rule_of("high", on=5)
    engine = engine_for(rule)
    engine.take([batch_of(1, 0, 80.0)])
    assert engine.configure({rule.name: rule}, {"a/p": 1, "a/ref": 2}) == set()
    assert len(engine.tick(BASE + 5 * SECOND_NS)) == 1


def test_a_rule_that_begins_active_is_not_raised_again() -> None:
    rule = rule_of("high")
    engine = AlarmEngine()
    engine.configure({rule.name: rule}, {"a/p": 1}, active={rule.name})
    assert run(engine, [(0, 80), (1, 90), (2, 70), (3, 80)]) == ["-2", "+3"]


def test_rules_without_a_point_do_no_harm() -> None:
    rule = rule_of("high")
    engine = AlarmEngine()
    engine.configure({rule.name: rule}, {})
    assert run(engine, [(0, 80), ("tick", 5)]) == []
    assert AlarmEngine().tick(0) == AlarmEngine().take([batch_of(1, 0, 1.0)]) == []
