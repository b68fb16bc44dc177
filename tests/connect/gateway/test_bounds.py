"""A gateway under load and under attack: everything is bounded, and what is given up is counted."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import Raw, binding, gateway
from tests.connect.gateway.test_sessions import send

from headrace.connect.gateway.wheel import Wheel
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, encode_publish
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.reasons import Reason
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.devices import MemoryDoor

OIL = binding(1, device="d1", topic="t", value="")


async def pour(client: Raw, data: bytes) -> None:
    """Say it without waiting for anything; a socket that is not read takes what its buffers take."""
    client.writer.write(data)
    await asyncio.sleep(0)


async def test_ten_times_more_than_can_be_stored_waits_in_bounded_memory_and_loses_nothing(tmp_path: Path) -> None:
    """20 MB of QoS 0 and 1 into a gateway that may hold 1 MB and whose store stands still."""
    limits = {"pending_bytes": 1 << 20, "messages_per_s": 1e6, "unacknowledged": 60_000}
    count = 5000
    async with gateway(tmp_path, [OIL], limits=limits) as bed, bed.client("d1") as one, bed.client("d2") as two:
        bed.store.gate.clear()
        payload = b"7" + b" " * 1999
        streams = [
            b"".join(
                encode_publish("t", payload, Version.V5, qos=qos, packet_id=at * qos) for at in range(1, count + 1)
            )
            for qos in (1, 0)
        ]
        for client, stream in zip((one, two), streams, strict=True):
            client.writer.write(stream)
        await bed.until(lambda: bed.hub.counters.halts)
        for _ in range(200):
            await asyncio.sleep(0)
        assert bed.hub.counters.pending_bytes < 3 << 20  # the bound, and what one read of each socket brings
        bed.store.gate.set()
        for at in range(1, count + 1):
            assert await one.expect(p.Puback) == p.Puback(at)
        await two.ping()
        assert bed.hub.counters.messages + bed.hub.counters.ignored_messages >= count
        assert bed.store.values(1) == [7] * count
        assert bed.hub.counters.dropped_messages == 0


async def test_with_the_policy_drop_qos_0_goes_and_is_counted_and_qos_1_stays(tmp_path: Path) -> None:
    limits = {"pending_bytes": 1 << 20, "messages_per_s": 1e6, "unacknowledged": 60_000, "overload": "drop"}
    async with gateway(tmp_path, [OIL], limits=limits) as bed, bed.client("d1") as device:
        bed.store.gate.clear()
        payload = b"7" + b" " * 1999
        promised = [encode_publish("t", payload, Version.V5, qos=1, packet_id=at) for at in range(1, 51)]
        rest = [encode_publish("t", payload, Version.V5)] * 1000
        device.writer.write(b"".join([*rest, *promised]))
        await bed.until(lambda: bed.hub.counters.dropped_messages)
        await device.say(p.Pingreq())
        await device.expect(p.Pingresp)  # the socket was read to its end
        bed.store.gate.set()
        for at in range(1, 51):
            assert await device.expect(p.Puback) == p.Puback(at)
        dropped = bed.hub.counters.dropped_messages
        assert dropped and len(bed.store.values(1)) == 1050 - dropped


async def test_a_device_that_is_too_fast_is_slowed_down_and_loses_nothing(tmp_path: Path) -> None:
    clock, door = FakeClock(), MemoryDoor()
    door.add("d1", messages_per_s=10)
    async with gateway(tmp_path, [OIL], clock=clock, door=door) as bed, bed.client("d1") as device:
        await device.say(*(p.Publish("t", b"%d" % at, 1, packet_id=at) for at in range(1, 41)))
        heard = [await device.expect(p.Puback) for _ in range(40)]  # one read is one read
        assert len(heard) == 40 and bed.hub.counters.throttled == 1
        await pour(device, encode_publish("t", b"41", Version.V5, qos=1, packet_id=41))
        await clock.advance(2)
        assert len(bed.store.values(1)) == 40
        await clock.advance(2)
        await device.expect(p.Puback)
        assert len(bed.store.values(1)) == 41


async def test_a_device_that_does_not_read_is_sent_little_and_let_go(tmp_path: Path) -> None:
    clock = FakeClock()
    limits = {"queue": 50, "messages_per_s": 1e6}
    async with gateway(tmp_path, clock=clock, limits=limits) as bed, bed.client("s") as sender:
        async with bed.client("slow", properties={Property.SESSION_EXPIRY_INTERVAL: 600}) as slow:
            await slow.subscribe("a", qos=1)
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(40):
                for _ in range(10):
                    await send(sender, "a", bytes(100_000), 0)
            (connection,) = bed.hub.devices["slow"]
            assert connection.transport is not None and not connection.listens
            assert connection.transport.get_write_buffer_size() < 400_000
            assert bed.hub.counters.undelivered > 0
            for at in range(80):  # what is promised waits, bounded
                await send(sender, "a", b"%d" % at, 1)
            assert bed.hub.counters.undelivered >= 30
            await clock.advance(130)
            assert "slow" not in bed.hub.devices
        async with bed.client("slow", clean_start=False) as slow:
            assert slow.connack.session_present
            got = [await slow.expect(p.Publish) for _ in range(50)]
            assert [one.payload for one in got] == [b"%d" % at for at in range(30, 80)]


@pytest.mark.parametrize("size", [300, 3_000_000])
async def test_a_packet_that_is_too_long_ends_the_connection_before_it_is_kept(tmp_path: Path, size: int) -> None:
    async with gateway(tmp_path, limits={"packet_bytes": 256}) as bed, bed.client("d1") as device:
        head = encode_publish("t", bytes(size), Version.V5)[:20]
        device.writer.write(head)
        last: Any = await device.closed()
        assert last.reason == Reason.PACKET_TOO_LARGE


async def test_a_packet_that_dribbles_in_is_put_together(tmp_path: Path) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1") as device:
        for byte in encode_publish("t", b"42", Version.V5, qos=1, packet_id=1):
            await pour(device, bytes((byte,)))
        await device.expect(p.Puback)
        assert bed.store.values(1) == [42.0]


@pytest.mark.parametrize("seed", range(8))
async def test_garbage_ends_its_own_connection_and_no_other(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # the seed is in the test's name
    good = [
        encode(p.Subscribe(1, (p.Subscription("a/#", 1), p.Subscription("$share/g/b"))), Version.V5),
        encode_publish("t", b"1", Version.V5, qos=2, packet_id=3, properties={Property.TOPIC_ALIAS: 2}),
        encode(p.Pubrel(3), Version.V5),
        encode(p.Disconnect(0, {Property.SESSION_EXPIRY_INTERVAL: 5}), Version.V5),
        encode(p.Connect("x", will=p.Will("w", b"", 1, True)), Version.V5),
    ]
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1") as device:
        for at in range(60):
            noise = bytearray(b"".join(rng.choices(good, k=3)) if rng.random() < 0.7 else rng.randbytes(60))
            for _ in range(rng.randrange(1, 6)):
                noise[rng.randrange(len(noise))] = rng.randrange(256)
            line = await bed.line()
            if rng.random() < 0.7:
                line.writer.write(encode(p.Connect(f"noise-{at}"), Version.V5))
            line.writer.write(bytes(noise))
            if rng.random() < 0.5:
                line.writer.write_eof()
                await line.reader.read()
            line.cut()
        await device.say(p.Publish("t", b"5", 1, packet_id=1))
        await device.expect(p.Puback)
        assert bed.store.values(1)[-1] == 5.0
        await bed.until(lambda: bed.hub.counters.connections == 1)
    assert bed.lost == []


async def test_a_half_open_socket_is_found_out(tmp_path: Path) -> None:
    """The cable is pulled: nothing comes any more, not even an end. The keep-alive notices, and its points are bad."""
    clock = FakeClock()
    async with gateway(tmp_path, [OIL], clock=clock) as bed, bed.client("d1", keep_alive_s=20) as device:
        await device.say(p.Publish("t", b"5", 1, packet_id=1))
        await device.expect(p.Puback)
        device.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await clock.advance(33)
        assert "d1" not in bed.hub.devices
        await bed.until(lambda: len(bed.store.samples(1)) == 2)


def test_the_wheel_calls_what_is_due_once_and_again_where_it_is_asked() -> None:
    class Item:
        def __init__(self, *again_s: float) -> None:
            self.again, self.called = list(again_s), list[float]()

        def due(self, now_s: float) -> float | None:
            self.called.append(now_s)
            return self.again.pop(0) if self.again else None

    wheel, once, thrice, late = Wheel(100.0), Item(), Item(105.2, 110.0), Item()
    wheel.put(once, 101.5)
    wheel.put(thrice, 50.0)  # in the past is with the next turn
    wheel.put(late, 1e9)
    for now_s in range(100, 112):
        wheel.turn(float(now_s))
    assert once.called == [102.0] and thrice.called == [101.0, 106.0, 110.0] and late.called == []
    wheel.turn(2e9)  # a clock that jumps
    assert late.called == [2e9] and len(wheel) == 0
