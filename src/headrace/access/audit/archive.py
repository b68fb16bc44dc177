"""A closed archive: a stretch of the trail as one compressed file that is never opened for writing again.

entries ─► lines of JSON ─► Zstandard ─► *.partial, fsynced ─► <first>-<last>.ndjson.zst, mode 400 ─► directory fsynced

What it has to hold is known outside it: its SHA-256 is in the database and, signed, among the checkpoints.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from headrace.access.audit.chain import LINE_BYTES_MAX, Record, line, record_of
from headrace.model.errors import DataError
from headrace.sdk.disk import Disk

SUFFIX: Final = ".ndjson.zst"
_CHUNK: Final = 5_000
_LEVEL: Final = 9


@dataclass(frozen=True, slots=True)
class Archive:
    """`sha256` is of the file; times are the earliest and the latest of an entry."""

    first: int
    last: int
    first_ns: int
    last_ns: int
    previous_hash: str
    last_hash: str
    sha256: str
    size: int
    archived_ns: int

    @property
    def name(self) -> str:
        return name_of(self.first, self.last)


def name_of(first: int, last: int) -> str:
    return f"{first:012d}-{last:012d}{SUFFIX}"


def span_of(name: str) -> tuple[int, int] | None:
    """(first, last), None for a name that is not one of ours."""
    first, _, last = name.removesuffix(SUFFIX).partition("-")
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        return None
    span = int(first), int(last)
    return span if name == name_of(*span) else None


def write(folder: Path, records: Sequence[Record], disk: Disk, now_ns: int) -> Archive:
    """Durable on return. Raises: OSError; at most a `*.partial` stays then."""
    first, last = records[0], records[-1]
    name = name_of(first.sequence, last.sequence)
    partial = folder / f"{name}.partial"
    disk.unlink(partial)
    digest, size = hashlib.sha256(), 0
    descriptor = disk.open(partial, create=True)
    try:
        for piece in _compressed(records):
            disk.write(descriptor, piece)
            digest.update(piece)
            size += len(piece)
        os.fchmod(descriptor, 0o400)
        disk.datasync(descriptor)
    finally:
        os.close(descriptor)
    disk.replace(partial, folder / name)
    disk.sync_directory(folder)
    times = [record.time_ns for record in records]
    return Archive(
        first.sequence, last.sequence, min(times), max(times), first.previous_hash, last.hash, digest.hexdigest(), size,
        now_ns,
    )  # fmt: skip


def digest_of(path: Path) -> str:
    """SHA-256 of a file. Raises: DataError where it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"the archive {path.name} cannot be read ({error.strerror}); put it back from a backup"
        ) from None


def read(path: Path, sha256: str) -> Iterator[list[Record]]:
    """Its entries, in pieces. Raises: DataError for any byte that is not as it was written."""
    if digest_of(path) != sha256:
        raise DataError(f"the archive {path.name} was altered; put it back from a backup")
    chunk: list[Record] = []
    for text in lines_of(path):
        chunk.append(record_of(text))
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def lines_of(path: Path) -> Iterator[bytes]:
    """Raises: DataError."""
    rest = b""
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as unpacked:
            while piece := unpacked.read(1 << 18):
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole
                if len(rest) > LINE_BYTES_MAX:
                    raise DataError(f"{path.name} holds a line that is longer than any entry")
    except (OSError, zstandard.ZstdError) as error:
        raise DataError(f"the archive {path.name} cannot be read: {error}") from None
    if rest:
        raise DataError(f"the archive {path.name} ends in the middle of an entry")


def _compressed(records: Sequence[Record]) -> Iterator[bytes]:
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    for at in range(0, len(records), _CHUNK):
        yield packer.compress(b"".join(line(record) for record in records[at : at + _CHUNK]))
    yield packer.flush()
