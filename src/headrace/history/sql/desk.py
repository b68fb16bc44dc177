"""Runs a statement: starts a SQL process, feeds it what it asks of the store, and ends it whatever happens.

run ─► room for one more? ─► process ─► QUERY, TABLES
                                │ SCAN, NEXT ─► store.scan | store.downsample ─► piece
                                └ ANSWER, BYTES ─► SqlAnswer       time limit, cancelling: the process is killed
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import orjson

from headrace.history.records import encode_batches
from headrace.history.sql import frames
from headrace.history.sql.frames import MINUTE_AGGREGATES, Minutes, Tag
from headrace.history.sql.tables import describe
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, HeadraceError, LimitReached, Unavailable
from headrace.model.plant import PlantModel
from headrace.model.time import MINUTE_NS, format_duration
from headrace.sdk.children import bare_environment
from headrace.sdk.nursery import Child, Nursery
from headrace.sdk.store import Aggregate, HistoryReader

PIECE_SAMPLES: Final = 131_072
MINUTE_CELLS: Final = 200_000
DESCRIBED_MAX: Final = 8
#: Arrow's other pools reserve a gigabyte, which counts against the ceiling; what was copied has no threads to lose.
_ENVIRONMENT: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
NURSERY: Final = Nursery("headrace.history.sql.worker", {**bare_environment(), **_ENVIRONMENT})


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """Bounds of each statement, and how many run at once."""

    running_max: int = 2
    seconds: float = 30.0
    memory_bytes: int = 512_000_000
    threads: int = 2
    rows_max: int = 1_000_000
    answer_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """`timezone` is where days begin for `date_trunc`, casts and literals without an offset."""

    sql: str
    timezone: str = "UTC"
    rows_max: int = 10_000
    form: Literal["json", "arrow"] = "json"


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """`body` is JSON or an Arrow stream; `truncated` says that more rows were left; `read` counts the rows scanned."""

    body: bytes
    rows: int
    truncated: bool
    read: int


class SqlDesk:
    def __init__(self, store: HistoryReader, limits: SqlLimits | None = None) -> None:
        self._store, self._limits = store, limits or SqlLimits()
        self._room = asyncio.Semaphore(self._limits.running_max)
        self._described: OrderedDict[int, tuple[PlantModel, int, bytes]] = OrderedDict()

    async def run(self, query: SqlQuery, plant: PlantModel, store: HistoryReader | None = None) -> SqlAnswer:
        """`store` is the history as the caller sees it, where that is not all.

        Raises: DataError for a statement that is wrong or not taken; LimitReached; Unavailable.
        """
        if self._room.locked():
            raise LimitReached(f"{self._limits.running_max} statements are running; try again when one has finished")
        async with self._room:
            reader = self._store if store is None else store
            tables = await self._tables(plant, reader)
            try:
                async with asyncio.timeout(self._limits.seconds):
                    return await self._run(query, tables, plant, reader)
            except TimeoutError:
                limit = format_duration(int(self._limits.seconds * 1e9))
                raise LimitReached(
                    f"this took longer than {limit} and was stopped; name paths, a shorter time, or read `minutes`"
                ) from None

    async def _run(self, query: SqlQuery, tables: bytes, plant: PlantModel, store: HistoryReader) -> SqlAnswer:
        try:
            process = await NURSERY.start()
        except OSError as error:
            raise Unavailable("no SQL process can be started now; try again", detail=str(error)) from None
        conversation = _Conversation(process, store, plant)
        limits = self._limits
        try:
            await conversation.send(
                frames.pack_json(
                    Tag.QUERY,
                    {
                        "sql": query.sql,
                        "timezone": query.timezone,
                        "form": query.form,
                        "rows_max": min(query.rows_max, limits.rows_max),
                        "bytes_max": limits.answer_bytes,
                        "memory_bytes": limits.memory_bytes,
                        "threads": limits.threads,
                    },
                )
            )
            await conversation.send(tables)
            return await conversation.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise LimitReached(
                "the SQL process ended, most likely for want of memory; read a shorter time, fewer points, or "
                "aggregate earlier"
            ) from None
        finally:
            await conversation.close()

    async def _tables(self, plant: PlantModel, store: HistoryReader) -> bytes:
        paths = store.paths()
        kept = self._described.get(id(plant))
        if kept is None or kept[0] is not plant or kept[1] != len(paths):
            snapshot = dict(paths)
            frame = await asyncio.to_thread(lambda: frames.pack(Tag.TABLES, orjson.dumps(describe(plant, snapshot))))
            kept = self._described[id(plant)] = (plant, len(snapshot), frame)
            while len(self._described) > DESCRIBED_MAX:
                self._described.popitem(last=False)
        return kept[2]


class _Conversation:
    """With one process, until it has answered."""

    def __init__(self, process: Child, store: HistoryReader, plant: PlantModel) -> None:
        self._process, self._store, self._plant = process, store, plant
        self._scans: dict[str, AsyncIterator[bytes]] = {}
        self._read = 0

    async def send(self, frame: bytes) -> None:
        self._process.stdin.write(frame)
        await self._process.stdin.drain()

    async def answer(self) -> SqlAnswer:
        rows, truncated, body = 0, False, bytearray()
        while True:
            tag, payload = await self._receive()
            if tag is Tag.SCAN:
                asked = frames.json_of(payload)
                self._scans[asked["scan"]] = self._pieces(asked)
            elif tag is Tag.NEXT:
                scan = self._scans[frames.json_of(payload)["scan"]]
                await self.send(await anext(scan, frames.pack(Tag.END)))
            elif tag is Tag.ANSWER:
                found = frames.json_of(payload)
                rows, truncated = found["rows"], found["truncated"]
            elif tag is Tag.BYTES:
                body += payload
            elif tag is Tag.DONE:
                return SqlAnswer(bytes(body), rows, truncated, self._read)
            else:
                found = frames.json_of(payload)
                kind: type[HeadraceError] = LimitReached if found["limit"] else DataError
                raise kind(found["message"])

    async def close(self) -> None:
        self._process.kill()
        for scan in self._scans.values():
            await cast(Any, scan).aclose()
        await self._process.wait()

    async def _receive(self) -> tuple[Tag, bytes]:
        tag, length = frames.head_of(await self._process.stdout.readexactly(frames.HEAD.size))
        return tag, await self._process.stdout.readexactly(length)

    async def _pieces(self, asked: Mapping[str, Any]) -> AsyncIterator[bytes]:
        start_ns, end_ns = asked["start_ns"], asked["end_ns"]
        handles = None if asked["handles"] is None else np.array(asked["handles"], np.uint32)
        if start_ns >= end_ns or (handles is not None and not len(handles)):
            return
        if asked["table"] == "minutes":
            async for minutes in self._minutes(handles, start_ns, end_ns):
                self._read += len(minutes.handles)
                yield frames.pack(Tag.MINUTES, frames.encode_minutes(minutes))
            return
        waiting: list[Batch] = []
        count = 0
        async for batch in self._store.scan(handles, start_ns, end_ns):
            for at in range(0, len(batch), PIECE_SAMPLES):
                part = batch.take(slice(at, at + PIECE_SAMPLES))
                waiting.append(part)
                count += len(part)
                if count >= PIECE_SAMPLES:
                    self._read += count
                    yield await asyncio.to_thread(_samples, waiting)
                    waiting, count = [], 0
        if waiting:
            self._read += count
            yield await asyncio.to_thread(_samples, waiting)

    async def _minutes(self, handles: Handles | None, start_ns: int, end_ns: int) -> AsyncIterator[Minutes]:
        """Whole minutes that hold samples, points first, in grids of a bounded size."""
        paths, points = self._store.paths(), self._plant.points
        every = sorted(paths) if handles is None else handles.tolist()
        numbers = np.array(
            [h for h in every if paths[h] in points and points[paths[h]].kind is not ValueKind.TEXT], np.uint32
        )
        stats = await self._store.stats()
        if stats.oldest_ns is None or stats.newest_ns is None or not len(numbers):
            return
        start_ns = max(start_ns, stats.oldest_ns) // MINUTE_NS * MINUTE_NS
        end_ns = min(end_ns, stats.newest_ns + 1)
        span_ns = max(1, MINUTE_CELLS // min(len(numbers), 1_000)) * MINUTE_NS
        while start_ns < end_ns:
            until_ns = min(start_ns + span_ns, end_ns)
            for at in range(0, len(numbers), 1_000):
                group = numbers[at : at + 1_000]
                found = await self._minutes_of(group, start_ns, until_ns)
                if len(found.handles):
                    yield found
            start_ns = until_ns

    async def _minutes_of(self, handles: Handles, start_ns: int, end_ns: int) -> Minutes:
        whole_end_ns = -(-end_ns // MINUTE_NS) * MINUTE_NS
        buckets = await self._store.downsample(
            handles, start_ns, whole_end_ns, width_ns=MINUTE_NS, aggregates=MINUTE_AGGREGATES
        )
        filled = buckets.columns[Aggregate.COUNT] > 0
        row, column = np.nonzero(filled)
        columns = {name: buckets.columns[name][filled] for name in MINUTE_AGGREGATES}
        return Minutes(buckets.handles[row], buckets.start_ns[column], columns)


def _samples(batches: list[Batch]) -> bytes:
    return frames.pack(Tag.SAMPLES, encode_batches(batches))
