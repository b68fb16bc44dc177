"""What waits for its turn, in files: it survives a restart, and a disk that is bounded.

    <state>/waiting/000000000001.line …   records, oldest first; the last file is written, the first is read
    record   length u32 · CRC-32 u32 · samples u32 · kind u8 (1 batches, 2 events) · body        little-endian
    <state>/waiting/taken                 file number and place up to which everything was taken

A file is synced before the next one begins and once a second; `taken` is written after each portion and synced with
it. After `kill -9` nothing that was written is missing; after a power cut at most the last second is. What was taken
in that second may go out again: at least once. A record that is damaged ends its file: the rest of it is counted lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np

from headrace.connect.outlets.waiting import PORTION_EVENTS, PORTION_SAMPLES, Portion, merged
from headrace.model.batch import Batch
from headrace.model.errors import DataError, Unavailable
from headrace.model.events import Event
from headrace.model.packing import pack, pack_events, renumbered, unpack, unpack_events, used_handles
from headrace.sdk.outlet import OutletCounters

log = logging.getLogger(__name__)

FILE_BYTES: Final = 8 << 20
SYNC_S: Final = 1.0
RECORD_BYTES_MAX: Final = 64 << 20
_RECORD = struct.Struct("<IIIB")
_TAKEN = struct.Struct("<QQI")  # file, place, CRC-32 of both: a wrong one would make us throw files away
_PLACE = struct.Struct("<QQ")
_BATCHES, _EVENTS = 1, 2


class Numbers(Protocol):
    """Paths of this process's handles, and back."""

    def path_of(self, handle: int) -> str: ...

    def handle_of(self, path: str) -> int | None: ...


@dataclass(slots=True)
class _File:
    number: int
    size: int
    samples: int
    events: int


class DiskLine:
    """Implements `waiting.Line`. One process at a time owns the folder.

    Raises: Unavailable where the folder cannot be used. While the disk takes nothing, what comes is dropped, counted.
    """

    def __init__(self, folder: Path, counters: OutletCounters, bytes_max: int, numbers: Numbers) -> None:
        self.something = asyncio.Event()
        self._folder, self._counters, self._bytes_max, self._numbers = folder, counters, bytes_max, numbers
        self._file_bytes = min(FILE_BYTES, max(bytes_max // 4, 4096))
        self._files: list[_File] = []
        self._writing: IO[bytes] | None = None
        self._reading: IO[bytes] | None = None
        self._at = self._hand_end = 0
        self._hand: tuple[int, int] = (0, 0)  # samples and events in hand
        self._full_said = False
        self._dirty = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._recover()
        except OSError as error:
            raise Unavailable(
                f"the folder of what waits cannot be used: {error.strerror}", detail=str(folder)
            ) from None
        self._syncing = asyncio.create_task(self._sync(), name="sync what waits")

    # --- putting --------------------------------------------------------------------------------------------------

    def put(self, batches: Sequence[Batch]) -> None:
        full = [batch for batch in batches if len(batch)]
        if not full:
            return
        samples = sum(map(len, full))
        try:
            paths = {int(handle): self._numbers.path_of(int(handle)) for handle in used_handles(full)}
            kept = self._append(_BATCHES, samples, pack(full, paths))
        except (KeyError, DataError):  # a point that has gone meanwhile, or what cannot be written down
            kept = False
        if not kept:
            self._counters.dropped += samples

    def put_events(self, events: Sequence[Event]) -> None:
        for event in events:  # one whose data is no JSON costs itself alone
            try:
                kept = self._append(_EVENTS, 1, pack_events([event]))
            except DataError:
                kept = False
            if not kept:
                self._counters.dropped_events += 1

    def _append(self, kind: int, count: int, body: bytes) -> bool:
        """False where the disk takes nothing now."""
        record = _RECORD.pack(len(body), zlib.crc32(body), count, kind) + body
        try:
            if self._writing is None or self._files[-1].size + len(record) > self._file_bytes:
                self._begin_file()
            assert self._writing is not None
            self._writing.write(record)
            self._writing.flush()
            last = self._files[-1]
            last.size += len(record)
            if kind == _BATCHES:
                last.samples += count
            else:
                last.events += count
            self._drop_beyond()
        except OSError as error:
            if not self._full_said:
                log.error("what waits cannot be written, and is dropped until it can: %s", error)
                self._full_said = True
            self._writing = None  # half a record ends its file
            self._tell()
            return False
        self._full_said = False
        self._dirty = True
        self._tell()
        return True

    def _begin_file(self) -> None:
        if self._writing is not None:
            os.fsync(self._writing.fileno())
            self._writing.close()
        number = self._files[-1].number + 1 if self._files else 1
        self._writing = self._path(number).open("ab")
        self._files.append(_File(number, 0, 0, 0))

    def _drop_beyond(self) -> None:
        """The oldest file goes, unless it is in hand or the one that is written."""
        while len(self._files) > 1 and sum(one.size for one in self._files) > self._bytes_max:
            at = 1 if self._hand_end and len(self._files) > 2 else 0
            if self._hand_end and at == 0:
                return
            gone = self._files.pop(at)
            self._counters.dropped += gone.samples
            self._counters.dropped_events += gone.events
            if at == 0:
                self._at = 0
                self._close_reading()
                self._note_taken()
            self._path(gone.number).unlink(missing_ok=True)

    # --- taking ---------------------------------------------------------------------------------------------------

    def take(self) -> Portion | None:
        self._hand_end = 0
        while self._files:
            portion = self._read_portion()
            if portion is not None:
                return portion
            if len(self._files) == 1 and self._at >= self._files[0].size:
                break
            self._finish_first()
        self.something.clear()
        return None

    def _read_portion(self) -> Portion | None:
        """Records of one sort from the place of the first file; None at its end."""
        batches: list[Batch] = []
        events: list[Event] = []
        at, samples, counted = self._at, 0, 0
        while (found := self._read_record(at)) is not None:
            kind, count, body, end = found
            other = bool(events) if kind == _BATCHES else bool(batches)
            if other or len(events) >= PORTION_EVENTS or (batches and samples + count > PORTION_SAMPLES):
                break
            try:
                if kind == _EVENTS:
                    events += unpack_events(body)
                else:
                    batches += self._ours(body)
                    samples += count
            except DataError as error:
                log.error("a record of what waits cannot be read and is given up: %s", error)
                self._counters.given_up += count
            counted += count
            at = end
        if at == self._at:
            return None
        self._hand_end = at
        self._hand = (0, counted) if events else (counted, 0)
        return Portion(merged(batches), tuple(events))

    def _read_record(self, at: int) -> tuple[int, int, bytes, int] | None:
        if self._reading is None:
            self._reading = self._path(self._files[0].number).open("rb")
        self._reading.seek(at)
        head = self._reading.read(_RECORD.size)
        if len(head) < _RECORD.size:
            return None
        length, crc, count, kind = _RECORD.unpack(head)
        body = self._reading.read(length) if length <= RECORD_BYTES_MAX else b""
        if len(body) < length or zlib.crc32(body) != crc:
            return None
        return kind, count, body, at + _RECORD.size + length

    def _ours(self, body: bytes) -> list[Batch]:
        packed = unpack(body)
        table = np.full(max(packed.paths, default=-1) + 1, -1, np.int64)
        for theirs, path in packed.paths.items():
            ours = self._numbers.handle_of(path)
            table[theirs] = -1 if ours is None else ours
        return [one for one in (renumbered(batch, table) for batch in packed.batches) if len(one)]

    def done(self) -> None:
        if not self._hand_end:
            return
        self._at, self._hand_end = self._hand_end, 0
        samples, events = self._hand
        self._files[0].samples -= samples
        self._files[0].events -= events
        if self._at >= self._files[0].size and len(self._files) > 1:
            self._finish_first()
        else:
            self._note_taken()
        self._tell()

    def undo(self) -> None:
        self._hand_end = 0
        self._tell()

    def clear(self) -> int:
        gone = self._counters.waiting
        for one in self._files:
            self._path(one.number).unlink(missing_ok=True)
        self._files, self._writing = [], None
        self._close_reading()
        self._at = self._hand_end = 0
        self._tell()
        return gone

    async def close(self) -> None:
        self._syncing.cancel()
        await asyncio.gather(self._syncing, return_exceptions=True)
        self._close_reading()
        if self._writing is not None:
            await asyncio.to_thread(os.fsync, self._writing.fileno())
            self._writing.close()
            self._writing = None

    # --- files ----------------------------------------------------------------------------------------------------

    def _finish_first(self) -> None:
        """The first file is read: what its end lost to damage is counted."""
        gone = self._files.pop(0)
        if not self._files and self._writing is not None:  # it was damaged while it was written
            self._writing.close()
            self._writing = None
        self._counters.dropped += max(gone.samples, 0)
        self._counters.dropped_events += max(gone.events, 0)
        self._close_reading()
        self._at = 0
        self._note_taken()
        self._path(gone.number).unlink(missing_ok=True)

    def _note_taken(self) -> None:
        number = self._files[0].number if self._files else 0
        fresh = self._folder / "taken.new"
        place = _PLACE.pack(number, self._at)
        fresh.write_bytes(place + zlib.crc32(place).to_bytes(4, "little"))
        fresh.replace(self._folder / "taken")
        self._dirty = True

    def _recover(self) -> None:
        first, self._at = self._read_taken()
        for path in sorted(self._folder.glob("*.line")):
            number = int(path.stem)
            if number < first:
                path.unlink()
                continue
            begin = self._at if number == first else 0
            self._files.append(self._survey(path, number, begin))
        if self._files and self._files[0].number != first:
            self._at = 0
        self._close_reading()
        self._tell()

    def _read_taken(self) -> tuple[int, int]:
        """Nothing where it is missing or damaged: then what was taken goes out again."""
        try:
            raw = (self._folder / "taken").read_bytes()
            number, at, crc = _TAKEN.unpack(raw)
        except (OSError, struct.error):
            return 0, 0
        return (number, at) if crc == zlib.crc32(raw[: _PLACE.size]) else (0, 0)

    def _survey(self, path: Path, number: int, begin: int) -> _File:
        """Count what a file of an earlier run still holds. Nothing is appended to it: its end may be torn."""
        found = _File(number, path.stat().st_size, 0, 0)
        at = 0
        with path.open("rb") as file:
            while len(head := file.read(_RECORD.size)) == _RECORD.size:
                length, _, count, kind = _RECORD.unpack(head)
                if at >= begin and at + _RECORD.size + length <= found.size:
                    found.samples += count if kind == _BATCHES else 0
                    found.events += count if kind == _EVENTS else 0
                at += _RECORD.size + length
                file.seek(at)
        return found

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC_S)
            if self._dirty and self._writing is not None:
                self._dirty = False
                try:
                    await asyncio.to_thread(os.fsync, self._writing.fileno())
                except (OSError, ValueError):
                    continue  # the next write tells

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.line"

    def _tell(self) -> None:
        counters = self._counters
        counters.waiting = sum(one.samples for one in self._files)
        counters.waiting_bytes = sum(one.size for one in self._files) - self._at
        left = counters.waiting or sum(one.events for one in self._files)
        if left and (len(self._files) > 1 or self._at < self._files[0].size):
            self.something.set()
        else:
            self.something.clear()
