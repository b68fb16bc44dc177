"""Batches to bytes and back: bit for bit, and no bytes of a stranger do harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.events import Event
from headrace.model.packing import HANDLE_MAX, pack, pack_events, renumbered, unpack, unpack_events, used_handles

int64 = st.integers(-(2**63), 2**63 - 1)
VALUES = {
    ValueKind.FLOAT64: st.floats(width=64),
    ValueKind.INT64: int64,
    ValueKind.BOOL: st.booleans(),
    ValueKind.TEXT: st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
}


@st.composite
def batch(draw: st.DrawFn) -> Batch:
    kind = draw(st.sampled_from(list(ValueKind)))
    rows = draw(st.lists(st.tuples(st.integers(0, HANDLE_MAX), int64, int64, VALUES[kind], st.integers(0, 2**32 - 1)),
                         max_size=8))  # fmt: skip
    if not rows:
        return Batch.empty(kind)
    handles, source, received, values, quality = zip(*rows, strict=True)
    return Batch.of(
        kind, handles, np.array(source), np.array(values, kind.dtype), np.array(quality, np.uint32), np.array(received)
    )


@given(st.lists(batch(), max_size=4), st.integers(0, 255))
@settings(max_examples=examples(150), deadline=None)
def test_batches_come_back_bit_for_bit(batches: Sequence[Batch], flags: int) -> None:
    paths = {int(handle): f"acme/点-{handle}" for handle in used_handles(batches)}
    back = unpack(pack(batches, paths, flags))
    assert (dict(back.paths), back.flags) == (paths, flags)
    assert len(back.batches) == len(batches)
    assert all(one.same_as(other) for one, other in zip(batches, back.batches, strict=True))


@given(st.lists(batch(), min_size=1, max_size=2), st.data())
@settings(max_examples=examples(150), deadline=None)
def test_damaged_bytes_are_refused_or_mean_something(batches: Sequence[Batch], data: st.DataObject) -> None:
    raw = bytearray(pack(batches, {3: "acme/x"}))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for damaged in (bytes(raw), cut, bytes(raw) + b"\0"):
        try:
            unpack(damaged)
        except DataError:
            continue


@given(st.binary(max_size=100))
@settings(max_examples=examples(150), deadline=None)
def test_any_bytes_are_refused(raw: bytes) -> None:
    for said in (raw, b"HB\x01\0" + raw):
        try:
            unpack(said)
        except DataError:
            continue
    try:
        unpack_events(raw)
    except DataError:
        pass


def test_a_count_that_is_only_claimed_costs_nothing() -> None:
    with pytest.raises(DataError, match="claims 4294967295 entries"):
        unpack(b"HB\x01\0" + b"\xff\xff\xff\xff")
    with pytest.raises(DataError, match="claims 4294967295 samples"):
        unpack(b"HB\x01\0" + b"\0\0\0\0" + b"\x01\0\0\0" + b"\x01\xff\xff\xff\xff")


def test_other_handles_and_points_that_nobody_knows_here() -> None:
    one = Batch.of(ValueKind.INT64, [0, 1, 2, 9], [1, 2, 3, 4], [10, 11, 12, 13])
    mine = renumbered(one, np.array([7, -1, 5], np.int64))
    assert (mine.handles.tolist(), mine.values.tolist()) == ([7, 5], [10, 12])


def test_events_come_back() -> None:
    events = [Event("1", "connect", "connection.lost", "plc", 2**62, {"error": "no", "n": 2**60, "x": [1.5, None]})]
    assert unpack_events(pack_events(events)) == events
    for wrong in (b"[]x", b"{}", b"[[1]]", b'[["1","a","b","c","now",{}]]', b'[["1","a","b","c",1,[]]]', b"7"):
        with pytest.raises(DataError):
            unpack_events(wrong)
