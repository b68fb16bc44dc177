"""Starts the node-opcua peers of this folder and talks to them in JSON lines.

async with peer("opcua_server.js", "--secure", state=tmp_path) as server:
    await server.order(set="Double", value=2.5)
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.services import require_service

HERE = Path(__file__).parent
#: node-opcua needs seconds to load, and more to make its first certificate, on a busy machine.
PATIENCE_S = 90.0


def require_node_opcua() -> None:
    found = shutil.which("node") is not None and (HERE / "node_modules" / "node-opcua").is_dir()
    require_service("node-opcua", found, "run tools/setup.sh services")


class Peer:
    """`ready` is the first line that it printed; `changes` are the lines that answer no order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ready: dict[str, Any] = {}
        self.changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    async def next_line(self) -> dict[str, Any]:
        """The next line in JSON; its library writes other things, too."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := await self._process.stdout.readline():
                if line.startswith(b"{"):
                    said: dict[str, Any] = json.loads(line)
                    return said
        raise AssertionError("the peer ended; its errors are above")

    async def order(self, **order: Any) -> dict[str, Any]:
        """Raises: AssertionError where the peer answers with an error."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        while "change" in (answer := await self.next_line()):
            self.changes.put_nowait(answer)
        assert "error" not in answer, answer
        return answer

    async def next_change(self) -> dict[str, Any]:
        return self.changes.get_nowait() if not self.changes.empty() else await self.next_line()


@asynccontextmanager
async def peer(script: str, *arguments: str, state: Path) -> AsyncIterator[Peer]:
    """A running peer that has said that it is ready. It is killed at the end, whatever it does."""
    require_node_opcua()
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node, str(HERE / script), "--state", str(state), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    try:
        found = Peer(process)
        found.ready = await found.next_line()
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
