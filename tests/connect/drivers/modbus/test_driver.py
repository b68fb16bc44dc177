"""What the Modbus driver does beyond the contract: coalescing, finding bad addresses, writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.connect.drivers.modbus import plant
from tests.connect.drivers.modbus.plant import address, binding

from headrace.connect.drivers.modbus.blocks import coalesce
from headrace.connect.drivers.modbus.codec import ExceptionCode, ModbusException
from headrace.connect.drivers.modbus.config import Framing, Settings, Table
from headrace.connect.drivers.modbus.driver import ModbusDriver
from headrace.connect.drivers.modbus.simulator import Banks, ModbusServer, Write
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import Garbled, Refused, Unreachable
from headrace.sdk.driver import PointBinding
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.relay import Relay

INT = ValueKind.INT64


@asynccontextmanager
async def session(
    banks: Banks, on_write: Any = None, **settings: Any
) -> AsyncIterator[tuple[ModbusDriver, ModbusServer]]:
    async with ModbusServer({1: banks}, on_write=on_write) as server:
        driver = plant.driver(server.port, FakeClock(), Path("unused"), **settings)
        try:
            await driver.connect()
            yield driver, server
        finally:
            await driver.close()


async def qualities(driver: ModbusDriver, points: list[PointBinding]) -> dict[int, int]:
    got = {}
    for request in driver.plan(points):
        for batch in await driver.read(request):
            got.update(zip(batch.handles.tolist(), batch.quality.tolist(), strict=True))
    return got


def registers(*addresses: int) -> list[PointBinding]:
    return [binding(at, INT, address("holding", at)) for at in addresses]


def test_near_registers_share_a_request_and_far_ones_do_not() -> None:
    def spans(points: list[PointBinding], **settings: Any) -> list[tuple[int, int]]:
        return [(block.start, block.count) for block in coalesce(points, Settings(host="x", **settings))]

    assert spans(registers(0, 9, 19), max_gap=8) == [(0, 10), (19, 1)]
    assert spans(registers(*range(300))) == [(0, 125), (125, 125), (250, 50)]
    assert spans(registers(5, 3, 4, 3), max_batch=2) == [(3, 2), (5, 1)]
    mixed = [*registers(1), binding(9, INT, address("input", 2)), binding(8, ValueKind.BOOL, address("coil", 1999))]
    assert len(spans(mixed)) == 3
    coils = [binding(at, ValueKind.BOOL, address("coil", at)) for at in range(0, 4000, 100)]
    assert spans(coils) == [(0, 1901), (2000, 1901)]
    assert spans(coils[:4], max_batch=10) == [(0, 101), (200, 101)], "ten registers are 160 bits"


async def test_addresses_that_do_not_exist_are_found_once_and_then_left_out() -> None:
    banks = Banks()
    banks.hide(Table.HOLDING, 40, 1)
    banks.hide(Table.HOLDING, 77, 2)
    points = registers(*range(100))
    async with session(banks) as (driver, server):
        requests = driver.plan(points)
        assert len(requests) == 1
        for _ in range(2):
            before = server.requests
            [request] = requests
            batches = await driver.read(request)
            bad = {h: s for b in batches for h, s in zip(b.handles.tolist(), b.quality.tolist(), strict=True) if s}
            assert bad == dict.fromkeys((40, 77, 78), q.BAD_NODE_ID_UNKNOWN)
        assert server.requests - before == 3, "the second read asks only for what exists"


async def test_a_gap_that_does_not_exist_costs_no_point() -> None:
    banks = Banks()
    banks.hide(Table.HOLDING, 3, 2)
    async with session(banks) as (driver, _):
        assert await qualities(driver, registers(0, 1, 2, 5, 6)) == dict.fromkeys((0, 1, 2, 5, 6), q.GOOD)


async def test_a_device_that_gives_few_registers_at_once_is_read_in_pieces() -> None:
    class Small(ModbusServer):
        def answer(self, unit: int, pdu: bytes) -> bytes | None:
            too_many = int.from_bytes(pdu[3:5], "big") > 16
            return bytes([pdu[0] | 0x80, 3]) if too_many else super().answer(unit, pdu)

    async with Small({1: Banks()}) as server:
        driver = plant.driver(server.port, FakeClock(), Path("unused"))
        await driver.connect()
        assert await qualities(driver, registers(*range(100))) == dict.fromkeys(range(100), q.GOOD)
        await driver.close()


async def test_a_device_that_is_busy_or_broken_is_bad_now_and_asked_again() -> None:
    class Moody(ModbusServer):
        mood: int | None = None

        def answer(self, unit: int, pdu: bytes) -> bytes | None:
            return super().answer(unit, pdu) if self.mood is None else bytes([pdu[0] | 0x80, self.mood])

    async with Moody({1: Banks()}) as server:
        driver = plant.driver(server.port, FakeClock(), Path("unused"))
        await driver.connect()
        [request] = driver.plan(registers(0, 1))
        for mood, wanted in (
            (ExceptionCode.SERVER_DEVICE_BUSY, q.BAD_TIMEOUT),
            (ExceptionCode.SERVER_DEVICE_FAILURE, q.BAD_DEVICE_FAILURE),
            (ExceptionCode.GATEWAY_TARGET_FAILED, q.BAD_NO_COMMUNICATION),
            (99, q.BAD),
            (None, q.GOOD),
        ):
            server.mood = mood
            [batch] = await driver.read(request)
            assert batch.quality.tolist() == [wanted, wanted]
        server.mood = ExceptionCode.ILLEGAL_FUNCTION
        [batch] = await driver.read(request)
        assert batch.quality.tolist() == [q.BAD_NOT_SUPPORTED] * 2
        await driver.close()


async def test_a_kind_that_the_address_cannot_have_is_a_bad_sample() -> None:
    wrong = binding(5, ValueKind.BOOL, address("holding", 0, "float32"))
    async with session(Banks()) as (driver, _):
        assert await qualities(driver, [*registers(1), wrong]) == {1: q.GOOD, 5: q.BAD_TYPE_MISMATCH}


async def test_another_unit_behind_the_gateway_is_bad_and_the_session_stays() -> None:
    async with session(Banks(), unit=9) as (driver, _):
        assert await qualities(driver, registers(0)) == {0: q.BAD_NO_COMMUNICATION}


@pytest.mark.parametrize("settings", [{}, {"write_multiple": True}, {"mask_write": True}])
async def test_every_way_of_writing(settings: dict[str, Any]) -> None:
    banks = Banks()
    banks.holding[5] = 0b1010
    seen: list[tuple[Table, int, list[Any]]] = []

    def on_write(write: Write) -> None:
        seen.append((write.table, write.address, write.values.tolist()))

    async with session(banks, on_write, **settings) as (driver, _):
        for point, value in (
            (binding(0, ValueKind.BOOL, address("coil", 7)), True),
            (binding(1, INT, address("holding", 1)), 65_535),
            (binding(2, ValueKind.FLOAT64, address("holding", 2, "float32", order="CDAB")), 1.5),
            (binding(3, ValueKind.BOOL, address("holding", 5, bit=0)), True),
            (binding(4, ValueKind.BOOL, address("holding", 5, bit=3)), False),
            (binding(5, ValueKind.BOOL, address("holding", 6, bit=2, order="BADC")), True),
            (binding(6, ValueKind.TEXT, address("holding", 20, "text", length=3)), "水A"),
            (binding(7, ValueKind.FLOAT64, address("holding", 30, "int16", scale=0.5)), -1.0),
        ):
            await driver.write(point, value)
            back = await driver.read_back(point)
            assert back.values.tolist() == [value] and back.quality.tolist() == [q.GOOD], point
    assert int(banks.holding[5]) == 0b0011 and int(banks.holding[6]) == 1 << 10
    assert seen[0] == (Table.COIL, 7, [True]) and seen[1] == (Table.HOLDING, 1, [65_535])


async def test_a_write_that_the_device_refuses_says_why() -> None:
    def on_write(write: Write) -> None:
        raise ModbusException(ExceptionCode.ILLEGAL_DATA_VALUE)

    banks = Banks(size=10)
    async with session(banks, on_write) as (driver, _):
        with pytest.raises(Refused, match="illegal data value"):
            await driver.write(binding(0, INT, address("holding", 0)), 1)
        with pytest.raises(Refused, match="illegal data address"):
            await driver.write(binding(0, INT, address("holding", 10)), 1)
        with pytest.raises(Refused, match="can only be read"):
            await driver.write(binding(0, INT, address("input", 0)), 1)
        with pytest.raises(Refused, match="illegal data address"):
            await driver.read_back(binding(0, INT, address("holding", 10)))
        assert await qualities(driver, registers(0)) == {0: q.GOOD}
    assert int(banks.holding[0]) == 0


@pytest.mark.parametrize("wrong", ["transaction", "unit", "function", "size"])
async def test_an_answer_to_something_else_ends_the_session(wrong: str) -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = bytearray(await reader.readexactly(12))
        said = bytearray(asked[:4] + b"\x00\x05" + asked[6:8] + b"\x02\x00\x07")
        if wrong == "transaction":
            said[1] ^= 1
        elif wrong == "unit":
            said[6] ^= 1
        elif wrong == "function":
            said[7] = 4
        else:
            said[8] = 4
        writer.write(said)
        await writer.drain()

    server = await asyncio.start_server(lie, "127.0.0.1", 0)
    driver = plant.driver(server.sockets[0].getsockname()[1], FakeClock(), Path("unused"))
    await driver.connect()
    with pytest.raises(Garbled):
        await qualities(driver, registers(0))
    with pytest.raises(Garbled):  # and so it stays: this session is of no more use
        await qualities(driver, registers(0))
    await driver.close()
    server.close()


async def test_an_rtu_session_ends_with_a_read_that_was_given_up() -> None:
    """RTU answers do not say what they answer, so the next answer could be taken for the wrong one."""
    async with ModbusServer({}, framing=Framing.RTU) as server:  # nobody answers
        driver = plant.driver(server.port, FakeClock(), Path("unused"), framing="rtu")
        await driver.connect()
        reading = asyncio.create_task(qualities(driver, registers(0)))
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(Unreachable, match="given up"):
            await qualities(driver, registers(0))
        await driver.close()


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
def test_it_runs_on_uvloop(framing: str) -> None:
    async def main() -> dict[int, int]:
        async with plant.server(framing=Framing(framing)) as server:
            driver = plant.driver(server.port, FakeClock(), Path("unused"), framing=framing)
            await driver.connect()
            try:
                return await qualities(driver, [point for point, _ in plant.KNOWN])
            finally:
                await driver.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert set(runner.run(main()).values()) == {q.GOOD}


async def test_a_tcp_session_outlives_a_read_that_was_given_up() -> None:
    """Its answer comes late, is known by its transaction and is not taken for the next one's."""
    async with (
        plant.server() as server,
        Relay("127.0.0.1", server.port) as relay,
    ):
        driver = plant.driver(relay.port, FakeClock(), Path("unused"))
        await driver.connect()
        relay.delay_s = 0.1
        reading = asyncio.create_task(qualities(driver, registers(100)))
        await asyncio.sleep(0.02)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await qualities(driver, registers(65_535)) == {65_535: q.GOOD}
        assert await qualities(driver, registers(0)) == {0: q.GOOD}
        await driver.close()
