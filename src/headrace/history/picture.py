"""What a crash at this moment would leave: the state of a history directory that check and backup look at.

    running   hold a view (its files stay) ─► between two commits: catalog, end of the log, end of the journal
    closed    hold the directory's lock ─► the same from the files

Catalog, logs and journal are taken between two commits, so everything acknowledged before is in the picture, and the
recovery that every start runs brings it back. Nobody waits longer than for a commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.history.catalog import CatalogReader
from headrace.history.journal import NAME
from headrace.history.lock import DirectoryLock
from headrace.history.wal import is_fresh, log_numbers, log_path
from headrace.model.errors import HeadraceError, NotFound


@dataclass(frozen=True, slots=True)
class LogSpan:
    """The first `bytes` of a log; `last` where nothing follows, so that a torn end is no damage."""

    number: int
    path: Path
    bytes: int
    last: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """`catalog` is None where it cannot be opened, and `catalog_error` says why."""

    directory: Path
    catalog: CatalogReader | None
    logs: Sequence[LogSpan]
    journal: Path
    journal_bytes: int
    committed_ns: int = 0
    catalog_error: str = ""

    @property
    def segments(self) -> Path:
        return self.directory / "seg"


def spans(directory: Path, position: int, end: tuple[int, int] | None = None) -> list[LogSpan]:
    """Logs that a start would read: up to `end` (number, size), or all of them."""
    folder = directory / "wal"
    found = []
    for number in log_numbers(folder):
        if position <= number and (end is None or number <= end[0]):
            size = end[1] if end is not None and number == end[0] else log_path(folder, number).stat().st_size
            found.append(LogSpan(number, log_path(folder, number), size, last=False))
    # The newest log may have been made ahead of need; then it is the one before that a crash may have torn.
    for at in range(len(found) - 1, max(len(found) - 3, -1), -1):
        found[at] = replace(found[at], last=True)
        if not is_fresh(found[at].path):
            break
    return found


@contextmanager
def picture_of_closed(directory: Path) -> Iterator[Picture]:
    """Nothing is changed, not even by a recovery. Raises: NotFound, Unavailable where somebody owns the directory."""
    if not (directory / "seg").is_dir():
        raise NotFound(f"'{directory}' is no history directory")
    lock = DirectoryLock(directory)
    catalog, why = None, ""
    try:
        try:
            if not (directory / "catalog.db").exists():
                raise NotFound("it is missing")
            catalog = CatalogReader(directory / "catalog.db")
            catalog.hold()
            position = catalog.position
        except (HeadraceError, sqlite3.Error, TypeError, ValueError) as error:
            if catalog is not None:
                catalog.close()
            catalog, why, position = None, str(error), 0
        journal = directory / NAME
        size = journal.stat().st_size if journal.exists() else 0
        yield Picture(directory, catalog, spans(directory, position), journal, size, catalog_error=why)
    finally:
        if catalog is not None:
            catalog.close()
        lock.release()
