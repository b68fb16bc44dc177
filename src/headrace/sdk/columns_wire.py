"""A document and columns as bytes: what is kept over a restart, and what goes over a pipe to a process that runs what
others wrote.

    magic, 8 bytes · CRC32 u32 of the rest · length of the document u64 · document, JSON · columns

Nothing is pickled: a document is JSON, with NumPy arrays within it, and columns are arrays of numbers. Whatever bytes
are given to `decode`, it gives what `encode` could have been given, or raises DataError; it holds no more memory than a
few times the bytes.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import DataError

MAGIC: Final = b"HRSTATE1"
_HEAD: Final = struct.Struct("<8sI")
_LENGTH: Final = struct.Struct("<Q")
_ARRAY: Final = "\u0000array"
_DTYPES: Final = "biuf"
_DTYPE: Final = re.compile(r"<[iuf][248]|\|[biu]1")
_DIMENSIONS_MAX: Final = 8
Columns = dict[str, NDArray[Any]]


def encode(document: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Raises: TypeError for what JSON cannot tell exactly: a tuple would come back as a list."""
    told = [[name, _told(column.dtype), list(column.shape)] for name, column in columns.items()]
    head = json.dumps({"document": _plain(document), "columns": told}, separators=(",", ":")).encode()
    body = b"".join((_LENGTH.pack(len(head)), head, *(_little(one).tobytes() for one in columns.values())))
    return _HEAD.pack(MAGIC, zlib.crc32(body)) + body


def document_bytes(data: bytes) -> int:
    """How long the document is of what `encode` made."""
    length: int = _LENGTH.unpack_from(data, _HEAD.size)[0]
    return length


def decode(
    data: bytes, what: str = "a message", *, document_bytes_max: int | None = None
) -> tuple[dict[str, Any], Columns]:
    """The inverse; columns are views of `data`. Raises: DataError that says of `what` that it cannot be read."""
    try:
        magic, crc = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if magic != MAGIC or zlib.crc32(body) != crc:
            raise DataError(f"{what} is damaged")
        (length,) = _LENGTH.unpack_from(body)
        at = _LENGTH.size + length
        if at > len(body) or (document_bytes_max is not None and length > document_bytes_max):
            raise ValueError("the document is cut off, or too long")
        head = json.loads(bytes(body[_LENGTH.size : at]))
        columns: Columns = {}
        for name, dtype, shape in head["columns"]:
            if not isinstance(name, str):
                raise TypeError("a column has a name")
            columns[name] = _array(body, dtype, shape, at)
            at += columns[name].nbytes
        document = _rich(head["document"])
        if not isinstance(document, dict):
            raise TypeError("a document is an object")
        return document, columns
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{what} cannot be read: {error}") from None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{key!r} is a key of a document; keys are text")
            if key == _ARRAY:
                raise TypeError("a key of a document is one that stands for arrays")
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in _DTYPES:
        return {_ARRAY: [_told(value.dtype), list(value.shape), base64.b64encode(_little(value).tobytes()).decode()]}
    raise TypeError(f"a {type(value).__name__} cannot be kept in a state; use numbers, texts, lists, dicts and arrays")


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(one) for one in value]
    if isinstance(value, dict):
        if _ARRAY in value:
            dtype, shape, data = value[_ARRAY]
            return _array(memoryview(base64.b64decode(data)), dtype, shape, 0).copy()
        return {key: _rich(one) for key, one in value.items()}
    return value


def _array(data: memoryview, dtype: Any, shape: Any, at: int) -> NDArray[Any]:
    """Raises: ValueError where there is not so much."""
    kind, count = _dtype(dtype), _count(shape)
    found = np.frombuffer(data, kind, count, at) if count else np.empty(0, kind)
    return found.reshape(shape)


def _told(dtype: np.dtype[Any]) -> str:
    """Raises: TypeError for what is no column of numbers."""
    told = dtype.newbyteorder("<").str
    if not _DTYPE.fullmatch(told):
        raise TypeError(f"a column of {dtype} cannot be kept; use numbers of 8 to 64 bits, true and false")
    return told


def _little(column: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(column, column.dtype.newbyteorder("<"))


def _dtype(text: Any) -> np.dtype[Any]:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ValueError(f"no column is of {str(text)[:20]}")
    return np.dtype(text)


def _count(shape: Any) -> int:
    """How many there are. Raises: ValueError."""
    if not isinstance(shape, list) or len(shape) > _DIMENSIONS_MAX or not all(
        isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 2**40 for one in shape
    ):  # fmt: skip
        raise ValueError("no column has that shape")
    count = math.prod(shape)
    if count >= 2**40:
        raise ValueError("no column has that shape")
    return count
