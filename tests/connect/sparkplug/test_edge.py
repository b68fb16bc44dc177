"""Headrace as a Sparkplug edge node: what it publishes, decoded by our host and looked at field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.sparkplug.wire import payload, samples
from tests.properties import examples

from headrace.connect.payload import Message, Payload, PayloadAddress, PayloadSettings, Publish, payload_of
from headrace.connect.sparkplug import schema
from headrace.connect.sparkplug.edge import EdgeMetric, EdgeNode, EdgeSettings, Write
from headrace.connect.sparkplug.properties import read_properties
from headrace.connect.sparkplug.schema import DataType
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import MILLISECOND_NS, SECOND_NS
from headrace.sdk.driver import PointBinding

T0 = 1_767_225_600_000 * MILLISECOND_NS
METRICS = [
    EdgeMetric(1, "oil/temperature", ValueKind.FLOAT64, "press-3", "Cel", (0, 120)),
    EdgeMetric(2, "strokes", ValueKind.INT64, "press-3"),
    EdgeMetric(3, "running", ValueKind.BOOL, "saw-1"),
    EdgeMetric(4, "recipe", ValueKind.TEXT),
    EdgeMetric(5, "setpoint", ValueKind.FLOAT64, "press-3", "bar", writable=True),
]


def number(handle: int, value: float, at_ns: int = T0, quality: int = q.GOOD) -> Batch:
    return Batch.of(ValueKind.FLOAT64, [handle], at_ns, [value], quality)


def node(**about: Any) -> EdgeNode:
    return EdgeNode(EdgeSettings("suzhou", "headrace", **about), METRICS)


def online(**about: Any) -> tuple[EdgeNode, list[Publish]]:
    made = node(**about)
    made.will(T0)
    return made, made.opened(T0)


def parsed(publish: Publish) -> Any:
    return schema.Payload.FromString(publish.payload)


def verbs(publishes: Sequence[Publish]) -> list[str]:
    return ["/".join(publish.topic.split("/")[2:]) for publish in publishes]


def listening(metrics: Sequence[EdgeMetric] = METRICS) -> Payload:
    """Our host, with a point for every metric."""
    made = payload_of(PayloadSettings.model_validate({"kind": "sparkplug"}))
    made.bind(
        [
            PointBinding(
                one.handle,
                one.name,
                one.kind,
                PayloadAddress(group="suzhou", node="headrace", device=one.device, metric=one.name),
                10**9,
            )
            for one in metrics
        ]
    )
    return made


def heard(host: Payload, publishes: Sequence[Publish], at_ns: int = T0) -> dict[int, tuple[Any, int]]:
    decoded = host.decode([Message("e", one.topic, one.payload, at_ns) for one in publishes])
    assert decoded.refused == [] and decoded.replies == []
    return {handle: (value, quality) for handle, value, quality, _ in samples(decoded.batches)}


# --- sessions -----------------------------------------------------------------------------------------------------


def test_the_will_is_the_death_of_the_session_with_the_next_number() -> None:
    made = EdgeNode(EdgeSettings("suzhou", "headrace"), METRICS)
    for expected in [*range(256), 0]:
        will = made.will(T0)
        assert (will.topic, will.qos, will.retain) == ("spBv1.0/suzhou/NDEATH/headrace", 1, False)
        [metric] = parsed(will).metrics
        assert (metric.name, metric.datatype, metric.long_value) == ("bdSeq", DataType.INT64, expected)
        assert not parsed(will).HasField("seq")
    assert made.bd_seq == 0


def test_births_come_first_the_node_then_its_devices() -> None:
    _, births = online()
    assert verbs(births) == ["NBIRTH/headrace", "DBIRTH/headrace/press-3", "DBIRTH/headrace/saw-1"]
    assert [birth.topic for birth in births[:2]] == [
        "spBv1.0/suzhou/NBIRTH/headrace",
        "spBv1.0/suzhou/DBIRTH/headrace/press-3",
    ]
    assert all(birth.qos == 0 and not birth.retain for birth in births)
    assert [parsed(birth).seq for birth in births] == [0, 1, 2]
    assert all(parsed(birth).timestamp == T0 // MILLISECOND_NS for birth in births)


def test_a_birth_tells_every_metric_with_name_alias_type_time_and_value() -> None:
    made = node()
    made.know([number(1, 62.5, T0 - SECOND_NS)])
    made.will(T0)
    births = made.opened(T0)
    own = {metric.name: metric for metric in parsed(births[0]).metrics}
    assert own["bdSeq"].long_value == made.bd_seq and own["bdSeq"].datatype == DataType.INT64
    rebirth = own["Node Control/Rebirth"]
    assert (rebirth.datatype, rebirth.boolean_value, rebirth.HasField("alias")) == (DataType.BOOLEAN, False, False)
    assert own["recipe"].is_null and own["recipe"].WhichOneof("value") is None
    oil = {metric.name: metric for metric in parsed(births[1]).metrics}["oil/temperature"]
    assert (oil.datatype, oil.double_value, oil.timestamp) == (DataType.DOUBLE, 62.5, T0 // MILLISECOND_NS - 1000)
    assert read_properties(oil.properties) == {"readOnly": True, "engUnit": "Cel", "engLow": 0.0, "engHigh": 120.0}
    properties = schema.PropertySet.FromString(oil.properties)
    assert len(properties.keys) == len(properties.values)
    assert [value.type for value in properties.values] == [
        DataType.BOOLEAN, DataType.STRING, DataType.DOUBLE, DataType.DOUBLE,
    ]  # fmt: skip
    metrics = [metric for birth in births for metric in parsed(birth).metrics]
    assert all(DataType(metric.datatype) for metric in metrics)
    aliases = [metric.alias for metric in metrics if metric.HasField("alias")]
    assert len(aliases) == len(set(aliases)) == len(METRICS)
    assert all(metric.HasField("timestamp") and metric.HasField("datatype") for metric in metrics)


def test_our_host_understands_every_kind_bit_for_bit() -> None:
    made, births = online()
    host = listening()
    heard(host, births)
    data = [
        number(1, -0.0, T0 + 1),
        Batch.of(ValueKind.INT64, [2], T0 + 1, [-(2**63)]),
        Batch.of(ValueKind.BOOL, [3], T0 + 1, [True]),
        Batch.of(ValueKind.TEXT, [4], T0 + 1, np.array(["油温"], np.dtypes.StringDType())),
    ]
    got = heard(host, made.data(data, T0 + 1))
    assert got == {1: (0.0, q.GOOD), 2: (-(2**63), q.GOOD), 3: (True, q.GOOD), 4: ("油温", q.GOOD)}
    assert str(got[1][0]) == "-0.0"


def test_data_has_aliases_alone_and_numbers_that_go_on_over_all_messages() -> None:
    made, _ = online()
    publishes = []
    for step in range(300):
        publishes += made.data([number(1, float(step), T0 + step), number(5, -float(step), T0 + step)], T0 + step)
    assert {tuple(verbs([one])) for one in publishes} == {("DDATA/headrace/press-3",)}
    seqs = [parsed(one).seq for one in publishes]
    assert seqs == [(3 + at) % 256 for at in range(len(seqs))] and len(seqs) == 300
    [first, second] = parsed(publishes[7]).metrics
    assert (
        first.alias and not first.HasField("name") and not first.HasField("datatype") and second.HasField("timestamp")
    )
    assert all(one.qos == 0 and not one.retain and parsed(one).HasField("timestamp") for one in publishes)


def test_without_aliases_data_is_named_and_typed() -> None:
    made, births = online(aliases=False)
    [data] = made.data([number(1, 1.5)], T0)
    [metric] = parsed(data).metrics
    assert (metric.name, metric.datatype, metric.HasField("alias")) == ("oil/temperature", DataType.DOUBLE, False)
    host = listening()
    heard(host, births)
    assert heard(host, [data]) == {1: (1.5, q.GOOD)}


def test_what_has_not_changed_is_not_told_again() -> None:
    made, _ = online()
    assert len(made.data([number(1, 1.5, T0)], T0)) == 1
    assert made.data([number(1, 1.5, T0 + 1)], T0 + 1) == []
    assert len(made.data([number(1, 1.5, T0 + 2, q.UNCERTAIN)], T0 + 2)) == 1
    [data] = made.data([number(1, 1.5, T0 + at, q.GOOD) for at in range(3, 6)], T0 + 9)
    assert len(parsed(data).metrics) == 1
    assert made.data([number(99, 1.5)], T0) == []  # not of this node


def test_what_is_older_than_what_was_told_is_historical_and_changes_nothing_that_is() -> None:
    made, _ = online()
    made.data([number(1, 1.5, T0 + SECOND_NS)], T0 + SECOND_NS)
    late = [number(1, 7.0, T0), number(1, 7.0, T0 + 2 * SECOND_NS)]
    [data] = made.data([Batch.concat(late)], T0 + 2 * SECOND_NS)
    first, second = parsed(data).metrics
    assert (first.is_historical, first.double_value, second.is_historical, second.double_value) == (
        True,
        7.0,
        False,
        7.0,
    )
    assert first.timestamp < second.timestamp


def test_bad_values_are_null_with_a_quality_and_uncertain_ones_stale() -> None:
    made, births = online()
    host = listening()
    heard(host, births)
    [data] = made.data([number(1, float("nan"), T0 + 1, q.BAD_SENSOR_FAILURE)], T0)
    [metric] = parsed(data).metrics
    assert metric.is_null and read_properties(metric.properties) == {"Quality": 0}
    value = schema.PropertySet.FromString(metric.properties).values[0]
    assert (value.type, value.int_value) == (DataType.INT32, 0)
    assert heard(host, [data])[1][1] == q.BAD_WAITING_FOR_INITIAL_DATA
    [data] = made.data([number(1, 5.0, T0 + 2, q.UNCERTAIN)], T0)
    assert heard(host, [data]) == {1: (5.0, q.UNCERTAIN_LAST_USABLE_VALUE)}


def test_a_large_call_is_cut_into_several_messages() -> None:
    metrics = [EdgeMetric(at, f"m{at}", ValueKind.FLOAT64) for at in range(1200)]
    made = EdgeNode(EdgeSettings("suzhou", "headrace"), metrics)
    made.will(T0)
    births = made.opened(T0)
    host = listening(metrics)
    heard(host, births)
    publishes = made.data([Batch.of(ValueKind.FLOAT64, np.arange(1200), T0, np.arange(1200.0))], T0)
    assert len(publishes) == 3 and len(heard(host, publishes)) == 1200
    assert {(one.topic, one.qos, one.retain) for one in publishes} == {("spBv1.0/suzhou/NDATA/headrace", 0, False)}
    assert [parsed(one).seq for one in publishes] == [1, 2, 3]
    assert {parsed(one).timestamp for one in publishes} == {T0 // MILLISECOND_NS}


def test_what_happens_while_offline_is_in_the_next_birth() -> None:
    made = node()
    made.will(T0)
    assert made.data([number(1, 1.5)], T0) == []
    births = made.opened(T0)
    assert heard(listening(), births)[1] == (1.5, q.GOOD)


# --- devices ------------------------------------------------------------------------------------------------------


def test_a_device_dies_and_comes_back() -> None:
    made, births = online()
    host = listening()
    heard(host, births)
    [death] = made.device_gone("press-3", T0 + SECOND_NS)
    assert verbs([death]) == ["DDEATH/headrace/press-3"] and (death.qos, death.retain) == (0, False)
    assert parsed(death).seq == 3 and parsed(death).HasField("timestamp")
    assert {handle for handle, (_, quality) in heard(host, [death]).items() if quality == q.BAD_NO_COMMUNICATION} == {
        1,
        2,
        5,
    }
    assert made.data([number(1, 9.0)], T0) == [] and made.device_gone("press-3", T0) == []
    [birth] = made.device_back("press-3", T0 + 2 * SECOND_NS)
    assert parsed(birth).seq == 4 and heard(host, [birth])[1] == (9.0, q.GOOD)


def test_leaving_on_purpose_says_so_first() -> None:
    made, births = online()
    host = listening()
    heard(host, births)
    [death] = made.leave(T0)
    assert verbs([death]) == ["NDEATH/headrace"] and not parsed(death).HasField("seq")
    assert len(heard(host, [death])) == len(METRICS)
    assert made.leave(T0) == [] and made.data([number(1, 3.0)], T0) == []


def test_other_metrics_mean_other_births() -> None:
    made, _ = online()
    births = made.change(METRICS[:1], [number(1, 4.0)], T0)
    assert verbs(births) == ["NBIRTH/headrace", "DBIRTH/headrace/press-3"]
    assert [metric.double_value for metric in parsed(births[1]).metrics] == [4.0]
    with pytest.raises(DataError, match="declared twice"):
        made.change([METRICS[0], METRICS[0]], [], T0)


# --- what comes ---------------------------------------------------------------------------------------------------


def ncmd(*metrics: dict[str, Any]) -> bytes:
    return payload(*metrics)


REBIRTH = {"name": "Node Control/Rebirth", "datatype": DataType.BOOLEAN, "boolean_value": True}


def test_it_subscribes_to_commands_and_to_its_primary_host() -> None:
    commands = ["spBv1.0/suzhou/NCMD/headrace", "spBv1.0/suzhou/DCMD/headrace/+"]
    assert node().filters() == commands
    assert node(primary_host="scada-1").filters() == [*commands, "spBv1.0/STATE/scada-1"]


def test_a_rebirth_request_brings_the_whole_birth_sequence_with_the_same_bdseq() -> None:
    made, births = online()
    made.data([number(1, 3.5)], T0)
    again = made.hear("spBv1.0/suzhou/NCMD/headrace", ncmd(REBIRTH), T0 + 5 * SECOND_NS).publishes
    assert verbs(again) == verbs(births) and [parsed(one).seq for one in again] == [0, 1, 2]
    assert parsed(again[0]).metrics[0].long_value == parsed(births[0]).metrics[0].long_value
    assert heard(listening(), again)[1] == (3.5, q.GOOD)
    soon = made.hear("spBv1.0/suzhou/NCMD/headrace", ncmd(REBIRTH), T0 + 5 * SECOND_NS + 1)
    assert soon.publishes == []  # it has just been told
    no = made.hear("spBv1.0/suzhou/NCMD/headrace", ncmd(REBIRTH | {"boolean_value": False}), T0 + 60 * SECOND_NS)
    assert no.publishes == []


def test_our_own_host_asks_for_a_rebirth_in_words_that_it_understands() -> None:
    made, _ = online()
    host = listening()
    decoded = host.decode([Message("e", one.topic, one.payload, T0) for one in made.data([number(1, 1.0)], T0)])
    [request] = decoded.replies
    assert request.topic in made.filters()
    assert len(made.hear(request.topic, request.payload, T0 + 5 * SECOND_NS).publishes) == 3


def test_writes_are_taken_by_alias_or_name_for_writable_metrics_only() -> None:
    made, births = online()
    alias = {metric.name: metric.alias for metric in parsed(births[1]).metrics}["setpoint"]
    topic = "spBv1.0/suzhou/DCMD/headrace/press-3"
    for metric in ({"alias": alias, "double_value": 5.5}, {"name": "setpoint", "datatype": 9, "float_value": 5.5}):
        assert made.hear(topic, ncmd(metric), T0).writes == [Write(5, 5.5)]
    minus = {"alias": alias, "datatype": DataType.INT32, "int_value": 2**32 - 5}
    assert made.hear(topic, ncmd(minus), T0).writes == [Write(5, -5.0)]
    for metric in (
        {"name": "strokes", "long_value": 1},  # read-only
        {"name": "nobody", "long_value": 1},
        {"alias": alias, "string_value": "x"},
        {"alias": alias, "is_null": True},
    ):
        assert made.hear(topic, ncmd(metric), T0).writes == []
    assert made.counts["commands that were not taken"] == 4
    assert (
        made.hear("spBv1.0/suzhou/DCMD/headrace/saw-1", ncmd({"name": "setpoint", "double_value": 1.0}), T0).writes
        == []
    )


def state(is_online: Any, timestamp: Any) -> bytes:
    return orjson.dumps({"online": is_online, "timestamp": timestamp})


STATE = "spBv1.0/STATE/scada-1"


def test_births_wait_for_the_primary_host() -> None:
    made, births = online(primary_host="scada-1")
    assert births == [] and made.data([number(1, 2.5)], T0) == []
    assert made.hear("spBv1.0/STATE/scada-2", state(True, 10), T0).publishes == []
    assert made.hear(STATE, state(False, 10), T0).publishes == []
    born = made.hear(STATE, state(True, 10), T0)
    assert verbs(born.publishes)[0] == "NBIRTH/headrace" and not born.leave
    assert made.hear(STATE, state(True, 11), T0).publishes == []
    assert heard(listening(), born.publishes)[1] == (2.5, q.GOOD)


def test_a_primary_host_that_is_gone_ends_the_session_and_old_news_do_not() -> None:
    made, _ = online(primary_host="scada-1")
    made.hear(STATE, state(True, 10), T0)
    old = made.hear(STATE, state(False, 9), T0)
    assert old.publishes == [] and not old.leave and made.online
    gone = made.hear(STATE, state(False, 10), T0)
    assert verbs(gone.publishes) == ["NDEATH/headrace"] and gone.leave and not made.online
    made.will(T0)  # another session, perhaps with another server: what its STATE says counts anew
    assert made.opened(T0) == []
    assert verbs(made.hear(STATE, state(True, 3), T0).publishes)[0] == "NBIRTH/headrace"


def test_with_other_servers_to_go_to_it_does_not_wait_where_the_host_is_offline() -> None:
    made, _ = online(primary_host="scada-1", walk=True)
    assert made.hear(STATE, state(False, 1), T0).leave
    waiting, _ = online(primary_host="scada-1")
    assert not waiting.hear(STATE, state(False, 1), T0).leave


@pytest.mark.parametrize("nonsense", [b"", b"{", b"[]", b"1", state("yes", 1), state(True, "1"), b'{"online":true}'])
def test_a_state_that_makes_no_sense_changes_nothing(nonsense: bytes) -> None:
    made, _ = online(primary_host="scada-1")
    assert made.hear(STATE, nonsense, T0).publishes == [] and made.counts["messages that make no sense"] == 1


@settings(max_examples=examples(120), deadline=None)
@given(st.text(max_size=40), st.binary(max_size=60))
def test_whatever_comes_raises_nothing(tail: str, data: bytes) -> None:
    made, _ = online(primary_host="scada-1")
    for topic in (
        tail,
        f"spBv1.0/{tail}",
        "spBv1.0/suzhou/NCMD/headrace",
        "spBv1.0/suzhou/DCMD/headrace/press-3",
        STATE,
    ):
        made.hear(topic, data, T0)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([1, 5]),
                st.floats(),
                st.integers(0, 20),
                st.sampled_from([q.GOOD, q.UNCERTAIN_LAST_USABLE_VALUE]),
            ),
            max_size=8,
        ),
        max_size=6,
    )
)
def test_our_host_ends_with_what_we_know_whatever_the_order_of_samples(
    calls: list[list[tuple[int, float, int, int]]],
) -> None:
    made, births = online()
    host = listening()
    heard(host, births)
    held: dict[int, tuple[int, float, int]] = {}
    newest: dict[int, tuple[int, float, int]] = {}
    for call in calls:
        columns = list(zip(*call, strict=True)) or [[], [], [], []]
        times = [T0 + at * SECOND_NS for at in columns[2]]
        batch = Batch.of(ValueKind.FLOAT64, columns[0], times, columns[1], np.array(columns[3], np.uint32))
        for handle, value, at, quality in sorted(call, key=lambda sample: sample[2]):
            if handle not in newest or at * SECOND_NS >= newest[handle][0]:
                newest[handle] = at * SECOND_NS, value, quality
        publishes = made.data([batch], T0)
        decoded = host.decode([Message("e", one.topic, one.payload, T0) for one in publishes])
        for handle, value, quality, time_ns in samples(decoded.batches):
            if handle not in held or time_ns - T0 >= held[handle][0]:
                held[handle] = time_ns - T0, value, quality
    same = {handle: (np.float64(value).tobytes(), quality) for handle, (_, value, quality) in held.items()}
    known = {handle: (np.float64(value).tobytes(), quality) for handle, (_, value, quality) in newest.items()}
    assert same == known
