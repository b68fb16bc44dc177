"""A log is written over an old one: nothing of the earlier life comes back, wherever a crash falls."""

from __future__ import annotations

import random
import shutil
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.history.clock import ManualClock
from tests.properties import drawn_seed

from headrace.history import HistorySettings, open_store
from headrace.history.check import check
from headrace.history.disk import Disk
from headrace.history.picture import picture_of_closed
from headrace.history.wal import LogReader, LogWriter, encode_frame, keep_used, log_path
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS
from headrace.sdk.testing.store import BASE_NS, everything, ramp


class Held(Disk):
    """While `go` is not set, no segment is begun."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def open(self, path: Path, *, create: bool = False) -> int:
        if create and path.parent.name == "seg":
            self.go.wait()
        return super().open(path, create=create)


@pytest.fixture
def disk() -> Iterator[Held]:
    disk = Held()
    yield disk
    disk.go.set()  # or a test that failed would wait for the keeper for ever


def written(folder: Path, number: int, frames: int, *, samples: int = 10) -> LogWriter:
    """A log in use; frames of as many samples are as long, whatever is in them."""
    log = LogWriter(Disk(), folder, number)
    for place in range(frames):
        log.commit([encode_frame([ramp(number, samples)], 100 * number + place, seed=log.seed)])
    return log


def done_with(log: LogWriter) -> None:
    log.finish()
    log.close()
    assert keep_used(Disk(), log.path)


def copied(store: Path, copy: Path) -> None:
    """What a crash would leave; once more where the next log was being made meanwhile, and a name was gone."""
    while True:
        try:
            shutil.copytree(store, copy, ignore=shutil.ignore_patterns("lock"))
            return
        except shutil.Error:
            shutil.rmtree(copy)


def handles_in(path: Path, number: int, *, last: bool = True) -> list[int]:
    return [int(batches[0].handles[0]) for batches in LogReader(path, number, last=last).batches()]


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_frames_of_an_earlier_life_are_none_even_where_they_follow_at_once(tmp_path: Path, frames: int) -> None:
    done_with(written(tmp_path, 1, 5))
    log = written(tmp_path, 2, frames)
    assert [path.name for path in tmp_path.iterdir()] == ["0000000002.log"]
    size = log.path.stat().st_size
    assert (size > log.size) == (frames < 5)
    assert handles_in(log.path, 2) == [2] * frames
    log.finish()
    assert log.path.stat().st_size == log.size
    assert handles_in(log.path, 2, last=False) == [2] * frames
    log.commit([encode_frame([ramp(9, 1)], 999, seed=log.seed)])  # finished is not closed: the freeze may fail
    assert handles_in(log.path, 2) == [2] * frames + [9]
    log.close()


def test_a_log_that_outgrows_the_old_one_goes_on(tmp_path: Path) -> None:
    done_with(written(tmp_path, 1, 2))
    log = written(tmp_path, 2, 7)
    assert handles_in(log.path, 2, last=False) == [2] * 7
    log.close()


def test_what_a_failed_commit_wrote_over_is_cut_with_all_behind_it(tmp_path: Path) -> None:
    class Full(Disk):
        def datasync(self, descriptor: int) -> None:
            super().datasync(descriptor)
            if self.full:
                self.full = False
                raise OSError(28, "No space left on device")

        full = False

    done_with(written(tmp_path, 1, 5))
    disk = Full()
    log = LogWriter(disk, tmp_path, 2)
    disk.full = True
    with pytest.raises(Exception, match="No space left"):
        log.commit([encode_frame([ramp(2, 10)], 1, seed=log.seed)])
    assert log.path.stat().st_size == LogWriter.EMPTY_BYTES
    log.commit([encode_frame([ramp(3, 10)], 2, seed=log.seed)])
    assert handles_in(log.path, 2) == [3]
    log.close()


def test_damage_before_good_frames_is_no_torn_end_also_where_old_frames_follow(tmp_path: Path) -> None:
    done_with(written(tmp_path, 1, 5))
    log = written(tmp_path, 2, 3)
    data = bytearray(log.path.read_bytes())
    data[LogWriter.EMPTY_BYTES + 50] ^= 1
    log.path.write_bytes(data)
    with pytest.raises(DataError, match="damaged at byte"):
        handles_in(log.path, 2)


def test_two_are_kept_and_no_more(tmp_path: Path) -> None:
    logs = [written(tmp_path, number, 1) for number in (1, 2, 3)]
    assert [keep_used(Disk(), log.path) for log in logs] == [True, True, False]


def test_a_log_of_the_format_before_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = log_path(tmp_path, 7)
    path.write_bytes(struct.pack("<5sB2xQ", b"HRWAL", 3, 7) + encode_frame([ramp(1, 4)], 1, seed=0))
    log = LogWriter.resume(Disk(), tmp_path, 7, path.stat().st_size)
    log.commit([encode_frame([ramp(2, 4)], 2, seed=log.seed)])
    assert handles_in(path, 7) == [1, 2]
    log.close()


@pytest.mark.seeded
async def test_a_crash_anywhere_in_logs_that_are_written_over_keeps_what_was_acknowledged(
    tmp_path: Path, disk: Held
) -> None:
    """A copy of the directory is what a crash leaves; appends of all sizes, so that old ends stick out or do not."""
    seed = drawn_seed()
    choose = random.Random(seed)
    settings = HistorySettings(memtable_samples=200)
    store = await open_store(tmp_path / "store", settings, ManualClock(BASE_NS), disk=disk)
    handles = await store.register(["p"])
    sent, flushed, used = 0, 0, 0
    for step in range(60):
        disk.go.clear()
        size = choose.choice([1, 7, 40, 90])
        times = BASE_NS + SECOND_NS * np.arange(sent, sent + size)
        values = np.arange(sent, sent + size, dtype=np.float64)
        await store.append([Batch.of(ValueKind.FLOAT64, np.zeros(size), times, values)])
        sent += size
        copy = tmp_path / str(step)
        copied(tmp_path / "store", copy)
        with picture_of_closed(copy) as picture:
            assert check(picture).sound
        again = await open_store(copy, settings, ManualClock(BASE_NS))
        held = (await everything(again, handles))[ValueKind.FLOAT64]
        assert held.values.tolist() == list(range(sent))
        await again.append([ramp(0, 3, start_ns=BASE_NS - 1000 * SECOND_NS)])
        await again.close()
        shutil.rmtree(copy)
        if sent - flushed > 200 or choose.random() < 0.3:
            disk.go.set()
            await store.flush()
            await store.compact()
            flushed = sent
            used = max(used, len(list((tmp_path / "store/wal").glob("*.used"))))
    assert used > 0
    await store.close()


async def test_a_log_that_waits_for_its_flush_ends_where_its_frames_do(tmp_path: Path, disk: Held) -> None:
    """It is the newest no more, so what an earlier life left behind its end would look like damage."""

    settings = HistorySettings(memtable_samples=50)
    store = await open_store(tmp_path / "store", settings, ManualClock(BASE_NS), disk=disk)
    handles = await store.register(["p"])
    for part in range(4):
        await store.append([ramp(0, 300, start_ns=BASE_NS + part * 300 * SECOND_NS)])
        await store.flush()
    disk.go.clear()
    for part in range(2):
        await store.append([ramp(0, 60, start_ns=BASE_NS + (1200 + part * 60) * SECOND_NS)])
    copied(tmp_path / "store", tmp_path / "copy")
    disk.go.set()
    await store.close()
    again = await open_store(tmp_path / "copy", settings, ManualClock(BASE_NS))
    assert len((await everything(again, handles))[ValueKind.FLOAT64]) == 1320
    await again.close()


async def test_where_the_disk_is_low_no_old_log_is_kept(tmp_path: Path) -> None:
    class Low(Disk):
        free = 2**40

        def free_bytes(self, path: Path) -> int:
            return self.free

    disk, settings = Low(), HistorySettings(memtable_samples=50)
    store = await open_store(tmp_path, settings, ManualClock(BASE_NS), disk=disk)
    await store.register(["p"])
    for part in range(6):
        await store.append([ramp(0, 60, start_ns=BASE_NS + part * 60 * SECOND_NS)])
        await store.flush()
    assert list((tmp_path / "wal").glob("*.used")) != []
    disk.free = settings.disk_reserve_bytes + 2**20
    await store.append([ramp(0, 60, start_ns=BASE_NS + 900 * SECOND_NS)])
    await store.flush()
    assert list((tmp_path / "wal").glob("*.used")) == []
    await store.close()
