"""CONNECT and its end: who gets in, with what, and how a connection goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import gateway

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.reasons import ConnectReturn, Reason
from headrace.model.errors import AccessError, LimitReached, Unavailable
from headrace.sdk.devices import DeviceState
from headrace.sdk.testing.clock import FakeClock, settle
from headrace.sdk.testing.devices import MemoryDoor

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])


@BOTH
async def test_connack_comes_first_and_once(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client(version=version) as client:
        assert client.connack.reason == 0 and not client.connack.session_present
        await client.ping()


async def test_connack_says_what_the_gateway_takes(tmp_path: Path) -> None:
    limits = {"packet_bytes": 1000, "unacknowledged": 7, "keep_alive": "60s", "session_expiry": "1h"}
    asked = {Property.SESSION_EXPIRY_INTERVAL: 7200}
    async with gateway(tmp_path, limits=limits) as bed, bed.client(properties=asked, keep_alive_s=600) as client:
        assert dict(client.connack.properties) == {
            Property.RECEIVE_MAXIMUM: 7,
            Property.MAXIMUM_PACKET_SIZE: 1000,
            Property.TOPIC_ALIAS_MAXIMUM: 32,
            Property.SESSION_EXPIRY_INTERVAL: 3600,
            Property.SERVER_KEEP_ALIVE: 60,
        }


async def test_a_client_without_a_name_is_given_one(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("") as one, bed.client("") as two:
        names = [client.connack.properties[Property.ASSIGNED_CLIENT_IDENTIFIER] for client in (one, two)]
        assert len(set(names)) == 2 and all(names)
        async with bed.client("", version=Version.V311) as third:
            await third.ping()


@BOTH
async def test_client_identifiers_may_be_short_and_long_and_of_any_script(tmp_path: Path, version: Version) -> None:
    plain = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    async with gateway(tmp_path) as bed:
        for name in ("a", plain[:23], plain[39:], "油压机-3", "x" * 256):
            async with bed.client(name, version=version) as client:
                await client.ping()
        client = await bed.line()
        await client.say(p.Connect("x" * 257, version))
        refused: Any = await client.closed()
        assert refused.reason in (Reason.CLIENT_IDENTIFIER_NOT_VALID, ConnectReturn.IDENTIFIER_REJECTED)


async def test_a_3_1_1_client_without_a_name_must_start_anew(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed:
        client = await bed.line()
        await client.say(p.Connect("", Version.V311, clean_start=False))
        assert await client.closed() == p.Connack(False, ConnectReturn.IDENTIFIER_REJECTED)


@pytest.mark.parametrize(
    ("hexed", "answer"),
    [
        ("10 0f 00 06 4d 51 49 73 64 70 03 02 00 00 00 01 61", p.Connack(False, 1)),
        ("10 0d 00 04 4d 51 54 54 03 02 00 00 00 01 61", p.Connack(False, 1)),
        ("10 0d 00 04 4d 51 54 54 04 03 00 00 00 01 61", None),
        ("c0 00", None),
        ("47 45 54 20 2f 20 48 54 54 50", None),
        ("82 06 00 01 00 01 61 00", None),
        ("10 0e 00 04 4d 51 54 54 04 02 00 00 00 02 c3 28", None),
    ],
    ids=["mqtt 3.1", "level 3", "reserved flag", "ping first", "http", "subscribe first", "no utf-8"],
)
@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 1.2")
async def test_what_is_no_connect_is_cut_off(tmp_path: Path, hexed: str, answer: p.Packet | None) -> None:
    async with gateway(tmp_path) as bed:
        client = await bed.line()
        client.version = Version.V311
        client.writer.write(bytes.fromhex(hexed))
        assert await client.closed() == answer
        assert bed.hub.counters.connections == 0


async def test_a_protocol_of_the_future_is_answered_in_words_of_v5(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed:
        client = await bed.line()
        client.writer.write(bytes.fromhex("10 0e 00 04 4d 51 54 54 06 02 00 00 00 00 01 61"))
        refused: Any = await client.closed()
        assert isinstance(refused, p.Connack) and refused.reason == Reason.UNSUPPORTED_PROTOCOL_VERSION


@BOTH
async def test_a_second_connect_ends_the_connection(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client(version=version) as client:
        await client.say(p.Connect("d1", version))
        last: Any = await client.closed()
        if version is Version.V5:
            assert last.reason == Reason.PROTOCOL_ERROR


async def test_packets_right_behind_connect_are_taken(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed:
        client = await bed.line()
        said = [p.Connect("d1"), p.Subscribe(1, (p.Subscription("a", 1),)), p.Publish("a", b"x"), p.Pingreq()]
        await client.say(*said)
        await client.expect(p.Connack)
        await client.expect(p.Suback)
        heard = [await client.hear(), await client.hear()]
        assert {type(one) for one in heard} == {p.Publish, p.Pingresp}


@pytest.mark.parametrize(
    ("fault", "reason", "returned"),
    [
        (
            AccessError("no", authenticated=False),
            Reason.BAD_USER_NAME_OR_PASSWORD,
            ConnectReturn.BAD_USER_NAME_OR_PASSWORD,
        ),
        (AccessError("no"), Reason.NOT_AUTHORIZED, ConnectReturn.NOT_AUTHORIZED),
        (LimitReached("no"), Reason.CONNECTION_RATE_EXCEEDED, ConnectReturn.SERVER_UNAVAILABLE),
        (Unavailable("no"), Reason.SERVER_UNAVAILABLE, ConnectReturn.SERVER_UNAVAILABLE),
    ],
    ids=["unknown", "blocked", "too often", "not now"],
)
@BOTH
@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 1.10")
async def test_whom_the_door_refuses_hears_why_and_nothing_else(
    tmp_path: Path, version: Version, fault: Exception, reason: Reason, returned: ConnectReturn
) -> None:
    door = MemoryDoor()
    door.fault = fault
    async with gateway(tmp_path, door=door) as bed:
        client = await bed.line()
        await client.say(p.Connect("d1", version), p.Publish("a", b"not to be taken", qos=1, packet_id=1))
        refused: Any = await client.closed()
        assert isinstance(refused, p.Connack) and not refused.session_present
        assert refused.reason == (reason if version is Version.V5 else returned)
        assert bed.hub.counters.messages == 0 and bed.hub.counters.refused_connects == 1


async def test_the_door_sees_what_the_device_shows(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("press-3", b"secret", login="ann")
    async with gateway(tmp_path, door=door) as bed:
        async with bed.client("c7", user="ann", password=b"secret") as client:
            await client.ping()
            assert door.online == {"press-3": True}
        await bed.until(lambda: door.online == {"press-3": False})
    (claim,) = door.claims
    assert (claim.gateway, claim.client_id, claim.user, claim.password) == ("gate", "c7", "ann", b"secret")
    assert claim.peer == "127.0.0.1"


async def test_enhanced_authentication_is_refused_properly(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed:
        client = await bed.line()
        await client.say(p.Connect("d1", properties={Property.AUTHENTICATION_METHOD: "SCRAM-SHA-1"}))
        refused: Any = await client.closed()
        assert refused.reason == Reason.BAD_AUTHENTICATION_METHOD
        async with bed.client() as other:
            await other.say(p.Auth(Reason.REAUTHENTICATE, {Property.AUTHENTICATION_METHOD: "x"}))
            last: Any = await other.closed()
            assert last.reason == Reason.PROTOCOL_ERROR


@BOTH
async def test_the_same_client_takes_over_and_the_older_one_hears_it(tmp_path: Path, version: Version) -> None:
    async with (
        gateway(tmp_path) as bed,
        bed.client("d1", version=version) as older,
        bed.client("d1", version=version) as newer,
    ):
        last: Any = await older.closed()
        if version is Version.V5:
            assert last.reason == Reason.SESSION_TAKEN_OVER
        await newer.ping()
        assert bed.hub.counters.taken_over == 1 and bed.hub.counters.connections == 1


@pytest.mark.clause("62443-3-3 SR 3.8", "62443-3-3 SR 1.2 RE 1")
async def test_no_device_takes_over_the_session_of_another(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("same", user="a") as one, bed.client("same", user="b") as two:
        await one.ping()
        await two.ping()


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.1 RE 1")
async def test_a_device_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    limits = {"connections_per_device": 2}
    async with (
        gateway(tmp_path, limits=limits) as bed,
        bed.client("1", user="d") as _,
        bed.client("2", user="d") as two,
    ):
        third = await bed.line()
        await third.say(p.Connect("3", user="d"))
        refused: Any = await third.closed()
        assert refused.reason == Reason.QUOTA_EXCEEDED
        async with bed.client("1", user="d") as again:  # a take-over is none more
            await again.ping()
        await two.ping()


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_full_gateway_takes_no_more_sockets(tmp_path: Path) -> None:
    async with gateway(tmp_path, limits={"connections": 1}) as bed, bed.client("d1") as one:
        other = await bed.line()
        assert await other.closed() is None
        await one.ping()


async def test_goodbye_ends_a_connection_and_forgets_its_will(tmp_path: Path) -> None:
    will = p.Will("gone", b"!")
    async with gateway(tmp_path) as bed, bed.client("w") as watcher:
        await watcher.subscribe("gone")
        async with bed.client("d1", will=will) as client:
            await client.say(p.Disconnect())
            assert await client.closed() is None
        async with bed.client("d1", will=will) as client:
            await client.say(p.Disconnect(Reason.DISCONNECT_WITH_WILL))
            assert await client.closed() is None
        assert (await watcher.expect(p.Publish)).payload == b"!"
        await watcher.ping()  # once, then


@BOTH
async def test_a_will_is_told_when_a_connection_breaks(tmp_path: Path, version: Version) -> None:
    will = p.Will("gone", b"!", qos=1, retain=True)
    async with gateway(tmp_path) as bed, bed.client("w") as watcher:
        await watcher.subscribe("gone")
        async with bed.client("d1", will=will, version=version):
            pass
        told: p.Publish = await watcher.expect(p.Publish)
        assert (told.topic, told.payload, told.qos, told.retain) == ("gone", b"!", 1, False)
        async with bed.client("later") as later:
            await later.subscribe("gone")
            assert (await later.expect(p.Publish)).retain


async def test_a_will_on_a_topic_that_is_not_the_device_s_is_refused(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", publish=("d1/#",))
    async with gateway(tmp_path, door=door) as bed:
        client = await bed.line()
        await client.say(p.Connect("d1", will=p.Will("d2/status", b"dead")))
        refused: Any = await client.closed()
        assert refused.reason == Reason.NOT_AUTHORIZED


async def test_a_will_waits_for_its_delay_and_a_client_that_returns_takes_it_back(tmp_path: Path) -> None:
    clock = FakeClock()
    will = p.Will("gone", b"!", properties={Property.WILL_DELAY_INTERVAL: 10})
    options: dict[str, Any] = {"will": will, "properties": {Property.SESSION_EXPIRY_INTERVAL: 60}, "clean_start": False}
    async with gateway(tmp_path, clock=clock) as bed, bed.client("w") as watcher:
        await watcher.subscribe("gone")
        async with bed.client("d1", **options):
            pass
        await bed.until(lambda: "d1" not in bed.hub.devices)
        await clock.advance(8)
        async with bed.client("d1", **options) as back:
            await clock.advance(20)
            await back.ping()
        assert bed.hub.counters.wills == 0
        await bed.until(lambda: "d1" not in bed.hub.devices)
        await clock.advance(12)
        assert (await watcher.expect(p.Publish)).payload == b"!"


async def test_a_will_comes_at_the_end_of_a_session_that_is_shorter_than_its_delay(tmp_path: Path) -> None:
    clock = FakeClock()
    will = p.Will("gone", b"!", properties={Property.WILL_DELAY_INTERVAL: 1000})
    async with gateway(tmp_path, clock=clock) as bed, bed.client("w") as watcher:
        await watcher.subscribe("gone")
        async with bed.client("d1", will=will, properties={Property.SESSION_EXPIRY_INTERVAL: 5}):
            pass
        await bed.until(lambda: "d1" not in bed.hub.devices)
        await clock.advance(8)
        assert (await watcher.expect(p.Publish)).payload == b"!"
        assert ("d1", "d1") not in bed.hub.sessions


@BOTH
async def test_silence_beyond_one_and_a_half_keep_alives_ends_a_connection(tmp_path: Path, version: Version) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed, bed.client(keep_alive_s=10, version=version) as client:
        for _ in range(5):
            await clock.advance(12)
            await client.ping()
        await clock.advance(17)
        last: Any = await client.closed()
        if version is Version.V5:
            assert last.reason == Reason.KEEP_ALIVE_TIMEOUT
        assert bed.hub.counters.timed_out == 1


async def test_a_3_1_1_client_without_keep_alive_may_be_silent(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed, bed.client(version=Version.V311) as client:
        await clock.advance(300)
        await client.ping()


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_socket_that_says_nothing_is_let_go(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed:
        silent = await bed.line()
        await bed.until(lambda: bed.hub.counters.connections)
        await clock.advance(12)
        assert await silent.closed() is None
        assert bed.hub.counters.connections == 0


async def test_a_device_whose_rights_change_has_to_come_again(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", state=DeviceState.QUARANTINED)
    async with gateway(tmp_path, door=door) as bed:
        async with bed.client("d1") as client:
            door.set_state("d1", DeviceState.APPROVED)
            last: Any = await client.closed()
            assert last.reason == Reason.ADMINISTRATIVE_ACTION
        async with bed.client("d1") as client:
            await client.say(p.Publish("t", b"1", qos=1, packet_id=1))
            assert (await client.expect(p.Puback)).reason == 0
            door.set_state("d1", DeviceState.BLOCKED)
            await client.closed()
        client = await bed.line()
        await client.say(p.Connect("d1"))
        refused: Any = await client.closed()
        assert refused.reason == Reason.NOT_AUTHORIZED


async def test_everybody_hears_when_the_gateway_closes(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1") as client:
        await bed.driver.close()
        last: Any = await client.closed()
        assert last.reason == Reason.SERVER_SHUTTING_DOWN


async def test_reason_strings_are_left_out_for_who_wants_none(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", publish=())
    async with gateway(tmp_path, door=door) as bed:
        async with bed.client("d1") as client:
            await client.say(p.Publish("t", b"1", qos=1, packet_id=1))
            assert Property.REASON_STRING in (await client.expect(p.Puback)).properties
        async with bed.client("d1", properties={Property.REQUEST_PROBLEM_INFORMATION: 0}) as client:
            await client.say(p.Publish("t", b"1", qos=1, packet_id=1))
            assert await client.expect(p.Puback) == p.Puback(1, Reason.NOT_AUTHORIZED)


async def test_a_reason_string_is_left_out_where_it_would_be_too_long_for_the_client(tmp_path: Path) -> None:
    door = MemoryDoor()
    door.add("d1", publish=())
    async with (
        gateway(tmp_path, door=door) as bed,
        bed.client("d1", properties={Property.MAXIMUM_PACKET_SIZE: 30}) as client,
    ):
        await client.say(p.Publish("t", b"1", qos=1, packet_id=1))
        assert await client.expect(p.Puback) == p.Puback(1, Reason.NOT_AUTHORIZED)
        client.writer.write(b"\xff\xff")
        assert await client.closed() == p.Disconnect(Reason.MALFORMED_PACKET)


async def test_idle_time_costs_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed:
        for _ in range(20):
            async with bed.client("d1", keep_alive_s=30) as client:
                await client.ping()
        await bed.until(lambda: not bed.hub.connections)
        await clock.advance(200)
        await settle()
        assert len(bed.hub.wheel) == 0 and not bed.hub.sessions and not bed.hub.devices


def test_the_first_packet_of_the_standard_is_what_we_say() -> None:
    assert encode(p.Pingreq(), Version.V311) == b"\xc0\x00"
