"""A session whose driver tells its peers that samples are safe: stored first, rebound, written to at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.connect.fakes import FakeAddress, FakeSettings, connection, points

from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import DataError, Unavailable, Unreachable
from headrace.sdk.driver import DriverContext, DriverType, Lost, PointBinding, Stored
from headrace.sdk.field import LinkState, LinkStatus
from headrace.sdk.testing.clock import FakeClock, settle
from headrace.sdk.testing.devices import MemoryDoor


class Listening:
    """Acknowledging, Rebindable, Writable and Counting."""

    def __init__(self, context: DriverContext) -> None:
        self.context = context
        self.bound: list[list[int]] = []
        self.closed = False
        self.answers = asyncio.Event()
        self.writing = 0

    async def connect(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True

    async def serve(self, points: Sequence[PointBinding], stored: Stored, lost: Lost) -> None:
        self.bound.append([point.handle for point in points])
        self.stored, self.lost = stored, lost

    async def rebind(self, points: Sequence[PointBinding]) -> None:
        self.bound.append([point.handle for point in points])

    async def write(self, point: PointBinding, value: Value) -> None:
        if value == 13.0:
            raise Unreachable("that device is silent")
        if value == 14.0:
            raise ZeroDivisionError
        self.writing += 1
        await self.answers.wait()

    async def read_back(self, point: PointBinding) -> Batch:
        return Batch.of(ValueKind.FLOAT64, [point.handle], 1, [1.0])

    def counts(self) -> Mapping[str, float]:
        return {"connections": 7.0}


class Bed:
    def __init__(self, folder: Path, *, intake: bool = True) -> None:
        self.clock, self.taken, self.drivers = FakeClock(), list[Batch](), list[Listening]()
        self.fault: Exception | None = None
        self.wrong: set[float] = set()
        self.published: list[Batch] = []
        self.door = MemoryDoor()
        around = Surroundings(
            self.clock, self._publish, self._ignore, folder, intake=self if intake else None, devices=self.door
        )
        kind = DriverType("told", "Fake listener", FakeSettings, FakeAddress, self._open)
        self.supervisor = Supervisor({"told": kind}, around, TrustStore(folder / "trust.json"))

    def _open(self, settings: Any, context: DriverContext) -> Listening:
        self.drivers.append(Listening(context))
        return self.drivers[-1]

    async def _publish(self, batches: Sequence[Batch]) -> None:
        self.published += batches

    async def _ignore(self, _: Any) -> None:
        return None

    async def take(self, batches: Sequence[Batch], marks: Any = None) -> None:
        if self.fault is not None:
            raise self.fault
        if any(value in self.wrong for batch in batches for value in batch.values.tolist()):
            raise DataError("one of them is wrong")
        self.taken += batches

    @property
    def driver(self) -> Listening:
        return self.drivers[-1]

    def status(self) -> LinkStatus:
        return self.supervisor.status()[0]

    async def declare(self, bound: Sequence[PointBinding]) -> None:
        await self.supervisor.reconcile({"plc": connection(driver="told")}, {"plc": bound})
        await settle()


@asynccontextmanager
async def bed(folder: Path, **more: Any) -> AsyncIterator[Bed]:
    made = Bed(folder, **more)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.supervisor.run())
        await settle()
        await made.declare(points(3, range=(0.0, 100.0)))
        yield made
        made.driver.answers.set()
        made.supervisor.stop()


def floats(*values: float, handle: int = 0, source_ns: int | None = None) -> Batch:
    now_ns = FakeClock().now_ns() if source_ns is None else source_ns
    return Batch.of(ValueKind.FLOAT64, [handle] * len(values), now_ns, list(values))


async def test_samples_are_screened_counted_and_durable_when_the_driver_hears_of_it(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.driver.stored([floats(1.0, math.nan, 200.0), floats(5.0, source_ns=1)])
        (taken,) = plant.taken
        assert taken.quality.tolist() == [
            q.GOOD,
            q.BAD_SENSOR_FAILURE,
            q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
            q.BAD_INVALID_TIMESTAMP,
        ]
        counters = plant.status().counters
        assert (counters.samples, counters.bad_samples, counters.wild_clocks) == (4, 2, 1)
        assert plant.published == []  # the intake shows them, not the bus


async def test_what_cannot_be_stored_is_told_to_the_driver(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        plant.fault = Unavailable("the disk is full")
        with pytest.raises(Unavailable):
            await plant.driver.stored([floats(1.0)])
        assert plant.status().state is LinkState.CONNECTED


async def test_a_sample_that_history_refuses_costs_itself_alone(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        plant.wrong = {13.0}
        await plant.driver.stored([floats(*map(float, range(20))), floats(21.0)])
        kept = [value for batch in plant.taken for value in batch.values.tolist()]
        assert kept == [float(value) for value in range(20) if value != 13] + [21.0]
        assert plant.status().counters.unstorable == 1


async def test_without_an_intake_nothing_is_promised(tmp_path: Path) -> None:
    async with bed(tmp_path, intake=False) as plant:
        with pytest.raises(Unavailable):
            await plant.driver.stored([floats(1.0)])


async def test_other_points_come_without_another_session(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(points(2, first=5, range=(0.0, 1.0)))
        assert plant.driver.bound == [[0, 1, 2], [5, 6]] and len(plant.drivers) == 1
        await plant.driver.stored([floats(7.0, handle=5)])
        assert plant.taken[0].quality.tolist() == [q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED]


async def test_it_serves_without_points_too(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare([])
        assert plant.driver.bound[-1] == [] and plant.status().state is LinkState.CONNECTED


async def test_writes_to_many_devices_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        writes = [asyncio.create_task(plant.supervisor.write(f"acme/p{at}", 1.0)) for at in range(3)]
        await settle()
        assert plant.driver.writing == 3
        assert len(await plant.supervisor.read_back("acme/p1")) == 1
        plant.driver.answers.set()
        await asyncio.gather(*writes)


async def test_a_device_that_is_silent_does_not_end_the_session_of_the_others(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        with pytest.raises(Unreachable):
            await plant.supervisor.write("acme/p0", 13.0)
        await settle()
        assert plant.status().state is LinkState.CONNECTED and len(plant.drivers) == 1


async def test_a_fault_of_the_driver_ends_its_session_and_what_waits(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        waiting = asyncio.create_task(plant.supervisor.write("acme/p1", 1.0))
        await settle()
        with pytest.raises(Unreachable):
            await plant.supervisor.write("acme/p0", 14.0)
        with pytest.raises((Unreachable, Unavailable)):
            await waiting
        await settle()
        assert plant.drivers[0].closed and plant.status().state is not LinkState.CONNECTED
        assert [q.severity(quality) for batch in plant.published for quality in batch.quality.tolist()] == ["bad"] * 3


async def test_a_listener_that_is_lost_marks_its_points_bad_and_comes_back(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        plant.driver.lost(Unreachable("the socket is gone"))
        await settle()
        assert plant.status().state is LinkState.WAITING
        await plant.clock.advance(1)
        assert plant.status().state is LinkState.CONNECTED and len(plant.drivers) == 2
        assert sum(map(len, plant.published)) == 3


async def test_what_the_driver_counts_is_in_its_status_and_the_door_in_its_hands(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        assert plant.status().counters.own == {"connections": 7.0}
        assert plant.driver.context.devices is plant.door
