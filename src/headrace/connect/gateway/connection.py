"""One device's connection: packets in, packets out. Its bounds are those of `socket.py`, its session's life is longer.

bytes ─► Parser ─┬─ PUBLISH ─► topic, right, window, rate ─► Collector        live
                 ├─ PUBLISH ─► preview, refused                               in quarantine
                 └─ others ──► `answers.py`
Session ── send, release ─► bytes                Collector ── acknowledge, refuse_message ─► bytes
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headrace.connect.gateway.answers import ANSWERS
from headrace.connect.gateway.session import Outgoing, Session
from headrace.connect.gateway.socket import Halt, Socket, State
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, encode_publish, puback_bytes
from headrace.connect.mqtt.packets import NO_PROPERTIES, Packet, Properties, Property, Publish, Version
from headrace.connect.mqtt.parser import Parser, Side
from headrace.connect.mqtt.primitives import Malformed, protocol_error
from headrace.connect.mqtt.reasons import Reason, connect_return
from headrace.connect.mqtt.topics import allows
from headrace.connect.payload.contract import Message
from headrace.sdk.devices import Admission, DeviceState, Preview

if TYPE_CHECKING:
    from headrace.connect.gateway.hub import Hub

_TOPICS_MAX = 64
_NONE: dict[str, bool] = {}
"""Shared by all that have published nothing yet; never changed."""
_PREVIEW_BYTES = 1024
Reasoned = p.Connack | p.Puback | p.Pubrec | p.Disconnect


class Connection(Socket):
    """`will` is cleared by a goodbye; `polite` says that the end is no reason to call the device gone; `granted`
    remembers for each topic whether the device may publish to it."""

    __slots__ = (
        "admission", "alias_max", "aliases_in", "aliases_out", "backlog", "device", "granted", "packet_max", "parser",
        "polite", "problem_information", "receive_max", "session", "unacknowledged", "will", "window",
    )  # fmt: skip

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.parser = Parser(Side.SERVER, packet_bytes_max=hub.limits.packet_bytes_max, names=hub.names)
        self.session: Session | None = None
        self.admission: Admission | None = None
        self.device = ""
        self.receive_max = hub.limits.receive_max
        self.window = hub.limits.receive_max
        self.packet_max = self.alias_max = self.unacknowledged = 0
        self.problem_information, self.polite = True, False
        self.will: p.Will | None = None
        self.granted: dict[str, bool] = _NONE
        self.aliases_in: dict[int, str] | None = None
        self.aliases_out: dict[str, int] | None = None
        self.backlog: deque[Packet] | None = None

    @property
    def version(self) -> Version:
        return self.parser.version or Version.V5

    @property
    def approved(self) -> bool:
        return self.admission is not None and self.admission.state is DeviceState.APPROVED

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.session is not None:
            self.session.drain()

    def data_received(self, data: bytes) -> None:
        hub = self.hub
        self.heard_s = hub.now_s
        hub.read_ns = now_ns = hub.clock.now_ns()
        collector, granted, device, count = hub.collector, self.granted, self.device, 0
        messages, owed, nobody = collector.messages, collector.owed, hub.subscriptions.nobody
        quick = self.state == State.LIVE and not collector.sheds
        try:
            for packet in self.parser.feed(data):
                # The hot path: a message on a topic that this device may publish to, which no device asked for, and
                # that needs at most a PUBACK. All others take the way around, with every check.
                if (
                    quick
                    and type(packet) is Publish
                    and packet.qos < 2
                    and granted.get(packet.topic)
                    and packet.topic in nobody
                    and not packet.retain
                    and not packet.properties
                ):
                    if packet.qos:
                        self.unacknowledged += 1
                        if self.unacknowledged >= self.window:
                            self._window_full()
                        owed.append((len(messages), self, packet))
                    messages.append(Message(device, packet.topic, packet.payload, now_ns))
                    count += 1
                else:
                    self.on_packet(packet)
                    quick = quick and self.state == State.LIVE
        except Malformed as error:
            self._broken(error)
        finally:
            if count:
                collector.added(device, count, len(data))
                self.tokens -= count
                if self.tokens < 0.0:
                    self.throttle()

    # --- packets in -----------------------------------------------------------------------------------------------

    def take_backlog(self, packets: Iterable[Packet]) -> None:
        """What came before the device was let in."""
        try:
            for packet in packets:
                self.on_packet(packet)
        except Malformed as error:
            self._broken(error)

    def on_packet(self, packet: Packet) -> None:
        if self.state == State.ADMITTING:  # a client need not wait for CONNACK (§3.1.4)
            if self.backlog is None:
                self.backlog = deque()
            self.backlog.append(packet)
        elif self.state == State.CLOSED:
            return
        elif type(packet) is not Publish:
            ANSWERS[type(packet)](self, packet)
        elif self.state == State.LIVE:
            self._on_publish(packet)
        else:
            self._on_preview(packet)

    def _on_publish(self, packet: Publish) -> None:
        """Everything that a message must pass before it is gathered."""
        if packet.properties or not packet.topic:
            self._check_properties(packet)
        topic = packet.topic
        may = self.granted.get(topic)
        if may is None:
            may = self._may_publish(topic)
        if packet.qos:
            if packet.qos == 2 and not self._is_new(packet):
                return
            self.unacknowledged += 1
            if self.unacknowledged >= self.window:
                self._window_full()
        self.tokens -= 1.0
        if self.tokens < 0.0:
            self.throttle()
        if may:
            self.hub.collector.add(self, packet)
            self.hub.subscriptions.match(topic)  # so that the next one on this topic may take the quick way
        else:
            self.hub.counters.denied_messages += 1
            self.hub.collector.refused[self.device] += 1
            if packet.qos:
                self.refuse_message(packet, Reason.NOT_AUTHORIZED, f"this device may not publish to '{topic[:200]}'")

    def _check_properties(self, packet: Publish) -> None:
        alias = packet.properties.get(Property.TOPIC_ALIAS)
        if Property.SUBSCRIPTION_IDENTIFIER in packet.properties:
            raise protocol_error("publish: a client sends no subscription identifier [MQTT-3.3.4-6]")
        if alias is None:
            return
        if alias > self.hub.limits.topic_alias_max:
            raise Malformed(f"topic alias {alias} is above the maximum [MQTT-3.3.2-9]", Reason.TOPIC_ALIAS_INVALID)
        if self.aliases_in is None:
            self.aliases_in = {}
        if packet.topic:
            self.aliases_in[alias] = packet.topic
        elif alias in self.aliases_in:
            packet.topic = self.aliases_in[alias]
        else:
            raise Malformed(f"topic alias {alias} was never given a topic (v5 §3.3.2.3.4)", Reason.PROTOCOL_ERROR)

    def _may_publish(self, topic: str) -> bool:
        if self.granted is _NONE:
            self.granted = {}
        elif len(self.granted) >= _TOPICS_MAX:
            self.granted.clear()
        assert self.admission is not None
        may = self.granted[topic] = allows(self.admission.publish, topic)
        return may

    def _is_new(self, packet: Publish) -> bool:
        """QoS 2: whether the message was not taken before under this packet identifier [MQTT-4.3.3-10]."""
        assert self.session is not None
        received = self.session.received
        if received is None:
            received = self.session.received = {}
        known = received.get(packet.packet_id)
        if known is None:
            received[packet.packet_id] = False
            if self.version is Version.V5 and len(received) + self.unacknowledged > self.window:
                self._too_many()  # QoS 2 counts until PUBCOMP (v5 §4.9)
            return True
        if known:
            self.write(encode(p.Pubrec(packet.packet_id), self.version))
        return False

    def _window_full(self) -> None:
        if self.version is Version.V311:
            self.halt(Halt.WINDOW)
        elif self.unacknowledged > self.window:
            self._too_many()

    def _too_many(self) -> None:
        raise Malformed(
            f"more than {self.window} messages without acknowledgement [MQTT-3.3.4-7]", Reason.RECEIVE_MAXIMUM_EXCEEDED
        )

    def _on_preview(self, packet: Publish) -> None:
        """A device in quarantine is looked at; nothing that it sends is stored, and nothing is acknowledged."""
        if packet.properties or not packet.topic:
            self._check_properties(packet)
        self.hub.counters.quarantined_messages += 1
        self.tokens -= 1.0
        if self.tokens < 0.0:
            self.throttle()
        seen = Preview(packet.topic, packet.payload[:_PREVIEW_BYTES], len(packet.payload), self.hub.read_ns)
        self.hub.upstream.preview(self.device, seen)
        if not packet.qos:
            return
        if self.version is Version.V5:
            self.unacknowledged += 1
            self.refuse_message(packet, Reason.NOT_AUTHORIZED, "this device waits for approval")
            return
        # 3.1.1 has no way to say no, and yes would be a lie: it sends them again once it is approved.
        self.unacknowledged += 1
        if self.unacknowledged > self.window:
            self.close()

    # --- acknowledging --------------------------------------------------------------------------------------------

    def acknowledgement(self, packet: Publish, reason: int, text: str) -> bytes:
        """The bytes that answer a message of QoS 1 or 2. A 3.1.1 device is told that a message which nobody can
        understand has arrived, or it would send it for ever."""
        version = self.version
        if packet.qos == 2:
            self._received(packet.packet_id, durable=reason < Reason.UNSPECIFIED_ERROR or version is Version.V311)
        if version is Version.V311:
            kind = p.Puback if packet.qos == 1 else p.Pubrec
            return encode(kind(packet.packet_id), version)
        if packet.qos == 1 and not reason:
            return puback_bytes(packet.packet_id)
        properties: Properties = self.reason_string(text) if reason else NO_PROPERTIES
        made = p.Puback if packet.qos == 1 else p.Pubrec
        return self.fitting(made(packet.packet_id, reason, properties))

    def acknowledge(self, data: bytes, count: int) -> None:
        """Send acknowledgements of `count` messages; nobody hears them where the device has gone."""
        self.unacknowledged -= count
        if self.transport is not None:
            self.transport.write(data)
            if self.halted & Halt.WINDOW and self.unacknowledged < self.window:
                self.go(Halt.WINDOW)

    def refuse_message(self, packet: Publish, reason: Reason, text: str) -> None:
        """Say no to a message of QoS 1 or 2: by its reason in v5; 3.1.1 can only be cut off, and sends it again."""
        if self.version is Version.V5:
            self.acknowledge(self.acknowledgement(packet, reason, text), 1)
            return
        if packet.qos == 2:
            self._received(packet.packet_id, durable=False)
        self.polite = True  # it is not the device that goes
        self.close()

    def _received(self, packet_id: int, *, durable: bool) -> None:
        received = self.session.received if self.session is not None else None
        if received is None:
            return
        if durable:
            received[packet_id] = True
        else:
            received.pop(packet_id, None)

    def reason_string(self, text: str) -> dict[int, Any]:
        """For packets in which a client may not want it [MQTT-3.1.2-29]."""
        return {Property.REASON_STRING: text[:500]} if text and self.problem_information else {}

    def fitting(self, packet: Reasoned) -> bytes:
        """Its bytes, without what only explains where the client takes no packet of that size [MQTT-3.4.2-2]."""
        data = encode(packet, self.version)
        if self.packet_max and len(data) > self.packet_max:
            packet.properties = NO_PROPERTIES
            data = encode(packet, self.version)
        return data

    # --- packets out ----------------------------------------------------------------------------------------------

    def send(self, message: Outgoing, packet_id: int, *, dup: bool = False) -> bool:
        counters, properties = self.hub.counters, message.properties
        if message.is_void(self.hub.now_s) and not dup:
            counters.expired += 1
            return False
        if self.transport is None or (not message.qos and not self.listens):
            counters.undelivered += 1
            return False
        topic, alias = message.topic, None
        if self.version is Version.V5:
            more: dict[int, Any] = {}
            if message.identifiers:
                more[Property.SUBSCRIPTION_IDENTIFIER] = message.identifiers
            if message.expires_s is not None:
                more[Property.MESSAGE_EXPIRY_INTERVAL] = max(int(message.expires_s - self.hub.now_s), 1)
            if self.alias_max:
                topic, alias = self._alias(topic)
                if alias is not None:
                    more[Property.TOPIC_ALIAS] = alias
            if more:
                properties = {**properties, **more}
        data = encode_publish(
            topic, message.payload, self.version, qos=message.qos, retain=message.retain, dup=dup,
            packet_id=packet_id, properties=properties,
        )  # fmt: skip
        if self.packet_max and len(data) > self.packet_max:  # [MQTT-3.1.2-24]
            counters.undelivered += 1
            return False
        if alias is not None and topic and self.aliases_out is not None:
            self.aliases_out[topic] = alias
        counters.delivered += 1
        self.transport.write(data)
        return True

    def _alias(self, topic: str) -> tuple[str, int | None]:
        """What to write for a topic: nothing where its alias is known, both where it is given one now."""
        if self.aliases_out is None:
            self.aliases_out = {}
        alias = self.aliases_out.get(topic)
        if alias is not None:
            return "", alias
        return topic, len(self.aliases_out) + 1 if len(self.aliases_out) < self.alias_max else None

    def release(self, packet_id: int) -> None:
        self.write(encode(p.Pubrel(packet_id), self.version))

    # --- the end --------------------------------------------------------------------------------------------------

    def refuse(self, reason: Reason, text: str) -> None:
        """Answer CONNECT with no, and close [MQTT-3.2.2-7]."""
        self.hub.counters.refused_connects += 1
        if self.version is Version.V5:
            self.write(self.fitting(p.Connack(False, reason, {Property.REASON_STRING: text[:500]})))
        else:
            self.write(encode(p.Connack(False, connect_return(reason)), Version.V311))
        self.close(linger=True)

    def _broken(self, error: Malformed) -> None:
        if self.state != State.CLOSED:
            self.hub.counters.garbled_connections += 1
            self.fail(error.reason, error.message)

    def fail(self, reason: Reason, text: str) -> None:
        """Tell a v5 client why, and close: DISCONNECT, or CONNACK where it was not let in yet (v5 §4.13.1)."""
        if self.state in (State.OPENING, State.ADMITTING):
            if self.parser.version is not None:
                self.refuse(reason, text)
                return
        elif self.version is Version.V5:
            self.write(self.fitting(p.Disconnect(reason, self.reason_string(text))))
            self.close(linger=True)
            return
        self.close()

    def began(self) -> None:
        self.hub.arrived(self)

    def ended(self) -> None:
        self.granted = _NONE
        self.backlog = self.aliases_in = self.aliases_out = None
        self.hub.left(self)
