"""From a directory, however it was left, to a store's state.

lock ─► catalog ─► names and deletions that only the journal has ─► sections ─► replay logs from the log position
     ─► delete files that the catalog does not know, once everything that it does know was found
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.history.archive import LogArchive
from headrace.history.catalog import Catalog, SegmentFile, Tombstone
from headrace.history.disk import Disk
from headrace.history.journal import Journal, Registration
from headrace.history.latest import LastValues
from headrace.history.marks import MarkTable
from headrace.history.memtable import Memtable
from headrace.history.view import View
from headrace.history.wal import LogReader, LogWriter, is_fresh, log_numbers, log_path
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.clock import Clock

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """`deletions` are those that a crash let into the journal only; `committed_ns` is of the newest frame."""

    catalog: Catalog
    journal: Journal
    view: View
    latest: LastValues
    log: LogWriter
    deletions: Sequence[Tombstone]
    committed_ns: int
    marks: MarkTable


def recover(directory: Path, disk: Disk, clock: Clock, archive: LogArchive) -> Recovered:
    """Raises: DataError that names the damaged file; Unavailable where the disk refuses."""
    with ExitStack() as stack:
        try:
            if not (directory / "catalog.db").exists() and (directory / "journal.log").exists():
                raise DataError(
                    f"history catalog {directory / 'catalog.db'} is missing; run `headrace history repair`, "
                    "which makes it anew from the other files"
                )
            catalog = Catalog(directory / "catalog.db")
            stack.callback(catalog.close)
            if catalog.points() and not (directory / "journal.log").exists():
                raise DataError(
                    f"history journal {directory / 'journal.log'} is missing; run `headrace history repair`"
                )
            journal = Journal(disk, directory)
            stack.callback(journal.close)
            recovered = _recover(directory, disk, clock, catalog, journal, archive)
        except OSError as error:
            raise Unavailable(f"history directory {directory} cannot be used: {error}") from error
        stack.pop_all()
        return recovered


def _recover(
    directory: Path, disk: Disk, clock: Clock, catalog: Catalog, journal: Journal, archive: LogArchive
) -> Recovered:
    deletions, journaled_ns = _catch_up(catalog, journal)
    files = catalog.files()
    _check_files(directory / "seg", files)
    view = View((), {}, {}, tuple(catalog.tombstones())).with_sections(catalog.sections(), (), files, ())
    latest = LastValues()
    for batch in catalog.latest():
        latest.update(batch)
    latest.take_dirty()

    folder, position = directory / "wal", catalog.position
    numbers = [number for number in log_numbers(folder) if number >= position]
    _check_gaps(folder, numbers, position)
    marks = MarkTable(catalog.marks())
    memtables, log, committed_ns = [], None, max(journaled_ns, catalog.committed_ns)
    for number in numbers:
        last = number == _last_with_data(folder, numbers)
        memtable = Memtable(number, clock.monotonic_s())
        reader = LogReader(log_path(folder, number), number, last=last or number == numbers[-1])
        for commit in reader.commits():
            memtable.frames += 1
            marks.take(commit.marks)
            for batch in commit.batches:
                memtable.add(batch)
                for tombstone in view.tombstones:
                    if tombstone.hides(number, 0):
                        batch = tombstone.keep(batch)
                latest.update(batch)
        committed_ns = max(committed_ns, reader.committed_ns)
        memtables.append(memtable)
        _cut_torn_end(reader, disk)
        if number == numbers[-1]:
            if reader.size:
                log = LogWriter.resume(disk, folder, number, reader.size)
            else:
                disk.unlink(log_path(folder, number))
                memtables.pop()
    if log is None:
        # A number below the position would be deleted at the next start.
        number = max([position, *(memtable.generation + 1 for memtable in memtables)])
        log = LogWriter(disk, folder, number)
        memtables.append(Memtable(number, clock.monotonic_s()))
    archive.trash.empty()
    for number in log_numbers(folder):
        if number < position:
            archive.discard(log_path(folder, number))
    _delete_unknown(directory / "seg", disk, files)
    view = replace(view, memtables=tuple(memtables))
    return Recovered(catalog, journal, view, latest, log, deletions, committed_ns, marks)


def _catch_up(catalog: Catalog, journal: Journal) -> tuple[list[Tombstone], int]:
    """Give the catalog the names that only the journal has; returns the deletions that it lacks, and the newest time.

    Raises: DataError where the two contradict each other.
    """
    known, position, deletions = dict(catalog.points()), catalog.next_tombstone(), []
    last, newest_ns, missing = 0, 0, []
    named: dict[int, str] = {}
    for record in journal.take_records():
        newest_ns = max(newest_ns, record.time_ns)
        if isinstance(record, Registration):
            named.update(record.points)
            missing += [(handle, path) for handle, path in record.points if handle not in known]
        else:
            last = record.tombstone.id
            if last >= position:
                deletions.append(record.tombstone)
    if any(named.get(handle) != path for handle, path in known.items()) or last < position - 1:
        raise DataError(
            f"history journal {journal.path} and the catalog do not tell the same; run `headrace history check`, then "
            "`headrace history repair`"
        )
    if missing:
        catalog.add_points(missing)
    return deletions, newest_ns


def _last_with_data(folder: Path, numbers: list[int]) -> int:
    """The log after the last in use may have been made ahead of time, so it may be the one before that is torn."""
    if len(numbers) > 1 and is_fresh(log_path(folder, numbers[-1])):
        return numbers[-2]
    return numbers[-1]


def _cut_torn_end(reader: LogReader, disk: Disk) -> None:
    """What a crash left half written must not look like damage once later logs follow."""
    if reader.size and reader.path.stat().st_size > reader.size:
        descriptor = disk.open(reader.path)
        try:
            disk.truncate(descriptor, reader.size)
            disk.datasync(descriptor)
        finally:
            os.close(descriptor)


def _check_gaps(folder: Path, numbers: list[int], position: int) -> None:
    expected = list(range(position, position + len(numbers)))
    if numbers != expected:
        missing = next(number for number in range(position, numbers[-1]) if number not in numbers)
        raise DataError(f"history log {log_path(folder, missing)} is missing, and later logs follow it")


def _check_files(folder: Path, files: Iterable[SegmentFile]) -> None:
    for file in files:
        path = folder / file.name
        if not path.exists():
            raise DataError(
                f"history file {path} is missing; restore it from a backup, or run `headrace history repair`"
            )
        if path.stat().st_size != file.bytes:
            raise DataError(f"history file {path} has {path.stat().st_size} bytes where {file.bytes} were written")


def _delete_unknown(folder: Path, disk: Disk, files: Iterable[SegmentFile]) -> None:
    known = {file.name for file in files}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            _logger.info("history file %s is not in the catalog: deleted", path.name)
            disk.unlink(path)
