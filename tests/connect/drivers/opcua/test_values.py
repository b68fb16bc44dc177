"""Conversions lose nothing, faults stay with their sample, and one node may feed many points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connect.drivers.opcua import codec
from headrace.connect.drivers.opcua.codec import Block, Items, Odd
from headrace.connect.drivers.opcua.config import Address
from headrace.connect.drivers.opcua.nodes import Nodes
from headrace.connect.drivers.opcua.values import BAD_INDEX_RANGE_NO_DATA, PointTable, convert, fit
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import DataError, Garbled
from headrace.sdk.driver import PointBinding

F64, I64, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
NOW_NS = 1_780_000_000_000_000_000
TICKS_1970 = 116_444_736_000_000_000


def point(handle: int, kind: ValueKind, node: str = "i=1", index: int | None = None) -> PointBinding:
    return PointBinding(handle, f"p{handle}", kind, Address(node=node, index=index), 10**9)


def block(type_id: int, values: list[Any], keys: list[int] | None = None, status: int = 0, ticks: int = 0) -> Items:
    count = len(values)
    wire = np.array(values, codec.WIRE_DTYPES[type_id])
    places = np.arange(count, dtype=np.int64)
    key = np.array(keys if keys is not None else [0] * count, np.uint32)
    columns = (np.full(count, status, np.uint32), np.full(count, ticks, np.int64), np.zeros(count, np.int64))
    return Items(count, [Block(type_id, places, key, wire, *columns)])


def one(batches: list[Batch]) -> tuple[Any, int]:
    (batch,) = batches
    (value,), (quality,) = batch.values.tolist(), batch.quality.tolist()
    return value, quality


EXACT: list[tuple[int, Any, ValueKind, Any]] = [
    (codec.BOOLEAN, 1, BOOL, True),
    (codec.BOOLEAN, 255, BOOL, True),
    (codec.BOOLEAN, 1, I64, 1),
    (codec.SBYTE, -128, I64, -128),
    (codec.UINT32, 2**32 - 1, I64, 2**32 - 1),
    (codec.UINT64, 2**63 - 1, I64, 2**63 - 1),
    (codec.INT64, -(2**63), I64, -(2**63)),
    (codec.INT64, 2**53, F64, 2.0**53),
    (codec.INT64, -(2**63), F64, -(2.0**63)),
    (codec.UINT64, 2**63, F64, 2.0**63),
    (codec.INT32, 1, BOOL, True),
    (codec.FLOAT, np.float32(0.1), F64, float(np.float32(0.1))),
    (codec.DOUBLE, -0.0, F64, -0.0),
    (codec.DOUBLE, 7.0, I64, 7),
    (codec.DATETIME, TICKS_1970 + 1, I64, 100),
    (codec.DATETIME, TICKS_1970 + 15_000_000, TEXT, "1970-01-01T00:00:01.5Z"),
    (codec.STATUS_CODE, 0x80340000, I64, 0x80340000),
]


@pytest.mark.parametrize(("type_id", "value", "kind", "wanted"), EXACT)
def test_what_can_be_held_exactly_is(type_id: int, value: Any, kind: ValueKind, wanted: Value) -> None:
    got, quality = one(PointTable([[point(1, kind)]]).batches([block(type_id, [value])], NOW_NS))
    assert (got, quality, type(got)) == (wanted, q.GOOD, type(wanted))
    assert math.copysign(1, got) == math.copysign(1, wanted) if isinstance(got, float) else True


LOSSY: list[tuple[int, Any, ValueKind, int]] = [
    (codec.UINT64, 2**63, I64, q.BAD_OUT_OF_RANGE),
    (codec.INT64, 2**53 + 1, F64, q.BAD_TYPE_MISMATCH),
    (codec.INT64, 2**63 - 1, F64, q.BAD_TYPE_MISMATCH),
    (codec.UINT64, 2**64 - 1, F64, q.BAD_TYPE_MISMATCH),
    (codec.INT16, 2, BOOL, q.BAD_TYPE_MISMATCH),
    (codec.INT16, 2, TEXT, q.BAD_TYPE_MISMATCH),
    (codec.DOUBLE, 7.5, I64, q.BAD_TYPE_MISMATCH),
    (codec.DOUBLE, math.nan, I64, q.BAD_TYPE_MISMATCH),
    (codec.DOUBLE, 2.0**63, I64, q.BAD_TYPE_MISMATCH),
    (codec.DOUBLE, 1.0, BOOL, q.BAD_TYPE_MISMATCH),
    (codec.DATETIME, 2**62, I64, q.BAD_OUT_OF_RANGE),
    (codec.DATETIME, TICKS_1970, F64, q.BAD_TYPE_MISMATCH),
]


@pytest.mark.parametrize(("type_id", "value", "kind", "fault"), LOSSY)
def test_what_cannot_is_a_bad_sample_with_a_blank(type_id: int, value: Any, kind: ValueKind, fault: int) -> None:
    got, quality = one(PointTable([[point(1, kind)]]).batches([block(type_id, [value])], NOW_NS))
    assert quality == fault
    assert math.isnan(got) if kind is F64 else not got


@given(st.sampled_from([codec.INT64, codec.UINT64, codec.INT32, codec.BYTE, codec.DOUBLE, codec.FLOAT]), st.data())
def test_a_conversion_is_exact_or_a_fault(type_id: int, data: st.DataObject) -> None:
    dtype = np.dtype(codec.WIRE_DTYPES[type_id])
    if dtype.kind == "f":
        raw: Any = data.draw(st.floats(width=32 if dtype.itemsize == 4 else 64))
    else:
        span = np.iinfo(dtype)
        edges = [edge for edge in (0, 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, int(span.max)) if edge <= span.max]
        raw = data.draw(st.one_of(st.integers(int(span.min), int(span.max)), st.sampled_from(edges)))
    for kind in ValueKind:
        column, faults = convert(np.array([raw], dtype), type_id, kind)
        if column is not None and faults is not None and faults[0] == 0:
            held = column.tolist()[0]
            assert held == raw or (held != held and raw != raw), (held, raw)


def test_the_rest_goes_on_when_one_server_value_has_another_type() -> None:
    table = PointTable([[point(1, F64)], [point(2, F64)], [point(3, F64)]])
    lying = Items(3, [*block(codec.DOUBLE, [1.0, 3.0], [0, 2]).blocks], [Odd(2, 1, codec.STRING, False, "x", 0, 0, 0)])
    (batch,) = table.batches([lying], NOW_NS)
    assert dict(zip(batch.handles.tolist(), batch.quality.tolist(), strict=True)) == {
        1: q.GOOD,
        2: q.BAD_TYPE_MISMATCH,
        3: q.GOOD,
    }


def test_samples_stay_in_the_order_of_the_response_across_shapes() -> None:
    items = block(codec.DOUBLE, [1.0, 3.0])
    items.count, items.blocks[0].order = 3, np.array([0, 2], np.int64)
    items.odds = [Odd(1, 0, codec.NULL, False, None, 0x80310000, 0, 0)]
    (batch,) = PointTable([[point(1, F64)]]).batches([items], NOW_NS)
    assert batch.quality.tolist() == [q.GOOD, q.BAD_NO_COMMUNICATION, q.GOOD]
    assert batch.values.tolist()[::2] == [1.0, 3.0]


def test_one_array_feeds_a_point_for_each_of_its_elements() -> None:
    table = Nodes([point(1, F64, index=0), point(2, I64, index=2), point(3, F64, index=9), point(4, F64)]).table
    items = Items(1, odds=[Odd(0, 0, codec.DOUBLE, True, np.array([1.5, 2.5, 4.0]), 0, TICKS_1970 + 10, 0)])
    held = {
        handle: (value, quality, source)
        for batch in table.batches([items], NOW_NS)
        for handle, value, quality, source in zip(
            batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), batch.source_ns.tolist(), strict=True
        )
    }
    assert held[1] == (1.5, q.GOOD, 1000)
    assert held[2] == (4, q.GOOD, 1000)
    assert held[3][1] == BAD_INDEX_RANGE_NO_DATA
    assert held[4][1] == q.BAD_TYPE_MISMATCH


def test_two_points_of_one_node_both_get_its_value() -> None:
    table = Nodes([point(1, F64), point(2, I64), point(3, F64, "i=2")]).table
    batches = table.batches([block(codec.INT16, [7, 8], [0, 1])], NOW_NS)
    held = {h: v for batch in batches for h, v in zip(batch.handles.tolist(), batch.values.tolist(), strict=True)}
    assert held == {1: 7.0, 2: 7, 3: 8.0}


def test_the_status_of_the_server_is_the_quality() -> None:
    assert one(PointTable([[point(1, F64)]]).batches([block(codec.DOUBLE, [1.0], status=0x408F0480)], NOW_NS)) == (
        1.0,
        0x408F0480,
    )


def test_a_good_null_is_a_value_that_has_yet_to_come() -> None:
    null = Items(1, odds=[Odd(0, 0, codec.NULL, False, None, 0, 0, 0)])
    assert one(PointTable([[point(1, I64)]]).batches([null], NOW_NS)) == (0, q.BAD_WAITING_FOR_INITIAL_DATA)


def test_times_fall_back_from_source_to_server_to_ours() -> None:
    table = PointTable([[point(1, F64)]])
    items = block(codec.DOUBLE, [1.0, 2.0, 3.0])
    items.blocks[0].source_ticks = np.array([TICKS_1970 + 1, 0, 0], np.int64)
    items.blocks[0].server_ticks = np.array([TICKS_1970 + 9, TICKS_1970 + 2, 0], np.int64)
    (batch,) = table.batches([items], NOW_NS)
    assert batch.source_ns.tolist() == [100, 200, NOW_NS]
    assert set(batch.received_ns.tolist()) == {NOW_NS}


def test_text_that_is_too_long_or_no_text_is_flagged() -> None:
    table = PointTable([[point(1, TEXT)]])
    odds = [Odd(at, 0, codec.STRING, False, text, 0, 0, 0) for at, text in enumerate(["x" * 65_537, None, "油"])]
    (batch,) = table.batches([Items(3, odds=odds)], NOW_NS)
    assert batch.quality.tolist() == [q.BAD_OUT_OF_RANGE, q.BAD_DECODING_ERROR, q.GOOD]
    assert batch.values.tolist() == ["", "", "油"]


def test_a_value_that_nobody_asked_for_ends_the_session() -> None:
    with pytest.raises(Garbled):
        PointTable([[point(1, F64)]]).batches([block(codec.DOUBLE, [1.0], [1])], NOW_NS)


@pytest.mark.parametrize(
    ("value", "type_id", "wanted"),
    [
        (1, codec.BOOLEAN, True),
        (5.0, codec.INT16, 5),
        (True, codec.BYTE, 1),
        (7, codec.FLOAT, 7.0),
        ("x", codec.STRING, "x"),
    ],
)
def test_a_value_that_fits_is_written_as_the_node_holds_it(value: Value, type_id: int, wanted: Value) -> None:
    got = fit(value, type_id)
    assert (got, type(got)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("value", "type_id"),
    [
        (2, codec.BOOLEAN), ("on", codec.BOOLEAN), (256, codec.BYTE), (-1, codec.UINT64), (1.5, codec.INT32),
        (math.nan, codec.INT32), (math.inf, codec.INT64), (1e39, codec.FLOAT), (2**53 + 1, codec.DOUBLE),
        (1.0, codec.STRING), ("1", codec.DOUBLE), (1.0, codec.GUID), (math.nan, codec.DATETIME), (1, codec.DATETIME),
        (2**53 + 1, codec.FLOAT),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_a_data_error(value: Value, type_id: int) -> None:
    with pytest.raises(DataError):
        fit(value, type_id)
