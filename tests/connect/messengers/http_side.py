"""An HTTP server that judges each request as a service does, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    status: int
    body: bytes = b""
    headers: str = ""


class HttpSide:
    """Implements `Side`. `judge` answers, and adds to `taken` what it takes."""

    def __init__(self, settings: Mapping[str, Any], judge: Callable[[HttpSide, Asked], Said]) -> None:
        self._more, self._judge = settings, judge
        self.taken: list[str] = []
        self.asked: list[Asked] = []
        self.busy: Said = Said(503)
        self.no: Callable[[Asked], Said] = lambda asked: Said(400, asked.body + asked.path.encode())
        self._answer: Callable[[Asked], Said | bytes | None] = lambda asked: judge(self, asked)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.port = 0
        self.path = "/hook"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"url": f"http://127.0.0.1:{self.port}{self.path}", **self._more}

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def refuse(self) -> None:
        self._answer = self.no

    def be_busy(self) -> None:
        self._answer = lambda asked: self.busy

    def stall(self) -> None:
        self._answer = lambda asked: None

    def talk(self, nonsense: bytes) -> None:
        self._answer = lambda asked: nonsense

    def answer(self, said: Said) -> None:
        self._answer = lambda asked: said

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in head[1:-2])}
            method, path, _ = head[0].split(" ")
            assert method == "POST"
            asked = Asked(path, headers, await reader.readexactly(int(headers["content-length"])))
            self.asked.append(asked)
            said = self._answer(asked)
            if said is None:
                await asyncio.Event().wait()
            elif isinstance(said, bytes):
                writer.write(said)
            else:
                head_out = f"HTTP/1.1 {said.status} x\r\ncontent-length: {len(said.body)}\r\nconnection: close\r\n"
                writer.write(f"{head_out}{said.headers}\r\n".encode() + said.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


@asynccontextmanager
async def http_side(settings: Mapping[str, Any], judge: Callable[[HttpSide, Asked], Said]) -> AsyncIterator[HttpSide]:
    side = HttpSide(settings, judge)
    await side.start()
    try:
        yield side
    finally:
        await side.stop()
