"""What changes something: alarms, writes, connections, declarations, users and tokens."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.fakes import COUNTER, RULE, SETPOINT, TEMPERATURE, World

from headrace.api.routes.writes import _exact
from headrace.model.batch import ValueKind


async def test_an_alarm_is_seen_acknowledged_and_remembered(owner: httpx.AsyncClient) -> None:
    (alarm,) = (await owner.get("/api/v1/alarms")).json()["alarms"]
    assert alarm["rule"] == RULE and alarm["state"] == "unack-active" and alarm["raised_at"] == "2026-11-22T08:00:00Z"
    assert alarm["asset"] == TEMPERATURE.rpartition("/")[0] and alarm["message"] == {"en": "Oil too hot"}
    done = await owner.post("/api/v1/alarms/acknowledge", json={"rules": [RULE], "comment": "on my way"})
    (step,) = done.json()["transitions"]
    assert step["actor"] == "owner" and step["comment"] == "on my way" and step["priority"] == "high"
    again = await owner.post("/api/v1/alarms/acknowledge", json={"rules": [RULE]})
    assert again.json() == {"transitions": []}
    past = (await owner.get("/api/v1/alarms/history", params={"point": TEMPERATURE})).json()
    assert [one["action"] for one in past["transitions"]] == ["acknowledged", "raised"]
    unknown = await owner.post("/api/v1/alarms/acknowledge", json={"rules": ["no:such"]})
    assert unknown.status_code == 404


async def test_a_write_is_answered_with_its_end(owner: httpx.AsyncClient) -> None:
    async def write(path: str, value: Any) -> dict[str, Any]:
        answer = await owner.post("/api/v1/writes", json={"path": path, "value": value, "reason": "warm-up"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    confirmed = await write(SETPOINT, 120)
    assert confirmed["state"] == "confirmed" and confirmed["read_back"] == 120.0
    assert confirmed["actor"] == "owner" and confirmed["requested_at"] == "2026-11-22T08:00:00Z"
    assert (await write(SETPOINT, 500))["state"] == "refused"
    assert (await write(TEMPERATURE, 1.5))["detail"] == "the point is read-only"
    assert (await write(COUNTER, str(2**60)))["value"] == str(2**60)
    listed = (await owner.get("/api/v1/writes", params={"path": SETPOINT})).json()
    assert [one["value"] for one in listed] == [500, 120]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "null", "[1]", "{}"])
async def test_a_value_that_is_none_is_refused(owner: httpx.AsyncClient, value: str) -> None:
    body = f'{{"path": "{SETPOINT}", "value": {value}, "reason": "test"}}'
    headers = {"Content-Type": "application/json"}
    answer = await owner.post("/api/v1/writes", content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    missing = await owner.post("/api/v1/writes", json={"path": SETPOINT, "value": 1})
    assert missing.status_code == 422 and missing.json()["error"]["message"] == "reason: is missing"


def test_values_take_the_points_kind() -> None:
    assert _exact(f"{2**63 - 1}", ValueKind.INT64) == 2**63 - 1
    assert _exact(f"{2**63}", ValueKind.INT64) == f"{2**63}"
    assert isinstance(_exact(7, ValueKind.FLOAT64), float)
    assert _exact(True, ValueKind.FLOAT64) is True
    assert _exact("12", ValueKind.TEXT) == "12"


async def test_connections_browse_and_trust(owner: httpx.AsyncClient, world: World) -> None:
    (link,) = (await owner.get("/api/v1/connections")).json()
    assert link["state"] == "connected" and link["title"] == {"en": "Press PLC"}
    assert link["counters"]["last_sample_at"] == "2026-11-22T08:00:00Z" and link["counters"]["samples"] == 600
    base = "/api/v1/connections/press-plc-1"
    (folder,) = (await owner.get(f"{base}/browse")).json()["nodes"]
    inside = await owner.get(f"{base}/browse", params={"parent": '{"node": "ns=2;s=Press1"}'})
    assert folder["kind"] is None and inside.json()["nodes"][0]["kind"] == "float64"
    for parent, status in (("[1]", 422), ("{", 422), ('{"down": 1}', 503)):
        assert (await owner.get(f"{base}/browse", params={"parent": parent})).status_code == status
    shown = (await owner.get(f"{base}/trust")).json()["fingerprint"]
    assert (await owner.post(f"{base}/trust", json={"fingerprint": "other"})).status_code == 409
    assert world.access.entries == []
    assert (await owner.post(f"{base}/trust", json={"fingerprint": shown})).status_code == 204
    assert world.links.trusted == ["press-plc-1"]
    (entry,) = (await owner.get("/api/v1/audit")).json()["entries"]
    assert entry["action"] == "connection.trusted" and entry["actor"] == "owner"
    assert (await owner.get("/api/v1/connections/none/browse")).status_code == 404


async def test_declarations_are_planned_and_applied(owner: httpx.AsyncClient) -> None:
    now = (await owner.get("/api/v1/declarations")).json()
    same = (await owner.post("/api/v1/declarations/plan", json={"files": now["files"]})).json()
    assert same == {"revision": 1, "changes": [], "errors": []}
    files = [{"name": "plant.yaml", "text": "points: {}\n"}]
    plan = (await owner.post("/api/v1/declarations/plan", json={"files": files, "prune": False})).json()
    assert plan["changes"][0]["details"] == [{"field": "unit", "old": "Cel", "new": "K"}]
    applied = await owner.post("/api/v1/declarations/apply", json={"files": files, "revision": 1})
    assert applied.status_code == 200 and applied.json()["revision"] == 2
    stale = await owner.post("/api/v1/declarations/apply", json={"files": files, "revision": 1})
    assert stale.status_code == 409
    wrong = [{"name": "a.yaml", "text": "typo: 1"}, {"name": "b.yaml", "text": "typo: 2"}]
    refused = await owner.post("/api/v1/declarations/apply", json={"files": wrong})
    error = refused.json()["error"]
    assert refused.status_code == 422 and error["code"] == "invalid-declaration"
    assert [(one["file"], one["line"], one["column"]) for one in error["errors"]] == [
        ("a.yaml", 2, 3),
        ("b.yaml", 2, 3),
    ]
    planned = (await owner.post("/api/v1/declarations/plan", json={"files": wrong})).json()
    assert len(planned["errors"]) == 2


async def test_users_and_tokens(owner: httpx.AsyncClient) -> None:
    made = await owner.post("/api/v1/users", json={"name": "li.wei", "role": "operator"})
    assert made.status_code == 201 and made.json()["one_time_password"]
    assert made.json()["user"]["must_change_password"] is True
    assert (await owner.post("/api/v1/users", json={"name": "li.wei", "role": "viewer"})).status_code == 409
    assert (await owner.post("/api/v1/users", json={"name": "x", "role": "king"})).status_code == 422
    changed = await owner.patch("/api/v1/users/li.wei", json={"disabled": True})
    assert changed.json()["disabled"] is True and changed.json()["role"] == "operator"
    assert (await owner.patch("/api/v1/users/li.wei", json={})).status_code == 422
    assert (await owner.delete("/api/v1/users/owner")).status_code == 409
    assert (await owner.delete("/api/v1/users/li.wei")).status_code == 204
    made = await owner.post("/api/v1/tokens", json={"name": "grafana", "role": "viewer"})
    secret, token = made.json()["secret"], made.json()["token"]
    assert made.status_code == 201 and token["expires_at"] is None
    as_token = {"Authorization": f"Bearer {secret}"}
    assert (await owner.get("/api/v1/session", headers=as_token)).json()["user"] == "grafana"
    past = {"name": "old", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}
    assert (await owner.post("/api/v1/tokens", json=past)).status_code == 422
    listed = (await owner.get("/api/v1/tokens")).text
    assert token["id"] in listed and secret not in listed
    assert (await owner.delete(f"/api/v1/tokens/{token['id']}")).status_code == 204
    assert (await owner.get("/api/v1/session", headers=as_token)).status_code == 401
