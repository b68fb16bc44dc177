"""One of several processes that share a stream function by partitions, wherever they run.

partition ─► engine of its own, one cell for all ─► results told ─► state and position, in one object
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence

import numpy as np

from headrace.compute.streams.calling import Answers, Caller, Work
from headrace.compute.streams.cell import Cell
from headrace.compute.streams.engine import Engine, Made
from headrace.compute.streams.job import Job
from headrace.compute.streams.placing import check_shared
from headrace.exchange.nats import NatsSettings
from headrace.exchange.nats_work import Partition, SharedWork
from headrace.platform.stream_sharing import label_of


class OneAtATime:
    """Several engines, one cell: state travels with each call, so nothing of one is left for another."""

    def __init__(self, caller: Caller) -> None:
        self._caller, self._lock = caller, threading.Lock()

    def __call__(self, work: Work) -> Answers:
        with self._lock:
            return self._caller(work)

    def close(self) -> None:
        """The cell is its owner's to close."""


class Told:
    """Outputs of one partition, to whoever reads what is made."""

    def __init__(self, partition: Partition, label: str) -> None:
        self._partition, self._label = partition, label

    async def put(self, made: Sequence[Made]) -> None:
        batches = [
            one.batch(np.array([self._partition.handle_of(path) for path in one.paths], np.uint32)) for one in made
        ]
        if batches:
            await self._partition.tell(batches, self._label)


async def work(
    source: str, function: str, settings: NatsSettings, *, keep_samples: int = 200_000, model: bytes = b""
) -> None:
    """Until cancelled. Raises: ConfigError for a function that cannot be shared; Unavailable."""
    cell = await asyncio.to_thread(lambda: Cell(source, function, model=model))
    try:
        declared = cell.function
        check_shared(declared)
        caller = OneAtATime(cell)
        label = label_of(declared.name, declared.version, hashlib.sha256(source.encode()).hexdigest())

        async def one(partition: Partition) -> None:
            job = Job(Engine(declared, caller), partition, Told(partition, label), partition, keep_samples=keep_samples)
            await job.run()

        async with SharedWork.connect(settings, name=f"stream {declared.name}") as shared:
            await shared.share(f"{_plain(declared.name)}-{_plain(declared.version)}", one)
    finally:
        await asyncio.to_thread(cell.close)


def _plain(name: str) -> str:
    """As a key of NATS."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"={ord(letter):x}=" for letter in name)
