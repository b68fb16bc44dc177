"""Retention by class: who keeps what for how long, what goes first where the disk runs full, and nothing else ever."""

import asyncio
import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.history.clock import ManualClock
from tests.properties import examples

from headrace.history import HistorySettings, open_store
from headrace.history.disk import Disk
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.model.retention import Retention
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate, DiskState, Retaining
from headrace.sdk.testing.store import BASE_NS, everything, ramp

BEGIN_NS = BASE_NS // (30 * DAY_NS) * (30 * DAY_NS)
SMALL = HistorySettings(housekeeping_s=60, slice_samples=500, chunk_samples=200, summary_after_s=0, close_after_s=0)
CLASSES = {
    "default": Retention(raw_ns=3 * DAY_NS, rollups_ns=6 * DAY_NS),
    "brief": Retention(raw_ns=DAY_NS, rollups_ns=2 * DAY_NS, summaries_ns=40 * DAY_NS, give_up=1),
    "legal": Retention(),
}
MEMBERS = {"brief": [1], "legal": [2]}


async def opened(
    directory: Path, now_ns: int, disk: Disk | None = None, **changes: object
) -> tuple[EmbeddedStore, ManualClock]:
    clock = ManualClock(now_ns)
    return await open_store(directory, replace(SMALL, **changes), clock, disk=disk), clock  # type: ignore[arg-type]


async def retain(
    store: EmbeddedStore, classes: Mapping[str, Retention] = CLASSES, members: Mapping[str, list[int]] = MEMBERS
) -> None:
    await store.retain(classes, {name: np.array(handles, np.uint32) for name, handles in members.items()})


async def days(store: EmbeddedStore, count: int, points: int = 3) -> None:
    """One sample in ten minutes of every point, flushed day by day."""
    for day in range(count):
        start_ns = BEGIN_NS + day * DAY_NS
        await store.append([ramp(n, 144, start_ns=start_ns, step_ns=600 * SECOND_NS) for n in range(points)])
        await store.flush()


async def counts(store: EmbeddedStore, days: int, width_ns: int = DAY_NS, points: int = 3) -> list[list[int]]:
    asked = np.arange(points, dtype=np.uint32)
    span = (BEGIN_NS, BEGIN_NS + days * DAY_NS)
    got = await store.downsample(asked, *span, width_ns=width_ns, aggregates=[Aggregate.COUNT])
    return got.columns[Aggregate.COUNT].tolist()  # type: ignore[no-any-return]


async def first_raw(store: EmbeddedStore) -> list[int | None]:
    """The day of the oldest sample of each point, from the first day on."""
    held = (await everything(store, np.arange(3, dtype=np.uint32))).get(ValueKind.FLOAT64)
    firsts: list[int | None] = [None] * 3
    for point in range(3):
        mine = held.source_ns[held.handles == point] if held else []
        firsts[point] = int((mine[0] - BEGIN_NS) // DAY_NS) if len(mine) else None
    return firsts


async def test_each_class_loses_samples_minutes_and_hours_at_its_own_age(tmp_path: Path) -> None:
    store, clock = await opened(tmp_path, BEGIN_NS + 10 * DAY_NS)
    assert isinstance(store, Retaining)
    await store.register(["p", "q", "r"])
    await retain(store)
    await days(store, 10)
    await store.compact()
    assert await first_raw(store) == [7, 9, 0]
    assert await counts(store, 10) == [[144] * 10] * 3
    # Ten-minute buckets need minutes: where only hours are left, an hour is where it began.
    by_minutes = np.array(await counts(store, 10, 10 * MINUTE_NS)).reshape(3, 10, 144)
    assert [(by_minutes[point] == 1).all(axis=1).tolist().index(True) for point in range(3)] == [4, 8, 0]
    assert by_minutes[0, 0].tolist() == [6, 0, 0, 0, 0, 0] * 24
    files = {}
    for section in [s for held in store._views.current.sections.values() for s in held] + list(
        store._views.current.summaries
    ):
        files.setdefault(section.file, set()).add(section.retention)
    assert all(len(classes) == 1 for classes in files.values())
    clock.now += 60 * DAY_NS
    await store.compact()
    await store.close()
    store, _ = await opened(tmp_path, clock.now)
    await store.compact()
    assert await first_raw(store) == [None, None, 0]
    assert await counts(store, 10) == [[144] * 10, [0] * 10, [144] * 10]
    await store.close()


async def test_a_point_that_changes_its_class_leaves_what_it_had_where_it_was(tmp_path: Path) -> None:
    store, clock = await opened(tmp_path, BEGIN_NS + 2 * DAY_NS)
    await store.register(["p", "q", "r"])
    await retain(store, members={})
    await days(store, 1)
    await retain(store, members={"legal": [0]})
    noon = BEGIN_NS + DAY_NS // 2
    # The same times again, and new ones, now of the other class: the newest write wins wherever it lies.
    await store.append(
        [Batch.of(ValueKind.FLOAT64, np.zeros(3), noon + np.arange(3) * 600 * SECOND_NS, np.full(3, 9.0))]
    )
    await store.append([ramp(0, 144, start_ns=BEGIN_NS + DAY_NS, step_ns=600 * SECOND_NS)])
    await store.flush()
    for _ in range(2):
        held = (await everything(store, np.zeros(1, np.uint32)))[ValueKind.FLOAT64]
        assert len(held) == 288 and held.values[72:76].tolist() == [9.0, 9.0, 9.0, 75.0]
        sums = await store.downsample(
            np.zeros(1, np.uint32), noon, noon + HOUR_NS, width_ns=HOUR_NS, aggregates=[Aggregate.SUM]
        )
        assert sums.columns[Aggregate.SUM].tolist() == [[27.0 + 75 + 76 + 77]]
        await store.compact()
    clock.now += 30 * DAY_NS
    await store.compact()
    left = (await everything(store, np.zeros(1, np.uint32)))[ValueKind.FLOAT64].source_ns
    # The second day stays for ever; of the first, the hour that was written twice goes with the class that keeps it.
    assert (left >= BEGIN_NS + DAY_NS).sum() == 144
    assert set(left[left < BEGIN_NS + DAY_NS] // HOUR_NS) <= {noon // HOUR_NS}
    assert (await counts(store, 2))[0] == [144, 144]
    await store.close()


async def test_classes_are_durable_and_one_that_is_declared_no_more_keeps_its_ages(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + DAY_NS)
    await store.register(["p", "q", "r"])
    await retain(store)
    await days(store, 1)
    await store.close()
    store, _ = await opened(tmp_path, BEGIN_NS + 90 * DAY_NS)
    await store.append([ramp(2, 10, start_ns=BEGIN_NS + 2 * DAY_NS)])
    await store.flush()
    await store.compact()
    assert await first_raw(store) == [None, None, 0]
    await store.retain({}, {})
    await store.append([ramp(2, 10, start_ns=BEGIN_NS + 3 * DAY_NS)])
    await store.flush()
    await store.compact()
    assert await first_raw(store) == [None, None, 0]
    names = {summary.retention for summary in store._views.current.summaries}
    assert len(names) == 2  # `brief` is past its 40 days
    with pytest.raises(DataError, match="'legals'"):
        await retain(store, members={"legals": [0]})
    with pytest.raises(LimitReached):
        await retain(store, {f"c{n}": Retention() for n in range(17)}, {})
    await store.close()


async def test_late_samples_older_than_their_roll_ups_join_the_hours_that_are_left(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 20 * DAY_NS)
    await store.register(["p", "q", "r"])
    await retain(store)
    await days(store, 2)
    await store.compact()
    assert await first_raw(store) == [None, None, 0]
    for part in range(2):
        late = BEGIN_NS + 13 * HOUR_NS + 5 * MINUTE_NS + part * SECOND_NS
        await store.append([Batch.of(ValueKind.FLOAT64, [0], [late], [500.0 + part])])
        await store.flush()
        assert (await counts(store, 2))[0] == [145 + part, 144]
        await store.compact()
        assert (await counts(store, 2))[0] == [145 + part, 144]
    assert store._views.current.sections.keys() == {BEGIN_NS // HOUR_NS + n for n in range(48)}  # those of `legal`
    got = await store.downsample(
        np.zeros(1, np.uint32), BEGIN_NS, BEGIN_NS + DAY_NS, count=1, aggregates=[Aggregate.MAX]
    )
    assert got.columns[Aggregate.MAX].tolist() == [[501.0]]
    await store.close()


async def test_a_deletion_reaches_minutes_and_hours_that_are_left_alone(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 5 * DAY_NS)
    await store.register(["p", "q", "r"])
    await retain(store)
    await days(store, 4)
    await store.compact()
    everyone = np.arange(3, dtype=np.uint32)
    for day in range(4):
        noon = BEGIN_NS + day * DAY_NS + DAY_NS // 2
        await store.delete(everyone, noon, noon + 1)
    # `legal` loses one sample a day; where minutes are left the minute, where hours are left the hour.
    wanted = [[143, 143, 143, 143], [138, 138, 138, 143], [143, 143, 143, 143]]
    assert await counts(store, 4) == wanted
    await store.compact()
    assert (await store.stats()).extra["tombstones"] == 0
    assert await counts(store, 4) == wanted
    await store.close()


# --- a dictionary and a calendar --------------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(1, 12)),  # point, six-hour step, samples
        st.sampled_from(["flush", "compact", "reopen"]),
        st.integers(1, 4).map(lambda quarter_days: ("wait", quarter_days)),
    ),
    min_size=1,
    max_size=14,
)


async def play(directory: Path, script: list[object]) -> None:
    store, clock = await opened(directory, BEGIN_NS + 10 * DAY_NS, memtable_samples=64)
    await store.register(["p", "q", "r"])
    await retain(store)
    held: dict[tuple[int, int], float] = {}
    for number, step in enumerate([*script, ("wait", 0), "compact"]):
        match step:
            case "flush":
                await store.flush()
            case "compact":
                await store.flush()
                await store.compact()
                await check(store, held, clock.now)
            case "reopen":
                await store.close()
                store = await open_store(directory, replace(SMALL, memtable_samples=64), clock)
            case ("wait", quarters):
                clock.now += quarters * DAY_NS // 4
            case (point, at, size):
                times = BEGIN_NS + at * 6 * HOUR_NS + np.arange(size) * 1777 * SECOND_NS
                new = [time_ns for time_ns in times.tolist() if (point, time_ns) not in held]
                if new:  # what is given up already cannot be told from what comes again
                    values = np.full(len(new), float(number))
                    await store.append([Batch.of(ValueKind.FLOAT64, np.full(len(new), point), np.array(new), values)])
                    held.update(((point, time_ns), float(number)) for time_ns in new)
    await store.close()


async def check(store: EmbeddedStore, held: dict[tuple[int, int], float], now_ns: int) -> None:
    """Samples while they are young, hours always (of `brief` for 40 days)."""
    got = (await everything(store, np.arange(3, dtype=np.uint32))).get(
        ValueKind.FLOAT64, Batch.empty(ValueKind.FLOAT64)
    )
    found = set(zip(got.handles.tolist(), got.source_ns.tolist(), strict=True))
    ages = [CLASSES[name].raw_ns for name in ("default", "brief", "legal")]
    for point, time_ns in held:
        age_ns = ages[point]
        young = age_ns is None or (time_ns // HOUR_NS + 1) * HOUR_NS > now_ns - age_ns
        assert ((point, time_ns) in found) == young
    by_hour = np.array(await counts(store, 30, 3 * HOUR_NS))
    wanted = np.zeros_like(by_hour)
    for point, time_ns in held:
        wanted[point, (time_ns - BEGIN_NS) // (3 * HOUR_NS)] += 1
    assert np.array_equal(by_hour, wanted)


@settings(
    max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(steps)
def test_whatever_comes_whenever_each_class_keeps_what_it_says(script: list[object]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(Path(directory), script))


# --- the disk -------------------------------------------------------------------------------------------------------


class FullDisk(Disk):
    """Has so many bytes for the directory, and may be told to fail at any write."""

    def __init__(self, directory: Path, capacity: int = 1 << 40) -> None:
        self.directory, self.capacity, self.fail_after = directory, capacity, -1

    def used(self) -> int:
        return sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        if self.fail_after >= 0:
            self.fail_after -= 1
        if self.fail_after == 0 or self.used() + len(data) > self.capacity:
            os.write(descriptor, bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(descriptor, data)

    def free_bytes(self, path: Path) -> int:
        return max(self.capacity - self.used(), 0)


def noise(handle: int, count: int, start_ns: int, seed: int) -> Batch:
    """What cannot be compressed."""
    values = np.random.default_rng(seed).integers(-(2**62), 2**62, count)
    return Batch.of(ValueKind.INT64, np.full(count, handle), start_ns + np.arange(count) * SECOND_NS, values)


async def test_what_was_acknowledged_can_be_flushed_however_full_the_disk_is(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    store, _ = await opened(tmp_path, BEGIN_NS + DAY_NS, disk, disk_reserve_bytes=200_000)
    await store.register(["p"])
    disk.capacity = disk.used() + 900_000
    taken = 0
    with pytest.raises(Unavailable, match="nothing is stored until space is made"):
        for part in range(1000):
            await store.append([noise(0, 500, BEGIN_NS + part * 500 * SECOND_NS, part)])
            taken += 500
    stats = await store.stats()
    assert taken > 0 and stats.disk is not None and stats.disk.state is DiskState.FULL
    assert (await everything(store, np.zeros(1, np.uint32)))[ValueKind.INT64].source_ns.shape == (taken,)
    await store.flush()
    assert disk.used() < disk.capacity
    assert len((await everything(store, np.zeros(1, np.uint32)))[ValueKind.INT64]) == taken
    disk.capacity += 1_000_000
    await store.append([noise(0, 500, BEGIN_NS + taken * SECOND_NS, 1)])
    stats = await store.stats()
    assert stats.disk is not None and stats.disk.state is not DiskState.FULL
    await store.close()


async def test_the_disk_fails_at_every_write_of_a_flush_and_a_compaction_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    store, clock = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS, disk)
    await store.register(["p", "q", "r"])
    await retain(store, {"legal": Retention()}, {"legal": [2]})
    sent = [
        ramp(n, 60, start_ns=BEGIN_NS + part * HOUR_NS // 2, step_ns=60 * SECOND_NS)
        for part in range(6)
        for n in range(3)
    ]
    for at, batch in enumerate(sent):
        await store.append([batch])
        for failing in range(1, 60):  # a write further on each time
            disk.fail_after = failing
            try:
                await store.flush()
                if at % 3 == 2:
                    await store.compact()
                break
            except Unavailable:
                continue
            finally:
                disk.fail_after = -1
        else:
            pytest.fail("more writes failed than there are")
    held = (await everything(store, np.arange(3, dtype=np.uint32)))[ValueKind.FLOAT64]
    assert len(held) == 3 * 210
    await store.close()
    store, _ = await opened(tmp_path, clock.now)
    assert (await everything(store, np.arange(3, dtype=np.uint32)))[ValueKind.FLOAT64].same_as(held)
    assert set(store._views.current.files) == {int(path.stem.split("-")[1]) for path in (tmp_path / "seg").iterdir()}
    await store.close()


async def test_a_catalog_without_room_takes_nothing_and_says_so_and_goes_on_later(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 90 * DAY_NS)
    await store.register(["p", "q", "r"])
    await days(store, 1)
    database = store._catalog._db
    pages = database.execute("pragma page_count").fetchone()[0]
    database.execute(f"pragma max_page_count={pages}")
    sent = 3 * 144
    with pytest.raises(Unavailable, match="full"):
        for hour in range(1000):
            await store.append([ramp(hour % 3, 5, start_ns=BEGIN_NS + (48 + 2 * hour) * HOUR_NS)])
            sent += 5
            await store.flush()
    held = (await everything(store, np.arange(3, dtype=np.uint32)))[ValueKind.FLOAT64]
    assert len(held) == sent
    with pytest.raises(Unavailable, match="full"):
        await store.flush()
    # What the catalog did not take does not lie about: the next try needs its room.
    assert {path.name for path in (tmp_path / "seg").iterdir()} == {
        file.name for file in store._views.current.files.values()
    }
    database.execute("pragma max_page_count=1000000")
    await store.flush()
    await store.compact()
    assert (await everything(store, np.arange(3, dtype=np.uint32)))[ValueKind.FLOAT64].same_as(held)
    await store.close()


async def test_the_class_to_give_up_first_loses_its_oldest_samples_and_the_others_none(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    classes = {"first": Retention(give_up=1), "second": Retention(give_up=2), "legal": Retention()}
    store, _ = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS, disk, disk_reserve_bytes=100_000)
    await store.register(["a", "b", "c"])
    await retain(store, classes, {"first": [0], "second": [1], "legal": [2]})
    for hour in range(12):
        await store.append([noise(n, 600, BEGIN_NS + hour * HOUR_NS, hour) for n in range(3)])
        await store.flush()
    await store.compact()
    await store.append([noise(2, 10, BEGIN_NS + 20 * HOUR_NS, 5)])  # an hour in progress
    await store.flush()
    size = disk.used()

    async def hours() -> list[int]:
        held = (await everything(store, np.arange(3, dtype=np.uint32)))[ValueKind.INT64]
        return [len(np.unique(held.source_ns[held.handles == n] // HOUR_NS)) for n in range(3)]

    assert await hours() == [12, 12, 13]
    seen = []
    for room in (190_000, 150_000, 110_000):
        disk.capacity = size + room
        await store.compact()
        seen.append(await hours())
    assert [each[2] for each in seen] == [13, 13, 13]
    assert seen[0][0] < 12 and seen[-1][0] == 0 and seen[-1][1] < 12
    assert all(second == 12 or first == 0 for first, second, _ in seen), seen
    assert (await counts(store, 1))[0] == [12 * 600]
    await store.close()


async def test_the_day_when_the_disk_will_be_full_is_told_long_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(tmp_path, 100 << 30)
    store, clock = await opened(tmp_path, BEGIN_NS, disk)
    used = 0
    disk.used = lambda: used  # type: ignore[method-assign]
    space = store._keeper._space
    said = []
    for _ in range(12 * 60):
        clock.now += MINUTE_NS
        used += (8 << 30) // (24 * 60)
        space.observe()
        said.append((await store.stats()).disk)
    assert said[5].full_in_s is None and said[5].state is DiskState.ENOUGH
    assert said[-1].full_in_s == pytest.approx((96 / 8) * DAY_NS / SECOND_NS, rel=0.05)
    assert said[-1].state is DiskState.ENOUGH and "history disk" not in caplog.text
    used += 50 << 30
    for _ in range(3):
        clock.now += 24 * 60 * MINUTE_NS
        space.observe()
    clock.now += MINUTE_NS
    space.observe()
    assert (await store.stats()).disk.state is DiskState.LOW  # type: ignore[union-attr]
    assert caplog.text.count("at the present rate") == 1
    await store.close()
