"""The bodies of packets: what follows the fixed header, by one function each. No I/O; see `parser.py` for the stream.

Every function takes (body, version), reads it to its last byte and raises `Malformed` with the clause that it breaks.
PUBLISH is decoded by the parser itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from headrace.connect.mqtt import primitives as io
from headrace.connect.mqtt.packets import (
    NO_PROPERTIES,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from headrace.connect.mqtt.primitives import Malformed, protocol_error
from headrace.connect.mqtt.properties import WILL, read_properties
from headrace.connect.mqtt.reasons import ALLOWED, FAILURE_311, ConnectReturn, Reason
from headrace.connect.mqtt.topics import SHARE, why_no_filter, why_no_name

_T = PacketType

#: Flags of the fixed header; anything else is malformed [MQTT-2.1.3-1]. PUBLISH has its own.
FLAGS: Final = {kind: 2 if kind in (_T.PUBREL, _T.SUBSCRIBE, _T.UNSUBSCRIBE) else 0 for kind in _T}


class UnsupportedVersion(Malformed):
    """A CONNECT of a protocol that is not ours; `answer_in` is the version whose CONNACK its sender may understand."""

    def __init__(self, message: str, answer_in: Version) -> None:
        super().__init__(message, Reason.UNSUPPORTED_PROTOCOL_VERSION)
        self.answer_in = answer_in


def decode_body(kind: PacketType, body: bytes, version: Version) -> Packet:
    """Every packet but PUBLISH. Raises: Malformed."""
    return _DECODERS[kind](body, version)


def decode_connect(body: bytes) -> Connect:
    """§3.1. Raises: UnsupportedVersion, Malformed."""
    name, at = io.read_string(body, 0, "protocol name")
    level, at = io.read_byte(body, at, "protocol version")
    if name != "MQTT" or level not in (Version.V311, Version.V5):
        older = name != "MQTT" or level < Version.V5
        raise UnsupportedVersion(
            f"connect: protocol '{name[:20]}' level {level}; use MQTT 3.1.1 or 5 [MQTT-3.1.2-1] [MQTT-3.1.2-2]",
            Version.V311 if older else Version.V5,
        )
    version = Version(level)
    flags, at = io.read_byte(body, at, "connect flags")
    will_qos = flags >> 3 & 3
    if flags & 1:
        raise Malformed("connect: the reserved flag is set [MQTT-3.1.2-3]")
    if will_qos == 3 or (not flags & 4 and flags & 0x38):
        raise Malformed(
            "connect: will QoS and will retain do not go with the will flag [MQTT-3.1.2-11] [MQTT-3.1.2-12]"
        )
    if flags & 0xC0 == 0x40 and version is Version.V311:
        raise Malformed("connect: a password without a user name [MQTT-3.1.2-22]")
    keep_alive_s, at = io.read_u16(body, at, "keep alive")
    properties, at = _properties(body, at, _T.CONNECT, version)
    client_id, at = io.read_string(body, at, "client identifier")
    will = user = password = None
    if flags & 4:
        will_properties, at = _properties(body, at, WILL, version)
        topic, at = io.read_string(body, at, "will topic")
        wrong = why_no_name(topic)
        if wrong is not None:
            raise Malformed(f"connect: will: {wrong}", Reason.TOPIC_NAME_INVALID)
        payload, at = io.read_binary(body, at, "will payload")
        will = Will(topic, payload, will_qos, flags & 0x20 != 0, will_properties)
    if flags & 0x80:
        user, at = io.read_string(body, at, "user name")
    if flags & 0x40:
        password, at = io.read_binary(body, at, "password")
    _end(body, at, _T.CONNECT)
    return Connect(client_id, version, flags & 2 != 0, keep_alive_s, user, password, will, properties)


def _connack(body: bytes, version: Version) -> Connack:
    flags, at = io.read_byte(body, 0, "connect acknowledge flags")
    if flags & 0xFE:
        raise Malformed("connack: reserved flags are set [MQTT-3.2.2-1]")
    reason, at = io.read_byte(body, at, "connect reason")
    if version is Version.V311:
        if reason > ConnectReturn.NOT_AUTHORIZED:
            raise Malformed(f"connack: return code {reason} is reserved (3.1.1 §3.2.2.3)")
    else:
        _check_reason(reason, _T.CONNACK)
    properties, at = _properties(body, at, _T.CONNACK, version)
    _end(body, at, _T.CONNACK)
    if reason and flags:
        raise protocol_error("connack: a session is present though the connection is refused [MQTT-3.2.2-6]")
    return Connack(flags == 1, reason, properties)


def _ack_fields(body: bytes, version: Version, kind: PacketType) -> tuple[int, int, Properties]:
    """Packet identifier, and in v5 a reason and properties that may be left out (§3.4.2.1, §3.4.2.2.1)."""
    packet_id, at = _packet_id(body, kind)
    if version is Version.V311 or at == len(body):
        _end(body, at, kind)
        return packet_id, 0, NO_PROPERTIES
    reason, properties = _reason_fields(body, at, kind)
    return packet_id, reason, properties


def _reason_fields(body: bytes, at: int, kind: PacketType) -> tuple[int, Properties]:
    reason, at = io.read_byte(body, at, "reason code")
    _check_reason(reason, kind)
    if at == len(body):
        return reason, NO_PROPERTIES
    properties, at = read_properties(body, at, kind, len(body))
    _end(body, at, kind)
    return reason, properties


def _puback(body: bytes, version: Version) -> Puback:
    return Puback(*_ack_fields(body, version, _T.PUBACK))


def _pubrec(body: bytes, version: Version) -> Pubrec:
    return Pubrec(*_ack_fields(body, version, _T.PUBREC))


def _pubrel(body: bytes, version: Version) -> Pubrel:
    return Pubrel(*_ack_fields(body, version, _T.PUBREL))


def _pubcomp(body: bytes, version: Version) -> Pubcomp:
    return Pubcomp(*_ack_fields(body, version, _T.PUBCOMP))


def _subscribe(body: bytes, version: Version) -> Subscribe:
    packet_id, at = _packet_id(body, _T.SUBSCRIBE)
    properties, at = _properties(body, at, _T.SUBSCRIBE, version)
    found = []
    while at < len(body):
        pattern, at = _filter(body, at)
        options, at = io.read_byte(body, at, "subscription options")
        if options & 3 == 3 or options & (0xC0 if version is Version.V5 else 0xFC):
            raise Malformed(f"subscribe: options {options:08b} have a reserved bit or QoS 3 [MQTT-3.8.3-5]")
        if options & 0x30 == 0x30:
            raise protocol_error("subscribe: retain handling 3 (v5 §3.8.3.1)")
        if options & 4 and pattern.startswith(SHARE):
            raise protocol_error("subscribe: no-local on a shared subscription [MQTT-3.8.3-4]")
        found.append(Subscription(pattern, options & 3, options & 4 != 0, options & 8 != 0, options >> 4 & 3))
    if not found:
        raise protocol_error("subscribe: no topic filter [MQTT-3.8.3-2]")
    return Subscribe(packet_id, tuple(found), properties)


def _suback(body: bytes, version: Version) -> Suback:
    packet_id, at = _packet_id(body, _T.SUBACK)
    properties, at = _properties(body, at, _T.SUBACK, version)
    reasons = tuple(body[at:])
    if not reasons:
        raise protocol_error("suback: no reason [MQTT-3.8.4-6]")
    for reason in reasons:
        if version is Version.V311 and reason > 2 and reason != FAILURE_311:
            raise Malformed(f"suback: return code 0x{reason:02X} is reserved [MQTT-3.9.3-2]")
        _check_reason(reason, _T.SUBACK)
    return Suback(packet_id, reasons, properties)


def _unsubscribe(body: bytes, version: Version) -> Unsubscribe:
    packet_id, at = _packet_id(body, _T.UNSUBSCRIBE)
    properties, at = _properties(body, at, _T.UNSUBSCRIBE, version)
    filters = []
    while at < len(body):
        pattern, at = _filter(body, at)
        filters.append(pattern)
    if not filters:
        raise protocol_error("unsubscribe: no topic filter [MQTT-3.10.3-2]")
    return Unsubscribe(packet_id, tuple(filters), properties)


def _unsuback(body: bytes, version: Version) -> Unsuback:
    packet_id, at = _packet_id(body, _T.UNSUBACK)
    properties, at = _properties(body, at, _T.UNSUBACK, version)
    if version is Version.V311:
        _end(body, at, _T.UNSUBACK)
        return Unsuback(packet_id)
    reasons = tuple(body[at:])
    if not reasons:
        raise protocol_error("unsuback: no reason [MQTT-3.11.3-1]")
    for reason in reasons:
        _check_reason(reason, _T.UNSUBACK)
    return Unsuback(packet_id, reasons, properties)


def _pingreq(body: bytes, version: Version) -> Pingreq:
    del version
    _end(body, 0, _T.PINGREQ)
    return Pingreq()


def _pingresp(body: bytes, version: Version) -> Pingresp:
    del version
    _end(body, 0, _T.PINGRESP)
    return Pingresp()


def _disconnect(body: bytes, version: Version) -> Disconnect:
    if version is Version.V311 or not body:
        _end(body, 0, _T.DISCONNECT)
        return Disconnect()
    return Disconnect(*_reason_fields(body, 0, _T.DISCONNECT))


def _auth(body: bytes, version: Version) -> Auth:
    if version is Version.V311:
        raise protocol_error("auth: MQTT 3.1.1 has no such packet (table 2-1)")
    return Auth(*_reason_fields(body, 0, _T.AUTH)) if body else Auth()


def _connect(body: bytes, version: Version) -> Connect:
    del version
    return decode_connect(body)


_DECODERS: Final[dict[PacketType, Callable[[bytes, Version], Packet]]] = {
    _T.CONNECT: _connect, _T.CONNACK: _connack, _T.PUBACK: _puback, _T.PUBREC: _pubrec, _T.PUBREL: _pubrel,
    _T.PUBCOMP: _pubcomp, _T.SUBSCRIBE: _subscribe, _T.SUBACK: _suback, _T.UNSUBSCRIBE: _unsubscribe,
    _T.UNSUBACK: _unsuback, _T.PINGREQ: _pingreq, _T.PINGRESP: _pingresp, _T.DISCONNECT: _disconnect, _T.AUTH: _auth,
}  # fmt: skip


def _packet_id(body: bytes, kind: PacketType) -> tuple[int, int]:
    packet_id, at = io.read_u16(body, 0, f"{kind.name.lower()}: packet identifier")
    if not packet_id:
        raise protocol_error(f"{kind.name.lower()}: its packet identifier is 0 [MQTT-2.2.1-3]")
    return packet_id, at


def _properties(body: bytes, at: int, packet: int, version: Version) -> tuple[Properties, int]:
    return read_properties(body, at, packet, len(body)) if version is Version.V5 else (NO_PROPERTIES, at)


def _filter(body: bytes, at: int) -> tuple[str, int]:
    pattern, at = io.read_string(body, at, "topic filter")
    wrong = why_no_filter(pattern)
    if wrong is not None:
        raise Malformed(wrong, Reason.TOPIC_FILTER_INVALID)
    return pattern, at


def _check_reason(reason: int, kind: PacketType) -> None:
    if reason not in ALLOWED[kind]:
        raise protocol_error(f"{kind.name.lower()}: reason 0x{reason:02X} is none that it may have (v5 table 2-6)")


def _end(body: bytes, at: int, kind: PacketType) -> None:
    if at != len(body):
        raise Malformed(f"{kind.name.lower()}: {len(body) - at} bytes too many (§3)")
