"""`headrace plant replay` as a user runs it: a process of its own that says when it is ready and when it is done."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.platform_process import environment

READY_WITHIN_S = 60.0


class ReplayProcess:
    """`with ReplayProcess(csv, …options) as replay:` serves until the end of the block; `plant` holds the YAML."""

    def __init__(self, recording: Path, folder: Path, *options: str) -> None:
        self.plant = folder
        self.options = [str(recording), "--declare", str(folder), *options]
        self.ready: dict[str, Any] = {}
        self.done: dict[str, Any] = {}
        self._ready, self._done = threading.Event(), threading.Event()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headrace", "plant", "replay", *self.options],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._ready.wait(READY_WITHIN_S) and self.ready, "the replay did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    def finished(self) -> bool:
        return self._done.is_set()

    def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            facts = json.loads(line)
            if facts.get("ready"):
                self.ready = facts
                self._ready.set()
            if facts.get("done"):
                self.done = facts
                self._done.set()
        self._ready.set()
