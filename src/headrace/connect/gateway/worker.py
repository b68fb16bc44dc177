"""A worker: a process that speaks MQTT on a port it shares, and has everything else done by the platform.

    devices ══ SO_REUSEPORT ══► Hub ── admit, take, preview, seen ──► Link ══ socket pair ══► platform (`workers.py`)
                                 ▲                                                               │
                                 └── forwarded, ordered, said, hand over ◄───────────────────────┘

Acknowledgements wait for the platform's answer, so they mean what they mean with one process. When the platform goes,
the worker goes: nothing is left that would acknowledge.

    python -m headrace.connect.gateway.worker FD        settings come over the link
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from headrace.connect.gateway.connection import Connection
from headrace.connect.gateway.hub import Hub
from headrace.connect.gateway.limits import Limits, Overload
from headrace.connect.gateway.link import Link
from headrace.connect.gateway.listener import Listener, bind
from headrace.connect.gateway.retained import Kept
from headrace.connect.gateway.session import Session
from headrace.connect.gateway.subscriptions import Granted, Subscriptions
from headrace.connect.gateway.tls import Material
from headrace.connect.gateway.upstream import Gone, Outcome, Owed
from headrace.connect.gateway.websocket import WebSocketLine
from headrace.connect.payload.contract import Message
from headrace.connect.payload.contract import Publish as Said
from headrace.model.errors import Unavailable
from headrace.sdk.clock import SystemClock
from headrace.sdk.devices import Admission, Claim, DeviceState, Preview
from headrace.sdk.tls import LiveContext

Part = tuple[list[tuple[str, str, bytes, int]], list[tuple[int, str]], dict[int, tuple[int, bool, dict[int, Any]]]]
"""Messages (origin, topic, payload, received), devices that went (before which), QoS, retain, properties by place."""


class RemoteUpstream:
    """The platform, over a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.hub: Hub | None = None

    async def admit(self, claim: Claim, *, clean_start: bool) -> Admission:
        fields = (claim.client_id, claim.peer, claim.user, claim.password, claim.certificate, clean_start)
        device, state, publish, subscribe, rate, session = await self._link.call("admit", *fields)
        if session is not None and self.hub is not None:
            self.hub.adopt((device, claim.client_id), session)
        return Admission(device, DeviceState(state), publish, subscribe, rate)

    def digest(self, messages: Sequence[Message], gone: Sequence[Gone], owed: Sequence[Owed]) -> Part:
        plain = [(one.origin, one.topic, one.payload, one.received_ns) for one in messages]
        more: dict[int, tuple[int, bool, dict[int, Any]]] = {}
        for place, _, packet in owed:
            if isinstance(packet, int):
                more[place] = (1, False, {})
            elif packet.qos or packet.retain or packet.properties:
                more[place] = (packet.qos, packet.retain, dict(packet.properties))
        return plain, [(one.before, one.device) for one in gone], more

    async def take(self, digests: Sequence[Part]) -> Sequence[Outcome]:
        answers = await self._link.call("take", list(digests))
        return [
            Outcome(refused, [plain[place][0] for place in refused], (), ignored)
            for (plain, _, _), (refused, ignored) in zip(digests, answers, strict=True)
        ]

    def preview(self, device: str, preview: Preview) -> None:
        self._link.tell("preview", device, *astuple(preview))

    def seen(self, device: str, online: bool, messages: int = 0, refused: int = 0) -> None:
        self._link.tell("seen", device, online, messages, refused)

    def ended(self, device: str, client_id: str) -> None:
        self._link.tell("ended", device, client_id)


class ToldSubscriptions(Subscriptions[Session]):
    """Tells the platform which filters somebody here has asked for."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._held: Counter[str] = Counter()

    def add(self, session: Session, pattern: str, granted: Granted) -> bool:
        is_new = super().add(session, pattern, granted)
        if is_new:
            self._held[pattern] += 1
            if self._held[pattern] == 1:
                self._link.tell("wants", pattern, True)
        return is_new

    def remove(self, session: Session, pattern: str) -> bool:
        found = super().remove(session, pattern)
        if found:
            self._held[pattern] -= 1
            if not self._held[pattern]:
                del self._held[pattern]
                self._link.tell("wants", pattern, False)
        return found


class Worker:
    def __init__(self) -> None:
        self.link = Link(self._on_call, self._on_tell, self._on_lost, self._fail)
        self._upstream = RemoteUpstream(self.link)
        self._hub: Hub | None = None
        self._live: LiveContext | None = None
        self._listeners: list[Listener] = []
        self._over = asyncio.Event()
        self._orders: dict[int, list[asyncio.Future[int | None]]] = {}
        self._fault: Exception | None = None

    async def run(self, fd: int) -> None:
        """Until the platform closes it or goes."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self.link, sock=socket.socket(fileno=fd))
        await self._over.wait()
        if self._fault is not None:
            raise self._fault

    def _on_lost(self) -> None:
        self._over.set()

    async def _on_call(self, kind: str, fields: tuple[Any, ...]) -> Any:
        hub = self._hub
        if kind == "open":
            return await self._open(*fields)
        if hub is None:
            raise Unavailable("the worker is not open yet")
        if kind == "hand over":
            device, client_id, starts_anew = fields
            return hub.hand_over((device, client_id), starts_anew=starts_anew)
        if kind == "order":
            return await self._order(hub, *fields)
        if kind == "counters":
            return hub.counters.as_mapping()
        if kind == "close":
            for listener in self._listeners:
                listener.close()
            await hub.close()
            return hub.counters.as_mapping()
        raise Unavailable(f"a worker does not know '{kind}'")

    def _on_tell(self, kind: str, fields: tuple[Any, ...]) -> None:
        hub = self._hub
        if hub is None:
            return
        if kind == "spread":
            for topic, payload, qos, retain, properties, left_s in fields[0]:
                expires_s = None if left_s is None else hub.now_s + left_s
                hub.spread(topic, payload, qos, retain, properties, expires_s)
        elif kind == "share":
            pattern, topic, payload, qos, properties, left_s = fields
            hub.deal(pattern, topic, payload, qos, properties, None if left_s is None else hub.now_s + left_s)
        elif kind == "keep":
            topic, payload, qos, properties, left_s = fields
            hub.keep(Kept(topic, payload, qos, properties, None if left_s is None else hub.now_s + left_s))
        elif kind == "say":
            topic, payload, qos, origin = fields
            hub.say(Said(topic, payload, qos, False, origin))
        elif kind == "give up":
            for answer in self._orders.pop(fields[0], ()):
                answer.cancel()
        elif kind == "tls" and self._live is not None:
            Material(*fields).give(self._live, hub.name)
        elif kind == "recheck":
            hub.recheck(fields[0])

    async def _open(
        self,
        name: str,
        limits: Mapping[str, Any],
        endpoints: Sequence[tuple[str, int, bool]],
        tls: Any,
        kept: Sequence[tuple[str, bytes, int]],
    ) -> list[int]:
        """Listen; the ports."""
        chosen = Limits(**{**limits, "overload": Overload(limits["overload"])})
        self._hub = self._upstream.hub = hub = Hub(name, chosen, self._upstream, SystemClock(), self._fail)
        hub.subscriptions = ToldSubscriptions(self.link)
        hub.deals_shares = False
        for one in kept:
            hub.keep(Kept(*one))
        hub.open()
        context = None
        if tls is not None:
            self._live = Material(*tls).listener(name)
            context = self._live.context
        for host, port, is_websocket in endpoints:

            def make(is_websocket: bool = is_websocket) -> asyncio.Protocol:
                if is_websocket:
                    return WebSocketLine(lambda: Connection(hub), chosen.packet_bytes_max)
                return Connection(hub)

            self._listeners.append(Listener(bind(host, port, shared=True), make, context))
        for listener in self._listeners:
            await listener.open()
        return [listener.port for listener in self._listeners]

    async def _order(
        self, hub: Hub, number: int, topic: str, payload: bytes, qos: int, origin: str | None, timeout_s: float
    ) -> list[int | None]:
        """The reasons of all who answered; empty where nobody has asked for it."""
        answers = self._orders[number] = hub.order(Said(topic, payload, qos, False, origin), timeout_s)
        try:
            results = await asyncio.gather(*answers, return_exceptions=True)
            return [result if isinstance(result, int) else None for result in results]
        finally:
            self._orders.pop(number, None)

    def _fail(self, error: Exception) -> None:
        """A fault of ours ends the process: the platform sees the link break, and begins anew."""
        self._fault = error
        self._over.set()


def main() -> None:
    import uvloop

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def run() -> None:
        await Worker().run(int(sys.argv[1]))

    uvloop.run(run())


if __name__ == "__main__":
    main()
