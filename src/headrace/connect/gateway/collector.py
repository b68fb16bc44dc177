"""Publishes of many sockets, decoded and stored together, acknowledged when that is durable.

    sockets ──add──► [ gathered: 1 to 25 ms, or 512 ] ──► upstream.take ──► acknowledge ──► to who subscribed
                              │ more than `pending_bytes_max`                      │ Unavailable: not acknowledged,
                              ▼                                                    ▼ so the device sends again
                     no socket is read until it is half of that

One call of `take` is under way at a time, and what comes meanwhile is the next: order is kept, and the slower the disk
the larger the calls. A call has a price of its own, so messages are gathered for longer where many come, and hardly at
all where few do. A message that cannot be understood is refused for itself and holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from headrace.connect.gateway.limits import MESSAGE_BYTES, Overload
from headrace.connect.gateway.upstream import Gone, Outcome
from headrace.connect.mqtt.encoding import puback_bytes
from headrace.connect.mqtt.packets import Publish
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.payload.contract import Message
from headrace.model.errors import Unavailable

if TYPE_CHECKING:
    from headrace.connect.gateway.connection import Connection
    from headrace.connect.gateway.hub import Hub

_GATHER_S_MIN: Final = 0.001
_FEW, _MANY = 8, 64
"""Messages of one call: below, it is not worth waiting for more; above, waiting longer would save little."""

Owed = tuple[int, "Connection", Publish]
"""A message that is not done with when it is stored: its place, who sent it, and what is to be said or forwarded."""


class Collector:
    """`run` is the one task that stores. A connection appends to `messages` and `owed` and then says `added`, once a
    read, for this is where most of the time of a gateway goes."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._limits = hub, hub.limits
        self.messages: list[Message] = []
        self.owed: list[Owed] = []
        self.sent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._gone: list[Gone] = []
        self._size = 0
        self._gather_s = self._gather_s_min = min(_GATHER_S_MIN, hub.limits.gather_s)
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._closing = False

    @property
    def sheds(self) -> bool:
        """Whether messages of QoS 0 are dropped now."""
        limits = self._limits
        return limits.overload is Overload.DROP and self._hub.counters.pending_bytes > limits.pending_bytes_max // 2

    def add(self, connection: Connection, packet: Publish) -> None:
        """One message, with everything that may be owed for it."""
        if not packet.qos and self.sheds:
            self._hub.counters.dropped_messages += 1
            return
        self.owed.append((len(self.messages), connection, packet))
        self.messages.append(Message(connection.device, packet.topic, packet.payload, self._hub.read_ns))
        self.added(connection.device, 1, len(packet.payload))

    def added(self, device: str, count: int, size: int) -> None:
        """So many messages, of so many bytes together, were appended."""
        size += count * MESSAGE_BYTES
        self._size += size
        self.sent[device] += count
        counters = self._hub.counters
        counters.pending_bytes += size
        if counters.pending_bytes > self._limits.pending_bytes_max:
            self._hub.halt()
        if len(self.messages) >= self._limits.gather_max:
            self._now()
        elif self._timer is None:
            self._soon()

    def gone(self, device: str) -> None:
        """In its order with the messages around it."""
        self._gone.append(Gone(len(self.messages), device))
        self._soon()

    async def run(self) -> None:
        """Until closed and everything is stored, or refused. Raises what is a fault of ours."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.messages or self._gone:
                await self._store()
                if len(self.messages) < self._limits.gather_max and not self._closing:
                    break  # the next call gathers again
            if self.messages or self._gone:
                self._soon()
            if self._closing and not self.messages and not self._gone:
                return

    def tell(self) -> None:
        """How much each device has sent since this was last called, to whoever keeps the register of devices."""
        sent, refused = self.sent, self.refused
        self.sent, self.refused = Counter(), Counter()
        for device in sent | refused:
            self._hub.upstream.seen(device, device in self._hub.devices, sent[device], refused[device])

    def close(self) -> None:
        """`run` returns when what has come is stored."""
        self._closing = True
        self._now()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self._now)

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake.set()

    async def _store(self) -> None:
        hub, counters = self._hub, self._hub.counters
        messages, owed, gone, size = self.messages, self.owed, self._gone, self._size
        if len(messages) < _FEW:
            self._gather_s = max(self._gather_s / 2, self._gather_s_min)
        elif len(messages) < _MANY:
            self._gather_s = min(self._gather_s * 2, self._limits.gather_s)
        self.messages, self.owed, self._gone, self._size = [], [], [], 0
        try:
            outcome = await hub.upstream.take(messages, gone)
        except Unavailable:
            counters.unstored_messages += len(messages)
            self._refuse(owed)
            return
        finally:
            counters.pending_bytes -= size
            hub.resume()
        counters.messages += len(messages)
        counters.message_bytes += size - MESSAGE_BYTES * len(messages)
        counters.stored_messages += len(messages) - len(outcome.refused) - outcome.ignored
        counters.refused_messages += len(outcome.refused)
        counters.ignored_messages += outcome.ignored
        if outcome.refused:
            self.refused.update([messages[place].origin for place in outcome.refused])
        self._acknowledge(owed, outcome)
        for place, connection, packet in owed:
            if place not in outcome.refused:
                hub.forward(connection, packet)
        for reply in outcome.replies:
            hub.say(reply)

    def _acknowledge(self, owed: list[Owed], outcome: Outcome) -> None:
        """Each connection is written to once for messages that came one after another."""
        refused, last, out = outcome.refused, None, list[bytes]()
        for place, connection, packet in owed:
            if not packet.packet_id:
                continue
            if connection is not last:
                if last is not None:
                    last.acknowledge(b"".join(out), len(out))
                last, out = connection, []
            if packet.qos == 1 and not refused:
                out.append(puback_bytes(packet.packet_id))
            else:
                reason = Reason.PAYLOAD_FORMAT_INVALID if place in refused else Reason.SUCCESS
                out.append(connection.acknowledgement(packet, reason, refused.get(place, "")))
        if last is not None:
            last.acknowledge(b"".join(out), len(out))

    def _refuse(self, owed: list[Owed]) -> None:
        for _, connection, packet in owed:
            if packet.packet_id:
                connection.refuse_message(packet, Reason.QUOTA_EXCEEDED, "nothing can be stored now; send it again")
