"""`make bench NAME=gateway`: the device gateway beside Mosquitto (and amqtt) with the fastest Python subscriber.

    load (raw sockets, its own process) ─► our gateway: decoded, screened, counted                       CPU a message
                                        ─► Mosquitto ─► gmqtt: decoded by the same payload code          CPU of both

CPU seconds are those of the serving processes, from the first message to the last one that has arrived as samples;
what the load spends counts for nobody. Rounds of ours and of the peers alternate.

    ARGS="--part paced|gentle|saturated|durable|idle|live|payloads"  one part (several times for several)
    ARGS="--runs 1"                                     rounds (3)
    ARGS="--messages 100000"                            a saturated round (200,000)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench import sparkplug
from bench.harness import Measure

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
AMQTT = Path(".venv-mqtt/bin/amqtt")
PACED_CONNECTIONS, PACED_SECONDS = 2000, 10
SATURATED_CONNECTIONS = 100
IDLE_CONNECTIONS, LIVE_CONNECTIONS = 10_000, 15_000
PARTS = ("paced", "gentle", "saturated", "durable", "idle", "live", "payloads")
PEER, AMQTT_PEER = "Mosquitto + gmqtt", "amqtt + gmqtt"


def measures(options: Sequence[str] = ()) -> Iterator[Measure]:
    parser = argparse.ArgumentParser(prog="make bench NAME=gateway")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=200_000)
    asked = parser.parse_args(options)
    parts = asked.part or PARTS
    if "paced" in parts:
        yield from paced(asked.runs)
    if "gentle" in parts:
        yield from gentle(asked.runs)
    if "saturated" in parts:
        yield from saturated(asked.runs, asked.messages)
    if "durable" in parts:
        yield from durable(asked.runs, asked.messages)
    if "idle" in parts:
        yield idle()
    if "live" in parts:
        yield from live()
    if "payloads" in parts:
        yield from sparkplug.measures()


def paced(runs: int) -> Iterator[Measure]:
    load = ["--rate", "1", "--seconds", str(PACED_SECONDS), "--qos", "1"]
    yield from _beside(
        f"messages a CPU second, {PACED_CONNECTIONS} connections at 1/s, QoS 1",
        PACED_CONNECTIONS,
        1,
        load,
        runs,
        ">= 1.8",
    )


def gentle(runs: int) -> Iterator[Measure]:
    """What amqtt can follow as well: saturated, it stops answering."""
    load = ["--rate", "5", "--seconds", "8", "--qos", "1"]
    yield from _beside("messages a CPU second, 50 connections at 5/s, QoS 1", 50, 1, load, runs, "", with_amqtt=True)


def saturated(runs: int, messages: int) -> Iterator[Measure]:
    for qos, target in ((0, ">= 3"), (1, ">= 5")):
        load = ["--messages", str(messages), "--qos", str(qos)]
        what = f"messages a CPU second, {SATURATED_CONNECTIONS} connections saturated, QoS {qos}"
        yield from _beside(what, SATURATED_CONNECTIONS, qos, load, runs, target)


def durable(runs: int, messages: int) -> Iterator[Measure]:
    """The same with our historian behind it: what durability costs."""
    with ours(SATURATED_CONNECTIONS, "--store") as server:
        rates = [server.round(SATURATED_CONNECTIONS, ["--messages", str(messages), "--qos", "1"]) for _ in range(runs)]
    yield Measure(
        "… of ours with the historian behind it, appended and fsynced before the acknowledgement",
        statistics.median(rate for rate, _ in rates), "messages/CPU-s",
    )  # fmt: skip
    yield Measure("… reached on the wall clock", statistics.median(wall for _, wall in rates), "messages/s")


def _beside(
    what: str, count: int, qos: int, load: list[str], runs: int, target: str, *, with_amqtt: bool = False
) -> Iterator[Measure]:
    if MOSQUITTO is None:
        print("# no Mosquitto here (apt-get install mosquitto): its rows are left out", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        we = stack.enter_context(ours(count))
        peers: dict[str, Served] = {}
        if MOSQUITTO is not None:
            peers[PEER] = stack.enter_context(behind(mosquitto(), count, qos))
        if with_amqtt and AMQTT.exists():
            peers[AMQTT_PEER] = stack.enter_context(behind(amqtt(), count, qos))
        own: list[float] = []
        theirs: dict[str, list[float]] = {peer: [] for peer in peers}
        for _ in range(runs):
            own.append(we.round(count, load)[0])
            for peer, served in list(peers.items()):
                try:
                    theirs[peer].append(served.round(count, load)[0])
                except Stuck as error:
                    print(f"# {peer}: {error}", file=sys.stderr)
                    del peers[peer]
    for peer, rates in theirs.items():
        if not rates:
            continue
        yield Measure(
            what, statistics.median(own), "messages/CPU-s", statistics.median(rates), peer,
            target if peer == PEER else "", "ratio",
        )  # fmt: skip


def idle() -> Measure:
    """RSS that connections add when they are silent; the first fifty are there before, so that pools exist."""
    with ours(100) as server, fleet(server.port, 50, ["--idle"], first=90_000):
        before = server.rss()
        with fleet(server.port, IDLE_CONNECTIONS, ["--idle"]):
            time.sleep(1)
            grown = server.rss() - before
    return Measure(
        f"memory of an idle connection at {IDLE_CONNECTIONS}", grown / IDLE_CONNECTIONS, "bytes", target="<= 3072"
    )


def live() -> Iterator[Measure]:
    """That many connections, each sending every ten seconds, all acknowledged."""
    with ours(LIVE_CONNECTIONS) as server:
        load = ["--rate", "0.1", "--seconds", "20", "--qos", "1"]
        with fleet(server.port, LIVE_CONNECTIONS, load) as process:
            open_now = server.told()["connections"]
            before = server.cpu_s()
            done = go(process)
            spent_s = server.cpu_s() - before
            arrived = server.told()["count"]
    yield Measure("connections that were live at once", float(open_now), "connections", target=f">= {LIVE_CONNECTIONS}")
    yield Measure("… messages of theirs that were not stored", float(done["sent"] - arrived), "messages", target="<= 0")
    yield Measure("… CPU while each sends every ten seconds", 100 * spent_s / done["seconds"], "% of a core")


# --- processes ----------------------------------------------------------------------------------------------------


class Served:
    """A server, with all processes whose CPU counts, and the one that counts what has arrived."""

    def __init__(self, port: int, counting: subprocess.Popen[str], pids: Sequence[int]) -> None:
        self.port, self._counting = port, counting
        self._processes = [psutil.Process(pid) for pid in pids]

    def told(self) -> dict[str, Any]:
        assert self._counting.stdin is not None and self._counting.stdout is not None
        self._counting.stdin.write("\n")
        self._counting.stdin.flush()
        told: dict[str, Any] = json.loads(self._counting.stdout.readline())
        return told

    def cpu_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)

    def rss(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)

    def round(self, connections: int, load: list[str]) -> tuple[float, float]:
        """(messages a CPU second, messages a second) until everything that was sent has arrived."""
        with fleet(self.port, connections, load) as process:
            before, cpu_s, began_s = self.told()["count"], self.cpu_s(), time.monotonic()
            sent = go(process)["sent"]
            arrived, quiet = 0, 0
            while arrived < sent and quiet < 40:  # a broker may drop; two seconds of silence and we count what came
                time.sleep(0.05)
                now = self.told()["count"] - before
                quiet = quiet + 1 if now == arrived else 0
                arrived = now
            took_s, spent_s = time.monotonic() - began_s - 0.05 * quiet, self.cpu_s() - cpu_s
        if arrived < sent:
            print(f"# {sent - arrived} of {sent} messages did not arrive", file=sys.stderr)
        return arrived / spent_s, arrived / took_s


@contextmanager
def child(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def ours(devices: int, *more: str) -> Iterator[Served]:
    with child(sys.executable, "-m", "bench.gateway.servers", "ours", str(devices), *more) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Served(ready["port"], process, [ready["pid"], *ready.get("workers", [])])


@contextmanager
def behind(broker: Any, devices: int, qos: int) -> Iterator[Served]:
    with (
        broker as (port, pid),
        child(sys.executable, "-m", "bench.gateway.servers", "sink", str(devices), str(port), str(qos)) as process,
    ):
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Served(port, process, [pid, ready["pid"]])


@contextmanager
def mosquitto() -> Iterator[tuple[int, int]]:
    assert MOSQUITTO is not None
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
            "set_tcp_nodelay true\nlog_type none\n"
        )
        process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _listening(port)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


@contextmanager
def amqtt() -> Iterator[tuple[int, int]]:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder) / "amqtt.yaml"
        config.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n    max_connections: 30000\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        )
        process = subprocess.Popen(
            [str(AMQTT), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _listening(port)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


@contextmanager
def fleet(port: int, count: int, load: list[str], first: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.gateway.load", str(port), str(count), "--first", str(first), *load]
    with child(*command) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            sys.exit("the fleet did not connect")
        yield process


def go(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Let a fleet send; what it says at the end."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise Stuck("it does not take the load")
    done: dict[str, Any] = json.loads(line)
    return done


class Stuck(Exception):
    """A server that takes or answers nothing any more."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listening(port: int) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline_s:
                sys.exit(f"nothing listens on port {port}")
            time.sleep(0.05)
