"""The platform as a user runs it: a process of its own, found through its run file, killed when a test says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.cli.client import Client, connect, running

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 60.0


def environment() -> dict[str, str]:
    """This tree first, whatever is installed."""
    paths = [str(ROOT / "src"), str(ROOT / "plants")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def headrace(*arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=timeout_s,
        check=False,
    )


class PlatformProcess:
    """`headrace serve` (or another role) on a home; its stderr is kept in `log`."""

    def __init__(self, home: Path, *options: str, role: str = "serve") -> None:
        self.home, self.options, self.role = home, options, role
        self.log = home.with_name(home.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Client:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headrace", self.role, "--home", str(self.home), "--port", "0", *self.options],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(),
            )
        wait_for(self._announced, START_WITHIN_S, "the platform to listen", self._why)
        return connect(self.home, None)

    def kill(self) -> None:
        """As a power cut would, as far as a process can tell."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """As Ctrl-C would; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def lines_about(self, text: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if text in line]

    def _announced(self) -> bool:
        assert self.process is not None
        document = running(self.home)
        return document is not None and document["pid"] == self.process.pid

    def _why(self) -> str:
        assert self.process is not None
        return f"exit status {self.process.poll()}\n{self.log.read_text()[-3000:]}"


@contextmanager
def platform_process(home: Path, *options: str, role: str = "serve") -> Iterator[PlatformProcess]:
    """Not started yet; killed at the end if the test left it running."""
    platform = PlatformProcess(home, *options, role=role)
    try:
        yield platform
    finally:
        if platform.process is not None and platform.process.poll() is None:
            platform.process.kill()
            platform.process.wait()


def wait_for(condition: Any, within_s: float, what: str, why: Any = lambda: "") -> Any:
    """Poll a condition until it gives something true; fail with what was awaited and why it may not have come."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {within_s:.0f} s for {what}. {why()}")
