"""Columns: newest samples, raw history in JSON and Arrow, buckets."""

from __future__ import annotations

import httpx
import numpy as np
import pyarrow as pa
import pytest
from tests.api.fakes import COUNTER, LINE, ORDER, RUNNING, SETPOINT, T0, TEMPERATURE, World

from headrace.model import quality as q
from headrace.model.batch import Batch
from headrace.model.time import SECOND_NS, format_time, parse_time_ns

ARROW = {"Accept": "application/vnd.apache.arrow.stream"}
SPAN = {"start": format_time(T0), "end": format_time(T0 + 3600 * SECOND_NS)}


async def test_latest_keeps_kinds_and_says_what_was_never_seen(viewer: httpx.AsyncClient, world: World) -> None:
    big = 2**53 + 1
    world.live.update([world.batch(TEMPERATURE, [41.5], at_ns=T0 + 250_000), world.batch(COUNTER, [big])])
    world.live.update([world.batch(RUNNING, [True]), world.batch(ORDER, ["订单 1"])])
    paths = [TEMPERATURE, COUNTER, RUNNING, ORDER, SETPOINT]
    body = (await viewer.get("/api/v1/latest", params={"path": paths})).json()
    assert body["paths"] == paths
    assert body["values"] == [41.5, str(big), True, "订单 1", None]
    assert body["time_ms"] == [T0 / 1e6 + 0.25, T0 / 1e6, T0 / 1e6, T0 / 1e6, None]
    assert body["received_ms"][0] == T0 / 1e6 + 1.25
    assert body["quality"] == [0, 0, 0, 0, q.BAD_WAITING_FOR_INITIAL_DATA]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_what_is_no_number_is_null_with_its_quality(
    viewer: httpx.AsyncClient, world: World, value: float
) -> None:
    batch = world.batch(TEMPERATURE, [value], quality=q.BAD_SENSOR_FAILURE)
    world.live.update([batch])
    await world.store.append([batch])
    latest = (await viewer.get("/api/v1/latest", params={"path": TEMPERATURE})).json()
    assert latest["values"] == [None] and latest["quality"] == [q.BAD_SENSOR_FAILURE]
    raw = (await viewer.get("/api/v1/history/raw", params={"path": TEMPERATURE, **SPAN})).json()
    assert raw["values"] == [None] and raw["quality"] == [q.BAD_SENSOR_FAILURE]


async def test_latest_takes_points_or_an_asset(viewer: httpx.AsyncClient) -> None:
    body = (await viewer.get("/api/v1/latest", params={"asset": f"{LINE}/press-2"})).json()
    assert body["paths"] == [ORDER, RUNNING]
    for params in ({}, {"asset": LINE, "path": ORDER}):
        assert (await viewer.get("/api/v1/latest", params=params)).status_code == 422
    assert (await viewer.get("/api/v1/latest", params={"path": "no/such"})).status_code == 404


async def test_raw_history_pages_to_the_end_with_every_nanosecond(viewer: httpx.AsyncClient, world: World) -> None:
    values = np.arange(25) / 8
    await world.store.append([world.batch(TEMPERATURE, values, at_ns=T0 + 123_456_789)])
    times, seen, cursor = [], [], None
    while True:
        params = {"path": TEMPERATURE, "limit": 10, **SPAN, **({"cursor": cursor} if cursor else {})}
        page = (await viewer.get("/api/v1/history/raw", params=params)).json()
        times, seen, cursor = times + page["time"], seen + page["values"], page["next_cursor"]
        if cursor is None:
            break
    assert seen == values.tolist()
    assert [parse_time_ns(text) for text in times] == [T0 + 123_456_789 + i * SECOND_NS for i in range(25)]


async def test_raw_history_of_every_kind(viewer: httpx.AsyncClient, world: World) -> None:
    for path, values, shown in (
        (COUNTER, [1, -(2**63), 2**53 - 1], [1, str(-(2**63)), 2**53 - 1]),
        (RUNNING, [True, False], [True, False]),
        (ORDER, ['a,"b"', "油"], ['a,"b"', "油"]),
    ):
        await world.store.append([world.batch(path, values)])
        body = (await viewer.get("/api/v1/history/raw", params={"path": path, **SPAN})).json()
        assert body["values"] == shown and body["quality"] == [0] * len(values)


async def test_arrow_is_exact(viewer: httpx.AsyncClient, world: World) -> None:
    values = np.array([0.1, -0.0, float("nan"), float("inf"), 5e-324])
    await world.store.append([world.batch(TEMPERATURE, values, at_ns=T0 + 1, quality=[0, 1, 2, 3, q.BAD_TIMEOUT])])
    params = {"path": TEMPERATURE, "limit": 3, **SPAN}
    answer = await viewer.get("/api/v1/history/raw", params=params, headers=ARROW)
    assert answer.headers["content-type"] == ARROW["Accept"]
    table = pa.ipc.open_stream(answer.content).read_all()
    params["cursor"] = answer.headers["x-next-cursor"]
    rest = await viewer.get("/api/v1/history/raw", params=params, headers=ARROW)
    assert "x-next-cursor" not in rest.headers
    table = pa.concat_tables([table, pa.ipc.open_stream(rest.content).read_all()])
    assert np.array_equal(table["value"].to_numpy().view(np.int64), values.view(np.int64))
    assert table["source_time"].cast(pa.int64()).to_pylist() == [T0 + 1 + i * SECOND_NS for i in range(5)]
    assert table["received_time"].cast(pa.int64()).to_pylist() == [T0 + 1_000_002 + i * SECOND_NS for i in range(5)]
    assert table["quality"].to_pylist() == [0, 1, 2, 3, q.BAD_TIMEOUT]


async def test_arrow_of_nothing_has_the_points_type(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.get("/api/v1/history/raw", params={"path": COUNTER, **SPAN}, headers=ARROW)
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.num_rows == 0 and table.schema.field("value").type == pa.int64()


async def test_arrow_of_a_point_that_changed_its_type_says_so(viewer: httpx.AsyncClient, world: World) -> None:
    number = world.batch(COUNTER, [7])
    was = Batch.of(world.registry.plant.points[TEMPERATURE].kind, number.handles, number.source_ns - 1, 6.5)
    await world.store.append([was, number])
    window = {"start": format_time(T0 - SECOND_NS), "end": SPAN["end"]}
    answer = await viewer.get("/api/v1/history/raw", params={"path": COUNTER, **window}, headers=ARROW)
    assert answer.status_code == 422 and "/history/export" in answer.json()["error"]["message"]
    body = (await viewer.get("/api/v1/history/raw", params={"path": COUNTER, **window})).json()
    assert body["values"] == [6.5, 7]


async def test_buckets(viewer: httpx.AsyncClient, world: World) -> None:
    await world.store.append([world.batch(TEMPERATURE, [1.0, 3.0, 8.0]), world.batch(COUNTER, [5])])
    params = {"path": [TEMPERATURE, COUNTER], "start": format_time(T0), "end": format_time(T0 + 4 * SECOND_NS)}
    body = (await viewer.get("/api/v1/history/downsample", params={**params, "width": "2s"})).json()
    assert body["start_ms"] == T0 / 1e6 and body["width_ms"] == 2_000 and body["count"] == 2
    assert body["series"][0] == {
        "path": TEMPERATURE,
        "unit": "Cel",
        "columns": {"min": [1.0, 8.0], "max": [3.0, 8.0], "mean": [2.0, 8.0]},
    }
    assert body["series"][1]["columns"]["max"] == [5.0, None]
    asked = {**params, "count": 4, "aggregate": ["count"]}
    assert list((await viewer.get("/api/v1/history/downsample", params=asked)).json()["series"][0]["columns"]) == [
        "count"
    ]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"width": "1s", "count": "5"}, "either"),
        ({"width": "0s"}, "wide"),
        ({"width": "5"}, "duration"),
        ({"width": "1ns"}, "wider"),
        ({"path": ORDER}, "text"),
        ({"count": "20001"}, "20000"),
        ({"start": "now", "end": "now-1h"}, "before"),
        ({"start": "yesterday"}, "2026-11-22T08:00:00Z"),
        ({"aggregate": "median"}, "aggregate"),
    ],
)
async def test_unanswerable_questions_say_what_to_change(
    viewer: httpx.AsyncClient, params: dict[str, str], says: str
) -> None:
    answer = await viewer.get("/api/v1/history/downsample", params={"path": TEMPERATURE, **params})
    assert answer.status_code == 422 and says in answer.json()["error"]["message"], answer.text


async def test_json_has_a_limit_that_arrow_has_not(viewer: httpx.AsyncClient) -> None:
    params = {"path": TEMPERATURE, "limit": 60_000}
    assert (await viewer.get("/api/v1/history/raw", params=params)).status_code == 422
    assert (await viewer.get("/api/v1/history/raw", params=params, headers=ARROW)).status_code == 200
