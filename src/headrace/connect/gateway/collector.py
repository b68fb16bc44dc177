"""Publishes of many sockets, decoded and stored together, acknowledged when that is durable.

    sockets ──add──► [ gathered: 1 to 25 ms, or 1024 ] ──► upstream.take ──► acknowledge ──► to who subscribed
                  └──512──► upstream.digest: decoded at once, while they are in the cache
                              │ more than `pending_bytes_max`                      │ Unavailable: not acknowledged,
                              ▼                                                    ▼ so the device sends again
                     no socket is read until it is half of that

One call of `take` is under way at a time, and what comes meanwhile is the next: order is kept, and the slower the disk
the larger the calls. A call has a price of its own, so they keep a distance of 25 ms unless there are many messages;
the first one after a pause hardly waits. A message that cannot be understood is refused for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from headrace.connect.gateway.limits import MESSAGE_BYTES, Overload
from headrace.connect.gateway.upstream import Gone, Outcome, Owed
from headrace.connect.mqtt.encoding import puback_bytes
from headrace.connect.mqtt.packets import Publish
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.payload.contract import Message
from headrace.model.errors import Unavailable

if TYPE_CHECKING:
    from headrace.connect.gateway.connection import Connection
    from headrace.connect.gateway.hub import Hub

_GATHER_S_MIN: Final = 0.001


Part = tuple[Any, list[Owed]]
"""What the platform needs of some messages, and what is owed for them."""


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
        self._parts: list[Part] = []
        self._size = self._count = 0
        self._fault: Exception | None = None
        self._last_s = 0.0
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
        self._count += count
        self.sent[device] += count
        counters = self._hub.counters
        counters.pending_bytes += size
        if counters.pending_bytes > self._limits.pending_bytes_max:
            self._hub.halt()
        if len(self.messages) >= self._limits.digest_max:
            self._digest()
        if self._is_full:
            self._now()
        elif self._timer is None:
            self._soon()

    def _digest(self) -> None:
        messages, owed, gone = self.messages, self.owed, self._gone
        if not messages and not gone:
            return
        self.messages, self.owed, self._gone = [], [], []
        try:
            self._parts.append((self._hub.upstream.digest(messages, gone, owed), owed))
        except Exception as fault:  # in the middle of a read; `run` is where faults of ours are heard
            self._fault = fault

    def gone(self, device: str) -> None:
        """In its order with the messages around it."""
        self._gone.append(Gone(len(self.messages), device))
        self._soon()

    async def run(self) -> None:
        """Until closed and everything is stored, or refused. Raises what is a fault of ours."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._is_full or self._has_any:
                await self._store()
                if not self._is_full and not self._closing:
                    break  # the next call gathers again
            if self._has_any:
                self._soon()
            elif self._closing:
                return

    @property
    def _is_full(self) -> bool:
        return self._count >= self._limits.gather_max

    @property
    def _has_any(self) -> bool:
        return bool(self.messages or self._gone or self._parts)

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
        """The first message after a pause hardly waits; calls that follow each other keep their distance."""
        if self._timer is None:
            loop, gather_s = asyncio.get_running_loop(), self._limits.gather_s
            due_s = max(self._last_s + gather_s, loop.time() + min(gather_s, _GATHER_S_MIN))
            self._timer = loop.call_at(due_s, self._now)

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake.set()

    async def _store(self) -> None:
        hub, counters = self._hub, self._hub.counters
        self._digest()
        if self._fault is not None:
            raise self._fault
        parts, size, count = self._parts, self._size, self._count
        self._parts, self._size, self._count = [], 0, 0
        self._last_s = asyncio.get_running_loop().time()
        try:
            outcomes = await hub.upstream.take([digest for digest, _ in parts])
        except Unavailable:
            counters.unstored_messages += count
            for _, owed in parts:
                self._refuse(owed)
            return
        finally:
            counters.pending_bytes -= size
            hub.resume()
        counters.messages += count
        counters.message_bytes += size - MESSAGE_BYTES * count
        counters.stored_messages += count
        for (_, owed), outcome in zip(parts, outcomes, strict=True):
            counters.stored_messages -= len(outcome.refused) + outcome.ignored
            counters.refused_messages += len(outcome.refused)
            counters.ignored_messages += outcome.ignored
            self.refused.update(outcome.refused_from)
            self._acknowledge(owed, outcome)
            for place, connection, packet in owed:
                if isinstance(packet, Publish) and place not in outcome.refused:
                    hub.forward(connection, packet)
            for reply in outcome.replies:
                hub.say(reply)

    def _acknowledge(self, owed: list[Owed], outcome: Outcome) -> None:
        """Each connection is written to once for messages that came one after another."""
        refused, last, out = outcome.refused, None, list[bytes]()
        for place, connection, packet in owed:
            packet_id = packet if isinstance(packet, int) else packet.packet_id
            if not packet_id:
                continue
            if connection is not last:
                if last is not None:
                    last.acknowledge(b"".join(out), len(out))
                last, out = connection, []
            if not refused and (isinstance(packet, int) or packet.qos == 1):
                out.append(puback_bytes(packet_id))
            else:
                reason = Reason.PAYLOAD_FORMAT_INVALID if place in refused else Reason.SUCCESS
                out.append(connection.acknowledgement(_whole(packet), reason, refused.get(place, "")))
        if last is not None:
            last.acknowledge(b"".join(out), len(out))

    def _refuse(self, owed: list[Owed]) -> None:
        for _, connection, packet in owed:
            whole = _whole(packet)
            if whole.packet_id:
                connection.refuse_message(whole, Reason.QUOTA_EXCEEDED, "nothing can be stored now; send it again")


def _whole(packet: Publish | int) -> Publish:
    """What of a plain message is needed to answer it."""
    return packet if isinstance(packet, Publish) else Publish("", b"", 1, packet_id=packet)
