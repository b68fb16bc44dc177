"""A real nats-server for one test run: its own folder, a free port, JetStream that syncs each write."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.services import require_service

ROOT = Path(__file__).parents[1]
HOW = "tools/setup.sh services builds it where Go 1.25 or newer is installed"

CONFIG = """
listen: "127.0.0.1:{port}"
ports_file_dir: "{folder}"
max_payload: 1MB
jetstream {{ store_dir: "{folder}/store", sync_interval: always }}
"""


def program() -> str | None:
    built = ROOT / ".cache" / "go-bin" / "nats-server"
    return str(built) if built.exists() else shutil.which("nats-server")


class Server:
    """`kill` is `kill -9`; `start` after it is the same server on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = -1
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        found = program()
        assert found is not None
        config = self.folder / "nats.conf"
        config.write_text(CONFIG.format(port=self.port, folder=self.folder))
        for stale in self.folder.glob("*.ports"):
            stale.unlink()
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(found, "-c", str(config), stdout=log, stderr=log)
        async with asyncio.timeout(60):
            while not (ports := [one.read_text() for one in self.folder.glob("*.ports")]) or not ports[0]:
                assert self._process.returncode is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.01)
        self.port = int(json.loads(ports[0])["nats"][0].rpartition(":")[2])

    async def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Server]:
    require_service("nats-server", program() is not None, HOW)
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    server = Server(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
