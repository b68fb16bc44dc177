"""Copy one historian into another, hour by hour, so that a stop at any moment costs an hour of copying.

    journal? ─► paths by name ─► scan from the last finished hour ─► append ─► hour into the journal ─► … ─► count both

Samples keep everything but their point's number, which each store gives out itself. What was copied twice is there
once, for an equal (point, time) is one sample; so after a stop the last hour is simply copied again, and a later run
takes over what the source has got since. At the end both stores are read once more, and each point must have the same
samples on both sides: as many, with the same checksum.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import starts_of
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import Conflict, DataError
from headrace.model.time import HOUR_NS
from headrace.sdk.store import HistoryStore

APPEND_SAMPLES: Final = 500_000
APPEND_TEXT_BYTES: Final = 16 * 1024 * 1024
REGISTER_AT_ONCE: Final = 10_000
_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


@dataclass(frozen=True, slots=True)
class Progress:
    """`phase` is copy, check-source or check-target; `samples` of it so far, of about `expected`."""

    phase: str
    samples: int
    expected: int
    hour: int | None = None


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did. `resumed` tells that an earlier one had begun."""

    points: int
    copied: int
    verified: int
    resumed: bool


class Journal:
    """A line of JSON for the beginning and for each finished hour, each synced before it counts.

    Raises: Conflict where the file belongs to another migration; DataError where it is none.
    """

    def __init__(self, path: Path, source: str, target: str) -> None:
        self._path, self._names = path, {"from": source, "to": target}
        self.hour: int | None = None
        self.begun = False
        self._known = 0
        self._digest = ""
        if path.exists():
            self._read()

    def begin(self, source: Mapping[int, str], numbers: Handles) -> None:
        """Note which number becomes which; where that was noted before, it must still be so. Raises: Conflict."""
        if self.begun and (self._known > len(source) or _digest(source, numbers, self._known) != self._digest):
            raise Conflict(
                f"the points of the stores are not those with which '{self._path}' was begun, so part of the samples "
                "would be under other names; remove that file and what was copied, and begin again"
            )
        mapping = {"points": len(source), "digest": _digest(source, numbers, len(source))}
        self._write({**self._names, **mapping})
        self.begun = True

    def finish(self, hour: int, samples: int) -> None:
        self._write({"hour": hour, "samples": samples})
        self.hour = hour

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> None:
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]  # a stop in the middle of a line leaves part of it
        if len(whole) < len(data):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        for text in whole.splitlines():
            try:
                line = json.loads(text)
                if "from" in line:
                    named, self._known, self._digest = (line["from"], line["to"]), line["points"], line["digest"]
                    self.begun = True
                    if named != (self._names["from"], self._names["to"]):
                        raise Conflict(
                            f"'{self._path}' is the journal of a migration from '{named[0]}' to '{named[1]}'; "
                            "name another file with --journal, or remove it"
                        )
                else:
                    self.hour = int(line["hour"])
            except (ValueError, KeyError, TypeError):
                raise DataError(f"'{self._path}' is no journal of a migration; name another file") from None


def _digest(source: Mapping[int, str], numbers: Handles, count: int) -> str:
    """Of the first `count` points."""
    pairs = list(zip(sorted(source.items()), numbers.tolist(), strict=True))[:count]
    return hashlib.sha256(repr(pairs).encode()).hexdigest()


async def migrate(
    source: HistoryStore,
    target: HistoryStore,
    journal: Journal,
    *,
    add: bool = False,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Migrated:
    """Copy everything. With `add` the target may hold samples of its own, which are left where times differ.

    Raises: Conflict where the target holds other samples, or the two differ at the end; what the stores raise.
    """
    resumed, begun = journal.begun, journal.hour
    points = dict(sorted(source.paths().items()))
    if not resumed and not add and (await target.stats()).samples:
        raise Conflict(
            "the target holds samples already; name an empty one, or add to it with --add (for an equal point and time "
            "the copied sample then wins)"
        )
    numbers = await _register(target, list(points.values()))
    journal.begin(points, numbers)
    translate = np.zeros(max(points, default=0) + 1, np.uint32)
    translate[list(points)] = numbers
    expected = (await source.stats()).samples
    copied = 0
    async for hour, parts in _hours(source, None if begun is None else begun * HOUR_NS):
        here = 0
        async for batch in parts:
            for piece in pieces(batch):
                await target.append([_renumbered(piece, translate)])
                here += len(piece)
                tell(Progress("copy", copied + here, expected, hour))
        copied += here
        journal.finish(hour, here)
    left = await _tally(source, np.arange(len(translate), dtype=np.uint32), "check-source", expected, tell)
    # The target's numbers back to the source's; -1 for points that only the target has.
    size = max(target.paths(), default=0) + 1
    back = np.full(size, len(translate), np.uint32)
    back[numbers] = np.array(list(points), np.uint32)
    right = await _tally(target, back, "check-target", expected, tell, only=numbers if add else None)
    _compare(left, right, points, add)
    return Migrated(len(points), copied, int(left.counts.sum()), resumed)


async def _register(target: HistoryStore, paths: Sequence[str]) -> Handles:
    parts = [await target.register(paths[at : at + REGISTER_AT_ONCE]) for at in range(0, len(paths), REGISTER_AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint32)


async def _hours(source: HistoryStore, start_ns: int | None) -> AsyncIterator[tuple[int, AsyncIterator[Batch]]]:
    """A scan, hour by hour; each hour is read to its end before the next."""
    scan = source.scan(None, start_ns)
    following: Batch | None = await anext(scan, None)

    async def one(hour: int) -> AsyncIterator[Batch]:
        nonlocal following
        while following is not None and _hour(following) == hour:
            yield following
            following = await anext(scan, None)

    while following is not None:
        hour = _hour(following)
        yield hour, one(hour)


def _hour(batch: Batch) -> int:
    return int(batch.source_ns[0]) // HOUR_NS


def _renumbered(batch: Batch, translate: Handles) -> Batch:
    return Batch(
        batch.kind, translate[batch.handles], batch.source_ns, batch.received_ns, batch.values, batch.quality
    )  # fmt: skip


def pieces(batch: Batch) -> Iterator[Batch]:
    """Parts that any store takes in one call."""
    if batch.kind is ValueKind.TEXT:
        sizes = np.cumsum(np.strings.str_len(batch.values).astype(np.int64) * 4)
        begin = 0
        while begin < len(batch):
            done = int(sizes[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(sizes, done + APPEND_TEXT_BYTES, "right")))
            yield batch.take(slice(begin, end))
            begin = end
        return
    for begin in range(0, len(batch), APPEND_SAMPLES):
        yield batch.take(slice(begin, begin + APPEND_SAMPLES))


@dataclass(frozen=True, slots=True)
class Tally:
    """Of each point, by the source's number: how many samples, and the sum of their checksums. Shape: (points + 1,)."""

    counts: NDArray[np.int64]
    sums: NDArray[np.uint64]

    def add(self, batch: Batch, number: Handles) -> None:
        starts = starts_of(batch.handles)
        at = number[batch.handles[starts]]
        np.add.at(self.counts, at, np.diff(np.append(starts, len(batch))))
        np.add.at(self.sums, at, np.add.reduceat(checksums(batch), starts))


def checksums(batch: Batch) -> NDArray[np.uint64]:
    """One number a sample, of all that it is but its point. Shape: (count,) uint64."""
    if batch.kind is ValueKind.TEXT:
        values = np.array([zlib.crc32(text.encode()) for text in batch.values.tolist()], np.uint64)
    elif batch.kind is ValueKind.FLOAT64:
        values = np.where(np.isnan(batch.values), np.nan, batch.values).view(np.uint64)
    else:
        values = batch.values.astype(np.int64).view(np.uint64)
    mixed = np.full(len(batch), int(batch.kind), np.uint64)
    for column in (values, batch.source_ns.view(np.uint64), batch.received_ns.view(np.uint64), batch.quality):
        mixed = (mixed ^ column.astype(np.uint64)) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed


async def _tally(
    store: HistoryStore,
    number: Handles,
    phase: str,
    expected: int,
    tell: Callable[[Progress], None],
    only: Handles | None = None,
) -> Tally:
    size = int(number.max(initial=0)) + 2
    tally = Tally(np.zeros(size, np.int64), np.zeros(size, np.uint64))
    seen = 0
    async for batch in store.scan(only):
        await asyncio.to_thread(tally.add, batch, number)
        seen += len(batch)
        tell(Progress(phase, seen, expected))
    return tally


def _compare(left: Tally, right: Tally, points: Mapping[int, str], add: bool) -> None:
    """Raises: Conflict that names a point that differs."""
    for number, path in points.items():
        had, has = int(left.counts[number]), int(right.counts[number])
        same = has >= had if add else has == had and left.sums[number] == right.sums[number]
        if not same:
            raise Conflict(
                f"'{path}' has {had} samples in the source and {has} in the target"
                + ("" if has != had else ", and not the same ones")
                + "; was one of them written meanwhile? Run the migration again"
            )
    others = int(right.counts.sum()) - int(right.counts[list(points)].sum())
    if others:
        raise Conflict(f"the target has {others} samples of points that the source does not know")
