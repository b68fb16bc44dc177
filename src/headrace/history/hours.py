"""One hour of some points as summary rows: from roll-up minutes, or from samples where minutes cannot answer.

sections of the hour ─► minutes ─┐
memtables ─► samples ─► minutes ─┴─► one a minute ─┬─► rows
                                                   └─► points they cannot answer for ─► samples ─► rows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from headrace.history import rows as r
from headrace.history.buckets import NO_MEAN, refuse_text
from headrace.history.catalog import Section
from headrace.history.joining import JOINED, Columns, join
from headrace.history.minutes import from_minutes, minute_columns, only
from headrace.history.reader import Reader
from headrace.history.rollups import summarise_samples
from headrace.history.segment import SegmentStore
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, MINUTE_NS


class HourRows:
    def __init__(self, reader: Reader, segments: SegmentStore) -> None:
        self._reader, self._segments = reader, segments

    def rows(
        self,
        view: View,
        hour: int,
        handles: Handles,
        need: frozenset[str],
        good_only: bool,
        start_ns: int,
        end_ns: int,
        *,
        by_minutes: bool = True,
        sections: Sequence[Section] | None = None,
    ) -> Iterator[r.Rows]:
        """Rows of `[start_ns, end_ns)` within the hour, part by part; rows of one point are in one part only.

        `by_minutes` where it does not matter which sample of a minute is which; `sections` are those of the view
        unless given. Where samples have to be looked at, they come slice by slice of points: take each part before the
        next, and memory stays bounded.
        """
        begin, end = max(start_ns, hour * HOUR_NS), min(end_ns, (hour + 1) * HOUR_NS)
        held = view.sections.get(hour, ()) if sections is None else sections
        if not (by_minutes and begin % MINUTE_NS == 0 and end % MINUTE_NS == 0):
            # Roll-ups cannot cut a minute; where only they are left, a minute belongs to where it begins.
            sections, left = [], [section for section in held if not section.raw]
            unfit = handles
        else:
            sections, left = [section for section in held if section.raw], [s for s in held if not s.raw]
            unfit = np.empty(0, np.uint32)
        parts: list[r.Rows] = []
        fresh: list[Batch] = []
        if sections and any(hour in memtable.hours for memtable in view.memtables):
            fresh = self._reader.hour(view, hour, handles, begin, end, sections=())
            refuse_text(fresh)
        if len(sections) + bool(fresh) > 1:
            parts, unfit = self._together(view, hour, sections, fresh, handles, (begin, end), need, good_only)
        elif sections:
            parts, unfit = self._from_rollups(view, sections[0], handles, begin, end, need, good_only)
        else:
            unfit = handles
        if len(unfit):
            parts = [_without(rows, unfit) for rows in parts]
        alone = [rows for section in left for rows in self._from_rollups(
            view, section, handles, begin, end, need, good_only)[0]]  # fmt: skip
        yield from _joined([*parts, *(_without(rows, unfit) for rows in alone)], need, bool(left))
        for some in self._slices(view, hour, held, unfit):
            samples = self._reader.hour(view, hour, some, begin, end, sections=held, received=False)
            refuse_text(samples)
            found = [r.from_samples(batch, need, good_only) for batch in samples]
            yield from _joined([*found, *(_only(rows, some) for rows in alone)], need, bool(left))

    def _slices(self, view: View, hour: int, held: Sequence[Section], handles: Handles) -> list[Handles]:
        """Points in groups that decode to a few slices of samples."""
        most_samples = 4 * self._segments.slice_samples
        raw = [section for section in held if section.raw]
        samples = sum(section.samples for section in raw)
        samples += sum(memtable.samples for memtable in view.memtables if hour in memtable.hours)
        if samples > most_samples and raw:
            most = max(raw, key=lambda section: section.samples)
            samples = samples * len(handles) // max(len(self._segments.handles(view, most)[0]), len(handles))
        return np.array_split(handles, min(-(-samples // most_samples) or 1, len(handles))) if len(handles) else []

    def _together(
        self, view: View, hour: int, sections: Sequence[Section], fresh: Sequence[Batch], handles: Handles,
        span: tuple[int, int], need: frozenset[str], good_only: bool,
    ) -> tuple[list[r.Rows], Handles]:  # fmt: skip
        """Rows of several sections and of fresh samples as one a minute, and the points that need samples instead."""
        names = minute_columns(need) | JOINED
        unfit = [_hidden(view, section, handles) for section in sections]
        kinds: dict[ValueKind, list[Columns]] = {}
        for section in sections:
            for kind, columns in self._segments.rollup_columns(view, section, names).items():
                if kind is ValueKind.TEXT:
                    _refuse_text(section, columns, handles, span)
                else:
                    kinds.setdefault(kind, []).append(only(columns, handles))
        for batch in fresh:
            columns = summarise_samples(batch)
            kinds.setdefault(batch.kind, []).append({name: columns[name] for name in names})
        parts, points = [], [np.empty(0, np.int64)]
        for kind, found in sorted(kinds.items()):
            filled = [columns for columns in found if len(columns["handle"])]
            if not filled:
                continue
            columns, wanting = join(filled, names)
            rows, estimated = from_minutes(kind, columns, hour, handles, need, good_only)
            inside = (rows["first_ns"] >= span[0]) & (rows["first_ns"] < span[1])
            parts.append(rows if inside.all() else r.take(rows, inside))
            points.append(columns["handle"])
            unfit += [wanting, estimated]
        told = np.unique(np.concatenate(unfit)).astype(np.uint32)
        every = np.concatenate(points)
        if len(np.unique(every)) == len(every):
            return parts, told
        # A point that changed its kind has rows of both.
        rows = r.in_time_order(r.concat(parts, need))
        return [rows], np.union1d(told, _overlapping(rows))

    def _from_rollups(
        self, view: View, section: Section, handles: Handles, begin_ns: int, end_ns: int, need: frozenset[str],
        good_only: bool,
    ) -> tuple[list[r.Rows], Handles]:  # fmt: skip
        """Rows of a section's roll-ups, and the points that need its samples instead."""
        parts, unfit = [], [_hidden(view, section, handles) if section.raw else np.empty(0, np.uint32)]
        for kind, columns in self._segments.rollup_columns(view, section, minute_columns(need)).items():
            if kind is ValueKind.TEXT:
                _refuse_text(section, columns, handles, (begin_ns, end_ns))
                continue
            rows, wanting = from_minutes(kind, columns, section.hour, handles, need, good_only)
            inside = (rows["first_ns"] >= begin_ns) & (rows["first_ns"] < end_ns)
            parts.append(rows if inside.all() else r.take(rows, inside))
            if section.raw:
                unfit.append(wanting)
            else:
                parts[-1] = not_hidden(view, section, parts[-1])
        return [rows for rows in parts if len(rows["n"])], np.unique(np.concatenate(unfit))


def _refuse_text(section: Section, columns: Columns, handles: Handles, span: tuple[int, int]) -> None:
    text = np.intersect1d(columns["handle"], handles)
    if len(text) and section.last_ns >= span[0] and section.first_ns < span[1]:
        raise DataError(NO_MEAN.format(int(text[0])))


def _joined(parts: Sequence[r.Rows], need: frozenset[str], as_one: bool) -> list[r.Rows]:
    filled = [rows for rows in parts if len(rows["n"])]
    return [r.concat(filled, need)] if as_one and filled else filled


def _only(rows: r.Rows, handles: Handles) -> r.Rows:
    return r.take(rows, np.isin(rows["handle"], handles))


def _hidden(view: View, section: Section, handles: Handles) -> Handles:
    """Points of which a deletion may hide samples in this section."""
    hidden = [np.intersect1d(stone.handles, handles) for stone in view.tombstones if stone.touches(section)]
    return np.unique(np.concatenate(hidden)).astype(np.uint32) if hidden else np.empty(0, np.uint32)


def not_hidden(view: View, section: Section, rows: r.Rows) -> r.Rows:
    """Where only roll-ups are left, a deletion hides the minutes that it touches."""
    for stone in view.tombstones:
        if stone.touches(section):
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
