"""Run a few lines in a process that may take so much memory more than it has when it begins, and no more.

capped(code)       a new Python
Capped(imports)    a Python that imports once ─► run(code): a copy of it, which has done nothing else
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

_HEAD = """
import resource, sys
def cap(more_bytes):
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + more_bytes, held + more_bytes))
"""
_COPIES = """
import json, os, sys, tempfile, traceback
space = {}
exec(json.loads(sys.stdin.readline()), space)
for line in sys.stdin:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as wrong:
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1), os.dup2(wrong.fileno(), 2)
            status = 1
            try:
                exec(json.loads(line), space)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush(), sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        out.seek(0), wrong.seek(0)
        print(json.dumps([status, out.read().decode(), wrong.read().decode()]), flush=True)
"""
WATCHDOG_S = 90.0


def capped(code: str) -> str:
    """What `code` prints; it calls `cap(bytes)` once everything that it needs is imported.

    The watchdog is wide: it ends what would not end by itself, and measures nothing.
    """
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=WATCHDOG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


class Capped:
    """`capped` for many pieces of code that import the same: on a system with fork each is a copy of one process."""

    def __init__(self, imports: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COPIES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
            start_new_session=True,
        )
        self._tell(_HEAD + textwrap.dedent(imports))

    def run(self, code: str) -> str:
        """As `capped`; code may use what was imported."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(WATCHDOG_S, self.close)
        watchdog.start()
        try:
            self._tell(textwrap.dedent(code))
            said = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        assert said, "it did not end, or what it is a copy of could not be imported"
        status, out, wrong = json.loads(said)
        assert status == 0, wrong[-3000:]
        return str(out)

    def close(self) -> None:
        """All of its copies end too."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _tell(self, code: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
