"""The data sheets and the declaration made from them."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from sqlalchemy import create_engine

from headrace.connect.drivers.modbus.driver import DRIVER as MODBUS
from headrace.connect.drivers.opcua.driver import DRIVER as OPCUA
from headrace.model.batch import ValueKind
from headrace.model.plant import PlantModel
from headrace.registry import DeclarationRegistry, tables
from headrace.sdk.clock import SystemClock
from headrace.sdk.services import SourceFile
from headrace_plants.layout import AREAS, MACHINES, NUMBERS, POINTS, SERVERS, TEXTS
from headrace_plants.recording import parse_recording
from headrace_plants.replay import Options, Replay
from headrace_plants.sheets import SHEETS
from headrace_plants.works import declaration


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PlantModel:
    """The declaration as the registry understands it."""
    engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('registry') / 'registry.db'}")
    tables.metadata.create_all(engine)
    registry = DeclarationRegistry(engine, {"modbus": MODBUS, "opcua": OPCUA}, SystemClock())
    files = [SourceFile(name, text) for name, text in declaration({"press-1-plc": 2502})]

    async def apply() -> PlantModel:
        plan = await registry.plan(files)
        assert [str(error) for error in plan.errors] == []
        return (await registry.apply(files, actor="test"))[1]

    return asyncio.run(apply())


def test_the_works_has_about_600_points_of_all_kinds() -> None:
    assert 580 <= len(POINTS) <= 620
    assert len(POINTS) == NUMBERS + TEXTS
    assert {point.row.kind for point in POINTS} == set(ValueKind)
    assert len({point.path for point in POINTS}) == len(POINTS)
    protocols = {server.name: server.protocol for server in SERVERS}
    assert Counter(protocols[point.machine.server] for point in POINTS) == {"opcua": 357, "modbus": 248}


def test_the_registry_takes_the_declaration_as_it_is(model: PlantModel) -> None:
    calculated = {f"{one.path}/{row.name}" for one in MACHINES for row in one.sheet.calculated}
    assert set(model.points) == {point.path for point in POINTS} | calculated
    assert set(model.calculations) == calculated != set()
    assert set(model.assets) == {area.path for area in AREAS} | {machine.path for machine in MACHINES}
    assert model.connections["press-1-plc"].settings["port"] == 2502
    assert 60 <= len(model.alarms) <= 80
    assert model.assets["acme/suzhou/utilities/chiller-1"].feeds == (
        "acme/suzhou/moulding-shop/line-1",
        "acme/suzhou/press-shop/line-1",
    )
    for point in POINTS:
        declared = model.points[point.path]
        assert declared.kind is point.row.kind
        assert declared.source is not None and declared.source.connection == point.machine.server
        assert declared.writable == point.row.writable


def test_no_two_points_share_a_register_or_node(model: PlantModel) -> None:
    taken: dict[object, str] = {}
    for path, point in model.points.items():
        if path in model.calculations:
            continue
        assert point.source is not None
        address = point.source.address
        if "node" in address:
            places: list[object] = [(point.source.connection, address["node"])]
        else:
            width = MODBUS.address.model_validate(dict(address)).width
            places = [(point.source.connection, address["table"], address["address"] + n) for n in range(width)]
        for place in places:
            assert taken.setdefault(place, path) == path


def test_every_title_and_message_is_in_both_languages(model: PlantModel) -> None:
    titles = [
        thing.title for kind in (model.points, model.assets, model.connections, model.types) for thing in kind.values()
    ]
    titles += [rule.message for rule in model.alarms.values()]
    for title in titles:
        assert set(title) == {"en", "zh"}
        assert re.search(r"[\u4e00-\u9fff]", title["zh"]), title
        assert not re.search(r"[\u4e00-\u9fff]", title["en"]), title


def test_limits_lie_within_ranges() -> None:
    for sheet in SHEETS:
        for alarm in sheet.alarms:
            row = sheet.row(alarm.point)
            if alarm.condition in ("high", "low"):
                assert row.low < alarm.limit < row.high, (sheet.name, alarm)
        for row in sheet.rows:
            if row.write is not None and row.kind is not ValueKind.BOOL:
                assert row.low <= row.write[0] <= float(row.start) <= row.write[1] <= row.high, row


def test_each_file_is_yaml_without_duplicate_keys_and_reads_well(tmp_path: Path) -> None:
    for name, text in declaration():
        assert isinstance(YAML(typ="safe").load(text), dict), name
        assert max(map(len, text.splitlines())) < 200, name


@pytest.mark.parametrize("protocol", ["opcua", "modbus"])
def test_the_registry_takes_the_declaration_of_a_replay(tmp_path: Path, protocol: str) -> None:
    recording = parse_recording("时间,温度,n,ok,note\n2026-01-01 00:00:00,1.5,3,true,甲\n".encode("gbk"), "炉 1")
    replay = Replay(recording, Options(protocol=protocol, port=4840))
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    tables.metadata.create_all(engine)
    registry = DeclarationRegistry(engine, {"modbus": MODBUS, "opcua": OPCUA}, SystemClock())
    plan = asyncio.run(registry.plan([SourceFile(name, text) for name, text in replay.declaration()]))
    assert [str(error) for error in plan.errors] == []
    assert "replay/炉-1/温度" in {change.key for change in plan.changes}
