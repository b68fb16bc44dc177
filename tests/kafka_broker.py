"""A real Apache Kafka of one node (KRaft) for one test; `tools/setup.sh services` fetches its jars."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.connect.outlets.ports import free_port
from tests.services import require_service

LIB = Path(__file__).parents[1] / ".cache" / "kafka" / "lib"
HOW = "tools/setup.sh services fetches it where Maven and Java 17 are installed"
JAVA = ("-Xmx256m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{LIB}/*")

CONFIG = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Kafka:
    def __init__(self, folder: Path) -> None:
        self.port, self._controller = free_port(), free_port()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def format(self) -> None:
        config = CONFIG.format(port=self.port, controller=self._controller, folder=self._folder)
        await asyncio.to_thread((self._folder / "server.properties").write_text, config)
        await (await self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c")).wait()

    async def start(self) -> None:
        self._process = await self._java("kafka.Kafka")
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            except OSError:
                assert self._process.returncode is None, (self._folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def hang(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    async def _java(self, *arguments: str) -> asyncio.subprocess.Process:
        with (self._folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                "java", *JAVA, *arguments, str(self._folder / "server.properties"), stdout=log, stderr=log
            )


@asynccontextmanager
async def kafka(folder: Path) -> AsyncIterator[Kafka]:
    there = (LIB.parent / ".stamp").exists() and shutil.which("java") is not None
    require_service("Apache Kafka", there, HOW)
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    made = Kafka(folder)
    await made.format()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
