"""Makes summaries and keeps them true: once a day is closed, its hours become rows; a period of days becomes one.

    sections of a closed day ─► rows of its hours ─► a summary of the day ─┐
                                                     30 days, once closed ─┴─► a summary of the period
    late data, a deletion ─► (in its own transaction) the day is left out ─► made again once it is quiet

Memory is bounded by slices of points; `pause` between slices lets flushes go first and holds the duty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.catalog import DAY_HOURS, Section, SegmentFile
from headrace.history.change import Changes
from headrace.history.hours import HourRows
from headrace.history.reader import EARLIEST_NS, LATEST_NS, Reader
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.settings import HistorySettings
from headrace.history.space import DiskSpace
from headrace.history.summaries import NEED, SummaryEncoder
from headrace.history.summary_reader import PERIOD_DAYS, SummaryReader, period_of
from headrace.history.view import View, Views
from headrace.model.batch import Handles, ValueKind
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS

_DAY_POINTS: Final = 16_384  # of a day at a time: its hours as rows take some 50 MB
_PERIOD_POINTS: Final = 512
_PIECES_MAX: Final = 5
_ROOM_BYTES: Final = 16 * 1024 * 1024

Parts = Iterator[tuple[r.Rows, NDArray[np.bool_]]]
"""Rows, and which of them are of texts, slice by slice of points."""

ClassDay = tuple[int, int]
"""Number of a class, and a day counted from 1970."""


class Summariser:
    """Used by the keeper's thread only."""

    def __init__(
        self,
        settings: HistorySettings,
        views: Views,
        changes: Changes,
        segments: SegmentStore,
        reader: Reader,
        space: DiskSpace,
        merge_hour: Callable[[int, int], None],
        pause: Callable[[], None],
    ) -> None:
        self._settings, self._views, self._changes, self._segments = settings, views, changes, segments
        self._rows, self._summaries = HourRows(reader, segments), SummaryReader(segments)
        self._space, self._merge_hour, self._pause = space, merge_hour, pause
        self._seen: dict[ClassDay, tuple[int, int]] = {}
        self._barren: dict[ClassDay, int] = {}  # days in which deletions left nothing, as of a generation

    def step(self, now_ns: int, *, force: bool = False) -> str | None:
        """Do one piece of work and say which; None where there is none."""
        if not self._space.room_for(_ROOM_BYTES):
            return None
        view = self._views.current
        for summary in view.summaries:
            if self._apply_tombstones(view, summary):
                return "summaries"
        for day in self._open_days(view, now_ns, force):
            self.summarise(*day)
            return "summaries"
        for pieces in self._periods(view, now_ns, force):
            self._merge(view, pieces)
            return "summaries"
        return None

    def _open_days(self, view: View, now_ns: int, force: bool) -> Iterator[ClassDay]:
        """Closed days of which no summary speaks, and that nothing came in for since a while."""
        generations: dict[ClassDay, int] = {}
        for hour in view.loose:
            for section in view.sections[hour]:
                key = section.retention, section.day
                if key not in view.days:
                    generations[key] = max(section.generation, generations.get(key, 0))
        coming = {hour // DAY_HOURS for memtable in view.memtables for hour in memtable.hours.copy()}
        self._seen = {key: seen for key, seen in self._seen.items() if key in generations}
        for key, generation in sorted(generations.items()):
            if (
                self._barren.get(key) == generation
                or key[1] in coming
                or not self._closed((key[1] + 1) * DAY_NS, now_ns)
            ):
                continue
            seen, since_ns = self._seen.setdefault(key, (generation, now_ns))
            if seen != generation:
                self._seen[key] = generation, now_ns
            elif force or now_ns - since_ns >= round(self._settings.summary_after_s * SECOND_NS):
                yield key

    def _closed(self, end_ns: int, now_ns: int) -> bool:
        return end_ns + round(self._settings.close_after_s * SECOND_NS) <= now_ns

    def summarise(self, retention: int, day: int, *, retire: bool = False) -> None:
        """Make the summary of a day. With `retire`, its sections go in the same transaction, and it alone remains;
        what a former summary alone remembers is taken over."""
        hours = range(day * DAY_HOURS, (day + 1) * DAY_HOURS)
        for hour in hours:
            if self._is_shared(self._views.current, hour, retention):
                self._merge_hour(hour, retention)
        view = self._views.current
        held = _of_day(view, retention, day)
        every = [section for sections in held.values() for section in sections]
        former = view.days.get((retention, day))
        alone = former if former is not None and former.is_sole(day) else None
        stones = max((stone.id for stone in view.tombstones), default=0)
        made = Section(
            0, day * DAY_HOURS, max(section.generation for section in every), stones, False, 0, 0, 0, 0, 0, 0, 0, 0,
            retention, 1, int(retire),
        )  # fmt: skip

        def parts() -> Parts:
            clean = replace(view, memtables=())
            points = [self._points(view, sections) for sections in held.values()]
            early = self._summaries.handles(view, alone) if alone is not None else np.empty(0, np.uint32)
            everyone = np.unique(np.concatenate([early, *(part for both in points for part in both)]))
            for handles in np.array_split(everyone, -(-len(everyone) // _DAY_POINTS)):
                found: list[tuple[r.Rows, NDArray[np.bool_]]] = []
                for (numbers, texts), (hour, sections) in zip(points, held.items(), strict=True):
                    some = np.intersect1d(numbers, handles, assume_unique=True)
                    rows = list(
                        self._rows.rows(clean, hour, some, NEED, True, EARLIEST_NS, LATEST_NS, sections=sections)
                    )
                    if rows:
                        joined = r.in_time_order(r.concat(rows, NEED))
                        found.append(_numbers(r.combine(joined, joined["handle"].astype(np.int64))))
                    some = np.intersect1d(texts, handles, assume_unique=True)
                    if len(some):
                        found.append(_texts(some, hour))
                    self._pause()
                if alone is not None:
                    found += self._kept(view, alone, handles, {day})
                if found:
                    yield _by_hour(found)

        file, sections = self._write(made, parts())
        drop = every if retire else []
        if former is not None:
            fewer = replace(former, days=former.days & ~(1 << (day - former.day)))
            sections, drop = [*sections, *([fewer] if fewer.days else [])], [*drop, former]
        now = self._views.current
        if _of_day(now, retention, day) != held or now.days.get((retention, day)) != former:
            # A flush came between two slices: what was made does not speak of it, and is made again.
            self._changes.discard([] if file is None else [file])
            return
        if file is None:
            self._barren[retention, day] = made.generation
        self._changes.apply([] if file is None else [file], sections, drop)

    def _is_shared(self, view: View, hour: int, retention: int) -> bool:
        """Whether another class holds samples of the same points: then an equal sample may be in both."""
        raw = [section for section in view.sections.get(hour, ()) if section.raw]
        mine = [section for section in raw if section.retention == retention]
        others = [section for section in raw if section.retention != retention]
        if not mine or not others:
            return False
        theirs = np.concatenate([self._segments.handles(view, section)[0] for section in others])
        return any(bool(np.isin(self._segments.handles(view, section)[0], theirs).any()) for section in mine)

    def give_up_sections(self, retention: int, day: int) -> None:
        """Of a day, only its summary remains."""
        view = self._views.current
        every = [section for held in _of_day(view, retention, day).values() for section in held]
        former = view.days.get((retention, day))
        deleted = any(stone.touches(section) for stone in view.tombstones for section in every)
        if former is None or former.is_sole(day) or deleted:
            self.summarise(retention, day, retire=True)
        else:
            alone = replace(former, sole=former.sole | 1 << (day - former.day))
            self._changes.apply([], [alone], [former, *every])

    def _points(self, view: View, sections: Sequence[Section]) -> tuple[Handles, Handles]:
        """Points with numbers, and those with texts, which have no hours to summarise."""
        numbers, texts = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        for section in sections:
            for kind, columns in self._segments.rollup_columns(view, section, {"handle"}).items():
                (texts if kind is ValueKind.TEXT else numbers).append(columns["handle"].astype(np.uint32))
        written = np.unique(np.concatenate(texts))
        return np.setdiff1d(np.concatenate(numbers), written), written

    def _kept(
        self, view: View, summary: Section, handles: Handles, days: set[int]
    ) -> list[tuple[r.Rows, NDArray[np.bool_]]]:
        """Rows of some days of a summary; of days that it alone remembers, without the hours that deletions touch."""
        found = self._summaries.read(view, summary, handles, NEED)
        if found is None:
            return []
        rows, text = found
        day = rows["first_ns"] // DAY_NS
        keep = np.isin(day, list(days))
        sole = (summary.sole >> (day - summary.day) & 1).astype(np.bool_)
        for stone in view.tombstones:
            if stone.touches(summary):
                touched = sole & (rows["last_ns"] >= stone.start_ns) & (rows["first_ns"] < stone.end_ns)
                keep &= ~(touched & np.isin(rows["handle"], stone.handles))
        return [(r.take(rows, keep), text[keep])] if keep.any() else []

    def _write(self, made: Section, parts: Parts) -> tuple[SegmentFile | None, list[Section]]:
        with np.errstate(all="ignore"):  # infinities are values like others
            return self._changes.write(made.hour, lambda writer: _write(writer, made, parts))

    # --- periods --------------------------------------------------------------------------------------------------

    def _periods(self, view: View, now_ns: int, force: bool) -> Iterator[list[Section]]:
        """Closed periods in many pieces, once no day of theirs is still to be summarised."""
        waiting = {(key[0], key[1] // PERIOD_DAYS) for key in self._seen}
        pieces: dict[tuple[int, int], list[Section]] = {}
        for summary in view.summaries:
            pieces.setdefault((summary.retention, period_of(summary)), []).append(summary)
        for (retention, period), held in sorted(pieces.items()):
            if len(held) < 2 or not self._closed((period + 1) * PERIOD_DAYS * DAY_NS, now_ns):
                continue
            days = [each.days.bit_count() for each in held]
            ripe = len(held) >= _PIECES_MAX or 2 * max(days) <= sum(days)
            wanted = force or (ripe and (retention, period) not in waiting)
            if wanted and self._space.room_for(sum(each.length for each in held)):
                yield held

    def _merge(self, view: View, pieces: Sequence[Section], applied: int | None = None) -> None:
        """Summaries of one class and period to one. Of their generations and tombstones the oldest count: then a
        deletion hides too much rather than too little, and that is asked of the minutes."""
        first = min(each.day for each in pieces)
        made = Section(
            0, first * DAY_HOURS, min(each.generation for each in pieces),
            min(each.applied for each in pieces) if applied is None else applied, False, 0, 0, 0, 0, 0, 0, 0, 0,
            pieces[0].retention, _joined(pieces, first, "days"), _joined(pieces, first, "sole"),
        )  # fmt: skip

        def parts() -> Parts:
            points = np.unique(np.concatenate([self._summaries.handles(view, each) for each in pieces]))
            for handles in np.array_split(points, -(-len(points) // _PERIOD_POINTS) or 1):
                found = [kept for each in pieces for kept in self._kept(view, each, handles, set(each.covered()))]
                if found:
                    yield _by_hour(found)
                self._pause()

        file, sections = self._write(made, parts())
        if set(pieces) <= set(self._views.current.summaries):
            self._changes.apply([] if file is None else [file], sections, pieces)
        else:  # a flush put a day of theirs out of force meanwhile
            self._changes.discard([] if file is None else [file])

    # --- deletions ------------------------------------------------------------------------------------------------

    def _apply_tombstones(self, view: View, summary: Section) -> bool:
        """Clean a summary of one deletion after the other, as far as the day's sections are clean of them."""
        stones = [s for s in view.tombstones if any(s.touches_day(summary, day) for day in summary.covered())]
        if not stones:
            return False
        newest = max(stone.id for stone in view.tombstones)
        points = self._summaries.handles(view, summary)
        if not any(np.isin(stone.handles, points).any() for stone in stones):
            self._changes.apply([], [replace(summary, applied=newest)], [summary])
            return True
        touched = [day for day in summary.covered() if any(stone.touches_day(summary, day) for stone in stones)]
        clean = [
            day
            for day in touched
            if not summary.is_sole(day)
            and not any(
                stone.touches(section)
                for hour in range(day * DAY_HOURS, (day + 1) * DAY_HOURS)
                for section in view.sections.get(hour, ())
                for stone in stones
            )
        ]
        if clean:  # made again from the sections
            days = summary.days & ~sum(1 << (day - summary.day) for day in clean)
            self._changes.apply([], [replace(summary, days=days)] if days else [], [summary])
            return True
        if all(summary.is_sole(day) for day in touched):
            self._merge(view, [summary], newest)
            return True
        return False


def _of_day(view: View, retention: int, day: int) -> dict[int, list[Section]]:
    """Sections of a class by hour."""
    hours = range(day * DAY_HOURS, (day + 1) * DAY_HOURS)
    return {hour: [each for each in view.sections.get(hour, ()) if each.retention == retention] for hour in hours}


def _numbers(rows: r.Rows) -> tuple[r.Rows, NDArray[np.bool_]]:
    return rows, np.zeros(len(rows["n"]), np.bool_)


def _texts(handles: Handles, hour: int) -> tuple[r.Rows, NDArray[np.bool_]]:
    """Rows that count nothing and say that texts were there."""
    size = len(handles)
    rows: r.Rows = {name: np.zeros(size) for name in NEED}
    rows |= {name: np.zeros(size, np.int64) for name in ("n", "count", "good")}
    rows |= {name: np.full(size, hour * HOUR_NS, np.int64) for name in ("first_ns", "last_ns")}
    rows |= {"handle": handles, "holds": np.zeros(size, np.bool_)}
    return rows, np.ones(size, np.bool_)


def _by_hour(found: Sequence[tuple[r.Rows, NDArray[np.bool_]]]) -> tuple[r.Rows, NDArray[np.bool_]]:
    """One row a (point, hour), by point and hour. What a class knows twice of an hour is added up: an hour that was
    summarised and given up cannot be told apart from what came later."""
    rows = r.concat([part for part, _ in found], NEED)
    text = np.concatenate([flags for _, flags in found])
    order = np.lexsort((rows["first_ns"], rows["handle"]))
    rows, text = r.take(rows, order), text[order]
    cell = rows["handle"].astype(np.int64) * (1 << 32) + rows["first_ns"] // HOUR_NS
    combined = r.combine(rows, cell)
    if len(combined["n"]) == len(text):
        return combined, text
    starts = np.flatnonzero(np.append(True, cell[1:] != cell[:-1]))
    return combined, np.logical_or.reduceat(text, starts)


def _write(writer: SegmentWriter, made: Section, parts: Parts) -> None:
    encoder, begin = SummaryEncoder(made.hour), writer.position
    for rows, text in parts:
        for data in encoder.add(rows, text):
            writer.put(data)
    if not encoder.points:
        return
    directory, end = encoder.directory(), writer.position
    writer.put(directory)
    writer.put_section(
        replace(
            made, samples=encoder.samples, first_ns=encoder.first_ns, last_ns=encoder.last_ns, position=begin,
            rollup_offset=end - begin, rollup_length=len(directory),
        )
    )  # fmt: skip


def _joined(pieces: Sequence[Section], first: int, name: str) -> int:
    mask = 0
    for piece in pieces:
        mask |= getattr(piece, name) << (piece.day - first)
    return mask
