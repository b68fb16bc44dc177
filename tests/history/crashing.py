"""A child that does everything a historian does, at once, and says what was acknowledged, until it is killed.

Run with a directory, a backup target and a seed. Lines on stdout, each of something that is durable:

    a <first> <count>           samples first … first + count - 1 of every point
    A <first> <count>           the same, asked for
    D, d <point> <first> <count>   deletion of these samples of a point: asked for, done
    B, b <name>                 a backup was asked for / is complete

Sample k of a point has the value k + point / 10 and the time BASE_NS + k × STEP_NS, so the reader can tell what should
be there; the mark of "child" is k + 1 for the newest k. Single samples of 1990 are there for the retention to take.
"""

import asyncio
import random
import sys
from pathlib import Path

import numpy as np

from headrace.history import HistorySettings, open_store
from headrace.history.backup import back_up, ship_logs
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.intake import Mark

BASE_NS = 1_780_000_000 * SECOND_NS
STEP_NS = 7 * SECOND_NS
POINTS = 5
YEAR_NS = 365 * 24 * 3600 * SECOND_NS
RETIRED_NS = 20 * YEAR_NS  # from 1970; beyond the retention
SETTINGS = HistorySettings(
    memtable_samples=1500, slice_samples=400, chunk_samples=256, fragments_max=2, housekeeping_s=0.01,
    close_after_s=0, compaction_duty=1.0, archive_logs=True,
    raw_retention_ns=25 * YEAR_NS, rollup_retention_ns=26 * YEAR_NS,
)  # fmt: skip


def samples(first: int, count: int) -> Batch:
    index = np.repeat(np.arange(first, first + count, dtype=np.int64), POINTS)
    handles = np.tile(np.arange(POINTS, dtype=np.uint32), count)
    return Batch.of(ValueKind.FLOAT64, handles, BASE_NS + index * STEP_NS, np.round(index + handles / 10, 1))


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(directory: Path, target: Path, seed: int) -> None:
    rng = random.Random(seed)
    clock = SystemClock()
    store = await open_store(directory, SETTINGS, clock)
    handles = await store.register([f"p{n}" for n in range(POINTS)])
    newest = await store.latest(handles)
    at = int((newest[0].source_ns.max() - BASE_NS) // STEP_NS) + 1 if newest else 0

    async def keep_backing_up() -> None:
        while True:
            say("B")
            made = await back_up(store, target, clock, keep=3, duty=1.0)
            say("b", made.manifest.name)
            await ship_logs(store, target)

    backing_up = asyncio.create_task(keep_backing_up())
    while not backing_up.done():
        count = rng.choice([1, 3, 40, 120])
        batch = samples(at, count)
        out_of_order = batch.take(rng.sample(range(len(batch)), len(batch)))
        await store.append([out_of_order], {"child": Mark(1, at + count)})
        say("a", at, count)
        at += count
        what = rng.random()
        if at > 200 and what < 0.2:
            early = rng.randrange(at - 200)
            say("A", early, 5)
            await store.append([samples(early, 5)])  # again, late: what was deleted is there once more
            say("a", early, 5)
        elif at > 200 and what < 0.3:
            point, early = rng.randrange(POINTS), rng.randrange(at - 200)
            say("D", point, early, 20)
            begin = BASE_NS + early * STEP_NS
            await store.delete(np.array([point], np.uint32), begin, begin + 20 * STEP_NS)
            say("d", point, early, 20)
        elif what < 0.4:
            old = Batch.of(ValueKind.FLOAT64, [0], RETIRED_NS + at, -1.0)
            await store.append([old])  # for the retention to take away
        elif what < 0.42:
            await store.flush()
    await backing_up


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
