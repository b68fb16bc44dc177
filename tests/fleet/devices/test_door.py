"""The register's door keeps the contract of doors, at the pace of a plant that comes back at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from tests.databases import fresh_engine
from tests.fleet.fakes import Audit, NoDeclarations

from headrace.fleet.devices import Devices
from headrace.fleet.tables import metadata
from headrace.model.errors import AccessError, LimitReached
from headrace.sdk.devices import Claim, DeviceDoor, DeviceState, Preview
from headrace.sdk.fleet import DeviceChange, NewDevice
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.device_door import PEER, DeviceDoorContract, EngineersHand, claim, enrolling, turned_away


@pytest.fixture
def devices(engine: Engine, clock: FakeClock, audit: Audit) -> Devices:
    return Devices(engine, clock, audit, NoDeclarations)


class Hand:
    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def add(self, name: str, *, certificate: str | None = None) -> str:
        _, secret = await self._devices.add("wang", NewDevice(name, certificate=certificate))
        return secret or ""

    async def approve(self, name: str) -> None:
        await self._devices.approve("wang", name, change=DeviceChange())

    async def block(self, name: str) -> None:
        await self._devices.block("wang", name)


class TestDoor(DeviceDoorContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """The door asks no database; the tests below meet both."""
        with fresh_engine("sqlite", metadata, tmp_path) as engine:
            yield engine

    @pytest.fixture
    def door(self, devices: Devices) -> DeviceDoor:
        return devices.door

    @pytest.fixture
    def hand(self, devices: Devices) -> EngineersHand:
        return Hand(devices)


async def test_a_restart_remembers_who_everybody_is(devices: Devices, engine: Engine, clock: FakeClock) -> None:
    _, secret = await devices.add("wang", NewDevice("press-7", messages_per_s=5.0))
    await devices.door.admit(enrolling("new-1"))
    devices.door.seen("press-7", 42, True, messages=3, refused=1)
    await devices.close()
    again = Devices(engine, clock, Audit(), NoDeclarations)
    await again.start()
    assert (await again.door.admit(claim("press-7", secret))).messages_per_s == 5.0
    assert (await again.door.admit(enrolling("new-1"))).state is DeviceState.QUARANTINED
    record = again.get("press-7")
    assert (record.first_seen_ns, record.last_seen_ns, record.messages, record.refused) == (42, 42, 3, 1)
    assert not record.online


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_a_lock_opens_again(devices: Devices, clock: FakeClock) -> None:
    _, secret = await devices.add("wang", NewDevice("press-7"))
    for _ in range(30):
        await turned_away(devices.door, claim("press-7", "wrong"))
    await clock.advance(61)
    assert (await devices.door.admit(claim("press-7", secret))).device == "press-7"


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.2", "62443-3-3 SR 1.2")
async def test_a_peer_full_of_wrong_devices_does_not_keep_the_right_ones_out(devices: Devices) -> None:
    _, secret = await devices.add("wang", NewDevice("press-7"))
    told = set()
    for number in range(1_100):
        try:
            await devices.door.admit(claim(f"old-{number}", "password of last year"))
        except (AccessError, LimitReached) as error:
            told.add(type(error))
    assert told == {AccessError, LimitReached}
    assert (await devices.door.admit(claim("press-7", secret))).device == "press-7"
    assert len(devices.refusals()) == 100


async def test_a_clock_that_jumps_lets_nobody_in_and_locks_nobody_out(devices: Devices, clock: FakeClock) -> None:
    _, secret = await devices.add("wang", NewDevice("press-7"))
    for jump_s in (10 * 365 * 86_400, -20 * 365 * 86_400):
        clock.jump_wall(jump_s)
        assert (await devices.door.admit(claim("press-7", secret))).device == "press-7"
        await turned_away(devices.door, claim("press-7", "wrong"))


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_what_a_waiting_device_sends_is_kept_within_bounds(devices: Devices) -> None:
    await devices.door.admit(enrolling("new-1"))
    for number in range(50):
        devices.door.preview("new-1", Preview(f"a/{number % 12}" + "x" * 2_000, b"y" * 100_000, 100_000, number))
    previews = devices.previews("new-1")
    assert [preview.received_ns for preview in previews] == list(range(49, 41, -1))
    assert max(len(preview.payload) for preview in previews) == 512
    assert {preview.bytes for preview in previews} == {100_000}
    await devices.approve("wang", "new-1", change=DeviceChange())
    devices.door.preview("new-1", Preview("a", b"1", 1, 1))
    assert devices.previews("new-1") == []


async def test_those_who_wait_in_vain_are_forgotten_after_a_week(
    devices: Devices, clock: FakeClock, audit: Audit
) -> None:
    running = asyncio.create_task(devices.run())
    await devices.door.admit(enrolling("gone"))
    await devices.door.admit(enrolling("there"))
    devices.door.seen("there", clock.now_ns(), True)
    clock.jump_wall(8 * 86_400)
    await _until(lambda: devices.page().total == 1, clock)
    running.cancel()
    assert [device.name for device in devices.page().devices] == ["there"]
    assert (await devices.door.admit(enrolling("gone", ":other words"))).state is DeviceState.QUARANTINED
    assert audit.actions == ["device.quarantined"] * 2 + ["device.forgotten", "device.quarantined"]


async def test_fifteen_thousand_devices_come_back_without_a_query(devices: Devices, engine: Engine) -> None:
    rows = [(1, ["name"]), *((row, [f"press-{row}"]) for row in range(2, 2_002))]
    secrets = (await devices.import_rows("wang", rows)).secrets
    connects: list[int] = []
    event.listen(engine, "checkout", lambda *_: connects.append(1))
    admissions = await asyncio.gather(
        *(devices.door.admit(Claim("gate", "c", PEER, name, secret.encode())) for name, secret in secrets.items())
    )
    assert {admission.device for admission in admissions} == set(secrets)
    assert connects == []


async def _until(true: Callable[[], bool], clock: FakeClock) -> None:
    """Move the clock until it is so; threads of the database need real time too."""
    for _ in range(500):
        if true():
            return
        await clock.advance(5)
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")
