"""The protocol without a socket: what is framed comes back, and strange bytes are an error, whoever sends them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import drawn_seed

from headrace.exchange import columns
from headrace.exchange.link import messages as m
from headrace.exchange.link.beat import Beat
from headrace.exchange.link.dial import Address, Proxy, check_answer
from headrace.exchange.link.squeeze import Expander, Squeezer
from headrace.exchange.link.upgrade import asks_for_upgrade
from headrace.exchange.link.window import Window
from headrace.exchange.link.wire import BYTES_MAX, FROM_EDGE, HEAD, STRANGER, Kind, Reader, frame
from headrace.exchange.spool.names import decode_names, encode_names
from headrace.exchange.spool.spool import event_of
from headrace.exchange.spool.state import Held
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, DataError, Refused
from headrace.sdk.edges import Actual, Desired

numbers = st.integers(0, 2**63 - 1)
helds = st.builds(Held, numbers, numbers, numbers, numbers)
floats = st.floats(0, 1e9, allow_nan=False)
SAMPLE = Batch.of(ValueKind.FLOAT64, [3], [5], [float("nan")], [7], [9])
VIEW: Callable[[bytes], memoryview] = memoryview

EXAMPLES: list[tuple[Any, Callable[[memoryview], Any]]] = [
    (m.Hello("ab12", 3, "0.1"), m.Hello.of),
    (m.HeldByHub(Held(1, 2, 3, 4), "line", "works/line", 5, "d"), m.HeldByHub.of),
    (m.Begin(Held(1, 2, 3, 4), 5), m.Begin.of),
    (m.Data(7, -5, 3, m.LIVE, 1, b"body"), m.Data.of),
    (m.Heartbeat(1, -2, 3), m.Heartbeat.of),
    (m.Status(1, 2, 3.5, 0.5, 4, 5, 0.01, "full"), m.Status.of),
    (m.Order(1, "a/b", 2.0), m.Order.of),
    (m.Order(1, "a/b", 2.0, "text", "开"), m.Order.of),
    (m.Close("because", 2.0), m.Close.of),
    (m.Request("pem", "token"), m.Request.of),
]


@pytest.mark.parametrize(("message", "of"), EXAMPLES, ids=lambda one: type(one).__name__)
def test_messages_come_back(message: Any, of: Callable[[memoryview], Any]) -> None:
    assert of(memoryview(message.payload())) == message


@given(helds, st.lists(st.binary(max_size=30), max_size=5), st.integers(-(2**63), 2**63 - 1))
def test_packed_ones_come_back(held: Held, events: list[bytes], time_ns: int) -> None:
    assert m.read_ack(memoryview(m.pack_ack(held))) == held
    assert m.read_events(memoryview(m.pack_events(held.live, events))) == (held.live, events)
    assert m.Heartbeat.of(memoryview(m.Heartbeat(time_ns, 0, 5).payload())) == m.Heartbeat(time_ns, 0, 5)


def test_results_carry_errors_and_samples() -> None:
    assert m.Result.of(VIEW(m.Result(1).payload())) == m.Result(1)
    sample = m.Result.of(VIEW(m.Result(2, sample=SAMPLE).payload())).sample
    assert sample is not None and (sample.source_ns[0], sample.quality[0]) == (5, 7) and np.isnan(sample.values[0])
    error = m.Result.of(VIEW(m.Result(3, Refused("the device said no")).payload())).error
    assert type(error) is Refused and str(error) == "the device said no"


def test_desired_and_actual_come_back() -> None:
    desired = Desired(7, {"a.yaml": "text " * 10_000, "中.yaml": "文"})
    packed = m.pack_desired(desired)
    assert len(packed) < 1000 and m.read_desired(VIEW(packed)) == desired
    actual = Actual(7, "no", "0.1", {"points": 3})
    assert m.read_actual(VIEW(m.pack_actual(actual))) == actual


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)),
    st.integers(0, 9),
)
def test_names_come_back(names: list[str], first: int) -> None:
    assert decode_names(encode_names(first, names)) == (first, names)


@given(st.lists(st.tuples(st.sampled_from(sorted(FROM_EDGE)), st.binary(max_size=24)), max_size=8), st.randoms())
def test_frames_come_back_however_they_are_cut(sent: list[tuple[Kind, bytes]], rng: random.Random) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in sent)
    reader, got, at = Reader(FROM_EDGE), [], 0
    while at < len(stream):
        size = rng.randrange(1, 30)
        got += [(kind, bytes(payload)) for kind, payload in reader.feed(stream[at : at + size])]
        at += size
    assert got == sent


@pytest.mark.parametrize("kind", sorted(Kind))
@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
def test_a_length_is_refused_with_its_head(kind: Kind) -> None:
    reader = Reader(set(Kind))
    with pytest.raises(DataError, match="are allowed"):
        list(reader.feed(HEAD.pack(kind, 0, 0, BYTES_MAX[kind] + 1)))
    with pytest.raises(DataError):
        frame(kind, bytes(BYTES_MAX[kind] + 1))


def test_what_may_not_come_now_is_refused() -> None:
    for head in (HEAD.pack(Kind.DATA, 0, 0, 4), HEAD.pack(99, 0, 0, 0), HEAD.pack(Kind.ENROL, 1, 0, 0)):
        with pytest.raises(DataError):
            list(Reader(STRANGER).feed(head))


READERS: list[Callable[[memoryview], Any]] = [
    *(of for _, of in EXAMPLES), m.Result.of, m.read_ack, m.read_events, m.read_desired, m.read_actual, m.read_blocks,
    lambda data: decode_names(bytes(data)),
]  # fmt: skip


def whole() -> list[bytes]:
    batch = Batch.of(ValueKind.FLOAT64, np.arange(40), 5, np.arange(40) / 3)
    blocks = m.join_blocks(
        [bytes([form]) + block for form, block in [columns.pack([batch]), (0, columns.encode([SAMPLE]))]]
    )
    return [
        *(message.payload() for message, _ in EXAMPLES),
        m.Result(2, sample=SAMPLE).payload(),
        m.pack_ack(Held(1, 2, 3, 4)),
        m.pack_events(5, [b"{}", b"abc"]),
        m.pack_desired(Desired(1, {"a": "b"})),
        m.pack_actual(Actual(1, facts={"a": 1})),
        blocks,
        encode_names(0, ["a/b", "a/c"]),
    ]


def test_half_a_character_is_refused_before_anybody_keeps_it() -> None:
    half = b'{"revision": 1, "error": "\\ud800", "version": "", "facts": {}}'
    with pytest.raises(DataError, match="no JSON"):
        m.read_actual(VIEW(half))
    whole = b'{"revision": 1, "error": "\\ud83d\\ude00", "version": "", "facts": {}}'
    assert m.read_actual(VIEW(whole)).error == "😀"
    with pytest.raises(DataError):
        event_of(b'{"id": "1", "source": "s", "type": "t", "subject": "\\udfff", "time_ns": 1, "data": {}}')
    with pytest.raises(DataError):
        m.Result.of(VIEW('{"id": 1, "error": "", "message": "", "sample": "ä"}'.encode()))


def fuzz(rounds: int) -> None:
    """Damaged messages to every reader, and damaged streams to the frame reader: DataError or a message."""
    seed = drawn_seed()
    rng, payloads = random.Random(seed), whole()
    stream = b"".join(frame(kind, payload[: BYTES_MAX[kind]]) for kind, payload in zip(Kind, payloads, strict=False))
    for number in range(rounds):
        source = stream if number % 4 == 0 else rng.choice(payloads)
        data = bytearray(source)
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 9)]
                case 2:
                    data[at:at] = rng.randbytes(rng.randrange(1, 9))
            data = data or bytearray(b"x")
        try:
            if number % 4 == 0:
                list(Reader(set(Kind)).feed(bytes(data)))
            else:
                rng.choice(READERS)(memoryview(bytes(data)))
        except DataError:
            pass


@pytest.mark.clause("62443-3-3 SR 3.5")
def test_strange_bytes_are_an_error() -> None:
    fuzz(5_000)


@pytest.mark.soak
def test_ten_million_strange_inputs() -> None:
    fuzz(int(os.environ.get("HEADRACE_FUZZ", "10000000")))


# --- compression across frames ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=80))
@settings(deadline=None)
def test_what_is_squeezed_comes_back(bodies: list[tuple[bytes, bool]]) -> None:
    squeezer, expander = Squeezer(), Expander()
    for body, compressed in bodies:
        assert bytes(expander.expand(*squeezer.squeeze(body, compressed=compressed))) == body


def test_thin_traffic_is_told_as_what_differs() -> None:
    squeezer, rng, sizes = Squeezer(), np.random.default_rng(1), []
    for n in range(200):
        values = np.round(rng.normal(50, 2, 20), 1)
        time_ns = 1_780_000_000_000_000_000 + n * 200_000_000
        form, block = columns.pack(
            [Batch.of(ValueKind.FLOAT64, np.arange(20), time_ns, values, 0, time_ns + 1_500_000)]
        )
        body = m.join_blocks([bytes([form]) + block])
        sizes.append((len(squeezer.squeeze(body, compressed=False)[1]), len(body)))
    packed, plain = np.array(sizes[1:]).mean(axis=0)
    assert packed / 20 < 4.5 and packed < 0.7 * plain


@pytest.mark.clause("62443-3-3 SR 7.1")
def test_a_dictionary_that_makes_much_of_little_is_refused() -> None:
    expander = Expander()
    with pytest.raises(DataError, match="never came"):
        expander.expand(1, b"x")
    expander.expand(2, b"x" * 100)
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(64 * 1024 * 1024))
    with pytest.raises(DataError, match="more bytes"):
        expander.expand(1, bomb)
    with pytest.raises(DataError, match="larger"):
        expander.expand(2, bytes(70_000))
    with pytest.raises(DataError):
        expander.expand(8, b"")


# --- health and window ------------------------------------------------------------------------------------------------


def test_round_trip_jitter_and_offset_come_from_heartbeats() -> None:
    ours, theirs, now, ahead = Beat(), Beat(), 10**18, 7 * 10**9
    for way in (20, 20, 60, 20):
        theirs.receive(ours.send(now), now + ahead + way * 10**6)
        now += way * 10**6 + 5 * 10**6  # held for 5 ms
        answer = theirs.send(now + ahead)
        now += 20 * 10**6
        ours.receive(answer, now)
        now += 10**9
    assert ours.latency_ms == pytest.approx(40)
    assert ours.offset_ns == pytest.approx(ahead, abs=10**6)
    assert ours.quickest_s == pytest.approx(0.04) and ours.jitter_ms > 0


def test_the_window_grows_on_a_quick_link_and_shrinks_on_a_slow_one() -> None:
    window, now = Window(16_000, 1_000_000, 0.3), 0.0
    for sequence in range(200):
        while window.room > 0:
            window.sent(sequence, 8_000, now)
        now += 0.05
        window.acked(sequence, now, 0.04)
    assert window.bytes == 1_000_000 and window.on_the_way == 0
    for sequence in range(200, 400):
        while window.room > 0:
            window.sent(sequence, 8_000, now)
        now += window.on_the_way / 20_000  # bytes a second
        window.acked(sequence, now, 0.04)
    assert window.bytes <= 24_000


# --- addresses --------------------------------------------------------------------------------------------------------


def test_addresses_are_read_as_they_are_written() -> None:
    for text in ("hub.example:8472", "[::1]:8472", "https://hub.example:443/edge", "http://hub:80/"):
        assert str(Address.parse(text)) == text
    assert Address.parse("https://hub.example") == Address("hub.example", 443, "/", True)
    for wrong in ("hub", "hub:x", ":1", "ftp://hub/", "https://user@hub/", "hub:1/path", "https://", "[::1"):
        with pytest.raises(ConfigError):
            Address.parse(wrong)
    assert Proxy.parse("http://me:a%40b@proxy:8080") == Proxy("proxy", 8080, "Basic bWU6YUBi")
    for wrong in ("proxy:1", "https://proxy:1", "http://"):
        with pytest.raises(ConfigError):
            Proxy.parse(wrong)


@given(st.binary(max_size=200))
def test_strange_answers_and_requests_over_http_are_an_error(data: bytes) -> None:
    assert not asks_for_upgrade(data) or b"headrace" in data.lower()
    with pytest.raises(OSError):
        check_answer(data, b"101")


def test_only_our_own_upgrade_is_taken() -> None:
    asked = b"GET /edge HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUPGRADE: headrace\r\n\r\n"
    assert asks_for_upgrade(asked)
    assert not asks_for_upgrade(asked.replace(b"headrace", b"websocket"))
    assert not asks_for_upgrade(asked.replace(b"GET", b"POST"))
    check_answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"101")
    with pytest.raises(OSError, match="403 Forbidden"):
        check_answer(b"HTTP/1.1 403 Forbidden\r\n\r\n", b"101")
