"""Calculated points are declared beside the others: compiled at home, shared, refused with line and column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from tests.registry.fakes import DRIVERS, FixedClock
from tests.registry.plants import expanded, files

from headrace.model.batch import ValueKind
from headrace.registry import DeclarationRegistry
from headrace.registry.declared import parse
from headrace.registry.problems import Problems
from headrace.registry.shares import shares
from headrace.registry.sheets import read_points, write_points
from headrace.registry.tables import metadata

PLANT = """\
types:
  press:
    points:
      oil: {unit: Cel, address: {table: holding, address: 2}}
      coolant: {unit: Cel, address: {table: holding, address: 4}}
      count: {type: int64, address: {table: holding, address: 6}}
      excess: {unit: K, expression: "mean(oil, 10min) - coolant"}
      hot: {type: bool, expression: excess > 15}
    alarms:
      excess:high: {condition: high, limit: 20}
      hot:long: {condition: equals, limit: true, on_delay: 30s}
connections: {plc: {driver: modbus, settings: {host: h}, edge: suzhou}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
points:
  a/total: {expression: "`p1/count` + `p2/count`"}
  a/p2/excess: {expression: oil - coolant}
"""


def test_each_asset_of_a_type_has_its_own_and_they_share_a_program() -> None:
    model, problems = expanded(PLANT)
    assert problems == []
    assert sorted(model.calculations) == [
        "a/p1/excess", "a/p1/hot", "a/p2/excess", "a/p2/hot", "a/total",
    ]  # fmt: skip
    first, other = model.calculations["a/p1/hot"], model.calculations["a/p2/hot"]
    assert first.program is other.program
    assert (first.inputs, other.inputs) == ({"excess": "a/p1/excess"}, {"excess": "a/p2/excess"})
    assert model.calculations["a/p1/excess"].program.unit == "K"
    assert model.calculations["a/p2/excess"].program.text == "oil - coolant"
    total = model.calculations["a/total"]
    assert total.inputs == {"p1/count": "a/p1/count", "p2/count": "a/p2/count"}
    assert model.points["a/total"].kind is ValueKind.FLOAT64  # whole numbers fit a point of float64
    assert model.points["a/p1/excess"].source is None
    assert sorted(model.alarms) == ["a/p1/excess:high", "a/p1/hot:long", "a/p2/excess:high", "a/p2/hot:long"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"mean(oil, 10min) - coolant"',
            '"mean(oil, 10min) - coolnt"',
            "plant.yaml:7:57: at 'coolnt': there is no point 'coolnt'; did you mean 'coolant'? (expression of 'a/p1')",
        ),
        ("excess > 15", "excess >", "plant.yaml:8:44: at '>': the expression ends"),
        (
            '{unit: K, expression: "mean',
            '{unit: bar, expression: "mean',
            "plant.yaml:7:40: the result: K cannot be converted to bar",
        ),
        (
            '{unit: K, expression: "mean',
            '{expression: "mean',
            "plant.yaml:7:28: the expression gives K, and the point has no unit; write 'unit: K'",
        ),
        (
            "{type: bool, expression",
            "{expression",
            "plant.yaml:8:25: the expression gives bool, and the point is float64; write 'type: bool'",
        ),
        (
            "{unit: K, expression",
            "{unit: K, address: {table: holding, address: 9}, expression",
            "plant.yaml:7:25: a calculated point has no address; take out 'address' or 'expression'",
        ),
        ("expression: oil - coolant", 'expression: "  "', "plant.yaml:16:29: 'expression' is empty"),
        (
            "excess > 15",
            '"excess > 15[bar]"',
            "plant.yaml:8:38: K beside bar: they measure different things (expression of 'a/p1')",
        ),
        (
            'a/total: {expression: "`p1/count` + `p2/count`"}',
            "a/x: {expression: y}\n  a/y: {expression: x}",
            "plant.yaml:15:21: these are calculated from each other: a/x → a/y → a/x",
        ),
        (
            'a/total: {expression: "`p1/count` + `p2/count`"}',
            "a/total: {expression: total + 1}",
            "plant.yaml:15:25: these are calculated from each other: a/total → a/total",
        ),
    ],
)
def test_what_cannot_be_is_told_where_it_stands(old: str, new: str, said: str) -> None:
    _, problems = expanded(PLANT.replace(old, new))
    own = [one for one in problems if not one.startswith("plant.yaml:16:29: ") or said.startswith("plant.yaml:16")]
    assert len(own) == 1 and own[0].startswith(said), problems  # the override of press 2 has the same fault in line 16


def test_a_type_that_no_asset_has_is_checked_too() -> None:
    unused = PLANT.split("assets:")[0]
    assert expanded(unused)[1] == []
    (problem,) = expanded(unused.replace("- coolant", "- coolnt"))[1]
    assert problem.startswith("plant.yaml:7:57: at 'coolnt'")
    assert expanded(unused.replace("- coolant", "- `../tank/level`"))[1] == []


async def test_they_are_stored_exported_and_written_to_a_sheet(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/registry.db")
    metadata.create_all(engine)
    registry = DeclarationRegistry(engine, DRIVERS, FixedClock())
    await registry.apply(files(PLANT), actor="li")
    (text,) = [file.text for file in await registry.export()]
    assert 'expression: "mean(oil, 10min) - coolant"' in text
    plan = await registry.plan(files(text))
    assert (list(plan.changes), list(plan.errors)) == ([], [])
    model = await registry.model()
    sheet = read_points(write_points([model.points["a/total"]], "csv"), "points.csv")
    assert not sheet.errors
    assert "`p1/count` + `p2/count`" in sheet.file.text


def test_an_edge_gets_neither_them_nor_their_alarms() -> None:
    problems = Problems()
    objects = parse(files(PLANT), problems)
    model, _ = expanded(PLANT)
    share = shares(objects, model, {"suzhou": "a"})["suzhou"]
    (text,) = share.files.values()
    assert "oil:" in text
    assert "expression" not in text and "hot" not in text and "excess" not in text
    assert expanded(text)[1] == []


MACHINE = """\
connections: {plc: {driver: modbus, settings: {host: h}, edge: suzhou}}
types:
  press:
    points:
      "on": {type: bool, address: {table: coil, address: 2}}
      speed: {address: {table: holding, address: 4}}
      phase:
        type: text
        machine:
          initial: idle
          transitions:
            - {from: idle, to: starting, when: on}
            - {from: starting, to: running, when: speed > 100, for: 5s}
            - {from: starting, to: stuck, for: 30s}
            - {to: idle, when: not on}
    alarms:
      phase:stuck: {when: 'phase == "stuck"', priority: high}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
"""


def test_a_machine_is_a_calculated_point_and_assets_of_a_type_share_it() -> None:
    model, problems = expanded(MACHINE)
    assert problems == []
    first, other = model.calculations["a/p1/phase"], model.calculations["a/p2/phase"]
    assert first.program is other.program and first.machine == other.machine
    assert first.machine is not None and first.machine.states == ("idle", "starting", "running", "stuck")
    assert first.memory_ns == 30_000_000_000
    assert model.points["a/p1/phase"].expression == (
        "idle → starting: on; starting → running: speed > 100 for 5s; starting → stuck for 30s; * → idle: not on"
    )
    assert model.alarms["a/p1/phase:stuck"].calculation is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("speed > 100", "sped > 100", "plant.yaml:13:51: at 'sped': there is no point 'sped'; did you mean 'speed'?"),
        ("speed > 100", "speed + 100", "plant.yaml:13:51: a condition is true or false; this gives float64"),
        ("for: 30s", "for: 1ms", "plant.yaml:14:48: 'for' must be 100ms to "),
        (", for: 30s", "", "plant.yaml:14:15: 'starting → stuck' has no condition and no time"),
        ("to: stuck", "to: starting", "plant.yaml:14:36: 'starting' leads to itself"),
        ("from: idle, to: starting", "from: nowhere, to: starting", "plant.yaml:12:"),
        ("type: text\n", "type: int64\n", "plant.yaml:9:9: the state of a machine is a text; write 'type: text'"),
        ("initial: idle\n", "initial: ''\n", "plant.yaml:10:20: 'initial' is the name of a state: 1 to 64 characters"),
        (
            "type: text\n",
            "type: text\n        expression: '1'\n",
            "plant.yaml:9:9: a point has an expression or a machine",
        ),
        (
            "type: text\n",
            "type: text\n        interval: 2s\n",
            "plant.yaml:9:9: a calculated point has no interval; take",
        ),
        ("when: on}", "when: phase == 'x'}", "plant.yaml:12:"),
        ("to: stuck, ", "", "plant.yaml:14:15: "),
        ("initial: idle\n", "initials: idle\n", "plant.yaml:10:11: "),
        ("when: on}", "whenn: on}", "plant.yaml:12:42: a transition has no key 'whenn'; did you mean 'when'?"),
    ],
)
def test_what_a_machine_cannot_be_is_told_where_it_stands(old: str, new: str, said: str) -> None:
    _, problems = expanded(MACHINE.replace(old, new, 1))
    assert any(one.startswith(said) for one in problems), problems


async def test_a_machine_is_stored_exported_and_written_to_a_sheet(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/registry.db")
    metadata.create_all(engine)
    registry = DeclarationRegistry(engine, DRIVERS, FixedClock())
    await registry.apply(files(MACHINE), actor="li")
    (text,) = [file.text for file in await registry.export()]
    plan = await registry.plan(files(text))
    assert (list(plan.changes), list(plan.errors)) == ([], [])
    plan = await registry.plan(files(MACHINE.replace("30s", "40s")))
    assert (plan.changes[0].kind, plan.changes[0].key) == ("type", "press")
    model = await registry.model()
    sheet = read_points(write_points([model.points["a/p1/phase"]], "csv"), "points.csv")
    assert not sheet.errors and "machine" in sheet.file.text
    share = shares(parse(files(MACHINE), Problems()), model, {"suzhou": "a"})["suzhou"]
    assert "phase" not in "".join(share.files.values())


ASSETS = """\
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}}
"""


@pytest.mark.parametrize("page", ["expressions.md", "expressions.zh-CN.md"])
def test_the_machine_of_the_page_can_be_declared(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    (block,) = [one for one in re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if "machine:" in one]
    model, problems = expanded(f"{block}{ASSETS}")
    assert problems == [] and len(model.alarms) == 2
