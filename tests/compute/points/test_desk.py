"""Calculated points beside a real history: after a restart, for late samples, on request, while plants change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compute.points.plant import PLANT, T0, Plant, S

from headrace.compute.points import desk as module
from headrace.compute.points.desk import CalculationDesk
from headrace.history import HistorySettings, open_history
from headrace.model.batch import Batch
from headrace.model.errors import DataError, NotFound, Unavailable
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore


class Bench:
    """A plant with a history, and a desk in front of it that stores what it makes at once."""

    def __init__(self, plant: Plant, store: HistoryStore) -> None:
        self.plant, self.store = plant, store
        self.told: list[Batch] = []
        self.desk = self.new_desk()

    def new_desk(self) -> CalculationDesk:
        return CalculationDesk(self.store, SystemClock(), self.publish, self.settled, tick_s=3600)

    async def publish(self, batches: Sequence[Batch]) -> None:
        self.told += batches
        await self.store.append(batches)

    async def settled(self) -> None:
        await asyncio.sleep(0)

    async def configure(self, plant: Plant | None = None) -> None:
        if plant is not None:
            paths = list(plant.model.points)
            plant.handles = dict(zip(paths, map(int, await self.store.register(paths)), strict=True))
            plant.paths = {handle: path for path, handle in plant.handles.items()}
            self.plant = plant
        await self.desk.configure(self.plant.model.calculations, self.plant.model.points, self.plant.handles)

    async def send(self, samples: Sequence[tuple[str, float, Any]]) -> None:
        batches = self.plant.batch(samples)
        await self.store.append(batches)
        made = self.desk.take(batches)
        if made:
            await self.publish(made)

    async def kept(self, path: str) -> list[tuple[float, Any, int]]:
        page = await self.store.raw(np.array([self.plant.handles[path]], np.uint32), T0 - 10**6 * S, T0 + 10**6 * S)
        return self.plant.shown(page.batches).get(path, [])


@asynccontextmanager
async def bench(folder: Path, text: str = PLANT) -> AsyncIterator[Bench]:
    store = await open_history(folder, HistorySettings(), SystemClock())
    one = Bench(Plant(text), store)
    await one.configure(one.plant)
    try:
        yield one
    finally:
        await store.close()


def rows(seconds: Sequence[int]) -> list[tuple[str, float, Any]]:
    return [
        (path, float(at), 60.0 + (at % 7) * (2 if path.endswith("oil") else 1))
        for at in seconds
        for path in ("a/p1/oil", "a/p1/coolant", "a/p2/oil", "a/p2/coolant")
    ]


def near(found: dict[str, list[tuple[float, Any, int]]]) -> dict[str, Any]:
    """Equal but for the last bits: a mean that began elsewhere adds up in another order."""
    return {
        path: [(at, pytest.approx(value, rel=1e-12), code) for at, value, code in some] for path, some in found.items()
    }


NAMES = [f"a/{press}/{name}" for press in ("p1", "p2") for name in ("excess", "mean", "hot")]


async def test_after_a_restart_nothing_is_missing_and_nothing_differs(tmp_path: Path) -> None:
    async with bench(tmp_path / "whole") as whole:
        for at in range(60):
            await whole.send(rows([at]))
        wanted = {path: await whole.kept(path) for path in NAMES}
    async with bench(tmp_path / "cut") as cut:
        for at in range(25):
            await cut.send(rows([at]))
        await cut.store.append(cut.plant.batch(rows([25, 26])))  # stored, and then the machine died
        cut.desk = cut.new_desk()
        await cut.configure()
        for at in range(27, 60):
            await cut.send(rows([at]))
        assert {path: await cut.kept(path) for path in NAMES} == near(wanted)


async def test_late_samples_put_right_what_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_WAIT_S", 0.01)
    late = [("a/p1/oil", 10.5, 90.0), ("a/p1/oil", 11.5, 95.0), ("a/p2/coolant", 20.25, 20.0)]
    async with bench(tmp_path / "whole") as whole:
        for one in sorted(rows(range(40)) + late, key=lambda row: row[1]):
            await whole.send([one])
        wanted = {path: await whole.kept(path) for path in NAMES}
    async with bench(tmp_path / "late") as other:
        for one in rows(range(40)):
            await other.send([one])
        before = {path: await other.kept(path) for path in NAMES}
        await other.send(late)
        running = asyncio.create_task(other.desk.run())
        async with asyncio.timeout(30):
            while other.desk.again < 7 or other.desk.waiting:
                await asyncio.sleep(0.01)
        running.cancel()
        found = {path: await other.kept(path) for path in NAMES}
        assert found != before
        assert found == near(wanted)


async def test_a_backfill_makes_what_would_have_been(tmp_path: Path) -> None:
    async with bench(tmp_path / "whole") as whole:
        for at in range(60):
            await whole.send(rows([at]))
        wanted = {path: [one for one in await whole.kept(path) if 20 <= one[0] < 50] for path in NAMES}
    without = "\n".join(line for line in PLANT.splitlines() if "expression" not in line)
    async with bench(tmp_path / "later", without) as later:
        await later.store.append(later.plant.batch(rows(range(60))))
        await later.configure(Plant())
        assert [at for at, _, _ in await later.kept("a/p1/excess")] == [59.0]  # from now on, and how it stands
        running = asyncio.create_task(later.desk.run())
        job = later.desk.start_backfill(NAMES, T0 + 20 * S, T0 + 50 * S, "li")
        async with asyncio.timeout(30):
            while (state := later.desk.backfills()[0]).finished_ns is None:
                await asyncio.sleep(0.01)
        running.cancel()
        assert (state.id, state.error, state.upto_ns) == (job.id, "", T0 + 50 * S)
        assert state.results == sum(map(len, wanted.values()))
        assert {path: [one for one in await later.kept(path) if one[0] < 59] for path in NAMES} == near(wanted)


class Held:
    """A history whose reading stops before a moment until `go` is set; `stopped` says that it has."""

    def __init__(self, store: HistoryStore, before_ns: int) -> None:
        self.store, self.before_ns = store, before_ns
        self.stopped, self.go = asyncio.Event(), asyncio.Event()

    async def latest(self, handles: Any, at_ns: int | None = None) -> Sequence[Batch]:
        return await self.store.latest(handles, at_ns)

    async def raw(self, handles: Any, start_ns: int, end_ns: int, **more: Any) -> Any:
        return await self.store.raw(handles, start_ns, end_ns, **more)

    async def scan(self, handles: Any, start_ns: int, end_ns: int) -> AsyncIterator[Batch]:
        if end_ns > self.before_ns and not self.go.is_set():
            self.stopped.set()
            await self.go.wait()
        async for batch in self.store.scan(handles, start_ns, end_ns):
            yield batch


@asynccontextmanager
async def told_later(folder: Path, hours: int, before_hour: int) -> AsyncIterator[tuple[Bench, Held]]:
    """Hours of inputs, a sample a minute, of points that were declared afterwards; reading stops before an hour."""
    without = "\n".join(line for line in PLANT.splitlines() if "expression" not in line)
    async with bench(folder, without) as made:
        await made.store.append(made.plant.batch(rows(range(0, hours * 3600, 60))))
        await made.configure(Plant())
        held = Held(made.store, T0 + before_hour * 3600 * S)
        made.desk = CalculationDesk(held, SystemClock(), made.publish, made.settled, tick_s=3600)
        held.go.set()
        await made.configure()
        held.go.clear()
        running = asyncio.create_task(made.desk.run())
        yield made, held
        running.cancel()
        await asyncio.wait([running])


async def ended(desk: CalculationDesk, id: int) -> Any:
    async with asyncio.timeout(30):
        while (job := desk.backfill(id)).finished_ns is None:
            await asyncio.sleep(0.01)
    return job


async def test_a_cancelled_backfill_leaves_whole_slices_and_the_next_one_makes_them_whole(tmp_path: Path) -> None:
    end_ns = T0 + 4 * 3600 * S
    async with told_later(tmp_path / "whole", 4, 9) as (whole, _):
        assert (await ended(whole.desk, whole.desk.start_backfill(NAMES, T0, end_ns, "li").id)).error == ""
        wanted = {path: await whole.kept(path) for path in NAMES}
    async with told_later(tmp_path / "cut", 4, 2) as (cut, held):
        job = cut.desk.start_backfill(NAMES, T0, end_ns, "li")
        async with asyncio.timeout(30):
            await held.stopped.wait()
        assert cut.desk.cancel_backfill(job.id, "anna").cancelled_by == "anna"
        job = await ended(cut.desk, job.id)
        assert job.error.startswith("cancelled by anna; worked out up to ")
        assert T0 < job.upto_ns < T0 + 2 * 3600 * S
        for path in NAMES:
            upto = (job.upto_ns - T0) / S
            assert [one for one in await cut.kept(path) if one[0] < 4 * 3600 - 60] == [
                one for one in wanted[path] if one[0] < upto
            ]
        assert cut.desk.cancel_backfill(job.id, "li") == job  # it has ended already
        held.go.set()
        assert (await ended(cut.desk, cut.desk.start_backfill(NAMES, T0, end_ns, "li").id)).error == ""
        assert {path: await cut.kept(path) for path in NAMES} == wanted


async def test_a_backfill_that_waits_is_cancelled_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    async with told_later(tmp_path, 2, 1) as (one, held):
        first, second, third = (one.desk.start_backfill(NAMES[:1], T0, T0 + 7200 * S, "li") for _ in range(3))
        async with asyncio.timeout(30):
            await held.stopped.wait()
        told = one.desk.cancel_backfill(second.id, "anna")
        assert (told.finished_ns is not None, told.results, told.upto_ns) == (True, 0, T0)
        held.go.set()
        assert [(await ended(one.desk, job.id)).error for job in (first, third)] == ["", ""]
        assert one.desk.backfill(second.id) == told
        with pytest.raises(NotFound, match="no back-fill 9"):
            one.desk.cancel_backfill(9, "li")


async def test_samples_on_their_way_are_stored_before_a_cancelled_backfill_ends(tmp_path: Path) -> None:
    async with told_later(tmp_path, 3, 9) as (one, _):
        on_its_way, go = asyncio.Event(), asyncio.Event()

        async def slow(batches: Sequence[Batch]) -> None:
            on_its_way.set()
            await go.wait()
            await Bench.publish(one, batches)

        one.desk._backfills._publish = slow
        job = one.desk.start_backfill(NAMES[:1], T0, T0 + 3 * 3600 * S, "li")
        async with asyncio.timeout(30):
            await on_its_way.wait()
        assert one.desk.cancel_backfill(job.id, "li").finished_ns is None
        go.set()
        job = await ended(one.desk, job.id)
        upto = (job.upto_ns - T0) / S
        assert job.results == sum(at < upto for at, _, _ in await one.kept(NAMES[0])) > 0
        assert upto < 3 * 3600


async def test_what_cannot_be_backfilled_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        with pytest.raises(NotFound, match=r"'a/p1/oil' is not calculated"):
            one.desk.start_backfill(["a/p1/oil"], T0, T0 + S, "li")
        with pytest.raises(DataError, match="ends after it begins"):
            one.desk.start_backfill(["a/p1/excess"], T0, T0, "li")


async def test_samples_that_come_while_a_new_point_reads_its_past_are_not_missed(tmp_path: Path) -> None:
    """Nothing is left out between what history had and what the new calculator saw first."""

    class Slow:
        def __init__(self, store: HistoryStore) -> None:
            self.store = store
            self.meanwhile: Any = None

        async def latest(self, handles: Any, at_ns: int | None = None) -> Sequence[Batch]:
            return await self.store.latest(handles, at_ns)

        async def raw(self, handles: Any, start_ns: int, end_ns: int, **more: Any) -> Any:
            return await self.store.raw(handles, start_ns, end_ns, **more)

        async def scan(self, handles: Any, start_ns: int, end_ns: int) -> AsyncIterator[Batch]:
            async for batch in self.store.scan(handles, start_ns, end_ns):
                yield batch
            if self.meanwhile is not None:
                meanwhile, self.meanwhile = self.meanwhile, None
                await meanwhile()

    without = "\n".join(line for line in PLANT.splitlines() if "mean:" not in line)
    async with bench(tmp_path, without) as one:
        slow = Slow(one.store)
        one.desk = CalculationDesk(slow, SystemClock(), one.publish, one.settled, tick_s=3600)
        await one.configure()
        await one.send(rows([0]))
        slow.meanwhile = lambda: one.send(rows([1]))
        await one.configure(Plant())
        await one.send(rows([2]))
        assert [at for at, _, _ in await one.kept("a/p1/mean")] == [0, 1, 2]
        assert [at for at, _, _ in await one.kept("a/p1/excess")] == [0, 1, 2]


async def test_a_history_that_does_not_answer_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        async def latest(self, handles: Any, at_ns: int | None = None) -> Sequence[Batch]:
            raise Unavailable("history is away")

        async def raw(self, handles: Any, start_ns: int, end_ns: int, **more: Any) -> Any:
            raise Unavailable("history is away")

        async def scan(self, handles: Any, start_ns: int, end_ns: int) -> AsyncIterator[Batch]:
            raise Unavailable("history is away")
            yield

    async with bench(tmp_path) as one:
        one.desk = CalculationDesk(Away(), SystemClock(), one.publish, one.settled, tick_s=3600)
        await one.configure()
        assert "begin without their past" in caplog.text
        await one.send(rows([0]))
        assert [at for at, _, _ in await one.kept("a/p1/excess")] == [0]


async def test_it_tells_what_it_works_out(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        status = {state.path: state for state in one.desk.status()}
        assert sorted(status) == sorted(one.plant.model.calculations)
        mean = status["a/p2/mean"]
        assert (mean.expression, tuple(mean.inputs), mean.instances) == ("mean(excess, 10s)", ("a/p2/excess",), 3)


async def test_a_fault_while_the_past_is_read_leaves_the_desk_as_it_was(tmp_path: Path) -> None:
    without = "\n".join(line for line in PLANT.splitlines() if "mean:" not in line)
    async with bench(tmp_path, without) as one:
        await one.send(rows([0]))

        async def broken(handles: Any, at_ns: int | None = None) -> Sequence[Batch]:
            raise RuntimeError("a fault of ours")

        latest, one.store.latest = one.store.latest, broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            await one.configure(Plant())
        one.store.latest = latest  # type: ignore[method-assign]
        await one.send(rows([1]))
        assert [at for at, _, _ in await one.kept("a/p1/excess")] == [0, 1]
        assert one.desk._meanwhile is None
