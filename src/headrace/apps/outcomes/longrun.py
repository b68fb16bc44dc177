"""How far a sum over days may be off when days resemble their neighbours.

A bad week makes the next bad week likelier, so n days are worth fewer than n. Two ways to account for that:

- the *long-run variance* by a few slow cosines of the series and Student's t with as many degrees of freedom: what the
  stated intervals rest on. Source: Lazarus, Lewis, Stock & Watson, "HAR Inference: Recommendations for Practice",
  J. Business & Economic Statistics 36 (2018) 541-559, the equal-weighted cosine test, here with ν = 0.25 n^(2/3)
  where they have 0.4: it keeps what it promises at a correlation of 0.8 from day to day too (decision 50);
- the *stationary bootstrap*: days drawn anew in blocks of random length; shown beside, as a check of another kind.
  Sources: Politis & Romano, JASA 89 (1994) 1303-1313; its mean block by Politis & White, Econometric Reviews 23 (2004)
  53-70, as corrected by Patton, Politis & White, ibid. 28 (2009) 372-375.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LongRun:
    """Of a series whose sum is meant: `variance` of that sum, with `df` degrees of freedom; `effective`: as many
    independent periods would have told as much, at most as many as there are."""

    variance: float
    df: float
    effective: float


def degrees(periods: int) -> int:
    """How many cosines: more follow the noise of a season, fewer leave a wide interval."""
    return max(3, int(0.25 * periods ** (2.0 / 3.0)))


@lru_cache(maxsize=64)
def cosines(periods: int) -> NDArray[np.float64]:
    """Orthonormal, each of sum zero, the slowest first. Shape: (periods, degrees(periods))."""
    order = np.arange(1, degrees(periods) + 1)
    moment = (np.arange(periods) + 0.5) / periods
    made: NDArray[np.float64] = np.sqrt(2.0 / periods) * np.cos(np.pi * np.outer(moment, order))
    made.flags.writeable = False
    return made


def variance_of_sum(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape: (…, periods) -> (…)."""
    periods = series.shape[-1]
    projected = series @ cosines(periods)
    return np.asarray(periods * (projected**2).mean(axis=-1))


def long_run(series: NDArray[np.float64]) -> LongRun:
    """`series`: (periods,), what each period adds to an error; 0 for a period that is not known."""
    periods = len(series)
    variance = float(variance_of_sum(series))
    known = int(np.count_nonzero(series)) or periods
    independent = periods * float(np.var(series))
    effective = known * min(independent / variance, 1.0) if variance > 0 else float(known)
    return LongRun(variance, float(degrees(periods)), effective)


def mean_block(series: NDArray[np.float64]) -> float:
    """The mean length of a block, in periods, for the stationary bootstrap of this series; at least 1."""
    periods = len(series)
    centred = series - series.mean()
    if not np.any(centred):
        return 1.0
    quiet_run = max(5, math.ceil(math.sqrt(math.log10(periods))))
    lag_max = min(math.ceil(math.sqrt(periods)) + quiet_run, periods - 1)
    covariances = np.array([centred[lag:] @ centred[: periods - lag] for lag in range(lag_max + 1)]) / periods
    small = np.abs(covariances / covariances[0]) < 2.0 * math.sqrt(math.log10(periods) / periods)
    quiet_after = next(
        (lag for lag in range(lag_max - quiet_run + 1) if small[lag + 1 : lag + 1 + quiet_run].all()), None
    )
    band = lag_max if quiet_after is None else min(2 * max(quiet_after, 1), lag_max)
    lags = np.arange(-band, band + 1)
    share = np.abs(lags) / band
    weights = np.where(share <= 0.5, 1.0, 2.0 * (1.0 - share))
    around = weights * covariances[np.abs(lags)]
    spectrum = float(around.sum())
    slope = float((np.abs(lags) * around).sum())
    if spectrum <= 0.0:
        return 1.0
    length = (slope**2 / spectrum**2 * periods) ** (1.0 / 3.0)
    return float(min(max(length, 1.0), math.ceil(min(3.0 * math.sqrt(periods), periods / 3.0))))


def stationary_draws(periods: int, block: float, replicates: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices of periods, in blocks of geometric length round the end. Shape: (replicates, periods)."""
    start = random.integers(0, periods, (replicates, periods))
    begins = random.random((replicates, periods)) < 1.0 / block
    begins[:, 0] = True
    column = np.arange(periods)
    last = np.maximum.accumulate(np.where(begins, column, 0), axis=1)
    drawn: NDArray[np.int64] = (np.take_along_axis(start, last, axis=1) + column - last) % periods
    return drawn
