"""The write-ahead log: what was acknowledged is here until a segment holds it.

    wal/<n>.log   "HRWAL" · version u8 · 0 0 · n u64 · frame …
    frame         payload length u32 · samples u32 · CRC32 u32 (of both and the payload) · payload (`records`)

Log n holds exactly the memtable of generation n. A frame that is cut or does not add up ends the last log, for a
crash tears only the end; in an earlier log it is damage, and an error says so. The next log is made ahead of time,
because making a file durable takes longer than a commit.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from headrace.history.disk import Disk
from headrace.history.records import decode_batches, encode_batches
from headrace.model.batch import Batch
from headrace.model.errors import DataError, Unavailable

_HEADER: Final = struct.Struct("<5sB2xQ")
_FRAME: Final = struct.Struct("<III")
_MAGIC, _VERSION = b"HRWAL", 2
PAYLOAD_BYTES_MAX: Final = 1 << 30


def log_path(directory: Path, number: int) -> Path:
    return directory / f"{number:010d}.log"


def log_numbers(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in directory.glob("*.log") if path.stem.isdigit())


def encode_frame(batches: Sequence[Batch]) -> bytes:
    payload = encode_batches(batches)
    head = struct.pack("<II", len(payload), sum(map(len, batches)))
    return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload


class LogWriter:
    """Appends frames to one log. After an error the log is as it was before, or the writer is broken for good."""

    EMPTY_BYTES: Final = _HEADER.size

    def __init__(self, disk: Disk, directory: Path, number: int) -> None:
        """Make log `number`. Raises: OSError."""
        self.number, self.path, self._disk = number, log_path(directory, number), disk
        self.broken = False
        self._descriptor = disk.open(self.path, create=True)
        try:
            disk.write(self._descriptor, _HEADER.pack(_MAGIC, _VERSION, number))
            disk.datasync(self._descriptor)
            disk.sync_directory(directory)
        except OSError:
            os.close(self._descriptor)
            disk.unlink(self.path)
            raise
        self.size = _HEADER.size

    @classmethod
    def resume(cls, disk: Disk, directory: Path, number: int, size: int) -> LogWriter:
        """Go on in a log of which `size` bytes are good; what a crash left beyond is cut off."""
        log = cls.__new__(cls)
        log.number, log.path, log._disk, log.broken = number, log_path(directory, number), disk, False
        log._descriptor = disk.open(log.path)
        disk.truncate(log._descriptor, size)
        disk.datasync(log._descriptor)
        log.size = size
        return log

    def commit(self, frames: Sequence[bytes]) -> None:
        """Durable on return. Raises: Unavailable, and then none of the frames is in the log."""
        if self.broken:
            raise Unavailable(f"history log {self.path.name} could not be written; restart once its disk is well")
        try:
            self._disk.write(self._descriptor, b"".join(frames) if len(frames) > 1 else frames[0])
            self._disk.datasync(self._descriptor)
        except OSError as error:
            try:
                self._disk.truncate(self._descriptor, self.size)
                self._disk.datasync(self._descriptor)
            except OSError:
                self.broken = True
            raise Unavailable(f"history log {self.path.name} could not be written: {error.strerror}") from error
        self.size += sum(map(len, frames))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LogReader:
    """The frames of one log, oldest first; `size` is how much of it is good once they were read."""

    def __init__(self, path: Path, number: int, *, last: bool) -> None:
        self.path, self.number, self.size, self._last = path, number, 0, last

    def batches(self) -> Iterator[list[Batch]]:
        """Raises: DataError where an earlier log is damaged, or this is no log at all."""
        with self.path.open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size and self._last:
                return  # torn while it was made: nothing was acknowledged from it
            if len(header) < _HEADER.size or _HEADER.unpack(header) != (_MAGIC, _VERSION, self.number):
                raise DataError(f"{self.path} is not history log {self.number} of format {_VERSION}")
            self.size = _HEADER.size
            while head := file.read(_FRAME.size):
                batches = self._frame(head, file.read(_length(head)))
                if batches is None:
                    if self._last:
                        return
                    raise DataError(
                        f"{self.path} is damaged at byte {self.size}; later logs follow it, so this is no torn end: "
                        "restore the file, or move it away to give up what it holds"
                    )
                yield batches
                self.size = file.tell()

    def _frame(self, head: bytes, payload: bytes) -> list[Batch] | None:
        if len(head) < _FRAME.size:
            return None
        length, count, crc = _FRAME.unpack(head)
        if len(payload) != length or zlib.crc32(payload, zlib.crc32(head[:8])) != crc:
            return None
        try:
            batches = decode_batches(payload)
        except DataError as error:
            raise DataError(f"{self.path} holds a frame at byte {self.size} that cannot be read: {error}") from None
        if sum(map(len, batches)) != count:
            raise DataError(f"{self.path} holds a frame at byte {self.size} with a wrong sample count")
        return batches


def _length(head: bytes) -> int:
    return min(int.from_bytes(head[:4], "little"), PAYLOAD_BYTES_MAX)
