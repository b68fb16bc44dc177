"""Numbers, strings and binary data of MQTT (§1.5), strict in both directions. No I/O.

read_*   (bytes, position) -> (value, next position)    raises Malformed
write_*  value -> bytes                                 raises DataError where a value does not fit
"""

from __future__ import annotations

from typing import Final

from headrace.connect.mqtt.reasons import Reason
from headrace.model.errors import DataError, Garbled

STRING_BYTES_MAX: Final = 65_535


class Malformed(Garbled):
    """Bytes that are no MQTT, or break its rules. `reason` is what a v5 peer is told before it is cut off."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(message)
        self.reason = reason


def protocol_error(message: str) -> Malformed:
    """Well-formed bytes that the protocol does not allow there (v5 §4.13.1)."""
    return Malformed(message, Reason.PROTOCOL_ERROR)


def read_byte(body: bytes, at: int, what: str) -> tuple[int, int]:
    if at >= len(body):
        raise Malformed(f"{what}: the packet ends before it (§1.5)")
    return body[at], at + 1


def read_u16(body: bytes, at: int, what: str) -> tuple[int, int]:
    if at + 2 > len(body):
        raise Malformed(f"{what}: the packet ends before its two bytes (§1.5.2)")
    return body[at] << 8 | body[at + 1], at + 2


def read_u32(body: bytes, at: int, what: str) -> tuple[int, int]:
    if at + 4 > len(body):
        raise Malformed(f"{what}: the packet ends before its four bytes (v5 §1.5.3)")
    return int.from_bytes(body[at : at + 4], "big"), at + 4


def read_varint(body: bytes, at: int, what: str, stop: int | None = None) -> tuple[int, int]:
    """At most four bytes, and no more than are needed [MQTT-1.5.5-1]; nothing from `stop` on is looked at."""
    value = shift = 0
    end = len(body) if stop is None else stop
    for place in range(at, at + 4):
        if place >= end:
            raise Malformed(f"{what}: the packet ends within a variable byte integer (v5 §1.5.5)")
        digit = body[place]
        value |= (digit & 0x7F) << shift
        if digit < 0x80:
            if digit == 0 and shift:
                raise Malformed(f"{what}: a variable byte integer is longer than it has to be [MQTT-1.5.5-1]")
            return value, place + 1
        shift += 7
    raise Malformed(f"{what}: a variable byte integer has more than four bytes (v5 §1.5.5)")


def read_binary(body: bytes, at: int, what: str) -> tuple[bytes, int]:
    size, at = read_u16(body, at, what)
    if at + size > len(body):
        raise Malformed(f"{what}: it says {size} bytes, the packet has {len(body) - at} left (§1.5)")
    return body[at : at + size], at + size


def read_string(body: bytes, at: int, what: str) -> tuple[str, int]:
    raw, at = read_binary(body, at, what)
    return text_of(raw, what), at


def text_of(raw: bytes, what: str) -> str:
    """UTF-8 without surrogates and without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2]; a BOM is kept [MQTT-1.5.4-3]."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{what}: byte {error.start} is no UTF-8 [MQTT-1.5.4-1]") from None
    if "\0" in text:
        raise Malformed(f"{what}: it has a null character [MQTT-1.5.4-2]")
    return text


def write_varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_u16(value: int, what: str) -> bytes:
    return _number(value, 2, what)


def write_u32(value: int, what: str) -> bytes:
    return _number(value, 4, what)


def write_binary(value: bytes, what: str) -> bytes:
    if len(value) > STRING_BYTES_MAX:
        raise DataError(f"{what}: {len(value)} bytes are too many for MQTT; {STRING_BYTES_MAX} is the most")
    return len(value).to_bytes(2, "big") + value


def write_string(value: str, what: str) -> bytes:
    if "\0" in value:
        raise DataError(f"{what}: MQTT text has no null character")
    try:
        return write_binary(value.encode(), what)
    except UnicodeEncodeError:
        raise DataError(f"{what}: it has half of a surrogate pair, which is no character") from None


def _number(value: int, size: int, what: str) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise DataError(f"{what}: {value} does not fit {8 * size} bits") from None
