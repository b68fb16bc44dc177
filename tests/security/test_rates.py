"""Too many requests: from one address, of one token, without a sign-in, heavy ones, and over one live socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.fakes import TEMPERATURE, World
from websockets.asyncio.client import connect

from headrace.api import ApiSettings, create_app
from headrace.api.rates import HEAVY, LOCAL_COMMAND, Buckets, Rates, TooOften, peer_of
from headrace.api.rights import RIGHTS
from headrace.api.server import serving
from headrace.sdk.access import Principal

pytestmark = pytest.mark.clause(
    "62443-3-3 SR 7.1", "62443-3-3 SR 7.1 RE 1", "62443-3-3 SR 7.2", "GB/T 22239-2019 8.1.4.2"
)

VIEWER = {"Authorization": "Bearer token-viewer"}


@asynccontextmanager
async def client_at(world: World, peer: str = "10.0.0.9", **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(world.services, ApiSettings(**settings)), client=(peer, 4000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def statuses(client: httpx.AsyncClient, count: int, **options: Any) -> list[int]:
    return [(await client.get("/api/v1/assets", **options)).status_code for _ in range(count)]


SLOW = {"anonymous_requests_per_s": 0.001, "principal_requests_per_s": 0.001, "peer_requests_per_s": 0.001}


async def test_strangers_are_told_when_to_come_back(world: World) -> None:
    async with client_at(world, anonymous_requests_burst=3, **SLOW) as client:
        assert await statuses(client, 4) == [401, 401, 401, 429]
        refused = await client.get("/api/v1/assets")
        assert refused.json()["error"]["code"] == "limit-reached" and 1 <= int(refused.headers["retry-after"]) <= 60
        body = {"user": "viewer", "password": "password-viewer"}
        assert (await client.post("/api/v1/session", json=body)).status_code == 429, "nor may they try passwords"
        assert await statuses(client, 3, headers=VIEWER) == [200] * 3, "who shows a token is not among them"
        assert await statuses(client, 1, headers={"Authorization": "Bearer guess"}) == [429]


async def test_one_principal_does_not_slow_another(world: World) -> None:
    async with client_at(world, principal_requests_burst=2, **SLOW) as client:
        assert await statuses(client, 3, headers=VIEWER) == [200, 200, 429]
        assert await statuses(client, 1, headers={"Authorization": "Bearer token-administrator"}) == [200]


async def test_one_address_is_bounded_whoever_asks(world: World) -> None:
    async with client_at(world, peer_requests_burst=2, **SLOW) as client:
        assert await statuses(client, 3, headers=VIEWER) == [200, 200, 429]
        assert (await client.get("/", headers={"Accept": "text/html"})).status_code == 429
    async with client_at(world, "127.0.0.1", peer_requests_burst=2, **SLOW) as client:
        assert await statuses(client, 5, headers=VIEWER) == [200] * 5, "programs of this machine have no address"


@pytest.mark.parametrize(
    ("client", "forwarded", "behind_tls", "peer"),
    [
        ("10.0.0.9", "203.0.113.7", False, "10.0.0.9"),
        ("127.0.0.1", "203.0.113.7", True, "203.0.113.7"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.7", True, "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7, nonsense", True, "127.0.0.1"),
        ("127.0.0.1", "", True, "127.0.0.1"),
        ("127.0.0.1", ",".join(["9.9.9.9"] * 1_000), True, "9.9.9.9"),
        ("2001:db8:1:2:aaaa::1", "", False, "2001:db8:1:2::"),
        ("2001:db8:1:2:bbbb::9", "", False, "2001:db8:1:2::"),
        ("::ffff:10.0.0.9", "", False, "10.0.0.9"),
        ("::1", "", False, "::1"),
    ],
)
def test_who_asks_is_the_last_that_a_web_server_adds(client: str, forwarded: str, behind_tls: bool, peer: str) -> None:
    scope = {"client": (client, 1), "headers": [(b"x-forwarded-for", forwarded.encode())] if forwarded else []}
    assert peer_of(scope, ApiSettings(behind_tls=behind_tls)) == peer


def test_the_local_command_is_never_slowed() -> None:
    rates = Rates(ApiSettings(principal_requests_burst=1, heavy_running_max=1, heavy_waiting_max=0), lambda: 0.0)
    local = Principal(LOCAL_COMMAND, "administrator", "token")
    for _ in range(1_000):
        rates.principal(local, "127.0.0.1")
    rates.principal(local, "10.0.0.9")
    with pytest.raises(TooOften):  # its token, stolen, is one as any other
        rates.principal(local, "10.0.0.9")


async def test_heavy_questions_wait_for_a_place_and_too_many_are_sent_away() -> None:
    rates = Rates(ApiSettings(heavy_running_max=2, heavy_waiting_max=3), lambda: 0.0)
    one, other = Principal("ann", "viewer", "session"), Principal("bob", "viewer", "session")
    go, inside = asyncio.Event(), 0

    async def ask(who: Principal) -> None:
        nonlocal inside
        async with rates.heavy(who, "10.0.0.9"):
            inside += 1
            await go.wait()
            inside -= 1

    asking = [asyncio.create_task(ask(one)) for _ in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inside == 2 and isinstance(asking[5].exception(), TooOften)
    asking.append(asyncio.create_task(ask(other)))
    await asyncio.sleep(0)
    assert inside == 3, "another is not in the same line"
    asking[4].cancel()
    go.set()
    await asyncio.gather(*asking, return_exceptions=True)
    assert inside == 0 and not rates._heavy


def test_every_heavy_operation_exists() -> None:
    assert set(RIGHTS) >= HEAVY


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("abc")), max_size=200))
def test_a_bucket_never_gives_more_than_it_may(asked: list[tuple[float, str]]) -> None:
    now_s, given_by_key = 0.0, dict[str, list[float]]()
    buckets = Buckets(2.0, 5.0, lambda: now_s)
    for pause_s, key in asked:
        now_s += pause_s
        wait_s = buckets.take(key)
        if not wait_s:
            given_by_key.setdefault(key, []).append(now_s)
        else:
            assert 0 < wait_s <= 0.5 + 1e-9
    for times in given_by_key.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= 5.0 + 2.0 * (times[last] - times[first]) + 1e-6


def test_a_flood_of_addresses_costs_bounded_memory() -> None:
    buckets = Buckets(1.0, 2.0, lambda: 0.0, keys_max=100)
    for number in range(10_000):
        buckets.take(f"peer {number}")
        buckets.take("steady")
        buckets.take("steady")
    assert len(buckets) == 100 and buckets.take("steady") > 0, "who asks all the time is not forgotten"


async def test_one_live_socket_is_read_no_faster_than_it_may(world: World) -> None:
    settings = ApiSettings(port=0, live_messages_per_s=0.001, live_messages_burst=3)
    async with serving(world.services, settings) as address:
        url = address.url.replace("http", "ws") + "/api/v1/live"
        async with connect(url, additional_headers=VIEWER) as feed:
            for _ in range(10):
                await feed.send(json.dumps({"subscribe": [TEMPERATURE], "max_hz": 1}))
            answers = 0
            async with asyncio.timeout(30):
                while answers < 3:
                    answers += json.loads(await feed.recv())["type"] == "points"
            with pytest.raises(TimeoutError):  # how long we look is no matter: the next is read in a quarter of an hour
                async with asyncio.timeout(0.2):
                    while json.loads(await feed.recv())["type"] != "points":
                        pass
