"""Torn, damaged and foreign files; a disk that is full. Each is met with the right error, and the rest goes on."""

import errno
from collections.abc import Sequence
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
from headrace.history.records import decode_batches, encode_batches
from headrace.history.store import EmbeddedStore
from headrace.history.wal import LogReader, LogWriter, encode_frame, log_header, log_path
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.testing.store import BASE_NS, everything, ramp

SETTINGS = HistorySettings(housekeeping_s=60)
FUZZ = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))


async def opened(directory: Path, disk: Disk | None = None, **changes: object) -> EmbeddedStore:
    return await open_store(directory, replace(SETTINGS, **changes), ManualClock(BASE_NS), disk=disk)  # type: ignore[arg-type]


async def values(store: EmbeddedStore) -> list[float]:
    held = await everything(store, np.array([0], np.uint32))
    return held[ValueKind.FLOAT64].values.tolist() if held else []


async def filled(directory: Path, batches: Sequence[Batch]) -> None:
    store = await opened(directory)
    await store.register(["p"])
    for batch in batches:
        await store.append([batch])
    await store.close()


@pytest.mark.parametrize("cut", [1, 5, 12, 40])
async def test_a_torn_last_frame_ends_the_log_and_appending_goes_on(tmp_path: Path, cut: int) -> None:
    await filled(tmp_path, [ramp(0, 5), ramp(0, 5, start_ns=BASE_NS + 100 * SECOND_NS)])
    (log,) = [path for path in (tmp_path / "wal").iterdir() if path.stat().st_size > LogWriter.EMPTY_BYTES]
    log.write_bytes(log.read_bytes()[:-cut])
    for _ in range(3):
        store = await opened(tmp_path)
        assert (await values(store))[:5] == [0.0, 1.0, 2.0, 3.0, 4.0]
        await store.append([ramp(0, 1, start_ns=BASE_NS + HOUR_NS)])
        assert (await values(store))[5:] == [0.0]
        await store.close()


async def test_damage_within_the_newest_log_is_no_torn_end(tmp_path: Path) -> None:
    """What follows it was durable only after it, so it was acknowledged: dropping it in silence would lose samples."""
    await filled(tmp_path, [ramp(0, 50, start_ns=BASE_NS + part * HOUR_NS) for part in range(4)])
    (log,) = [path for path in (tmp_path / "wal").iterdir() if path.stat().st_size > LogWriter.EMPTY_BYTES]
    sound = log.read_bytes()
    for at in (LogWriter.EMPTY_BYTES + 2, len(sound) // 2):
        data = bytearray(sound)
        data[at] ^= 1
        log.write_bytes(data)
        with pytest.raises(DataError, match=log.name):
            await opened(tmp_path)
    log.write_bytes(sound)
    store = await opened(tmp_path)
    assert len(await values(store)) == 200
    await store.close()


async def test_damage_in_an_earlier_log_is_an_error_that_names_it(tmp_path: Path) -> None:
    wal = tmp_path / "wal"
    await filled(tmp_path, [])
    for path in wal.iterdir():
        path.unlink()
    for number in (1, 2):
        log = LogWriter(Disk(), wal, number)
        log.commit([encode_frame([ramp(0, 50)], 1, seed=log.seed)] * 2)
        log.close()
    first = log_path(wal, 1)
    data = bytearray(first.read_bytes())
    data[60] ^= 1
    first.write_bytes(data)
    with pytest.raises(DataError, match=first.name):
        await opened(tmp_path)
    first.unlink()
    with pytest.raises(DataError, match=first.name):
        await opened(tmp_path)


async def test_a_damaged_segment_is_named_and_the_other_hours_still_answer(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    handles = await store.register(["p"])
    noise = np.random.default_rng(7).integers(0, 2**60, 500)
    for hour in (0, 1):
        await store.append(
            [Batch.of(ValueKind.INT64, np.zeros(500), BASE_NS + hour * HOUR_NS + np.arange(500) * SECOND_NS, noise)]
        )
    await store.flush()
    await store.close()
    damaged = tmp_path / "seg" / f"{BASE_NS // HOUR_NS}-1.seg"
    data = bytearray(damaged.read_bytes())
    data[200] ^= 1
    damaged.write_bytes(data)
    store = await opened(tmp_path)
    with pytest.raises(DataError, match=damaged.name):
        await store.raw(handles, BASE_NS, BASE_NS + HOUR_NS)
    page = await store.raw(handles, BASE_NS + HOUR_NS, BASE_NS + 2 * HOUR_NS)
    assert page.batches[0].values.tolist() == noise.tolist()
    await store.close()
    damaged.write_bytes(data[:-1])
    with pytest.raises(DataError, match=damaged.name):
        await opened(tmp_path)


async def test_files_that_the_catalog_does_not_know_are_deleted(tmp_path: Path) -> None:
    await filled(tmp_path, [ramp(0, 5)])
    for name in ("5.tmp", "493333-77.seg"):
        (tmp_path / "seg" / name).write_bytes(b"left by a crash")
    store = await opened(tmp_path)
    assert list((tmp_path / "seg").iterdir()) == []
    assert len(await values(store)) == 5
    await store.close()


class FullDisk(Disk):
    """Takes `room` more bytes, then none: the write in progress is cut."""

    room: int | None = None
    free: int = 1 << 40

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        if self.room is not None and len(data) > self.room:
            super().write(descriptor, memoryview(data)[: self.room])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(descriptor, data)

    def free_bytes(self, path: Path) -> int:
        return self.free


@pytest.mark.parametrize("room", [0, 7, 30])
async def test_a_full_disk_refuses_the_append_and_keeps_what_was_there(tmp_path: Path, room: int) -> None:
    disk = FullDisk()
    store = await opened(tmp_path, disk)
    await store.register(["p"])
    await store.append([ramp(0, 5)])
    disk.room = room
    with pytest.raises(Unavailable):
        await store.append([ramp(0, 50, start_ns=BASE_NS + HOUR_NS)])
    assert await values(store) == [0.0, 1.0, 2.0, 3.0, 4.0]
    with pytest.raises(Unavailable):
        await store.flush()
    disk.room = None
    await store.append([ramp(0, 1, start_ns=BASE_NS + HOUR_NS)])
    for _ in range(2):  # from the log, which must bear no trace of the refused frame; then from segments
        await store.close()
        store = await opened(tmp_path)
        assert await values(store) == [0.0, 1.0, 2.0, 3.0, 4.0, 0.0]
        await store.flush()
    assert (await store.stats()).samples == 6
    await store.close()


async def test_below_the_low_water_mark_appends_are_refused_before_the_disk_is_full(tmp_path: Path) -> None:
    disk = FullDisk()
    store = await opened(tmp_path, disk)
    await store.register(["p"])
    disk.free = SETTINGS.disk_reserve_bytes - 1
    with pytest.raises(Unavailable, match="MiB free"):
        await store.append([ramp(0, 5)])
    assert (await store.stats()).extra["disk_low"] == 1
    disk.free = 1 << 40
    await store.append([ramp(0, 5)])
    assert (await store.stats()).extra["disk_low"] == 0
    await store.close()


# --- bytes from anywhere ------------------------------------------------------------------------------------------


@FUZZ
@given(st.binary(max_size=200))
def test_records_from_random_bytes_raise_only_data_errors(data: bytes) -> None:
    try:
        decode_batches(data)
    except DataError:
        pass


@FUZZ
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damaged_records_raise_only_data_errors(at: int, patch: bytes) -> None:
    text = Batch.of(ValueKind.TEXT, [1, 2, 3], [5, 6, 9], ["a", "bc", "停"])
    data = bytearray(encode_batches([ramp(3, 20), text, Batch.of(ValueKind.BOOL, [1, 2], 0, [True, False])]))
    at %= len(data)
    data[at : at + len(patch)] = patch
    try:
        decode_batches(bytes(data))
    except DataError:
        pass


@FUZZ
@given(data=st.binary(max_size=300), last=st.booleans(), headed=st.booleans())
def test_logs_from_random_bytes_raise_only_data_errors(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, last: bool, headed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.log"
    path.write_bytes((log_header(1) if headed else b"") + data)
    try:
        list(LogReader(path, 1, last=last).batches())
    except DataError:
        pass


async def test_segments_with_damaged_bytes_raise_only_data_errors(tmp_path: Path) -> None:
    store = await opened(tmp_path, cache_bytes=0)
    handles = await store.register(["p", "q", "r", "s"])
    rng = np.random.default_rng(11)
    times = BASE_NS + np.sort(rng.integers(0, HOUR_NS, 300))
    quality = rng.integers(0, 2, 300).astype(np.uint32) << np.uint32(31)
    for kind, column in (
        (ValueKind.FLOAT64, rng.normal(size=300)),
        (ValueKind.INT64, rng.integers(-9, 9, 300)),
        (ValueKind.BOOL, rng.integers(0, 2, 300).astype(np.bool_)),
        (ValueKind.TEXT, np.array([f"state {n % 7}" for n in range(300)], ValueKind.TEXT.dtype)),
    ):
        await store.append([Batch.of(kind, np.full(300, int(kind) - 1), times, column, quality, times + 5)])
    await store.flush()
    whole = {kind: batch async for batch in store.scan() for kind in [batch.kind]}
    (path,) = (tmp_path / "seg").iterdir()
    sound = path.read_bytes()
    damaged = 0
    for at in rng.integers(0, len(sound), 250).tolist():
        data = bytearray(sound)
        data[at] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        store._segments._checked.clear()
        try:
            got = {kind: batch async for batch in store.scan() for kind in [batch.kind]}
            # Damage outside what a scan reads (the roll-ups) may go unseen, but never changes a sample.
            assert all(got[kind].same_as(whole[kind]) for kind in whole)
            await store.downsample(handles[:3], BASE_NS, BASE_NS + HOUR_NS, count=60)
        except DataError as error:
            assert path.name in str(error)
            damaged += 1
    assert damaged > 200
    path.write_bytes(sound)
    await store.close()


async def test_an_append_beyond_a_frame_is_refused_whole(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    handles = await store.register(["p"])
    with pytest.raises(LimitReached):
        await store.append([Batch.of(ValueKind.BOOL, np.zeros(4_000_001, np.uint32), BASE_NS, True)])
    with pytest.raises(LimitReached):
        await store.append([Batch.of(ValueKind.TEXT, np.zeros(2500, np.uint32), BASE_NS, "x" * 60_000)])
    assert await everything(store, handles) == {}
    await store.close()
