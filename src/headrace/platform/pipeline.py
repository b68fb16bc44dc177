"""The whole flow on one screen.

    devices ─► links ─► bus ─┬─ keep   ─► history     waits for the disk: a full queue slows the field, loses nothing
                             ├─ show   ─► live table  newest wins: a full queue drops the oldest, and counts
                             └─ judge  ─► alarms      waits: no sample passes unjudged
                                            ▲
                                    tick ───┘         stale points and delays need time to pass

    peers that wait ─► take ─► history ─► bus ─► show, judge       answered when it is on disk

At an edge the spool stands where history is.

Consumers start first and stop last: `run` returns when the bus is closed and everything queued has been stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from headrace.model.batch import Batch
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.sdk.bus import Bus, Overflow, Subscription
from headrace.sdk.clock import Clock
from headrace.sdk.intake import NO_MARKS, Mark, halves
from headrace.sdk.services import LiveValues
from headrace.sdk.store import SampleStore

log = logging.getLogger(__name__)

STORE_RETRY_S = 1.0


class Judge(Protocol):
    """What `compute/` offers to the flow."""

    async def take(self, batches: Sequence[Batch]) -> object: ...

    async def tick(self, now_ns: int) -> object: ...


class Pipeline:
    """Subscribes at once, so that nothing published after construction is missed; `run` moves the samples."""

    def __init__(
        self,
        bus: Bus,
        store: SampleStore,
        live: LiveValues,
        judge: Judge,
        clock: Clock,
        *,
        capacity: int,
        commit_interval_s: float,
        tick_s: float,
    ) -> None:
        self._store, self._live, self._judge, self._clock = store, live, judge, clock
        self._commit_interval_s, self._tick_s = commit_interval_s, tick_s
        self._bus = bus
        self._to_keep = bus.subscribe("keep", capacity=capacity, overflow=Overflow.BLOCK, stored=False)
        self._to_show = bus.subscribe("show", capacity=capacity, overflow=Overflow.DROP_OLDEST)
        self._to_judge = bus.subscribe("judge", capacity=capacity, overflow=Overflow.BLOCK)
        self._kept = asyncio.Condition()
        self._handled = 0  # samples that `keep` has stored or given up
        self.stored = self.taken = 0  # samples; by way of the bus, and by way of `take`
        self.quarantined = 0
        self.first_sample_s: float | None = None

    async def run(self) -> None:
        """Until the bus is closed and drained."""
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(self._tick(), name="tick")
            flows = [
                tasks.create_task(self._keep(self._to_keep), name="keep"),
                tasks.create_task(self._show(self._to_show), name="show"),
                tasks.create_task(self._judge_all(self._to_judge), name="judge"),
            ]
            await asyncio.gather(*flows)
            ticking.cancel()

    async def take(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        """`sdk.intake.Intake`. Alarms and screens see a sample after it is on disk, never one that was refused."""
        await self._store.append(batches, marks)
        self.taken += sum(map(len, batches))
        await self._bus.publish(batches, stored=True)

    async def settled(self) -> None:
        """Returns once everything that was published before is in history, or was given up."""
        target = self._to_keep.counters.published
        async with self._kept:
            await self._kept.wait_for(lambda: self._handled >= target)

    async def _keep(self, queue: Subscription) -> None:
        async for batches in queue:
            await self._store_durably(batches)
            async with self._kept:
                self._handled += sum(map(len, batches))
                self._kept.notify_all()
            await asyncio.sleep(self._commit_interval_s)

    async def _store_durably(self, batches: Sequence[Batch]) -> None:
        """Try until it is on disk; while the disk is full the queue fills, and the field slows down.

        A call that the store refuses is halved until the wrong sample stands alone: it is counted, the rest is kept.
        """
        said = False
        while True:
            try:
                await self._store.append(batches)
                self.stored += sum(len(batch) for batch in batches)
                if said:
                    log.warning("history takes samples again")
                return
            except (LimitReached, DataError) as error:  # too large at once, or one sample spoils the call
                first, second = halves(batches)
                if second:
                    await self._store_durably(first)
                    await self._store_durably(second)
                else:
                    self.quarantined += 1
                    if self.quarantined == 1 or self.quarantined % 1000 == 0:
                        log.error("%d samples could not be stored so far; the last: %s", self.quarantined, error)
                return
            except Unavailable as error:
                if not said:
                    log.error("history takes no samples for now; they wait in the queue: %s", error)
                    said = True
                await asyncio.sleep(STORE_RETRY_S)

    async def _show(self, queue: Subscription) -> None:
        async for batches in queue:
            self._live.update(batches)
            if self.first_sample_s is None:
                self.first_sample_s = self._clock.monotonic_s()

    async def _judge_all(self, queue: Subscription) -> None:
        async for batches in queue:
            await self._judge.take(batches)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._tick_s)
            await self._judge.tick(self._clock.now_ns())
