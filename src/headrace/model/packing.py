"""Batches to bytes and back, for whoever carries them out of the process: handles inside, paths across.

    message   "HB" version=1 flags · dictionary · batches
    dictionary   count u32 · (handle u32, length u16, UTF-8 path)…       handles are the sender's own
    batches      count u32 · (kind u8, rows u32, columns)…
    columns      handle u32[rows] · source i64[rows] · received i64[rows] · quality u32[rows] · values
    values       float64 | int64: 8 bytes · bool: 1 byte · text: end u32[rows], UTF-8

All little-endian. What a stranger wrote costs no more than its own length: counts are held against it before anything
is made, and every error is a DataError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.model.events import Event
from headrace.model.points import PATH_LENGTH_MAX

MAGIC: Final = b"HB\x01"
HANDLE_MAX: Final = (1 << 24) - 1  # a receiver keeps a table of that length
_COUNT = struct.Struct("<I")
_ENTRY = struct.Struct("<IH")
_HEAD = struct.Struct("<BI")
_FIXED_BYTES: Final = 4 + 8 + 8 + 4
_VALUE_BYTES: Final = {ValueKind.FLOAT64: 8, ValueKind.INT64: 8, ValueKind.BOOL: 1, ValueKind.TEXT: 4}


@dataclass(frozen=True, slots=True)
class Packed:
    """What a message held. `paths` by the sender's handles, which are those of `batches`."""

    paths: Mapping[int, str]
    batches: Sequence[Batch]
    flags: int = 0


def pack(batches: Sequence[Batch], paths: Mapping[int, str], flags: int = 0) -> bytes:
    """One message. `paths` is the dictionary to send along, perhaps empty. Raises: DataError."""
    parts = [MAGIC, bytes([flags]), _COUNT.pack(len(paths))]
    for handle, path in paths.items():
        raw = path.encode()
        parts += (_ENTRY.pack(handle, len(raw)), raw)
    parts.append(_COUNT.pack(len(batches)))
    for batch in batches:
        parts += _pack_batch(batch)
    return b"".join(parts)


def unpack(message: bytes | memoryview) -> Packed:
    """The inverse of `pack`. Raises: DataError."""
    source = _Reader(memoryview(message))
    if bytes(source.take(3)) != MAGIC:
        raise DataError("these bytes are no batches of ours, or of another version")
    flags = source.take(1)[0]
    paths: dict[int, str] = {}
    for _ in range(source.count(_ENTRY.size)):
        handle, size = _ENTRY.unpack(source.take(_ENTRY.size))
        if handle > HANDLE_MAX or size > 4 * PATH_LENGTH_MAX:
            raise DataError(f"a dictionary names handle {handle} with a path of {size} bytes")
        paths[handle] = source.text(size)
    batches = [_unpack_batch(source) for _ in range(source.count(_HEAD.size))]
    if source.left:
        raise DataError(f"{source.left} bytes follow the last batch")
    return Packed(paths, batches, flags)


def used_handles(batches: Iterable[Batch]) -> Handles:
    """Each handle once, sorted. Shape: (handles,) uint32."""
    columns = [batch.handles for batch in batches]
    return np.unique(np.concatenate(columns)) if columns else np.empty(0, np.uint32)


def renumbered(batch: Batch, table: NDArray[np.int64]) -> Batch:
    """The same samples under the handles that `table` gives for theirs; samples of −1, or beyond it, are left out."""
    handles = batch.handles.astype(np.int64)
    known = handles < len(table)
    mine = np.full(len(handles), -1, np.int64)
    mine[known] = table[handles[known]]
    keep = mine >= 0
    if not keep.all():
        batch, mine = batch.take(keep), mine[keep]
    return Batch(batch.kind, mine.astype(np.uint32), batch.source_ns, batch.received_ns, batch.values, batch.quality)


def pack_events(events: Sequence[Event]) -> bytes:
    """JSON, for data of events has any shape. Raises: DataError for data that JSON does not hold."""
    try:
        return orjson.dumps(
            [[one.id, one.source, one.type, one.subject, one.time_ns, dict(one.data)] for one in events],
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
    except orjson.JSONEncodeError as error:
        raise DataError(f"an event cannot be sent: {error}") from None


def unpack_events(raw: bytes | memoryview) -> list[Event]:
    """Raises: DataError."""
    try:
        rows = orjson.loads(raw)
        events = [Event(*row) for row in rows] if isinstance(rows, list) else [Event(*rows)]
    except (orjson.JSONDecodeError, TypeError) as error:
        raise DataError(f"these bytes are no events: {error}") from None
    for one in events:
        texts = (one.id, one.source, one.type, one.subject)
        if not all(isinstance(text, str) for text in texts) or not isinstance(one.data, dict):
            raise DataError("these bytes are no events: a field has the wrong type")
        if not isinstance(one.time_ns, int) or isinstance(one.time_ns, bool) or abs(one.time_ns) >= 2**63:
            raise DataError("these bytes are no events: a time is no time")
    return events


def _pack_batch(batch: Batch) -> list[Any]:
    rows = len(batch)
    if rows and int(batch.handles.max()) > HANDLE_MAX:
        raise DataError(f"a handle beyond {HANDLE_MAX} cannot be sent")
    parts: list[Any] = [
        _HEAD.pack(batch.kind, rows),
        np.ascontiguousarray(batch.handles).data,
        np.ascontiguousarray(batch.source_ns).data,
        np.ascontiguousarray(batch.received_ns).data,
        np.ascontiguousarray(batch.quality).data,
    ]
    if batch.kind is ValueKind.TEXT:
        texts = [text.encode() for text in batch.values.tolist()]
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        if rows and ends[-1] >= 2**32:
            raise DataError("a batch of more than 4 GiB of text cannot be sent")
        parts += (ends.astype(np.uint32).data, *texts)
    else:
        parts.append(np.ascontiguousarray(batch.values).view(np.uint8).data)
    return parts if rows else [_HEAD.pack(batch.kind, 0)]


def _unpack_batch(source: _Reader) -> Batch:
    code, rows = _HEAD.unpack(source.take(_HEAD.size))
    try:
        kind = ValueKind(code)
    except ValueError:
        raise DataError(f"there is no kind of value {code}") from None
    if rows * (_FIXED_BYTES + _VALUE_BYTES[kind]) > source.left:
        raise DataError(f"a batch claims {rows} samples and {source.left} bytes are left")
    handles = source.column(np.uint32, rows)
    source_ns, received_ns = source.column(np.int64, rows), source.column(np.int64, rows)
    quality = source.column(np.uint32, rows)
    values: Any
    if kind is ValueKind.TEXT:
        values = _texts(source, rows)
    elif kind is ValueKind.BOOL:
        raw = source.column(np.uint8, rows)
        if rows and int(raw.max()) > 1:
            raise DataError("a bool is 0 or 1")
        values = raw.view(np.bool_)
    else:
        values = source.column(kind.dtype, rows)
    if rows and int(handles.max()) > HANDLE_MAX:
        raise DataError(f"a batch has a handle beyond {HANDLE_MAX}")
    return Batch(kind, handles, source_ns, received_ns, values, quality)


def _texts(source: _Reader, rows: int) -> NDArray[Any]:
    ends = source.column(np.uint32, rows).astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    if rows and (sizes.min() < 0 or sizes.max() > TEXT_BYTES_MAX):
        raise DataError("texts of a batch overlap, or are longer than a text can be")
    raw = bytes(source.take(int(ends[-1]) if rows else 0))
    try:
        texts = [raw[end - size : end].decode() for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]
    except UnicodeDecodeError:
        raise DataError("a text is not UTF-8") from None
    return np.array(texts, TEXT_DTYPE)


class _Reader:
    """Bytes from front to back, never beyond their end."""

    __slots__ = ("_at", "_bytes")

    def __init__(self, source: memoryview) -> None:
        self._bytes, self._at = source, 0

    @property
    def left(self) -> int:
        return len(self._bytes) - self._at

    def take(self, size: int) -> memoryview:
        if size > self.left:
            raise DataError(f"the message ends early: {size} bytes are needed, {self.left} are left")
        self._at += size
        return self._bytes[self._at - size : self._at]

    def count(self, least_bytes: int) -> int:
        """How many things follow, each of at least that size."""
        count = int(_COUNT.unpack(self.take(_COUNT.size))[0])
        if count * least_bytes > self.left:
            raise DataError(f"a message claims {count} entries and {self.left} bytes are left")
        return count

    def text(self, size: int) -> str:
        try:
            return bytes(self.take(size)).decode()
        except UnicodeDecodeError:
            raise DataError("a path is not UTF-8") from None

    def column(self, dtype: Any, rows: int) -> NDArray[Any]:
        wanted = np.dtype(dtype)
        return np.frombuffer(self.take(rows * wanted.itemsize), wanted).copy()
