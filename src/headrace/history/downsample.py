"""Series of any length in as many buckets as a screen has room for.

    span, width ─► grid ─► hour by hour: rows from roll-ups, or from samples where roll-ups cannot answer
                              ─► combine into buckets ─► aggregates ─► fill empty buckets as asked

Bad samples count as samples and nothing else, unless the caller asks for all. For times in state and time-weighted
means a value holds until the next sample, a bad sample ends it, and the last one holds to the end of the span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.catalog import Section
from headrace.history.minutes import from_minutes, minute_columns
from headrace.history.reader import Reader
from headrace.history.segment import SegmentStore
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.model.quality import is_good
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate, Buckets, Interpolation

CELLS_MAX: Final = 1_000_000
LOOK_BACK_NS: Final = 7 * DAY_NS
"""How far before the span a value is looked for that still holds at its start."""

Before = dict[int, tuple[int, float]]
"""Time and value of what holds at the start of the span, by point."""

_TEXT: Final = "point number {} is text, which has no mean; ask for its raw samples"
_FILLED: Final = (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN, Aggregate.FIRST, Aggregate.LAST)


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


class Downsampler:
    def __init__(self, reader: Reader, segments: SegmentStore) -> None:
        self._reader, self._segments = reader, segments

    def run(
        self,
        view: View,
        asked: Handles,
        grid: Grid,
        aggregates: Sequence[Aggregate],
        interpolation: Interpolation,
        good_only: bool,
    ) -> Buckets:
        # Infinities and the largest doubles are values like others: their sums are infinite or no number.
        with np.errstate(all="ignore"):
            return self._run(view, asked, grid, aggregates, interpolation, good_only)

    def _run(
        self,
        view: View,
        asked: Handles,
        grid: Grid,
        aggregates: Sequence[Aggregate],
        interpolation: Interpolation,
        good_only: bool,
    ) -> Buckets:
        handles = np.unique(asked)
        need = needs(aggregates, interpolation)
        parts = [
            bucketed(rows, handles, grid)
            for hour in view.hours(grid.start_ns, grid.end_ns)
            for rows in self._hour(view, hour, handles, grid, need, good_only)
        ]
        before: Before = {}
        if "holds" in need or "last" in need:
            start_ns = grid.start_ns
            before = held_before(
                self._reader.latest_at(view, handles, start_ns - 1, start_ns - LOOK_BACK_NS), good_only
            )
        return fold(asked, grid, need, parts, before, aggregates, interpolation)

    def _hour(
        self, view: View, hour: int, handles: Handles, grid: Grid, need: frozenset[str], good_only: bool
    ) -> list[r.Rows]:
        """Rows of one hour, part by part; rows of one point are in one part only."""
        begin, end = max(grid.start_ns, hour * HOUR_NS), min(grid.end_ns, (hour + 1) * HOUR_NS)
        held = view.sections.get(hour, ())
        if not (grid.by_minutes and begin % MINUTE_NS == 0 and end % MINUTE_NS == 0):
            # Roll-ups cannot cut a minute; where only they are left, a minute belongs to where it begins.
            sections, left = [], [section for section in held if not section.raw]
            unfit = handles
        else:
            sections, left = [section for section in held if section.raw], [s for s in held if not s.raw]
            unfit = np.empty(0, np.uint32)
        parts: list[r.Rows] = []
        for section in sections:
            found, wanting = self._from_rollups(view, section, handles, begin, end, need, good_only)
            parts += found
            unfit = np.union1d(unfit, wanting)
        if sections and any(hour in memtable.hours for memtable in view.memtables):
            fresh = self._reader.hour(view, hour, handles, begin, end, sections=())
            refuse_text(fresh)
            parts += [r.from_samples(batch, need, good_only) for batch in fresh]
        elif not sections:
            unfit = handles
        several = len(sections) + sum(hour in memtable.hours for memtable in view.memtables) > 1
        if several and parts:
            rows = r.in_time_order(r.concat(parts, need))
            unfit = np.union1d(unfit, _overlapping(rows))
            parts = [rows]
        if len(unfit):
            parts = [_without(rows, unfit) for rows in parts]
            found_samples = self._reader.hour(view, hour, unfit, begin, end)
            refuse_text(found_samples)
            parts += [r.from_samples(batch, need, good_only) for batch in found_samples]
        for section in left:
            parts += self._from_rollups(view, section, handles, begin, end, need, good_only)[0]
        parts = [rows for rows in parts if len(rows["n"])]
        return [r.concat(parts, need)] if left and parts else parts

    def _from_rollups(
        self, view: View, section: Section, handles: Handles, begin_ns: int, end_ns: int, need: frozenset[str],
        good_only: bool,
    ) -> tuple[list[r.Rows], Handles]:  # fmt: skip
        """Rows of a section's roll-ups, and the points that need its samples instead."""
        parts, unfit = [], [_hidden(view, section, handles) if section.raw else np.empty(0, np.uint32)]
        for kind, columns in self._segments.rollup_columns(view, section, minute_columns(need)).items():
            if kind is ValueKind.TEXT:
                text = np.intersect1d(columns["handle"], handles)
                if len(text) and section.last_ns >= begin_ns and section.first_ns < end_ns:
                    raise DataError(_TEXT.format(int(text[0])))
                continue
            rows, wanting = from_minutes(kind, columns, section.hour, handles, need, good_only)
            inside = (rows["first_ns"] >= begin_ns) & (rows["first_ns"] < end_ns)
            parts.append(rows if inside.all() else r.take(rows, inside))
            if section.raw:
                unfit.append(wanting)
            else:
                parts[-1] = _not_hidden(view, section, parts[-1])
        return [rows for rows in parts if len(rows["n"])], np.unique(np.concatenate(unfit))


def needs(aggregates: Sequence[Aggregate], interpolation: Interpolation) -> frozenset[str]:
    """Columns of rows behind the answer."""
    need = r.columns_for(aggregates)
    return need | {"last"} if interpolation is Interpolation.PREVIOUS else need


def bucketed(rows: r.Rows, handles: Handles, grid: Grid) -> r.Rows:
    """Rows of one part of the answer, one a bucket. `handles` sorted."""
    rows = r.in_time_order(rows)
    return r.combine(rows, _cells(rows, handles, grid))


def held_before(batches: Sequence[Batch], good_only: bool) -> Before:
    """Of the newest samples before the span, what holds at its start. Raises: DataError for text."""
    refuse_text(batches)
    before: Before = {}
    for batch in batches:
        values = batch.values.astype(np.float64)
        counts = ~np.isnan(values) & (is_good(batch.quality) if good_only else True)
        for handle, time_ns, value in zip(
            batch.handles[counts].tolist(), batch.source_ns[counts].tolist(), values[counts].tolist(), strict=True
        ):
            before[handle] = (time_ns, value)
    return before


def fold(
    asked: Handles,
    grid: Grid,
    need: frozenset[str],
    parts: Sequence[r.Rows],
    before: Before,
    aggregates: Sequence[Aggregate],
    interpolation: Interpolation,
) -> Buckets:
    """The answer from rows of any source: every store downsamples by this arithmetic."""
    handles = np.unique(asked)
    rows = r.in_time_order(r.concat(parts, need)) if parts else _nothing(need)
    cells = _cells(rows, handles, grid)
    timed = _timed(rows, handles, grid, before) if "holds" in need else None
    buckets = r.combine(rows, cells)
    where = _cells(buckets, handles, grid)
    table = {name: _aggregate(name, buckets, where, timed, len(handles) * grid.count) for name in aggregates}
    last = _spread(buckets["last"], where, len(handles) * grid.count) if "last" in need else None
    held = _spread(buckets["n"].astype(np.float64), where, len(handles) * grid.count)
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
            raise DataError(_TEXT.format(int(batch.handles[0])))


def _hidden(view: View, section: Section, handles: Handles) -> Handles:
    """Points of which a deletion may hide samples in this section."""
    hidden = [
        np.intersect1d(stone.handles, handles)
        for stone in view.tombstones
        if stone.hides(section.generation, section.applied)
        and section.first_ns < stone.end_ns
        and section.last_ns >= stone.start_ns
    ]
    return np.unique(np.concatenate(hidden)).astype(np.uint32) if hidden else np.empty(0, np.uint32)


def _not_hidden(view: View, section: Section, rows: r.Rows) -> r.Rows:
    """Where only roll-ups are left, a deletion hides the minutes that it touches."""
    for stone in view.tombstones:
        if stone.hides(section.generation, section.applied):
            touched = (rows["last_ns"] >= stone.start_ns) & (rows["first_ns"] < stone.end_ns)
            touched &= np.isin(rows["handle"], stone.handles)
            rows = r.take(rows, ~touched) if touched.any() else rows
    return rows


def _overlapping(rows: r.Rows) -> Handles:
    """Points with rows from two places for the same time: an equal sample may be in both."""
    handles = rows["handle"]
    over = (handles[1:] == handles[:-1]) & (rows["first_ns"][1:] <= rows["last_ns"][:-1])
    return np.unique(handles[1:][over])


def _without(rows: r.Rows, handles: Handles) -> r.Rows:
    out = np.isin(rows["handle"], handles)
    return r.take(rows, ~out) if out.any() else rows


def _nothing(need: frozenset[str]) -> r.Rows:
    return {
        name: np.empty(
            0, {"handle": np.uint32, "holds": np.bool_}.get(name, np.int64 if name in _WHOLE else np.float64)
        )
        for name in need
    }


_WHOLE: Final = {"first_ns", "last_ns", "n", "count", "good"}


def _cells(rows: r.Rows, handles: Handles, grid: Grid) -> NDArray[np.int64]:
    """Point × bucket of each row, flat."""
    cells: NDArray[np.int64] = np.searchsorted(handles, rows["handle"]) * grid.count + grid.bucket(rows["first_ns"])
    return cells


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
            column = np.sqrt(buckets["m2"] / n)
        else:
            column = buckets[name.value]
    return _spread(np.where(n > 0, column, np.nan), where, size)


def _timed(
    rows: r.Rows, handles: Handles, grid: Grid, before: Before
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight, integral and time non-zero of every cell. Units: ns, value × ns, ns. Shape: (cells,)."""
    size = len(handles) * grid.count
    cell = _cells(rows, handles, grid)
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
