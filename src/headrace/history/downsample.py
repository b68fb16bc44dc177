"""What a downsample reads: roll-ups where they can answer, samples where they cannot.

span ─► hour by hour: rows from roll-ups, or from samples where roll-ups cannot answer ─► `buckets`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from headrace.history import rows as r
from headrace.history.buckets import Before, Grid, buckets_of, cells_of, columns_needed
from headrace.history.catalog import Section
from headrace.history.minutes import from_minutes, minute_columns
from headrace.history.reader import Reader
from headrace.history.segment import SegmentStore
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.model.quality import is_good
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from headrace.sdk.store import Aggregate, Buckets, Interpolation

LOOK_BACK_NS: Final = 7 * DAY_NS
"""How far before the span a value is looked for that still holds at its start."""

_TEXT: Final = "point number {} is text, which has no mean; ask for its raw samples"


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
        handles, need = np.unique(asked), columns_needed(aggregates, interpolation)
        parts = []
        with np.errstate(all="ignore"):
            for hour in view.hours(grid.start_ns, grid.end_ns):
                for rows in self._hour(view, hour, handles, grid, need, good_only):
                    rows = r.in_time_order(rows)
                    parts.append(r.combine(rows, cells_of(rows, handles, grid)))
            before: Before = {}
            if "holds" in need or "last" in need:
                start_ns = grid.start_ns
                newest = self._reader.latest_at(view, handles, start_ns - 1, start_ns - LOOK_BACK_NS)
                before = held_before(newest, good_only)
        return buckets_of(parts, asked, grid, aggregates, interpolation, before)

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
            found_samples = self._reader.hour(view, hour, unfit, begin, end, received=False)
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


def held_before(batches: Sequence[Batch], good_only: bool) -> Before:
    """Of the newest samples before a span, what holds at its start. Raises: DataError for text."""
    refuse_text(batches)
    before: dict[int, tuple[int, float]] = {}
    for batch in batches:
        values = batch.values.astype(np.float64)
        counts = ~np.isnan(values) & (is_good(batch.quality) if good_only else True)
        for handle, time_ns, value in zip(
            batch.handles[counts].tolist(), batch.source_ns[counts].tolist(), values[counts].tolist(), strict=True
        ):
            before[handle] = (time_ns, value)
    return before


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
