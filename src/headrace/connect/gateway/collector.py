"""Publishes of many sockets, decoded and stored together, acknowledged when that is durable.

    sockets ──add──► [ gathered: 10 ms, or 512 messages ] ──► upstream.take ──► acknowledge ──► to who subscribed
                              │ more than `pending_bytes_max`                      │ Unavailable: not acknowledged,
                              ▼                                                    ▼ so the device sends again
                     no socket is read until it is half of that

One call of `take` is under way at a time, and what comes meanwhile is the next: order is kept, and the slower the disk
the larger the calls. A message that cannot be understood is refused for itself and holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

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

Entry = tuple["Connection", Publish, int]
"""Who published what, and when it came (ns)."""


class Collector:
    """`run` is the one task that stores; `add` never waits."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._limits = hub, hub.limits
        self._entries: list[Entry] = []
        self._gone: list[Gone] = []
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self.sent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def add(self, connection: Connection, packet: Publish) -> None:
        counters, limits, entries = self._hub.counters, self._limits, self._entries
        if (
            not packet.qos
            and limits.overload is Overload.DROP
            and counters.pending_bytes > limits.pending_bytes_max >> 1
        ):
            counters.dropped_messages += 1
            return
        entries.append((connection, packet, self._hub.read_ns))
        counters.pending_bytes += len(packet.payload) + MESSAGE_BYTES
        if len(entries) == 1:
            self._soon()
        elif len(entries) == limits.gather_max:
            self._now()
        if counters.pending_bytes > limits.pending_bytes_max:
            self._hub.halt()

    def gone(self, device: str) -> None:
        """In its order with the messages around it."""
        self._gone.append(Gone(len(self._entries), device))
        self._soon()

    async def run(self) -> None:
        """Until closed and everything is stored, or refused. Raises what is a fault of ours."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._entries or self._gone:
                entries, self._entries = self._entries, []
                gone, self._gone = self._gone, []
                await self._store(entries, gone)
                if len(self._entries) < self._limits.gather_max and not self._closing:
                    break  # the next call gathers again
            if self._entries or self._gone:
                self._soon()
            if self._closing and not self._entries and not self._gone:
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
            self._timer = asyncio.get_running_loop().call_later(self._limits.gather_s, self._now)

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake.set()

    async def _store(self, entries: list[Entry], gone: list[Gone]) -> None:
        hub, counters = self._hub, self._hub.counters
        messages = [Message(one.device, packet.topic, packet.payload, read_ns) for one, packet, read_ns in entries]
        try:
            outcome = await hub.upstream.take(messages, gone)
        except Unavailable:
            counters.unstored_messages += len(entries)
            self._refuse(entries)
            return
        finally:
            size = sum(len(packet.payload) for _, packet, _ in entries) + MESSAGE_BYTES * len(entries)
            counters.pending_bytes -= size
            hub.resume()
        self.sent.update([one.origin for one in messages])
        if outcome.refused:
            self.refused.update([messages[place].origin for place in outcome.refused])
        counters.messages += len(entries)
        counters.message_bytes += size - MESSAGE_BYTES * len(entries)
        counters.stored_messages += len(entries) - len(outcome.refused) - outcome.ignored
        counters.refused_messages += len(outcome.refused)
        counters.ignored_messages += outcome.ignored
        self._acknowledge(entries, outcome)
        self._forward(entries, outcome)

    def _acknowledge(self, entries: list[Entry], outcome: Outcome) -> None:
        """Each connection is written to once for messages that came one after another."""
        refused, last, out, count = outcome.refused, None, b"", 0
        for place, (connection, packet, _) in enumerate(entries):
            if not packet.packet_id:
                continue
            if connection is not last:
                if last is not None:
                    last.acknowledge(out, count)
                last, out, count = connection, b"", 0
            if packet.qos == 1 and not refused:
                out += puback_bytes(packet.packet_id)
            else:
                reason = Reason.PAYLOAD_FORMAT_INVALID if place in refused else Reason.SUCCESS
                out += connection.acknowledgement(packet, reason, refused.get(place, ""))
            count += 1
        if last is not None:
            last.acknowledge(out, count)

    def _refuse(self, entries: list[Entry]) -> None:
        for connection, packet, _ in entries:
            if packet.packet_id:
                connection.refuse_message(packet, Reason.QUOTA_EXCEEDED, "nothing can be stored now; send it again")

    def _forward(self, entries: list[Entry], outcome: Outcome) -> None:
        """To devices that have subscribed, and to those who come later."""
        hub, refused = self._hub, outcome.refused
        if hub.subscriptions or any(packet.retain for _, packet, _ in entries):
            for place, (connection, packet, _) in enumerate(entries):
                if place not in refused:
                    hub.forward(connection, packet)
        for reply in outcome.replies:
            hub.say(reply)
