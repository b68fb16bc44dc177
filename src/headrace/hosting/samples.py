"""Samples for one app, each at least once: also what came while it was slow, while it was down, and after a crash.

    bus ──► pump ──► pending ──► app ─► position, kept now and then
              │ too much: given up, and owed: which points, from which time
              └► owed ──► history, from there on ──► app

The bus is emptied whatever the app does, so a slow app slows nobody; what it could not take comes to it from history.
The position is the moment up to which all was given that the bus had. After a restart of the platform, history gives
what is of a later time, or was received later; that is looked for as far back as `LATE_NS`. What an edge had received
before, and handed over just while nobody here listened, cannot be told from what was given.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, ValueKind
from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.clock import Clock
from headrace.sdk.secret_files import put_private
from headrace.sdk.store import HistoryReader

PENDING_MAX: Final = 200_000
PENDING_BYTES_MAX: Final = 32 * 1024 * 1024
PIECE_MAX: Final = 50_000
PIECE_BYTES_MAX: Final = 8 * 1024 * 1024
LATE_NS: Final = DAY_NS
OVERLAP_NS: Final = 10 * SECOND_NS
SETTLE_S: Final = 1.0
KEEP_S: Final = 5.0

To = Callable[[Sequence[Batch], bool], Awaitable[None]]
"""Gives samples to the app; the second says that they are from history. What it raises, `give` raises."""


class SampleFeed:
    """Subscribes when it is made, so nothing is missed from then on. `open`, then `pump` and `give` in tasks."""

    def __init__(
        self, name: str, bus: Bus, store: HistoryReader, wanted: Callable[[str], bool], file: Path, clock: Clock, *,
        pending_max: int = PENDING_MAX, settle_s: float = SETTLE_S,
    ) -> None:  # fmt: skip
        self._queue = bus.subscribe(name, capacity=pending_max, overflow=Overflow.DROP_OLDEST)
        self._store, self._wanted, self._file, self._clock = store, wanted, file, clock
        self._pending_max, self._settle_s = pending_max, settle_s
        self._mask: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._known = -1
        self._pending: list[Batch] = []
        self._pending_count = self._pending_bytes = 0
        self._dropped = 0
        self._owed: dict[int, int] = {}  # source time, ns, from which on a point is owed
        self._away_ns: int | None = None  # all is owed that is later, or was received later
        self._taken_ns = self._given_ns = clock.now_ns()
        self._kept_s = clock.monotonic_s()
        self._come = asyncio.Event()
        self.given = self.from_history = 0

    def want(self, wanted: Callable[[str], bool]) -> None:
        """From now on, these points alone."""
        self._wanted, self._known = wanted, -1

    async def open(self) -> None:
        """Where it was; from now on where it never was. Raises: OSError."""
        found = await asyncio.to_thread(_read, self._file)
        if found is None:
            await self.keep()
            return
        self._away_ns, owed = found
        handles = {path: handle for handle, path in self._store.paths().items()}
        self._owed = {handles[path]: since_ns for path, since_ns in owed.items() if path in handles}

    async def pump(self) -> None:
        """Until the bus is closed, or this is."""
        async for batches in self._queue:
            if self._queue.counters.dropped > self._dropped:
                self._dropped = self._queue.counters.dropped
                since_ns = self._taken_ns - OVERLAP_NS
                self._away_ns = since_ns if self._away_ns is None else min(self._away_ns, since_ns)
            mask = self._masked()
            for batch in batches:
                mine = batch.take(mask[batch.handles])
                if len(mine):
                    self._pending.append(mine)
                    self._pending_count += len(mine)
                    self._pending_bytes += _bytes_of(mine)
            self._taken_ns = self._clock.now_ns()
            if self._pending_count > self._pending_max or self._pending_bytes > PENDING_BYTES_MAX:
                self._owe(self._pending)
                self._clear()
            self._come.set()

    async def give(self, to: To) -> None:
        """For ever. Raises: what `to` raises; what was not given by then is given by the next call."""
        while True:
            if self._owed or self._away_ns is not None:
                await self._give_owed(to)
            elif self._pending:
                await self._give_pending(to)
            else:
                self._given_ns = self._taken_ns
                self._come.clear()
                await self._come.wait()
            if self._clock.monotonic_s() - self._kept_s > KEEP_S:
                await self.keep()

    async def keep(self) -> None:
        """Where it is; durable on return. Raises: OSError."""
        self._kept_s = self._clock.monotonic_s()
        paths = self._store.paths()
        away_ns = self._given_ns if self._away_ns is None else min(self._away_ns, self._given_ns)
        told = {"until_ns": away_ns, "owed": {paths[handle]: ns for handle, ns in self._owed.items()}}
        await asyncio.to_thread(_write, self._file, json.dumps(told).encode())

    async def close(self) -> None:
        await self._queue.close()

    async def _give_pending(self, to: To) -> None:
        batches, taken_ns = self._pending, self._taken_ns
        self._clear()
        pieces = list(_pieces(batches))
        while pieces:
            try:
                await to(pieces[0], False)
            except BaseException:
                self._pending[:0] = [batch for piece in pieces for batch in piece]
                self._pending_count = sum(map(len, self._pending))
                self._pending_bytes = sum(map(_bytes_of, self._pending))
                raise
            self.given += sum(map(len, pieces.pop(0)))
        self._given_ns = taken_ns

    async def _give_owed(self, to: To) -> None:
        """From history, once what was published is there."""
        await self._clock.sleep(self._settle_s)
        owed, away_ns, taken_ns = self._owed, self._away_ns, self._taken_ns
        self._owed, self._away_ns = {}, None
        try:
            async for piece in self._missed(owed, away_ns):
                await to(piece, True)
                count = sum(map(len, piece))
                self.given += count
                self.from_history += count
        except BaseException:
            for handle, since_ns in owed.items():
                self._owed[handle] = min(since_ns, self._owed.get(handle, since_ns))
            if away_ns is not None:
                self._away_ns = away_ns if self._away_ns is None else min(away_ns, self._away_ns)
            raise
        if self._away_ns is None and not self._pending:
            self._given_ns = taken_ns

    async def _missed(self, owed: Mapping[int, int], away_ns: int | None) -> AsyncIterator[list[Batch]]:
        mask = self._masked()
        ever = np.iinfo(np.int64).max
        since = np.full(len(mask), ever, np.int64)
        for handle, since_ns in owed.items():
            if handle < len(since):
                since[handle] = since_ns
        start_ns = min(owed.values(), default=ever)
        late_ns = ever
        if away_ns is not None:
            late_ns = away_ns - OVERLAP_NS
            start_ns = min(start_ns, late_ns - LATE_NS)
        wanted = np.flatnonzero(mask if away_ns is not None else mask & (since < ever)).astype(np.uint32)
        held: list[Batch] = []
        count = size = 0
        end_ns = self._clock.now_ns() + DAY_NS
        async for batch in self._store.scan(wanted, start_ns, end_ns) if len(wanted) else _none():
            news = (batch.source_ns >= since[batch.handles]) | (batch.source_ns >= late_ns)
            mine = batch.take(news | (batch.received_ns >= late_ns))
            for part in _parts(mine):
                held.append(part)
                count, size = count + len(part), size + _bytes_of(part)
                if count >= PIECE_MAX or size >= PIECE_BYTES_MAX:
                    yield held
                    held, count, size = [], 0, 0
        if held:
            yield held

    def _masked(self) -> NDArray[np.bool_]:
        paths = self._store.paths()
        if len(paths) != self._known:
            self._known = len(paths)
            self._mask = np.zeros(max(paths, default=-1) + 1, np.bool_)
            for handle, path in paths.items():
                self._mask[handle] = self._wanted(path)
        return self._mask

    def _owe(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            handles, at = np.unique(batch.handles, return_inverse=True)
            lowest = np.full(len(handles), np.iinfo(np.int64).max, np.int64)
            np.minimum.at(lowest, at, batch.source_ns)
            for handle, since_ns in zip(handles.tolist(), lowest.tolist(), strict=True):
                self._owed[handle] = min(since_ns, self._owed.get(handle, since_ns))

    def _clear(self) -> None:
        self._pending, self._pending_count, self._pending_bytes = [], 0, 0


def _pieces(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    held: list[Batch] = []
    count = size = 0
    for batch in batches:
        for part in _parts(batch):
            if held and (count + len(part) > PIECE_MAX or size + _bytes_of(part) > PIECE_BYTES_MAX):
                yield held
                held, count, size = [], 0, 0
            held.append(part)
            count, size = count + len(part), size + _bytes_of(part)
    if held:
        yield held


def _parts(batch: Batch) -> list[Batch]:
    """None is longer than a piece."""
    if not len(batch):
        return []
    if len(batch) == 1 or (len(batch) <= PIECE_MAX and _bytes_of(batch) <= PIECE_BYTES_MAX):
        return [batch]
    middle = len(batch) // 2
    return [*_parts(batch.take(slice(0, middle))), *_parts(batch.take(slice(middle, None)))]


def _bytes_of(batch: Batch) -> int:
    fixed = 32 * len(batch)
    if batch.kind is not ValueKind.TEXT or not len(batch):
        return fixed
    return fixed + 3 * int(np.strings.str_len(batch.values).sum())


async def _none() -> AsyncIterator[Batch]:
    never: Sequence[Batch] = ()
    for one in never:
        yield one


def _read(file: Path) -> tuple[int, dict[str, int]] | None:
    """None where it was never kept, or is no such file: then it begins anew."""
    try:
        told: Any = json.loads(file.read_bytes())
        return int(told["until_ns"]), {str(path): int(ns) for path, ns in told["owed"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    put_private(file, data)
