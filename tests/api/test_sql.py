"""SQL over HTTP: who may, what comes back in which form, and errors in the one shape."""

from __future__ import annotations

import httpx
import pyarrow as pa
from tests.api.fakes import COUNTER, ORDER, RUNNING, TEMPERATURE, World

ROUTE = "/api/v1/history/sql"


async def fill(world: World) -> None:
    await world.store.append(
        [
            world.batch(TEMPERATURE, [20.5, 21.5, 22.5]),
            world.batch(COUNTER, [2**63 - 1]),
            world.batch(RUNNING, [True]),
            world.batch(ORDER, ["油温"]),
        ]
    )


async def test_a_viewer_asks_and_gets_rows(viewer: httpx.AsyncClient, world: World) -> None:
    await fill(world)
    sql = "SELECT name, time, int64, bool, text FROM samples WHERE kind <> 'float64' ORDER BY name"
    answer = await viewer.post(ROUTE, json={"sql": sql})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "columns": [
            {"name": "name", "type": "VARCHAR"},
            {"name": "time", "type": "TIMESTAMP WITH TIME ZONE"},
            {"name": "int64", "type": "BIGINT"},
            {"name": "bool", "type": "BOOLEAN"},
            {"name": "text", "type": "VARCHAR"},
        ],
        "rows": [
            ["order", "2026-11-22T08:00:00Z", None, None, "油温"],
            ["running", "2026-11-22T08:00:00Z", None, True, None],
            ["strokes", "2026-11-22T08:00:00Z", "9223372036854775807", None, None],
        ],
        "truncated": False,
    }


async def test_arrow_is_exact_and_the_limit_is_told(viewer: httpx.AsyncClient, world: World) -> None:
    await fill(world)
    headers = {"Accept": "application/vnd.apache.arrow.stream"}
    body = {"sql": f"SELECT value FROM samples WHERE path = '{TEMPERATURE}' ORDER BY time", "limit": 2}
    answer = await viewer.post(ROUTE, json=body, headers=headers)
    assert pa.ipc.open_stream(answer.content).read_all().to_pydict() == {"value": [20.5, 21.5]}
    assert answer.headers["x-headrace-truncated"] == "true" and answer.headers["x-headrace-rows-read"] == "3"


async def test_what_is_wrong_is_said(client: httpx.AsyncClient) -> None:
    assert (await client.post(ROUTE, json={"sql": "SELECT 1"})).status_code == 401
    client.headers["Authorization"] = "Bearer token-viewer"
    for body, expected in (
        ({"sql": "SELECT nope FROM samples"}, 'Referenced column "nope" not found'),
        ({"sql": "SELECT * FROM read_text('/etc/passwd')"}, "no files, no network"),
        ({"sql": "COPY (SELECT 1) TO '/tmp/x'"}, "only one SELECT"),
        ({"sql": "SELECT 1", "timezone": "Mars"}, "not a time zone"),
        ({"sql": "SELECT 1", "limit": 0}, "limit: must be greater"),
        ({"sql": "x" * 20_001}, "sql: string should have at most"),
        ({"statement": "SELECT 1"}, "is not a field of this request"),
    ):
        answer = await client.post(ROUTE, json=body)
        assert answer.status_code == 422 and expected in answer.json()["error"]["message"], answer.text
