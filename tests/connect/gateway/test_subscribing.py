"""Subscriptions: who gets what, retained messages, shares, rights."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connect.gateway.bed import Raw, gateway
from tests.connect.gateway.test_sessions import kept, send

from headrace.connect.gateway.limits import Counters, Limits
from headrace.connect.gateway.retained import Kept, Retained
from headrace.connect.gateway.session import Session
from headrace.connect.gateway.subscriptions import Granted, Subscriptions
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import Property, Subscription, Version
from headrace.connect.mqtt.reasons import FAILURE_311, Reason
from headrace.connect.mqtt.topics import allows, covers, matches
from headrace.sdk.testing.devices import MemoryDoor

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])
LEVEL = st.sampled_from(["a", "b", "", "$s", "c"])
NAME = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = st.tuples(st.lists(LEVEL | st.just("+"), max_size=4), st.booleans()).map(
    lambda made: "/".join([*made[0], *(["#"] if made[1] or not made[0] else [])])
).filter(bool)  # fmt: skip


async def payloads(client: Raw) -> list[bytes]:
    """All messages until the answer to a ping."""
    await client.say(p.Pingreq())
    found = []
    while isinstance(packet := await client.hear(), p.Publish):
        found.append(packet.payload)
    assert isinstance(packet, p.Pingresp)
    return found


# --- matching, without sockets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "topic", "holds"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "anything/at/all", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("ACCOUNTS", "Accounts", False),
    ],
)
def test_the_examples_of_the_standard(pattern: str, topic: str, holds: bool) -> None:
    """§4.7.1.2, §4.7.1.3, §4.7.2."""
    assert matches(pattern, topic) is holds


@given(st.lists(FILTER, max_size=8), st.lists(NAME, min_size=1, max_size=4), st.data())
def test_the_tree_finds_what_each_filter_matches(filters: list[str], topics: list[str], data: st.DataObject) -> None:
    tree, counters = Subscriptions(), Counters()
    sessions = [Session("d", str(number), Limits(), counters) for number in range(3)]
    held: dict[tuple[int, str], Granted] = {}
    for pattern in filters:
        at = data.draw(st.integers(0, 2))
        granted = Granted(data.draw(st.integers(0, 2)))
        assert tree.add(sessions[at], pattern, granted) is ((at, pattern) not in held)
        held[at, pattern] = granted
    for key in data.draw(st.lists(st.sampled_from(sorted(held)), unique=True)) if held else []:
        assert tree.remove(sessions[key[0]], key[1])
        del held[key]
    assert len(tree) == len(held)
    for topic in topics * 2:  # the second time from memory
        wanted = {at: sorted(g.qos for (n, f), g in held.items() if n == at and matches(f, topic)) for at, _ in held}
        found = {
            sessions.index(one): sorted(g.qos for g in grants) for one, grants in tree.match(topic).sessions.items()
        }
        assert found == {at: qos for at, qos in wanted.items() if qos}
    for at, pattern in list(held):
        tree.remove(sessions[at], pattern)
    assert tree._root.bare


@given(st.dictionaries(NAME, st.binary(min_size=1, max_size=3), max_size=8), FILTER, st.lists(NAME, max_size=3))
def test_retained_messages_are_found_by_filter(held: dict[str, bytes], pattern: str, forgotten: list[str]) -> None:
    kept = Retained(100, 1 << 20)
    for topic, payload in held.items():
        assert kept.put(Kept(topic, payload, 0))
    for topic in forgotten:
        kept.put(Kept(topic, b"", 0))
        held.pop(topic, None)
    assert {one.topic: one.payload for one in kept.matching(pattern, 0)} == {
        topic: payload for topic, payload in held.items() if matches(pattern, topic)
    }
    assert kept.count == len(held)


@given(FILTER, FILTER, NAME)
def test_a_filter_that_covers_another_matches_all_that_it_does(wider: str, narrower: str, topic: str) -> None:
    if covers(wider, narrower) and matches(narrower, topic):
        assert matches(wider, topic)


def test_rights_do_not_reach_into_dollar_topics() -> None:
    assert allows(["#"], "a/b") and allows(["d1/#"], "d1") and allows(["d1/+/x"], "d1/q/x")
    assert not allows(["#"], "$SYS/x") and not allows(["d1/+"], "d1/#") and not allows(["+/x"], "$a/x")


# --- over sockets -------------------------------------------------------------------------------------------------


@BOTH
async def test_each_filter_has_its_reason_in_order(tmp_path: Path, version: Version) -> None:
    door = MemoryDoor()
    door.add("d1", subscribe=("d1/#", "news"))
    async with gateway(tmp_path, door=door) as bed, bed.client("d1", version=version) as client:
        no = Reason.NOT_AUTHORIZED if version is Version.V5 else FAILURE_311
        asked = [Subscription("d1/a", 2), Subscription("d2/a", 1), Subscription("#"), Subscription("news", 0)]
        assert await client.subscribe(*asked) == (2, no, no, 0)
        assert len(bed.hub.subscriptions) == 2


@BOTH
async def test_subscriptions_that_overlap_bring_one_message_with_the_best_qos(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1", version=version) as client, bed.client("s") as sender:
        await client.subscribe(Subscription("a/#", 0), Subscription("a/+", 2), Subscription("a/b", 1))
        await send(sender, "a/b", b"x", 2)
        assert (await client.expect(p.Publish)).qos == 2
        assert await payloads(client) == []


async def test_identifiers_of_all_subscriptions_that_match_come_along(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1") as client, bed.client("s") as sender:
        for pattern, identifier in (("a/#", 7), ("a/+", 268_435_455), ("b", 1)):
            await client.subscribe(pattern, properties={Property.SUBSCRIPTION_IDENTIFIER: (identifier,)})
        await client.subscribe("a/b")
        await send(sender, "a/b", b"x")
        got: p.Publish = await client.expect(p.Publish)
        assert sorted(got.properties[Property.SUBSCRIPTION_IDENTIFIER]) == [7, 268_435_455]


@BOTH
async def test_subscribing_again_replaces_and_shows_retained_messages_again(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1", version=version) as client, bed.client("s") as sender:
        await send(sender, "a", b"kept", retain=True)
        assert await client.subscribe("a", qos=0) == (0,)
        assert (await client.expect(p.Publish)).retain
        assert await client.subscribe("a", qos=1) == (1,)
        again: p.Publish = await client.expect(p.Publish)
        assert again.retain and again.qos == 1
        await send(sender, "a", b"new")
        assert (await client.expect(p.Publish)).qos == 1
        assert len(bed.hub.subscriptions) == 1


@BOTH
async def test_unsubscribing_stops_messages_and_answers_each_filter(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1", version=version) as client, bed.client("s") as sender:
        await client.subscribe("a/+", "b")
        await client.say(p.Unsubscribe(5, ("a/+", "a/b", "A/+")))
        answer: p.Unsuback = await client.expect(p.Unsuback)
        none = Reason.NO_SUBSCRIPTION_EXISTED
        assert answer.packet_id == 5 and answer.reasons == ((0, none, none) if version is Version.V5 else ())
        await send(sender, "a/b", b"x")
        await send(sender, "b", b"y")
        assert await payloads(client) == [b"y"]


async def test_what_is_under_way_is_completed_after_unsubscribing(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1") as client, bed.client("s") as sender:
        await client.subscribe("a", qos=2)
        await send(sender, "a", b"x", 2)
        got: p.Publish = await client.expect(p.Publish)
        await client.say(p.Unsubscribe(5, ("a",)))
        await client.expect(p.Unsuback)
        await client.say(p.Pubrec(got.packet_id))
        assert await client.expect(p.Pubrel) == p.Pubrel(got.packet_id)


@BOTH
async def test_a_retained_message_is_kept_replaced_and_forgotten(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("s", version=version) as sender:

        async def shown() -> list[tuple[bytes, int, bool]]:
            async with bed.client("d1", version=version) as client:
                await client.subscribe("#", qos=2)
                await client.say(p.Pingreq())
                found = []
                while isinstance(packet := await client.hear(), p.Publish):
                    found.append((packet.payload, packet.qos, packet.retain))
                return found

        await send(sender, "a", b"1", 2, retain=True)
        assert await shown() == [(b"1", 2, True)]
        await send(sender, "a", b"not kept")
        assert await shown() == [(b"1", 2, True)]
        await send(sender, "a", b"2", 0, retain=True)
        assert await shown() == [(b"2", 0, True)]
        async with bed.client("w", version=version) as watcher:
            await watcher.subscribe("a")
            await watcher.expect(p.Publish)
            await send(sender, "a", b"", retain=True)
            emptied: p.Publish = await watcher.expect(p.Publish)
            assert (emptied.payload, emptied.retain) == (b"", False)
        assert await shown() == []
        assert bed.hub.retained.count == 0


async def test_retained_messages_outlive_the_session_that_sent_them(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed:
        async with bed.client("s", version=Version.V311) as sender:
            await send(sender, "a", b"1", retain=True)
        await bed.until(lambda: not bed.hub.sessions)
        async with bed.client("d1") as client:
            await client.subscribe("a")
            assert (await client.expect(p.Publish)).payload == b"1"


async def test_retain_handling(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await send(sender, "a", b"kept", retain=True)
        for handling, fresh in ((2, []), (0, [b"kept"]), (1, []), (0, [b"kept"])):
            await client.subscribe(Subscription("a", retain_handling=handling))
            assert await payloads(client) == fresh
        await client.say(p.Unsubscribe(5, ("a",)))
        await client.expect(p.Unsuback)
        await client.subscribe(Subscription("a", retain_handling=1))
        assert await payloads(client) == [b"kept"]


async def test_retain_as_published(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await client.subscribe(Subscription("a", retain_as_published=True), Subscription("b"))
        for topic, retain in (("a", True), ("a", False), ("b", True)):
            await send(sender, topic, b"x", retain=retain)
        assert [(await client.expect(p.Publish)).retain for _ in range(3)] == [True, False, False]


async def test_retained_messages_expire(tmp_path: Path) -> None:
    from headrace.sdk.testing.clock import FakeClock

    clock = FakeClock()
    async with gateway(tmp_path, clock=clock) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await send(sender, "a", b"1", retain=True, properties={Property.MESSAGE_EXPIRY_INTERVAL: 5})
        await clock.advance(8)
        await client.subscribe("a")
        assert await payloads(client) == []


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_retained_messages_are_bounded(tmp_path: Path) -> None:
    async with gateway(tmp_path, limits={"retained": 2}) as bed, bed.client("s") as sender:
        for topic in ("a", "b", "c", "a"):
            await send(sender, topic, topic.encode(), retain=True)
        assert bed.hub.retained.count == 2 and bed.hub.counters.undelivered == 1


async def test_no_local(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as other, bed.client("d1") as client:
        await client.subscribe(Subscription("a", no_local=True))
        await client.say(p.Publish("a", b"own"))
        assert await payloads(client) == []
        await send(other, "a", b"other's")
        assert await payloads(client) == [b"other's"]


@BOTH
async def test_a_share_gives_each_message_to_one_of_its_members(tmp_path: Path, version: Version) -> None:
    async with (
        gateway(tmp_path) as bed,
        bed.client("s") as sender,
        bed.client("1", version=version) as one,
        bed.client("2", version=version) as two,
        bed.client("3") as alone,
    ):
        for client in (one, two):
            await client.subscribe("$share/g/jobs/+")
        await alone.subscribe("$share/other/jobs/#")
        for number in range(6):
            await send(sender, f"jobs/{number}", b"%d" % number, 0)
        assert len(await payloads(alone)) == 6
        shares = [await payloads(one), await payloads(two)]
        assert [len(share) for share in shares] == [3, 3]
        assert sorted(shares[0] + shares[1]) == [b"%d" % number for number in range(6)]
        two.cut()
        await bed.until(lambda: "2" not in bed.hub.devices)
        await send(sender, "jobs/7", b"7", 0)
        assert await payloads(one) == [b"7"]


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_message_of_a_share_that_was_begun_stays_with_its_member(tmp_path: Path, comes_back: bool) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender:
        async with bed.client("1", **kept(Version.V5)) as one:
            await one.subscribe("$share/g/jobs", qos=2)
            await send(sender, "jobs", b"x", 2)
            got: p.Publish = await one.expect(p.Publish)
        async with bed.client("2") as two:
            await two.subscribe("$share/g/jobs", qos=2)
            async with bed.client("1", **(kept(Version.V5) if comes_back else {})) as one:
                if comes_back:
                    again: p.Publish = await one.expect(p.Publish)
                    assert (again.packet_id, again.dup) == (got.packet_id, True)
                await one.ping()
            assert await payloads(two) == []


async def test_a_share_shows_no_retained_messages(tmp_path: Path) -> None:
    async with gateway(tmp_path) as bed, bed.client("s") as sender, bed.client("d1") as client:
        await send(sender, "a", b"kept", retain=True)
        await client.subscribe("$share/g/a")
        assert await payloads(client) == []


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_subscriptions_of_a_session_are_bounded(tmp_path: Path) -> None:
    async with gateway(tmp_path, limits={"subscriptions": 2}) as bed, bed.client("d1") as client:
        assert await client.subscribe("a", "b", "c", "a") == (1, 1, Reason.QUOTA_EXCEEDED, 1)


@BOTH
async def test_nobody_publishes_to_dollar_topics(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path) as bed, bed.client("d1", version=version) as client:
        await client.say(p.Publish("$SYS/uptime", b"0"))
        await client.ping()
        assert bed.hub.counters.denied_messages == 1
        await client.say(p.Publish("$SYS/uptime", b"0", 1, packet_id=1))
        if version is Version.V5:
            assert (await client.expect(p.Puback)).reason == Reason.NOT_AUTHORIZED
        else:
            assert await client.closed() is None  # 3.1.1 has no other no [MQTT-3.3.5-2]
