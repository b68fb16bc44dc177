"""`headrace edge` in a process of its own, found through the file that it keeps about itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.platform_process import environment, wait_for


class EdgeProcess:
    def __init__(self, home: Path, hub: str, *options: str) -> None:
        self.home, self.hub, self.options = home, hub, options
        self.log = home.with_name(home.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "headrace", "edge", "--hub", self.hub, "--home", str(self.home)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options, *options], stdout=subprocess.DEVNULL, stderr=log, env=environment()
            )

    def status(self) -> dict[str, Any]:
        """What this process wrote about itself last; nothing before it did."""
        try:
            found: dict[str, Any] = json.loads((self.home / "run" / "edge.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if self.process is not None and found["pid"] == self.process.pid else {}

    def wait(self, key: str, wanted: Any) -> None:
        wait_for(lambda: self.status().get(key) == wanted, 40, f"the edge to have {key} = {wanted}", self.why)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def why(self) -> str:
        assert self.process is not None
        return f"{self.status()}; exit status {self.process.poll()}\n{self.log.read_text()[-3000:]}"


@contextmanager
def edge_process(home: Path, hub: str, *options: str) -> Iterator[EdgeProcess]:
    """Not started yet; killed at the end if the test left it running."""
    edge = EdgeProcess(home, hub, *options)
    try:
        yield edge
    finally:
        if edge.process is not None and edge.process.poll() is None:
            edge.process.kill()
            edge.process.wait()
