"""What a write must pass is declared on the point: read, refused where it cannot be, and written back."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine
from tests.registry.fakes import DRIVERS, FixedClock
from tests.registry.plants import expanded

from headrace.model.guards import NO_GUARD, Comparison, Guard, Interlock, WriteLimits
from headrace.model.time import MINUTE_NS, SECOND_NS
from headrace.registry import DeclarationRegistry
from headrace.registry.sheets import read_points, write_points
from headrace.registry.tables import metadata
from headrace.sdk.services import SourceFile

PLANT = """\
types:
  press:
    points:
      running: {type: bool, address: {table: coil, address: 1}}
      oil: {unit: Cel, range: [0, 120], address: {table: holding, address: 2}}
      force:
        {unit: kN, range: [0, 1500], access: read-write, critical: true, approval: 15m,
         limits: {step: 100, rate: 300, interval: 10s, writes: 5, writes_each: 3},
         interlocks: [{point: running, is: false, for: 2s, text: {en: stop first, zh: 请先停机}},
           {point: oil, between: [35, 65], fresh: 30s, text: oil}, {point: a/ready, below: 5, text: hall}],
         address: {table: holding, address: 4}}
connections: {plc: {driver: modbus, settings: {host: h}, edge: suzhou}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
points:
  a/ready: {type: int64, connection: plc, address: {table: holding, address: 9}}
  a/p2/force: {critical: false, approval: 15m}
"""


STOP = {"en": "stop first", "zh": "请先停机"}


def test_a_type_declares_it_for_each_of_its_assets() -> None:
    model, problems = expanded(PLANT.replace("{critical: false, approval: 15m}", "{limits: {step: 5}}"))
    assert problems == []
    guard = model.points["a/p1/force"].guard
    assert guard == Guard(
        True,
        15 * MINUTE_NS,
        WriteLimits(100.0, 300.0, 10 * SECOND_NS, 5, 3),
        (
            Interlock(
                "a/p1/running", Comparison.IS, False, for_ns=2 * SECOND_NS, text={"en": "stop first", "zh": "请先停机"}
            ),
            Interlock("a/p1/oil", Comparison.BETWEEN, 0.0, 35.0, 65.0, fresh_ns=30 * SECOND_NS, text={"en": "oil"}),
            Interlock("a/ready", Comparison.BELOW, 5.0, text={"en": "hall"}),
        ),
    )
    other = model.points["a/p2/force"].guard
    assert (other.limits, other.critical) == (WriteLimits(step=5.0), True)
    assert other.interlocks[0].point == "a/p2/running"
    assert model.points["a/p1/oil"].guard is NO_GUARD


def test_what_cannot_be_is_told_where_it_stands() -> None:
    _, problems = expanded(PLANT)
    assert problems == ["plant.yaml:16:33: 'approval' needs 'critical: true'; nobody is asked otherwise"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("step: 100", "steps: 100", "plant.yaml:8:19: a limits map has no key 'steps'; did you mean 'step'?"),
        ("step: 100", "step: 0", "plant.yaml:8:25: 'step' must be more than 0, not 0"),
        ("rate: 300", "rate: 30", "plant.yaml:8:36: with a rate of 30 a minute a step of 100 could never be sent"),
        (
            "writes_each: 3",
            "writes_each: 6",
            "plant.yaml:8:80: 'writes_each' 6 is more than 'writes' 5 of all",
        ),
        (
            "is: false",
            "iz: false",
            "plant.yaml:9:23: an interlock says one of is, below, above or between; this says none",
        ),
        ("is: false", "is: 0", "plant.yaml:9:44: 'a/p1/running' is a bool point: it is true or false"),
        ("is: false", "below: 1", "plant.yaml:9:47: 'a/p1/running' is a bool point and no number; say what it is"),
        ("is: false,", "", "plant.yaml:9:23: an interlock says one of is, below, above or between; this says none"),
        (
            "point: running,",
            "point: runing,",
            "plant.yaml:9:31: there is no point 'a/p1/runing'; did you mean 'a/p1/running'?",
        ),
        ("[35, 65]", "[130, 140]", "plant.yaml:10:34: this never holds: 'a/p1/oil' has the range [0, 120] °C"),
        (", text: oil", "", "plant.yaml:10:12: interlock 'interlocks[1]' lacks 'text'"),
        ("approval: 15m,", "approval: 1s,", "plant.yaml:7:84: 'approval' must be 1m to 1d, not 1s"),
        ("access: read-write, ", "", "plant.yaml:7:38: 'critical' needs 'access: read-write'; this point is read only"),
    ],
)
def test_each_mistake_has_its_place_and_its_words(old: str, new: str, said: str) -> None:
    _, problems = expanded(PLANT.replace("{critical: false, approval: 15m}", "{}").replace(old, new, 1))
    assert said in problems


def test_a_type_that_no_asset_has_yet_is_checked_all_the_same() -> None:
    text = PLANT[: PLANT.index("assets:")].replace("point: oil", "point: oill") + "assets: {a: {}}\n"
    _, problems = expanded(text)
    assert problems == ["plant.yaml:10:20: there is no point 'press/oill'; did you mean 'press/oil'?"]


async def test_it_is_written_back_planned_by_its_parts_and_kept_from_edges(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/registry.db")
    metadata.create_all(engine)
    registry = DeclarationRegistry(engine, DRIVERS, FixedClock())
    plant = PLANT.replace("{critical: false, approval: 15m}", "{}")
    await registry.apply([SourceFile("plant.yaml", plant)], actor="wang")
    exported = await registry.export()
    assert (await registry.plan(exported)).changes == ()
    assert "interlocks: [{point: running, is: false, for: 2s" in exported[0].text
    plan = await registry.plan([SourceFile("plant.yaml", plant.replace("step: 100", "step: 90"))])
    changed = {(change.key, detail.field): detail.new for change in plan.changes for detail in change.details}
    assert changed["a/p1/force", "limits.step"] == 90
    share = dict((await registry.shares({"suzhou": "a"}))["suzhou"].files)
    assert "force" in str(share)
    assert "interlocks" not in str(share) and "critical" not in str(share)


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_a_table_of_points_keeps_it(format: str) -> None:
    model, _ = expanded(PLANT.replace("{critical: false, approval: 15m}", "{}"))
    found = read_points(write_points(model, format), f"points.{format}")
    assert found.errors == ()
    assets = "assets: {a: {}, a/p1: {}, a/p2: {}}\nconnections: {plc: {driver: modbus, settings: {host: h}}}\n"
    again, problems = expanded(assets + found.file.text)
    assert problems == []
    assert {path: point.guard for path, point in again.points.items()} == {
        path: point.guard for path, point in model.points.items()
    }
