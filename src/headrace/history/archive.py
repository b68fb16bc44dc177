"""Where a log goes once segments hold its samples: away, or into `archive/` until a backup target has it.

    flush ─► catalog ─► log n is done with ─► one of two to be written over, or away
                                    └ archiving ─► archive/<n>.log ─► backup target ─► unlink

The archive is bounded: where no target takes the logs, the oldest go, and a restore to a moment within them is refused.
"""

from __future__ import annotations

import logging
from pathlib import Path

from headrace.history.disk import Disk
from headrace.history.settings import HistorySettings
from headrace.history.trash import Trash
from headrace.history.wal import LogWriter, keep_used, log_numbers, log_path

_log = logging.getLogger(__name__)


class LogArchive:
    def __init__(self, directory: Path, disk: Disk, settings: HistorySettings) -> None:
        self.folder, self._disk, self._settings = directory / "archive", disk, settings
        self.trash = Trash(directory, disk)

    def discard(self, path: Path) -> None:
        """A file that nothing needs any more; logs are kept where that was asked for. Raises: OSError."""
        if path.suffix != ".log" or not path.exists():
            self.trash.take(path)
            return
        if not self._settings.archive_logs:
            if self._low(path.parent) or not keep_used(self._disk, path):
                self.trash.take(path)
            return
        self.folder.mkdir(exist_ok=True)
        self._disk.replace(path, self.folder / path.name)
        self._bound()

    def numbers(self) -> list[int]:
        return log_numbers(self.folder)

    def path(self, number: int) -> Path:
        return log_path(self.folder, number)

    def forget(self, number: int) -> None:
        """A backup target has it."""
        self.trash.take(self.path(number))

    def bytes(self) -> int:
        return sum(self.path(number).stat().st_size for number in self.numbers())

    def _bound(self) -> None:
        numbers = self.numbers()
        sizes = [self.path(number).stat().st_size for number in numbers]
        held = sum(sizes)
        low = self._low(self.folder)
        while len(numbers) > 1 and (held > self._settings.archive_bytes_max or low):
            number, size = numbers.pop(0), sizes.pop(0)
            if size > LogWriter.EMPTY_BYTES:
                _log.warning("history log %d leaves the archive before any backup target took it", number)
            self.forget(number)
            held -= size
            low = self._low(self.folder)

    def _low(self, folder: Path) -> bool:
        return self._disk.free_bytes(folder) < 2 * self._settings.disk_reserve_bytes
