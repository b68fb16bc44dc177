"""Every packet that MQTT can say, for hypothesis; what each holds is what the standard allows and no more."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import PacketType, Property, Version
from headrace.connect.mqtt.properties import WILL
from headrace.connect.mqtt.reasons import ALLOWED

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
LEVEL = st.text(st.characters(exclude_characters="\0+#/", exclude_categories=["Cs"]), max_size=6)
NAME = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)
BINARY = st.binary(max_size=40)
IDENT = st.integers(1, p.PACKET_ID_MAX)
U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
FLAG = st.integers(0, 1)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    levels = draw(st.lists(LEVEL | st.just("+"), min_size=1, max_size=5))
    if draw(st.booleans()):
        levels.append("#")
    plain = "/".join(levels) or "x"
    if plain == "$share" or plain.startswith("$share/"):
        plain = "x"
    return f"$share/{draw(LEVEL.filter(bool))}/{plain}" if draw(st.booleans()) else plain


_VALUES: dict[Property, st.SearchStrategy[Any]] = {
    Property.PAYLOAD_FORMAT_INDICATOR: FLAG,
    Property.MESSAGE_EXPIRY_INTERVAL: U32,
    Property.CONTENT_TYPE: TEXT,
    Property.RESPONSE_TOPIC: NAME,
    Property.CORRELATION_DATA: BINARY,
    Property.SESSION_EXPIRY_INTERVAL: U32,
    Property.ASSIGNED_CLIENT_IDENTIFIER: TEXT,
    Property.SERVER_KEEP_ALIVE: U16,
    Property.AUTHENTICATION_METHOD: TEXT,
    Property.AUTHENTICATION_DATA: BINARY,
    Property.REQUEST_PROBLEM_INFORMATION: FLAG,
    Property.WILL_DELAY_INTERVAL: U32,
    Property.REQUEST_RESPONSE_INFORMATION: FLAG,
    Property.RESPONSE_INFORMATION: TEXT,
    Property.SERVER_REFERENCE: TEXT,
    Property.REASON_STRING: TEXT,
    Property.RECEIVE_MAXIMUM: IDENT,
    Property.TOPIC_ALIAS_MAXIMUM: U16,
    Property.TOPIC_ALIAS: IDENT,
    Property.MAXIMUM_QOS: FLAG,
    Property.RETAIN_AVAILABLE: FLAG,
    Property.USER_PROPERTY: st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3).map(tuple),
    Property.MAXIMUM_PACKET_SIZE: st.integers(1, 0xFFFF_FFFF),
    Property.WILDCARD_SUBSCRIPTION_AVAILABLE: FLAG,
    Property.SUBSCRIPTION_IDENTIFIER_AVAILABLE: FLAG,
    Property.SHARED_SUBSCRIPTION_AVAILABLE: FLAG,
}
_SUBSCRIPTION_ID = st.integers(1, p.REMAINING_LENGTH_MAX)

#: Written down from the standard once more, so that a wrong table in the codec is found.
PROPERTIES: dict[int, str] = {
    PacketType.CONNECT: "SESSION_EXPIRY_INTERVAL AUTHENTICATION_METHOD AUTHENTICATION_DATA REQUEST_PROBLEM_INFORMATION "
    "REQUEST_RESPONSE_INFORMATION RECEIVE_MAXIMUM TOPIC_ALIAS_MAXIMUM USER_PROPERTY MAXIMUM_PACKET_SIZE",
    PacketType.CONNACK: "SESSION_EXPIRY_INTERVAL ASSIGNED_CLIENT_IDENTIFIER SERVER_KEEP_ALIVE AUTHENTICATION_METHOD "
    "AUTHENTICATION_DATA RESPONSE_INFORMATION SERVER_REFERENCE REASON_STRING RECEIVE_MAXIMUM TOPIC_ALIAS_MAXIMUM "
    "MAXIMUM_QOS RETAIN_AVAILABLE USER_PROPERTY MAXIMUM_PACKET_SIZE WILDCARD_SUBSCRIPTION_AVAILABLE "
    "SUBSCRIPTION_IDENTIFIER_AVAILABLE SHARED_SUBSCRIPTION_AVAILABLE",
    PacketType.PUBLISH: "PAYLOAD_FORMAT_INDICATOR MESSAGE_EXPIRY_INTERVAL CONTENT_TYPE RESPONSE_TOPIC CORRELATION_DATA "
    "SUBSCRIPTION_IDENTIFIER TOPIC_ALIAS USER_PROPERTY",
    WILL: "PAYLOAD_FORMAT_INDICATOR MESSAGE_EXPIRY_INTERVAL CONTENT_TYPE RESPONSE_TOPIC CORRELATION_DATA "
    "WILL_DELAY_INTERVAL USER_PROPERTY",
    PacketType.PUBACK: "REASON_STRING USER_PROPERTY",
    PacketType.PUBREC: "REASON_STRING USER_PROPERTY",
    PacketType.PUBREL: "REASON_STRING USER_PROPERTY",
    PacketType.PUBCOMP: "REASON_STRING USER_PROPERTY",
    PacketType.SUBSCRIBE: "SUBSCRIPTION_IDENTIFIER USER_PROPERTY",
    PacketType.SUBACK: "REASON_STRING USER_PROPERTY",
    PacketType.UNSUBSCRIBE: "USER_PROPERTY",
    PacketType.UNSUBACK: "REASON_STRING USER_PROPERTY",
    PacketType.DISCONNECT: "SESSION_EXPIRY_INTERVAL SERVER_REFERENCE REASON_STRING USER_PROPERTY",
    PacketType.AUTH: "AUTHENTICATION_METHOD AUTHENTICATION_DATA REASON_STRING USER_PROPERTY",
}


@st.composite
def properties(draw: st.DrawFn, kind: int, version: Version) -> dict[int, Any]:
    if version is Version.V311:
        return {}
    names = [Property[name] for name in PROPERTIES[kind].split()]
    found: dict[int, Any] = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=6)):
        if name is Property.SUBSCRIPTION_IDENTIFIER:
            many = 3 if kind == PacketType.PUBLISH else 1
            found[name] = draw(st.lists(_SUBSCRIPTION_ID, min_size=1, max_size=many).map(tuple))
        else:
            found[name] = draw(_VALUES[name])
    return found


def _reason(kind: PacketType) -> st.SearchStrategy[int]:
    return st.sampled_from(sorted(ALLOWED[kind]))


@st.composite
def packets(draw: st.DrawFn, version: Version) -> p.Packet:
    kinds = [kind for kind in PacketType if kind is not PacketType.AUTH or version is Version.V5]
    kind = draw(st.sampled_from(kinds))
    v5 = version is Version.V5
    held = draw(properties(kind, version)) if kind in PROPERTIES else {}
    match kind:
        case PacketType.CONNECT:
            will = None
            if draw(st.booleans()):
                more = draw(properties(WILL, version))
                will = p.Will(draw(NAME), draw(BINARY), draw(st.integers(0, 2)), draw(st.booleans()), more)
            user = draw(st.none() | TEXT)
            password = draw(st.none() | BINARY) if v5 or user is not None else None
            return p.Connect(draw(TEXT), version, draw(st.booleans()), draw(U16), user, password, will, held)
        case PacketType.CONNACK:
            reason = draw(_reason(kind) if v5 else st.integers(0, 5))
            return p.Connack(draw(st.booleans()) and not reason, reason, held)
        case PacketType.PUBLISH:
            qos = draw(st.integers(0, 2))
            topic = draw(st.just("") | NAME) if Property.TOPIC_ALIAS in held else draw(NAME)
            ident = draw(IDENT) if qos else 0
            dup = bool(qos) and draw(st.booleans())
            return p.Publish(topic, draw(BINARY), qos, draw(st.booleans()), dup, ident, held)
        case PacketType.PUBACK | PacketType.PUBREC | PacketType.PUBREL | PacketType.PUBCOMP:
            made = {4: p.Puback, 5: p.Pubrec, 6: p.Pubrel, 7: p.Pubcomp}[kind]
            return made(draw(IDENT), draw(_reason(kind)) if v5 else 0, held)
        case PacketType.SUBSCRIBE:
            asked = []
            for pattern in draw(st.lists(patterns(), min_size=1, max_size=4)):
                local = v5 and not pattern.startswith("$share/") and draw(st.booleans())
                more = (local, draw(st.booleans()), draw(st.integers(0, 2))) if v5 else (False, False, 0)
                asked.append(p.Subscription(pattern, draw(st.integers(0, 2)), *more))
            return p.Subscribe(draw(IDENT), tuple(asked), held)
        case PacketType.SUBACK:
            one = _reason(kind) if v5 else st.sampled_from([0, 1, 2, 0x80])
            return p.Suback(draw(IDENT), tuple(draw(st.lists(one, min_size=1, max_size=4))), held)
        case PacketType.UNSUBSCRIBE:
            return p.Unsubscribe(draw(IDENT), tuple(draw(st.lists(patterns(), min_size=1, max_size=4))), held)
        case PacketType.UNSUBACK:
            reasons = draw(st.lists(_reason(kind), min_size=1, max_size=4)) if v5 else []
            return p.Unsuback(draw(IDENT), tuple(reasons), held)
        case PacketType.PINGREQ:
            return p.Pingreq()
        case PacketType.PINGRESP:
            return p.Pingresp()
        case PacketType.DISCONNECT:
            return p.Disconnect(draw(_reason(kind)) if v5 else 0, held)
        case _:
            return p.Auth(draw(_reason(kind)), held)
