"""Bytes to packets, any number a read, however the stream is cut. No I/O.

    bytes ──► Parser.feed ──fixed header──► whole packet? ──yes──► PUBLISH and PUBACK here, for they are most of it
                  ▲                              │ no                 all others by the table of `decoding.py`
                  └───── what is left over ◄─────┘

What arrives is trusted in nothing: reserved bits, lengths, UTF-8, reasons and properties are checked, a packet longer
than agreed is refused before it is kept, and whatever is wrong raises `Malformed` with the clause.
Slices of `bytes`, not of a memoryview: a topic must be hashable to be looked up, a small copy is cheaper than a view.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from headrace.connect.mqtt import primitives as io
from headrace.connect.mqtt.decoding import FLAGS, UnsupportedVersion, decode_body, decode_connect
from headrace.connect.mqtt.packets import (
    NO_PROPERTIES,
    REMAINING_LENGTH_MAX,
    Packet,
    PacketType,
    Property,
    Puback,
    Publish,
    Version,
)
from headrace.connect.mqtt.primitives import Malformed, protocol_error
from headrace.connect.mqtt.properties import read_properties
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.mqtt.topics import why_no_name

_T = PacketType
_BOTH: Final = {_T.PUBLISH, _T.PUBACK, _T.PUBREC, _T.PUBREL, _T.PUBCOMP, _T.DISCONNECT, _T.AUTH}


class Side(Enum):
    """Who reads: a server takes what clients send, a client what servers send (table 2-1)."""

    SERVER = frozenset({_T.CONNECT, _T.SUBSCRIBE, _T.UNSUBSCRIBE, _T.PINGREQ} | _BOTH)
    CLIENT = frozenset({_T.CONNACK, _T.SUBACK, _T.UNSUBACK, _T.PINGRESP} | _BOTH)


_NAMES_MAX, _NAME_BYTES_MAX = 4096, 256


class Parser:
    """One direction of one connection. `version` is None for a server until CONNECT has said it.

    `packet_bytes_max` bounds a whole packet, fixed header included (v5 §3.1.2.11.4). `names` remembers topic names that
    were found to be good; parsers may share one, its size is bounded.
    """

    __slots__ = ("_accepts", "_missing", "_names", "_parts", "packet_bytes_max", "version")

    def __init__(
        self,
        side: Side,
        version: Version | None = None,
        *,
        packet_bytes_max: int = REMAINING_LENGTH_MAX + 5,
        names: dict[bytes, str] | None = None,
    ) -> None:
        self.version, self.packet_bytes_max = version, packet_bytes_max
        self._accepts = side.value
        self._names = {} if names is None else names
        self._parts: list[bytes] | None = None
        self._missing = 0

    @property
    def held_bytes(self) -> int:
        """What is kept of a packet that is not complete yet."""
        return sum(map(len, self._parts)) if self._parts else 0

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that these bytes complete, in order; use each iterator to its end.

        Raises: Malformed, after the packets before it; the stream is of no use from there.
        """
        if self._parts is not None:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data, self._parts = b"".join(self._parts), None
        at, end = 0, len(data)
        names, is_v5 = self._names, self.version is Version.V5
        while at < end:
            if end - at < 2:
                self._check_first(data[at])
                return self._keep(data[at:], 1)
            first, size, body = data[at], data[at + 1], at + 2
            if size >= 0x80:
                if first & 0xF0 != 0x30 or self.version is None:
                    self._check_first(first)
                size, body = self._long_size(data, body, end, size)
                if not body:
                    return self._keep(data[at:], 1)
            stop = body + size
            if stop > end or stop - at > self.packet_bytes_max:
                self._check_first(first)
                if stop - at > self.packet_bytes_max:
                    raise Malformed(
                        f"a packet of {stop - at} bytes; at most {self.packet_bytes_max} are taken (v5 §3.2.2.3.6)",
                        Reason.PACKET_TOO_LARGE,
                    )
                return self._keep(data[at:], stop - end)
            if first & 0xF0 == 0x30 and self.version is not None:
                qos = first >> 1 & 3
                place = body + 2 + (data[body] << 8 | data[body + 1]) if size > 1 else stop + 1
                raw = data[body + 2 : place]
                topic = names.get(raw)
                if topic is None:
                    topic = self._name(raw, place, stop)
                packet_id = 0
                if qos:
                    place += 2
                    if place > stop or qos == 3:
                        raise _wrong_publish(first)
                    packet_id = data[place - 2] << 8 | data[place - 1]
                    if not packet_id:
                        raise protocol_error("publish: its packet identifier is 0 [MQTT-2.2.1-3]")
                elif place > stop or first & 8:
                    raise _wrong_publish(first)
                properties = NO_PROPERTIES
                if is_v5:
                    if place < stop and not data[place]:
                        place += 1
                    else:
                        properties, place = read_properties(data, place, _T.PUBLISH, stop)
                    if not topic and Property.TOPIC_ALIAS not in properties:
                        raise protocol_error("publish: neither a topic name nor a topic alias (v5 §3.3.2.1)")
                elif not topic:
                    raise Malformed("publish: a topic name has at least one character [MQTT-4.7.3-1]")
                yield Publish(topic, data[place:stop], qos, first & 1 == 1, first & 8 != 0, packet_id, properties)
            elif first == 0x40 and size == 2 and self.version is not None and (data[body] or data[body + 1]):
                yield Puback(data[body] << 8 | data[body + 1])
            else:
                self._check_first(first)
                packet = self._decode(first, data[body:stop])
                is_v5 = self.version is Version.V5
                yield packet
            at = stop

    def _keep(self, rest: bytes, missing: int) -> None:
        self._parts, self._missing = [rest], missing

    def _check_first(self, first: int) -> None:
        """What can be said of a packet by its first byte."""
        kind = first >> 4
        if self.version is None and kind != _T.CONNECT:
            raise protocol_error(f"the first packet of a client is CONNECT, not {_kind_name(kind)} [MQTT-3.1.0-1]")
        if kind not in self._accepts or (kind == _T.AUTH and self.version is not Version.V5):
            raise protocol_error(f"{_kind_name(kind)} does not belong here (table 2-1)")
        if kind == _T.CONNECT and self.version is not None:
            raise protocol_error("a second CONNECT on one connection [MQTT-3.1.0-2]")
        if kind != _T.PUBLISH and first & 0x0F != FLAGS[PacketType(kind)]:
            raise Malformed(f"{_kind_name(kind)}: reserved flags are {first & 0x0F:04b} [MQTT-2.1.3-1]")

    def _long_size(self, data: bytes, at: int, end: int, first: int) -> tuple[int, int]:
        """A remaining length of more than one byte, and where the body begins; (0, 0) where it is not complete."""
        value, shift = first & 0x7F, 7
        for place in range(at, at + 3):
            if place >= end:
                return 0, 0
            digit = data[place]
            value |= (digit & 0x7F) << shift
            if digit < 0x80:
                if digit == 0:
                    raise Malformed("remaining length: it is longer than it has to be [MQTT-1.5.5-1]")
                return value, place + 1
            shift += 7
        raise Malformed("remaining length: more than four bytes (§2.1.4)")

    def _name(self, raw: bytes, end: int, stop: int) -> str:
        """A topic name that was not seen before."""
        if end > stop:
            raise Malformed("publish: its topic name is longer than the packet (§3.3.2)")
        topic = io.text_of(raw, "topic name")
        wrong = why_no_name(topic) if raw else None  # an empty name may have an alias
        if wrong is not None:
            raise Malformed(f"publish: {wrong}", Reason.TOPIC_NAME_INVALID)
        if len(raw) <= _NAME_BYTES_MAX:
            if len(self._names) >= _NAMES_MAX:
                self._names.clear()
            self._names[raw] = topic
        return topic

    def _decode(self, first: int, body: bytes) -> Packet:
        if self.version is not None:
            return decode_body(PacketType(first >> 4), body, self.version)
        try:
            connect = decode_connect(body)
        except UnsupportedVersion as error:
            self.version = error.answer_in
            raise
        self.version = connect.version
        return connect


def _kind_name(kind: int) -> str:
    return PacketType(kind).name if kind else "packet type 0"


def _wrong_publish(first: int) -> Malformed:
    """What is wrong with a PUBLISH whose topic was read."""
    if first & 0x06 == 0x06:
        return Malformed("publish: QoS 3 [MQTT-3.3.1-4]")
    if first & 0x0E == 0x08:
        return Malformed("publish: DUP with QoS 0 [MQTT-3.3.1-2]")
    return Malformed("publish: the packet ends before its topic name and packet identifier do (§3.3.2)")
