"""Several processes behind one port: to devices and to the platform they are one gateway."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import Bed, Raw, binding, gateway
from tests.connect.gateway.certificates import Authority
from tests.connect.gateway.test_commands import SETPOINT, obeys
from tests.connect.gateway.test_sessions import kept

from headrace.connect.gateway.workers import WorkerPool
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.mqtt.tls import client_context
from headrace.model.errors import Unavailable
from headrace.sdk.clock import SystemClock
from headrace.sdk.devices import DeviceState
from headrace.sdk.testing.devices import MemoryDoor

TRIES = 40


def pool(bed: Bed) -> WorkerPool:
    assert isinstance(bed.driver._front, WorkerPool)
    return bed.driver._front


async def at_worker(bed: Bed, worker: int, client_id: str, **options: Any) -> Raw:
    """A client whose connection the system has given to that worker: tried until it has."""
    for _ in range(TRIES):
        client = await bed.line()
        await client.say(p.Connect(client_id, **options))
        client.connack = await client.expect(p.Connack)
        await client.ping()
        await bed.until(lambda: client_id in pool(bed)._online)
        if pool(bed)._online[client_id] == {worker}:
            return client
        await client.say(p.Disconnect())
        await client.closed()
        await bed.until(lambda: client_id not in pool(bed)._online)
    pytest.fail("the system gives every connection to one worker")


@asynccontextmanager
async def two(folder: Path, points: Any = (), **settings: Any) -> AsyncIterator[Bed]:
    async with gateway(folder, points, processes=2, **settings) as bed:
        yield bed


async def test_samples_of_all_workers_are_stored_before_they_are_acknowledged(tmp_path: Path) -> None:
    points = [binding(at, device=f"d{at}", topic="t", value="") for at in range(12)]
    async with two(tmp_path, points) as bed, AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(bed.client(f"d{at}")) for at in range(12)]
        await bed.until(lambda: len(pool(bed)._online) == 12)
        assert set().union(*pool(bed)._online.values()) == {0, 1}, "the system shares connections out"
        bed.store.gate.clear()
        for at, device in enumerate(devices):
            await device.say(
                p.Publish("t", b"%d" % at, 1 + at % 2, packet_id=3), p.Publish("t", b"nonsense", 1, packet_id=4)
            )
        await bed.until(lambda: bed.store.calls >= 2)
        for device in devices:
            await device.ping()
        bed.store.gate.set()
        for at, device in enumerate(devices):
            answers = [await device.hear(), await device.hear()]
            assert answers[0] in (p.Puback(3), p.Pubrec(3))
            assert isinstance(answers[1], p.Puback) and answers[1].reason == Reason.PAYLOAD_FORMAT_INVALID
            assert bed.store.values(at) == [float(at)]
        bed.store.full = True
        await devices[0].say(p.Publish("t", b"1", 1, packet_id=9))
        assert (await devices[0].expect(p.Puback)).reason == Reason.QUOTA_EXCEEDED
    assert bed.driver.counts()["messages"] == 24


async def test_a_client_is_taken_over_by_another_worker_with_its_session(tmp_path: Path) -> None:
    async with two(tmp_path) as bed:
        sender = await at_worker(bed, 0, "s")
        older = await at_worker(bed, 0, "d1", **kept(Version.V5))
        await older.subscribe("a", qos=2)
        await sender.say(p.Publish("a", b"1", 1, packet_id=1), p.Publish("a", b"2", 2, packet_id=2))
        one, two_ = await older.expect(p.Publish), await older.expect(p.Publish)
        await older.say(p.Pubrec(two_.packet_id), p.Publish("b", b"", 2, packet_id=50))
        await older.expect(p.Pubrel)
        await older.expect(p.Pubrec)
        for _ in range(TRIES):
            newer = await bed.line()
            await newer.say(p.Connect("d1", **kept(Version.V5)))
            assert (await newer.expect(p.Connack)).session_present
            heard = [await newer.hear(), await newer.hear()]
            assert heard == [
                p.Publish("a", b"1", 1, dup=True, packet_id=one.packet_id),
                p.Pubrel(two_.packet_id),
            ]
            last: Any = await older.closed()
            assert last.reason == Reason.SESSION_TAKEN_OVER
            await newer.ping()
            await bed.until(lambda: len(pool(bed)._online.get("d1", ())) == 1)
            older = newer
            if pool(bed)._online["d1"] == {1}:
                break
        await newer.say(p.Publish("b", b"", 2, packet_id=50, dup=True))
        assert await newer.expect(p.Pubrec) == p.Pubrec(50)  # known, so not taken again
        await sender.say(p.Publish("a", b"3"))
        assert (await newer.expect(p.Publish)).payload == b"3"  # its subscription came along
        assert pool(bed)._online["d1"] == {1}


@pytest.mark.soak
async def test_starting_anew_at_another_worker_forgets_the_session(tmp_path: Path) -> None:
    async with two(tmp_path) as bed:
        older = await at_worker(bed, 0, "d1", **kept(Version.V5))
        await older.subscribe("a")
        await older.say(p.Disconnect())
        await older.closed()
        await bed.until(lambda: "d1" not in pool(bed)._online)
        newer = await at_worker(bed, 1, "d1")
        assert not newer.connack.session_present
        await bed.until(lambda: len(pool(bed)._wants) == 0)


async def test_messages_and_retained_ones_cross_workers(tmp_path: Path) -> None:
    properties = {
        Property.CONTENT_TYPE: "x",
        Property.USER_PROPERTY: (("a", "1"),),
        Property.MESSAGE_EXPIRY_INTERVAL: 60,
    }
    async with two(tmp_path) as bed:
        here, there = await at_worker(bed, 0, "here"), await at_worker(bed, 1, "there")
        for client in (here, there):
            await client.subscribe(p.Subscription("a/+", 1, retain_as_published=True))
        await bed.until(lambda: len(pool(bed)._wants) == 2)
        await here.say(p.Publish("a/b", b"x", 1, True, packet_id=1, properties=properties), p.Publish("a/c", b"y"))
        for client in (here, there):
            got = []
            while len(got) < 2:
                packet = await client.hear()
                if isinstance(packet, p.Publish):
                    got.append(packet)
            assert [(one.topic, one.payload, one.qos, one.retain) for one in got] == [
                ("a/b", b"x", 1, True),
                ("a/c", b"y", 0, False),
            ]
            assert (
                got[0].properties[Property.CONTENT_TYPE] == "x"
                and Property.MESSAGE_EXPIRY_INTERVAL in got[0].properties
            )
        for worker in (0, 1):
            late = await at_worker(bed, worker, f"late-{worker}")
            await late.subscribe("a/b")
            assert (await late.expect(p.Publish)).retain


@pytest.mark.soak
async def test_a_share_over_workers_gives_each_message_to_one(tmp_path: Path) -> None:
    async with two(tmp_path) as bed:
        members = [await at_worker(bed, worker, f"m{worker}") for worker in (0, 1)]
        for member in members:
            await member.subscribe("$share/g/jobs/#")
        await bed.until(lambda: len(pool(bed)._wants) == 2)
        async with bed.client("s") as sender:
            await sender.say(*(p.Publish(f"jobs/{at}", b"%d" % at, 1, packet_id=at + 1) for at in range(10)))
            for _ in range(10):
                await sender.expect(p.Puback)
        got = []
        for member in members:
            share = [await member.expect(p.Publish) for _ in range(5)]
            await member.ping()
            got += [one.payload for one in share]
        assert sorted(got) == [b"%d" % at for at in range(10)]


async def test_commands_reach_the_worker_of_their_device(tmp_path: Path) -> None:
    async with two(tmp_path, [SETPOINT]) as bed:
        for worker in (0, 1):
            device = await at_worker(bed, worker, "d1")
            await device.subscribe("d1/set")
            await bed.until(lambda: len(pool(bed)._wants) == 1)
            obeying = asyncio.create_task(obeys(device))
            await bed.driver.write(SETPOINT, 100.0 + worker)
            assert (await bed.driver.read_back(SETPOINT)).values.tolist() == [100.0 + worker]
            await obeying
            device.cut()
            await bed.until(lambda: "d1" not in pool(bed)._online and len(pool(bed)._wants) == 0)
        with pytest.raises(Unavailable, match="away"):
            await bed.driver.write(SETPOINT, 1.0)


@pytest.mark.soak
async def test_the_door_decides_for_all_workers(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", b"secret", state=DeviceState.QUARANTINED, publish=("d1/#",))
    async with two(tmp_path, door=door) as bed:
        stranger = await bed.line()
        await stranger.say(p.Connect("d1", user="d1", password=b"guess"))
        refused: Any = await stranger.closed()
        assert refused.reason == Reason.BAD_USER_NAME_OR_PASSWORD
        async with bed.client("d1", user="d1", password=b"secret") as device:
            await device.say(p.Publish("d1/x", b"look at me"))
            await bed.until(lambda: door.previews["d1"])
            door.set_state("d1", DeviceState.APPROVED)
            last: Any = await device.closed()
            assert last.reason == Reason.ADMINISTRATIVE_ACTION
        assert door.claims[0].peer == "127.0.0.1" and door.claims[0].gateway == "gate"


@pytest.mark.soak
async def test_tls_in_every_worker(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, device = authority.sign("gateway"), authority.sign("device")
    door = MemoryDoor()
    door.add("press-3", login=device.fingerprint)
    tls = {"certificate": own.certificate, "key": own.key, "client_ca": authority.file}
    async with two(tmp_path, [binding(1, device="press-3", topic="t", value="")], door=door, tls=tls) as bed:
        context = client_context(authority.file, device.certificate, device.key)
        for at in range(6):
            options = ClientOptions("127.0.0.1", bed.port, f"c{at}", tls=context)
            async with MqttClient(options, SystemClock()) as session:
                await session.publish("t", b"%d" % at, qos=1)
        assert bed.store.values(1) == [float(at) for at in range(6)]


async def test_a_worker_that_dies_ends_the_gateway_and_all_workers(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):  # the bed holds that nothing was lost
        async with two(tmp_path) as bed:
            os.kill(pool(bed).pids[0], signal.SIGKILL)
            await bed.until(lambda: bed.lost)
            assert "has died" in str(bed.lost[0])
    for pid in pool(bed).pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
