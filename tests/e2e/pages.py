"""Pages of the documentation whose `sh` blocks are executed as they stand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from tests.e2e.platform_process import environment

MARK = "=====next block====="
RUNS_FOR_S = 110


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def _running(group: int) -> list[str]:
    """Commands of a process group; one that has ended and waits for its parent is none."""
    found = []
    for process in psutil.process_iter(["status", "cmdline"]):
        with suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.info["cmdline"] or ["?"]))
    return found


def run_page(page: Path, folder: Path, runs_for_s: float = RUNS_FOR_S) -> list[str]:
    """What each block says, stdout and stderr, run in one shell that stops at the first failure."""
    binaries = folder / "bin"
    binaries.mkdir()
    command = binaries / "headrace"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m headrace "$@"\n')
    command.chmod(0o755)
    script = folder / "page.sh"
    script.write_text("set -eu\n" + f"echo {MARK}\n".join(blocks(page)), "utf-8")
    surroundings = {name: value for name, value in environment().items() if not name.startswith("HEADRACE_")}
    surroundings["PATH"] = f"{binaries}{os.pathsep}{surroundings['PATH']}"
    with (folder / "said").open("wb") as said:
        shell = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            env=surroundings,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait(runs_for_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            # What the page leaves running goes with it.
            left = _running(shell.pid)
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    text = (folder / "said").read_text("utf-8")
    assert status == 0, text[-3000:]
    assert left == [], "the page leaves something running"
    return text.split(MARK + "\n")
