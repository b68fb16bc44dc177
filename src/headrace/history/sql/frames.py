"""What the platform and its SQL process say to each other: frames over two pipes, no sockets and no pickles.

    frame    tag u8 · length u32 · payload

    platform ─ QUERY, TABLES ─► process        what to run; points and assets
    platform ◄─ SCAN, NEXT ──── process        open a scan, give its next piece
    platform ─ SAMPLES | MINUTES | END ─► …    one piece, or the scan has no more
    platform ◄─ ANSWER, BYTES…, DONE ──        what came out
    platform ◄─ ERROR ─────────────────        or why nothing did

Pieces are pulled, one at a time, so neither side holds more than one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from headrace.model.batch import Handles
from headrace.model.errors import DataError
from headrace.sdk.store import Aggregate

HEAD: Final = struct.Struct("<BI")
FRAME_BYTES_MAX: Final = 1 << 30
_COUNT: Final = struct.Struct("<I")

#: The columns of `minutes`, in the order in which they travel; counts are int64, the rest float64.
MINUTE_AGGREGATES: Final = (
    Aggregate.COUNT,
    Aggregate.GOOD_COUNT,
    Aggregate.MIN,
    Aggregate.MAX,
    Aggregate.MEAN,
    Aggregate.SUM,
    Aggregate.FIRST,
    Aggregate.LAST,
)
_COUNTS: Final = frozenset({Aggregate.COUNT, Aggregate.GOOD_COUNT})


class Tag(IntEnum):
    QUERY = 1
    TABLES = 2
    SCAN = 3
    NEXT = 4
    SAMPLES = 5
    MINUTES = 6
    END = 7
    ANSWER = 8
    BYTES = 9
    DONE = 10
    ERROR = 11


def pack(tag: Tag, payload: bytes = b"") -> bytes:
    return HEAD.pack(tag, len(payload)) + payload


def pack_json(tag: Tag, content: Any) -> bytes:
    return pack(tag, orjson.dumps(content))


def head_of(data: bytes) -> tuple[Tag, int]:
    """(tag, length of the payload). Raises: DataError."""
    try:
        number, length = HEAD.unpack(data)
        tag = Tag(number)
    except (struct.error, ValueError):
        raise DataError("the SQL process sent something that is no frame") from None
    if length > FRAME_BYTES_MAX:
        raise DataError(f"the SQL process sent a frame of {length} bytes")
    return tag, length


def read_frame(pipe: IO[bytes]) -> tuple[Tag, bytes] | None:
    """The next frame of a blocking pipe; None where the other side has closed it. Raises: DataError."""
    head = pipe.read(HEAD.size)
    if not head:
        return None
    tag, length = head_of(head)
    payload = pipe.read(length)
    if len(payload) < length:
        return None
    return tag, payload


def json_of(payload: bytes) -> Any:
    """Raises: DataError."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise DataError("the SQL process sent a frame that is not JSON") from None


@dataclass(frozen=True, slots=True)
class Minutes:
    """Rows of the table `minutes`. Shape: (rows,) each."""

    handles: Handles
    start_ns: NDArray[np.int64]
    columns: Mapping[Aggregate, NDArray[Any]]


def encode_minutes(minutes: Minutes) -> bytes:
    arrays: list[NDArray[Any]] = [minutes.handles, minutes.start_ns]
    arrays += [minutes.columns[name].astype(_dtype(name), copy=False) for name in MINUTE_AGGREGATES]
    return _COUNT.pack(len(minutes.handles)) + b"".join(array.tobytes() for array in arrays)


def decode_minutes(payload: bytes) -> Minutes:
    """The inverse. Raises: DataError."""
    dtypes: list[np.dtype[Any]] = [np.dtype("<u4"), np.dtype("<i8")]
    dtypes += [_dtype(name) for name in MINUTE_AGGREGATES]
    count = _COUNT.unpack_from(payload)[0] if len(payload) >= _COUNT.size else 0
    if len(payload) != _COUNT.size + count * sum(dtype.itemsize for dtype in dtypes):
        raise DataError("a piece of 'minutes' has another length than it says")
    arrays: list[NDArray[Any]] = []
    at = _COUNT.size
    for dtype in dtypes:
        arrays.append(np.frombuffer(payload, dtype, count, at))
        at += count * dtype.itemsize
    return Minutes(arrays[0], arrays[1], dict(zip(MINUTE_AGGREGATES, arrays[2:], strict=True)))


def _dtype(name: Aggregate) -> np.dtype[Any]:
    return np.dtype("<i8") if name in _COUNTS else np.dtype("<f8")
