"""The whole of connect/ in one line: simulator, faulty relay, Modbus driver, supervisor, real time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.connect.drivers.modbus import plant

from headrace.connect.binding import bind
from headrace.connect.drivers import load
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import SessionPolicy, Surroundings
from headrace.connect.trust import TrustStore
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Unavailable
from headrace.model.events import Event
from headrace.model.plant import Connection
from headrace.model.points import Access, Point, PointSource, Range
from headrace.sdk.clock import SystemClock
from headrace.sdk.field import LinkState
from headrace.sdk.testing.relay import Relay

POINTS = [
    Point("acme/oil.temperature", ValueKind.FLOAT64, range=Range(0, 40), source=PointSource("plc", {}, 20_000_000)),
    Point("acme/setpoint", ValueKind.FLOAT64, access=Access.READ_WRITE, source=PointSource("plc", {}, 20_000_000)),
]
ADDRESSES = [
    {"table": "input", "address": 0, "encoding": "float32"},
    {"table": "holding", "address": 100, "encoding": "float32"},
]


class Watch:
    """What came out, and a way to wait for something to become true of it."""

    def __init__(self) -> None:
        self.newest: dict[int, tuple[float, int]] = {}
        self.events: list[str] = []
        self._changed = asyncio.Condition()

    async def publish(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            columns = zip(batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True)
            self.newest.update({handle: (value, quality) for handle, value, quality in columns})
        async with self._changed:
            self._changed.notify_all()

    async def publish_events(self, events: Sequence[Event]) -> None:
        self.events += [event.type for event in events]
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(15), self._changed:
            await self._changed.wait_for(holds)


@asynccontextmanager
async def supervised(port: int, state_dir: Path) -> AsyncIterator[tuple[Supervisor, Watch]]:
    watch, drivers = Watch(), load()
    policy = SessionPolicy(pause_s_first=0.02, pause_s_max=0.1)
    around = Surroundings(SystemClock(), watch.publish, watch.publish_events, state_dir, random.Random(1), policy)
    supervisor = Supervisor(drivers, around, TrustStore(state_dir / "trust.json"))
    connections = {"plc": Connection("plc", "modbus", {"host": "127.0.0.1", "port": port, "timeout_s": 0.3})}
    points = [
        Point(p.path, p.kind, access=p.access, range=p.range, source=PointSource("plc", address, 20_000_000))
        for p, address in zip(POINTS, ADDRESSES, strict=True)
    ]
    bound = bind(points, {p.path: at for at, p in enumerate(points)}, connections, drivers)
    assert not bound.errors
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await supervisor.reconcile(connections, bound.by_connection)
        yield supervisor, watch
        supervisor.stop()


async def test_a_reading_and_a_setpoint_all_the_way(tmp_path: Path) -> None:
    async with plant.server() as server, supervised(server.port, tmp_path) as (supervisor, watch):
        await watch.until(lambda: len(watch.newest) == 2)
        assert watch.newest == {0: (41.5, q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED), 1: (180.25, q.GOOD)}
        await supervisor.write("acme/setpoint", 200.5)
        assert (await supervisor.read_back("acme/setpoint")).values.tolist() == [200.5]
        await watch.until(lambda: watch.newest[1] == (200.5, q.GOOD))


@pytest.mark.parametrize("fault", ["cut", "black hole", "garbled"])
async def test_every_fault_ends_and_the_plant_is_back(tmp_path: Path, fault: str) -> None:
    async with (
        plant.server() as server,
        Relay("127.0.0.1", server.port) as relay,
        supervised(relay.port, tmp_path) as (supervisor, watch),
    ):
        await watch.until(lambda: len(watch.newest) == 2)
        if fault == "cut":
            await relay.cut()
        elif fault == "black hole":
            relay.black_hole = True
        else:
            relay.garble = lambda data: b"\xff" * len(data)
        await watch.until(lambda: {quality for _, quality in watch.newest.values()} == {q.BAD_NO_COMMUNICATION})
        [status] = supervisor.status()
        assert status.state is not LinkState.CONNECTED or fault != "cut"
        if fault == "cut":
            with pytest.raises(Unavailable):
                await supervisor.write("acme/setpoint", 1.0)
        relay.clear()
        await relay.mend()
        await watch.until(lambda: watch.newest[1] == (180.25, q.GOOD))
        assert watch.events[:2] == ["connection.up", "connection.lost"]
        [status] = supervisor.status()
        assert status.counters.losses >= 1
