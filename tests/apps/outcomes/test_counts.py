"""Failure rates: exact for Poisson counts, wide enough for clusters, and in agreement with peers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.apps.outcomes.counts import RateEffect, exact_ratio, rate_effect

Span = tuple[NDArray[np.float64], NDArray[np.float64]]


def failures(seed: int, rate: float, clusters: float, days: int = 364) -> Span:
    """Weeks of 96 h a day with a rate that is drawn anew each week, of squared variation `clusters`."""
    random = np.random.default_rng(seed)
    hours = np.where(np.arange(days) % 7 == 6, 0.0, 96.0)
    week = random.gamma(1 / clusters, clusters, days // 7 + 1) if clusters else np.ones(days // 7 + 1)
    return random.poisson(rate * hours * np.repeat(week, 7)[:days]).astype(float), hours


@pytest.mark.parametrize(("first", "second"), [(40, 20), (3, 1), (0, 4), (5, 0), (200, 90)])
def test_the_exact_interval_is_that_of_clopper_and_pearson(first: int, second: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    low, high = exact_ratio(first, second, 1000.0, 800.0, 0.95)
    peer = stats.binomtest(second, first + second).proportion_ci(0.95, "exact")
    odds = [share / (1 - share) * 1000 / 800 if share < 1 else math.inf for share in (peer.low, peer.high)]
    assert (low, high) == pytest.approx(odds, rel=1e-6)


def test_with_poisson_counts_nothing_is_divided_by_much() -> None:
    found = [rate_effect(failures(s, 0.01, 0), failures(s + 9999, 0.005, 0)) for s in range(200)]
    assert sum(-0.5 in each.interval(0.95) for each in found) / 200 >= 0.94
    assert np.mean([each.overdispersion for each in found]) < 1.25


def test_clusters_widen_the_interval_until_it_holds() -> None:
    held = exact = 0
    for seed in range(300):
        found = rate_effect(failures(seed, 0.02, 1.0), failures(seed + 9999, 0.01, 1.0))
        held += -0.5 in found.interval(0.95)
        low, high = exact_ratio(*found.failures, *found.exposure_h, 0.95)
        exact += low - 1 <= -0.5 <= high - 1
    assert held / 300 >= 0.92 and exact / 300 < 0.8


def test_a_negative_binomial_model_of_a_peer_agrees() -> None:
    api = pytest.importorskip("statsmodels.api")
    ratios = []
    for seed in range(12):
        before, after = failures(seed, 0.02, 1.0), failures(seed + 9999, 0.01, 1.0)
        ours = rate_effect(before, after).interval(0.95)
        weeks = [side.reshape(52, 7).sum(axis=1) for side in (*before, *after)]
        counts, hours = np.r_[weeks[0], weeks[2]], np.r_[weeks[1], weeks[3]]
        design = np.column_stack([np.ones(104), np.r_[np.zeros(52), np.ones(52)]])
        peer = api.NegativeBinomial(counts, design, exposure=hours).fit(disp=0)
        low, high = peer.conf_int()[1]
        ratios.append((math.log1p(ours.high) - math.log1p(ours.low)) / (high - low))
        assert rate_effect(before, after).effect == pytest.approx(math.expm1(peer.params[1]), rel=0.02)
    assert 0.85 < np.median(ratios) < 1.5


def test_few_failures_give_honest_bounds() -> None:
    none_after = RateEffect((6.0, 0.0), (1000.0, 1000.0), 1.0, 10.0)
    assert none_after.effect == -1.0 and none_after.interval(0.95).low == -1.0
    assert none_after.interval(0.95).high == pytest.approx(0.025 ** (-1 / 6) - 2)  # (1 - p)⁶ = 0.025
    none_before = RateEffect((0.0, 6.0), (1000.0, 1000.0), 1.0, 10.0)
    assert none_before.effect is None and none_before.detectable(0.95) is None
    assert none_before.interval(0.95).high == math.inf
    neither = rate_effect((np.zeros(56), np.ones(56)), (np.zeros(56), np.ones(56)))
    assert neither.interval(0.95).low == -1.0 and neither.interval(0.95).high == math.inf


def test_what_could_have_been_shown_is_a_fall_and_a_rise() -> None:
    fall, rise = RateEffect((185.0, 90.0), (20000.0, 20000.0), 1.0, 24.0).detectable(0.99) or (0, 0)
    assert -0.5 < fall < -0.2 and 0.2 < rise < 1.0
    assert RateEffect((2.0, 1.0), (20000.0, 20000.0), 1.0, 24.0).detectable(0.99) == (-1.0, pytest.approx(13, abs=8))
