"""Merging what flushes left in pieces, and giving up what is past its retention.

    hour   its sections ─► one section, tombstones applied        once closed, or in too many pieces
    day    its hours' files ─► one file, sections copied as they are
    raw    past its retention ─► only its roll-ups are kept       roll-ups past theirs ─► unlinked

Memory is bounded by slices of points; `pause` between slices lets flushes go first and holds the duty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from headrace.history.catalog import Section
from headrace.history.change import Changes
from headrace.history.reader import Reader
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.settings import HistorySettings
from headrace.history.view import View, Views
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS

_DAY_HOURS: Final = DAY_NS // HOUR_NS
_DAY_BYTES_MAX: Final = 512 * 1024 * 1024
_SMALL_SHARE: Final = 10  # a closed hour waits while its late pieces are under a tenth of it …
_PIECES_MAX: Final = 4  # … and fewer than this


class Compactor:
    def __init__(
        self,
        settings: HistorySettings,
        views: Views,
        changes: Changes,
        segments: SegmentStore,
        reader: Reader,
        pause: Callable[[], None],
    ) -> None:
        self._settings, self._views, self._changes = settings, views, changes
        self._segments, self._reader, self._pause = segments, reader, pause

    def step(self, now_ns: int, *, force: bool = False) -> str | None:
        """Do one piece of work and say which; None where there is none."""
        view = self._views.current
        for hour in sorted(view.sections):
            if self._wants_merge(view, hour, now_ns, force):
                self.merge_hour(hour)
                return "compactions"
        for day in sorted({hour // _DAY_HOURS for hour in view.sections}):
            if self._merge_day(view, day, now_ns):
                return "compactions"
        if self._retire(view, now_ns):
            return "retired_hours"
        self._changes.drop_tombstones()
        return None

    def _wants_merge(self, view: View, hour: int, now_ns: int, force: bool) -> bool:
        held = [section for section in view.sections[hour] if section.raw]
        # An hour that samples are still coming in for, live or as a back-fill, would be merged over and over.
        written = any(hour in memtable.hours for memtable in view.memtables)
        closed = force or (not written and self._closed((hour + 1) * HOUR_NS, now_ns))
        if closed and self._has_deleted(view, held):
            return True
        if len(held) < 2:
            return False
        if force or len(held) >= self._settings.fragments_max:
            return True
        samples = [section.samples for section in held]
        late = sum(samples) - max(samples)
        return closed and (len(held) >= _PIECES_MAX or late * _SMALL_SHARE >= sum(samples))

    def _closed(self, end_ns: int, now_ns: int) -> bool:
        return end_ns + round(self._settings.close_after_s * SECOND_NS) <= now_ns

    @staticmethod
    def _has_deleted(view: View, held: Sequence[Section]) -> bool:
        return any(
            stone.hides(s.generation, s.applied) and s.first_ns < stone.end_ns and s.last_ns >= stone.start_ns
            for stone in view.tombstones
            for s in held
        )

    def merge_hour(self, hour: int) -> None:
        """All raw sections of an hour become one."""
        view = self._views.current
        held = [section for section in view.sections[hour] if section.raw]
        applied = max((stone.id for stone in view.tombstones), default=0)

        def fill(writer: SegmentWriter) -> None:
            moments = np.unique(np.concatenate([self._segments.moments(view, section) for section in held]))
            writer.begin(hour, max(section.generation for section in held), applied, moments)
            for handles in self._slices(view, held):
                for batch in self._reader.hour(view, hour, handles, sections=held, memory=False):
                    writer.add(batch)
                self._pause()
            writer.end()

        file, sections = self._changes.write(hour, fill)
        self._changes.apply([] if file is None else [file], sections, held)

    def _slices(self, view: View, held: Sequence[Section]) -> list[np.ndarray]:
        """Points in groups that decode to about `slice_samples`."""
        found = [self._segments.handles(view, section) for section in held]
        points, where = np.unique(np.concatenate([handles for handles, _ in found]), return_inverse=True)
        counts = np.bincount(where, np.concatenate([count for _, count in found]))
        group = (np.cumsum(counts) - counts) // self._settings.slice_samples
        return np.split(points, np.flatnonzero(group[1:] != group[:-1]) + 1)

    def _merge_day(self, view: View, day: int, now_ns: int) -> bool:
        """Copy the sections of a closed day into one file; raw and roll-ups apart, for they retire apart."""
        if not self._closed((day + 1) * DAY_NS, now_ns):
            return False
        hours = range(day * _DAY_HOURS, (day + 1) * _DAY_HOURS)
        for raw in (True, False):
            held = [section for hour in hours for section in view.sections.get(hour, ()) if section.raw is raw]
            size = sum(section.length for section in held)
            if len({section.file for section in held}) < 2 or size > _DAY_BYTES_MAX:
                continue

            def fill(writer: SegmentWriter, held: Sequence[Section] = held) -> None:
                for section in held:
                    writer.copy(section, self._segments.section_bytes(view, section))
                    self._pause()

            if len({section.hour for section in held}) < len(held):
                continue  # a file holds an hour once; its pieces are merged first
            file, sections = self._changes.write(held[0].hour, fill)
            self._changes.apply([] if file is None else [file], sections, held)
            return True
        return False

    def _retire(self, view: View, now_ns: int) -> bool:
        rollup, raw = self._settings.rollup_retention_ns, self._settings.raw_retention_ns
        if rollup is not None:
            gone = [s for hour, held in view.sections.items() if (hour + 1) * HOUR_NS <= now_ns - rollup for s in held]
            if gone:
                self._changes.apply([], [], gone)
                return True
        if raw is not None:
            old = [hour for hour in sorted(view.sections) if (hour + 1) * HOUR_NS <= now_ns - raw]
            old = [hour for hour in old if any(section.raw for section in view.sections[hour])]
            if old:
                self.keep_rollups(old[: int(_DAY_HOURS)])
                return True
        return False

    def keep_rollups(self, hours: Sequence[int]) -> None:
        """Give up the samples of these hours; one file takes their roll-ups."""
        for hour in hours:
            view = self._views.current
            held = [section for section in view.sections[hour] if section.raw]
            if len(held) > 1 or self._has_deleted(view, held):
                self.merge_hour(hour)
        view = self._views.current
        old = [section for hour in hours for section in view.sections.get(hour, ()) if section.raw]

        def fill(writer: SegmentWriter) -> None:
            for section in old:
                writer.copy_rollups(section, self._segments.rollup_bytes(view, section))

        if old:
            file, sections = self._changes.write(old[0].hour, fill)
            self._changes.apply([] if file is None else [file], sections, old)
