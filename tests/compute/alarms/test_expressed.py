"""Alarms whose condition is an expression: as good as any other, over all of the plant, with time in it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.compute.points.plant import T0, Plant, S

from headrace.compute.alarms.engine import AlarmEngine
from headrace.model.alarms import AlarmCondition

PLANT = """\
types:
  press:
    points:
      oil: {unit: Cel, address: {table: holding, address: 2}}
      coolant: {unit: Cel, address: {table: holding, address: 4}}
      running: {type: bool, address: {table: coil, address: 2}}
    alarms:
      oil:far: {when: "running and oil - coolant > 15[K]", on_delay: 5s, priority: high}
      oil:twice: {when: "times(held(oil > 80, 30s), 10min) >= 2"}
      oil:gone: {when: "age(oil) > 60[s]", suppressed_by: running}
      oil:odd: {when: "nelson(oil, 60[Cel], 20[K]) > 0"}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
alarms:
  a/p2/oil:apart: {when: "abs(oil - `../p1/oil`) > 5[K]"}
"""


class Watch:
    def __init__(self, text: str = PLANT) -> None:
        self.plant = Plant(text)
        self.engine = AlarmEngine()
        self.engine.configure(self.plant.model.alarms, self.plant.handles)

    def take(self, *samples: tuple[str, float, Any]) -> list[str]:
        return self.told(self.engine.take(self.plant.batch(samples)))

    def tick(self, second: float) -> list[str]:
        return self.told(self.engine.tick(T0 + round(second * S)))

    def told(self, crossings: list[Any]) -> list[str]:
        return [
            f"{'+' if one.active else '-'}{one.rule} {(one.time_ns - T0) / S:g}"
            for one in crossings
            if not one.by_design
        ]


def test_it_is_a_rule_like_others() -> None:
    rule = Plant(PLANT).model.alarms["a/p1/oil:far"]
    assert (rule.condition, rule.expression) == (AlarmCondition.EXPRESSION, "running and oil - coolant > 15[K]")
    assert rule.watches == {"a/p1/oil", "a/p1/coolant", "a/p1/running"}
    watch = Watch()
    assert watch.take(("a/p1/oil", 0, 70.0), ("a/p1/coolant", 0, 50.0)) == []
    assert watch.take(("a/p1/running", 1, True)) == []
    assert watch.tick(7) == ["+a/p1/oil:far 6"]
    assert watch.take(("a/p1/oil", 8, 60.0)) == ["-a/p1/oil:far 8"]


def test_it_tells_no_value_and_does_not_count_what_is_bad() -> None:
    watch = Watch()
    crossings = watch.engine.take(watch.plant.batch([("a/p1/oil", 0, 60.0), ("a/p1/oil", 1, 127.0)]))
    assert [(one.rule, one.value) for one in crossings] == [("a/p1/oil:odd", None)]
    assert watch.take(("a/p1/running", 2, True)) == []  # the coolant is not known: nothing is said


def test_points_of_another_asset() -> None:
    watch = Watch()
    assert watch.take(("a/p1/oil", 0, 60.0), ("a/p2/oil", 0, 60.0)) == []
    assert watch.take(("a/p1/oil", 1, 66.0)) == ["+a/p2/oil:apart 1"]


def test_time_alone_raises_it() -> None:
    watch = Watch()
    watch.take(("a/p1/oil", 0, 60.0), ("a/p1/running", 0, False))
    told = [one for second in range(1, 70) for one in watch.tick(second)]
    assert told == ["+a/p1/oil:gone 61"]


def test_above_80_for_30_s_twice_in_10_min() -> None:
    watch = Watch()
    told = []
    for second in range(0, 900, 5):
        value = 85.0 if 60 <= second < 120 or 300 <= second < 400 else 60.0
        told += [one for one in watch.take(("a/p1/oil", second, value)) if "twice" in one]
    assert told == ["+a/p1/oil:twice 330", "-a/p1/oil:twice 690"]


def test_a_new_model_leaves_what_it_remembers() -> None:
    watch = Watch()
    watch.take(("a/p1/oil", 0, 70.0), ("a/p1/coolant", 0, 50.0))
    grown = Plant(PLANT.replace("a/p2: {", "a/p3: {type: press, connection: plc}, a/p2: {"))
    grown.handles = {**{path: 50 + at for at, path in enumerate(grown.model.points)}, **watch.plant.handles}
    watch.engine.configure(grown.model.alarms, grown.handles)
    watch.take(("a/p1/running", 1, True))
    assert watch.tick(7) == ["+a/p1/oil:far 6"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('when: "age(oil) > 60[s]"', 'when: "age(oil)"', "plant.yaml:10:24: 'when' is true or false; this gives float"),
        ('when: "age(oil) > 60[s]"', 'when: "age(oli) > 60[s]"', "plant.yaml:10:29: at 'oli': there is no point 'oli'"),
        (
            'when: "age(oil) > 60[s]"', 'when: "age(oil) > 60[s]", limit: 5',
            "plant.yaml:10:44: 'when' says all of the condition; take out 'limit', or 'when'",
        ),
        ("suppressed_by: running", "suppressed_by: runing", "plant.yaml:10:59: type 'press' has no point 'runing'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_where_it_stands(old: str, new: str, said: str) -> None:
    from tests.registry.plants import expanded

    _, problems = expanded(PLANT.replace(old, new))
    assert problems and problems[0].startswith(said), problems


def test_an_override_takes_the_place_of_the_whole_condition() -> None:
    plant = Plant(PLANT + "  a/p1/oil:far: {condition: high, limit: 70}\n")
    rule = plant.model.alarms["a/p1/oil:far"]
    assert (rule.condition, rule.limit, rule.expression, rule.on_delay_ns) == (AlarmCondition.HIGH, 70.0, "", 5 * S)
