"""A Mosquitto of one test that can be killed and started again on its port, and what its own subscriber saw."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.connect.mqtt.mosquitto import PROGRAM
from tests.connect.outlets.ports import free_port
from tests.services import require_service

from headrace.model.batch import Value


class Broker:
    """`messages` are (topic, payload, retained) as `mosquitto_sub` printed them."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.messages: list[tuple[str, bytes, bool]] = []
        self._folder = folder
        self._server: asyncio.subprocess.Process | None = None
        self._listeners: list[asyncio.subprocess.Process] = []
        self._reading: list[asyncio.Task[None]] = []

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"host": "127.0.0.1", "port": self.port, "root": "uns", "timeout": "2s"}

    async def start(self) -> None:
        require_service("mosquitto", PROGRAM is not None, "apt-get install mosquitto mosquitto-clients")
        assert PROGRAM is not None
        config = self._folder / "mosquitto.conf"
        lines = [f"user {getpass.getuser()}", f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
        await asyncio.to_thread(config.write_text, "\n".join(lines) + "\n")
        self._server = await asyncio.create_subprocess_exec(
            PROGRAM, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.01)
        await self.listen()

    async def stop(self) -> None:
        for listener in self._listeners:
            await _kill(listener)
        if self._server is not None:
            await _kill(self._server)
        await asyncio.gather(*self._reading, return_exceptions=True)
        self._listeners, self._reading = [], []

    async def hang(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    async def values(self) -> Mapping[str, Sequence[Value]]:
        seen: dict[str, list[Value]] = {}
        for topic, payload, _ in self.messages:
            if topic.startswith("uns/") and "_headrace" not in topic and payload:
                value = json.loads(payload)["value"]
                path = topic.removeprefix("uns/")
                seen.setdefault(path, []).append(int(value) if path.endswith("strokes") else value)
        return seen

    async def newest(self, topic: str) -> Any:
        return next((json.loads(payload) for name, payload, _ in reversed(self.messages) if name == topic), None)

    async def listen(self) -> None:
        program = shutil.which("mosquitto_sub")
        require_service("mosquitto_sub", program is not None, "apt-get install mosquitto-clients")
        assert program is not None
        listener = await asyncio.create_subprocess_exec(
            program, "-p", str(self.port), "-t", "#", "-F", "%t\t%r\t%x", stdout=asyncio.subprocess.PIPE
        )
        self._listeners.append(listener)
        self._reading.append(asyncio.create_task(self._read(listener)))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            topic, retained, payload = line.decode().rstrip("\n").split("\t")
            self.messages.append((topic, bytes.fromhex(payload), retained == "1"))


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[Broker]:
    made = Broker(folder)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
