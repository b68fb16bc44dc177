"""The MQTT driver: one session with one broker.

    broker ──messages──► Payload.decode ──batches──► stored: durable ──► acknowledged to the broker
                              └─ replies (rebirth requests, STATE) ──► broker
    write ──Payload.command──► published; read back from what the device tells next

The broker keeps a session for us, so what is published with QoS 1 while Headrace restarts comes afterwards; what was
not yet durable when the line was cut is sent again. A Sparkplug host must not have such a session (§5.4) and has a
birth to ask for instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from headrace.connect.drivers.mqtt.config import Address, MqttVersion, Settings
from headrace.connect.drivers.mqtt.identity import client_id_of
from headrace.connect.drivers.mqtt.readback import ReadBack
from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.packets import Subscription, Version, Will
from headrace.connect.mqtt.tls import client_context
from headrace.connect.mqtt.topics import covers
from headrace.connect.payload import Decoded, Message, Publish, check_address, payload_of
from headrace.connect.session import blank_batches
from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import HeadraceError, Unavailable, Unreachable
from headrace.model.time import SECOND_NS
from headrace.sdk.driver import BrowseNode, DriverContext, DriverType, Lost, PointBinding, Stored

logger = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_FAREWELL_S: Final = 1.0
_FILTERS_A_PACKET: Final = 100
_REFUSED: Final = 0x80
_REFUSALS_LOGGED: Final = 5


class MqttDriver:
    """`Acknowledging`, `Rebindable`, `Writable`, `Browsable`, `Counting`."""

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        self._settings, self._context, self._clock = settings, context, context.clock
        self._payload = payload_of(settings.payload)
        self._client: MqttClient | None = None
        self._points: tuple[PointBinding, ...] = ()
        self._filters: list[str] = []
        self._stored: Stored | None = None
        self._lost: Lost | None = None
        self._read_back = ReadBack()
        self._tasks: list[asyncio.Task[None]] = []
        self._refusals = self._ignored = self._messages = 0

    # --- Driver ---------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        options = await asyncio.to_thread(self._options)
        self._client = MqttClient(options, self._clock)
        await self._client.connect()

    def _options(self) -> ClientOptions:
        """Reads files. Raises: Refused, ConfigError."""
        settings = self._settings
        clean = self._payload.clean_start
        will = self._payload.will(self._clock.now_ns())
        timeout_s = settings.timeout_ns / SECOND_NS
        return ClientOptions(
            host=settings.host,
            port=settings.port_used,
            client_id=settings.client_id or client_id_of(self._context.connection, self._context.state_dir),
            version=Version.V5 if settings.version is MqttVersion.V5 else Version.V311,
            clean_start=clean,
            session_expiry_s=0 if clean else settings.session_expiry_ns // SECOND_NS,
            keep_alive_s=max(settings.keep_alive_ns // SECOND_NS, 1),
            user=settings.user,
            password=self._context.references.read(settings.password).encode()
            if settings.password is not None
            else None,
            will=Will(will.topic, will.payload, will.qos, will.retain) if will is not None else None,
            tls=client_context(settings.ca, settings.certificate, settings.key) if settings.tls else None,
            server_name=settings.server_name,
            connect_timeout_s=timeout_s,
            answer_timeout_s=timeout_s,
            packet_bytes_max=settings.payload.bytes_max + 65_536 + 64,
            reach=self._context.reach,
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if client is None:
            return
        if self._stored is not None:
            with contextlib.suppress(HeadraceError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    for said in self._payload.closing(self._clock.now_ns()):
                        await client.publish(said.topic, said.payload, qos=said.qos, retain=said.retain)
        await client.close()

    @property
    def _open(self) -> MqttClient:
        if self._client is None:
            raise Unreachable(f"{self._context.connection} has no open session")
        return self._client

    # --- Acknowledging, Rebindable --------------------------------------------------------------------------------

    async def serve(self, points: Sequence[PointBinding], stored: Stored, lost: Lost) -> None:
        self._stored, self._lost = stored, lost
        await self.rebind(points)
        for said in self._payload.opening(self._clock.now_ns()):
            await self._publish(said)
        for name, work in (("receive", self._receive), ("tick", self._tick)):
            task = asyncio.create_task(work(), name=f"{name} {self._context.connection}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def rebind(self, points: Sequence[PointBinding]) -> None:
        self._points = tuple(points)
        misfits = self._payload.bind(points)
        self._read_back.watch(points)
        bad = [(point, q.BAD_CONFIGURATION_ERROR) for point in points if point.handle in misfits]
        for error in list(misfits.values())[:_REFUSALS_LOGGED]:
            logger.warning("%s: %s", self._context.connection, error)
        wanted = list(self._payload.filters())
        gone = [one for one in self._filters if one not in set(wanted)]
        if gone:
            await self._open.unsubscribe([self._shared(one) for one in gone])
        held = set(self._filters)
        refused = await self._subscribe([one for one in wanted if one not in held])
        self._filters = [one for one in wanted if one not in refused]
        if refused:
            logger.warning("%s: the broker refuses to let us hear %s", self._context.connection, ", ".join(refused))
            bad += [(point, q.BAD_NOT_READABLE) for point in points if self._unheard(point, refused)]
        await self._mark(bad)

    async def _subscribe(self, filters: Sequence[str]) -> list[str]:
        """Those that the broker refuses."""
        refused = []
        for first in range(0, len(filters), _FILTERS_A_PACKET):
            part = filters[first : first + _FILTERS_A_PACKET]
            reasons = await self._open.subscribe([Subscription(self._shared(one), self._settings.qos) for one in part])
            refused += [one for one, reason in zip(part, reasons, strict=True) if reason >= _REFUSED]
        return refused

    def _shared(self, pattern: str) -> str:
        return pattern if self._settings.share is None else f"$share/{self._settings.share}/{pattern}"

    def _unheard(self, point: PointBinding, refused: Sequence[str]) -> bool:
        topic = self._payload.topic_of(point)
        return topic is not None and any(covers(one, topic) for one in refused)

    async def _mark(self, bad: Sequence[tuple[PointBinding, int]]) -> None:
        """Points that cannot be served have one bad sample each that says so."""
        now_ns = self._clock.now_ns()
        for quality in {quality for _, quality in bad}:
            batches = blank_batches([point for point, its in bad if its == quality], now_ns, quality)
            await self._store(batches)

    async def _receive(self) -> None:
        client = self._open
        origin = self._context.connection
        while True:
            packets = await client.receive()
            now_ns = self._clock.now_ns()
            decoded = self._payload.decode(
                [Message(origin, one.topic, one.payload, now_ns, one.retain) for one in packets]
            )
            self._messages += len(packets)
            self._ignored += decoded.ignored
            self._note(decoded)
            await self._finish(decoded)
            client.acknowledge(packets)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_S)
            await self._finish(self._payload.tick(self._clock.now_ns()))

    async def _finish(self, decoded: Decoded) -> None:
        await self._store(decoded.batches)
        for reply in decoded.replies:
            await self._publish(reply)

    async def _store(self, batches: Sequence[Batch]) -> None:
        batches = [batch for batch in batches if len(batch)]
        if batches and self._stored is not None:
            await self._stored(batches)
            self._read_back.see(batches)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._client is None:
            return
        error = task.exception()
        for other in self._tasks:
            if other is not task:
                other.cancel()
        lost, self._lost = self._lost, None
        if lost is None or not isinstance(error, Exception):
            return
        if isinstance(error, Unavailable):  # not acknowledged: the broker sends it again to the next session
            error = Unreachable(f"samples cannot be stored now: {error.message}")
        lost(error)

    def _note(self, decoded: Decoded) -> None:
        """The first few that make no sense are told one by one, then they are only counted."""
        for notice in decoded.notices:
            logger.warning("%s: %s", self._context.connection, notice)
        for _, error in decoded.refused:
            self._refusals += 1
            if self._refusals <= _REFUSALS_LOGGED:
                logger.warning("%s: a message makes no sense: %s", self._context.connection, error)

    async def _publish(self, said: Publish) -> None:
        await self._open.publish(said.topic, said.payload, qos=said.qos, retain=said.retain)

    # --- Writable -------------------------------------------------------------------------------------------------

    async def write(self, point: PointBinding, value: Value) -> None:
        command = self._payload.command(point, value, self._clock.now_ns())
        self._read_back.expect(point)
        await self._publish(command)

    async def read_back(self, point: PointBinding) -> Batch:
        return await self._read_back.sample(point, self._settings.read_back_ns / SECOND_NS)

    # --- Browsable, Counting --------------------------------------------------------------------------------------

    async def browse(self, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        for node in self._payload.browse(parent):
            yield node

    def counts(self) -> Mapping[str, float]:
        own = {
            "messages": self._messages,
            "messages that no point asks for": self._ignored,
            "messages that make no sense": self._refusals,
        }
        return {**own, **self._payload.counters()}


DRIVER: Final = DriverType(
    name="mqtt", title="MQTT broker", settings=Settings, address=Address, open=MqttDriver, check=check_address
)
