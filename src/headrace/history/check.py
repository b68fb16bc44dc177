"""Everything that a history directory holds, read and compared: what is damaged, how much is lost, and what to do.

    catalog    SQLite's own check, sums of the rows, format        journal   frames, against the catalog
    segments   header, footer, against the catalog; then every section (`survey`)
    logs       header, frames, order of the commits, missing ones

Nothing is changed. It works on a `Picture`: of a closed directory, or of a store that goes on working.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace.history.catalog import Section, SegmentFile
from headrace.history.framing import Gap
from headrace.history.journal import Deletion, Registration, walk_journal
from headrace.history.picture import LogSpan, Picture
from headrace.history.segment_file import check_footer, footer_entry
from headrace.history.survey import Survey, reader_of, survey
from headrace.history.wal import LogWriter, batches_of, seed_of, walk_log
from headrace.model.errors import DataError, HeadraceError
from headrace.model.time import format_time

Progress = Callable[[str, int, int], None]
"""What is being read, bytes done, bytes in all. May raise to give up, and sleep to go slower."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


REPAIR: Final = "run `headrace history repair`, or restore a backup"
_FOOTER_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage. `samples` is how many are lost, None where nobody can know."""

    file: str
    what: str
    lost: str
    action: str = REPAIR
    samples: int | None = 0


@dataclass(slots=True)
class Report:
    """`bytes` were read; of `samples` in segments and logs those that could be read are counted."""

    findings: list[Finding] = field(default_factory=list)
    surveys: dict[int, list[Survey]] = field(default_factory=dict)  # damaged files only, by number
    files: int = 0
    logs: int = 0
    points: int = 0
    samples: int = 0
    bytes: int = 0

    @property
    def sound(self) -> bool:
        return not self.findings


def check(picture: Picture, progress: Progress = silent) -> Report:
    """Read everything. Raises: only what `progress` raises."""
    return _Check(picture, progress).run()


class _Check:
    def __init__(self, picture: Picture, progress: Progress) -> None:
        self._picture, self._progress = picture, progress
        self._report = Report()
        self._done = self._total = 0

    def run(self) -> Report:
        picture, report = self._picture, self._report
        files, sections = self._catalog()
        self._total = picture.journal_bytes + sum(log.bytes for log in picture.logs) + sum(f.bytes for f in files)
        self._journal()
        for file in files:
            self._segment(file, [section for section in sections if section.file == file.number])
        for log in picture.logs:
            self._log(log)
        self._gaps()
        report.bytes, report.files, report.logs = self._done, len(files), len(picture.logs)
        return report

    def _find(self, path: Path, what: str, lost: str, action: str = REPAIR, samples: int | None = 0) -> None:
        name = path.relative_to(self._picture.directory).as_posix()
        self._report.findings.append(Finding(name, what, lost, action, samples))

    def _step(self, path: Path, size: int) -> None:
        self._done += size
        self._progress(path.name, self._done, max(self._total, self._done))

    def _catalog(self) -> tuple[list[SegmentFile], list[Section]]:
        path, catalog = self._picture.directory / "catalog.db", self._picture.catalog
        nothing = "nothing: it is made anew from the other files"
        if catalog is None:
            self._find(path, f"cannot be read: {self._picture.catalog_error}", nothing)
            return [], []
        try:
            damage = catalog.damage()
            if damage:
                self._find(path, "; ".join(damage), nothing)
            self._report.points = len(catalog.points())
            return catalog.files(), catalog.sections()
        except (sqlite3.Error, HeadraceError, ValueError, TypeError) as error:
            self._find(path, f"cannot be read: {error}", nothing)
            return [], []

    def _journal(self) -> None:
        path = self._picture.journal
        known, stones = self._known()
        named: dict[int, str] = {}
        deleted: set[int] = set()
        again = "nothing: it is made anew from the catalog"
        try:
            for record in walk_journal(path, self._picture.journal_bytes):
                if isinstance(record, Gap):
                    self._find(path, f"{record.end - record.offset} bytes at {record.offset} are no record", again)
                elif isinstance(record, Registration):
                    named.update(record.points)
                elif isinstance(record, Deletion):
                    deleted.add(record.tombstone.id)
        except (HeadraceError, OSError) as error:
            self._find(path, f"cannot be read: {error}", again)
            return
        self._step(path, self._picture.journal_bytes)
        missing = [handle for handle, name in known.items() if named.get(handle) != name]
        if missing or stones - deleted:
            self._find(path, f"lacks {len(missing)} names and {len(stones - deleted)} deletions of the catalog", again)

    def _known(self) -> tuple[dict[int, str], set[int]]:
        """Names and pending deletions in the catalog, where it can be read."""
        catalog = self._picture.catalog
        if catalog is None:
            return {}, set()
        try:
            return dict(catalog.points()), {stone.id for stone in catalog.tombstones()}
        except (sqlite3.Error, HeadraceError, ValueError, TypeError):
            return {}, set()

    def _segment(self, file: SegmentFile, sections: Sequence[Section]) -> None:
        path = self._picture.segments / file.name
        samples = sum(section.samples for section in sections if section.raw)
        try:
            wrong = _outside(path, file, sections)
        except OSError as error:
            self._find(path, f"cannot be read: {error.strerror}", _amount(samples, sections), samples=samples)
            self._report.surveys[file.number] = [Survey(section, whole=False) for section in sections]
            self._step(path, file.bytes)
            return
        store = reader_of(self._picture.segments)
        surveys = []
        if wrong:
            # The catalog knows where everything is, so what lies behind a damaged footer can still be looked at.
            store.set_checked(file.number)
        for section in sections:
            surveys.append(survey(store, file, section))
            self._step(path, section.length)
        lost = sum(one.samples for each in surveys for one in each.lost)
        self._report.samples += samples - lost
        if wrong:
            self._find(path, wrong, _amount(lost, sections), samples=lost)
        for each in surveys:
            hour = format_time(each.section.first_ns)[:13]
            if each.lost:
                number = sum(one.samples for one in each.lost)
                self._find(path, f"hour {hour}: {each.lost[0].why}", _amount(number, [each.section]), samples=number)
            elif each.rollups:
                what = "the summaries of its days" if each.section.summary else "the roll-ups of that hour"
                gone = "nothing: the samples are there" if each.section.raw else what
                self._find(path, f"hour {hour}: {each.rollups}", gone)
        if wrong or not all(each.sound for each in surveys):
            self._report.surveys[file.number] = surveys

    def _log(self, log: LogSpan) -> None:
        with log.path.open("rb") as file:
            header = file.read(LogWriter.EMPTY_BYTES)
        if seed_of(header, log.number) is None and not (log.last and len(header) < LogWriter.EMPTY_BYTES):
            self._find(log.path, f"does not begin like log {log.number}", "nothing, where its frames are whole")
        newest_ns, gap, reached = 0, None, 0
        for part in walk_log(log.path, log.bytes):
            if isinstance(part, Gap):
                gap = part
                continue
            if gap is not None:
                self._gap(log, gap)
                gap = None
            try:
                self._report.samples += sum(map(len, batches_of(part)))
                if part.time_ns < newest_ns:
                    raise DataError("it belongs to another place")
            except DataError as error:
                self._find(log.path, f"the frame at byte {part.offset}: {error}", f"{part.count} samples", samples=None)
            newest_ns = max(newest_ns, part.time_ns)
            self._step(log.path, part.end - part.offset)
            reached = part.end
        self._step(log.path, max(log.bytes - reached, 0))
        if gap is not None and not log.last:
            self._gap(log, gap)

    def _gap(self, log: LogSpan, gap: Gap) -> None:
        text = f"the samples of at least one commit, in {gap.end - gap.offset} bytes"
        self._find(log.path, f"is damaged from byte {gap.offset} to {gap.end}", text, samples=None)

    def _gaps(self) -> None:
        numbers = [log.number for log in self._picture.logs]
        catalog = self._picture.catalog
        if not numbers or catalog is None:
            return
        try:
            first = catalog.position
        except (sqlite3.Error, HeadraceError):
            return
        for number in sorted(set(range(first, numbers[-1])) - set(numbers))[:100]:
            path = self._picture.directory / "wal" / f"{number:010d}.log"
            self._find(path, "is missing, and later logs follow it", "the samples that were in it", samples=None)


def _outside(path: Path, file: SegmentFile, sections: Sequence[Section]) -> str:
    """What is wrong with size, header or footer. Raises: OSError."""
    size = path.stat().st_size
    with path.open("rb") as opened:
        head = opened.read(8)
        opened.seek(max(0, size - _FOOTER_MAX))
        tail = opened.read()
    if size != file.bytes:
        return f"has {size} bytes where {file.bytes} were written"
    try:
        if head[:5] != b"HRSEG":
            raise DataError("it does not begin like a segment")
        entries = check_footer(tail, file.name)
    except DataError as error:
        return str(error)
    if any(footer_entry(section) not in entries for section in sections):
        return "does not hold what the catalog says of it"
    return ""


def _amount(samples: int, sections: Sequence[Section]) -> str:
    if not sections:
        return "nothing that the catalog knows"
    begin, end = min(s.first_ns for s in sections), max(s.last_ns for s in sections)
    return f"{samples} samples between {format_time(begin)} and {format_time(end)}"


def document(report: Report) -> dict[str, Any]:
    """For programs."""
    return {
        "sound": report.sound,
        "files": report.files,
        "logs": report.logs,
        "points": report.points,
        "samples": report.samples,
        "bytes": report.bytes,
        "findings": [asdict(finding) for finding in report.findings],
    }
