"""What an engineer writes for Modbus, right and wrong."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from headrace.connect.binding import bind, explain
from headrace.connect.drivers import load
from headrace.connect.drivers.modbus import driver
from headrace.connect.drivers.modbus.config import Address, Settings, check
from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError
from headrace.model.plant import Connection
from headrace.model.points import Access, Point, PointSource

SAMPLE = Path(driver.__file__).parent / "sample.yaml"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"table": "holding", "address": 65_536}, "addresses are 0 to 65535"),
        ({"table": "holding", "address": 65_535, "encoding": "float32"}, "this needs 65535 to 65536"),
        ({"table": "holding", "address": -1}, "addresses are 0 to 65535"),
        ({"table": "holdng", "address": 1}, "'coil', 'discrete', 'input' or 'holding'"),
        ({"table": "coil", "address": 1, "encoding": "float32"}, "holds single bits: use encoding bool"),
        ({"table": "coil", "address": 1, "bit": 2}, "holds single bits already"),
        ({"table": "input", "address": 1, "bit": 16}, "'bit' is 0 to 15"),
        ({"table": "input", "address": 1, "bit": 1, "encoding": "int16"}, "one bit of a register is a bool"),
        ({"table": "input", "address": 1, "encoding": "text"}, "a text needs it"),
        ({"table": "input", "address": 1, "length": 3}, "belongs to encoding text"),
        ({"table": "input", "address": 1, "encoding": "text", "length": 126}, "1 to 125 registers"),
        ({"table": "input", "address": 1, "scale": 0}, "'scale' is not 0"),
        ({"table": "input", "address": 1, "scale": float("nan")}, "finite"),
        ({"table": "input", "address": 1, "bit": 1, "scale": 2}, "for numbers"),
        ({"table": "input", "address": 1, "adress": 1}, "adress"),
        ({"table": "input", "address": "{base}"}, "integer"),
    ],
)
def test_a_wrong_address_is_told_in_plain_words(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Address.model_validate(given)
    assert says in explain(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "x", "framing": "rtu", "in_flight": 2}, "'in_flight' must be 1"),
        ({"host": "x", "framing": "rtu", "unit": 0}, "1 to 247"),
        ({"host": "x", "port": 70_000}, "65535"),
        ({"host": "x", "max_batch": 126}, "125"),
        ({"host": ""}, "host"),
        ({"hots": "x"}, "hots"),
    ],
)
def test_wrong_settings_are_told_in_plain_words(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(given)
    assert says in explain(caught.value)


@pytest.mark.parametrize(
    ("given", "kind", "writable", "says"),
    [
        ({"table": "coil"}, ValueKind.FLOAT64, False, "declare it bool"),
        ({"table": "input", "encoding": "float32"}, ValueKind.INT64, False, "declare it float64"),
        ({"table": "input", "encoding": "int16", "scale": 0.1}, ValueKind.INT64, False, "declare it float64"),
        ({"table": "input", "encoding": "text", "length": 2}, ValueKind.BOOL, False, "declare it text"),
        ({"table": "input"}, ValueKind.INT64, True, "can only be read"),
        ({"table": "holding", "encoding": "text", "length": 124}, ValueKind.TEXT, True, "at most 123"),
    ],
)
def test_a_point_that_cannot_live_there_is_told_so(
    given: dict[str, Any], kind: ValueKind, writable: bool, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check(Address.model_validate({"address": 0, **given}), kind, writable)


def test_defaults_follow_the_table() -> None:
    assert Address.model_validate({"table": "coil", "address": "7"}).encoding.value == "bool"
    assert Address.model_validate({"table": "holding", "address": 7, "bit": 0}).encoding.value == "bool"
    assert Address.model_validate({"table": "holding", "address": 7}).encoding.value == "uint16"


def test_the_sample_is_valid_and_every_point_binds() -> None:
    declared = YAML(typ="safe").load(SAMPLE.read_text("utf-8"))
    drivers = load()
    connections = {
        name: Connection(name, said["driver"], said["settings"]) for name, said in declared["connections"].items()
    }
    for connection in connections.values():
        drivers[connection.driver].settings.model_validate(connection.settings)
    points = [
        Point(
            path,
            ValueKind.from_label(said["type"]),
            access=Access(said.get("access", "read")),
            source=PointSource(said["connection"], said["address"]),
        )
        for path, said in declared["points"].items()
    ]
    bound = bind(points, {point.path: at for at, point in enumerate(points)}, connections, drivers)
    assert bound.errors == {}
    assert sum(map(len, bound.by_connection.values())) == len(points) == 8


def test_binding_names_the_point_and_the_reason() -> None:
    points = [
        Point("a/nobody", ValueKind.BOOL, source=PointSource("gone", {})),
        Point("a/typo", ValueKind.BOOL, source=PointSource("plc", {"table": "coil", "addr": 1})),
        Point("a/kind", ValueKind.FLOAT64, source=PointSource("plc", {"table": "coil", "address": 1})),
        Point("a/calculated", ValueKind.FLOAT64),
    ]
    bound = bind(points, {}, {"plc": Connection("plc", "modbus", {})}, load())
    assert set(bound.errors) == {"a/nobody", "a/typo", "a/kind"}
    assert all(path in str(error) for path, error in bound.errors.items())
    assert "addr" in str(bound.errors["a/typo"]) and "declare it bool" in str(bound.errors["a/kind"])


def test_the_loaded_type_is_the_drivers_own() -> None:
    loaded, own = load()["modbus"], driver.DRIVER
    assert (loaded.name, loaded.title, loaded.settings, loaded.address, loaded.check) == (
        own.name,
        own.title,
        own.settings,
        own.address,
        own.check,
    )


def test_the_example_of_the_readme_runs() -> None:
    text = (SAMPLE.parent / "README.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.S)
    names: dict[str, Any] = {}
    exec(code.replace("port=15020", "port=0"), names)
    asyncio.run(names["main"]())


@pytest.mark.parametrize("model", [Settings, Address])
def test_the_readme_names_every_field(model: type[BaseModel]) -> None:
    text = (SAMPLE.parent / "README.md").read_text("utf-8")
    assert [name for name in model.model_fields if f"`{name}`" not in text] == []
