"""The socket under a client session: what is expected from it, what has come, and how it ends. See `client.py`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, puback_bytes
from headrace.connect.mqtt.packets import Property, Version, Will
from headrace.connect.mqtt.parser import Parser, Side
from headrace.connect.mqtt.primitives import protocol_error
from headrace.connect.mqtt.reasons import Reason, reason_name
from headrace.model.errors import Garbled, HeadraceError, Refused, Unreachable
from headrace.sdk.clock import Clock
from headrace.sdk.reach import Reach

#: Reasons in which trying again later may help: not the caller's fault.
BUSY: Final = {
    Reason.SERVER_UNAVAILABLE, Reason.SERVER_BUSY, Reason.SERVER_SHUTTING_DOWN, Reason.QUOTA_EXCEEDED,
    Reason.CONNECTION_RATE_EXCEEDED, Reason.USE_ANOTHER_SERVER, Reason.KEEP_ALIVE_TIMEOUT, Reason.MESSAGE_RATE_TOO_HIGH,
    Reason.ADMINISTRATIVE_ACTION, Reason.MAXIMUM_CONNECT_TIME, Reason.UNSPECIFIED_ERROR, Reason.SESSION_TAKEN_OVER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """`receive_max` bounds what is not acknowledged (v5), `queue_max` and `queue_bytes_max` what is received and not
    yet taken: beyond them the socket is not read. `session_expiry_s` keeps the session on the server for so long after
    the line is cut; with 3.1.1 anything but 0 keeps it.
    """

    host: str
    port: int = 1883
    client_id: str = ""
    version: Version = Version.V5
    clean_start: bool = True
    session_expiry_s: int = 0
    keep_alive_s: int = 60
    user: str | None = None
    password: bytes | None = None
    will: Will | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    connect_timeout_s: float = 10.0
    answer_timeout_s: float = 10.0
    in_flight_max: int = 100
    receive_max: int = 1000
    queue_max: int = 10_000
    queue_bytes_max: int = 16 << 20
    packet_bytes_max: int = 1 << 20
    reach: Reach = field(default_factory=Reach)


class Line(asyncio.Protocol):
    """The socket, what is expected from it, and what has come."""

    def __init__(self, options: ClientOptions, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._name = f"{options.host}:{options.port}"
        self._parser = Parser(Side.CLIENT, options.version, packet_bytes_max=options.packet_bytes_max)
        self._transport: asyncio.Transport | None = None
        self._error: HeadraceError | None = None
        self._connack: asyncio.Future[p.Connack] | None = None
        self._expected: dict[int, asyncio.Future[Any]] = {}
        self._next_id = 0
        self._messages: list[p.Publish] = []
        self._message_bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = asyncio.Event()
        self._halted = False
        self._unreleased: dict[int, bool] = {}  # QoS 2, by packet identifier: whether it was acknowledged
        self._heard_s = self._said_s = clock.monotonic_s()

    # --- for the client -------------------------------------------------------------------------------------------

    async def introduce(self, connect: p.Connect) -> p.Connack:
        self._connack = asyncio.get_running_loop().create_future()
        if self._error is not None:
            raise self._error
        self.write(encode(connect, self._options.version))
        return await self._connack

    def write(self, data: bytes) -> None:
        if self._error is not None:
            raise self._error
        assert self._transport is not None
        self._said_s = self._clock.monotonic_s()
        self._transport.write(data)

    async def writable(self) -> None:
        await self._room.wait()

    def expect(self) -> tuple[int, asyncio.Future[Any]]:
        """A packet identifier that is not in use, and the answer that will carry it."""
        if self._error is not None:
            raise self._error
        for _ in range(p.PACKET_ID_MAX):
            self._next_id = self._next_id % p.PACKET_ID_MAX + 1
            if self._next_id not in self._expected:
                break
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._expected[self._next_id] = answer
        return self._next_id, answer

    def forget(self, packet_id: int) -> None:
        answer = self._expected.pop(packet_id, None)
        if answer is not None:
            answer.cancel()

    async def take(self) -> list[p.Publish]:
        while not self._messages:
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        taken, self._messages, self._message_bytes = self._messages, [], 0
        if self._halted and self._transport is not None and self._error is None:
            self._halted = False
            self._transport.resume_reading()
        return taken

    def acknowledge(self, messages: Iterable[p.Publish]) -> None:
        out = []
        for message in messages:
            if message.qos == 1:
                out.append(puback_bytes(message.packet_id))
            elif message.qos == 2 and self._unreleased.get(message.packet_id) is False:
                self._unreleased[message.packet_id] = True
                out.append(encode(p.Pubrec(message.packet_id), self._options.version))
        if out and self._error is None:
            self.write(b"".join(out))

    async def beat(self, keep_alive_s: float) -> None:
        """Ping where nothing else was said [MQTT-3.1.2-20]; silence of one and a half times that is the end."""
        while self._error is None:
            now_s = self._clock.monotonic_s()
            if now_s - self._heard_s > 1.5 * keep_alive_s:
                self.fail(Unreachable(f"{self._name} has been silent for {now_s - self._heard_s:.0f} s"))
                return
            due_s = min(self._said_s, self._heard_s) + 0.75 * keep_alive_s
            if now_s >= due_s:
                self.write(encode(p.Pingreq(), self._options.version))
            await self._clock.sleep(max(due_s - now_s, 0.25 * keep_alive_s))

    def fail(self, error: HeadraceError) -> None:
        """The session is over; everybody who waits learns why."""
        if self._error is not None:
            return
        self._error = error
        waiting = [*self._expected.values(), *([self._connack] if self._connack is not None else [])]
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # a caller who has gone needs no warning
        self._news.set()
        self._room.set()
        if self._transport is not None:
            self._transport.abort()

    async def hang_up(self) -> None:
        if self._transport is None:
            return
        if self._error is None:
            if self._parser.version is not None:
                self._transport.write(encode(p.Disconnect(), self._options.version))
            self._error = Unreachable(f"the session with {self._name} was closed")
            self._transport.close()
        try:
            async with asyncio.timeout(1.0):
                await self._closed.wait()
        except TimeoutError:  # a peer that does not read keeps the last bytes from going out
            self._transport.abort()
        self._news.set()
        self._room.set()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        why = f": {error}" if error is not None else ""
        self.fail(Unreachable(f"{self._name} closed the connection{why}"))

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._clock.monotonic_s()
        try:
            for packet in self._parser.feed(data):
                if self._error is None:
                    self._on_packet(packet)
        except Garbled as error:
            self.fail(Garbled(f"{self._name} does not speak MQTT properly: {error.message}"))
            return
        if self._messages:
            self._news.set()
            if self._is_full() and not self._halted and self._transport is not None:
                self._halted = True
                self._transport.pause_reading()

    def _is_full(self) -> bool:
        options = self._options
        return len(self._messages) > options.queue_max or self._message_bytes > options.queue_bytes_max

    def _on_packet(self, packet: p.Packet) -> None:
        if isinstance(packet, p.Publish):
            self._on_publish(packet)
        elif isinstance(packet, p.Puback | p.Suback | p.Unsuback):
            answer = self._expected.get(packet.packet_id)
            if answer is not None and not answer.done():
                answer.set_result(packet)
        elif isinstance(packet, p.Pubrel):
            self._unreleased.pop(packet.packet_id, None)
            self.write(encode(p.Pubcomp(packet.packet_id), self._options.version))
        elif isinstance(packet, p.Connack):
            if self._connack is None or self._connack.done():
                raise protocol_error("a second CONNACK (§3.2)")
            self._connack.set_result(packet)
        elif isinstance(packet, p.Disconnect):
            why = packet.properties.get(Property.REASON_STRING)
            said = f"{self._name} ends the session: {reason_name(packet.reason)}{f', {why}' if why else ''}"
            self.fail((Unreachable if packet.reason in BUSY else Refused)(said))

    def _on_publish(self, packet: p.Publish) -> None:
        if packet.qos == 2:
            if packet.packet_id in self._unreleased:  # sent again: it is with us already
                if self._unreleased[packet.packet_id]:
                    self.write(encode(p.Pubrec(packet.packet_id), self._options.version))
                return
            self._unreleased[packet.packet_id] = False
        if Property.TOPIC_ALIAS in packet.properties:
            raise protocol_error("a topic alias, though none was allowed [MQTT-3.1.2-26]")
        self._messages.append(packet)
        self._message_bytes += len(packet.payload)
