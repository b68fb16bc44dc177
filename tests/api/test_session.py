"""Signing in, the cookie, requests that a foreign page could make, and the one-time password."""

from __future__ import annotations

import httpx
import pytest
from tests.api.fakes import World

from headrace.api import ApiSettings, create_app

OURS = {"X-Headrace": "1"}


async def sign_in(client: httpx.AsyncClient, user: str = "engineer") -> httpx.Response:
    answer = await client.post("/api/v1/session", json={"user": user, "password": f"password-{user}"})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.clause("62443-3-3 SR 3.8", "62443-3-3 SR 3.8 RE 1")
async def test_sign_in_sets_a_strict_cookie_and_sign_out_removes_it(client: httpx.AsyncClient) -> None:
    answer = await sign_in(client)
    assert answer.json() == {
        "user": "engineer",
        "tenant": "default",
        "role": "engineer",
        "actions": ["acknowledge", "configure", "ingest", "maintain", "view", "write"],
        "everywhere": ["acknowledge", "configure", "ingest", "maintain", "view", "write"],
        "must_change_password": False,
        "must_enrol": False,
    }
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie
    assert (await client.get("/api/v1/session")).json()["user"] == "engineer"
    gone = await client.delete("/api/v1/session", headers=OURS)
    assert gone.status_code == 204 and 'headrace_session="";' in gone.headers["set-cookie"]
    assert (await client.get("/api/v1/assets")).status_code == 401


@pytest.mark.clause("62443-3-3 SR 3.8 RE 2")
async def test_a_new_sign_in_ends_the_former_session(client: httpx.AsyncClient) -> None:
    await sign_in(client, "viewer")
    former = client.cookies["headrace_session"]
    await sign_in(client, "engineer")
    client.cookies.clear()
    assert (await client.get("/api/v1/session", headers={"Cookie": f"headrace_session={former}"})).status_code == 401


@pytest.mark.clause("62443-3-3 SR 1.10")
async def test_a_wrong_name_and_a_wrong_password_look_alike(client: httpx.AsyncClient) -> None:
    answers = [
        await client.post("/api/v1/session", json={"user": user, "password": "wrong"}) for user in ("viewer", "nobody")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert (await client.post("/api/v1/session", json={"user": "locked", "password": "x"})).status_code == 429


@pytest.mark.clause("62443-3-3 SR 3.8")
async def test_a_change_with_the_cookie_needs_the_header(client: httpx.AsyncClient) -> None:
    await sign_in(client)
    body = {"files": []}
    refused = await client.post("/api/v1/declarations/plan", json=body)
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "untrusted-request"
    assert (await client.post("/api/v1/declarations/plan", json=body, headers=OURS)).status_code == 200
    assert (await client.get("/api/v1/assets")).status_code == 200, "reading needs no header"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("http://dev.example:5173", True),
        ("http://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://localhost:9", False),
        ("null", False),
    ],
)
@pytest.mark.clause("62443-3-3 SR 3.8", "62443-3-3 SR 1.13")
async def test_a_page_of_another_origin_may_not_change_anything(world: World, origin: str, allowed: bool) -> None:
    app = create_app(world.services, ApiSettings(origins=("http://dev.example:5173",)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        await sign_in(client)
        answer = await client.post("/api/v1/declarations/plan", json={"files": []}, headers={**OURS, "Origin": origin})
        assert (answer.status_code == 200) == allowed
        body = {"user": "viewer", "password": "password-viewer"}
        login = await client.post("/api/v1/session", json=body, headers={"Origin": origin})
        assert (login.status_code == 200) == allowed


@pytest.mark.clause("62443-3-3 SR 3.8", "GB/T 22239-2019 8.1.4.8")
async def test_tls_makes_the_cookie_secure(world: World) -> None:
    app = create_app(world.services, ApiSettings(behind_tls=True))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as client:
        answer = await sign_in(client)
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


async def test_a_one_time_password_opens_nothing_but_its_own_change(client: httpx.AsyncClient) -> None:
    assert (await sign_in(client, "newcomer")).json()["must_change_password"] is True
    refused = await client.get("/api/v1/assets")
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "change-password"
    me = (await client.get("/api/v1/session")).json()
    assert (me["role"], me["actions"], me["must_change_password"]) == ("engineer", [], True)
    weak = await client.post("/api/v1/session/password", json={"old": "password-newcomer", "new": "x"}, headers=OURS)
    assert weak.status_code == 422 and "12 characters" in weak.json()["error"]["message"]
    change = {"old": "password-newcomer", "new": "correct horse battery"}
    assert (await client.post("/api/v1/session/password", json=change, headers=OURS)).status_code == 204
    assert (await client.get("/api/v1/assets")).status_code == 200


async def test_a_token_cannot_change_a_password(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.post("/api/v1/session/password", json={"old": "a", "new": "b"})
    assert answer.status_code == 403
    assert (await viewer.get("/api/v1/session")).json() == {
        "user": "viewer",
        "tenant": "default",
        "role": "viewer",
        "actions": ["view"],
        "everywhere": ["view"],
        "must_change_password": False,
        "must_enrol": False,
    }


@pytest.mark.clause("62443-3-3 SR 3.8 RE 1")
async def test_a_session_whose_user_is_gone_is_over(client: httpx.AsyncClient) -> None:
    await sign_in(client, "viewer")
    session = {"Cookie": f"headrace_session={client.cookies['headrace_session']}"}
    client.cookies.clear()
    gone = await client.delete("/api/v1/users/viewer", headers={"Authorization": "Bearer token-owner"})
    assert gone.status_code == 204
    assert (await client.get("/api/v1/assets", headers=session)).status_code == 401
