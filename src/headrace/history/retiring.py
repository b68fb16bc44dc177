"""Giving up what is past its age, class by class, and the oldest first where the disk runs full.

    samples past `raw`        ─► their minutes are kept, in a file of their own
    minutes past `rollups`    ─► the summary of their day is kept, and alone from then on
    hours past `summaries`    ─► unlinked, a period at a time
    disk low                  ─► the class to give up first loses its oldest samples, then the next class

Whatever goes shares a file only with what goes with it, so that giving up is a transaction and an unlink.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from headrace.history.catalog import DAY_HOURS, Section
from headrace.history.change import Changes, is_full
from headrace.history.classes import Classes
from headrace.history.compaction import Compactor
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.space import DiskSpace
from headrace.history.summarising import Summariser
from headrace.history.view import View, Views
from headrace.model.errors import Unavailable
from headrace.model.time import DAY_NS, HOUR_NS

_log = logging.getLogger(__name__)
_HOURS_MAX: Final = DAY_HOURS


class Retirer:
    """Used by the keeper's thread only."""

    def __init__(
        self,
        views: Views,
        changes: Changes,
        segments: SegmentStore,
        classes: Classes,
        space: DiskSpace,
        compactor: Compactor,
        summariser: Summariser,
        pause: Callable[[], None],
    ) -> None:
        self._views, self._changes, self._segments, self._classes = views, changes, segments, classes
        self._space, self._compactor, self._summariser, self._pause = space, compactor, summariser, pause
        self._looked: tuple[object, int] = (None, 0)

    def step(self, now_ns: int) -> str | None:
        """Give up one day or less of a class, and say so; None where nothing is past its age."""
        view = self._views.current
        if self._looked[0] is view.sections and now_ns - self._looked[1] < 60 * 10**9:
            return None
        if self._summaries(view, now_ns) or self._minutes(view, now_ns) or self._samples(view, now_ns):
            return "retired_hours"
        self._looked = view.sections, now_ns
        return None

    def _summaries(self, view: View, now_ns: int) -> bool:
        gone = []
        for each in view.summaries:
            age_ns = self._classes.retention(each.retention).summaries_ns
            if age_ns is not None and (max(each.covered()) + 1) * DAY_NS <= now_ns - age_ns:
                gone.append(each)
        if gone:
            self._changes.apply([], [], gone)
        return bool(gone)

    def _minutes(self, view: View, now_ns: int) -> bool:
        """By whole days, so that a summary either has its sections or is alone."""
        for hour in view.order:
            for section in view.sections[hour]:
                kept = self._classes.retention(section.retention)
                end_ns = (section.day + 1) * DAY_NS
                if kept.rollups_ns is None or end_ns > now_ns - kept.rollups_ns:
                    continue
                if kept.summaries_ns is not None and end_ns <= now_ns - kept.summaries_ns:
                    self._changes.apply([], [], self._of_day(view, section))
                    return True
                if self._space.room_for(section.rollup_length, making_room=True):
                    self._summariser.give_up_sections(section.retention, section.day)
                    return True
        return False

    @staticmethod
    def _of_day(view: View, section: Section) -> list[Section]:
        hours = range(section.day * DAY_HOURS, (section.day + 1) * DAY_HOURS)
        return [each for hour in hours for each in view.sections.get(hour, ()) if each.retention == section.retention]

    def _samples(self, view: View, now_ns: int) -> bool:
        old: list[Section] = []
        for hour in view.order:
            for section in view.sections[hour]:
                age_ns = self._classes.retention(section.retention).raw_ns
                past = section.raw and age_ns is not None and (hour + 1) * HOUR_NS <= now_ns - age_ns
                if past and (not old or (section.retention == old[0].retention and hour - old[0].hour < _HOURS_MAX)):
                    old.append(section)
        for section in old:
            if self._unsaid(view, section, now_ns):  # samples tell more exactly than minutes
                self._summariser.summarise(section.retention, section.day)
                return True
        if not old or not self._space.room_for(sum(s.rollup_length for s in old), making_room=True):
            return False
        self.keep_rollups(old)
        return True

    def _unsaid(self, view: View, section: Section, now_ns: int) -> bool:
        """Whether a day is over, and no summary speaks of it though one should."""
        kept = self._classes.retention(section.retention)
        over = (section.day + 1) * DAY_NS <= now_ns and not any(
            hour // DAY_HOURS == section.day for memtable in view.memtables for hour in memtable.hours.copy()
        )
        return over and (section.retention, section.day) not in view.days and kept.summaries_ns != kept.rollups_ns

    def keep_rollups(self, old: Sequence[Section]) -> None:
        """Give up the samples of these sections, of one class; one file takes their roll-ups."""
        retention, hours = old[0].retention, sorted({section.hour for section in old})
        for hour in hours:
            view = self._views.current
            held = _raw(view, [hour], retention)
            deleted = any(stone.touches(section) for stone in view.tombstones for section in held)
            if (len(held) > 1 or deleted) and self._space.room_for(sum(s.length for s in held), making_room=True):
                self._compactor.merge_hour(hour, retention)
            self._pause()
        view = self._views.current
        left = list({section.hour: section for section in _raw(view, hours, retention)}.values())  # a file has one each

        def fill(writer: SegmentWriter) -> None:
            for section in left:
                writer.copy_rollups(section, self._segments.rollup_bytes(view, section))

        if left:
            file, sections = self._changes.write(left[0].hour, fill)
            self._changes.apply([] if file is None else [file], sections, left)

    def make_room(self) -> bool:
        """While the disk is low, one file of samples; true where something went."""
        if not self._space.low:
            return False
        view = self._views.current
        oldest = self._first_to_go(view)
        if oldest is None:
            return False
        shared = [s for s in self._of_day(view, oldest) if s.file == oldest.file and s.raw]
        try:
            self.keep_rollups(shared)
        except Unavailable as error:
            if not is_full(error):
                raise
            _log.warning("history disk has no room for the roll-ups of samples that it gives up: they go as well")
            view = self._views.current
            self._changes.apply([], [], [s for s in shared if s in view.sections.get(s.hour, ())], changed=False)
        return True

    def _first_to_go(self, view: View) -> Section | None:
        """Of the class to give up first, the oldest samples; those of the newest hour are what people look at."""
        found: tuple[int, Section] | None = None
        for hour in view.order[:-1]:
            for section in view.sections[hour]:
                rank = self._classes.retention(section.retention).give_up
                if section.raw and rank is not None and (found is None or rank < found[0]):
                    found = rank, section
        return found[1] if found else None


def _raw(view: View, hours: Sequence[int], retention: int) -> list[Section]:
    return [
        section
        for hour in hours
        for section in view.sections.get(hour, ())
        if section.raw and section.retention == retention
    ]
