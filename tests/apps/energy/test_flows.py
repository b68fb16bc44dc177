"""A flow is cut anywhere without loss, and what is unknown stays unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import T0, flow

from headrace.apps.energy.completeness import Total, together
from headrace.apps.energy.completeness import given as document
from headrace.apps.energy.flows import BRIDGED, Flow, combine, empty, settled
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, MINUTE_NS

AMOUNTS = st.lists(st.one_of(st.floats(0, 1e6), st.just(math.nan)), min_size=1, max_size=40)


def test_a_span_within_a_stretch_has_its_share() -> None:
    spread = flow([60.0]).between([T0 + 15_000_000_000], [T0 + 45_000_000_000])
    assert spread.amount.tolist() == [30.0]
    assert spread.measured_ns.tolist() == [30_000_000_000]


def test_a_gap_is_no_zero() -> None:
    total = flow([1.0, math.nan, 2.0]).total(T0, T0 + 3 * MINUTE_NS)
    assert (total.value, total.completeness, total.missing) == (3.0, pytest.approx(2 / 3), ("m",))
    alone = flow([1.0, math.nan, 2.0]).total(T0 + MINUTE_NS, T0 + 2 * MINUTE_NS)
    assert alone.value is None and alone.completeness == 0.0


def test_a_bridged_stretch_is_in_the_value_and_not_in_the_completeness() -> None:
    one = Flow("m", "kW.h", np.array([T0]), np.array([T0 + HOUR_NS]), np.array([5.0]), np.array([BRIDGED], np.uint8))
    total = one.total(T0, T0 + HOUR_NS)
    assert (total.value, total.completeness, total.covered, total.missing) == (5.0, 0.0, 1.0, ())


@given(AMOUNTS, st.lists(st.integers(-5, 45 * 60), min_size=2, max_size=20, unique=True))
def test_cutting_loses_nothing(amounts: list[float], cuts: list[int]) -> None:
    told = flow(amounts)
    edges = np.array(sorted(cuts), np.int64) * 1_000_000_000 + T0
    spread = told.over(edges)
    whole = told.between(edges[:1], edges[-1:])
    assert math.fsum(spread.amount) == pytest.approx(whole.amount[0], rel=1e-12, abs=1e-9)
    assert spread.measured_ns.sum() == whole.measured_ns[0]
    assert (spread.measured_ns + spread.bridged_ns <= np.diff(edges)).all()


@given(AMOUNTS, st.integers(0, 2400), st.integers(0, 2400))
def test_a_span_is_the_sum_of_its_seconds(amounts: list[float], first: int, second: int) -> None:
    start, end = sorted((first, second))
    told = flow(amounts)
    direct = sum(
        amounts[second // 60] / 60
        for second in range(start, end)
        if second // 60 < len(amounts) and math.isfinite(amounts[second // 60])
    )
    spread = told.between([T0 + start * 10**9], [T0 + end * 10**9])
    assert spread.amount[0] == pytest.approx(direct, rel=1e-9, abs=1e-9)


@given(AMOUNTS, AMOUNTS)
def test_a_sum_is_known_only_where_all_parts_are(one: list[float], other: list[float]) -> None:
    told = combine("rest", [(1.0, flow(one)), (-1.0, flow(other))])
    both = [a - b for a, b in zip(one, other, strict=False) if math.isfinite(a) and math.isfinite(b)]
    assert math.fsum(told.amount) == pytest.approx(math.fsum(both), rel=1e-9, abs=1e-6)
    assert int((told.end_ns - told.start_ns).sum()) == len(both) * MINUTE_NS


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200))
def test_settled_parts_add_up_exactly(parts: list[float]) -> None:
    total = sum(parts)  # rounded at each step
    assert math.fsum(settled(parts, total)) == total


def test_parts_that_are_none_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be parts"):
        settled([1.0, 2.0], 4.0)


def test_stretches_have_to_be_in_order() -> None:
    with pytest.raises(DataError, match="overlap"):
        Flow("m", "kW.h", np.array([0, 5]), np.array([6, 9]), np.ones(2), np.zeros(2, np.uint8))


def test_totals_add_up_with_their_completeness() -> None:
    seen = Total(4.0, "kW.h", 60.0, 60.0)
    half = Total(1_000.0, "W.h", 60.0, 30.0, 0.0, ("press",))
    nothing = empty("oven", "kW.h").total(0, MINUTE_NS)
    whole = together([seen, half, nothing], "kW.h")
    assert whole == Total(5.0, "kW.h", 180.0, 90.0, 0.0, ("oven", "press"))
    assert whole.completeness == 0.5
    assert together([nothing], "kW.h").value is None


def test_a_difference_of_an_unknown_is_unknown() -> None:
    assert document(5.0, "kW.h").minus(empty("oven", "kW.h").total(0, MINUTE_NS)).value is None


def test_a_total_is_told_with_its_completeness() -> None:
    told = Total(None, "kW.h", 60.0, 0.0, 0.0, ("m",)).told()
    assert told["value"] is None and told["completeness"] == 0.0 and told["missing"] == ["m"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_document_says_a_number(value: float) -> None:
    with pytest.raises(DataError, match="has to be a number"):
        document(value, "kW.h")
