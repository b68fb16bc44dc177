"""Frames with a CRC in an append-only file, and how to find the good ones around damage.

    frame   "HRSF" · payload length u32 · weight u32 · sequence u64 · newest i64 · CRC32 u32, of all of it · payload

`weight` is how many samples (or events) it has, `newest` the time at which the newest of them was received. A payload
has 4 MB at most, so a damaged length is never believed. `heads` steps from head to head, which is quick; where one does
not lie where the one before said, it looks for the next that adds up.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEAD: Final = struct.Struct("<4sIIQqI")
MAGIC: Final = b"HRSF"
PAYLOAD_BYTES_MAX: Final = 4 * 1024 * 1024 + 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame as it is handed to the link."""

    sequence: int
    weight: int
    newest_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where a frame lies in its file."""

    offset: int
    end: int
    weight: int
    sequence: int
    newest_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no frame: torn at the end of a file, damage anywhere else."""

    offset: int
    end: int


Data = bytes | mmap.mmap


def frame(payload: bytes, weight: int, sequence: int, newest_ns: int) -> bytes:
    head = HEAD.pack(MAGIC, len(payload), weight, sequence, newest_ns, 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload


def heads(data: Data, begin: int, end: int, *, whole: bool) -> Iterator[Head | Gap]:
    """Of `[begin, end)`, in order. With `whole` every payload is checked, else only where heads do not follow."""
    at = begin
    while at < end:
        found = head_at(data, at, end, whole=whole)
        if found is None:
            after = at
            while (after := data.find(MAGIC, after + 1, end)) >= 0:
                if (found := head_at(data, after, end, whole=True)) is not None:
                    break
            yield Gap(at, after if after >= 0 else end)
            if found is None:
                return
        yield found
        at = found.end


def head_at(data: Data, at: int, end: int, *, whole: bool) -> Head | None:
    begin = at + HEAD.size
    if begin > end or data[at : at + 4] != MAGIC:
        return None
    _, length, weight, sequence, newest_ns, crc = HEAD.unpack(data[at:begin])
    if length > PAYLOAD_BYTES_MAX or begin + length > end:
        return None
    if not whole:
        after = begin + length  # a head that is followed by another one, or by the end, is believed
        if after != end and data[after : after + 4] != MAGIC:
            return None
    elif zlib.crc32(data[begin : begin + length], zlib.crc32(data[at : begin - 4])) != crc:
        return None
    return Head(at, begin + length, weight, sequence, newest_ns)


def entry_of(data: bytes, at: int = 0) -> Entry | None:
    """The frame at `at` where it is whole and adds up."""
    found = head_at(data, at, len(data), whole=True)
    if found is None:
        return None
    return Entry(found.sequence, found.weight, found.newest_ns, data[at + HEAD.size : found.end])
