"""Online backup: a consistent copy of a store that goes on working, and the logs of what comes after it.

    picture (between two commits) ─► new segments, logs, journal, catalog ─► verified ─► manifest ─► old backups pruned
    ship      archive/<n>.log ─► verified in the target ─► gone here

What was acknowledged before the call is in the backup. Segments never change, so one that the target has already is not
copied again. Copying rests as long as it works, so ingest and queries keep the disk. Design: docs/decisions/0016.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from headrace.history.catalog import CatalogReader
from headrace.history.check import Progress, Report, check, silent
from headrace.history.disk import Disk
from headrace.history.framing import Frame
from headrace.history.picture import Picture
from headrace.history.segment_file import check_footer
from headrace.history.store import EmbeddedStore
from headrace.history.vault import Manifest, StoredFile, Vault, copy_file, digest_of, timeline_name
from headrace.history.wal import walk_log
from headrace.model.errors import ConfigError, DataError, HeadraceError, Unavailable
from headrace.model.time import format_time
from headrace.sdk.clock import Clock

Answer = TypeVar("Answer")
KEEP: Final = 7
DUTY: Final = 0.5
_FOOTER_MAX: Final = 64 * 1024 * 1024


class Stopped(HeadraceError):
    """The job was given up because the platform stops, or who asked for it went away."""


@dataclass(frozen=True, slots=True)
class Backup:
    """`reused_bytes` were in the target already; `pruned` are the names of backups that made room."""

    manifest: Manifest
    reused_bytes: int
    pruned: list[str]


async def back_up(
    store: EmbeddedStore, target: Path, clock: Clock, *, keep: int = KEEP, duty: float = DUTY,
    progress: Progress = silent,
) -> Backup:  # fmt: skip
    """Raises: ConfigError, NotFound, Conflict, DataError, Unavailable; the target is then as it was, or resumable."""
    if keep < 1:
        raise ConfigError("a backup set keeps at least one backup")
    check_target(target, store.directory)
    vault = Vault(target, timeline_name(store.timeline))
    async with store.picture() as picture:
        taken_ns = clock.now_ns()
        return await in_thread(lambda stop: _take(picture, vault, taken_ns, keep, _Paced(progress, duty, stop)))


async def ship_logs(store: EmbeddedStore, target: Path) -> int:
    """Move archived logs to the target, and the journal with them; returns how many. Raises: as `back_up`."""
    check_target(target, store.directory)
    vault = Vault(target, timeline_name(store.timeline))
    return await in_thread(lambda stop: _ship(store, vault, _Paced(silent, DUTY, stop)))


async def check_store(store: EmbeddedStore, *, progress: Progress = silent, duty: float = DUTY) -> Report:
    """`check` of a store at work, as gently as a backup."""
    async with store.picture() as picture:
        return await in_thread(lambda stop: _check(picture, _Paced(progress, duty, stop)))


def _check(picture: Picture, paced: _Paced) -> Report:
    def step(what: str, done: int, total: int) -> None:
        paced.total, paced.what = total, what
        paced(done - paced.done)

    return check(picture, step)


def check_target(target: Path, directory: Path) -> None:
    """Raises: ConfigError for a target that a restore could not be read from once the directory is lost."""
    if not target.is_absolute():
        raise ConfigError(f"backup target '{target}' must be an absolute path")
    inner, outer = target.resolve(), directory.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise ConfigError(f"backup target '{target}' and the history directory lie in each other; choose another disk")


async def in_thread(work: Callable[[threading.Event], Answer]) -> Answer:
    """Run `work` in a thread of its own; where the caller is cancelled it is told to stop, and waited for."""
    stop = threading.Event()
    task = asyncio.get_running_loop().run_in_executor(None, work, stop)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        task.exception()  # nobody else will ask
        raise


class _Paced:
    """Rests between pieces so that `duty` is held, and tells how far it is."""

    def __init__(self, progress: Progress, duty: float, stop: threading.Event) -> None:
        self._progress, self._duty, self._stop = progress, duty, stop
        self._worked_from = time.perf_counter()
        self.what, self.done, self.total = "", 0, 0

    def __call__(self, size: int) -> None:
        self.done += size
        self._progress(self.what, min(self.done, self.total), self.total)
        worked_s = time.perf_counter() - self._worked_from
        if self._stop.wait(worked_s * (1 / self._duty - 1)):
            raise Stopped("given up before it was complete; the next run goes on from here")
        self._worked_from = time.perf_counter()


def _take(picture: Picture, vault: Vault, taken_ns: int, keep: int, paced: _Paced) -> Backup:
    try:
        with vault.locked():
            return _Taker(picture, vault, paced).run(taken_ns, keep)
    except OSError as error:
        raise Unavailable(f"backup to '{vault.target}' failed: {error}") from error
    except sqlite3.Error as error:
        raise Unavailable(f"backup to '{vault.target}' failed: the catalog cannot be copied: {error}") from error


class _Taker:
    def __init__(self, picture: Picture, vault: Vault, paced: _Paced) -> None:
        assert picture.catalog is not None
        self._picture, self._catalog, self._vault, self._paced = picture, picture.catalog, vault, paced
        self._files: list[StoredFile] = []
        self._copied = self._reused = 0

    def run(self, taken_ns: int, keep: int) -> Backup:
        picture, vault, paced = self._picture, self._vault, self._paced
        vault.clear_interrupted()
        before = vault.manifests()
        segments = self._catalog.files()
        known = {file.path: file for manifest in before for file in manifest.files}
        paced.total = (
            sum(file.bytes for file in segments) + picture.journal_bytes + sum(log.bytes for log in picture.logs)
        )
        self._check_room(known)
        sequence = vault.next_sequence()
        name = f"{sequence:06d}-{format_time(taken_ns)[:19].replace('-', '').replace(':', '')}Z"
        for file in segments:
            self._segment(file.name, file.bytes, known)
        for log in picture.logs:
            self._copy(log.path, f"{name}/wal/{log.path.name}", log.bytes)
        self._copy(picture.journal, f"{name}/journal.log", picture.journal_bytes)
        self._copy_catalog(name)
        manifest = self._manifest(name, sequence, taken_ns)
        vault.publish(manifest)
        return Backup(manifest, self._reused, vault.prune(keep))

    def _check_room(self, known: dict[str, StoredFile]) -> None:
        needed = self._paced.total - sum(
            file.bytes for file in self._catalog.files() if f"seg/{file.name}" in known
        )  # fmt: skip
        free = Disk().free_bytes(self._vault.target)
        if needed > free:
            raise Unavailable(
                f"backup target '{self._vault.target}' has {free >> 20} MiB free, and {needed >> 20} MiB are needed; "
                "make room there, or keep fewer backups"
            )

    def _segment(self, name: str, size: int, known: dict[str, StoredFile]) -> None:
        path, source = f"seg/{name}", self._picture.segments / name
        target = self._vault.folder / path
        if target.exists() and target.stat().st_size == size and _tail(target) == _tail(source):
            held = known.get(path)
            digest = held.digest if held is not None else digest_of(target, pace=self._paced)
            if held is not None:
                self._paced(size)
            self._files.append(StoredFile(path, size, digest))
            self._reused += size
            return
        check_footer(_tail(source), str(source))
        self._copy(source, path, size)

    def _copy(self, source: Path, path: str, size: int) -> None:
        self._paced.what = source.name
        stored = copy_file(source, self._vault.folder / path, size=size, pace=self._paced)
        self._files.append(replace(stored, path=path))
        self._copied += stored.bytes

    def _copy_catalog(self, name: str) -> None:
        path = self._vault.folder / name / "catalog.db"
        partial = path.with_name("catalog.part")
        self._catalog.copy_to(partial)
        copied = CatalogReader(partial, immutable=True)
        try:
            damage = copied.damage()
        finally:
            copied.close()
        if damage:
            raise DataError(f"the catalog to back up is damaged ({damage[0]}); run `headrace history check`")
        stored = copy_file(partial, path)
        partial.unlink()
        self._files.append(replace(stored, path=f"{name}/catalog.db"))
        self._copied += stored.bytes

    def _manifest(self, name: str, sequence: int, taken_ns: int) -> Manifest:
        picture, sections = self._picture, [section for section in self._catalog.sections() if section.raw]
        samples = sum(section.samples for section in sections)
        for log in picture.logs:
            path = self._vault.folder / name / "wal" / log.path.name
            samples += sum(part.count for part in walk_log(path) if isinstance(part, Frame))
        newest = picture.logs[-1]
        return Manifest(
            timeline=self._vault.timeline,
            sequence=sequence,
            name=name,
            taken_ns=taken_ns,
            committed_ns=picture.committed_ns,
            log=newest.number,
            log_bytes=newest.bytes,
            tombstone=self._catalog.next_tombstone(),
            points=len(self._catalog.points()),
            samples=samples,
            oldest_ns=min((section.first_ns for section in sections), default=None),
            newest_ns=max((section.last_ns for section in sections), default=None),
            copied_bytes=self._copied,
            files=self._files,
        )


def _ship(store: EmbeddedStore, vault: Vault, paced: _Paced) -> int:
    archive, shipped = store.archive, 0
    try:
        with vault.locked():
            for number in archive.numbers():
                source = archive.path(number)
                try:
                    size = source.stat().st_size
                    target = vault.archive_path(number, size)
                    if not target.exists():
                        paced.total += size
                        copy_file(source, target, pace=paced)
                except FileNotFoundError:
                    continue  # the archive is bounded, and this one had to go
                archive.forget(number)
                shipped += 1
            # After the logs: whatever was deleted between them is told by the journal.
            size = store.journal_bytes
            held = vault.archived_journal
            if not held.exists() or held.stat().st_size != size:
                copy_file(store.directory / "journal.log", held, size=size, pace=paced)
    except OSError as error:
        raise Unavailable(f"history logs cannot be moved to '{vault.target}': {error}") from error
    return shipped


def _tail(path: Path) -> bytes:
    """The end of a file, where a segment has its footer; two segments with the same one are the same."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 16))
        length = min(int.from_bytes(file.read(4), "little") + 16, size, _FOOTER_MAX)
        file.seek(size - length)
        return file.read()


def summary(backup: Backup) -> dict[str, Any]:
    """For people and programs."""
    manifest = backup.manifest
    return {
        "name": manifest.name,
        "timeline": manifest.timeline,
        "taken_at": format_time(manifest.taken_ns),
        "points": manifest.points,
        "samples": manifest.samples,
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "copied_bytes": manifest.copied_bytes,
        "reused_bytes": backup.reused_bytes,
        "pruned": backup.pruned,
    }
