"""Devices in bulk: wrong rows are named and the good ones go in; whatever the table says, only our errors come out."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.fleet.devices.test_register import PLANT
from tests.fleet.fakes import Audit
from tests.properties import examples
from tests.registry.fakes import DRIVERS

from headrace.fleet.devices import Devices, sheet
from headrace.model.errors import DataError
from headrace.registry import TenantRegistries, read_rows
from headrace.sdk.services import SourceFile
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.device_door import CERTIFICATE, claim

TABLE = f"""\
Name,secret,certificate,publish,Messages per s,note,asset,type,connection,parameter.base,title
m-1,,,meters/{{device}}/#; alarms/{{device}},2.5,Hall 2,acme/m-1,meter,gate,4,Meter 1
m-2,4f6c-2e13-99ab-07d2,,,,,,,,,
m-3,,{CERTIFICATE},,,,,,,,
,,,,,,,,,,
m-1,,,,,,,,,,
m/4,,,,,,,,,,
m-5,short,,,,,,,,,
m-6,,,,,,acme/m-6,metr,gate,,
m-7,,,,,,acme/hall/m-7,meter,gate,,
m-8,,,,,,acme/m-8,meter,,,
m-9,,,,,,acme/m-1,meter,gate,,
m-10,,,,,,acme/m-10,meter,gate,eight,
"""


def rows_of(text: str) -> list[tuple[int, list[Any]]]:
    _, rows = read_rows(text.encode(), "devices.csv")
    return list(rows)


@pytest.fixture
async def devices(engine: Engine, clock: FakeClock, audit: Audit) -> Devices:
    registry = TenantRegistries(engine, DRIVERS, clock)
    await registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
    return Devices(engine, clock, audit, lambda: registry)


async def test_the_good_rows_go_in_and_the_others_say_why(devices: Devices, audit: Audit) -> None:
    done = await devices.import_rows("wang", rows_of(TABLE))
    assert list(done.names) == ["m-1", "m-2", "m-3"]
    assert set(done.secrets) == {"m-1"} and done.assets == 1
    assert {error.row: error.message[:40] for error in done.errors} == {
        6: "'m-1' stands in row 2 already",
        7: "'m/4' is no name of a device: a letter o",
        8: "the secret can be guessed: take at least",
        9: "there is no type 'metr'; did you mean 'm",
        10: "asset 'acme/hall/m-7' stands below 'acme",
        11: "the asset needs a connection",
        12: "'acme/m-1' stands in row 2 already",
        13: "'address' must be a whole number, not te",
    }
    admission = await devices.door.admit(claim("m-1", done.secrets["m-1"]))
    assert admission.publish == ("meters/m-1/#", "alarms/m-1") and admission.messages_per_s == 2.5
    assert (await devices.door.admit(claim("m-2", "4f6c-2e13-99ab-07d2"))).device == "m-2"
    assert (await devices.door.admit(claim("x", certificate=CERTIFICATE))).device == "m-3"
    assert devices.get("m-1").asset == "acme/m-1"
    assert audit.actions == ["device.import"] and done.secrets["m-1"] not in str(audit.entries)


async def test_doing_it_again_changes_nothing_and_says_so(devices: Devices) -> None:
    first = await devices.import_rows("wang", rows_of("name\na\nb\n"))
    again = await devices.import_rows("wang", rows_of("name\na\nb\nc\n"))
    assert list(again.names) == ["c"] and [error.row for error in again.errors] == [2, 3]
    assert (await devices.door.admit(claim("a", first.secrets["a"]))).device == "a"


async def test_ten_thousand_devices_are_in_within_bounds(devices: Devices) -> None:
    began_s = time.process_time()
    done = await devices.import_rows("wang", [(1, ["name"]), *((row, [f"m-{row}"]) for row in range(2, 10_002))])
    print(f"10,000 devices took {time.process_time() - began_s:.2f} s of CPU")
    assert len(done.secrets) == 10_000 and len(set(done.secrets.values())) == 10_000
    assert devices.page().total == 10_000 and done.errors == []


async def test_a_table_of_nothing_but_wrong_assets_is_refused_as_a_whole(devices: Devices) -> None:
    wrong = [(row, [f"m-{row}", f"acme/no/m-{row}", "meter", "gate"]) for row in range(2, 700)]
    with pytest.raises(DataError, match=r"nothing was imported; the first is row \d+: "):
        await devices.import_rows("wang", [(1, ["name", "asset", "type", "connection"]), *wrong])
    assert devices.page().total == 0


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ([], "is empty"),
        (["note"], "one of them is 'name'"),
        (["name", "secrt"], "did you mean 'secret'"),
        (["name", "NAME"], "stands twice"),
        (["name", *(f"parameter.p{n}" for n in range(200))], "at most 100 columns"),
    ],
)
def test_a_header_that_cannot_be(header: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        sheet.read([(1, header)] if header else [])


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(DataError, match="split the table"):
        sheet.read([(1, ["name"]), *((row, [f"m-{row}"]) for row in range(2, 13))], rows_max=10)


_cells = st.none() | st.text(max_size=12) | st.integers() | st.floats() | st.booleans() | st.sampled_from(
    ["name", "secret", "asset", "type", "connection", "parameter.a", "parameter.", "a/#", "1e999", CERTIFICATE]
)  # fmt: skip


@settings(deadline=None, max_examples=examples(80))
@given(st.lists(st.lists(_cells, max_size=6), max_size=6), st.booleans())
def test_any_table_gives_devices_or_our_errors(cells: list[list[Any]], headed: bool) -> None:
    rows = [["name", "secret", "publish", "messages_per_s", "asset", "parameter.x"], *cells] if headed else cells
    try:
        read = sheet.read(list(enumerate(rows, 1)))
    except DataError:
        return
    assert len(read.wanted) + len(read.errors) <= len(rows)


@settings(deadline=None, max_examples=examples(80))
@given(st.binary(max_size=200))
@pytest.mark.clause("62443-3-3 SR 3.5")
def test_any_bytes_give_devices_or_our_errors(data: bytes) -> None:
    from headrace.model.errors import ConfigError

    try:
        _, rows = read_rows(b"name,secret\n" + data, "devices.csv")
        sheet.read(rows)
    except (DataError, ConfigError):
        pass
