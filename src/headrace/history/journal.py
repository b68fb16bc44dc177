"""The journal: every name and every deletion, in order, for ever. What the catalog loses is found again here.

    journal.log   "HRJNL" · version u8 · 0 0 · timeline u64 · frame …
    frame         `framing.frame`, zstd payload: kind u8 ·
                  1 points      first number u32 · names (`records.encode_text`)
                  2 deletion    id i64 · generation i64 · start i64 · end i64 · point numbers u32 each

A record is durable here before the catalog takes it, and both before the caller is told. So after a crash the journal
may be one record ahead, which the catalog then takes; a journal that is behind is damaged. The timeline is a random
number: a store that was restored or repaired begins a new one, so its files are never taken for those of the old.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import zstandard

from headrace.history import framing
from headrace.history.catalog import Tombstone
from headrace.history.disk import Disk
from headrace.history.framing import Frame, Gap
from headrace.history.records import decode_text, encode_text
from headrace.model.errors import DataError, Unavailable

NAME: Final = "journal.log"
_HEADER: Final = struct.Struct("<5sB2xQ")
_MAGIC, _VERSION = b"HRJNL", 1
RECORD_MAGIC: Final = b"HRJR"
_POINTS, _DELETION = 1, 2
_POINTS_HEAD: Final = struct.Struct("<BI")
_DELETION_HEAD: Final = struct.Struct("<Bqqqq")


@dataclass(frozen=True, slots=True)
class Registration:
    time_ns: int
    points: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Deletion:
    time_ns: int
    tombstone: Tombstone


class Journal:
    """Open for appending. `size` is what is settled, `written` what is on disk."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        """Open or make it; a torn end is cut. Raises: DataError naming it, OSError."""
        self.path, self._disk, self._lock = directory / NAME, disk, threading.Lock()
        if not self.path.exists():
            write_journal(disk, directory, [], secrets.randbits(63))
        self.timeline = timeline_of(self.path)
        self.records: list[Registration | Deletion] = []
        self.size = _HEADER.size
        found = framing.walk(self.path, RECORD_MAGIC, _HEADER.size)
        for part in found:
            if isinstance(part, Gap):
                if any(isinstance(later, Frame) for later in found):
                    raise DataError(f"history journal {self.path} is damaged at byte {part.offset}; {_ADVICE}")
                break
            self.records.append(decode_record(part, self.path))
            self.size = part.end
        self._descriptor = disk.open(self.path)
        disk.truncate(self._descriptor, self.size)
        self.written = self.size
        self._broken = False

    def take_records(self) -> list[Registration | Deletion]:
        """What it held when it was opened; only the first call gets it, for nobody needs it twice."""
        records, self.records = self.records, []
        return records

    @contextmanager
    def registering(self, points: Sequence[tuple[int, str]], time_ns: int) -> Iterator[None]:
        """Durable before the block begins; withdrawn where it fails. Raises: Unavailable."""
        with self._recording(encode_registration(points, time_ns)):
            yield

    @contextmanager
    def deleting(self, stone: Tombstone, time_ns: int) -> Iterator[None]:
        """Durable before the block begins; withdrawn where it fails. Raises: Unavailable."""
        with self._recording(encode_deletion(stone, time_ns)):
            yield

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def _recording(self, record: bytes) -> Iterator[None]:
        with self._lock:
            if self._broken:
                raise Unavailable("history journal could not be written; restart once its disk is well")
            try:
                try:
                    self._disk.write(self._descriptor, record)
                    self._disk.datasync(self._descriptor)
                except OSError as error:
                    raise Unavailable(f"history journal cannot be written: {error.strerror}") from error
                self.written = self.size + len(record)
                yield
                self.size = self.written
            except BaseException:
                self.written = self.size
                try:
                    self._disk.truncate(self._descriptor, self.size)
                    self._disk.datasync(self._descriptor)
                except OSError:
                    self._broken = True  # the record may be there; the next start takes it then
                raise


_ADVICE: Final = "run `headrace history check`, then `headrace history repair`"


def encode_registration(points: Sequence[tuple[int, str]], time_ns: int) -> bytes:
    payload = _POINTS_HEAD.pack(_POINTS, points[0][0]) + encode_text([path for _, path in points])
    return _record(payload, len(points), time_ns)


def encode_deletion(stone: Tombstone, time_ns: int) -> bytes:
    head = _DELETION_HEAD.pack(_DELETION, stone.id, stone.generation, stone.start_ns, stone.end_ns)
    return _record(head + np.asarray(stone.handles, "<u4").tobytes(), len(stone.handles), time_ns)


def _record(payload: bytes, count: int, time_ns: int) -> bytes:
    packed = zstandard.ZstdCompressor(write_content_size=True).compress(payload)
    return framing.frame(RECORD_MAGIC, packed, count, time_ns, 0)


def decode_record(frame: Frame, path: Path) -> Registration | Deletion:
    """Raises: DataError naming the file."""
    try:
        plain = frame.plain()
        if plain[0] == _POINTS:
            _, first = _POINTS_HEAD.unpack_from(plain)
            names, _ = decode_text(memoryview(plain)[_POINTS_HEAD.size :], frame.count)
            return Registration(frame.time_ns, list(enumerate(names, first)))
        if plain[0] == _DELETION:
            _, number, generation, start_ns, end_ns = _DELETION_HEAD.unpack_from(plain)
            handles = np.frombuffer(plain, "<u4", frame.count, _DELETION_HEAD.size)
            return Deletion(frame.time_ns, Tombstone(number, generation, start_ns, end_ns, handles))
        raise DataError(f"its kind {plain[0]} is unknown")
    except (DataError, struct.error, ValueError, IndexError) as error:
        raise DataError(
            f"history journal {path} holds a record at byte {frame.offset} that cannot be read: {error}"
        ) from None


def walk_journal(path: Path, end: int | None = None) -> Iterator[Registration | Deletion | Gap]:
    """Every good record in order, and what lies between. Raises: DataError where the file is no journal."""
    timeline_of(path)
    for part in framing.walk(path, RECORD_MAGIC, _HEADER.size, end):
        yield part if isinstance(part, Gap) else decode_record(part, path)


def timeline_of(path: Path) -> int:
    """Raises: DataError."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    if len(header) == _HEADER.size:
        magic, version, timeline = _HEADER.unpack(header)
        if (magic, version) == (_MAGIC, _VERSION):
            return int(timeline)
    raise DataError(f"history journal {path} is not a journal of format {_VERSION}; {_ADVICE}")


def write_journal(
    disk: Disk, directory: Path, records: Sequence[Registration | Deletion], timeline: int, name: str = NAME
) -> None:
    """A whole journal, durable under its name or not there at all. Raises: OSError."""
    parts = [_HEADER.pack(_MAGIC, _VERSION, timeline)]
    for record in records:
        if isinstance(record, Registration):
            parts.append(encode_registration(record.points, record.time_ns))
        else:
            parts.append(encode_deletion(record.tombstone, record.time_ns))
    temporary = directory / f"{name}.tmp"
    disk.unlink(temporary)
    descriptor = disk.open(temporary, create=True)
    try:
        disk.write(descriptor, b"".join(parts))
        disk.datasync(descriptor)
    finally:
        os.close(descriptor)
    disk.replace(temporary, directory / name)
    disk.sync_directory(directory)
