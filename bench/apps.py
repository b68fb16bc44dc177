"""What it costs that apps run in processes of their own, behind fences: calls, asks, samples, the start.

    call        a route that answers at once, from the platform to the app and back (processor time of both)
    ask         of it, what one ask of a table adds
    samples     given to a handler that looks at nothing; and to one that keeps the newest in a table
    start       from nothing to ready, once the nursery is warm, and what a process holds in memory

The peer of a call is the same route within this process: what the fences cost is the difference.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bench.harness import Measure

if TYPE_CHECKING:
    from headrace.hosting.process import AppProcess

CALLS: Final = 3_000
SAMPLES: Final = 50_000
PIECES: Final = 40
MEBI: Final = 1024 * 1024
SOURCE: Final = """
from headrace.sdk.apps import App, Statement

app = App()


@app.route("GET", "/nothing")
async def nothing(ctx, request):
    return {"answer": 42}


@app.route("GET", "/row")
async def row(ctx, request):
    return {"answer": (await ctx.tables.query("SELECT 42")).rows[0][0]}


@app.samples("**")
async def look(ctx, samples):
    pass


@app.samples("**")
async def keep(ctx, samples):
    newest = {}
    for batch in samples.batches:
        newest.update(zip(batch.handles.tolist(), batch.values.tolist(), strict=True))
    rows = [(samples.paths[handle], value) for handle, value in newest.items()]
    await ctx.tables.write(Statement("INSERT OR REPLACE INTO newest VALUES (?, ?)", many=rows))
"""


class House:
    """Answers what an app asks of its tables, and nothing else."""

    def __init__(self, folder: Path) -> None:
        from headrace.hosting.tables import AppTables

        schema = {"0001-newest.sql": "CREATE TABLE newest (path TEXT PRIMARY KEY, value REAL)"}
        self.tables = AppTables(folder, schema, megabytes=100, call_s=10)

    def stamp(self) -> tuple[int, int]:
        return time.time_ns(), 1

    async def answer(self, what: str, values: Sequence[object]) -> object:
        if what == "tables.query":
            return await self.tables.query(str(values[0]), values[1])  # type: ignore[arg-type]
        return await self.tables.write(values[0])  # type: ignore[arg-type]

    def logged(self, lines: Sequence[str]) -> None:
        raise RuntimeError(str(lines))


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    yield from asyncio.run(_measured())


async def _measured() -> list[Measure]:
    async with _started():
        pass  # the nursery is warm
    found: list[Measure] = []
    async with _started() as (process, start_s):
        here, there = await _calls(process, 0), await _alone()
        found += [
            Measure(
                "a route, there and back", here, "µs of CPU", there, "the same function in this process", "<= 1000"
            ),
            Measure("… and one ask of a table", await _calls(process, 1) - here, "µs of CPU", target="<= 1000"),
            Measure("ready, from a warm nursery", start_s, "s"),
            Measure("memory of a process, beside what all apps share", _own_bytes(process) / MEBI, "MiB"),
            Measure("samples to a handler", await _samples(process, 0), "samples/CPU-s", target=">= 1000000"),
            Measure("… that keeps the newest of 1,000 points in a table", await _samples(process, 1), "samples/CPU-s"),
        ]
    return found


@asynccontextmanager
async def _started() -> AsyncIterator[tuple[AppProcess, float]]:
    from headrace.hosting.process import AppProcess
    from headrace.sdk.clock import SystemClock

    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        await house.tables.open()
        hello = {
            "app": "bench", "tenant": "default", "module": "app", "package": "the_app", "imports": [],
            "sources": {"app.py": SOURCE.encode()}, "settings": {}, "memory_bytes": 256_000_000, "trusted": False,
            "open_fences": True,
        }  # fmt: skip
        before_s = time.perf_counter()
        process = await AppProcess.start(hello, house, SystemClock())  # type: ignore[arg-type]
        try:
            yield process, time.perf_counter() - before_s
        finally:
            await process.kill("measured")
            await house.tables.close()


async def _calls(process: AppProcess, route: int) -> float:
    """µs of CPU of both for a call, the median of five runs."""
    fields = {
        "method": "GET", "path": "/", "params": {}, "query": {}, "body": b"", "media_type": "", "user": "anna",
        "language": "en",
    }  # fmt: skip
    rates = []
    for _ in range(5):
        before_s = _cpu_s(process)
        for _ in range(CALLS // 5):
            await process.call("request", [route, fields], within_s=10)
        rates.append((_cpu_s(process) - before_s) / (CALLS // 5) * 1e6)
    return statistics.median(rates)


async def _alone() -> float:
    from headrace.sdk.apps import Reply

    async def nothing() -> object:
        return {"answer": 42}

    before_s = time.process_time()
    for _ in range(CALLS):
        Reply.of(await nothing())
    return (time.process_time() - before_s) / CALLS * 1e6


async def _samples(process: AppProcess, handler: int) -> float:
    import numpy as np

    from headrace.model.batch import Batch, ValueKind
    from headrace.sdk.apps import Samples

    handles = np.tile(np.arange(1_000, dtype=np.uint32), SAMPLES // 1_000)
    times = np.arange(SAMPLES, dtype=np.int64)
    batch = Batch.of(ValueKind.FLOAT64, handles, times, np.arange(SAMPLES) * 0.5)
    given = Samples([batch], {handle: f"acme/line-1/press-{handle}/count" for handle in range(1_000)})
    rates = []
    for _ in range(5):
        before_s = _cpu_s(process)
        for _ in range(PIECES // 5):
            await process.call("samples", [handler, given], within_s=60)
        rates.append(SAMPLES * (PIECES // 5) / max(_cpu_s(process) - before_s, 1e-6))
    return statistics.median(rates)


def _cpu_s(process: AppProcess) -> float:
    """Of this process and the app's."""
    times, own = psutil.Process(process.pid).cpu_times(), os.times()
    return times.user + times.system + own.user + own.system


def _own_bytes(process: AppProcess) -> int:
    return int(psutil.Process(process.pid).memory_full_info().uss)
