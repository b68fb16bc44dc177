"""A meter shared among those who ran: exactly, by time and weight, with what nobody claims told apart."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import T0, flow

from headrace.apps.energy.allocation import UNALLOCATED, Claim, allocate
from headrace.model.errors import DataError
from headrace.model.time import MINUTE_NS, SECOND_NS


def claim(first_min: float, last_min: float, weight: float = 1.0, **tags: str) -> Claim:
    return Claim(round(T0 + first_min * MINUTE_NS), round(T0 + last_min * MINUTE_NS), tags, weight)


def test_by_time_and_weight() -> None:
    claims = [claim(0, 4, order="A", product="x"), claim(2, 6, 3.0, order="B", product="y")]
    told = allocate(flow([8.0] * 8), claims, T0, T0 + 8 * MINUTE_NS)
    assert [part.value for part in told.parts] == pytest.approx([16 + 4, 12 + 16])
    assert told.unallocated.value == pytest.approx(16.0)
    assert {key: total.value for key, total in told.by(claims, "order").items()} == pytest.approx(
        {UNALLOCATED: 16.0, "A": 20.0, "B": 28.0}
    )
    assert told.by(claims, "product")["y"].completeness == 1.0


def test_a_gap_is_seen_in_the_completeness_of_who_ran_then() -> None:
    claims = [claim(0, 2, order="A"), claim(2, 4, order="B")]
    told = allocate(flow([1.0, 1.0, math.nan, 1.0]), claims, T0, T0 + 4 * MINUTE_NS).by(claims, "order")
    assert (told["A"].completeness, told["B"].completeness) == (1.0, 0.5)
    assert told["B"].missing == ("m",)


def test_nobody_ran() -> None:
    told = allocate(flow([1.0]), [], T0, T0 + MINUTE_NS)
    assert told.unallocated.value == 1.0 and told.by([], "order")[UNALLOCATED].value == 1.0


def test_what_is_outside_of_the_span_is_not_counted() -> None:
    told = allocate(flow([1.0] * 4), [claim(-5, 1), claim(3, 99)], T0, T0 + 4 * MINUTE_NS)
    assert [part.value for part in told.parts] == pytest.approx([1.0, 1.0])


@given(
    st.lists(st.one_of(st.floats(0, 1e5), st.just(math.nan)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(-100, 2000), st.integers(0, 900), st.floats(0.01, 100.0)), max_size=15),
)
def test_the_parts_add_up_to_the_meter_exactly(amounts: list[float], claims: list[tuple[int, int, float]]) -> None:
    given_claims = [
        Claim(T0 + start * SECOND_NS, T0 + (start + length) * SECOND_NS, {"order": str(at)}, weight)
        for at, (start, length, weight) in enumerate(claims)
    ]
    told = allocate(flow(amounts), given_claims, T0, T0 + len(amounts) * MINUTE_NS)
    values = [total.value or 0.0 for total in (*told.parts, told.unallocated)]
    assert math.fsum(values) == (told.whole.value or 0.0)
    assert min(values) >= -1e-6


@given(st.lists(st.integers(0, 1_800), min_size=1, max_size=12, unique=True))
def test_shifts_that_follow_each_other_have_what_was_then(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts) - {0, 1_800}), 1_800]
    claims = [
        Claim(T0 + first * SECOND_NS, T0 + last * SECOND_NS, {"shift": str(first)})
        for first, last in itertools.pairwise(edges)
    ]
    meter = flow([float(at) for at in range(30)])
    told = allocate(meter, claims, T0, T0 + 30 * MINUTE_NS)
    for one, part in zip(claims, told.parts, strict=True):
        assert part.value == pytest.approx(meter.total(one.start_ns, one.end_ns).value, abs=1e-9)
    assert told.unallocated.expected_s == 0.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([claim(2, 1)], "ends before"),
        ([claim(0, 1, 0.0)], "weighs nothing"),
        ([claim(0, 1, math.nan)], "weighs nothing"),
        ([claim(0, 1, 1e-6), claim(0, 1, 1e6)], "too far apart"),
    ],
)
def test_claims_that_cannot_share_are_refused(wrong: list[Claim], message: str) -> None:
    with pytest.raises(DataError, match=message):
        allocate(flow([1.0]), wrong, T0, T0 + MINUTE_NS)
