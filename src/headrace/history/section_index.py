"""The index block of a section: where its chunks are and how to read them, and the moments that they share.

chunks u32 · length of the columns u32 · moments u32 · columns, one zstd frame · moments, one zstd frame
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import zstandard

from headrace.history.chunks import INDEX_COLUMNS, ChunkTable
from headrace.history.pack import pack_column, unpack_column
from headrace.model.batch import TimesNs
from headrace.model.errors import DataError

_INDEX: Final = struct.Struct("<III")  # chunks, length of their columns, moments


def encode_index(count: int, columns: bytes, moments: TimesNs, zstd: zstandard.ZstdCompressor) -> bytes:
    packed = zstd.compress(columns)
    return _INDEX.pack(count, len(packed), len(moments)) + packed + pack_column(moments, zstd, deltas=True)


def decode_index(data: bytes | memoryview) -> ChunkTable:
    """Raises: DataError, zstandard.ZstdError, struct.error."""
    count, length, _ = _INDEX.unpack_from(data)
    packed = data[_INDEX.size : _INDEX.size + length]
    size = count * sum(dtype.itemsize for dtype in INDEX_COLUMNS.values())
    if zstandard.frame_content_size(packed) != size:
        raise DataError("the index does not have the length that it says")
    plain, at = zstandard.ZstdDecompressor().decompress(packed), 0
    table: ChunkTable = {}
    for name, dtype in INDEX_COLUMNS.items():
        table[name] = np.frombuffer(plain, dtype, count, at)
        at += count * dtype.itemsize
    return table


def decode_moments(data: bytes | memoryview) -> TimesNs:
    """Raises: as `decode_index`."""
    _, length, count = _INDEX.unpack_from(data)
    return unpack_column(data[_INDEX.size + length :], count, zstandard.ZstdDecompressor(), deltas=True)
