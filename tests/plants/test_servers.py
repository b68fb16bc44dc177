"""The works behind its servers, asked by clients of other makers and by Headrace's own driver."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient

from headrace.connect.drivers.modbus.config import Address, Settings
from headrace.connect.drivers.modbus.driver import DRIVER
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import DriverContext, PointBinding, Polled
from headrace_plants.faults import parse_fault
from headrace_plants.layout import POINTS, SERVERS
from headrace_plants.registers import UNIT, base_of, register_map
from headrace_plants.running import Options, RunningWorks

ANY_PORT = {server.name: 0 for server in SERVERS}
PRESSURE = "acme/suzhou/press-shop/line-1/press-2/setpoint.pressure"
HOLD = "acme/suzhou/moulding-shop/line-1/moulder-1/setpoint.hold.pressure"


# One works for all tests of this file: building the address spaces takes seconds.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def works() -> AsyncIterator[RunningWorks]:
    async with RunningWorks(Options(ports=ANY_PORT, seed=5, scenario="quiet")) as running:
        yield running


@contextlib.asynccontextmanager
async def opcua(works: RunningWorks, server: str) -> AsyncIterator[Client]:
    async with Client(f"opc.tcp://127.0.0.1:{works.ports[server]}/", timeout=20) as client:
        yield client


@contextlib.asynccontextmanager
async def modbus(works: RunningWorks, server: str) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=works.ports[server], reconnect_delay=0, retries=0, timeout=10)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def test_every_opcua_node_shows_what_the_sensor_says(works: RunningWorks) -> None:
    await works.advance(3.0)
    for server in ("moulding-cell", "assembly-cell"):
        async with opcua(works, server) as client:
            points = [point for point in POINTS if point.machine.server == server]
            nodes = [client.get_node(f"ns=2;s={point.machine.name}.{point.row.name}") for point in points]
            for point, value in zip(points, await client.read_values(nodes), strict=True):
                expected = works.simulation.value(point.path)
                assert value == expected and type(value) is type(expected), point.path


async def test_every_register_holds_what_the_sensor_says(works: RunningWorks, tmp_path: Path) -> None:
    await works.advance(3.0)
    for number in range(1, 5):
        points = [point for point in POINTS if point.machine.server == f"press-{number}-plc"]
        bindings = []
        for handle, point in enumerate(points):
            place = register_map(point.machine.sheet)[point.row.name]
            address = Address(
                table=place.table,
                address=place.address + (base_of(point.machine) if place.table == "holding" else 0),
                encoding=point.row.wire,
                order=point.machine.sheet.word_order,
                length=place.length if point.row.wire == "text" else None,
                scale=point.row.scale,
            )
            bindings.append(PointBinding(handle, point.path, point.row.kind, address, 10**9))
        settings = Settings(host="127.0.0.1", port=works.ports[f"press-{number}-plc"], unit=UNIT)
        driver: Any = DRIVER.open(settings, DriverContext("plc", SystemClock(), tmp_path))
        assert isinstance(driver, Polled)
        await driver.connect()
        try:
            seen: dict[int, Any] = {}
            for request in driver.plan(bindings):
                for batch in await driver.read(request):
                    assert not batch.quality.any()
                    seen |= dict(zip(batch.handles.tolist(), batch.values.tolist(), strict=True))
        finally:
            await driver.close()
        for handle, point in enumerate(points):
            expected = works.simulation.value(point.path)
            if point.row.wire in ("float32", "int16"):
                expected = pytest.approx(expected, rel=1e-6)
            assert seen[handle] == expected, point.path


async def test_a_setpoint_written_over_modbus_moves_the_force(works: RunningWorks) -> None:
    force = register_map(next(p for p in POINTS if p.path == PRESSURE).machine.sheet)["cylinder.force"].address
    place = register_map(next(p for p in POINTS if p.path == PRESSURE).machine.sheet)["setpoint.pressure"].address
    async with modbus(works, "press-2-plc") as client:

        async def peak_kn() -> float:
            highest = 0.0
            for _ in range(30):
                await works.advance(0.5)
                answer = await client.read_holding_registers(force, count=2)
                highest = max(highest, client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32))
            return highest

        assert await peak_kn() == pytest.approx(1000, rel=0.03)
        registers = client.convert_to_registers(120.0, client.DATATYPE.FLOAT32)
        assert not (await client.write_registers(place, registers)).isError()
        assert works.simulation.value(PRESSURE) == 120.0
        await works.advance(15.0)
        assert await peak_kn() == pytest.approx(600, rel=0.03)
        # Beyond the limits of the machine, half a float, a reading, nobody's register, an unknown function's table.
        for refused, code in (
            (client.write_registers(place, client.convert_to_registers(300.0, client.DATATYPE.FLOAT32)), 3),
            (client.write_register(place, 0x7F00), 3),
            (client.write_register(force, 1), 2),
            (client.read_holding_registers(190, count=4), 2),
            (client.read_input_registers(0, count=1), 1),
            (client.write_coil(5, True), 2),
            (client.read_holding_registers(0, count=1, device_id=9), 11),
        ):
            assert (await refused).exception_code == code
        assert works.simulation.value(PRESSURE) == 120.0
        assert not (await client.write_coil(0, False)).isError()
        assert works.simulation.value(PRESSURE.replace("setpoint.pressure", "setpoint.run")) is False


async def test_a_setpoint_written_over_opcua_moves_the_melt(works: RunningWorks) -> None:
    async with opcua(works, "moulding-cell") as client:
        node = client.get_node("ns=2;s=moulder-1.setpoint.hold.pressure")
        await node.write_value(900.0)
        assert works.simulation.value(HOLD) == 900.0
        await works.advance(60.0)
        assert await node.read_value() == 900.0
        asset = HOLD.rpartition("/")[0]
        assert float(works.simulation.value(f"{asset}/part.weight")) > 84.8  # packed too full …
        assert await client.get_node("ns=2;s=moulder-1.scrap.reason").read_value() == "weight"  # … and rejected
        for value, kind, status in (
            (901.0, ua.VariantType.Double, ua.StatusCodes.BadOutOfRange),
            (float("nan"), ua.VariantType.Double, ua.StatusCodes.BadOutOfRange),
            (500, ua.VariantType.Int64, ua.StatusCodes.BadTypeMismatch),
            ([500.0], ua.VariantType.Double, ua.StatusCodes.BadTypeMismatch),
        ):
            with pytest.raises(ua.UaStatusCodeError) as caught:
                await node.write_value(value, kind)
            assert caught.value.code == status
        with pytest.raises(ua.UaStatusCodeError):
            await client.get_node("ns=2;s=moulder-1.melt.pressure").write_value(1.0)
        with pytest.raises(ua.UaStatusCodeError):
            await node.write_attribute(ua.AttributeIds.DisplayName, ua.DataValue(ua.LocalizedText("mine")))
        assert works.simulation.value(HOLD) == 900.0


async def test_a_subscription_hears_only_changes(works: RunningWorks) -> None:
    heard: list[tuple[str, Any]] = []

    class Listener:
        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            heard.append((node.nodeid.Identifier, value))

    async with opcua(works, "moulding-cell") as client:
        subscription = await client.create_subscription(20, Listener())
        names = ("moulder-1.cycle.count", "moulder-1.screw.position", "moulder-1.material")
        await subscription.subscribe_data_change([client.get_node(f"ns=2;s={name}") for name in names])
        await until(lambda: len(heard) == 3)
        await works.advance(30.0)
        await until(lambda: len(heard) > 3)
        count = works.simulation.value("acme/suzhou/moulding-shop/line-1/moulder-1/cycle.count")
        await until(lambda: ("moulder-1.cycle.count", count) in heard)
        assert [name for name, _ in heard].count("moulder-1.material") == 1


async def test_a_cut_network_closes_everything_and_comes_back_on_the_same_port(works: RunningWorks) -> None:
    ports = works.ports
    works.simulation.inject(parse_fault("press-2-plc:network-cut,for=5s"))
    works.simulation.inject(parse_fault("moulding-cell:network-cut,for=5s"))
    async with modbus(works, "press-2-plc") as lost, modbus(works, "press-1-plc") as kept:
        await works.advance(1.0)
        await until(lambda: not lost.connected)
        assert not (await kept.read_holding_registers(0, count=2)).isError()
        for server in ("press-2-plc", "moulding-cell"):
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", ports[server])
    await works.advance(6.0)
    assert works.ports == ports
    async with modbus(works, "press-2-plc") as again, opcua(works, "moulding-cell") as cell:
        assert not (await again.read_holding_registers(0, count=2)).isError()
        assert await cell.get_node("ns=2;s=moulder-1.material").read_value() == "PP-GF20"
    kinds = [entry["event"] for entry in works.simulation.ledger.entries if entry["machine"] == "press-2-plc"]
    assert kinds == ["fault.start", "fault.stop"]


async def test_slow_answers_and_a_jumped_clock(works: RunningWorks) -> None:
    async with opcua(works, "assembly-cell") as client, modbus(works, "press-3-plc") as plc:
        node = client.get_node("ns=2;s=compressor-1.air.pressure")
        works.simulation.inject(parse_fault("assembly-cell:clock-jump,by=7200"))
        await works.advance(1.0)
        await works.advance(1.0)
        stamp = (await node.read_data_value()).SourceTimestamp
        assert 7100 < (stamp - datetime.now(UTC)).total_seconds() < 7300
        works.simulation.inject(parse_fault("press-3-plc:slow,delay=0.3"))
        works.simulation.inject(parse_fault("assembly-cell:slow,delay=0.3"))
        await works.advance(1.0)
        loop = asyncio.get_running_loop()
        for question in (plc.read_holding_registers(0, count=2), node.read_value()):
            asked = loop.time()
            await question
            assert loop.time() - asked >= 0.3  # at least: a slow machine only makes it longer
        assert works.simulation.clear("press-3-plc") == 1
        await works.advance(1.0)
        assert works.servers["press-3-plc"]._server.delay_s == 0.0


async def test_a_port_in_use_is_an_error_and_leaves_nothing_open(works: RunningWorks) -> None:
    ports = {**ANY_PORT, "press-4-plc": works.ports["press-4-plc"]}
    with pytest.raises(OSError):
        async with RunningWorks(Options(ports=ports)):
            pass
