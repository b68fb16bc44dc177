"""What a gateway is for: samples in, durable, and only then acknowledged; and what happens where they cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import binding, gateway

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.reasons import Reason
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.sdk.devices import DeviceState
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.devices import MemoryDoor

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])
OIL = binding(1, device="d1", topic="t", value="/oil")
OTHER = binding(2, device="d2", topic="t", value="/oil")


def oil(value: float, qos: int = 1, packet_id: int = 1, **more: Any) -> p.Publish:
    return p.Publish("t", b'{"oil": %g}' % value, qos, packet_id=packet_id if qos else 0, **more)


@BOTH
async def test_samples_reach_the_store(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1", version=version) as device:
        await device.say(oil(62.4, 0), oil(63, 1, 7))
        assert await device.expect(p.Puback) == p.Puback(7)
        assert bed.store.values(1) == [62.4, 63.0]
        counts = bed.driver.counts()
        assert (counts["messages"], counts["stored_messages"], counts["connections"]) == (2, 2, 1)


@BOTH
async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1", version=version) as device:
        bed.store.gate.clear()
        await device.say(oil(1, 1, 1), oil(2, 2, 2))
        await bed.until(lambda: bed.store.calls)
        await device.ping()  # the gateway is alive, and has said nothing of the messages
        bed.store.gate.set()
        assert await device.expect(p.Puback) == p.Puback(1)
        assert await device.expect(p.Pubrec) == p.Pubrec(2)
        await device.say(p.Pubrel(2))
        assert await device.expect(p.Pubcomp) == p.Pubcomp(2)
        assert bed.store.values(1) == [1.0, 2.0]


async def test_what_many_devices_send_is_stored_in_few_calls(tmp_path: Path) -> None:
    points = [binding(at, device=f"d{at}", topic="t", value="") for at in range(50)]
    async with gateway(tmp_path, points) as bed:
        devices = [await bed.line() for _ in points]
        for at, device in enumerate(devices):
            await device.say(p.Connect(f"d{at}"))
            await device.expect(p.Connack)
        bed.store.gate.clear()
        await devices[0].say(p.Publish("t", b"0", 1, packet_id=1))
        await bed.until(lambda: bed.store.calls)
        for at, device in enumerate(devices[1:], 1):
            await device.say(p.Publish("t", b"%d" % at, 1, packet_id=1))
            await device.ping()
        bed.store.gate.set()
        for device in devices:
            assert await device.expect(p.Puback) == p.Puback(1)
        assert bed.store.calls == 2
        assert [bed.store.values(at) for at in range(50)] == [[float(at)] for at in range(50)]


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
async def test_one_device_s_nonsense_costs_that_message_alone(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL, OTHER]) as bed, bed.client("d1") as device, bed.client("d2") as other:
        await other.say(p.Publish("t", b"{nonsense", 1, packet_id=9), p.Publish("t", b'{"oil": 5}', 1, packet_id=10))
        await device.say(oil(1))
        refused: p.Puback = await other.expect(p.Puback)
        assert (refused.packet_id, refused.reason) == (9, Reason.PAYLOAD_FORMAT_INVALID)
        assert refused.properties[Property.REASON_STRING]
        assert await other.expect(p.Puback) == p.Puback(10)
        assert await device.expect(p.Puback) == p.Puback(1)
        assert (bed.store.values(1), bed.store.values(2)) == ([1.0], [5.0])
        async with bed.client("d2", version=Version.V311) as old:  # or it would send it for ever
            await old.say(p.Publish("t", b"{nonsense", 1, packet_id=9), p.Publish("t", b"{}", 2, packet_id=3))
            assert await old.expect(p.Puback) == p.Puback(9)
            assert await old.expect(p.Pubrec) == p.Pubrec(3)
        assert bed.hub.counters.refused_messages == 2


async def test_a_message_that_no_point_asks_for_is_acknowledged_and_counted(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1") as device:
        await device.say(p.Publish("elsewhere", b"x", 1, packet_id=4))
        assert (await device.expect(p.Puback)).reason == 0
        assert bed.hub.counters.ignored_messages == 1 and bed.store.batches == []


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_full_disk_is_told_to_v5_devices(tmp_path: Path, qos: int) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1") as device:
        bed.store.full = True
        await device.say(oil(1, qos, 8), oil(2, 0))
        refused: Any = await device.hear()
        assert (refused.packet_id, refused.reason) == (8, Reason.QUOTA_EXCEEDED)
        bed.store.full = False
        await device.say(oil(3, qos, 8))  # the same number is free again
        accepted: Any = await device.hear()
        assert (accepted.packet_id, accepted.reason) == (8, 0)
        assert bed.store.values(1) == [3.0] and bed.hub.counters.unstored_messages == 2


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_full_disk_cuts_3_1_1_devices_off_so_that_they_send_again(tmp_path: Path, qos: int) -> None:
    options: dict[str, Any] = {"version": Version.V311, "clean_start": False}
    async with gateway(tmp_path, [OIL]) as bed:
        async with bed.client("d1", **options) as device:
            bed.store.full = True
            await device.say(oil(1, qos, 8))
            assert await device.closed() is None
        bed.store.full = False
        async with bed.client("d1", **options) as device:
            await device.say(oil(1, qos, 8, dup=True))
            accepted: Any = await device.hear()
            assert accepted.packet_id == 8
        assert bed.store.values(1) == [1.0]


async def test_a_device_that_leaves_before_its_messages_are_durable_loses_nothing(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL]) as bed:
        bed.store.gate.clear()
        async with bed.client("d1") as device:
            await device.say(oil(1), p.Disconnect())
            await device.closed()
        bed.store.gate.set()
        await bed.until(lambda: bed.store.values(1) == [1.0])


async def test_what_is_under_way_is_stored_and_acknowledged_when_the_gateway_closes(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL], limits={"gather": "1s"}) as bed, bed.client("d1") as device:
        await device.say(*(oil(at, 1, at) for at in range(1, 30)))
        await device.ping()
        await bed.driver.close()
        heard = [await device.expect(p.Puback) for _ in range(29)]
        assert [one.packet_id for one in heard] == list(range(1, 30))
        assert len(bed.store.values(1)) == 29


async def test_points_change_and_no_device_notices(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1") as device:
        await device.say(oil(1))
        await device.expect(p.Puback)
        await bed.driver.rebind([binding(3, device="d1", topic="t", value="/oil")])
        await device.say(oil(2))
        await device.expect(p.Puback)
        assert (bed.store.values(1), bed.store.values(3)) == ([1.0], [2.0])
        assert bed.hub.counters.connects == 1


async def test_a_point_that_does_not_fit_the_settings_is_bad_and_the_others_go_on(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL, binding(5, device="d1", value="/x")]) as bed, bed.client("d1") as device:
        assert [quality for _, quality in bed.store.samples(5)] == [q.BAD_CONFIGURATION_ERROR]
        await device.say(oil(1))
        await device.expect(p.Puback)
        assert bed.store.values(1) == [1.0]


@BOTH
async def test_a_device_that_vanishes_leaves_bad_samples_and_one_that_says_goodbye_does_not(
    tmp_path: Path, version: Version
) -> None:
    async with gateway(tmp_path, [OIL]) as bed:
        for polite in (True, False):
            async with bed.client("d1", version=version) as device:
                await device.say(oil(1))
                await device.expect(p.Puback)
                if polite:
                    await device.say(p.Disconnect())
                    await device.closed()
            await bed.until(lambda: "d1" not in bed.hub.devices)
            assert q.severity(bed.store.samples(1)[-1][1]) == "good" or not polite
        await bed.until(lambda: q.severity(bed.store.samples(1)[-1][1]) == "bad")
        assert [q.severity(quality) for _, quality in bed.store.samples(1)] == ["good", "good", "bad"]


async def test_a_will_is_a_message_like_others(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL]) as bed:
        async with bed.client("d1", will=p.Will("t", b'{"oil": -1}')):
            pass
        await bed.until(lambda: bed.store.values(1) == [-1.0])


# --- quarantine ---------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.clause("62443-3-3 SR 1.13 RE 1", "GB/T 22239-2019 8.4.3.2")
async def test_a_device_in_quarantine_is_looked_at_and_nothing_is_stored(tmp_path: Path, version: Version) -> None:
    door = MemoryDoor()
    door.add("d1", state=DeviceState.QUARANTINED)
    async with gateway(tmp_path, [OIL], door=door) as bed, bed.client("d1", version=version) as device:
        await device.say(oil(1, 0), p.Publish("big", bytes(5000)))
        await device.ping()
        assert [(one.topic, one.bytes, len(one.payload)) for one in door.previews["d1"]] == [
            ("t", 10, 10),
            ("big", 5000, 1024),
        ]
        await device.say(oil(1, 1, 5), oil(1, 2, 6))
        if version is Version.V5:
            assert (await device.expect(p.Puback)).reason == Reason.NOT_AUTHORIZED
            assert (await device.expect(p.Pubrec)).reason == Reason.NOT_AUTHORIZED
        await device.ping()  # 3.1.1: neither yes nor no
        assert (await device.subscribe("t"))[0] >= Reason.UNSPECIFIED_ERROR
        assert bed.store.batches == [] and bed.hub.counters.quarantined_messages == 4


async def test_a_3_1_1_device_in_quarantine_is_cut_off_where_it_goes_on(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", state=DeviceState.QUARANTINED)
    limits = {"unacknowledged": 3}
    async with gateway(tmp_path, door=door, limits=limits) as bed, bed.client("d1", version=Version.V311) as device:
        await device.say(*(oil(1, 1, at) for at in range(1, 5)))
        assert await device.closed() is None
        assert bed.store.batches == []


async def test_the_will_of_a_device_in_quarantine_is_not_told(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", state=DeviceState.QUARANTINED)
    async with gateway(tmp_path, [OIL], door=door) as bed:
        async with bed.client("d1", will=p.Will("t", b'{"oil": 1}')):
            pass
        await bed.until(lambda: "d1" not in bed.hub.devices)
        assert bed.hub.counters.wills == 0 and bed.store.batches == []


@pytest.mark.clause("62443-3-3 SR 2.1 RE 1", "GB/T 22239-2019 8.1.3.2", "GB/T 22239-2019 8.4.3.2")
async def test_a_topic_that_is_not_the_device_s_is_refused(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", publish=("d1/#",))
    async with gateway(tmp_path, door=door) as bed, bed.client("d1") as device:
        await device.say(p.Publish("d2/x", b"1", 1, packet_id=1), p.Publish("d2/x", b"1"))
        assert (await device.expect(p.Puback)).reason == Reason.NOT_AUTHORIZED
        await device.say(p.Publish("d1/x", b"1", 1, packet_id=1))
        assert (await device.expect(p.Puback)).reason == 0
        assert bed.hub.counters.denied_messages == 2


async def test_the_register_learns_how_much_a_device_sends(tmp_path: Path) -> None:
    clock, door = FakeClock(), MemoryDoor(open_to_all=True)
    async with gateway(tmp_path, [OIL], clock=clock, door=door) as bed, bed.client("d1") as device:
        await device.say(oil(1), p.Publish("t", b"{nonsense", 1, packet_id=2), p.Publish("$x", b"", 1, packet_id=3))
        for _ in range(3):
            await device.expect(p.Puback)
        await clock.advance(6)
        assert door.messages["d1"] == 2 and door.refused["d1"] == 2 and door.online["d1"]


async def test_values_are_of_the_kind_that_is_declared(tmp_path: Path) -> None:
    points = [
        binding(1, ValueKind.INT64, device="d1", topic="t", value="/n"),
        binding(2, ValueKind.BOOL, device="d1", topic="t", value="/b"),
        binding(3, ValueKind.TEXT, device="d1", topic="t", value="/s"),
    ]
    async with gateway(tmp_path, points) as bed, bed.client("d1") as device:
        await device.say(p.Publish("t", '{"n": 9007199254740993, "b": true, "s": "油压机"}'.encode(), 1, packet_id=1))
        await device.expect(p.Puback)
        assert [bed.store.values(at) for at in (1, 2, 3)] == [[9007199254740993], [True], ["油压机"]]
