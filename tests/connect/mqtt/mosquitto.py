"""Mosquitto, the independent server: one of its own for a test, on a port that was free a moment ago."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.services import require_service

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


@dataclass
class Mosquitto:
    port: int
    process: asyncio.subprocess.Process

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def mosquitto(folder: Path, *lines: str) -> AsyncIterator[Mosquitto]:
    """`lines` go into its configuration."""
    require_service("mosquitto", PROGRAM is not None, "apt-get install mosquitto mosquitto-clients")
    assert PROGRAM is not None
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = folder / f"mosquitto-{port}.conf"
        given = lines or ("allow_anonymous true",)
        # As root it would become another user, who cannot read the test's files.
        config.write_text("\n".join([f"user {getpass.getuser()}", f"listener {port} 127.0.0.1", *given]) + "\n")
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        server = Mosquitto(port, process)
        try:
            if await _listens(port, process):
                yield server
                return
        finally:
            await server.stop()
    pytest.fail("mosquitto does not start")


async def _listens(port: int, process: asyncio.subprocess.Process) -> bool:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return True
    return False
