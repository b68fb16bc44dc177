"""Run a few lines in a process that may take so much memory more than it has when it begins, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

_HEAD = """
import resource, sys
def cap(more_bytes):
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + more_bytes, held + more_bytes))
"""


def capped(code: str, *, watchdog_s: float = 90.0) -> str:
    """What `code` prints; it calls `cap(bytes)` once everything that it needs is imported.

    The watchdog is wide: it ends what would not end by itself, and measures nothing.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=watchdog_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
