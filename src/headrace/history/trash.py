"""Files that nobody needs any more go a little at a time: a commit may wait for what the file system does to give back
sixty megabytes at once (on ext4 with discard 120 ms, as long as fifty commits).

    path ─► small: gone at once
         └► large: trash/<n> ─► shorter by a piece, a rest, shorter again … ─► gone

What a crash leaves in the folder is removed at the next start.
"""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from headrace.history.disk import Disk

_PIECE_BYTES: Final = 2 * 1024 * 1024
_REST_S: Final = 0.02


class Trash:
    """`take` may be called from any thread; one of its own does the work."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self._folder, self._disk = directory / "trash", disk
        self._names = itertools.count()
        self._waiting: SimpleQueue[Path | None] = SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def empty(self) -> None:
        """Remove what an earlier life left. Raises: OSError."""
        if self._folder.exists():
            for path in self._folder.iterdir():
                self._disk.unlink(path)

    def take(self, path: Path) -> None:
        """The name is free on return. Raises: OSError."""
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return
        if size <= 2 * _PIECE_BYTES or self._hurry.is_set():
            self._disk.unlink(path)
            return
        with self._starting:
            self._folder.mkdir(exist_ok=True)
            target = self._folder / str(next(self._names))
            self._disk.replace(path, target)
            self._waiting.put(target)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="history-trash", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Everything that waits goes at once: nobody waits for a commit any more."""
        self._hurry.set()
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _run(self) -> None:
        while (path := self._waiting.get()) is not None:
            try:
                self._shorten(path)
                self._disk.unlink(path)
            except OSError:
                continue  # it stays in the folder until the next start, and is of no harm there

    def _shorten(self, path: Path) -> None:
        descriptor = self._disk.open(path)
        try:
            size = os.fstat(descriptor).st_size
            while size > _PIECE_BYTES and not self._hurry.is_set():
                size -= _PIECE_BYTES
                self._disk.truncate(descriptor, size)
                self._hurry.wait(_REST_S)
        finally:
            os.close(descriptor)
