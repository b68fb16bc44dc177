"""Buckets: what a downsample answers, from summary rows alone. Arithmetic only: no view, no files.

    rows of any length ─► combine by (point, bucket) ─► aggregates ─► fill empty buckets as asked ─► Buckets

Bad samples count as samples and nothing else, unless the caller asks for all. For times in state and time-weighted
means a value holds until the next sample, a bad sample ends it, and the last one holds to the end of the span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.columns import starts_of
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.model.quality import is_good
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate, Buckets, Interpolation

CELLS_MAX: Final = 1_000_000
LOOK_BACK_NS: Final = 7 * DAY_NS
"""How far before the span a value is looked for that still holds at its start."""

NO_MEAN: Final = "point number {} is text, which has no mean; ask for its raw samples"
_FILLED: Final = (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN, Aggregate.FIRST, Aggregate.LAST)
_WHOLE: Final = {"first_ns", "last_ns", "n", "count", "good"}

Before = Mapping[int, tuple[int, float]]
"""Time and value of what holds at the start of the span, by point."""


@dataclass(frozen=True, slots=True)
class Grid:
    """`count` buckets of `width_ns` from `origin_ns`; only samples of `[start_ns, end_ns)` count."""

    start_ns: int
    end_ns: int
    origin_ns: int
    width_ns: int
    count: int

    def bucket(self, time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        return (time_ns - self.origin_ns) // self.width_ns

    @property
    def by_hours(self) -> bool:
        """Whether every bucket is made of whole hours, as summaries are."""
        return self.origin_ns % HOUR_NS == 0 and self.width_ns % HOUR_NS == 0

    @property
    def by_minutes(self) -> bool:
        """Whether every bucket is made of whole minutes, as roll-ups are."""
        return self.origin_ns % MINUTE_NS == 0 and self.width_ns % MINUTE_NS == 0


def grid_of(points: int, start_ns: int, end_ns: int, width_ns: int | None, count: int | None) -> Grid:
    """Raises: DataError, LimitReached."""
    if (width_ns is None) == (count is None):
        raise DataError("a downsample takes either a bucket width or a number of buckets")
    if end_ns <= start_ns:
        raise DataError("a downsample ends after it begins")
    if width_ns is not None:
        if width_ns < 1:
            raise DataError("a bucket is at least 1 ns wide")
        origin = start_ns // width_ns * width_ns
        number = -(-(end_ns - origin) // width_ns)
    else:
        number = count or 0
        if number < 1:
            raise DataError("a downsample has at least one bucket")
        origin, width_ns = start_ns, -(-(end_ns - start_ns) // number)
    if points * number > CELLS_MAX:
        raise LimitReached(
            f"{points} points in {number} buckets are over {CELLS_MAX} cells; ask for fewer points or wider buckets"
        )
    return Grid(start_ns, end_ns, origin, width_ns, number)


def columns_needed(aggregates: Sequence[Aggregate], interpolation: Interpolation) -> frozenset[str]:
    """Columns of rows behind an answer."""
    need = r.columns_for(aggregates)
    return need | {"last"} if interpolation is Interpolation.PREVIOUS else need


def buckets_of(
    parts: Sequence[r.Rows],
    asked: Handles,
    grid: Grid,
    aggregates: Sequence[Aggregate],
    interpolation: Interpolation,
    before: Before,
) -> Buckets:
    """Rows with the columns of `columns_needed`, in any order, to the answer."""
    # Infinities and the largest doubles are values like others: their sums are infinite or no number.
    with np.errstate(all="ignore"):
        return _buckets_of(parts, asked, grid, aggregates, interpolation, before)


def _buckets_of(
    parts: Sequence[r.Rows],
    asked: Handles,
    grid: Grid,
    aggregates: Sequence[Aggregate],
    interpolation: Interpolation,
    before: Before,
) -> Buckets:
    need, handles = columns_needed(aggregates, interpolation), np.unique(asked)
    rows = r.in_time_order(r.concat(parts, need)) if parts else _nothing(need)
    cells = cells_of(rows, handles, grid)
    timed = _timed(rows, handles, grid, before) if "holds" in need else None
    buckets = r.combine(rows, cells)
    where, size = cells_of(buckets, handles, grid), len(handles) * grid.count
    table = {name: _aggregate(name, buckets, where, timed, size) for name in aggregates}
    last = _spread(buckets["last"], where, size) if "last" in need else None
    held = _spread(buckets["n"].astype(np.float64), where, size)
    shape, back = (len(handles), grid.count), np.searchsorted(handles, asked)
    columns: dict[Aggregate, NDArray[Any]] = {}
    for name, flat in table.items():
        column = flat.reshape(shape)
        if name in _FILLED and interpolation is Interpolation.PREVIOUS and last is not None:
            _fill_previous(column, last.reshape(shape), held.reshape(shape) > 0, handles, before)
        elif name in _FILLED and interpolation is Interpolation.LINEAR:
            _fill_linear(column)
        columns[name] = column[back]
    starts = grid.origin_ns + grid.width_ns * np.arange(grid.count, dtype=np.int64)
    return Buckets(asked, starts, grid.width_ns, columns)


def refuse_text(batches: Sequence[Batch]) -> None:
    for batch in batches:
        if batch.kind is ValueKind.TEXT:
            raise DataError(NO_MEAN.format(int(batch.handles[0])))


def held_before(newest: Sequence[Batch], good_only: bool) -> dict[int, tuple[int, float]]:
    """Of the newest samples before a span, what holds at its start. Raises: DataError for text."""
    refuse_text(newest)
    before: dict[int, tuple[int, float]] = {}
    for batch in newest:
        values = batch.values.astype(np.float64)
        counts = ~np.isnan(values) & (is_good(batch.quality) if good_only else True)
        before.update(pairs(batch.handles[counts], batch.source_ns[counts], values[counts]))
    return before


def pairs(handles: Handles, times: NDArray[np.int64], values: NDArray[np.float64]) -> dict[int, tuple[int, float]]:
    return dict(zip(handles.tolist(), zip(times.tolist(), values.tolist(), strict=True), strict=True))


def _nothing(need: frozenset[str]) -> r.Rows:
    return {
        name: np.empty(
            0, {"handle": np.uint32, "holds": np.bool_}.get(name, np.int64 if name in _WHOLE else np.float64)
        )
        for name in need
    }


def cells_of(rows: r.Rows, handles: Handles, grid: Grid) -> NDArray[np.int64]:
    """Point × bucket of each row, flat."""
    # Rows of a point are neighbours: its place is looked up once.
    starts = starts_of(rows["handle"])
    lengths = np.diff(np.append(starts, len(rows["handle"])))
    places = np.searchsorted(handles, rows["handle"][starts]) * grid.count
    return np.repeat(places, lengths) + grid.bucket(rows["first_ns"])


def _spread(column: NDArray[Any], where: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    result = np.full(size, np.nan)
    result[where] = column
    return result


def _aggregate(
    name: Aggregate,
    buckets: r.Rows,
    where: NDArray[np.int64],
    timed: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None,
    size: int,
) -> NDArray[Any]:
    if name in (Aggregate.COUNT, Aggregate.GOOD_COUNT):
        counts = np.zeros(size, np.int64)
        counts[where] = buckets["count" if name is Aggregate.COUNT else "good"]
        return counts
    if timed is not None and name in (Aggregate.TIME_WEIGHTED_MEAN, Aggregate.TIME_IN_STATE):
        weight, integral, nonzero = timed
        known = weight > 0
        result = np.full(size, np.nan)
        result[known] = (
            integral[known] / weight[known] if name is Aggregate.TIME_WEIGHTED_MEAN else (nonzero[known] / SECOND_NS)
        )
        return result
    n = buckets["n"]
    with np.errstate(invalid="ignore", divide="ignore"):
        if name is Aggregate.MEAN:
            column = buckets["sum"] / n
        elif name is Aggregate.STANDARD_DEVIATION:
            # Infinite values have no mean to deviate from, a single one neither.
            column = np.where(np.isfinite(buckets["sum"]), np.sqrt(buckets["m2"] / n), np.nan)
        else:
            column = buckets[name.value]
    return _spread(np.where(n > 0, column, np.nan), where, size)


def _timed(
    rows: r.Rows, handles: Handles, grid: Grid, before: Before
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight, integral and time non-zero of every cell. Units: ns, value × ns, ns. Shape: (cells,)."""
    size = len(handles) * grid.count
    cell = cells_of(rows, handles, grid)
    weight, integral, nonzero = (_sums(cell, rows[name], size) for name in ("weight", "integral", "nonzero"))
    # From each row's end to the next row's beginning its last value holds; so does what held before the span.
    early = np.array(sorted(before), np.uint32)
    owner = np.concatenate([early, rows["handle"]])
    begin = np.concatenate([np.full(len(early), grid.start_ns, np.int64), rows["last_ns"]])
    until = np.concatenate([np.full(len(early), grid.start_ns, np.int64), rows["first_ns"]])
    value = np.concatenate([np.array([before[h][1] for h in early.tolist()]), rows["last"]])
    holds = np.concatenate([np.ones(len(early), np.bool_), rows["holds"]])
    order = np.argsort(owner, kind="stable")
    owner, begin, until, value, holds = owner[order], begin[order], until[order], value[order], holds[order]
    final = np.append(owner[1:] != owner[:-1], True) if len(owner) else np.empty(0, np.bool_)
    stop = np.where(final, grid.end_ns, np.append(until[1:], grid.end_ns)) if len(owner) else until
    active = holds & (stop > begin)
    owner, begin, stop, value = owner[active], begin[active], stop[active], value[active]
    first, last = grid.bucket(begin), grid.bucket(stop - 1)
    repeats = last - first + 1
    at = np.repeat(np.arange(len(owner)), repeats)
    bucket = first[at] + np.arange(len(at)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    low = grid.origin_ns + bucket * grid.width_ns
    length = (np.minimum(stop[at], low + grid.width_ns) - np.maximum(begin[at], low)).astype(np.float64)
    where = np.searchsorted(handles, owner[at]) * grid.count + bucket
    held = value[at]
    return (
        weight + _sums(where, length, size),
        integral + _sums(where, length * held, size),
        nonzero + _sums(where, length * (held != 0), size),
    )


def _sums(where: NDArray[np.int64], amounts: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    sums: NDArray[Any] = np.bincount(where, amounts, size)
    return sums


def _fill_previous(
    column: NDArray[np.float64],
    last: NDArray[np.float64],
    filled: NDArray[np.bool_],
    handles: Handles,
    before: Before,
) -> None:
    """An empty bucket shows the last value before it."""
    position = np.where(filled, np.arange(column.shape[1]), -1)
    source = np.maximum.accumulate(position, axis=1)
    start = np.array([before.get(handle, (0, np.nan))[1] for handle in handles.tolist()])
    carried = np.where(source >= 0, np.take_along_axis(last, np.maximum(source, 0), axis=1), start[:, None])
    np.copyto(column, carried, where=~filled)


def _fill_linear(column: NDArray[np.float64]) -> None:
    """An empty bucket lies on the line between its filled neighbours; before the first and after the last is none."""
    index = np.arange(column.shape[1])
    for series in column:
        known = ~np.isnan(series)
        if known.any() and not known.all():
            series[:] = np.interp(index, index[known], series[known], left=np.nan, right=np.nan)
