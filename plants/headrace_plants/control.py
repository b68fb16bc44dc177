"""The door through which faults are injected into a running plant: a Unix socket that only its owner may open.

one JSON object a line in, one out:
{"command": "fault", "text": "press-2:leak,severity=0.5"}     {"command": "clear", "target": "press-2", "kind": "leak"}
{"command": "list"}                                           {"command": "status"}
─► {"ok": true, …} or {"ok": false, "error": "…"}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from headrace.model.errors import ConfigError, HeadraceError, Unavailable
from headrace_plants.faults import Fault, parse_fault
from headrace_plants.simulation import Simulation

LINE_MAX = 4096


def default_path() -> Path:
    """The socket of this user's plant."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or str(Path(tempfile.gettempdir()) / f"headrace-{os.getuid()}")
    return Path(folder) / "headrace-plant.sock"


class ControlServer:
    """Serves until `stop`. A socket left behind by a dead plant is replaced; a living one's is not."""

    def __init__(self, simulation: Simulation, path: Path) -> None:
        self.simulation, self.path = simulation, path
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Raises: ConfigError where the folder is somebody else's, Unavailable where another plant has the socket."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(f"{folder} belongs to another user; name another control socket")
        if self.path.exists():
            if not stat.S_ISSOCK(self.path.stat().st_mode):
                raise ConfigError(f"{self.path} is a file, not a control socket; name another one")
            if _answers(self.path):
                raise Unavailable(f"another plant is controlled through {self.path}")
            self.path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=LINE_MAX)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # gone, or a line beyond the limit
        finally:
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """The answer to one line; never raises."""
        try:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ConfigError("a command is a JSON object")
            return {"ok": True, **self._do(message)}
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return {"ok": False, "error": "this line is not JSON"}
        except HeadraceError as error:
            return {"ok": False, "error": str(error)}

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        plant = self.simulation
        command = message.get("command")
        if command == "fault":
            fault = parse_fault(str(message.get("text", "")))
            plant.inject(fault)
            return {"fault": describe(fault)}
        if command == "clear":
            kind = message.get("kind")
            return {"cleared": plant.clear(str(message.get("target", "")), None if kind is None else str(kind))}
        if command == "list":
            return {"faults": [describe(fault) for fault, _ in plant.active]}
        if command == "status":
            return {"t_s": round(plant.t_s, 1), "seed": plant.seed, "faults": len(plant.active)}
        raise ConfigError(f"'{command}' is not a command; use fault, clear, list or status")


def describe(fault: Fault) -> dict[str, Any]:
    return {"target": fault.target, "kind": fault.kind, "amount": fault.amount, "duration_s": fault.duration_s}


def request(message: dict[str, Any], path: Path | None = None, timeout_s: float = 5.0) -> dict[str, Any]:
    """Ask a running plant. Raises: Unavailable where none answers, ConfigError where it refuses."""
    where = path or default_path()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_s)
            client.connect(str(where))
            client.sendall(json.dumps(message).encode() + b"\n")
            answer = json.loads(client.makefile("rb").readline() or b"{}")
    except (OSError, json.JSONDecodeError) as error:
        raise Unavailable(
            f"no plant answers at {where}; start one with `headrace plant run`", detail=str(error)
        ) from None
    if not answer.get("ok"):
        raise ConfigError(str(answer.get("error", "the plant did not answer")))
    return dict(answer)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True
