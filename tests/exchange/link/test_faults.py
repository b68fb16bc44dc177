"""Hub and edge as processes, killed and cut off at random moments: nothing lost, nothing taken twice, live soon again.

What the edge has said is durable in its spool must be in the hub's history once everything has calmed down, each sample
once; and no sample may have been taken twice. `make soak` does each fault ten times, with real durations.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.exchange.link.ends import PREFIX, Door, until
from tests.properties import drawn_seed

from headrace.exchange.link.enrol import Identity, put
from headrace.history import HistorySettings, open_store
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.relay import Relay

ROOT = Path(__file__).parents[3]


class Child:
    """A program of this folder; its lines are read as they come."""

    def __init__(self, program: str, take: Callable[[str], None]) -> None:
        self._program, self._take = program, take
        self.inside: tuple[str, ...] = ()  # a command that runs it in a namespace
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, *arguments: object) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        self._process = await asyncio.create_subprocess_exec(
            *self.inside, sys.executable, "-m", f"tests.exchange.link.{self._program}", *map(str, arguments),
            stdout=asyncio.subprocess.PIPE, env=environment, cwd=ROOT, limit=1 << 26,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while (line := await self._process.stdout.readline()).endswith(b"\n"):
            self._take(line.decode())

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading


class Plant:
    """Both processes and the relay between them, and all that they said."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.hub, self.edge = Child("hub_child", self._hub_said), Child("edge_child", self._edge_said)
        self.relay = Relay("127.0.0.1", 0)
        self.port = self.next = 0
        self.appended: set[int] = set()
        self.taken: Counter[int] = Counter()
        self.late_s: list[float] = []
        self.live = 0  # takes of the live lane
        self.up = self.clean = False
        self.count, self.pause_s = 20, 0.01
        self.hub_host, self.edge_sees = "127.0.0.1", "127.0.0.1"

    def _hub_said(self, line: str) -> None:
        match line.split():
            case ["ready", port]:
                self.port = int(port)
                self.relay.target = ("127.0.0.1", self.port)
            case ["t", lane, _, *times]:
                self.taken.update(map(int, times))
                self.live += lane == "live"
            case ["late", seconds]:
                self.late_s.append(float(seconds))

    def _edge_said(self, line: str) -> None:
        match line.split():
            case ["a", first, count]:
                self.next = int(first) + int(count)
                self.appended.update(range(1_000_000 + int(first), 1_000_000 + self.next))
            case ["up"]:
                self.up = True
            case ["down"]:
                self.up = False
            case ["clean"]:
                self.clean = True

    async def start_hub(self) -> None:
        before, self.port = self.port, 0
        await self.hub.start(self.folder, before, self.hub_host)
        await until(lambda: self.port > 0, 60)

    async def start_edge(self) -> None:
        # An append that was under way when the edge died may be there too, so numbers are not used twice.
        self.next += 1000
        self.up = False
        port = self.relay.port or self.port
        await self.edge.start(self.folder, self.edge_sees, port, self.next, self.count, self.pause_s)

    async def kill_edge(self) -> None:
        await self.edge.kill()
        self.up = False

    async def some_time(self, most_s: float = 0.5) -> None:
        await asyncio.sleep(self.rng.uniform(0, most_s))

    async def live_again(self) -> None:
        before = self.live
        await until(lambda: self.live > before, 60)

    async def check(self) -> None:
        """Let everything arrive, then compare what was said with what is there."""
        await self.live_again()
        await self.kill_edge()
        self.pause_s = 0
        await self.start_edge()
        await until(lambda: self.clean, 60)
        await self.kill_edge()
        await self.hub.kill()
        store = await open_store(self.folder / "history", HistorySettings(), SystemClock())
        page = await store.raw(np.arange(3, dtype=np.uint32), 0, 1 << 60, limit=10_000_000)
        await store.close()
        there = Counter(time for batch in page.batches for time in batch.source_ns.tolist())
        assert not self.appended - there.keys(), "samples are lost"
        # A hub may have died between making samples durable and saying so: then they are there, and nobody said it.
        assert set(there.values()) == {1} and set(self.taken.values()) == {1}, "samples came twice"
        assert self.taken.keys() <= there.keys()


async def prepared(folder: Path) -> Plant:
    """An edge that is enrolled; nothing runs yet."""
    seed = drawn_seed()
    door = Door(folder / "door", {"line": PREFIX})
    identity = Identity(folder / "identity")
    _, chain = await door.enrol(door.invite("line").text, identity.request("line").encode(), "")
    put(folder / "identity" / "authority.pem", (await door.identity()).authority)
    put(folder / "identity" / "certificate.pem", chain)
    put(folder / "identity" / "edge.json", b'{"name": "line"}')
    door.save()
    return Plant(folder, random.Random(seed))


@asynccontextmanager
async def plant(folder: Path) -> AsyncIterator[Plant]:
    works = await prepared(folder)
    await works.start_hub()
    async with works.relay:
        await works.start_edge()
        try:
            await works.live_again()
            yield works
        finally:
            await works.kill_edge()
            await works.hub.kill()


async def kill_hub(works: Plant) -> None:
    await works.hub.kill()
    await works.some_time()
    await works.start_hub()


async def kill_edge(works: Plant) -> None:
    await works.kill_edge()
    await works.some_time()
    await works.start_edge()


async def cut(works: Plant) -> None:
    await works.relay.cut()
    await works.some_time(float(os.environ.get("HEADRACE_CUT_S", "1")))
    await works.relay.mend()


async def black_hole(works: Plant) -> None:
    works.relay.black_hole = True
    await works.some_time(2 * float(os.environ.get("HEADRACE_CUT_S", "1")))
    works.relay.black_hole = False


FAULTS = [kill_hub, kill_edge, cut, black_hole]


@pytest.mark.timeout(240)
async def test_killed_and_cut_off_at_random_moments(tmp_path: Path) -> None:
    async with plant(tmp_path) as works:
        for fault in works.rng.sample(FAULTS, len(FAULTS)):
            await works.some_time()
            await fault(works)
            await works.live_again()
        await works.check()


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
async def test_ten_times(tmp_path: Path, fault: Callable[[Plant], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CUT_S", "60")
    async with plant(tmp_path) as works:
        for _ in range(10):
            await works.some_time(2.0)
            await fault(works)  # type: ignore[misc]
            await works.live_again()
        await works.check()
