"""Commands down: a write reaches its device, is acknowledged, read back; what is desired waits for who is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import Bed, Raw, binding, gateway

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import Version
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.payload.contract import Publish
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError, Refused, Unavailable, Unreachable

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])
SETPOINT = binding(7, writable=True, device="d1", topic="d1/state", value="/bar", command="d1/set")


async def obeys(device: Raw, qos: int = 1) -> None:
    """Takes one command and reports it as its state."""
    command: p.Publish = await device.expect(p.Publish)
    assert command.topic == "d1/set"
    if command.qos:
        await device.say(p.Puback(command.packet_id))
    await device.say(p.Publish("d1/state", command.payload, qos, packet_id=1 if qos else 0))


@BOTH
async def test_a_write_is_acknowledged_and_read_back(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path, [SETPOINT]) as bed, bed.client("d1", version=version) as device:
        await device.subscribe("d1/set")
        obeying = asyncio.create_task(obeys(device))
        await bed.driver.write(SETPOINT, 180.0)
        held = await bed.driver.read_back(SETPOINT)
        await obeying
        assert (held.handles.tolist(), held.values.tolist()) == ([7], [180.0])


async def test_a_value_of_before_the_write_is_not_read_back(tmp_path: Path) -> None:
    async with gateway(tmp_path, [SETPOINT]) as bed, bed.client("d1") as device:
        await device.subscribe("d1/set")
        await device.say(p.Publish("d1/state", b'{"bar": 5}', 1, packet_id=1))
        await device.expect(p.Puback)
        obeying = asyncio.create_task(obeys(device))
        await bed.driver.write(SETPOINT, 180.0)
        assert (await bed.driver.read_back(SETPOINT)).values.tolist() == [180.0]
        await obeying


async def test_a_device_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    async with gateway(tmp_path, [SETPOINT]) as bed:
        with pytest.raises(Unavailable, match="away"):
            await bed.driver.write(SETPOINT, 180.0)
        async with bed.client("d1"):
            with pytest.raises(Unavailable, match="has not subscribed"):
                await bed.driver.write(SETPOINT, 180.0)


async def test_a_device_that_does_not_acknowledge_is_unreachable_and_others_are_not_kept(tmp_path: Path) -> None:
    other = binding(8, writable=True, device="d2", topic="d2/state", value="/bar", command="d1/set")
    points = [SETPOINT, other]
    async with (
        gateway(tmp_path, points, command_timeout="200ms") as bed,
        bed.client("d1") as deaf,
        bed.client("d2") as device,
    ):
        await deaf.subscribe("d1/set")
        await device.subscribe("d1/set")
        waiting = asyncio.create_task(bed.driver.write(SETPOINT, 1.0))
        obeying = asyncio.create_task(obeys(device))
        await bed.driver.write(other, 2.0)
        await obeying
        with pytest.raises(Unreachable, match="did not acknowledge"):
            await waiting


async def test_a_device_that_refuses_is_heard(tmp_path: Path) -> None:
    async with gateway(tmp_path, [SETPOINT]) as bed, bed.client("d1") as device:
        await device.subscribe("d1/set")
        writing = asyncio.create_task(bed.driver.write(SETPOINT, 180.0))
        command: p.Publish = await device.expect(p.Publish)
        await device.say(p.Puback(command.packet_id, Reason.NOT_AUTHORIZED))
        with pytest.raises(Refused, match="not authorized"):
            await writing


async def test_a_device_that_is_lost_on_the_way_is_unreachable_and_no_late_command_follows(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"version": Version.V311, "clean_start": False}
    async with gateway(tmp_path, [SETPOINT], command_timeout="100ms") as bed:
        async with bed.client("d1", **kept) as device:
            await device.subscribe("d1/set")
            writing = asyncio.create_task(bed.driver.write(SETPOINT, 180.0))
            await device.expect(p.Publish)
        with pytest.raises(Unreachable):
            await writing
        async with bed.client("d1", **kept) as device:
            await device.ping()  # nothing comes before it


async def test_a_value_that_does_not_fit_is_a_data_error(tmp_path: Path) -> None:
    async with gateway(tmp_path, [SETPOINT]) as bed:
        with pytest.raises(DataError):
            await bed.driver.write(SETPOINT, "no number")


class Desiring:
    """The gateway's payload, whose commands are retained."""

    def __init__(self, bed: Bed) -> None:
        self._payload = bed.driver._payload
        bed.driver._payload = self  # type: ignore[assignment]

    def command(self, *asked: Any) -> Publish:
        said = self._payload.command(*asked)
        return Publish(said.topic, said.payload, said.qos, True, said.origin)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._payload, name)


async def test_what_is_desired_waits_for_a_device_that_is_away_even_over_a_restart(tmp_path: Path) -> None:
    async with gateway(tmp_path, [SETPOINT]) as bed:
        Desiring(bed)
        await bed.driver.write(SETPOINT, 150.0)
        await bed.driver.write(SETPOINT, 180.0)
        with pytest.raises(Unavailable, match="away"):
            await bed.driver.read_back(SETPOINT)
    async with gateway(tmp_path, [SETPOINT]) as bed, bed.client("d1") as device:
        await device.subscribe("d1/set")
        command: p.Publish = await device.expect(p.Publish)
        assert (command.payload, command.retain) == (b'{"bar":180.0}', True)
        await device.ping()


async def test_a_text_goes_down_too(tmp_path: Path) -> None:
    recipe = binding(9, ValueKind.TEXT, writable=True, device="d1", topic="d1/state", value="/r", command="d1/set")
    async with gateway(tmp_path, [recipe]) as bed, bed.client("d1") as device:
        await device.subscribe("d1/set", qos=0)
        await bed.driver.write(recipe, "配方 7")
        assert (await device.expect(p.Publish)).payload == '{"r":"配方 7"}'.encode()
