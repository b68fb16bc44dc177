"""Which message feeds which point: topics, filters, devices; raw scalars; what an engineer declares."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.connect.payload.given import RECEIVED_NS, B, F, N, T, bound, message, one, point, samples, why
from tests.properties import examples

from headrace.connect.mqtt.topics import covers, matches
from headrace.connect.payload import PayloadAddress, PayloadSettings, payload_of
from headrace.connect.payload.config import resolve
from headrace.connect.payload.routing import Routes, fewest, is_wild
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, DataError

# --- topics -------------------------------------------------------------------------------------------------------

LEVEL = st.sampled_from(["a", "b", "", "$s"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = (
    st.tuples(st.lists(LEVEL | st.just("+"), max_size=3), st.sampled_from([[], ["#"]]))
    .map(lambda parts: "/".join([*parts[0], *parts[1]]))
    .filter(bool)
)


@settings(max_examples=examples(100), deadline=None)
@hypothesis_given(st.lists(FILTER, max_size=6), TOPIC)
def test_routes_find_what_matches(filters: list[str], topic: str) -> None:
    routes: Routes[int] = Routes(by_origin=False)
    for at, pattern in enumerate(filters):
        routes.add(pattern, None, at)
    wanted = [at for at, pattern in enumerate(filters) if matches(pattern, topic)]
    assert sorted(routes.find("x", topic)) == sorted(routes.find("y", topic)) == wanted


@settings(max_examples=examples(100), deadline=None)
@hypothesis_given(st.lists(FILTER, max_size=6))
def test_the_fewest_filters_cover_all_and_none_covers_another(filters: list[str]) -> None:
    kept = fewest(filters)
    assert all(any(covers(wide, narrow) for wide in kept) for narrow in filters)
    assert not [1 for one in kept for other in kept if one != other and is_wild(other) and covers(other, one)]


def test_devices_of_one_template_share_a_column_and_points_with_filters_take_from_many_topics() -> None:
    points = [point(at, device=f"press-{at}", value="/v") for at in range(50)]
    payload = bound(*points, point(99, topic="plant/+/state", value="/w"), topic="plant/{device}/state")
    assert list(payload.filters()) == ["plant/+/state"]
    decoded = payload.decode([message({"v": float(at), "w": 1}, f"plant/press-{at}/state") for at in range(50)])
    assert sorted(map(len, decoded.batches)) == [50, 50] and decoded.ignored == 0
    assert samples(decoded.batches)[:2] == [(0, 0.0, q.GOOD, RECEIVED_NS), (1, 1.0, q.GOOD, RECEIVED_NS)]
    assert payload.decode([message({"v": 1}, "elsewhere")]).ignored == 1


def test_a_point_takes_only_from_the_device_that_it_trusts() -> None:
    payload = bound(
        point(1, device="a", topic="state", value="/v"),
        point(2, device="b", topic="state", value="/v"),
        point(3, topic="state", value="/w"),
        by_device=True,
    )
    decoded = payload.decode([message({"v": 1.5, "w": 5}, "state", origin=origin) for origin in ("a", "b", "c")])
    assert [(handle, value) for handle, value, _, _ in samples(decoded.batches)] == [
        (1, 1.5), (2, 1.5), (3, 5.0), (3, 5.0), (3, 5.0),
    ]  # fmt: skip


def test_commands_go_to_the_device_alone() -> None:
    bound_point = point(1, device="a", value="/v")
    payload = bound(bound_point, by_device=True, topic="{device}/state", command="{device}/set")
    publish = payload.command(bound_point, 1.5, RECEIVED_NS)
    assert (publish.topic, publish.origin) == ("a/set", "a")


def test_a_device_that_is_gone_leaves_bad_samples_newer_than_its_last_ones() -> None:
    payload = bound(
        point(1, device="a", value="/v"), point(2, T, device="a", value="/s"), point(3, device="b", value="/v"),
        by_device=True, topic="state", json={"time": "/ts"},
    )  # fmt: skip
    ahead_ms = RECEIVED_NS // 1_000_000 + 60_000
    payload.decode([message({"v": 1.5, "ts": ahead_ms}, "state", origin="a")])
    assert samples(payload.gone("a", RECEIVED_NS)) == [
        (1, pytest.approx(float("nan"), nan_ok=True), q.BAD_NO_COMMUNICATION, ahead_ms * 1_000_000 + 1),
        (2, "", q.BAD_NO_COMMUNICATION, ahead_ms * 1_000_000 + 1),
    ]
    assert payload.gone("nobody", RECEIVED_NS) == []


def test_points_can_be_bound_anew() -> None:
    payload = bound(point(1, topic="t", value="/v"))
    payload.bind([point(2, topic="t", value="/v"), point(3, topic="u", value="/v")])
    assert [handle for handle, *_ in one(payload, {"v": 1})] == [2] and list(payload.filters()) == ["t", "u"]


# --- raw ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "encoding", "data", "value", "quality"),
    [
        (F, "text", b" 21.5\n", 21.5, q.GOOD),
        (F, "text", b"nan", None, q.GOOD),  # screened as any other NaN
        (F, "text", b"21,5", None, q.BAD_TYPE_MISMATCH),
        (N, "text", b"-9223372036854775808", -(2**63), q.GOOD),
        (N, "text", b"9223372036854775808", None, q.BAD_OUT_OF_RANGE),
        (B, "text", b"Off", False, q.GOOD),
        (T, "text", "油温 ".encode(), "油温 ", q.GOOD),
        (F, "float32", struct.pack(">f", 0.1), 0.10000000149011612, q.GOOD),
        (F, "int16", struct.pack(">h", -300), -300.0, q.GOOD),
        (N, "uint64", struct.pack(">Q", 2**63 - 1), 2**63 - 1, q.GOOD),
        (N, "uint64", struct.pack(">Q", 2**63), None, q.BAD_OUT_OF_RANGE),
        (N, "int8", b"\xff", -1, q.GOOD),
    ],
)
def test_raw_scalars(kind: ValueKind, encoding: str, data: bytes, value: Any, quality: int) -> None:
    [(_, got, its, source_ns)] = one(bound(point(1, kind, topic="t", encoding=encoding)), data)
    assert its == quality and source_ns == RECEIVED_NS
    if value is not None:
        assert (got, type(got)) == (value, type(value))


def test_raw_bytes_of_the_wrong_length_or_no_text_are_refused() -> None:
    payload = bound(point(1, topic="t", encoding="float32"), point(2, T, topic="u", encoding="text"))
    assert "float32 has 4 bytes; this message has 3" in why(payload.decode([message(b"123")]))
    assert "no UTF-8" in why(payload.decode([message(b"\xff", "u")]))


@settings(max_examples=examples(100), deadline=None)
@hypothesis_given(st.sampled_from(["int8", "uint16", "int32", "uint64", "int64", "float64", "text"]), st.data())
def test_a_raw_command_is_read_back_as_it_was(encoding: str, data: st.DataObject) -> None:
    if encoding in ("float64", "text"):
        kind, value = F, data.draw(st.floats(allow_nan=False, allow_infinity=False))
    else:
        bits = int(encoding.lstrip("uint"))
        low, high = (0, 2**bits - 1) if encoding.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        kind, value = N, data.draw(st.integers(low, min(high, 2**63 - 1)))
    for order in ("big", "little"):
        bound_point = point(1, kind, topic="t", encoding=encoding, order=order, command="t")
        payload = bound(bound_point)
        publish = payload.command(bound_point, value, RECEIVED_NS)
        [(_, got, _, _)] = one(payload, publish.payload)
        assert repr(got) == repr(value)


def test_a_raw_command_that_does_not_fit_is_a_data_error() -> None:
    bound_point = point(1, N, topic="t", encoding="uint8", command="c")
    with pytest.raises(DataError, match=r"acme/p1.*does not fit uint8"):
        bound(bound_point).command(bound_point, 256, RECEIVED_NS)


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ({}, "say where it comes from"),
        ({"topic": "t", "value": "oil.temperature"}, r"as in /oil/temperature"),
        ({"topic": "t", "value": "/a~2"}, "~ is written ~0|'~' is written ~0"),
        ({"topic": "a/#/b"}, "last level"),
        ({"topic": "a+/b"}, "whole of a level"),
        ({"topic": "$share/g/t"}, "leave '\\$share' out"),
        ({"topic": "t", "command": "a/+"}, "wildcard"),
        ({"topic": "t", "value": "/v", "encoding": "text"}, "do not go together"),
        ({"metric": "x", "group": "g"}, "'node' is missing"),
        ({"metric": "x", "group": "g/h", "node": "n"}, "no Sparkplug name"),
        ({"metric": "x", "group": "g", "node": "n+"}, "no Sparkplug name"),
        ({"metric": "x", "group": "g", "node": "n", "device": "#"}, "no Sparkplug name"),
        ({"metric": "x", "group": "g", "node": "n", "topic": "t"}, "not for Sparkplug"),
        ({"topic": "t", "valeu": "/v"}, "valeu"),
    ],
)
def test_wrong_addresses_say_what_to_write(address: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PayloadAddress.model_validate(address)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"json": {"key": "/id"}}, "'records'"),
        ({"json": {"message_time": "/t"}}, "'message_time' is for"),
        ({"json": {"good": ["x"], "bad": ["x"]}}, "listed twice"),
        ({"kind": "jason"}, "'json', 'raw' or 'sparkplug'"),
        ({"sparkplug": {"host": "a/b"}}, "no Sparkplug name"),
        ({"sparkplug": {"reorder_timeout": "1h"}}, "out of range"),
        ({"topics": "x"}, "topics"),
    ],
)
def test_wrong_settings_say_what_to_write(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PayloadSettings.model_validate(given)


@pytest.mark.parametrize(
    ("address", "given", "says"),
    [
        ({"device": "a", "value": "/v"}, {}, "no 'topic'"),
        ({"topic": "{device}/t", "value": "/v"}, {}, "say 'device'"),
        ({"device": "a/b", "value": "/v"}, {"topic": "{device}"}, "cannot be part of a topic"),
        ({"topic": "t", "format": "x"}, {"formats": {"y": {}}}, "the connection has y"),
        ({"topic": "t", "name": "n"}, {}, "needs a format"),
        ({"topic": "t", "format": "y"}, {"formats": {"y": {"records": "", "key": "/k"}}}, "say which with 'name'"),
        ({"topic": "t"}, {"kind": "sparkplug"}, "group, node and metric"),
    ],
)
def test_an_address_that_the_settings_do_not_serve_costs_its_point_alone(
    address: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    made = PayloadSettings.model_validate(given)
    with pytest.raises(ConfigError, match=says):
        resolve(PayloadAddress.model_validate(address), made)
    payload = payload_of(made)
    misfits = payload.bind([point(1, **address), point(2, topic="u", value="/v")])
    assert list(misfits) == [1] and "acme/p1" in str(misfits[1])
    assert [handle for handle, *_ in one(payload, {"v": 1}, topic="u")] == [2]


def test_the_kind_of_the_connection_counts_where_an_address_does_not_show_its_own() -> None:
    payload = bound(point(1, topic="t"), kind="raw", raw={"encoding": "uint16", "order": "little"})
    assert one(payload, b"\x01\x02") == [(1, 513.0, q.GOOD, RECEIVED_NS)]
