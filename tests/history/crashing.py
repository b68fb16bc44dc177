"""A child that appends and says what was acknowledged, until it is killed. Run with a directory and a seed.

Each line on stdout is `<first> <count>`: samples first … first + count - 1 of every point are durable. Sample k of a
point has the value k + point / 10 and the time BASE_NS + k × STEP_NS, so the reader can tell what should be there.
"""

import asyncio
import random
import sys
from pathlib import Path

import numpy as np

from headrace.history import HistorySettings, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock

BASE_NS = 1_780_000_000 * SECOND_NS
STEP_NS = 7 * SECOND_NS
POINTS = 5
SETTINGS = HistorySettings(
    memtable_samples=1500, slice_samples=400, chunk_samples=256, fragments_max=2, housekeeping_s=0.01,
    close_after_s=0, compaction_duty=1.0,
)  # fmt: skip


def samples(first: int, count: int) -> Batch:
    index = np.repeat(np.arange(first, first + count, dtype=np.int64), POINTS)
    handles = np.tile(np.arange(POINTS, dtype=np.uint32), count)
    return Batch.of(ValueKind.FLOAT64, handles, BASE_NS + index * STEP_NS, np.round(index + handles / 10, 1))


async def main(directory: Path, seed: int) -> None:
    rng = random.Random(seed)
    store = await open_store(directory, SETTINGS, SystemClock())
    handles = await store.register([f"p{n}" for n in range(POINTS)])
    newest = await store.latest(handles)
    at = int((newest[0].source_ns.max() - BASE_NS) // STEP_NS) + 1 if newest else 0
    while True:
        count = rng.choice([1, 3, 40, 120])
        await store.append([samples(at, count)])
        sys.stdout.write(f"{at} {count}\n")
        sys.stdout.flush()
        if at > 200 and rng.random() < 0.2:
            early = rng.randrange(at - 200)
            await store.append([samples(early, 5)])  # the same again, late
        at += count


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
