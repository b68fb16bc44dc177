"""What is said to each packet of a device but CONNECT's admission and PUBLISH; one function a packet, one table.

Source: v5 §3, §4.3; 3.1.1 §3, §4.3. A packet that may not come now raises `Malformed`, which ends the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from headrace.connect.gateway.subscriptions import Granted
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.primitives import Malformed, protocol_error
from headrace.connect.mqtt.reasons import FAILURE_311, Reason
from headrace.connect.mqtt.topics import SHARE, allows, share_of
from headrace.sdk.devices import DeviceState

if TYPE_CHECKING:
    from headrace.connect.gateway.connection import Connection
    from headrace.connect.gateway.session import Session

_PINGRESP: Final = encode(p.Pingresp(), Version.V311)


def _connect(connection: Connection, packet: p.Connect) -> None:
    connection.hub.admission.asked(connection, packet)


def _subscribe(connection: Connection, packet: p.Subscribe) -> None:
    session, hub = _session(connection), connection.hub
    identifiers: tuple[int, ...] = packet.properties.get(Property.SUBSCRIPTION_IDENTIFIER, ())
    reasons, fresh = [], []
    for asked in packet.subscriptions:
        no = _why_not(connection, session, asked.filter)
        if no is not None:
            reasons.append(no if connection.version is Version.V5 else FAILURE_311)
            continue
        granted = Granted(
            asked.qos, asked.no_local, asked.retain_as_published, identifiers[0] if identifiers else 0
        )  # fmt: skip
        if session.subscriptions is None:
            session.subscriptions = {}
        session.subscriptions[asked.filter] = granted
        is_new = hub.subscriptions.add(session, asked.filter, granted)
        reasons.append(asked.qos)
        wants_retained = asked.retain_handling == 0 or (asked.retain_handling == 1 and is_new)
        if wants_retained and not asked.filter.startswith(SHARE):
            fresh.append((asked.filter, granted))
    connection.write(encode(p.Suback(packet.packet_id, tuple(reasons)), connection.version))
    for pattern, granted in fresh:
        hub.show_retained(session, pattern, granted)


def _why_not(connection: Connection, session: Session, pattern: str) -> Reason | None:
    admission = connection.admission
    if admission is None or admission.state is not DeviceState.APPROVED:
        return Reason.NOT_AUTHORIZED
    if not allows(admission.subscribe, share_of(pattern)[1]):
        return Reason.NOT_AUTHORIZED
    held = session.subscriptions or {}
    if pattern not in held and len(held) >= connection.hub.limits.subscriptions_max:
        return Reason.QUOTA_EXCEEDED
    return None


def _unsubscribe(connection: Connection, packet: p.Unsubscribe) -> None:
    session, reasons = _session(connection), []
    for pattern in packet.filters:
        existed = connection.hub.subscriptions.remove(session, pattern)
        if session.subscriptions is not None:
            session.subscriptions.pop(pattern, None)
        reasons.append(Reason.SUCCESS if existed else Reason.NO_SUBSCRIPTION_EXISTED)
    said = tuple(reasons) if connection.version is Version.V5 else ()
    connection.write(encode(p.Unsuback(packet.packet_id, said), connection.version))


def _puback(connection: Connection, packet: p.Puback) -> None:
    _session(connection).acknowledged(packet.packet_id, packet.reason)


def _pubrec(connection: Connection, packet: p.Pubrec) -> None:
    session, reason = _session(connection), Reason.SUCCESS
    if packet.reason >= Reason.UNSPECIFIED_ERROR:  # the exchange ends here (v5 §4.3.3)
        session.acknowledged(packet.packet_id, packet.reason)
        return
    if not session.got(packet.packet_id) and connection.version is Version.V5:
        reason = Reason.PACKET_IDENTIFIER_NOT_FOUND
    connection.write(encode(p.Pubrel(packet.packet_id, reason), connection.version))


def _pubrel(connection: Connection, packet: p.Pubrel) -> None:
    received, reason = _session(connection).received, Reason.SUCCESS
    if (received is None or received.pop(packet.packet_id, None) is None) and connection.version is Version.V5:
        reason = Reason.PACKET_IDENTIFIER_NOT_FOUND
    connection.write(encode(p.Pubcomp(packet.packet_id, reason), connection.version))


def _pubcomp(connection: Connection, packet: p.Pubcomp) -> None:
    _session(connection).completed(packet.packet_id)


def _pingreq(connection: Connection, packet: p.Pingreq) -> None:
    del packet
    connection.write(_PINGRESP)


def _disconnect(connection: Connection, packet: p.Disconnect) -> None:
    session = _session(connection)
    expiry_s = packet.properties.get(Property.SESSION_EXPIRY_INTERVAL)
    if Property.SERVER_REFERENCE in packet.properties:
        raise protocol_error("disconnect: a client sends no server reference (v5 §3.14.2.2.5)")
    if expiry_s is not None:
        if expiry_s and not session.expiry_s:
            raise protocol_error("disconnect: a session that ends with its connection cannot be prolonged "
                                 "(v5 §3.14.2.2.2)")  # fmt: skip
        session.expiry_s = connection.hub.admission.expiry_s(expiry_s)
    connection.polite = packet.reason == Reason.SUCCESS
    if connection.polite:
        connection.will = None  # [MQTT-3.14.4-3]
    connection.close()


def _auth(connection: Connection, packet: p.Auth) -> None:
    del connection, packet
    raise Malformed("auth: no authentication method was agreed (v5 §4.12)", Reason.PROTOCOL_ERROR)


def _session(connection: Connection) -> Session:
    assert connection.session is not None
    return connection.session


ANSWERS: Final[dict[type, Callable[[Any, Any], None]]] = {
    p.Connect: _connect,
    p.Subscribe: _subscribe,
    p.Unsubscribe: _unsubscribe,
    p.Puback: _puback,
    p.Pubrec: _pubrec,
    p.Pubrel: _pubrel,
    p.Pubcomp: _pubcomp,
    p.Pingreq: _pingreq,
    p.Disconnect: _disconnect,
    p.Auth: _auth,
}
