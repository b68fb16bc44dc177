"""A TCP relay that stands between a driver and its server and does what networks do.

    driver ──► Relay(127.0.0.1:port) ──faults──► server

| fault     | what the driver sees                                                        |
|-----------|-----------------------------------------------------------------------------|
| cut()     | the connection resets, and nobody answers on the port until mend()          |
| refuse    | new connections are closed at once                                          |
| black_hole| bytes vanish both ways, connections stay open (half-open socket, cable pull)|
| delay_s   | answers come late                                                           |
| dribble   | answers come one byte at a time                                             |
| garble    | a function that changes the bytes of answers                                |
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Relay:
    """Use as `async with Relay(host, port) as relay`; connect the driver to 127.0.0.1:`relay.port`."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self.accepted = 0
        self.refuse = False
        self.black_hole = False
        self.dribble = False
        self.delay_s = 0.0
        self.garble: Callable[[bytes], bytes] | None = None
        self.idle = asyncio.Event()
        """Set while no connection is open."""
        self.idle.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Reset every connection and stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def mend(self) -> None:
        """Listen again, on the same port; other faults stay as they are set."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def clear(self) -> None:
        """No more faults; a cut is mended with `mend`."""
        self.refuse = self.black_hole = self.dribble = False
        self.delay_s, self.garble = 0.0, None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.idle.clear()
        self._writers.add(writer)
        peer: asyncio.StreamWriter | None = None
        try:
            if self.refuse:
                return
            peer_reader, peer = await asyncio.open_connection(*self.target)
            self._writers.add(peer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, peer, answers=False))
                group.create_task(self._forward(peer_reader, writer, answers=True))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, peer):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort() if self._server is None else end.close()
            self._tasks.discard(task)
            if not self._tasks:
                self.idle.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65_536):
            if self.black_hole:
                continue
            if answers:
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.garble is not None:
                    data = self.garble(data)
                if self.dribble:
                    for at in range(len(data)):
                        writer.write(data[at : at + 1])
                        await writer.drain()
                        await asyncio.sleep(0)  # the reader runs before the next byte; no clock, so no flake
                    continue
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
