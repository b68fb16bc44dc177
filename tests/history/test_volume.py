"""Much at once: a hundred thousand points, a point at a thousand samples a second, times far from now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from headrace.history import HistorySettings, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.store import BASE_NS

ROOT = Path(__file__).parents[2]
POINTS, COMMITS = 100_000, 12

CHILD = f"""
import asyncio, json, resource, sys
import numpy as np
from headrace.history import HistorySettings, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import Aggregate

async def main():
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    store = await open_store(sys.argv[1], HistorySettings(memtable_samples=400_000), SystemClock())
    handles = await store.register([f"works/unit-{{n // 100}}/value-{{n % 100}}" for n in range({POINTS})])
    for second in range({COMMITS}):
        at = {BASE_NS} + second * {SECOND_NS}
        await store.append([Batch.of(ValueKind.FLOAT64, handles, at, np.round(handles * 0.1 + second, 1), 0, at + 7)])
    await store.flush()
    await store.compact()
    fleet = await store.downsample(handles, {BASE_NS}, {BASE_NS + HOUR_NS}, count=1, aggregates=[Aggregate.MEAN])
    newest = await store.latest(handles)
    told = {{
        "mean": float(np.nansum(fleet.columns[Aggregate.MEAN])),
        "newest": sum(map(len, newest)),
        "samples": (await store.stats()).samples,
        "grown_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb,
    }}
    await store.close()
    print(json.dumps(told))

asyncio.run(main())
"""


def test_a_hundred_thousand_points_at_once_in_bounded_memory(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "history")],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["newest"] == POINTS
    assert told["samples"] == POINTS * COMMITS
    assert abs(told["mean"] - (np.arange(POINTS) * 0.1 + (COMMITS - 1) / 2).sum()) < 1
    assert told["grown_mb"] < 400


async def test_a_thousand_samples_a_second_of_one_point_come_back_exactly(tmp_path: Path) -> None:
    store = await open_store(tmp_path, HistorySettings(), SystemClock())
    handles = await store.register(["vibration"])
    count = 150_000  # more than two chunks
    times = BASE_NS + np.arange(count, dtype=np.int64) * 1_000_000
    values = np.sin(np.arange(count) / 7.0)
    for start in range(0, count, 10_000):
        part = slice(start, start + 10_000)
        received = int(times[part][-1]) + 12_345
        await store.append([Batch.of(ValueKind.FLOAT64, np.zeros(10_000), times[part], values[part], 0, received)])
    await store.flush()
    got = (await store.raw(handles, BASE_NS, BASE_NS + HOUR_NS, limit=count)).batches
    assert np.array_equal(np.concatenate([batch.source_ns for batch in got]), times)
    assert np.array_equal(np.concatenate([batch.values for batch in got]), values)
    buckets = await store.downsample(handles, BASE_NS, BASE_NS + 150 * SECOND_NS, count=150, aggregates=[Aggregate.MAX])
    assert np.array_equal(buckets.columns[Aggregate.MAX][0], values.reshape(150, 1000).max(axis=1))
    await store.close()


async def test_times_of_the_last_century_and_the_next_are_times_like_others(tmp_path: Path) -> None:
    store = await open_store(tmp_path, HistorySettings(), SystemClock())
    handles = await store.register(["clock"])
    times = np.array([-50 * 365 * DAY_NS, 0, BASE_NS, BASE_NS + 150 * 365 * DAY_NS], np.int64)
    await store.append([Batch.of(ValueKind.INT64, np.zeros(4), times[::-1].copy(), np.array([4, 3, 2, 1]))])
    for _ in range(2):
        (batch,) = (await store.raw(handles, -(2**62), 2**63 - 1)).batches
        assert batch.source_ns.tolist() == times.tolist()
        assert batch.values.tolist() == [1, 2, 3, 4]
        (newest,) = await store.latest(handles)
        assert newest.values.tolist() == [4]
        (then,) = await store.latest(handles, at_ns=BASE_NS)
        assert then.values.tolist() == [3]
        await store.flush()
    await store.close()
