"""A driver whose device is a Python object, and a supervisor over it on a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import SessionPolicy, Surroundings
from headrace.connect.trust import TrustStore
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import Refused
from headrace.model.events import Event
from headrace.model.plant import Connection
from headrace.sdk.driver import (
    BrowseNode,
    Deliver,
    Driver,
    DriverContext,
    DriverType,
    Lost,
    PointBinding,
    ReadRequest,
)
from headrace.sdk.testing.clock import FakeClock, settle

SECOND = 1_000_000_000


class FakeSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    device: str = "d"


class FakeAddress(BaseModel):
    model_config = ConfigDict(extra="forbid")
    at: int = 0


@dataclass
class Device:
    """What the fake drivers talk to. `fault` raises from every call; `hold` keeps a read from answering."""

    values: dict[int, float] = field(default_factory=dict)
    fault: Callable[[], Exception] | None = None
    connect_fault: Callable[[], Exception] | None = None
    hold: asyncio.Event | None = None
    calls: list[str] = field(default_factory=list)
    opened: int = 0
    connected: int = 0
    closed: int = 0
    busy: int = 0
    busy_max: int = 0
    certificate: str = "AA:01"
    trusted: str | None = None
    source_ns: int | None = None
    deliver: Deliver | None = None
    lost: Lost | None = None


class FakeDriver:
    """Polled, Writable, Browsable and Trusting."""

    def __init__(self, device: Device, context: DriverContext) -> None:
        self.device, self.clock = device, context.clock
        device.opened += 1
        device.trusted = context.trusted

    async def connect(self) -> None:
        if self.device.connect_fault is not None:
            raise self.device.connect_fault()
        self.device.connected += 1

    async def close(self) -> None:
        self.device.closed += 1

    @asynccontextmanager
    async def _call(self, what: str) -> AsyncIterator[None]:
        device = self.device
        device.calls.append(what)
        device.busy += 1
        device.busy_max = max(device.busy_max, device.busy)
        try:
            await asyncio.sleep(0)
            if device.hold is not None:
                await device.hold.wait()
            if device.fault is not None:
                raise device.fault()
            yield
        finally:
            device.busy -= 1

    def plan(self, points: Sequence[PointBinding]) -> Sequence[ReadRequest]:
        return [ReadRequest([point.handle for point in points], tuple(points))] if points else []

    async def read(self, request: ReadRequest) -> Sequence[Batch]:
        async with self._call("read"):
            now_ns = self.clock.now_ns()
            source_ns = now_ns if self.device.source_ns is None else self.device.source_ns
            values = [self.device.values.get(handle, 1.0) for handle in request.handles]
            return [Batch.of(ValueKind.FLOAT64, list(request.handles), source_ns, values, received_ns=now_ns)]

    async def write(self, point: PointBinding, value: Value) -> None:
        async with self._call(f"write {value}"):
            if value == 13.0:
                raise Refused("thirteen is refused")
            self.device.values[point.handle] = float(value)

    async def read_back(self, point: PointBinding) -> Batch:
        async with self._call("read back"):
            now_ns = self.clock.now_ns()
            return Batch.of(ValueKind.FLOAT64, [point.handle], now_ns, [self.device.values[point.handle]])

    async def browse(self, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        try:
            for at in range(3):
                async with self._call("browse"):
                    pass
                yield BrowseNode(f"n{at}", {"at": at}, ValueKind.FLOAT64)
        finally:
            self.device.calls.append("browse ends")

    async def fingerprint(self) -> str:
        return self.device.certificate


class FakeSubscriber:
    """Subscribed only."""

    def __init__(self, device: Device, context: DriverContext) -> None:
        self.device = device
        device.opened += 1

    async def connect(self) -> None:
        if self.device.connect_fault is not None:
            raise self.device.connect_fault()
        self.device.connected += 1

    async def close(self) -> None:
        self.device.closed += 1

    async def subscribe(self, points: Sequence[PointBinding], deliver: Deliver, lost: Lost) -> None:
        self.device.calls.append(f"subscribe {len(points)}")
        self.device.deliver, self.device.lost = deliver, lost


def points(count: int = 3, first: int = 0, interval_s: float = 1.0, **more: Any) -> list[PointBinding]:
    return [
        PointBinding(
            handle, f"acme/p{handle}", ValueKind.FLOAT64, FakeAddress(at=handle), int(interval_s * SECOND), True, **more
        )
        for handle in range(first, first + count)
    ]


def connection(name: str = "plc", driver: str = "fake", enabled: bool = True, **settings: Any) -> Connection:
    return Connection(name, driver, settings, enabled=enabled)


class Bed:
    """A supervisor, its devices by name, and everything that it published."""

    def __init__(self, state_dir: Path, policy: SessionPolicy) -> None:
        self.clock = FakeClock()
        self.devices: dict[str, Device] = {}
        self.batches: list[Batch] = []
        self.events: list[Event] = []
        self.lost = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        types = {
            "fake": DriverType("fake", "Fake device", FakeSettings, FakeAddress, self._open(FakeDriver)),
            "told": DriverType("told", "Fake server", FakeSettings, FakeAddress, self._open(FakeSubscriber)),
        }
        self.trust = TrustStore(state_dir / "trust.json")
        around = Surroundings(self.clock, self._publish, self._publish_events, state_dir, random.Random(7), policy)
        self.supervisor = Supervisor(types, around, self.trust)

    def _open(self, make: Callable[[Device, DriverContext], Driver]) -> Callable[[Any, DriverContext], Driver]:
        def opened(settings: FakeSettings, context: DriverContext) -> Driver:
            return make(self.device(context.connection), context)

        return opened

    def device(self, name: str = "plc") -> Device:
        return self.devices.setdefault(name, Device())

    async def _publish(self, batches: Sequence[Batch]) -> None:
        await self.gate.wait()
        self.batches += batches

    async def _publish_events(self, events: Sequence[Event]) -> None:
        self.events += events
        if any(event.type == "connection.lost" for event in events):
            self.lost.set()

    async def declare(self, *connections: Connection, **bindings: Sequence[PointBinding]) -> None:
        await self.supervisor.reconcile({given.name: given for given in connections}, bindings)
        await settle()

    def samples(self, handle: int) -> list[tuple[Any, int]]:
        """(value, quality) of one point, oldest first; NaN as None."""
        return [
            (None if value != value else value, quality)
            for batch in self.batches
            for at, value, quality in zip(
                batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
            )
            if at == handle
        ]

    def qualities(self, handle: int = 0) -> list[int]:
        return [quality for _, quality in self.samples(handle)]

    def status(self, name: str = "plc") -> Any:
        return next(status for status in self.supervisor.status() if status.connection == name)


@asynccontextmanager
async def bed(state_dir: Path, **policy: Any) -> AsyncIterator[Bed]:
    made = Bed(state_dir, SessionPolicy(**policy))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.supervisor.run())
        await settle()
        yield made
        made.gate.set()
        made.supervisor.stop()
