"""The gateway driver: a listener whose peers are devices.

    connect   sockets are bound
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
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from headrace.connect.drivers.gateway.config import Address, Settings, check, limits_of, split_listen
from headrace.connect.drivers.gateway.desired import DesiredStates
from headrace.connect.gateway.connection import Connection
from headrace.connect.gateway.hub import Hub
from headrace.connect.gateway.listener import Listener, bind
from headrace.connect.gateway.local import LocalUpstream
from headrace.connect.mqtt.reasons import Reason, reason_name
from headrace.connect.mqtt.tls import server_context
from headrace.connect.payload import payload_of
from headrace.connect.payload.contract import Publish
from headrace.connect.settings import read_secret
from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import Refused, Unavailable, Unreachable
from headrace.model.time import SECOND_NS
from headrace.sdk.devices import DeviceDoor, Enrolment
from headrace.sdk.driver import BrowseNode, DriverContext, DriverType, Lost, PointBinding, Stored

_READ_BACK_S = 2.0
_TICK_S = 1.0


class GatewayDriver:
    """`Acknowledging`, `Rebindable`, `Writable`, `Browsable` and `Counting`."""

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        self._name, self._settings, self._context, self._clock = context.connection, settings, context, context.clock
        self._payload = payload_of(settings.payload, by_device=True)
        self._desired = DesiredStates(context.state_dir, self._name)
        self._listeners: list[Listener] = []
        self._hub: Hub | None = None
        self._upstream: LocalUpstream | None = None
        self._stored: Stored | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Where it listens; for those who asked for port 0."""
        return self._listeners[0].port

    async def connect(self) -> None:
        settings = self._settings
        if self._context.devices is None:
            raise Refused(f"'{self._name}' lets nobody in: this platform keeps no register of devices")
        tls = None
        if settings.tls is not None:
            tls = await asyncio.to_thread(
                server_context, settings.tls.certificate, settings.tls.key, settings.tls.client_ca,
                certificate_required=settings.tls.client_certificate,
            )  # fmt: skip
        self._listeners.append(Listener(bind(*split_listen(settings.listen)), self._accept, tls))

    def _accept(self) -> Connection:
        assert self._hub is not None
        return Connection(self._hub)

    async def serve(self, points: Sequence[PointBinding], stored: Stored, lost: Lost) -> None:
        door, clock = self._context.devices, self._clock
        assert door is not None
        self._stored = stored
        self._upstream = LocalUpstream(self._name, self._payload, door, stored, clock, self._enrolment())
        self._hub = Hub(self._name, limits_of(self._settings.limits), self._upstream, clock, lost)
        await self.rebind(points)
        for kept in await self._desired.load():
            self._hub.keep(kept)
        self._hub.open()
        self._payload.will(clock.now_ns())
        for said in self._payload.opening(clock.now_ns()):
            self._hub.say(said)
        for work, what in ((self._tick, "tick"), (functools.partial(self._heed, door), "heed")):
            self._tasks.append(asyncio.create_task(_told(work(), lost), name=f"gateway {self._name}: {what}"))
        for listener in self._listeners:
            await listener.open()

    def _enrolment(self) -> Enrolment | None:
        given = self._settings.enrolment
        return None if given is None else Enrolment(read_secret(given.key).encode(), given.waiting_max)

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
        if self._hub is not None:
            for said in self._payload.closing(self._clock.now_ns()):
                self._hub.say(said)
            await self._hub.close()

    # --- what goes on beside the devices --------------------------------------------------------------------------

    async def _tick(self) -> None:
        assert self._hub is not None and self._upstream is not None
        while True:
            await self._clock.sleep(_TICK_S)
            with contextlib.suppress(Unavailable):
                outcome = await self._upstream.tick()
                for reply in outcome.replies:
                    self._hub.say(reply)

    async def _heed(self, door: DeviceDoor) -> None:
        assert self._hub is not None
        async for device in door.changes():
            self._hub.recheck(device)

    # --- commands -------------------------------------------------------------------------------------------------

    async def write(self, point: PointBinding, value: Value) -> None:
        hub, upstream = self._serving()
        said = self._payload.command(point, value, self._clock.now_ns())
        upstream.watches.begin(point.handle)
        if said.retain:
            await self._desired.put(said.topic, said.payload, said.qos, self._clock.now_ns())
        timeout_s = self._settings.command_timeout_ns / SECOND_NS
        answers = hub.order(said, hub.clock.monotonic_s() + timeout_s)
        if answers:
            try:
                await self._acknowledged(said, answers, timeout_s)
            finally:
                for answer in answers:
                    answer.cancel()  # a session that has not sent it yet, or not with success, never will
        elif not said.retain:
            raise Unavailable(self._why_nobody(hub, said))

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

    def _why_nobody(self, hub: Hub, said: Publish) -> str:
        if said.origin is not None and said.origin in hub.devices:
            return f"device '{said.origin}' is connected, but has not subscribed to '{said.topic}'"
        return f"{f'device {said.origin!r}' if said.origin else 'nobody who listens'} is away; nothing was sent"

    async def read_back(self, point: PointBinding) -> Batch:
        """The newest value since the write, or the next one that the device reports."""
        hub, upstream = self._serving()
        if point.handle not in upstream.watches:
            upstream.watches.begin(point.handle)
        try:
            async with asyncio.timeout(_READ_BACK_S):
                return await upstream.watches.sample(point.handle)
        except TimeoutError:
            device = point.address.device
            if device is not None and device not in hub.devices:
                raise Unavailable(f"device '{device}' is away; what it is to become waits for it") from None
            raise Unreachable(f"'{point.path}' was not reported for {_READ_BACK_S:g} s") from None

    def _serving(self) -> tuple[Hub, LocalUpstream]:
        if self._hub is None or self._upstream is None:
            raise Unavailable(f"'{self._name}' is not open yet")
        return self._hub, self._upstream

    # --- looking --------------------------------------------------------------------------------------------------

    async def browse(self, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        for node in self._payload.browse(parent):
            yield node

    def counts(self) -> Mapping[str, float]:
        counters = self._hub.counters.as_mapping() if self._hub is not None else {}
        return {**counters, **{name: float(count) for name, count in self._payload.counters().items()}}


async def _told(work: Any, lost: Lost) -> None:
    """A task whose fault ends the session."""
    try:
        await work
    except Exception as error:
        lost(error)


DRIVER = DriverType("gateway", "Device gateway (MQTT 3.1.1 and 5)", Settings, Address, GatewayDriver, check=check)
