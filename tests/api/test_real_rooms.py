"""The same surface over the real historian, the real access desk and its tables: the fakes do not flatter it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine
from tests.api.fakes import COUNTER, ORDER, RUNNING, T0, TEMPERATURE, World

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.tables import metadata
from headrace.api import ApiSettings, create_app
from headrace.history import HistorySettings, open_store
from headrace.model import quality as q
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.clock import SystemClock

SPAN = {"start": format_time(T0 - SECOND_NS), "end": format_time(T0 + 3600 * SECOND_NS)}
OURS = {"X-Headrace": "1"}
FLOATS = [0.1, -0.0, 1e300, 5e-324, float("inf"), *np.random.default_rng(7).random(3_000).tolist()]
TEXTS = ["plain", 'a,"b"\r\n', "", "油温"]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in as the first owner, whose one-time password was changed."""
    world = await World.make()
    engine = create_engine(f"sqlite:///{tmp_path}/access.db")
    metadata.create_all(engine)
    factor_tables.metadata.create_all(engine)
    access = AccessDesk(engine, SystemClock())
    first = await access.bootstrap()
    assert first is not None
    store = await open_store(tmp_path / "history", HistorySettings(), SystemClock())
    try:
        numbers = await store.register(sorted(world.registry.plant.points))
        world.handles = dict(zip(sorted(world.registry.plant.points), numbers.tolist(), strict=True))
        await store.append(
            [
                world.batch(TEMPERATURE, FLOATS, at_ns=T0 + 1, quality=q.UNCERTAIN),
                world.batch(COUNTER, [2**63 - 1, -(2**63)]),
                world.batch(RUNNING, [True, False]),
                world.batch(ORDER, TEXTS),
            ]
        )
        services = replace(world.services, store=store, access=access, audit=access, trail=access.trail)
        transport = httpx.ASGITransport(create_app(services, ApiSettings(console_dir=tmp_path)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            name, password = first
            signed_in = await client.post("/api/v1/session", json={"user": name, "password": password})
            assert signed_in.status_code == 200 and signed_in.json()["must_change_password"] is True
            assert (await client.get("/api/v1/assets")).json()["error"]["code"] == "change-password"
            change = {"old": password, "new": "a long enough passphrase"}
            changed = await client.post("/api/v1/session/password", json=change, headers=OURS)
            assert changed.status_code == 204, changed.text
            yield client
    finally:
        await store.close()
        engine.dispose()


async def test_people_and_programs(client: httpx.AsyncClient) -> None:
    me = (await client.get("/api/v1/session")).json()
    assert me["role"] == "owner" and me["must_change_password"] is False
    made = await client.post("/api/v1/tokens", json={"name": "grafana", "role": "viewer"}, headers=OURS)
    assert made.status_code == 201, made.text
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {made.json()['secret']}"
    assert (await client.get("/metrics")).status_code == 200
    refused = await client.post("/api/v1/alarms/acknowledge", json={"rules": ["x"]})
    assert refused.status_code == 403 and "operator" in refused.json()["error"]["message"]
    wrong = await client.post("/api/v1/session", json={"user": me["user"], "password": "wrong"})
    assert wrong.status_code == 401


async def test_the_past_in_every_form(client: httpx.AsyncClient) -> None:
    params = {"path": TEMPERATURE, "limit": 1_000, **SPAN}
    arrow, cursor = [], None
    while True:
        asked = {**params, **({"cursor": cursor} if cursor else {})}
        headers = {"Accept": "application/vnd.apache.arrow.stream"}
        page = await client.get("/api/v1/history/raw", params=asked, headers=headers)
        assert page.status_code == 200, page.text
        arrow += pa.ipc.open_stream(page.content).read_all()["value"].to_pylist()
        cursor = page.headers.get("x-next-cursor")
        if cursor is None:
            break
    assert np.array_equal(np.array(arrow).view(np.int64), np.array(FLOATS).view(np.int64))
    broken = await client.get("/api/v1/history/raw", params={**params, "cursor": "nonsense"})
    assert broken.status_code == 422, broken.text
    trend = (await client.get("/api/v1/history/downsample", params={**params, "count": 10} | {"limit": None})).json()
    assert "error" in trend, "limit is no parameter here"
    del params["limit"]
    trend = (await client.get("/api/v1/history/downsample", params={**params, "width": "10m"})).json()
    assert trend["width_ms"] == 600_000 and trend["count"] == len(trend["series"][0]["columns"]["max"])


async def test_exports_are_exact(client: httpx.AsyncClient) -> None:
    params = {"path": [TEMPERATURE, COUNTER, RUNNING, ORDER], **SPAN}
    answer = await client.get("/api/v1/history/export", params=params)
    table = pq.read_table(pa.BufferReader(answer.content))
    of = {path: table.filter(pa.compute.equal(table["path"].cast(pa.string()), path)) for path in params["path"]}
    floats = of[TEMPERATURE]["float64"].to_numpy()
    assert np.array_equal(floats.view(np.int64), np.array(FLOATS).view(np.int64))
    assert of[TEMPERATURE]["received_time"][0].value == T0 + 1_000_002
    assert set(of[TEMPERATURE]["quality"].to_pylist()) == {q.UNCERTAIN}
    assert of[COUNTER]["int64"].to_pylist() == [2**63 - 1, -(2**63)]
    assert of[ORDER]["text"].to_pylist() == TEXTS
    answer = await client.get("/api/v1/history/export", params={**params, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [float(row["value"]) for row in rows if row["path"] == TEMPERATURE] == FLOATS
    assert [row["value"] for row in rows if row["path"] == ORDER] == TEXTS
