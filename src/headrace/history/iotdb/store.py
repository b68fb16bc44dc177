"""Apache IoTDB as a historian: the same interface as the embedded store, on one node or on a replicated cluster.

    append ─► sort, newest of equals ─► tablets, one a point ─► requests ─► any node ─► log of a majority ─► returned
    raw, scan ─► SELECT … ALIGN BY DEVICE, page by page ─► batches
    downsample ─► GROUP BY on the servers where that is exact, else samples ─► the arithmetic of `history.buckets`

All calls to the cluster run on a few threads, a session each. The schema and the reasons:
docs/decisions/0017-history-on-iotdb.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np

from headrace.history.buckets import grid_of
from headrace.history.columns import sort_unique
from headrace.history.iotdb.cluster import Cluster, prepare
from headrace.history.iotdb.connection import Connection, Tablet
from headrace.history.iotdb.marks import mark_tablets, read_marks
from headrace.history.iotdb.points import Points
from headrace.history.iotdb.pool import Pool
from headrace.history.iotdb.pushdown import Pushdown, groups
from headrace.history.iotdb.reading import Reading
from headrace.history.iotdb.schema import Names, during, tablets
from headrace.history.iotdb.settings import IotdbSettings
from headrace.history.marks import NEVER, check_marks
from headrace.history.reader import EARLIEST_NS, LATEST_NS
from headrace.model.batch import Batch, Handles
from headrace.model.errors import AccessError, DataError, Unavailable
from headrace.model.time import HOUR_NS
from headrace.sdk.clock import Clock
from headrace.sdk.intake import NO_MARKS, Mark
from headrace.sdk.store import Aggregate, Buckets, Interpolation, Page, StoreStats

Answer = TypeVar("Answer")
DELETE_AT_ONCE: Final = 200
SCAN_ROWS: Final = 200_000
COUNTED_FOR_S: Final = 30.0


class IotdbStore:
    """A `HistoryStore`; made by `open_iotdb`."""

    def __init__(
        self,
        settings: IotdbSettings,
        clock: Clock,
        pool: Pool,
        points: Points,
        cluster: Cluster,
        marks: Mapping[str, Mark],
    ) -> None:
        self._settings, self._clock, self._pool, self._points = settings, clock, pool, points
        self._names = Names(settings.database)
        self._cluster = cluster
        self._threads = ThreadPoolExecutor(settings.sessions, "iotdb")
        self._registering, self._marking = asyncio.Lock(), asyncio.Lock()
        self._marks = dict(marks)
        self._reading = Reading(pool, self._names, settings.query_devices)
        self._pushdown = Pushdown(
            pool, self._names, settings.query_devices, self._reading.latest_at, self._reading.pages
        )
        self._closed = False
        self._appended = self._sent_bytes = 0
        self._counted: tuple[float, int, StoreStats] | None = None

    # --- writing --------------------------------------------------------------------------------------------------

    async def register(self, paths: Sequence[str]) -> Handles:
        self._check_open()
        async with self._registering:
            if any(path not in self._points.handles for path in paths):
                await self._run(lambda: self._points.register(paths))
        return np.array([self._points.handles[path] for path in paths], np.uint32)

    def paths(self) -> Mapping[int, str]:
        """Every point that this process has registered or found when it opened."""
        return MappingProxyType(self._points.paths)

    async def append(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        """Returns when the cluster has made everything durable.

        One call is many requests: one that fails may have stored a part. To append the same again makes it whole, for
        equal samples are one. Marks follow their samples (`marks.py` says what that guarantees).
        """
        self._check_open()
        check_marks(marks)
        if marks:
            async with self._marking:  # calls of one source must not overtake each other
                if any(mark > self._marks.get(source, NEVER) for source, mark in marks.items()):
                    await self._append(batches)
                    await self._run(lambda: self._insert(mark_tablets(marks, self._names)))
                    self._marks.update({s: max(mark, self._marks.get(s, mark)) for s, mark in marks.items()})
            return
        await self._append(batches)

    def marks(self) -> Mapping[str, Mark]:
        return dict(self._marks)

    async def _append(self, batches: Sequence[Batch]) -> None:
        filled = [batch for batch in batches if len(batch)]
        for batch in filled:
            self._check_handles(batch.handles)
        kinds = sorted({batch.kind for batch in filled})
        merged = [Batch.concat([batch for batch in filled if batch.kind is kind]) for kind in kinds]
        requests: list[list[Tablet]] = await self._run(lambda: list(self._requests(merged)))
        await self._together([lambda part=part: self._insert(part) for part in requests])  # type: ignore[misc]
        self._appended += sum(map(len, filled))

    def _requests(self, batches: Sequence[Batch]) -> Iterator[list[Tablet]]:
        """Tablets in requests that the server takes in one piece."""
        part: list[Tablet] = []
        size = 0
        most = self._settings.request_bytes
        for batch in batches:
            for tablet in tablets(sort_unique(batch), self._names, self._settings.tablet_rows, most):
                bytes_ = len(tablet.columns) + len(tablet.times)
                if part and (size + bytes_ > most or len(part) >= self._settings.request_tablets):
                    yield part
                    part, size = [], 0
                part.append(tablet)
                size += bytes_
        if part:
            yield part

    def _insert(self, part: list[Tablet]) -> None:
        try:
            self._pool.call(lambda connection: connection.insert(part))
        except AccessError as error:  # a right or a password that was changed: samples wait until it is mended
            raise Unavailable(error.message) from None
        self._sent_bytes += sum(len(tablet.columns) + len(tablet.times) for tablet in part)

    async def delete(self, handles: Handles, start_ns: int, end_ns: int) -> None:
        self._check_open()
        handles = np.unique(np.asarray(handles, np.uint32))
        self._check_handles(handles)
        if start_ns >= end_ns:
            return
        for group in groups(handles, DELETE_AT_ONCE):
            series = ",".join(f"{self._names.device(handle)}.*" for handle in group.tolist())
            await self._run(lambda s=series: self._execute(f"DELETE FROM {s}{during(start_ns, end_ns)}"))  # type: ignore[misc]

    # --- reading --------------------------------------------------------------------------------------------------

    async def latest(self, handles: Handles, at_ns: int | None = None) -> Sequence[Batch]:
        self._check_open()
        handles = np.unique(np.asarray(handles, np.uint32))
        return await self._run(lambda: self._reading.latest_at(handles, LATEST_NS if at_ns is None else at_ns))

    async def raw(
        self, handles: Handles, start_ns: int, end_ns: int, *, limit: int = 100_000, cursor: str | None = None
    ) -> Page:
        self._check_open()
        handles = np.unique(np.asarray(handles, np.uint32))
        return await self._run(lambda: self._reading.raw(handles, start_ns, end_ns, limit, cursor))

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
        return await self._run(lambda: self._pushdown.run(asked, grid, aggregates, interpolation, good_only))

    async def scan(
        self, handles: Handles | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> AsyncIterator[Batch]:
        at = EARLIEST_NS if start_ns is None else start_ns
        end = LATEST_NS if end_ns is None else end_ns
        every = np.array(sorted(self._points.paths), np.uint32) if handles is None else np.unique(handles)
        chosen = None if handles is None else every
        while at < end:
            self._check_open()
            first = await self._run(lambda a=at: self._reading.first_time(chosen, a, end))  # type: ignore[misc]
            if first is None:
                return
            at, until = max(at, first // HOUR_NS * HOUR_NS), min(end, (first // HOUR_NS + 1) * HOUR_NS)
            for group in groups(every.astype(np.uint32), self._settings.query_devices):
                cursor: str | None = None
                while True:
                    self._check_open()
                    page = await self._run(
                        lambda a=at, u=until, g=group, c=cursor: self._reading.raw(g, a, u, SCAN_ROWS, c)  # type: ignore[misc]
                    )
                    for batch in page.batches:
                        yield batch
                    cursor = page.next_cursor
                    if cursor is None:
                        break
            at = until

    # --- keeping --------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Put what the servers hold in memory into files; for tests and before a back-up."""
        self._check_open()
        await self._run(lambda: self._execute(f"FLUSH {self._names.database}"))

    async def stats(self) -> StoreStats:
        """Samples are counted by the cluster, at most every half minute unless this process has appended."""
        self._check_open()
        now = self._clock.monotonic_s()
        held = self._counted
        if held is None or now - held[0] > COUNTED_FOR_S:
            stats = await self._run(self._count)
            self._counted = held = (now, self._appended, stats)
        counted = held[2]
        return StoreStats(
            points=len(self._points.paths),
            samples=counted.samples + self._appended - held[1],
            appended=self._appended,
            disk_bytes=max(counted.disk_bytes, self._sent_bytes),
            memory_bytes=0,
            segments=counted.segments,
            oldest_ns=counted.oldest_ns,
            newest_ns=counted.newest_ns,
            extra={
                **counted.extra,
                "reconnects": self._pool.reconnects,
                "retries": self._pool.retries,
            },
        )

    def _count(self) -> StoreStats:
        samples, oldest, newest = self._reading.extent()
        regions, disk_bytes, running = self._pool.call(self._cluster.condition)
        return StoreStats(
            points=0,
            samples=samples,
            appended=0,
            disk_bytes=disk_bytes,
            memory_bytes=0,
            segments=regions,
            oldest_ns=oldest,
            newest_ns=newest,
            extra={"nodes_running": running, "replicas": self._cluster.replicas, "regions": regions},
        )

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        await asyncio.to_thread(self._threads.shutdown)

    def _execute(self, statement: str) -> None:
        self._pool.call(lambda connection: connection.execute(statement))

    async def _run(self, question: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, question)

    async def _together(self, work: Sequence[Callable[[], None]]) -> None:
        """All of it, side by side; the first error after all have ended, so that nothing of a call comes later."""
        ended = await asyncio.gather(*(self._run(one) for one in work), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the historian is closed; open it again")

    def _check_handles(self, handles: Handles) -> None:
        unknown = [handle for handle in np.unique(handles).tolist() if handle not in self._points.paths]
        if unknown:
            raise DataError(f"point number {unknown[0]} is not registered; register its path first")


async def open_iotdb(settings: IotdbSettings, clock: Clock) -> IotdbStore:
    """Open the historian in a database of a cluster; the database is made if it is not there.

    Raises: Unavailable where no node answers; AccessError for a wrong user; ConfigError for a cluster that cannot keep
    samples as they are, saying which setting to change.
    """
    pool, names = Pool(settings, clock), Names(settings.database)

    def start() -> tuple[Cluster, Points, dict[str, Mark]]:
        cluster = pool.call(lambda connection: _prepare(connection, names))
        points = Points(pool, names)
        points.load()
        return cluster, points, pool.call(lambda connection: read_marks(connection, names))

    try:
        cluster, points, marks = await asyncio.to_thread(start)
    except BaseException:
        pool.close()
        raise
    return IotdbStore(settings, clock, pool, points, cluster, marks)


def _prepare(connection: Connection, names: Names) -> Cluster:
    return prepare(connection, names)
