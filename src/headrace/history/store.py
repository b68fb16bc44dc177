"""The embedded historian: a chunk store in NumPy and zstandard with a SQLite catalog. Owns one directory.

    append ─► Committer ─► wal/<n>.log (fdatasync) ─► memtable, last values ─► acknowledged
                                 │ frozen
                                 ▼
              Keeper: flush ─► seg/<hour>-<n>.seg ─► one catalog transaction ─► log deleted
                      compaction, retention, low water        (same rule)

    latest ─► last values       raw, scan ─► Reader       downsample ─► roll-ups, Reader only where they cannot answer

The design and its reasons: docs/decisions/0005-the-historian.md; the bytes: 0006-the-segment-file.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np

from headrace.history.archive import LogArchive
from headrace.history.buckets import grid_of
from headrace.history.catalog import CatalogReader, Edit, Tombstone
from headrace.history.classes import Classes
from headrace.history.committer import Committer
from headrace.history.disk import Disk
from headrace.history.downsample import Downsampler
from headrace.history.keeper import Keeper
from headrace.history.latest import LastValues
from headrace.history.lock import DirectoryLock
from headrace.history.marks import Marks, check_marks
from headrace.history.picture import Picture, spans
from headrace.history.reader import EARLIEST_NS, LATEST_NS, Reader
from headrace.history.recovery import Recovered, recover
from headrace.history.segment import SegmentStore
from headrace.history.settings import HistorySettings
from headrace.history.space import DiskSpace
from headrace.history.view import View, Views
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.model.retention import Retention
from headrace.sdk.clock import Clock
from headrace.sdk.intake import NO_MARKS, Mark
from headrace.sdk.store import Aggregate, Buckets, Interpolation, Page, StoreStats

Answer = TypeVar("Answer")
APPEND_SAMPLES_MAX: Final = 4_000_000
APPEND_TEXT_MAX: Final = 128 * 1024 * 1024


class EmbeddedStore:
    """A `HistoryStore`; made by `open_store`."""

    def __init__(
        self,
        directory: Path,
        settings: HistorySettings,
        clock: Clock,
        disk: Disk,
        lock: DirectoryLock,
        recovered: Recovered,
        archive: LogArchive,
    ) -> None:
        self._directory, self._settings, self._lock = directory, settings, lock
        self._catalog, self._journal, self.archive = recovered.catalog, recovered.journal, archive
        self._latest: LastValues = recovered.latest
        self._paths = dict(recovered.catalog.points())
        self._handles = {path: handle for handle, path in self._paths.items()}
        self._registering = asyncio.Lock()
        self._closed = False
        self._segments = SegmentStore(directory / "seg", disk, settings)
        self._reader = Reader(self._segments)
        self._downsampler = Downsampler(self._reader, self._segments)
        self._views = Views(recovered.view, archive.discard)
        self._classes = Classes(self._catalog, settings)
        self._space = DiskSpace(directory, disk, settings, clock, self._views)
        self._space.set_points(len(self._paths))
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "history-decode")
        self._committer = Committer(
            directory / "wal", disk, settings, clock, self._views, self._latest, recovered.log, self._frozen,
            self._space, recovered.marks,
        )  # fmt: skip
        self._committer.committed_ns = recovered.committed_ns
        self._keeper = Keeper(
            directory, settings, clock, self._catalog, self._views, self._latest, self._segments, self._reader,
            self._committer, self._classes, self._space,
        )  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._keeper.start()

    # --- writing --------------------------------------------------------------------------------------------------

    async def register(self, paths: Sequence[str]) -> Handles:
        self._check_open()
        async with self._registering:
            new = list(dict.fromkeys(path for path in paths if path not in self._handles))
            if new:
                added = list(enumerate(new, len(self._paths)))
                now_ns = await self._committer.call(self._committer.stamp)
                await asyncio.to_thread(self._record_points, added, now_ns)
                self._paths.update(added)
                self._handles.update((path, handle) for handle, path in added)
                self._space.set_points(len(self._paths))
        return np.array([self._handles[path] for path in paths], np.uint32)

    def _record_points(self, added: Sequence[tuple[int, str]], now_ns: int) -> None:
        with self._journal.registering(added, now_ns):
            self._catalog.add_points(added)

    async def retain(self, classes: Mapping[str, Retention], members: Mapping[str, Handles]) -> None:
        self._check_open()
        for handles in members.values():
            self._check_handles(handles)
        await asyncio.to_thread(self._classes.assign, classes, members)
        self._keeper.wake()

    def paths(self) -> Mapping[int, str]:
        return MappingProxyType(self._paths)

    async def append(self, batches: Sequence[Batch], marks: Marks = NO_MARKS) -> None:
        self._check_open()
        filled = [batch for batch in batches if len(batch)]
        for batch in filled:
            self._check_handles(batch.handles)
        _check_size(filled)
        check_marks(marks)
        if filled or marks:
            await self._keeper.room()
            self._check_open()
            await self._committer.append(filled, marks)

    def marks(self) -> Mapping[str, Mark]:
        return self._committer.marks.held

    async def delete(self, handles: Handles, start_ns: int, end_ns: int) -> None:
        self._check_open()
        handles = np.unique(np.asarray(handles, np.uint32))
        self._check_handles(handles)
        if len(handles) and start_ns < end_ns:
            await self._committer.run(lambda: self._delete(handles, start_ns, end_ns))
            self._keeper.wake()

    def _delete(self, handles: Handles, start_ns: int, end_ns: int) -> None:
        """On the commit thread: what is in memory is frozen, so that generations tell before from after."""
        active = self._views.current.memtables[-1]
        if active.samples:
            self._committer.freeze()
            generation = active.generation
        else:
            generation = active.generation - 1
        start_ns, end_ns = max(start_ns, EARLIEST_NS), min(end_ns, LATEST_NS)
        stone = Tombstone(self._catalog.next_tombstone(), generation, start_ns, end_ns, handles)
        with self._journal.deleting(stone, self._committer.stamp()):
            self._apply(stone)

    def _apply(self, stone: Tombstone) -> None:
        stale = self._latest.newest_within(stone.handles, stone.start_ns, stone.end_ns)
        former = self._latest.get(stale)
        with self._views.reading() as view:
            after = replace(view, tombstones=(*view.tombstones, stone))
            newest = self._reader.latest_at(after, stale, LATEST_NS) if len(stale) else []
        self._latest.replace(stale, newest)
        shards = self._latest.take_dirty()
        try:
            self._catalog.commit(Edit(add_tombstone=stone, latest=shards))
        except BaseException:
            self._latest.replace(stale, former)
            self._latest.mark_dirty(list(shards))
            raise
        self._views.change(lambda view: replace(view, tombstones=(*view.tombstones, stone)))

    async def finish_deletion(self, stone: Tombstone) -> None:
        """One that a crash let into the journal, and not yet into the catalog."""
        await self._committer.run(lambda: self._apply(stone))

    # --- reading --------------------------------------------------------------------------------------------------

    async def latest(self, handles: Handles, at_ns: int | None = None) -> Sequence[Batch]:
        self._check_open()
        handles = np.unique(np.asarray(handles, np.uint32))
        if at_ns is None:
            return self._latest.get(handles)
        return await self._read(lambda view: self._reader.latest_at(view, handles, at_ns))

    async def raw(
        self, handles: Handles, start_ns: int, end_ns: int, *, limit: int = 100_000, cursor: str | None = None
    ) -> Page:
        self._check_open()
        return await self._read(lambda view: self._reader.raw(view, handles, start_ns, end_ns, limit, cursor))

    async def downsample(
        self,
        handles: Handles,
        start_ns: int,
        end_ns: int,
        *,
        width_ns: int | None = None,
        count: int | None = None,
        aggregates: Sequence[Aggregate] = (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN),
        interpolation: Interpolation = Interpolation.NONE,
        good_only: bool = True,
    ) -> Buckets:
        self._check_open()
        asked = np.asarray(handles, np.uint32)
        grid = grid_of(len(asked), start_ns, end_ns, width_ns, count)
        return await self._read(
            lambda view: self._downsampler.run(view, asked, grid, aggregates, interpolation, good_only)
        )

    async def scan(
        self, handles: Handles | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> AsyncIterator[Batch]:
        start = EARLIEST_NS if start_ns is None else start_ns
        end = LATEST_NS if end_ns is None else end_ns
        chosen = None if handles is None else np.unique(np.asarray(handles, np.uint32))
        for hour in self._views.current.hours(start, end):
            for part in self._slices(hour, chosen):
                self._check_open()
                # Each step reads a view of its own, so a slow consumer pins no file; steps never overlap.
                for batch in await self._read(lambda view, h=hour, p=part: self._reader.hour(view, h, p, start, end)):  # type: ignore[misc]
                    yield batch

    def _slices(self, hour: int, handles: Handles | None) -> list[Handles]:
        """Points of an hour in groups that decode to about `slice_samples`."""
        view = self._views.current
        samples = sum(section.samples for section in view.sections.get(hour, ()) if section.raw)
        samples += sum(memtable.samples for memtable in view.memtables if hour in memtable.hours)
        every = np.arange(len(self._paths), dtype=np.uint32) if handles is None else handles
        return np.array_split(every, min(max(1, -(-samples // self._settings.slice_samples)), max(len(every), 1)))

    # --- keeping --------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Put everything that is in memory into segments; for tests and before a back-up."""
        self._check_open()
        await self._committer.run(self._freeze_if_filled)
        await self._keeper.settle()

    async def compact(self) -> None:
        """Merge every hour that has more than one segment or a pending deletion, closed or not."""
        self._check_open()
        await self._keeper.settle(compact=True)

    @asynccontextmanager
    async def picture(self) -> AsyncIterator[Picture]:
        """The store as a crash at this moment would leave it; its files stay as long as the block."""
        self._check_open()
        catalog = await asyncio.to_thread(CatalogReader, self._directory / "catalog.db")
        try:
            with self._views.reading():
                yield await self._committer.call(lambda: self._take_picture(catalog))
        finally:
            catalog.close()

    def _take_picture(self, catalog: CatalogReader) -> Picture:
        """On the commit thread: the journal is never behind the catalog, and the log holds what was acknowledged."""
        catalog.hold()
        return Picture(
            self._directory, catalog, spans(self._directory, catalog.position, self._committer.log_end),
            self._journal.path, self._journal.written, self._committer.committed_ns,
        )  # fmt: skip

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def journal_bytes(self) -> int:
        """How much of the journal is settled."""
        return self._journal.size

    @property
    def timeline(self) -> int:
        """Which life of which store this is; a restored or repaired store begins another."""
        return self._journal.timeline

    async def stats(self) -> StoreStats:
        view = self._views.current
        sections = [section for held in view.sections.values() for section in held]
        waiting = [memtable for memtable in view.memtables if memtable.samples]
        sections += view.summaries
        oldest = [s.first_ns for s in sections] + [m.oldest_ns for m in waiting if m.oldest_ns is not None]
        newest = [s.last_ns for s in sections] + [m.newest_ns for m in waiting if m.newest_ns is not None]
        logs = sum(path.stat().st_size for path in (self._directory / "wal").iterdir())
        return StoreStats(
            points=len(self._paths),
            samples=sum(s.samples for s in sections if s.raw) + sum(m.samples for m in waiting),
            appended=self._committer.appended,
            disk_bytes=sum(file.bytes for file in view.files.values()) + logs,
            memory_bytes=sum(m.memory_bytes for m in waiting) + self._segments.cache_bytes,
            segments=len(view.files),
            oldest_ns=min(oldest, default=None),
            newest_ns=max(newest, default=None),
            extra={
                "commits": self._committer.commits,
                "durable_lag_ms": self._committer.lag_ms(),
                "log_bytes": logs,
                "disk_low": float(self._space.refusing),
                "tombstones": len(view.tombstones),
                **self._keeper.counters,
            },
            disk=self._space.outlook(),
        )

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._committer.drained()
        await self._keeper.close()
        await self._committer.close()
        await asyncio.to_thread(self._decoders.shutdown)
        self._views.sweep()
        await asyncio.to_thread(self.archive.trash.close)
        self._journal.close()
        self._catalog.close()
        self._lock.release()

    def _freeze_if_filled(self) -> None:
        if self._views.current.memtables[-1].samples:
            self._committer.freeze()

    def _frozen(self) -> None:
        self._loop.call_soon_threadsafe(self._keeper.wake)

    async def _read(self, question: Callable[[View], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, self._ask, question)

    def _ask(self, question: Callable[[View], Answer]) -> Answer:
        with self._views.reading() as view:
            return question(view)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the historian is closed; open it again")

    def _check_handles(self, handles: Handles) -> None:
        if len(handles) and int(handles.max()) >= len(self._paths):
            raise DataError(f"point number {int(handles.max())} is not registered; register its path first")


def _check_size(batches: Sequence[Batch]) -> None:
    """One call is one frame of the log, which is written and read back as a whole."""
    samples = sum(map(len, batches))
    text = sum(int(np.strings.str_len(b.values).sum()) for b in batches if b.kind is ValueKind.TEXT)
    if samples > APPEND_SAMPLES_MAX or text > APPEND_TEXT_MAX:
        raise LimitReached(
            f"{samples} samples with {text} characters of text in one call; append at most {APPEND_SAMPLES_MAX} "
            f"and {APPEND_TEXT_MAX}"
        )


async def open_store(
    directory: Path | str, settings: HistorySettings, clock: Clock, *, disk: Disk | None = None
) -> EmbeddedStore:
    """Open or make the historian in `directory`.

    Raises: Unavailable where another process owns it; DataError where a file is damaged, by name.
    """
    path, disk = Path(directory), disk or Disk()
    archive = LogArchive(path, disk, settings)

    def prepare() -> tuple[DirectoryLock, Recovered]:
        for folder in (path, path / "wal", path / "seg"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = DirectoryLock(path)
        try:
            return lock, recover(path, disk, clock, archive)
        except BaseException:
            lock.release()
            raise

    lock, recovered = await asyncio.to_thread(prepare)
    store = EmbeddedStore(path, settings, clock, disk, lock, recovered, archive)
    for stone in recovered.deletions:
        await store.finish_deletion(stone)
    return store
