"""From a directory, however it was left, to a store's state.

lock ─► catalog ─► delete files that the catalog does not know ─► sections ─► replay logs from the log position
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.history.catalog import Catalog, SegmentFile
from headrace.history.disk import Disk
from headrace.history.latest import LastValues
from headrace.history.memtable import Memtable
from headrace.history.view import View
from headrace.history.wal import LogReader, LogWriter, log_numbers, log_path
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.clock import Clock

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    catalog: Catalog
    view: View
    latest: LastValues
    log: LogWriter


def recover(directory: Path, disk: Disk, clock: Clock) -> Recovered:
    """Raises: DataError that names the damaged file; Unavailable where the disk refuses."""
    catalog = Catalog(directory / "catalog.db")
    try:
        return _recover(directory, disk, clock, catalog)
    except OSError as error:
        catalog.close()
        raise Unavailable(f"history directory {directory} cannot be used: {error}") from error
    except BaseException:
        catalog.close()
        raise


def _recover(directory: Path, disk: Disk, clock: Clock, catalog: Catalog) -> Recovered:
    files = catalog.files()
    _delete_unknown(directory / "seg", disk, files)
    view = View((), {}, {}, tuple(catalog.tombstones())).with_sections(catalog.sections(), (), files, ())
    latest = LastValues()
    for batch in catalog.latest():
        latest.update(batch)
    latest.take_dirty()

    folder, position = directory / "wal", catalog.position
    numbers = []
    for number in log_numbers(folder):
        if number < position:
            disk.unlink(log_path(folder, number))
        else:
            numbers.append(number)
    _check_gaps(folder, numbers, position)
    memtables, log = [], None
    for number in numbers:
        last = number == _last_with_data(folder, numbers)
        memtable = Memtable(number, clock.monotonic_s())
        reader = LogReader(log_path(folder, number), number, last=last or number == numbers[-1])
        for batches in reader.batches():
            memtable.frames += 1
            for batch in batches:
                memtable.add(batch)
                for tombstone in view.tombstones:
                    if tombstone.hides(number, 0):
                        batch = tombstone.keep(batch)
                latest.update(batch)
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
    return Recovered(catalog, replace(view, memtables=tuple(memtables)), latest, log)


def _last_with_data(folder: Path, numbers: list[int]) -> int:
    """The log after the last in use may have been made ahead of time, so it may be the one before that is torn."""
    if len(numbers) > 1 and log_path(folder, numbers[-1]).stat().st_size <= LogWriter.EMPTY_BYTES:
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


def _delete_unknown(folder: Path, disk: Disk, files: Iterable[SegmentFile]) -> None:
    known = {file.name: file for file in files}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            _logger.info("history file %s is not in the catalog: deleted", path.name)
            disk.unlink(path)
    for name, file in known.items():
        path = folder / name
        if not path.exists():
            raise DataError(f"history file {path} is missing; restore it from a back-up")
        if path.stat().st_size != file.bytes:
            raise DataError(f"history file {path} has {path.stat().st_size} bytes where {file.bytes} were written")
