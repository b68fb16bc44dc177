"""What is whole in a damaged file, in a new one: the leaves of `repair`.

segment   sound sections copied, good chunks of the others written anew; roll-ups alone where no chunk can be found
log       every good frame, in the order of the commits
journal   every good record, and what only the catalog still knows
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from headrace.history import framing
from headrace.history.catalog import Section, SegmentFile, Tombstone
from headrace.history.disk import Disk
from headrace.history.framing import Frame
from headrace.history.journal import Deletion, Registration, walk_journal
from headrace.history.rollups import COLUMNS
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.survey import Survey, reader_of, samples_of, view_of
from headrace.history.wal import FRAME_MAGIC, batches_of, log_header, seed_of, walk_log
from headrace.model.errors import DataError, HeadraceError

_CHUNK_SAMPLES = 65_536


def salvage_segment(
    disk: Disk, folder: Path, file: SegmentFile, number: int, surveys: Sequence[Survey]
) -> tuple[SegmentFile | None, list[Section]]:
    """A new file with what is whole in `file`; None where nothing is. Raises: OSError."""
    store = reader_of(folder)
    store.set_checked(file.number)  # its footer may be what is damaged
    writer = SegmentWriter(disk, folder, number, min(each.section.hour for each in surveys), _CHUNK_SAMPLES)
    try:
        for each in surveys:
            _salvage_section(store, file, each, writer)
        if not writer.sections:
            writer.abandon()
            return None, []
        return writer.finish(), writer.sections
    except BaseException:
        writer.abandon()
        raise


def _salvage_section(store: SegmentStore, file: SegmentFile, found: Survey, writer: SegmentWriter) -> None:
    section, view = found.section, view_of(file, found.section)
    if found.sound:
        writer.copy(section, store.section_bytes(view, section))
    elif found.whole and section.raw:
        writer.begin(section.hour, section.generation, section.applied, store.moments(view, section), section.retention)
        for batch in samples_of(store, file, section, Survey(section)):
            writer.add(batch)
        writer.end()
    elif not section.summary:
        try:
            store.rollup_columns(view, section, set(COLUMNS))
            writer.copy_rollups(section, store.rollup_bytes(view, section))
        except HeadraceError:
            pass  # nothing of it can be read; the caller says so


def alone(sections: Sequence[Section]) -> tuple[list[Section], list[Section]]:
    """Summaries of days of which nothing else is left, as they will be and as they were."""
    held = {(each.retention, each.day) for each in sections if not each.summary}
    after, before = [], []
    for each in sections:
        sole = sum(1 << (day - each.day) for day in each.covered() if (each.retention, day) not in held)
        if each.summary and each.sole | sole != each.sole:
            before.append(each)
            after.append(replace(each, sole=each.sole | sole))
    return after, before


def good_frames(path: Path) -> list[Frame]:
    """Of a damaged log: frames that can be read, each once, in the order of the commits."""
    found: dict[tuple[int, int, bytes], Frame] = {}
    for part in walk_log(path):
        if isinstance(part, Frame):
            try:
                batches_of(part)
            except DataError:
                continue
            found.setdefault((part.time_ns, part.place, part.payload), part)
    return sorted(found.values(), key=lambda frame: (frame.time_ns, frame.place, frame.offset))


def write_log(disk: Disk, path: Path, number: int, frames: Iterable[Frame]) -> None:
    """A whole log, durable, in the place of whatever was there. Raises: OSError."""
    temporary = path.with_suffix(".tmp")
    disk.unlink(temporary)
    descriptor, header = disk.open(temporary, create=True), log_header(number)
    seed = seed_of(header, number) or 0
    try:
        disk.write(descriptor, header)
        for each in frames:
            frame = framing.frame(FRAME_MAGIC, each.payload, each.count, each.time_ns, each.place, seed)
            disk.write(descriptor, frame)
        disk.datasync(descriptor)
    finally:
        os.close(descriptor)
    disk.replace(temporary, path)
    disk.sync_directory(path.parent)


def merged_records(
    path: Path, points: Iterable[tuple[int, str]], stones: Iterable[Tombstone]
) -> list[Registration | Deletion]:
    """Good records of a journal, and after them what only the catalog knows. The catalog's names go before."""
    known = dict(points)
    found: list[Registration | Deletion] = []
    named: set[int] = set()
    deleted: set[int] = set()
    for record in good_records(path):
        if isinstance(record, Registration):
            # Numbers of one record follow each other, so a name that changed makes the whole record suspect.
            if all(known.get(handle, name) == name for handle, name in record.points):
                named.update(handle for handle, _ in record.points)
                found.append(record)
        else:
            deleted.add(record.tombstone.id)
            found.append(record)
    missing = sorted(item for item in known.items() if item[0] not in named)
    at = 0
    for end in range(1, len(missing) + 1):
        if end == len(missing) or missing[end][0] != missing[end - 1][0] + 1:
            found.append(Registration(0, missing[at:end]))
            at = end
    found += [Deletion(0, stone) for stone in stones if stone.id not in deleted]
    return sorted(found, key=lambda record: record.tombstone.id if isinstance(record, Deletion) else -1)


def good_records(path: Path) -> list[Registration | Deletion]:
    try:
        return [record for record in walk_journal(path) if isinstance(record, (Registration, Deletion))]
    except (HeadraceError, OSError):
        return []
