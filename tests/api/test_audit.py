"""The audit trail over HTTP: who reads it, what leaves, and what is refused while nothing can be recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine
from tests.api.fakes import World

from headrace.access import audit_tables, tables
from headrace.access.audit import AuditFolder, AuditKeeper, AuditTrail
from headrace.access.audit.export import verify_export
from headrace.access.audit.signing import PublicKey
from headrace.api import ApiSettings, create_app
from headrace.sdk.clock import SystemClock


def as_role(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer token-{role}"}


@pytest.fixture
async def real(world: World, tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, AuditTrail]]:
    """The real trail behind the application."""
    engine = create_engine(f"sqlite:///{tmp_path}/audit.db")
    tables.metadata.create_all(engine)
    audit_tables.metadata.create_all(engine)
    folder = AuditFolder(tmp_path / "audit", tmp_path / "keys")
    trail = AuditTrail(engine, SystemClock(), folder)
    keeper = AuditKeeper(trail, folder)
    await keeper.start()
    services = replace(world.services, audit=trail, trail=trail)
    transport = httpx.ASGITransport(create_app(services, ApiSettings(console_dir=tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        client.headers.update(as_role("auditor"))
        yield client, trail
    await keeper.close()
    engine.dispose()


@pytest.mark.clause("62443-3-3 SR 6.1", "62443-3-3 SR 3.9")
async def test_only_auditors_read_it(client: httpx.AsyncClient) -> None:
    for route in ("audit", "audit/export", "audit/state", "audit/verify"):
        for role, status in (("auditor", 200), ("owner", 200), ("administrator", 403), ("engineer", 403)):
            answer = await client.get(f"/api/v1/{route}", headers=as_role(role))
            assert answer.status_code == status, (route, role, answer.text)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await client.request(method, "/api/v1/audit", headers=as_role("owner"))).status_code == 405


@pytest.mark.clause("62443-3-3 SR 6.1 RE 1")
async def test_pages_filters_and_an_export_that_is_on_record(
    real: tuple[httpx.AsyncClient, AuditTrail], tmp_path: Path
) -> None:
    client, trail = real
    for number in range(5):
        await trail.record("li", "user.create" if number % 2 else "write", f"acme/{number}", "done", {"n": number})
    await trail.record("mallory", "write", "other/1", "done", tenant="other")
    page = (await client.get("/api/v1/audit", params={"action": "user.", "limit": 1})).json()
    assert page["entries"][0]["subject"] == "acme/3" and len(page["entries"][0]["hash"]) == 64
    params = {"action": "user.", "limit": 1, "cursor": page["next_cursor"]}
    rest = (await client.get("/api/v1/audit", params=params)).json()
    assert ([one["subject"] for one in rest["entries"]], rest["next_cursor"]) == (["acme/1"], None)
    assert (await client.get("/api/v1/audit", params={"start": "now+1h"})).json()["entries"] == []
    for wrong in ({"start": "now", "end": "now-1h"}, {"start": "soon"}, {"actor": "a\0"}, {"cursor": "x"}):
        assert (await client.get("/api/v1/audit", params=wrong)).status_code == 422

    exported = await client.get("/api/v1/audit/export", params={"subject": "acme/"})
    assert exported.headers["content-type"] == "application/x-ndjson"
    path = tmp_path / "export"
    path.write_bytes(exported.content)
    verdict = verify_export(path, PublicKey.read(tmp_path / "keys" / "audit.pub"))
    assert (verdict.entries, verdict.first, verdict.last) == (5, 1, 5)
    (newest,) = (await client.get("/api/v1/audit", params={"limit": 1})).json()["entries"]
    assert (newest["actor"], newest["action"]) == ("auditor", "audit.export")
    assert newest["data"] == {"format": "ndjson", "subject": "acme/"}
    sheet = await client.get("/api/v1/audit/export", params={"format": "csv", "outcome": "done"})
    assert "mallory" not in sheet.text and len(sheet.text.splitlines()) == 1 + 5 + 2

    whole = (await client.get("/api/v1/audit/verify")).json()
    assert whole["whole"] and whole["entries"] == 8
    noted = whole["head"]
    state = (await client.get("/api/v1/audit/state")).json()
    assert state["head"] == noted and state["trouble"] == [] and state["keep_days"] == 365
    assert (await client.get("/api/v1/audit/verify", params=noted)).json()["whole"]
    other = (await client.get("/api/v1/audit/verify", params=noted | {"hash": "0" * 64})).json()
    assert not other["whole"] and "entry 8" in other["problem"]
    assert (await client.get("/api/v1/audit/verify", params={"sequence": 8})).status_code == 422


@pytest.mark.clause("62443-3-3 SR 2.10")
async def test_what_changes_something_is_refused_while_it_cannot_be_recorded(
    client: httpx.AsyncClient, world: World
) -> None:
    world.trail.full = True
    client.headers.update(as_role("owner"))
    user = await client.post("/api/v1/users", json={"name": "new", "role": "viewer"})
    assert (user.status_code, user.json()["error"]["code"]) == (503, "unavailable")
    assert "new" not in {one["name"] for one in (await client.get("/api/v1/users")).json()}
    signed_in = await client.post("/api/v1/session", json={"user": "viewer", "password": "password-viewer"})
    assert signed_in.status_code == 503
    metrics = (await client.get("/metrics")).text
    assert "headrace_audit_failing 1" in metrics and "headrace_audit_troubles 1" in metrics
    # Seeing and sensing go on.
    assert (await client.get("/api/v1/points")).status_code == 200
    assert (await client.post("/api/v1/ingest/json", content=b"")).status_code != 503
    assert (await client.post("/api/v1/locks", json={"path": "", "reason": "smoke"})).status_code != 503
    world.trail.full = False
    assert (await client.post("/api/v1/users", json={"name": "new", "role": "viewer"})).status_code == 201
