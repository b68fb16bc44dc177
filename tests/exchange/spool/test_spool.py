"""The spool keeps what it was given through any end, within its bound, and says what was lost where something was."""

import asyncio
import errno
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.exchange.spool.crashing import BASE_NS, SETTINGS, samples
from tests.properties import drawn_seed

from headrace.exchange import columns
from headrace.exchange.spool import Overflow, Spool, SpoolSettings, open_spool
from headrace.exchange.spool.spool import event_of
from headrace.exchange.spool.state import Held
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, DataError, LimitReached, Unavailable
from headrace.model.events import Event
from headrace.sdk.clock import SystemClock
from headrace.sdk.disk import Disk

ROOT = Path(__file__).parents[3]
SMALL = SpoolSettings(bytes_max=64 * 1024, segment_bytes=8 * 1024, reserve_bytes=0, overflow=Overflow.DROP_OLDEST)


@asynccontextmanager
async def opened(directory: Path, settings: SpoolSettings = SETTINGS, disk: Disk | None = None) -> AsyncIterator[Spool]:
    spool = await open_spool(directory, settings, SystemClock(), disk=disk, rng=random.Random(1))
    try:
        await spool.register(["p0", "p1", "p2"])
        yield spool
    finally:
        await spool.close()


async def held(spool: Spool, first: int = 1) -> list[int]:
    """The value of every sample from a frame on, in order."""
    entries = await spool.read(first, 1 << 40, "test")
    batches = [batch for entry in entries for batch in columns.unpack(entry.payload[0], entry.payload[1:])]
    for batch in batches:
        assert np.array_equal(batch.source_ns, BASE_NS + batch.values)
        assert np.array_equal(batch.handles, batch.values % 3)
    return [value for batch in batches for value in batch.values.tolist()]


async def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await asyncio.gather(*(spool.append([samples(n * 10, 10)]) for n in range(20)))
        await spool.append([samples(200, 30_000)])
        await spool.append_events([Event("1", "edge", "alarm.raised", "p0", 5, {"value": 1.5, "文": "本"})])
        await spool.register(["温度/p3"])
    async with opened(tmp_path) as spool:
        assert sorted(await held(spool)) == list(range(30_200))
        assert spool.paths() == {0: "p0", 1: "p1", 2: "p2", 3: "温度/p3"}
        (entry,) = await spool.read_events(1, 1 << 20)
        assert event_of(entry.payload) == Event("1", "edge", "alarm.raised", "p0", 5, {"value": 1.5, "文": "本"})


async def test_recent_frames_come_from_memory_and_older_ones_from_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        assert spool.recent(1, 100) == []
        for n in range(400):
            await spool.append([samples(n * 60, 60)])
        assert spool.recent(1, 100) is None
        newest = spool.recent(spool.last, 1 << 20)
        assert newest is not None and [entry.sequence for entry in newest] == [400]
        assert newest == await spool.read(400, 1, "test")
        assert spool.recent(401, 100) == []


@pytest.mark.parametrize("cut", ["header", "payload", "garbage"])
async def test_a_torn_end_is_cut_off_and_the_spool_goes_on(tmp_path: Path, cut: str) -> None:
    async with opened(tmp_path) as spool:
        for n in range(5):
            await spool.append([samples(n * 10, 10)])
    path = max((tmp_path / "samples").glob("*.spool"))
    data = path.read_bytes()
    at = data.rindex(b"HRSF")
    torn = {"header": data[: at + 9], "payload": data[: at + 60], "garbage": data + b"HRSF" + bytes(50)}[cut]
    path.write_bytes(torn)
    kept = 5 if cut == "garbage" else 4
    async with opened(tmp_path) as spool:
        assert (spool.last, await held(spool)) == (kept, list(range(10 * kept)))
        await spool.append([samples(10 * kept, 7)])
        assert await held(spool) == list(range(10 * kept + 7))
        assert spool.status().damaged_frames == 0


async def test_damage_in_the_middle_costs_what_it_hit_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as spool:
        for n in range(300):
            await spool.append([samples(n * 10, 10)])
    first, second, *_ = sorted((tmp_path / "samples").glob("*.spool"))
    for path, where in ((first, 4), (second, 20)):  # a length, and a payload
        data = bytearray(path.read_bytes())
        at = data.index(b"HRSF", 1000)
        data[at + where] ^= 0xFF
        path.write_bytes(data)
    async with opened(tmp_path) as spool:
        got = await held(spool)
        assert len(got) == len(set(got)) == 3000 - 20
        assert spool.status().damaged_frames == 2
        assert "damaged and cannot be sent" in caplog.text
        await spool.append([samples(3000, 1)])
        assert (await held(spool, spool.last)) == [3000]


async def test_a_full_spool_drops_the_oldest_file_and_counts_what_nobody_had(tmp_path: Path) -> None:
    async with opened(tmp_path, SMALL) as spool:
        total = 0
        while spool.status().dropped == 0:
            await spool.append([samples(total, 100)])
            total += 100
        status = spool.status()
        assert status.used <= 1.0
        left = await held(spool)
        assert left == list(range(total - len(left), total))
        assert status.dropped == total - len(left)
        assert status.pending_samples == len(left)
    async with opened(tmp_path, SMALL) as spool:
        assert spool.status().dropped == status.dropped


async def test_what_the_hub_has_goes_first_and_does_not_count_as_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path, SMALL) as spool:
        plan = await spool.resume(Held())
        for n in range(400):
            await spool.append([samples(n * 100, 100)])
            spool.acked(Held(plan.epoch, 0, n + 1))
            if n % 50 == 0:
                await spool.trim()
        await spool.trim()
        assert (spool.status().dropped, spool.status().pending_samples) == (0, 0)
        assert len(list((tmp_path / "samples").glob("*.spool"))) == 1


async def test_a_full_spool_that_blocks_refuses_and_takes_again(tmp_path: Path) -> None:
    settings = SpoolSettings(bytes_max=64 * 1024, segment_bytes=8 * 1024, reserve_bytes=0, overflow=Overflow.BLOCK)
    async with opened(tmp_path, settings) as spool:
        plan = await spool.resume(Held())
        with pytest.raises(Unavailable, match="until the hub has some"):
            for n in range(10_000):
                await spool.append([samples(n * 100, 100)])
        kept = n * 100
        assert spool.status().refused == 1 and "65536" in spool.status().full
        assert await held(spool) == list(range(kept))
        spool.acked(Held(plan.epoch, 0, spool.last))
        await spool.trim()
        await spool.append([samples(kept, 100)])
        assert spool.status().full == "" and spool.status().dropped == 0


class FullDisk(Disk):
    """Says that it is full, or fails in the middle of a write."""

    full = torn = False

    def free_bytes(self, path: Path) -> int:
        return 0 if self.full else 1 << 40

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        if self.torn:
            os.write(descriptor, bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(descriptor, data)


@pytest.mark.parametrize("how", ["full", "torn"])
async def test_a_full_disk_is_met_and_nothing_is_half_there(tmp_path: Path, how: str) -> None:
    disk = FullDisk()
    async with opened(tmp_path, SETTINGS, disk) as spool:
        await spool.append([samples(0, 10)])
        setattr(disk, how, True)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await spool.append([samples(10, 10)])
        assert await held(spool) == list(range(10))
        setattr(disk, how, False)
        await spool.append([samples(10, 10)])
        assert await held(spool) == list(range(20))
    async with opened(tmp_path) as spool:
        assert await held(spool) == list(range(20))


async def test_a_full_disk_takes_the_oldest_file_where_that_was_declared(tmp_path: Path) -> None:
    disk = FullDisk()
    async with opened(tmp_path, SMALL, disk) as spool:
        for n in range(100):
            await spool.append([samples(n * 100, 100)])
        files = len(list((tmp_path / "samples").glob("*.spool")))
        disk.full = True
        with pytest.raises(Unavailable):
            await spool.append([samples(0, 1)])
        assert files > 2 and spool.status().dropped > 0


async def test_names_that_are_damaged_are_missing_and_others_keep_their_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await spool.register(["a"])
        await spool.register(["b"])
    path = tmp_path / "names.log"
    data = bytearray(path.read_bytes())
    data[data.index(b"HRSF", 5) + 40] ^= 1  # the frame of "a"
    path.write_bytes(data)
    async with opened(tmp_path) as spool:
        assert spool.paths() == {0: "p0", 1: "p1", 2: "p2", 3: "", 4: "b"}
        assert (await spool.register(["a", "b"])).tolist() == [5, 4]


async def test_a_state_that_cannot_be_read_sends_everything_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as spool:
        await spool.append([samples(0, 10)])
        plan = await spool.resume(Held())
    (tmp_path / "state.json").write_bytes(b'{"dictionary": 1, "plans": [{}]}')
    async with opened(tmp_path) as spool:
        assert list((await spool.resume(Held(plan.epoch, 1, 1))).backlog) == [(1, 1)]
        assert "sent again" in caplog.text


async def test_wrong_calls_are_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        with pytest.raises(DataError, match="number 3 is not registered"):
            await spool.append([Batch.of(ValueKind.BOOL, 3, 0, True)])
        with pytest.raises(LimitReached):
            await spool.register(["x" * 2000])
        with pytest.raises(Unavailable, match="another process"):
            await open_spool(tmp_path, SETTINGS, SystemClock())
    with pytest.raises(Unavailable, match="closed"):
        await spool.append([samples(0, 1)])
    with pytest.raises(ConfigError):
        SpoolSettings(bytes_max=1000)


async def test_long_texts_are_cut_into_blocks_that_fit(tmp_path: Path) -> None:
    texts = np.array(["温" * 20_000] * 300, ValueKind.TEXT.dtype)
    async with opened(tmp_path) as spool:
        await spool.append([Batch.of(ValueKind.TEXT, np.zeros(300, np.uint32), BASE_NS, texts)])
        assert spool.last > 10
        entries = await spool.read(1, 1 << 40, "test")
        assert sum(entry.weight for entry in entries) == 300


# --- kill -9 ----------------------------------------------------------------------------------------------------------


class Told:
    """What the child said: samples that are durable, and what the pretended hub has."""

    def __init__(self) -> None:
        self.frames = self.next = 0
        self.held = Held()
        self.took: list[int] = []

    def take(self, line: str) -> None:
        match line.split():
            case ["a", first, count]:
                assert int(first) == self.next
                self.frames, self.next = self.frames + 1, int(first) + int(count)
            case ["p", epoch, live, *_]:
                self.held = Held(int(epoch), 0, int(live) - 1)
            case ["h", epoch, lane, sequence]:
                backlog, live = (
                    (self.held.backlog, int(sequence)) if lane == "live" else (int(sequence), self.held.live)
                )
                self.held = Held(int(epoch), backlog, live)
                self.took.append(int(sequence))


def run_and_kill(directory: Path, seed: int, told: Told) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    held = f"{told.held.epoch},{told.held.backlog},{told.held.live},0"
    command = [sys.executable, str(ROOT / "tests/exchange/spool/crashing.py"), str(directory), str(seed)]
    lines = random.Random(seed).randrange(1, 400)
    with subprocess.Popen(
        [*command, str(told.next), held], stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        for _ in range(lines):
            line = child.stdout.readline()
            assert line.endswith("\n"), "the child died by itself"
            told.take(line)
        child.kill()
        for line in child.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                told.take(line)


async def kill_again_and_again(directory: Path, kills: int) -> None:
    seed = drawn_seed()
    told = Told()
    contents: dict[int, list[int]] = {}  # of every frame ever seen
    for kill in range(kills):
        run_and_kill(directory, seed + kill, told)
        async with opened(directory) as spool:
            for entry in await spool.read(1, 1 << 40, "test"):
                values = columns.unpack(entry.payload[0], entry.payload[1:])[0].values.tolist()
                assert contents.setdefault(entry.sequence, values) == values
            plan = await spool.resume(told.held)
            told.held = Held(plan.epoch, 0, plan.live_from - 1)
            pending = {n for a, b in plan.backlog for n in range(a, b + 1)}
            # The hub took each frame once, and every frame that it did not take is still to come, and there.
            assert len(set(told.took)) == len(told.took)
            assert pending == set(range(1, spool.last + 1)) - set(told.took)
            assert pending <= contents.keys()
        # What was acknowledged is there, and beyond it at most the one append that was under way.
        assert told.frames <= spool.last <= told.frames + 1
        told.frames, told.next = spool.last, contents[spool.last][-1] + 1


async def test_killed_at_random_moments(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, 4)


@pytest.mark.soak
async def test_killed_fifty_times(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, int(os.environ.get("HEADRACE_KILLS", "50")))
