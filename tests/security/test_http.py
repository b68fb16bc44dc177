"""Raw bytes against the real server: smuggling, endless heads, slow peers, other origins, paths out of the folder."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from tests.api.fakes import World
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from headrace.api import ApiSettings
from headrace.api.server import Address, serving

HOST = b"Host: localhost\r\n"
TOKEN = b"Authorization: Bearer token-owner\r\n"


@asynccontextmanager
async def served(world: World, **settings: Any) -> AsyncIterator[Address]:
    async with serving(world.services, ApiSettings(port=0, **settings)) as address:
        yield address


async def said(address: Address, *pieces: bytes, end: bool = False) -> bytes:
    """All that the server answers until it closes, which it has to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    heard = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if end:
            writer.write_eof()
        async with asyncio.timeout(20):
            heard = await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return heard


def answers(heard: bytes) -> list[int]:
    return [int(part[:3]) for part in heard.split(b"HTTP/1.1 ")[1:]]


# --- request smuggling ----------------------------------------------------------------------------------------------

INNER = b"GET /api/v1/users HTTP/1.1\r\n" + HOST + TOKEN + b"\r\n"
_POST = b"POST /api/v1/session HTTP/1.1\r\n" + HOST


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 0\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length: 4, 4\r\n",
        b"Content-Length: 18446744073709551620\r\n",
        b"Content-Length : 4\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b" Transfer-Encoding: chunked\r\n",
        b"X: a\nTransfer-Encoding: chunked\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n",
        b"X: a\0b\r\n",
    ],
)
async def test_a_body_of_doubtful_length_ends_the_connection(world: World, head: bytes) -> None:
    """RFC 9112 §6.1, §6.3: what two parsers may read differently is refused, and nothing after it is a request."""
    async with served(world) as address:
        heard = await said(address, _POST + head + b"Connection: close\r\n\r\n" + b"0\r\n\r\n" + INNER, end=True)
        assert answers(heard) in ([400], []), heard


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "chunk",
    [b"-1\r\n", b"0x3\r\nabc\r\n", b"ffffffffffffffffff\r\n", b"3 \r\nabc\r\n", b"3\nabc\n", b"3\r\nabcX\r\n", b"\r\n"],
)
async def test_a_chunk_that_is_none_ends_the_connection(world: World, chunk: bytes) -> None:
    async with served(world) as address:
        request = b"POST /api/v1/declarations/plan HTTP/1.1\r\n" + HOST + TOKEN + b"Transfer-Encoding: chunked\r\n\r\n"
        heard = await said(address, request + chunk + b"0\r\n\r\n" + INNER, end=True)
        assert 200 not in answers(heard), heard


# --- what has no end ----------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.2", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"a" * 16_384),
        (b"GET / HTTP/1.1\r\n" + HOST, b"X: " + b"a" * 1_000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: ", b"a" * 16_384),
        (b"GET / HTTP/1.1\r\n" + HOST, b"a" * 16_384),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: ", b"a=b; " * 4_000),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 16_384),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: " + b"a" * 1_000 + b"\r\n"),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"a" * 16_384),
        (b"\r\n", b"\r\n" * 8_192),
    ],
)
async def test_a_head_without_end_is_cut_off(world: World, start: bytes, more: bytes) -> None:
    """llhttp itself has no limit: the memory of the process has to stay."""
    process = psutil.Process()
    async with served(world) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
        before = process.memory_info().rss
        writer.write(start)
        sent = 0
        try:
            while sent < 64 << 20:
                writer.write(more)
                await writer.drain()
                sent += len(more)
        except ConnectionError:
            pass
        writer.close()
        assert sent < 8 << 20, "the server closed"
        assert process.memory_info().rss - before < 32 << 20
        reader.feed_eof()


@pytest.mark.clause("62443-3-3 SR 7.1", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: local",
        b"GET /api/v1/health HTTP/1.1\r\n" + HOST + b"\r\nGET /api/v1/health HTTP/1.1\r\nHo",
    ],
)
async def test_a_head_that_drips_is_not_waited_for(world: World, start: bytes) -> None:
    async with served(world, head_timeout_s=0.3) as address:
        await said(address, start)  # ends, by the server alone


@pytest.mark.clause("62443-3-3 SR 7.1", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize("path", [b"declarations/apply", b"declarations/plan", b"session", b"devices/import"])
async def test_a_body_that_drips_is_not_waited_for(world: World, path: bytes) -> None:
    async with served(world, body_silence_s=0.3) as address:
        head = b"POST /api/v1/" + path + b" HTTP/1.1\r\n" + HOST + TOKEN + b"Connection: close\r\n"
        heard = await said(address, head + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        assert answers(heard) == [408] and b"too slowly" in heard


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_steady_slow_body_is_taken(world: World) -> None:
    async with served(world, body_silence_s=5, body_bytes_per_s=1) as address:
        body = json.dumps({"user": "viewer", "password": "password-viewer"}).encode()
        head = _POST + b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        heard = await said(address, head, *(body[at : at + 1] for at in range(len(body))))
        assert answers(heard) == [200]


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.2")
async def test_many_silent_connections_leave_when_their_time_is_up(world: World) -> None:
    async with served(world, head_timeout_s=1.0, connections_max=50) as address:
        held = [socket.create_connection(("127.0.0.1", address.port)) for _ in range(60)]
        async with asyncio.timeout(30):
            while True:
                async with httpx.AsyncClient(base_url=address.url) as client:
                    if (await client.get("/api/v1/health")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        for one in held:
            one.close()


# --- names, origins, headers ----------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "host",
    [b"", b"Host: evil.example\r\n", b"Host: localhost@evil.example\r\n", b"Host: evil.example#localhost\r\n",
     b"Host: localhost.evil.example\r\n", b"Host: localhost\r\nHost: evil.example\r\n", b"Host: a b\r\n",
     b"Host: evil.example\r\nHost: localhost\r\n", b"Host: localhost/evil.example\r\n", b"Host: [::1\r\n"],
)  # fmt: skip
async def test_a_name_that_is_not_ours_is_not_served(world: World, host: bytes) -> None:
    async with served(world) as address:
        heard = await said(address, b"GET /api/v1/health HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n")
        assert answers(heard) in ([421], [400])
        assert b"evil" not in heard


@pytest.mark.clause("62443-3-3 SR 3.5")
@pytest.mark.parametrize(
    "target", [b"http://evil.example/api/v1/health", b"//evil.example/..", b"*", b"evil.example:80"]
)
async def test_a_target_that_names_a_server_leads_nowhere(world: World, target: bytes) -> None:
    async with served(world) as address:
        heard = await said(address, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert not any(300 <= status < 400 for status in answers(heard)) and b"ocation:" not in heard


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
async def test_no_answer_leads_elsewhere(world: World) -> None:
    """Nothing redirects: neither slashes, nor parameters that other programs use for it."""
    async with served(world) as address, httpx.AsyncClient(base_url=address.url) as client:
        for path in (
            "//evil.example",
            "/api/v1/assets/",
            "/%2f%2fevil.example",
            "/login?next=//evil.example",
            "/\\evil",
        ):
            answer = await client.get(path, headers={"Accept": "text/html"})
            assert not answer.is_redirect and "location" not in answer.headers


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "odd", ["a\r\nSet-Cookie: x=1", "a\nX: 1", "a\rX: 1", "a\u2028X", "%0d%0aSet-Cookie:%20x=1", "ü\0"]
)
async def test_nothing_that_is_sent_becomes_a_header(world: World, odd: str) -> None:
    async with served(world) as address:
        headers = {"Authorization": "Bearer token-administrator"}
        async with httpx.AsyncClient(base_url=address.url, headers=headers) as client:
            for path, query in (
                ("/api/v1/points", {"search": odd}),
                (f"/{quote(odd)}", {}),
                ("/api/v1/history/export", {"path": odd, "format": "csv"}),
                ("/api/v1/devices", {"search": odd}),
                ("/api/v1/history/raw", {"path": odd, "cursor": odd}),
            ):
                answer = await client.get(path, params=query)
                assert "set-cookie" not in answer.headers and "x" not in answer.headers
                assert answer.status_code < 500


@pytest.mark.clause("62443-3-3 SR 2.4", "62443-3-3 SR 3.8", "GB/T 22239-2019 8.1.4.2")
async def test_another_page_can_send_nothing_that_counts(world: World) -> None:
    """What a browser sends from elsewhere without asking first: forms, text that is JSON, fetches with its cookie."""
    async with served(world) as address, httpx.AsyncClient(base_url=address.url) as client:
        login = {"user": "administrator", "password": "password-administrator"}
        assert (await client.post("/api/v1/session", json=login)).status_code == 200
        body = {"name": "eve", "role": "administrator"}
        evil = {"Origin": "https://evil.example"}
        for options in (
            {"json": body},
            {"json": body, "headers": evil},
            {"json": body, "headers": {**evil, "X-Headrace": "1"}},
            {"json": body, "headers": {"Origin": "null", "X-Headrace": "1"}},
            {"json": body, "headers": {"Origin": "", "X-Headrace": "2"}},
            {"data": body, "headers": evil},
            {"content": json.dumps(body), "headers": {**evil, "Content-Type": "text/plain"}},
            {"content": json.dumps(body), "headers": {"Content-Type": "text/plain"}},
            {"files": {"file": b"x"}, "headers": evil},
        ):
            answer = await client.post("/api/v1/users", **options)  # type: ignore[arg-type]
            assert answer.status_code in (403, 415, 422), (options, answer.text)
        text = {"Content-Type": "text/plain", "X-Headrace": "1"}
        answer = await client.post("/api/v1/users", content=json.dumps(body), headers=text)
        assert answer.status_code in (415, 422), "JSON is what says that it is JSON"
        for path in ("/api/v1/grafana/prometheus/api/v1/query", "/api/v1/session"):
            assert (await client.post(path, data={"query": "1"}, headers=evil)).status_code == 403


@pytest.mark.clause("62443-3-3 SR 3.8", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://localhost.evil.example"]
)
async def test_another_page_opens_no_live_feed(world: World, origin: str) -> None:
    async with served(world) as address, httpx.AsyncClient(base_url=address.url) as client:
        await client.post("/api/v1/session", json={"user": "viewer", "password": "password-viewer"})
        cookie = f"headrace_session={client.cookies['headrace_session']}"
        url = address.url.replace("http", "ws") + "/api/v1/live"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, origin=origin, additional_headers={"Cookie": cookie}):  # type: ignore[arg-type]
                pass
        assert refused.value.response.status_code == 403


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
async def test_other_origins_are_given_nothing_to_read(world: World) -> None:
    async with served(world) as address, httpx.AsyncClient(base_url=address.url) as client:
        ask = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        for path in ("/api/v1/health", "/api/v1/assets", "/api/v1/session", "/metrics", "/", "/api/v1/nothing"):
            for method in ("OPTIONS", "GET"):
                answer = await client.request(method, path, headers=ask)
                assert not [name for name in answer.headers if name.startswith("access-control-")]
                assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.clause("62443-3-3 SR 3.8", "62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
async def test_every_answer_is_framed_by_nobody_and_what_it_says_it_is(world: World) -> None:
    async with served(world) as address, httpx.AsyncClient(base_url=address.url) as client:
        for headers in ({}, {"Authorization": "Bearer token-viewer"}):
            for path in ("/", "/api/v1/assets", "/metrics", "/api/v1/openapi.json", "/api/v1/nothing", "/x.js", "/%00"):
                answer = await client.get(path, headers=headers)
                assert answer.headers["x-frame-options"] == "DENY"
                assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["content-type"]
                policy = answer.headers["content-security-policy"]
                assert "frame-ancestors 'none'" in policy and "unsafe-eval" not in policy
                assert "script-src 'self';" in policy and "object-src" not in policy, "default-src 'none' covers it"


@pytest.mark.clause("62443-3-3 SR 3.8", "GB/T 22239-2019 8.1.4.1")
async def test_the_cookie_is_for_this_server_and_no_script(world: World) -> None:
    login = {"user": "viewer", "password": "password-viewer"}
    for settings, secure in (({}, False), ({"behind_tls": True}, True)):
        async with served(world, **settings) as address, httpx.AsyncClient(base_url=address.url) as client:
            cookie = (await client.post("/api/v1/session", json=login)).headers["set-cookie"].lower()
            assert (
                "httponly" in cookie and "samesite=strict" in cookie and "domain=" not in cookie and "path=/" in cookie
            )
            assert ("secure" in cookie) == secure


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 2.1", "62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt", "/..\\secret.txt",
        "/..%5csecret.txt", "/assets/../../secret.txt", "/assets/..%2f..%2fsecret.txt", "/%252e%252e/secret.txt",
        "/....//secret.txt", "/..;/secret.txt", "//secret.txt", "/./../secret.txt", "/link.txt", "/up/secret.txt",
        "/%00/../secret.txt", "/index.html%00.txt", "/..%c0%afsecret.txt", "/%uff0e%uff0e/secret.txt", "/assets/%2e%2e",
        "/C:/secret.txt", "/~/secret.txt", "/proc/self/environ", "//proc/self/environ", "/%2fproc%2fself%2fenviron",
    ],
)  # fmt: skip
async def test_no_path_leaves_the_folder_of_the_console(world: World, tmp_path: Path, path: str) -> None:
    folder = tmp_path / "console"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Headrace</title>")
    (tmp_path / "secret.txt").write_text("canary-of-a-file")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    async with served(world, console_dir=folder) as address:
        for accept in (b"*/*", b"text/html"):
            head = (
                b"GET "
                + path.encode()
                + b" HTTP/1.1\r\n"
                + HOST
                + b"Accept: "
                + accept
                + b"\r\nConnection: close\r\n\r\n"
            )
            heard = await said(address, head)
            assert b"canary" not in heard and b"PATH=" not in heard
            assert answers(heard)[0] in (200, 400, 404), heard
