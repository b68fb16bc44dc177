"""A peer that is a program: started on loopback with its own folder, spoken to over HTTP, its CPU read from outside.

start: free port ─► program ─► answers? ─► commits as lines of text ─► finish: wait until it rests ─► ask ─► stop
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.history.peers.base import Absent, Peer

_START_S, _REST_MAX_S = 30.0, 90.0
_RESTS_BELOW = 0.03  # of a core, over …
_REST_S = 1.5


def free_port() -> int:
    """One that nobody listens on; these programs cannot be told to choose for themselves and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find(program: str, how: str) -> str:
    """Its path. Raises: Absent."""
    found = shutil.which(program)
    if found is None:
        raise Absent(f"no {program} here: {how}")
    return found


def rest(cpu_s: Callable[[], float]) -> None:
    """Until a program works no more in the background, so that all it owes for what it took is counted."""
    deadline_s, quiet = time.monotonic() + _REST_MAX_S, 0
    while quiet < 2 and time.monotonic() < deadline_s:
        before_s = cpu_s()
        time.sleep(_REST_S)
        quiet = quiet + 1 if cpu_s() - before_s < _RESTS_BELOW * _REST_S else 0


class Server(Peer):
    in_process = False
    ready = "/"

    def launch(self, directory: Path, command: Sequence[str], port: int) -> None:
        """Returns once `ready` answers. Raises: Absent where it does not."""
        self._directory = directory
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=directory)
        self._seen = psutil.Process(self._process.pid)
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        deadline_s = time.monotonic() + _START_S
        while True:
            try:
                self.request("GET", self.ready)
                return
            except (OSError, http.client.HTTPException):
                self._http.close()
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    tail = (directory / "log").read_text(errors="replace").strip().splitlines()[-1:]
                    self.stop()
                    raise Absent(f"{self.title} did not start: {' '.join(tail)[:200]}") from None
                time.sleep(0.05)

    def request(self, method: str, path: str, body: bytes | None = None, form: bool = False) -> bytes:
        """The answer's body. Raises: RuntimeError for a status of 300 and above."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        self._http.request(method, path, body, headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{self.title} answered {answer.status} to {path[:80]}: {text[:300]!r}")
        return text

    def cpu_s(self) -> float:
        """Of the program, children included; in steps of 10 ms."""
        times: Any = self._seen.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """The most that was resident at once."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) / 1024

    def finish(self) -> None:
        rest(self.cpu_s)

    def extra(self) -> Mapping[str, Any]:
        return {"rss_mb": self.memory_mb()}

    def stop(self) -> None:
        self._http.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
