"""Processes of `bench/exchange.py`: `python -m bench.exchange_child ROLE …`. Each says one JSON line for what it did.

hub FOLDER PORT SINK           our hub; SINK is `none` (decode and count) or `history`
edge FOLDER PORT RATE POLLS    our edge: so many polls of 1,000 samples, RATE a second (0: as fast as they go)
publish URL RATE POLLS         the same polls, packed the same way, into JetStream with nats-py
consume URL FOLDER SINK        … and out of it again
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from headrace.exchange import columns
from headrace.exchange.link import EdgeHub, EdgeLink, LinkSettings
from headrace.exchange.link.dial import Address
from headrace.exchange.link.enrol import Identity
from headrace.exchange.link.lanes import joined
from headrace.exchange.link.messages import join_blocks, read_blocks
from headrace.exchange.spool import SpoolSettings, open_spool
from headrace.history import HistorySettings, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import AccessError
from headrace.model.events import Event
from headrace.sdk.clock import SystemClock
from headrace.sdk.edges import Actual, Desired, Edge, HubIdentity, LinkQuality
from headrace.sdk.intake import NO_MARKS, Mark

POINTS, POLLS_MADE = 1_000, 64
PREFIX = "load/line"
STREAM, SUBJECT = "samples", "samples.line"
IN_FLIGHT = 64
FOR_EVER = 10**9


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def batches(seed: int = 1) -> Iterator[list[Batch]]:
    """A poll of 1,000 points, again and again: 800 decimals that drift, 120 counters, 80 states.

    The values are made before, so that making them costs neither side much.
    """
    rng = np.random.default_rng(seed)
    levels = np.round(rng.normal(60, 20, 800) + np.cumsum(rng.normal(0, 0.05, (POLLS_MADE, 800)), axis=0), 1)
    counts = rng.integers(0, 10_000, 120) + np.cumsum(rng.integers(0, 3, (POLLS_MADE, 120)), axis=0)
    states = rng.random((POLLS_MADE, 80)) > 0.1
    kinds = (ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL)
    handles = [np.arange(a, b, dtype=np.uint32) for a, b in ((0, 800), (800, 920), (920, 1_000))]
    good = [np.zeros(len(each), np.uint32) for each in handles]
    for number in itertools.count():
        values = (column[number % POLLS_MADE] for column in (levels, counts, states))
        source_ns = time.time_ns()
        yield [
            Batch(kind, each, np.full(len(each), source_ns), np.full(len(each), source_ns + 700_000), column, zeros)
            for kind, each, column, zeros in zip(kinds, handles, values, good, strict=True)
        ]


class Sink:
    """Counts what is taken, and how old live samples were; stores it where there is a store.

    `taken` gets the time of every poll that was, which outlives the process.
    """

    def __init__(self, store: Any = None, taken: Path | None = None) -> None:
        self.store = store
        self.taken = None if taken is None else taken.open("ab", buffering=0)
        self.samples = self.twice = 0
        self.polls: set[int] = set()
        self.late_s: list[float] = []
        self.kept: dict[str, Mark] = {}

    async def take(self, taken: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        if self.store is not None:
            await self.store.append(taken, marks)
        else:
            self.kept.update(marks)
        live = any(source.endswith("/live") for source in marks)
        for batch in taken:
            self.samples += len(batch)
            if batch.kind is ValueKind.BOOL:  # 80 of a poll
                now_ns = time.time_ns()
                polls = batch.source_ns[::80].tolist()
                if self.taken is not None:
                    self.taken.write(batch.source_ns[::80].tobytes())
                self.twice += sum(poll in self.polls for poll in polls)
                self.polls.update(polls)
                if live:
                    self.late_s.append((now_ns - polls[0]) / 1e9)

    # as a store, where there is none
    def marks(self) -> dict[str, Mark]:
        return dict(self.store.marks()) if self.store is not None else self.kept

    async def register(self, paths: Sequence[str]) -> Any:
        if self.store is not None:
            return await self.store.register(paths)
        return np.arange(len(paths), dtype=np.uint32)

    def report(self) -> dict[str, object]:
        late = np.array(self.late_s or [0.0])
        return {
            "samples": self.samples, "polls": len(self.polls), "twice": self.twice, "cpu_s": time.process_time(),
            "late_ms_p50": round(float(np.median(late)) * 1000, 1), "late_ms_max": round(float(late.max()) * 1000, 1),
            "newest_ns": max(self.polls, default=0),
        }  # fmt: skip


class Door:
    """What the bench has prepared in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def identity(self) -> HubIdentity:
        return HubIdentity(
            (self._folder / "authority.pem").read_bytes(), self._folder / "hub.pem", self._folder / "hub.key"
        )

    async def admit(self, certificate: str) -> Edge:
        return Edge("line", PREFIX, certificate)

    async def enrol(self, token: str, request: bytes, peer: str) -> tuple[Edge, bytes]:
        raise AccessError("nobody enrols here")

    async def renew(self, edge: Edge, request: bytes) -> bytes:
        raise AccessError("nobody renews here")


class Desk:
    def desired(self, edge: str) -> Desired | None:
        return None

    def reported(self, edge: str, actual: Actual) -> None: ...

    def measured(self, edge: str, quality: LinkQuality) -> None: ...

    async def changes(self) -> Any:
        await asyncio.Event().wait()
        yield ""


class Role:
    def actual(self) -> Actual:
        return Actual(0)

    async def become(self, desired: Desired) -> Actual:
        return Actual(desired.revision)

    async def write(self, path: str, value: object) -> None: ...

    async def read_back(self, path: str) -> Batch:
        raise AccessError(path)


async def opened_sink(folder: Path, kind: str) -> Sink:
    if kind == "none":
        return Sink()
    return Sink(await open_store(folder / "history", HistorySettings(), SystemClock()), folder / "taken")


async def report_when_asked(report: Any, port: int = 0) -> None:
    """A line at once, when it can be asked, and one for each SIGUSR1, until SIGTERM."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: say(**report()))
    say(port=port, cpu_s=time.process_time())
    await done.wait()


async def hub(folder: str, port: str, kind: str) -> None:
    sink = await opened_sink(Path(folder), kind)

    async def publish(events: Sequence[Event]) -> None: ...

    end = EdgeHub(sink, sink, Door(Path(folder) / "door"), Desk(), publish, SystemClock())  # type: ignore[arg-type]

    def report() -> dict[str, object]:
        session = end.connected().get("line")
        return {**sink.report(), "received_bytes": session.channel.received_bytes if session else 0}

    async with end.listening("127.0.0.1", int(port)) as where:
        await report_when_asked(report, where.port)


async def edge(folder: str, port: str, rate: str, polls: str, gather_s: str = "0") -> None:
    """Begins with the first connection where there is a number of polls; 0 polls: it sends what is in the spool."""
    spool = await open_spool(Path(folder) / "spool", SpoolSettings(reserve_bytes=0), SystemClock())
    await spool.register([f"{PREFIX}/point-{n}" for n in range(POINTS)])
    identity = Identity(Path(folder) / "identity")
    link = EdgeLink(Address("127.0.0.1", int(port)), identity, spool, Role(), SystemClock(), LinkSettings())
    running = asyncio.create_task(link.run())
    while not link.status().connected and 0 < int(polls) < FOR_EVER:
        await asyncio.sleep(0.01)
    counts = {"polls": 0}
    made = (Path(folder) / "made").open("ab", buffering=0)  # the time of every poll that is durable in the spool

    async def append(poll: list[Batch]) -> None:
        await spool.append(poll)
        made.write(poll[-1].source_ns[::80].tobytes())

    def report() -> dict[str, object]:
        status = spool.status()
        return {
            **counts, "cpu_s": time.process_time(), "pending": status.pending_samples, "dropped": status.dropped,
            "connected": link.status().connected, "connections": link.status().connections,
        }  # fmt: skip

    async def feed() -> None:
        gather = Gather(append, float(gather_s))
        await feed_polls(float(rate), int(polls), gather.append if float(gather_s) else append, counts)
        while spool.status().pending_samples:
            await asyncio.sleep(0.02)
        say(**report(), done=True)

    feeding = asyncio.create_task(feed())
    await report_when_asked(report)
    feeding.cancel()
    link.stop()
    await running


class Gather:
    """What comes within a moment becomes durable, and travels, together; as an edge's flow does it."""

    def __init__(self, append: Any, gather_s: float) -> None:
        self._append, self._gather_s = append, gather_s
        self._waiting: list[Batch] = []
        self._going: asyncio.Task[None] | None = None

    async def append(self, poll: list[Batch]) -> None:
        self._waiting += poll
        if self._going is None:
            self._going = asyncio.create_task(self._flush())
        await asyncio.shield(self._going)

    async def _flush(self) -> None:
        await asyncio.sleep(self._gather_s)
        self._going, taken, self._waiting = None, joined(self._waiting), []
        await self._append(taken)


async def feed_polls(rate: float, polls: int, send: Any, counts: dict[str, int]) -> None:
    """`polls` of them, `rate` a second (0: as fast as they go), with at most `IN_FLIGHT` not acknowledged."""
    began_s, source = time.monotonic(), batches()
    flying, going = asyncio.Semaphore(IN_FLIGHT), set[asyncio.Task[None]]()

    async def one(poll: list[Batch]) -> None:
        try:
            await send(poll)
            counts["polls"] += 1
        finally:
            flying.release()

    for number in range(1, polls + 1):
        await flying.acquire()
        task = asyncio.create_task(one(next(source)))
        going.add(task)
        task.add_done_callback(going.discard)
        if rate:
            await asyncio.sleep(max(began_s + number / rate - time.monotonic(), 0))
    await asyncio.gather(*going)


async def publish(url: str, rate: str, polls: str) -> None:
    import nats

    client = await nats.connect(url)
    stream = client.jetstream()
    counts = {"polls": 0}

    async def send(poll: list[Batch]) -> None:
        form, block = columns.pack(poll)
        await stream.publish(SUBJECT, join_blocks([bytes([form]) + block]))

    def report() -> dict[str, object]:
        return {**counts, "cpu_s": time.process_time()}

    async def feed() -> None:
        await feed_polls(float(rate), int(polls), send, counts)
        say(**report(), done=True)

    feeding = asyncio.create_task(feed())
    await report_when_asked(report)
    feeding.cancel()
    await client.close()


async def consume(url: str, folder: str, kind: str) -> None:
    import nats

    sink = await opened_sink(Path(folder), kind)
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name=STREAM, subjects=[SUBJECT])
    pull = await stream.pull_subscribe(SUBJECT, durable="hub")
    handles = await sink.register([f"{PREFIX}/point-{n}" for n in range(POINTS)])

    async def work() -> None:
        while True:
            try:
                messages = await pull.fetch(IN_FLIGHT, timeout=0.5)
            except TimeoutError:
                continue
            taken = [
                Batch(b.kind, handles[b.handles], b.source_ns, b.received_ns, b.values, b.quality)
                for message in messages
                for b in read_blocks(message.data)
            ]
            await sink.take(joined(taken))
            for message in messages:
                await message.ack()

    working = asyncio.create_task(work())
    await report_when_asked(sink.report)
    working.cancel()
    await client.close()


if __name__ == "__main__":
    roles: dict[str, Any] = {"hub": hub, "edge": edge, "publish": publish, "consume": consume}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(roles[sys.argv[1]](*sys.argv[2:]))
