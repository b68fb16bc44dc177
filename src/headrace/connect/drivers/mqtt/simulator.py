"""A small MQTT broker with machines behind it: a test fixture, and something to point a first connection at.

    client ──CONNECT, SUBSCRIBE──► SimulatedBroker ◄──put(topic, payload)── a machine that tells its state
           ◄── what is known of the topics ──┘
           ──PUBLISH on a command topic──► on_command ──► the machine does it, and puts its new state

It keeps no sessions and no credentials and serves loopback: for anything else use a real broker.

broker = SimulatedBroker()
broker.put("plant/press-3/state", {"ts": 1767225600000, "oil": {"temperature": 62.4}})
async with broker: …   # 127.0.0.1:broker.port
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, cast

import orjson

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, encode_publish
from headrace.connect.mqtt.packets import Version
from headrace.connect.mqtt.parser import Parser, Side
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.mqtt.topics import matches
from headrace.model.errors import Garbled

_BYTES_MAX: Final = 1 << 20

OnCommand = Callable[[str, bytes], None]
"""Called with topic and payload of what a client publishes."""


class SimulatedBroker:
    """`async with` it, or `start` and `stop`. `known` is the last payload of each topic; `heard` what clients said."""

    def __init__(self, *, port: int = 0, host: str = "127.0.0.1", on_command: OnCommand | None = None) -> None:
        self.port, self.host, self.on_command = port, host, on_command
        self.known: dict[str, bytes] = {}
        self.heard: list[tuple[str, bytes]] = []
        self.refused: set[str] = set()
        """Filters to which nobody may subscribe."""
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    def put(self, topic: str, payload: bytes | Mapping[str, Any]) -> None:
        """A machine tells something: to whoever has subscribed, and to those who do so later."""
        said = payload if isinstance(payload, bytes) else orjson.dumps(dict(payload))
        self.known[topic] = said
        for client in list(self._clients):
            client.tell(topic, said)

    async def start(self) -> None:
        """Raises: OSError where the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in list(self._clients):
            client.abort()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def hear(self, packet: p.Publish) -> None:
        self.heard.append((packet.topic, packet.payload))
        del self.heard[:-1000]
        for client in list(self._clients):
            client.tell(packet.topic, packet.payload)
        if self.on_command is not None:
            self.on_command(packet.topic, packet.payload)


class _Client(asyncio.Protocol):
    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker
        self._parser = Parser(Side.SERVER, None, packet_bytes_max=_BYTES_MAX)
        self._version = Version.V5
        self._transport: asyncio.Transport | None = None
        self._filters: dict[str, int] = {}
        self._next_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._broker._clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._broker._clients.discard(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._parser.feed(data):
                self._take(packet)
        except Garbled:
            self.abort()

    def tell(self, topic: str, payload: bytes) -> None:
        qos = max((qos for pattern, qos in self._filters.items() if matches(pattern, topic)), default=None)
        if qos is None:
            return
        self._next_id = self._next_id % p.PACKET_ID_MAX + 1
        packet_id = self._next_id if qos else 0
        self._write(encode_publish(topic, payload, self._version, qos=min(qos, 1), packet_id=packet_id))

    def _take(self, packet: p.Packet) -> None:
        if isinstance(packet, p.Connect):
            self._version = packet.version
            self._say(p.Connack())
        elif isinstance(packet, p.Subscribe):
            self._subscribe(packet)
        elif isinstance(packet, p.Unsubscribe):
            for pattern in packet.filters:
                self._filters.pop(pattern, None)
            self._say(p.Unsuback(packet.packet_id, (0,) * len(packet.filters) if self._version is Version.V5 else ()))
        elif isinstance(packet, p.Publish):
            if packet.qos == 1:
                self._say(p.Puback(packet.packet_id))
            self._broker.hear(packet)
        elif isinstance(packet, p.Pingreq):
            self._say(p.Pingresp())
        elif isinstance(packet, p.Disconnect) and self._transport is not None:
            self._transport.close()

    def _subscribe(self, packet: p.Subscribe) -> None:
        reasons = []
        for one in packet.subscriptions:
            is_refused = one.filter in self._broker.refused
            reasons.append(
                int(Reason.NOT_AUTHORIZED if self._version is Version.V5 else 0x80) if is_refused else one.qos
            )
            if not is_refused:
                self._filters[one.filter] = one.qos
        self._say(p.Suback(packet.packet_id, tuple(reasons)))
        for topic, payload in self._broker.known.items():
            if any(matches(one.filter, topic) for one in packet.subscriptions):
                self.tell(topic, payload)

    def _say(self, packet: p.Packet) -> None:
        self._write(encode(packet, self._version))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
