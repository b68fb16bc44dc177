"""Stream functions on workers, for a running platform: it feeds them what it stores, and takes what they make.

    bus ─► feeder ─► <subject>.work.*      workers      <subject>.made.* ─► is it wanted? ─► intake, with the position
             ▲ what was missed: history                                                      in the same commit

While the NATS server cannot be reached nobody waits for it, and nothing is lost: see `compute/streams/feeding.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

from headrace.compute.streams.desk import StreamDesk
from headrace.compute.streams.feeding import Feeder
from headrace.exchange.nats import NatsSettings
from headrace.exchange.nats_work import SharedWork
from headrace.exchange.numbering import Numbering
from headrace.model.batch import Batch
from headrace.model.errors import DataError, HeadraceError, LimitReached
from headrace.sdk.clock import Clock
from headrace.sdk.intake import NO_MARKS, Intake, Mark, halves
from headrace.sdk.store import SampleStore

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0


class SharedStreams:
    """`run` until the bus is closed; `start` first."""

    def __init__(
        self, settings: NatsSettings, feeder: Feeder, desk: StreamDesk, store: SampleStore, intake: Intake,
        numbering: Numbering, clock: Clock,
    ) -> None:  # fmt: skip
        self._settings, self._feeder, self._desk = settings, feeder, desk
        self._store, self._intake, self._numbering, self._clock = store, intake, numbering, clock
        self._source = f"stream-work/{settings.stream}"
        self.quarantined = 0

    async def start(self) -> None:
        self._desk.elsewhere.state = f"not connected to {', '.join(self._settings.servers)} yet"
        await self._feeder.start()

    async def run(self) -> None:
        beside = [
            asyncio.create_task(self._feeder.keep(), name="stream-work-marks"),
            asyncio.create_task(self._connected(), name="stream-work"),
        ]
        try:
            await self._feeder.gather()
        finally:
            for task in reversed(beside):  # who keeps the marks ends last
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _connected(self) -> None:
        await self._desk.looked.wait()
        said = ""
        while True:
            try:
                path_of = self._numbering.path_of
                async with SharedWork.connect(self._settings, name="platform", path_of=path_of) as shared:
                    self._desk.elsewhere.state = said = ""
                    log.info("workers of stream functions are fed by way of %s", ", ".join(self._settings.servers))
                    await _first_to_fail(self._feeder.give(shared.publish), self._take(shared))
            except HeadraceError as error:
                if str(error) != said:
                    log.warning("workers of stream functions wait: %s", error)
                self._desk.elsewhere.state = said = str(error)
            await self._clock.sleep(RETRY_S)

    async def _take(self, shared: SharedWork) -> None:
        held = self._store.marks().get(self._source)
        begin = held.sequence if held is not None and held.epoch == shared.created else 0
        async for at, results in shared.made(begin):
            batches: list[Batch] = []
            for one in results:
                batches += await self._desk.elsewhere.admit(*of_label(one.label), one.paths, one.batches)
            if results:
                await self._stored(batches, {self._source: Mark(shared.created, at)})

    async def _stored(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        """What the store refuses is halved until the wrong sample stands alone, and counted."""
        try:
            await self._intake.take(batches, marks)
        except (DataError, LimitReached) as error:
            first, second = halves(batches)
            if second:
                await self._stored(first)
                await self._stored(second)
            else:
                self.quarantined += 1
                if self.quarantined == 1 or self.quarantined % 1000 == 0:
                    log.error("%d results of workers could not be stored; the last: %s", self.quarantined, error)
            if marks:
                await self._intake.take([], marks)


def label_of(name: str, version: str, sha256: str) -> str:
    """By what results were made; as the header of a message takes it."""
    return f"{quote(name, safe='')} {quote(version, safe='')} {sha256}"


def of_label(label: str) -> tuple[str, str, str]:
    """The inverse; of anything else, names that nothing has."""
    name, _, rest = label.partition(" ")
    version, _, sha256 = rest.partition(" ")
    return unquote(name), unquote(version), sha256


async def _first_to_fail(*works: Coroutine[Any, Any, None]) -> None:
    """Both go on until one raises, which is raised here."""
    tasks = [asyncio.create_task(one) for one in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
