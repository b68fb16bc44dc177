"""What every historian must do. A store's tests inherit `StoreContract` and say how to open one.

class TestEmbeddedStore(StoreContract):
    async def open_store(self, directory: Path) -> HistoryStore:
        return await open_store(directory, HistorySettings(), SystemClock())
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.intake import Mark
from headrace.sdk.store import HistoryStore
from headrace.sdk.testing.store_buckets import BASE_NS, DownsampleContract, ramp

__all__ = ["BASE_NS", "EXACT_VALUES", "StoreContract", "everything", "ramp"]

EXACT_VALUES: dict[ValueKind, Sequence[Any]] = {
    ValueKind.FLOAT64: [0.0, -0.0, 0.1, 1e300, 5e-324, float("inf"), float("-inf"), float("nan"), 20.5, 1 / 3],
    ValueKind.INT64: [0, 2**53 + 1, -(2**63), 2**63 - 1, -1],
    ValueKind.BOOL: [True, False, False, True],
    ValueKind.TEXT: ["", "running", "运行中", "x" * 60_000, "a\x00b", "end\x00"],
}


async def everything(store: HistoryStore, handles: Handles, limit: int = 100_000) -> dict[ValueKind, Batch]:
    """All samples of the points through `raw`, page by page, joined by kind."""
    parts: dict[ValueKind, list[Batch]] = {}
    cursor = None
    while True:
        page = await store.raw(handles, -(2**62), 2**62, limit=limit, cursor=cursor)
        for batch in page.batches:
            parts.setdefault(batch.kind, []).append(batch)
        cursor = page.next_cursor
        if cursor is None:
            return {kind: Batch.concat(batches) for kind, batches in parts.items()}


class StoreContract(DownsampleContract):
    """Inherit it and override `open_store`; override `settle` where a store has something to flush or merge."""

    async def test_numbers_are_dense_idempotent_and_durable(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            first = await store.register(["a/x", "a/y", "a/x"])
            assert first.tolist() == [0, 1, 0]
            assert (await store.register(["a/z", "a/y"])).tolist() == [2, 1]
        async with self.opened(tmp_path) as store:
            assert dict(store.paths()) == {0: "a/x", 1: "a/y", 2: "a/z"}
            assert (await store.register(["a/z", "温度"])).tolist() == [2, 3]

    @pytest.mark.parametrize("kind", list(ValueKind))
    @pytest.mark.parametrize("reopen", [False, True])
    @pytest.mark.parametrize("settled", [False, True])
    async def test_every_value_comes_back_exactly(
        self, tmp_path: Path, kind: ValueKind, reopen: bool, settled: bool
    ) -> None:
        values = np.array(EXACT_VALUES[kind], kind.dtype)
        times = BASE_NS + np.arange(len(values), dtype=np.int64) * 1_234_567_891
        quality = np.arange(len(values), dtype=np.uint32) << np.uint32(29)
        sent = Batch.of(kind, np.zeros(len(values), np.uint32), times, values, quality, times + 77_777)
        store = await self.open_store(tmp_path)
        handles = await store.register(["p"])
        await store.append([sent])
        if settled:
            await self.settle(store)
        if reopen:
            await store.close()
            store = await self.open_store(tmp_path)
        got = await everything(store, handles, limit=3)
        assert got[kind].same_as(sent)
        newest = await store.latest(handles)
        assert len(newest) == 1
        assert newest[0].same_as(sent.take([-1]))
        await store.close()

    async def test_times_far_away_and_before_1970_are_kept(self, tmp_path: Path) -> None:
        times = np.array([-(2**60), -1, 0, 1, 2**61], np.int64)
        sent = Batch.of(ValueKind.INT64, np.zeros(5, np.uint32), times, np.arange(5))
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            await store.append([sent])
            assert (await everything(store, handles))[ValueKind.INT64].same_as(sent)
            await self.settle(store)
            assert (await everything(store, handles))[ValueKind.INT64].same_as(sent)

    async def test_late_samples_take_their_place_and_the_newest_write_wins(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p", "q"])
            await store.append([ramp(0, 100), ramp(1, 100)])
            await self.settle(store)
            late = Batch.of(ValueKind.FLOAT64, [0, 0], [BASE_NS - HOUR_NS, BASE_NS + SECOND_NS // 2], [-1.0, -2.0])
            again = Batch.of(ValueKind.FLOAT64, [0, 0], [BASE_NS + SECOND_NS] * 2, [7.0, 8.0])
            await store.append([late, again])
            for _ in range(2):
                got = (await everything(store, handles[:1]))[ValueKind.FLOAT64]
                assert got.values.tolist() == [-1.0, 0.0, -2.0, 8.0, *range(2, 100)]
                assert (np.diff(got.source_ns) > 0).all()
                assert (await store.latest(handles[:1]))[0].values.tolist() == [99.0]
                await self.settle(store)

    async def test_pages_join_to_the_whole_in_order_of_point_and_time(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["a", "b", "c"])
            await store.append([ramp(2, 50, step_ns=10 * MINUTE_NS), ramp(0, 50, step_ns=10 * MINUTE_NS)])
            await self.settle(store)
            await store.append([ramp(1, 50, step_ns=10 * MINUTE_NS)])
            whole = (await everything(store, handles))[ValueKind.FLOAT64]
            assert whole.handles.tolist() == [0] * 50 + [1] * 50 + [2] * 50
            assert (await everything(store, handles, limit=7))[ValueKind.FLOAT64].same_as(whole)
            with pytest.raises(DataError):
                await store.raw(handles, 0, 1, cursor="nonsense")

    async def test_spans_are_half_open(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            await store.append([ramp(0, 10)])
            page = await store.raw(handles, BASE_NS + 2 * SECOND_NS, BASE_NS + 5 * SECOND_NS)
            assert page.batches[0].values.tolist() == [2.0, 3.0, 4.0]
            assert (await store.raw(handles, BASE_NS - 5, BASE_NS)).batches == []

    async def test_latest_at_a_moment_looks_back(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p", "q", "never"])
            await store.append([ramp(0, 10), ramp(1, 1, start_ns=BASE_NS - 5 * HOUR_NS)])
            await self.settle(store)
            (batch,) = await store.latest(handles, BASE_NS + 3 * SECOND_NS)
            found = dict(zip(batch.handles.tolist(), batch.source_ns.tolist(), strict=True))
            assert found == {0: BASE_NS + 3 * SECOND_NS, 1: BASE_NS - 5 * HOUR_NS}
            assert list(await store.latest(handles[:1], BASE_NS - 1)) == []

    async def test_deleted_samples_are_gone_and_later_writes_stay(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p", "q"])
            await store.append([ramp(0, 10), ramp(1, 10)])
            await self.settle(store)
            await store.append([ramp(0, 5, start_ns=BASE_NS + 10 * SECOND_NS)])
            await store.delete(handles[:1], BASE_NS + 3 * SECOND_NS, BASE_NS + HOUR_NS)
            await store.append([ramp(0, 1, start_ns=BASE_NS + 4 * SECOND_NS)])
        async with self.opened(tmp_path) as store:
            for _ in range(2):
                got = (await everything(store, handles))[ValueKind.FLOAT64]
                assert got.values.tolist() == [0.0, 1.0, 2.0, 0.0, *range(10)]
                (newest,) = await store.latest(handles)
                assert newest.source_ns.tolist() == [BASE_NS + 4 * SECOND_NS, BASE_NS + 9 * SECOND_NS]
                await self.settle(store)

    async def test_deleting_everything_leaves_no_latest(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            await store.append([ramp(0, 10)])
            await store.delete(handles, -(2**63), 2**63 - 1)
            assert list(await store.latest(handles)) == []
        async with self.opened(tmp_path) as store:
            assert list(await store.latest(handles)) == []
            assert await everything(store, handles) == {}

    async def test_scan_gives_everything_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.register(["p", "q"])
            sent = [ramp(0, 30, step_ns=10 * MINUTE_NS), ramp(1, 30, step_ns=10 * MINUTE_NS)]
            await store.append(sent)
            await self.settle(store)
            await store.append(sent)
            rows = [row async for batch in store.scan() for row in zip(batch.handles, batch.source_ns, strict=True)]
            assert len(rows) == len(set(rows)) == 60
            some = [len(batch) async for batch in store.scan(np.array([1], np.uint32), BASE_NS, BASE_NS + HOUR_NS)]
            assert sum(some) == 6

    async def test_concurrent_appends_are_all_kept(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register([f"p{n}" for n in range(40)])
            await asyncio.gather(*(store.append([ramp(n, 25)]) for n in range(40)))
            assert len((await everything(store, handles))[ValueKind.FLOAT64]) == 1000
            assert (await store.stats()).appended == 1000

    async def test_an_unregistered_point_is_refused_whole(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            with pytest.raises(DataError):
                await store.append([ramp(0, 5), ramp(1, 5)])
            assert await everything(store, handles) == {}

    # --- marks ----------------------------------------------------------------------------------------------------

    async def test_marks_are_durable_with_their_samples(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            assert dict(store.marks()) == {}
            await store.append([ramp(0, 5)], {"edge/a": Mark(1, 7)})
            await store.append([], {"edge/b": Mark(3, 0), "温度": Mark(2**62, 2**62)})
            marks = {"edge/a": Mark(1, 7), "edge/b": Mark(3, 0), "温度": Mark(2**62, 2**62)}
            assert dict(store.marks()) == marks
        for _ in range(2):  # once from the log, once from wherever `settle` puts them
            async with self.opened(tmp_path) as store:
                assert dict(store.marks()) == marks
                assert len((await everything(store, handles))[ValueKind.FLOAT64]) == 5
                await self.settle(store)
                await store.append([ramp(0, 1)], {"edge/a": Mark(1, 8)})
                marks["edge/a"] = Mark(1, 8)

    async def test_a_call_that_comes_twice_is_applied_once(self, tmp_path: Path) -> None:
        def change(value: float) -> Batch:
            return Batch.of(ValueKind.FLOAT64, [0], [BASE_NS], [value])

        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            await store.append([change(1.0)], {"edge": Mark(2, 5)})
            for known in (Mark(2, 5), Mark(2, 4), Mark(1, 9)):
                await store.append([change(-1.0)], {"edge": known})
                assert store.marks()["edge"] == Mark(2, 5)
            assert (await everything(store, handles))[ValueKind.FLOAT64].values.tolist() == [1.0]
            await store.append([change(2.0)], {"edge": Mark(3, 1)})  # a new epoch begins its sequence anew
            await store.append([change(3.0)], {"edge": Mark(3, 1), "other": Mark(1, 1)})  # a part of it is news
            assert (await everything(store, handles))[ValueKind.FLOAT64].values.tolist() == [3.0]
        async with self.opened(tmp_path) as store:
            await store.append([change(-1.0)], {"edge": Mark(3, 1)})
            assert (await everything(store, handles))[ValueKind.FLOAT64].values.tolist() == [3.0]

    async def test_of_calls_side_by_side_each_mark_is_applied_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.register(["p"])
            calls = [(number, Mark(1, number)) for number in range(1, 21) for _ in range(2)]
            await asyncio.gather(*(store.append([ramp(0, 1)], {"edge": mark}) for _, mark in calls))
            assert (store.marks()["edge"], (await store.stats()).appended) == (Mark(1, 20), 20)

    async def test_a_mark_that_cannot_be_kept_is_refused_with_its_samples(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            for source, mark in (("", Mark(1, 1)), ("x" * 2000, Mark(1, 1)), ("edge", Mark(1, 2**63))):
                with pytest.raises((DataError, LimitReached)):
                    await store.append([ramp(0, 1)], {source: mark})
            assert await everything(store, handles) == {}

    async def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        store = await self.open_store(tmp_path)
        await store.register(["p"])
        await store.close()
        await store.close()
        with pytest.raises(Unavailable):
            await store.append([ramp(0, 1)])

    async def test_stats_count(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.register(["p", "q"])
            await store.append([ramp(0, 10), ramp(1, 5)])
            await self.settle(store)
            stats = await store.stats()
            assert (stats.points, stats.samples, stats.appended) == (2, 15, 15)
            assert (stats.oldest_ns, stats.newest_ns) == (BASE_NS, BASE_NS + 9 * SECOND_NS)
            assert stats.disk_bytes > 0
