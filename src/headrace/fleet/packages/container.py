"""The zip of a package, read strictly: every byte of the file belongs to exactly one entry, and said only once.

    [local header │ bytes] [local header │ bytes] … [central directory] [end record]
    0             ─────────── no gaps, no overlaps, in the order of the directory ────────────► end of file

Zip is a loose format: readers disagree about files with two directories, entries that share bytes, headers that
contradict each other. Whoever checks one reading and unpacks another is fooled. So we accept the one form that our
own builder writes and that every zip program reads: entries laid end to end from the first byte, local headers that
repeat the directory, no comments, no extra fields, no flags but UTF-8 … and none of the names needs that one. Nothing
is inflated here.

Source: PKWARE APPNOTE 6.3.10 §4.3.7, §4.3.12, §4.3.16.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Final

from headrace.model.errors import DataError

STORED: Final = 0
DEFLATED: Final = 8
#: 1980-01-01 00:00, the zero of the format: the same content is the same file whenever it is built.
DOS_DATE: Final = 0x21
#: A plain file, rw-r--r--. Links and devices have other bits.
ATTRIBUTES: Final = 0o100644 << 16
VERSION_MADE_BY: Final = 3 << 8 | 20  # Unix, 2.0
VERSION_NEEDED: Final = 20

LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
END: Final = struct.Struct("<4sHHHHIIH")
LOCAL_MAGIC: Final = b"PK\x03\x04"
CENTRAL_MAGIC: Final = b"PK\x01\x02"
END_MAGIC: Final = b"PK\x05\x06"
_BLOCK: Final = 1 << 18

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_+@][A-Za-z0-9_+@.-]*", re.ASCII)
#: Names that Windows gives to devices, whatever follows the first dot.
_DEVICES: Final = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a package may ask of the machine that opens it. Sizes in bytes."""

    package_bytes: int = 1 << 30
    files: int = 4096
    file_bytes: int = 512 << 20
    total_bytes: int = 2 << 30
    manifest_bytes: int = 1 << 20
    ratio: int = 100  # unpacked to packed, over the whole; 64 KiB are free
    depth: int = 12
    path_characters: int = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """`offset` is of the packed bytes, from the beginning of the file."""

    name: str
    method: int
    crc: int
    packed_bytes: int
    bytes: int
    offset: int


def read_entries(file: BinaryIO, limits: Limits) -> tuple[Entry, ...]:
    """The entries in the order in which they lie. Raises: DataError for any other form than ours; OSError."""
    size = file.seek(0, os.SEEK_END)
    if size > limits.package_bytes:
        raise DataError(f"the package has {size:,} bytes; {limits.package_bytes:,} are allowed")
    if size < END.size:
        raise DataError("this is no package: it is shorter than an empty zip file")
    magic, disk, first_disk, here, count, length, start, comment = END.unpack(_at(file, size - END.size, END.size))
    if magic != END_MAGIC:
        raise DataError("this is no package: it does not end with the end record of a zip file, or is cut off")
    if disk or first_disk or here != count or comment:
        raise DataError("the package's end record has parts, or a comment; packages have neither")
    if count > limits.files + 2:
        raise DataError(f"the package has {count:,} entries; {limits.files + 2:,} are allowed")
    if start + length != size - END.size or length > count * (CENTRAL.size + 256):
        raise DataError("the package's directory is not where its end record says")
    return _directory(file, _at(file, start, length), count, start, limits)


def _directory(file: BinaryIO, table: bytes, count: int, start: int, limits: Limits) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    seen: set[str] = set()
    at = expected = total = 0
    for _ in range(count):
        if len(table) - at < CENTRAL.size:
            raise DataError("the package's directory is cut off")
        fields = CENTRAL.unpack_from(table, at)
        magic, made_by, needed, flags, method, clock, date, crc, packed, plain, name_bytes, extra, comment = fields[:13]
        disk, internal, attributes, offset = fields[13:]
        raw = table[at + CENTRAL.size : at + CENTRAL.size + name_bytes]
        if magic != CENTRAL_MAGIC or len(raw) != name_bytes:
            raise DataError("the package's directory is damaged")
        name = check_name(raw, limits)
        form = (made_by, needed, flags, clock, date, extra, comment, disk, internal, attributes)
        if form != (VERSION_MADE_BY, VERSION_NEEDED, 0, 0, DOS_DATE, 0, 0, 0, 0, ATTRIBUTES):
            raise DataError(
                f"'{name}' is not a plain file as packages hold it (links, extras, dates and flags are not)"
            )
        if method not in (STORED, DEFLATED) or (method == STORED and packed != plain):
            raise DataError(f"'{name}' is packed in a way that packages do not use (only stored and deflated are)")
        if plain > limits.file_bytes:
            raise DataError(f"'{name}' has {plain:,} bytes; {limits.file_bytes:,} are allowed")
        if name.casefold() in seen:
            raise DataError(f"'{name}' is in the package twice, or differs from another name only by case")
        if offset != expected:
            raise DataError(f"'{name}' does not begin where the entry before it ends: entries overlap, or leave a gap")
        seen.add(name.casefold())
        header = (LOCAL_MAGIC, VERSION_NEEDED, 0, method, 0, DOS_DATE, crc, packed, plain, name_bytes, 0)
        if offset + LOCAL.size + name_bytes + packed > start:
            raise DataError(f"'{name}' reaches into the package's directory")
        if _at(file, offset, LOCAL.size + name_bytes) != LOCAL.pack(*header) + raw:
            raise DataError(f"the two headers of '{name}' contradict each other")
        entries.append(Entry(name, method, crc, packed, plain, offset + LOCAL.size + name_bytes))
        expected = offset + LOCAL.size + name_bytes + packed
        at += CENTRAL.size + name_bytes
        total += plain
    if expected != start or at != len(table):
        raise DataError("the package holds bytes that belong to no entry")
    if total > limits.total_bytes:
        raise DataError(f"the package unpacks to {total:,} bytes; {limits.total_bytes:,} are allowed")
    if total > limits.ratio * expected + (64 << 10):
        raise DataError(f"the package unpacks to more than {limits.ratio} times its size")
    _no_file_is_a_folder(entries)
    return tuple(entries)


def check_name(raw: bytes, limits: Limits) -> str:
    """A path below the package that means the same on every file system. Raises: DataError.

    ASCII letters, digits and `_ + @ . -`; `/` between segments. So no Unicode form or case can make two of one.
    """
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError:
        raise DataError(f"the name {raw[:40]!r} in the package is not ASCII; rename the file") from None
    shown = name[:60].encode("unicode_escape").decode()
    segments = name.split("/")
    if len(name) > limits.path_characters or len(segments) > limits.depth:
        raise DataError(f"the path '{shown}…' is too long or too deep ({limits.depth} levels are allowed)")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or segment.endswith("."):
            raise DataError(f"'{shown}' is no path of a package: use letters, digits and _ + @ . - between slashes")
        if segment.split(".")[0].lower() in _DEVICES:
            raise DataError(f"'{shown}' is the name of a device on Windows; rename the file")
    return name


def packed_bytes(file: BinaryIO, entry: Entry, bytes_max: int) -> bytes:
    """The bytes of a small stored entry, checked against its CRC. Raises: DataError, OSError."""
    if entry.method != STORED or entry.bytes > bytes_max:
        raise DataError(f"'{entry.name}' must be stored as it is, in at most {bytes_max:,} bytes")
    data = _at(file, entry.offset, entry.bytes)
    if zlib.crc32(data) != entry.crc:
        raise DataError(f"'{entry.name}' is damaged (its CRC differs)")
    return data


def packed_blocks(entry: Entry) -> list[tuple[int, int]]:
    """Where the blocks of an entry's packed bytes are. Shape: (offset, bytes) each, at most 256 KiB."""
    end = entry.offset + entry.packed_bytes
    return [(at, min(_BLOCK, end - at)) for at in range(entry.offset, end, _BLOCK)]


def block(file: BinaryIO, offset: int, length: int) -> bytes:
    """Raises: DataError where the file became shorter meanwhile."""
    return _at(file, offset, length)


def _no_file_is_a_folder(entries: list[Entry]) -> None:
    files = {entry.name.casefold() for entry in entries}
    folders: dict[str, str] = {}
    for entry in entries:
        parts = entry.name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder.casefold() in files:
                raise DataError(f"'{folder}' is a file and a folder in the package at once")
            if folders.setdefault(folder.casefold(), folder) != folder:
                raise DataError(f"the folder '{folder}' differs from another only by case")


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise DataError("the package is cut off")
    return data
