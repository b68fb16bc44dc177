"""The live feed over real sockets: snapshots, changes, alarms, rights, and clients that do not read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from tests.api.fakes import COUNTER, LINE, ORDER, RULE, T0, TEMPERATURE, World
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from headrace.api import ApiSettings
from headrace.api.server import serving
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.model.time import SECOND_NS

VIEWER = {"Authorization": "Bearer token-viewer"}


@asynccontextmanager
async def served(world: World, **settings: Any) -> AsyncIterator[str]:
    async with serving(world.services, ApiSettings(port=0, **settings)) as address:
        yield address.url


def open_feed(url: str, headers: dict[str, str] | None = VIEWER, **options: Any) -> Any:
    address = f"ws://{urlsplit(url).netloc}/api/v1/live"
    return connect(address, additional_headers=headers, max_size=None, compression=None, **options)


async def receive(feed: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return json.loads(await feed.recv())


async def subscribe(feed: ClientConnection, paths: list[str], **options: Any) -> dict[str, Any]:
    await feed.send(json.dumps({"subscribe": paths, "max_hz": 20, **options}))
    answer = await receive(feed)
    assert answer["type"] == "points"
    return answer


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


async def closed(feed: ClientConnection) -> int:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed):
            while True:
                await feed.recv()
    assert feed.close_code is not None
    return feed.close_code


async def test_a_snapshot_then_what_changes(world: World) -> None:
    world.live.update([world.batch(TEMPERATURE, [41.5]), world.batch(COUNTER, [2**53 + 1])])
    async with served(world) as url, open_feed(url) as feed:
        answer = await subscribe(feed, [COUNTER, "no/such", TEMPERATURE, ORDER, COUNTER])
        assert answer == {"type": "points", "paths": [COUNTER, TEMPERATURE, ORDER], "unknown": ["no/such"]}
        first = await receive(feed)
        assert first["type"] == "changes" and first["i"] == [0, 1, 2]
        assert first["v"] == [str(2**53 + 1), 41.5, None] and first["t"] == [T0 / 1e6, T0 / 1e6, None]
        world.live.update([world.batch(ORDER, ["A-7"], at_ns=T0 + SECOND_NS)])
        second = await receive(feed)
        assert (second["i"], second["v"], second["q"]) == ([2], ["A-7"], [0])
        world.live.update([world.batch(TEMPERATURE, [float("nan")], at_ns=T0 + SECOND_NS, quality=0x80000000)])
        third = await receive(feed)
        assert (third["i"], third["v"], third["q"]) == ([1], [None], [0x80000000])
        assert world.feed.clients == 1
    assert world.feed.clients == 0 and world.feed.frames == 4


async def test_a_new_subscription_replaces_the_former(world: World) -> None:
    async with served(world) as url, open_feed(url) as feed:
        await subscribe(feed, [TEMPERATURE])
        await receive(feed)
        assert (await subscribe(feed, [ORDER]))["paths"] == [ORDER]
        assert (await receive(feed))["i"] == [0]
        world.live.update([world.batch(TEMPERATURE, [1.0])])
        world.live.update([world.batch(ORDER, ["B"])])
        assert (await receive(feed))["v"] == ["B"]
        await subscribe(feed, [])
        assert (await receive(feed))["i"] == []


async def test_every_client_ends_with_the_newest_value(world: World) -> None:
    async with served(world) as url, open_feed(url) as quick, open_feed(url) as calm:
        await subscribe(quick, [TEMPERATURE])
        await subscribe(calm, [TEMPERATURE], max_hz=2)
        for i in range(30):
            world.live.update([world.batch(TEMPERATURE, [float(i)], at_ns=T0 + i)])
            await asyncio.sleep(0.005)
        for feed in (quick, calm):
            while (await receive(feed))["v"] != [29.0]:
                pass


async def test_the_last_change_is_never_forgotten(world: World) -> None:
    """A change that comes while its client is not due is sent once it is."""
    async with served(world) as url, open_feed(url) as feed:
        await subscribe(feed, [TEMPERATURE, COUNTER], max_hz=4)
        await receive(feed)
        world.live.update([world.batch(TEMPERATURE, [1.0])])
        assert (await receive(feed))["v"] == [1.0]
        world.live.update([world.batch(COUNTER, [7])])
        assert (await receive(feed))["v"] == [7]


async def test_alarms_are_pushed_to_those_who_asked(world: World) -> None:
    step = AlarmTransition(RULE, AlarmAction.CLEARED, AlarmState.UNACK_CLEARED, T0 + SECOND_NS, 70.0)
    async with served(world) as url, open_feed(url) as feed, open_feed(url) as deaf:
        await subscribe(feed, [], alarms=True)
        await receive(feed)
        await subscribe(deaf, [])
        await receive(deaf)
        world.alarms.push(step)
        shown = await receive(feed)
        assert shown["type"] == "alarms" and shown["reload"] is False
        (alarm,) = shown["transitions"]
        assert alarm["rule"] == RULE and alarm["action"] == "cleared" and alarm["message"] == {"en": "Oil too hot"}
        await subscribe(deaf, [ORDER])  # whose answer is the next message: no alarm came before it


async def test_a_wrong_message_is_answered_and_the_feed_goes_on(world: World) -> None:
    async with served(world, live_points_max=2) as url, open_feed(url) as feed:
        for message, says in (
            ("{", "not JSON"),
            ('{"subscribe": "all"}', "list"),
            ('{"subscribe": [], "max_hz": 1000}', "less than or equal to 20"),
            ('{"subscribe": [], "typo": 1}', "typo"),
            ('{"subscribe": ["a", "b", "c"]}', "2 points"),
            ("[]", "must be"),
        ):
            await feed.send(message)
            answer = await receive(feed)
            assert answer["type"] == "error" and says in answer["error"]["message"], answer
        assert (await subscribe(feed, [ORDER]))["paths"] == [ORDER]


@pytest.mark.clause("62443-3-3 SR 2.1")
async def test_who_may_listen(world: World) -> None:
    async with served(world, live_sign_in_s=0.2) as url:
        async with open_feed(url, None) as feed:
            await feed.send('{"token": "token-viewer"}')
            assert (await subscribe(feed, [ORDER]))["paths"] == [ORDER]
        for first in ('{"token": "wrong"}', '{"subscribe": []}', "{", ""):
            async with open_feed(url, None) as feed:
                await feed.send(first)
                assert await closed(feed) == 4401
        async with open_feed(url, None) as silent:
            assert await closed(silent) == 4401
        async with open_feed(url, {"Cookie": "headrace_session=nonsense"}) as feed:
            assert await closed(feed) == 4401
        for origin, host in (("http://evil.example", None), (None, "evil.example")):
            headers = VIEWER | ({"Origin": origin} if origin else {})
            with pytest.raises(InvalidStatus) as refused:
                if host:
                    port = urlsplit(url).port
                    async with connect(f"ws://{host}:{port}/api/v1/live", host="127.0.0.1", port=port):
                        pass
                else:
                    async with open_feed(url, headers):
                        pass
            assert refused.value.response.status_code == 403


@pytest.mark.clause("62443-3-3 SR 3.8 RE 1", "62443-3-3 SR 2.6")
async def test_a_session_that_ends_closes_its_feed(world: World) -> None:
    async with served(world, live_session_check_s=0.05) as url, httpx.AsyncClient(base_url=url) as client:
        for user, code in (("viewer", 4401), ("newcomer", 4403)):
            await client.post("/api/v1/session", json={"user": user, "password": f"password-{user}"})
            cookie = client.cookies["headrace_session"]
            async with open_feed(url, {"Cookie": f"headrace_session={cookie}"}) as feed:
                if user == "viewer":
                    await subscribe(feed, [ORDER])
                    await client.delete("/api/v1/session", headers={"X-Headrace": "1"})
                assert await closed(feed) == code


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.1 RE 1")
async def test_too_many_clients_are_told_so(world: World) -> None:
    async with served(world, live_clients_max=1) as url, open_feed(url) as feed:
        await subscribe(feed, [])
        async with open_feed(url) as second:
            assert await closed(second) == 4429


def raw_client(url: str, message: str) -> socket.socket:
    """A client that shakes hands, subscribes, and never reads again; its receive buffer is small."""
    port = urlsplit(url).port
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.connect(("127.0.0.1", port))
    peer.sendall(
        f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Authorization: Bearer token-viewer\r\n\r\n".encode()
    )
    assert peer.recv(12) == b"HTTP/1.1 101"
    payload = message.encode()
    assert 126 <= len(payload) < 65_536
    masked = b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload
    peer.sendall(masked)
    return peer


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_client_that_does_not_read_costs_nobody_anything(world: World) -> None:
    """It is sent one frame at a time, what it misses is counted, others are served, and it is cut off in the end."""
    world = await World.make(more_points=2_000)
    paths = [path for path in world.registry.plant.points if "/press-10/" in path]
    handles = [world.handles[path] for path in paths]

    def change(i: int) -> None:
        from headrace.model.batch import Batch, ValueKind

        world.live.update([Batch.of(ValueKind.FLOAT64, handles, T0 + i, [i + n / 7 for n in range(len(paths))])])

    async with (
        served(world, live_slow_close_s=1.0, send_timeout_s=0.5, send_buffer_bytes=8_192) as url,
        open_feed(url) as healthy,
    ):
        slow_paths = [f"{LINE}/press-10/p{n:05d}" for n in range(900)]
        peer = await asyncio.to_thread(raw_client, url, json.dumps({"subscribe": slow_paths, "max_hz": 20}))
        try:
            await subscribe(healthy, paths[:10])
            taken, i = 0, 0
            while world.feed.coalesced < 5:
                change(i := i + 1)
                taken += (await receive(healthy))["type"] == "changes"
            assert taken >= 5, "the healthy client was served meanwhile"
            await until(lambda: world.feed.slow_closed == 1)
            await until(lambda: world.feed.clients == 1)
            change(i + 1)
            while (await receive(healthy))["v"][0] != i + 1:
                pass
            await until(lambda: not held_for(peer))
        finally:
            peer.close()


def held_for(peer: socket.socket) -> bool:
    """Whether the server still holds its end, although the peer keeps its own open and full."""
    return any(one.raddr == peer.getsockname() for one in psutil.Process().net_connections("tcp"))
