"""The change of a failure rate: an exact interval for two counts, widened by what the counts vary beyond chance.

Of n = F₀ + F₁ failures the second span has F₁ by a binomial law whose probability is ρT₁ / (ρT₁ + T₀): its
Clopper-Pearson interval gives that of ρ, exact for Poisson counts however few. Failures come in clusters (one cause,
three stops), so the counts are first divided by the overdispersion φ ≥ 1, variance over mean in the long run: n
failures are worth n / φ. Its own uncertainty widens the interval by Student's t against the normal.

Sources: Przyborowski & Wilenski, Biometrika 31 (1940) 313-323; Clopper & Pearson, Biometrika 26 (1934) 404-413;
McCullagh & Nelder, Generalized Linear Models (1989) §4.5, §6.2.3 (quasi-likelihood).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.effects import Interval
from headrace.apps.outcomes.longrun import degrees, variance_of_sum
from headrace.apps.outcomes.special import beta_quantile, normal_quantile, t_quantile

_LOG_MAX: Final = 6.0
_STEPS: Final = 6001


@dataclass(frozen=True, slots=True)
class RateEffect:
    """`failures` and `exposure_h`: before and after; `overdispersion` 1 is Poisson, with `df` degrees of freedom."""

    failures: tuple[float, float]
    exposure_h: tuple[float, float]
    overdispersion: float
    df: float

    @property
    def effect(self) -> float | None:
        """None without any failure before."""
        (first, second), (before_h, after_h) = self.failures, self.exposure_h
        return second / after_h / (first / before_h) - 1.0 if first > 0 else None

    @property
    def effective(self) -> tuple[float, float]:
        """As many failures that came one by one would have told as much."""
        return self.failures[0] / self.overdispersion, self.failures[1] / self.overdispersion

    def interval(self, level: float) -> Interval:
        """Without a failure before, no bound above: `high` is infinite."""
        widened = self.overdispersion
        if self.overdispersion > 1.0:
            upper = 0.5 + level / 2.0
            widened *= (t_quantile(upper, self.df) / normal_quantile(upper)) ** 2
        low, high = exact_ratio(self.failures[0] / widened, self.failures[1] / widened, *self.exposure_h, level)
        return Interval(low - 1.0, high - 1.0, level)

    def detectable(self, level: float, power: float = 0.8) -> tuple[float, float] | None:
        """The smallest fall and rise that spans like these show with this power; None without any failure before."""
        if self.failures[0] <= 0:
            return None
        before = self.failures[0] / self.overdispersion
        expected = before * self.exposure_h[1] / self.exposure_h[0]
        reach = t_quantile(0.5 + level / 2.0, self.df) + t_quantile(power, self.df)
        return _solve(before, expected, reach, -1.0), _solve(before, expected, reach, 1.0)


def _solve(before: float, expected: float, reach: float, sign: float) -> float:
    """The first effect whose log is `reach` standard errors from 0, where the second count falls or rises with it;
    all or infinitely much where there is none."""
    logs = np.linspace(0.0, _LOG_MAX, _STEPS)
    errors = np.sqrt(1.0 / before + 1.0 / (expected * np.exp(sign * logs)))
    shown = np.flatnonzero(logs >= reach * errors)
    if not shown.size:
        return -1.0 if sign < 0 else math.inf
    return math.expm1(sign * float(logs[shown[0]]))


def exact_ratio(first: float, second: float, before_h: float, after_h: float, level: float) -> tuple[float, float]:
    """The interval of rate after / rate before. Counts may be divided by an overdispersion, so need not be whole."""
    tail = (1.0 - level) / 2.0
    low, high = beta_quantile(tail, second, first + 1.0), beta_quantile(1.0 - tail, second + 1.0, first)
    odds = before_h / after_h
    return odds * low / (1.0 - low), math.inf if high >= 1.0 else odds * high / (1.0 - high)


def rate_effect(
    before: tuple[NDArray[np.float64], NDArray[np.float64]], after: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> RateEffect:
    """`before`, `after`: failures and operating hours by period, (periods,), NaN in the same places."""
    totals, weighted, df = [], 0.0, 0
    for count, hours in before, after:
        events, exposure_h = np.nan_to_num(count), np.nan_to_num(hours)
        total, total_h = float(events.sum()), float(exposure_h.sum())
        totals.append((total, total_h))
        if total > 0:
            beyond = events - total / total_h * exposure_h
            weighted += degrees(len(events)) * float(variance_of_sum(beyond)) / total
            df += degrees(len(events))
    (first, before_h), (second, after_h) = totals
    return RateEffect((first, second), (before_h, after_h), max(weighted / df, 1.0) if df else 1.0, float(df or 1))
