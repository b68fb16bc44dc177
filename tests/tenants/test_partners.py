"""What a partner sees through a grant, by every way there is to ask; and that ending it is felt at once."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from tests.api.fakes import T0
from tests.api.test_live_feed import closed, open_feed, receive, subscribe
from tests.tenants.hub import OURS, Hub
from tests.tenants.test_matrix import LINE, POINT, SETPOINT

from headrace.api import ApiSettings
from headrace.api.server import serving
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.access import AuditEntry
from headrace.sdk.audit import AuditFilter

#: Samples lie at T0 + 0…599 s; the partner may see those of 100 s to 200 s.
FROM_S, UNTIL_S = 100, 200
ALL = {"start": format_time(T0 - SECOND_NS), "end": format_time(T0 + 3600 * SECOND_NS)}
CLAUSE = pytest.mark.clause("62443-3-3 SR 2.1", "62443-3-3 SR 4.1", "62443-3-3 SR 5.1", "GB/T 22239-2019 8.1.4.2")
OTHER = f"{LINE}/press-1/strokes"


async def share(hub: Hub, **options: Any) -> str:
    """Acme lets beta see the temperatures of its line, in a span."""
    span = {"start_ns": T0 + FROM_S * SECOND_NS, "end_ns": T0 + UNTIL_S * SECOND_NS}
    asked = {"patterns": ["*/oil.*"], **span, **options}
    return (await hub.access.share(await hub.owner("acme"), "beta", LINE, "warranty of press 1", **asked)).id


def viewer(hub: Hub) -> dict[str, str]:
    return {**OURS, **hub.as_("beta.viewer")}


@CLAUSE
async def test_lists_show_the_shared_points_bare(client: httpx.AsyncClient, firms: Hub) -> None:
    await share(firms)
    listed = (await client.get("/api/v1/points", params={"limit": 5000}, headers=viewer(firms))).json()["points"]
    theirs = [point for point in listed if point["path"].startswith("acme/")]
    assert [point["path"] for point in theirs] == [POINT]
    assert "press-plc-1" not in str(theirs) and theirs[0]["alarms"] == []
    assets = (await client.get("/api/v1/assets", headers=viewer(firms))).json()
    seen = {asset["path"]: asset for asset in assets if asset["path"].startswith("acme")}
    assert set(seen) == {"acme", LINE, f"{LINE}/press-1"}
    assert all(asset["attributes"] == {} and asset["type"] is None for asset in seen.values())
    assert {one["name"] for one in (await client.get("/api/v1/connections", headers=viewer(firms))).json()} == {
        "beta.press-plc-1"
    }
    alarms = (await client.get("/api/v1/alarms", headers=viewer(firms))).text
    assert "acme" not in alarms and "beta" in alarms
    for path in (OTHER, SETPOINT):
        assert (await client.get(f"/api/v1/points/{path}", headers=viewer(firms))).status_code == 404
    grants = (await client.get("/api/v1/grants", headers=viewer(firms))).json()
    assert [one["owner"] for one in grants["received"]] == ["acme"] and set(grants["titles"]) == {"acme"}
    write = {"path": POINT, "value": 1, "reason": "x"}
    answer = await client.post("/api/v1/writes", json=write, headers={**OURS, **firms.as_("beta.owner")})
    assert answer.status_code == 404


@CLAUSE
async def test_history_is_held_to_the_span_however_it_is_asked(client: httpx.AsyncClient, firms: Hub) -> None:
    await share(firms)
    head = viewer(firms)
    seconds = list(range(FROM_S, UNTIL_S))
    raw = await client.get("/api/v1/history/raw", params={"path": POINT, "limit": 50_000, **ALL}, headers=head)
    assert raw.json()["values"] == seconds
    arrow = {**head, "Accept": "application/vnd.apache.arrow.stream"}
    table = await client.get("/api/v1/history/raw", params={"path": POINT, **ALL}, headers=arrow)
    assert pa.ipc.open_stream(table.content).read_all().num_rows == len(seconds)
    export = await client.get("/api/v1/history/export", params={"path": POINT, "format": "csv", **ALL}, headers=head)
    rows = list(csv.DictReader(io.StringIO(export.text)))
    assert [float(row["value"]) for row in rows] == seconds
    everything = await client.get("/api/v1/history/export", params={"asset": "", "format": "csv", **ALL}, headers=head)
    theirs = [row for row in csv.DictReader(io.StringIO(everything.text)) if row["path"].startswith("acme")]
    assert {row["path"] for row in theirs} == {POINT} and len(theirs) == len(seconds)
    wide = {"path": POINT, "width": "30s", "aggregate": ["count", "min", "max"], **ALL}
    buckets = (await client.get("/api/v1/history/downsample", params=wide, headers=head)).json()["series"][0]["columns"]
    values = [value for value in (*buckets["min"], *buckets["max"]) if value is not None]
    assert values and min(values) >= FROM_S and max(values) < UNTIL_S
    assert sum(value or 0 for value in buckets["count"]) <= len(seconds)
    for sql, least, most in (
        (f"select count(*) n from samples where path = '{POINT}'", 100, 100),
        (f"select max(max) n from minutes where path = '{POINT}'", FROM_S, UNTIL_S - 1),
        ("select count(*) n from samples where path like 'acme/%'", 100, 100),
        ("select count(*) n from points where path like 'acme/%'", 1, 1),
    ):
        answer = await client.post("/api/v1/history/sql", json={"sql": sql}, headers=head)
        assert answer.status_code == 200, answer.text
        found = answer.json()["rows"][0][0]
        assert least <= float(found) <= most, (sql, found)
    query = {"query": f'max_over_time(point{{path="{POINT}"}}[1h])', "time": str((T0 + 3000 * SECOND_NS) / 1e9)}
    grafana = await client.get("/api/v1/grafana/prometheus/api/v1/query", params=query, headers=head)
    for one in grafana.json()["data"]["result"]:
        assert float(one["value"][1]) < UNTIL_S
    latest = (await client.get("/api/v1/latest", params={"path": POINT}, headers=head)).json()
    assert latest["paths"] == []  # now is not in the span


@CLAUSE
@pytest.mark.parametrize(
    "sql",
    [
        "select * from samples",
        "select * from minutes",
        "select * from points",
        "select path from samples where path >= 'acme'",
        "select distinct path from points union select distinct path from samples",
        "with a as (select * from samples) select * from a where asset like '%suzhou%'",
    ],
)
async def test_sql_reads_nothing_of_others(client: httpx.AsyncClient, firms: Hub, sql: str) -> None:
    answer = await client.post("/api/v1/history/sql", json={"sql": sql, "limit": 10_000}, headers=viewer(firms))
    assert answer.status_code in (200, 422, 429), answer.text
    assert "acme" not in answer.text and "own/" not in answer.text
    assert answer.status_code != 200 or "beta" in answer.text


@CLAUSE
async def test_every_read_is_in_both_trails(client: httpx.AsyncClient, firms: Hub) -> None:
    grant = await share(firms, end_ns=None)
    await client.get("/api/v1/history/raw", params={"path": POINT, **ALL}, headers=viewer(firms))
    await client.get("/api/v1/latest", params={"path": POINT}, headers=viewer(firms))
    for firm in ("acme", "beta"):
        reads = await reads_of(firms, firm)
        assert [(one.action, one.actor, one.data["grant"]) for one in reads] == [
            ("shared.latest", "token:viewer", grant),
            ("shared.history", "token:viewer", grant),
        ]
        assert reads[-1].data["paths"] == [POINT] and reads[-1].data["purpose"] == "warranty of press 1"
    assert await reads_of(firms, "default") == []
    # One's own is nobody's business.
    own = POINT.replace("acme", "beta")
    await client.get("/api/v1/history/raw", params={"path": own, **ALL}, headers=viewer(firms))
    assert [len(await reads_of(firms, firm)) for firm in ("acme", "beta")] == [2, 2]


async def reads_of(firms: Hub, tenant: str) -> list[AuditEntry]:
    entries, _ = await firms.access.trail.page(tenant, AuditFilter(action="shared."))
    return list(entries)


@CLAUSE
async def test_an_ended_grant_is_gone_from_the_next_request_on(client: httpx.AsyncClient, firms: Hub) -> None:
    grant = await share(firms, end_ns=None)
    for path, params in (("history/raw", ALL), ("latest", {})):
        asked = {"path": POINT, **params}
        assert (await client.get(f"/api/v1/{path}", params=asked, headers=viewer(firms))).status_code == 200
    ended = await client.post(f"/api/v1/grants/{grant}/end", headers={**OURS, **firms.as_("acme.manager")})
    assert ended.status_code == 200 and ended.json()["ended_by"] == "token:manager"
    for path, params in (("history/raw", ALL), ("latest", {}), ("history/export", {"format": "csv", **ALL})):
        asked = {"path": POINT, **params}
        assert (await client.get(f"/api/v1/{path}", params=asked, headers=viewer(firms))).status_code == 404
    assert "acme" not in (await client.get("/api/v1/assets", headers=viewer(firms))).text


@asynccontextmanager
async def served(hub: Hub, **settings: Any) -> AsyncIterator[str]:
    async with serving(hub.services, ApiSettings(port=0, **settings)) as address:
        yield address.url


def newer(hub: Hub, path: str, value: float, at_s: int) -> None:
    handles = np.array([hub.world.handles[path]], np.uint32)
    times = np.array([T0 + at_s * SECOND_NS], np.int64)
    hub.world.live.update([Batch.of(ValueKind.FLOAT64, handles, times, np.array([value]), 0, times)])


@CLAUSE
async def test_a_live_feed_loses_what_is_no_longer_shared(firms: Hub) -> None:
    grant = await share(firms, end_ns=None)
    own = POINT.replace("acme", "beta")
    async with served(firms) as url, open_feed(url, firms.as_("beta.viewer")) as feed:
        answer = await subscribe(feed, [POINT, OTHER, own])
        assert answer["paths"] == [POINT, own] and answer["unknown"] == [OTHER]
        assert (await receive(feed))["i"] == [0, 1]
        await firms.access.end_grant(await firms.owner("acme"), grant)
        again = await receive(feed)
        assert again == {"type": "points", "paths": [own], "unknown": [POINT, OTHER]}
        assert (await receive(feed))["i"] == [0]
        newer(firms, POINT, 999.0, 700)
        newer(firms, own, 7.0, 700)
        assert (await receive(feed))["v"] == [7.0]


@CLAUSE
async def test_a_live_feed_follows_the_roles_of_its_user(firms: Hub) -> None:
    owner = await firms.owner("beta")
    _, once = await firms.access.create_user(owner, "beta.li", "viewer")
    await firms.access.change_password("beta.li", once, "seven green pumps sing")
    session, _ = await firms.access.sign_in("beta.li", "seven green pumps sing", peer="::1")
    own = POINT.replace("acme", "beta")
    async with served(firms) as url, open_feed(url, {"Cookie": f"headrace_session={session}"}) as feed:
        assert (await subscribe(feed, [own, POINT], alarms=True))["paths"] == [own]
        await receive(feed)
        from headrace.sdk.accounts import Part

        await firms.access.update_user(owner, "beta.li", role="member", parts=[Part("viewer", "beta/elsewhere")])
        assert (await receive(feed))["paths"] == []
        await firms.access.update_user(owner, "beta.li", disabled=True)
        assert await closed(feed) in (4401, 4403)


@CLAUSE
async def test_alarms_on_the_feed_are_ones_own(firms: Hub) -> None:
    async with served(firms) as url, open_feed(url, firms.as_("beta.viewer")) as feed:
        await subscribe(feed, [], alarms=True)
        await receive(feed)
        steps = {step.rule.partition("/")[0]: step for step in firms.services.alarms.steps}  # type: ignore[attr-defined]
        while not firms.services.alarms._listeners:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        for root in ("acme", "own", "beta"):
            firms.services.alarms.push(steps[root])  # type: ignore[attr-defined]
        told = await receive(feed)
        assert [one["rule"].partition("/")[0] for one in told["transitions"]] == ["beta"]


@CLAUSE
async def test_a_part_of_the_plant_is_all_that_is_there_for_who_has_a_part(
    client: httpx.AsyncClient, firms: Hub
) -> None:
    made = {"name": "line", "role": "operator", "paths": [f"{LINE}/press-1"]}
    head = {**OURS, **firms.as_("acme.owner")}
    secret = (await client.post("/api/v1/tokens", json=made, headers=head)).json()["secret"]
    head = {**OURS, "Authorization": f"Bearer {secret}"}
    points = (await client.get("/api/v1/points", headers=head)).json()["points"]
    assert {point["path"].rpartition("/")[0] for point in points} == {f"{LINE}/press-1"}
    other = f"{LINE}/press-2/running"
    assert (await client.get("/api/v1/history/raw", params={"path": other, **ALL}, headers=head)).status_code == 404
    write = {"path": SETPOINT, "value": 180, "reason": "warm-up"}
    assert (await client.post("/api/v1/writes", json=write, headers=head)).json()["state"] == "confirmed"
    assets = {one["path"]: one for one in (await client.get("/api/v1/assets", headers=head)).json()}
    assert set(assets) == {"acme", LINE, f"{LINE}/press-1"} and assets[f"{LINE}/press-1"]["attributes"]
    connections = (await client.get("/api/v1/connections", headers=head)).json()
    assert [one["name"] for one in connections] == ["acme.press-plc-1"]
