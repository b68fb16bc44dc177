"""The MQTT codec against itself, against the standard's own bytes, and against bytes that are none."""

from __future__ import annotations

import itertools
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.mqtt.packets import packets
from tests.properties import examples

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, encode_publish, puback_bytes
from headrace.connect.mqtt.packets import PacketType, Property, Version
from headrace.connect.mqtt.parser import Parser, Side
from headrace.connect.mqtt.primitives import Malformed
from headrace.connect.mqtt.reasons import Reason
from headrace.model.errors import DataError, Garbled

VERSION = st.sampled_from(Version)


def side_of(packet: p.Packet) -> Side:
    return Side.SERVER if packet.type in Side.SERVER.value else Side.CLIENT


def parsed(data: bytes, side: Side, version: Version | None) -> list[p.Packet]:
    return list(Parser(side, version).feed(data))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(at), len(data)]
    return [data[first:last] for first, last in itertools.pairwise(places)]


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    version = data.draw(VERSION)
    packet = data.draw(packets(version))
    known = None if packet.type is PacketType.CONNECT else version
    assert parsed(encode(packet, version), side_of(packet), known) == [packet]


@given(st.data())
def test_any_cut_of_the_stream_gives_the_same_packets(data: st.DataObject) -> None:
    version = data.draw(VERSION)
    said = [one for one in data.draw(st.lists(packets(version), max_size=6)) if one.type in Side.SERVER.value]
    said = [one for one in said if one.type is not PacketType.CONNECT]
    stream = b"".join(encode(one, version) for one in said)
    parser, found = Parser(Side.SERVER, version), []
    for piece in cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=12))):
        found += parser.feed(piece)
    assert found == said
    assert parser.held_bytes == 0


@given(st.data())
def test_what_is_wrong_is_found_at_the_same_place_however_the_stream_is_cut(data: st.DataObject) -> None:
    version = data.draw(VERSION)
    good = encode_publish("a/b", b"1", version)
    stream = good * data.draw(st.integers(0, 3)) + data.draw(st.binary(min_size=1, max_size=60))
    outcomes = set()
    for pieces in ([stream], cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))):
        parser, found, wrong = Parser(Side.SERVER, version), [], None
        try:
            for piece in pieces:
                found.extend(parser.feed(piece))
        except Malformed as error:
            wrong = error.message
        outcomes.add((repr(found), wrong))
    assert len(outcomes) == 1


@given(st.data())
def test_the_quick_way_gives_the_same_messages_and_the_same_errors(data: st.DataObject) -> None:
    """Whatever `plain` knows: a tuple says what the `Publish` would have said."""
    version = data.draw(VERSION)
    said = [one for one in data.draw(st.lists(packets(version), max_size=5)) if one.type is PacketType.PUBLISH]
    said += [p.Publish("a/b", b"1"), p.Publish("a/b", b"2", 1, packet_id=7), p.Publish("a/b", b"", 1, packet_id=9)]
    stream = bytearray(b"".join(encode(one, version) for one in said))
    for _ in range(data.draw(st.integers(0, 2))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    outcomes = []
    for plain in (None, {b"a/b": "a/b", **{one.topic.encode(): one.topic for one in said if one.topic}}):
        parser, found, wrong = Parser(Side.SERVER, version), [], None
        parser.plain = plain
        try:
            for packet in parser.feed_plain(bytes(stream)):
                if isinstance(packet, tuple):
                    packet = p.Publish(packet[0], packet[1], 1 if packet[2] else 0, packet_id=packet[2])
                found.append(packet)
        except Malformed as error:
            wrong = error.message
        outcomes.append((found, wrong))
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=200), st.sampled_from(Side), st.sampled_from([None, *Version]))
def test_arbitrary_bytes_raise_nothing_but_garbled(noise: bytes, side: Side, version: Version | None) -> None:
    try:
        for packet in Parser(side, version, packet_bytes_max=1000).feed(noise):
            encode(packet, version or packet.version)  # whatever was understood can be said again
    except Garbled as error:
        assert error.message


@given(st.data())
def test_a_broken_packet_is_understood_or_garbled(data: st.DataObject) -> None:
    version = data.draw(VERSION)
    packet = data.draw(packets(version))
    broken = bytearray(encode(packet, version))
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed(bytes(broken), side_of(packet), None if packet.type is PacketType.CONNECT else version)
    except Garbled:
        pass


#: name, bytes, version, and what the standard calls it.
WRONG = [
    ("reserved type", "00 00", 5, Reason.PROTOCOL_ERROR),
    ("connack from a client", "20 03 00 00 00", 5, Reason.PROTOCOL_ERROR),
    ("auth in 3.1.1", "f0 00", 4, Reason.PROTOCOL_ERROR),
    ("flags of subscribe", "80 05 00 01 00 01 61", 4, Reason.MALFORMED_PACKET),
    ("flags of pingreq", "c1 00", 4, Reason.MALFORMED_PACKET),
    ("length of five bytes", "30 ff ff ff ff 01", 4, Reason.MALFORMED_PACKET),
    ("length longer than it has to be", "c0 80 00", 5, Reason.MALFORMED_PACKET),
    ("pingreq with a body", "c0 01 00", 5, Reason.MALFORMED_PACKET),
    ("qos 3", "36 05 00 01 61 00 01", 4, Reason.MALFORMED_PACKET),
    ("dup with qos 0", "38 03 00 01 61", 4, Reason.MALFORMED_PACKET),
    ("publish without a body", "30 00", 4, Reason.MALFORMED_PACKET),
    ("topic longer than the packet", "30 03 00 09 61", 4, Reason.MALFORMED_PACKET),
    ("empty topic in 3.1.1", "30 02 00 00", 4, Reason.MALFORMED_PACKET),
    ("empty topic without an alias", "30 03 00 00 00", 5, Reason.PROTOCOL_ERROR),
    ("topic with a wildcard", "30 05 00 03 61 2f 23", 4, Reason.TOPIC_NAME_INVALID),
    ("topic with a null", "30 03 00 01 00", 4, Reason.MALFORMED_PACKET),
    ("topic that is a surrogate", "30 05 00 03 ed a0 80", 4, Reason.MALFORMED_PACKET),
    ("overlong utf-8", "30 04 00 02 c0 80", 4, Reason.MALFORMED_PACKET),
    ("packet identifier 0", "32 05 00 01 61 00 00", 4, Reason.PROTOCOL_ERROR),
    ("packet identifier missing", "32 03 00 01 61", 4, Reason.MALFORMED_PACKET),
    ("puback of nothing", "40 02 00 00", 4, Reason.PROTOCOL_ERROR),
    ("puback too short", "40 01 00", 4, Reason.MALFORMED_PACKET),
    ("puback with a reason in 3.1.1", "40 03 00 01 00", 4, Reason.MALFORMED_PACKET),
    ("puback with a reason of others", "40 03 00 01 92", 5, Reason.PROTOCOL_ERROR),
    ("pubrel with other flags", "60 02 00 01", 5, Reason.MALFORMED_PACKET),
    ("subscribe to nothing", "82 02 00 01", 4, Reason.PROTOCOL_ERROR),
    ("subscribe without options", "82 05 00 01 00 01 61", 4, Reason.MALFORMED_PACKET),
    ("subscribe with reserved options", "82 06 00 01 00 01 61 04", 4, Reason.MALFORMED_PACKET),
    ("subscribe with qos 3", "82 06 00 01 00 01 61 03", 4, Reason.MALFORMED_PACKET),
    ("subscribe with reserved bits", "82 07 00 01 00 00 01 61 41", 5, Reason.MALFORMED_PACKET),
    ("retain handling 3", "82 07 00 01 00 00 01 61 30", 5, Reason.PROTOCOL_ERROR),
    ("filter with '#' in the middle", "82 08 00 01 00 03 23 2f 61 00", 4, Reason.TOPIC_FILTER_INVALID),
    ("filter with half a '+'", "82 07 00 01 00 02 61 2b 00", 4, Reason.TOPIC_FILTER_INVALID),
    ("share without a filter", "82 0f 00 01 00 00 09 24 73 68 61 72 65 2f 67 2f 00", 5, Reason.TOPIC_FILTER_INVALID),
    ("no-local of a share", "82 10 00 01 00 00 0a 24 73 68 61 72 65 2f 67 2f 61 04", 5, Reason.PROTOCOL_ERROR),
    ("unsubscribe from nothing", "a2 02 00 01", 4, Reason.PROTOCOL_ERROR),
    ("disconnect with a body in 3.1.1", "e0 01 00", 4, Reason.MALFORMED_PACKET),
    ("disconnect with a reason of others", "e0 01 01", 5, Reason.PROTOCOL_ERROR),
    ("unknown property", "30 06 00 01 61 02 7f 00", 5, Reason.MALFORMED_PACKET),
    ("property of another packet", "30 07 00 01 61 03 21 00 05", 5, Reason.MALFORMED_PACKET),
    ("property twice", "30 08 00 01 61 04 01 00 01 00", 5, Reason.PROTOCOL_ERROR),
    ("property out of range", "30 06 00 01 61 02 01 02", 5, Reason.PROTOCOL_ERROR),
    ("topic alias 0", "30 07 00 01 61 03 23 00 00", 5, Reason.PROTOCOL_ERROR),
    ("properties longer than the packet", "30 05 00 01 61 09 00", 5, Reason.MALFORMED_PACKET),
    ("flags of unsubscribe", "a0 05 00 01 00 01 61", 4, Reason.MALFORMED_PACKET),
    ("flags of disconnect", "e1 00", 5, Reason.MALFORMED_PACKET),
    ("flags of auth", "f2 00", 5, Reason.MALFORMED_PACKET),
    ("flags of puback", "44 02 00 01", 4, Reason.MALFORMED_PACKET),
    ("subscribe to what is no utf-8", "82 07 00 01 00 02 c3 28 00", 4, Reason.MALFORMED_PACKET),
    ("unsubscribe from what is no utf-8", "a2 06 00 01 00 02 c3 28", 4, Reason.MALFORMED_PACKET),
    ("pubrec with a reason of others", "50 03 00 01 92", 5, Reason.PROTOCOL_ERROR),
    ("pubrel with a reason of others", "62 03 00 01 80", 5, Reason.PROTOCOL_ERROR),
    ("pubcomp with a reason of others", "70 03 00 01 10", 5, Reason.PROTOCOL_ERROR),
    ("auth with a reason of others", "f0 01 80", 5, Reason.PROTOCOL_ERROR),
    ("response topic with a wildcard", "30 08 00 01 61 04 08 00 01 23", 5, Reason.PROTOCOL_ERROR),
    ("response topic that is no utf-8", "30 09 00 01 61 05 08 00 02 c3 28", 5, Reason.MALFORMED_PACKET),
    ("content type that is no utf-8", "30 09 00 01 61 05 03 00 02 c3 28", 5, Reason.MALFORMED_PACKET),
    ("user property that is no utf-8", "30 0c 00 01 61 08 26 00 01 61 00 02 c3 28", 5, Reason.MALFORMED_PACKET),
    ("a second connect", "10 0d 00 04 4d 51 54 54 04 02 00 00 00 01 61", 4, Reason.PROTOCOL_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("hexed", "level", "reason"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_the_standard_forbids_is_refused_with_its_reason(hexed: str, level: int, reason: Reason) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(bytes.fromhex(hexed), Side.SERVER, Version(level))
    assert caught.value.reason is reason, caught.value.message
    assert "[MQTT-" in caught.value.message or "§" in caught.value.message or "table" in caught.value.message


#: The same for CONNECT, which comes first.
WRONG_CONNECTS = [
    ("another first packet", "c0 00", Reason.PROTOCOL_ERROR),
    ("another protocol", "10 0d 00 04 4d 51 54 53 04 02 00 00 00 01 61", Reason.UNSUPPORTED_PROTOCOL_VERSION),
    ("mqtt 3.1", "10 0f 00 06 4d 51 49 73 64 70 03 02 00 00 00 01 61", Reason.UNSUPPORTED_PROTOCOL_VERSION),
    ("mqtt 6", "10 0e 00 04 4d 51 54 54 06 02 00 00 00 00 01 61", Reason.UNSUPPORTED_PROTOCOL_VERSION),
    ("reserved flag", "10 0d 00 04 4d 51 54 54 04 03 00 00 00 01 61", Reason.MALFORMED_PACKET),
    ("will qos without a will", "10 0d 00 04 4d 51 54 54 04 0a 00 00 00 01 61", Reason.MALFORMED_PACKET),
    ("password without a user", "10 10 00 04 4d 51 54 54 04 42 00 00 00 01 61 00 01 62", Reason.MALFORMED_PACKET),
    (
        "will topic that is no utf-8",
        "10 13 00 04 4d 51 54 54 04 06 00 00 00 01 61 00 02 c3 28 00 00",
        Reason.MALFORMED_PACKET,
    ),
    ("user that is no utf-8", "10 11 00 04 4d 51 54 54 04 82 00 00 00 01 61 00 02 c3 28", Reason.MALFORMED_PACKET),
    ("will with a wildcard", "10 12 00 04 4d 51 54 54 04 06 00 00 00 01 61 00 01 23 00 00", Reason.TOPIC_NAME_INVALID),
    ("will without a topic", "10 0d 00 04 4d 51 54 54 04 06 00 00 00 01 61", Reason.MALFORMED_PACKET),
    ("will qos 3", "10 12 00 04 4d 51 54 54 04 1e 00 00 00 01 61 00 01 77 00 00", Reason.MALFORMED_PACKET),
    ("will retain without a will", "10 0d 00 04 4d 51 54 54 04 22 00 00 00 01 61", Reason.MALFORMED_PACKET),
    ("bytes after the end", "10 0e 00 04 4d 51 54 54 04 02 00 00 00 01 61 00", Reason.MALFORMED_PACKET),
    ("an http request", "47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31", Reason.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(("hexed", "reason"), [w[1:] for w in WRONG_CONNECTS], ids=[w[0] for w in WRONG_CONNECTS])
def test_a_first_packet_that_is_no_connect_is_refused_with_its_reason(hexed: str, reason: Reason) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(bytes.fromhex(hexed), Side.SERVER, None)
    assert caught.value.reason is reason, caught.value.message


@pytest.mark.parametrize(
    ("hexed", "level"),
    [
        ("90 03 00 01 03", 4),
        ("90 04 00 01 00 10", 5),
        ("90 03 00 01 00", 5),
        ("20 02 02 00", 4),
        ("20 02 01 05", 4),
        ("20 02 00 06", 4),
        ("20 03 00 01 00", 5),
        ("b0 03 00 01 00", 4),
        ("c0 00", 5),
    ],
    ids=["suback code", "suback reason", "suback of nothing", "connack flags", "refused with a session", "connack code",
         "connack reason", "unsuback with reasons in 3.1.1", "pingreq from a server"],
)  # fmt: skip
def test_what_a_server_may_not_say_is_refused(hexed: str, level: int) -> None:
    with pytest.raises(Malformed):
        parsed(bytes.fromhex(hexed), Side.CLIENT, Version(level))


def test_the_example_of_the_standard() -> None:
    """3.1.1 figure 3.6: CONNECT with user, password, will QoS 1, clean session, keep alive 10."""
    head = bytes.fromhex("00 04 4d 51 54 54 04 ce 00 0a")
    body = head + b"\0\1c" + b"\0\1w" + b"\0\1m" + b"\0\1u" + b"\0\1p"
    (found,) = parsed(bytes((0x10, len(body))) + body, Side.SERVER, None)
    assert found == p.Connect("c", Version.V311, True, 10, "u", b"p", p.Will("w", b"m", 1))


def test_a_packet_that_is_too_long_is_refused_before_it_is_kept() -> None:
    parser = Parser(Side.SERVER, Version.V5, packet_bytes_max=100)
    with pytest.raises(Malformed) as caught:
        list(parser.feed(b"\x30\xff\xff\xff\x7f" + bytes(50)))
    assert caught.value.reason is Reason.PACKET_TOO_LARGE
    assert parser.held_bytes == 0
    whole = encode_publish("a", bytes(100 - 6), Version.V5)
    assert len(whole) == 100
    assert len(parsed(whole, Side.SERVER, Version.V5)) == 1


def test_the_good_packets_before_a_bad_one_are_not_lost() -> None:
    packets = Parser(Side.SERVER, Version.V311).feed(encode_publish("a", b"1", Version.V311) + b"\xff\xff")
    assert next(packets) == p.Publish("a", b"1")
    with pytest.raises(Malformed):
        next(packets)


def test_an_acknowledgement_is_four_bytes() -> None:
    assert puback_bytes(0x1234) == encode(p.Puback(0x1234), Version.V5) == encode(p.Puback(0x1234), Version.V311)


@pytest.mark.parametrize(
    "packet",
    [
        p.Publish("a/+", b""),
        p.Publish("", b""),
        p.Publish("a", b"", qos=1),
        p.Publish("a", b"", qos=3, packet_id=1),
        p.Publish("x" * 70_000, b""),
        p.Publish("\ud800", b""),
        p.Publish("a", b"", properties={Property.RECEIVE_MAXIMUM: 1}),
        p.Publish("a", b"", properties={Property.TOPIC_ALIAS: 0}),
        p.Subscribe(1, ()),
        p.Subscribe(1, (p.Subscription("a#"),)),
        p.Subscribe(0, (p.Subscription("a"),)),
        p.Subscribe(70_000, (p.Subscription("a"),)),
        p.Connect("c", keep_alive_s=70_000),
        p.Connect("c", will=p.Will("w", b"", qos=3)),
        p.Puback(1, 0x92),
        p.Disconnect(1),
    ],
    ids=repr,
)
def test_what_mqtt_cannot_say_is_a_data_error(packet: p.Packet) -> None:
    with pytest.raises(DataError):
        encode(packet, Version.V5)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_ten_million_inputs_raise_only_our_errors_and_nothing_grows(seed: int) -> None:
    """A million for each seed: noise, and packets that were broken in a few places."""
    rng = random.Random(seed)  # the seed is in the test's name
    good = [
        bytes.fromhex("10 0d 00 04 4d 51 54 54 04 02 00 00 00 01 61"),
        encode(p.Connect("c", will=p.Will("w", b"x", 1), user="u", password=b"p"), Version.V5),
        encode_publish("a/b/c", b"[1,2,3]", Version.V5, qos=1, packet_id=7, properties={Property.TOPIC_ALIAS: 3}),
        encode_publish("a/b/c", bytes(200), Version.V311),
        encode(p.Subscribe(9, (p.Subscription("$share/g/a/#", 1), p.Subscription("+/b"))), Version.V5),
        encode(p.Puback(3, 0x97, {Property.REASON_STRING: "no", Property.USER_PROPERTY: (("a", "b"),)}), Version.V5),
        encode(p.Connack(True, 0, {Property.RECEIVE_MAXIMUM: 9}), Version.V5),
        encode(p.Disconnect(0x81), Version.V5),
    ]
    names: dict[bytes, str] = {}
    sides, versions = list(Side), [None, *Version]
    tracemalloc.start()
    early = 0
    for count in range(1_000_000):
        if count % 3:
            noise = bytearray(rng.choice(good))
            for _ in range(rng.randrange(1, 4)):
                noise[rng.randrange(len(noise))] = rng.randrange(256)
            data = bytes(noise)
        else:
            data = rng.randbytes(rng.randrange(1, 40))
        parser = Parser(rng.choice(sides), rng.choice(versions), packet_bytes_max=4096, names=names)
        place = rng.randrange(len(data) + 1)
        try:
            for piece in (data[:place], data[place:]):
                for _ in parser.feed(piece):
                    pass
        except Garbled:
            pass
        if count == 200_000:
            early = tracemalloc.get_traced_memory()[0]
    late = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert late - early < 1_000_000, f"grew from {early} to {late} bytes"


@settings(max_examples=examples(50))
@given(st.binary(min_size=300, max_size=70_000))
def test_a_long_publish_in_small_reads_is_joined_once(payload: bytes) -> None:
    stream = encode_publish("a/b", payload, Version.V5)
    parser, found = Parser(Side.SERVER, Version.V5), []
    for first in range(0, len(stream), 97):
        found += parser.feed(stream[first : first + 97])
    assert found == [p.Publish("a/b", payload)]
