"""Plan, apply and export over real databases: SQLite always, PostgreSQL where a server is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select
from tests.postgres import postgres_engine  # noqa: F401
from tests.registry.fakes import DRIVERS, FixedClock
from tests.registry.plants import PRESS, files

from headrace.model.errors import ConfigErrors, Conflict
from headrace.registry import DeclarationRegistry, tables
from headrace.registry.declared import parse
from headrace.registry.problems import Problems
from headrace.registry.store import ObjectStore, Stored
from headrace.sdk.services import ChangeAction, FieldChange, Plan, SourceFile


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "postgres":
        make: Callable[[], Engine] = request.getfixturevalue("postgres_engine")
        made = make()
    else:
        made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    tables.metadata.create_all(made)
    return made


def registry(engine: Engine, drivers: bool = True) -> DeclarationRegistry:
    return DeclarationRegistry(engine, DRIVERS if drivers else {}, FixedClock())


def said(plan: Plan) -> list[tuple[str, str, str]]:
    return [(change.action.value, change.kind, change.key) for change in plan.changes]


async def test_a_plant_is_planned_applied_and_found_again(engine: Engine) -> None:
    desk = registry(engine)
    plan = await desk.plan(files(PRESS))
    assert plan.errors == ()
    assert plan.revision == 0
    assert {change.action for change in plan.changes} == {ChangeAction.CREATE}
    assert len(plan.changes) == 1 + 2 + 4 + 11 + 9
    assert (await desk.model()).points == {}, "planning changes nothing"
    applied, model = await desk.apply(files(PRESS), actor="li", revision=0)
    assert applied == plan
    assert (model.revision, len(model.points)) == (1, 11)
    assert await registry(engine).model() == model
    assert (await desk.plan(files(PRESS))).changes == ()
    [revision] = await desk.revisions()
    assert (revision.number, revision.actor, revision.summary) == (1, "li", "27 created")


async def test_export_plans_to_nothing_and_keeps_files(engine: Engine) -> None:
    desk = registry(engine)
    two = [*files(PRESS), SourceFile("sub/more.yaml", "assets:\n  acme/wuxi: {level: site, title: '液压: #1'}\n")]
    await desk.apply(two, actor="li")
    exported = await registry(engine).export()
    assert [file.name for file in exported] == ["plant.yaml", "sub/more.yaml"]
    assert (await desk.plan(exported)).changes == ()
    assert exported[1].text == 'assets:\n  acme/wuxi: {level: site, title: {en: "液压: #1"}}\n'
    moved = [SourceFile("other.yaml", exported[0].text), exported[1]]
    assert (await desk.plan(moved)).changes == ()
    _, model = await desk.apply(moved, actor="li")
    assert model.revision == 1, "a move between files changes no plant"
    assert [file.name for file in await registry(engine).export()] == ["other.yaml", "sub/more.yaml"]


async def test_a_changed_type_shows_each_point_that_it_changes(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files(PRESS), actor="li")
    plan = await desk.plan(files(PRESS.replace("interval: 500ms", "interval: 2s").replace("limit: 75", "limit: 70")))
    assert said(plan) == [
        ("change", "type", "hydraulic-press"),
        ("change", "point", "acme/suzhou/press-3/oil.temperature"),
        ("change", "point", "acme/suzhou/press-4/oil.temperature"),
        ("change", "alarm", "acme/suzhou/press-3/oil.temperature:hot"),
    ]
    assert plan.changes[0].details == (
        FieldChange("points.oil.temperature.interval", "500ms", "2s"),
        FieldChange("alarms.oil.temperature:hot.limit", 75, 70),
    )
    assert plan.changes[1].details == (FieldChange("interval", "500ms", "2s"),)
    assert plan.changes[3].details == (FieldChange("limit", 75, 70),)


async def test_an_override_changes_a_point_and_taking_it_away_changes_it_back(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files(PRESS), actor="li")
    line = "  acme/suzhou/press-4/pressure: {range: [0, 200], write_range: [80, 180]}\n"
    assert line in PRESS
    plan = await desk.plan(files(PRESS.replace(line, "")))
    assert said(plan) == [("change", "point", "acme/suzhou/press-4/pressure")]
    assert plan.changes[0].details == (
        FieldChange("range", [0, 200], [0, 350]),
        FieldChange("write_range", [80, 180], [80, 280]),
    )
    same = await desk.plan(files(PRESS.replace(line, f"{line}  acme/suzhou/press-3/pressure: {{unit: bar}}\n")))
    assert said(same) == [("change", "point", "acme/suzhou/press-3/pressure")]
    assert same.changes[0].details == (FieldChange("unit", None, "bar"),)


async def test_an_empty_folder_removes_everything_only_with_prune(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files(PRESS), actor="li")
    assert (await desk.plan([], prune=False)).changes == ()
    plan = await desk.plan([])
    assert {change.action for change in plan.changes} == {ChangeAction.REMOVE}
    assert len(plan.changes) == 27
    _, model = await desk.apply([], actor="li")
    assert (model.revision, model.points, model.assets) == (2, {}, {})
    assert await registry(engine).model() == model


async def test_without_prune_files_add_to_what_is_there(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files(PRESS), actor="li")
    more = [SourceFile("more.yaml", "points:\n  acme/suzhou/press-3/extra: {unit: bar}\n")]
    plan, model = await desk.apply(more, actor="wang", prune=False)
    assert said(plan) == [("create", "point", "acme/suzhou/press-3/extra")]
    assert len(model.points) == 12


async def test_wrong_declarations_change_nothing(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files(PRESS), actor="li")
    with pytest.raises(ConfigErrors) as caught:
        await desk.apply(files(PRESS.replace("unit: kW", "unit: kWh")), actor="li")
    assert [str(error) for error in caught.value.errors] == [
        "plant.yaml:48:29: 'kWh' is no UCUM unit; did you mean 'kW.h'?"
    ]
    assert (await desk.model()).revision == 1
    plan = await desk.plan([SourceFile("b.yaml", "connections: {plc-1: {driver: nothing}}")], prune=False)
    assert plan.changes == ()
    assert len(plan.errors) == 1


async def test_a_stale_revision_is_a_conflict(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files(PRESS), actor="li", revision=0)
    with pytest.raises(Conflict, match="revision 1"):
        await desk.apply(files(PRESS), actor="wang", revision=0)


async def test_of_two_writers_one_wins_and_the_other_is_told(engine: Engine) -> None:
    """Two processes that both saw revision 0."""
    store, problems = ObjectStore(engine), Problems()
    first, second = parse(files("assets: {a: {}}"), problems), parse(files("assets: {b: {}}"), problems)
    assert store.replace(Stored(0, {}), first, time_ns=1, actor="li", summary="") == 1
    with pytest.raises(Conflict):
        store.replace(Stored(0, {}), second, time_ns=2, actor="wang", summary="")
    assert list(store.load().objects) == [("asset", "a")]


async def test_many_at_once_are_applied_one_by_one(engine: Engine) -> None:
    desk = registry(engine)
    one_each = [[SourceFile(f"{n}.yaml", f"assets: {{a{n}: {{}}}}")] for n in range(5)]
    await asyncio.gather(*(desk.apply(files_, actor="li", prune=False) for files_ in one_each))
    model = await registry(engine).model()
    assert (model.revision, sorted(model.assets)) == (5, ["a0", "a1", "a2", "a3", "a4"])


async def test_another_process_is_noticed(engine: Engine) -> None:
    ours, theirs = registry(engine), registry(engine)
    await ours.apply(files("assets: {a: {}}"), actor="li")
    assert (await theirs.model()).revision == 1
    await ours.apply(files("assets: {a: {}, b: {}}"), actor="li")
    assert sorted((await theirs.model()).assets) == ["a", "b"]


async def test_every_change_keeps_what_was(engine: Engine) -> None:
    desk = registry(engine)
    await desk.apply(files("assets: {a: {title: A}, b: {}}"), actor="li")
    await desk.apply(files("assets: {a: {title: B}, c: {}}"), actor="li")
    with engine.connect() as connection:
        rows = connection.execute(
            select(tables.changes).where(tables.changes.c.revision == 2).order_by(tables.changes.c.key)
        ).all()
        count = connection.execute(select(func.count()).select_from(tables.changes)).scalar_one()
    assert [(row.key, row.old_spec, row.new_spec) for row in rows] == [
        ("a", '{"title":{"en":"A"}}', '{"title":{"en":"B"}}'),
        ("b", "{}", None),
        ("c", None, "{}"),
    ]
    assert count == 5


async def test_a_driver_that_is_gone_leaves_the_rest_running(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    await registry(engine).apply(files(PRESS), actor="li")
    desk = registry(engine, drivers=False)
    model = await desk.model()
    await desk.model()
    assert (len(model.assets), model.connections) == (4, {})
    assert [str(error) for error in await desk.errors()] == [
        "plant.yaml:35:3: there is no driver 'modbus'",
        "plant.yaml:36:3: there is no driver 'modbus'",
    ]
    assert len([record for record in caplog.records if record.name.startswith("headrace.registry")]) == 1
