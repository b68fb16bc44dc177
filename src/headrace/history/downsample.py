"""What a downsample reads: the coarsest that can answer, hour by hour.

    span ─┬─ whole hours of closed days, where buckets are whole hours ─► summaries ─┐
          │                       points that these cannot answer for ─┐             ├─► rows ─► `buckets`
          └─ all other hours ─────────────────────────────────────────►┴─► `hours` ──┘

Where only summaries are left, an hour belongs to where its first sample is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.buckets import (
    LOOK_BACK_NS,
    NO_MEAN,
    Grid,
    buckets_of,
    cells_of,
    columns_needed,
    held_before,
    pairs,
)
from headrace.history.catalog import Section
from headrace.history.columns import starts_of
from headrace.history.hours import HourRows
from headrace.history.reader import Reader
from headrace.history.segment import SegmentStore
from headrace.history.summary_reader import SummaryReader, period_of
from headrace.history.view import View
from headrace.model.batch import Handles
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, HOUR_NS
from headrace.sdk.store import Aggregate, Buckets, Interpolation

_SLICE_POINTS: Final = 512  # of a period at a time: its hours as rows take some 50 MB
_HELD: Final = r.columns_for([Aggregate.TIME_WEIGHTED_MEAN])


@dataclass(slots=True)
class _Question:
    """What is asked, and which hours are not answered by summaries: all points of `hours`, some points of `again`."""

    handles: Handles
    grid: Grid
    need: frozenset[str]
    good_only: bool
    hours: NDArray[np.int64]
    by_hours: bool
    again: dict[int, list[Handles]] = field(default_factory=dict)


class Downsampler:
    def __init__(self, reader: Reader, segments: SegmentStore) -> None:
        self._reader, self._hours, self._summaries = reader, HourRows(reader, segments), SummaryReader(segments)

    def run(
        self,
        view: View,
        asked: Handles,
        grid: Grid,
        aggregates: Sequence[Aggregate],
        interpolation: Interpolation,
        good_only: bool,
    ) -> Buckets:
        handles, need = np.unique(asked), columns_needed(aggregates, interpolation)
        question = _Question(handles, grid, need, good_only, _hours_to_read(view, grid), grid.by_hours)
        with np.errstate(all="ignore"):
            parts = list(self._rows(view, question))
            before = self._before(view, handles, grid, good_only) if "holds" in need or "last" in need else {}
        return buckets_of(parts, asked, grid, aggregates, interpolation, before)

    def _rows(self, view: View, ask: _Question) -> Iterator[r.Rows]:
        """Rows one after the other in time: nothing is combined over an hour that comes from elsewhere."""
        grid = ask.grid
        for rows in self._summarised(view, ask):
            breaks = np.array(sorted(ask.again.keys() | set(ask.hours.tolist())), np.int64)
            stretch = np.searchsorted(breaks, rows["first_ns"] // HOUR_NS)
            yield r.combine(rows, cells_of(rows, ask.handles, grid) * (len(breaks) + 1) + stretch)
        for hour in ask.hours.tolist():
            yield from self._of_hour(view, hour, ask.handles, ask)
        for hour, points in sorted(ask.again.items()):
            yield from self._of_hour(view, hour, np.unique(np.concatenate(points)), ask)

    def _of_hour(self, view: View, hour: int, handles: Handles, ask: _Question) -> Iterator[r.Rows]:
        grid = ask.grid
        for rows in self._hours.rows(
            view, hour, handles, ask.need, ask.good_only, grid.start_ns, grid.end_ns, by_minutes=grid.by_minutes
        ):
            rows = r.in_time_order(rows)
            yield r.combine(rows, cells_of(rows, ask.handles, grid))

    def _summarised(self, view: View, ask: _Question) -> Iterator[r.Rows]:
        """Rows of summaries, period by period and slice by slice of points; what they cannot tell goes to `again`."""
        grid = ask.grid
        inside = [
            each
            for each in view.summaries
            if each.first_ns < grid.end_ns and each.last_ns >= grid.start_ns and (ask.by_hours or each.sole)
        ]
        slices = np.array_split(ask.handles, -(-len(ask.handles) // _SLICE_POINTS) or 1)
        for _, group in groupby(inside, key=period_of):
            sections = list(group)
            for handles in slices:
                parts = [rows for each in sections if (rows := self._of_summary(view, each, handles, ask)) is not None]
                if parts:
                    names = frozenset(parts[0])
                    rows = parts[0] if len(parts) == 1 else r.in_time_order(r.concat(parts, names))
                    rows = _settle(rows, ask)
                    yield {name: rows[name] for name in ask.need}

    def _of_summary(self, view: View, section: Section, handles: Handles, ask: _Question) -> r.Rows | None:
        """Rows of one summary, with a column `sole` where nobody else knows; None where it has none."""
        need = ask.need if ask.good_only else ask.need | {"count", "good"}
        found = self._summaries.read(view, section, handles, need)
        if found is None:
            return None
        rows, text = found
        grid, first_ns = ask.grid, rows["first_ns"]
        days = first_ns // DAY_NS - section.day
        rows["sole"] = (section.sole >> days & 1).astype(np.bool_)
        keep = (first_ns >= grid.start_ns) & (first_ns < grid.end_ns) & (section.days >> days & 1).astype(np.bool_)
        if not ask.by_hours:
            keep &= rows["sole"]
        elif len(ask.hours) and ask.hours[-1] >= section.hour:
            keep &= rows["sole"] | ~np.isin(first_ns // HOUR_NS, ask.hours)
        if (text & keep).any():
            raise DataError(NO_MEAN.format(int(rows["handle"][text & keep][0])))
        rows = r.take(rows, keep & ~text)
        for stone in view.tombstones:
            if stone.touches(section):
                touched = (rows["last_ns"] >= stone.start_ns) & (rows["first_ns"] < stone.end_ns)
                touched &= np.isin(rows["handle"], stone.handles)
                _ask_again(rows, touched & ~rows["sole"], ask)
                rows = r.take(rows, ~touched)
        return rows

    def _before(self, view: View, handles: Handles, grid: Grid, good_only: bool) -> dict[int, tuple[int, float]]:
        """Time and value of what holds at the start of the span, by point."""
        early_ns = grid.start_ns - LOOK_BACK_NS
        newest = self._reader.latest_at(view, handles, grid.start_ns - 1, early_ns)
        before = held_before(newest, good_only)
        missing = np.setdiff1d(handles, np.concatenate([batch.handles for batch in newest])) if newest else handles
        if len(missing):
            before.update(self._before_in_rows(view, missing, early_ns, grid.start_ns, good_only))
        return before

    def _before_in_rows(
        self, view: View, missing: Handles, start_ns: int, end_ns: int, good_only: bool
    ) -> dict[int, tuple[int, float]]:
        """The same where samples are gone: the last row that minutes or hours tell of."""
        span = Grid(start_ns, end_ns, start_ns, end_ns - start_ns, 1)
        before: dict[int, tuple[int, float]] = {}
        for hour in reversed(view.hours(start_ns, end_ns)):
            if not len(missing):
                return before
            if any(not section.raw for section in view.sections.get(hour, ())):
                parts = list(self._hours.rows(view, hour, missing, _HELD, good_only, start_ns, end_ns))
                missing = _take_last(parts, missing, before)
        ask = _Question(missing, span, _HELD, good_only, np.empty(0, np.int64), by_hours=False)
        _take_last(list(self._summarised(view, ask)), missing, before)
        return before


def _hours_to_read(view: View, grid: Grid) -> NDArray[np.int64]:
    """Hours that are not answered by summaries, in order."""
    if not grid.by_hours:
        return np.array(view.hours(grid.start_ns, grid.end_ns), np.int64)
    hours = set(view.loose_hours(grid.start_ns, grid.end_ns))
    cut = {time_ns // HOUR_NS for time_ns in (grid.start_ns, grid.end_ns) if time_ns % HOUR_NS}
    hours |= cut & view.sections.keys()
    return np.array(sorted(hours), np.int64)


def _settle(rows: r.Rows, ask: _Question) -> r.Rows:
    """Leave out what summaries cannot tell, and ask for it again."""
    hour = rows["first_ns"] // HOUR_NS
    unfit = np.zeros(len(hour), np.bool_)
    if not ask.good_only:
        unfit |= rows["good"] < rows["count"]
    # Two classes may hold samples of one point in the hour of its change, and an equal sample may be in both.
    same = (rows["handle"][1:] == rows["handle"][:-1]) & (hour[1:] == hour[:-1])
    if same.any():
        over = same & (rows["first_ns"][1:] <= rows["last_ns"][:-1])
        unfit[1:] |= over
        unfit[:-1] |= over
        while (spread := same & (unfit[1:] != unfit[:-1])).any():
            unfit[1:] |= spread
            unfit[:-1] |= spread
    unfit &= ~rows["sole"]
    if not unfit.any():
        return rows
    _ask_again(rows, unfit, ask)
    return r.take(rows, ~unfit)


def _ask_again(rows: r.Rows, unfit: NDArray[np.bool_], ask: _Question) -> None:
    if not unfit.any():
        return
    hour, handles = rows["first_ns"][unfit] // HOUR_NS, rows["handle"][unfit]
    order = np.argsort(hour, kind="stable")
    hour, handles = hour[order], handles[order]
    starts = np.append(starts_of(hour), len(hour)).tolist()
    for low, high in pairwise(starts):
        ask.again.setdefault(int(hour[low]), []).append(handles[low:high])


def _take_last(parts: Sequence[r.Rows], missing: Handles, before: dict[int, tuple[int, float]]) -> Handles:
    """The newest row of each point, where its value holds on; returns the points that no row is of."""
    parts = [rows for rows in parts if len(rows["n"])]
    if not parts:
        return missing
    rows = r.in_time_order(r.concat(parts, _HELD))
    rows = r.take(rows, np.append(rows["handle"][1:] != rows["handle"][:-1], True))
    holding = rows["holds"]
    before.update(pairs(rows["handle"][holding], rows["last_ns"][holding], rows["last"][holding]))
    return np.setdiff1d(missing, rows["handle"], assume_unique=True)
