"""The packets of MQTT 3.1.1 and 5.0 as Python objects. No bytes here, no checks: see `encoding.py`, `decoding.py`.

    client ── Connect ─────────────────────────────────────────► server
           ◄───────────────────────────────────────── Connack ──
           ── Subscribe, Unsubscribe, Pingreq ──────────────────►
           ◄──────────────────── Suback, Unsuback, Pingresp ──
           ◄─ Publish, Puback, Pubrec, Pubrel, Pubcomp, Disconnect, Auth (v5) ─►

What only v5 has (properties, most reasons) is left out of 3.1.1 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final


class Version(IntEnum):
    """The protocol level of CONNECT (§3.1.2.2)."""

    V311 = 4
    V5 = 5


class PacketType(IntEnum):
    """Table 2-1."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Property(IntEnum):
    """v5 table 2-4. Numbers are int, texts str, binary data bytes; a user property is a tuple of (name, value)
    pairs, a subscription identifier a tuple of int, for both may stand more than once."""

    PAYLOAD_FORMAT_INDICATOR = 1
    MESSAGE_EXPIRY_INTERVAL = 2
    CONTENT_TYPE = 3
    RESPONSE_TOPIC = 8
    CORRELATION_DATA = 9
    SUBSCRIPTION_IDENTIFIER = 11
    SESSION_EXPIRY_INTERVAL = 17
    ASSIGNED_CLIENT_IDENTIFIER = 18
    SERVER_KEEP_ALIVE = 19
    AUTHENTICATION_METHOD = 21
    AUTHENTICATION_DATA = 22
    REQUEST_PROBLEM_INFORMATION = 23
    WILL_DELAY_INTERVAL = 24
    REQUEST_RESPONSE_INFORMATION = 25
    RESPONSE_INFORMATION = 26
    SERVER_REFERENCE = 28
    REASON_STRING = 31
    RECEIVE_MAXIMUM = 33
    TOPIC_ALIAS_MAXIMUM = 34
    TOPIC_ALIAS = 35
    MAXIMUM_QOS = 36
    RETAIN_AVAILABLE = 37
    USER_PROPERTY = 38
    MAXIMUM_PACKET_SIZE = 39
    WILDCARD_SUBSCRIPTION_AVAILABLE = 40
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 41
    SHARED_SUBSCRIPTION_AVAILABLE = 42


Properties = Mapping[int, Any]


class _NoProperties(dict[int, Any]):
    """A dict, for speed, that is hashable, so that it can be a default, and takes nothing."""

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __setitem__(self, key: int, value: Any) -> None:
        raise TypeError("these are no properties, shared by all that have none")


NO_PROPERTIES: Final[Properties] = _NoProperties()


PACKET_ID_MAX: Final = 65_535
EXPIRY_NEVER: Final = 0xFFFF_FFFF
"""A session expiry interval that means never (v5 §3.1.2.11.2)."""
REMAINING_LENGTH_MAX: Final = 268_435_455


@dataclass(slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Connect:
    """`clean_start` is Clean Session in 3.1.1; `keep_alive_s` 0 means none."""

    type: ClassVar[PacketType] = PacketType.CONNECT
    client_id: str
    version: Version = Version.V5
    clean_start: bool = True
    keep_alive_s: int = 0
    user: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Connack:
    """`reason` is a return code (`reasons.ConnectReturn`) in 3.1.1."""

    type: ClassVar[PacketType] = PacketType.CONNACK
    session_present: bool = False
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Publish:
    """`packet_id` is 0 for QoS 0. `topic` may be empty in v5, where a topic alias says which."""

    type: ClassVar[PacketType] = PacketType.PUBLISH
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Puback:
    type: ClassVar[PacketType] = PacketType.PUBACK
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Pubrec:
    type: ClassVar[PacketType] = PacketType.PUBREC
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Pubrel:
    type: ClassVar[PacketType] = PacketType.PUBREL
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Pubcomp:
    type: ClassVar[PacketType] = PacketType.PUBCOMP
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True, frozen=True)
class Subscription:
    """One topic filter and its options; the last three exist in v5 only (§3.8.3.1)."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(slots=True)
class Subscribe:
    type: ClassVar[PacketType] = PacketType.SUBSCRIBE
    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Suback:
    """One reason for each subscription, in order."""

    type: ClassVar[PacketType] = PacketType.SUBACK
    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Unsubscribe:
    type: ClassVar[PacketType] = PacketType.UNSUBSCRIBE
    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Unsuback:
    """`reasons` has one for each filter in v5 and none in 3.1.1."""

    type: ClassVar[PacketType] = PacketType.UNSUBACK
    packet_id: int
    reasons: tuple[int, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Pingreq:
    type: ClassVar[PacketType] = PacketType.PINGREQ


@dataclass(slots=True)
class Pingresp:
    type: ClassVar[PacketType] = PacketType.PINGRESP


@dataclass(slots=True)
class Disconnect:
    type: ClassVar[PacketType] = PacketType.DISCONNECT
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class Auth:
    """v5 only (§3.15)."""

    type: ClassVar[PacketType] = PacketType.AUTH
    reason: int = 0
    properties: Properties = NO_PROPERTIES


Packet = (
    Connect | Connack | Publish | Puback | Pubrec | Pubrel | Pubcomp | Subscribe | Suback | Unsubscribe | Unsuback
    | Pingreq | Pingresp | Disconnect | Auth
)  # fmt: skip
