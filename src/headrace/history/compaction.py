"""Merging what flushes left in pieces, class by class.

    hour   its sections of a class ─► one section, tombstones applied        once closed, or in too many pieces
    day    its hours' files of a class ─► one file, sections copied as they are
    minutes that a deletion touches ─► written again without them

Memory is bounded by slices of points; `pause` between slices lets flushes go first and holds the duty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import DAY_HOURS, Section, SegmentFile, Tombstone
from headrace.history.change import Changes
from headrace.history.classes import Classes
from headrace.history.merging import HourMerger
from headrace.history.minutes import rollups_without
from headrace.history.reader import Reader
from headrace.history.rollups import COLUMNS
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.settings import HistorySettings
from headrace.history.space import DiskSpace
from headrace.history.view import View, Views
from headrace.model.batch import Handles
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS

_DAY_BYTES_MAX: Final = 512 * 1024 * 1024
_SMALL_SHARE: Final = 10  # a closed hour waits while its late pieces are under a tenth of it …
_PIECES_MAX: Final = 4  # … and fewer than this
_LOOK_AGAIN_NS: Final = 60 * SECOND_NS


class Compactor:
    """Used by the keeper's thread only."""

    def __init__(
        self,
        settings: HistorySettings,
        views: Views,
        changes: Changes,
        segments: SegmentStore,
        reader: Reader,
        classes: Classes,
        space: DiskSpace,
        pause: Callable[[], None],
    ) -> None:
        self._settings, self._views, self._changes, self._segments = settings, views, changes, segments
        self._reader, self._classes, self._space, self._pause = reader, classes, space, pause
        self._merger = HourMerger(segments, reader, settings.copied_samples, pause)
        self._looked: tuple[object, object, bool, int] = (None, None, False, 0)

    def step(self, now_ns: int, *, force: bool = False) -> str | None:
        """Do one piece of work and say which; None where there is none."""
        view = self._views.current
        sections, tombstones, thoroughly, at_ns = self._looked
        known = sections is view.sections and tombstones is view.tombstones and (thoroughly or not force)
        if known and now_ns - at_ns < _LOOK_AGAIN_NS:
            return None  # years of hours are not looked through every few seconds for nothing
        for hour in view.order:
            if self._clean(view, hour, now_ns, force):
                return "compactions"
            for retention in self._wanting(view, hour, now_ns, force):
                if self._space.room_for(sum(section.length for section in view.sections[hour])):
                    self.merge_hour(hour, retention)
                    return "compactions"
        for day in sorted({hour // DAY_HOURS for hour in view.order}):
            if self._merge_day(view, day, now_ns):
                return "compactions"
        self._changes.drop_tombstones()
        view = self._views.current
        self._looked = view.sections, view.tombstones, force, now_ns
        return None

    # --- hours ----------------------------------------------------------------------------------------------------

    def _wanting(self, view: View, hour: int, now_ns: int, force: bool) -> list[int]:
        """Classes of which the hour wants to be merged."""
        held = [section for section in view.sections[hour] if section.raw]
        if len(held) < 2:
            return []
        by_class: dict[int, list[int]] = {}
        for section in held:
            by_class.setdefault(section.retention, []).append(section.samples)
        closed = force or self._is_closed(view, hour, now_ns)
        return [number for number, samples in by_class.items() if self._ripe(samples, closed, force)]

    def _ripe(self, samples: Sequence[int], closed: bool, force: bool) -> bool:
        if len(samples) < 2:
            return False
        if force or len(samples) >= self._settings.fragments_max:
            return True
        late = sum(samples) - max(samples)
        return closed and (len(samples) >= _PIECES_MAX or late * _SMALL_SHARE >= sum(samples))

    def _is_closed(self, view: View, hour: int, now_ns: int) -> bool:
        """An hour that samples are still coming in for, live or as a back-fill, would be merged over and over."""
        written = any(hour in memtable.hours for memtable in view.memtables)
        return not written and self._closed((hour + 1) * HOUR_NS, now_ns)

    def _closed(self, end_ns: int, now_ns: int) -> bool:
        return end_ns + round(self._settings.close_after_s * SECOND_NS) <= now_ns

    def merge_hour(self, hour: int, retention: int) -> None:
        """All raw sections of an hour of a class become one.

        Where another class holds samples of the same points, for a point changed its class within the hour, all of
        them are merged: of equal samples the newest wins wherever it lies. Such a point goes to the class that keeps
        it longest.
        """
        view = self._views.current
        held = [section for section in view.sections[hour] if section.raw]
        points, counts, owner, shared = self._owners(view, held)
        if not shared:
            held = [section for section in held if section.retention == retention]
            chosen = owner == retention
            points, counts, owner = points[chosen], counts[chosen], owner[chosen]
        applied = max((stone.id for stone in view.tombstones), default=0)
        generation = max(section.generation for section in held)
        deleted = any(stone.touches(section) for stone in view.tombstones for section in held)
        files: list[SegmentFile] = []
        sections: list[Section] = []
        for number in sorted({section.retention for section in held}):
            mine = owner == number

            def fill(writer: SegmentWriter, number: int = number, mine: NDArray[np.bool_] = mine) -> None:
                moments = np.unique(np.concatenate([self._segments.moments(view, section) for section in held]))
                writer.begin(hour, generation, applied, moments, number)
                if not shared:
                    self._merger.merge(writer, view, hour, held, moments)
                else:
                    for handles in self._slices(points[mine], counts[mine]):
                        for batch in self._reader.hour(view, hour, handles, sections=held, memory=False):
                            writer.add(batch)
                        self._pause()
                writer.end()

            file, added = self._changes.write(hour, fill)
            files += [] if file is None else [file]
            sections += added
        self._changes.apply(files, sections, held, changed=deleted or shared)

    def _owners(
        self, view: View, held: Sequence[Section]
    ) -> tuple[Handles, NDArray[np.int64], NDArray[np.int64], bool]:
        """Points of some sections, how many samples each has, the class that it goes to, and whether any is in two."""

        def longest(section: Section) -> float:
            age_ns = self._classes.retention(section.retention).raw_ns
            return float("inf") if age_ns is None else age_ns

        found = [(section, *self._segments.handles(view, section)) for section in sorted(held, key=longest)]
        points, where = np.unique(np.concatenate([handles for _, handles, _ in found]), return_inverse=True)
        counts = np.bincount(where, np.concatenate([count for _, _, count in found])).astype(np.int64)
        owner = np.full(len(points), -1, np.int64)
        shared, at = False, 0
        for section, handles, _ in found:
            mine = where[at : at + len(handles)]
            at += len(handles)
            shared |= bool(((owner[mine] >= 0) & (owner[mine] != section.retention)).any())
            owner[mine] = section.retention
        return points, counts, owner, shared

    def _slices(self, points: Handles, counts: NDArray[np.int64]) -> list[Handles]:
        """Points in groups that decode to about `slice_samples`."""
        if not len(points):
            return []
        group = (np.cumsum(counts) - counts) // self._settings.slice_samples
        return np.split(points, np.flatnonzero(group[1:] != group[:-1]) + 1)

    # --- deletions ------------------------------------------------------------------------------------------------

    def _clean(self, view: View, hour: int, now_ns: int, force: bool) -> bool:
        """Take what deletions hide out of one section, or note that there is nothing of it in some."""
        if not view.tombstones:
            return False
        stones = {s: [stone for stone in view.tombstones if stone.touches(s)] for s in view.sections[hour]}
        stones = {section: touching for section, touching in stones.items() if touching}
        if not stones or not (force or self._is_closed(view, hour, now_ns)):
            return False
        newest = max(stone.id for stone in view.tombstones)
        free = [s for s, touching in stones.items() if not self._holds_any(view, s, touching)]
        if free:
            self._changes.apply([], [replace(section, applied=newest) for section in free], free)
            return True
        section, touching = next(iter(stones.items()))
        if not self._space.room_for(section.length):
            return False
        if section.raw:
            self.merge_hour(hour, section.retention)
        else:
            self._rewrite_minutes(view, section, touching, newest)
        return True

    def _holds_any(self, view: View, section: Section, stones: Sequence[Tombstone]) -> bool:
        if section.raw:
            held, _ = self._segments.handles(view, section)
        else:
            kinds = self._segments.rollup_columns(view, section, {"handle"}).values()
            held = np.concatenate([columns["handle"] for columns in kinds]).astype(np.uint32)
        return any(bool(np.isin(stone.handles, held).any()) for stone in stones)

    def _rewrite_minutes(self, view: View, section: Section, stones: Sequence[Tombstone], applied: int) -> None:
        """Where only minutes are left, a deletion takes those that it touches."""
        block, samples = rollups_without(
            self._segments.rollup_columns(view, section, set(COLUMNS)), section.hour, stones
        )

        def fill(writer: SegmentWriter) -> None:
            if block:
                after = replace(section, applied=applied, samples=samples, rollup_length=len(block))
                writer.copy_rollups(after, block)

        file, sections = self._changes.write(section.hour, fill)
        self._changes.apply([] if file is None else [file], sections, [section], changed=True)

    # --- days -----------------------------------------------------------------------------------------------------

    def _merge_day(self, view: View, day: int, now_ns: int) -> bool:
        """Copy the sections of a closed day into one file; classes, raw and roll-ups apart, for they go apart."""
        if not self._closed((day + 1) * DAY_NS, now_ns):
            return False
        groups: dict[tuple[int, bool], list[Section]] = {}
        for hour in range(day * DAY_HOURS, (day + 1) * DAY_HOURS):
            for section in view.sections.get(hour, ()):
                groups.setdefault((section.retention, section.raw), []).append(section)
        for held in groups.values():
            size = sum(section.length for section in held)
            if len({section.file for section in held}) < 2 or size > _DAY_BYTES_MAX:
                continue
            if len({section.hour for section in held}) < len(held):
                continue  # a file holds an hour once; its pieces are merged first
            if not self._space.room_for(size):
                continue

            def fill(writer: SegmentWriter, held: Sequence[Section] = held) -> None:
                for section in held:
                    writer.copy(section, self._segments.section_bytes(view, section))
                    self._pause()

            file, sections = self._changes.write(held[0].hour, fill)
            self._changes.apply([] if file is None else [file], sections, held)
            return True
        return False
