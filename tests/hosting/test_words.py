"""Frames and words between the platform and an app: what comes back is equal; a stranger's bytes are a DataError."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.hosting.words import LENGTH, Frames, heard_error, pack, told_error, unpack
from headrace.model.alarms import AlarmClass, AlarmCondition, AlarmRule, AlarmState, Priority, Rationale
from headrace.model.assets import Asset, Level
from headrace.model.batch import Batch, ValueKind
from headrace.model.commands import Command, CommandState
from headrace.model.errors import ConfigError, ConfigErrors, DataError, HeadraceError, LimitReached, NotFound
from headrace.model.events import Event
from headrace.model.points import Access, Point, Range
from headrace.sdk import columns_wire
from headrace.sdk.apps import Answer, Document, Reply, Resolved, Rows, Samples, Signature, Statement
from headrace.sdk.services import AlarmRecord
from headrace.sdk.store import Aggregate, Buckets

CELLS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(max_size=40)
VALUES = st.recursive(
    CELLS | st.booleans(),
    lambda one: st.lists(one, max_size=4) | st.tuples(one, one)
    | st.dictionaries(st.text(max_size=5) | st.integers() | st.just("@"), one, max_size=4),
    max_leaves=15,
)  # fmt: skip


def through(value: Any, *, from_app: bool = False) -> Any:
    (frame,) = Frames().feed(pack({"body": value}))
    return unpack(frame, from_app=from_app)["body"]


@given(VALUES)
def test_plain_values_come_back_equal(value: Any) -> None:
    found = through(value, from_app=True)
    assert found == value and type(found) is type(value)


RULE = AlarmRule(
    "a/b:hot", "a/b", AlarmCondition.HIGH, 1.5, priority=Priority.LOW, message={"en": "Hot", "zh": "热"},
    handling=AlarmClass("x", comment=True), rationale=Rationale(cause={"en": "why"}),
)  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        Asset("a/b", Level.LINE, {"zh": "线"}, attributes={"k": "v"}, feeds=("a/c",)),
        Point("a/b", ValueKind.TEXT, "Cel", Range(0, 1), Access.READ_WRITE, decimals=2),
        AlarmRecord(RULE, AlarmState.SHELVED, None, 5, quiet_by="anna"),
        Command("1", "a/b", True, "app:x", "why", 1, 2, CommandState.CONFIRMED, read_back=True),
        Event("1", "s", "alarm.raised", "a/b", 1, {"a": [1, {"b": None}]}),
        Document("a", "text/plain", 1, "ff", 2), Resolved("x", "a/b", {"v": 1}), Answer(200, {"a": "b"}, b"\0\xff"),
        Rows(("a", "b"), [(1, b"x"), (None, "丙")]), Rows((), []), Rows(("a",), []),
        Signature("aa", "bb", 3), Statement("SELECT ?", (1,), None), Reply(b"x", "text/plain", 201, "a.txt"),
        [Aggregate.MEAN, ValueKind.BOOL], {1: "a", "@": 2},
    ],
)  # fmt: skip
def test_words_of_the_platform_come_back_equal(value: Any) -> None:
    assert through(value) == value


@pytest.mark.parametrize("kind", list(ValueKind))
def test_batches_come_back_bit_for_bit(kind: ValueKind) -> None:
    values = {
        ValueKind.FLOAT64: [0.1, float("nan"), -0.0], ValueKind.INT64: [2**63 - 1, -(2**63), 0],
        ValueKind.BOOL: [True, False, True], ValueKind.TEXT: ["", "压机 3", "a" * 1000],
    }[kind]  # fmt: skip
    batch = Batch.of(kind, [3, 1, 2], [1, 2, 3], np.array(values, kind.dtype), [0, 2**31, 5], [7, 8, 9])
    found = through(Samples([batch, Batch.empty(kind)], {3: "c", 1: "a", 2: "b"}))
    assert found.paths == {3: "c", 1: "a", 2: "b"}
    assert found.batches[0].same_as(batch) and len(found.batches[1]) == 0


def test_buckets_come_back() -> None:
    made = Buckets(np.arange(2, dtype=np.uint32), np.array([1, 2]), 5, {Aggregate.MEAN: np.array([[1.0, 2.0], [3, 4]])})
    found = through(made)
    assert found.columns[Aggregate.MEAN].tolist() == [[1.0, 2.0], [3.0, 4.0]] and found.width_ns == 5


@pytest.mark.parametrize("word", [Event("1", "s", "t", "a", 1), Asset("a"), Aggregate.MEAN, Rows(("a",), [(1,)])])
def test_an_app_has_no_words_of_the_platform(word: Any) -> None:
    if isinstance(word, Rows):  # a list of cells, and no more
        assert through(word, from_app=True) == word
        return
    with pytest.raises(DataError):
        through(word, from_app=True)


@pytest.mark.parametrize(
    "error",
    [NotFound("no"), LimitReached("much"), ConfigError("bad", file="a", line=2), ConfigErrors([ConfigError("x")])],
)
def test_errors_come_back_as_what_they_are(error: HeadraceError) -> None:
    found = heard_error(told_error(error))
    assert str(found) == str(error) and isinstance(error, type(found))


def test_an_exception_that_is_none_of_ours_is_a_data_error() -> None:
    assert str(heard_error(told_error(ZeroDivisionError("division")))) == "ZeroDivisionError: division"
    for told in (None, [], ["NotFound"], ["NotFound", 1], {"a": 1}, [1, 2]):
        with pytest.raises(DataError):
            heard_error(told)
            raise AssertionError
    assert type(heard_error(["SystemExit", "x"])) is DataError


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 7))
def test_frames_are_found_however_they_are_cut(bodies: list[bytes], width: int) -> None:
    data = b"".join(LENGTH.pack(len(one)) + one for one in bodies)
    frames, found = Frames(100), []
    for at in range(0, len(data), width):
        found += frames.feed(data[at : at + width])
    assert found == bodies


def test_a_frame_that_says_it_is_too_long_is_refused_before_it_comes() -> None:
    with pytest.raises(DataError):
        Frames(100).feed(LENGTH.pack(101))
    with pytest.raises(LimitReached):
        pack({"body": bytes(49 * 1024 * 1024)})


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError):
        unpack(data, from_app=True)


TAGGED = st.recursive(
    CELLS.filter(lambda one: not isinstance(one, bytes)),
    lambda one: st.lists(one, max_size=3) | st.fixed_dictionaries({
        "@": st.tuples(st.sampled_from(
            ["tuple", "bytes", "array", "dict", "batch", "rows", "Statement", "Reply", "Signature", "Event", "x"]
        ), one).map(list)
    }),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=examples(500))
@given(TAGGED, st.dictionaries(st.sampled_from("0123"), st.lists(st.integers(0, 255), max_size=4), max_size=3))
def test_a_strangers_tags_are_a_value_or_a_data_error(value: Any, columns: dict[str, list[int]]) -> None:
    arrays = {name: np.array(column, np.uint8) for name, column in columns.items()}
    data = columns_wire.encode({"body": value}, arrays)
    try:
        unpack(data, from_app=True)
    except DataError:
        pass


def test_what_would_grow_in_memory_is_refused() -> None:
    often = columns_wire.encode({"body": [{"@": ["bytes", "0"]}] * 2}, {"0": np.zeros(8, np.uint8)})
    with pytest.raises(DataError):
        unpack(often, from_app=True)
    many = pack({"body": "x" * 9_000_000})[LENGTH.size :]
    with pytest.raises(DataError):
        unpack(many, from_app=True)
    assert len(unpack(many, from_app=False)["body"]) == 9_000_000
    with pytest.raises(LimitReached):
        pack({"body": "x" * 9_000_000}, from_app=True)


def test_a_deep_nest_is_a_data_error() -> None:
    body = b'{"document":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b'},"columns":[]}'
    rest = struct.pack("<Q", len(body)) + body
    with pytest.raises(DataError):
        unpack(struct.pack("<8sI", columns_wire.MAGIC, zlib.crc32(rest)) + rest, from_app=True)
