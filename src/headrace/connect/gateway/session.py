"""What outlives a socket: the subscriptions of one client, the messages under way to it, and when all that ends.

    deliver ──► connected, and room in flight? ──yes──► in flight ──PUBACK / PUBREC, PUBCOMP──► done
                        │ no                               ▲   └──connection lost──► sent again with DUP
                        └──► queue (bounded: the oldest goes) ──┘

Everything that few sessions need is None until it is needed: an idle device costs little.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headrace.connect.gateway.limits import MESSAGE_BYTES, Counters, Limits
from headrace.connect.mqtt.packets import EXPIRY_NEVER, NO_PROPERTIES, PACKET_ID_MAX, Properties, Will

if TYPE_CHECKING:
    from headrace.connect.gateway.connection import Connection
    from headrace.connect.gateway.subscriptions import Granted

Key = tuple[str, str]
"""(device, client identifier): no device can take over, or ask for, the session of another."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message to one session. `expires_s` is on the gateway's clock; `identifiers` are those of the subscriptions
    that brought it; `done` is for whoever waits: the reason that the device gave, None where it will not arrive."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    properties: Properties = NO_PROPERTIES
    identifiers: tuple[int, ...] = ()
    expires_s: float | None = None
    done: asyncio.Future[int | None] | None = None

    @property
    def bytes(self) -> int:
        return len(self.payload) + MESSAGE_BYTES

    def is_void(self, now_s: float) -> bool:
        """Nobody wants it any more: it has expired, or whoever waited has given up."""
        expired = self.expires_s is not None and self.expires_s <= now_s
        return expired or (self.done is not None and self.done.cancelled())


class Line(Protocol):
    """What a session needs of its connection."""

    receive_max: int

    @property
    def listens(self) -> bool:
        """Whether the device reads what it is sent."""
        ...

    def send(self, message: Outgoing, packet_id: int, *, dup: bool = False) -> bool:
        """False where it is too late, too large for the client, or QoS 0 and no room; it is then counted."""
        ...

    def release(self, packet_id: int) -> None:
        """Say PUBREL."""
        ...


class Session:
    """Of one client. `connection` is None while it is away, `ends_s` then when it is forgotten."""

    __slots__ = (
        "_counters", "_flights", "_limits", "_next_id", "_queue", "_queue_bytes", "client_id", "connection", "device",
        "ends_s", "expiry_s", "received", "subscriptions", "will", "will_due_s", "will_from",
    )  # fmt: skip

    def __init__(self, device: str, client_id: str, limits: Limits, counters: Counters) -> None:
        self.device, self.client_id = device, client_id
        self.connection: Line | None = None
        self.subscriptions: dict[str, Granted] | None = None
        self.received: dict[int, bool] | None = None
        """QoS 2 of the device, by packet identifier: whether it is durable, and so PUBREC was said."""
        self.expiry_s = 0
        self.ends_s: float | None = None
        self.will: Will | None = None
        self.will_from: Connection | None = None
        self.will_due_s: float | None = None
        self._limits, self._counters = limits, counters
        self._flights: dict[int, Outgoing | None] | None = None  # None: received by the device, PUBCOMP is to come
        self._queue: deque[Outgoing] | None = None
        self._queue_bytes = 0
        self._next_id = 0

    @property
    def key(self) -> Key:
        return (self.device, self.client_id)

    @property
    def ends_with_connection(self) -> bool:
        return self.expiry_s == 0

    def ends_at(self, now_s: float) -> float | None:
        """When a session that is left alone now is forgotten; None for never."""
        return None if self.expiry_s == EXPIRY_NEVER else now_s + self.expiry_s

    # --- to the device --------------------------------------------------------------------------------------------

    def deliver(self, message: Outgoing) -> None:
        """Now, or when it can be; QoS 0 only to who is there."""
        line = self.connection
        if message.qos == 0:
            if line is None:
                self._lose(message)
            elif line.send(message, 0) and message.done is not None and not message.done.done():
                message.done.set_result(0)
            return
        if line is None or self._queue or not self._has_room(line):
            self._wait(message)
        else:
            self._fly(line, message)

    def acknowledged(self, packet_id: int, reason: int) -> bool:
        """PUBACK, or PUBREC with a failure. False where nothing of that number is under way."""
        flights = self._flights
        if not flights or flights.get(packet_id) is None:
            return False
        self._land(packet_id, reason)
        self.drain()
        return True

    def got(self, packet_id: int) -> bool:
        """PUBREC: it is with the device, and is to be released. False as above."""
        flights = self._flights
        if not flights or packet_id not in flights:
            return False
        message, flights[packet_id] = flights[packet_id], None
        _tell(message, 0)
        return True

    def completed(self, packet_id: int) -> bool:
        """PUBCOMP. False as above."""
        flights = self._flights
        if not flights or packet_id not in flights:
            return False
        self._land(packet_id, 0)
        self.drain()
        return True

    def resume(self, now_s: float) -> None:
        """The client is back: first what was under way, in its order, then what waits [MQTT-4.4.0-1].

        A command that its sender has given up is not sent again: what was wanted then may do harm now.
        """
        line = self.connection
        assert line is not None
        for packet_id, message in list((self._flights or {}).items()):
            if message is None:
                line.release(packet_id)
            elif message.is_void(now_s):
                self._counters.expired += 1
                self._land(packet_id, None)
            elif not line.send(message, packet_id, dup=True):
                self._land(packet_id, None)
        self.drain()

    def drain(self) -> None:
        """Send what waits, as far as the client takes it."""
        line, queue = self.connection, self._queue
        while queue and line is not None and self._has_room(line):
            message = queue.popleft()
            self._queue_bytes -= message.bytes
            self._fly(line, message)
        if not queue:
            self._queue = None

    def close(self) -> None:
        """The session is over: whoever waits for a message learns it."""
        for message in [*(self._flights or {}).values(), *(self._queue or ())]:
            if message is not None:
                self._lose(message)
        self._flights = self._queue = None
        self._queue_bytes = 0

    def pending(self) -> Iterator[Outgoing]:
        """What a successor of this session has to deliver, in order."""
        yield from (message for message in (self._flights or {}).values() if message is not None)
        yield from self._queue or ()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _has_room(self, line: Line) -> bool:
        return line.listens and len(self._flights or ()) < line.receive_max

    def _fly(self, line: Line, message: Outgoing) -> None:
        packet_id = self._free_id()
        if not line.send(message, packet_id):
            _tell(message, None)
            return
        if self._flights is None:
            self._flights = {}
        self._flights[packet_id] = message

    def _land(self, packet_id: int, reason: int | None) -> None:
        assert self._flights is not None
        message = self._flights.pop(packet_id)
        if not self._flights:
            self._flights = None
        _tell(message, reason)

    def _free_id(self) -> int:
        flights = self._flights or {}
        while True:  # receive_max keeps some free
            self._next_id = self._next_id % PACKET_ID_MAX + 1
            if self._next_id not in flights:
                return self._next_id

    def _wait(self, message: Outgoing) -> None:
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        queue.append(message)
        self._queue_bytes += message.bytes
        while len(queue) > self._limits.queue_max or self._queue_bytes > self._limits.queue_bytes_max:
            oldest = queue.popleft()
            self._queue_bytes -= oldest.bytes
            self._lose(oldest)

    def _lose(self, message: Outgoing) -> None:
        self._counters.undelivered += 1
        _tell(message, None)


def _tell(message: Outgoing | None, reason: int | None) -> None:
    if message is not None and message.done is not None and not message.done.done():
        message.done.set_result(reason)
