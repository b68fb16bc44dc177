"""The bus over a Unix socket keeps the bus contract, between tasks and between processes."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.exchange.frames import FRAME_BYTES_MAX, VERSION, Frame, Kind, json_frame, read_frame
from headrace.exchange.local import LocalBus
from headrace.exchange.numbering import Declared, PathBook
from headrace.exchange.unix import UnixBus
from headrace.exchange.unix_server import BusServer
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, DataError, Unavailable
from headrace.model.events import Event
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.testing.bus import BusContract, batch_of, marks, settle


def book(count: int = 100, first: int = 0) -> PathBook:
    """Numbers whose handles are 0 … for the paths p<first> …"""
    made = PathBook()
    for at in range(first, first + count):
        made.handle_of(f"acme/p{at}")
    return made


class TestUnixBus(BusContract):
    shares_loop = False

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "bus.sock"

    @asynccontextmanager
    async def open_bus(self) -> AsyncIterator[Bus]:
        async with (
            BusServer(LocalBus(), book(), self.path),
            UnixBus.connect(self.path, book(), name="test") as bus,
        ):
            yield bus

    async def settle(self, bus: Bus) -> None:
        assert isinstance(bus, UnixBus)
        for _ in range(3):
            await bus.settled()
            await settle()


@asynccontextmanager
async def two_ends(tmp_path: Path, theirs: PathBook) -> AsyncIterator[tuple[LocalBus, UnixBus]]:
    local = LocalBus()
    paths = {at: f"acme/p{at}" for at in range(100)}
    declared = Declared(lambda: {path: at for at, path in paths.items()}, lambda: paths)
    async with (
        BusServer(local, declared, tmp_path / "bus.sock"),
        UnixBus.connect(tmp_path / "bus.sock", theirs, name="other") as remote,
    ):
        yield local, remote


def of_every_kind() -> Sequence[Batch]:
    return [
        Batch.of(ValueKind.FLOAT64, [1, 2], [1, 2], [-0.0, float("nan")], [0, 0x80000000], [3, 4]),
        Batch.of(ValueKind.INT64, [3], [2**62], [-(2**63)]),
        Batch.of(ValueKind.BOOL, [4, 4], [1, 2], [True, False]),
        Batch.of(ValueKind.TEXT, [5], [1], np.array(["油"], ValueKind.TEXT.dtype)),
    ]


async def test_handles_stay_inside_and_paths_go_across(tmp_path: Path) -> None:
    theirs = PathBook()
    for at in range(9, -1, -1):
        theirs.handle_of(f"acme/p{at}")  # their 0 is our 9
    async with two_ends(tmp_path, theirs) as (local, remote):
        there = remote.subscribe("there", capacity=100, overflow=Overflow.BLOCK)
        here = local.subscribe("here", capacity=100, overflow=Overflow.BLOCK)
        await remote.settled()
        await local.publish(of_every_kind())
        got = await anext(there)
        assert [theirs.path_of(int(handle)) for one in got for handle in one.handles] == [
            f"acme/p{at}" for at in (1, 2, 3, 4, 4, 5)
        ]
        await anext(here)
        await remote.publish(got)
        back = await anext(here)
        assert all(one.same_as(other) for one, other in zip(of_every_kind(), back, strict=True))


async def test_points_that_are_not_declared_there_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    theirs = book(101)
    async with two_ends(tmp_path, theirs) as (local, remote):
        here = local.subscribe("here", capacity=100, overflow=Overflow.BLOCK)
        with pytest.raises(DataError, match=r"1 samples were left out.*'acme/p100'"):
            await remote.publish([Batch.of(ValueKind.INT64, [7, 100], [1, 1], [1, 2])])
        assert [one.values.tolist() for one in await anext(here)] == [[1]]


async def test_the_other_process_goes_and_whoever_waits_learns_it(tmp_path: Path) -> None:
    local = LocalBus()
    server = BusServer(local, book(), tmp_path / "bus.sock")
    await server.__aenter__()
    async with UnixBus.connect(tmp_path / "bus.sock", book(), name="x") as remote:
        queue = remote.subscribe("q", capacity=1, overflow=Overflow.BLOCK)
        reading = asyncio.ensure_future(anext(queue))
        await remote.publish([batch_of(1)])
        await reading
        await remote.publish([batch_of(1)])
        stuck = asyncio.ensure_future(remote.publish([batch_of(1)]))
        await remote.settled()
        await server.__aexit__(None, None, None)
        for broken in (stuck, remote.publish([batch_of(1)]), anext(queue)):
            with pytest.raises(Unavailable):
                await broken
    assert local.counters() == {}
    with pytest.raises(Unavailable, match="no platform listens"):
        async with UnixBus.connect(tmp_path / "bus.sock", book(), name="x"):
            pass


async def test_a_client_that_goes_holds_nobody_back(tmp_path: Path) -> None:
    async with two_ends(tmp_path, book()) as (local, remote):
        remote.subscribe("q", capacity=1, overflow=Overflow.BLOCK)
        await remote.settled()
        await local.publish([batch_of(1)])
        stuck = asyncio.ensure_future(local.publish([batch_of(1)]))
        await settle()
        assert not stuck.done()
        remote._writer.transport.abort()
        await asyncio.wait_for(stuck, 20)


async def test_two_clients_may_use_one_name(tmp_path: Path) -> None:
    async with (
        two_ends(tmp_path, book()) as (local, one),
        UnixBus.connect(tmp_path / "bus.sock", book(), name="second") as two,
    ):
        queues = [bus.subscribe("q", capacity=10, overflow=Overflow.BLOCK) for bus in (one, two)]
        await one.settled()
        await two.settled()
        await local.publish([batch_of(1, 5)])
        assert [marks(await anext(queue)) for queue in queues] == [[5], [5]]
        assert set(local.counters()) == {"other/q", "second/q"}


async def test_what_cannot_be_listened_on_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        await BusServer(LocalBus(), book(), tmp_path / "no" / "bus.sock").__aenter__()


async def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    async with two_ends(tmp_path, book()):
        assert (tmp_path / "bus.sock").stat().st_mode & 0o777 == 0o600


NONSENSE = [
    Frame(Kind.PUBLISH, 1, b"rubbish"),
    Frame(Kind.READ, 77),
    Frame(Kind.SUBSCRIBE, 1, b"[]"),
    Frame(Kind.SUBSCRIBE, 1, b'{"name": "a", "capacity": "x", "overflow": "block", "stored": 1, "events": 0}'),
    Frame(Kind.DATA, 1),
    Frame(Kind.EVENTS, 1, b"{"),
]


@pytest.mark.parametrize("frame", NONSENSE, ids=lambda frame: frame.kind.name)
async def test_nonsense_costs_its_sender_alone(tmp_path: Path, frame: Frame) -> None:
    async with two_ends(tmp_path, book()) as (local, good):
        queue = good.subscribe("q", capacity=10, overflow=Overflow.BLOCK)
        await good.settled()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bus.sock"))
        writer.write(json_frame(Kind.HELLO, VERSION, {"name": "bad"}).to_bytes() + frame.to_bytes())
        answer = await read_frame(reader)
        assert answer is not None and answer.kind is Kind.HELLO
        answer = await read_frame(reader)
        assert answer is None or (answer.kind is Kind.DONE and "error" in answer.json())
        writer.close()
        await local.publish([batch_of(1, 9)])
        assert marks(await anext(queue)) == [9]


@given(st.binary(max_size=200))
@settings(max_examples=examples(100), deadline=None)
def test_any_bytes_are_a_frame_or_refused(raw: bytes) -> None:
    async def read(said: bytes) -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(said)
        reader.feed_eof()
        try:
            while await read_frame(reader) is not None:
                pass
        except DataError:
            pass

    for said in (raw, struct.pack("<I", len(raw)) + raw, struct.pack("<IBI", FRAME_BYTES_MAX + 1, 1, 1) + raw):
        asyncio.run(read(said))


WORKER = """
import asyncio, sys
from pathlib import Path
from headrace.exchange.numbering import Declared, PathBook
from headrace.exchange.unix import UnixBus
from headrace.model.events import Event
from headrace.sdk.bus import Overflow

async def main():
    async with UnixBus.connect(Path(sys.argv[1]), PathBook(), name="worker") as bus:
        queue = bus.subscribe("work", capacity=1000, overflow=Overflow.BLOCK)
        await bus.publish_events([Event("1", "worker", "worker.ready", "", 0)])
        async for batches in queue:
            total = sum(int(one.values.sum()) for one in batches)
            await bus.publish_events([Event("2", "worker", "worker.did", "", 0, {"total": total})])

asyncio.run(main())
"""


async def test_another_process_works_is_killed_and_holds_nobody_back(tmp_path: Path) -> None:
    local = LocalBus()
    said = local.subscribe_events("said", capacity=1000, overflow=Overflow.BLOCK)
    async with BusServer(local, book(), tmp_path / "bus.sock"):
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(tmp_path / "bus.sock"))
        try:
            assert [one.type for one in await anext(said)] == ["worker.ready"]
            for _ in range(50):
                await local.publish([batch_of(40, 1)])
            total = 0
            while total < 50 * 40:
                total += sum(one.data["total"] for one in await anext(said))
            assert total == 50 * 40
            os.kill(worker.pid, signal.SIGSTOP)
            stuck = asyncio.ensure_future(_fill(local))
            await settle()
            os.kill(worker.pid, signal.SIGKILL)
            await asyncio.wait_for(stuck, 30)
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
        assert "worker/work" not in local.counters()


async def _fill(bus: LocalBus) -> None:
    for _ in range(100):
        await bus.publish([batch_of(500)])


async def test_events_of_a_stranger_reach_everybody(tmp_path: Path) -> None:
    async with two_ends(tmp_path, book()) as (local, remote):
        here = local.subscribe_events("log", capacity=10, overflow=Overflow.DROP_OLDEST)
        sent = [Event("1", "scorer", "model.scored", "acme/p1", 5, {"score": 0.5})]
        await remote.publish_events(sent)
        assert await anext(here) == sent
