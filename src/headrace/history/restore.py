"""From a backup target back to a store, as it was at a moment.

    newest backup before the moment ─► files, every hash checked ─► opened like after a crash
        ─► archived logs and deletions in the order of their commits, up to the moment ─► a new timeline

It is made beside the directory and takes its name at the end, so a restore that is broken off leaves nothing that could
be mistaken for a store. Without a moment everything that the target holds comes back.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.history import vault as vaults_of
from headrace.history.check import Progress, silent
from headrace.history.disk import Disk
from headrace.history.journal import Deletion, Registration, walk_journal, write_journal
from headrace.history.settings import HistorySettings
from headrace.history.store import EmbeddedStore, open_store
from headrace.history.vault import Manifest, Vault, copy_file
from headrace.history.wal import LogReader
from headrace.model.batch import Batch
from headrace.model.errors import Conflict, DataError, NotFound, Unavailable
from headrace.model.time import format_time
from headrace.sdk.clock import Clock
from headrace.sdk.intake import Mark
from headrace.sdk.store import StoreStats

_GROUP_SAMPLES: Final = 500_000
_FOREVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Restored:
    """What is there now. `committed_ns` is the commit time of the newest thing in it; `notes` say what is not."""

    backup: str
    committed_ns: int
    replayed_logs: int
    replayed_samples: int
    stats: StoreStats
    notes: list[str] = field(default_factory=list)


async def restore(
    target: Path, directory: Path, clock: Clock, *, at_ns: int | None = None, name: str | None = None,
    timeline: str | None = None, progress: Progress = silent,
) -> Restored:  # fmt: skip
    """`name` restores exactly that backup. Raises: NotFound, Conflict, Unavailable; DataError naming a damaged file."""
    await asyncio.to_thread(_check_empty, directory)
    vault, manifest = await asyncio.to_thread(choose, target, at_ns, name, timeline)
    workshop = directory.with_name(directory.name + ".restoring")
    try:
        await asyncio.to_thread(_lay_out, vault, manifest, workshop, progress)
        store = await open_store(workshop, HistorySettings(), clock)
        try:
            replay = _Replay(store, vault, manifest, _FOREVER if at_ns is None else at_ns, progress)
            if name is None:
                await replay.run()
            await store.flush()
            stats = await store.stats()
        finally:
            await store.close()
        await asyncio.to_thread(_put_in_place, workshop, directory)
    except OSError as error:
        raise Unavailable(f"restore into '{directory}' failed: {error}") from error
    return Restored(manifest.name, replay.reached_ns, replay.logs, replay.samples, stats, replay.notes)


def _check_empty(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Conflict(f"'{directory}' is not empty; a restore goes into a new folder, so move this one away first")


def choose(
    target: Path, at_ns: int | None, name: str | None = None, timeline: str | None = None
) -> tuple[Vault, Manifest]:
    """The newest backup, or the newest of before the moment; of all timelines, or of one. Raises: NotFound."""
    everything = [vault for vault in vaults_of.vaults(target) if timeline in (None, vault.timeline)]
    found = [(manifest, vault) for vault in everything for manifest in vault.manifests()]
    damaged = "".join(f"; {why}" for vault in everything for why in vault.damaged())
    if name is not None:
        found = [(manifest, vault) for manifest, vault in found if manifest.name == name]
    if at_ns is not None:
        found = [(manifest, vault) for manifest, vault in found if manifest.committed_ns <= at_ns]
    if not found:
        which = f"named '{name}'" if name else f"from before {format_time(at_ns)}" if at_ns is not None else "at all"
        raise NotFound(f"'{target}' holds no complete backup {which}; see `headrace history backups {target}`{damaged}")
    manifest, vault = max(found, key=lambda each: (each[0].taken_ns, each[0].sequence))
    return vault, manifest


def _lay_out(vault: Vault, manifest: Manifest, workshop: Path, progress: Progress) -> None:
    """The files of a backup as a history directory of its own timeline."""
    if workshop.exists():
        shutil.rmtree(workshop)  # of a restore that was broken off
    done, total = 0, manifest.bytes
    for folder in (workshop, workshop / "seg", workshop / "wal"):
        folder.mkdir()
    for file in manifest.files:
        source = vault.folder / file.path
        inside = file.path.removeprefix(f"{manifest.name}/")
        if not source.exists():
            raise DataError(f"backup file {source} is missing; use another backup")
        if source.stat().st_size != file.bytes:
            raise DataError(f"backup file {source} has {source.stat().st_size} bytes where {file.bytes} were written")
        stored = copy_file(source, workshop / inside)
        if stored.digest != file.digest:
            raise DataError(f"backup file {source} is damaged; use another backup")
        done += file.bytes
        progress(source.name, done, total)
    records = [
        record for record in walk_journal(workshop / "journal.log") if isinstance(record, (Registration, Deletion))
    ]
    write_journal(Disk(), workshop, records, secrets.randbits(63))


def _put_in_place(workshop: Path, directory: Path) -> None:
    if directory.exists():
        directory.rmdir()
    workshop.rename(directory)
    vaults_of.sync_folder(directory.parent)


class _Replay:
    """What was committed after the backup, up to a moment, through the same calls that committed it first."""

    def __init__(self, store: EmbeddedStore, vault: Vault, manifest: Manifest, at_ns: int, progress: Progress) -> None:
        self._store, self._manifest, self._at_ns, self._progress = store, manifest, at_ns, progress
        self._vault = vault
        self.reached_ns = manifest.committed_ns
        self.logs = self.samples = 0
        self.notes: list[str] = []
        self._names: dict[int, tuple[str, int]] = {}
        self._deletions: list[Deletion] = []
        self._waiting: list[Batch] = []
        self._marks: dict[str, Mark] = {}

    async def run(self) -> None:
        self._read_journal()
        archived = self._vault.archived()
        number, last = self._manifest.log, max(archived, default=0)
        total = sum(path.stat().st_size for each, path in archived.items() if each >= number)
        done, going = 0, True
        while going and number in archived:
            going = await self._delete_before(number)
            vaults_of.check_archived(archived[number])
            begin = self._manifest.log_bytes if number == self._manifest.log else 0
            if going:
                going = await self._replay(LogReader(archived[number], number, last=False), begin)
                self.logs += 1
            done += archived[number].stat().st_size
            self._progress(archived[number].name, done, total)
            number += 1
        if going:
            await self._delete_before(number)
        if going and number < last:
            self.notes.append(
                f"the archive lacks log {number}, and logs up to {last} follow it: what was committed after "
                f"{format_time(self.reached_ns)} is not restored"
            )
        await self._name({handle: name for handle, (name, time_ns) in self._names.items() if time_ns <= self._at_ns})

    def _read_journal(self) -> None:
        path = self._vault.archived_journal
        if not path.exists():
            return
        for record in walk_journal(path):
            if isinstance(record, Registration):
                self._names.update({handle: (name, record.time_ns) for handle, name in record.points})
            elif isinstance(record, Deletion):
                if record.tombstone.id >= self._manifest.tombstone:
                    self._deletions.append(record)
            else:
                raise DataError(
                    f"archived journal {path} is damaged at byte {record.offset}; use `--backup` without it"
                )

    async def _replay(self, log: LogReader, begin: int) -> bool:
        """Whether to go on: the moment was not reached in this log."""
        commits = log.commits(begin)
        while (commit := await asyncio.to_thread(next, commits, None)) is not None:
            if not self._in_time(commit.committed_ns):
                await self._store_waiting()
                return False
            self._waiting += commit.batches
            self._marks.update(commit.marks)
            if sum(map(len, self._waiting)) >= _GROUP_SAMPLES:
                await self._store_waiting()
        await self._store_waiting()
        return True

    async def _store_waiting(self) -> None:
        batches, self._waiting = self._waiting, []
        marks, self._marks = self._marks, {}
        if not batches:
            if marks:
                await self._store.append([], marks)
            return
        await self._name_up_to(max(int(batch.handles.max()) for batch in batches))
        for part in _parts(batches):
            await self._store.append(part)
        if marks:
            await self._store.append([], marks)
        self.samples += sum(map(len, batches))

    async def _delete_before(self, number: int) -> bool:
        """Deletions that came before the first commit of log `number`."""
        while self._deletions and self._deletions[0].tombstone.generation < number:
            record = self._deletions.pop(0)
            if not self._in_time(record.time_ns):
                return False
            stone = record.tombstone
            await self._name_up_to(int(stone.handles.max()))
            await self._store.delete(stone.handles, stone.start_ns, stone.end_ns)
        return True

    def _in_time(self, time_ns: int) -> bool:
        """Commits are in order, so a clock that was set back cannot take one out of its place."""
        time_ns = max(time_ns, self.reached_ns)
        if time_ns > self._at_ns:
            return False
        self.reached_ns = time_ns
        return True

    async def _name_up_to(self, handle: int) -> None:
        await self._name({each: name for each, (name, _) in self._names.items() if each <= handle})

    async def _name(self, names: dict[int, str]) -> None:
        known = len(self._store.paths())
        new = sorted(handle for handle in names if handle >= known)
        if new != list(range(known, known + len(new))):
            raise DataError(
                "the archived journal lacks the names of some points; name a backup, which needs no archive"
            )
        if new:
            await self._store.register([names[handle] for handle in new])


def _parts(batches: list[Batch]) -> Iterator[list[Batch]]:
    """Groups that one append takes."""
    group: list[Batch] = []
    samples = 0
    for batch in batches:
        if group and samples + len(batch) > 4 * _GROUP_SAMPLES:
            yield group
            group, samples = [], 0
        group.append(batch)
        samples += len(batch)
    yield group
