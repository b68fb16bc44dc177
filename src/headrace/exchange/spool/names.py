"""The spool's own dictionary: which number is which path, for as long as the spool lives. Numbers never change.

register ─► new? ─► names.log: a frame with the paths, zstd ─► durable ─► numbers
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zstandard

from headrace.exchange.spool.frames import Gap, entry_of, frame, heads
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.sdk.disk import Disk

_logger = logging.getLogger(__name__)
_COUNT: Final = struct.Struct("<II")
PATH_BYTES_MAX: Final = 1024
NAMES_BYTES_MAX: Final = 1024 * 1024  # of one frame, unpacked
NAMES_AT_ONCE: Final = 2_000


class Names:
    def __init__(self, directory: Path, disk: Disk, points_max: int) -> None:
        """Raises: Unavailable where the disk refuses."""
        self._path, self._disk, self._points_max = directory / "names.log", disk, points_max
        self.paths: list[str] = []
        self.numbers: dict[str, int] = {}
        try:
            if not self._path.exists():
                os.close(disk.open(self._path, create=True))
                disk.sync_directory(directory)
            self._size = self._load(self._path.read_bytes())
            self._descriptor = disk.open(self._path)
            disk.truncate(self._descriptor, self._size)
        except OSError as error:
            raise Unavailable(f"the spool's names in {self._path} cannot be opened: {error.strerror}") from error

    def _load(self, data: bytes) -> int:
        """Take what is whole; the names of a damaged frame are lost, and their numbers stay unused."""
        good = 0
        for found in heads(data, 0, len(data), whole=True):
            if isinstance(found, Gap):
                continue
            entry = entry_of(data, found.offset)
            assert entry is not None
            first, paths = decode_names(entry.payload)
            if first > len(self.paths):
                _logger.error("%d names of the spool in %s are damaged", first - len(self.paths), self._path)
                self.paths += [""] * (first - len(self.paths))
            self._take(paths)
            good = found.end
        return good

    def add(self, paths: Sequence[str]) -> None:
        """Durable on return; on the spool's thread. Raises: LimitReached, Unavailable."""
        if len(self.paths) + len(paths) > self._points_max:
            raise LimitReached(f"an edge holds {self._points_max} points; {len(paths)} more are too many")
        for path in paths:
            if not 0 < len(path.encode()) <= PATH_BYTES_MAX:
                raise LimitReached(f"the path of a point has 1 to {PATH_BYTES_MAX} bytes: '{path[:80]}'")
        data, first = b"", len(self.paths)
        for begin in range(0, len(paths), NAMES_AT_ONCE):
            part = paths[begin : begin + NAMES_AT_ONCE]
            data += frame(encode_names(first + begin, part), len(part), first + begin + 1, 0)
        try:
            self._disk.write(self._descriptor, data)
            self._disk.datasync(self._descriptor)
        except OSError as error:
            self._disk.truncate(self._descriptor, self._size)
            raise Unavailable(f"the spool's names cannot be written: {error.strerror}") from error
        self._size += len(data)
        self._take(paths)

    def _take(self, paths: Sequence[str]) -> None:
        self.numbers.update((path, number) for number, path in enumerate(paths, len(self.paths)))
        self.paths += paths

    def digest(self, count: int) -> str:
        """Of the first `count` names, so that two sides know that they mean the same by a number."""
        return digest_of(self.paths[:count])

    def close(self) -> None:
        os.close(self._descriptor)


def digest_of(paths: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(paths).encode()).hexdigest()


def encode_names(first: int, paths: Sequence[str]) -> bytes:
    """first u32, count u32, then zstd of the paths with a NUL behind each."""
    body = "".join(f"{path}\0" for path in paths).encode()
    packed: bytes = zstandard.ZstdCompressor(level=3, write_content_size=True).compress(body)
    return _COUNT.pack(first, len(paths)) + packed


def decode_names(data: bytes) -> tuple[int, list[str]]:
    """The inverse. Raises: DataError, before anything large is allocated."""
    try:
        first, count = _COUNT.unpack_from(data)
        packed = data[_COUNT.size :]
        if not 0 <= zstandard.frame_content_size(packed) <= NAMES_AT_ONCE * (PATH_BYTES_MAX + 1):
            raise DataError("names claim more bytes than they may have")
        *paths, rest = zstandard.ZstdDecompressor().decompress(packed).decode().split("\0")
    except (struct.error, zstandard.ZstdError, UnicodeDecodeError) as error:
        raise DataError(f"names cannot be read: {error}") from None
    if rest or len(paths) != count or count > NAMES_AT_ONCE or any(len(p.encode()) > PATH_BYTES_MAX for p in paths):
        raise DataError("names are not as many or as long as they claim")
    return first, paths
