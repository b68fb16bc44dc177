"""The whole of connect/ in one line: a simulated broker, the MQTT driver, the supervisor, samples taken in durably."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.connect.drivers.mqtt import floor

from headrace.connect.binding import bind
from headrace.connect.drivers import load
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import SessionPolicy, Surroundings
from headrace.connect.trust import TrustStore
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.events import Event
from headrace.model.plant import Connection
from headrace.model.points import Access, Point, PointSource, Range
from headrace.sdk.clock import SystemClock
from headrace.sdk.field import LinkState

PATIENCE_S = 20.0
POINTS = [
    Point(
        "acme/oil",
        ValueKind.FLOAT64,
        range=Range(10, 40),
        source=PointSource("floor", {"device": "press-3", "value": "/oil/temperature"}),
    ),
    Point(
        "acme/setpoint",
        ValueKind.FLOAT64,
        access=Access.READ_WRITE,
        source=PointSource("floor", {"device": "press-3", "value": "/setpoint/pressure"}),
    ),
]


class Watch:
    """`taken` came by the way of those whose peers wait, `published` by the bus."""

    def __init__(self) -> None:
        self.taken: dict[int, tuple[Any, int]] = {}
        self.published: dict[int, tuple[Any, int]] = {}
        self.events: list[str] = []
        self._changed = asyncio.Condition()

    async def take(self, batches: Sequence[Batch]) -> None:
        await self._note(self.taken, batches)

    async def publish(self, batches: Sequence[Batch]) -> None:
        await self._note(self.published, batches)

    async def publish_events(self, events: Sequence[Event]) -> None:
        self.events += [event.type for event in events]
        async with self._changed:
            self._changed.notify_all()

    async def _note(self, into: dict[int, tuple[Any, int]], batches: Sequence[Batch]) -> None:
        for batch in batches:
            for handle, value, quality in zip(
                batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
            ):
                into[handle] = value, quality
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(holds)


@asynccontextmanager
async def supervised(port: int, state_dir: Path) -> AsyncIterator[tuple[Supervisor, Watch]]:
    watch, drivers = Watch(), load()
    around = Surroundings(
        SystemClock(),
        watch.publish,
        watch.publish_events,
        state_dir,
        random.Random(1),
        SessionPolicy(pause_s_first=0.02, pause_s_max=0.1),
        intake=watch,
    )
    supervisor = Supervisor(drivers, around, TrustStore(state_dir / "trust.json"))
    settings = {"host": "127.0.0.1", "port": port, "timeout": "500ms", "payload": floor.PAYLOAD}
    connections = {"floor": Connection("floor", "mqtt", settings)}
    bound = bind(POINTS, {point.path: at for at, point in enumerate(POINTS)}, connections, drivers)
    assert not bound.errors
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await supervisor.reconcile(connections, bound.by_connection)
        yield supervisor, watch
        supervisor.stop()


async def test_a_message_and_a_setpoint_all_the_way(tmp_path: Path) -> None:
    async with floor.broker() as broker, supervised(broker.port, tmp_path) as (supervisor, watch):
        await watch.until(lambda: len(watch.taken) == 2)
        assert watch.taken == {0: (0.1, q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED), 1: (100.0, q.GOOD)}
        await supervisor.write("acme/setpoint", 120.5)
        assert (await supervisor.read_back("acme/setpoint")).values.tolist() == [120.5]
        await watch.until(lambda: watch.taken[1] == (120.5, q.GOOD))
        [status] = supervisor.status()
        assert status.state is LinkState.CONNECTED and status.counters.own["messages"] >= 2


async def test_a_broker_that_restarts_costs_one_bad_sample_a_point_and_no_visit(tmp_path: Path) -> None:
    broker = floor.broker()
    await broker.start()
    async with supervised(broker.port, tmp_path) as (_, watch):
        await watch.until(lambda: len(watch.taken) == 2)
        await broker.stop()
        await watch.until(lambda: len(watch.published) == 2)
        assert {quality for _, quality in watch.published.values()} == {q.BAD_NO_COMMUNICATION}
        watch.taken.clear()
        again = floor.broker(broker.port)
        await again.start()
        await watch.until(lambda: len(watch.taken) == 2)
        await again.stop()
    assert watch.events.count("connection.lost") >= 1
