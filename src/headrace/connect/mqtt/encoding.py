"""Packets to bytes. No I/O; what the protocol cannot say raises `DataError` and nothing is sent.

encode(packet, version) -> bytes                  any packet
encode_publish(…), puback_bytes(packet_id)        the two that are sent all the time
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from headrace.connect.mqtt import primitives as io
from headrace.connect.mqtt.packets import (
    NO_PROPERTIES,
    REMAINING_LENGTH_MAX,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    Properties,
    Property,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Version,
)
from headrace.connect.mqtt.properties import WILL, write_properties
from headrace.connect.mqtt.reasons import ALLOWED, ConnectReturn
from headrace.connect.mqtt.topics import why_no_filter, why_no_name
from headrace.model.errors import DataError

_T = PacketType


def encode(packet: Packet, version: Version) -> bytes:
    """Raises: DataError where a field does not fit, or the version has no such packet."""
    return _ENCODERS[packet.type](packet, version)


def encode_publish(
    topic: str,
    payload: bytes,
    version: Version,
    *,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    packet_id: int = 0,
    properties: Properties = NO_PROPERTIES,
) -> bytes:
    """§3.3. Raises: DataError."""
    if topic:
        wrong = why_no_name(topic)
        if wrong is not None:
            raise DataError(wrong)
    elif version is Version.V311 or Property.TOPIC_ALIAS not in properties:
        raise DataError("a publish has a topic name, or in MQTT 5 a topic alias")
    if not 0 <= qos <= 2 or (dup and not qos) or (qos == 0) != (packet_id == 0):
        raise DataError(f"QoS {qos}, packet identifier {packet_id} and DUP {dup} do not go together")
    name = io.write_string(topic, "topic name")
    ident = io.write_u16(packet_id, "packet identifier") if qos else b""
    held = _properties(properties, _T.PUBLISH, version)
    size = len(name) + len(ident) + len(held) + len(payload)
    return b"".join((bytes((0x30 | dup << 3 | qos << 1 | retain,)), _size(size), name, ident, held, payload))


def puback_bytes(packet_id: int) -> bytes:
    """A PUBACK that says success, in both versions."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def _connect(packet: Connect, version: Version) -> bytes:
    if packet.version is not version:
        raise DataError(f"a CONNECT of version {packet.version} cannot be written as {version}")
    will, flags = packet.will, 2 if packet.clean_start else 0
    parts = [io.write_string(packet.client_id, "client identifier")]
    if will is not None:
        if not 0 <= will.qos <= 2:
            raise DataError(f"a will has QoS 0 to 2, not {will.qos}")
        wrong = why_no_name(will.topic)
        if wrong is not None:
            raise DataError(f"will: {wrong}")
        flags |= 4 | will.qos << 3 | will.retain << 5
        parts += [_properties(will.properties, WILL, version), io.write_string(will.topic, "will topic")]
        parts.append(io.write_binary(will.payload, "will payload"))
    if packet.user is not None:
        flags |= 0x80
        parts.append(io.write_string(packet.user, "user name"))
    if packet.password is not None:
        if packet.user is None and version is Version.V311:
            raise DataError("MQTT 3.1.1 knows no password without a user name")
        flags |= 0x40
        parts.append(io.write_binary(packet.password, "password"))
    head = b"\0\4MQTT" + bytes((version, flags)) + io.write_u16(packet.keep_alive_s, "keep alive")
    return _packet(_T.CONNECT, head, _properties(packet.properties, _T.CONNECT, version), *parts)


def _connack(packet: Connack, version: Version) -> bytes:
    if version is Version.V5 or packet.reason > ConnectReturn.NOT_AUTHORIZED:
        _check_reasons((packet.reason,), _T.CONNACK)
    if packet.session_present and packet.reason:
        raise DataError("a refused connection has no session [MQTT-3.2.2-6]")
    head = bytes((packet.session_present, packet.reason))
    return _packet(_T.CONNACK, head, _properties(packet.properties, _T.CONNACK, version))


def _publish(packet: Publish, version: Version) -> bytes:
    return encode_publish(
        packet.topic, packet.payload, version, qos=packet.qos, retain=packet.retain, dup=packet.dup,
        packet_id=packet.packet_id, properties=packet.properties,
    )  # fmt: skip


def _ack(packet: Puback | Pubrec | Pubrel | Pubcomp, version: Version) -> bytes:
    ident = _packet_id(packet.packet_id)
    if version is Version.V311:
        if packet.reason or packet.properties:
            raise DataError("MQTT 3.1.1 has no reasons in its acknowledgements")
        return _packet(packet.type, ident)
    return _packet(packet.type, ident, _reason(packet.reason, packet.properties, packet.type))


def _subscribe(packet: Subscribe, version: Version) -> bytes:
    if not packet.subscriptions:
        raise DataError("a subscribe has at least one topic filter")
    parts = [_packet_id(packet.packet_id), _properties(packet.properties, _T.SUBSCRIBE, version)]
    for one in packet.subscriptions:
        wrong = why_no_filter(one.filter)
        if wrong is not None:
            raise DataError(wrong)
        options = one.qos | one.no_local << 2 | one.retain_as_published << 3 | one.retain_handling << 4
        if not 0 <= one.qos <= 2 or not 0 <= one.retain_handling <= 2 or (version is Version.V311 and options > 2):
            raise DataError(f"subscription options of '{one.filter}' are none that this version knows")
        parts += [io.write_string(one.filter, "topic filter"), bytes((options,))]
    return _packet(_T.SUBSCRIBE, *parts)


def _suback(packet: Suback, version: Version) -> bytes:
    _check_reasons(packet.reasons, _T.SUBACK)
    properties = _properties(packet.properties, _T.SUBACK, version)
    return _packet(_T.SUBACK, _packet_id(packet.packet_id), properties, bytes(packet.reasons))


def _unsubscribe(packet: Unsubscribe, version: Version) -> bytes:
    if not packet.filters:
        raise DataError("an unsubscribe has at least one topic filter")
    parts = [_packet_id(packet.packet_id), _properties(packet.properties, _T.UNSUBSCRIBE, version)]
    return _packet(_T.UNSUBSCRIBE, *parts, *(io.write_string(one, "topic filter") for one in packet.filters))


def _unsuback(packet: Unsuback, version: Version) -> bytes:
    if (version is Version.V5) != bool(packet.reasons):
        raise DataError("an unsuback has a reason for each filter in MQTT 5, and none in 3.1.1")
    _check_reasons(packet.reasons, _T.UNSUBACK)
    properties = _properties(packet.properties, _T.UNSUBACK, version)
    return _packet(_T.UNSUBACK, _packet_id(packet.packet_id), properties, bytes(packet.reasons))


def _ping(packet: Packet, version: Version) -> bytes:
    del version
    return _packet(packet.type)


def _farewell(packet: Disconnect | Auth, version: Version) -> bytes:
    if version is Version.V311:
        if packet.type is _T.AUTH or packet.reason or packet.properties:
            raise DataError("MQTT 3.1.1 has no AUTH and no reasons in DISCONNECT")
        return _packet(_T.DISCONNECT)
    return _packet(packet.type, _reason(packet.reason, packet.properties, packet.type))


_ENCODERS: Final[dict[PacketType, Callable[[Any, Version], bytes]]] = {
    _T.CONNECT: _connect, _T.CONNACK: _connack, _T.PUBLISH: _publish, _T.PUBACK: _ack, _T.PUBREC: _ack, _T.PUBREL: _ack,
    _T.PUBCOMP: _ack, _T.SUBSCRIBE: _subscribe, _T.SUBACK: _suback, _T.UNSUBSCRIBE: _unsubscribe,
    _T.UNSUBACK: _unsuback, _T.PINGREQ: _ping, _T.PINGRESP: _ping, _T.DISCONNECT: _farewell, _T.AUTH: _farewell,
}  # fmt: skip
_FLAGS: Final = {_T.PUBREL: 2, _T.SUBSCRIBE: 2, _T.UNSUBSCRIBE: 2}


def _packet(kind: PacketType, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((kind << 4 | _FLAGS.get(kind, 0),)) + _size(len(body)) + body


def _size(size: int) -> bytes:
    if size > REMAINING_LENGTH_MAX:
        raise DataError(f"a packet of {size} bytes is too long for MQTT; {REMAINING_LENGTH_MAX} is the most")
    return io.write_varint(size)


def _packet_id(packet_id: int) -> bytes:
    if not packet_id:
        raise DataError("a packet identifier is 1 to 65535")
    return io.write_u16(packet_id, "packet identifier")


def _properties(properties: Properties, packet: int, version: Version) -> bytes:
    """What is empty in 3.1.1, which has none: properties that are given are left out there."""
    return write_properties(properties, packet) if version is Version.V5 else b""


def _reason(reason: int, properties: Properties, kind: PacketType) -> bytes:
    """Left out where it is success and there are no properties."""
    _check_reasons((reason,), kind)
    if not properties:
        return bytes((reason,)) if reason else b""
    return bytes((reason,)) + write_properties(properties, kind)


def _check_reasons(reasons: Sequence[int], kind: PacketType) -> None:
    for reason in reasons:
        if reason not in ALLOWED[kind]:
            raise DataError(f"reason 0x{reason:02X} is none that {kind.name} may have")
