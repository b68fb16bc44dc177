"""What a reader sees: memtables, sections and tombstones as they stood together at one moment.

A view is immutable; the store replaces it whole. Files that a newer view lost stay until no reader holds an older one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.history.catalog import DAY_HOURS, Section, SegmentFile, Tombstone
from headrace.history.memtable import Memtable
from headrace.model.time import HOUR_NS


@dataclass(frozen=True, slots=True)
class View:
    """`memtables` oldest first, the active one last; `sections` by hour, oldest write first; `summaries` by hour.

    `order` are the hours of `sections` in order, `loose` those of them for which a summary does not speak; `days` is
    the summary that speaks for a (class, day).
    """

    memtables: Sequence[Memtable] = ()
    sections: Mapping[int, Sequence[Section]] = field(default_factory=dict)
    files: Mapping[int, SegmentFile] = field(default_factory=dict)
    tombstones: Sequence[Tombstone] = ()
    summaries: Sequence[Section] = ()
    order: Sequence[int] = ()
    loose: Sequence[int] = ()
    days: Mapping[tuple[int, int], Section] = field(default_factory=dict)

    def hours(self, start_ns: int, end_ns: int) -> list[int]:
        """Hours that may hold samples of `[start_ns, end_ns)`, in order."""
        return self._with_memory(within(self.order, start_ns, end_ns), start_ns, end_ns)

    def loose_hours(self, start_ns: int, end_ns: int) -> list[int]:
        """Those of `hours` for which summaries do not speak, or not any more once the memtables are flushed."""
        return self._with_memory(within(self.loose, start_ns, end_ns), start_ns, end_ns)

    def _with_memory(self, hours: Sequence[int], start_ns: int, end_ns: int) -> list[int]:
        fresh: set[int] = set()
        for memtable in self.memtables:
            fresh |= memtable.hours.copy()
        inside = {hour for hour in fresh if hour * HOUR_NS < end_ns and (hour + 1) * HOUR_NS > start_ns}
        return sorted(inside.union(hours)) if inside.difference(hours) else list(hours)

    def covers(self, section: Section) -> bool:
        """Whether a summary says all that this section does."""
        summary = self.days.get((section.retention, section.day))
        return summary is not None and not summary.is_sole(section.day)

    def with_sections(
        self, add: Iterable[Section], drop: Iterable[Section], files: Iterable[SegmentFile], drop_files: Iterable[int]
    ) -> View:
        sections, days = dict(self.sections), dict(self.days)
        gone, added = set(drop), list(add)
        summaries = [each for each in self.summaries if each not in gone]
        summaries += [each for each in added if each.summary]
        touched = {each.hour for each in (*gone, *added) if not each.summary}
        for each in gone:
            if each.summary:
                for day in each.covered():
                    days.pop((each.retention, day), None)
        for each in (each for each in added if each.summary):
            days.update(((each.retention, day), each) for day in each.covered())
        for hour in touched:
            sections[hour] = tuple(section for section in sections.get(hour, ()) if section not in gone)
        for section in added:
            if not section.summary:
                sections[section.hour] = (*sections[section.hour], section)
        for hour in touched:
            if sections[hour]:
                sections[hour] = tuple(sorted(sections[hour], key=lambda each: (each.generation, each.file)))
            else:
                del sections[hour]
        kept_files = dict(self.files)
        for number in drop_files:
            kept_files.pop(number, None)
        kept_files.update((file.number, file) for file in files)
        order = self.order if touched <= sections.keys() and touched <= self.sections.keys() else sorted(sections)
        changed = View(
            self.memtables, sections, kept_files, self.tombstones,
            sorted(summaries, key=lambda each: (each.hour, each.retention)), order, (), days,
        )  # fmt: skip
        for each in (*gone, *added):
            if each.summary:
                touched.update(hour for day in each.covered() for hour in range(day * DAY_HOURS, (day + 1) * DAY_HOURS))
        return replace(changed, loose=self._loosened(changed, touched))

    def _loosened(self, changed: View, touched: set[int]) -> Sequence[int]:
        loose = set(self.loose) - touched
        for hour in touched:
            if any(not changed.covers(section) for section in changed.sections.get(hour, ())):
                loose.add(hour)
        return sorted(loose)

    def files_without(self, drop: Iterable[Section], add: Iterable[Section] = ()) -> list[int]:
        """Files in which nothing is left once `drop` is gone and `add` is there."""
        gone = set(drop)
        touched = {section.file for section in gone} - {section.file for section in add}
        if not touched:
            return []
        used = {s.file for held in self.sections.values() for s in held if s.file in touched and s not in gone}
        used |= {s.file for s in self.summaries if s.file in touched and s not in gone}
        return sorted(touched - used)


def within(hours: Sequence[int], start_ns: int, end_ns: int) -> Sequence[int]:
    """Of hours in order, those that overlap `[start_ns, end_ns)`."""
    return hours[bisect_left(hours, start_ns // HOUR_NS) : bisect_left(hours, -(-end_ns // HOUR_NS))]


class Views:
    """The current view, and who still reads an older one."""

    def __init__(self, view: View, unlink: Callable[[Path], None]) -> None:
        self._lock, self._unlink = threading.Lock(), unlink
        self._current, self._version = view, 0
        self._readers: dict[int, int] = {}
        self._trash: list[tuple[int, Path]] = []

    @property
    def current(self) -> View:
        return self._current

    @contextmanager
    def reading(self) -> Iterator[View]:
        with self._lock:
            view, version = self._current, self._version
            self._readers[version] = self._readers.get(version, 0) + 1
        try:
            yield view
        finally:
            with self._lock:
                self._readers[version] -= 1
                if not self._readers[version]:
                    del self._readers[version]
            self.sweep()

    def change(self, change: Callable[[View], View], trash: Iterable[Path] = ()) -> View:
        """Replace the view; `trash` is unlinked once nobody reads a view that still knew it."""
        with self._lock:
            self._current = change(self._current)
            self._version += 1
            self._trash += [(self._version, path) for path in trash]
        self.sweep()
        return self._current

    def sweep(self) -> None:
        if not self._trash:
            return
        with self._lock:
            oldest = min(self._readers, default=self._version)
            ready = [path for version, path in self._trash if version <= oldest]
            self._trash = [(version, path) for version, path in self._trash if version > oldest]
        for path in ready:
            self._unlink(path)
