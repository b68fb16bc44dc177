"""Frames with a CRC in an append-only file, and how to find the good ones around damage.

    frame   magic, 4 bytes · payload length u32 · count u32 · place u32 · time i64 ·
            CRC32 u32, of all before it and of the payload · payload

`walk` gives every good frame in order, and the bytes between them that are none. What follows a damaged frame is found
again by the magic and the CRC, so one flipped bit costs one frame. The log (`wal`) and the journal (`journal`) are made
of frames. A CRC may begin with a seed, which makes frames of one file strangers in any other.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from headrace.model.errors import DataError

_HEAD: Final = struct.Struct("<4sIIIqI")
PAYLOAD_BYTES_MAX: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Frame:
    """`place` is its position in the group that became durable together; `time_ns` is when that was asked for."""

    offset: int
    end: int
    count: int
    place: int
    time_ns: int
    payload: bytes

    def plain(self) -> bytes:
        """The payload as it was before compression. Raises: DataError."""
        try:
            if not 0 <= zstandard.frame_content_size(self.payload) <= PAYLOAD_BYTES_MAX:
                raise DataError("its length is beyond what a frame may hold")
            plain: bytes = zstandard.ZstdDecompressor().decompress(self.payload, max_output_size=PAYLOAD_BYTES_MAX)
            return plain
        except zstandard.ZstdError as error:
            raise DataError(f"it does not decompress: {error}") from None


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no frame: torn at the end of a file, damage anywhere else."""

    offset: int
    end: int


def frame(magic: bytes, payload: bytes, count: int, time_ns: int, place: int, seed: int = 0) -> bytes:
    return frame_head(magic, [payload], count, time_ns, place, seed) + payload


def frame_head(
    magic: bytes, payload: Sequence[bytes | memoryview], count: int, time_ns: int, place: int, seed: int = 0
) -> bytes:
    """What comes before a payload, of which the parts are given."""
    head = _HEAD.pack(magic, sum(map(len, payload)), count, place, time_ns, 0)[:-4]
    crc = zlib.crc32(head, seed)
    for part in payload:
        crc = zlib.crc32(part, crc)
    return head + struct.pack("<I", crc)


def walk(path: Path, magic: bytes, begin: int, end: int | None = None, *, seed: int = 0) -> Iterator[Frame | Gap]:
    """Frames and gaps of `[begin, end)` in order; gaps are as short as the good frames around them allow."""
    size = path.stat().st_size
    end = size if end is None else min(end, size)
    if begin >= end:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        at = begin
        while at < end:
            found = _frame_at(data, magic, at, end, seed)
            if found is not None:
                yield found
                at = found.end
                continue
            after = at
            while (after := data.find(magic, after + 1, end)) >= 0:
                found = _frame_at(data, magic, after, end, seed)
                if found is not None:
                    break
            yield Gap(at, after if after >= 0 else end)
            if after < 0:
                return
            at = after


def _frame_at(data: mmap.mmap, magic: bytes, at: int, end: int, seed: int) -> Frame | None:
    if end - at < _HEAD.size or data[at : at + 4] != magic:
        return None
    _, length, count, place, time_ns, crc = _HEAD.unpack(data[at : at + _HEAD.size])
    begin = at + _HEAD.size
    if length > end - begin:
        return None
    payload = data[begin : begin + length]
    if zlib.crc32(payload, zlib.crc32(data[at : begin - 4], seed)) != crc:
        return None
    return Frame(at, begin + length, count, place, time_ns, payload)
