"""The properties of MQTT 5 (§2.2.2): one table, read and written by one function each. Source: table 2-4.

length (variable byte integer) | identifier | value | identifier | value …
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from headrace.connect.mqtt import primitives as io
from headrace.connect.mqtt.packets import NO_PROPERTIES, REMAINING_LENGTH_MAX, PacketType, Properties, Property
from headrace.connect.mqtt.primitives import Malformed, protocol_error
from headrace.model.errors import DataError

WILL: Final = 0
"""Stands for the will properties of a CONNECT where a packet type is asked for (§3.1.3.2)."""

_P, _T = Property, PacketType
_ACKS: Final = (_T.PUBACK, _T.PUBREC, _T.PUBREL, _T.PUBCOMP)
_ALL: Final = (
    _T.CONNECT, _T.CONNACK, _T.PUBLISH, WILL, *_ACKS, _T.SUBSCRIBE, _T.SUBACK, _T.UNSUBSCRIBE, _T.UNSUBACK,
    _T.DISCONNECT, _T.AUTH,
)  # fmt: skip
_REASONED: Final = (_T.CONNACK, *_ACKS, _T.SUBACK, _T.UNSUBACK, _T.DISCONNECT, _T.AUTH)

Read = Callable[[bytes, int, str], tuple[Any, int]]
Write = Callable[[Any, str], bytes]


@dataclass(frozen=True, slots=True)
class _Row:
    """`least` and `most` bound a number; `many` says that the property may stand more than once."""

    packets: frozenset[int]
    read: Read
    write: Write
    least: int = 0
    most: int | None = None
    many: frozenset[int] = frozenset()
    is_topic: bool = False


def _read_pair(body: bytes, at: int, what: str) -> tuple[tuple[str, str], int]:
    name, at = io.read_string(body, at, what)
    value, at = io.read_string(body, at, what)
    return (name, value), at


def _write_pair(pair: tuple[str, str], what: str) -> bytes:
    return io.write_string(pair[0], what) + io.write_string(pair[1], what)


def _write_byte(value: int, what: str) -> bytes:
    del what
    return bytes((value,))


def _write_varint(value: int, what: str) -> bytes:
    del what
    return io.write_varint(value)


def _flag(*packets: int) -> _Row:
    return _Row(frozenset(packets), io.read_byte, _write_byte, most=1)


def _u16(*packets: int, least: int = 0) -> _Row:
    return _Row(frozenset(packets), io.read_u16, io.write_u16, least, 65_535)


def _u32(*packets: int, least: int = 0) -> _Row:
    return _Row(frozenset(packets), io.read_u32, io.write_u32, least, 0xFFFF_FFFF)


def _text(*packets: int, is_topic: bool = False) -> _Row:
    return _Row(frozenset(packets), io.read_string, io.write_string, is_topic=is_topic)


def _binary(*packets: int) -> _Row:
    return _Row(frozenset(packets), io.read_binary, io.write_binary)


_TABLE: Final[dict[int, _Row]] = {
    _P.PAYLOAD_FORMAT_INDICATOR: _flag(_T.PUBLISH, WILL),
    _P.MESSAGE_EXPIRY_INTERVAL: _u32(_T.PUBLISH, WILL),
    _P.CONTENT_TYPE: _text(_T.PUBLISH, WILL),
    _P.RESPONSE_TOPIC: _text(_T.PUBLISH, WILL, is_topic=True),
    _P.CORRELATION_DATA: _binary(_T.PUBLISH, WILL),
    _P.SUBSCRIPTION_IDENTIFIER: _Row(
        frozenset({_T.PUBLISH, _T.SUBSCRIBE}), io.read_varint, _write_varint, 1, REMAINING_LENGTH_MAX,
        frozenset({_T.PUBLISH}),
    ),
    _P.SESSION_EXPIRY_INTERVAL: _u32(_T.CONNECT, _T.CONNACK, _T.DISCONNECT),
    _P.ASSIGNED_CLIENT_IDENTIFIER: _text(_T.CONNACK),
    _P.SERVER_KEEP_ALIVE: _u16(_T.CONNACK),
    _P.AUTHENTICATION_METHOD: _text(_T.CONNECT, _T.CONNACK, _T.AUTH),
    _P.AUTHENTICATION_DATA: _binary(_T.CONNECT, _T.CONNACK, _T.AUTH),
    _P.REQUEST_PROBLEM_INFORMATION: _flag(_T.CONNECT),
    _P.WILL_DELAY_INTERVAL: _u32(WILL),
    _P.REQUEST_RESPONSE_INFORMATION: _flag(_T.CONNECT),
    _P.RESPONSE_INFORMATION: _text(_T.CONNACK),
    _P.SERVER_REFERENCE: _text(_T.CONNACK, _T.DISCONNECT),
    _P.REASON_STRING: _text(*_REASONED),
    _P.RECEIVE_MAXIMUM: _u16(_T.CONNECT, _T.CONNACK, least=1),
    _P.TOPIC_ALIAS_MAXIMUM: _u16(_T.CONNECT, _T.CONNACK),
    _P.TOPIC_ALIAS: _u16(_T.PUBLISH, least=1),
    _P.MAXIMUM_QOS: _flag(_T.CONNACK),
    _P.RETAIN_AVAILABLE: _flag(_T.CONNACK),
    _P.USER_PROPERTY: _Row(frozenset(_ALL), _read_pair, _write_pair, many=frozenset(_ALL)),
    _P.MAXIMUM_PACKET_SIZE: _u32(_T.CONNECT, _T.CONNACK, least=1),
    _P.WILDCARD_SUBSCRIPTION_AVAILABLE: _flag(_T.CONNACK),
    _P.SUBSCRIPTION_IDENTIFIER_AVAILABLE: _flag(_T.CONNACK),
    _P.SHARED_SUBSCRIPTION_AVAILABLE: _flag(_T.CONNACK),
}  # fmt: skip
#: Stands more than once in a PUBLISH, so it is a tuple everywhere.
_TUPLES: Final = frozenset({_P.SUBSCRIPTION_IDENTIFIER, _P.USER_PROPERTY})


def name_of(identifier: int) -> str:
    return Property(identifier).name.replace("_", " ").lower()


def read_properties(data: bytes, at: int, packet: int, stop: int) -> tuple[Properties, int]:
    """The properties at `at` and what follows them; `packet` is a packet type or `WILL`, `stop` where it ends.

    Raises: Malformed for a property that is unknown, does not belong there, or has a value it may not have
    [MQTT-2.2.2-1]; one that stands twice is a protocol error (§2.2.2.2).
    """
    if at < stop and data[at] == 0:
        return NO_PROPERTIES, at + 1
    size, at = io.read_varint(data, at, "property length", stop)
    end = at + size
    if end > stop:
        raise Malformed(f"property length: it says {size} bytes, the packet has {stop - at} left (v5 §2.2.2.1)")
    found: dict[int, Any] = {}
    area = data[at:end]
    place = 0
    while place < size:
        identifier, place = io.read_varint(area, place, "property identifier")
        row = _TABLE.get(identifier)
        if row is None:
            raise Malformed(f"property {identifier}: there is none of that number (v5 §2.2.2.2)")
        what = name_of(identifier)
        if packet not in row.packets:
            raise Malformed(f"{what}: this packet has no such property (v5 table 2-4)")
        value, place = row.read(area, place, what)
        _check(row, value, what)
        if identifier in found and packet not in row.many:
            raise protocol_error(f"{what}: it stands more than once (v5 §2.2.2.2)")
        found[identifier] = (*found.get(identifier, ()), value) if identifier in _TUPLES else value
    return found, end


def write_properties(properties: Properties, packet: int) -> bytes:
    """With their length in front. Raises: DataError for one that does not belong there or does not fit."""
    if not properties:
        return b"\0"
    parts = []
    for identifier, value in properties.items():
        row = _TABLE.get(identifier)
        if row is None or packet not in row.packets:
            raise DataError(f"property {identifier} does not belong into this packet (MQTT 5 table 2-4)")
        what = name_of(identifier)
        for one in value if identifier in _TUPLES else (value,):
            try:
                _check(row, one, what)
            except Malformed as error:
                raise DataError(error.message) from None
            parts.append(bytes((identifier,)) + row.write(one, what))
    joined = b"".join(parts)
    return io.write_varint(len(joined)) + joined


def _check(row: _Row, value: Any, what: str) -> None:
    if row.most is not None and not row.least <= value <= row.most:
        raise protocol_error(f"{what}: {value} is not {row.least} to {row.most} (v5 §3)")
    if row.is_topic and (not value or "+" in value or "#" in value):
        raise protocol_error(f"{what}: '{value[:80]}' is no topic name [MQTT-3.3.2-14]")
