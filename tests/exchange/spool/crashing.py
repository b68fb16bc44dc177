"""A child that fills a spool, and lets a pretended hub have some of it, until it is killed.

Run with a directory and a seed. Lines on stdout, each of something that is durable:

    a <first> <count>      samples first … first + count − 1: value k, time BASE_NS + k
    p <epoch> <live> <spans as first-last, comma> a plan was made, given what the hub holds
    h <epoch> <lane> <sequence>  the hub took a frame (it was told so before this line)
"""

import asyncio
import random
import sys
from pathlib import Path

import numpy as np

from headrace.exchange.spool import Overflow, SpoolSettings, open_spool
from headrace.exchange.spool.state import Held
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.clock import SystemClock

BASE_NS = 1_780_000_000_000_000_000
SETTINGS = SpoolSettings(bytes_max=64 * 1024**2, segment_bytes=4096, overflow=Overflow.BLOCK, recent_bytes=8192)


def samples(first: int, count: int) -> Batch:
    index = np.arange(first, first + count, dtype=np.int64)
    return Batch.of(ValueKind.INT64, index % 3, BASE_NS + index, index)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(directory: Path, seed: int, at: int, held: Held) -> None:
    rng = random.Random(seed)
    spool = await open_spool(directory, SETTINGS, SystemClock())
    await spool.register([f"p{n}" for n in range(3)])
    plan = await spool.resume(held)
    say("p", plan.epoch, plan.live_from, ",".join(f"{a}-{b}" for a, b in plan.backlog))
    held = Held(plan.epoch, 0, plan.live_from - 1, plan.urgent_from - 1)
    while True:
        count = rng.choice([1, 5, 60])
        await spool.append([samples(at, count)])
        say("a", at, count)
        at += count
        if rng.random() < 0.3 and (number := plan.backlog.next_from(held.backlog + 1)) is not None:
            for entry in (await spool.read(number, 1, "backlog"))[:1]:
                held = Held(held.epoch, entry.sequence, held.live, held.urgent)
                say("h", held.epoch, "backlog", entry.sequence)
        elif held.live < spool.last:
            held = Held(held.epoch, held.backlog, held.live + 1, held.urgent)
            say("h", held.epoch, "live", held.live)
        spool.acked(held)
        if rng.random() < 0.2:
            await spool.trim()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Held(*map(int, sys.argv[4].split(",")))))
