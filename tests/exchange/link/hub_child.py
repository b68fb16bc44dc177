"""A hub in a process of its own, until it is killed. Run with a folder (history, door), a port and the
address to listen on.

Lines on stdout: `ready <port>`, and for every take, once it is durable, `t <lane> <epoch> <times of its samples …>`.
`late <seconds>` tells how old the oldest live sample of a take was when it was durable.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from tests.exchange.link.ends import Desk, SavedDoor

from headrace.exchange.link import EdgeHub
from headrace.history import HistorySettings, open_store
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch
from headrace.model.events import Event
from headrace.sdk.clock import SystemClock
from headrace.sdk.intake import NO_MARKS, Mark


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Telling:
    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store

    async def take(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        await self.store.append(batches, marks)
        if not batches:
            return
        ((source, mark),) = marks.items()
        lane = source.rpartition("/")[2]
        for batch in batches:
            say("t", lane, mark.epoch, *batch.source_ns.tolist())
            if lane == "live":
                say("late", round((time.time_ns() - int(batch.received_ns.min())) / 1e9, 3))


async def publish(events: Sequence[Event]) -> None:
    for event in events:
        say("event", event.id)


async def main(folder: Path, port: int, host: str) -> None:
    store = await open_store(folder / "history", HistorySettings(), SystemClock())
    hub = EdgeHub(store, Telling(store), SavedDoor(folder / "door"), Desk(), publish, SystemClock())
    async with hub.listening(host, port) as where:
        say("ready", where.port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
