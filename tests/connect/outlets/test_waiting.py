"""What waits: in order, bounded, counted, and on disk through crashes and damage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.connect.outlets.disk import DiskLine
from headrace.connect.outlets.waiting import EVENTS_MAX, Line, MemoryLine, Portion
from headrace.model.batch import Batch, ValueKind
from headrace.model.events import Event
from headrace.sdk.outlet import OutletCounters


class Names:
    """Paths p0, p1 …; `shift` is another run, in which the handles are others."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def path_of(self, handle: int) -> str:
        return f"p{handle - self.shift}"

    def handle_of(self, path: str) -> int | None:
        return int(path[1:]) + self.shift if path != "p9" else None


def batch(*values: int, handle: int = 1) -> Batch:
    return Batch.of(ValueKind.INT64, [handle] * len(values), list(values), list(values))


def event(number: int) -> Event:
    return Event(str(number), "test", "test.done", "p", number)


def values(portion: Portion | None) -> list[int]:
    assert portion is not None
    return [value for one in portion.batches for value in one.values.tolist()]


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.line"))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_of(folder))


def drain(line: Line) -> list[int]:
    seen: list[int] = []
    while (portion := line.take()) is not None:
        seen += values(portion)
        line.done()
    return seen


@pytest.fixture(params=["memory", "disk"])
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> Line:
    counters = OutletCounters()
    made: Line = (
        MemoryLine(counters, 1000) if request.param == "memory" else DiskLine(tmp_path, counters, 1 << 20, Names())
    )
    made.counters = counters  # type: ignore[attr-defined]
    return made


async def test_first_in_first_out_and_nothing_before_it_is_done(line: Line) -> None:
    counters: OutletCounters = line.counters  # type: ignore[attr-defined]
    assert line.take() is None and not line.something.is_set()
    line.put([batch(1, 2), batch(3)])
    line.put([batch(4)])
    assert line.something.is_set() and counters.waiting == 4
    assert values(line.take()) == [1, 2, 3, 4]
    line.undo()
    assert values(line.take()) == [1, 2, 3, 4]
    line.done()
    assert line.take() is None and not line.something.is_set() and counters.waiting == 0
    await line.close()


async def test_events_wait_beside_samples(line: Line) -> None:
    line.put([batch(1)])
    line.put_events([event(1), event(2)])
    line.put([batch(2)])
    got: list[object] = []
    while (portion := line.take()) is not None:
        got += [one.id for one in portion.events] + values(portion)
        line.done()
    assert sorted(map(str, got)) == ["1", "1", "2", "2"]
    await line.close()


async def test_full_memory_drops_the_oldest_and_counts() -> None:
    counters = OutletCounters()
    line = MemoryLine(counters, 5)
    for number in range(10):
        line.put([batch(number, number)])
    assert drain(line) == [8, 8, 9, 9]
    assert (counters.dropped, counters.waiting) == (16, 0)
    line.put_events([event(number) for number in range(EVENTS_MAX + 3)])
    assert counters.dropped_events == 3


async def test_what_cannot_be_written_down_costs_itself_alone(tmp_path: Path) -> None:
    counters = OutletCounters()
    line = DiskLine(tmp_path, counters, 1 << 20, Names())
    line.put_events([event(1), Event("2", "test", "test.done", "p", 2, {"no": object()}), event(3)])
    portion = line.take()
    assert portion is not None and [one.id for one in portion.events] == ["1", "3"]
    assert counters.dropped_events == 1
    line.put([batch(1, handle=2**25)])
    assert counters.dropped == 1
    await line.close()


async def test_what_is_in_hand_is_not_dropped() -> None:
    counters = OutletCounters()
    line = MemoryLine(counters, 3)
    line.put([batch(1), batch(2)])
    assert values(line.take()) == [1, 2]
    line.put([batch(3), batch(4), batch(5)])
    line.undo()
    assert drain(line)[:2] == [1, 2]


async def test_a_full_disk_budget_drops_whole_old_files_and_counts(tmp_path: Path) -> None:
    counters = OutletCounters()
    line = DiskLine(tmp_path, counters, 64 * 1024, Names())
    for number in range(400):
        line.put([batch(*[number] * 20)])
    assert size_of(tmp_path) <= 64 * 1024 + 16 * 1024
    seen = drain(line)
    assert counters.dropped > 0 and counters.dropped + len(seen) == 8000
    assert seen == [number for number in range(400 - len(seen) // 20, 400) for _ in range(20)]
    await line.close()


async def test_another_run_goes_on_where_this_one_stopped_under_its_own_handles(tmp_path: Path) -> None:
    line = DiskLine(tmp_path, OutletCounters(), 1 << 20, Names())
    line.put([batch(1), batch(2), batch(3, handle=9)])
    line.put([batch(4)])
    assert values(line.take()) == [1, 2, 4]  # the point p9 is no longer declared
    line.done()
    line.put([batch(5)])
    line.take()  # in hand, not done: killed here
    counters = OutletCounters()
    again = DiskLine(tmp_path, counters, 1 << 20, Names(shift=100))
    assert counters.waiting == 1
    portion = again.take()
    assert portion is not None and portion.batches[0].handles.tolist() == [101]
    assert values(portion) == [5]
    await again.close()
    await line.close()


@given(st.integers(0, 2**32), st.integers(1, 5))
@settings(max_examples=examples(25), deadline=None)
def test_damage_costs_no_more_than_its_file_and_never_the_rest(seed: int, wounds: int) -> None:
    """Random bytes of the files are changed or cut between two runs; the second reads on, in order, and counts."""

    async def run(folder: Path) -> None:
        dice = random.Random(seed)
        line = DiskLine(folder, OutletCounters(), 1 << 16, Names())
        sent = []
        for number in range(60):
            line.put([batch(*[number] * dice.randint(1, 30))])
            sent.append(number)
        await line.close()
        files = files_of(folder)
        for _ in range(wounds):
            file = dice.choice(files)
            raw = bytearray(file.read_bytes())
            if dice.random() < 0.3:
                raw = raw[: dice.randint(0, len(raw))]
            elif raw:
                raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
            file.write_bytes(raw)
        if dice.random() < 0.3:
            (folder / "taken").write_bytes(dice.randbytes(dice.randint(0, 20)))
        counters = OutletCounters()
        again = DiskLine(folder, counters, 1 << 16, Names())
        again.put([batch(1000)])
        seen = drain(again)
        assert seen[-1] == 1000
        assert list(dict.fromkeys(seen)) == sorted(set(seen))
        await again.close()

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def test_a_disk_that_takes_nothing_costs_counted_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = OutletCounters()
    line = DiskLine(tmp_path, counters, 1 << 20, Names())
    line.put([batch(1)])

    class Full:
        def write(self, _raw: bytes) -> int:
            raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return lambda *_: 0

    kept: Sequence[object] = [line._writing]
    line._writing = Full()  # type: ignore[assignment]
    line.put([batch(2), batch(3)])
    assert counters.dropped == 2
    line.put([batch(4)])  # there is room again
    assert drain(line) == [1, 4]
    assert kept
    await line.close()
