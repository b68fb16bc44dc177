"""Segment files: immutable, self-checking, written whole or not at all.

The bytes: docs/decisions/0006-the-segment-file.md.

    header · section … · footer · trailer
    section   chunks by (kind, point) · index of chunks · roll-ups         one hour of samples

Written to a temporary name, synced, renamed, and the directory synced; only then may the catalog name it.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history import rollups
from headrace.history.catalog import Section, SegmentFile
from headrace.history.chunk_reader import decode
from headrace.history.chunks import INDEX_COLUMNS, RANKED, ChunkTable, chunk_starts, encode
from headrace.history.columns import sort_unique
from headrace.history.disk import Disk
from headrace.history.moments import NONE, Stamps
from headrace.history.section_index import encode_index
from headrace.history.segment_file import HEADER, SegmentFileReader, footer_bytes, footer_entry, trailer
from headrace.history.settings import HistorySettings
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, TimesNs, ValueKind
from headrace.model.errors import DataError, HeadraceError, Unavailable

_LEVEL: Final = 3  # of columns; the short frames of chunks come out smaller and cheaper at 1
_UNSYNCED_MAX: Final = 2 * 1024 * 1024
_TEXT_SAMPLES_MAX: Final = 1024  # a chunk is decoded as a whole, and a text may have 64 KiB


class SegmentWriter:
    """Fills one file, section by section. `finish` gives what the catalog is to know; `abandon` leaves nothing."""

    def __init__(self, disk: Disk, directory: Path, number: int, first_hour: int, chunk_samples: int) -> None:
        self._disk, self._directory, self._chunk_samples = disk, directory, chunk_samples
        self.number, self.name = number, f"{first_hour}-{number}.seg"
        self._temporary = directory / f"{number}.tmp"
        self._disk.unlink(self._temporary)
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        self._frames_zstd = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
        self._descriptor = disk.open(self._temporary, create=True)
        self._position = self._synced = 0
        self.sections: list[Section] = []
        self._begun: Section | None = None
        self._tables: list[ChunkTable] = []
        self._rollups: dict[ValueKind, rollups.KindTable] = {}
        self._moments = NONE
        self._write(HEADER)

    def begin(self, hour: int, generation: int, applied: int, moments: TimesNs = NONE, retention: int = 0) -> None:
        """`moments` are those that the section's samples may share; `retention` is the number of its class."""
        at = self._position
        self._begun = Section(self.number, hour, generation, applied, True, 0, 0, 0, at, 0, 0, 0, 0, retention)
        self._tables, self._rollups, self._moments = [], {}, moments

    def add(
        self, batch: Batch, stamps: Stamps | None = None, *, edge_ns: int | None = None, summarised: bool = False
    ) -> None:
        """Samples of the section's hour, by (point, time), one each. No other call has the same moment of a point.

        `stamps`, where the caller knows them, are the places of the samples in the section's moments. A chunk ends at
        `edge_ns`. Samples that are `summarised` have their roll-ups from elsewhere.
        """
        stamps = stamps or Stamps.of(batch, self._moments)
        starts = chunk_starts(batch, self._chunk_samples_of(batch.kind), edge_ns)
        encoded = encode(batch, starts, self._frames_zstd, stamps)
        self.copy_chunks(encoded.table, encoded.frames)
        if not summarised:
            self.add_rollups(batch.kind, rollups.summarise(batch, encoded))

    def copy_chunks(self, table: ChunkTable, frames: Sequence[bytes | memoryview]) -> None:
        """Encoded chunks of the section's hour; their offsets are theirs in this file from now on."""
        assert self._begun is not None
        lengths = table["length"].astype(np.uint64)
        offset = self._position - self._begun.position
        self._tables.append({**table, "offset": offset + np.cumsum(lengths) - lengths})
        self._write(b"".join(frames))

    def add_rollups(self, kind: ValueKind, columns: dict[str, NDArray[np.int64]]) -> None:
        """Runs and rows of points that the section has samples of."""
        self._rollups.setdefault(kind, rollups.KindTable()).add(columns)

    def drop_rollups(self, handles: Handles) -> None:
        """Those of some points, which will be told otherwise."""
        for table in self._rollups.values():
            table.drop(handles)

    def _chunk_samples_of(self, kind: ValueKind) -> int:
        return min(self._chunk_samples, _TEXT_SAMPLES_MAX) if kind is ValueKind.TEXT else self._chunk_samples

    def end(self) -> None:
        """The section's index and roll-ups; a section without samples leaves no trace."""
        begun, self._begun = self._begun, None
        if begun is None or not self._tables:
            return
        table = {name: np.concatenate([part[name] for part in self._tables]) for name in INDEX_COLUMNS}
        order = np.lexsort((table["first_ns"], table["kind"], table["handle"]))
        columns = b"".join(table[name][order].tobytes() for name in INDEX_COLUMNS)
        ranked = bool((table["time_unit"] == RANKED).any() or (table["delay_unit"] == RANKED).any())
        index = encode_index(len(order), columns, self._moments if ranked else NONE, self._zstd)
        index_at, rollup_at = self._position - begun.position, self._position - begun.position + len(index)
        block = rollups.encode_block(self._rollups, self._zstd)
        self._write(index + block)
        self.sections.append(
            replace(
                begun,
                samples=int(table["count"].sum(dtype=np.int64)),
                first_ns=int(table["first_ns"].min()),
                last_ns=int(table["last_ns"].max()),
                index_offset=index_at,
                index_length=len(index),
                rollup_offset=rollup_at,
                rollup_length=len(block),
            )
        )

    def copy(self, section: Section, data: bytes) -> None:
        """A section as it is in another file; `data` from its position to its end."""
        self.sections.append(replace(section, file=self.number, position=self._position))
        self._write(data)

    def copy_rollups(self, section: Section, data: bytes) -> None:
        """Only the roll-ups of a section."""
        self.sections.append(
            replace(
                section, file=self.number, position=self._position, raw=False, index_offset=0, index_length=0,
                rollup_offset=0,
            )
        )  # fmt: skip
        self._write(data)

    def put(self, data: bytes) -> None:
        """A part of a section that others encode; `put_section` names it."""
        self._write(data)

    def put_section(self, section: Section) -> None:
        self.sections.append(replace(section, file=self.number))

    @property
    def position(self) -> int:
        return self._position

    def finish(self) -> SegmentFile:
        """Durable under its final name on return. Raises: OSError."""
        footer = b"".join(footer_bytes(section) for section in self.sections)
        self._write(footer + trailer(footer))
        self._disk.datasync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._disk.replace(self._temporary, self._directory / self.name)
        self._disk.sync_directory(self._directory)
        return SegmentFile(self.number, self.name, self._position)

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._disk.unlink(self._temporary)

    def _write(self, data: bytes) -> None:
        self._disk.write(self._descriptor, data)
        self._position += len(data)
        # A file system may let the log's sync wait for what other files have not written yet: never much.
        if self._position - self._synced >= _UNSYNCED_MAX:
            self._disk.datasync(self._descriptor)
            self._synced = self._position


class SegmentStore:
    """Reads segments, and keeps decoded indexes and roll-up columns up to `cache_bytes`."""

    def __init__(self, directory: Path, disk: Disk, settings: HistorySettings) -> None:
        self.directory, self._disk, self._settings = directory, disk, settings
        self._lock = Lock()
        self._cache: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self.cache_bytes = 0
        self._checked: set[int] = set()

    @property
    def slice_samples(self) -> int:
        """How many samples are worked on at a time."""
        return self._settings.slice_samples

    def writer(self, number: int, first_hour: int) -> SegmentWriter:
        return SegmentWriter(self._disk, self.directory, number, first_hour, self._settings.chunk_samples)

    def forget(self, files: Sequence[int]) -> None:
        """Files that are gone need no memory."""
        gone = set(files)
        with self._lock:
            for key in [key for key in self._cache if key[0] in gone]:
                self.cache_bytes -= self._cache.pop(key)[1]
            self._checked -= gone

    def read(
        self,
        view: View,
        section: Section,
        handles: Handles | None,
        start_ns: int,
        end_ns: int,
        *,
        received: bool = True,
    ) -> list[Batch]:
        """Samples of `[start_ns, end_ns)`, one batch a kind, by (point, time). Raises: DataError naming the file.

        Without `received` their receive times are not decoded: source times stand in their place.
        """
        with _Named(self, view, section) as file:
            rows = _of_points(self._index(file, section), handles)
            inside = (rows["last_ns"] >= start_ns) & (rows["first_ns"] < end_ns)
            if not inside.all():
                rows = {name: column[inside] for name, column in rows.items()}
            if not len(rows["handle"]):
                return []
            batches = []
            overlapping = _overlapping(rows)
            cut = int(rows["first_ns"].min()) < start_ns or int(rows["last_ns"].max()) >= end_ns
            for batch in self._decoded(file, section, rows, received=received):
                if overlapping:
                    batch = sort_unique(batch)
                if cut:
                    batch = batch.take((batch.source_ns >= start_ns) & (batch.source_ns < end_ns))
                if len(batch):
                    batches.append(batch)
            return batches

    def _decoded(self, file: SegmentFileReader, section: Section, rows: ChunkTable, *, received: bool) -> list[Batch]:
        """One batch a kind, in the order of the rows."""
        ranked = bool((rows["time_unit"] == RANKED).any() or (rows["delay_unit"] == RANKED).any())
        moments = self._moments(file, section) if ranked else NONE
        frames = file.frames(section, rows["offset"].tolist(), rows["length"].tolist())
        batches = []
        for number in sorted(set(rows["kind"].tolist())):
            chosen, of_kind = rows, frames
            if not (mine := rows["kind"] == number).all():
                chosen = {name: column[mine] for name, column in rows.items()}
                of_kind = [frames[at] for at in np.flatnonzero(mine).tolist()]
            batches.append(decode(ValueKind(number), chosen, of_kind, moments, received=received))
        return batches

    def handles(self, view: View, section: Section) -> tuple[Handles, NDArray[np.int64]]:
        """Points of a section and how many samples each has."""
        with _Named(self, view, section) as file:
            index = self._index(file, section)
            points, where = np.unique(index["handle"], return_inverse=True)
            return points.astype(np.uint32), np.bincount(where, index["count"]).astype(np.int64)

    def chunks(self, view: View, section: Section, rows: NDArray[np.int64]) -> list[Batch]:
        """Chunks by their places in the index, ascending: one batch a kind, as they lie. Raises: DataError."""
        with _Named(self, view, section) as file:
            index = self._index(file, section)
            chosen = {name: column[rows] for name, column in index.items()}
            return self._decoded(file, section, chosen, received=True) if len(rows) else []

    def frames(self, view: View, section: Section, rows: ChunkTable) -> list[bytes]:
        """As they are in the file. Raises: DataError."""
        with _Named(self, view, section) as file:
            return file.frames(section, rows["offset"].tolist(), rows["length"].tolist())

    def chunk_table(self, view: View, section: Section) -> ChunkTable:
        """The index of a section, by (point, kind, time); for those who look after the store."""
        with _Named(self, view, section) as file:
            return self._index(file, section)

    def rollup_columns(
        self, view: View, section: Section, names: set[str]
    ) -> dict[ValueKind, dict[str, NDArray[np.int64]]]:
        """Roll-up columns by kind. Raises: DataError naming the file."""
        with _Named(self, view, section) as file:
            directory = self.cached((section.file, section.hour, "directory"), lambda: file.directory(section))
            return {
                kind: {
                    name: self.cached(
                        (section.file, section.hour, kind, name),
                        lambda place=places[name], name=name: file.rollup_column(section, place, name),
                    )
                    for name in names
                }
                for kind, places in directory.items()
            }

    def section_bytes(self, view: View, section: Section) -> bytes:
        """From its position to its end, checked."""
        with _Named(self, view, section) as file:
            return file.pread(section.position, section.length)

    def rollup_bytes(self, view: View, section: Section) -> bytes:
        with _Named(self, view, section) as file:
            return file.pread(section.position + section.rollup_offset, section.rollup_length)

    def opened(self, view: View, section: Section) -> _Named:
        """A section's file, to read other parts of it: `with segments.opened(view, section) as file`."""
        return _Named(self, view, section)

    def _index(self, file: SegmentFileReader, section: Section) -> ChunkTable:
        table: ChunkTable = self.cached((section.file, section.hour, "index"), lambda: file.index(section))
        return table

    def moments(self, view: View, section: Section) -> TimesNs:
        """The table of moments that the section's samples share. Shape: (moments,)."""
        with _Named(self, view, section) as file:
            return self._moments(file, section)

    def _moments(self, file: SegmentFileReader, section: Section) -> TimesNs:
        moments: TimesNs = self.cached((section.file, section.hour, "moments"), lambda: file.moments(section))
        return moments

    def cached(self, key: tuple[Any, ...], make: Any) -> Any:
        with self._lock:
            held = self._cache.get(key)
            if held is not None:
                self._cache.move_to_end(key)
                return held[0]
        made = make()
        size = _size_of(made)
        with self._lock:
            if key not in self._cache and size <= self._settings.cache_bytes:
                self._cache[key] = (made, size)
                self.cache_bytes += size
                while self.cache_bytes > self._settings.cache_bytes:
                    self.cache_bytes -= self._cache.popitem(last=False)[1][1]
        return made

    def checked(self, file: int) -> bool:
        return file in self._checked

    def set_checked(self, file: int) -> None:
        self._checked.add(file)


class _Named:
    """Opens a section's file; whatever goes wrong inside becomes a DataError that names it."""

    def __init__(self, store: SegmentStore, view: View, section: Section) -> None:
        entry = view.files[section.file]
        self._store, self._section = store, section
        self._path, self._size = store.directory / entry.name, entry.bytes
        self._descriptor = -1

    def __enter__(self) -> SegmentFileReader:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"history file {self._path} cannot be read: {error.strerror}") from error
        file = SegmentFileReader(self._path, self._descriptor, self._size)
        if not self._store.checked(self._section.file):
            try:
                if footer_entry(self._section) not in file.check():
                    raise DataError("it does not hold what the catalog says of it")
            except BaseException as error:
                self.__exit__(type(error), error, None)
                raise
            self._store.set_checked(self._section.file)
        return file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        os.close(self._descriptor)
        if isinstance(error, DataError) and self._path.name in str(error):
            return
        if isinstance(error, OSError):
            raise Unavailable(f"history file {self._path} cannot be read: {error.strerror}") from error
        damage = (DataError, zstandard.ZstdError, struct.error, ValueError, IndexError, OverflowError, KeyError)
        if isinstance(error, damage) and (isinstance(error, DataError) or not isinstance(error, HeadraceError)):
            raise DataError(f"history file {self._path} is damaged: {error}; restore it from a back-up") from error


def _of_points(index: ChunkTable, handles: Handles | None) -> ChunkTable:
    """Rows of some points, None for all; a single point is a slice of the index."""
    if handles is None:
        return index
    held = index["handle"]
    chosen: Any
    if len(handles) == 1:
        chosen = slice(*np.searchsorted(held, [handles[0], int(handles[0]) + 1]).tolist())
    else:
        chosen = np.isin(held, handles)
    return {name: column[chosen] for name, column in index.items()}


def _overlapping(rows: ChunkTable) -> bool:
    """Whether chunks of a point lie over each other in time: then their samples are not in order one by one."""
    same = (rows["handle"][1:] == rows["handle"][:-1]) & (rows["kind"][1:] == rows["kind"][:-1])
    return bool((same & (rows["first_ns"][1:] <= rows["last_ns"][:-1])).any())


def _size_of(made: Any) -> int:
    if isinstance(made, np.ndarray):
        return int(made.nbytes)
    return sum(column.nbytes if isinstance(column, np.ndarray) else 2_000 for column in made.values())
