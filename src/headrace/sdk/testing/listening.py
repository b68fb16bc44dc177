"""What every driver must do whose peers come to it and wait to hear that their samples are safe.

    class TestGateway(ListeningDriverContract):
        def open(self, clock, state_dir, door, port=0) -> Driver: …   # listens on 127.0.0.1; `port_of` says where
        def peer(self, port, values) -> ContractPeer: …               # a device that reports, and obeys commands

`DriverContract` is for drivers that go to their device; for these the roles are turned round.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol, Self

import pytest

from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import DataError, DeviceError, Refused, Unavailable
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.devices import DeviceDoor
from headrace.sdk.driver import Acknowledging, Driver, PointBinding, Rebindable, Writable
from headrace.sdk.testing.devices import MemoryDoor

PATIENCE_S: Final = 20.0


class ContractPeer(Protocol):
    """A device of the driver's own simulator; `async with` it to have it connected."""

    async def report(self, **changed: Value) -> None:
        """Returns when the driver has acknowledged. Raises: DeviceError."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: Any) -> None: ...


class Kept:
    """What was made durable; `gate` holds it up, `full` refuses."""

    def __init__(self) -> None:
        self.held: dict[int, list[tuple[Any, int]]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.full = False

    async def stored(self, batches: Sequence[Batch]) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.full:
            raise Unavailable("the disk is full")
        for batch in batches:
            for handle, value, quality in zip(
                batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
            ):
                self.held.setdefault(handle, []).append((value, quality))

    def last(self, handle: int) -> tuple[Any, int] | None:
        return self.held[handle][-1] if handle in self.held else None


class ListeningDriverContract(ABC):
    """`points` are by the name under which the device `dev-1` reports them; `setpoint` is one of the names."""

    @property
    @abstractmethod
    def points(self) -> Mapping[str, tuple[PointBinding, Value]]: ...

    @property
    @abstractmethod
    def setpoint(self) -> tuple[str, Value]: ...

    @abstractmethod
    def open(self, clock: Clock, state_dir: Path, door: DeviceDoor | None, port: int = 0) -> Driver: ...

    @abstractmethod
    def port_of(self, driver: Driver) -> int: ...

    @abstractmethod
    def peer(self, port: int, values: Mapping[str, Value]) -> ContractPeer: ...

    # --- the suite ------------------------------------------------------------------------------------------------

    async def test_it_stores_every_value_exactly(self, tmp_path: Path) -> None:
        async with self._serving(tmp_path) as (driver, kept), self._peer(driver) as device:
            await device.report()
            for name, (binding, value) in self.points.items():
                assert kept.last(binding.handle) == (value, q.GOOD), name

    async def test_it_acknowledges_when_samples_are_durable_and_not_before(self, tmp_path: Path) -> None:
        async with self._serving(tmp_path) as (driver, kept), self._peer(driver) as device:
            kept.gate.clear()
            reporting = asyncio.create_task(device.report())
            await kept.asked.wait()
            assert not reporting.done()
            kept.gate.set()
            await reporting

    async def test_what_cannot_be_stored_is_not_acknowledged(self, tmp_path: Path) -> None:
        async with self._serving(tmp_path) as (driver, kept):
            kept.full = True
            async with self._peer(driver) as device:
                with pytest.raises(DeviceError):
                    await device.report()
            kept.full = False
            async with self._peer(driver) as device:
                await device.report()
            assert all(len(samples) == 1 for samples in kept.held.values())

    async def test_points_change_without_a_peer_noticing(self, tmp_path: Path) -> None:
        name, (binding, value) = next(iter(self.points.items()))
        async with self._serving(tmp_path, points=[]) as (driver, kept), self._peer(driver) as device:
            await device.report()
            assert kept.held == {}
            assert isinstance(driver, Rebindable)
            await driver.rebind([binding])
            await device.report()
            assert {binding.handle: kept.last(binding.handle)} == {binding.handle: (value, q.GOOD)}, name

    async def test_it_writes_and_reads_back(self, tmp_path: Path) -> None:
        name, value = self.setpoint
        binding = self.points[name][0]
        async with self._serving(tmp_path) as (driver, _), self._peer(driver):
            assert isinstance(driver, Writable)
            await driver.write(binding, value)
            assert (await driver.read_back(binding)).values.tolist() == [value]
            with pytest.raises(DataError):
                await driver.write(binding, 1.5 if isinstance(value, str) else "no number")

    async def test_a_write_to_who_is_away_is_unavailable(self, tmp_path: Path) -> None:
        name, value = self.setpoint
        async with self._serving(tmp_path) as (driver, _):
            assert isinstance(driver, Writable)
            with pytest.raises(Unavailable):
                await driver.write(self.points[name][0], value)

    async def test_nobody_gets_in_where_nobody_decides(self, tmp_path: Path) -> None:
        driver = self.open(SystemClock(), tmp_path, None)
        with pytest.raises(Refused):
            await driver.connect()
        await driver.close()

    async def test_a_taken_port_is_a_device_error_and_a_closed_one_is_free_again(self, tmp_path: Path) -> None:
        async with self._serving(tmp_path) as (driver, _):
            port = self.port_of(driver)
            second = self.open(SystemClock(), tmp_path, MemoryDoor(), port)
            with pytest.raises(DeviceError):
                await second.connect()
            await second.close()
        async with self._serving(tmp_path, port=port) as (driver, _), self._peer(driver) as device:
            await device.report()

    @pytest.mark.parametrize("seed", range(3))
    async def test_garbage_is_the_end_of_its_sender_alone(self, tmp_path: Path, seed: int) -> None:
        rng = random.Random(seed)  # the seed is in the test's name
        async with self._serving(tmp_path) as (driver, _), self._peer(driver) as device:
            for _ in range(20):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port_of(driver))
                writer.write(rng.randbytes(rng.randrange(1, 200)))
                writer.close()
            await device.report()

    async def test_closing_stores_what_has_come_and_lets_everybody_go(self, tmp_path: Path) -> None:
        async with self._serving(tmp_path) as (driver, kept), self._peer(driver) as device:
            kept.gate.clear()
            reporting = asyncio.create_task(device.report())
            await kept.asked.wait()
            closing = asyncio.create_task(driver.close())
            kept.gate.set()
            await asyncio.gather(closing, reporting)
            assert len(kept.held) == len(self.points)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _peer(self, driver: Driver) -> ContractPeer:
        return self.peer(self.port_of(driver), {name: value for name, (_, value) in self.points.items()})

    @asynccontextmanager
    async def _serving(
        self, state_dir: Path, *, points: Sequence[PointBinding] | None = None, port: int = 0
    ) -> AsyncIterator[tuple[Driver, Kept]]:
        driver = self.open(SystemClock(), state_dir, MemoryDoor(open_to_all=True), port)
        kept, lost = Kept(), list[Exception]()
        bound = [binding for binding, _ in self.points.values()] if points is None else points
        async with asyncio.timeout(PATIENCE_S):
            try:
                await driver.connect()
                assert isinstance(driver, Acknowledging)
                await driver.serve(bound, kept.stored, lost.append)
                yield driver, kept
            finally:
                kept.gate.set()
                await driver.close()
        assert lost == []
