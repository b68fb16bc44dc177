"""What survives a restart: a document and columns in one file, whole or not at all.

    file    magic, 8 bytes · CRC32 u32 of the rest · length of the document u64 · document, JSON · columns

A new file is written beside the old one, synced, renamed over it, and the folder is synced: after `kill -9` there is
the one or the other. Nothing is pickled: states are JSON, and NumPy arrays within it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import DataError

MAGIC: Final = b"HRSTATE1"
_HEAD: Final = struct.Struct("<8sI")
_LENGTH: Final = struct.Struct("<Q")
_ARRAY: Final = "\u0000array"
_DTYPES: Final = "biuf"
_DTYPE: Final = re.compile(r"[<|][biuf][1248]")
Columns = dict[str, NDArray[Any]]


def encode(document: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Raises: TypeError for what JSON cannot tell exactly: a tuple would come back as a list."""
    told = [[name, column.dtype.str, list(column.shape)] for name, column in columns.items()]
    head = json.dumps({"document": _plain(document), "columns": told}, separators=(",", ":")).encode()
    body = _LENGTH.pack(len(head)) + head + b"".join(np.ascontiguousarray(one).tobytes() for one in columns.values())
    return _HEAD.pack(MAGIC, zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[dict[str, Any], Columns]:
    """The inverse. Raises: DataError for anything else."""
    try:
        magic, crc = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if magic != MAGIC or zlib.crc32(body) != crc:
            raise DataError("the state of a stream function is damaged; remove it to begin anew")
        (length,) = _LENGTH.unpack_from(body)
        at = _LENGTH.size + length
        head = json.loads(bytes(body[_LENGTH.size : at]))
        columns: Columns = {}
        for name, dtype, shape in head["columns"]:
            count = int(np.prod(shape, dtype=np.int64))
            columns[name] = np.frombuffer(body, _dtype(dtype), count, at).reshape(shape)
            at += columns[name].nbytes
        return _rich(head["document"]), columns
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the state of a stream function cannot be read: {error}") from None


def write(path: Path, data: bytes) -> None:
    """Durable on return."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> tuple[dict[str, Any], Columns] | None:
    """None where nothing was written yet. Raises: DataError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return decode(data)


def plain_json(value: Any) -> bytes:
    """States as JSON. Raises: TypeError as `encode`."""
    return json.dumps(_plain(value), separators=(",", ":")).encode()


def from_json(data: bytes) -> Any:
    """The inverse. Raises: ValueError, TypeError."""
    return _rich(json.loads(data))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{key!r} is a key of a state; keys are text")
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in _DTYPES:
        return {_ARRAY: [value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode()]}
    raise TypeError(f"a {type(value).__name__} cannot be kept in a state; use numbers, texts, lists, dicts and arrays")


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(one) for one in value]
    if isinstance(value, dict):
        if _ARRAY in value:
            dtype, shape, data = value[_ARRAY]
            return np.frombuffer(base64.b64decode(data), _dtype(dtype)).reshape(shape).copy()
        return {key: _rich(one) for key, one in value.items()}
    return value


def _dtype(text: str) -> np.dtype[Any]:
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"no column is of {text[:20]}")
    return np.dtype(text)
