"""The batch keeps values exactly, refuses what does not fit, and survives a trip through Arrow."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model import quality
from headrace.model.batch import Batch, BatchBuilder, ValueKind
from headrace.model.errors import DataError

VALUES = {
    ValueKind.FLOAT64: st.floats(width=64),
    ValueKind.INT64: st.integers(-(2**63), 2**63 - 1),
    ValueKind.BOOL: st.booleans(),
    ValueKind.TEXT: st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
}


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    kind = draw(st.sampled_from(ValueKind))
    values = draw(st.lists(VALUES[kind], max_size=30))
    times = draw(st.lists(st.integers(-(2**62), 2**62), min_size=len(values), max_size=len(values)))
    column = np.array(values, kind.dtype)
    return Batch.of(kind, np.arange(len(values)), np.array(times, np.int64), column, quality.GOOD)


@given(batches())
def test_arrow_round_trip_is_exact(batch: Batch) -> None:
    again = Batch.from_arrow(batch.to_arrow())
    if batch.kind is ValueKind.FLOAT64:  # NaN payloads are not promised
        nan = np.isnan(batch.values)
        assert np.array_equal(np.isnan(again.values), nan)
        assert again.take(~nan).same_as(batch.take(~nan))
    else:
        assert again.same_as(batch)


def test_int64_beyond_the_doubles_is_kept() -> None:
    batch = Batch.of(ValueKind.INT64, [1], 0, [2**53 + 1])
    assert int(batch.values[0]) == 2**53 + 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ValueKind.INT64, [1.5]),
        (ValueKind.FLOAT64, ["7"]),
        (ValueKind.BOOL, [2]),
        (ValueKind.TEXT, [7]),
        (ValueKind.FLOAT64, [1.0, 2.0]),
        (ValueKind.INT64, [2**70]),
    ],
)
def test_values_that_do_not_fit_are_refused(kind: ValueKind, values: list[object]) -> None:
    with pytest.raises(DataError):
        Batch.of(kind, [1], 0, values)


def test_a_batch_cannot_be_changed() -> None:
    batch = Batch.of(ValueKind.FLOAT64, [1], 0, [1.0])
    with pytest.raises(ValueError, match="read-only"):
        batch.values[0] = 2.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**60), st.floats(allow_nan=False))))
def test_builder_appends_what_extend_takes(rows: list[tuple[int, int, float]]) -> None:
    one, block = BatchBuilder(ValueKind.FLOAT64, 1), BatchBuilder(ValueKind.FLOAT64, 1)
    for handle, time_ns, value in rows:
        one.append(handle, time_ns, value, quality.GOOD, time_ns)
    if rows:
        handles, times, values = zip(*rows, strict=True)
        block.extend(handles, times, values, quality.GOOD, times)
    assert one.build().same_as(block.build())
    assert len(one) == 0


def test_builder_hands_its_memory_over() -> None:
    builder = BatchBuilder(ValueKind.INT64, 4)
    builder.append(1, 0, 7, quality.GOOD, 0)
    first = builder.build()
    builder.append(1, 1, 8, quality.GOOD, 1)
    assert first.values.tolist() == [7]


def test_bad_samples_name_their_quality() -> None:
    bad = Batch.bad(ValueKind.FLOAT64, [1, 2], 5, quality.BAD_TIMEOUT)
    assert all(math.isnan(value) for value in bad.values)
    assert quality.is_bad(bad.quality).all()
    assert quality.name_of(int(bad.quality[0])) == "BadTimeout"
    assert quality.severity(quality.UNCERTAIN_LAST_USABLE_VALUE) == "uncertain"
