"""Energy against what the baseline's plant would have used."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.apps.outcomes.normalised import normalised_effect
from headrace.model.errors import DataError

Span = tuple[NDArray[np.float64], NDArray[np.float64]]
NAMES = ("pieces", "degree days")


def energy(seed: int, effect: float = 0.0, pieces: float = 1000.0, noise: float = 0.03, days: int = 182) -> Span:
    """500 + 2 a piece + 30 a degree day, and what chance adds."""
    random = np.random.default_rng(seed)
    drivers = np.column_stack([pieces * random.uniform(0.5, 1.0, days), random.uniform(0.0, 20.0, days)])
    used = (500.0 + drivers @ [2.0, 30.0]) * (1 + effect) * (1 + noise * random.standard_normal(days))
    return used, drivers


def test_without_chance_the_equation_and_the_effect_are_exact() -> None:
    found = normalised_effect(energy(1, noise=0), energy(2, -0.06, 1300, noise=0), NAMES, paired=False)
    assert found.coefficients == pytest.approx((500.0, 2.0, 30.0)) and found.effect.effect == pytest.approx(-0.06)
    assert found.r_squared == pytest.approx(1.0) and found.cv_rmse == pytest.approx(0.0, abs=1e-9)
    assert found.actual == pytest.approx(0.94 * found.expected)


def test_more_output_is_not_taken_for_a_gain() -> None:
    """A base load spread over more pieces lowers energy a piece; energy for this output it does not."""
    before, after = energy(1), energy(2, pieces=1600.0)
    a_piece = [used.sum() / drivers[:, 0].sum() for used, drivers in (before, after)]
    assert a_piece[1] / a_piece[0] < 0.9
    assert 0.0 in normalised_effect(before, after, NAMES, paired=False).effect.interval(0.95)


def test_intervals_hold_what_they_promise() -> None:
    held = 0
    for seed in range(300):
        before, after = energy(2 * seed, days=56), energy(2 * seed + 1, -0.06, 1200, days=56)
        found = normalised_effect(before, after, NAMES, paired=False)
        held += -0.06 in found.effect.interval(0.95)
    assert held / 300 >= 0.92


def test_the_equation_is_that_of_a_peer() -> None:
    api = pytest.importorskip("statsmodels.api")
    before = energy(5)
    ours = normalised_effect(before, energy(6), NAMES, paired=False)
    peer = api.OLS(before[0], api.add_constant(before[1])).fit()
    assert ours.coefficients == pytest.approx(tuple(peer.params), rel=1e-9)
    assert ours.r_squared == pytest.approx(peer.rsquared)
    assert ours.cv_rmse == pytest.approx(np.sqrt(peer.mse_resid) / before[0].mean())


def test_a_period_that_lacks_a_covariate_counts_nowhere() -> None:
    before, after = energy(1), energy(2, -0.06)
    before[1][5, 1] = before[0][9] = np.nan
    kept = np.delete(np.arange(182), [5, 9])
    whole = normalised_effect((before[0][kept], before[1][kept]), after, NAMES, paired=False)
    holed = normalised_effect(before, after, NAMES, paired=False)
    assert holed.coefficients == pytest.approx(whole.coefficients)
    assert holed.effect.log == pytest.approx(whole.effect.log)


def test_days_beyond_what_the_baseline_saw_are_told() -> None:
    assert normalised_effect(energy(1), energy(2), NAMES, paired=False).outside < 0.02
    assert normalised_effect(energy(1), energy(2, pieces=2000.0), NAMES, paired=False).outside > 0.5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda used, drivers: (used[:29], drivers[:29]), "30 are needed"),
        (lambda used, drivers: (used, drivers * [1.0, 0.0]), "'degree days' has one value"),
        (lambda used, drivers: (used, np.column_stack([drivers[:, 0], 3 * drivers[:, 0]])), "say the same"),
        (lambda used, drivers: (-used, drivers), "expects no energy"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(spoil, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=said):
        normalised_effect(spoil(*energy(1)), energy(2), NAMES, paired=False)
