"""Quantiles against SciPy, an independent implementation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.apps.outcomes.special import beta_quantile, incomplete_beta, normal_quantile, t_quantile

stats = pytest.importorskip("scipy.stats")
special = pytest.importorskip("scipy.special")

shapes = st.floats(0.5, 500.0)
shares = st.floats(1e-4, 1 - 1e-4)


@given(shapes, shapes, shares)
def test_the_incomplete_beta_function(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(float(special.betainc(a, b, x)), rel=1e-10, abs=1e-14)


@given(shapes, shapes, shares)
def test_beta_quantiles(a: float, b: float, p: float) -> None:
    assert beta_quantile(p, a, b) == pytest.approx(float(stats.beta.ppf(p, a, b)), rel=1e-10, abs=1e-14)


@given(shares, st.floats(1.0, 500.0))
def test_t_quantiles(p: float, df: float) -> None:
    assert t_quantile(p, df) == pytest.approx(float(stats.t.ppf(p, df)), rel=1e-10, abs=1e-12)


def test_ends_and_the_middle() -> None:
    assert (incomplete_beta(2, 3, 0.0), incomplete_beta(2, 3, 1.0)) == (0.0, 1.0)
    assert (beta_quantile(0.5, 0.0, 3.0), beta_quantile(0.5, 3.0, 0.0)) == (0.0, 1.0)
    assert t_quantile(0.5, 7) == 0.0 and t_quantile(0.025, 7) == pytest.approx(-t_quantile(0.975, 7))
    assert normal_quantile(0.975) == pytest.approx(1.959963984540054)
