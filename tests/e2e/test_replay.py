"""A recording goes round the whole house and comes back bit for bit.

CSV ─► `headrace plant replay` (OPC UA or Modbus) ─► `headrace serve` ─► /history/raw as Arrow, and Parquet ─► CSV?

Of each float the 64 bits are compared, not the number, so that -0.0 is not 0.0 and a subnormal is not zero.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from tests.e2e.platform_process import ROOT, headrace, platform_process, wait_for
from tests.e2e.replay_process import ReplayProcess

from headrace.cli.client import Client
from headrace.model.batch import ValueKind
from headrace.model.quality import is_good
from headrace_plants.recording import Column, Recording, read_recording

SKAB = Path(os.environ.get("HEADRACE_DATA") or ROOT.parent / "shared" / "data") / "ai" / "skab" / "valve1"
SPAN = {"start": "2020-01-01T00:00:00Z", "end": "now+1d"}
ARRIVE_WITHIN_S = 60.0
KINDS = {"double": ValueKind.FLOAT64, "int64": ValueKind.INT64, "bool": ValueKind.BOOL, "string": ValueKind.TEXT}

# Each row is a trap: a zero with a sign, the smallest and largest floats, integers that no float holds, an empty
# cell, a repeat, a text with a comma, a time with µs.
NASTY = '''\
time,tiny,huge,count,on,note
2026-01-01 00:00:00.000001,-0.0,1e308,9007199254740993,true,压机一号
2026-01-01 00:00:00.5,0.0,-1.7976931348623157e308,-9007199254740993,false,"two, words"
2026-01-01 00:00:01,5e-324,0.1,9223372036854775807,false,
2026-01-01 00:00:02.123456,-5e-324,0.30000000000000004,-9223372036854775808,true,液位
2026-01-01 00:00:03,2.2250738585072014e-308,1e308,0,true,液位
2026-01-01 00:00:04,1e-310,,1,,🏭
2026-01-01 00:00:05,-0.0,-1e308,2,false,"say ""when"""
'''


def nasty(folder: Path) -> Path:
    path = folder / "nasty.csv"
    path.write_text(NASTY, "utf-8")
    return path


def skab(folder: Path, rows: int) -> Path:
    """The first rows of a recording of a real water loop, 1 Hz, eight channels and two labels."""
    source = SKAB / "0.csv"
    if not source.exists():
        pytest.skip("the SKAB recordings are not here: set HEADRACE_DATA to the folder that holds ai/skab/valve1")
    path = folder / "skab.csv"
    path.write_text("".join(source.read_text("utf-8-sig").splitlines(keepends=True)[: rows + 1]), "utf-8")
    return path


@contextmanager
def replayed(
    csv: Path, *options: str, interval: str | None = None, within_s: float = ARRIVE_WITHIN_S
) -> Iterator[tuple[Client, Path, str]]:
    """The platform after all rows are out: client, home, asset. `interval` overrules the declared one."""
    folder, home = csv.parent / "plant", csv.parent / "home"
    with ReplayProcess(csv, folder, "--wait-for-client", *options) as replay:
        if interval is not None:
            for file in folder.glob("*.yaml"):
                file.write_text(re.sub(r"interval: \w+", f"interval: {interval}", file.read_text("utf-8")), "utf-8")
        with platform_process(home, "-f", str(folder)) as platform:
            client = platform.start()
            wait_for(replay.finished, within_s, "the last row to be out", platform.log.read_text)
            yield client, home, replay.ready["asset"]
            assert platform.stop() == 0


def raw(client: Client, path: str) -> pa.Table:
    """All samples as the exact Arrow stream gives them."""
    response = client.http.get(
        "/history/raw",
        params={"path": path, "limit": 1_000_000, **SPAN},
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    )
    assert response.status_code == 200, response.text
    assert "X-Next-Cursor" not in response.headers
    return pa.ipc.open_stream(response.content).read_all()


def exported(home: Path, paths: list[str]) -> pa.Table:
    """The same through the command and a Parquet file."""
    target = home.with_name("export.parquet")
    times = ("--start", SPAN["start"], "--end", SPAN["end"])
    run = headrace("history", "show", *paths, "--home", str(home), *times, "-o", str(target))
    assert run.returncode == 0, run.stderr
    return pq.read_table(target)


def bits(kind: ValueKind, values: pa.ChunkedArray | pa.Array) -> list[Any]:
    """Floats as the integers of their 64 bits; all else as it is."""
    assert values.null_count == 0
    if kind is ValueKind.FLOAT64:
        numbers: NDArray[np.float64] = values.to_numpy(zero_copy_only=False) if len(values) else np.empty(0)
        return numbers.view(np.int64).tolist()
    return list(values.to_pylist())


def wanted(column: Column) -> list[Any]:
    """What the cells say, empty ones left out."""
    present = column.values[column.present]
    return (present.view(np.int64) if column.kind is ValueKind.FLOAT64 else present).tolist()


def times(column: pa.ChunkedArray) -> list[int]:
    return list(column.cast(pa.int64()).to_pylist())


def name_of(column: Column) -> str:
    return re.sub(r"\W+", "-", column.name)


def check_opcua(csv: Path, *options: str) -> None:
    """Every filled cell is there once, with its row's own time, in order, good, and with the same bits."""
    recording = read_recording(csv)
    assert recording.times_ns is not None
    with replayed(csv, "--protocol", "opcua", *options) as (client, home, asset):
        paths = {f"{asset}/{name_of(column)}": column for column in recording.columns}
        for path, column in paths.items():
            count = int(column.present.sum())
            wait_for(lambda p=path, n=count: len(raw(client, p)) >= n, 20, f"{count} samples of {path}")
        streams = {path: raw(client, path) for path in paths}
        files = exported(home, list(paths))
    for path, column in paths.items():
        stream, file = streams[path], files.filter(pa.compute.equal(files["path"].cast(pa.string()), path))
        for table, values in ((stream, stream["value"]), (file, file[column.kind.label])):
            assert times(table["source_time"]) == recording.times_ns[column.present].tolist(), path
            assert bits(column.kind, values) == wanted(column), path
            assert is_good(table["quality"].to_numpy()).all(), path
    assert len(files) == sum(int(column.present.sum()) for column in recording.columns)


def check_modbus(
    csv: Path, *options: str, interval: str | None = None, every_row: bool = True, within_s: float = ARRIVE_WITHIN_S
) -> None:
    """Polls carry no time; the `row` register that came with each poll folds them back into the recording."""
    recording = read_recording(csv)
    with replayed(csv, "--protocol", "modbus", *options, interval=interval, within_s=within_s) as (client, home, asset):
        paths = [f"{asset}/{name}" for name in ("row", "time", *map(name_of, recording.columns))]
        last = recording.rows - 1
        wait_for(lambda: raw(client, paths[0])["value"].to_pylist()[-1:] == [last], 20, f"row {last}")
        bools = [path for path, column in zip(paths[2:], recording.columns, strict=True) if is_bool(column)]
        wait_for(
            lambda: all(len(raw(client, path)) >= recording.rows for path in bools), 20, "the bits of the last row"
        )
        streams = {path: raw(client, path) for path in paths}
        files = exported(home, paths)
    for points in (streams, {path: one_point(files, path) for path in paths}):
        check_fold(recording, fold(points), every_row)


def is_bool(column: Column) -> bool:
    return column.kind is ValueKind.BOOL


def one_point(files: pa.Table, path: str) -> pa.Table:
    """The rows of a point, with the column of its kind as `value`."""
    rows = files.filter(pa.compute.equal(files["path"].cast(pa.string()), path))
    return rows.append_column("value", rows[rows["kind"][0].as_py()])


def fold(points: dict[str, pa.Table]) -> dict[int, tuple[Any, ...]]:
    """Cells by row number; fails where a row came in two versions, or rows came out of order.

    Registers of one request have one time. Bits come by a request of their own: theirs go with rows in their order.
    """
    numbers_table = next(iter(points.values()))
    numbers, stamps = numbers_table["value"].to_pylist(), times(numbers_table["source_time"])
    of_registers = [table for table in points.values() if KINDS[str(table["value"].type)] is not ValueKind.BOOL]
    until = min(times(table["source_time"])[-1] for table in of_registers)  # polls went on while this was read
    seen = sum(stamp <= until for stamp in stamps)
    numbers, stamps = numbers[:seen], stamps[:seen]
    assert numbers == sorted(numbers)
    assert len(set(stamps)) == len(stamps)
    columns: list[list[Any]] = []
    for path, table in list(points.items())[1:]:
        kind = KINDS[str(table["value"].type)]
        own = times(table["source_time"])
        assert own == sorted(set(own)), path
        cells = bits(kind, table["value"])
        if kind is ValueKind.BOOL:
            cells += [cells[-1]] * (len(stamps) - len(cells))
        else:
            by_time = dict(zip(own, cells, strict=True))
            cells = [by_time[stamp] for stamp in stamps]
        columns.append(cells[: len(stamps)])
    folded: dict[int, tuple[Any, ...]] = {}
    for number, *cells in zip(numbers, *columns, strict=True):
        assert folded.setdefault(number, tuple(cells)) == tuple(cells), f"row {number} came torn"
    return folded


def check_fold(recording: Recording, found: dict[int, tuple[Any, ...]], every_row: bool) -> None:
    """Each row that was seen is exact; `every_row` that all were."""
    if every_row:
        assert list(found) == list(range(recording.rows))
    assert recording.times_ns is not None
    for number, (time, *cells) in found.items():
        assert time == recording.times_ns[number]
        for cell, column in zip(cells, recording.columns, strict=True):
            if column.present[number]:
                assert cell == wanted_cell(column, number), f"{column.name}, row {number}"


def wanted_cell(column: Column, row: int) -> Any:
    value = column.values[row : row + 1]
    return (value.view(np.int64) if column.kind is ValueKind.FLOAT64 else value).tolist()[0]


def test_nasty_values_over_opcua(tmp_path: Path) -> None:
    check_opcua(nasty(tmp_path), "--rate", "20")


def test_nasty_values_over_modbus(tmp_path: Path) -> None:
    """`--step-on-read`: the next row waits until registers and bits, which are asked for apart, were both read."""
    check_modbus(nasty(tmp_path), "--step-on-read")


def test_skab_over_opcua(tmp_path: Path) -> None:
    check_opcua(skab(tmp_path, 1147), "--rate", "400")


def test_skab_over_modbus(tmp_path: Path) -> None:
    check_modbus(skab(tmp_path, 300), "--step-on-read", interval="20ms")


def test_a_poll_that_comes_late_misses_a_row_and_changes_none(tmp_path: Path) -> None:
    """Paced by the clock, a row may pass between two polls: `row` shows the gap, and what was seen is exact."""
    check_modbus(skab(tmp_path, 100), "--rate", "12", every_row=False)
