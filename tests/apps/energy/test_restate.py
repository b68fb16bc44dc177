"""A new factor restates history: both totals are there, with what made the difference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import use

from headrace.apps.energy.carbon import inventory
from headrace.apps.energy.completeness import Total, unknown
from headrace.apps.energy.factors import Found
from headrace.apps.energy.library import areas_of, shipped
from headrace.apps.energy.restate import restate, state
from headrace.apps.energy.uses import Use


def account(uses: Sequence[Use], known: date) -> tuple[Total, tuple[Found, ...]]:
    told = inventory(uses, shipped(), areas=areas_of("CN-JS"), known=known)
    lines = [line for line in told.lines if line.scope in ("1", "2-location")]
    return told.sum(), tuple(found for line in lines for found in line.factors)


def test_a_factor_published_later_restates_what_was_told() -> None:
    told = state("carbon 2022", [use("electricity", 100_000.0)], account, date(2024, 6, 30))
    assert told.total.value == pytest.approx(64.51)  # with the factor of 2021, carried on
    now = restate(told, shipped(), account, date(2025, 1, 1))
    assert now.after.total.value == pytest.approx(59.78)
    assert now.before.total.value == pytest.approx(64.51)
    assert now.difference == pytest.approx(-4.73)
    assert now.by_factors == pytest.approx(-4.73) and now.by_data == 0.0
    assert [(factor.edition, str(factor.published)) for factor in now.reasons] == [("2022", "2024-12-23")]
    assert now.is_changed and now.told()["before"]["known"] == "2024-06-30"


def test_nothing_new_changes_nothing() -> None:
    told = state("carbon 2022", [use("electricity", 100_000.0)], account, date(2025, 1, 1))
    now = restate(told, shipped(), account, date(2025, 6, 1))
    assert not now.is_changed and now.reasons == () and now.difference == 0.0


def test_samples_that_came_late_are_told_apart_from_factors() -> None:
    told = state("carbon 2022", [use("electricity", 100_000.0)], account, date(2024, 6, 30))
    now = restate(told, shipped(), account, date(2025, 1, 1), [use("electricity", 110_000.0)])
    assert now.by_factors == pytest.approx(-4.73)
    assert now.by_data == pytest.approx(10 * 0.5978)


def test_what_was_unknown_and_is_known_now_is_changed() -> None:
    told = state("carbon 2022", [use("electricity", unknown("m", "kW.h"))], account, date(2025, 1, 1))
    now = restate(told, shipped(), account, date(2025, 1, 1), [use("electricity", 1_000.0)])
    assert now.is_changed and now.difference is None
    assert now.before.total.value is None and now.after.total.value == pytest.approx(0.5978)


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.dates(date(2024, 4, 12), date(2027, 1, 1)))
def test_the_two_reasons_add_up(before: float, after: float, known: date) -> None:
    told = state("c", [use("electricity", before)], account, date(2024, 5, 1))
    now = restate(told, shipped(), account, max(known, date(2024, 5, 1)), [use("electricity", after)])
    assert now.by_factors is not None and now.by_data is not None
    assert now.by_factors + now.by_data == pytest.approx(now.difference, abs=1e-9 * max(before, after))
