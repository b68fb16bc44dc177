"""What an app asks of hosts: a real server answers, and only the one that was granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from headrace.hosting.http import ANSWER_BYTES_MAX, AppHttp, covers
from headrace.model.errors import DataError, Garbled, LimitReached, Refused, Unreachable
from headrace.sdk.apps import Answer
from headrace.sdk.reach import Reach, Resolve


@asynccontextmanager
async def served(answer: bytes, *, hang: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port, and what was asked there."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if hang:
            await asyncio.Event().wait()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


def here(port: int) -> Resolve:
    async def resolve(host: str, asked: int) -> Sequence[tuple[int, tuple[str, int]]]:
        del host
        return [(2, ("127.0.0.1", asked or port))]

    return resolve


async def ask(
    port: int, url: str = "/x", *, hosts: Sequence[str] = (), reach: Reach | None = None, **more: object
) -> Answer:
    http = AppHttp(hosts or [f"api.example.com:{port}"], reach or Reach(resolve=here(port)))
    asked = {"headers": {}, "body": b"", "timeout_s": 5.0, **more}
    try:
        return await http.request("GET", f"http://api.example.com:{port}{url}", **asked)  # type: ignore[arg-type]
    finally:
        await http.close()


async def test_it_is_asked_and_answers() -> None:
    async with served(b"HTTP/1.1 302 Found\r\nlocation: http://evil.example/\r\ncontent-length: 2\r\n\r\nhi") as (
        port,
        heard,
    ):
        found = await ask(port, headers={"X-Key": "abc"})
        assert (found.status, found.body, found.headers["location"]) == (302, b"hi", "http://evil.example/")
        assert len(heard) == 1 and b"host: api.example.com" in heard[0].lower() and b"x-key: abc" in heard[0].lower()


async def test_what_the_platform_may_not_reach_an_app_may_not_either() -> None:
    async with served(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (port, heard):
        with pytest.raises(Refused):
            await ask(port, reach=Reach([], resolve=here(port)))
        with pytest.raises(Refused):
            await ask(port, reach=Reach(own_ports={port}, resolve=here(port)))
        with pytest.raises(Refused, match="manifest"):
            await ask(port, hosts=["other.example:443"])
        assert not heard


async def test_what_is_too_long_slow_or_no_answer() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n"
    async with served(head + bytes(ANSWER_BYTES_MAX + 1)) as (port, _):
        with pytest.raises(LimitReached):
            await ask(port)
    async with served(b"no http at all\r\n\r\n") as (port, _):
        with pytest.raises((Garbled, Unreachable)):
            await ask(port)
    async with served(b"", hang=True) as (port, _):
        with pytest.raises(Unreachable, match=r"within 0\.2 s"):
            await ask(port, timeout_s=0.2)
    with pytest.raises(Unreachable):
        await ask(port)


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {"Host": "x"}}, {"headers": {"a b": "x"}}, {"headers": {"a": "x\r\ny: z"}},
        {"headers": {"a": "丙"}},
        {"headers": {"content-length": "0"}}, {"timeout_s": 0.0}, {"timeout_s": 1e9},
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(DataError):
        await ask(1, **more)


def test_which_hosts_are_meant() -> None:
    assert covers("api.acme.com:443", "api.acme.com:443") and covers("*.acme.com:443", "eu.api.acme.com:443")
    for granted, where in (
        ("api.acme.com:443", "api.acme.com:80"), ("*.acme.com:443", "acme.com:443"),
        ("*.acme.com:443", "evilacme.com:443"),
        ("*.acme.com:443", "acme.com.evil:443"), ("*.acme.com:443", "a.acme.com:444"),
    ):  # fmt: skip
        assert not covers(granted, where)
