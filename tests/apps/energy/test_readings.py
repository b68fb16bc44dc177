"""Counters wrap, reset, are exchanged and misread; power has gaps. What was used is found, what was not seen is not
made up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import T0

from headrace.apps.energy.flows import BRIDGED
from headrace.apps.energy.readings import Exchange, Readings, Register, counter_flow, interval_flow, rate_flow
from headrace.model.errors import DataError
from headrace.model.quality import BAD_COMMUNICATION_ERROR
from headrace.model.time import HOUR_NS, MINUTE_NS

REGISTER = Register("m", "kW.h", gap_ns=3 * MINUTE_NS)


def minutes(values: list[float], bad: tuple[int, ...] = ()) -> Readings:
    times = T0 + MINUTE_NS * np.arange(len(values), dtype=np.int64)
    quality = np.zeros(len(values), np.uint32)
    quality[list(bad)] = BAD_COMMUNICATION_ERROR
    return Readings.of(times, values, quality)


def test_a_counter_gives_its_steps() -> None:
    told, odd = counter_flow(minutes([100.0, 101.5, 104.0]), REGISTER)
    assert told.amount.tolist() == [1.5, 2.5]
    assert odd.resets == odd.dips == odd.wraps == odd.impossible == 0


def test_a_ratio_turns_readings_into_energy() -> None:
    told, _ = counter_flow(minutes([0.0, 1.0]), Register("m", "kW.h", MINUTE_NS, ratio=80.0))
    assert told.amount.tolist() == [80.0]


def test_a_bad_reading_is_left_out_and_the_counter_bridges_it() -> None:
    told, _ = counter_flow(minutes([0.0, 0.0, 0.0, 0.0, 0.0, 10.0], bad=(1, 2, 3, 4)), REGISTER)
    assert told.amount.tolist() == [10.0]
    assert told.grade.tolist() == [BRIDGED]


def test_a_wrap_is_used_energy() -> None:
    told, odd = counter_flow(minutes([995.0, 999.0, 3.0, 5.0]), Register("m", "kW.h", 3 * MINUTE_NS, modulus=1000.0))
    assert told.amount.tolist() == [4.0, 4.0, 2.0]
    assert odd.wraps == 1


def test_a_reset_leaves_its_stretch_unknown() -> None:
    told, odd = counter_flow(minutes([500.0, 501.0, 0.5, 1.0, 1.5]), REGISTER)
    assert told.amount.tolist() == [1.0, 0.5, 0.5]
    assert odd.resets == 1
    assert told.total(T0, T0 + 4 * MINUTE_NS).completeness == 0.75


@pytest.mark.parametrize("length", [1, 3])
def test_a_reading_that_falls_and_comes_back_is_a_mistake(length: int) -> None:
    told, odd = counter_flow(minutes([700.0, *[0.0] * length, 701.0, 702.0]), REGISTER)
    assert told.amount.tolist() == [1.0, 1.0]
    assert odd.dips == length


def test_more_than_can_pass_is_not_believed() -> None:
    told, odd = counter_flow(minutes([1.0, 2.0, 90_000.0, 90_001.0]), Register("m", "kW.h", HOUR_NS, rate_max=600.0))
    assert told.amount.tolist() == [1.0, 1.0]
    assert odd.impossible == 1


def test_an_exchange_counts_both_meters() -> None:
    exchange = Exchange(T0 + 90_000_000_000, last=1_007.0, first=20.0)
    told, odd = counter_flow(
        minutes([1_000.0, 1_005.0, 23.0, 24.0]), Register("m", "kW.h", 3 * MINUTE_NS, exchanges=(exchange,))
    )
    assert told.amount.tolist() == [5.0, (1_007.0 - 1_005.0) + (23.0 - 20.0), 1.0]
    assert odd.resets == 0


def test_an_exchange_to_a_meter_that_soon_shows_more_is_no_mistake_of_the_line() -> None:
    exchange = Exchange(T0 + 90_000_000_000, last=5.0)
    told, odd = counter_flow(minutes([4.0, 5.0, 2.0, 7.0]), Register("m", "kW.h", HOUR_NS, exchanges=(exchange,)))
    assert told.amount.tolist() == [1.0, 2.0, 5.0] and odd.dips == 0


def test_an_exchange_that_contradicts_the_readings_is_refused() -> None:
    exchange = Exchange(T0 + 90_000_000_000, last=900.0)
    with pytest.raises(DataError, match="contradicts"):
        counter_flow(minutes([1_000.0, 1_005.0, 23.0]), Register("m", "kW.h", MINUTE_NS, exchanges=(exchange,)))


def test_power_is_a_trapezium() -> None:
    told, _ = rate_flow(minutes([60.0, 120.0, 120.0]), REGISTER)
    np.testing.assert_allclose(told.amount, [1.5, 2.0])


def test_power_knows_nothing_beside_a_bad_reading_or_across_a_gap() -> None:
    told, _ = rate_flow(minutes([60.0, 60.0, 60.0, 60.0, 60.0], bad=(2,)), REGISTER)
    assert told.total(T0, T0 + 4 * MINUTE_NS).completeness == 0.5
    far = Readings.of([T0, T0 + HOUR_NS], [60.0, 60.0])
    assert len(rate_flow(far, REGISTER)[0]) == 0


def test_an_amount_is_for_the_time_before_it() -> None:
    quarter = 15 * MINUTE_NS
    told, _ = interval_flow(Readings.of([T0, T0 + quarter], [3.0, 4.0]), REGISTER, interval_ns=quarter)
    assert told.total(T0, T0 + quarter).value == 4.0


def test_amounts_nearer_than_their_interval_are_refused() -> None:
    with pytest.raises(DataError, match="nearer than the interval"):
        interval_flow(minutes([1.0, 1.0]), REGISTER, interval_ns=HOUR_NS)


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=60),
    st.integers(0, 9_999),
    st.randoms(use_true_random=False),
)
def test_a_counter_that_wraps_finds_all_that_was_used(steps: list[int], first: int, random: object) -> None:
    """Readings late, twice and out of order change nothing."""
    modulus = 10_000
    used = np.cumsum([first, *steps])
    values = (used % modulus).astype(float)
    order = list(range(len(values))) + [0, len(values) - 1]
    random.shuffle(order)  # type: ignore[attr-defined]
    times = (T0 + MINUTE_NS * np.arange(len(values), dtype=np.int64))[order]
    told, odd = counter_flow(
        Readings.of(times, values[order]), Register("m", "kW.h", HOUR_NS, modulus=float(modulus), rate_max=60 * 200.0)
    )
    assert math.fsum(told.amount) == pytest.approx(float(sum(steps)))
    assert (odd.resets, odd.dips, odd.impossible) == (0, 0, 0)


@given(
    st.lists(st.tuples(st.integers(-5, 500), st.floats(allow_nan=True, allow_infinity=True)), max_size=50),
    st.sampled_from([None, 1_000.0]),
    st.sampled_from([None, 600.0]),
)
def test_whatever_is_read_gives_a_flow(
    readings: list[tuple[int, float]], modulus: float | None, most: float | None
) -> None:
    """No negative amount, nothing above what can pass, no overlap (the flow checks that itself)."""
    times, values = [T0 + MINUTE_NS * at for at, _ in readings], [value for _, value in readings]
    register = Register("m", "kW.h", HOUR_NS, modulus=modulus, rate_max=most)
    with np.errstate(over="ignore"):
        told, _ = counter_flow(Readings.of(times, values), register)
    assert (told.amount >= 0).all()
    if most is not None:
        assert (told.amount <= most * (told.end_ns - told.start_ns) / HOUR_NS * (1 + 1e-6)).all()
