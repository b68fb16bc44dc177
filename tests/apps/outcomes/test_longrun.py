"""How much a sum may be off: known processes, and a peer's estimate of the long-run variance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.apps.outcomes.longrun import (
    cosines,
    degrees,
    long_run,
    mean_block,
    stationary_draws,
    variance_of_sum,
)


def drift(phi: float, periods: int, plants: int, seed: int = 1) -> NDArray[np.float64]:
    """Stationary AR(1) of variance 1. Shape: (plants, periods)."""
    random = np.random.default_rng(seed)
    made = np.empty((plants, periods))
    level = random.standard_normal(plants)
    for period in range(periods):
        level = phi * level + np.sqrt(1 - phi**2) * random.standard_normal(plants)
        made[:, period] = level
    return made


def test_cosines_are_orthonormal_and_know_no_mean() -> None:
    for periods in (28, 91, 364):
        slow = cosines(periods)
        assert slow.shape == (periods, degrees(periods))
        np.testing.assert_allclose(slow.T @ slow, np.eye(degrees(periods)), atol=1e-12)
        np.testing.assert_allclose(slow.sum(axis=0), 0, atol=1e-12)
    assert [degrees(28), degrees(91), degrees(364)] == [3, 5, 12]


@pytest.mark.parametrize("phi", [0.0, 0.4, 0.7])
def test_the_variance_of_a_sum_is_that_of_the_process(phi: float) -> None:
    series = drift(phi, 364, 2000)
    truth = series.sum(axis=1).var()
    assert variance_of_sum(series).mean() == pytest.approx(truth, rel=0.12)
    assert truth > 364 * (1 if phi else 0.8)


def test_a_week_that_repeats_itself_is_no_uncertainty() -> None:
    weekdays = np.tile([1.0, 1, 1, 1, 1, -1, -4], 52)
    assert variance_of_sum(weekdays) < 0.05 * 364 * weekdays.var()


def test_days_that_resemble_each_other_are_worth_fewer() -> None:
    alone, alike = (np.mean([long_run(row).effective for row in drift(phi, 364, 300)]) for phi in (0.0, 0.7))
    assert alone > 250 and alike == pytest.approx(364 * (1 - 0.7) / (1 + 0.7), rel=0.35)


def test_the_long_run_variance_agrees_with_that_of_a_peer() -> None:
    api = pytest.importorskip("statsmodels.api")
    series = drift(0.5, 1456, 40)
    ours = variance_of_sum(series) / 1456
    peers = [
        float(api.OLS(row, np.ones(1456)).fit(cov_type="HAC", cov_kwds={"maxlags": 30}).cov_params()[0, 0]) * 1456
        for row in series
    ]
    assert ours.mean() == pytest.approx(np.mean(peers), rel=0.12)


def test_blocks_grow_with_the_correlation_and_are_bounded() -> None:
    lengths = [np.mean([mean_block(row) for row in drift(phi, 364, 50)]) for phi in (0.0, 0.5, 0.8)]
    assert 1.0 <= lengths[0] < lengths[1] < lengths[2] <= 58
    assert mean_block(np.zeros(50)) == 1.0


def test_the_same_seed_draws_the_same_days_in_blocks_of_the_length_asked_for() -> None:
    draws = [stationary_draws(200, 8.0, 500, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()
    assert draws[0].min() == 0 and draws[0].max() == 199
    follows = (np.diff(draws[0], axis=1) % 200 == 1).mean()
    assert 1 / (1 - follows) == pytest.approx(8.0, rel=0.05)
