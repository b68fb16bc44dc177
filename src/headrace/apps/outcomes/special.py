"""Quantiles that an interval needs: Student's t and the beta distribution, by the regularised incomplete beta function.

Written here so that the app needs nothing beyond NumPy; the tests compare with SciPy to ten digits.
Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.5.8 (continued fraction), 26.5.27 (t and beta).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

_TINY: Final = 1e-300
_EPSILON: Final = 1e-15
_TERMS: Final = 10_000
_STEPS: Final = 200
_EXPONENT_MAX: Final = 700.0


def normal_quantile(p: float) -> float:
    """z with P(Z ≤ z) = p for a standard normal Z; p within (0, 1)."""
    return NormalDist().inv_cdf(p)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b): the probability that Beta(a, b) is at most x; a, b > 0 and 0 ≤ x ≤ 1."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of 26.5.8, evaluated forward (modified Lentz)."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(p: float, a: float, b: float) -> float:
    """x with I_x(a, b) = p. A parameter of zero puts all weight on its end: Beta(0, b) is 0, Beta(a, 0) is 1."""
    if a <= 0.0:
        return 0.0
    if b <= 0.0:
        return 1.0
    low, high, x = 0.0, 1.0, a / (a + b)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(_STEPS):  # Newton's, and a halving where that leads out of what is left
        beyond = incomplete_beta(a, b, x) - p
        low, high = (low, x) if beyond > 0 else (x, high)
        slope = math.exp(min(scale + (a - 1.0) * math.log(x) + (b - 1.0) * math.log1p(-x), _EXPONENT_MAX))
        following = x - beyond / slope if slope > 0.0 else low
        if not low < following < high:
            following = (low + high) / 2.0
        if following in (low, high) or abs(following - x) <= _EPSILON * x:
            break
        x = following
    return x


@lru_cache(maxsize=256)
def t_quantile(p: float, df: float) -> float:
    """t with P(T ≤ t) = p for Student's t of `df` > 0 degrees of freedom, whole or not; p within (0, 1)."""
    if p == 0.5:
        return 0.0
    tail = 2.0 * min(p, 1.0 - p)
    if tail < 0.5:  # df / (df + t²) is Beta(df/2, 1/2), t² / (df + t²) Beta(1/2, df/2): the one that is small is exact
        x = beta_quantile(tail, df / 2.0, 0.5)
        size = math.sqrt(df * (1.0 - x) / x)
    else:
        x = beta_quantile(1.0 - tail, 0.5, df / 2.0)
        size = math.sqrt(df * x / (1.0 - x))
    return math.copysign(size, p - 0.5)
