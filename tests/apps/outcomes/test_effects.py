"""Ratios of sums, and the intervals of their change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.apps.outcomes.test_longrun import drift

from headrace.apps.outcomes.effects import Interval, LogEffect, bootstrap_interval, ratio_effect, ratio_of
from headrace.model.errors import DataError

Spans = tuple[NDArray[np.float64], NDArray[np.float64]]


def span(seed: int, effect: float = 0.0, periods: int = 182, phi: float = 0.5) -> Spans:
    """Output and hours: closed on Sundays, six days alike."""
    hours = np.where(np.arange(periods) % 7 == 6, 0.0, 320.0)
    return hours * (1 + effect) * np.exp(0.1 * drift(phi, periods, 1, seed)[0]), hours


def test_a_figure_is_a_ratio_of_sums_and_no_mean_of_ratios() -> None:
    ratio = ratio_of(np.array([240.0, 60.0, np.nan]), np.array([480.0, 60.0, np.nan]))
    assert ratio.figure(1.0) == pytest.approx(300 / 540) and ratio.figure(1.0) != pytest.approx(0.75)
    assert (ratio.periods, ratio.missing) == (3, 1)
    assert ratio_of(np.array([1.0]), np.array([0.0])).figure(1.0) is None


def test_the_effect_is_the_ratio_of_the_two_figures() -> None:
    before, after = (np.array([10.0, 20.0, 30.0, 20.0]), np.full(4, 10.0)), (np.full(4, 30.0), np.full(4, 10.0))
    assert ratio_effect(before, after, paired=False).effect == pytest.approx(0.5)
    assert ratio_effect(after, before, paired=True).effect == pytest.approx(-1 / 3)


def test_an_unknown_period_counts_in_neither_sum() -> None:
    output, hours = span(1)
    holed = output.copy(), hours.copy()
    holed[0][10:20] = holed[1][10:20] = np.nan
    kept = np.r_[0:10, 20:182]
    assert ratio_effect(holed, span(2), paired=False).log == pytest.approx(
        ratio_effect((output[kept], hours[kept]), span(2), paired=False).log
    )


def test_intervals_hold_what_they_promise_and_naive_ones_do_not() -> None:
    held = naive = 0
    for seed in range(300):
        before, after = span(2 * seed), span(2 * seed + 1, 0.2)
        effect = ratio_effect(before, after, paired=False)
        held += 0.2 in effect.interval(0.95)
        daily = [np.log(output[hours > 0] / hours[hours > 0]) for output, hours in (before, after)]
        error = math.sqrt(sum(each.var() / len(each) for each in daily))
        naive += abs(math.log1p(0.2) - (daily[1].mean() - daily[0].mean())) < 1.96 * error
    assert held / 300 >= 0.92  # 0.95 but for chance: three standard errors are 0.038
    assert naive / 300 < 0.85  # days that count as independent promise what they cannot hold


def test_a_season_that_both_spans_share_cancels_where_they_are_paired() -> None:
    season = np.exp(0.3 * np.sin(2 * np.pi * np.arange(364) / 364))
    spans = [(each[0] * season, each[1]) for each in (span(1, 0.0, 364), span(2, 0.1, 364))]
    paired, apart = (ratio_effect(spans[0], spans[1], paired=flag) for flag in (True, False))
    assert paired.effect == apart.effect and paired.error < 0.6 * apart.error


def test_a_wider_promise_is_a_wider_interval() -> None:
    effect = ratio_effect(span(1), span(2), paired=False)
    narrow, wide = effect.interval(0.9), effect.interval(0.99)
    assert wide.low < narrow.low < effect.effect < narrow.high < wide.high
    assert effect.effect in narrow and 5.0 not in wide


def test_what_could_have_been_shown_is_shown_four_times_in_five() -> None:
    rises = [ratio_effect(span(2 * s), span(2 * s + 1), paired=False).detectable(0.95)[1] for s in range(100)]
    rise = float(np.median(rises))
    effects = [ratio_effect(span(2 * s), span(2 * s + 1, rise), paired=False) for s in range(200)]
    assert 0.7 < np.mean([each.interval(0.95).low > 0 for each in effects]) < 0.9


def test_the_bootstrap_agrees_and_repeats_itself_with_its_seed() -> None:
    before, after = span(3, 0.0, 364), span(4, 0.2, 364)
    first, again, other = (
        bootstrap_interval(before, after, paired=True, level=0.95, seed=seed, replicates=999) for seed in (7, 7, 8)
    )
    stated = ratio_effect(before, after, paired=True).interval(0.95)
    assert first == again != other and first is not None
    assert first.low == pytest.approx(stated.low, abs=0.25 * (stated.high - stated.low))
    assert first.high == pytest.approx(stated.high, abs=0.25 * (stated.high - stated.low))


def test_the_bootstrap_says_nothing_of_a_handful_of_failures() -> None:
    downtime, hours = np.zeros(182), np.full(182, 16.0)
    downtime[[20, 90]] = 3.0
    spans = (downtime, hours), (downtime[::-1].copy(), hours)
    assert bootstrap_interval(*spans, paired=False, level=0.95, seed=1, replicates=500) is None


@pytest.mark.parametrize("output", [np.zeros(60), np.full(60, -1.0)])
def test_a_figure_that_is_not_above_zero_is_no_ratio(output: NDArray[np.float64]) -> None:
    with pytest.raises(DataError, match="above zero"):
        ratio_effect((output, np.ones(60)), (np.ones(60), np.ones(60)), paired=False)


def test_an_enormous_error_is_an_interval_without_an_upper_bound() -> None:
    assert LogEffect(0.0, 1e6, 10.0, (1.0, 1.0)).interval(0.95) == Interval(-1.0, math.inf, 0.95)
