"""The flow from bus to rooms: what happens when the disk is full, a batch is wrong, or the end comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from headrace.compute.live import LiveTable
from headrace.exchange.local import LocalBus
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, HeadraceError, LimitReached, Unavailable
from headrace.platform import pipeline as module
from headrace.platform.pipeline import Pipeline
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore


def batch(number: int) -> Batch:
    return Batch.of(ValueKind.INT64, [number], number, [number])


class Judge:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.ticks = 0

    async def take(self, batches: Sequence[Batch]) -> None:
        self.seen += [int(one.values[0]) for one in batches]

    async def tick(self, now_ns: int) -> None:
        self.ticks += 1


class Disk:
    """The one method of a store that the flow uses; fails as told."""

    def __init__(self, failures: list[HeadraceError] | None = None) -> None:
        self.failures = failures or []
        self.kept: list[int] = []

    async def append(self, batches: Sequence[Batch], marks: object = None) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.kept += [int(one.values[0]) for one in batches]


def flow(disk: Disk, judge: Judge, bus: LocalBus, live: LiveTable) -> Pipeline:
    store: HistoryStore = disk  # type: ignore[assignment]
    return Pipeline(bus, store, live, judge, SystemClock(), capacity=1000, commit_interval_s=0.0, tick_s=0.001)


async def run(disk: Disk, count: int = 5) -> tuple[Pipeline, Judge, LiveTable]:
    bus, judge, live = LocalBus(), Judge(), LiveTable()
    pipeline = flow(disk, judge, bus, live)
    running = asyncio.create_task(pipeline.run())
    for number in range(count):
        await bus.publish([batch(number)])
        await asyncio.sleep(0)
    while judge.ticks == 0:
        await asyncio.sleep(0.001)
    await bus.close()
    await running
    return pipeline, judge, live


async def test_everything_queued_is_stored_shown_and_judged_before_the_end() -> None:
    disk = Disk()
    pipeline, judge, live = await run(disk)
    assert disk.kept == judge.seen == [0, 1, 2, 3, 4]
    assert pipeline.stored == 5
    assert live.version > 0


@pytest.mark.clause("62443-3-3 SR 7.2")
async def test_a_full_disk_is_waited_out_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "STORE_RETRY_S", 0.001)
    disk = Disk([Unavailable("the disk is full")] * 3)
    pipeline, _, _ = await run(disk)
    assert disk.kept == [0, 1, 2, 3, 4]
    assert pipeline.stored == 5
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_one_wrong_sample_costs_itself_alone() -> None:
    class Picky(Disk):
        async def append(self, batches: Sequence[Batch], marks: object = None) -> None:
            if any(3 in one.values for one in batches):
                raise DataError("no such point")
            self.kept += [int(value) for one in batches for value in one.values]

    bus, judge, live, disk = LocalBus(), Judge(), LiveTable(), Picky()
    pipeline = flow(disk, judge, bus, live)
    numbers = list(range(6))
    await bus.publish([batch(7), Batch.of(ValueKind.INT64, numbers, numbers, numbers), batch(8)])
    await bus.close()
    await pipeline.run()
    assert disk.kept == [7, 0, 1, 2, 4, 5, 8]
    assert pipeline.stored == 7
    assert pipeline.quarantined == 1


async def test_what_is_too_large_at_once_is_stored_in_parts() -> None:
    class Small(Disk):
        async def append(self, batches: Sequence[Batch], marks: object = None) -> None:
            if sum(len(one) for one in batches) > 2 or any(3 in one.values for one in batches):
                raise LimitReached("too much at once")
            self.kept += [int(value) for one in batches for value in one.values]

    bus, judge, live, disk = LocalBus(), Judge(), LiveTable(), Small()
    pipeline = flow(disk, judge, bus, live)
    numbers = list(range(7))
    await bus.publish([Batch.of(ValueKind.INT64, numbers, numbers, numbers), batch(8)])
    await bus.close()
    await pipeline.run()
    assert disk.kept == [0, 1, 2, 4, 5, 6, 8]
    assert pipeline.quarantined == 1


async def test_what_is_taken_is_on_disk_before_the_answer_and_stored_once() -> None:
    bus, judge, live, disk = LocalBus(), Judge(), LiveTable(), Disk()
    pipeline = flow(disk, judge, bus, live)
    running = asyncio.create_task(pipeline.run())
    await pipeline.take([batch(4)])
    assert disk.kept == [4]
    await bus.publish([batch(5)])
    await bus.close()
    await running
    assert disk.kept == judge.seen == [4, 5]
    assert (pipeline.taken, pipeline.stored) == (1, 1)
    assert live.version > 0


async def test_what_cannot_be_stored_is_neither_answered_nor_shown() -> None:
    bus, judge, live, disk = LocalBus(), Judge(), LiveTable(), Disk([Unavailable("the disk is full")])
    pipeline = flow(disk, judge, bus, live)
    running = asyncio.create_task(pipeline.run())
    with pytest.raises(Unavailable):
        await pipeline.take([batch(4)])
    await bus.close()
    await running
    assert judge.seen == []
    assert pipeline.taken == 0
    assert live.version == 0


async def test_a_fault_in_a_room_is_not_swallowed() -> None:
    bus, live = LocalBus(), LiveTable()

    class Broken(Judge):
        async def take(self, batches: Sequence[Batch]) -> None:
            raise ZeroDivisionError

    pipeline = flow(Disk(), Broken(), bus, live)
    running = asyncio.create_task(pipeline.run())
    await bus.publish([batch(1)])
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(ZeroDivisionError)
