"""The hub's end of one connection: from a stranger to an edge whose samples count.

    connected ─► certificate? ─┬ none: AUTHORITY, ENROL, and nothing else, for a few seconds
                               └ admit ─► HELLO ─► the older connection of this edge is ended, and waited for
                                       ─► HELD ─► BEGIN ─► the epoch is durable, older ones do not count ─► READY

Until it is admitted a connection has cost a TLS handshake and 64 KB at most.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from headrace.exchange.link.beat import Beat
from headrace.exchange.link.channel import Channel
from headrace.exchange.link.lanes import URGENT, Incoming, held_by, marks_of
from headrace.exchange.link.messages import (
    BACKLOG,
    LIVE,
    Begin,
    Heartbeat,
    HeldByHub,
    Hello,
    Order,
    Request,
    Result,
    Status,
    kind_of,
    pack_ack,
    pack_desired,
    read_actual,
)
from headrace.exchange.link.points import EdgePoints
from headrace.exchange.link.sockets import tune
from headrace.exchange.link.wire import FROM_EDGE, GREETING, STRANGER, VERSION, Kind
from headrace.exchange.spool.state import Held
from headrace.model.batch import Batch, Value
from headrace.model.errors import AccessError, DataError, HeadraceError, Unavailable, Unreachable
from headrace.sdk.edges import Edge, LinkQuality

if TYPE_CHECKING:
    from headrace.exchange.link.hub import EdgeHub

_logger = logging.getLogger(__name__)
_REFUSED_RETRY_S, _WRONG_RETRY_S = 15.0, 3.0
_COMMAND_GRACE_S: Final = 2.0
_GREETED: Final = frozenset({Kind.BEGIN, Kind.HEARTBEAT, Kind.STATUS, Kind.RESULT, Kind.ACTUAL, Kind.CLOSE})


class EdgeSession:
    """`run` is one task of the hub's group."""

    def __init__(self, hub: EdgeHub) -> None:
        self._hub, self._clock, self._settings = hub, hub.clock, hub.settings
        self.channel = Channel(STRANGER, self._take)
        self.edge: Edge | None = None
        self.older: EdgeSession | None = None
        self.ready = False
        self.beat = Beat()
        self.status = Status()
        self.incoming: Incoming | None = None
        self.points: EdgePoints | None = None
        self._shown: bytes | None = None
        self._acked, self._ack_timer = Held(), None  # type: Held, asyncio.TimerHandle | None
        self._asked: asyncio.Queue[tuple[Kind, bytes]] = asyncio.Queue(maxsize=4)
        self._orders: dict[int, asyncio.Future[Result]] = {}
        self._order = 0
        self._paused = False
        self._sent_revision = 0
        self._counted = (0, 0, 0.0)
        self.ended = asyncio.Event()
        """Set once nothing of it will reach the store any more."""

    def connected(self) -> None:
        """At once, before anything is read: who has shown a certificate may greet, others may enrol."""
        self._shown = self.channel.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if self._shown is not None:
            self.channel.reader.allowed = GREETING

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                working = [
                    tasks.create_task(self._guarded(self._watch)),
                    tasks.create_task(self._guarded(lambda: self._serve(tasks))),
                ]
                await asyncio.shield(self.channel.lost)
                for task in working:
                    task.cancel()
                if self.incoming is not None:
                    self.incoming.end()
        finally:
            self.ready = False
            self.channel.abort("given up")
            for waiting in self._orders.values():
                if not waiting.done():
                    waiting.set_exception(Unreachable("the edge was lost before it answered; it may have acted"))
            self.ended.set()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AccessError as error:
            self.channel.close(error.message, _REFUSED_RETRY_S)
        except HeadraceError as error:
            self.channel.close(error.message, _WRONG_RETRY_S)

    async def _serve(self, tasks: asyncio.TaskGroup) -> None:
        tune(self.channel.transport, self._settings.congestion)
        if self._shown is None:
            await self._serve_stranger()
            return
        self.edge = await self._hub.door.admit(hashlib.sha256(self._shown).hexdigest())
        await self._greet(first=True)
        for lane in (URGENT, LIVE, BACKLOG):
            assert self.incoming is not None
            tasks.create_task(self._guarded(partial(self.incoming.run, lane)))
        self.ready = True
        self.send_desired()
        while True:
            kind, payload = await self._asked.get()
            if kind is Kind.HELLO:
                await self._greet_again(payload)
            elif kind is Kind.RENEW:
                chain = await self._hub.door.renew(self.edge, Request.of(memoryview(payload)).request.encode())
                self._answer_certificate(self.edge, chain)
            else:
                raise DataError(f"a frame {kind.name} came where it means nothing")

    # --- strangers ----------------------------------------------------------------------------------------------------

    async def _serve_stranger(self) -> None:
        with self._hub.strangers:
            while True:
                kind, payload = await self._next()
                if kind is Kind.AUTHORITY:
                    self.channel.send(Kind.AUTHORITY, (await self._hub.door.identity()).authority)
                else:
                    request = Request.of(memoryview(payload))
                    peer = str((self.channel.transport.get_extra_info("peername") or ("?",))[0])
                    edge, chain = await self._hub.door.enrol(request.token, request.request.encode(), peer)
                    _logger.info("'%s' is enrolled, from %s", edge.name, peer)
                    self._answer_certificate(edge, chain)

    def _answer_certificate(self, edge: Edge, chain: bytes) -> None:
        document = {"edge": edge.name, "chain": chain.decode()}
        self.channel.send(Kind.CERTIFICATE, json.dumps(document).encode())

    # --- greeting -----------------------------------------------------------------------------------------------------

    async def _greet(self, *, first: bool, payload: bytes = b"") -> None:
        assert self.edge is not None
        edge = self.edge
        if first:
            _, payload = await self._next()
        hello = Hello.of(payload)
        if hello.version != VERSION:
            raise Unavailable(
                f"this hub speaks version {VERSION} of the edge protocol, the edge {hello.version}: update"
            )
        self._sent_revision = hello.revision
        self.channel.reader.allowed = _GREETED
        if first:
            await self._hub.fence(self)
            self.points = EdgePoints(edge.name, edge.prefix, self._hub.store, self._settings.points_max)
            self.points.adopt(self._hub.dictionary(edge.name), hello.dictionary)
            self._hub.remember(edge.name, self.points.dictionary)
            self.incoming = Incoming(
                edge.name, self.points, self._hub.intake, self._hub.publish_events, self._clock, self._settings,
                self._ack, partial(self._hub.owns, edge),
            )  # fmt: skip
            self.incoming.on_room = self._resume
            self.incoming.on_failed = lambda error: self.channel.close(
                f"names cannot be taken: {error}", _WRONG_RETRY_S
            )
        assert self.incoming is not None and self.points is not None
        known = self.points.dictionary
        held = held_by(dict(self._hub.store.marks()), edge.name)
        answer = HeldByHub(held, edge.name, edge.prefix, len(known.paths), known.digest())
        self.channel.send(Kind.HELD, answer.payload())
        _, payload = await self._next()
        begin = Begin.of(payload)
        if begin.start.epoch <= held.epoch:
            raise DataError("the edge begins an epoch that is not new")
        self.points.keep(begin.names)
        await self._hub.intake.take([], marks_of(edge.name, begin.start))
        self.incoming.begin(begin.start)
        self.channel.reader.allowed = FROM_EDGE
        self.channel.send(Kind.READY)

    async def _greet_again(self, payload: bytes) -> None:
        """The edge makes a new plan: first everything that came under the old one is durable."""
        assert self.incoming is not None
        await self.incoming.drained()
        await self._greet(first=False, payload=payload)

    async def _next(self) -> tuple[Kind, bytes]:
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_s):
                return await self._asked.get()
        except TimeoutError:
            raise Unavailable("the other end says nothing") from None

    # --- what comes ---------------------------------------------------------------------------------------------------

    def _take(self, kind: Kind, payload: memoryview) -> None:
        match kind:
            case Kind.DATA:
                assert self.incoming is not None
                self.incoming.offer(payload)
                self._pause_where_full()
            case Kind.EVENTS:
                assert self.incoming is not None
                self.incoming.offer_events(payload)
                self._pause_where_full()
            case Kind.NAMES:
                assert self.incoming is not None
                self.incoming.offer_names(payload)
                self._pause_where_full()
            case Kind.HEARTBEAT:
                self.beat.receive(Heartbeat.of(payload), self._clock.now_ns())
            case Kind.STATUS:
                self.status = Status.of(payload)
            case Kind.RESULT:
                result = Result.of(payload)
                waiting = self._orders.pop(result.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(result)
            case Kind.ACTUAL:
                assert self.edge is not None
                self._hub.desk.reported(self.edge.name, read_actual(payload))
            case _:
                if self._asked.full():
                    raise DataError("too much is asked at once")
                if kind is Kind.HELLO and self.ready:
                    self.channel.reader.allowed = _GREETED  # nothing else until the new plan begins
                self._asked.put_nowait((kind, bytes(payload)))

    def _ack(self, held: Held) -> None:
        """In a moment, together with what becomes durable until then: a packet costs more than what it says."""
        self._acked = held
        if self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(self._settings.ack_s, self._send_ack)

    def _send_ack(self) -> None:
        self._ack_timer = None
        self.channel.send(Kind.ACK, pack_ack(self._acked))

    def _pause_where_full(self) -> None:
        assert self.incoming is not None
        if self.incoming.waiting_bytes > self._settings.queue_bytes and not self._paused:
            self._paused = True
            self.channel.pause_reading()

    def _resume(self) -> None:
        assert self.incoming is not None
        if self._paused and self.incoming.waiting_bytes < self._settings.queue_bytes // 2:
            self._paused = False
            self.channel.heard_s = asyncio.get_running_loop().time()
            self.channel.resume_reading()

    # --- what goes ----------------------------------------------------------------------------------------------------

    def send_desired(self) -> None:
        """What this edge should run, where it does not run it yet."""
        assert self.edge is not None
        desired = self._hub.desk.desired(self.edge.name)
        if desired is None or desired.revision == self._sent_revision or not self.ready:
            return
        try:
            self.channel.send(Kind.DESIRED, pack_desired(desired))
            self._sent_revision = desired.revision
        except DataError as error:
            _logger.error("what edge '%s' should run cannot be sent: %s", self.edge.name, error)

    async def order(self, path: str, value: Value | None, timeout_s: float) -> Batch | None:
        """Have a value written, or read. Raises: what the edge's device raised; Unavailable; Unreachable."""
        if not self.ready or self.edge is None:
            raise Unavailable("the edge is not connected")
        if not path.startswith(f"{self.edge.prefix}/"):  # wherever a declaration says that it runs
            raise Unavailable(
                f"'{path}' is outside of '{self.edge.prefix}', the part of the plant of '{self.edge.name}'"
            )
        if len(self._orders) >= self._settings.commands_max:
            raise Unavailable(f"{self._settings.commands_max} commands are under way at this edge; try again")
        self._order += 1
        number = self._order
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._orders[number] = answer
        order = Order(number, path, timeout_s, "" if value is None else kind_of(value), value)
        self.channel.send(Kind.COMMAND, order.payload())
        try:
            async with asyncio.timeout(timeout_s + _COMMAND_GRACE_S):
                result = await answer
        except TimeoutError:
            raise Unreachable("the edge did not answer in time; it may have acted") from None
        finally:
            self._orders.pop(number, None)
        if result.error is not None:
            raise result.error
        return result.sample

    async def _watch(self) -> None:
        """A heartbeat a second, and the end of a connection that is silent. Who is paused by us may be silent."""
        while not self.channel.over:
            await self._clock.sleep(self._settings.beat_s)
            if self.ready:
                self.channel.send(Kind.HEARTBEAT, self.beat.send(self._clock.now_ns()).payload())
            if self.channel.silent_s() > self._settings.silence_s and not self._paused:
                self.channel.abort(f"silent for {self._settings.silence_s:g} s")

    def quality(self, now_ns: int) -> LinkQuality:
        """Of the time since the last call."""
        assert self.incoming is not None
        now_s = self._clock.monotonic_s()
        bytes_before, samples_before, before_s = self._counted
        self._counted = (self.channel.received_bytes, self.incoming.taken, now_s)
        past_s = max(now_s - before_s, 1e-3) if before_s else math.inf
        newest_ns, status = self.incoming.newest_live_ns, self.status
        late_ms = (now_ns - newest_ns + self.beat.offset_ns) / 1e6 if newest_ns else math.nan
        return LinkQuality(
            measured_ns=now_ns,
            connected=True,
            latency_ms=self.beat.latency_ms,
            jitter_ms=self.beat.jitter_ms,
            loss=status.loss if status.loss >= 0 else math.nan,
            received_bytes_per_s=(self.channel.received_bytes - bytes_before) / past_s,
            samples_per_s=(self.incoming.taken - samples_before) / past_s,
            backlog_samples=status.pending_samples,
            backlog_bytes=status.pending_bytes,
            backlog_s=status.pending_s,
            late_ms=late_ms,
            last_contact_ns=now_ns - int(self.channel.silent_s() * 1e9),
            spool_used=status.used,
            dropped_samples=status.dropped,
        )
