"""A gateway driver on a port of its own, a register of devices, a store that a test can hold up, and a raw client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headrace.connect.drivers.gateway.config import Address, Settings
from headrace.connect.drivers.gateway.driver import GatewayDriver
from headrace.connect.gateway.hub import Hub
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode
from headrace.connect.mqtt.packets import Packet, Version
from headrace.connect.mqtt.parser import Parser, Side
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Unavailable
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.driver import DriverContext, PointBinding
from headrace.sdk.testing.devices import MemoryDoor

SECOND = 1_000_000_000
PATIENCE_S = 20.0


def binding(
    handle: int, kind: ValueKind = ValueKind.FLOAT64, *, writable: bool = False, **address: Any
) -> PointBinding:
    return PointBinding(handle, f"acme/p{handle}", kind, Address.model_validate(address), SECOND, writable)


class Store:
    """What was made durable. `gate` holds it up, `full` refuses."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.full = False

    async def stored(self, batches: Sequence[Batch]) -> None:
        self.calls += 1
        await self.gate.wait()
        if self.full:
            raise Unavailable("the disk is full")
        self.batches += batches

    def samples(self, handle: int) -> list[tuple[Any, int]]:
        """(value, quality) in the order in which they became durable."""
        return [
            (value, quality)
            for batch in self.batches
            for at, value, quality in zip(
                batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
            )
            if at == handle
        ]

    def values(self, handle: int) -> list[Any]:
        return [value for value, _ in self.samples(handle)]


class Bed:
    def __init__(self, driver: GatewayDriver, door: MemoryDoor, store: Store) -> None:
        self.driver, self.door, self.store = driver, door, store
        self.lost: list[Exception] = []

    @property
    def port(self) -> int:
        return self.driver.port

    @property
    def hub(self) -> Hub:
        assert self.driver._hub is not None
        return self.driver._hub

    @asynccontextmanager
    async def client(self, client_id: str = "d1", **options: Any) -> AsyncIterator[Raw]:
        """Connected and welcome; the line is cut at the end unless the test has said goodbye."""
        client = await self.line()
        try:
            client.version = options.get("version", Version.V5)
            await client.say(p.Connect(client_id, **options))
            client.connack = await client.expect(p.Connack)
            yield client
        finally:
            client.cut()

    async def line(self) -> Raw:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Raw(reader, writer)

    async def until(self, holds: Any) -> None:
        """Until a condition holds; bounded by the test's patience."""
        while not holds():
            await asyncio.sleep(0.001)


class Raw:
    """A client that says exactly what a test wants, and hears packets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.version = Version.V5
        self.connack = p.Connack()
        self._parser: Parser | None = None
        self._heard: list[Packet] = []

    async def say(self, *packets: Packet) -> None:
        """In one write."""
        data = []
        for packet in packets:
            if isinstance(packet, p.Connect):
                self.version = packet.version
            data.append(encode(packet, self.version))
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def hear(self) -> Packet | None:
        """The next packet; None when the gateway has closed the connection."""
        if self._parser is None:
            self._parser = Parser(Side.CLIENT, self.version)
        while not self._heard:
            try:
                data = await self.reader.read(65_536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._heard += self._parser.feed(data)
        return self._heard.pop(0)

    async def expect(self, kind: type[Any]) -> Any:
        packet = await self.hear()
        assert isinstance(packet, kind), f"{packet} is no {kind.__name__}"
        return packet

    async def closed(self) -> Packet | None:
        """Hears to the end; the last packet, where there was any."""
        last = None
        while (packet := await self.hear()) is not None:
            last = packet
        return last

    async def subscribe(self, *filters: str | p.Subscription, qos: int = 1, **properties: Any) -> tuple[int, ...]:
        asked = tuple(one if isinstance(one, p.Subscription) else p.Subscription(one, qos) for one in filters)
        await self.say(p.Subscribe(9, asked, properties.get("properties", {})))
        suback: p.Suback = await self.expect(p.Suback)
        return suback.reasons

    async def ping(self) -> None:
        """A round trip: everything said before has been read."""
        await self.say(p.Pingreq())
        await self.expect(p.Pingresp)

    def cut(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def gateway(
    folder: Path,
    points: Sequence[PointBinding] = (),
    *,
    clock: Clock | None = None,
    door: MemoryDoor | None = None,
    store: Store | None = None,
    **settings: Any,
) -> AsyncIterator[Bed]:
    """Open to everybody, unless the test brings a door."""
    door = door or MemoryDoor(open_to_all=True)
    settings.setdefault("listen", "127.0.0.1:0")
    settings.setdefault("limits", {}).setdefault("gather", "0s")
    context = DriverContext("gate", clock or SystemClock(), folder, None, door)
    bed = Bed(GatewayDriver(Settings.model_validate(settings), context), door, store or Store())
    async with asyncio.timeout(PATIENCE_S):
        try:
            await bed.driver.connect()
            await bed.driver.serve(points, bed.store.stored, bed.lost.append)
            yield bed
        finally:
            bed.store.gate.set()
            await bed.driver.close()
    assert bed.lost == []
