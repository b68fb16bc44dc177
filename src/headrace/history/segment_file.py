"""The bytes of a segment file: header, footer, trailer, and where in it the parts of a section are.

    header · section … · footer · trailer

What each part says is for `chunk_reader`, `section_index` and `rollups`.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history import rollups
from headrace.history.catalog import Section
from headrace.history.chunks import ChunkTable
from headrace.history.pack import unpack_column
from headrace.history.section_index import decode_index, decode_moments
from headrace.model.batch import TimesNs, ValueKind
from headrace.model.errors import DataError

FORMAT: Final = 1
HEADER: Final = b"HRSEG" + bytes([FORMAT, 0, 0])
_FOOTER: Final = struct.Struct("<qQIQQQQI")  # hour, generation, flags, position, index and roll-ups: offset, length
_TRAILER: Final = struct.Struct("<III4s")  # footer length, CRC32 of the footer, format, magic
_END: Final = b"HRSG"
_GAP_MAX: Final = 64 * 1024  # chunks this close are read in one go


def footer_bytes(section: Section) -> bytes:
    return _FOOTER.pack(
        section.hour, section.generation, section.flags, section.position,
        section.index_offset, section.index_length, section.rollup_offset, section.rollup_length,
    )  # fmt: skip


def footer_entry(section: Section) -> tuple[int, ...]:
    """What the footer of its file says of a section."""
    entry: tuple[int, ...] = _FOOTER.unpack(footer_bytes(section))
    return entry


def trailer(footer: bytes) -> bytes:
    return _TRAILER.pack(len(footer), zlib.crc32(footer), FORMAT, _END)


def check_footer(data: bytes, name: str) -> list[tuple[int, ...]]:
    """The footer's entries from a whole file's bytes or its end. Raises: DataError that names the file."""
    if len(data) < _TRAILER.size:
        raise DataError(f"history file {name} is cut short")
    length, crc, version, magic = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    if magic != _END:
        raise DataError(f"history file {name} does not end like a segment: it is damaged or cut short")
    if version != FORMAT:
        raise DataError(f"history file {name} has segment format {version}; this version reads {FORMAT}")
    begin = len(data) - _TRAILER.size - length
    if begin < 0 or length % _FOOTER.size or zlib.crc32(data[begin : begin + length]) != crc:
        raise DataError(f"history file {name} has a damaged footer")
    return list(_FOOTER.iter_unpack(data[begin : begin + length]))


class SegmentFileReader:
    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path, self._descriptor, self._size = path, descriptor, size

    def pread(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise DataError("an offset points outside the file")
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise DataError("the file is cut short")
        return data

    def check(self) -> list[tuple[int, ...]]:
        """The footer. Raises: DataError."""
        if self.pread(0, len(HEADER)) != HEADER:
            raise DataError("the header is not that of a segment of this format")
        trailer = self.pread(self._size - _TRAILER.size, _TRAILER.size)
        length = min(_TRAILER.unpack(trailer)[0], self._size - _TRAILER.size)
        end = self.pread(self._size - _TRAILER.size - length, length + _TRAILER.size)
        return check_footer(end, self.path.name)

    def index(self, section: Section) -> ChunkTable:
        data = memoryview(self.pread(section.position + section.index_offset, section.index_length))
        return decode_index(data)

    def moments(self, section: Section) -> TimesNs:
        return decode_moments(self.pread(section.position + section.index_offset, section.index_length))

    def frames(self, section: Section, offsets: list[int], lengths: list[int]) -> list[bytes]:
        """Frames in the order asked; neighbours are read together."""
        frames: list[bytes] = []
        at = 0
        while at < len(offsets):
            last, end = at, offsets[at] + lengths[at]
            while last + 1 < len(offsets) and end <= offsets[last + 1] <= end + _GAP_MAX:
                last += 1
                end = offsets[last] + lengths[last]
            begin = offsets[at]
            data = self.pread(section.position + begin, end - begin)
            frames += [data[offsets[i] - begin : offsets[i] - begin + lengths[i]] for i in range(at, last + 1)]
            at = last + 1
        return frames

    def directory(self, section: Section) -> dict[ValueKind, dict[str, rollups.ColumnPlace]]:
        begin = section.position + section.rollup_offset
        head = self.pread(begin, rollups.DIRECTORY_HEAD)
        return rollups.decode_directory(head, self.pread(begin + len(head), int.from_bytes(head[:4], "little")))

    def rollup_column(self, section: Section, place: rollups.ColumnPlace, name: str) -> NDArray[np.int64]:
        data = self.pread(section.position + section.rollup_offset + place.offset, place.length)
        return unpack_column(data, place.count, zstandard.ZstdDecompressor(), deltas=name in rollups.DELTAS)
