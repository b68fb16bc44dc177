"""Energy baselines and performance indicators: what would have been used, and what was.

    reference period ──least squares──► E = a + b₁x₁ + b₂x₂ …  ──freeze──► baseline
    reporting period ──its x──► expected E ──minus actual──► saving, ── summed up ──► CUSUM

Source: ISO 50001:2018 §6.4, 6.5; ISO 50006:2023; statistics as in ASHRAE Guideline 14 and IPMVP (CV(RMSE), t, savings
with their uncertainty). A frozen baseline is not fitted again: what changes it is a dated adjustment with a reason.
Outside of the range of the reference period a model guesses, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.apps.energy.significance import above_f, t_quantile, two_sided
from headrace.model.errors import Conflict, DataError

Floats = NDArray[np.float64]

CONDITION_MAX = 1e10
SIGNIFICANT_P = 0.05


@dataclass(frozen=True, slots=True)
class Fit:
    """Statistics of a regression over n periods with k variables. `t`, `p`, `error`: the constant first, then
    variables."""

    n: int
    r2: float
    r2_adjusted: float
    cv_rmse: float
    rmse: float
    f: float
    f_p: float
    error: tuple[float, ...]
    t: tuple[float, ...]
    p: tuple[float, ...]
    durbin_watson: float
    residuals: tuple[float, ...]

    @property
    def insignificant(self) -> tuple[int, ...]:
        """Places (0 the first variable) of variables that may as well be chance (p above 0.05)."""
        return tuple(place for place, p in enumerate(self.p[1:]) if not p <= SIGNIFICANT_P)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change that the variables do not know: a new hall, another shift. `amount` is added to each period from `since`
    on."""

    since: date
    amount: float
    reason: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """E = constant + Σ coefficient · variable, in `unit` for each period. `frozen` is when it was made binding.

    `covariance` is that of the constant and coefficients, for the uncertainty of savings; none where they were given.
    """

    name: str
    unit: str
    variables: tuple[str, ...]
    constant: float
    coefficients: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    fit: Fit | None = None
    frozen: date | None = None
    adjustments: tuple[Adjustment, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    def freeze(self, on: date) -> Baseline:
        """Binding from now on. Raises: Conflict where it already is."""
        if self.frozen is not None:
            raise Conflict(f"baseline {self.name} is frozen since {self.frozen}; adjust it, or make another one")
        return replace(self, frozen=on)

    def adjusted(self, adjustment: Adjustment) -> Baseline:
        """With one more dated change. Raises: DataError for one without a reason."""
        if not adjustment.reason.strip() or not math.isfinite(adjustment.amount):
            raise DataError(f"an adjustment of baseline {self.name} needs an amount and a reason")
        return replace(self, adjustments=(*self.adjustments, adjustment))

    def expected(self, values: Mapping[str, ArrayLike], on: Sequence[date] | None = None) -> Floats:
        """What would have been used. Shape: (periods,). `on`, the first day of each period, is for adjustments.

        Raises: DataError for a variable that is missing, or adjustments without days.
        """
        table = _table(self.variables, values)
        found: Floats = self.constant + table @ np.asarray(self.coefficients, np.float64)
        if self.adjustments:
            if on is None or len(on) != len(found):
                raise DataError(f"baseline {self.name} has adjustments; give the first day of each period")
            for adjustment in self.adjustments:
                found = found + np.where([day >= adjustment.since for day in on], adjustment.amount, 0.0)
        return found

    def outside(self, values: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Periods in which a variable is outside of what the reference period had. Shape: (periods,)."""
        table = _table(self.variables, values)
        if not self.low:
            return np.zeros(len(table), bool)
        beyond = (table < np.asarray(self.low)) | (table > np.asarray(self.high))
        return np.asarray(beyond.any(axis=1), bool)


@dataclass(frozen=True, slots=True)
class Performance:
    """Periods against a baseline. Shape: (periods,) each. `savings` expected minus actual, `cusum` its running sum.

    `enpi_ratio` actual by expected, of the sums; `uncertainty` of the whole saving (half width, at `confidence`), None
    where the baseline was given, not fitted. Periods without an actual value are NaN and left out of the sums.
    """

    actual: Floats
    expected: Floats
    savings: Floats
    cusum: Floats
    outside: NDArray[np.bool_]
    saving: float
    enpi_ratio: float
    uncertainty: float | None
    confidence: float
    missing: int

    @property
    def is_significant(self) -> bool | None:
        """Whether the saving is larger than its uncertainty; None where that is not known."""
        return None if self.uncertainty is None else abs(self.saving) > self.uncertainty


def fit(name: str, unit: str, energy: ArrayLike, variables: Mapping[str, ArrayLike]) -> Baseline:
    """A baseline by ordinary least squares over the reference period.

    Raises: DataError for unknown values, too few periods, or variables that tell the same (then leave one out).
    """
    y = np.asarray(energy, np.float64)
    names = tuple(variables)
    table = _table(names, variables) if names else np.zeros((len(y), 0))
    n, k = len(y), len(names)
    if table.shape[0] != n or not np.all(np.isfinite(y)):
        raise DataError(f"baseline {name} needs one known energy for each of its {table.shape[0]} periods")
    if n < k + 2:
        raise DataError(f"baseline {name} has {n} periods for {k} variables; it needs {k + 2} at least")
    x = np.column_stack((np.ones(n), table))
    scale = np.where(np.abs(x).max(axis=0) > 0, np.abs(x).max(axis=0), 1.0)
    u, sizes, vt = np.linalg.svd(x / scale, full_matrices=False)
    if sizes[-1] * CONDITION_MAX < sizes[0]:
        raise DataError(
            f"the variables {', '.join(names)} of baseline {name} tell the same or never change; leave one out"
        )
    inverse = (vt.T / sizes) @ u.T
    beta = (inverse @ y) / scale
    covariance = (vt.T / sizes**2) @ vt / np.outer(scale, scale)
    fitted = _statistics(y, y - x @ beta, beta, covariance, k)
    return Baseline(
        name,
        unit,
        names,
        float(beta[0]),
        tuple(float(value) for value in beta[1:]),
        tuple(float(value) for value in table.min(axis=0)) if k else (),
        tuple(float(value) for value in table.max(axis=0)) if k else (),
        fitted,
        covariance=tuple(tuple(row) for row in (covariance * fitted.rmse**2).tolist()),
    )


def perform(
    baseline: Baseline,
    actual: ArrayLike,
    values: Mapping[str, ArrayLike],
    *,
    on: Sequence[date] | None = None,
    confidence: float = 0.95,
) -> Performance:
    """A reporting period against its baseline. NaN in `actual` or a variable: nothing is known of that period."""
    used = np.asarray(actual, np.float64)
    expected = baseline.expected(values, on)
    if len(used) != len(expected):
        raise DataError(f"{len(used)} actual values do not fit {len(expected)} periods of variables")
    savings = expected - used
    known = np.isfinite(savings)
    whole = math.fsum(savings[known])
    ideal = math.fsum(expected[known])
    return Performance(
        used,
        expected,
        savings,
        np.where(known, np.cumsum(np.where(known, savings, 0.0)), np.nan),
        baseline.outside(values),
        whole,
        math.fsum(used[known]) / ideal if ideal else math.nan,
        _uncertainty(baseline, values, known, confidence),
        confidence,
        int((~known).sum()),
    )


def told(baseline: Baseline) -> dict[str, Any]:
    """The baseline with its statistics, as people and programs get it."""
    fitted = baseline.fit
    return {
        "name": baseline.name,
        "unit": baseline.unit,
        "constant": baseline.constant,
        "coefficients": dict(zip(baseline.variables, baseline.coefficients, strict=True)),
        "range": {
            name: [low, high] for name, low, high in zip(baseline.variables, baseline.low, baseline.high, strict=False)
        },
        "frozen": None if baseline.frozen is None else str(baseline.frozen),
        "adjustments": [
            {"since": str(one.since), "amount": one.amount, "reason": one.reason} for one in baseline.adjustments
        ],
        "fit": None
        if fitted is None
        else {
            "n": fitted.n,
            "r2": fitted.r2,
            "r2_adjusted": fitted.r2_adjusted,
            "rmse": fitted.rmse,
            "cv_rmse": fitted.cv_rmse,
            "f": fitted.f,
            "f_p": fitted.f_p,
            "t": list(fitted.t),
            "p": list(fitted.p),
            "durbin_watson": fitted.durbin_watson,
            "insignificant": [baseline.variables[place] for place in fitted.insignificant],
        },
    }


def _statistics(y: Floats, residuals: Floats, beta: Floats, inverse: Floats, k: int) -> Fit:
    n = len(y)
    freedom = n - k - 1
    rest = math.fsum(residuals**2)
    whole = math.fsum((y - y.mean()) ** 2)
    mean_square = rest / freedom
    error = np.sqrt(np.maximum(np.diag(inverse) * mean_square, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = beta / error
        explained = max(whole - rest, 0.0)  # rounding may leave less than nothing
        f = float(np.float64(explained) / k / mean_square) if k else math.nan
        turns = math.fsum(np.diff(residuals) ** 2) / rest if rest else math.nan
    r2 = 1.0 - rest / whole if whole else math.nan
    return Fit(
        n,
        r2,
        1.0 - (1.0 - r2) * (n - 1) / freedom,
        math.sqrt(mean_square) / abs(y.mean()) if y.mean() else math.nan,
        math.sqrt(mean_square),
        f,
        above_f(f, k, freedom),
        tuple(float(value) for value in error),
        tuple(float(value) for value in t),
        tuple(two_sided(float(value), freedom) for value in t),
        turns,
        tuple(float(value) for value in residuals),
    )


def _uncertainty(
    baseline: Baseline, values: Mapping[str, ArrayLike], known: NDArray[np.bool_], confidence: float
) -> float | None:
    """Of a sum of predictions: of the coefficients (they err together) and of each period (they err apart)."""
    if baseline.fit is None or not baseline.covariance or not known.any():
        return None
    table = _table(baseline.variables, values)[known] if baseline.variables else np.zeros((int(known.sum()), 0))
    ones = np.column_stack((np.ones(len(table)), table)).sum(axis=0)
    variance = float(ones @ np.asarray(baseline.covariance) @ ones) + baseline.fit.rmse**2 * len(table)
    freedom = baseline.fit.n - len(baseline.variables) - 1
    return t_quantile(confidence, freedom) * math.sqrt(variance)


def _table(names: Sequence[str], values: Mapping[str, ArrayLike]) -> Floats:
    """Shape: (periods, variables), float64."""
    missing = [name for name in names if name not in values]
    if missing:
        raise DataError(f"the variables {', '.join(missing)} of the baseline are not given")
    columns = [np.atleast_1d(np.asarray(values[name], np.float64)) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"the variables {', '.join(names)} have columns of different lengths")
    return np.column_stack(columns)
