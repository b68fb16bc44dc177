"""One process owns a history directory. The kernel drops the lock when the owner dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from headrace.model.errors import Unavailable


class DirectoryLock:
    """Held from construction until `release`. Raises: Unavailable that names the owner."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "an unknown process"
            os.close(self._descriptor)
            raise Unavailable(
                f"history directory {directory} is in use by {owner}; stop it, or ask it for the data over its API"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1
