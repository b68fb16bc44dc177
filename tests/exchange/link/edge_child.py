"""An edge in a process of its own, until it is killed. Run with a folder (spool, identity), a port, the first sample,
the samples of an append and the seconds between two.

Lines on stdout: `a <first> <count>` for samples first …, once they are durable in the spool; `up`, `down` for the link.
Without a pause it appends once, and says `clean` when the hub has everything.
Sample k has the source time 1,000,000 + k and is of point k modulo 3.
"""

import asyncio
import sys
import time
from pathlib import Path

import numpy as np
import uvloop
from tests.exchange.link.ends import PREFIX, Role
from tests.exchange.link.hub_child import say

from headrace.exchange.link import EdgeLink, LinkSettings
from headrace.exchange.link.dial import Address
from headrace.exchange.link.enrol import Identity
from headrace.exchange.spool import SpoolSettings, open_spool
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.clock import SystemClock

SETTINGS = LinkSettings(silence_s=2.0)


async def main(folder: Path, host: str, port: int, at: int, count: int, pause_s: float) -> None:
    spool = await open_spool(folder / "spool", SpoolSettings(reserve_bytes=0), SystemClock())
    await spool.register([f"{PREFIX}/p{n}" for n in range(3)])
    link = EdgeLink(Address(host, port), Identity(folder / "identity"), spool, Role(), SystemClock(), SETTINGS)
    running = asyncio.create_task(link.run())
    connected = False
    while not running.done():
        index = np.arange(at, at + count, dtype=np.int64)
        await spool.append([Batch.of(ValueKind.FLOAT64, index % 3, 1_000_000 + index, index / 10, 0, time.time_ns())])
        say("a", at, count)
        at += count
        if link.status().connected is not connected:
            connected = not connected
            say("up" if connected else "down")
        if not pause_s:  # only what is there already
            while spool.status().pending_samples or not link.status().connected:
                await asyncio.sleep(0.02)
            say("clean")
            await running
        await asyncio.sleep(pause_s)
    await running


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        folder, host, port, at, count, pause_s = sys.argv[1:]
        runner.run(main(Path(folder), host, int(port), int(at), int(count), float(pause_s)))
