"""The codec against asyncua as the oracle, and against bytes that nobody should send."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.connect.drivers.opcua import codec
from headrace.model.errors import Garbled

V = ua.VariantType
_INTS = {V.SByte: 8, V.Int16: 16, V.Int32: 32, V.Int64: 64}
_UINTS = {V.Byte: 8, V.UInt16: 16, V.UInt32: 32, V.UInt64: 64}
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    V.Boolean: st.booleans(),
    **{kind: st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for kind, bits in _INTS.items()},
    **{kind: st.integers(0, 2**bits - 1) for kind, bits in _UINTS.items()},
    V.Float: st.floats(width=32),
    V.Double: st.floats(),
    V.String: texts,
    V.DateTime: moments,
    V.StatusCode: st.integers(0, 2**32 - 1).map(ua.StatusCode),
    V.LocalizedText: st.builds(ua.LocalizedText, texts, st.sampled_from(["en", "zh", None])),
    V.ByteString: st.binary(max_size=20),
    V.Guid: st.uuids(),
    V.NodeId: st.one_of(
        st.builds(ua.NodeId, st.integers(0, 2**32 - 1), st.integers(0, 500)),
        st.builds(ua.NodeId, texts, st.integers(0, 500)),
    ),
    V.QualifiedName: st.builds(ua.QualifiedName, texts, st.integers(0, 9)),
    V.ExtensionObject: st.builds(ua.Argument, texts),
    V.Variant: st.builds(lambda value: ua.Variant(value, V.Double), st.floats()),
}


@st.composite
def variants(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(sorted(SCALARS)))
    if draw(st.booleans()):
        return ua.Variant(draw(SCALARS[kind]), kind)
    values = draw(st.lists(SCALARS[kind], max_size=4))
    if len(values) == 4 and draw(st.booleans()):
        return ua.Variant([values[:2], values[2:]], kind, Dimensions=[2, 2], is_array=True)
    return ua.Variant(values, kind, is_array=True)


@st.composite
def data_values(draw: st.DrawFn) -> Any:
    """Without picoseconds: asyncua puts them in another place than the standard and other vendors do."""
    value = draw(st.one_of(st.none(), variants()))
    status = draw(st.one_of(st.none(), st.sampled_from([0, 0x80340000, 0x408F0000, 0x480]).map(ua.StatusCode)))
    made = ua.DataValue(value, status, draw(st.one_of(st.none(), moments)), draw(st.one_of(st.none(), moments)))
    if value is None:
        made.Value = None
    return made


def publish_bytes(items: list[tuple[int, Any]], *, sequence: int = 7) -> bytes:
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 99
    response.Parameters.AvailableSequenceNumbers = [sequence]
    response.Parameters.NotificationMessage.SequenceNumber = sequence
    change = ua.DataChangeNotification()
    change.MonitoredItems = [ua.MonitoredItemNotification(key, value) for key, value in items]
    response.Parameters.NotificationMessage.NotificationData = [change]
    return struct_to_binary(response)


def flatten(items: codec.Items) -> list[tuple[int, int, bool, Any, int, int, int]]:
    """(key, type, array?, value, status, source, server) in order; sample by sample, as only a test may."""
    rows: dict[int, Any] = {}
    for block in items.blocks:
        columns = (block.order, block.key, block.values, block.status, block.source_ticks, block.server_ticks)
        for order, key, value, status, source, server in zip(*(column.tolist() for column in columns), strict=True):
            rows[order] = (key, block.type_id, False, value, status, source, server)
    for odd in items.odds:
        value = odd.value.tolist() if isinstance(odd.value, np.ndarray) else odd.value
        rows[odd.order] = (odd.key, odd.type_id, odd.is_array, value, odd.status, odd.source_ticks, odd.server_ticks)
    return [rows[order] for order in range(items.count)]


def ticks(moment: datetime | None) -> int:
    return 0 if moment is None else (moment - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10


def plain(value: Any, kind: Any) -> Any:
    """What the codec is meant to give for a value of asyncua's."""
    if isinstance(value, list):
        flat = list(ua.flatten(value))
        return [plain(one, kind) for one in flat] if plain_types(kind) else None
    if kind == V.DateTime:
        return ticks(value)
    if kind == V.StatusCode:
        return value.value
    if kind == V.LocalizedText:
        return value.Text or ""
    if kind == V.String:
        return value
    return value if plain_types(kind) else None


def plain_types(kind: Any) -> bool:
    return int(kind) in codec.WIRE_DTYPES or kind in (V.String, V.LocalizedText)


def expected(key: int, value: Any) -> tuple[int, int, bool, Any, int, int, int]:
    variant = value.Value
    status = value.StatusCode.value if value.StatusCode is not None else 0
    times = (ticks(value.SourceTimestamp), ticks(value.ServerTimestamp))
    if variant is None:
        return (key, codec.NULL, False, None, status, *times)
    kind = variant.VariantType
    return (key, int(kind), bool(variant.is_array), plain(variant.Value, kind), status, *times)


def alike(left: Any, right: Any) -> bool:
    """Equal, NaN too; a Boolean comes as 0 or 1."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(alike(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), data_values()), max_size=30))
@settings(max_examples=examples(150), deadline=None)
def test_a_publish_response_is_what_asyncua_meant(items: list[tuple[int, Any]]) -> None:
    published = codec.decode_publish(publish_bytes(items))
    assert (published.subscription, published.sequence, published.status) == (99, 7, None)
    (decoded,) = published.items
    for got, want in zip(flatten(decoded), [expected(*item) for item in items], strict=True):
        assert alike(got, want), (got, want)


@given(st.lists(data_values(), max_size=20))
@settings(max_examples=examples(60), deadline=None)
def test_a_read_response_is_what_asyncua_meant(values: list[Any]) -> None:
    response = ua.ReadResponse()
    response.Results = values
    keys = np.arange(100, 100 + len(values), dtype=np.uint32)
    decoded = codec.decode_read(struct_to_binary(response), keys)
    for got, want in zip(flatten(decoded), [expected(100 + at, one) for at, one in enumerate(values)], strict=True):
        assert alike(got, want), (got, want)


def test_picoseconds_stand_behind_their_own_timestamp() -> None:
    """OPC 10000-6 §5.2.2.17, table 26. asyncua reads and writes them behind both; this is by hand."""
    full = struct.pack("<IBBdIqHqH", 5, 0x3F, codec.DOUBLE, 1.5, 0x408F0000, 111, 222, 333, 444)
    short = struct.pack("<IBBi", 6, 0x01, codec.INT32, -4)
    body = publish_bytes([(1, ua.DataValue(ua.Variant(True, V.Boolean), None))])
    old = struct.pack("<IBBB", 1, 0x01, codec.BOOLEAN, 1)
    at = body.index(struct.pack("<ii", len(old) + 8, 1))
    patched = body[:at] + struct.pack("<ii", len(full + short) + 8, 2) + full + short + body[at + 8 + len(old) :]
    (items,) = codec.decode_publish(patched).items
    assert flatten(items) == [(5, codec.DOUBLE, False, 1.5, 0x408F0000, 111, 333), (6, codec.INT32, False, -4, 0, 0, 0)]


def test_a_keep_alive_has_no_sequence_to_acknowledge() -> None:
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 3
    response.Parameters.NotificationMessage.SequenceNumber = 8
    published = codec.decode_publish(struct_to_binary(response))
    assert (published.subscription, published.sequence, published.items) == (3, 0, [])


def test_a_status_change_is_told() -> None:
    response = ua.PublishResponse()
    response.Parameters.NotificationMessage.NotificationData = [
        ua.StatusChangeNotification(ua.StatusCode(ua.StatusCodes.BadTimeout))
    ]
    assert codec.decode_publish(struct_to_binary(response)).status == ua.StatusCodes.BadTimeout


def test_a_structure_that_nobody_knows_is_stepped_over() -> None:
    strange = ua.ExtensionObject(TypeId=ua.NodeId(4711, 3), Body=b"anything")
    items = [(1, ua.DataValue(ua.Variant(strange, V.ExtensionObject))), (2, ua.DataValue(ua.Variant(1.0, V.Double)))]
    (decoded,) = codec.decode_publish(publish_bytes(items)).items
    assert [row[:4] for row in flatten(decoded)] == [
        (1, codec.EXTENSION_OBJECT, False, None),
        (2, codec.DOUBLE, False, 1.0),
    ]


def test_text_that_is_not_utf_8_is_one_missing_value() -> None:
    good = publish_bytes(
        [(1, ua.DataValue(ua.Variant("abc", V.String))), (2, ua.DataValue(ua.Variant("ok", V.String)))]
    )
    (items,) = codec.decode_publish(good.replace(b"abc", b"\xffbc")).items
    assert [odd.value for odd in items.odds] == [None, "ok"]


@given(st.binary(max_size=200))
@pytest.mark.clause("62443-3-3 SR 3.5")
def test_arbitrary_bytes_raise_only_garbled(body: bytes) -> None:
    for decode in (codec.decode_publish, lambda raw: codec.decode_read(raw, np.arange(2, dtype=np.uint32))):
        try:
            decode(body)
        except Garbled:
            pass


@given(st.lists(st.tuples(st.integers(0, 50), data_values()), min_size=1, max_size=8), st.data())
@settings(max_examples=examples(150), deadline=None)
def test_broken_responses_raise_only_garbled(items: list[tuple[int, Any]], data: st.DataObject) -> None:
    body = bytearray(publish_bytes(items))
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        codec.decode_publish(bytes(body[:cut]))
    except Garbled:
        pass


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
def test_a_claim_of_two_billion_elements_is_not_believed() -> None:
    body = publish_bytes([(1, ua.DataValue(ua.Variant([1.0], V.Double, is_array=True)))])
    at = body.index(struct.pack("<id", 1, 1.0))
    with pytest.raises(Garbled):
        codec.decode_publish(body[:at] + struct.pack("<i", 2**31 - 1) + body[at + 4 :])
