"""Documents and columns as bytes: what comes back is what was given, and nonsense is refused as such."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.properties import examples

from headrace.model.errors import DataError
from headrace.sdk.columns_wire import MAGIC, decode, encode

DTYPES = st.sampled_from([np.dtype(one) for one in ("<i8", "<i4", "<u4", "<f8", "<f4", "|u1", "|b1", "|i1", "<u2")])
COLUMNS = st.dictionaries(
    st.text(max_size=8), DTYPES.flatmap(lambda one: arrays(one, array_shapes(min_dims=0, max_dims=3, min_side=0))),
    max_size=4,
)  # fmt: skip
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=8), one, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text(max_size=8), PLAIN, max_size=5)


@given(DOCUMENTS, COLUMNS)
def test_what_was_given_comes_back(document: dict[str, Any], columns: dict[str, Any]) -> None:
    found, held = decode(encode(document, columns))
    assert found == document
    assert held.keys() == columns.keys()
    for name, column in columns.items():
        assert held[name].dtype == column.dtype and held[name].shape == column.shape
        assert held[name].tobytes() == column.tobytes()


@given(DTYPES.flatmap(lambda one: arrays(one, array_shapes(min_dims=0, max_dims=2, min_side=0))))
def test_so_does_an_array_within_a_document(array: Any) -> None:
    found = decode(encode({"a": [array]}, {}))[0]["a"][0]
    assert found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()
    assert found.flags.writeable


def test_big_endian_numbers_keep_their_values() -> None:
    _, held = decode(encode({}, {"a": np.array([1, 2, 3], ">i4")}))
    assert held["a"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("value", [(1, 2), {1}, {1: 2}, {"\0array": 1}, object()])
def test_what_would_come_back_as_something_else_is_not_taken(value: Any) -> None:
    with pytest.raises(TypeError):
        encode({"a": value}, {})


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError):
        decode(data)


def framed(head: bytes, rest: bytes = b"") -> bytes:
    body = struct.pack("<Q", len(head)) + head + rest
    return struct.pack("<8sI", MAGIC, zlib.crc32(body)) + body


@pytest.mark.parametrize(
    "head",
    [
        b"", b"[]", b"{}", b"1", b'{"document":[],"columns":[]}', b'{"document":{},"columns":1}',
        b'{"document":{},"columns":[["a","<i8",[-1]]]}', b'{"document":{},"columns":[["a","<i8",[1e3]]]}',
        b'{"document":{},"columns":[["a","<i8",[9999999999999999999999]]]}',
        b'{"document":{},"columns":[["a","O",[1]]]}',
        b'{"document":{},"columns":[["a","<i8",[1048576,1048576]]]}', b'{"document":{},"columns":[[1,"<i8",[0]]]}',
        b'{"document":{},"columns":[["a","<f16",[1]]]}', b'{"document":{"\\u0000array":1},"columns":[]}',
        b'{"document":{"\\u0000array":["<i8",[2],"AAAA"]},"columns":[]}', b'{"document":' + b"[" * 200_000 + b"}",
        b'{"document":{},"columns":[["a","<i8",[true]]]}', b'\xff\xfe', b'{"document":{},"columns":[null]}',
    ],
)  # fmt: skip
def test_heads_that_lie_are_a_data_error(head: bytes) -> None:
    with pytest.raises(DataError):
        decode(framed(head, bytes(16)))


@settings(max_examples=examples(300))
@given(DOCUMENTS, COLUMNS, st.data())
def test_a_changed_body_with_a_right_checksum_raises_nothing_else(document: Any, columns: Any, data: Any) -> None:
    body = bytearray(encode(document, columns)[12:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(struct.pack("<8sI", MAGIC, zlib.crc32(body)) + body)
    except DataError:
        pass


def test_an_error_says_of_what() -> None:
    with pytest.raises(DataError, match="the tape is damaged"):
        decode(b"x" * 40, "the tape")
