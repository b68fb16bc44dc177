"""After kill -9 in the middle of windows, again and again, history holds what an uninterrupted run gives."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.compute.streams import child
from tests.compute.streams.child import PATHS, T0
from tests.properties import drawn_seed

from headrace.compute.streams import keeping
from headrace.compute.streams.engine import Engine
from headrace.compute.streams.feeds import LiveFeed
from headrace.compute.streams.job import Job, StoreOutputs
from headrace.compute.streams.stretch import run_over
from headrace.exchange.local import LocalBus
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import MINUTE_NS, SECOND_NS
from headrace.sdk import columns_wire
from headrace.sdk.clock import SystemClock
from headrace.sdk.stream import reduced

ROOT = Path(__file__).parents[3]


class FixedClock(SystemClock):
    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns


async def held(folder: Path) -> dict[tuple[str, int], bytes]:
    store = await child.open_history(folder)
    paths, found = store.paths(), {}
    async for batch in store.scan():
        for handle, at, value in zip(batch.handles.tolist(), batch.source_ns.tolist(), batch.values, strict=True):
            assert (paths[handle], at) not in found
            found[paths[handle], at] = value.tobytes()
    await store.close()
    return found


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.compute.streams.child", str(folder), str(seed)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.seeded
async def test_killed_again_and_again_the_results_are_those_of_one_run(tmp_path: Path) -> None:
    seed = drawn_seed()
    chance, kills = random.Random(seed), 0
    whole = start(tmp_path / "whole", seed)
    told, _ = whole.communicate()
    assert told.split() == ["ready", "done"]
    for _ in range(40):
        process = start(tmp_path / "killed", seed)
        assert process.stdout is not None
        if process.stdout.readline() == "ready\n" and kills < 5:
            await asyncio.sleep(chance.uniform(0.02, 0.4))
            process.kill()
        told, _ = process.communicate()
        if "done" in told:
            break
        kills += 1
    print("kills", kills)
    assert kills >= 1 and "done" in told
    one, other = await held(tmp_path / "whole"), await held(tmp_path / "killed")
    assert len(one) > 4_000 and one == other


@pytest.mark.seeded
async def test_the_state_is_whole_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.state"
    assert keeping.read(file) is None
    data = columns_wire.encode({"a": [1, {"b": 0.1}]}, {"c": np.arange(5, dtype=np.int32)})
    keeping.write(file, data)
    found = keeping.read(file)
    assert found is not None and found[0] == {"a": [1, {"b": 0.1}]} and found[1]["c"].tolist() == [0, 1, 2, 3, 4]
    seed = drawn_seed()
    chance = random.Random(seed)
    for _ in range(200):
        broken = bytearray(data)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        with pytest.raises(DataError):
            keeping.decode(bytes(broken[: chance.choice([len(broken), chance.randrange(len(broken))])]))


async def test_a_live_job_that_was_away_takes_up_what_it_missed_from_history(tmp_path: Path) -> None:
    function = reduced(
        "m", {"mean": ("oil", "mean", "")}, inputs={"oil": "oil"}, window="10s", lateness="5s", idle="10min"
    )
    store = await child.open_history(tmp_path)
    handles = await store.register(PATHS)

    def second(at: int) -> list[Batch]:
        return [Batch.of(ValueKind.FLOAT64, handles, T0 + at * SECOND_NS, np.arange(len(handles)) * 0.1 + at)]

    async def work(first: int, last: int, missed: range) -> Engine:
        """Some seconds went to history alone while the job was away; some come by the bus."""
        for at in missed:
            await store.append(second(at))
        bus = LocalBus()
        feed = LiveFeed("m", bus, store, FixedClock(T0 + 100 * SECOND_NS), capacity=1_000_000)
        engine = Engine(function)
        job = asyncio.create_task(Job(engine, feed, StoreOutputs(store), tmp_path / "m.state", keep_samples=1).run())
        for at in range(first, last):
            await store.append(second(at))
            await bus.publish(second(at))
        await bus.close()
        await job
        return engine

    assert (await work(0, 27, range(0))).waiting > 0
    engine = await work(44, 70, range(27, 44))
    assert engine.counters.late == 0
    expected = await run_over(function, store, T0, T0 + 60 * SECOND_NS)
    outputs = await store.register(sorted(path for path in store.paths().values() if path.endswith("/mean")))
    found = {}
    async for batch in store.scan(outputs):
        for handle, at, value in zip(batch.handles.tolist(), batch.source_ns.tolist(), batch.values, strict=True):
            found[store.paths()[handle], at] = value
    assert len(outputs) == len(PATHS) // 2 and len(found) == 6 * len(outputs)
    table = expected.table()
    times = table["time"].cast("int64").to_pylist()
    assert (
        dict(zip(zip(table["point"].to_pylist(), times, strict=True), table["value"].to_pylist(), strict=True)) == found
    )
    await store.close()


async def test_a_back_test_reads_history_and_stores_nothing(tmp_path: Path) -> None:
    store = await child.open_history(tmp_path)
    handles = await store.register(PATHS)
    times = T0 + np.arange(7200) * SECOND_NS
    for handle in handles[::-1]:  # point by point: a stretch is put in order of time first
        await store.append([Batch.of(ValueKind.FLOAT64, np.full(7200, handle), times, np.full(7200, 1.0))])
    before = len(store.paths())
    found = await run_over(child.wear, store, T0 + 30 * MINUTE_NS, T0 + 90 * MINUTE_NS)
    table = found.table()
    assert found.counters.taken == 3600 * len(PATHS) and found.counters.late == found.counters.failed == 0
    assert table.num_rows == 2 * 720 * len(PATHS) // 2 and len(store.paths()) == before
    await store.close()
