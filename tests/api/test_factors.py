"""The doors over HTTP, before the real access desk: cookies, second factors, fresh proofs, sessions, the live feed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pyotp
import pytest
from sqlalchemy import create_engine
from tests.access.authenticator import Authenticator
from tests.access.conftest import BoxSealer, FakeClock
from tests.api.fakes import World
from tests.api.test_live_feed import closed, open_feed
from websockets.asyncio.client import ClientConnection

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.tables import metadata
from headrace.api import ApiSettings, create_app
from headrace.api.server import serving
from headrace.api.services import Services
from headrace.sdk.access import Principal
from headrace.sdk.accounts import TenantPolicy

OURS = {"X-Headrace": "1"}
LOCAL = Principal("local", "owner", "local")
GOOD = "four brown presses hum"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def access(tmp_path: Path, clock: FakeClock) -> AsyncIterator[AccessDesk]:
    engine = create_engine(f"sqlite:///{tmp_path}/access.db")
    metadata.create_all(engine)
    factor_tables.metadata.create_all(engine)
    desk = AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8), sealer=BoxSealer())
    for name, role in (("wang", "owner"), ("li", "viewer")):
        _, once = await desk.create_user(LOCAL, name, role)
        await desk.change_password(name, once, GOOD)
    yield desk
    engine.dispose()


@pytest.fixture
async def services(access: AccessDesk) -> Services:
    return replace((await World.make()).services, access=access, audit=access)


@pytest.fixture
async def client(services: Services, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(services, ApiSettings(console_dir=tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1", headers=OURS) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, user: str = "wang") -> httpx.Response:
    answer = await client.post("/session", json={"user": user, "password": GOOD})
    assert answer.status_code == 200, answer.text
    return answer


async def add_totp(client: httpx.AsyncClient, clock: FakeClock) -> tuple[pyotp.TOTP, list[str]]:
    offer = (await client.post("/account/totp")).json()
    phone = pyotp.TOTP(offer["secret"])
    confirmed = await client.post("/account/totp/confirm", json={"code": phone.at(clock.seconds)})
    assert confirmed.status_code == 200, confirmed.text
    clock.seconds += 60
    return phone, confirmed.json()["codes"]


@pytest.mark.clause("62443-3-3 SR 1.1 RE 2")
async def test_the_first_step_sets_no_cookie_and_the_second_does(client: httpx.AsyncClient, clock: FakeClock) -> None:
    await sign_in(client)
    before = client.cookies["headrace_session"]
    phone, codes = await add_totp(client, clock)
    assert len(codes) == 10 and client.cookies["headrace_session"] != before
    client.cookies.clear()
    first = await sign_in(client)
    assert "set-cookie" not in first.headers and list(first.json()) == ["second_factor"]
    needed = first.json()["second_factor"]
    assert needed["kinds"] == ["totp", "recovery"] and needed["passkey_options"] is None
    assert (await client.get("/session")).status_code == 401
    wrong = await client.post("/session/second-factor", json={"pending": needed["pending"], "code": "000000"})
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    body = {"pending": needed["pending"], "code": phone.at(clock.seconds)}
    right = await client.post("/session/second-factor", json=body)
    assert right.status_code == 200 and right.json()["user"] == "wang"
    assert (await client.get("/session")).status_code == 200
    assert (await client.post("/session/second-factor", json=body)).status_code == 401


async def test_a_passkey_from_its_making_to_signing_in_with_it(client: httpx.AsyncClient) -> None:
    await sign_in(client)
    device = Authenticator()
    options = (await client.post("/account/passkeys/options")).json()
    made = await client.post("/account/passkeys", json={"name": "key ring", "passkey": device.create(options)})
    assert made.status_code == 201, made.text
    assert made.json()["passkey"]["name"] == "key ring" and len(made.json()["recovery_codes"]) == 10
    client.cookies.clear()
    question = (await client.post("/session/passkey/options")).json()
    body = {"challenge": question["challenge"], "passkey": device.get(question["options"])}
    foreign = await client.post("/session/passkey", json=body, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert (await client.post("/session/passkey", json=body)).json()["user"] == "wang"
    assert [one["proved"] for one in (await client.get("/account/sessions")).json() if one["this"]] == ["passkey"]


@pytest.mark.clause("62443-3-3 SR 3.8")
async def test_over_tls_the_cookie_is_for_this_host_alone(services: Services, tmp_path: Path) -> None:
    app = create_app(services, ApiSettings(behind_tls=True, console_dir=tmp_path))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost/api/v1") as client:
        cookie = (await sign_in(client)).headers["set-cookie"]
        assert cookie.startswith("__Host-headrace_session=") and "Secure" in cookie and "Path=/;" in cookie
        assert "Domain" not in cookie
        secret = client.cookies["__Host-headrace_session"]
        client.cookies.clear()
        planted = await client.get("/session", headers={"Cookie": f"headrace_session={secret}"})
        assert planted.status_code == 401, "a name that a neighbour could set is not looked at"


async def test_a_factor_goes_with_a_fresh_proof_alone(client: httpx.AsyncClient, clock: FakeClock) -> None:
    await sign_in(client)
    phone, _ = await add_totp(client, clock)
    clock.seconds += 300
    refused = await client.delete("/account/totp")
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "fresh-proof-needed"
    assert (await client.get("/account/factors")).json()["fresh"] is False
    takes = (await client.get("/session/proof")).json()
    assert takes == {"password": True, "code": True, "passkey_options": None}
    stale = client.cookies["headrace_session"]
    body = {"password": GOOD, "code": phone.at(clock.seconds)}
    assert (await client.post("/session/proof", json=body)).status_code == 200
    assert client.cookies["headrace_session"] != stale
    assert (await client.delete("/account/totp")).status_code == 204
    client.cookies.clear()
    assert (await client.get("/session", headers={"Cookie": f"headrace_session={stale}"})).status_code == 401


async def test_the_factors_of_others_are_reset_with_a_fresh_proof(client: httpx.AsyncClient, clock: FakeClock) -> None:
    await sign_in(client)
    clock.seconds += 300
    refused = await client.delete("/users/li/factors")
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "fresh-proof-needed"
    await client.post("/session/proof", json={"password": GOOD})
    assert (await client.delete("/users/li/factors")).status_code == 204


async def test_an_officer_sees_who_is_locked_out_and_lets_them_in(
    client: httpx.AsyncClient, access: AccessDesk, clock: FakeClock
) -> None:
    for _ in range(10):
        clock.seconds += 60
        assert (await client.post("/session", json={"user": "li", "password": "wrong wrong"})).status_code == 401
    await sign_in(client)
    li, wang = (await client.get("/user-safeguards")).json()
    assert (li["name"], wang["name"], li["role"]) == ("li", "wang", "viewer")
    assert li["locked_until"] is not None and wang["locked_until"] is None
    assert (li["sessions"], wang["sessions"]) == (0, 1) and wang["first_session_at"] == wang["longest_idle_at"]
    assert not li["second_factor"] and not li["relied_on"] and wang["relied_on"]
    assert (await client.delete("/users/li/lockout")).status_code == 204
    client.cookies.clear()
    await sign_in(client, "li")
    assert (await client.get("/user-safeguards")).status_code == 403


@pytest.mark.clause("62443-3-3 SR 1.1 RE 3")
async def test_while_a_factor_is_missing_nothing_else_is_open(
    client: httpx.AsyncClient, access: AccessDesk, clock: FakeClock
) -> None:
    await sign_in(client)
    await access.set_policy(LOCAL, TenantPolicy(second_factor="everyone"))
    assert (await client.get("/session")).json()["must_enrol"] is True
    refused = await client.get("/assets")
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "enrol-second-factor"
    assert (await client.get("/users")).status_code == 403
    await add_totp(client, clock)
    assert (await client.get("/session")).json()["must_enrol"] is False
    assert (await client.get("/assets")).status_code == 200


async def test_my_sessions_and_those_of_others(client: httpx.AsyncClient, services: Services, tmp_path: Path) -> None:
    await sign_in(client)
    transport = httpx.ASGITransport(create_app(services, ApiSettings(console_dir=tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1", headers=OURS) as other:
        await sign_in(other, "li")
        assert (await other.get("/users/wang/sessions")).status_code == 403
        theirs = (await client.get("/users/li/sessions")).json()
        assert [one["this"] for one in theirs] == [False] and theirs[0]["agent"].startswith("python-httpx")
        assert (await client.delete(f"/users/li/sessions/{theirs[0]['id']}")).status_code == 204
        assert (await other.get("/session")).status_code == 401
        await sign_in(other, "li")
        await sign_in(other, "li")
        assert (await client.delete("/users/li/sessions")).json() == {"ended": 1}, "the second ended the first"
        assert (await client.get("/users/nobody/sessions")).status_code == 404
    mine = (await client.get("/account/sessions")).json()
    assert [one["this"] for one in mine] == [True]


@pytest.mark.clause("62443-3-3 SR 2.5")
async def test_a_console_that_nobody_touches_keeps_no_session_alive(
    client: httpx.AsyncClient, access: AccessDesk, clock: FakeClock
) -> None:
    await access.set_policy(LOCAL, TenantPolicy(session_idle_s=60))
    await sign_in(client)
    for _ in range(2):
        clock.seconds += 29
        assert (await client.get("/session", headers={"X-Headrace-Idle": "1"})).status_code == 200
    clock.seconds += 2
    assert (await client.get("/session")).status_code == 401


@pytest.mark.clause("62443-3-3 SR 2.6", "62443-3-3 SR 3.8 RE 1")
async def test_an_ended_session_closes_its_live_feed_at_once(services: Services, access: AccessDesk) -> None:
    """Sooner than the feed would look again by itself: that is after an hour here."""
    settings = ApiSettings(port=0, live_session_check_s=3600, live_slow_close_s=14400)
    async with serving(services, settings) as address:

        async def feed_of(secret: str) -> ClientConnection:
            return await open_feed(address.url, {"Cookie": f"headrace_session={secret}"})

        async def fresh() -> str:
            secret, _ = await access.sign_in("li", GOOD, peer="::1")
            return secret

        one, two = await fresh(), await fresh()
        feed, other = await feed_of(one), await feed_of(two)
        renewed = await access.renew(one)  # another secret for the same session closes nothing
        await access.sign_out(two)
        assert await closed(other) == 4401
        assert feed.close_code is None
        await access.end_session(LOCAL, "li", access.session(renewed).id)
        assert await closed(feed) == 4401
        feed = await feed_of(await fresh())
        await access.update_user(LOCAL, "li", role="source")
        assert await closed(feed) == 4403
        await access.update_user(LOCAL, "li", role="viewer")
        feed = await feed_of(await fresh())
        await access.delete_user(LOCAL, "li")
        assert await closed(feed) == 4401


async def test_a_token_has_no_account(client: httpx.AsyncClient, access: AccessDesk) -> None:
    _, secret = await access.create_token(LOCAL, "erp", "owner")
    client.headers["Authorization"] = f"Bearer {secret}"
    for method, path in (("GET", "/account/factors"), ("POST", "/account/totp"), ("GET", "/account/sessions")):
        assert (await client.request(method, path)).status_code == 409
