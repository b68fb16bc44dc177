"""Recordings: read exactly, and served exactly."""

import asyncio
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient
from ruamel.yaml import YAML
from tests.properties import examples

from headrace.connect.drivers.opcua.driver import DRIVER
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import parse_time_ns
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import DriverContext, PointBinding
from headrace_plants.recording import Recording, parse_recording, read_recording
from headrace_plants.replay import Options, Replay

DATA = Path(os.environ.get("HEADRACE_DATA") or Path(__file__).parents[3] / "shared" / "data")
SMALL = """\
time,temp,count,on,note
2026-01-01 00:00:00.000001,1.5,9007199254740993,true,甲
2026-01-01 00:00:01,,2,false,
2026-01-01 00:00:02,1.5,2,false,two words
2026-01-01 00:00:03,1e-300,-4,true,甲
"""


def skab(name: str) -> Recording:
    path = DATA / "ai" / "skab" / name
    if not path.exists():
        pytest.skip(f"the SKAB recordings are not here: set HEADRACE_DATA to the folder that holds ai/skab/{name}")
    return read_recording(path)


def kinds(recording: Recording) -> dict[str, str]:
    return {column.name: column.kind.label for column in recording.columns}


def test_columns_are_typed_exactly() -> None:
    recording = parse_recording(SMALL.encode())
    assert kinds(recording) == {"temp": "float64", "count": "int64", "on": "bool", "note": "text"}
    assert recording.times_ns is not None
    assert recording.times_ns[0] == parse_time_ns("2026-01-01T00:00:00.000001Z")
    assert recording.columns[1].values[0] == 9007199254740993  # beyond 2^53
    assert recording.columns[0].present.tolist() == [True, False, True, True]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_common_file_gives_the_same_table(encoding: str, delimiter: str) -> None:
    recording = parse_recording(SMALL.replace(",", delimiter).replace("\n", "\r\n").encode(encoding))
    assert recording.delimiter == delimiter
    assert kinds(recording)["temp"] == "float64"
    assert recording.columns[3].values.tolist() == ["甲", "", "two words", "甲"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["007", "008"], ValueKind.TEXT),
        (["1", "2.0"], ValueKind.FLOAT64),
        (["9223372036854775807", "-9223372036854775808"], ValueKind.INT64),
        (["9223372036854775808", "1"], ValueKind.FLOAT64),
        (["1e5", "nan"], ValueKind.FLOAT64),
        (["TRUE", "false"], ValueKind.BOOL),
        (["9007199254740993", "0.5"], ValueKind.TEXT),
        (["9007199254740992", "0.5"], ValueKind.FLOAT64),
        (["1_000", "2"], ValueKind.TEXT),
        (["0x10", "2"], ValueKind.TEXT),
    ],
)
def test_a_cell_never_changes_by_its_type(cells: list[str], kind: ValueKind) -> None:
    recording = parse_recording(("a,b\n" + "".join(f"x,{cell}\n" for cell in cells)).encode())
    assert recording.columns[1].kind is kind


@pytest.mark.parametrize(
    ("stamp", "offset", "time"),
    [
        ("2020-03-09 10:14:33", "Z", "2020-03-09T10:14:33Z"),
        ("2020/3/9 9:14", "+08:00", "2020-03-09T09:14:00+08:00"),
        ("2020-03-09T10:14:33.5+0100", "Z", "2020-03-09T10:14:33.5+01:00"),
        ("1583748873", "Z", "2020-03-09T10:14:33Z"),
        ("1583748873250", "Z", "2020-03-09T10:14:33.25Z"),
        ("1583748873000000001", "Z", "2020-03-09T10:14:33.000000001Z"),
    ],
)
def test_times_of_many_spellings(stamp: str, offset: str, time: str) -> None:
    recording = parse_recording(f"ts,v\n{stamp},1\n".encode(), utc_offset=offset)
    assert recording.times_ns is not None and recording.times_ns[0] == parse_time_ns(time)


def test_a_table_without_time_or_with_a_named_one() -> None:
    assert parse_recording(b"a,b\n1,2\n3,4\n").times_ns is None
    recording = parse_recording(b"a,b\n1583748873,2\n1583748874,4\n", time_column="a")
    assert recording.times_ns is not None and [c.name for c in recording.columns] == ["b"]
    for wanted in ("c", "b"):
        with pytest.raises((ConfigError, DataError)):
            parse_recording(b"a,b\n1583748873,2\n", time_column=wanted)
    with pytest.raises(ConfigError):
        Replay(parse_recording(b"a,b\n1,2\n"), Options())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_recording_or_a_clear_error(data: bytes) -> None:
    try:
        recording = parse_recording(data)
    except (ConfigError, DataError) as error:
        assert str(error)
    else:
        assert all(len(column.values) == recording.rows for column in recording.columns)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_floats_come_back_bit_for_bit(numbers: list[float]) -> None:
    recording = parse_recording(("t,v\n" + "".join(f"x,{number!r}\n" for number in numbers)).encode())
    column = recording.columns[1]
    assert column.kind is ValueKind.FLOAT64
    assert column.values.tobytes() == np.array(numbers).tobytes()


def test_the_declaration_is_valid_and_its_names_are_unique() -> None:
    recording = parse_recording("时间,a b,a-b,row,压力 (bar)\n2026-01-01 00:00:00,1,2,3,4\n".encode(), "my file")
    replay = Replay(recording, Options(protocol="modbus"))
    declared = YAML(typ="safe").load(replay.declaration()[0][1])
    names = [path.rpartition("/")[2] for path in declared["points"]]
    assert names == ["row", "time", "a-b", "a-b-2", "row-2", "压力-bar"]
    spans = [(p["address"]["address"], 4) for p in declared["points"].values()]
    assert len(set(spans)) == len(spans)
    assert list(declared["assets"]) == ["replay", "replay/my-file"]


async def listen(replay: Replay, publishing_ms: int = 50, queue: int = 1) -> dict[str, list[tuple[Any, Any]]]:
    """Play to the end for one client that asks for default filters and the smallest queue."""
    got: dict[str, list[tuple[Any, Any]]] = {name: [] for name in replay.names()}

    class Listener:
        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            held = data.monitored_item.Value
            if held.StatusCode.is_good():
                got[node.nodeid.Identifier.removeprefix("replay.")].append((held.SourceTimestamp, value))

    async with Client(f"opc.tcp://127.0.0.1:{replay.port}/", timeout=20) as client:
        subscription = await client.create_subscription(publishing_ms, Listener())
        playing = asyncio.create_task(replay.play())
        await subscription.subscribe_data_change(
            [client.get_node(f"ns=2;s=replay.{name}") for name in replay.names()], queuesize=queue
        )
        await playing
        expected = sum(int(column.present.sum()) for column in replay.recording.columns)
        async with asyncio.timeout(60):
            while sum(map(len, got.values())) < expected:
                await asyncio.sleep(0.01)
    return got


async def test_opcua_loses_nothing_repeats_and_gaps_included() -> None:
    recording = parse_recording(SMALL.encode())
    replay = Replay(recording, Options(rate=1000, wait_for_client=True))
    await replay.start()
    try:
        got = await listen(replay)
    finally:
        await replay.stop()
    assert [value for _, value in got["temp"]] == [1.5, 1.5, 1e-300]  # the empty cell is no sample, the repeat is one
    assert [value for _, value in got["count"]] == [9007199254740993, 2, 2, -4]
    assert [value for _, value in got["on"]] == [True, False, False, True]
    assert [value for _, value in got["note"]] == ["甲", "two words", "甲"]
    assert got["count"][0][0].isoformat() == "2026-01-01T00:00:00.000001+00:00"


async def test_skab_arrives_bit_exact_over_opcua() -> None:
    recording = skab("valve1/0.csv")
    assert recording.times_ns is not None and recording.rows == 1147
    replay = Replay(recording, Options(rate=2000, wait_for_client=True))
    await replay.start()
    try:
        got = await listen(replay)
    finally:
        await replay.stop()
    for name, column in zip(replay.names(), recording.columns, strict=True):
        values = np.array([value for _, value in got[name]], dtype=column.values.dtype)
        assert values.tobytes() == column.values.tobytes(), name
        assert [int(stamp.timestamp()) * 10**9 for stamp, _ in got[name]] == recording.times_ns.tolist(), name


async def test_skab_arrives_bit_exact_in_the_batches_of_our_own_driver(tmp_path: Path) -> None:
    recording = skab("valve1/2.csv")
    assert recording.times_ns is not None
    replay = Replay(recording, Options(rate=2000, wait_for_client=True))
    await replay.start()
    opcua = DRIVER.settings.model_validate({"url": f"opc.tcp://127.0.0.1:{replay.port}/", "security": "none"})
    driver: Any = DRIVER.open(opcua, DriverContext("replay", SystemClock(), tmp_path))
    received: list[Batch] = []
    try:
        await driver.connect()
        playing = asyncio.create_task(replay.play())
        bindings = [
            PointBinding(handle, name, column.kind, DRIVER.address(node=f"ns=2;s=replay.{name}"), 50_000_000)
            for handle, (name, column) in enumerate(zip(replay.names(), recording.columns, strict=True))
        ]
        await driver.subscribe(bindings, received.extend, lambda error: None)
        await playing
        async with asyncio.timeout(60):
            while sum(map(len, received)) < recording.rows * len(bindings):
                await asyncio.sleep(0.01)
    finally:
        await driver.close()
        await replay.stop()
    for handle, column in enumerate(recording.columns):
        values = np.concatenate(
            [batch.values[batch.handles == handle] for batch in received if batch.kind is column.kind]
        )
        times = np.concatenate([batch.source_ns[batch.handles == handle] for batch in received])
        assert values.tobytes() == column.values.tobytes(), column.name
        assert np.array_equal(times, recording.times_ns), column.name


async def read_all(replay: Replay, client: AsyncModbusTcpClient, registers: int) -> bytes:
    answer = await client.read_holding_registers(0, count=registers)
    assert not answer.isError()
    return struct.pack(f">{registers}H", *answer.registers)


async def test_skab_arrives_bit_exact_over_modbus_step_by_step() -> None:
    recording = skab("valve1/1.csv")
    assert recording.times_ns is not None
    replay = Replay(recording, Options(protocol="modbus", step_on_read=True))
    await replay.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=replay.port, reconnect_delay=0, retries=0, timeout=20)
    playing = asyncio.create_task(replay.play())
    try:
        assert await client.connect()
        width = 8 + 4 * len(recording.columns)
        seen: list[bytes] = []
        while not playing.done() and len(seen) < recording.rows:
            row = await read_all(replay, client, width)
            seen.append(row)
            async with asyncio.timeout(20):
                while replay.rows_played <= len(seen) < recording.rows:
                    await asyncio.sleep(0)
        assert await asyncio.wait_for(playing, 20) == recording.rows
    finally:
        playing.cancel()
        client.close()
        await replay.stop()
    table = np.frombuffer(b"".join(seen), dtype=">i8").reshape(recording.rows, -1)
    assert table[:, 0].tolist() == list(range(recording.rows))
    assert table[:, 1].tolist() == recording.times_ns.tolist()
    for position, column in enumerate(recording.columns, start=2):
        assert table[:, position].astype("<i8").tobytes() == column.values.tobytes(), column.name


async def test_a_polled_recording_folds_back_by_its_row_numbers() -> None:
    recording = parse_recording(SMALL.encode())
    replay = Replay(recording, Options(protocol="modbus", rate=20, times="now", wait_for_client=True))
    await replay.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=replay.port, reconnect_delay=0, retries=0, timeout=20)
    playing = asyncio.create_task(replay.play())
    try:
        assert await client.connect()
        rows: dict[int, bytes] = {}
        while 3 not in rows:
            image = await read_all(replay, client, 18)
            row = int.from_bytes(image[:8], "big")
            assert rows.setdefault(row, image) == image  # the same for as long as it is shown
        await playing
    finally:
        playing.cancel()
        client.close()
        await replay.stop()
    first = struct.unpack(">qqdq4s", rows[0])
    assert first[2:4] == (1.5, 9007199254740993) and first[4].rstrip(b"\0").decode() == "甲"
    assert struct.unpack(">q", rows[3][24:32]) == (-4,)


async def test_no_row_over_modbus_is_cut_short_to_catch_up() -> None:
    """After a stall of the process, too, a row is shown long enough for a poll to see it."""
    recording = parse_recording(b"a,b\n" + b"1,2\n" * 8)
    replay = Replay(recording, Options(protocol="modbus", rate=20))
    loop, shown, show = asyncio.get_running_loop(), [0.0], replay._stage.show

    async def stalling(number: int) -> None:
        await show(number)
        if number == 2:
            time.sleep(0.3)  # noqa: ASYNC251  (the stall)
        shown.append(loop.time())

    await replay.start()
    try:
        replay._stage.show = stalling  # type: ignore[method-assign]
        await replay.play()
    finally:
        await replay.stop()
    assert min(np.diff(shown)) > 0.7 / 20


@settings(max_examples=examples(5))
@given(st.integers(2, 6), st.integers(1, 3))
def test_a_loop_goes_on_without_going_back(rows: int, laps: int) -> None:
    text = "t,v\n" + "".join(f"2026-01-01 00:00:0{row},{row}\n" for row in range(rows))
    replay = Replay(parse_recording(text.encode()), Options(protocol="modbus", loop=True))
    times = [replay.row_time_ns(number) for number in range(rows * laps)]
    assert np.all(np.diff(times) == 10**9)
