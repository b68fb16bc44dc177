"""What a reader sees: memtables, sections and tombstones as they stood together at one moment.

A view is immutable; the store replaces it whole. Files that a newer view lost stay until no reader holds an older one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headrace.history.catalog import Section, SegmentFile, Tombstone
from headrace.history.memtable import Memtable
from headrace.model.time import HOUR_NS


@dataclass(frozen=True, slots=True)
class View:
    """`memtables` oldest first, the active one last; `sections` by hour, oldest write first."""

    memtables: Sequence[Memtable] = ()
    sections: Mapping[int, Sequence[Section]] = field(default_factory=dict)
    files: Mapping[int, SegmentFile] = field(default_factory=dict)
    tombstones: Sequence[Tombstone] = ()

    def hours(self, start_ns: int, end_ns: int) -> list[int]:
        """Hours that may hold samples of `[start_ns, end_ns)`, in order."""
        hours = set(self.sections)
        for memtable in self.memtables:
            hours |= memtable.hours.copy()
        return sorted(hour for hour in hours if hour * HOUR_NS < end_ns and (hour + 1) * HOUR_NS > start_ns)

    def with_sections(
        self, add: Iterable[Section], drop: Iterable[Section], files: Iterable[SegmentFile], drop_files: Iterable[int]
    ) -> View:
        sections = dict(self.sections)
        gone = set(drop)
        for hour in {section.hour for section in gone}:
            sections[hour] = tuple(section for section in sections[hour] if section not in gone)
        for section in add:
            merged = (*sections.get(section.hour, ()), section)
            sections[section.hour] = tuple(sorted(merged, key=lambda each: (each.generation, each.file)))
        kept_files = {number: file for number, file in self.files.items() if number not in set(drop_files)}
        kept_files.update((file.number, file) for file in files)
        return View(self.memtables, {h: s for h, s in sections.items() if s}, kept_files, self.tombstones)

    def files_without(self, drop: Iterable[Section]) -> list[int]:
        """Files in which nothing is left once `drop` is gone."""
        gone = set(drop)
        touched = {section.file for section in gone}
        used = {s.file for held in self.sections.values() for s in held if s.file in touched and s not in gone}
        return sorted(touched - used)


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
