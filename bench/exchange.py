"""Edge to hub: what the protocol costs beside JetStream, how small it is, and what faults and backlogs do to live data.

    edge process ══ TLS, or a relay with faults ══► hub process          ours: durable in the edge's spool first
    publisher ══► nats-server (JetStream, defaults: no fsync a message) ══► consumer        the peer, in the same run

Both move the same polls of 1,000 samples, packed by the same code, and both decode them. CPU is that of all processes
of a side together. `none` leaves the historian away, so that it is the protocol that is compared; `history` has it
behind both. nats-server comes from PATH or .cache/go-bin; without it the peer's rows are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.exchange_child import FOR_EVER
from bench.harness import Measure
from headrace.exchange.link.enrol import Identity, put
from headrace.fleet.edges.authority import Authority
from headrace.fleet.edges.requests import check_request
from headrace.sdk.testing.relay import Relay

RUNS, WARM_POLLS = 3, 200
FAULT_RUNS = int(os.environ.get("BENCH_FAULT_RUNS", "10"))
CUT_S = float(os.environ.get("BENCH_CUT_S", "60"))
BACKLOG_H, BACKLOG_POLLS_PER_S = 13, 0.1
POLL = 1_000


def measures() -> Iterator[Measure]:
    yield from cpu()
    yield from faults()
    yield from backlog()


# --- cost ---------------------------------------------------------------------------------------------------------


def cpu() -> Iterator[Measure]:
    server = nats_server()
    if server is None:
        print("# no nats-server here: its rows are left out (go install github.com/nats-io/nats-server/v2@latest)",
              file=sys.stderr)  # fmt: skip
    for sink, rate, polls, gather_s, what in (
        ("none", 0.0, 4_000, 0.0, "as fast as they go"),
        ("none", 100.0, 800, 0.1, "100 a second, ours gathered for 0.1 s as an edge does"),
        ("none", 100.0, 800, 0.0, "100 a second, each on its own"),
        ("history", 0.0, 4_000, 0.0, "as fast as they go, into durable history"),
    ):
        ours, theirs, sizes = [], [], []
        for _ in range(RUNS):  # by turns, so that what else runs here meets both
            one = ours_once(sink, rate, polls, gather_s)
            ours.append(one["cpu_us"])
            sizes.append(one["bytes"])
            if server is not None:
                theirs.append(nats_once(server, sink, rate, polls))
        yield Measure(
            f"edge to hub, polls of 1,000 samples, {what}: CPU of both ends a poll",
            statistics.median(ours),
            "µs",
            statistics.median(theirs) if theirs else None,
            "publisher, nats-server and consumer of JetStream",
            "<= 0.65" if sink == "none" and (gather_s or not rate) else "",
            "ratio",
        )
        if rate and not gather_s:
            yield Measure("bytes a sample on the wire, polls of 1,000", statistics.median(sizes), "B", target="<= 6")


def ours_once(sink: str, rate: float, polls: int, gather_s: float) -> dict[str, float]:
    with prepared() as folder, child("hub", folder, 0, sink) as hub:
        port = line(hub)["port"]
        with child("edge", folder, port, rate, WARM_POLLS) as edge:
            line(edge)
            line(edge)
        before = ask(hub)
        with child("edge", folder, port, rate, polls, gather_s) as edge:
            begun = line(edge)
            done = line(edge)
            after = ask(hub)
    spent_s = after["cpu_s"] - before["cpu_s"] + done["cpu_s"] - begun["cpu_s"]
    return {"cpu_us": 1e6 * spent_s / polls, "bytes": after["received_bytes"] / polls / POLL}


def nats_once(server: str, sink: str, rate: float, polls: int) -> float:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder], stderr=subprocess.DEVNULL
        )
        try:
            wait_for_port(port)
            url = f"nats://127.0.0.1:{port}"
            seen = psutil.Process(process.pid)
            with child("consume", url, folder, sink) as hub:
                line(hub)
                with child("publish", url, rate, WARM_POLLS) as edge:
                    line(edge)
                    line(edge)
                before, server_s = consumed(hub, WARM_POLLS), sum(seen.cpu_times()[:2])
                with child("publish", url, rate, polls) as edge:
                    begun = line(edge)
                    done = line(edge)
                    after, server_s = consumed(hub, WARM_POLLS + polls), sum(seen.cpu_times()[:2]) - server_s
        finally:
            process.kill()
            process.wait()
    spent_s = server_s + after["cpu_s"] - before["cpu_s"] + done["cpu_s"] - begun["cpu_s"]
    return 1e6 * spent_s / polls


def consumed(hub: subprocess.Popen[str], polls: int) -> dict[str, Any]:
    while (found := ask(hub))["polls"] < polls:
        time.sleep(0.05)
    return found


# --- faults -------------------------------------------------------------------------------------------------------


def faults() -> Iterator[Measure]:
    for name, fault in (
        ("hub killed", hub_killed),
        ("edge killed", edge_killed),
        (f"link cut for {CUT_S:.0f} s", link_cut),
        ("50 ms and 2 % loss", lossy),
    ):
        found = asyncio.run(runs(fault))
        yield Measure(f"{name}, {FAULT_RUNS} times: samples lost", float(found["lost"]), "samples", target="<= 0")
        yield Measure(f"{name}: samples taken twice", float(found["twice"]), "samples", target="<= 0")
        what = "oldest live sample" if fault is lossy else "live again after the link is back, worst"
        yield Measure(f"{name}: {what}", found["seconds"], "s", target="<= 2" if fault is not lossy else "<= 1")


async def runs(fault: Any) -> dict[str, float]:
    """One plant, `FAULT_RUNS` faults, and then silence until everything has arrived."""
    with prepared() as folder:
        works = Works(folder)
        await works.start()
        worst_s = 0.0
        try:
            for _ in range(FAULT_RUNS):
                await asyncio.sleep(random.uniform(0.3, 1.0))
                worst_s = max(worst_s, await fault(works))
            return {**await works.settle(), "seconds": worst_s}
        finally:
            await works.stop()


class Works:
    """Hub, relay and edge, over history; 20 polls a second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stack = folder, contextlib.ExitStack()
        self.relay = Relay("127.0.0.1", 0)
        self.port = 0
        self.polls = 0  # of edges that were killed
        self.taken, self.twice = 0, 0

    async def start(self) -> None:
        await self.start_hub()
        await self.relay.mend()
        self.start_edge()
        await self.live_again()

    async def start_hub(self) -> None:
        self.hub = popen("hub", self.folder, self.port, "history")
        self.port = (await asyncio.to_thread(line, self.hub))["port"]
        self.relay.target = ("127.0.0.1", self.port)

    def start_edge(self, rate: float = 20.0) -> None:
        self.edge = popen("edge", self.folder, self.relay.port, rate, FOR_EVER if rate else 0)
        line(self.edge)

    async def live_again(self) -> float:
        """Seconds until a live sample that was made after this call has been taken."""
        began_ns, began_s = time.time_ns(), time.monotonic()
        while (await asyncio.to_thread(ask, self.hub))["newest_ns"] < began_ns:
            await asyncio.sleep(0.02)
        return time.monotonic() - began_s

    async def settle(self) -> dict[str, float]:
        """What was durable in the spool, what history has, and what was taken: poll by poll."""
        kill(self.edge)
        self.start_edge(0.0)
        while not (await asyncio.to_thread(line, self.edge)).get("done"):
            pass
        kill(self.edge)
        kill(self.hub)
        return await compare(self.folder)

    async def stop(self) -> None:
        for process in (self.edge, self.hub):
            kill(process)
        await self.relay.cut()


async def compare(folder: Path) -> dict[str, float]:
    """In samples: what is lost, and what was taken twice."""
    from headrace.history import HistorySettings, open_store
    from headrace.sdk.clock import SystemClock

    made, taken = (np.fromfile(folder / name, np.int64) for name in ("made", "taken"))
    store = await open_store(folder / "history", HistorySettings(), SystemClock())
    stored, samples = set[int](), 0
    async for batch in store.scan():
        stored.update(np.unique(batch.source_ns).tolist())
        samples += len(batch)
    await store.close()
    lost = len(set(made.tolist()) - stored) * POLL + (len(stored) * POLL - samples)
    return {"lost": lost, "twice": (len(taken) - len(np.unique(taken))) * POLL}


async def hub_killed(works: Works) -> float:
    kill(works.hub)
    await asyncio.sleep(random.uniform(0, 1))
    await works.start_hub()
    return await works.live_again()


async def edge_killed(works: Works) -> float:
    kill(works.edge)
    await asyncio.sleep(random.uniform(0, 1))
    works.start_edge()
    while not ask(works.edge)["connected"]:  # its own start is not the link's
        await asyncio.sleep(0.05)
    return await works.live_again()


async def link_cut(works: Works) -> float:
    works.relay.black_hole = True
    await asyncio.sleep(CUT_S)
    await works.relay.cut()
    await works.relay.mend()
    works.relay.black_hole = False
    return await works.live_again()


async def lossy(works: Works) -> float:
    """A second each of a link with 25 ms each way, where a fiftieth of the pieces waits for a retransmission."""
    seen, at = LossyRelay(works.relay.target), works.relay
    await seen.take_over(at)
    await asyncio.sleep(3.0)
    late_s = 0.0
    for _ in range(10):
        late_s = max(late_s, await works.live_again())
    await seen.give_back(at)
    await works.live_again()
    return late_s


class LossyRelay:
    """On the port of another relay, for a while."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target, self._rng = target, random.Random(7)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def take_over(self, other: Relay) -> None:
        await other.cut()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", other.port)

    async def give_back(self, other: Relay) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)
        await other.mend()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)
        for each in (writer, back):
            each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """In order, each piece 25 ms after it came, or a retransmission later; what follows waits behind it."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def send() -> None:
            while True:
                at_s, data = await queue.get()
                await asyncio.sleep(max(at_s - loop.time(), 0))
                writer.write(data)
                await writer.drain()

        sending = asyncio.create_task(send())
        try:
            while data := await reader.read(1_400):
                lost = self._rng.random() < 0.02
                await queue.put((loop.time() + 0.025 + (0.25 if lost else 0.0), data))
        finally:
            sending.cancel()


# --- backlog ------------------------------------------------------------------------------------------------------


def backlog() -> Iterator[Measure]:
    """Thirteen hours without a hub, at a simulated rate: it is in the spool, and then a hub is there."""
    found = asyncio.run(drained())
    yield Measure(f"{BACKLOG_H} hours of backlog ({found['polls'] * POLL / 1e6:.1f} M samples): spool on disk",
                  found["spool_bytes"] / found["polls"] / POLL, "B a sample")  # fmt: skip
    yield Measure("… drained, beside 20 live polls a second", found["polls"] * POLL / found["seconds"], "samples/s")
    yield Measure("… oldest live sample meanwhile", found["late_s"], "s", target="<= 1")
    yield Measure("… samples lost or taken twice", float(found["lost"] + found["twice"]), "samples", target="<= 0")


async def drained() -> dict[str, float]:
    with prepared() as folder:
        polls = int(BACKLOG_H * 3600 * BACKLOG_POLLS_PER_S)
        spool_bytes = await fill(folder, polls)
        works = Works(folder)
        await works.start_hub()
        await works.relay.mend()
        began_s = time.monotonic()
        works.start_edge()
        try:
            while (status := await asyncio.to_thread(ask, works.edge))["pending"] > 2 * POLL or not status["connected"]:
                await asyncio.sleep(0.1)
            seconds = time.monotonic() - began_s
            late_s = (await asyncio.to_thread(ask, works.hub))["late_ms_max"] / 1000
            settled = await works.settle()
        finally:
            await works.stop()
    return {"polls": polls, "seconds": seconds, "late_s": late_s, "spool_bytes": spool_bytes, **settled}


async def fill(folder: Path, polls: int) -> int:
    from bench.exchange_child import PREFIX, batches
    from headrace.exchange.spool import SpoolSettings, open_spool
    from headrace.sdk.clock import SystemClock

    spool = await open_spool(folder / "spool", SpoolSettings(reserve_bytes=0), SystemClock())
    await spool.register([f"{PREFIX}/point-{n}" for n in range(POLL)])
    source = batches(2)
    with (folder / "made").open("ab") as made:
        for _ in range(polls):
            poll = next(source)
            await spool.append(poll)
            made.write(poll[-1].source_ns[::80].tobytes())
    await spool.close()
    return sum(path.stat().st_size for path in (folder / "spool" / "samples").iterdir())


# --- parts --------------------------------------------------------------------------------------------------------


@contextmanager
def prepared() -> Iterator[Path]:
    """A folder with an authority, a hub's certificate and an edge that is enrolled."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        now_ns = time.time_ns()
        authority = Authority(folder / "fleet")
        found = authority.identity(now_ns)
        (folder / "door").mkdir()
        (folder / "door" / "authority.pem").write_bytes(found.authority)
        shutil.copy(found.chain, folder / "door" / "hub.pem")
        shutil.copy(found.key, folder / "door" / "hub.key")
        identity = Identity(folder / "identity")
        asked = check_request(identity.request("line").encode(), "line")
        issued = authority.issue("line", asked.public_key, now_ns)
        put(identity.folder / "authority.pem", found.authority)
        put(identity.folder / "certificate.pem", issued.chain)
        put(identity.folder / "edge.json", b'{"name": "line"}')
        yield folder


def popen(role: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.exchange_child", role, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


@contextmanager
def child(role: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = popen(role, *arguments)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        raise RuntimeError(f"{process.args} ended with {process.wait()}")
    found: dict[str, Any] = json.loads(text)
    return found


def ask(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGUSR1)
    return line(process)


def nats_server() -> str | None:
    return shutil.which("nats-server", path=os.pathsep.join([os.environ.get("PATH", ""), ".cache/go-bin"]))


def wait_for_port(port: int) -> None:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")
