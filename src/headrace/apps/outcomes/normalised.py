"""Energy against what the plant of the baseline would have used for this output in this weather.

    baseline     E = b₀ + Σ bₖ xₖ + e        least squares over its periods: products, degree-days, …
    report       expected Σ (b₀ + Σ bₖ xₖ)   the same plant, the report's own products and weather
    effect       Σ E / expected - 1

Analysis of covariance with slopes of each span's own, judged at the covariates of the report span: a gain that lies in
the slopes (less energy for each part) counts as much as one in the base load. Each period of both spans adds to the
error, those of the baseline through the coefficients, each residual enlarged by its leverage (jackknife).

Sources: Peters, J. Experimental Education 9 (1941) 338-346, and Belson, Applied Statistics 5 (1956) 195-202 (the
method); ISO 50006:2023 and ISO 50015:2014 (normalised baselines); ASHRAE Guideline 14-2014 (CV(RMSE), range).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.effects import LogEffect, combine
from headrace.model.errors import DataError

PERIODS_A_COVARIATE_MIN: Final = 10
CONDITION_MAX: Final = 1e6
RANGE_SLACK: Final = 0.10  # beyond the baseline's range by more than a tenth of it is extrapolation


@dataclass(frozen=True, slots=True)
class Normalised:
    """`coefficients`: of the constant, then of each covariate, kgce a unit. `outside`: share of the report's periods
    whose covariates lie beyond what the baseline has seen. `cv_rmse`: standard error over mean."""

    effect: LogEffect
    actual: float
    expected: float
    coefficients: tuple[float, ...]
    r_squared: float
    cv_rmse: float
    outside: float


def normalised_effect(
    before: tuple[NDArray[np.float64], NDArray[np.float64]],
    after: tuple[NDArray[np.float64], NDArray[np.float64]],
    names: Sequence[str],
    *,
    paired: bool,
) -> Normalised:
    """`before`, `after`: energy (periods,) and covariates (periods, covariates); NaN where unknown.

    Raises: DataError with too few periods, covariates that do not vary or say the same, or no sensible expectation.
    """
    known = [~np.isnan(energy) & ~np.isnan(drivers).any(axis=1) for energy, drivers in (before, after)]
    energy, later = before[0][known[0]], after[0][known[1]]
    drivers, driven = before[1][known[0]], after[1][known[1]]
    wanted = PERIODS_A_COVARIATE_MIN * (len(names) + 1)
    if len(energy) < wanted or len(later) < 2:
        raise DataError(f"{len(energy)} periods of the baseline have energy and all covariates; {wanted} are needed")
    scale = _scale(drivers, names)
    design, ahead = _design(drivers / scale), _design(driven / scale)
    if np.linalg.cond(design / np.linalg.norm(design, axis=0)) > CONDITION_MAX:
        raise DataError(f"the covariates say the same of the baseline ({', '.join(names)}): leave one out")
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ (design.T @ energy)
    residual = energy - design @ beta
    expected = ahead @ beta
    total = float(expected.sum())
    if not (total > 0 and later.sum() > 0):
        raise DataError("the baseline's equation expects no energy in the report span: its covariates do not fit")
    ratio = float(later.sum()) / total
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    errors_before, errors_after = np.zeros(len(before[0])), np.zeros(len(after[0]))
    errors_before[known[0]] = -(design @ (inverse @ ahead.sum(axis=0))) * residual / (1.0 - leverage) / total
    errors_after[known[1]] = (later - ratio * expected) / float(later.sum())
    spread = float(((energy - energy.mean()) ** 2).sum())
    freedom = len(energy) - design.shape[1]
    return Normalised(
        combine(math.log(ratio), errors_before, errors_after, paired=paired),
        float(later.sum()),
        total,
        tuple((beta / np.concatenate([[1.0], scale])).tolist()),
        1.0 - float(residual @ residual) / spread if spread > 0 else 0.0,
        math.sqrt(float(residual @ residual) / freedom) / abs(float(energy.mean())),
        _outside(drivers, driven),
    )


def _scale(drivers: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    for name, column in zip(names, drivers.T, strict=True):
        if not np.ptp(column) > 0:
            raise DataError(f"covariate '{name}' has one value throughout the baseline: leave it out")
    scale: NDArray[np.float64] = np.abs(drivers).max(axis=0)
    return scale


def _design(drivers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(drivers)), drivers])


def _outside(drivers: NDArray[np.float64], driven: NDArray[np.float64]) -> float:
    if not drivers.shape[1]:
        return 0.0
    low, high = drivers.min(axis=0), drivers.max(axis=0)
    slack = RANGE_SLACK * (high - low)
    return float(((driven < low - slack) | (driven > high + slack)).any(axis=1).mean())
