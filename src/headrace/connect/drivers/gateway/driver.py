"""The gateway driver: a listener whose peers are devices.

    connect   certificates gathered, sockets bound
    serve     payload bound ─► desired states loaded ─► devices let in ─► samples stored, then acknowledged
    rebind    other points; nobody is dropped
    write     command ─► the device's session, QoS 1 ─► its PUBACK; one that is retained also waits for who is away
    close     what has come is stored and acknowledged, then everybody hears goodbye

A device that does not answer is an error for whoever asked it, never the end of the listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from headrace.connect.drivers.gateway.config import Address, Settings, check, limits_of, split_listen
from headrace.connect.drivers.gateway.desired import DesiredStates
from headrace.connect.gateway.connection import Connection
from headrace.connect.gateway.hub import Hub
from headrace.connect.gateway.listener import Listener, bind
from headrace.connect.gateway.local import LocalUpstream
from headrace.connect.gateway.tls import Following, Material, gather
from headrace.connect.gateway.upstream import Front
from headrace.connect.gateway.websocket import WebSocketLine
from headrace.connect.gateway.workers import WorkerPool
from headrace.connect.mqtt.reasons import Reason, reason_name
from headrace.connect.payload import payload_of
from headrace.connect.payload.contract import Publish
from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import Refused, Unavailable, Unreachable
from headrace.model.time import SECOND_NS
from headrace.sdk.devices import DeviceDoor, Enrolment
from headrace.sdk.driver import BrowseNode, DriverContext, DriverType, Lost, PointBinding, Stored
from headrace.sdk.tls import LiveContext

_READ_BACK_S = 2.0
_TICK_S = 1.0


class GatewayDriver:
    """`Acknowledging`, `Rebindable`, `Writable`, `Browsable` and `Counting`."""

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        self._name, self._settings, self._context, self._clock = context.connection, settings, context, context.clock
        self._payload = payload_of(settings.payload, by_device=True)
        self._desired = DesiredStates(context.state_dir, self._name)
        self._listeners: list[Listener] = []
        self._kept_ports: list[socket.socket] = []
        self._front: Front | None = None
        self._hub: Hub | None = None
        self._upstream: LocalUpstream | None = None
        self._stored: Stored | None = None
        self._material: Material | None = None
        self._live: LiveContext | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Where it listens; for those who asked for port 0."""
        return self.ports[0]

    @property
    def ports(self) -> list[int]:
        """Of MQTT, and of WebSocket where there is one."""
        kept = [int(sock.getsockname()[1]) for sock in self._kept_ports]
        return [listener.port for listener in self._listeners] or kept

    async def connect(self) -> None:
        settings = self._settings
        if self._context.devices is None:
            raise Refused(f"'{self._name}' lets nobody in: this platform keeps no register of devices")
        if settings.tls is not None:
            self._material = await gather(self._name, settings.tls.files, self._context.certificates)
        endpoints = [settings.listen, *([settings.websocket] if settings.websocket is not None else [])]
        for one in endpoints:
            self._context.reach.check_listening(*split_listen(one))
        if settings.processes > 1:
            self._kept_ports = [bind(*split_listen(one), shared=True, listen=False) for one in endpoints]
            return
        if self._material is not None:
            self._live = await asyncio.to_thread(self._material.listener, self._name)
        tls = None if self._live is None else self._live.context
        for one, make in zip(endpoints, (self._accept, self._accept_websocket), strict=False):
            self._listeners.append(Listener(bind(*split_listen(one)), make, tls))

    def _accept(self) -> Connection:
        assert self._hub is not None
        return Connection(self._hub)

    def _accept_websocket(self) -> WebSocketLine:
        return WebSocketLine(self._accept, self._settings.limits.packet_bytes)

    async def serve(self, points: Sequence[PointBinding], stored: Stored, lost: Lost) -> None:
        door, clock = self._context.devices, self._clock
        assert door is not None
        self._stored = stored
        self._upstream = LocalUpstream(self._name, self._payload, door, stored, clock, self._enrolment())
        front, settings = self._make_front(self._upstream, lost), self._settings
        self._front = front
        await self.rebind(points)
        for kept in await self._desired.load():
            front.keep(kept)
        self._payload.will(clock.now_ns())
        for said in self._payload.opening(clock.now_ns()):
            front.say(said)
        if isinstance(front, WorkerPool):
            hosts = [split_listen(one)[0] for one in (settings.listen, settings.websocket) if one is not None]
            endpoints = [(host, port, at == 1) for at, (host, port) in enumerate(zip(hosts, self.ports, strict=True))]
            await front.start(endpoints, None if self._material is None else astuple(self._material))
        front.open()
        for work, what in ((self._tick, "tick"), (functools.partial(self._heed, door), "heed")):
            self._tasks.append(asyncio.create_task(_told(work(), lost), name=f"gateway {self._name}: {what}"))
        if self._material is not None and settings.tls is not None:
            following = Following(
                self._name, settings.tls.files, self._context.certificates, clock, self._material, self._show
            )
            self._tasks.append(asyncio.create_task(_told(following.run(), lost), name=f"gateway {self._name}: tls"))
        for listener in self._listeners:
            await listener.open()

    def _show(self, material: Material) -> None:
        """Other certificates from now on. Raises: ConfigError."""
        if self._live is not None:
            material.give(self._live, self._name)
        if isinstance(self._front, WorkerPool):
            self._front.show(astuple(material))

    def _make_front(self, upstream: LocalUpstream, lost: Lost) -> Front:
        limits = limits_of(self._settings.limits)
        if self._settings.processes > 1:
            return WorkerPool(self._name, limits, upstream, self._settings.processes, lost)
        self._hub = Hub(self._name, limits, upstream, self._clock, lost)
        return self._hub

    def _enrolment(self) -> Enrolment | None:
        given = self._settings.enrolment
        return (
            None if given is None else Enrolment(self._context.references.read(given.key).encode(), given.waiting_max)
        )

    async def rebind(self, points: Sequence[PointBinding]) -> None:
        """A point that does not fit the payload's settings is told bad, with the reason in the log."""
        wrong = self._payload.bind(points)
        if not wrong or self._stored is None:
            return
        now_ns = self._clock.now_ns()
        blank = [
            Batch.bad(point.kind, [point.handle], now_ns, q.BAD_CONFIGURATION_ERROR)
            for point in points
            if point.handle in wrong
        ]
        with contextlib.suppress(Unavailable):
            await self._stored(blank)

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._front is not None:
            for said in self._payload.closing(self._clock.now_ns()):
                self._front.say(said)
            await self._front.close()
        for sock in self._kept_ports:
            sock.close()

    # --- what goes on beside the devices --------------------------------------------------------------------------

    async def _tick(self) -> None:
        assert self._front is not None and self._upstream is not None
        while True:
            await self._clock.sleep(_TICK_S)
            with contextlib.suppress(Unavailable):
                outcome = await self._upstream.tick()
                for reply in outcome.replies:
                    self._front.say(reply)

    async def _heed(self, door: DeviceDoor) -> None:
        assert self._front is not None
        async for device in door.changes():
            self._front.recheck(device)

    # --- commands -------------------------------------------------------------------------------------------------

    async def write(self, point: PointBinding, value: Value) -> None:
        front, upstream = self._serving()
        said = self._payload.command(point, value, self._clock.now_ns())
        upstream.watches.begin(point.handle)
        if said.retain:
            await self._desired.put(said.topic, said.payload, said.qos, self._clock.now_ns())
        timeout_s = self._settings.command_timeout_ns / SECOND_NS
        answers = front.order(said, timeout_s)
        if answers:
            try:
                await self._acknowledged(said, answers, timeout_s)
            finally:
                for answer in answers:
                    answer.cancel()  # a session that has not sent it yet, or not with success, never will
        elif not said.retain:
            raise Unavailable(self._why_nobody(front, said))

    async def _acknowledged(
        self, said: Publish, answers: Sequence[asyncio.Future[int | None]], timeout_s: float
    ) -> None:
        """Until one session of the device has it."""
        who = said.origin or f"who listens to '{said.topic}'"
        waiting = set(answers)
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        refusal: int | None = None
        while waiting:
            left_s = max(deadline_s - asyncio.get_running_loop().time(), 0.0)
            done, waiting = await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise Unreachable(f"{who} did not acknowledge within {timeout_s:g} s; whether it acts is not known")
            for answer in done:
                reason = answer.result()
                if reason is not None and reason < Reason.UNSPECIFIED_ERROR:
                    return
                refusal = refusal if reason is None else reason
        if refusal is not None:
            raise Refused(f"{who} refuses the command: {reason_name(refusal)}")
        raise Unreachable(f"{who} was lost before it acknowledged; whether it acts is not known")

    def _why_nobody(self, front: Front, said: Publish) -> str:
        if said.origin is not None and front.is_online(said.origin):
            return f"device '{said.origin}' is connected, but has not subscribed to '{said.topic}'"
        return f"{f'device {said.origin!r}' if said.origin else 'nobody who listens'} is away; nothing was sent"

    async def read_back(self, point: PointBinding) -> Batch:
        """The newest value since the write, or the next one that the device reports."""
        front, upstream = self._serving()
        if point.handle not in upstream.watches:
            upstream.watches.begin(point.handle)
        try:
            async with asyncio.timeout(_READ_BACK_S):
                return await upstream.watches.sample(point.handle)
        except TimeoutError:
            device = point.address.device
            if device is not None and not front.is_online(device):
                raise Unavailable(f"device '{device}' is away; what it is to become waits for it") from None
            raise Unreachable(f"'{point.path}' was not reported for {_READ_BACK_S:g} s") from None

    def _serving(self) -> tuple[Front, LocalUpstream]:
        if self._front is None or self._upstream is None:
            raise Unavailable(f"'{self._name}' is not open yet")
        return self._front, self._upstream

    # --- looking --------------------------------------------------------------------------------------------------

    async def browse(self, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        for node in self._payload.browse(parent):
            yield node

    def counts(self) -> Mapping[str, float]:
        counters = self._front.counters.as_mapping() if self._front is not None else {}
        return {**counters, **{name: float(count) for name, count in self._payload.counters().items()}}


async def _told(work: Any, lost: Lost) -> None:
    """A task whose fault ends the session."""
    try:
        await work
    except Exception as error:
        lost(error)


DRIVER = DriverType("gateway", "Device gateway (MQTT 3.1.1 and 5)", Settings, Address, GatewayDriver, check=check)
