"""What every driver must do, whatever its protocol: inherit `DriverContract`, give it a simulator, run pytest.

    class TestModbus(DriverContract):
        async def start(self, port: int) -> ContractServer: …   # a simulator on 127.0.0.1:port (0: any)
        def open(self, port: int, clock: Clock, state_dir: Path) -> Driver: …  # a driver with request time-outs ≤ 0.5 s

The driver talks through a `Relay`, so that the suite can cut, freeze, slow and garble the line. The supervisor's
part (back-off, marking bad, one owner a socket) is tested with the supervisor; here stands what it relies on: a driver
fails with a `DeviceError` in bounded time, never hangs, never answers with another request's data, and closes.
"""

from __future__ import annotations

import asyncio
import math
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pytest

from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import DataError, DeviceError, Unreachable
from headrace.sdk.clock import Clock
from headrace.sdk.driver import Acknowledging, Driver, PointBinding, Polled, Subscribed, Writable
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.relay import Relay

#: Nothing that a driver does may take longer than this in the suite; only a hang comes near it.
PATIENCE_S: Final = 20.0


class ContractServer(Protocol):
    """A running simulator."""

    port: int

    async def stop(self) -> None:
        """Close the port and every connection."""
        ...


@dataclass(frozen=True, slots=True)
class ContractPoint:
    """A point of the simulator and the value it holds after each start."""

    binding: PointBinding
    value: Value


class DriverContract(ABC):
    """`points` have known values; `setpoint` can be written; `unknown` has an address that the server does not have."""

    @property
    @abstractmethod
    def points(self) -> Sequence[ContractPoint]: ...

    @property
    @abstractmethod
    def setpoint(self) -> tuple[PointBinding, Value] | None:
        """A writable point and a value other than the one it starts with; None for a driver that only reads."""

    @property
    @abstractmethod
    def unknown(self) -> PointBinding: ...

    @abstractmethod
    async def start(self, port: int) -> ContractServer: ...

    @abstractmethod
    def open(self, port: int, clock: Clock, state_dir: Path) -> Driver: ...

    # --- in good times --------------------------------------------------------------------------------------------

    async def test_it_reads_every_point_exactly(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            held = await bench.samples(driver, [point.binding for point in self.points])
        for point in self.points:
            sample = held[point.binding.handle]
            assert sample.quality == q.GOOD, f"{point.binding.path}: {q.name_of(sample.quality)}"
            assert _equal(sample.value, point.value), f"{point.binding.path}: {sample.value!r} is not {point.value!r}"

    async def test_an_unknown_address_is_one_bad_sample_and_the_rest_is_good(self, tmp_path: Path) -> None:
        bindings = [*(point.binding for point in self.points), self.unknown]
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            held = await bench.samples(driver, bindings)
        assert q.severity(held[self.unknown.handle].quality) == "bad"
        bad = [point.binding.path for point in self.points if held[point.binding.handle].quality != q.GOOD]
        assert bad == []

    async def test_it_writes_and_reads_back(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            if self.setpoint is None:
                assert not isinstance(driver, Writable)
                return
            binding, value = self.setpoint
            assert isinstance(driver, Writable)
            if isinstance(driver, Acknowledging):  # served before anybody writes, as the session does
                await bench.samples(driver, [binding])
            await driver.write(binding, value)
            back = await driver.read_back(binding)
        assert back.handles.tolist() == [binding.handle]
        assert _equal(back.values.tolist()[0], value)

    async def test_a_value_of_another_kind_is_a_data_error(self, tmp_path: Path) -> None:
        if self.setpoint is None:
            return
        binding, value = self.setpoint
        wrong: Value = 1.5 if isinstance(value, str) else "no number"
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            assert isinstance(driver, Writable)
            if isinstance(driver, Acknowledging):
                await bench.samples(driver, [binding])
            with pytest.raises(DataError):
                await driver.write(binding, wrong)
            if not isinstance(driver, Acknowledging):
                await bench.samples(driver, [binding])

    async def test_answers_that_dribble_in_are_put_together(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            bench.relay.dribble = True
            held = await bench.samples(driver, [point.binding for point in self.points])
        assert all(held[point.binding.handle].quality == q.GOOD for point in self.points)

    async def test_a_wall_clock_that_jumps_changes_times_and_nothing_else(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            bindings = [point.binding for point in self.points]
            for jump_s in (86_400.0, -2 * 86_400.0):
                bench.clock.jump_wall(jump_s)
                if _is_told(driver):
                    continue
                held = await bench.samples(driver, bindings)
                assert {sample.received_ns for sample in held.values()} == {bench.clock.now_ns()}
                assert all(sample.quality == q.GOOD for sample in held.values())

    # --- in bad times ---------------------------------------------------------------------------------------------

    async def test_nobody_there_is_unreachable(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench:
            await bench.relay.cut()
            with pytest.raises(Unreachable):
                async with bench.driver():
                    pass

    async def test_a_connection_that_is_closed_at_once_is_a_device_error(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench:
            bench.relay.refuse = True
            with pytest.raises(DeviceError):
                async with bench.driver() as driver:
                    await bench.samples(driver, [point.binding for point in self.points])

    async def test_a_pulled_cable_is_noticed_and_a_new_session_recovers(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench:
            async with bench.driver() as driver:
                await bench.samples(driver, self._bindings)
                await bench.relay.cut()
                await bench.fails(driver, self._bindings)
            await bench.relay.mend()
            async with bench.driver() as driver:
                await bench.samples(driver, self._bindings)

    async def test_a_server_that_restarts_is_noticed_and_a_new_session_recovers(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench:
            async with bench.driver() as driver:
                await bench.samples(driver, self._bindings)
                await bench.restart_server()
                await bench.fails(driver, self._bindings)
            async with bench.driver() as driver:
                await bench.samples(driver, self._bindings)

    async def test_a_half_open_socket_ends_in_unreachable(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            await bench.samples(driver, self._bindings)
            bench.relay.black_hole = True
            error = await bench.fails(driver, self._bindings)
            assert isinstance(error, Unreachable)

    async def test_a_server_that_accepts_and_says_nothing_ends_in_unreachable(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench:
            bench.relay.black_hole = True
            with pytest.raises(Unreachable):
                async with bench.driver() as driver:
                    await bench.samples(driver, self._bindings)

    async def test_a_late_answer_is_never_taken_for_another(self, tmp_path: Path) -> None:
        """Answers come after the driver gave up: it may recover or fail, but never swap values."""
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            await bench.samples(driver, self._bindings)
            if _is_told(driver):
                return
            bench.relay.delay_s = 0.8
            for _ in range(3):
                try:
                    held = await bench.samples(driver, self._bindings)
                except DeviceError:
                    bench.relay.delay_s = 0.0
                    continue
                self._check_values(held)

    @pytest.mark.parametrize("seed", range(6))
    async def test_garbled_answers_raise_nothing_but_device_errors(self, tmp_path: Path, seed: int) -> None:
        rng = random.Random(seed)  # the seed is in the test's name

        def garble(data: bytes) -> bytes:
            broken = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                if broken:
                    broken[rng.randrange(len(broken))] = rng.randrange(256)
            return bytes(broken[: rng.randint(1, len(broken))] if rng.random() < 0.3 else broken)

        async with self._bench(tmp_path) as bench:
            for _ in range(4):
                bench.relay.clear()
                try:
                    async with bench.driver() as driver:
                        bench.relay.garble = garble
                        # Peers of a gateway or broker are many: one that makes no sense ends nothing, and says nothing.
                        async with asyncio.timeout(0.2 if isinstance(driver, Acknowledging) else None):
                            await bench.samples(driver, self._bindings)
                except (DeviceError, TimeoutError):
                    continue
            bench.relay.clear()
            async with bench.driver() as driver:
                self._check_values(await bench.samples(driver, self._bindings))

    async def test_a_cancelled_read_leaves_a_driver_that_answers_rightly_or_fails(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench, bench.driver() as driver:
            bench.relay.delay_s = 0.1
            reading = asyncio.create_task(bench.samples(driver, self._bindings))
            await asyncio.sleep(0.02)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            bench.relay.delay_s = 0.0
            if _is_told(driver):
                return
            try:
                held = await bench.samples(driver, self._bindings)
            except DeviceError:
                return
            self._check_values(held)

    async def test_closing_lets_go_of_the_socket_even_after_a_failed_connect(self, tmp_path: Path) -> None:
        async with self._bench(tmp_path) as bench:
            async with bench.driver() as driver:
                await bench.samples(driver, self._bindings)
            await bench.until_no_connection()
            bench.relay.refuse = True
            try:
                async with bench.driver():
                    pass
            except DeviceError:
                pass
            await bench.until_no_connection()

    @property
    def _bindings(self) -> list[PointBinding]:
        return [point.binding for point in self.points]

    def _check_values(self, held: dict[int, Sample]) -> None:
        for point in self.points:
            sample = held[point.binding.handle]
            if sample.quality == q.GOOD:
                assert _equal(sample.value, point.value), f"{point.binding.path}: {sample.value!r}"

    @asynccontextmanager
    async def _bench(self, state_dir: Path) -> AsyncIterator[Bench]:
        server = await self.start(0)
        bench = Bench(self, server, state_dir)
        try:
            async with asyncio.timeout(PATIENCE_S), Relay("127.0.0.1", server.port) as bench.relay:
                yield bench
        finally:
            await bench.server.stop()


@dataclass(frozen=True, slots=True)
class Sample:
    value: Any
    quality: int
    source_ns: int
    received_ns: int


class Bench:
    """One test's simulator, relay and clock."""

    relay: Relay

    def __init__(self, contract: DriverContract, server: ContractServer, state_dir: Path) -> None:
        self.contract, self.server, self.state_dir = contract, server, state_dir
        self.clock = FakeClock()
        self._loss: asyncio.Future[Exception] | None = None

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Driver]:
        """A connected driver; closed once, also after a failed connect, within bounded time."""
        driver = self.contract.open(self.relay.port, self.clock, self.state_dir)
        try:
            await driver.connect()
            yield driver
        finally:
            async with asyncio.timeout(PATIENCE_S / 2):
                await driver.close()

    async def samples(self, driver: Driver, bindings: Sequence[PointBinding]) -> dict[int, Sample]:
        """The first sample of each point, by handle, as the driver's ability gives it."""
        if isinstance(driver, Subscribed | Acknowledging):
            return await self._told(driver, bindings)
        assert isinstance(driver, Polled), "a driver is Polled, Subscribed or Acknowledging"
        batches: list[Batch] = []
        for request in driver.plan(bindings):
            answered = await driver.read(request)
            assert {int(h) for batch in answered for h in batch.handles} == set(request.handles)
            batches += answered
        return _by_handle(batches)

    async def _told(self, driver: Subscribed | Acknowledging, bindings: Sequence[PointBinding]) -> dict[int, Sample]:
        held: dict[int, Sample] = {}
        complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def deliver(batches: Sequence[Batch]) -> None:
            for handle, sample in _by_handle(batches).items():
                held.setdefault(handle, sample)
            if len(held) == len(bindings) and not complete.done():
                complete.set_result(None)

        loss = self._loss = asyncio.get_running_loop().create_future()

        def lost(error: Exception) -> None:
            assert not loss.done(), "lost() is called once"
            loss.set_result(error)
            if not complete.done():
                complete.set_exception(error)

        async def stored(batches: Sequence[Batch]) -> None:
            deliver(batches)

        try:
            if isinstance(driver, Acknowledging):
                await driver.serve(bindings, stored, lost)
            else:
                await driver.subscribe(bindings, deliver, lost)
            await complete
        finally:
            complete.cancel()
        return held

    async def fails(self, driver: Driver, bindings: Sequence[PointBinding]) -> DeviceError:
        """The DeviceError with which the driver notices that its session is over."""
        if _is_told(driver):
            assert self._loss is not None
            while not self._loss.done():  # keep-alives count on the clock that the driver was given
                await self.clock.advance(1.0)
                await asyncio.wait({self._loss}, timeout=0.01)
            error = self._loss.result()
            assert isinstance(error, DeviceError), f"lost() was given {error!r}, no DeviceError"
            return error
        with pytest.raises(DeviceError) as caught:
            for _ in range(3):
                await self.samples(driver, bindings)
        return caught.value

    async def restart_server(self) -> None:
        port = self.server.port
        await self.server.stop()
        self.server = await self.contract.start(port)

    async def until_no_connection(self) -> None:
        await self.relay.idle.wait()


def _is_told(driver: Driver) -> bool:
    return isinstance(driver, Subscribed | Acknowledging)


def _by_handle(batches: Sequence[Batch]) -> dict[int, Sample]:
    held: dict[int, Sample] = {}
    for batch in batches:
        columns = zip(
            batch.handles.tolist(),
            batch.values.tolist(),
            batch.quality.tolist(),
            batch.source_ns.tolist(),
            batch.received_ns.tolist(),
            strict=True,
        )
        for handle, value, quality, source_ns, received_ns in columns:
            held[handle] = Sample(value, quality, source_ns, received_ns)
    return held


def _equal(left: Any, right: Any) -> bool:
    """The same type and the same bits, NaN included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or np.float64(left).tobytes() == np.float64(right).tobytes()
    return bool(left == right)


__all__ = ["ContractPoint", "ContractServer", "DriverContract"]
