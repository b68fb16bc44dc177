"""Our Modbus client and simulator against other people's: pymodbus, mbpoll (Debian), modbus-serial (npm)."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer
from tests.connect.drivers.modbus import plant
from tests.connect.drivers.modbus.plant import address, binding
from tests.services import require_service

from headrace.connect.drivers.modbus.config import Framing, Table
from headrace.connect.drivers.modbus.driver import ModbusDriver
from headrace.connect.drivers.modbus.simulator import Banks, ModbusServer
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.sdk.driver import PointBinding
from headrace.sdk.testing.clock import FakeClock

PEERS = Path(__file__).parents[3] / "peers"
FRAMERS = [("tcp", FramerType.SOCKET), ("rtu", FramerType.RTU)]


async def values(driver: ModbusDriver, points: list[PointBinding]) -> dict[int, Any]:
    got: dict[int, Any] = {}
    for request in driver.plan(points):
        for batch in await driver.read(request):
            assert set(batch.quality.tolist()) == {q.GOOD}
            got.update(zip(batch.handles.tolist(), batch.values.tolist(), strict=True))
    return got


@asynccontextmanager
async def driving(port: int, **settings: Any) -> AsyncIterator[ModbusDriver]:
    driver = plant.driver(port, FakeClock(), Path("unused"), **{"timeout_s": 3.0, **settings})
    try:
        await driver.connect()
        yield driver
    finally:
        await driver.close()


def device() -> Banks:
    banks = Banks(size=100)
    banks.input[:4] = [1, 2, 3, 65_535]
    banks.discrete[:8] = [True, False, True, True, False, False, False, True]
    banks.holding[50:52] = struct.unpack(">HH", struct.pack(">f", 41.5))
    return banks


# --- pymodbus -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("framing", "framer"), FRAMERS)
async def test_our_driver_talks_to_the_server_of_pymodbus(framing: str, framer: FramerType) -> None:
    words = list(struct.unpack(">HH", struct.pack(">f", 41.5)))
    # pymodbus counts from 1 inside its data blocks
    context = ModbusDeviceContext(
        di=ModbusSequentialDataBlock(1, [True, False] * 20),
        co=ModbusSequentialDataBlock(1, [False] * 40),
        ir=ModbusSequentialDataBlock(1, [7, 0xFFFE, *words, *words[::-1]] + [0] * 100),
        hr=ModbusSequentialDataBlock(1, [0] * 40),
    )
    server = ModbusTcpServer(ModbusServerContext(devices=context, single=True), address=("127.0.0.1", 0), framer=framer)
    await server.listen()
    port = server.transport.sockets[0].getsockname()[1]
    try:
        async with driving(port, framing=framing) as driver:
            assert await values(
                driver,
                [
                    binding(0, ValueKind.INT64, address("input", 0)),
                    binding(1, ValueKind.INT64, address("input", 1, "int16")),
                    binding(2, ValueKind.FLOAT64, address("input", 2, "float32")),
                    binding(3, ValueKind.FLOAT64, address("input", 4, "float32", order="CDAB")),
                    binding(4, ValueKind.BOOL, address("discrete", 2)),
                    binding(5, ValueKind.BOOL, address("discrete", 3)),
                ],
            ) == {0: 7, 1: -2, 2: 41.5, 3: 41.5, 4: True, 5: False}
            for point, value in (
                (binding(6, ValueKind.FLOAT64, address("holding", 10, "float64", order="DCBA")), -1e-9),
                (binding(7, ValueKind.BOOL, address("coil", 4)), True),
                (binding(8, ValueKind.BOOL, address("holding", 20, bit=9)), True),
                (binding(9, ValueKind.TEXT, address("holding", 22, "text", length=4)), "油温"),
            ):
                await driver.write(point, value)
                assert (await driver.read_back(point)).values.tolist() == [value]
    finally:
        await server.shutdown()


@pytest.mark.parametrize(("framing", "framer"), FRAMERS)
async def test_the_client_of_pymodbus_talks_to_our_simulator(framing: str, framer: FramerType) -> None:
    banks = device()
    async with ModbusServer({1: banks}, framing=Framing(framing)) as server:
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, framer=framer)
        assert await client.connect()
        assert (await client.read_input_registers(0, count=4)).registers == [1, 2, 3, 65_535]
        assert (await client.read_discrete_inputs(0, count=8)).bits == banks.discrete[:8].tolist()
        await client.write_register(10, 4711)
        await client.write_registers(11, [1, 2, 3])
        await client.write_coils(6, [True, False, True])
        await client.mask_write_register(address=10, and_mask=0xFF00, or_mask=0x12)
        assert (await client.read_holding_registers(10, count=4)).registers == [0x1212, 1, 2, 3]
        assert (await client.read_coils(6, count=3)).bits[:3] == [True, False, True]
        assert (await client.read_input_registers(100, count=1)).exception_code == 2
        client.close()


# --- mbpoll -------------------------------------------------------------------------------------------------------


async def mbpoll(port: int, *arguments: str) -> str:
    program = shutil.which("mbpoll")
    require_service("mbpoll", program is not None, "apt-get install mbpoll")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program,
        *("-m", "tcp", "-p", str(port), "-a", "1", "-0", "-1", "-q"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_mbpoll_reads_and_writes_our_simulator() -> None:
    banks = device()
    async with ModbusServer({1: banks}) as server:
        said = await mbpoll(server.port, "-t", "3:hex", "-r", "0", "-c", "4", "127.0.0.1")
        assert "[3]: \t0xFFFF" in said and "[1]: \t0x0002" in said
        said = await mbpoll(server.port, "-t", "4:float", "-B", "-r", "50", "-c", "1", "127.0.0.1")
        assert "[50]: \t41.5" in said
        said = await mbpoll(server.port, "-t", "4", "-r", "20", "127.0.0.1", "11", "22", "33")
        assert "Written 3 references" in said
        assert banks.holding[20:23].tolist() == [11, 22, 33]
        await mbpoll(server.port, "-t", "0", "-r", "9", "127.0.0.1", "1")
        assert bool(banks.coil[9])
        banks.hide(Table.INPUT, 0, 1)
        said = await mbpoll(server.port, "-t", "3", "-r", "0", "127.0.0.1")
        assert "Illegal data address" in said


# --- modbus-serial ------------------------------------------------------------------------------------------------


def node() -> str:
    found = shutil.which("node") or shutil.which("node", path=str(PEERS.parents[1] / ".cache" / "node-bin"))
    there = found is not None and (PEERS / "node_modules" / "modbus-serial").is_dir()
    require_service("modbus-serial", there, "tools/setup.sh services")
    assert found is not None
    return found


async def test_our_driver_talks_to_the_server_of_modbus_serial() -> None:
    server = await asyncio.create_subprocess_exec(
        node(), str(PEERS / "modbus.mjs"), "server", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        port = json.loads(await server.stdout.readline())["port"]
        async with driving(port) as driver:
            points = [binding(at, ValueKind.INT64, address("input", at)) for at in range(0, 300, 3)]
            assert await values(driver, points) == {at: at + 1000 for at in range(0, 300, 3)}
            bits = [binding(at, ValueKind.BOOL, address("coil", at)) for at in range(30)]
            assert await values(driver, bits) == {at: at % 3 == 0 for at in range(30)}
            for point, value in (
                (binding(1, ValueKind.FLOAT64, address("holding", 10, "float32", order="BADC")), 2.5),
                (binding(2, ValueKind.BOOL, address("coil", 4)), True),
                (binding(3, ValueKind.INT64, address("holding", 30, "int64")), -(2**63)),
            ):
                await driver.write(point, value)
                assert (await driver.read_back(point)).values.tolist() == [value]
    finally:
        server.kill()
        await server.wait()


async def test_the_client_of_modbus_serial_talks_to_our_simulator() -> None:
    banks = device()
    async with ModbusServer({1: banks}) as server:
        client = await asyncio.create_subprocess_exec(
            node(), str(PEERS / "modbus.mjs"), "client", str(server.port), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await client.communicate()
    assert json.loads(out) == {
        "input": [1, 2, 3, 65_535],
        "discrete": banks.discrete[:8].tolist(),
        "holding": [0x1212, 1, 2, 3],
        "coils": [True, True, False, True],
        "refused": 2,
    }
