"""What every historian answers about buckets of time: the part of the contract on downsampling. See `store.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate, HistoryStore, Interpolation

BASE_NS: Final = 1_780_000_000 * SECOND_NS // HOUR_NS * HOUR_NS  # the start of an hour in 2026


def ramp(handle: int, count: int, *, start_ns: int = BASE_NS, step_ns: int = SECOND_NS) -> Batch:
    """0, 1, 2, … as floats, one a second."""
    times = start_ns + step_ns * np.arange(count, dtype=np.int64)
    return Batch.of(ValueKind.FLOAT64, np.full(count, handle), times, np.arange(count, dtype=np.float64))


class DownsampleContract:
    """Part of `StoreContract`, which is what a store's tests inherit."""

    async def open_store(self, directory: Path) -> HistoryStore:
        raise pytest.UsageError(f"a StoreContract must say how to open its store in {directory}")

    async def settle(self, store: HistoryStore) -> None:
        """Move what was appended to where it will stay."""

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[HistoryStore]:
        store = await self.open_store(directory)
        try:
            yield store
        finally:
            await store.close()

    @pytest.mark.parametrize("settled", [False, True])
    @pytest.mark.parametrize("width_s", [7, 60, 300])
    async def test_aggregates_equal_their_definitions(self, tmp_path: Path, settled: bool, width_s: int) -> None:
        times = BASE_NS + SECOND_NS * np.arange(600, dtype=np.int64)
        values = np.round(20 + 5 * np.sin(np.arange(600) / 40), 1)
        quality = np.where(np.arange(600) % 50 == 7, q.BAD_TIMEOUT, q.GOOD).astype(np.uint32)
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            await store.append([Batch.of(ValueKind.FLOAT64, np.zeros(600, np.uint32), times, values, quality)])
            if settled:
                await self.settle(store)
            for good_only in (True, False):
                got = await store.downsample(
                    handles,
                    BASE_NS,
                    BASE_NS + 600 * SECOND_NS,
                    width_ns=width_s * SECOND_NS,
                    aggregates=list(Aggregate),
                    good_only=good_only,
                )
                for bucket, start_ns in enumerate(got.start_ns.tolist()):
                    inside = (times >= start_ns) & (times < start_ns + width_s * SECOND_NS)
                    good = inside & (quality == q.GOOD) if good_only else inside
                    expected = {
                        Aggregate.COUNT: inside.sum(),
                        Aggregate.GOOD_COUNT: (inside & (quality == q.GOOD)).sum(),
                        Aggregate.MIN: values[good].min(),
                        Aggregate.MAX: values[good].max(),
                        Aggregate.MEAN: values[good].mean(),
                        Aggregate.SUM: values[good].sum(),
                        Aggregate.FIRST: values[good][0],
                        Aggregate.LAST: values[good][-1],
                        Aggregate.STANDARD_DEVIATION: values[good].std(),
                        # One a second: each value holds a second, and a bad sample's second is unknown.
                        Aggregate.TIME_WEIGHTED_MEAN: values[good].mean(),
                        Aggregate.TIME_IN_STATE: good.sum(),
                    }
                    for name, value in expected.items():
                        assert got.columns[name][0, bucket] == pytest.approx(value, rel=1e-6), (name, bucket)

    async def test_empty_buckets_show_what_was_asked(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            times = [BASE_NS - SECOND_NS, BASE_NS + MINUTE_NS, BASE_NS + 3 * MINUTE_NS]
            await store.append([Batch.of(ValueKind.FLOAT64, [0, 0, 0], times, [1.0, 2.0, 4.0])])
            await self.settle(store)
            shown = {
                Interpolation.NONE: [np.nan, 2.0, np.nan, 4.0, np.nan],
                Interpolation.PREVIOUS: [1.0, 2.0, 2.0, 4.0, 4.0],
                Interpolation.LINEAR: [np.nan, 2.0, 3.0, 4.0, np.nan],
            }
            for interpolation, expected in shown.items():
                got = await store.downsample(
                    handles,
                    BASE_NS,
                    BASE_NS + 5 * MINUTE_NS,
                    count=5,
                    aggregates=[Aggregate.MEAN, Aggregate.COUNT],
                    interpolation=interpolation,
                )
                np.testing.assert_array_equal(got.columns[Aggregate.MEAN][0], expected)
                assert got.columns[Aggregate.COUNT][0].tolist() == [0, 1, 0, 1, 0]

    @pytest.mark.parametrize("settled", [False, True])
    @pytest.mark.parametrize("width_s", [20, 60])
    async def test_nothing_deviates_from_an_infinite_mean(self, tmp_path: Path, settled: bool, width_s: int) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            values = [np.inf, 1.0, -np.inf, 2.0, 2.0]
            times = BASE_NS + MINUTE_NS * np.array([0, 1, 1, 2, 2]) + SECOND_NS * np.arange(5)
            await store.append([Batch.of(ValueKind.FLOAT64, np.zeros(5, np.uint32), times, values)])
            if settled:
                await self.settle(store)
            got = await store.downsample(
                handles, BASE_NS, BASE_NS + 3 * MINUTE_NS, width_ns=width_s * SECOND_NS,
                aggregates=[Aggregate.STANDARD_DEVIATION, Aggregate.COUNT],
            )  # fmt: skip
            held = got.columns[Aggregate.COUNT][0] > 0
            found = got.columns[Aggregate.STANDARD_DEVIATION][0]
            np.testing.assert_array_equal(found[held], [np.nan, np.nan, 0.0])
            assert np.isnan(found[~held]).all()

    async def test_a_state_that_is_sent_on_change_holds(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["running"])
            times = [BASE_NS - MINUTE_NS, BASE_NS + 90 * SECOND_NS, BASE_NS + 150 * SECOND_NS]
            await store.append([Batch.of(ValueKind.BOOL, [0, 0, 0], times, [True, False, True])])
            await self.settle(store)
            got = await store.downsample(
                handles, BASE_NS, BASE_NS + 4 * MINUTE_NS, width_ns=MINUTE_NS, aggregates=[Aggregate.TIME_IN_STATE]
            )
            assert got.columns[Aggregate.TIME_IN_STATE][0].tolist() == [60.0, 30.0, 30.0, 60.0]

    async def test_buckets_begin_at_multiples_of_their_width_and_samples_outside_do_not_count(
        self, tmp_path: Path
    ) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p"])
            await store.append([ramp(0, 600)])
            await self.settle(store)
            got = await store.downsample(
                np.array([0, 0], np.uint32),
                BASE_NS + 90 * SECOND_NS,
                BASE_NS + 270 * SECOND_NS,
                width_ns=2 * MINUTE_NS,
                aggregates=[Aggregate.COUNT, Aggregate.FIRST],
            )
            assert got.start_ns.tolist() == [BASE_NS, BASE_NS + 2 * MINUTE_NS, BASE_NS + 4 * MINUTE_NS]
            assert got.columns[Aggregate.COUNT].tolist() == [[30, 120, 30]] * 2
            assert got.columns[Aggregate.FIRST].tolist() == [[90.0, 120.0, 240.0]] * 2
            assert len(handles) == 1

    async def test_late_and_deleted_samples_correct_the_buckets(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["p", "q"])
            await store.append([ramp(0, 120), ramp(1, 120)])
            await self.settle(store)
            span = (BASE_NS, BASE_NS + 2 * MINUTE_NS)
            wanted = [Aggregate.MAX, Aggregate.COUNT]
            await store.append([Batch.of(ValueKind.FLOAT64, [0], [BASE_NS + 5 * SECOND_NS], [1000.0])])
            await store.delete(handles[1:], BASE_NS, BASE_NS + 10 * SECOND_NS)
            for _ in range(2):
                got = await store.downsample(handles, *span, width_ns=MINUTE_NS, aggregates=wanted)
                assert got.columns[Aggregate.MAX].tolist() == [[1000.0, 119.0], [59.0, 119.0]]
                assert got.columns[Aggregate.COUNT].tolist() == [[60, 60], [50, 60]]
                await self.settle(store)

    async def test_what_cannot_be_downsampled_is_refused(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            handles = await store.register(["t"])
            await store.append([Batch.of(ValueKind.TEXT, [0], [BASE_NS], ["x"])])
            for settled in (False, True):
                if settled:
                    await self.settle(store)
                with pytest.raises(DataError):
                    await store.downsample(handles, BASE_NS, BASE_NS + HOUR_NS, count=1)
            with pytest.raises(DataError):
                await store.downsample(handles, BASE_NS, BASE_NS + 1)
            with pytest.raises(DataError):
                await store.downsample(handles, BASE_NS, BASE_NS + 1, count=1, width_ns=1)
            with pytest.raises(LimitReached):
                await store.downsample(handles, BASE_NS, BASE_NS + HOUR_NS, width_ns=1)
