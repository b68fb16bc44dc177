"""History as files: every bit and nanosecond, in bounded memory."""

from __future__ import annotations

import asyncio
import csv
import io

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.api.fakes import COUNTER, ORDER, RUNNING, T0, TEMPERATURE, World

from headrace.api.export_files import ROW_GROUP, CsvFile, ParquetFile
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS, format_time, parse_time_ns

SPAN = {"start": format_time(T0), "end": format_time(T0 + 3600 * SECOND_NS)}
FLOATS = [0.1, -0.0, 1e300, 5e-324, float("nan"), float("-inf")]
TEXTS = ["plain", 'a,"quoted"\r\nline', "", "油温"]


async def fill(world: World) -> None:
    await world.store.append(
        [
            world.batch(TEMPERATURE, FLOATS, at_ns=T0 + 1, quality=[0, 0, 0, 0, q.BAD_TIMEOUT, 0]),
            world.batch(COUNTER, [2**63 - 1, -(2**63)]),
            world.batch(RUNNING, [True, False]),
            world.batch(ORDER, TEXTS),
        ]
    )


async def test_parquet_keeps_everything(viewer: httpx.AsyncClient, world: World) -> None:
    await fill(world)
    params = {"path": [TEMPERATURE, COUNTER, RUNNING, ORDER], **SPAN}
    answer = await viewer.get("/api/v1/history/export", params=params)
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    table = pq.read_table(pa.BufferReader(answer.content))
    assert table.schema.field("source_time").type == pa.timestamp("ns", tz="UTC")
    rows = table.drop_columns(["source_time", "received_time"]).to_pylist()
    of = {path: table.filter(pa.compute.equal(table["path"].cast(pa.string()), path)) for path in params["path"]}
    floats = of[TEMPERATURE]["float64"].to_numpy()
    assert np.array_equal(floats.view(np.int64), np.array(FLOATS).view(np.int64))
    assert of[TEMPERATURE]["source_time"].cast(pa.int64()).to_pylist() == [T0 + 1 + i * SECOND_NS for i in range(6)]
    assert of[TEMPERATURE]["received_time"][0].value == T0 + 1_000_002
    assert of[TEMPERATURE]["quality"].to_pylist() == [0, 0, 0, 0, q.BAD_TIMEOUT, 0]
    assert of[COUNTER]["int64"].to_pylist() == [2**63 - 1, -(2**63)]
    assert of[RUNNING]["bool"].to_pylist() == [True, False]
    assert of[ORDER]["text"].to_pylist() == TEXTS
    for row in rows:
        filled = [kind.label for kind in ValueKind if row[kind.label] is not None]
        assert filled == [row["kind"]]


async def test_csv_reads_back_to_the_same_values(viewer: httpx.AsyncClient, world: World) -> None:
    await fill(world)
    params = {"path": [TEMPERATURE, ORDER, COUNTER, RUNNING], "format": "csv", "mark": "true", **SPAN}
    answer = await viewer.get("/api/v1/history/export", params=params)
    assert answer.content.startswith(b"\xef\xbb\xbfpath,")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    floats = [float(row["value"]) for row in rows if row["path"] == TEMPERATURE]
    assert np.array_equal(np.array(floats).view(np.int64), np.array(FLOATS).view(np.int64))
    assert [row["value"] for row in rows if row["path"] == ORDER] == TEXTS
    assert [row["value"] for row in rows if row["path"] == RUNNING] == ["true", "false"]
    assert [int(row["value"]) for row in rows if row["path"] == COUNTER] == [2**63 - 1, -(2**63)]
    assert parse_time_ns(rows[0]["source_time"]) == T0 + 1
    assert {row["kind"] for row in rows} == {"float64", "text", "int64", "bool"}


@pytest.mark.parametrize("form", ["parquet", "csv"])
async def test_an_export_of_nothing_is_a_whole_file(viewer: httpx.AsyncClient, form: str) -> None:
    answer = await viewer.get("/api/v1/history/export", params={"path": COUNTER, "format": form, **SPAN})
    if form == "csv":
        assert answer.text == "path,source_time,received_time,kind,value,quality\r\n"
    else:
        assert pq.read_table(pa.BufferReader(answer.content)).num_rows == 0


def test_files_hold_at_most_a_row_group_back() -> None:
    part = ROW_GROUP // 4
    batch = Batch.of(
        ValueKind.FLOAT64, np.zeros(part, np.uint32), np.arange(part), np.random.default_rng(1).random(part)
    )
    file, given = ParquetFile({0: "a"}), []
    for _ in range(12):
        given.append(file.add(batch))
        assert sum(len(table) for table in file._pending) < ROW_GROUP
    assert [len(chunk) > 1_000 for chunk in given] == [False, False, False, True] * 3
    content = b"".join([*given, file.finish()])
    read = pq.ParquetFile(pa.BufferReader(content))
    assert read.metadata.num_rows == 12 * part and read.metadata.num_row_groups == 3
    lines = CsvFile({0: "a"})
    assert lines.add(batch).count(b"\r\n") == part + 1


async def test_only_so_many_exports_at_once(viewer: httpx.AsyncClient, world: World) -> None:
    app_context = viewer._transport.app.state.context  # type: ignore[union-attr]
    async with app_context.exports, app_context.exports:
        answer = await viewer.get("/api/v1/history/export", params={"path": COUNTER})
        assert answer.status_code == 429 and "try again" in answer.json()["error"]["message"]
    answers = await asyncio.gather(*(viewer.get("/api/v1/history/export", params={"path": COUNTER}) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_an_arrow_stream_of_an_asset_and_how_much_it_will_be(viewer: httpx.AsyncClient, world: World) -> None:
    await fill(world)
    asset = TEMPERATURE.rpartition("/")[0]
    params = {"asset": asset, "format": "arrow", "estimate": "true", **SPAN}
    answer = await viewer.get("/api/v1/history/export", params=params)
    assert answer.headers["x-headrace-rows"] == "8"
    table = pa.ipc.open_stream(answer.content).read_all()
    assert set(table["path"].to_pylist()) == {TEMPERATURE, COUNTER} and table.num_rows == 8
    everything = await viewer.get("/api/v1/history/export", params={**params, "asset": ""})
    parquet = await viewer.get("/api/v1/history/export", params={"asset": "", **SPAN})
    read = pa.ipc.open_stream(everything.content).read_all()
    assert read.drop_columns("float64").equals(pq.read_table(pa.BufferReader(parquet.content)).drop_columns("float64"))
    for wrong in ({"asset": "x", "path": COUNTER}, {}):
        refused = await viewer.get("/api/v1/history/export", params=wrong)
        assert refused.status_code == 422 and "either points" in refused.json()["error"]["message"]
