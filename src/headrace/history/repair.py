"""Makes a damaged history directory whole again, and says exactly what is lost. Nothing is ever destroyed.

    check ─► catalog made anew if need be ─► check again ─► segments, logs, journal ─► a new timeline
                                   every file that is replaced stays in quarantine/<time>/

Without `apply` it only tells. Each step first links the damaged file into the quarantine and then puts the new one in
its place, so a repair that is interrupted can be run again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.history import salvage
from headrace.history.catalog import Catalog, CatalogReader, Edit, Section, SegmentFile
from headrace.history.check import Finding, Progress, Report, check, silent
from headrace.history.disk import Disk
from headrace.history.journal import NAME, write_journal
from headrace.history.picture import Picture, picture_of_closed, spans
from headrace.history.rebuild import Found, build, explore, newest_values
from headrace.history.survey import Lost, Survey
from headrace.model.time import HOUR_NS, format_time


@dataclass(frozen=True, slots=True)
class Loss:
    """Samples that are gone: of one point, or `point` empty for more than one; `samples` None where nobody knows."""

    file: str
    point: str
    first_ns: int
    last_ns: int
    samples: int | None


@dataclass(slots=True)
class Repair:
    """What was found, what is (or would be) done, what is lost. `quarantine` is where the damaged files went."""

    findings: list[Finding] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    applied: bool = False
    quarantine: Path | None = None

    @property
    def sound(self) -> bool:
        return not self.findings


def repair(directory: Path, now_ns: int, *, apply: bool, progress: Progress = silent) -> Repair:
    """Raises: NotFound, Unavailable where somebody owns the directory or the disk refuses."""
    with picture_of_closed(directory) as picture:
        return _Repairer(picture, now_ns, apply, progress).run()


class _Repairer:
    def __init__(self, picture: Picture, now_ns: int, apply: bool, progress: Progress) -> None:
        self._picture, self._apply, self._progress = picture, apply, progress
        self._directory, self._disk = picture.directory, Disk()
        stamp = format_time(now_ns)[:19].replace("-", "").replace(":", "") + "Z"
        self._quarantine = picture.directory / "quarantine" / stamp
        self._workshop = picture.directory / "repair.tmp"
        self._result = Repair()

    def run(self) -> Repair:
        result = self._result
        report = check(self._picture, self._progress)
        try:
            if any(finding.file == "catalog.db" for finding in report.findings):
                lost = [finding for finding in report.findings if finding.file in ("catalog.db", NAME)]
                with self._rebuilt() as (picture, found):
                    report = check(picture, self._progress)
                    report.findings = [*lost, *(f for f in report.findings if f not in lost)]
                    self._plan(report, picture, found)
                    if self._apply:
                        for name in found.partial:
                            self._put_away(self._directory / "seg" / name)
                        self._install_catalog(picture)
                        self._act(report)
            else:
                self._plan(report, self._picture, None)
                if self._apply:
                    if self._picture.catalog is not None:
                        self._picture.catalog.close()
                    self._act(report)
        finally:
            shutil.rmtree(self._workshop, ignore_errors=True)
        result.findings = report.findings
        result.applied = self._apply and bool(report.findings)
        if result.applied:
            result.quarantine = self._quarantine
        return result

    # --- what there is to do --------------------------------------------------------------------------------------

    def _plan(self, report: Report, picture: Picture, found: Found | None) -> None:
        names = {} if picture.catalog is None else dict(picture.catalog.points())
        do = self._result.actions.append
        if found is not None:
            do(f"make the catalog anew: {len(found.points)} points, {len(found.sections)} sections")
            if found.unnamed:
                do(f"call {found.unnamed} points whose names are lost 'unnamed/<number>'")
            for file, why in found.unreadable.items():
                do(f"move seg/{file} to the quarantine: {why}")
                self._result.losses.append(Loss(f"seg/{file}", "", 0, 0, None))
            for file, hours in found.partial.items():
                do(f"leave {len(hours)} hours of seg/{file} out: their index cannot be read")
                self._result.losses += [
                    Loss(f"seg/{file}", "", hour * HOUR_NS, (hour + 1) * HOUR_NS - 1, None) for hour in hours
                ]
        files = {} if picture.catalog is None else {file.number: file for file in picture.catalog.files()}
        for number, surveys in report.surveys.items():
            do(f"write anew what is whole in seg/{files[number].name}")
            for each in surveys:
                self._result.losses += _losses(f"seg/{files[number].name}", each, names)
        for file in sorted({finding.file for finding in report.findings if finding.file.startswith("wal/")}):
            gone = not (self._directory / file).exists()
            do(f"put an empty log in the place of {file}" if gone else f"keep every good frame of {file}")
            self._result.losses.append(Loss(file, "", 0, 0, None))
        if any(finding.file == NAME for finding in report.findings):
            do("make the journal anew from the catalog and its own good records")

    # --- doing it -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _rebuilt(self) -> Iterator[tuple[Picture, Found]]:
        """A picture over a catalog made anew, beside the old one."""
        shutil.rmtree(self._workshop, ignore_errors=True)
        self._workshop.mkdir()
        old = self._picture.catalog
        found = explore(self._directory, () if old is None else old.readable_points())
        if old is not None:
            found.classes = old.readable_classes()
            found.marks = old.readable_marks()
        path = self._workshop / "catalog.db"
        build(path, found, self._next_file())
        catalog = CatalogReader(path)
        try:
            catalog.hold()
            yield replace(self._picture, catalog=catalog, logs=spans(self._directory, found.position)), found
        finally:
            catalog.close()

    def _install_catalog(self, picture: Picture) -> None:
        for reader in (picture.catalog, self._picture.catalog):
            if reader is not None:
                reader.close()
        known = {file.name for file in _files(self._workshop / "catalog.db")}
        for path in (self._directory / "seg").iterdir():
            if path.name not in known:
                self._put_away(path)
                self._disk.unlink(path)
        old = self._directory / "catalog.db"
        for path in (old, old.with_name("catalog.db-wal"), old.with_name("catalog.db-shm")):
            if path.exists():
                self._put_away(path)
                self._disk.unlink(path)
        self._disk.replace(self._workshop / "catalog.db", old)
        self._disk.sync_directory(self._directory)

    def _act(self, report: Report) -> None:
        if not report.findings:
            return
        rebuilt = any(finding.file == "catalog.db" for finding in report.findings)
        catalog = Catalog(self._directory / "catalog.db")
        try:
            for number, surveys in report.surveys.items():
                self._mend_segment(catalog, number, surveys)
            after, before = salvage.alone(catalog.sections())
            if before:
                catalog.commit(Edit(add_sections=after, drop_sections=before))
            for file in sorted({finding.file for finding in report.findings if finding.file.startswith("wal/")}):
                self._mend_log(self._directory / file)
            journal = self._directory / NAME
            records = salvage.merged_records(journal, catalog.points(), catalog.tombstones())
            if journal.exists():
                self._put_away(journal)
            write_journal(self._disk, self._directory, records, secrets.randbits(63))
            if rebuilt:
                newest_values(self._directory, catalog)
        finally:
            catalog.close()

    def _mend_segment(self, catalog: Catalog, number: int, surveys: Sequence[Survey]) -> None:
        (file,) = [each for each in catalog.files() if each.number == number]
        path = self._directory / "seg" / file.name
        added: SegmentFile | None = None
        kept: list[Section] = []
        if path.exists():
            self._put_away(path)
            added, kept = salvage.salvage_segment(self._disk, path.parent, file, catalog.take_file_number(), surveys)
        catalog.commit(
            Edit(
                add_files=[] if added is None else [added],
                add_sections=kept,
                drop_sections=[each.section for each in surveys],
                drop_files=[number],
            )
        )
        self._disk.unlink(path)

    def _mend_log(self, path: Path) -> None:
        frames = []
        if path.exists():
            self._put_away(path)
            frames = salvage.good_frames(path)
        salvage.write_log(self._disk, path, int(path.stem), frames)

    def _put_away(self, path: Path) -> None:
        """The damaged file stays as it is, in the quarantine."""
        self._quarantine.mkdir(parents=True, exist_ok=True)
        target = self._quarantine / path.name
        if target.exists():
            return
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)
        self._disk.sync_directory(self._quarantine)

    def _next_file(self) -> int:
        """Beyond every number that was ever used, in the quarantine too."""
        paths = [*(self._directory / "seg").iterdir(), *(self._directory / "quarantine").rglob("*.seg")]
        numbers = [int(path.stem.rsplit("-", 1)[-1]) for path in paths if path.stem.rsplit("-", 1)[-1].isdigit()]
        return max(numbers, default=0) + 1


def _losses(file: str, found: Survey, names: dict[int, str]) -> list[Loss]:
    """By point."""
    if not found.whole and not found.lost:
        section = found.section
        return [Loss(file, "", section.first_ns, section.last_ns, section.samples if section.raw else 0)]
    by_point: dict[int | None, list[Lost]] = {}
    for one in found.lost:
        by_point.setdefault(one.handle, []).append(one)
    return [
        Loss(
            file, "" if handle is None else names.get(handle, f"number {handle}"), min(one.first_ns for one in lost),
            max(one.last_ns for one in lost), sum(one.samples for one in lost),
        )
        for handle, lost in by_point.items()
    ]  # fmt: skip


def _files(path: Path) -> list[SegmentFile]:
    catalog = CatalogReader(path)
    try:
        return catalog.files()
    finally:
        catalog.close()
