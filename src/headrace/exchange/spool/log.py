"""Numbered frames in files of bounded size: append at one end, let go at the other.

    append ─► room? ─► write, fdatasync ─► durable      <first>.spool   "HRSPL" · format u8 · 0 0 · first sequence u64 ·
                 └ no: the oldest file goes, or Unavailable             frame …
    trim(pending) ─► files of which nothing is pending are unlinked

Everything but `read` belongs to one thread. A file is never written again once a later one exists, so only the last
can have a torn end: it is cut off at the next start, for nobody was told that it is durable. Damage anywhere else costs
the frames that it hit, and is counted.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.exchange.spool.frames import Entry, Gap, Head, entry_of, frame, heads
from headrace.exchange.spool.ranges import Ranges
from headrace.exchange.spool.settings import Overflow, SpoolSettings
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.disk import Disk

_logger = logging.getLogger(__name__)
_HEADER: Final = struct.Struct("<5sB2xQ")
_MAGIC, _VERSION = b"HRSPL", 1

Record = tuple[bytes, int, int]
"""Payload, weight, when the newest of it was received (ns)."""


@dataclass(slots=True)
class Segment:
    """`last` is first − 1 while it has no frame; `oldest_ns` is the newest time of its first frame."""

    path: Path
    first: int
    last: int
    bytes: int
    weight: int = 0
    oldest_ns: int = 0

    def add(self, entry: Head) -> None:
        if self.last < self.first:
            self.oldest_ns = entry.newest_ns
        self.bytes = entry.end  # before `last`: whoever reads beside us must find in the file what `last` says
        self.last = entry.sequence
        self.weight += entry.weight

    def share(self, pending: Ranges) -> float:
        """Of its frames, how many are pending."""
        return pending.within(self.first, self.last).numbers / max(self.last - self.first + 1, 1)


class FrameLog:
    def __init__(
        self, directory: Path, disk: Disk, settings: SpoolSettings, on_drop: Callable[[Segment], None]
    ) -> None:
        """Open or make it. `on_drop` is told of a file that goes although its frames may be pending.

        Raises: Unavailable where the disk refuses; DataError for files of another format.
        """
        self._directory, self._disk, self._settings, self._on_drop = directory, disk, settings, on_drop
        self._lock = threading.Lock()
        self._cursors: dict[str, tuple[Path, int, int]] = {}
        self._segments: list[Segment] = []
        self._descriptor = -1
        self._broken = False
        self.damaged_frames = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._segments = self._recover()
            if not self._segments:
                self._begin(1)
            else:
                self._descriptor = disk.open(self._segments[-1].path)
                disk.truncate(self._descriptor, self._segments[-1].bytes)
        except OSError as error:
            raise Unavailable(f"the spool in {directory} cannot be opened: {error.strerror or error}") from error

    @property
    def first(self) -> int:
        """The oldest frame that it may still have."""
        return self._segments[0].first

    @property
    def last(self) -> int:
        """The newest frame, `first` − 1 where there never was one."""
        return self._segments[-1].last

    @property
    def bytes(self) -> int:
        return sum(segment.bytes for segment in list(self._segments))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # --- writing ------------------------------------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> int:
        """Durable on return; gives the sequence of the last. Raises: Unavailable, and then nothing of it is there."""
        if self._broken:
            raise Unavailable(f"the spool in {self._directory} could not be written; restart once its disk is well")
        sequence = self.last
        parts = []
        for payload, weight, newest_ns in records:
            sequence += 1
            parts.append(frame(payload, weight, sequence, newest_ns))
        data = b"".join(parts) if len(parts) > 1 else parts[0]
        self._make_room(len(data))
        active = self._segments[-1]
        try:
            if active.bytes + len(data) > self._settings.segment_bytes and active.last >= active.first:
                self._begin(active.last + 1)
                active = self._segments[-1]
            self._disk.write(self._descriptor, data)
            self._disk.datasync(self._descriptor)
        except OSError as error:
            self._withdraw(active)
            raise Unavailable(f"the spool in {self._directory} cannot be written: {error.strerror}") from error
        at = active.bytes
        for part, (_, weight, newest_ns) in zip(parts, records, strict=True):
            active.add(Head(at, at + len(part), weight, active.last + 1, newest_ns))
            at += len(part)
        return sequence

    def trim(self, pending: Ranges) -> None:
        """Let go of whole files, from the oldest on, until one has something that is pending."""
        while len(self._segments) > 1 and not pending.touches(self._segments[0].first, self._segments[0].last):
            self._remove_oldest()

    def backlog(self, pending: Ranges) -> tuple[int, int, int | None]:
        """About how much is pending: weight, bytes, and the time of the oldest file with some of it."""
        weight = size = 0.0
        oldest_ns = None
        for segment in list(self._segments):
            if share := segment.share(pending):
                weight += share * segment.weight
                size += share * segment.bytes
                oldest_ns = segment.oldest_ns if oldest_ns is None else oldest_ns
        return round(weight), round(size), oldest_ns

    def _make_room(self, size: int) -> None:
        settings = self._settings
        while True:
            used = self.bytes
            low = self._disk.free_bytes(self._directory) < settings.reserve_bytes + size
            if used + size <= settings.bytes_max and not low:
                return
            if settings.overflow is Overflow.BLOCK or (len(self._segments) == 1 and not self._roll()):
                what = "its disk is full" if low else f"it holds {used} bytes of {settings.bytes_max}"
                raise Unavailable(
                    f"the spool in {self._directory} takes no more samples until the hub has some: {what}"
                )
            self._on_drop(self._segments[0])
            self._remove_oldest()

    def _roll(self) -> bool:
        """Begin another file, so that the only one can go. False where that would change nothing."""
        active = self._segments[-1]
        if active.last < active.first:
            return False
        try:
            self._begin(active.last + 1)
        except OSError:
            return False
        return True

    def _begin(self, first: int) -> None:
        """A new file, and its name, are durable. Raises: OSError, and then all is as before."""
        path = self._directory / f"{first:020d}.spool"
        self._disk.unlink(path)
        descriptor = self._disk.open(path, create=True)
        try:
            self._disk.write(descriptor, _HEADER.pack(_MAGIC, _VERSION, first))
            self._disk.datasync(descriptor)
            self._disk.sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            self._disk.unlink(path)
            raise
        self.close()
        self._descriptor = descriptor
        segment = Segment(path, first, first - 1, _HEADER.size)
        with self._lock:
            self._segments = [*self._segments, segment]

    def _withdraw(self, active: Segment) -> None:
        try:
            self._disk.truncate(self._descriptor, active.bytes)
            self._disk.datasync(self._descriptor)
        except OSError:
            self._broken = True

    def _remove_oldest(self) -> None:
        with self._lock:
            oldest, *self._segments = self._segments
        try:
            self._disk.unlink(oldest.path)
        except OSError as error:  # it is tried again at the next start
            _logger.warning("the spool cannot remove %s: %s", oldest.path, error.strerror)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, sequence: int, bytes_max: int, reader: str) -> list[Entry]:
        """Frames from `sequence` on, in order, at least one where there is any; from any thread.

        `reader` names who reads in order, so that it is found again where it was. Damaged frames are left out.
        Raises: Unavailable where the disk refuses.
        """
        with self._lock:
            segments = list(self._segments)
        found: list[Entry] = []
        size = 0
        for segment in segments:
            if segment.last < sequence:
                continue
            for entry, end in self._entries(segment, sequence, reader):
                found.append(entry)
                size += len(entry.payload)
                self._cursors[reader] = (segment.path, entry.sequence + 1, end)
                if size >= bytes_max:
                    return found
        return found

    def _entries(self, segment: Segment, sequence: int, reader: str) -> Iterator[tuple[Entry, int]]:
        path, at_sequence, at = self._cursors.get(reader, (None, 0, 0))
        begin = at if path == segment.path and at_sequence <= sequence else _HEADER.size
        last, end = segment.last, segment.bytes  # in this order, see `Segment.add`
        try:
            with segment.path.open("rb") as file, mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) as data:
                expected = max(sequence, segment.first)
                for found in heads(data, begin, end, whole=False):
                    if isinstance(found, Gap) or found.sequence < sequence:
                        continue
                    if (entry := entry_of(data[found.offset : found.end])) is None:
                        continue
                    self._note_missing(segment, entry.sequence - expected)
                    expected = entry.sequence + 1
                    yield entry, found.end
                self._note_missing(segment, last + 1 - expected)
        except FileNotFoundError:
            pass  # dropped meanwhile, and counted
        except ValueError as error:  # shorter than it was: what is in it is gone
            _logger.error("the spool file %s was cut off: %s", segment.path, error)
            self._note_missing(segment, last + 1 - max(sequence, segment.first))
        except OSError as error:
            raise Unavailable(f"the spool cannot read {segment.path}: {error.strerror}") from error

    def _note_missing(self, segment: Segment, frames: int) -> None:
        if frames > 0:
            self.damaged_frames += frames
            _logger.error("%d frames of the spool in %s are damaged and cannot be sent", frames, segment.path)

    # --- after a restart ----------------------------------------------------------------------------------------------

    def _recover(self) -> list[Segment]:
        segments: list[Segment] = []
        paths = sorted(self._directory.glob("*.spool"))
        for path in paths:
            segment = self._recover_one(path, last=path == paths[-1])
            if segment is not None:
                segments.append(segment)
        return segments

    def _recover_one(self, path: Path, *, last: bool) -> Segment | None:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            if not last:
                _logger.error("the spool file %s has no header; what was in it is lost", path)
            self._disk.unlink(path)  # torn while it was made: nothing was in it
            return None
        magic, version, first = _HEADER.unpack(header)
        if magic != _MAGIC or version != _VERSION:
            raise DataError(f"{path} is no spool file of format {_VERSION}; move it away to go on without it")
        segment = Segment(path, first, first - 1, _HEADER.size)
        if size == _HEADER.size:
            return segment
        with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            for found in heads(data, _HEADER.size, size, whole=last):
                if isinstance(found, Head):
                    segment.add(found)
        if segment.bytes < size:
            _logger.warning("the spool file %s ends after %d of %d bytes", path, segment.bytes, size)
        return segment
