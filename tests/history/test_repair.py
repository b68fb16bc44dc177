"""Damaged files are repaired: everything that is whole is kept, what is lost is said, nothing is destroyed."""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.history.clock import ManualClock
from tests.history.damage import KINDS, SETTINGS, a_history, largest, opened
from tests.properties import drawn_seed

from headrace.history import open_store
from headrace.history.check import check
from headrace.history.disk import Disk
from headrace.history.picture import picture_of_closed
from headrace.history.repair import Repair, repair
from headrace.history.wal import LogWriter, encode_frame, log_path
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, HeadraceError, Unavailable
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.store import BASE_NS, everything, ramp

NOW_NS = BASE_NS + 30 * HOUR_NS
NAMES = [kind.label for kind in KINDS]
FUZZ_ROUNDS = int(os.environ.get("HEADRACE_FUZZ_ROUNDS", "40"))

Samples = dict[ValueKind, Batch]


async def held(directory: Path) -> Samples:
    store = await opened(directory)
    try:
        return await everything(store, np.arange(len(store.paths()), dtype=np.uint32))
    finally:
        await store.close()


def mend(directory: Path) -> Repair:
    told = repair(directory, NOW_NS, apply=False)
    assert not told.applied
    done = repair(directory, NOW_NS, apply=True)
    assert (done.actions, done.losses) == (told.actions, told.losses)
    with picture_of_closed(directory) as picture:
        assert check(picture).findings == []
    return done


def rows(samples: Samples) -> dict[tuple[int, int], tuple[object, ...]]:
    """(point, time) → everything else, bit for bit."""
    found: dict[tuple[int, int], tuple[object, ...]] = {}
    for kind, batch in samples.items():
        values = batch.values.view(np.int64) if kind is ValueKind.FLOAT64 else batch.values
        columns = (batch.handles, batch.source_ns, batch.received_ns, values, batch.quality)
        found |= {(h, t): (kind, *rest) for h, t, *rest in zip(*(c.tolist() for c in columns), strict=True)}
    return found


def lost_but_told(before: Samples, after: Samples, done: Repair) -> int:
    """How many samples are missing; each must lie in what the repair says is lost, and none may be changed."""
    whole, left = rows(before), rows(after)
    unknown = [loss for loss in done.losses if loss.samples is None]
    missing = 0
    for (handle, time_ns), row in whole.items():
        if (handle, time_ns) in left:
            if left[handle, time_ns] == row:
                continue
            assert done.losses  # an older write shows again where the newer one is lost
        missing += 1
        told = any(
            loss.point in ("", NAMES[handle]) and loss.first_ns <= time_ns <= loss.last_ns
            for loss in done.losses
            if loss.samples is not None
        )
        assert told or unknown, (handle, time_ns)
    return missing


async def test_a_sound_store_needs_no_repair(tmp_path: Path) -> None:
    await a_history(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "seg").iterdir()}
    done = mend(tmp_path)
    assert done.sound and not done.applied and done.actions == []
    assert before == {path: path.read_bytes() for path in (tmp_path / "seg").iterdir()}


async def test_a_store_in_use_is_not_touched(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with pytest.raises(Unavailable, match="in use"):
        repair(tmp_path, NOW_NS, apply=True)
    await store.close()


async def test_the_good_chunks_of_a_damaged_segment_are_kept(tmp_path: Path) -> None:
    await a_history(tmp_path)
    before = await held(tmp_path)
    path = largest(tmp_path / "seg")
    data = bytearray(path.read_bytes())
    data[len(data) // 5] ^= 1
    path.write_bytes(data)
    done = mend(tmp_path)
    missing = lost_but_told(before, await held(tmp_path), done)
    (loss,) = done.losses
    assert missing == loss.samples in (100, 200)  # one chunk of one point
    assert loss.point in NAMES
    assert done.quarantine is not None and (done.quarantine / path.name).read_bytes() == data
    store = await opened(tmp_path)
    buckets = await store.downsample(np.array([0, 1, 2], np.uint32), BASE_NS, BASE_NS + HOUR_NS, count=60)
    assert np.isfinite(buckets.columns[next(iter(buckets.columns))]).any()  # the roll-ups were made anew
    await store.close()


@pytest.mark.parametrize("part", ["footer", "header", "missing"])
async def test_what_lies_behind_a_damaged_footer_is_found_through_the_catalog(tmp_path: Path, part: str) -> None:
    await a_history(tmp_path)
    before = await held(tmp_path)
    path = largest(tmp_path / "seg")
    data = bytearray(path.read_bytes())
    data[3 if part == "header" else -1] ^= 1
    path.write_bytes(data)
    if part == "missing":
        path.unlink()
    done = mend(tmp_path)
    missing = lost_but_told(before, await held(tmp_path), done)
    assert (missing > 0) == (part == "missing")


async def test_a_damaged_log_keeps_its_good_frames_after_the_damage_too(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.register(NAMES)
    for part in range(20):
        await store.append([ramp(0, 10, start_ns=BASE_NS + part * 10 * SECOND_NS)])
    before = await everything(store, np.arange(1, dtype=np.uint32))  # to open it again might flush the log
    await store.close()
    path = largest(tmp_path / "wal")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=path.name):
        await opened(tmp_path)
    done = mend(tmp_path)
    assert lost_but_told(before, await held(tmp_path), done) == 10
    assert [loss.file for loss in done.losses] == [f"wal/{path.name}"]


async def test_a_lost_log_is_told_and_the_later_ones_are_kept(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.register(NAMES)
    await store.close()
    wal = tmp_path / "wal"
    for number in (1, 2, 3):
        log_path(wal, number).unlink(missing_ok=True)
        log = LogWriter(Disk(), wal, number)
        log.commit([encode_frame([ramp(0, 5, start_ns=BASE_NS + number * HOUR_NS)], number, seed=log.seed)])
        log.close()
    log_path(wal, 2).unlink()
    with pytest.raises(DataError, match="0000000002"):
        await opened(tmp_path)
    done = mend(tmp_path)
    assert [(loss.file, loss.samples) for loss in done.losses] == [("wal/0000000002.log", None)]
    hours = (await held(tmp_path))[ValueKind.FLOAT64].source_ns // HOUR_NS - BASE_NS // HOUR_NS
    assert hours.tolist() == [1] * 5 + [3] * 5


@pytest.mark.parametrize("harm", ["missing", "zeroed", "flipped", "rows"])
async def test_a_lost_catalog_is_made_anew_with_names_deletions_and_newest_values(tmp_path: Path, harm: str) -> None:
    await a_history(tmp_path)
    store = await opened(tmp_path)
    await store.delete(np.array([1, 3], np.uint32), BASE_NS + 60 * SECOND_NS, BASE_NS + 700 * SECOND_NS)
    newest = {batch.kind: batch for batch in await store.latest(np.arange(4))}
    await store.close()
    before = await held(tmp_path)
    path = tmp_path / "catalog.db"
    if harm == "missing":
        path.unlink()
    elif harm == "zeroed":
        path.write_bytes(b"\0" * path.stat().st_size)
    else:
        data = bytearray(path.read_bytes())
        at = data.index(b"float64") if harm == "rows" else 3
        data[at] ^= 1
        path.write_bytes(data)
    with pytest.raises(DataError, match=r"catalog\.db"):
        await opened(tmp_path)
    done = mend(tmp_path)
    assert done.losses == []
    after = await held(tmp_path)
    assert rows(after) == rows(before)
    store = await opened(tmp_path)
    assert list(store.paths().values()) == NAMES
    assert all(batch.same_as(newest[batch.kind]) for batch in await store.latest(np.arange(4)))
    await store.append([ramp(0, 5, start_ns=NOW_NS)])
    await store.flush()
    await store.compact()
    assert rows(await everything(store, np.arange(4, dtype=np.uint32))).items() >= rows(before).items()
    await store.close()


@pytest.mark.parametrize("also_catalog", [False, True])
async def test_names_have_two_copies(tmp_path: Path, also_catalog: bool) -> None:
    await a_history(tmp_path)
    before = await held(tmp_path)
    (tmp_path / "journal.log").write_bytes(b"\0" * 300)
    if also_catalog:
        (tmp_path / "catalog.db").write_bytes(b"\0" * 300)
    with pytest.raises(DataError):
        await opened(tmp_path)
    mend(tmp_path)
    assert rows(await held(tmp_path)) == rows(before)
    store = await opened(tmp_path)
    assert list(store.paths().values()) == ([f"unnamed/{n}" for n in range(4)] if also_catalog else NAMES)
    await store.close()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("retired", [False, True])
async def test_summaries_of_days_long_ago_come_back_with_a_lost_catalog(
    tmp_path: Path, retired: bool, late: bool
) -> None:
    """Of days of which nothing else is left; of the others they are made again."""
    kept = {"raw_retention_ns": 5 * DAY_NS, "rollup_retention_ns": 6 * DAY_NS} if retired else {}
    settings = replace(SETTINGS, close_after_s=0, summary_after_s=0, **kept)  # type: ignore[arg-type]
    clock = ManualClock(BASE_NS + 4 * DAY_NS)
    store = await open_store(tmp_path, settings, clock)
    handles = await store.register(NAMES)
    begin = BASE_NS // DAY_NS * DAY_NS
    for day in range(3):
        await store.append([ramp(0, 700, start_ns=begin + day * DAY_NS, step_ns=120 * SECOND_NS)])
        await store.flush()
    await store.compact()
    clock.now += 30 * DAY_NS
    await store.compact()
    if late:
        await store.append([ramp(0, 5, start_ns=begin + DAY_NS + 700 * 120 * SECOND_NS + 600 * SECOND_NS)])
        await store.flush()

    async def hourly() -> list[list[float]]:
        span = (begin, begin + 3 * DAY_NS)
        wanted = (Aggregate.COUNT, Aggregate.MIN, Aggregate.MAX, Aggregate.SUM)
        buckets = await store.downsample(handles[:1], *span, width_ns=HOUR_NS, aggregates=wanted)
        return [buckets.columns[name][0].tolist() for name in wanted]

    before = await hourly()
    assert sum(before[0]) == 3 * 700 + 5 * late
    assert late or (await store.stats()).samples == (0 if retired else 3 * 700)
    await store.close()
    (tmp_path / "catalog.db").unlink()
    done = repair(tmp_path, NOW_NS, apply=True)
    assert done.losses == []
    with picture_of_closed(tmp_path) as picture:
        assert check(picture).findings == []
    settings = replace(settings, raw_retention_ns=None, rollup_retention_ns=None)
    store = await open_store(tmp_path, settings, clock)
    np.testing.assert_equal(await hourly(), before)
    await store.compact()
    np.testing.assert_equal(await hourly(), before)
    await store.close()


async def test_a_day_that_lost_all_its_samples_is_still_summarised(tmp_path: Path) -> None:
    settings = replace(SETTINGS, close_after_s=0, summary_after_s=0)
    store = await open_store(tmp_path, settings, ManualClock(BASE_NS + 4 * DAY_NS))
    handles = await store.register(NAMES)
    begin = BASE_NS // DAY_NS * DAY_NS
    await store.append([ramp(0, 700, start_ns=begin, step_ns=120 * SECOND_NS)])
    await store.flush()
    await store.compact()
    await store.close()
    with picture_of_closed(tmp_path) as picture:
        assert picture.catalog is not None
        files = {file.number: file.name for file in picture.catalog.files()}
        raw = {files[section.file] for section in picture.catalog.sections() if section.raw}
        summaries = {files[section.file] for section in picture.catalog.sections() if section.summary}
    assert summaries and not raw & summaries
    for name in raw:
        (tmp_path / "seg" / name).unlink()
    done = mend(tmp_path)
    assert sum(loss.samples or 0 for loss in done.losses) == 700
    store = await open_store(tmp_path, settings, ManualClock(BASE_NS + 4 * DAY_NS))
    buckets = await store.downsample(handles[:1], begin, begin + DAY_NS, width_ns=HOUR_NS, aggregates=[Aggregate.COUNT])
    assert buckets.columns[Aggregate.COUNT].sum() == 700
    await store.close()
    (path,) = (tmp_path / "seg" / name for name in summaries)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with picture_of_closed(tmp_path) as picture:
        (finding,) = check(picture).findings
    assert "summar" in finding.lost
    mend(tmp_path)


# --- bytes from anywhere ------------------------------------------------------------------------------------------


def bit(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncated(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def spliced(data: bytearray, rng: random.Random) -> None:
    length = rng.randrange(1, max(2, len(data) // 3))
    source, target = (rng.randrange(max(1, len(data) - length)) for _ in range(2))
    data[target : target + length] = data[source : source + length]


def zeroed(data: bytearray, rng: random.Random) -> None:
    page = rng.choice([512, 4096])
    at = rng.randrange(len(data)) // page * page
    data[at : at + page] = bytes(len(data[at : at + page]))


HARMS: list[Callable[[bytearray, random.Random], None]] = [bit, truncated, spliced, zeroed]


@pytest.mark.parametrize("what", ["seg", "wal", "journal.log", "catalog.db"])
@pytest.mark.clause("62443-3-3 SR 3.4", "62443-3-3 SR 7.4")
@pytest.mark.seeded
async def test_whatever_is_damaged_is_named_or_harmless_and_can_be_repaired(
    tmp_path_factory: pytest.TempPathFactory, what: str
) -> None:
    seed = drawn_seed()
    rng = random.Random(seed)
    sound = tmp_path_factory.mktemp("sound")
    await a_history(sound)
    shutil.copytree(sound, sound / "looked at")
    before = await held(sound / "looked at")  # a look may flush the log, which is to be damaged
    shutil.rmtree(sound / "looked at")
    # The end of the newest log cannot be told from a commit that a crash tore: then the commits before it are there.
    torn: list[dict[tuple[int, int], tuple[object, ...]]] = []
    for commits in range(3) if what == "wal" else ():
        directory = tmp_path_factory.mktemp("torn")
        await a_history(directory, commits)
        torn.append(rows(await held(directory)))
    for number in range(FUZZ_ROUNDS // 4):
        directory = tmp_path_factory.mktemp("damaged") / "history"
        shutil.copytree(sound, directory)
        places = sorted((directory / what).iterdir()) if what in ("seg", "wal") else [directory / what]
        path = rng.choice([place for place in places if place.stat().st_size > 16])
        data = bytearray(path.read_bytes())
        harm = rng.choice(HARMS)
        harm(data, rng)
        if data == path.read_bytes():
            continue
        path.write_bytes(data)
        where = f"round {number}: {harm.__name__} in {path.relative_to(directory)}"
        try:
            got = rows(await held_slowly(directory))
        except HeadraceError as error:
            assert path.name in str(error) or "journal" in str(error) or "catalog" in str(error), f"{where}: {error}"
        else:
            assert got == rows(before) or got in torn, where
        shutil.rmtree(directory)
        shutil.copytree(sound, directory)
        path.write_bytes(data)
        done = repair(directory, NOW_NS, apply=True)
        after = await held(directory)
        if rows(after) not in torn:
            lost_but_told(before, after, done)
        with picture_of_closed(directory) as picture:
            assert check(picture).findings == [], where
        shutil.rmtree(directory)


async def held_slowly(directory: Path) -> Samples:
    """As `held`, and the roll-ups are read too."""
    store = await opened(directory)
    try:
        handles = np.arange(len(store.paths()), dtype=np.uint32)
        await store.downsample(handles[:3], BASE_NS, BASE_NS + 6 * HOUR_NS, count=72)
        return await everything(store, handles)
    finally:
        await store.close()
