"""How often a property is tried: the same few examples in `make test`, many random ones in `make soak`.

    make test   profile "quick"     a quarter of the examples, the same in every run: nothing fails by chance
    make soak   profile "thorough"  all of them, drawn at random; the seed is printed, and SEED=… draws them again

`@settings(max_examples=examples(200))` says how many the property deserves. Without it Hypothesis's 100 are meant.
A test that draws without Hypothesis begins with `drawn_seed()`.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from _pytest.mark import ParameterSet
from hypothesis import HealthCheck, settings

USUAL: Final = 100
_SHARE: Final = 4
_FEWEST: Final = 10
_SEED: Final = 1969


def examples(count: int) -> int:
    """`count` in `make soak`; in `make test` a quarter of it, but ten at least where `count` is ten or more."""
    return count if settings().max_examples >= USUAL else min(count, max(_FEWEST, count // _SHARE))


def drawn_seed() -> int:
    """What a test that draws by itself begins with: HEADRACE_SEED, which `make soak` sets, or the same every time.

    Such a test is marked `seeded`, so that `make soak` runs it too.
    """
    return int(os.environ.get("HEADRACE_SEED") or _SEED)


def seeds(count: int, quick: int) -> list[ParameterSet]:
    """For `parametrize("seed", …)`: the first `quick` of `count` in `make test`, the others in `make soak`."""
    return [pytest.param(seed, marks=() if seed < quick else pytest.mark.soak) for seed in range(count)]


def register() -> None:
    """Both profiles; neither fails a property for being slow, for that says more of the machine than of us."""
    ours = settings(deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("quick", ours, derandomize=True, max_examples=USUAL // _SHARE)
    settings.register_profile("thorough", ours, derandomize=False, max_examples=USUAL)
