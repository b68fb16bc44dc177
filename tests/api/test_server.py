"""The server inside somebody else's task group: ports, certificates, signals, and stopping."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import pytest
from tests.api.fakes import TEMPERATURE, World
from websockets.asyncio.client import connect

from headrace.api import ApiSettings
from headrace.api.server import Address, serving
from headrace.model.errors import ConfigError, Unavailable


async def test_it_serves_until_the_block_ends_and_leaves_signals_alone(world: World) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving(world.services, ApiSettings(port=0)) as address:
        async with httpx.AsyncClient(base_url=address.url) as client:
            answer = await client.get("/api/v1/health")
        assert answer.json() == {"status": "ok"} and "server" not in answer.headers
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", address.port)


async def test_a_port_in_use_is_named_with_what_to_do(world: World) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} is taken .* choose another"):
            async with serving(world.services, ApiSettings(port=port)):
                pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
async def test_an_address_that_is_not_ours_is_a_config_error(world: World, host: str) -> None:
    with pytest.raises(ConfigError, match=host):
        async with serving(world.services, ApiSettings(host=host, port=0)):
            pass


async def test_settings_and_context_have_to_agree_on_tls(world: World) -> None:
    with pytest.raises(ConfigError, match="agree"):
        async with serving(world.services, ApiSettings(port=0, tls=True)):
            pass


async def test_stopping_does_not_wait_for_live_clients(world: World) -> None:
    async with asyncio.timeout(30):
        async with serving(world.services, ApiSettings(port=0, shutdown_timeout_s=5)) as address:
            url = address.url.replace("http", "ws") + "/api/v1/live"
            feed = await connect(url, additional_headers={"Authorization": "Bearer token-viewer"})
            await feed.send('{"subscribe": []}')
            await feed.recv()
        await feed.wait_closed()
    assert feed.close_code == 1012 and world.feed.clients == 0


async def test_an_error_of_the_block_comes_out_as_it_is(world: World) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with serving(world.services, ApiSettings(port=0)):
            raise LookupError("mine")


async def test_a_feed_that_fails_ends_the_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.alarms, "transitions", broken)
    with pytest.raises(ExceptionGroup) as failed:
        async with serving(world.services, ApiSettings(port=0)):
            await asyncio.Event().wait()
    assert failed.value.subgroup(ZeroDivisionError) is not None


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_client_that_does_not_take_its_answer_is_dropped(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    rows = 20_000
    await world.store.append([world.batch(TEMPERATURE, [0.1] * rows, step_ns=1_000)])
    settings = ApiSettings(port=0, send_timeout_s=0.5, send_buffer_bytes=8_192)
    query = f"/api/v1/history/export?format=csv&start=0&path={TEMPERATURE}"
    viewer = {"Authorization": "Bearer token-viewer"}
    async with asyncio.timeout(30), serving(world.services, settings) as address:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.connect(("127.0.0.1", address.port))
        request = f"GET {query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-viewer\r\n\r\n"
        peer.sendall(request.encode())
        async with httpx.AsyncClient(base_url=address.url, headers=viewer) as client:
            whole = await client.get(query)
            assert whole.text.count("\r\n") == rows + 1, "others are served"
        while "without completing response" not in caplog.text:
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(_drain, peer) < len(whole.content)
        peer.close()


def _drain(peer: socket.socket) -> int:
    """Bytes that were still on their way."""
    taken = 0
    try:
        while part := peer.recv(65_536):
            taken += len(part)
    except ConnectionResetError:
        pass
    return taken


def test_the_address_a_browser_opens() -> None:
    assert Address("0.0.0.0", 80, False).url == "http://127.0.0.1:80"
    assert Address("::1", 80, True).url == "https://[::1]:80"
    assert Address("plant.local", 8470, False).url == "http://plant.local:8470"
