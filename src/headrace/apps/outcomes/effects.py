"""The change of a ratio of sums from one span to another, and how sure that is.

    by period     numerator y, denominator x          (what is unknown counts in neither)
    figure        R = Σy / Σx                         never a mean of daily ratios
    its error     Σ (y - R x) / Σy  on the log scale  one term a period; neighbours resemble each other: `longrun`
    effect        R_after / R_before - 1

The log scale keeps a ratio above zero and says the same of a gain and of its inverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.longrun import LongRun, long_run, mean_block, stationary_draws, variance_of_sum
from headrace.apps.outcomes.special import t_quantile
from headrace.model.errors import DataError

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of an effect: 0.2 is 20 % more, -0.5 half as much."""

    low: float
    high: float
    level: float

    def __contains__(self, effect: float) -> bool:
        return self.low <= effect <= self.high


@dataclass(frozen=True, slots=True)
class LogEffect:
    """`log`: of R_after / R_before; `error`: its standard error; `effective`: periods, before and after."""

    log: float
    error: float
    df: float
    effective: tuple[float, float]

    @property
    def effect(self) -> float:
        return math.expm1(self.log)

    def interval(self, level: float) -> Interval:
        reach = t_quantile(0.5 + level / 2.0, self.df) * self.error
        return Interval(math.expm1(self.log - reach), _expm1(self.log + reach), level)

    def detectable(self, level: float, power: float = 0.8) -> tuple[float, float]:
        """The smallest fall and the smallest rise that spans like these show with this power, as effects."""
        reach = (t_quantile(0.5 + level / 2.0, self.df) + t_quantile(power, self.df)) * self.error
        return math.expm1(-reach), _expm1(reach)


def _expm1(value: float) -> float:
    return math.expm1(value) if value < 700.0 else math.inf


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure and where it comes from; NaN periods are `missing`."""

    numerator: float
    denominator: float
    periods: int
    missing: int

    def figure(self, scale: float) -> float | None:
        """None where there is nothing to divide by."""
        return scale * self.numerator / self.denominator if self.denominator > 0 else None


def ratio_of(numerator: Series, denominator: Series) -> Ratio:
    """Both (periods,), NaN in the same places. `math.fsum`: the same figure in any order of rows."""
    known = ~np.isnan(numerator)
    return Ratio(
        math.fsum(numerator[known].tolist()), math.fsum(denominator[known].tolist()), len(known), int((~known).sum())
    )


def ratio_effect(before: tuple[Series, Series], after: tuple[Series, Series], *, paired: bool) -> LogEffect:
    """`before`, `after`: numerator and denominator by period, (periods,). `paired`: period k lies beside period k, so
    what both seasons share cancels. Raises: DataError where a figure is not above zero."""
    first, second = (_linear(*(np.nan_to_num(side) for side in span)) for span in (before, after))
    return _combine(float(second[0] - first[0]), first[1], second[1], paired)


def combine(log: float, before: Series, after: Series, *, paired: bool) -> LogEffect:
    """An effect from what each period of both spans adds to its error; 0 where a period is not known."""
    return _combine(log, -before, after, paired)


def _combine(log: float, before: Series, after: Series, paired: bool) -> LogEffect:
    first, second = long_run(before), long_run(after)
    if paired and len(before) == len(after):
        both = long_run(after - before)
        return LogEffect(log, math.sqrt(both.variance), both.df, (first.effective, second.effective))
    variance = first.variance + second.variance
    return LogEffect(log, math.sqrt(variance), _satterthwaite(first, second), (first.effective, second.effective))


def _satterthwaite(first: LongRun, second: LongRun) -> float:
    """Degrees of freedom of a sum of two estimated variances. Source: Satterthwaite, Biometrics 2 (1946) 110-114."""
    spread = first.variance**2 / first.df + second.variance**2 / second.df
    return (first.variance + second.variance) ** 2 / spread if spread > 0 else first.df + second.df


def _linear(numerator: Series, denominator: Series) -> tuple[NDArray[np.float64], Series]:
    """log R and what each period adds to its error. Shapes: (…, periods) twice -> (…), (…, periods)."""
    top, bottom = numerator.sum(axis=-1, keepdims=True), denominator.sum(axis=-1, keepdims=True)
    if not (np.all(top > 0) and np.all(bottom > 0)):
        raise DataError("a figure that is not above zero cannot be compared as a ratio")
    return np.log(top / bottom)[..., 0], (numerator - top / bottom * denominator) / top


def bootstrap_interval(
    before: tuple[Series, Series],
    after: tuple[Series, Series],
    *,
    paired: bool,
    level: float,
    seed: int,
    replicates: int,
) -> Interval | None:
    """The same effect by the studentised stationary bootstrap; None where too many draws leave a span without a
    numerator, as with a handful of failures. The same seed draws the same days."""
    random = np.random.default_rng(seed)
    spans = [tuple(np.nan_to_num(side) for side in span) for span in (before, after)]
    truth = [_linear(*span) for span in spans]
    together = paired and len(truth[0][1]) == len(truth[1][1])
    if together:
        drawn = stationary_draws(len(spans[0][0]), mean_block(truth[1][1] - truth[0][1]), replicates, random)
        draws = [drawn, drawn]
    else:
        draws = [stationary_draws(len(t[1]), mean_block(t[1]), replicates, random) for t in truth]
    sums = [[side[draw] for side in span] for span, draw in zip(spans, draws, strict=True)]
    usable = np.all([side.sum(axis=1) > 0 for span in sums for side in span], axis=0)
    if usable.mean() < 0.99:
        return None
    again = [_linear(*(side[usable] for side in span)) for span in sums]
    log = float(truth[1][0] - truth[0][0])
    error = math.sqrt(_variance(truth[0][1], truth[1][1], together))
    errors = np.sqrt(_variance(again[0][1], again[1][1], together))
    with np.errstate(divide="ignore", invalid="ignore"):
        students = (again[1][0] - again[0][0] - log) / errors
    if not np.isfinite(students).all():
        return None
    low, high = np.quantile(students, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return Interval(math.expm1(log - float(high) * error), _expm1(log - float(low) * error), level)


def _variance(before: Series, after: Series, together: bool) -> NDArray[np.float64]:
    return variance_of_sum(after - before) if together else variance_of_sum(before) + variance_of_sum(after)
