"""JSON lines: objects, arrays of objects, columns; what is wrong is named by its line."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.ingest.plant import Kept, messages, send
from tests.properties import examples

from headrace.model import quality as q
from headrace.model.time import format_time
from headrace.sdk.services import IngestDialect, IngestReceipt
from headrace.sdk.testing.clock import START_NS

T = START_NS - 3_600_000_000_000  # an hour ago: 1779996400 s


def post(*lines: object, unit_ns: int = 1, size: int = 1 << 16) -> tuple[Kept, IngestReceipt]:
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return send(body, IngestDialect.JSON_LINES, unit_ns=unit_ns, size=size)


def test_one_sample_a_line() -> None:
    kept, receipt = post(
        {"path": "acme/p3/oil", "time": format_time(T + 1), "value": 62},
        {"path": "acme/p3/strokes", "time": T, "value": 9007199254740993, "quality": "BadTimeout"},
        {"path": "acme/p3/running", "value": False, "quality": 0x40000000},
        {"path": "acme/p3/order", "time": T, "value": "A7"},
    )
    assert receipt.details == []
    assert sorted(kept.samples) == [
        ("acme/p3/oil", T + 1, 62.0, q.GOOD),
        ("acme/p3/order", T, "A7", q.GOOD),
        ("acme/p3/running", START_NS, False, q.UNCERTAIN),
        ("acme/p3/strokes", T, 9007199254740993, q.BAD_TIMEOUT),
    ]


def test_columns_and_arrays() -> None:
    kept, receipt = post(
        [{"path": "acme/p3/oil", "time": T, "value": 1}, {"path": "acme/p3/oil", "time": T + 1, "value": 2.5}],
        {
            "path": "acme/p3/strokes",
            "time": [T, T + 1],
            "value": ["9223372036854775807", 5],
            "quality": ["good", "bad"],
        },
        {"path": "acme/p3/oil", "time": [T + 2, T + 3], "value": [None, 4], "quality": "bad"},
    )
    assert receipt.details == []
    found = {(path, time_ns - T): (value, code) for path, time_ns, value, code in kept.samples}
    assert found["acme/p3/oil", 1] == (2.5, q.GOOD)
    assert found["acme/p3/strokes", 0] == (2**63 - 1, q.GOOD)
    assert found["acme/p3/strokes", 1] == (5, q.BAD)
    value, code = found["acme/p3/oil", 2]
    assert math.isnan(value) and code == q.BAD  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"path": ', "this is not JSON"),
        ("7", "a sample is an object"),
        ({"path": "acme/p3/oil", "vaule": 1}, "'vaule' is not known"),
        ({"value": 1}, "'path' is missing"),
        ({"path": "acme/p3/oli", "value": 1}, "did you mean 'acme/p3/oil'?"),
        ({"path": "acme/p3/oil"}, "'value' is missing"),
        ({"path": "acme/p3/oil", "value": {}}, "'value' is a number"),
        ({"path": "acme/p3/strokes", "value": 1.5}, "does not fit"),
        ({"path": "acme/p3/strokes", "value": 2**63}, "64 bits"),
        ({"path": "acme/p3/oil", "value": 1, "time": "today"}, "is not an ISO 8601 time"),
        ({"path": "acme/p3/oil", "value": 1, "time": True}, "RFC 3339"),
        ({"path": "acme/p3/oil", "value": 1, "time": 2**70}, "time"),
        ({"path": "acme/p3/oil", "value": 1, "quality": "great"}, "is no quality"),
        ({"path": "acme/p3/oil", "value": [1, 2], "time": [1]}, "'time' has 1 entries, 'value' has 2"),
    ],
)
def test_a_wrong_line_is_named_and_its_neighbours_stay(line: object, why: str) -> None:
    good = {"path": "acme/p3/oil", "time": T, "value": 1}
    kept, receipt = post(good, line, {**good, "time": T + 1})
    assert why in messages(receipt)[2]
    assert len(kept.samples) == 2


def test_times_count_in_the_unit_of_the_request() -> None:
    kept, _ = post({"path": "acme/p3/oil", "time": T // 1_000_000_000, "value": 1}, unit_ns=1_000_000_000)
    assert kept.samples[0][1] == T


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["path", "time", "value", "quality", "x"]), inner, max_size=4),
                    max_leaves=8), st.integers(1, 40))  # fmt: skip
@settings(max_examples=examples(120), deadline=None)
def test_any_json_is_refused_or_taken(said: object, size: int) -> None:
    if isinstance(said, dict):
        said["path"] = "acme/p3/order"
    kept, receipt = post(said, {"path": "acme/p3/oil", "value": 7, "time": 9}, size=size)
    assert receipt.samples == len(kept.samples)
    assert ("acme/p3/oil", 9, 7.0, q.BAD_INVALID_TIMESTAMP) in kept.samples
