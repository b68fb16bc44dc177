"""What stream functions make are points of the plant: with kind, unit and origin, for alarms and calculations."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine
from tests.registry.fakes import DRIVERS, FixedClock

from headrace.model.batch import ValueKind
from headrace.model.errors import Conflict
from headrace.model.plant import PlantModel
from headrace.registry import DeclarationRegistry, TenantRegistries
from headrace.registry.declared import parse
from headrace.registry.expand import expand
from headrace.registry.problems import Problems
from headrace.registry.shares import shares
from headrace.registry.tables import metadata
from headrace.sdk.services import SourceFile
from headrace.sdk.stream import StreamFunction, reduced

PLANT = """\
connections: {plc: {driver: modbus, settings: {host: h}, edge: suzhou}}
types:
  press:
    points: {oil: {unit: Cel, address: {table: holding, address: 4}}}
    alarms:
      "oil.mean:hot": {condition: high, limit: 80}
assets:
  a: {level: site}
  a/p1: {type: press, connection: plc}
  a/p2: {type: press, connection: plc}
points:
  a/worst: {unit: Cel, expression: "max(`p1/oil.mean`, `p2/oil.mean`)"}
alarms:
  "a/p1/oil.mean:cold": {condition: low, limit: 10}
"""
WARM = reduced(
    "warm", {"oil.mean": ("oil", "mean", "[Cel]"), "n": ("oil", "count", "int64")}, inputs={"oil": "oil"}, window="10s"
)


def expanded(text: str, *functions: StreamFunction) -> tuple[PlantModel, list[str]]:
    problems = Problems()
    model = expand(parse([SourceFile("plant.yaml", text)], problems), DRIVERS, problems, functions=functions)
    return model, [str(one) for one in problems.errors()]


def test_they_have_kind_unit_and_origin_and_all_may_name_them() -> None:
    model, problems = expanded(PLANT, WARM)
    assert problems == []
    point = model.points["a/p2/oil.mean"]
    assert (point.kind, point.unit, point.function, point.source) == (ValueKind.FLOAT64, "Cel", "warm", None)
    assert (model.points["a/p1/n"].kind, model.points["a/p1/n"].unit) == (ValueKind.INT64, "1")
    assert set(model.alarms) == {"a/p1/oil.mean:hot", "a/p2/oil.mean:hot", "a/p1/oil.mean:cold"}
    assert set(model.calculations["a/worst"].inputs.values()) == {"a/p1/oil.mean", "a/p2/oil.mean"}


def test_without_the_function_they_are_not_there() -> None:
    model, problems = expanded(PLANT)
    assert not [path for path in model.points if "mean" in path] and model.alarms == {}
    assert "type 'press' has no point 'oil.mean'" in problems[0]


def test_the_alarms_of_a_type_without_assets_know_them() -> None:
    unused = PLANT.split("assets:")[0]
    assert expanded(unused, WARM)[1] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("points:\n  a/worst", "points:\n  a/p1/n: {}\n  a/worst", "plant.yaml:12:3: 'a/p1/n' is declared, and stream"),
        ("  a/p2:", "  a/p1/n: {}\n  a/p2:", "plant.yaml:10:3: 'a/p1/n' is an asset, and stream function 'warm' makes"),
        ("{oil: {", "{n: {}, oil: {", "plant.yaml:9:3: 'a/p1/n' is declared, and stream function 'warm' makes a point"),
    ],
)
def test_what_is_declared_in_its_place_is_told_where_it_stands(old: str, new: str, said: str) -> None:
    _, problems = expanded(PLANT.replace(old, new, 1), WARM)
    assert problems and problems[0].startswith(said), problems


def test_an_edge_is_told_neither_them_nor_their_alarms() -> None:
    problems = Problems()
    objects = parse([SourceFile("plant.yaml", PLANT)], problems)
    model, _ = expanded(PLANT, WARM)
    (text,) = shares(objects, model, {"suzhou": "a"})["suzhou"].files.values()
    assert "oil:" in text and "mean" not in text
    assert expanded(text)[1] == []


async def test_a_function_is_refused_whose_output_is_there(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/registry.db")
    metadata.create_all(engine)
    active = [WARM]
    registry = DeclarationRegistry(engine, DRIVERS, FixedClock(), functions=lambda: active)
    await registry.apply([SourceFile("plant.yaml", PLANT)], actor="li")
    await registry.check_function(WARM)  # its own points are not in its way
    for name, inputs, said in (
        ("worst", {"x": "a/p1/oil"}, "'a/worst', which is declared already"),
        ("p1", {"x": "a/p1/oil"}, "'a/p1', which is an asset"),
        ("n", {"x": "a/p1/oil"}, "'a/p1/n', which is made by stream function 'warm'"),
    ):
        to = "a/p1" if name == "n" else "a"
        one = reduced("other", {name: ("x", "mean", "")}, inputs=inputs, window="1s", by="all", to=to)
        with pytest.raises(Conflict, match=said):
            await registry.check_function(one)


async def test_each_tenant_has_the_points_of_its_own_functions(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/registry.db")
    metadata.create_all(engine)
    active = {"default": [WARM]}
    registry = TenantRegistries(engine, DRIVERS, FixedClock(), functions=lambda tenant: active.get(tenant, []))
    await registry.apply([SourceFile("plant.yaml", PLANT)], actor="li")
    assert "a/p1/oil.mean" in (await registry.model()).points
    active.clear()
    registry.forget()
    model = await registry.model()
    assert "a/p1/oil.mean" not in model.points and "a/p1/oil" in model.points
    assert len(await registry.errors()) == 3  # both alarms, and what is calculated from it
