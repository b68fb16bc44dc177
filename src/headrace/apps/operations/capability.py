"""Elements of the capability KPIs (19 to 22) from measurements.

    values in subgroups ─► s of all, σ̂ within subgroups ─► S, SIGMA, XBAR, XBARBAR, USL, LSL

σ̂ = R̄/d₂ for subgroups of up to 10, s̄/c₄ for larger ones, and the mean moving range over d₂(2) for single values.
Source: ISO 22514-2, ISO 7870-2 (d₂, c₄).
"""

from __future__ import annotations

from math import lgamma, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import DataError

D2: Final = (1.128, 1.693, 2.059, 2.326, 2.534, 2.704, 2.847, 2.970, 3.078)
"""d₂ for subgroups of 2, 3, … 10."""


def c4(size: int) -> float:
    """What s of `size` normal values is of σ on average."""
    ratio = np.exp(lgamma(size / 2) - lgamma((size - 1) / 2))
    return float(sqrt(2 / (size - 1)) * ratio)


def capability(values: NDArray[np.float64], size: int, lsl: float, usl: float) -> dict[str, float]:
    """`values` in order of time, in subgroups of `size`; what does not fill the last one is left out.

    Shape: (values,). Units: those of the values. Raises: DataError for fewer than two subgroups, or limits swapped.
    """
    if not lsl < usl:
        raise DataError(f"the lower limit {lsl:g} is not below the upper one {usl:g}")
    if size < 1 or len(values) < 2 * size or not np.all(np.isfinite(values)):
        raise DataError(f"capability needs two subgroups of {size} finite values; there are {len(values)} values")
    groups = values[: len(values) // size * size].reshape(-1, size)
    spread_all = float(np.std(groups, ddof=1))
    mean = float(groups.mean())
    limits = {"USL": usl, "LSL": lsl, "XBAR": mean, "XBARBAR": mean, "S": spread_all, "S_ALL": spread_all}
    return {**limits, "SIGMA": _within(groups, size)}


def _within(groups: NDArray[np.float64], size: int) -> float:
    if size == 1:
        return float(np.abs(np.diff(groups[:, 0])).mean()) / D2[0]
    if size <= len(D2) + 1:
        return float(np.ptp(groups, axis=1).mean()) / D2[size - 2]
    return float(np.std(groups, axis=1, ddof=1).mean()) / c4(size)
