"""Curves: whether a sample and a question cost the same in a small store and in a large one.

size     one store of 10,000 points grows to 200 M samples; at each size all is flushed, then it is asked
points   10 M samples of 100, 1,000, 10,000 and 100,000 points, each in a store of its own
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.harness import Measure
from bench.history.bench import Bench

SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 72_000_000, 200_000_000)
DUCKDB_MAX = 30_000_000
POINT_COUNTS = (100, 1_000, 10_000, 100_000)
POINTS_SAMPLES = 10_000_000


def rows(bench: Bench) -> Iterator[Measure]:
    return iter(())
