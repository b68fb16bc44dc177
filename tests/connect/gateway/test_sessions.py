"""Messages to devices, and what outlives a connection: QoS, redelivery, flow control, expiry, bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import Bed, Raw, gateway

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.reasons import Reason
from headrace.sdk.testing.clock import FakeClock

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])


def kept(version: Version, expiry_s: int = 60) -> dict[str, Any]:
    """Options of a client whose session outlives its connection."""
    properties = {Property.SESSION_EXPIRY_INTERVAL: expiry_s} if version is Version.V5 else {}
    return {"version": version, "clean_start": False, "properties": properties}


async def away(bed: Bed, device: str = "d1") -> None:
    await bed.until(lambda: device not in bed.hub.devices)


async def send(client: Raw, topic: str, payload: bytes, qos: int = 1, **more: Any) -> None:
    """A message that is with the gateway when this returns."""
    await client.say(p.Publish(topic, payload, qos, packet_id=77 if qos else 0, **more))
    if qos == 1:
        assert (await client.expect(p.Puback)).reason < Reason.UNSPECIFIED_ERROR
    elif qos == 2:
        await client.expect(p.Pubrec)
        await client.say(p.Pubrel(77))
        await client.expect(p.Pubcomp)
    else:
        await client.ping()


@BOTH
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_the_lesser_qos_counts(tmp_path: Path, version: Version, granted: int, sent: int) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1", version=version) as client, bed.client("s") as sender:
        assert await client.subscribe("a", qos=granted) == (granted,)
        await send(sender, "a", b"x", sent)
        got: p.Publish = await client.expect(p.Publish)
        assert (got.qos, got.dup, got.retain) == (min(granted, sent), False, False)
        assert bool(got.packet_id) == bool(got.qos)


@BOTH
async def test_a_message_of_qos_2_to_a_device_goes_all_its_steps(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1", version=version) as client, bed.client("s") as sender:
        await client.subscribe("a", qos=2)
        await send(sender, "a", b"x", 2)
        got: p.Publish = await client.expect(p.Publish)
        await client.say(p.Pubrec(got.packet_id))
        assert await client.expect(p.Pubrel) == p.Pubrel(got.packet_id)
        await client.say(p.Pubcomp(got.packet_id))
        await client.ping()


@BOTH
@pytest.mark.clause("GB/T 22239-2019 8.4.3.3")
async def test_a_message_of_qos_2_that_is_sent_again_is_taken_once(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("w") as watcher, bed.client("d1", **kept(version)) as client:
        await watcher.subscribe("a")
        await client.say(p.Publish("a", b"x", 2, packet_id=5))
        await client.expect(p.Pubrec)
        await client.say(p.Publish("a", b"x", 2, packet_id=5, dup=True))
        await client.expect(p.Pubrec)
        client.cut()
        await away(bed)
        async with bed.client("d1", **kept(version)) as again:
            await again.say(p.Publish("a", b"x", 2, packet_id=5, dup=True))
            assert await again.expect(p.Pubrec) == p.Pubrec(5)
            await again.say(p.Pubrel(5))
            assert await again.expect(p.Pubcomp) == p.Pubcomp(5)
            await again.say(p.Publish("a", b"new", 2, packet_id=5))
            await again.expect(p.Pubrec)
        assert [(await watcher.expect(p.Publish)).payload for _ in range(2)] == [b"x", b"new"]
        assert bed.hub.counters.messages == 2


async def test_steps_of_messages_that_nobody_knows_are_answered_with_a_reason(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1") as client:
        await client.say(p.Pubrel(9))
        assert await client.expect(p.Pubcomp) == p.Pubcomp(9, Reason.PACKET_IDENTIFIER_NOT_FOUND)
        await client.say(p.Pubrec(9))
        assert await client.expect(p.Pubrel) == p.Pubrel(9, Reason.PACKET_IDENTIFIER_NOT_FOUND)
        await client.say(p.Puback(9), p.Pubcomp(9))
        await client.ping()


@BOTH
async def test_what_was_not_acknowledged_is_sent_again_in_order(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender:
        async with bed.client("d1", **kept(version)) as client:
            await client.subscribe("a", qos=2)
            for number in range(4):
                await send(sender, "a", b"%d" % number, 2 if number == 1 else 1)
            got = [await client.expect(p.Publish) for _ in range(4)]
            await client.say(p.Puback(got[0].packet_id), p.Pubrec(got[1].packet_id))
            await client.expect(p.Pubrel)
        await away(bed)
        await send(sender, "a", b"4")
        await send(sender, "a", b"of no promise", 0)
        async with bed.client("d1", **kept(version)) as client:
            assert client.connack.session_present
            assert await client.expect(p.Pubrel) == p.Pubrel(got[1].packet_id)
            again = [await client.expect(p.Publish) for _ in range(3)]
            assert [(one.payload, one.dup) for one in again] == [(b"2", True), (b"3", True), (b"4", False)]
            assert [one.packet_id for one in again[:2]] == [got[2].packet_id, got[3].packet_id]
            await client.ping()  # and nothing else


@BOTH
async def test_a_session_ends_with_its_connection_unless_asked_otherwise(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed:
        async with bed.client("d1", version=version) as client:
            await client.subscribe("a")
        await away(bed)
        assert not bed.hub.sessions and len(bed.hub.subscriptions) == 0
        async with bed.client("d1", **kept(version)) as client:
            assert not client.connack.session_present


@BOTH
async def test_starting_anew_forgets_a_session(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender:
        async with bed.client("d1", **kept(version)) as client:
            await client.subscribe("a")
        await away(bed)
        await send(sender, "a", b"for the old one")
        async with bed.client("d1", version=version) as client:
            assert not client.connack.session_present
            await client.ping()
        await away(bed)
        async with bed.client("d1", **kept(version)) as client:
            assert not client.connack.session_present


async def test_a_session_expires(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed:
        for wait_s, present in ((8, True), (14, False)):
            async with bed.client("d1", **kept(Version.V5, 10)):
                pass
            await away(bed)
            await clock.advance(wait_s)
            async with bed.client("d1", **kept(Version.V5, 10)) as client:
                assert client.connack.session_present is present
            await away(bed)


async def test_a_session_that_never_expires_is_bounded_by_the_gateway(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock, limits={"session_expiry": "10s"}) as bed:
        async with bed.client("d1", **kept(Version.V5, p.EXPIRY_NEVER)) as client:
            assert client.connack.properties[Property.SESSION_EXPIRY_INTERVAL] == 10
        async with bed.client("d2", **kept(Version.V311)):
            pass
        await away(bed)
        await away(bed, "d2")
        await clock.advance(13)
        assert not bed.hub.sessions


async def test_goodbye_may_change_when_a_session_expires(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed:
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.say(p.Disconnect(0, {Property.SESSION_EXPIRY_INTERVAL: 0}))
            await client.closed()
        assert not bed.hub.sessions
        async with bed.client("d1") as client:
            await client.say(p.Disconnect(0, {Property.SESSION_EXPIRY_INTERVAL: 60}))
            last: Any = await client.closed()
            assert last.reason == Reason.PROTOCOL_ERROR


async def test_no_more_are_in_flight_than_the_client_takes(tmp_path: Path) -> None:
    properties = {Property.RECEIVE_MAXIMUM: 2}
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1", properties=properties) as client:
        await client.subscribe("a", qos=2)
        for number in range(5):
            await send(sender, "a", b"%d" % number, 1 if number else 2)
        await send(sender, "a", b"of no promise", 0)
        first, second = await client.expect(p.Publish), await client.expect(p.Publish)
        assert (await client.expect(p.Publish)).qos == 0
        await client.ping()  # other packets go on
        await client.say(p.Pubrec(first.packet_id))
        await client.expect(p.Pubrel)
        await client.ping()  # QoS 2 is in flight until PUBCOMP
        await client.say(p.Pubcomp(first.packet_id))
        third = await client.expect(p.Publish)
        await client.say(p.Puback(third.packet_id), p.Puback(second.packet_id))
        rest = [await client.expect(p.Publish) for _ in range(2)]
        assert [one.payload for one in rest] == [b"3", b"4"]


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.clause("62443-3-3 SR 7.1 RE 1")
async def test_a_v5_client_that_sends_more_than_agreed_is_cut_off(tmp_path: Path, qos: int) -> None:
    async with gateway(tmp_path, limits={"unacknowledged": 3}) as bed, bed.client("d1") as client:
        bed.store.gate.clear()
        await client.say(*(p.Publish("a", b"x", qos, packet_id=number) for number in range(1, 5)))
        last: Any = await client.closed()
        assert last.reason == Reason.RECEIVE_MAXIMUM_EXCEEDED


async def test_a_refusal_by_the_client_ends_a_message(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender:
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.subscribe("a", qos=2)
            await send(sender, "a", b"1")
            await send(sender, "a", b"2", 2)
            one, two = await client.expect(p.Publish), await client.expect(p.Publish)
            await client.say(p.Puback(one.packet_id, Reason.UNSPECIFIED_ERROR))
            await client.say(p.Pubrec(two.packet_id, Reason.UNSPECIFIED_ERROR))
            await client.ping()
        await away(bed)
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.ping()


async def test_what_is_too_large_for_a_client_is_not_sent(tmp_path: Path) -> None:
    properties = {Property.MAXIMUM_PACKET_SIZE: 60}
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1", properties=properties) as client:
        await client.subscribe("a")
        await send(sender, "a", bytes(100))
        await send(sender, "a", b"small")
        assert (await client.expect(p.Publish)).payload == b"small"
        assert bed.hub.counters.undelivered == 1


async def test_a_message_is_not_delivered_when_it_has_expired(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed, bed.client("s") as sender:
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.subscribe("a")
        await away(bed)
        for seconds in (5, 50):
            await send(sender, "a", b"%d" % seconds, properties={Property.MESSAGE_EXPIRY_INTERVAL: seconds})
        await clock.advance(10)
        async with bed.client("d1", **kept(Version.V5)) as client:
            got: p.Publish = await client.expect(p.Publish)
            assert got.payload == b"50" and 35 <= got.properties[Property.MESSAGE_EXPIRY_INTERVAL] <= 41
            await client.ping()
        assert bed.hub.counters.expired == 1


async def test_what_has_begun_is_completed_although_it_has_expired(tmp_path: Path) -> None:
    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed, bed.client("s") as sender:
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.subscribe("a", qos=2)
            for qos in (2, 1):
                await send(sender, "a", b"x", qos, properties={Property.MESSAGE_EXPIRY_INTERVAL: 5})
            begun = [await client.expect(p.Publish) for _ in range(2)]
        await away(bed)
        await clock.advance(10)
        async with bed.client("d1", **kept(Version.V5)) as client:
            again = [await client.expect(p.Publish) for _ in range(2)]
            assert [(one.packet_id, one.dup) for one in again] == [(one.packet_id, True) for one in begun]
            await client.say(p.Pubrec(again[0].packet_id))
            await client.expect(p.Pubrel)


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_the_queue_of_a_device_that_is_away_is_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    async with gateway(tmp_path, limits={"queue": 3}) as bed, bed.client("s") as sender:
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.subscribe("a")
        await away(bed)
        for number in range(5):
            await send(sender, "a", b"%d" % number)
        async with bed.client("d1", **kept(Version.V5)) as client:
            assert [(await client.expect(p.Publish)).payload for _ in range(3)] == [b"2", b"3", b"4"]
        assert bed.hub.counters.undelivered == 2


async def test_topics_are_given_aliases_as_far_as_the_client_allows(tmp_path: Path) -> None:
    properties = {Property.TOPIC_ALIAS_MAXIMUM: 1}
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1", properties=properties) as client:
        await client.subscribe("#")
        for topic in ("a", "b", "a", "b"):
            await send(sender, topic, b"x", 0)
        got = [await client.expect(p.Publish) for _ in range(4)]
        seen = [(one.topic, one.properties.get(Property.TOPIC_ALIAS)) for one in got]
        assert seen == [("a", 1), ("b", None), ("", 1), ("b", None)]


async def test_a_client_may_use_aliases_and_they_end_with_the_connection(tmp_path: Path) -> None:
    alias = {Property.TOPIC_ALIAS: 32}
    async with gateway(tmp_path) as bed, bed.client("w") as watcher:
        await watcher.subscribe("#")
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.say(p.Publish("a", b"1", properties=alias), p.Publish("", b"2", properties=alias))
            await client.say(p.Publish("b", b"3", properties=alias), p.Publish("", b"4", properties=alias))
            got = [await watcher.expect(p.Publish) for _ in range(4)]
            assert [(one.topic, one.payload) for one in got] == [("a", b"1"), ("a", b"2"), ("b", b"3"), ("b", b"4")]
            assert all(Property.TOPIC_ALIAS not in one.properties for one in got)
        await away(bed)
        async with bed.client("d1", **kept(Version.V5)) as client:
            await client.say(p.Publish("", b"5", properties=alias))
            last: Any = await client.closed()
            assert last.reason == Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("alias", [0, 33])
async def test_an_alias_out_of_range_ends_the_connection(tmp_path: Path, alias: int) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1") as client:
        client.writer.write(bytes.fromhex("30 07 00 01 61 03 23") + alias.to_bytes(2, "big"))
        last: Any = await client.closed()
        assert last.reason in (Reason.TOPIC_ALIAS_INVALID, Reason.PROTOCOL_ERROR)


async def test_what_a_message_says_of_itself_is_passed_on_unaltered(tmp_path: Path) -> None:
    properties = {
        Property.PAYLOAD_FORMAT_INDICATOR: 1,
        Property.CONTENT_TYPE: "text/plain",
        Property.RESPONSE_TOPIC: "answers/here",
        Property.CORRELATION_DATA: b"\0\1\2",
        Property.USER_PROPERTY: (("b", "1"), ("a", "2"), ("b", "3")),
    }
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await client.subscribe("a")
        await send(sender, "a", b"x", properties=properties)
        assert dict((await client.expect(p.Publish)).properties) == properties
        async with bed.client("old", version=Version.V311) as old:
            await old.subscribe("a")
            await send(sender, "a", b"y", properties=properties)
            assert (await old.expect(p.Publish)).payload == b"y"


async def test_dup_is_not_passed_on(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await client.subscribe("a")
        await sender.say(p.Publish("a", b"x", 1, dup=True, packet_id=3))
        assert not (await client.expect(p.Publish)).dup


async def test_a_publish_with_a_subscription_identifier_ends_the_connection(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1") as client:
        await client.say(p.Publish("a", b"x", properties={Property.SUBSCRIPTION_IDENTIFIER: (1,)}))
        last: Any = await client.closed()
        assert last.reason == Reason.PROTOCOL_ERROR


async def test_messages_of_one_device_stay_in_order(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await client.subscribe("a/#", qos=0)
        said = [p.Publish(f"a/{at % 3}", b"%d" % at, at % 2, packet_id=at if at % 2 else 0) for at in range(60)]
        await sender.say(*said)
        got = [int((await client.expect(p.Publish)).payload) for _ in range(60)]
        assert got == list(range(60))
