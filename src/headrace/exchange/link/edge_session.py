"""One connection of an edge, from the greeting to its end.

    HELLO ─► HELD ─► plan, durable ─► BEGIN ─► READY ─┬─ sender ── urgent, live, backlog ─► hub
                                                      ├─ beats: one a second, how the edge is, ACTUAL if it is news
    acks ─► sender, spool.trim                        ├─ desired ─► role.become ─► ACTUAL
    live frames are late ─► HELLO again, a new plan   ├─ commands ─► role.write, role.read_back ─► RESULT
                                                      └─ certificate old ─► RENEW

The watchdog is a task of its own and asks only when something last came: a connection that cannot write is ended as
well as one that is silent.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from headrace import __version__
from headrace.exchange.link.beat import Beat
from headrace.exchange.link.channel import Channel
from headrace.exchange.link.enrol import Identity
from headrace.exchange.link.messages import (
    Begin,
    Fields,
    Heartbeat,
    HeldByHub,
    Hello,
    Order,
    Request,
    Result,
    Status,
    pack_actual,
    read_ack,
    read_desired,
)
from headrace.exchange.link.role import EdgeRole
from headrace.exchange.link.sender import Sender
from headrace.exchange.link.settings import LinkSettings
from headrace.exchange.link.sockets import segments, tune
from headrace.exchange.link.wire import FROM_HUB, Kind
from headrace.exchange.spool import Spool
from headrace.exchange.spool.state import Held, Plan
from headrace.model.errors import DataError, HeadraceError, Unavailable, Unreachable
from headrace.sdk.clock import Clock
from headrace.sdk.edges import Actual, Desired

Work = Callable[[], Awaitable[None]]
_COMMANDS_MAX: Final = 64
_ACTUAL_BEATS: Final = 5  # how often it is asked whether the edge has more to say of itself
_RENEW_DAYS: Final = 120  # before a certificate ends, so that an edge may be away for months
_TIMEOUT_S_MAX: Final = 60.0
_CERTIFICATE_CHECK_S: Final = 3600.0


class Owner(Protocol):
    """Who is told of a connection (`edge.EdgeLink`)."""

    def note_ready(self, edge: str, samples: int) -> None: ...

    def may_renew(self) -> bool: ...


class EdgeEnd:
    """One connection."""

    def __init__(
        self, link: Owner, spool: Spool, role: EdgeRole, identity: Identity, clock: Clock, settings: LinkSettings
    ) -> None:
        self._link, self._spool, self._role, self._identity = link, spool, role, identity
        self._clock, self._settings = clock, settings
        self.channel = Channel(FROM_HUB, self._take)
        self.beat = Beat()
        self.sender: Sender | None = None
        self.ready = self.was_ready = self.renewed = False
        self.congestion = ""
        self._answers: asyncio.Queue[tuple[Kind, bytes]] = asyncio.Queue(maxsize=8)
        self._desired: Desired | None = None
        self._told: Actual | None = None
        self._wanted = asyncio.Event()
        self._start: Callable[[Work], None] = lambda _: None
        self._asking = asyncio.Lock()
        self._commands, self._edge = 0, ""
        self._plan: Plan | None = None
        self._segments: tuple[int, int] | None = None

    async def serve(self) -> None:
        """Until the connection is over; never raises what the hub or the disk did."""
        self.congestion = tune(self.channel.transport, self._settings.congestion)
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as tasks:

            def start(work: Work) -> None:
                task = tasks.create_task(self._guarded(work))
                running.add(task)
                task.add_done_callback(running.discard)

            self._start = start
            start(self._watch)
            start(self._serve)
            await asyncio.shield(self.channel.lost)
            self.ready = False
            for task in running:
                task.cancel()

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except HeadraceError as error:
            self.channel.close(error.message)

    async def _serve(self) -> None:
        names = await self._greet(None)
        self.sender = Sender(self._spool, self.channel, self._settings, self._clock, names)
        self._adopt()
        self._spool.grown = self.sender.wake
        self.ready = self.was_ready = True
        self._link.note_ready(self._edge, self._spool.status().pending_samples)
        self._tell(self._role.actual())
        for work in (self.sender.run, self._beats, self._follow, self._plan_anew, self._keep_certificate):
            self._start(work)

    async def _greet(self, names: int | None) -> int:
        """Agree on an epoch; gives how many names the hub knows. `names` are those sent on this connection already."""
        hello = Hello(self._spool.dictionary, self._role.actual().revision, __version__)
        async with self._asking:
            self.channel.send(Kind.HELLO, hello.payload())
            came = HeldByHub.of(await self._answer(Kind.HELD))
            self._edge = came.edge
            if names is None:
                known = self._spool.names
                names = came.names if came.names <= len(known.paths) and known.digest(came.names) == came.digest else 0
            self._plan = await self._spool.resume(came.held)
            start = Held(self._plan.epoch, 0, self._plan.live_from - 1, self._plan.urgent_from - 1)
            self.channel.send(Kind.BEGIN, Begin(start, names).payload())
            await self._answer(Kind.READY)
        return names

    def _adopt(self) -> None:
        assert self.sender is not None and self._plan is not None
        self.sender.adopt(self._plan)

    async def _plan_anew(self) -> None:
        """Where live samples come late, what waits becomes backlog, and what comes from now on goes first."""
        assert self.sender is not None
        while True:
            await self.sender.late.wait()
            self.sender.suspend()
            await self._greet(self.sender.names_sent)
            self._adopt()

    # --- what comes ---------------------------------------------------------------------------------------------------

    def _take(self, kind: Kind, payload: memoryview) -> None:
        match kind:
            case Kind.ACK:
                if self.sender is not None:
                    self.sender.acked(read_ack(payload), self.beat.quickest_s)
            case Kind.HEARTBEAT:
                self.beat.receive(Heartbeat.of(payload), self._clock.now_ns())
            case Kind.DESIRED:
                self._desired = read_desired(payload)
                self._wanted.set()
            case Kind.COMMAND:
                self._start(partial(self._carry, Order.of(payload)))
            case _:
                if self._answers.full():
                    raise DataError(f"a frame {kind.name} came that nobody asked for")
                self._answers.put_nowait((kind, bytes(payload)))

    async def _answer(self, wanted: Kind) -> bytes:
        """Raises: DataError for another answer, Unreachable where none comes."""
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                kind, payload = await self._answers.get()
        except TimeoutError:
            raise Unreachable(f"the hub does not answer; {wanted.name} was awaited") from None
        if kind is not wanted:
            raise DataError(f"the hub answered {kind.name} where {wanted.name} was awaited")
        return payload

    async def _follow(self) -> None:
        """Become what is desired, the newest of it."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            assert self._desired is not None
            self._tell(await self._role.become(self._desired))

    def _tell(self, actual: Actual) -> None:
        self._told = actual
        self.channel.send(Kind.ACTUAL, pack_actual(actual))

    async def _carry(self, order: Order) -> None:
        """Carry out one command of the hub's desk; what became of it goes back, ahead of all samples."""
        if self._commands >= _COMMANDS_MAX:
            error = Unavailable(f"{_COMMANDS_MAX} commands are under way at this edge; try again")
            self.channel.send(Kind.RESULT, Result(order.id, error).payload())
            return
        self._commands += 1
        result = Result(order.id)
        try:
            async with asyncio.timeout(min(order.timeout_s, _TIMEOUT_S_MAX)):
                if order.value is None:
                    result = Result(order.id, sample=await self._role.read_back(order.path))
                else:
                    await self._role.write(order.path, order.value)
        except HeadraceError as error:
            result = Result(order.id, error)
        except TimeoutError:
            result = Result(
                order.id, Unreachable(f"the device of '{order.path}' took longer than {order.timeout_s:g} s")
            )
        finally:
            self._commands -= 1
        self.channel.send(Kind.RESULT, result.payload())

    # --- what goes by itself ------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while not self.channel.over:
            await self._clock.sleep(self._settings.beat_s / 2)
            if self.channel.silent_s() > self._settings.silence_s:
                self.channel.abort(f"the hub has been silent for {self._settings.silence_s:g} s")

    async def _beats(self) -> None:
        for beats in itertools.count(1):
            self.channel.send(Kind.HEARTBEAT, self.beat.send(self._clock.now_ns()).payload())
            status = self._spool.status()
            age_s = 0.0 if status.oldest_ns is None else (self._clock.now_ns() - status.oldest_ns) / 1e9
            report = Status(
                status.pending_samples, status.pending_bytes, max(age_s, 0.0), status.used, status.dropped,
                status.damaged_frames, self._loss(), status.full,
            )  # fmt: skip
            self.channel.send(Kind.STATUS, report.payload())
            if beats % _ACTUAL_BEATS == 0 and (actual := self._role.actual()) != self._told:
                self._tell(actual)
            await self._spool.trim()
            await self._clock.sleep(self._settings.beat_s)

    def _loss(self) -> float:
        """Since the last call; below 0 where the system does not tell."""
        now, before = segments(self.channel.transport), self._segments
        self._segments = now
        if now is None or before is None or now[1] <= before[1]:
            return -1.0 if now is None else 0.0
        return min(max(now[0] - before[0], 0) / (now[1] - before[1]), 1.0)

    async def _keep_certificate(self) -> None:
        while True:
            left = await asyncio.to_thread(self._identity.days_left, self._clock.now_ns())
            if left < _RENEW_DAYS and self._link.may_renew():
                await self._renew()
                return
            await self._clock.sleep(_CERTIFICATE_CHECK_S)

    async def _renew(self) -> None:
        request = await asyncio.to_thread(self._identity.request, self._edge, "key.new.pem")
        async with self._asking:
            self.channel.send(Kind.RENEW, Request(request).payload())
            chain = Fields(await self._answer(Kind.CERTIFICATE), "CERTIFICATE").take("chain", str)
        await asyncio.to_thread(self._identity.renewed, chain)
        self.renewed = True
        self.channel.close("the edge has a new certificate and comes again")
