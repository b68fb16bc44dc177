"""IoTDB's result block (TsBlock): bytes to columns and columns to tablet bytes, without a socket and without pandas.

    block   int32 columns | u8 type each | int32 rows | u8 encoding each, time first | time column | value columns
    column  u8 may hold nulls | rows bits, first in the top bit, set where null | values of the rows that are not null
    runs    u8 encoding | a column of one row, which stands for all rows

Numbers are big-endian; bool values are bits, one for every row; a text is int32 length and bytes. Source: the
serialisation described in `org.apache.tsfile.read.common.block.column` of TsFile 2.0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import DataError

BOOLEAN, INT32, INT64, FLOAT, DOUBLE, TEXT = range(6)
TIMESTAMP, DATE, BLOB, STRING = 8, 9, 10, 11

ROWS_MAX: Final = 1_000_000  # far above what servers send; bounds what a damaged number can ask for

_BYTE_ARRAY, _INT32_ARRAY, _INT64_ARRAY, _BINARY_ARRAY, _RUN_LENGTH = range(5)
_FOUR: Final = {INT32: ">i4", FLOAT: ">f4", DATE: ">i4"}
_EIGHT: Final = {INT64: ">i8", DOUBLE: ">f8", TIMESTAMP: ">i8"}
_WIDE: Final = {BOOLEAN: np.dtype(np.bool_), INT32: np.dtype(np.int32), INT64: np.dtype(np.int64),
                FLOAT: np.dtype(np.float32), DOUBLE: np.dtype(np.float64), TIMESTAMP: np.dtype(np.int64),
                DATE: np.dtype(np.int32)}  # fmt: skip
_INT: Final = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class Column:
    """Shape: (rows,) each. Texts are `bytes` objects; where `present` is false the value means nothing."""

    values: NDArray[Any]
    present: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Block:
    time_ns: NDArray[np.int64]
    columns: Sequence[Column]


class _Reader:
    """A position in a block. Raises: DataError where the block ends early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise DataError(f"a result block of {len(self._data)} bytes ends before byte {end}")
        part, self._at = self._data[self._at : end], end
        return part

    def integer(self) -> int:
        return int(_INT.unpack(self.take(4))[0])

    def numbers(self, dtype: str, count: int) -> NDArray[Any]:
        numbers = np.frombuffer(self.take(np.dtype(dtype).itemsize * count), dtype)
        return numbers.astype(numbers.dtype.newbyteorder("="))

    def bits(self, count: int) -> NDArray[np.bool_]:
        return np.unpackbits(np.frombuffer(self.take((count + 7) // 8), np.uint8), count=count).astype(np.bool_)

    def texts(self, count: int) -> NDArray[Any]:
        texts = np.empty(count, object)
        for index in range(count):
            texts[index] = self.take(self.integer())
        return texts


def decode(data: bytes) -> Block:
    """One block as the server sent it. Raises: DataError."""
    reader = _Reader(data)
    width = reader.integer()
    types = list(reader.take(width))
    rows = reader.integer()
    if not 0 <= rows <= ROWS_MAX:
        raise DataError(f"a result block says that it has {rows} rows")
    encodings = list(reader.take(width + 1))
    times = _column(reader, encodings[0], INT64, rows)
    columns = [_column(reader, encoding, kind, rows) for encoding, kind in zip(encodings[1:], types, strict=True)]
    return Block(times.values, columns)


def _column(reader: _Reader, encoding: int, kind: int, rows: int) -> Column:
    if encoding == _RUN_LENGTH:
        one = _column(reader, reader.take(1)[0], kind, 1)
        return Column(np.repeat(one.values, rows), np.repeat(one.present, rows))
    present = ~reader.bits(rows) if reader.take(1)[0] else np.ones(rows, np.bool_)
    count = int(np.count_nonzero(present))
    if encoding == _BYTE_ARRAY and kind == BOOLEAN:
        return Column(reader.bits(rows), present)
    if encoding == _INT32_ARRAY and kind in _FOUR:
        return Column(_spread(reader.numbers(_FOUR[kind], count), present, _WIDE[kind]), present)
    if encoding == _INT64_ARRAY and kind in _EIGHT:
        return Column(_spread(reader.numbers(_EIGHT[kind], count), present, _WIDE[kind]), present)
    if encoding == _BINARY_ARRAY and kind in (TEXT, BLOB, STRING):
        return Column(_spread(reader.texts(count), present, np.dtype(object)), present)
    raise DataError(f"a result column has encoding {encoding} for type {kind}, which is unknown")


def _spread(values: NDArray[Any], present: NDArray[np.bool_], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values at the rows that have one."""
    if len(values) == len(present):
        return values
    spread = np.zeros(len(present), dtype)
    spread[present] = values
    return spread


def encode_column(values: NDArray[Any], kind: int) -> bytes:
    """A column of a tablet, without nulls. Raises: DataError for a type that a tablet of ours never has."""
    if kind == BOOLEAN:
        return values.astype(np.uint8).tobytes()
    if kind in _EIGHT:
        return values.astype(_EIGHT[kind]).tobytes()
    if kind in (TEXT, BLOB, STRING):
        parts = [text.encode() if isinstance(text, str) else text for text in values.tolist()]
        return b"".join(piece for part in parts for piece in (_INT.pack(len(part)), part))
    raise DataError(f"no tablet column is of type {kind}")
