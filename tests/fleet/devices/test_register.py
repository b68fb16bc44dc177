"""What people do with devices: each act is durable, audited, and told to the gateways."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.fleet.fakes import Audit
from tests.registry.fakes import DRIVERS

from headrace.fleet.devices import Devices
from headrace.model.errors import AccessError, ConfigErrors, Conflict, DataError, NotFound, Unavailable
from headrace.registry import TenantRegistries
from headrace.sdk.devices import DeviceState
from headrace.sdk.fleet import DeviceChange, NewAsset, NewDevice
from headrace.sdk.services import SourceFile
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.device_door import CERTIFICATE, claim, enrolling, turned_away

PLANT = """\
types:
  meter:
    parameters: {device: none, base: 0}
    points: {energy: {unit: kW.h, address: {table: holding, address: "{base}", node: "{device}"}}}
connections: {gate: {driver: modbus, settings: {host: a}}}
assets: {acme: {level: site}}
"""
ASSET = NewAsset("acme/meter-1", "meter", "gate", {"device": "m-1", "base": 4}, {"en": "Meter 1"})


@pytest.fixture
async def registry(engine: Engine, clock: FakeClock) -> TenantRegistries:
    registry = TenantRegistries(engine, DRIVERS, clock)
    await registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
    return registry


@pytest.fixture
def devices(engine: Engine, clock: FakeClock, audit: Audit, registry: TenantRegistries) -> Devices:
    return Devices(engine, clock, audit, lambda: registry)


async def told(devices: Devices, work: object) -> list[str]:
    """What watchers hear while something is done."""
    heard = devices.door.changes()
    await work  # type: ignore[misc]
    devices.door.notices.close()
    return [name async for name in heard]


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 4.1", "GB/T 22239-2019 8.1.4.8")
async def test_a_secret_is_shown_once_and_never_kept(devices: Devices, engine: Engine, audit: Audit) -> None:
    record, secret = await devices.add("wang", NewDevice("press-7", note="hall 2"))
    assert secret is not None and len(secret) == 28
    with engine.connect() as connection:
        kept = str(connection.execute(text("select * from fleet_devices")).all())
    assert secret not in kept and secret not in str(record) and secret not in str(audit.entries)
    assert (record.state, record.created_by, record.note) == (DeviceState.APPROVED, "wang", "hall 2")
    _, other = await devices.add("wang", NewDevice("press-8", certificate=":".join(["AB"] * 32)))
    assert other is None and devices.get("press-8").certificate == CERTIFICATE


async def test_a_secret_that_an_engineer_brings(devices: Devices) -> None:
    with pytest.raises(DataError, match="can be guessed"):
        await devices.add("wang", NewDevice("press-7", secret="password"))
    with pytest.raises(DataError, match="can be guessed"):
        await devices.add("wang", NewDevice("press-7", secret="a" * 40))
    _, made = await devices.add("wang", NewDevice("press-7", secret="4f6c-2e13-99ab-07d2"))
    assert made is None
    assert (await devices.door.admit(claim("press-7", "4f6c-2e13-99ab-07d2"))).device == "press-7"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (NewDevice("a/b"), "no name of a device"),
        (NewDevice("ok", publish=("a/#/b",)), "'#' is one and the last"),
        (NewDevice("ok", publish=("a+/b",)), "is a whole level"),
        (NewDevice("ok", subscribe=("",)), "1 to 512"),
        (NewDevice("ok", publish=("{user}/x",)), "only {device}"),
        (NewDevice("ok", publish=tuple(f"a/{n}" for n in range(40))), "at most 32"),
        (NewDevice("ok", messages_per_s=0.0), "above 0"),
        (NewDevice("ok", messages_per_s=float("nan")), "above 0"),
        (NewDevice("ok", certificate="ab:cd"), "64 hex digits"),
        (NewDevice("ok", certificate=CERTIFICATE, secret="4f6c-2e13-99ab-07d2"), "not both"),
        (NewDevice("ok", note="x" * 2_000), "at most 1000"),
        (NewDevice("ok", note="\ud800"), "cannot be kept"),
        (NewDevice("ok", note="\0"), "cannot be kept"),
        (NewDevice("ok", secret="\ud800" * 8 + "abcdefgh"), "printable"),
    ],
)
async def test_what_cannot_be_says_so_and_changes_nothing(devices: Devices, wrong: NewDevice, words: str) -> None:
    with pytest.raises(DataError, match=words):
        await devices.add("wang", wrong)
    assert devices.page().total == 0


@pytest.mark.clause("62443-3-3 SR 1.2 RE 1", "62443-3-3 SR 1.4")
async def test_names_logins_and_certificates_are_one_of_a_kind(devices: Devices) -> None:
    await devices.add("wang", NewDevice("press-7", certificate=CERTIFICATE))
    await devices.rename("wang", "press-7", "big")
    for wrong in (NewDevice("big"), NewDevice("press-7"), NewDevice("other", certificate=CERTIFICATE)):
        with pytest.raises(Conflict, match="'big'"):
            await devices.add("wang", wrong)
    await devices.add("wang", NewDevice("small"))
    for taken in ("big", "press-7"):
        with pytest.raises(Conflict):
            await devices.rename("wang", "small", taken)


async def test_a_renamed_device_notices_nothing_of_it(devices: Devices) -> None:
    _, secret = await devices.add("wang", NewDevice("esp-3fa2"))
    assert await told(devices, devices.rename("wang", "esp-3fa2", "press-7")) == []
    admission = await devices.door.admit(claim("esp-3fa2", secret))
    assert (admission.device, admission.publish) == ("esp-3fa2", ("devices/esp-3fa2/#",))
    devices.door.seen("esp-3fa2", 5, True, messages=2)
    assert (devices.get("press-7").messages, devices.get("press-7").online) == (2, True)
    await turned_away(devices.door, claim("press-7", secret))
    with pytest.raises(NotFound):
        devices.get("esp-3fa2")


async def test_approving_declares_the_asset_as_text(devices: Devices, registry: TenantRegistries, audit: Audit) -> None:
    await devices.door.admit(enrolling("m-1"))
    change = DeviceChange(publish=("meters/{device}/+",), messages_per_s=2.0)
    record = await devices.approve("wang", "m-1", rename="meter-1", change=change, asset=ASSET)
    assert (record.name, record.state, record.asset) == ("meter-1", DeviceState.APPROVED, "acme/meter-1")
    point = (await registry.model()).points["acme/meter-1/energy"]
    assert point.source is not None and point.source.address == {"table": "holding", "address": 4, "node": "m-1"}
    exported = {file.name: file.text for file in await registry.export()}
    assert "acme/meter-1" in exported["devices.yaml"]
    admission = await devices.door.admit(enrolling("m-1"))
    assert (admission.publish, admission.messages_per_s) == (("meters/m-1/+",), 2.0)
    assert audit.entries[-1][:4] == ("wang", "device.approve", "meter-1", "done")
    assert (await registry.plan(await registry.export())).changes == ()


async def test_an_asset_that_cannot_be_leaves_the_device_waiting(devices: Devices) -> None:
    await devices.door.admit(enrolling("m-1"))
    with pytest.raises(ConfigErrors, match="there is no type 'metr'; did you mean 'meter'"):
        await devices.approve("wang", "m-1", change=DeviceChange(), asset=replace(ASSET, type="metr"))
    with pytest.raises(ConfigErrors, match="which is not declared"):
        await devices.approve("wang", "m-1", change=DeviceChange(), asset=replace(ASSET, path="acme/hall/meter-1"))
    with pytest.raises(Conflict, match="there is an asset 'acme' already, without a type"):
        await devices.approve("wang", "m-1", change=DeviceChange(), asset=replace(ASSET, path="acme"))
    assert devices.get("m-1").state is DeviceState.QUARANTINED


@pytest.mark.clause("62443-3-3 SR 3.5")
async def test_what_was_typed_cannot_become_structure(devices: Devices, registry: TenantRegistries) -> None:
    await devices.door.admit(enrolling("m-1"))
    odd = replace(
        ASSET, parameters={"device": "x}, level: site, y: {a: 'b\n  - c' # \" \u2028"}, title={"en": "{a}: b"}
    )
    await devices.approve("wang", "m-1", change=DeviceChange(), asset=odd)
    point = (await registry.model()).points["acme/meter-1/energy"]
    assert point.source is not None and point.source.address["node"] == odd.parameters["device"]


async def test_approving_again_finds_the_asset_as_it_is(devices: Devices) -> None:
    await devices.door.admit(enrolling("m-1"))
    await devices.approve("wang", "m-1", change=DeviceChange(), asset=ASSET)
    await devices.block("wang", "m-1")
    assert (await devices.approve("wang", "m-1", change=DeviceChange(), asset=ASSET)).state is DeviceState.APPROVED


@pytest.mark.clause("62443-3-3 SR 1.5", "GB/T 22239-2019 8.4.3.2")
async def test_a_new_secret_takes_over_when_it_is_first_shown(devices: Devices) -> None:
    _, old = await devices.add("wang", NewDevice("press-7"))
    new = await devices.rotate("wang", "press-7")
    assert devices.get("press-7").rotating
    assert (await devices.door.admit(claim("press-7", old))).device == "press-7"
    assert (await devices.door.admit(claim("press-7", new))).device == "press-7"
    assert not devices.get("press-7").rotating
    await turned_away(devices.door, claim("press-7", old))


@pytest.mark.clause("62443-3-3 SR 1.5")
async def test_a_secret_that_got_out_is_good_no_more_at_once(devices: Devices) -> None:
    _, old = await devices.add("wang", NewDevice("press-7"))
    assert await told(devices, devices.rotate("wang", "press-7", at_once=True)) == ["press-7"]
    await turned_away(devices.door, claim("press-7", old))
    with pytest.raises(Conflict, match="shows a certificate"):
        await devices.add("wang", NewDevice("press-8", certificate=CERTIFICATE))
        await devices.rotate("wang", "press-8")


@pytest.mark.clause("62443-3-3 SR 2.1 RE 1", "GB/T 22239-2019 8.4.2.1")
async def test_blocked_removed_and_changed_devices_are_closed(devices: Devices) -> None:
    for name in ("a", "b", "c"):
        await devices.add("wang", NewDevice(name))
    heard = devices.door.changes()
    await devices.block("wang", "a")
    await devices.remove("wang", "b")
    await devices.change("wang", "c", DeviceChange(note="told to nobody"))
    await devices.change("wang", "c", DeviceChange(messages_per_s=1.0))
    await devices.change("wang", "c", DeviceChange(unlimited=True))
    devices.door.notices.close()
    assert [name async for name in heard] == ["a", "b", "c"]
    assert devices.page().counts == {"quarantined": 0, "approved": 1, "blocked": 1, "online": 0}


async def test_a_device_is_found_by_any_of_its_words(devices: Devices) -> None:
    for number in range(30):
        await devices.add("wang", NewDevice(f"press-{number:02}", note="Hall 2" if number % 3 == 0 else ""))
    await devices.block("wang", "press-03")
    assert devices.page(query="HALL press").total == 10
    assert [one.name for one in devices.page(query="hall", state=DeviceState.BLOCKED).devices] == ["press-03"]
    names: list[str] = []
    cursor = None
    while True:
        page = devices.page(limit=7, cursor=cursor)
        names += [one.name for one in page.devices]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == sorted(names) and len(names) == 30


@pytest.mark.clause("62443-3-3 SR 6.2", "62443-3-3 SR 1.13")
async def test_those_who_are_turned_away_are_shown_until_somebody_saw_to_it(devices: Devices) -> None:
    await turned_away(devices.door, claim("press-7", "wrong"))
    await turned_away(devices.door, claim("press-7", "wrong"))
    await turned_away(devices.door, claim("press\n-\x1b[31m8", "wrong"))
    assert [(one.login, one.count, one.reason) for one in devices.refusals()] == [
        ("press�-�[31m8", 1, "unknown"),
        ("press-7", 2, "unknown"),
    ]
    await devices.add("wang", NewDevice("press-7"))
    assert len(devices.refusals()) == 1


async def test_a_database_that_does_not_answer_changes_nothing(devices: Devices, engine: Engine) -> None:
    await devices.add("wang", NewDevice("press-7"))
    with engine.begin() as connection:
        connection.execute(text("alter table fleet_devices rename to away"))
    with pytest.raises(Unavailable):
        await devices.block("wang", "press-7")
    with pytest.raises(Unavailable):
        await devices.door.admit(enrolling("new-1"))
    devices.door.seen("press-7", 7, True, messages=9)
    await devices.close()
    assert devices.get("press-7").state is DeviceState.APPROVED
    with engine.begin() as connection:
        connection.execute(text("alter table away rename to fleet_devices"))
    await devices.close()
    with engine.connect() as connection:
        assert connection.execute(text("select messages from fleet_devices")).scalar() == 9


async def test_the_register_goes_on_while_the_database_is_away(
    devices: Devices, engine: Engine, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await devices.door.admit(enrolling("gone"))
    running = asyncio.create_task(devices.run())
    with engine.begin() as connection:
        connection.execute(text("alter table fleet_devices rename to away"))
    clock.jump_wall(8 * 86_400)
    for _ in range(3):
        await clock.advance(5)
        await asyncio.sleep(0.05)
    assert not running.done() and caplog.text.count("not saved for now") == 1
    with engine.begin() as connection:
        connection.execute(text("alter table away rename to fleet_devices"))
    async with asyncio.timeout(20):
        while devices.page().total:
            await clock.advance(5)
            await asyncio.sleep(0.01)
    running.cancel()


async def test_topics_are_suggested_from_what_a_device_sends(devices: Devices) -> None:
    from headrace.sdk.devices import Preview

    await devices.door.admit(enrolling("m-1"))
    devices.door.preview("m-1", Preview("meters/m-1/energy", b"1", 1, 1))
    devices.door.preview("m-1", Preview("meters/m-1/{odd}", b"1", 1, 1))
    assert devices.suggested("m-1") == ("meters/{device}/energy",)
    for number in range(6):
        devices.door.preview("m-1", Preview(f"meters/m-1/phase/{number}", b"1", 1, 1))
    assert devices.suggested("m-1") == ("meters/{device}/#",)


async def test_two_engineers_at_once_make_one_device(devices: Devices) -> None:
    done = await asyncio.gather(*(devices.add(f"w{n}", NewDevice("press-7")) for n in range(6)), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in done) == 5
    assert not any(isinstance(one, AccessError) for one in done)
