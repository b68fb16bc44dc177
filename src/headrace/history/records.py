"""Batches to bytes and back, for the write-ahead log and the catalog: cheap to write, exact to read.

    record   kind u8 · count u32 · handles · source · received · values · quality
    column   0 · every element   |   1 · one element for all   |   2 · first element, each next one more
             3 · first element, then the step to each next one as u8
    text     length u32 · lengths u32 each · UTF-8 bytes, all of it zstd

Source, received and handles of one poll are mostly columns of form 1 to 3, so a record holds little more than values.
Those are kept as they are: compressing them cost more CPU than everything else on the way to the log, for a third of
its bytes.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.model.batch import TEXT_DTYPE, Batch, ValueKind
from headrace.model.errors import DataError

Buffer = bytes | memoryview
_HEAD: Final = struct.Struct("<BI")
_of_thread: Final = threading.local()
_RAW, _CONSTANT, _COUNTING, _STEPS = 0, 1, 2, 3
_TEXT_BYTES_MAX: Final = 1 << 30
_HANDLE, _TIME, _QUALITY = np.dtype("<u4"), np.dtype("<i8"), np.dtype("<u4")
_VALUE: Final = {
    ValueKind.FLOAT64: np.dtype("<f8"),
    ValueKind.INT64: np.dtype("<i8"),
    ValueKind.BOOL: np.dtype("?"),
}


def encode_batches(batches: Sequence[Batch]) -> bytes:
    return b"".join(record_parts(batches))


def record_parts(batches: Sequence[Batch]) -> list[Buffer]:
    """The same, yet to be joined: columns that are stored as they are have not been copied."""
    parts: list[Buffer] = []
    for batch in batches:
        if not len(batch):
            continue
        parts.append(_HEAD.pack(batch.kind, len(batch)))
        _put(parts, batch.handles, counting=True)
        _put(parts, batch.source_ns)
        if batch.received_ns is batch.source_ns or _equal(batch.received_ns, batch.source_ns):
            parts.append(bytes([_COUNTING]))  # for received time: the same as source time
        else:
            _put(parts, batch.received_ns)
        if batch.kind is ValueKind.TEXT:
            packed = _compressor().compress(encode_texts(batch.values))
            parts += (len(packed).to_bytes(4, "little"), packed)
        else:
            parts.append(_bytes_of(batch.values))
        _put(parts, batch.quality)
    return parts


def _equal(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return bool(left[0] == right[0] and left[-1] == right[-1] and (left == right).all())


def _bytes_of(column: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(column).data.cast("B")


def _compressor() -> zstandard.ZstdCompressor:
    """One a thread: making one costs more than what it does to a hundred texts."""
    made: zstandard.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if made is None:
        made = _of_thread.compressor = zstandard.ZstdCompressor(level=1)
    return made


def decode_batches(payload: bytes) -> list[Batch]:
    """The inverse. Raises: DataError for anything that `encode_batches` did not make."""
    reader, batches = _Reader(payload), []
    while reader.rest:
        try:
            number, count = _HEAD.unpack(reader.take(_HEAD.size))
            kind = ValueKind(number)
        except ValueError:
            raise DataError("a record names an unknown value kind") from None
        handles = reader.column(_HANDLE, count)
        source = reader.column(_TIME, count)
        received = reader.column(_TIME, count, same=source)
        if kind is ValueKind.TEXT:
            values: NDArray[Any] = np.array(reader.text(count), TEXT_DTYPE)
        else:
            raw = reader.take(count * _VALUE[kind].itemsize)
            if kind is ValueKind.BOOL and count and max(raw) > 1:
                raise DataError("a record holds a bool that is neither true nor false")
            values = np.frombuffer(raw, _VALUE[kind])
        batches.append(Batch(kind, handles, source, received, values, reader.column(_QUALITY, count)))
    return batches


def encode_text(values: Sequence[str]) -> bytes:
    encoded = [value.encode() for value in values]
    return np.array([len(value) for value in encoded], _HANDLE).tobytes() + b"".join(encoded)


def encode_texts(column: NDArray[Any]) -> bytes:
    """`encode_text` of a column. Where all is ASCII, a text has as many bytes as characters."""
    values = column.tolist()
    text = "".join(values)
    if not text.isascii():
        return encode_text(values)
    return np.fromiter(map(len, values), _HANDLE, len(values)).tobytes() + text.encode()


def decode_text(data: bytes | memoryview, count: int) -> tuple[list[str], int]:
    """The texts and how many bytes they took. Raises: DataError."""
    if len(data) < 4 * count:
        raise DataError("text is cut short")
    lengths = np.frombuffer(data[: 4 * count], _HANDLE)
    ends = (4 * count + np.cumsum(lengths, dtype=np.int64)).tolist()
    if ends and ends[-1] > len(data):
        raise DataError("text is cut short")
    starts = [4 * count, *ends[:-1]]
    try:
        texts = [bytes(data[start:end]).decode() for start, end in zip(starts, ends, strict=False)]
    except UnicodeDecodeError:
        raise DataError("text is not UTF-8") from None
    return texts, ends[-1] if ends else 0


def _put(parts: list[Buffer], column: NDArray[Any], counting: bool = False) -> None:
    first = column[:1]
    if column[-1] == first[0] and bool((column == first).all()):
        parts += (bytes([_CONSTANT]), first.tobytes())
        return
    if counting:
        steps = column[1:] - column[:-1]  # wraps where a number is smaller than the one before
        if (largest := int(steps.max())) <= 0xFF:
            if largest == 1 == int(steps.min()):
                parts += (bytes([_COUNTING]), first.tobytes())
            else:
                parts += (bytes([_STEPS]), first.tobytes(), steps.astype(np.uint8).tobytes())
            return
    parts += (bytes([_RAW]), _bytes_of(column))


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self._payload, self._at = payload, 0

    @property
    def rest(self) -> int:
        return len(self._payload) - self._at

    def take(self, size: int) -> bytes:
        if size > self.rest:
            raise DataError("a record is cut short")
        self._at += size
        return self._payload[self._at - size : self._at]

    def column(self, dtype: np.dtype[Any], count: int, same: NDArray[Any] | None = None) -> NDArray[Any]:
        form = self.take(1)[0]
        if form == _RAW:
            return np.frombuffer(self.take(count * dtype.itemsize), dtype)
        if form > _STEPS:
            raise DataError("a record holds an unknown column form")
        if form == _COUNTING and same is not None:
            return same
        first = np.frombuffer(self.take(dtype.itemsize), dtype)
        if count > 1 << 24:
            raise DataError("a record claims more samples than a frame may hold")
        if form == _CONSTANT:
            return np.full(count, first[0], dtype)
        if form == _STEPS:
            column = np.empty(count, dtype)
            column[:1] = first
            column[1:] = np.frombuffer(self.take(max(count - 1, 0)), np.uint8)
            summed: NDArray[Any] = np.cumsum(column, dtype=dtype, out=column)
            return summed
        counting: NDArray[Any] = first[0] + np.arange(count, dtype=dtype)
        return counting

    def text(self, count: int) -> list[str]:
        packed = self.take(int.from_bytes(self.take(4), "little"))
        try:
            if not 0 <= zstandard.frame_content_size(packed) <= _TEXT_BYTES_MAX:
                raise DataError("a record claims more text than a frame may hold")
            data = zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise DataError(f"the text of a record cannot be unpacked: {error}") from None
        texts, used = decode_text(data, count)
        if used != len(data):
            raise DataError("a record holds text beyond its samples")
        return texts
