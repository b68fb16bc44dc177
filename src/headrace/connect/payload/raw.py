"""Messages that are one scalar: `21.5`, `on`, or the bytes of a number.

| encoding     | a message is                                         | the source time is |
|--------------|------------------------------------------------------|--------------------|
| text         | UTF-8 digits or words; for a text point all of it    | when it was received |
| float32 …    | exactly that many bytes, big-endian unless declared  | when it was received |
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from headrace.connect.payload.columns import Words, typed_column
from headrace.connect.payload.config import ByteOrder, Encoding, RawFormat
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import DataError
from headrace.sdk.driver import PointBinding

_CODES: Final = {
    Encoding.INT8: "b",
    Encoding.UINT8: "B",
    Encoding.INT16: "h",
    Encoding.UINT16: "H",
    Encoding.INT32: "i",
    Encoding.UINT32: "I",
    Encoding.INT64: "q",
    Encoding.UINT64: "Q",
    Encoding.FLOAT32: "f",
    Encoding.FLOAT64: "d",
}


class RawLayout:
    """Points of one kind and encoding; `take` one message for one of them."""

    def __init__(self, kind: ValueKind, encoding: Encoding, order: ByteOrder, words: Words) -> None:
        self._kind, self._encoding, self._words = kind, encoding, words
        self._dtype = (
            None if encoding is Encoding.TEXT else np.dtype((">" if order is ByteOrder.BIG else "<") + _CODES[encoding])
        )
        self._handles: list[int] = []
        self._payloads: list[Any] = []
        self._received: list[int] = []

    def take(self, handle: int, payload: bytes, received_ns: int) -> None:
        """Raises: DataError where the bytes are no text, or not as many as the number has."""
        if self._dtype is None:
            try:
                self._payloads.append(payload.decode("utf-8"))
            except UnicodeDecodeError:
                raise DataError("it is no UTF-8 text; say with 'encoding' which binary number it is") from None
        elif len(payload) == self._dtype.itemsize:
            self._payloads.append(payload)
        else:
            raise DataError(f"{self._encoding} has {self._dtype.itemsize} bytes; this message has {len(payload)}")
        self._handles.append(handle)
        self._received.append(received_ns)

    def batches(self) -> Iterable[Batch]:
        if not self._handles:
            return
        quality = None
        if self._dtype is None:
            values, quality, _ = typed_column(self._kind, self._payloads, self._words)
        else:
            numbers = np.frombuffer(b"".join(self._payloads), self._dtype)
            values = numbers.astype(self._kind.dtype)
            if self._encoding is Encoding.UINT64 and self._kind is ValueKind.INT64:
                quality = np.where(numbers > 2**63 - 1, np.uint32(q.BAD_OUT_OF_RANGE), np.uint32(q.GOOD))
        time_ns = np.array(self._received, np.int64)
        status = np.zeros(len(values), np.uint32) if quality is None else quality
        yield Batch(self._kind, np.array(self._handles, np.uint32), time_ns, time_ns, values, status)
        for column in (self._handles, self._payloads, self._received):
            column.clear()


def words_of(layout: RawFormat) -> dict[str, bool]:
    return {
        **{word.strip().lower(): False for word in layout.false},
        **{word.strip().lower(): True for word in layout.true},
    }


def check_value(point: PointBinding, value: Value) -> None:
    """Raises: DataError where a write's value is not of the point's kind."""
    fits = {
        ValueKind.FLOAT64: isinstance(value, int | float) and not isinstance(value, bool),
        ValueKind.INT64: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
        ValueKind.BOOL: isinstance(value, bool),
        ValueKind.TEXT: isinstance(value, str),
    }[point.kind]
    if not fits:
        raise DataError(f"'{point.path}' is {point.kind.label}; {value!r} is not")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"'{point.path}': {value} is no number that could be sent")


def encode_raw(value: Value, encoding: Encoding, order: ByteOrder, layout: RawFormat) -> bytes:
    """The bytes of a command. Raises: DataError where a number does not fit its encoding."""
    if encoding is Encoding.TEXT:
        if isinstance(value, bool):
            value = layout.true[0] if value else layout.false[0]
        return str(value).encode("utf-8", "surrogatepass")
    number: Any = value
    if encoding not in (Encoding.FLOAT32, Encoding.FLOAT64):
        if isinstance(number, float) and number % 1:
            raise DataError(f"{value} has a fraction, and {encoding} has none")
        number = int(number)
    try:
        return struct.pack((">" if order is ByteOrder.BIG else "<") + _CODES[encoding], number)
    except (struct.error, OverflowError):
        raise DataError(f"{value} does not fit {encoding}") from None
