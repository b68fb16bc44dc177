"""Values to register bytes and back, whole columns at a time.

Registers arrive big-endian. `Gather` picks the bytes of every value of one encoding out of a block in one NumPy take,
already in little-endian order whatever the device's word and byte order is, so decoding is a view:

    payload ──take(index)──► bytes, value by value ──view('<f4')──► column ──scale, offset──► float64 | int64 | bool
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.drivers.modbus.config import Address, Encoding, Order
from headrace.model import quality as q
from headrace.model.batch import Value, ValueKind
from headrace.model.errors import DataError

_DTYPES: Final[dict[Encoding, np.dtype[Any]]] = {
    Encoding.BOOL: np.dtype("<u2"),
    Encoding.INT16: np.dtype("<i2"),
    Encoding.UINT16: np.dtype("<u2"),
    Encoding.INT32: np.dtype("<i4"),
    Encoding.UINT32: np.dtype("<u4"),
    Encoding.INT64: np.dtype("<i8"),
    Encoding.UINT64: np.dtype("<u8"),
    Encoding.FLOAT32: np.dtype("<f4"),
    Encoding.FLOAT64: np.dtype("<f8"),
}
_INT64_MAX: Final = 2**63 - 1


def byte_places(registers: int, order: Order) -> list[int]:
    """Where in the device's bytes the value's bytes are, least significant first."""
    words = list(range(registers))
    if not order.swaps_words:
        words.reverse()
    within = (0, 1) if order.swaps_bytes else (1, 0)
    return [2 * word + byte for word in words for byte in within]


class Gather:
    """All values of one encoding and order within the bytes of a read.

    `starts` are byte offsets of each value; `addresses` say scale, offset and bit. Shape of all: (values,).
    """

    def __init__(
        self, encoding: Encoding, order: Order, kind: ValueKind, places: Sequence[tuple[int, Address]]
    ) -> None:
        self.kind, self._encoding = kind, encoding
        starts = np.array([start for start, _ in places], np.intp)
        addresses = [address for _, address in places]
        self._index = (starts[:, None] + np.array(byte_places(encoding.registers, order), np.intp)).reshape(-1)
        self._dtype = _DTYPES[encoding]
        self._bits = np.array([-1 if address.bit is None else address.bit for address in addresses], np.int64)
        self._scale: NDArray[np.float64] | None = None
        self._offset: NDArray[np.float64] | None = None
        if any(address.scaled for address in addresses):
            self._scale = np.array([address.scale for address in addresses])
            self._offset = np.array([address.offset for address in addresses])

    def decode(self, raw: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint32] | None]:
        """The values, and a quality column where some are not good. Shape: (values,)."""
        column: NDArray[Any] = raw.take(self._index).view(self._dtype)
        if self._encoding is Encoding.BOOL:
            wide = column.astype(np.int64)
            return np.where(self._bits < 0, wide != 0, (wide >> np.maximum(self._bits, 0)) & 1 != 0), None
        if self.kind is ValueKind.FLOAT64:
            with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one, and is no news
                values = column.astype(np.float64)
            if self._scale is not None and self._offset is not None:
                values *= self._scale
                values += self._offset
            return values, None
        if self._encoding is Encoding.UINT64 and (too_big := column > _INT64_MAX).any():
            quality = np.where(too_big, q.BAD_OUT_OF_RANGE, q.GOOD).astype(np.uint32)
            return np.minimum(column, _INT64_MAX).astype(np.int64), quality
        return column.astype(np.int64), None


def decode_text(data: bytes, order: Order) -> tuple[str, int]:
    """UTF-8 up to the first NUL, and its quality: bytes that are no UTF-8 are shown as U+FFFD and bad."""
    if order.swaps_bytes:
        data = _swap_bytes(data)
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode("utf-8"), q.GOOD
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), q.BAD_DECODING_ERROR


def encode(address: Address, value: Value) -> bytes:
    """Register bytes as the device wants them; a bool register gives 0 or 1. Raises: DataError."""
    encoding = address.encoding
    if encoding is Encoding.TEXT:
        return _encode_text(address, value)
    if encoding is Encoding.BOOL:
        if not isinstance(value, bool):
            raise DataError(f"{value!r} is not a bool")
        little = int(value).to_bytes(2, "little")
    else:
        little = _number(address, value).tobytes()
    out = bytearray(len(little))
    for byte, place in zip(little, byte_places(encoding.registers, address.order), strict=True):
        out[place] = byte
    return bytes(out)


def _number(address: Address, value: Value) -> NDArray[Any]:
    if isinstance(value, (bool, str)):
        raise DataError(f"{value!r} is not a number")
    dtype = _DTYPES[address.encoding]
    if not math.isfinite(value):
        raise DataError("only finite numbers can be written")
    raw = (value - address.offset) / address.scale if address.scaled else value
    if address.encoding.is_float:
        with np.errstate(over="ignore"):
            number = np.array(raw, dtype)
        if not np.isfinite(number):
            raise DataError(f"{value!r} does not fit {address.encoding}")
        return number
    if not address.scaled and raw != int(raw):
        raise DataError(f"{value!r} is not a whole number, and its address holds {address.encoding}")
    whole, limits = round(raw), np.iinfo(dtype)
    if not limits.min <= whole <= limits.max:
        scaled = f" ({whole} in the register)" if address.scaled else ""
        raise DataError(f"{value!r}{scaled} does not fit {address.encoding}: {limits.min} to {limits.max}")
    return np.array(whole, dtype)


def _encode_text(address: Address, value: Value) -> bytes:
    if not isinstance(value, str):
        raise DataError(f"{value!r} is not a text")
    data, room = value.encode("utf-8"), 2 * address.width
    if len(data) > room or b"\0" in data:
        raise DataError(f"the text has {len(data)} bytes in UTF-8; its address takes {room}, none of them NUL")
    padded = data.ljust(room, b"\0")
    return _swap_bytes(padded) if address.order.swaps_bytes else padded


def _swap_bytes(data: bytes) -> bytes:
    return np.frombuffer(data, "<u2").byteswap().tobytes()


class BitGather:
    """Coils or discrete inputs within the bytes of a read: eight to a byte, the first in the lowest bit."""

    kind = ValueKind.BOOL

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        """`places`: (byte, bit) of each value."""
        self._bytes = np.array([byte for byte, _ in places], np.intp)
        self._shift = np.array([bit for _, bit in places], np.uint8)

    def decode(self, raw: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint32] | None]:
        """As `Gather.decode`."""
        return (raw.take(self._bytes) >> self._shift & 1).astype(np.bool_), None


class TextGather:
    """Texts within the bytes of a read. They are few and long: one by one."""

    kind = ValueKind.TEXT

    def __init__(self, places: Sequence[tuple[int, Address]]) -> None:
        self._places = [(start, start + 2 * address.width, address.order) for start, address in places]

    def decode(self, raw: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint32] | None]:
        """As `Gather.decode`."""
        decoded = [decode_text(raw[start:end].tobytes(), order) for start, end, order in self._places]
        values = np.array([text for text, _ in decoded], ValueKind.TEXT.dtype)
        return values, np.array([quality for _, quality in decoded], np.uint32)


AnyGather = Gather | BitGather | TextGather
