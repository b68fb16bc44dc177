"""A catalog made anew from everything else: names and deletions from the journal, sections from the segments' footers.

    journal ─► points, tombstones        seg/*.seg ─► footer ─► index ─► sections        wal/*.log ─► log position

Writes have generations, and of equal samples the newest generation wins, so it does no harm where a log is read again
that a segment holds already, or where a merged section stands beside what it was merged from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from headrace.history.catalog import Catalog, Edit, Section, SegmentFile, Tombstone
from headrace.history.disk import Disk
from headrace.history.journal import NAME, Registration
from headrace.history.latest import SHARD_POINTS, LastValues
from headrace.history.reader import LATEST_NS, Reader
from headrace.history.rollups import COLUMNS
from headrace.history.salvage import good_records
from headrace.history.segment import SegmentStore
from headrace.history.segment_file import check_footer
from headrace.history.settings import HistorySettings
from headrace.history.summary_reader import SummaryReader
from headrace.history.survey import reader_of, summary_days, view_of
from headrace.history.view import View
from headrace.history.wal import log_numbers
from headrace.model.errors import DataError, HeadraceError
from headrace.model.retention import Retention
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from headrace.sdk.intake import Mark


@dataclass(slots=True)
class Found:
    """What the files tell. Of `unreadable` segment files nothing could be placed, of `partial` ones not these hours."""

    points: dict[int, str] = field(default_factory=dict)
    stones: list[Tombstone] = field(default_factory=list)
    files: list[SegmentFile] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    position: int = 1
    unreadable: dict[str, str] = field(default_factory=dict)
    classes: tuple[dict[str, int], dict[int, Retention], dict[int, int]] = field(default_factory=lambda: ({}, {}, {}))
    partial: dict[str, list[int]] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    unnamed: int = 0


def explore(directory: Path, names: Iterable[tuple[int, str]] = ()) -> Found:
    """Look at every file but the catalog; `names` of an unreliable catalog are used where the journal has none."""
    found = Found()
    for record in good_records(directory / NAME):
        if isinstance(record, Registration):
            found.points.update(record.points)
        else:
            found.stones.append(record.tombstone)
    taken = set(found.points.values())
    for handle, name in names:
        if handle not in found.points and name not in taken:
            found.points[handle] = name
            taken.add(name)
    largest = -1
    for path in sorted((directory / "seg").glob("*.seg"), key=lambda path: path.name):
        try:
            file, sections, newest, lost = _sections_of(path)
        except (HeadraceError, OSError, ValueError) as error:
            found.unreadable[path.name] = str(error)
            continue
        if lost:
            found.partial[path.name] = lost
        found.files.append(file)
        found.sections += sections
        largest = max(largest, newest)
    found.sections = _summaries(directory / "seg", found.files, _each_once(found.sections))
    used = {section.file for section in found.sections}
    found.files = [file for file in found.files if file.number in used]
    found.position = _position(directory, found)
    for handle in range(max([largest, *found.points], default=-1) + 1):
        if handle not in found.points:
            found.points[handle] = f"unnamed/{handle}"
            found.unnamed += 1
    return found


def build(path: Path, found: Found, next_file: int) -> None:
    """Write the catalog to a new file. Raises: HeadraceError."""
    catalog = Catalog(path)
    try:
        catalog.add_points(sorted(found.points.items()))
        # A class has its number from its name, so one that cannot be read finds its files once it is declared again.
        numbers, retention, members = found.classes
        catalog.set_classes(numbers, retention, {h: each for h, each in members.items() if h in found.points})
        for stone in sorted(found.stones, key=lambda stone: stone.id):
            catalog.commit(Edit(add_tombstone=stone))
        # A file number that was ever used is not used again: the sealed next number is beyond all of them.
        marker = SegmentFile(max(next_file - 1, 1), "", 0)
        catalog.commit(Edit(add_files=[marker]))
        catalog.commit(Edit(drop_files=[marker.number]))
        catalog.commit(
            Edit(add_files=found.files, add_sections=found.sections, position=found.position, marks=found.marks)
        )
    finally:
        catalog.close()


def newest_values(directory: Path, catalog: Catalog) -> None:
    """Find the newest sample of every point and put it into the catalog; logs add theirs at every start."""
    stones = tuple(catalog.tombstones())
    view = View((), {}, {}, stones).with_sections(catalog.sections(), (), catalog.files(), ())
    reader = Reader(SegmentStore(directory / "seg", Disk(), HistorySettings()))
    points = len(catalog.points())
    for shard in range(-(-points // SHARD_POINTS)):
        handles = np.arange(shard * SHARD_POINTS, min((shard + 1) * SHARD_POINTS, points), dtype=np.uint32)
        latest = LastValues()
        for batch in reader.latest_at(view, handles, LATEST_NS):
            latest.update(batch)
        catalog.commit(Edit(latest={each: batches for each, batches in latest.take_dirty().items() if batches}))


def _sections_of(path: Path) -> tuple[SegmentFile, list[Section], int, list[int]]:
    """A file, its sections, its largest point number, hours that cannot be placed. Raises: DataError, OSError."""
    hour, number = path.stem.rsplit("-", 1)
    int(hour)
    file = SegmentFile(int(number), path.name, path.stat().st_size)
    with path.open("rb") as opened:
        opened.seek(max(0, file.bytes - 64 * 1024 * 1024))
        entries = check_footer(opened.read(), path.name)
    store, largest = reader_of(path.parent), -1
    sections: list[Section] = []
    lost: list[int] = []
    for entry in entries:
        hour_of, generation, flags, position, index_at, index_length, rollup_at, rollup_length = entry
        section = Section(
            file.number, hour_of, generation, 0, bool(flags & 1), 0, 0, 0, position, index_at, index_length, rollup_at,
            rollup_length, flags >> 16, flags >> 1 & 1,
        )  # fmt: skip
        try:
            placed, newest = _measured(store, file, section)
        except (HeadraceError, ValueError, KeyError):
            lost.append(hour_of)  # its index cannot be read, and without it nobody knows what its chunks are
            continue
        sections.append(placed)
        largest = max(largest, newest)
    if not sections:
        raise DataError("no index in it can be read")
    return file, sections, largest, lost


def _measured(store: SegmentStore, file: SegmentFile, section: Section) -> tuple[Section, int]:
    view = view_of(file, section)
    if section.raw:
        table = store.chunk_table(view, section)
        return replace(
            section,
            samples=int(table["count"].sum(dtype=np.int64)),
            first_ns=int(table["first_ns"].min()),
            last_ns=int(table["last_ns"].max()),
        ), int(table["handle"].max())
    if section.summary:
        counts = summary_days(store, view, section)
        first, last = min(counts, default=section.day), max(counts, default=section.day)
        days = sum(1 << (day - section.day) for day in counts)
        points = SummaryReader(store).handles(view, section)
        return replace(
            section, samples=sum(counts.values()), first_ns=first * DAY_NS, last_ns=(last + 1) * DAY_NS - 1, days=days
        ), int(points.max(initial=0))
    samples, largest = 0, -1
    begins: list[int] = []
    ends: list[int] = []
    for columns in store.rollup_columns(view, section, set(COLUMNS)).values():
        samples += int(columns["count"].sum())
        begin = section.hour * HOUR_NS + columns["minute"] * MINUTE_NS + columns["offset"]
        if len(begin):
            begins.append(int(begin.min()))
            ends.append(int((begin + columns["span"]).max()))
        largest = max(largest, int(columns["handle"].max(initial=-1)))
    nowhere = section.hour * HOUR_NS
    first, last = min(begins, default=nowhere), max(ends, default=nowhere)
    return replace(section, samples=samples, first_ns=first, last_ns=last), largest


def _summaries(folder: Path, files: list[SegmentFile], sections: list[Section]) -> list[Section]:
    """Summaries of those days alone that nothing else tells all of: the others are made again, and cannot be stale.

    The catalog knew of which days a summary may still speak. Without it the samples decide: where as many are held in
    finer sections, the summary is left out; where all of these are newer, they came late and are told beside it.
    """
    finer: dict[tuple[int, int], list[Section]] = {}
    for each in sections:
        if not each.summary:
            finer.setdefault((each.retention, each.day), []).append(each)
    by_number = {file.number: file for file in files}
    kept = [each for each in sections if not each.summary]
    taken: set[tuple[int, int]] = set()
    for each in sorted((s for s in sections if s.summary), key=lambda s: (s.generation, s.file), reverse=True):
        counts = summary_days(reader_of(folder), view_of(by_number[each.file], each), each)
        sole = 0
        for day, count in counts.items():
            held = finer.get((each.retention, day), [])
            late = all(section.generation > each.generation for section in held)
            if (each.retention, day) not in taken and late and sum(section.samples for section in held) < count:
                taken.add((each.retention, day))
                sole |= 1 << (day - each.day)
        if sole:
            kept.append(replace(each, days=sole, sole=sole))
    return kept


def _each_once(sections: list[Section]) -> list[Section]:
    """Without older copies of the same section, and without samples whose roll-ups alone were to be kept."""
    kept: dict[tuple[int, ...], Section] = {}
    for section in sorted(sections, key=lambda each: each.file):
        key = (
            section.hour, section.generation, section.rollup_length, section.first_ns, section.last_ns,
            section.retention, section.days,
        )  # fmt: skip
        kept[key] = section
    return sorted(kept.values(), key=lambda each: (each.hour, each.generation, each.file))


def _position(directory: Path, found: Found) -> int:
    """The oldest log that may hold what no segment does: flushes go in order, so those before the newest are done."""
    newest = max((section.generation for section in found.sections), default=0)
    logs = [number for number in log_numbers(directory / "wal") if number >= newest]
    after = max([newest, *(stone.generation for stone in found.stones)]) + 1
    return min(logs, default=after)
