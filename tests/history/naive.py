"""What a downsample must say, the simplest way: one sample after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from headrace.sdk.store import Aggregate

Sample = tuple[int, float, bool]
"""Time, value, whether it is good."""


def downsample(
    samples: Sequence[Sample], start_ns: int, end_ns: int, origin_ns: int, width_ns: int, count: int
) -> dict[Aggregate, list[float]]:
    """Of one point, samples by time; good ones only."""
    table: dict[Aggregate, list[float]] = {name: [math.nan] * count for name in Aggregate}
    for at in range(count):
        low, high = max(start_ns, origin_ns + at * width_ns), min(end_ns, origin_ns + (at + 1) * width_ns)
        inside = [sample for sample in samples if low <= sample[0] < high]
        values = np.array([value for _, value, good in inside if good and not math.isnan(value)])
        table[Aggregate.COUNT][at] = len(inside)
        table[Aggregate.GOOD_COUNT][at] = sum(good for _, _, good in inside)
        if len(values):
            table[Aggregate.MIN][at], table[Aggregate.MAX][at] = values.min(), values.max()
            table[Aggregate.FIRST][at], table[Aggregate.LAST][at] = values[0], values[-1]
            table[Aggregate.SUM][at], table[Aggregate.MEAN][at] = values.sum(), values.mean()
            table[Aggregate.STANDARD_DEVIATION][at] = values.std()
        weight = integral = nonzero = 0.0
        ends_ns = [*(sample[0] for sample in samples[1:]), end_ns]
        for (time_ns, value, good), until_ns in zip(samples, ends_ns[: len(samples)], strict=True):
            held_ns = min(until_ns, high) - max(time_ns, low)
            if good and not math.isnan(value) and held_ns > 0 and time_ns < end_ns:
                weight, integral = weight + held_ns, integral + held_ns * value
                nonzero += held_ns * (value != 0)
        if weight:
            table[Aggregate.TIME_WEIGHTED_MEAN][at] = integral / weight
            table[Aggregate.TIME_IN_STATE][at] = nonzero / 1e9
    return table
