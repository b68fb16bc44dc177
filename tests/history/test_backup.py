"""Backup of a store at work, and restore to any moment: equal to what was acknowledged by then, or a clear refusal."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.history.clock import ManualClock
from tests.history.damage import SETTINGS, hour_of_noise
from tests.properties import drawn_seed

from headrace.history import HistorySettings, open_store
from headrace.history import backup as backups
from headrace.history.backup import Backup, back_up, ship_logs
from headrace.history.check import check
from headrace.history.picture import picture_of_closed
from headrace.history.restore import restore
from headrace.history.store import EmbeddedStore
from headrace.history.vault import read_manifest, vaults
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Conflict, DataError, HeadraceError, NotFound, Unavailable
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.testing.store import BASE_NS, everything, ramp

SMALL = replace(SETTINGS, memtable_samples=400, memtable_frames=8, archive_logs=True)


class Site:
    """A store, its target and what a dictionary would hold."""

    def __init__(self, folder: Path, settings: HistorySettings = SMALL) -> None:
        self.folder, self.settings = folder, settings
        self.home, self.target = folder / "history", folder / "target"
        self.target.mkdir()
        self.clock = ManualClock(BASE_NS + 5 * HOUR_NS)
        self.samples: dict[tuple[int, int], float] = {}
        self.names: list[str] = []
        self.restores = 0

    async def open(self) -> EmbeddedStore:
        self.store = await open_store(self.home, self.settings, self.clock)
        return self.store

    async def register(self, *names: str) -> None:
        await self.store.register(names)
        self.names += names

    async def append(self, handle: int, start_s: int, count: int, value: float) -> None:
        batch = Batch.of(
            ValueKind.FLOAT64, np.full(count, handle), BASE_NS + (start_s + np.arange(count)) * SECOND_NS, value
        )
        await self.store.append([batch])
        self.samples |= {(handle, time_ns): value for time_ns in batch.source_ns.tolist()}

    async def delete(self, handle: int, start_s: int, count: int) -> None:
        begin, end = BASE_NS + start_s * SECOND_NS, BASE_NS + (start_s + count) * SECOND_NS
        await self.store.delete(np.array([handle], np.uint32), begin, end)
        self.samples = {k: v for k, v in self.samples.items() if k[0] != handle or not begin <= k[1] < end}

    async def back_up(self, keep: int = 7) -> Backup:
        return await back_up(self.store, self.target, self.clock, keep=keep, duty=1.0)

    async def restored(
        self, at_ns: int | None = None, name: str | None = None
    ) -> tuple[list[str], dict[tuple[int, int], float]]:
        self.restores += 1
        place = self.folder / f"restored-{self.restores}"
        await restore(self.target, place, ManualClock(self.clock.now), at_ns=at_ns, name=name)
        with picture_of_closed(place) as picture:
            assert check(picture).findings == []
        store = await open_store(place, SETTINGS, ManualClock(self.clock.now))
        try:
            return list(store.paths().values()), await contents(store)
        finally:
            await store.close()


async def contents(store: EmbeddedStore) -> dict[tuple[int, int], float]:
    found = (await everything(store, np.arange(len(store.paths()), dtype=np.uint32))).get(ValueKind.FLOAT64)
    if found is None:
        return {}
    columns = (found.handles.tolist(), found.source_ns.tolist(), found.values.tolist())
    return {(handle, time_ns): value for handle, time_ns, value in zip(*columns, strict=True)}


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    await site.open()
    await site.register("a", "b", "c")
    return site


@pytest.mark.clause("62443-3-3 SR 7.3", "GB/T 22239-2019 8.1.4.9")
async def test_what_was_acknowledged_before_the_call_is_in_the_backup(site: Site) -> None:
    for part in range(30):
        await site.append(part % 3, part * 20, 50, float(part))
    await site.delete(1, 100, 60)
    await site.append(1, 120, 5, -1.0)
    made = await site.back_up()
    expected = dict(site.samples)
    await site.append(0, 5000, 10, 99.0)
    await site.delete(0, 0, 9000)
    assert await site.restored(name=made.manifest.name) == (["a", "b", "c"], expected)
    assert made.manifest.points == 3
    await site.store.close()


@pytest.mark.clause("62443-3-3 SR 7.3", "GB/T 22239-2019 8.1.4.9")
async def test_work_goes_on_while_a_backup_is_made(site: Site) -> None:
    """Appends, flushes, compaction and deletions during the copying; none of them is in this backup."""
    for part in range(20):
        await site.append(0, part * 50, 50, float(part))
    expected = dict(site.samples)
    began, proceed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def step(what: str, done: int, total: int) -> None:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(proceed.wait(), loop).result()

    task = asyncio.create_task(back_up(site.store, site.target, site.clock, duty=1.0, progress=step))
    await began.wait()
    for part in range(20):
        await site.append(part % 3, part * 50, 50, -float(part))
    await site.store.flush()
    await site.delete(2, 0, 10_000)
    await site.store.compact()
    await site.register("late")
    proceed.set()
    made = await task
    names, found = await site.restored(name=made.manifest.name)
    assert (names, found) == (["a", "b", "c"], expected)
    assert await contents(site.store) == site.samples
    await site.store.close()
    assert {path.name for path in (site.home / "seg").iterdir()} == {
        file.name for file in _files(site.home)
    }  # nothing that the backup held on to is left behind


def _files(home: Path) -> list[object]:
    with picture_of_closed(home) as picture:
        assert picture.catalog is not None
        return list(picture.catalog.files())


async def test_segments_are_copied_once(site: Site) -> None:
    for batch in hour_of_noise(0)[:1]:
        await site.store.append([batch])
    await site.store.flush()
    first = await site.back_up()
    await site.append(0, 9000, 10, 1.0)
    await site.store.flush()
    again = await site.back_up()
    assert first.reused_bytes == 0
    segments = [file for file in first.manifest.files if file.path.startswith("seg/")]
    assert again.reused_bytes == sum(file.bytes for file in segments) > 0
    assert {file.path for file in segments} < {file.path for file in again.manifest.files}
    await site.store.close()


async def test_only_so_many_backups_are_kept_and_nothing_that_they_need_goes(site: Site) -> None:
    for part in range(6):
        await site.append(0, part * 100, 100, float(part))
        await site.store.flush()
        await site.store.compact()
        made = await site.back_up(keep=2)
    (vault,) = vaults(site.target)
    kept = vault.manifests()
    assert [manifest.sequence for manifest in kept] == [5, 6]
    needed = {file.path for manifest in kept for file in manifest.files}
    left = {path.relative_to(vault.folder).as_posix() for path in vault.folder.rglob("*") if path.is_file()}
    assert left - needed == {"lock", *(f"{manifest.name}.json" for manifest in kept)}
    assert len(made.pruned) == 1
    for manifest in kept:
        await site.restored(name=manifest.name)
    await site.store.close()


async def test_a_backup_that_was_broken_off_is_none_and_the_next_one_goes_on(site: Site) -> None:
    for hour in range(4):
        await site.store.append(hour_of_noise(hour)[:1])
        await site.store.flush()
    pieces = 0

    def step(what: str, done: int, total: int) -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            raise OSError(5, "the cable was pulled")

    with pytest.raises(Unavailable, match="cable"):
        await back_up(site.store, site.target, site.clock, duty=1.0, progress=step)
    (vault,) = vaults(site.target)
    assert vault.manifests() == []
    with pytest.raises(NotFound, match="no complete backup"):
        await site.restored()
    made = await site.back_up()
    assert made.reused_bytes > 0
    assert list(vault.folder.rglob("*.part")) == []
    await site.store.close()


async def test_cancelled_it_stops_soon_and_lets_the_files_go(site: Site) -> None:
    await site.store.append(hour_of_noise(0)[:1])
    await site.store.flush()
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(
        back_up(
            site.store, site.target, site.clock, duty=1e-9,  # the rest after the first piece would take for ever
            progress=lambda *step: loop.call_soon_threadsafe(began.set) and None,
        )
    )  # fmt: skip
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not site.store._views._readers
    await site.store.close()


async def test_targets_that_would_be_lost_with_the_store_are_refused(site: Site, tmp_path: Path) -> None:
    (site.home / "backups").mkdir()
    for target in (site.home / "backups", site.home, tmp_path, Path("relative")):
        with pytest.raises(ConfigError):
            await back_up(site.store, target, site.clock)
    with pytest.raises(NotFound, match="mount its disk"):
        await back_up(site.store, tmp_path / "unmounted", site.clock)
    with pytest.raises(ConfigError):
        await back_up(site.store, site.target, site.clock, keep=0)
    await site.store.close()


@pytest.mark.clause("62443-3-3 SR 7.4", "GB/T 22239-2019 8.1.4.9")
async def test_a_restore_goes_only_into_an_empty_folder_and_comes_whole_or_not_at_all(site: Site) -> None:
    await site.store.append(hour_of_noise(0)[:1])
    await site.store.flush()
    await site.back_up()
    await site.store.close()
    with pytest.raises(Conflict, match="not empty"):
        await restore(site.target, site.home, site.clock)
    (segment,) = site.target.rglob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(DataError, match=segment.name):
        await restore(site.target, site.folder / "new", site.clock)
    assert not (site.folder / "new").exists()
    segment.write_bytes(bytes(data[:-1]))
    with pytest.raises(DataError, match=segment.name):
        await restore(site.target, site.folder / "new", site.clock)
    segment.unlink()
    with pytest.raises(DataError, match=segment.name):
        await restore(site.target, site.folder / "new", site.clock)


async def test_a_restored_store_begins_a_timeline_of_its_own_in_the_same_target(site: Site) -> None:
    await site.append(0, 0, 10, 1.0)
    await site.back_up()
    before = dict(site.samples)
    await site.store.close()
    await restore(site.target, site.folder / "again", site.clock)
    site.home = site.folder / "again"
    await site.open()
    await site.append(0, 100, 10, 2.0)
    site.clock.now += SECOND_NS
    await site.back_up()
    assert len(vaults(site.target)) == 2
    assert (await site.restored())[1] == site.samples
    assert (await site.restored(name="000001-" + _stamp(vaults(site.target), before)))[1] in (before, site.samples)
    await site.store.close()


def _stamp(found: list[object], before: object) -> str:
    names = [manifest.name for vault in found for manifest in vault.manifests()]  # type: ignore[attr-defined]
    return min(names).partition("-")[2]


# --- point in time ------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 7.4", "62443-3-3 SR 7.3 RE 1", "GB/T 22239-2019 8.1.4.9")
@pytest.mark.seeded
async def test_a_restore_equals_what_was_acknowledged_at_any_moment(site: Site) -> None:
    seed = drawn_seed()
    rng = random.Random(seed)
    site.clock.now += SECOND_NS
    await site.back_up()
    history = [(site.clock.now, list(site.names), dict(site.samples))]
    stamps = [0]
    for step in range(120):
        site.clock.now += rng.choice([1, SECOND_NS, 90 * SECOND_NS, -20 * SECOND_NS if step > 20 else 1])
        match rng.choices(["append", "delete", "register", "flush", "compact", "reopen", "ship", "backup"],
                          [40, 6, 3, 6, 2, 2, 4, 2])[0]:  # fmt: skip
            case "append":
                handle, start = rng.randrange(len(site.names)), rng.randrange(0, 7200)
                await site.append(handle, start, rng.choice([1, 30, 200]), float(step))
            case "delete":
                await site.delete(rng.randrange(len(site.names)), rng.randrange(0, 7200), rng.randrange(1, 3000))
            case "register":
                await site.register(f"p{step}")
            case "flush":
                await site.store.flush()
            case "compact":
                await site.store.flush()
                await site.store.compact()
            case "reopen":
                await site.store.close()
                await site.open()
            case "ship":
                await ship_logs(site.store, site.target)
            case "backup":
                await site.back_up(keep=100)
        history.append((max(site.clock.now, history[-1][0]), list(site.names), dict(site.samples)))
        stamps.append(site.store._committer.committed_ns)
    await site.store.flush()
    await ship_logs(site.store, site.target)
    assert (await site.restored())[1] == site.samples
    # Commits under a clock that was set back bear the newest time before; such a moment cannot be told apart.
    distinct = []
    for at, here in enumerate(history):
        change = next((later for later in range(at, len(history)) if history[later][1:] != here[1:]), None)
        if change is None or stamps[change] > here[0]:
            distinct.append(here)
    for moment, names, samples in rng.sample(distinct, 12):
        found_names, found = await site.restored(at_ns=moment)
        assert found == samples, moment
        assert found_names == names
    await site.store.close()


async def test_a_gap_in_the_archive_ends_the_restore_before_it_and_says_so(site: Site) -> None:
    await site.back_up()
    for part in range(4):
        site.clock.now += SECOND_NS
        await site.append(0, part * 100, 10, float(part))
        await site.store.flush()
        if part == 1:
            expected = dict(site.samples)
    await ship_logs(site.store, site.target)
    (vault,) = vaults(site.target)
    archived = vault.archived()
    archived[sorted(archived)[2]].unlink()
    done = await restore(site.target, site.folder / "new", site.clock)
    assert "lacks log" in done.notes[0]
    store = await open_store(site.folder / "new", SETTINGS, site.clock)
    assert await contents(store) == expected
    await store.close()
    path = archived[sorted(archived)[1]]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=path.name):
        await restore(site.target, site.folder / "newer", site.clock)
    await site.store.close()


async def test_the_archive_is_bounded_where_no_target_takes_it(tmp_path: Path) -> None:
    site = Site(tmp_path, replace(SMALL, archive_bytes_max=6_000))
    store = await site.open()
    await site.register("a")
    rng = np.random.default_rng(3)
    for part in range(12):
        times = BASE_NS + (part * 200 + np.arange(200)) * SECOND_NS
        await store.append([Batch.of(ValueKind.FLOAT64, np.zeros(200), times, rng.normal(size=200))])
        await store.flush()
    assert 0 < store.archive.bytes() <= 6_000
    await store.close()


async def test_a_moment_before_every_backup_is_refused(site: Site) -> None:
    await site.append(0, 0, 10, 1.0)
    await site.back_up()
    with pytest.raises(NotFound, match="from before"):
        await site.restored(at_ns=BASE_NS)
    await site.store.close()


# --- manifests from anywhere --------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 7.3 RE 1")
async def test_a_damaged_manifest_is_named_and_the_other_backups_stay_good(site: Site) -> None:
    await site.append(0, 0, 10, 1.0)
    await site.back_up()
    expected = dict(site.samples)
    await site.append(0, 50, 10, 2.0)
    made = await site.back_up()
    (vault,) = vaults(site.target)
    path = vault.folder / f"{made.manifest.name}.json"
    sound = path.read_bytes()
    rng = random.Random(1)
    for _ in range(200):
        data = bytearray(sound)
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:]
            case _:
                data[at : at + 40] = data[:40]
        path.write_bytes(data)
        try:
            assert read_manifest(path) == made.manifest  # white space may change unseen
        except HeadraceError as error:
            assert path.name in str(error)
    path.write_bytes(sound[:-9])
    assert (await site.restored())[1] == expected
    assert path.name in vault.damaged()[0]
    assert (await site.back_up()).manifest.sequence == 3
    await site.store.close()


def test_the_target_of_one_store_is_not_locked_twice(tmp_path: Path) -> None:
    vault = backups.Vault(tmp_path, "0" * 16)
    with vault.locked(), pytest.raises(Conflict, match="in progress"), vault.locked():
        pass


async def test_ramps_survive_a_restore_with_their_roll_ups(site: Site) -> None:
    await site.store.append([ramp(0, 3600)])
    await site.store.flush()
    await site.back_up()
    await site.store.close()
    await restore(site.target, site.folder / "new", site.clock)
    store = await open_store(site.folder / "new", SETTINGS, site.clock)
    buckets = await store.downsample(np.array([0], np.uint32), BASE_NS, BASE_NS + HOUR_NS, count=2)
    assert [column[0].tolist() for column in buckets.columns.values()] == [[0, 1800], [1799, 3599], [899.5, 2699.5]]
    await store.close()
