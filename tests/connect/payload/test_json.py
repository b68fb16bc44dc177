"""JSON messages by declared mapping: values, times, qualities, records; and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from tests.connect.payload.given import RECEIVED_NS, B, F, N, T, bound, message, one, point, samples, why
from tests.properties import examples

from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, ValueKind
from headrace.model.errors import DataError, Refused

MS = 1_000_000

# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (F, "0.1", 0.1),
        (F, "-0.0", -0.0),
        (F, "5", 5.0),
        (F, "1e-320", 1e-320),
        (F, "true", 1.0),
        (F, '"21.5"', 21.5),
        (F, "18446744073709551616", 2.0**64),
        (N, "9223372036854775807", 2**63 - 1),
        (N, "-9223372036854775808", -(2**63)),
        (N, "9007199254740993", 2**53 + 1),
        (N, '"9223372036854775807"', 2**63 - 1),
        (N, "5.0", 5),
        (N, "false", 0),
        (B, "true", True),
        (B, "0", False),
        (B, '"ON"', True),
        (B, '" off "', False),
        (T, '"油温 \\u0000 °C"', "油温 \0 °C"),
        (T, '""', ""),
    ],
)
def test_values_arrive_exactly(kind: ValueKind, text: str, value: Any) -> None:
    [(_, got, quality, _)] = one(bound(point(1, kind, topic="t")), text.encode())
    assert (repr(got), type(got), quality) == (repr(value), type(value), q.GOOD)


@pytest.mark.parametrize(
    ("kind", "text", "quality"),
    [
        (F, "null", q.BAD_WAITING_FOR_INITIAL_DATA),
        (F, '"warm"', q.BAD_TYPE_MISMATCH),
        (F, '"1_000"', q.BAD_TYPE_MISMATCH),
        (F, '"1e999"', q.BAD_OUT_OF_RANGE),
        (F, "[1]", q.BAD_TYPE_MISMATCH),
        (F, "{}", q.BAD_TYPE_MISMATCH),
        (N, "5.5", q.BAD_TYPE_MISMATCH),
        (N, "9223372036854775808", q.BAD_OUT_OF_RANGE),
        (N, "18446744073709551616", q.BAD_OUT_OF_RANGE),
        (N, "1e300", q.BAD_OUT_OF_RANGE),
        (N, "9007199254740993.0", q.BAD_OUT_OF_RANGE),
        (N, '"5.5"', q.BAD_TYPE_MISMATCH),
        (B, "2", q.BAD_TYPE_MISMATCH),
        (B, '"perhaps"', q.BAD_TYPE_MISMATCH),
        (T, "5", q.BAD_TYPE_MISMATCH),
        (T, '"' + "x" * (TEXT_BYTES_MAX + 1) + '"', q.BAD_OUT_OF_RANGE),
        (T, '"' + "油" * (TEXT_BYTES_MAX // 3 + 1) + '"', q.BAD_OUT_OF_RANGE),
    ],
)
def test_a_value_that_does_not_fit_is_a_bad_sample_and_the_others_are_good(
    kind: ValueKind, text: str, quality: int
) -> None:
    payload = bound(
        point(1, kind, topic="t", value="/a"), point(2, kind, topic="t", value="/b"), point(3, topic="t", value="/c")
    )
    fine = {F: 1.5, N: 2, B: True, T: "x"}[kind]
    got = one(payload, f'{{"a": {text}, "b": {json.dumps(fine)}, "c": 1}}'.encode())
    assert [(value, its) for _, value, its, _ in got[1:]] == [(fine, q.GOOD), (1.0, q.GOOD)]
    assert got[0][2] == quality


def test_what_a_message_leaves_out_makes_no_sample() -> None:
    payload = bound(*(point(at, topic="t", value=f"/oil/{at}") for at in range(4)))
    assert [handle for handle, *_ in one(payload, {"oil": {"1": 1.0, "3": 3.0}})] == [1, 3]
    assert one(payload, {"oil": None}) == one(payload, {}) == one(payload, []) == one(payload, 5) == []


def test_pointers_reach_into_objects_arrays_and_odd_names() -> None:
    document = {"a/b": {"m~n": [10, 20, [30]]}, "": 1, " ": 2, "0": 3}
    pointers = ["/a~1b/m~0n/1", "/a~1b/m~0n/2/0", "/", "/ ", "/0"]
    payload = bound(*(point(at, topic="t", value=pointer) for at, pointer in enumerate(pointers)))
    assert [value for _, value, _, _ in one(payload, document)] == [20.0, 30.0, 1.0, 2.0, 3.0]
    for beyond in ("/a~1b/m~0n/3", "/a~1b/m~0n/01", "/a~1b/m~0n/-", "/0/x"):
        assert one(bound(point(1, topic="t", value=beyond)), document) == []


@settings(max_examples=examples(100), deadline=None)
@hypothesis_given(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text()
)
def test_whatever_json_can_say_comes_back_bit_for_bit(number: float, whole: int, flag: bool, text: str) -> None:
    payload = bound(*(point(at, kind, topic="t", value=f"/{at}") for at, kind in enumerate((F, N, B, T), 1)))
    got = one(payload, json.dumps({"1": number, "2": whole, "3": flag, "4": text}).encode())
    assert [repr(value) for _, value, _, _ in got] == [repr(number), repr(whole), repr(flag), repr(text)]


# --- times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "text", "source_ns"),
    [
        ("s", "1767225600", 1_767_225_600 * 10**9),
        ("ms", "1767225600123", 1_767_225_600_123 * MS),
        ("us", "1767225600123456", 1_767_225_600_123_456_000),
        ("ns", "1767225600123456789", 1_767_225_600_123_456_789),
        ("s", "1767225600.123456", 1_767_225_600_123_456_000),
        ("s", "1767225600.654321", 1_767_225_600_654_321_000),
        ("s", "1767225600.000001", 1_767_225_600_000_001_000),
        ("ms", "1767225600123.456", 1_767_225_600_123_456_000),
        ("s", '"1767225600.123456789"', 1_767_225_600_123_456_789),
        ("ms", '"1767225600123"', 1_767_225_600_123 * MS),
        ("ms", '"2026-01-01T00:00:00Z"', 1_767_225_600 * 10**9),
        ("ms", '"2026-01-01T08:00:00.123456789+08:00"', 1_767_225_600_123_456_789),
        ("ms", '"2026-01-01 00:00:00.5+00:00"', 1_767_225_600_500_000_000),
        ("ms", '"2026-01-01T00:00:00.1234567891234Z"', 1_767_225_600_123_456_789),
        ("ms", "0", 0),
        ("ms", "-1", -MS),
    ],
)
def test_source_times_are_exact(unit: str, text: str, source_ns: int) -> None:
    payload = bound(point(1, topic="t", value="/v"), json={"time": "/ts", "time_unit": unit})
    assert one(payload, f'{{"v": 1.5, "ts": {text}}}'.encode()) == [(1, 1.5, q.GOOD, source_ns)]


@pytest.mark.parametrize(
    "text",
    ['"yesterday"', '"2026-01-01T00:00:00"', "true", "[]", "1e300", "9223372036854775807", '"9e99"', "-1e300", '""'],
)
def test_a_time_that_is_none_is_flagged_and_the_value_is_kept(text: str) -> None:
    payload = bound(point(1, topic="t", value="/v"), json={"time": "/ts"})
    assert one(payload, f'{{"v": 1.5, "ts": {text}}}'.encode()) == [(1, 1.5, q.BAD_INVALID_TIMESTAMP, RECEIVED_NS)]


def test_without_a_time_it_is_when_it_was_received_and_a_point_can_have_its_own() -> None:
    payload = bound(point(1, topic="t", value="/v"), point(2, topic="t", value="/w", time="/tw"), json={"time": "/ts"})
    assert one(payload, {"v": 1.5, "w": 2.5, "tw": 7}) == [(1, 1.5, q.GOOD, RECEIVED_NS), (2, 2.5, q.GOOD, 7 * MS)]
    assert one(payload, {"v": 1.5, "ts": None}) == [(1, 1.5, q.GOOD, RECEIVED_NS)]


def test_a_retained_value_without_a_time_is_the_last_usable_one() -> None:
    payload = bound(point(1, topic="t", value="/v"), json={"time": "/ts"})
    assert one(payload, {"v": 1.5}, retained=True) == [(1, 1.5, q.UNCERTAIN_LAST_USABLE_VALUE, RECEIVED_NS)]
    assert one(payload, {"v": 1.5, "ts": 5}, retained=True) == [(1, 1.5, q.GOOD, 5 * MS)]


# --- quality ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("0", q.GOOD),
        ("2147483648", q.BAD),
        ("2148139008", q.BAD_TIMEOUT),
        ('"BadTimeout"', q.BAD_TIMEOUT),
        ('"good"', q.GOOD),
        ("true", q.GOOD),
        ("false", q.BAD),
        ("192", q.GOOD),
        ('"ok"', q.GOOD),
        ('"old"', q.UNCERTAIN),
        ('"fault"', q.BAD),
        ("null", q.GOOD),
        ('"what?"', q.UNCERTAIN),
        ("-1", q.UNCERTAIN),
        ("1.5", q.UNCERTAIN),
        ("{}", q.UNCERTAIN),
    ],
)
def test_qualities_are_numbers_names_or_declared_words(text: str, status: int) -> None:
    words = {"good": ["ok", True, 192], "uncertain": ["old"], "bad": ["fault", False]}
    payload = bound(point(1, topic="t", value="/v"), json={"quality": "/q", **words})
    assert one(payload, f'{{"v": 1.5, "q": {text}}}'.encode()) == [(1, 1.5, status, RECEIVED_NS)]
    assert one(payload, {"v": 1.5})[0][2] == q.GOOD


def test_the_worse_of_what_the_source_says_and_what_we_find_counts() -> None:
    payload = bound(point(1, N, topic="t", value="/v"), json={"quality": "/q"})
    for document, status in (
        ({"v": "x", "q": 0}, q.BAD_TYPE_MISMATCH),
        ({"v": "x", "q": q.UNCERTAIN}, q.BAD_TYPE_MISMATCH),
        ({"v": 5, "q": q.UNCERTAIN}, q.UNCERTAIN),
        ({"v": "x", "q": q.BAD_TIMEOUT}, q.BAD_TIMEOUT),
    ):
        assert one(payload, document)[0][2] == status


# --- records ------------------------------------------------------------------------------------------------------


def test_one_message_can_carry_many_records() -> None:
    payload = bound(
        point(1, topic="t", value="/values/oil"),
        point(2, N, topic="t", value="/values/strokes"),
        json={"records": "", "time": "/ts"},
    )
    records = [{"ts": at, "values": {"oil": at / 2, "strokes": at}} for at in range(100)]
    got = one(payload, records)
    assert got[:100] == [(1, at / 2, q.GOOD, at * MS) for at in range(100)]
    assert got[100:] == [(2, at, q.GOOD, at * MS) for at in range(100)]
    assert one(payload, records[7]) == [got[7], got[107]]  # one that stands alone
    assert "no array of records" in why(payload.decode([message(5)]))
    assert "10000 are possible" in why(payload.decode([message([{}] * 10_001)]))
    assert one(payload, [{"nothing": 1}] * 10_000) == []


def test_records_of_named_values_go_to_points_by_name() -> None:
    layout = {
        "records": "/values",
        "key": "/id",
        "value": "/v",
        "time": "/t",
        "quality": "/q",
        "message_time": "/timestamp",
    }
    payload = bound(
        point(1, topic="t", format="tags", name="oil"),
        point(2, B, topic="t", format="tags", name="on"),
        point(3, topic="t", format="tags", name="7"),
        point(4, N, topic="t", format="tags", name="oil"),
        formats={"tags": layout},
    )
    document = {
        "timestamp": 9,
        "values": [
            {"id": "oil", "v": 1.0, "t": 1, "q": True},
            {"id": "nobody asks", "v": {}},
            {"id": "on", "v": True, "q": False},
            {"id": 7, "v": 7.5},
            {"v": 1},
            "nonsense",
            {"id": ["x"], "v": 1},
            {"id": "oil", "v": 2.0, "t": 2},
        ],
    }
    assert one(payload, document) == [
        (1, 1.0, q.GOOD, 1 * MS),
        (1, 2.0, q.GOOD, 2 * MS),
        (2, True, q.BAD, 9 * MS),
        (3, 7.5, q.GOOD, 9 * MS),
        (4, 1, q.GOOD, 1 * MS),
        (4, 2, q.GOOD, 2 * MS),
    ]


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"{", "no JSON"),
        (b'{"v": NaN}', "send null"),
        (b'{"v": -Infinity}', "send null"),
        (b'{"v": 1e999}', "no JSON"),
        (b'{"v": 1, "v": 2}', "'v' comes twice"),
        (b'{"x": {"time": ":", "v" : 1, "v": 2}}', "'v' comes twice"),
        (b'{"x": "a\\u003ab", "v": 1, "v": 2}', "'v' comes twice"),
        (b"[" * 5000 + b"]" * 5000, "too deeply"),
        (b'{"v":' * 2000 + b"1" + b"}" * 2000, "too deeply"),
        (b'"\xff"', "no JSON"),
        (b"\xef\xbb\xbf1", "no JSON"),
        (b"1 2", "no JSON"),
        (b" " * 2000, "1000 are possible"),
    ],
)
def test_a_message_that_is_no_json_is_refused_in_plain_words_and_its_neighbours_are_read(
    data: bytes, says: str
) -> None:
    payload = bound(point(1, topic="t", value="/v"), bytes_max=1000 if data.startswith(b"  ") else 2**20)
    decoded = payload.decode([message({"v": 1.5}), message(data, origin="hostile"), message({"v": 2.5})])
    assert [value for _, value, _, _ in samples(decoded.batches)] == [1.5, 2.5]
    assert says in why(decoded) and "hostile" in why(decoded) and decoded.refused[0][0] == 1


@pytest.mark.parametrize(
    "data",
    [
        b'{"v": 1, "t": "12:30:00"}',
        b'{"v": 1, "a:b": 2, "u": "https://x"}',
        b'{"v": 1, "s": "\\":\\"", "n": {"v": 2}}',
        b'{"v" : 1, "w" : {"v" :3}}',
        b'{"v": 1, "l": [{"v": 1}, {"v": 2}], "k\\u003a": 5}',
    ],
)
def test_colons_and_equal_names_in_different_objects_are_no_repeated_names(data: bytes) -> None:
    assert one(bound(point(1, topic="t", value="/v")), data) == [(1, 1.0, q.GOOD, RECEIVED_NS)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.sampled_from("vtq:"), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=examples(100), deadline=None)
@hypothesis_given(JSON)
def test_every_document_with_unique_names_is_taken_for_one(document: Any) -> None:
    decoded = bound(point(1, topic="t", value="/v"), json={"time": "/t", "quality": "/q"}).decode(
        [
            message(json.dumps(document).encode()),
            message(json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")),
        ]
    )
    assert all("comes twice" not in str(error) for _, error in decoded.refused)


@settings(max_examples=examples(100), deadline=None)
@hypothesis_given(st.lists(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), max_size=8))
def test_whatever_comes_raises_nothing_and_costs_nobody_else(data: list[bytes]) -> None:
    payload = bound(
        point(1, topic="t", value="/v"),
        point(2, T, topic="t", value="/a/b"),
        point(3, N, topic="n", format="tags", name="x"),
        point(4, B, topic="raw", encoding="text"),
        point(5, N, topic="raw", encoding="uint16"),
        json={"time": "/t", "quality": "/q"},
        formats={"tags": {"records": "", "key": "/k", "value": "/v", "time": "/t"}},
    )
    messages = [message(one, topic) for one in data for topic in ("t", "n", "raw", "else")]
    decoded = payload.decode([*messages, message({"v": 42.0})])
    assert decoded.ignored == len(data)
    assert samples(decoded.batches)[0][0] == 1 and 42.0 in [value for _, value, _, _ in samples(decoded.batches)]


# --- commands -----------------------------------------------------------------------------------------------------


def test_a_command_is_the_smallest_document_that_holds_the_value_where_the_point_says() -> None:
    layout = {"records": "/values", "key": "/id", "value": "/v"}
    points = [
        point(1, topic="t", value="/set/pressure", command="c"),
        point(2, N, topic="t", value="/a", command="c", command_value=""),
        point(3, B, topic="t", format="tags", name="on", command="c"),
    ]
    payload = bound(*points, formats={"tags": layout})
    for bound_point, value, document in (
        (points[0], 0.1, {"set": {"pressure": 0.1}}),
        (points[1], 2**62 + 1, 2**62 + 1),
        (points[2], True, {"id": "on", "v": True}),
    ):
        publish = payload.command(bound_point, value, RECEIVED_NS)
        assert (publish.topic, orjson.loads(publish.payload), publish.qos) == ("c", document, 1)
    with pytest.raises(Refused, match="takes no commands"):
        bound(point(9, topic="t", value="/v")).command(point(9, topic="t", value="/v"), 1.0, RECEIVED_NS)
    for wrong in ("x", True, math.nan, math.inf):
        with pytest.raises(DataError, match="acme/p1"):
            payload.command(points[0], wrong, RECEIVED_NS)
