"""Statements over the real historian, through the real process: exact answers, and nothing but history within reach."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.history import HistorySettings, open_store
from headrace.history.sql import SqlAnswer, SqlDesk, SqlLimits, SqlQuery
from headrace.history.sql.frames import MINUTE_AGGREGATES, Minutes, Tag, decode_minutes, encode_minutes, head_of, pack
from headrace.history.sql.worker import check_only_select, connect
from headrace.model import quality as q
from headrace.model.assets import Asset, Level
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.model.plant import PlantModel
from headrace.model.points import Point, Range
from headrace.model.time import MINUTE_NS, SECOND_NS, parse_time_ns
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore

T0 = parse_time_ns("2026-11-22T08:00:00Z")
BAD_THIRD = [0, 0, q.BAD, 0]
KINDS = {"t": ValueKind.FLOAT64, "n": ValueKind.INT64, "on": ValueKind.BOOL, "order": ValueKind.TEXT}
PLANT = PlantModel(
    1,
    assets={"line/press": Asset("line/press", Level.EQUIPMENT, {"zh": "压机"})},
    points={
        f"line/press/{name}": Point(f"line/press/{name}", kind, "Cel" if name == "t" else "1", title={"en": name})
        for name, kind in KINDS.items()
    }
    | {"line/oven/t": Point("line/oven/t", ValueKind.FLOAT64, "Cel", Range(0, 300))},
)


def samples(handle: int, kind: ValueKind, values: Any, *, step_ns: int = SECOND_NS, quality: Any = 0) -> Batch:
    times = T0 + np.arange(len(values), dtype=np.int64) * step_ns
    return Batch.of(kind, np.full(len(values), handle), times, np.array(values, kind.dtype), quality, times + 1_000_001)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[HistoryStore]:
    store = await open_store(tmp_path, HistorySettings(), SystemClock())
    await store.register(["line/gone", *sorted(PLANT.points)])
    number = {path: handle for handle, path in store.paths().items()}
    await store.append(
        [
            samples(number["line/press/t"], ValueKind.FLOAT64, [0.1, -0.0, float("nan"), 4.0], quality=BAD_THIRD),
            samples(number["line/press/n"], ValueKind.INT64, [2**63 - 1, -(2**63), 7]),
            samples(number["line/press/on"], ValueKind.BOOL, [True, False]),
            samples(number["line/press/order"], ValueKind.TEXT, ["", "a'b\r\n", "油温"]),
            samples(number["line/oven/t"], ValueKind.FLOAT64, np.arange(300.0)),
            samples(number["line/gone"], ValueKind.FLOAT64, [1.0], step_ns=7),
        ]
    )  # fmt: skip
    yield store
    await store.close()


async def ask(desk: SqlDesk, sql: str, **options: Any) -> list[list[Any]]:
    answer = await desk.run(SqlQuery(sql, **options), PLANT)
    rows: list[list[Any]] = orjson.loads(answer.body)["rows"]
    return rows


async def test_every_kind_is_exact(store: HistoryStore) -> None:
    desk = SqlDesk(store)
    sql = (
        "SELECT path, kind, time_ns, value, float64, int64, bool, text, quality, good, received_ns, unit, asset, name "
        "FROM samples WHERE path LIKE 'line/press/%' OR path = 'line/gone' ORDER BY path, time_ns"
    )
    answer = await desk.run(SqlQuery(sql, form="arrow"), PLANT)
    table = pa.ipc.open_stream(answer.body).read_all()
    of = {
        name: [row for row in table.to_pylist() if row["path"] == f"line/press/{name}"]
        for name in ("t", "n", "on", "order")
    }
    floats = np.array([row["float64"] for row in of["t"]])
    assert np.array_equal(floats.view(np.int64), np.array([0.1, -0.0, np.nan, 4.0]).view(np.int64))
    assert [row["value"] for row in of["t"]] == [0.1, 0.0, None, 4.0]
    assert [row["good"] for row in of["t"]] == [True, True, False, True]
    assert [row["int64"] for row in of["n"]] == [2**63 - 1, -(2**63), 7]
    assert [row["bool"] for row in of["on"]] == [True, False] and [row["value"] for row in of["on"]] == [1.0, 0.0]
    assert [row["text"] for row in of["order"]] == ["", "a'b\r\n", "油温"]
    assert {row["value"] for row in of["order"]} == {None}
    assert of["t"][1]["time_ns"] == T0 + SECOND_NS and of["t"][1]["received_ns"] == T0 + SECOND_NS + 1_000_001
    gone = table.slice(0, 1).to_pylist()[0]
    assert (gone["path"], gone["unit"], gone["asset"], gone["name"]) == ("line/gone", None, "line", "gone")
    assert answer.read == 13 and not answer.truncated


async def test_only_what_is_asked_for_is_read(store: HistoryStore) -> None:
    desk = SqlDesk(store)
    sql = "SELECT count(*), avg(value) FROM samples WHERE name = 't' AND time >= '2026-11-22T08:00:02Z' AND {}"
    answer = await desk.run(SqlQuery(sql.format("asset = 'line/press'")), PLANT)
    assert answer.read == 2 and orjson.loads(answer.body)["rows"] == [[2, 4.0]]
    answer = await desk.run(SqlQuery(sql.format("time < '2026-11-22T08:00:12Z'")), PLANT)
    assert answer.read == 12 and orjson.loads(answer.body)["rows"][0][0] == 12


async def test_minutes_points_and_assets(store: HistoryStore) -> None:
    desk = SqlDesk(store)
    rows = await ask(desk, "SELECT time, count, good_count, min, max, mean, sum, first, last FROM minutes "
                           "WHERE path = 'line/oven/t' AND time > '2026-11-22T08:02:30Z' ORDER BY time")  # fmt: skip
    assert rows == [
        ["2026-11-22T08:03:00Z", 60, 60, 180.0, 239.0, 209.5, 12570.0, 180.0, 239.0],
        ["2026-11-22T08:04:00Z", 60, 60, 240.0, 299.0, 269.5, 16170.0, 240.0, 299.0],
    ]
    joined = (
        "SELECT p.title, a.titles->>'zh', max(s.value) FROM samples s JOIN points p USING (path) "
        "JOIN assets a ON a.path = p.asset WHERE p.unit = 'Cel' GROUP BY ALL"
    )
    assert await ask(desk, joined) == [["t", "压机", 4.0]]
    rows = await ask(
        desk, "SELECT path, kind, low, high, declared FROM points WHERE path IN ('line/gone', 'line/oven/t')"
    )
    assert rows == [["line/gone", None, None, None, False], ["line/oven/t", "float64", 0.0, 300.0, True]]


async def test_days_begin_where_the_caller_lives(store: HistoryStore) -> None:
    sql = "SELECT date_trunc('day', time)::VARCHAR, count(*) FROM samples WHERE path = 'line/gone' GROUP BY ALL"
    assert await ask(SqlDesk(store), sql, timezone="Asia/Shanghai") == [["2026-11-22 00:00:00+08", 1]]
    with pytest.raises(DataError, match="'Mars/Base' is not a time zone"):
        await ask(SqlDesk(store), sql, timezone="Mars/Base")


async def test_rows_memory_and_time_are_limited(store: HistoryStore) -> None:
    desk = SqlDesk(store, SqlLimits(memory_bytes=64_000_000, answer_bytes=1_000_000, seconds=60))
    answer = await desk.run(SqlQuery("SELECT * FROM range(100)", rows_max=7), PLANT)
    assert (answer.rows, answer.truncated) == (7, True)
    answer = await desk.run(SqlQuery("SELECT * FROM range(7)", rows_max=7), PLANT)
    assert (answer.rows, answer.truncated) == (7, False)
    answer = await desk.run(SqlQuery("SELECT repeat('x', 1000) FROM range(100000)", rows_max=1_000_000), PLANT)
    assert answer.truncated and 1_000 <= answer.rows < 100_000
    with pytest.raises(LimitReached, match="more than 64 MB"):
        await desk.run(SqlQuery("SELECT range FROM range(100000000) ORDER BY hash(range)"), PLANT)
    hasty = SqlDesk(store, SqlLimits(seconds=2))
    with pytest.raises(LimitReached, match="longer than 2s"):
        await hasty.run(
            SqlQuery("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range"), PLANT
        )


async def test_only_so_many_at_once_and_a_caller_who_leaves_ends_his_process(store: HistoryStore) -> None:
    desk = SqlDesk(store, SqlLimits(running_max=1))
    endless = SqlQuery("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range")

    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True)}

    await ask(desk, "SELECT 1")
    before = children()  # with the one that all are copies of
    running: asyncio.Task[SqlAnswer] = asyncio.create_task(desk.run(endless, PLANT))
    while not children() - before:
        await asyncio.sleep(0.01)
    with pytest.raises(LimitReached, match="1 statements are running"):
        await desk.run(SqlQuery("SELECT 1"), PLANT)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    while children() - before:
        await asyncio.sleep(0.01)
    assert await ask(desk, "SELECT 1") == [[1]]


FORBIDDEN = [
    "CREATE TABLE t (a INT)", "INSERT INTO points SELECT * FROM points", "DELETE FROM points", "DROP TABLE points",
    "UPDATE points SET unit = ''", "COPY (SELECT 1) TO '/tmp/x.csv'", "COPY points FROM '/etc/passwd'",
    "ATTACH '/tmp/x.db'", "ATTACH 'http://127.0.0.1/x.db'", "USE memory", "INSTALL httpfs", "LOAD httpfs",
    "PRAGMA database_list", "PRAGMA enable_profiling", "SET threads = 64", "RESET threads", "CALL pragma_version()",
    "EXPORT DATABASE '/tmp/x'", "IMPORT DATABASE '/tmp/x'", "CHECKPOINT", "VACUUM", "BEGIN",
    "EXPLAIN ANALYZE SELECT 1",
    "CREATE SECRET (TYPE s3)", "PREPARE x AS SELECT 1", "SELECT 1; SELECT 2", "",
    "-- nothing", "SELECT 1; COPY (SELECT 1) TO '/tmp/x'", "WITH x AS (SELECT 1) INSERT INTO points SELECT * FROM x",
]  # fmt: skip
OUTSIDE = [
    "read_csv('/etc/passwd')", "read_text('/etc/passwd')", "read_blob('/etc/passwd')", "read_json('/etc/passwd')",
    "read_parquet('/etc/passwd')", "read_parquet('https://127.0.0.1/x.parquet')", "read_csv('s3://bucket/x')",
    "glob('/*')", "sniff_csv('/etc/passwd')", "parquet_metadata('/etc/passwd')", "parquet_schema('/etc/passwd')",
    "'/etc/passwd'", "'data.parquet'", "duckdb_secrets()", "duckdb_extensions()",
    "query('FROM read_text(''/etc/passwd'')')",
    "query_table('/etc/passwd')", "sqlite_scan('/tmp/x', 'y')", "postgres_query('a', 'b')", "arrow_scan(1, 2, 3)",
    "pandas_scan(1)", "json_execute_serialized_sql(json_serialize_sql('FROM read_text(''/etc/passwd'')'))", "sys",
    "read_duckdb('/tmp/x.db')", "enable_logging()",
]  # fmt: skip


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_anything_but_one_select_is_refused(sql: str) -> None:
    connection = connect({"threads": 1, "memory_bytes": 128_000_000, "timezone": "UTC"})
    with pytest.raises(DataError, match="only one SELECT is taken"):
        check_only_select(connection, sql)


@pytest.mark.parametrize("source", OUTSIDE)
def test_nothing_outside_can_be_read(source: str) -> None:
    import duckdb

    connection = connect({"threads": 1, "memory_bytes": 128_000_000, "timezone": "UTC"})
    connection.execute("SET lock_configuration = true")
    with pytest.raises(duckdb.Error):
        connection.sql(f"SELECT * FROM {source}").fetchall()
    for setting in (
        "enable_external_access = true",
        "threads = 8",
        "temp_directory = '/tmp'",
        "lock_configuration = false",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(f"SET {setting}")


@pytest.mark.parametrize("call", ["getenv('HOME')", "read_text('/etc/passwd')", "current_setting('secret_directory')"])
async def test_the_process_itself_says_no_without_telling_where_it_is(store: HistoryStore, call: str) -> None:
    try:
        said = str(await ask(SqlDesk(store), f"SELECT {call}"))
    except DataError as error:
        said = error.message
    assert str(Path.home()) not in said and "root:" not in said


def test_the_kernel_opens_nothing_for_a_confined_process() -> None:
    code = (
        "import socket, sys\n"
        "from headrace.sdk.jail import confine\n"
        "confine(64_000_000)\n"
        "for attempt in (lambda: open('/etc/passwd'), lambda: open('/tmp/x', 'w'), lambda: socket.socket()):\n"
        "    try: attempt()\n"
        "    except OSError: continue\n"
        "    sys.exit('opened')\n"
        "try: bytearray(2_000_000_000)\n"
        "except MemoryError: print('confined')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert said.stdout == "confined\n", said.stderr


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    for decode in (head_of, decode_minutes):
        try:
            decode(data)
        except DataError:
            continue


@given(st.integers(0, 20), st.integers(0, 2**31))
def test_minutes_travel_exactly(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = {name: random.random(count) for name in MINUTE_AGGREGATES}
    columns |= {name: random.integers(0, 60, count) for name in MINUTE_AGGREGATES[:2]}
    sent = Minutes(random.integers(0, 9, count).astype(np.uint32), np.arange(count) * MINUTE_NS, columns)
    got = decode_minutes(encode_minutes(sent))
    assert np.array_equal(got.handles, sent.handles) and np.array_equal(got.start_ns, sent.start_ns)
    assert all(np.array_equal(got.columns[name], columns[name]) for name in MINUTE_AGGREGATES)
    assert head_of(pack(Tag.MINUTES, b"x" * count)[:5]) == (Tag.MINUTES, count)
