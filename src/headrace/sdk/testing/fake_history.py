"""Buckets of a fake plant's history: what `sdk/store.py` says of them, said one bucket after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.sdk.store import Aggregate, Buckets
from headrace.sdk.testing.fake_plant import FakePlant

_WHOLE = (Aggregate.COUNT, Aggregate.GOOD_COUNT)
CELLS_MAX = 1_000_000


def buckets_of(
    plant: FakePlant, paths: Sequence[str], start_ns: int, end_ns: int, width_ns: int, aggregates: Sequence[Aggregate],
    good_only: bool,
) -> Buckets:  # fmt: skip
    """Raises: DataError for text points or no width; LimitReached."""
    if width_ns <= 0:
        raise DataError("buckets have a width")
    first = start_ns // width_ns
    count = max(0, -(-end_ns // width_ns) - first)
    if count * len(paths) > CELLS_MAX:
        raise LimitReached(f"{count * len(paths):,} cells are more than {CELLS_MAX:,}")
    starts = (first + np.arange(count, dtype=np.int64)) * width_ns
    columns: dict[Aggregate, NDArray[Any]] = {
        name: np.zeros((len(paths), count), np.int64) if name in _WHOLE else np.full((len(paths), count), np.nan)
        for name in aggregates
    }
    for row, path in enumerate(paths):
        if plant.points[path].kind is ValueKind.TEXT:
            raise DataError(f"'{path}' is text, which has no mean")
        for name, cells in _of_point(plant, path, starts, width_ns, (start_ns, end_ns), good_only).items():
            if name in columns:
                columns[name][row] = cells
    return Buckets(np.arange(len(paths), dtype=np.uint32), starts, width_ns, columns)


def _of_point(
    plant: FakePlant, path: str, starts: NDArray[np.int64], width_ns: int, span: tuple[int, int], good_only: bool
) -> dict[Aggregate, list[float]]:
    held = [one for _, one in plant.latest(path, span[0] - 1) + plant.rows(path, *span)]
    times = np.array([one.time_ns for one in held], np.int64)
    values = np.array([float(one.value) for one in held])
    good = q.is_good(np.array([one.quality for one in held], np.uint32))
    counts = (good if good_only else np.ones_like(good)) & ~np.isnan(values)
    ends = np.append(times[1:], span[1])
    table: dict[Aggregate, list[float]] = {name: [] for name in Aggregate}
    for start in starts.tolist():
        low, high = max(start, span[0]), min(start + width_ns, span[1])
        inside = (times >= low) & (times < high)
        picked = values[inside & counts]
        some = len(picked) > 0
        table[Aggregate.COUNT].append(int(inside.sum()))
        table[Aggregate.GOOD_COUNT].append(int((inside & good).sum()))
        for name, figure in (
            (Aggregate.MIN, np.min), (Aggregate.MAX, np.max), (Aggregate.MEAN, np.mean), (Aggregate.SUM, np.sum),
            (Aggregate.STANDARD_DEVIATION, np.std), (Aggregate.FIRST, _first), (Aggregate.LAST, _last),
        ):  # fmt: skip
            table[name].append(float(figure(picked)) if some else np.nan)
        stood = np.clip(np.minimum(ends, high) - np.maximum(times, low), 0, None) * counts
        whole = float(stood.sum())
        area, on = float((stood * np.where(counts, values, 0)).sum()), float((stood * (values != 0)).sum())
        table[Aggregate.TIME_WEIGHTED_MEAN].append(area / whole if whole else np.nan)
        table[Aggregate.TIME_IN_STATE].append(on / 1e9 if whole else np.nan)
    return table


def _first(values: NDArray[np.float64]) -> float:
    return float(values[0])


def _last(values: NDArray[np.float64]) -> float:
    return float(values[-1])
