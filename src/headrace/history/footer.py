"""The end of a segment file: what its sections are, said once more, so that a lost catalog can be made anew.

footer    one entry a section
trailer   length of the footer u32 · CRC32 of it u32 · format u32 · "HRSG"
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from headrace.history.catalog import Section
from headrace.model.errors import DataError

FORMAT: Final = 1
TRAILER: Final = struct.Struct("<III4s")
_ENTRY: Final = struct.Struct("<qQIQQQQI")  # hour, generation, flags, position, index and roll-ups: offset, length
_END: Final = b"HRSG"
_RAW, _SUMMARY, _CLASS_BIT = 1, 2, 16  # flags: the class stands from bit 16 on


def encode_footer(sections: Sequence[Section]) -> bytes:
    """Footer and trailer."""
    footer = b"".join(_ENTRY.pack(*footer_entry(section)) for section in sections)
    return footer + TRAILER.pack(len(footer), zlib.crc32(footer), FORMAT, _END)


def footer_entry(section: Section) -> tuple[int, ...]:
    """What the footer of its file says of a section."""
    flags = section.raw * _RAW | section.summary * _SUMMARY | section.retention << _CLASS_BIT
    return (
        section.hour, section.generation, flags, section.position,
        section.index_offset, section.index_length, section.rollup_offset, section.rollup_length,
    )  # fmt: skip


def section_of(entry: tuple[int, ...], file: int) -> Section:
    """What an entry says, without what only the chunks know: samples and times are 0, a summary has the day of its
    hour alone, and no deletion was applied."""
    hour, generation, flags, position, index_at, index_length, rollup_at, rollup_length = entry
    days = int(bool(flags & _SUMMARY))
    return Section(
        file, hour, generation, 0, bool(flags & _RAW), 0, 0, 0, position, index_at, index_length, rollup_at,
        rollup_length, flags >> _CLASS_BIT, days, days,
    )  # fmt: skip


def check_footer(data: bytes, name: str) -> list[tuple[int, ...]]:
    """The footer's entries from a whole file's bytes or its end. Raises: DataError that names the file."""
    if len(data) < TRAILER.size:
        raise DataError(f"history file {name} is cut short")
    length, crc, version, magic = TRAILER.unpack_from(data, len(data) - TRAILER.size)
    if magic != _END:
        raise DataError(f"history file {name} does not end like a segment: it is damaged or cut short")
    if version != FORMAT:
        raise DataError(f"history file {name} has segment format {version}; this version reads {FORMAT}")
    begin = len(data) - TRAILER.size - length
    if begin < 0 or length % _ENTRY.size or zlib.crc32(data[begin : begin + length]) != crc:
        raise DataError(f"history file {name} has a damaged footer")
    return list(_ENTRY.iter_unpack(data[begin : begin + length]))
