"""Student's t and Fisher's F: how likely a coefficient or a whole regression is by chance.

Both come of the incomplete beta function, worked out by its continued fraction (modified Lentz), to about 1e-14.
Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.8, 26.6.2, 26.7.1.
"""

from __future__ import annotations

import math

_STEPS_MAX = 500
_TINY = 1e-300


def two_sided(t: float, freedom: int) -> float:
    """The probability that |T| is at least |t|; 0 … 1, NaN for no degree of freedom."""
    if freedom < 1 or math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0
    return incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def above_f(f: float, freedom_1: int, freedom_2: int) -> float:
    """The probability that F is at least f; NaN without degrees of freedom."""
    if freedom_1 < 1 or freedom_2 < 1 or math.isnan(f):
        return math.nan
    if math.isinf(f):
        return 0.0
    return incomplete_beta(freedom_2 / (freedom_2 + freedom_1 * f), freedom_2 / 2, freedom_1 / 2)


def t_quantile(confidence: float, freedom: int) -> float:
    """The t that |T| stays below with this confidence, such as 0.95; by halving. NaN for no degree of freedom."""
    if freedom < 1:
        return math.nan
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > 1 - confidence:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if two_sided(middle, freedom) > 1 - confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 ≤ x ≤ 1."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + …)) of A&S 26.5.8, by the modified method of Lentz."""
    value = 1.0
    c, d = 1.0, 0.0
    for step in range(1, _STEPS_MAX):
        half, odd = divmod(step, 2)
        if odd:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = c if abs(c) > _TINY else _TINY
        value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value
