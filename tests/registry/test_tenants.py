"""Two tenants of one hub declare side by side: words mean what each says, and nothing of one is the other's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, insert, select, update
from sqlalchemy.pool import StaticPool
from tests.databases import DATABASES, fresh_engine
from tests.firms import Firms, two
from tests.properties import examples
from tests.registry.fakes import DRIVERS, FixedClock

from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigErrors, Conflict, NotFound
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.model.retention import Retention
from headrace.registry import TenantRegistries, tables
from headrace.registry.borders import TenantLimits
from headrace.registry.tenants import merge
from headrace.sdk.services import SourceFile
from headrace.sdk.tenancy import OnHub, tenant_of_name

PARTED = pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 4.1")


def plant(root: str, tenant: str, unit: str, edge: str = "e") -> list[SourceFile]:
    """The same file, type and shape for everybody; another content."""
    return [SourceFile("plant.yaml", f"""\
types: {{press: {{points: {{oil: {{unit: {unit}, address: {{table: holding, address: 1}}}}}}}}}}
connections: {{{tenant}.plc: {{driver: modbus, settings: {{host: {root}}}, edge: {tenant}.{edge}}}}}
assets: {{{root}: {{level: enterprise}}, {root}/press: {{type: press, connection: {tenant}.plc}}}}
alarms: {{"{root}/press/oil:hot": {{condition: high, limit: 5}}}}
""")]  # fmt: skip


ACME, BETA = plant("acme", "acme", "Cel"), plant("betaworks", "beta", "bar")
OURS = [SourceFile("plant.yaml", "types: {press: {points: {oil: {unit: K}}}}\nassets: {ours: {type: press}}\n")]


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with fresh_engine(request.param, tables.metadata, tmp_path) as engine:
        yield engine


def registries(engine: Engine, firms: Firms | None = None, **more: Any) -> TenantRegistries:
    return TenantRegistries(engine, DRIVERS, FixedClock(), tenants=firms or two(), **more)


async def refused(desk: TenantRegistries, text: str, tenant: str = "acme") -> list[str]:
    plan = await desk.plan([SourceFile("a.yaml", text)], tenant=tenant)
    return [str(error) for error in plan.errors]


@PARTED
async def test_the_same_words_mean_what_each_tenant_says(engine: Engine) -> None:
    desk = registries(engine)
    await desk.apply(OURS, actor="li")
    await desk.apply(ACME, actor="wang", tenant="acme")
    await desk.apply(BETA, actor="zhou", tenant="beta")
    acme, beta, ours = [await desk.model_of(name) for name in ("acme", "beta", "default")]
    assert [one.points[path].unit for one, path in (
        (acme, "acme/press/oil"), (beta, "betaworks/press/oil"), (ours, "ours/oil"),
    )] == ["Cel", "bar", "K"]  # fmt: skip
    assert [(one.revision, len(one.points)) for one in (acme, beta, ours)] == [(1, 1), (1, 1), (1, 1)]
    whole = await desk.model()
    assert sorted(whole.points) == ["acme/press/oil", "betaworks/press/oil", "ours/oil"]
    assert sorted(whole.types) == ["acme.press", "beta.press", "press"]
    assert (whole.revision, sorted(whole.alarms)) == (3, ["acme/press/oil:hot", "betaworks/press/oil:hot"])
    for tenant, files, others in (("acme", ACME, "beta"), ("beta", BETA, "acme"), ("default", OURS, "acme")):
        exported = await desk.export(tenant=tenant)
        assert [file.name for file in exported] == ["plant.yaml"] and others not in exported[0].text
        assert (await desk.plan(files, tenant=tenant)).changes == ()
        assert [one.summary for one in await desk.revisions(tenant=tenant)] != []
    again = registries(engine)
    assert (await again.model()) == whole


@PARTED
async def test_an_empty_folder_removes_what_is_ones_own_and_no_more(engine: Engine) -> None:
    desk = registries(engine)
    await desk.apply(ACME, actor="wang", tenant="acme")
    await desk.apply(BETA, actor="zhou", tenant="beta")
    await desk.apply(plant("acme", "acme", "K"), actor="wang", tenant="acme")
    assert (await registries(engine).model_of("beta")).points["betaworks/press/oil"].unit == "bar"
    plan, _ = await desk.apply([], actor="wang", tenant="acme")
    assert (await registries(engine).model_of("beta")).points["betaworks/press/oil"].unit == "bar"
    assert not any("beta" in change.key for change in plan.changes)
    assert sorted((await desk.model()).points) == ["betaworks/press/oil"]
    with engine.connect() as connection:
        kept = connection.execute(select(tables.changes.c.tenant, tables.changes.c.key)).all()
    assert {row.tenant for row in kept if "beta" in row.key} == {"beta"}


async def test_a_conflict_is_between_two_of_one_tenant(engine: Engine) -> None:
    desk, other = registries(engine), registries(engine)
    await desk.apply(ACME, actor="wang", tenant="acme", revision=0)
    await other.apply(BETA, actor="zhou", tenant="beta", revision=0)
    with pytest.raises(Conflict, match="revision 1"):
        await other.apply(ACME, actor="wu", tenant="acme", revision=0)


async def test_tenants_apply_side_by_side_and_the_plant_only_grows(engine: Engine) -> None:
    desk = registries(engine, Firms(**{f"t{n}": (f"r{n}",) for n in range(6)}))
    seen: list[tuple[int, int]] = []

    async def work(n: int) -> None:
        for unit in ("bar", "Pa"):
            await desk.apply(plant(f"r{n}", f"t{n}", unit), actor="x", tenant=f"t{n}")
            whole = await desk.model()
            seen.append((whole.revision, len(whole.points)))

    await asyncio.gather(*(work(n) for n in range(6)))
    assert seen == sorted(seen), "an older plant came after a newer one"
    assert ((await desk.model()).revision, len((await desk.model()).points)) == (12, 6)


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
async def test_what_is_not_ones_own_is_refused_where_it_stands(engine: Engine) -> None:
    desk = registries(engine)
    assert await refused(desk, "assets: {acme: {level: site},\n  betaworks: {}}") == [
        "a.yaml:2:3: 'betaworks' is not tenant 'acme''s; its paths begin with 'acme', 'acme-labs'"
    ]
    assert await refused(desk, "assets: {acme: {}}\npoints: {acme/x: {},\n betaworks/y: {}}") != []
    assert await refused(desk, "assets: {acme: {}}", "default") == [
        "a.yaml:1:10: 'acme' belongs to a tenant; what lies below it is declared by that tenant alone"
    ]
    plc = "connections: {%s: {driver: modbus, settings: {host: a}%s}}"
    assert await refused(desk, plc % ("press-plc-1", ", edge: acme.e")) == [
        "a.yaml:1:15: a connection of tenant 'acme' is named 'acme.…'; write 'acme.press-plc-1'"
    ]
    assert await refused(desk, plc % ("beta.plc", ", edge: acme.e")) == [
        "a.yaml:1:15: a connection of tenant 'acme' is named 'acme.…'; write 'acme.beta.plc'"
    ]
    assert "names that begin with 'acme.' are those of tenant" in str(
        await refused(desk, plc % ("acme.x", ""), "default")
    )
    assert await refused(desk, plc % ("ac.me", ""), "default") == []
    assert "an edge of tenant 'acme'" in str(await refused(desk, plc % ("acme.plc", ", edge: beta.e")))
    assert "an edge of the platform's own" in str(await refused(desk, plc % ("plc", ", edge: beta.e"), "default"))
    for kind, text in (
        ("retention class", "retention: {long: {raw: 1y}}"),
        ("ingest map", "ingest: {map: {rules: [{point: '{measurement}/x'}]}}"),
    ):
        assert f"of tenant 'acme' is named 'acme.…'" in str(await refused(desk, text)), kind  # noqa: F541
    assert "names that begin" in str(await refused(desk, "types: {acme.press: {}}", "default"))
    with pytest.raises(NotFound):
        await desk.plan([], tenant="nobody")


@pytest.mark.clause("62443-3-3 SR 5.1")
@pytest.mark.clause("GB/T 22239-2019 8.2.2.1")
async def test_what_a_tenant_declares_runs_on_its_edges_unless_the_operator_lets_it_reach_out(engine: Engine) -> None:
    text = "connections: {acme.plc: {driver: modbus, settings: {host: a}}}"
    assert await refused(registries(engine), text) == [
        "a.yaml:1:15: a connection of a tenant runs on one of its edges; set 'edge:'"
    ]
    assert "would run on the hub" in str(await refused(registries(engine), "outlets: {acme.out: {protocol: mqtt}}"))
    asked: list[OnHub] = []

    def policy(one: OnHub) -> bool:
        asked.append(one)
        return one.tenant == "acme"

    assert await refused(registries(engine, on_hub=policy), text) == []
    assert asked[0] == OnHub("acme", "connection", "acme.plc", "modbus", {"host": "a"})
    assert await refused(registries(engine, on_hub=policy), text.replace("acme", "beta"), "beta") != []


@PARTED
async def test_a_name_of_another_is_as_if_it_never_was(engine: Engine) -> None:
    """What is said about a wrong reference helps with one's own names, and with no others."""
    desk = registries(engine)
    await desk.apply(BETA, actor="zhou", tenant="beta")
    wrong = "assets: {acme: {type: press, connection: beta.plc}}\n"
    wrong += "alarms: {'betaworks/press/oil:x': {condition: high, limit: 1}}"
    said = await refused(desk, wrong)
    never = await refused(desk, wrong.replace("beta.plc", "gama.plc").replace("betaworks", "gamaworks"))
    assert [one.replace("beta", "gama") for one in said] == never and len(said) >= 3


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 7.1")
async def test_one_that_cannot_be_read_harms_nobody_else(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    desk = registries(engine)
    await desk.apply(OURS, actor="li")
    await desk.apply(ACME, actor="wang", tenant="acme")
    await desk.apply(BETA, actor="zhou", tenant="beta")
    with engine.begin() as connection:  # a row that no version wrote, and a type that no longer fits
        bad = {"kind": "asset", "key": "betaworks/x", "spec": "{", "file": "a.yaml", "line": 1, "column_": 1}
        connection.execute(insert(tables.objects).values(**bad, tenant="beta", ordinal=9, revision=1))
        connection.execute(
            update(tables.objects).where((tables.objects.c.tenant == "acme") & (tables.objects.c.kind == "connection"))
            .values(spec='{"driver":"gone","edge":"acme.e"}')
        )  # fmt: skip
    again = registries(engine)
    whole = await again.model()
    assert await again.model() is whole
    assert sorted(whole.points) == ["ours/oil"] and sorted(whole.assets) == ["acme", "acme/press", "ours"]
    assert len([one for one in caplog.records if "tenant 'beta' cannot be read" in one.getMessage()]) == 1
    assert "no driver 'gone'" in str(await again.errors(tenant="acme"))
    with engine.begin() as connection:
        connection.execute(tables.objects.delete().where(tables.objects.c.key == "betaworks/x"))
    await again.apply(plant("betaworks", "beta", "Pa"), actor="zhou", tenant="beta")
    assert (await again.model()).points["betaworks/press/oil"].unit == "Pa"


async def test_who_breaks_while_it_runs_goes_on_as_it_was(engine: Engine) -> None:
    desk = registries(engine)
    await desk.apply(BETA, actor="zhou", tenant="beta")
    whole = await desk.model()
    with engine.begin() as connection:
        connection.execute(update(tables.objects).values(spec="{"))
        connection.execute(insert(tables.revisions).values(tenant="beta", number=2, time_ns=1, actor="", summary=""))
    assert (await desk.model()).points == whole.points
    await desk.apply(ACME, actor="wang", tenant="acme")
    assert sorted((await desk.model()).points) == ["acme/press/oil", "betaworks/press/oil"]


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.2")
async def test_a_tenant_declares_no_more_than_was_agreed(engine: Engine) -> None:
    few = TenantLimits(files=2, objects=20, points=10, connections=1, outlets=0, retention_classes=1)
    desk = registries(engine, limits=lambda _: few)
    many = "\n".join(f"  acme/a{n}: {{type: t}}" for n in range(6))
    big = f"types: {{t: {{points: {{a: {{}}, b: {{}}}}}}}}\nassets:\n  acme: {{}}\n{many}\n"
    assert await refused(desk, big) == [
        "tenant 'acme' may have 10 points, and this would be more (12); declare less, or ask the platform's operator "
        "for more"
    ]
    assert await refused(desk, big.replace("  acme/a5: {type: t}\n", "")) == []
    plan = await desk.plan([SourceFile(f"{n}.yaml", "") for n in range(3)], tenant="acme")
    assert "2 files" in str(plan.errors[0])
    assert "1 retention classes" in str(await refused(desk, "retention: {acme.a: {}, acme.b: {}}"))
    assert "20 declared objects" in str(
        await refused(desk, f"assets: {{acme: {{}}{''.join(f', acme/b{n}: {{}}' for n in range(20))}}}")
    )
    with pytest.raises(ConfigErrors, match="10 points"):
        await desk.apply([SourceFile("a.yaml", big)], actor="wang", tenant="acme")
    assert (await desk.plan([SourceFile("a.yaml", big.replace("acme", "ours"))])).errors == (), "its machine bounds it"


async def test_retention_classes_are_few_for_all_together(engine: Engine) -> None:
    desk = registries(engine, limits=lambda _: TenantLimits(retention_classes=20))
    await desk.apply(
        [SourceFile("a.yaml", f"retention: {{{', '.join(f'c{n}: {{}}' for n in range(10))}}}")], actor="li"
    )
    said = await refused(desk, f"retention: {{{', '.join(f'acme.c{n}: {{}}' for n in range(7))}}}")
    assert said == [
        "a.yaml:1:91: history keeps at most 16 retention classes, all tenants together, and 6 are left for these 7; "
        "use fewer"
    ]


def test_a_class_too_many_costs_its_points_their_class_and_nobody_the_plant() -> None:
    """Two tenants that declare the last one at the same moment were both told yes."""
    ours = PlantModel(retention={f"c{n}": Retention() for n in range(15)})
    kept, over = (
        PlantModel(
            retention={f"{name}.c": Retention()},
            points={f"{name}/x": Point(f"{name}/x", ValueKind.FLOAT64, retention=f"{name}.c")},
        )
        for name in ("acme", "beta")
    )
    whole = merge({"default": ours, "acme": kept, "beta": over})
    assert len(whole.retention) == 16 and "beta.c" not in whole.retention
    assert {path: point.retention for path, point in whole.points.items()} == {"acme/x": "acme.c", "beta/x": "default"}


@pytest.mark.clause("62443-3-3 SR 5.1")
async def test_an_edge_gets_of_its_tenant_and_of_no_other(engine: Engine) -> None:
    desk = registries(engine)
    await desk.apply(ACME, actor="wang", tenant="acme")
    await desk.apply(BETA, actor="zhou", tenant="beta")
    shares = await desk.shares({"acme.e": "acme", "beta.e": "acme", "e": "betaworks"})
    assert [(name, one.points, "plant.yaml" in one.files) for name, one in shares.items()] == [
        ("acme.e", 1, True), ("beta.e", 0, True), ("e", 0, False),
    ]  # fmt: skip
    assert "beta" not in str(shares["acme.e"].files) and "acme" not in str(shares["beta.e"].files)


async def test_what_is_in_the_way_of_a_new_tenant_is_named(engine: Engine) -> None:
    firms = Firms()
    desk = registries(engine, firms)
    await desk.apply(ACME, actor="li")
    assert await desk.in_the_way("gama", ["gama"]) == []
    assert list(await desk.in_the_way("acme", ["other"])) == ["connection 'acme.plc' (plant.yaml:2)"]
    assert "asset 'acme/press' (plant.yaml:3)" in await desk.in_the_way("gama", ["acme"])
    firms.of["gama"] = ("acme",)
    desk.forget()
    assert (await desk.model()).points == {}, "what became another's is not declared by us"


# --- whatever is declared -------------------------------------------------------------------------------------------

ROOTS = ["acme", "acme-labs", "beta", "beta.x", "gama", "ours", "acme.b"]
NAMES = ["default", "acme", "beta", "gama-1"]


@st.composite
def hubs(draw: st.DrawFn) -> tuple[Firms, list[tuple[str, str]]]:
    """Tenants with roots, and who applies what, in which order."""
    free = draw(st.permutations(ROOTS))
    tenants = draw(st.lists(st.sampled_from(NAMES[1:]), unique=True, min_size=1, max_size=3))
    firms = Firms()
    for tenant in tenants:
        firms.of[tenant] = tuple(free.pop() for _ in range(draw(st.integers(1, 2))))
    names = st.builds(
        lambda head, tail: f"{head}{tail}", st.sampled_from([*NAMES, *ROOTS]), st.sampled_from(["", ".x", "-x", ".x.y"])
    )
    applied = []
    for _ in range(draw(st.integers(1, 6))):
        roots = draw(st.lists(st.sampled_from(ROOTS), unique=True, max_size=2))
        named = draw(st.lists(names, unique=True, max_size=2))
        text = "types: {t: {points: {p: {}}}}\nassets:\n" + "".join(f"  {one}: {{type: t}}\n" for one in roots)
        text += "points:\n" + "".join(f"  {one}/q: {{}}\n" for one in roots)
        text += "connections:\n" + "".join(
            f"  {one}: {{driver: modbus, settings: {{host: a}}, edge: {draw(names)}}}\n" for one in named
        )
        text += "ingest:\n" + "".join(f"  {one}: {{rules: [{{point: '{{measurement}}/q'}}]}}\n" for one in named)
        applied.append((draw(st.sampled_from(["default", *tenants])), text))
    return firms, applied


def strangers(firms: Firms, model: PlantModel, tenant: str) -> list[str]:
    paths = [*model.assets, *model.points, *(key.rpartition(":")[0] for key in model.alarms)]
    names = [*model.connections, *model.ingest, *model.outlets, *model.retention]
    names += [one.edge for one in model.connections.values() if one.edge]
    return [path for path in paths if firms.tenant_of(path) != tenant] + [
        name for name in names if tenant_of_name(firms, name) != tenant
    ]


@PARTED
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(hubs())
def test_nothing_of_one_tenant_is_ever_in_anothers(hub: tuple[Firms, list[tuple[str, str]]]) -> None:
    firms, applied = hub
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    tables.metadata.create_all(engine)

    async def live() -> None:
        desk, taken = registries(engine, firms), 0
        everybody: Sequence[str] = firms.names()
        for tenant, text in applied:
            files = [SourceFile("a.yaml", text)]
            plan = await desk.plan(files, tenant=tenant)
            if not plan.errors:
                _, model = await desk.apply(files, actor="x", tenant=tenant)
                taken += 1
                assert strangers(firms, model, tenant) == []
            models = {name: await desk.model_of(name) for name in everybody}
            assert all(strangers(firms, model, name) == [] for name, model in models.items())
            whole = await desk.model()
            assert sorted(whole.points) == sorted(path for one in models.values() for path in one.points)
            assert len(whole.connections) == sum(len(one.connections) for one in models.values())
            assert len(whole.types) == sum(len(one.types) for one in models.values())
        for name in everybody:
            assert (await desk.plan(await desk.export(tenant=name), tenant=name)).changes == ()

    asyncio.run(live())
    engine.dispose()
