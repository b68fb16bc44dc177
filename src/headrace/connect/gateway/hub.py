"""The middle of a gateway: who is connected, who has a session, and what goes to whom.

    sockets ─► Connection ─CONNECT─► Admission ─► DeviceDoor          who it is, what it may
                   │  └──PUBLISH──► Collector ─► upstream.take         decoded and durable, then acknowledged
                   │                    └──► forward ─► Subscriptions ─► Session.deliver ─► Connection.send
                   └──SUBSCRIBE──► Subscriptions, Retained                    ▲
    platform ── say, order ───────────────────────────────────────────────────┘
    clock ──1 s──► tick: keep-alive, expiry, wills, devices that were too fast

Everything runs on one event loop and nothing here waits, so there are no locks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from headrace.connect.gateway.admission import Doorkeeper
from headrace.connect.gateway.collector import Collector
from headrace.connect.gateway.connection import Connection
from headrace.connect.gateway.limits import Counters, Limits
from headrace.connect.gateway.retained import Kept, Retained
from headrace.connect.gateway.session import Key, Outgoing, Session
from headrace.connect.gateway.socket import Halt, Socket
from headrace.connect.gateway.subscriptions import Granted, Subscriptions
from headrace.connect.gateway.upstream import Upstream
from headrace.connect.gateway.wheel import Wheel
from headrace.connect.mqtt.packets import NO_PROPERTIES, Properties, Property, Publish, Will
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.mqtt.topics import allows
from headrace.connect.payload.contract import Publish as Said
from headrace.sdk.clock import Clock

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
TELL_S: Final = 5.0
_FORWARDED: Final = (
    Property.PAYLOAD_FORMAT_INDICATOR, Property.CONTENT_TYPE, Property.RESPONSE_TOPIC, Property.CORRELATION_DATA,
    Property.USER_PROPERTY,
)  # fmt: skip


class Hub:
    """`open` before the first connection, `close` after the last. `lost` is told of a fault of ours, once."""

    def __init__(
        self, name: str, limits: Limits, upstream: Upstream, clock: Clock, lost: Callable[[Exception], None]
    ) -> None:
        self.name, self.limits, self.upstream, self.clock = name, limits, upstream, clock
        self.counters = Counters()
        self.now_s = clock.monotonic_s()
        self.read_ns = clock.now_ns()
        self.names: dict[bytes, str] = {}
        self.connections: set[Connection] = set()
        self.devices: dict[str, list[Connection]] = {}
        self.sessions: dict[Key, Session] = {}
        self.subscriptions = Subscriptions()
        self.retained = Retained(limits.retained_max, limits.retained_bytes_max)
        self.throttled: set[Socket] = set()
        self.wheel = Wheel(self.now_s)
        self.collector = Collector(self)
        self.admission = Doorkeeper(self)
        self.closing = False
        self._halted = False
        self._tell_s = self.now_s
        self._lost = lost
        self._tasks: list[asyncio.Task[None]] = []

    # --- opening and closing --------------------------------------------------------------------------------------

    def open(self) -> None:
        for run, name in ((self.collector.run, "collect"), (self._keep_time, "time")):
            task = asyncio.create_task(run(), name=f"gateway {self.name}: {name}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def close(self) -> None:
        """Store and acknowledge what has come, say goodbye, and let go of every socket."""
        if not self._tasks:
            return
        self.closing = True
        collecting, keeping_time = self._tasks
        keeping_time.cancel()
        self.collector.close()
        await asyncio.wait(self._tasks)
        await self.admission.close()
        self.collector.tell()
        for connection in list(self.connections):
            connection.polite, connection.will = True, None  # it is not the device that went
            connection.fail(Reason.SERVER_SHUTTING_DOWN, "the gateway is closed")
        for session in list(self.sessions.values()):
            self._end_session(session)
        self._tasks.clear()
        if not collecting.cancelled() and collecting.exception() is not None:
            log.debug("gateway %s: its collector had ended before", self.name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            self._lost(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    # --- connections ----------------------------------------------------------------------------------------------

    def arrived(self, connection: Connection) -> None:
        counters = self.counters
        if self.closing or counters.connections >= self.limits.connections_max:
            counters.refused_connects += 1
            connection.close(abort=True)
            return
        self.connections.add(connection)
        counters.connections += 1
        if self._halted:
            connection.halt(Halt.CONGESTED)
        connection.watch(self.now_s + self.limits.connect_timeout_s)

    def left(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.counters.connections -= 1
        self.throttled.discard(connection)
        session = connection.session
        if session is None:
            return
        if not connection.polite:
            self.counters.lost_connections += 1
        rest = [one for one in self.devices.get(connection.device, ()) if one is not connection]
        if rest:
            self.devices[connection.device] = rest
        elif self.devices.pop(connection.device, None) is not None:
            self.upstream.seen(connection.device, False)
        if session.connection is connection:
            session.connection = None
            self._leave_session(session, connection)
        will_says_so = connection.will is not None
        if not connection.polite and not rest and not will_says_so and connection.approved:
            self.collector.gone(connection.device)

    def _leave_session(self, session: Session, connection: Connection) -> None:
        """What of a session goes on without its connection."""
        will = connection.will
        if will is not None and connection.approved:
            delay_s = min(will.properties.get(Property.WILL_DELAY_INTERVAL, 0), session.expiry_s)
            if delay_s:
                session.will, session.will_from = will, connection
                session.will_due_s = self.now_s + delay_s
            else:
                self.publish_will(connection, will)
        if session.ends_with_connection:
            self._end_session(session)
            return
        session.ends_s = session.ends_at(self.now_s)
        self.watch(session)

    def publish_will(self, connection: Connection, will: Will) -> None:
        """As if the device had published it: stored, judged and forwarded like everything else."""
        self.counters.wills += 1
        properties = {key: value for key, value in will.properties.items() if key != Property.WILL_DELAY_INTERVAL}
        self.read_ns = self.clock.now_ns()
        self.collector.add(connection, Publish(will.topic, will.payload, will.qos, will.retain, False, 0, properties))

    def watch(self, session: Session) -> None:
        """See to what a session that is away has to expect."""
        moments = [at_s for at_s in (session.ends_s, session.will_due_s) if at_s is not None]
        if moments:
            self.wheel.put(_Away(self, session), min(moments))

    def away(self, session: Session, now_s: float) -> None:
        """A moment that `watch` waited for."""
        if session.connection is not None or self.sessions.get(session.key) is not session:
            return
        if session.will_due_s is not None and session.will_due_s <= now_s:
            self.flush_will(session)
        if session.ends_s is not None and session.ends_s <= now_s:
            self._end_session(session)
        else:
            self.watch(session)

    def flush_will(self, session: Session) -> None:
        if session.will is not None and session.will_from is not None:
            self.publish_will(session.will_from, session.will)
        session.will = session.will_from = session.will_due_s = None

    def _end_session(self, session: Session) -> None:
        self.flush_will(session)
        for pattern in session.subscriptions or ():
            self.subscriptions.remove(session, pattern)
        session.subscriptions = None
        session.close()
        if self.sessions.get(session.key) is session:
            del self.sessions[session.key]
        self.counters.sessions = len(self.sessions)

    def end_session(self, session: Session) -> None:
        """A client begins anew."""
        self._end_session(session)

    def recheck(self, device: str) -> None:
        """What this device may is no longer what it was: it has to come again."""
        for connection in list(self.devices.get(device, ())):
            connection.polite = True
            connection.fail(Reason.ADMINISTRATIVE_ACTION, "what this device may do has changed; connect again")

    # --- memory ---------------------------------------------------------------------------------------------------

    def halt(self) -> None:
        """More has been read than may wait: no socket is read for now."""
        if not self._halted:
            self._halted = True
            self.counters.halts += 1
            for connection in self.connections:
                connection.halt(Halt.CONGESTED)

    def resume(self) -> None:
        if self._halted and self.counters.pending_bytes <= self.limits.pending_bytes_max // 2:
            self._halted = False
            for connection in list(self.connections):
                connection.go(Halt.CONGESTED)

    # --- messages to devices --------------------------------------------------------------------------------------

    def forward(self, source: Connection, packet: Publish) -> None:
        """A device's message, durable by now, to the devices that asked for its topic."""
        properties: Properties = NO_PROPERTIES
        expires_s = None
        if packet.properties:
            properties = {key: packet.properties[key] for key in _FORWARDED if key in packet.properties}
            expiry_s = packet.properties.get(Property.MESSAGE_EXPIRY_INTERVAL)
            expires_s = None if expiry_s is None else self.now_s + expiry_s
        if packet.retain:
            self.keep(Kept(packet.topic, packet.payload, packet.qos, properties, expires_s))
        self._spread(packet.topic, packet.payload, packet.qos, packet.retain, properties, expires_s, source.session)

    def say(self, said: Said) -> int:
        """A message of the platform's own: to one device (`origin`), or to everybody who asked. How many took it."""
        if said.retain:
            self.keep(Kept(said.topic, said.payload, said.qos))
        routes = self.subscriptions.match(said.topic)
        count = 0
        for session, grants in routes.sessions.items():
            if said.origin in (None, session.device):
                count += self._give(session, grants, said.topic, said.payload, said.qos, False, NO_PROPERTIES, None)
        return count

    def order(self, said: Said, expires_s: float) -> list[asyncio.Future[int | None]]:
        """As `say`, for a command: one future for each session that has asked, done when its device has it."""
        futures = []
        for session, grants in self.subscriptions.match(said.topic).sessions.items():
            if said.origin in (None, session.device) and session.connection is not None:
                done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
                self._give(session, grants, said.topic, said.payload, said.qos, False, NO_PROPERTIES, expires_s, done)
                futures.append(done)
        return futures

    def keep(self, kept: Kept) -> None:
        if not self.retained.put(kept):
            self.counters.undelivered += 1

    def show_retained(self, session: Session, pattern: str, granted: Granted) -> None:
        """To a new subscription: retained messages that it takes in, marked as such [MQTT-3.3.1-8]."""
        identifiers = (granted.identifier,) if granted.identifier else ()
        for kept in self.retained.matching(pattern, self.now_s):
            qos = min(kept.qos, granted.qos)
            session.deliver(
                Outgoing(kept.topic, kept.payload, qos, True, kept.properties, identifiers, kept.expires_s)
            )  # fmt: skip

    def _spread(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        properties: Properties,
        expires_s: float | None,
        source: Session | None,
    ) -> None:
        routes = self.subscriptions.match(topic)
        for session, grants in routes.sessions.items():
            if session is source:
                grants = tuple(one for one in grants if not one.no_local)  # [MQTT-3.8.3-3]
            if grants:
                self._give(session, grants, topic, payload, qos, retain, properties, expires_s)
        for share in routes.shares:
            chosen = share.next()
            if chosen is not None:
                self._give(chosen[0], (chosen[1],), topic, payload, qos, retain, properties, expires_s)

    def _give(
        self,
        session: Session,
        grants: Iterable[Granted],
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        properties: Properties,
        expires_s: float | None,
        done: asyncio.Future[Any] | None = None,
    ) -> bool:
        """Once, however many subscriptions match: the best QoS, and all identifiers (v5 §3.3.4)."""
        best, keeps_retain, identifiers = 0, False, []
        for one in grants:
            best = max(best, one.qos)
            keeps_retain = keeps_retain or one.retain_as_published
            if one.identifier:
                identifiers.append(one.identifier)
        session.deliver(
            Outgoing(
                topic, payload, min(qos, best), retain and keeps_retain, properties, tuple(identifiers), expires_s, done
            )
        )
        return True

    def may_will(self, connection: Connection, will: Will) -> bool:
        return connection.admission is not None and allows(connection.admission.publish, will.topic)

    # --- time -----------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            await self.clock.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        self.now_s = self.clock.monotonic_s()
        for fast in list(self.throttled):
            fast.refill()
            if fast.tokens >= 0.0 or fast.closed:
                self.throttled.discard(fast)
                fast.go(Halt.THROTTLED)
        self.wheel.turn(self.now_s)
        if self.now_s >= self._tell_s:
            self._tell_s = self.now_s + TELL_S
            self.collector.tell()


class _Away:
    """A session on the wheel, while nobody is connected to it."""

    __slots__ = ("_hub", "_session")

    def __init__(self, hub: Hub, session: Session) -> None:
        self._hub, self._session = hub, session

    def due(self, now_s: float) -> float | None:
        self._hub.away(self._session, now_s)
        return None
