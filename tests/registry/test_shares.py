"""The part of a plant that an edge runs stands on its own, and says of its points exactly what the whole plant says."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine
from tests.registry.fakes import DRIVERS, FixedClock

from headrace.model.errors import ConfigErrors
from headrace.model.plant import PlantModel
from headrace.registry import DeclarationRegistry
from headrace.registry.tables import metadata
from headrace.sdk.edges import Share
from headrace.sdk.services import SourceFile

PLANT = """\
retention: {long: {raw: 5y}, unused: {raw: 1y}}
types:
  press:
    parameters: {base: 0}
    points:
      oil.temperature: {unit: Cel, range: [0, 120], retention: long, address: {table: holding, address: "{base}"}}
      ordered: {type: int64, connection: erp, address: {table: holding, address: 9}}
    alarms:
      oil.temperature:hot: {condition: high, limit: 75}
      oil.temperature:off: {condition: deviation, reference: acme/outdoor, limit: 9}
      oil.temperature:run: {condition: high, limit: 60, suppressed_by: acme/frost}
  meter: {points: {energy: {unit: kW.h, address: {table: input, address: 1}}}}
alarm_classes: {trip: {latched: true}, unused: {shelve: false}}
connections:
  plc: {driver: modbus, settings: {host: 192.0.2.1}, edge: suzhou, title: {en: Press PLC}}
  spare: {driver: modbus, settings: {host: 192.0.2.9}, edge: suzhou, enabled: false}
  meters: {driver: modbus, settings: {host: 192.0.2.2}, edge: wuxi}
  erp: {driver: modbus, settings: {host: 192.0.2.3}}
assets:
  acme: {level: enterprise, title: {en: Acme}}
  acme/suzhou: {level: site, type: meter, connection: meters}
  acme/suzhou/line: {level: line, connection: plc, feeds: [acme/wuxi]}
  acme/suzhou/line/press-1: {type: press, connection: plc, parameters: {base: 4}}
  acme/suzhou/line/press-2: {type: press, connection: plc}
  acme/wuxi: {level: site}
points:
  acme/frost: {type: bool}
  acme/outdoor: {unit: Cel, connection: erp, address: {table: holding, address: 3}}
  acme/strayed: {connection: plc, address: {table: holding, address: 7}}
  acme/suzhou/line/speed: {connection: plc, address: {table: holding, address: 8}}
  acme/suzhou/line/plan: {connection: erp, address: {table: holding, address: 8}}
  acme/suzhou/line/press-1/oil.temperature: {range: [0, 90], interval: 500ms}
  acme/suzhou/line/press-2/oil.temperature: {connection: erp, address: {table: holding, address: 1}}
alarms:
  acme/suzhou/line/speed:fast: {condition: high, limit: 5, class: trip}
  acme/suzhou/line/speed:cold: {condition: high, limit: 5, suppressed_by: acme/frost}
  acme/suzhou/line/speed:far: {condition: deviation, reference: acme/suzhou/line/plan, limit: 5}
  acme/suzhou/line/plan:fast: {condition: high, limit: 5}
  acme/suzhou/line/press-1/oil.temperature:hot: {limit: 70}
"""
PREFIXES = {"suzhou": "acme/suzhou", "wuxi": "acme/wuxi", "idle": "acme/suzhou"}


def registry_in(folder: Path) -> DeclarationRegistry:
    engine = create_engine(f"sqlite:///{folder}/{len(list(folder.iterdir()))}.db")
    metadata.create_all(engine)
    return DeclarationRegistry(engine, DRIVERS, FixedClock())


async def declared(folder: Path, files: dict[str, str]) -> PlantModel:
    registry = registry_in(folder)
    _, model = await registry.apply([SourceFile(name, text) for name, text in files.items()], actor="wang")
    return model


@pytest.fixture
async def shares(tmp_path: Path) -> dict[str, Share]:
    registry = registry_in(tmp_path)
    half = PLANT.index("points:\n  acme/frost")
    await registry.apply([SourceFile("a.yaml", PLANT[:half]), SourceFile("b/b.yaml", PLANT[half:])], actor="wang")
    return dict(await registry.shares(PREFIXES))


async def test_an_edge_reads_its_points_as_the_whole_plant_says(tmp_path: Path, shares: dict[str, Share]) -> None:
    whole = await declared(tmp_path, {"all.yaml": PLANT})
    part = await declared(tmp_path, dict(shares["suzhou"].files))
    run = {path for path, point in part.points.items() if part.connections[point.source.connection].enabled}  # type: ignore[union-attr]
    assert run == {
        "acme/suzhou/line/speed",
        "acme/suzhou/line/press-1/oil.temperature",
    }
    assert shares["suzhou"].points == len(run)
    assert part.points == {path: whole.points[path] for path in part.points}
    assert part.retention == {"long": whole.retention["long"]}


async def test_what_it_runs_is_enabled_and_what_others_run_is_not(tmp_path: Path, shares: dict[str, Share]) -> None:
    part = await declared(tmp_path, dict(shares["suzhou"].files))
    assert {name: (one.enabled, one.edge) for name, one in part.connections.items()} == {
        "plc": (True, ""),
        "spare": (False, ""),
        "erp": (False, ""),
    }


async def test_parents_come_bare_and_files_keep_their_names(tmp_path: Path, shares: dict[str, Share]) -> None:
    part = await declared(tmp_path, dict(shares["suzhou"].files))
    assert part.assets["acme/suzhou"].type is None and part.assets["acme"].title == {"en": "Acme"}
    assert "acme/wuxi" not in part.assets and "meter" not in part.types
    assert set(shares["suzhou"].files) == {"a.yaml", "b/b.yaml"}


async def test_alarms_come_along_unless_they_look_elsewhere(tmp_path: Path, shares: dict[str, Share]) -> None:
    part = await declared(tmp_path, dict(shares["suzhou"].files))
    assert {name: rule.limit for name, rule in part.alarms.items()} == {
        "acme/suzhou/line/speed:fast": 5,
        "acme/suzhou/line/press-1/oil.temperature:hot": 70,
    }
    assert part.alarms["acme/suzhou/line/speed:fast"].latched
    assert "unused" not in str(shares["suzhou"].files)
    assert part.assets["acme/suzhou/line"].feeds == ()


async def test_points_outside_the_prefix_are_left_out_and_told(shares: dict[str, Share]) -> None:
    assert shares["suzhou"].left_out == ("acme/strayed",)
    assert "strayed" not in str(shares["suzhou"].files)
    assert (shares["wuxi"].points, shares["wuxi"].left_out) == (0, ("acme/suzhou/energy",))


async def test_an_edge_without_connections_has_nothing_to_run(shares: dict[str, Share]) -> None:
    assert shares["idle"] == Share({}, 0, ())


async def test_an_edge_needs_a_name_that_can_be(tmp_path: Path) -> None:
    for wrong in ("a/b", "x" * 61, "-"):
        with pytest.raises(ConfigErrors, match="name"):
            await declared(
                tmp_path,
                {"a.yaml": f"connections: {{plc: {{driver: modbus, edge: '{wrong}', settings: {{host: a}}}}}}"},
            )


# --- what the platform itself declares --------------------------------------------------------------------------------

OWN = """\
types:
  link: {points: {latency: {unit: ms, range: [0, 1000]}}, alarms: {"latency:slow": {condition: high, limit: 500}}}
assets: {system: {}, system/suzhou: {type: link}}
"""


async def test_the_platforms_own_assets_are_in_the_plant_and_in_no_export(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    await registry.provide([SourceFile("own.yaml", OWN)])
    await registry.apply([SourceFile("a.yaml", PLANT)], actor="wang")
    model = await registry.model()
    assert "system/suzhou/latency" in model.points and "system/suzhou/latency:slow" in model.alarms
    exported = await registry.export()
    assert "system" not in str(exported)
    assert (await registry.plan(exported)).changes == ()
    assert "system" not in str((await registry.shares(PREFIXES))["suzhou"].files)


async def test_people_put_alarms_on_them_and_change_their_limits(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    await registry.provide([SourceFile("own.yaml", OWN)])
    dead = '"system/suzhou/latency:dead": {condition: stale, limit: 9s}'
    mine = f'alarms: {{{dead}, "system/suzhou/latency:slow": {{limit: 50}}}}'
    _, model = await registry.apply([SourceFile("a.yaml", mine)], actor="wang")
    assert model.alarms["system/suzhou/latency:slow"].limit == 50
    assert "system/suzhou/latency:dead" in model.alarms


async def test_nobody_declares_in_their_place(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    await registry.provide([SourceFile("own.yaml", OWN)])
    with pytest.raises(ConfigErrors, match=r"a.yaml:1:10: asset 'system' is the platform's own"):
        await registry.apply([SourceFile("a.yaml", "assets: {system: {level: site}}")], actor="wang")


async def test_what_is_provided_anew_takes_the_place_of_the_old(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    await registry.provide([SourceFile("own.yaml", OWN)])
    await registry.provide([SourceFile("own.yaml", "assets: {system: {}}")])
    assert (await registry.model()).points == {}
    with pytest.raises(ConfigErrors):
        await registry.provide([SourceFile("own.yaml", "assets: {a/b: {}}")])
    assert set((await registry.model()).assets) == {"system"}
