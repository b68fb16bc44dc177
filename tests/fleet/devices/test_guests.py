"""The door of an edge: those whom the hub has told, with or without the hub, and nobody else."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.fleet.fakes import Audit, NoDeclarations

from headrace.fleet.devices import Devices, GuestDoor
from headrace.fleet.devices.guests import read_guests
from headrace.model.errors import DataError, LimitReached
from headrace.sdk.devices import Admission, DeviceState, Preview
from headrace.sdk.fleet import DeviceChange, NewDevice
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.device_door import CERTIFICATE, claim, enrolling, turned_away

PREFIX = "acme/suzhou"


class Plant:
    """A register on a hub, and the door of an edge that is told what it says."""

    def __init__(self, engine: Engine, clock: FakeClock, audit: Audit, path: Path) -> None:
        self.hub, self.path, self.clock = Devices(engine, clock, audit, NoDeclarations), path, clock
        self.door = GuestDoor(path, clock)

    async def add(self, name: str, asset: str = f"{PREFIX}/hall", *, certificate: str | None = None) -> str:
        _, secret = await self.hub.add("wang", NewDevice(name, certificate=certificate, messages_per_s=5.0))
        await self.hub.change("wang", name, DeviceChange(asset=asset))
        return secret or ""

    async def tell(self) -> None:
        await self.door.become(self.hub.guests.of(PREFIX))


@pytest.fixture
def plant(engine: Engine, clock: FakeClock, audit: Audit, tmp_path: Path) -> Plant:
    return Plant(engine, clock, audit, tmp_path / "devices.json")


async def test_a_device_gets_in_on_its_edge_with_the_rights_of_the_hub(plant: Plant) -> None:
    secret = await plant.add("press-7")
    await plant.add("press-8", certificate=CERTIFICATE)
    await plant.tell()
    admission = Admission("press-7", DeviceState.APPROVED, ("devices/press-7/#",), ("devices/press-7/#",), 5.0)
    assert await plant.door.admit(claim("press-7", secret)) == admission
    assert (await plant.door.admit(claim("whoever", certificate=CERTIFICATE))).device == "press-8"
    for wrong in (None, "", "wrong", secret[:-1], secret.upper()):
        await turned_away(plant.door, claim("press-7", wrong, peer=f"peer of {wrong}"))
    await turned_away(plant.door, claim("press-8", "anything"))
    assert plant.door.counts.known == 2 and plant.door.counts.turned_away == 6


@pytest.mark.parametrize("asset", ["", "acme", "acme/suzhou-2", "acme/suzhou-2/hall"])
async def test_a_device_of_another_part_of_the_plant_is_not_told(plant: Plant, asset: str) -> None:
    secret = await plant.add("press-7", asset)
    await plant.tell()
    await turned_away(plant.door, claim("press-7", secret))
    assert plant.hub.guests.of(PREFIX) == "[]"


async def test_the_asset_of_the_edge_itself_is_within_it(plant: Plant) -> None:
    secret = await plant.add("press-7", PREFIX)
    await plant.tell()
    assert (await plant.door.admit(claim("press-7", secret))).device == "press-7"


@pytest.mark.clause("62443-3-3 SR 1.10")
async def test_nobody_enrols_at_an_edge_and_nobody_is_told_who_is_known(plant: Plant) -> None:
    await plant.add("press-7")
    await plant.tell()
    assert await turned_away(plant.door, enrolling("new-1")) == await turned_away(plant.door, claim("press-7", "no"))


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 4.1")
async def test_no_secret_is_told_and_the_file_is_its_owners(plant: Plant) -> None:
    secret = await plant.add("press-7")
    await plant.tell()
    assert secret not in plant.path.read_text() and "press-7" in plant.path.read_text()
    assert stat.S_IMODE(plant.path.stat().st_mode) == 0o600


async def test_the_same_devices_are_the_same_text_and_a_change_is_another_version(plant: Plant) -> None:
    await plant.add("b")
    await plant.add("a")
    first, version = plant.hub.guests.of(PREFIX), plant.hub.guests.version
    assert [one["login"] for one in json.loads(first)] == ["a", "b"]
    await plant.hub.change("wang", "a", DeviceChange(note="seen"))
    assert plant.hub.guests.of(PREFIX) == first and plant.hub.guests.version > version
    await plant.hub.block("wang", "b")
    assert [one["login"] for one in json.loads(plant.hub.guests.of(PREFIX))] == ["a"]


async def test_who_was_told_last_gets_in_after_a_start_without_the_hub(plant: Plant) -> None:
    secret = await plant.add("press-7")
    await plant.tell()
    again = GuestDoor(plant.path, plant.clock)
    await turned_away(again, claim("press-7", secret, peer="early"))
    await again.start()
    assert (await again.admit(claim("press-7", secret))).device == "press-7"


@pytest.mark.parametrize("damage", ["", "[{", "{}", "[1]", "\x00", '[{"login": "a"}]'])
async def test_a_damaged_file_lets_nobody_in_until_the_hub_tells_anew(plant: Plant, damage: str) -> None:
    secret = await plant.add("press-7")
    await plant.tell()
    plant.path.write_text(damage)
    again = GuestDoor(plant.path, plant.clock)
    await again.start()
    await turned_away(again, claim("press-7", secret, peer="early"))
    await again.become(plant.hub.guests.of(PREFIX))
    assert (await again.admit(claim("press-7", secret))).device == "press-7"


async def test_what_cannot_be_read_changes_nothing(plant: Plant) -> None:
    secret = await plant.add("press-7")
    await plant.tell()
    with pytest.raises(DataError, match="cannot be read"):
        await plant.door.become("[{}]")
    assert (await plant.door.admit(claim("press-7", secret))).device == "press-7"


async def test_the_gateway_hears_of_whoever_may_not_stay_as_he_is(plant: Plant) -> None:
    for name in ("blocked", "limited", "stolen", "rotated", "left-alone"):
        await plant.add(name)
    await plant.tell()
    changes = plant.door.changes()
    for name in ("blocked", "limited", "stolen", "rotated", "left-alone"):
        plant.door.seen(name, 1, True)
    await plant.hub.block("wang", "blocked")
    await plant.hub.change("wang", "limited", DeviceChange(messages_per_s=1.0))
    await plant.hub.rotate("wang", "stolen", at_once=True)
    await plant.hub.rotate("wang", "rotated")
    await plant.add("new")
    await plant.tell()
    plant.door.close()
    assert sorted([name async for name in changes]) == ["blocked", "limited", "stolen"]
    assert plant.door.counts.online == {"rotated", "left-alone"}
    plant.door.seen("rotated", 2, False)
    assert plant.door.counts.online == {"left-alone"}


@pytest.mark.clause("62443-3-3 SR 1.5")
async def test_while_a_secret_is_rotated_both_are_good(plant: Plant) -> None:
    old = await plant.add("press-7")
    new = await plant.hub.rotate("wang", "press-7")
    await plant.tell()
    for secret in (old, new):
        assert (await plant.door.admit(claim("press-7", secret))).device == "press-7"
    await plant.hub.door.admit(claim("press-7", new))
    await plant.tell()
    await turned_away(plant.door, claim("press-7", old))


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_who_guesses_is_slowed(plant: Plant) -> None:
    secret = await plant.add("press-7")
    await plant.tell()
    for _ in range(30):
        await turned_away(plant.door, claim("press-7", "wrong"))
    with pytest.raises(LimitReached):
        await plant.door.admit(claim("press-7", secret))
    assert (await plant.door.admit(claim("press-7", secret, peer="192.0.2.8"))).device == "press-7"


async def test_a_preview_of_nobody_is_no_error(plant: Plant) -> None:
    plant.door.preview("nobody", Preview("a/b", b"1", 1, 1))
    await asyncio.sleep(0)


TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "login", "publish", "subscribe", "secrets", "certificate", "messages_per_s")


@given(TEXT | JSON.map(json.dumps) | st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, JSON))).map(json.dumps))
def test_whatever_is_told_is_devices_or_one_clear_error(text: str) -> None:
    try:
        read_guests(text)
    except DataError as error:
        assert "devices that this edge lets in" in str(error)
