"""Least squares with its statistics, beside an independent program where it is there; freezing, adjusting, CUSUM."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.apps.energy.baseline import Adjustment, fit, perform, told
from headrace.apps.energy.significance import above_f, incomplete_beta, t_quantile, two_sided
from headrace.model.errors import Conflict, DataError

RANDOM = np.random.default_rng(7)
PIECES = RANDOM.uniform(800, 1_400, 24)
COLD = RANDOM.uniform(0, 500, 24)
ENERGY = 20_000 + 15 * PIECES + 8 * COLD + RANDOM.normal(0, 300, 24)


def test_against_an_independent_program() -> None:
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    peer = sm.OLS(ENERGY, sm.add_constant(np.column_stack((PIECES, COLD)))).fit()
    ours = fit("hall", "kW.h", ENERGY, {"pieces": PIECES, "cold": COLD})
    assert ours.fit is not None
    np.testing.assert_allclose([ours.constant, *ours.coefficients], peer.params, rtol=1e-10)
    np.testing.assert_allclose(ours.fit.error, peer.bse, rtol=1e-9)
    np.testing.assert_allclose(ours.fit.t, peer.tvalues, rtol=1e-9)
    np.testing.assert_allclose(ours.fit.p, peer.pvalues, rtol=1e-8)
    np.testing.assert_allclose(ours.fit.residuals, peer.resid, rtol=0, atol=1e-8)
    for mine, theirs in (
        (ours.fit.r2, peer.rsquared), (ours.fit.r2_adjusted, peer.rsquared_adj),
        (ours.fit.f, peer.fvalue), (ours.fit.f_p, peer.f_pvalue), (ours.fit.rmse, math.sqrt(peer.mse_resid)),
    ):  # fmt: skip
        assert mine == pytest.approx(theirs, rel=1e-8)
    from statsmodels.stats.stattools import durbin_watson

    assert ours.fit.durbin_watson == pytest.approx(durbin_watson(peer.resid), rel=1e-9)


def test_the_uncertainty_of_a_saving_against_an_independent_program() -> None:
    """Var(Σ(y - ŷ)) = s² (m + 1ᵀX(XᵀX)⁻¹Xᵀ1): with one period it is the interval of a prediction."""
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    peer = sm.OLS(ENERGY, sm.add_constant(PIECES)).fit()
    frame = peer.get_prediction([[1.0, 1_000.0]]).summary_frame(alpha=0.05)
    half = float((frame["obs_ci_upper"] - frame["obs_ci_lower"]).iloc[0] / 2)
    ours = perform(fit("hall", "kW.h", ENERGY, {"p": PIECES}), [30_000.0], {"p": [1_000.0]})
    assert ours.uncertainty == pytest.approx(half, rel=1e-8)


def test_the_beta_function_against_an_independent_program() -> None:
    special = pytest.importorskip("scipy.special", reason="SciPy is not installed")
    for a in (0.5, 1.0, 3.0, 20.0, 200.0):
        for b in (0.5, 1.0, 7.5):
            for x in (0.0, 1e-8, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0):
                assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_students_t_as_printed_in_tables(freedom: int, t: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(0.05, abs=1e-4)
    assert t_quantile(0.95, freedom) == pytest.approx(t, abs=1e-3)
    assert above_f(t * t, 1, freedom) == pytest.approx(two_sided(t, freedom), rel=1e-9)  # F(1, v) is t squared


def test_degenerate_statistics() -> None:
    assert math.isnan(two_sided(1.0, 0)) and math.isnan(t_quantile(0.95, 0)) and math.isnan(above_f(1.0, 0, 3))
    assert two_sided(math.inf, 3) == above_f(math.inf, 1, 3) == 0.0


@given(
    st.floats(-1e5, 1e5), st.floats(-100, 100),
    st.lists(st.integers(0, 5_000), min_size=4, max_size=30, unique=True),
)  # fmt: skip
def test_what_follows_a_line_is_found(constant: float, slope: float, pieces: list[int]) -> None:
    x = np.array(pieces, float)
    found = fit("b", "kW.h", constant + slope * x, {"x": x})
    size = abs(constant) + abs(slope) * 5_000 + 1e-6
    np.testing.assert_allclose(found.expected({"x": x}), constant + slope * x, atol=1e-8 * size)
    assert perform(found, constant + slope * x, {"x": x}).saving == pytest.approx(0.0, abs=1e-6 * size)


def test_a_variable_of_chance_is_named() -> None:
    noise = np.random.default_rng(3).normal(0, 1, 24)
    found = fit("hall", "kW.h", ENERGY, {"pieces": PIECES, "moon": noise, "cold": COLD})
    assert told(found)["fit"]["insignificant"] == ["moon"]


def test_savings_add_up_with_their_uncertainty_and_range() -> None:
    baseline = fit("hall", "kW.h", ENERGY, {"pieces": PIECES, "cold": COLD}).freeze(date(2025, 1, 1))
    now = {"pieces": np.array([1_000.0, 1_200.0, 3_000.0]), "cold": np.array([100.0, 200.0, 50.0])}
    seen = perform(baseline, baseline.expected(now) - [500.0, 500.0, math.nan], now)
    assert seen.saving == pytest.approx(1_000.0) and seen.missing == 1
    np.testing.assert_allclose(seen.cusum[:2], [500.0, 1_000.0])
    assert math.isnan(seen.cusum[2])
    assert seen.outside.tolist() == [False, False, True]
    assert seen.uncertainty is not None and 500 < seen.uncertainty < 2_000
    assert perform(baseline, baseline.expected(now) - 5_000.0, now).is_significant


def test_a_frozen_baseline_stays() -> None:
    baseline = fit("hall", "kW.h", ENERGY, {"pieces": PIECES}).freeze(date(2025, 1, 1))
    with pytest.raises(Conflict, match="frozen since 2025-01-01"):
        baseline.freeze(date(2026, 1, 1))


def test_an_adjustment_has_a_day_and_a_reason() -> None:
    baseline = fit("hall", "kW.h", ENERGY, {"pieces": PIECES})
    grown = baseline.adjusted(Adjustment(date(2026, 2, 1), 1_000.0, "a second oven"))
    days = [date(2026, 1, 1), date(2026, 2, 1)]
    now = {"pieces": [1_000.0, 1_000.0]}
    np.testing.assert_allclose(grown.expected(now, days) - baseline.expected(now), [0.0, 1_000.0])
    with pytest.raises(DataError, match="first day of each period"):
        grown.expected(now)
    with pytest.raises(DataError, match="a reason"):
        baseline.adjusted(Adjustment(date(2026, 1, 1), 1.0, " "))


@pytest.mark.parametrize(
    ("energy", "variables", "message"),
    [
        ([1.0, 2.0], {"x": [1.0, 2.0]}, "it needs 3 at least"),
        ([1.0, math.nan, 2.0, 3.0], {"x": [1.0, 2.0, 3.0, 4.0]}, "one known energy"),
        ([1.0, 2.0, 3.0, 4.0], {"x": [5.0] * 4}, "leave one out"),
        ([1.0, 2.0, 3.0, 5.0, 6.0], {"x": [1.0, 2, 3, 4, 5], "y": [2.0, 4, 6, 8, 10]}, "leave one out"),
        ([1.0, 2.0, 3.0], {"x": [1.0, 2.0]}, "one known energy"),
    ],
)
def test_what_cannot_be_fitted_is_refused(energy: list[float], variables: dict[str, list[float]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit("hall", "kW.h", energy, variables)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(DataError, match="cold"):
        fit("hall", "kW.h", ENERGY, {"pieces": PIECES, "cold": COLD}).expected({"pieces": [1.0]})
