"""The write-ahead log: what was acknowledged is here until a segment holds it.

    wal/<n>.log   "HRWAL" · version u8 · 0 0 · n u64 · frame … · what an earlier log left in this file
    frame         `framing.frame`: samples, place in its group, commit time, CRC32 from seed n, payload (`records`)
    wal/<n>.used  a log that nobody needs any more, to be written over

Log n holds exactly the memtable of generation n. A frame that is cut or does not add up ends the last log, for a
crash tears only what was never acknowledged; where a later group of frames is whole, or in an earlier log, it is
damage, and an error says so. The next log is made ahead of time, because making a file durable takes longer than a
commit; and of a used one where there is one, because a file that has its blocks makes a commit cheaper, and giving
blocks back may keep the disk busy for as long as a hundred commits. The number in each frame's CRC makes the frames of
its earlier life none. Its end is cut before the next log begins, so only the newest logs have anything behind theirs.
The commit times never go back within a log, so frames cannot change places unseen.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.history import framing
from headrace.history.disk import Disk
from headrace.history.framing import Frame, Gap
from headrace.history.marks import Marks, decode_marks, encode_marks
from headrace.history.records import Buffer, decode_batches, record_parts
from headrace.model.batch import Batch
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.intake import Mark

_HEADER: Final = struct.Struct("<5sB2xQ")
_MAGIC, _VERSION = b"HRWAL", 4
_SEEDLESS: Final = (2, 3)  # before logs were written over; one of format 2 has no marks
_USED_MAX: Final = 2
FRAME_MAGIC: Final = b"HRFR"


def log_path(directory: Path, number: int) -> Path:
    return directory / f"{number:010d}.log"


def log_numbers(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in directory.glob("*.log") if path.stem.isdigit())


def encode_frame(
    batches: Sequence[Batch], committed_ns: int, place: int = 0, marks: Marks | None = None, *, seed: int
) -> bytes:
    """`place` counts the frames that one commit makes durable together, from 0; `seed` is the writer's."""
    return b"".join(frame_parts(batches, committed_ns, place, marks or {}, seed))


def frame_parts(batches: Sequence[Batch], committed_ns: int, place: int, marks: Marks, seed: int) -> list[Buffer]:
    """The same in parts, so that samples are copied once, into what is written."""
    payload = record_parts(batches)
    if marks:
        payload = [encode_marks(marks), *payload]
    return [framing.frame_head(FRAME_MAGIC, payload, sum(map(len, batches)), committed_ns, place, seed), *payload]


class LogWriter:
    """Appends frames to one log. After an error the log is as it was before, or the writer is broken for good."""

    EMPTY_BYTES: Final = _HEADER.size

    def __init__(self, disk: Disk, directory: Path, number: int) -> None:
        """Make log `number`, of a used one where there is one. Raises: OSError."""
        self.number, self.seed, self.path, self._disk = number, _seed(number), log_path(directory, number), disk
        self.broken = False
        used = next(iter(_used(directory)), None)
        self._descriptor = disk.open(self.path, create=True) if used is None else disk.open(used)
        try:
            self._reserved = os.fstat(self._descriptor).st_size  # how far there may be frames of an earlier life
            disk.write(self._descriptor, log_header(number))
            disk.datasync(self._descriptor)
            if used is not None:
                disk.replace(used, self.path)
            disk.sync_directory(directory)
        except OSError:
            os.close(self._descriptor)
            for path in (self.path, used):
                if path is not None:
                    disk.unlink(path)
            raise
        self.size = _HEADER.size

    @classmethod
    def resume(cls, disk: Disk, directory: Path, number: int, size: int) -> LogWriter:
        """Go on in a log of which `size` bytes are good; what a crash left beyond is cut off."""
        log = cls.__new__(cls)
        log.number, log.path, log._disk, log.broken = number, log_path(directory, number), disk, False
        log._descriptor = disk.open(log.path)
        log.seed = seed_of(os.pread(log._descriptor, _HEADER.size, 0), number) or 0
        log.size, log._reserved = size, 0
        log._cut()
        return log

    def commit(self, parts: Sequence[Buffer]) -> None:
        """Frames, whole or in parts; durable on return. Raises: Unavailable, and then none of them is in the log."""
        if self.broken:
            raise Unavailable(f"history log {self.path.name} could not be written; restart once its disk is well")
        try:
            data = b"".join(parts)
            self._disk.write(self._descriptor, data)
            self._disk.datasync(self._descriptor)
        except OSError as error:
            try:
                self._cut()
            except OSError:
                self.broken = True
            raise Unavailable(f"history log {self.path.name} could not be written: {error.strerror}") from error
        self.size += len(data)

    def finish(self) -> None:
        """Nothing but its own frames is in the file from now on; durable on return. Raises: OSError."""
        if self._reserved > self.size:
            self._cut()

    def _cut(self) -> None:
        self._disk.truncate(self._descriptor, self.size)
        self._disk.datasync(self._descriptor)
        self._reserved = 0

    def close(self) -> None:
        """The end is cut where that is possible; else the next start does."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self.finish()
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class Commit:
    """What one call of `append` made durable."""

    offset: int
    committed_ns: int
    batches: list[Batch]
    marks: dict[str, Mark]


class LogReader:
    """The frames of one log, oldest first; `size` is how much of it is good once they were read."""

    def __init__(self, path: Path, number: int, *, last: bool) -> None:
        self.path, self.number, self.size, self._last = path, number, 0, last
        self.committed_ns = 0

    def batches(self) -> Iterator[list[Batch]]:
        """Raises: DataError where the log is damaged, or this is no log at all."""
        for commit in self.commits():
            yield commit.batches

    def commits(self, begin: int = 0) -> Iterator[Commit]:
        """From byte `begin`. Raises: DataError where the log is damaged, or this is no log at all."""
        with self.path.open("rb") as file:
            header = file.read(_HEADER.size)
        if len(header) < _HEADER.size and self._last:
            return  # torn while it was made: nothing was acknowledged from it
        seed = seed_of(header, self.number)
        if seed is None:
            raise DataError(f"{self.path} is not history log {self.number} of format {_VERSION}")
        self.size = max(begin, _HEADER.size)
        found = framing.walk(self.path, FRAME_MAGIC, self.size, seed=seed)
        for part in found:
            if isinstance(part, Gap):
                follow = [frame for frame in found if isinstance(frame, Frame)]
                if self._last and not _acknowledged_before(follow):
                    return
                raise DataError(
                    f"{self.path} is damaged at byte {part.offset}, and what follows shows that this is no torn end: "
                    "run `headrace history check`, then `headrace history repair`"
                )
            yield self._commit(part)
            self.size = part.end

    def _commit(self, frame: Frame) -> Commit:
        try:
            commit = Commit(frame.offset, frame.time_ns, *contents_of(frame))
        except DataError as error:
            raise DataError(f"{self.path} holds a frame at byte {frame.offset} that cannot be read: {error}") from None
        if frame.time_ns < self.committed_ns:
            raise DataError(f"{self.path} holds a frame at byte {frame.offset} that belongs to another place")
        self.committed_ns = frame.time_ns
        return commit


def contents_of(frame: Frame) -> tuple[list[Batch], dict[str, Mark]]:
    """Raises: DataError."""
    marks, payload = decode_marks(frame.payload)
    batches = decode_batches(payload)
    if sum(map(len, batches)) != frame.count:
        raise DataError("its sample count is wrong")
    return batches, marks


def batches_of(frame: Frame) -> list[Batch]:
    """Raises: DataError."""
    return contents_of(frame)[0]


def log_header(number: int) -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, number)


def seed_of(header: bytes, number: int) -> int | None:
    """With which the CRCs of log `number` begin; None where that is no beginning of it."""
    if header[: _HEADER.size] == log_header(number):
        return _seed(number)
    return 0 if any(header[: _HEADER.size] == _HEADER.pack(_MAGIC, old, number) for old in _SEEDLESS) else None


def walk_log(path: Path, end: int | None = None) -> Iterator[Frame | Gap]:
    """Frames and gaps of a log up to byte `end`, also where its beginning is damaged. Raises: OSError."""
    number = int(path.stem)
    with path.open("rb") as file:
        seed = seed_of(file.read(_HEADER.size), number)
    begin = min(_HEADER.size, path.stat().st_size)
    yield from framing.walk(path, FRAME_MAGIC, begin, end, seed=_seed(number) if seed is None else seed)


def is_fresh(path: Path) -> bool:
    """Whether a log was made ahead of need and not yet used: no good frame is its first. Raises: OSError."""
    return not isinstance(next(walk_log(path), None), Frame)


def keep_used(disk: Disk, path: Path) -> bool:
    """Keep a log that nobody needs, to be written over by one to come, unless there are enough. Raises: OSError."""
    if len(_used(path.parent)) >= _USED_MAX or not path.exists():
        return False
    disk.replace(path, path.with_suffix(".used"))
    return True


def drop_used(disk: Disk, directory: Path) -> None:
    """Where the disk needs their room more. Raises: OSError."""
    for path in _used(directory):
        disk.unlink(path)


def _used(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.used"))


def _seed(number: int) -> int:
    return number & 0xFFFF_FFFF


def _acknowledged_before(follow: Sequence[Frame]) -> bool:
    """Whether the frames after a gap prove that the gap was durable: a group begins only after the one before it."""
    return any(frame.place == 0 for frame in follow) or len({frame.time_ns for frame in follow}) > 1
