"""Flush, compaction and retention: what they keep, what they give up, and how many files they leave."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.history.clock import ManualClock

from headrace.history import HistorySettings, open_store
from headrace.history.columns import sort_unique
from headrace.history.disk import Disk
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.store import BASE_NS, everything, ramp

DAY_BEGIN_NS = BASE_NS // DAY_NS * DAY_NS
SETTINGS = HistorySettings(housekeeping_s=60, slice_samples=500, chunk_samples=200)


async def opened(directory: Path, clock: ManualClock, disk: Disk | None = None, **changes: object) -> EmbeddedStore:
    return await open_store(directory, replace(SETTINGS, **changes), clock, disk=disk)  # type: ignore[arg-type]


async def a_day(store: EmbeddedStore) -> np.ndarray:
    """Two points, one sample in 30 s, flushed every three hours; returns the point numbers."""
    handles = await store.register(["p", "q"])
    for part in range(8):
        start = DAY_BEGIN_NS + part * 3 * HOUR_NS
        await store.append([ramp(n, 360, start_ns=start, step_ns=30 * SECOND_NS) for n in (0, 1)])
        await store.flush()
    return handles


async def test_a_closed_day_becomes_one_file_and_says_the_same(tmp_path: Path) -> None:
    clock = ManualClock(DAY_BEGIN_NS + 2 * DAY_NS)
    store = await opened(tmp_path, clock)
    handles = await a_day(store)
    before = await everything(store, handles)
    span = (DAY_BEGIN_NS, DAY_BEGIN_NS + DAY_NS)
    means = (await store.downsample(handles, *span, width_ns=HOUR_NS)).columns[Aggregate.MEAN]
    await store.compact()
    # The day, and the summary of its hours.
    assert (await store.stats()).segments == len(list((tmp_path / "seg").iterdir())) == 2
    for _ in range(2):
        assert (await everything(store, handles))[ValueKind.FLOAT64].same_as(before[ValueKind.FLOAT64])
        again = (await store.downsample(handles, *span, width_ns=HOUR_NS)).columns[Aggregate.MEAN]
        assert np.array_equal(means, again)
        await store.close()
        store = await opened(tmp_path, clock)
    await store.close()


async def test_raw_samples_retire_and_their_roll_ups_stay_until_their_own_time(tmp_path: Path) -> None:
    clock = ManualClock(DAY_BEGIN_NS + DAY_NS)
    ages = {"raw_retention_ns": DAY_NS, "rollup_retention_ns": 3 * DAY_NS, "summary_retention_ns": 3 * DAY_NS}
    store = await opened(tmp_path, clock, **ages)
    handles = await a_day(store)
    span = (DAY_BEGIN_NS, DAY_BEGIN_NS + DAY_NS)
    wanted = [
        Aggregate.COUNT,
        Aggregate.MIN,
        Aggregate.MAX,
        Aggregate.MEAN,
        Aggregate.LAST,
        Aggregate.STANDARD_DEVIATION,
    ]
    whole = (await store.downsample(handles, *span, width_ns=10 * MINUTE_NS, aggregates=wanted)).columns
    clock.now += 12 * HOUR_NS
    await store.compact()
    page = await store.raw(handles[:1], *span)
    assert page.batches[0].source_ns[0] == DAY_BEGIN_NS + 12 * HOUR_NS
    kept = (await store.downsample(handles, *span, width_ns=10 * MINUTE_NS, aggregates=wanted)).columns
    for name in wanted:
        np.testing.assert_allclose(kept[name], whole[name], rtol=1e-9)
    assert (await store.latest(handles))[0].values.tolist() == [359.0, 359.0]
    clock.now += 4 * DAY_NS
    await store.compact()
    assert list((tmp_path / "seg").iterdir()) == []
    assert (await store.downsample(handles, *span, count=1, aggregates=[Aggregate.COUNT])).columns[
        Aggregate.COUNT
    ].tolist() == [[0], [0]]
    await store.close()


async def test_a_back_fill_of_a_year_makes_one_file(tmp_path: Path) -> None:
    clock = ManualClock(DAY_BEGIN_NS)
    store = await opened(tmp_path, clock)
    handles = await store.register(["p"])
    sent = ramp(0, 2000, start_ns=DAY_BEGIN_NS - 365 * DAY_NS, step_ns=4 * HOUR_NS)
    await store.append([sent])
    await store.flush()
    assert (await store.stats()).segments == 1
    assert (await everything(store, handles))[ValueKind.FLOAT64].same_as(sent)
    await store.close()


async def test_deleted_samples_leave_the_disk_and_their_tombstone_with_them(tmp_path: Path) -> None:
    store = await opened(tmp_path, ManualClock(DAY_BEGIN_NS))
    handles = await a_day(store)
    await store.delete(handles, 0, 2**62)
    await store.compact()
    assert (await store.stats()).extra["tombstones"] == 0
    assert (await store.stats()).samples == 0
    assert list((tmp_path / "seg").iterdir()) == []
    await store.close()


async def test_a_reader_in_progress_keeps_its_files(tmp_path: Path) -> None:
    store = await opened(tmp_path, ManualClock(DAY_BEGIN_NS + 2 * DAY_NS))
    await a_day(store)
    scan = store.scan()
    first = await anext(scan)
    await store.compact()
    rest = [batch async for batch in scan]
    assert sum(map(len, [first, *rest])) == 2 * 8 * 360
    await store.close()


class SmallDisk(Disk):
    """Has room for a number of segment files."""

    def __init__(self, directory: Path, files: int) -> None:
        self.directory, self.files = directory, files

    def free_bytes(self, path: Path) -> int:
        used = sum(file.stat().st_size for file in (self.directory / "seg").iterdir())
        return (1 << 40) if used < self.files * 3_000 else 300 * 1024 * 1024


async def test_where_so_declared_the_oldest_raw_hours_make_room(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path, files=10)
    store = await opened(tmp_path, ManualClock(DAY_BEGIN_NS), disk, disk_policy="drop-oldest")
    handles = await store.register(["p"])
    noise = np.random.default_rng(5)
    for hour in range(20):
        times = DAY_BEGIN_NS + hour * HOUR_NS + np.arange(300) * SECOND_NS
        await store.append([Batch.of(ValueKind.INT64, np.zeros(300), times, noise.integers(0, 2**40, 300))])
        await store.flush()
    await store.compact()
    left = (await everything(store, handles))[ValueKind.INT64]
    assert left.source_ns[-1] // HOUR_NS == DAY_BEGIN_NS // HOUR_NS + 19
    assert 300 <= len(left) < 20 * 300
    assert (await store.stats()).extra["retired_hours"] > 0
    await store.close()


async def test_memory_stays_bounded_where_the_flush_is_slower_than_the_appends(tmp_path: Path) -> None:
    store = await opened(tmp_path, ManualClock(DAY_BEGIN_NS), memtable_samples=1000)
    handles = await store.register(["p"])
    for part in range(30):
        await store.append([ramp(0, 500, start_ns=DAY_BEGIN_NS + part * 500 * SECOND_NS)])
        assert sum(memtable.samples for memtable in store._views.current.memtables) <= 4 * 1000
    assert len((await everything(store, handles))[ValueKind.FLOAT64]) == 15_000
    await store.close()


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"memtable_samples": 0},
        {"chunk_samples": 70_000},
        {"rollup_retention_ns": 5},
        {"compaction_duty": 0},
    ):
        with pytest.raises(ConfigError):
            HistorySettings(**wrong)  # type: ignore[arg-type]


@hypothesis_settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 7, 70_000, 2**32 - 1]), st.integers(-(2**62), 2**62) | st.integers(0, 9)),
        min_size=1,
        max_size=60,
    )
)
def test_the_order_is_by_point_and_time_and_the_last_of_equals_stays(rows: list[tuple[int, int]]) -> None:
    handles, times = zip(*rows, strict=True)
    batch = Batch.of(ValueKind.INT64, np.array(handles, np.uint32), np.array(times, np.int64), np.arange(len(rows)))
    got = sort_unique(batch)
    expected = {row: at for at, row in enumerate(rows)}
    assert list(zip(got.handles.tolist(), got.source_ns.tolist(), strict=True)) == sorted(expected)
    assert got.values.tolist() == [expected[row] for row in sorted(expected)]
