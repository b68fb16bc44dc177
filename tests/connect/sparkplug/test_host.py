"""Headrace as a Sparkplug host: births, aliases, types, the sequence, deaths, STATE, commands."""

from __future__ import annotations

import gzip
import itertools
import zlib
from typing import Any

import orjson
import pytest
from tests.connect.sparkplug import wire
from tests.connect.sparkplug.wire import (
    T0_MS,
    T0_NS,
    device,
    host,
    message,
    nbirth,
    ndata,
    ndeath,
    payload,
    point,
    rebirths,
    samples,
    values,
)

from headrace.connect.payload import Payload, PayloadSettings, payload_of
from headrace.connect.sparkplug import schema, slots
from headrace.connect.sparkplug.schema import DataType, PropertySet
from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, ValueKind
from headrace.model.errors import DataError, Refused
from headrace.model.time import SECOND_NS

F, N, B, T = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
TEMPERATURE = {"name": "Temp", "alias": 1, "datatype": DataType.DOUBLE, "double_value": 20.5}
COUNT = {"name": "Count", "alias": 2, "datatype": DataType.INT32, "int_value": 7}
ON = {"name": "On", "alias": 3, "datatype": DataType.BOOLEAN, "boolean_value": True}


def born(*points: Any, **sparkplug: Any) -> Payload:
    """A host that has seen the births of node n1 (Temp, Count) and of its device d1 (On); the next number is 2."""
    made = host(*(points or (point(1, "Temp", F), point(2, "Count", N), point(3, "On", B, of="d1"))), **sparkplug)
    decoded = made.decode([nbirth(TEMPERATURE, COUNT), device("DBIRTH", ON, seq=1)])
    assert decoded.refused == [] and decoded.replies == []
    return made


# --- births and data ----------------------------------------------------------------------------------------------


def test_a_birth_gives_first_values_and_data_follows_by_alias() -> None:
    made = host(point(1, "Temp", F), point(2, "Count", N), point(3, "On", B, of="d1"))
    decoded = made.decode(
        [
            nbirth(TEMPERATURE, COUNT),
            device("DBIRTH", ON, seq=1),
            ndata({"alias": 1, "double_value": -0.0, "timestamp": T0_MS + 1}, seq=2),
            device("DDATA", {"alias": 3, "boolean_value": False}, seq=3),
        ]
    )
    assert samples(decoded.batches) == [
        (1, 20.5, q.GOOD, T0_NS),
        (2, 7, q.GOOD, T0_NS),
        (3, True, q.GOOD, T0_NS),
        (1, 0.0, q.GOOD, T0_NS + 1_000_000),
        (3, False, q.GOOD, T0_NS),
    ]
    assert decoded.replies == [] and decoded.refused == [] and decoded.ignored == 0


def test_a_metric_can_feed_several_points_of_different_kinds() -> None:
    made = born(point(1, "Count", N), point(2, "Count", F), point(3, "Count", B))
    assert values(made.decode([ndata({"alias": 2, "int_value": 1}, seq=2)])) == {1: 1, 2: 1.0, 3: True}


def test_names_without_aliases_and_aliases_that_are_hashes_work_too() -> None:
    made = host(point(1, "a", N), point(2, "b", N))
    hashed = {"name": "b", "alias": 2**63 + 12345, "datatype": DataType.INT64, "long_value": 5}
    made.decode([nbirth({"name": "a", "datatype": DataType.INT64, "long_value": 1}, hashed)])
    decoded = made.decode(
        [ndata({"name": "a", "long_value": 2**64 - 3}, {"alias": 2**63 + 12345, "long_value": 2**62}, seq=1)]
    )
    assert values(decoded) == {1: -3, 2: 2**62}


def test_a_metric_that_the_birth_lacks_is_bad_and_says_so() -> None:
    decoded = host(point(1, "Temp", F), point(9, "Nowhere", F)).decode([nbirth(TEMPERATURE)])
    assert {handle: quality for handle, _, quality, _ in samples(decoded.batches)} == {
        1: q.GOOD,
        9: q.BAD_NODE_ID_UNKNOWN,
    }


def test_points_bound_later_find_their_births() -> None:
    made = host()
    made.decode([nbirth(TEMPERATURE, COUNT)])
    made.bind([point(2, "Count", N)])
    assert values(made.decode([ndata({"alias": 2, "int_value": 9}, seq=1)])) == {2: 9}
    made.bind([])
    assert made.decode([ndata({"alias": 2, "int_value": 9}, seq=2)]).batches == []


def test_a_message_that_makes_no_sense_costs_itself_alone() -> None:
    made = born()
    decoded = made.decode(
        [
            message("plant/NDATA/n1", b"\xff\xff"),
            ndata({"alias": 1, "double_value": 1.5}, seq=2),
            message("plant/NOTHING/n1", b""),
            message("plant/NDATA", b""),
        ]
    )
    assert values(decoded) == {1: 1.5}
    long = made.decode([message(f"plant/NDATA/{'n' * 257}", b"")])
    assert "at most 256 characters" in str(long.refused[0][1])
    assert [place for place, _ in decoded.refused] == [2, 3, 0]
    assert "spBv1.0/plant/NDATA/n1" in str(decoded.refused[2][1])


# --- types --------------------------------------------------------------------------------------------------------

LONG = 2**64


@pytest.mark.parametrize(
    ("datatype", "fields", "kind", "value"),
    [
        (DataType.INT8, {"int_value": 0xFFFF_FFFB}, N, -5),
        (DataType.INT8, {"int_value": 0xFB}, N, -5),
        (DataType.INT8, {"long_value": LONG - 5}, N, -5),
        (DataType.INT16, {"int_value": 0xFFFF_FED4}, N, -300),
        (DataType.INT16, {"int_value": 0xFED4}, F, -300.0),
        (DataType.INT32, {"int_value": 0x8000_0000}, N, -(2**31)),
        (DataType.INT64, {"long_value": LONG - 1}, N, -1),
        (DataType.INT64, {"long_value": 2**63}, N, -(2**63)),
        (DataType.UINT8, {"int_value": 255}, N, 255),
        (DataType.UINT16, {"int_value": 65_535}, N, 65_535),
        (DataType.UINT32, {"int_value": 2**32 - 1}, N, 2**32 - 1),
        (DataType.UINT32, {"long_value": 2**32 - 1}, N, 2**32 - 1),
        (DataType.UINT64, {"long_value": 2**63 - 1}, N, 2**63 - 1),
        (DataType.UINT64, {"long_value": 2**63}, F, 2.0**63),
        (DataType.FLOAT, {"float_value": 0.1}, F, 0.10000000149011612),
        (DataType.FLOAT, {"float_value": 3.0}, N, 3),
        (DataType.DOUBLE, {"double_value": 0.1}, F, 0.1),
        (DataType.BOOLEAN, {"boolean_value": True}, B, True),
        (DataType.BOOLEAN, {"boolean_value": True}, N, 1),
        (DataType.INT32, {"int_value": 1}, B, True),
        (DataType.STRING, {"string_value": "油温"}, T, "油温"),
        (DataType.TEXT, {"string_value": ""}, T, ""),
        (DataType.UUID, {"string_value": "6ba7b810"}, T, "6ba7b810"),
        (DataType.DATETIME, {"long_value": T0_MS}, N, T0_NS),
        (DataType.DATETIME, {"long_value": T0_MS}, T, "2026-01-01T00:00:00Z"),
    ],
)
def test_every_type_arrives_exactly(datatype: int, fields: dict[str, Any], kind: ValueKind, value: Any) -> None:
    decoded = host(point(1, "m", kind)).decode([nbirth({"name": "m", "datatype": datatype, **fields})])
    assert samples(decoded.batches) == [(1, value, q.GOOD, T0_NS)]
    assert type(samples(decoded.batches)[0][1]) is type(value)


@pytest.mark.parametrize(
    ("datatype", "fields", "kind", "quality"),
    [
        (DataType.INT8, {"int_value": 300}, N, q.BAD_OUT_OF_RANGE),
        (DataType.UINT8, {"int_value": 256}, N, q.BAD_OUT_OF_RANGE),
        (DataType.UINT64, {"long_value": 2**63}, N, q.BAD_OUT_OF_RANGE),
        (DataType.INT64, {"long_value": 2**53 + 1}, F, q.BAD_OUT_OF_RANGE),
        (DataType.DOUBLE, {"double_value": 0.5}, N, q.BAD_TYPE_MISMATCH),
        (DataType.DOUBLE, {"double_value": 1e300}, N, q.BAD_OUT_OF_RANGE),
        (DataType.DOUBLE, {"string_value": "5"}, F, q.BAD_TYPE_MISMATCH),
        (DataType.STRING, {"string_value": "5"}, F, q.BAD_TYPE_MISMATCH),
        (DataType.INT32, {"int_value": 2}, B, q.BAD_OUT_OF_RANGE),
        (DataType.STRING, {"string_value": "x" * (TEXT_BYTES_MAX + 1)}, T, q.BAD_OUT_OF_RANGE),
        (DataType.DATETIME, {"long_value": 2**62}, N, q.BAD_OUT_OF_RANGE),
        (DataType.DOUBLE, {"is_null": True}, F, q.BAD_WAITING_FOR_INITIAL_DATA),
        (DataType.DOUBLE, {}, F, q.BAD_WAITING_FOR_INITIAL_DATA),
        (DataType.BYTES, {"bytes_value": b"123"}, T, q.BAD_NOT_SUPPORTED),
        (DataType.DATASET, {"dataset_value": b""}, F, q.BAD_NOT_SUPPORTED),
        (DataType.TEMPLATE, {"template_value": b""}, F, q.BAD_NOT_SUPPORTED),
        (DataType.DOUBLE_ARRAY, {"bytes_value": bytes(16)}, F, q.BAD_NOT_SUPPORTED),
    ],
)
def test_what_does_not_fit_is_a_bad_sample(
    datatype: int, fields: dict[str, Any], kind: ValueKind, quality: int
) -> None:
    made = host(point(1, "m", kind), point(2, "other", F))
    other = {"name": "other", "datatype": DataType.DOUBLE, "double_value": 1.5}
    decoded = made.decode([nbirth({"name": "m", "datatype": datatype, **fields}, other)])
    found = {handle: its for handle, _, its, _ in samples(decoded.batches)}
    assert found == {1: quality, 2: q.GOOD}
    if quality == q.BAD_NOT_SUPPORTED:
        assert made.counters()["values of types that make no sample"] == 1


def quality_property(code: int) -> bytes:
    made = PropertySet(keys=["Quality"])
    value = made.values.add()
    value.type, value.int_value = DataType.INT32, code
    serialized: bytes = made.SerializeToString()
    return serialized


@pytest.mark.parametrize(
    ("code", "status"),
    [(192, q.GOOD), (0, q.BAD), (500, q.UNCERTAIN_LAST_USABLE_VALUE), (64, q.UNCERTAIN), (0x800A_0000, q.BAD_TIMEOUT)],
)
def test_the_quality_property_counts(code: int, status: int) -> None:
    decoded = born().decode([ndata({"alias": 1, "double_value": 1.5, "properties": quality_property(code)}, seq=2)])
    assert samples(decoded.batches) == [(1, 1.5, status, T0_NS)]


def test_historical_samples_keep_their_own_time() -> None:
    late = {"alias": 1, "double_value": 1.5, "timestamp": T0_MS - 60_000, "is_historical": True}
    assert samples(born().decode([ndata(late, seq=2)]).batches) == [(1, 1.5, q.GOOD, T0_NS - 60 * SECOND_NS)]


def test_times_come_from_the_metric_else_the_message_else_the_clock_and_impossible_ones_are_flagged() -> None:
    decoded = born().decode(
        [
            ndata({"alias": 1, "double_value": 1.0, "timestamp": T0_MS + 1}, seq=2),
            ndata({"alias": 1, "double_value": 2.0}, seq=3),
            ndata({"alias": 1, "double_value": 3.0}, seq=4, ms=None),
            ndata({"alias": 1, "double_value": 4.0, "timestamp": 2**64 - 1}, seq=5),
        ]
    )
    assert samples(decoded.batches) == [
        (1, 1.0, q.GOOD, T0_NS + 1_000_000),
        (1, 2.0, q.GOOD, T0_NS),
        (1, 3.0, q.GOOD, T0_NS + 5_000_000),
        (1, 4.0, q.BAD_INVALID_TIMESTAMP, T0_NS + 5_000_000),
    ]


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
def test_compressed_payloads_are_opened_within_a_bound(squeeze: Any) -> None:
    def packed(inner: bytes) -> bytes:
        wrapped: bytes = schema.Payload(uuid="SPBV1.0_COMPRESSED", body=squeeze(inner)).SerializeToString()
        return wrapped

    made = born()
    inner = payload({"alias": 1, "double_value": 1.5}, seq=2)
    assert values(made.decode([message("plant/NDATA/n1", packed(inner))])) == {1: 1.5}
    decoded = made.decode([message("plant/NDATA/n1", packed(bytes(2**24)))])
    assert "opens to more than" in str(decoded.refused[0][1])


# --- the sequence -------------------------------------------------------------------------------------------------


def test_the_sequence_wraps_from_255_to_0() -> None:
    made = born()
    data = [ndata({"alias": 2, "int_value": seq}, seq=seq % 256) for seq in range(2, 600)]
    decoded = made.decode(data)
    assert [value for _, value, _, _ in samples(decoded.batches)] == list(range(2, 600))
    assert decoded.replies == [] and made.tick(T0_NS + 60 * SECOND_NS).replies == []


def test_messages_out_of_order_are_put_in_order_within_the_reorder_timeout() -> None:
    made = born()
    early = made.decode([ndata({"alias": 2, "int_value": 4}, seq=4), ndata({"alias": 2, "int_value": 3}, seq=3)])
    assert early.batches == [] and early.replies == []
    assert made.tick(T0_NS + SECOND_NS).replies == []
    decoded = made.decode([ndata({"alias": 2, "int_value": 2}, seq=2), ndata({"alias": 2, "int_value": 5}, seq=5)])
    assert sorted(value for _, value, _, _ in samples(decoded.batches)) == [2, 3, 4, 5]
    assert all(quality == q.GOOD for _, _, quality, _ in samples(decoded.batches))
    assert made.tick(T0_NS + 60 * SECOND_NS).replies == []


def test_a_message_that_never_comes_costs_a_rebirth_request_and_no_data() -> None:
    made = born(reorder_timeout="2s")
    assert made.decode([ndata({"alias": 2, "int_value": 3}, seq=3)]).batches == []
    assert made.tick(T0_NS + 2 * SECOND_NS - 1).replies == []
    given_up = made.tick(T0_NS + 2 * SECOND_NS + 5_000_000)
    assert rebirths(given_up) == ["spBv1.0/plant/NCMD/n1"]
    [(handle, value, quality, _)] = samples(given_up.batches)
    assert (handle, value, quality) == (2, 3, q.UNCERTAIN)  # perhaps a birth was what was missed
    decoded = made.decode(
        [ndata({"alias": 2, "int_value": 9}, seq=7), nbirth(COUNT), ndata(COUNT | {"name": ""}, seq=1)]
    )
    assert [quality for handle, _, quality, _ in samples(decoded.batches) if handle == 2] == [
        q.UNCERTAIN,
        q.GOOD,
        q.GOOD,
    ]


def test_without_a_reorder_timeout_a_gap_asks_at_once() -> None:
    decoded = born(reorder_timeout="0s").decode([ndata({"alias": 2, "int_value": 3}, seq=3)])
    assert rebirths(decoded) == ["spBv1.0/plant/NCMD/n1"]
    assert [sample[:2] for sample in samples(decoded.batches)] == [(2, 3)]


def test_what_is_held_is_bounded() -> None:
    made = born()
    decoded = made.decode([ndata({"alias": 2, "int_value": seq}, seq=seq) for seq in range(10, 90)])
    assert rebirths(decoded) == ["spBv1.0/plant/NCMD/n1"]
    assert [value for _, value, _, _ in samples(decoded.batches)] == list(range(10, 90))


def test_data_before_a_birth_asks_for_one_and_not_too_often() -> None:
    made = host(point(1, "Temp", F), rebirth_interval="10s")
    data = [ndata({"alias": 1, "double_value": 1.0}, seq=5)] * 10
    assert rebirths(made.decode(data)) == ["spBv1.0/plant/NCMD/n1"]
    asked = [0, *(second for second in range(1, 1000) if made.tick(T0_NS + second * SECOND_NS).replies)]
    pauses = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert 3 < len(pauses) < 8 and min(pauses) >= 10 and pauses == sorted(pauses)
    made.decode([nbirth(TEMPERATURE, at_ms=T0_MS + 10**6)])
    assert made.tick(T0_NS + 10**7 * SECOND_NS).replies == []


def test_a_device_without_a_birth_asks_its_node() -> None:
    decoded = born().decode([message("plant/DDATA/n1/d9", payload({"alias": 9, "int_value": 1}, seq=2))])
    assert rebirths(decoded) == ["spBv1.0/plant/NCMD/n1"] and decoded.batches == []


def test_an_alias_that_no_birth_told_asks_and_the_rest_of_the_message_counts() -> None:
    decoded = born().decode([ndata({"alias": 77, "int_value": 1}, {"alias": 2, "int_value": 8}, seq=2)])
    assert rebirths(decoded) == ["spBv1.0/plant/NCMD/n1"] and values(decoded) == {2: 8}


def test_requests_go_to_the_session_that_the_node_came_by() -> None:
    made = host()
    decoded = made.decode([message("plant/NDATA/n1", payload(seq=1), origin="edge-7")])
    [reply] = decoded.replies
    assert (reply.origin, reply.qos, reply.retain) == ("edge-7", 0, False)


# --- deaths -------------------------------------------------------------------------------------------------------


def test_the_death_of_a_node_makes_all_of_its_points_bad_at_the_time_of_the_host() -> None:
    made = born()
    decoded = made.decode([ndeath(at_ms=T0_MS + 1000)])
    assert {(handle, quality, time) for handle, _, quality, time in samples(decoded.batches)} == {
        (handle, q.BAD_NO_COMMUNICATION, T0_NS + 1_000_000_000) for handle in (1, 2, 3)
    }
    assert rebirths(made.decode([ndata({"alias": 1, "double_value": 1.0}, seq=2)])) == ["spBv1.0/plant/NCMD/n1"]


def test_the_death_of_an_earlier_session_is_ignored() -> None:
    made = born()
    assert made.decode([ndeath(bd_seq=6)]).batches == []
    assert values(made.decode([ndata({"alias": 2, "int_value": 8}, seq=2)])) == {2: 8}
    assert len(samples(made.decode([ndeath(bd_seq=None)]).batches)) == 3


def test_the_death_of_a_device_leaves_its_node_and_is_dated_by_its_payload() -> None:
    made = born()
    decoded = made.decode([device("DDEATH", seq=2, ms=T0_MS + 700, at_ms=T0_MS + 1000)])
    [(handle, _, quality, time_ns)] = samples(decoded.batches)
    assert (handle, quality, time_ns) == (3, q.BAD_NO_COMMUNICATION, T0_NS + 700_000_000)
    decoded = made.decode([ndata({"alias": 2, "int_value": 8}, seq=3), device("DBIRTH", ON, seq=4)])
    assert values(decoded) == {2: 8, 3: True} and decoded.replies == []


def test_a_bad_sample_is_never_older_than_what_it_ends() -> None:
    made = born()
    made.decode([ndata({"alias": 1, "double_value": 1.5, "timestamp": T0_MS + 90_000}, seq=2)])
    decoded = made.decode([ndeath(at_ms=T0_MS + 1000)])
    assert [time for handle, _, _, time in samples(decoded.batches) if handle == 1] == [T0_NS + 90_000_000_000 + 1]


def test_a_device_that_is_not_born_again_after_its_node_is_dead_in_the_end() -> None:
    made = born()
    assert 3 not in values(made.decode([nbirth(TEMPERATURE, COUNT, bd_seq=8)]))
    assert made.tick(T0_NS + 5 * SECOND_NS).batches == []
    [(handle, _, quality, _)] = samples(made.tick(T0_NS + 60 * SECOND_NS).batches)
    assert (handle, quality) == (3, q.BAD_NO_COMMUNICATION)


def test_a_session_that_ends_without_a_will_is_a_death() -> None:
    made = born()
    assert made.gone("somebody else", T0_NS) == []
    assert {handle for handle, *_ in samples(made.gone(wire.ORIGIN, T0_NS + SECOND_NS))} == {1, 2, 3}
    assert made.gone(wire.ORIGIN, T0_NS + SECOND_NS) == []


def test_retained_births_and_data_are_not_believed() -> None:
    made = host(point(1, "Temp", F))
    old = payload(wire.BD_SEQ, TEMPERATURE, seq=0)
    assert made.decode([message("plant/NBIRTH/n1", old, retained=True)]).batches == []
    assert made.counters()["retained messages of nodes"] == 1


# --- STATE --------------------------------------------------------------------------------------------------------


def test_will_birth_and_death_of_the_host_carry_its_state() -> None:
    made = host(host="scada-1")
    will = made.will(T0_NS)
    assert will is not None and (will.topic, will.qos, will.retain) == ("spBv1.0/STATE/scada-1", 1, True)
    assert orjson.loads(will.payload) == {"online": False, "timestamp": T0_MS}
    [birth] = made.opening(T0_NS + 250_000_000)
    assert (birth.topic, birth.qos, birth.retain) == ("spBv1.0/STATE/scada-1", 1, True)
    assert orjson.loads(birth.payload) == {"online": True, "timestamp": T0_MS}
    [death] = made.closing(T0_NS + SECOND_NS)
    assert (death.topic, death.qos, death.retain) == ("spBv1.0/STATE/scada-1", 1, True)
    assert orjson.loads(death.payload) == {"online": False, "timestamp": T0_MS + 1000}


def test_a_host_that_got_its_first_point_late_says_that_it_is_online_then() -> None:
    made = payload_of(PayloadSettings())
    assert made.opening(T0_NS) == () and made.tick(T0_NS).replies == []
    made.bind([point(1, "Temp", F)])
    [birth] = made.tick(T0_NS).replies
    assert birth.topic == "spBv1.0/STATE/headrace" and orjson.loads(birth.payload)["online"] is True
    assert made.tick(T0_NS).replies == []


def test_each_connect_has_a_time_of_its_own() -> None:
    made, other = host(host="scada-1"), host(host="scada-1")
    made.will(T0_NS)
    other.will(T0_NS + SECOND_NS)
    [first], [second] = made.opening(T0_NS), other.opening(T0_NS)
    assert orjson.loads(first.payload)["timestamp"] + 1000 == orjson.loads(second.payload)["timestamp"]


def test_a_state_that_says_we_are_offline_is_said_again_and_others_are_left_alone() -> None:
    made = host(host="scada-1")
    offline = b'{"online":false,"timestamp":1}'
    assert made.decode([message("STATE/scada-1", offline)]).replies == []  # not online yet: it is true
    made.will(T0_NS)
    made.opening(T0_NS)
    [again] = made.decode([message("STATE/scada-1", offline, retained=True)]).replies
    assert orjson.loads(again.payload) == {"online": True, "timestamp": T0_MS} and again.retain and again.qos == 1
    online = orjson.dumps({"online": True, "timestamp": T0_MS})
    assert made.decode([message("STATE/scada-1", online), message("STATE/scada-2", offline)]).replies == []


def test_the_host_subscribes_to_the_namespace_and_its_own_state_and_wants_no_old_session() -> None:
    assert list(host().filters()) == ["spBv1.0/#"]
    made = host(host="scada-1", groups=["plant", "mill"])
    assert list(made.filters()) == ["spBv1.0/plant/#", "spBv1.0/mill/#", "spBv1.0/STATE/scada-1"]
    assert made.clean_start
    assert made.decode([message("elsewhere/NDATA/n1", payload(seq=1))]).ignored == 1


# --- commands and browsing ----------------------------------------------------------------------------------------


def sent(made: Payload, bound: Any, value: Any) -> tuple[Any, Any]:
    publish = made.command(bound, value, T0_NS)
    return publish, schema.Payload.FromString(publish.payload)


def test_commands_carry_one_metric_by_its_alias_without_a_sequence_number() -> None:
    made = born()
    publish, said = sent(made, point(2, "Count", N), -5)
    assert (publish.topic, publish.qos, publish.retain) == ("spBv1.0/plant/NCMD/n1", 0, False)
    [metric] = said.metrics
    assert (metric.alias, metric.name, metric.int_value) == (2, "", 2**32 - 5)
    assert not said.HasField("seq") and said.timestamp == T0_MS
    publish, said = sent(made, point(3, "On", B, of="d1"), False)
    assert publish.topic == "spBv1.0/plant/DCMD/n1/d1" and said.metrics[0].boolean_value is False


def test_commands_name_the_metric_where_the_birth_gave_no_alias() -> None:
    made = host(point(1, "a", N))
    made.decode([nbirth({"name": "a", "datatype": DataType.UINT16, "int_value": 1})])
    _, said = sent(made, point(1, "a", N), 65_535)
    assert (said.metrics[0].name, said.metrics[0].HasField("alias"), said.metrics[0].int_value) == ("a", False, 65_535)


@pytest.mark.parametrize("value", [2**31, 1.5, "x", True, float("nan")])
def test_a_value_that_does_not_fit_the_metric_is_a_data_error(value: Any) -> None:
    with pytest.raises(DataError, match="acme/p2"):
        born().command(point(2, "Count", N), value, T0_NS)


def test_commands_before_a_birth_and_to_read_only_metrics_are_refused() -> None:
    made = host(point(2, "Count", N))
    with pytest.raises(Refused, match="not been born"):
        made.command(point(2, "Count", N), 1, T0_NS)
    read_only = PropertySet(keys=["readOnly"])
    flag = read_only.values.add()
    flag.type, flag.boolean_value = DataType.BOOLEAN, True
    made.decode([nbirth(COUNT | {"properties": read_only.SerializeToString()})])
    with pytest.raises(Refused, match="read-only"):
        made.command(point(2, "Count", N), 1, T0_NS)


def test_births_can_be_browsed_and_pasted() -> None:
    made = born()
    assert [node.address for node in made.browse(None)] == [{"group": "plant"}]
    assert [node.address for node in made.browse({"group": "plant"})] == [{"group": "plant", "node": "n1"}]
    below = {node.name: node for node in made.browse({"group": "plant", "node": "n1"})}
    assert below["Temp"].address == {"group": "plant", "node": "n1", "metric": "Temp"} and below["Temp"].kind is F
    [on] = made.browse({"group": "plant", "node": "n1", "device": "d1"})
    assert on.kind is B and on.writable
    for wrong in ({"node": "n1"}, {"group": "plant", "node": "n9"}, {"topic": "x"}):
        with pytest.raises(Refused):
            list(made.browse(wrong))


# --- bounds -------------------------------------------------------------------------------------------------------


def test_nodes_that_were_never_born_make_room_for_others_and_born_ones_do_not() -> None:
    made = host(nodes_max=2)
    birth = payload(wire.BD_SEQ, TEMPERATURE, seq=0)
    for name in ("a", "b", "c"):
        assert made.decode([message(f"plant/NDATA/{name}", payload(seq=1))]).refused == []
    for name in ("d", "e"):
        assert made.decode([message(f"plant/NBIRTH/{name}", birth)]).refused == []
    refused = made.decode([message("plant/NBIRTH/f", birth)]).refused
    assert "nodes_max" in str(refused[0][1])
    assert [node.name for node in made.browse({"group": "plant"})] == ["d", "e"]


def test_births_beyond_the_bound_are_read_and_not_kept() -> None:
    made = host(point(1, "Temp", F), birth_bytes_max=2**20)
    padding = {"name": "x" * 900_000, "datatype": DataType.INT64, "long_value": 1}
    made.decode([message("plant/NBIRTH/other", payload(padding, seq=0))])
    decoded = made.decode([nbirth(TEMPERATURE | {"name": "Temp"}, padding)])
    assert values(decoded) == {1: 20.5} and "birth_bytes_max" in decoded.notices[0]
    assert values(made.decode([ndata({"alias": 1, "double_value": 3.5}, seq=1)])) == {1: 3.5}


def test_more_metrics_than_can_be_remembered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLOTS_MAX", 4)
    made = host(point(1, "Temp", F))
    many = [{"name": f"m{at}", "alias": at, "datatype": DataType.DOUBLE} for at in range(10)]
    refused = made.decode([message("plant/NBIRTH/other", payload(*many, seq=0))]).refused
    assert "no more metrics can be remembered" in str(refused[0][1])
    assert values(made.decode([nbirth(TEMPERATURE)])) == {1: 20.5}


def test_a_node_that_was_forgotten_comes_again_as_a_new_one() -> None:
    made = host(nodes_max=1)
    birth = payload(wire.BD_SEQ, TEMPERATURE, seq=0)
    assert len(rebirths(made.decode([message("plant/NDATA/a", payload(seq=1))]))) == 1
    made.decode([message("plant/NDATA/b", payload(seq=1))])
    made.decode([message("plant/NDATA/a", payload(seq=1)), message("plant/NBIRTH/a", birth)])
    assert [node.name for node in made.browse({"group": "plant"})] == ["a"]
