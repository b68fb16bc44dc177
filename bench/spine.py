"""The whole flow under load: socket → decode → bus → durable history, alarms, live table → feed → browser.

    device processes ══ sockets ══► `headrace serve` (its own process: its CPU is what counts) ══ WebSocket ══► browser

Throughput is what reached *durable* history, divided by the CPU seconds the platform process spent in that time, with
a browser-like client watching 1,000 points. The peers: pymodbus reading the same registers with nothing behind it, and
asyncua subscribed to the same server with an empty handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.harness import Measure
from headrace.cli.client import Client, connect, running

RUNS = 3
MODBUS_SERVERS, MODBUS_POINTS, MODBUS_INTERVAL_MS = 10, 1_000, 100
OPCUA_POINTS, OPCUA_HZ = 1_000, 12
SETTLE_S, MEASURE_S = 3.0, 8.0
WATCHED = 1_000


def measures() -> Iterator[Measure]:
    peer = pymodbus_points_per_cpu_s()
    with devices("modbus", MODBUS_SERVERS, MODBUS_POINTS) as ports:
        plant = modbus_plant([int(port) for port in ports.split()])
        with platform(plant) as (client, process), watching(client, WATCHED):
            rates = [throughput(client, process) for _ in range(RUNS)]
    yield Measure(
        "Modbus float points from socket to durable history and live feed, per CPU second",
        statistics.median(rate for rate, _ in rates),
        "points/CPU-s",
        peer,
        "pymodbus: read and decode alone",
        ">= 100000",
    )
    yield Measure(
        "… reached on the wall clock, ten connections", statistics.median(wall for _, wall in rates), "points/s"
    )
    yield from opcua()
    yield from latency()
    yield from idle()


def opcua() -> Iterator[Measure]:
    with devices("opcua", OPCUA_POINTS, OPCUA_HZ) as url:
        alone = asyncio.run(asyncua_changes_per_cpu_s(url))
        with platform(opcua_plant(url)) as (client, process), watching(client, WATCHED):
            rates = [throughput(client, process) for _ in range(RUNS)]
    yield Measure(
        "OPC UA changes from socket to durable history and live feed, per CPU second",
        statistics.median(rate for rate, _ in rates),
        "changes/CPU-s",
        alone,
        "asyncua: subscription with an empty handler",
        ">= 25000",
    )


def latency() -> Iterator[Measure]:
    """A device whose value is its own clock, polled every 20 ms, while half the Modbus load runs beside it."""
    if CHROMIUM is None:
        print("# no Chromium here: the latency rows are left out (apt-get install chromium)", file=sys.stderr)
        return
    with devices("modbus", MODBUS_SERVERS // 2, MODBUS_POINTS) as ports, devices("clock") as clock_port:
        plant = modbus_plant([int(port) for port in ports.split()], clock=int(clock_port))
        with platform(plant) as (client, _):
            late_ms = np.array(browser_latency_ms(client, "load/clock/time", 600))
    for share, bound in ((50, 50), (99, 200)):
        yield Measure(
            f"change in the device to browser at half load, p{share}",
            float(np.percentile(late_ms, share)),
            "ms",
            target=f"<= {bound}",
        )


def idle() -> Iterator[Measure]:
    """The demo: 605 points scanned every second."""
    firsts, cpus, sizes = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "demo"
            process = subprocess.Popen(
                [sys.executable, "-m", "headrace", "demo", "--home", str(home), "--port", "0", "--for", "22",
                 "--report", "json", "--no-browser"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            time.sleep(9)
            seen = psutil.Process(process.pid)
            before, began_s = sum(seen.cpu_times()[:2]), time.monotonic()
            time.sleep(11)
            cpus.append(100 * (sum(seen.cpu_times()[:2]) - before) / (time.monotonic() - began_s))
            report = json.loads(process.communicate()[0].splitlines()[-1])
            firsts.append(report["first_sample_s"])
            sizes.append(report["rss_mb"])
    yield Measure("demo: first sample after start", statistics.median(firsts), "s", target="<= 5")
    yield Measure("demo: platform process at 605 points", statistics.median(sizes), "MB", target="<= 200")
    yield Measure("demo: CPU of the platform process at 605 points a second", statistics.median(cpus), "% of a core",
                  target="<= 10")  # fmt: skip


# --- peers --------------------------------------------------------------------------------------------------------


def pymodbus_points_per_cpu_s() -> float:
    """CPU of reading and decoding the same registers with pymodbus, nothing behind it."""

    async def read(port: int) -> float:
        from pymodbus.client import AsyncModbusTcpClient

        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        count, began_s = 0, time.process_time()
        while time.process_time() - began_s < 2.0:
            for first in range(0, 2 * MODBUS_POINTS, 124):
                size = min(124, 2 * MODBUS_POINTS - first)
                answer = await client.read_holding_registers(first, count=size, device_id=1)
                values = np.array(answer.registers, ">u2").view(">f4").astype(np.float64)
                count += len(values)
        spent_s = time.process_time() - began_s
        client.close()
        return count / spent_s

    with devices("modbus", 1, MODBUS_POINTS) as port:
        return statistics.median(asyncio.run(read(int(port))) for _ in range(RUNS))


async def asyncua_changes_per_cpu_s(url: str) -> float:
    from asyncua import Client as UaClient

    class Handler:
        count = 0

        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            self.count += 1

    async with UaClient(url) as client:
        namespace = await client.get_namespace_index("urn:headrace:simulator")
        nodes = [client.get_node(f"ns={namespace};s=Counter{number}") for number in range(OPCUA_POINTS)]
        handler = Handler()
        subscription = await client.create_subscription(50, handler)
        await subscription.subscribe_data_change(nodes, queuesize=20)
        await asyncio.sleep(1)
        rates = []
        for _ in range(RUNS):
            before, began_s = handler.count, time.process_time()
            await asyncio.sleep(3)
            rates.append((handler.count - before) / (time.process_time() - began_s))
        await subscription.delete()
    return statistics.median(rates)


# --- parts --------------------------------------------------------------------------------------------------------


@contextmanager
def devices(*arguments: Any) -> Iterator[str]:
    """A device process; gives the first line it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.devices", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def modbus_plant(ports: list[int], clock: int | None = None) -> str:
    lines = ["types:", "  block:", "    version: 1", "    points:"]
    lines += [
        f"      value-{number}: {{type: float64, interval: {MODBUS_INTERVAL_MS}ms, "
        f"address: {{table: holding, address: {2 * number}, encoding: float32}}}}"
        for number in range(MODBUS_POINTS)
    ]
    lines.append("connections:")
    lines += [
        f"  plc-{port}: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}, in_flight: 4}}}}" for port in ports
    ]
    if clock is not None:
        lines.append(f"  clock: {{driver: modbus, settings: {{host: 127.0.0.1, port: {clock}}}}}")
    lines += ["assets:", "  load: {level: enterprise}", "  load/clock: {level: equipment}"]
    lines += [f"  load/block-{port}: {{level: equipment, type: block, connection: plc-{port}}}" for port in ports]
    if clock is not None:
        lines += [
            "points:",
            "  load/clock/time: {type: float64, interval: 20ms, connection: clock, "
            "address: {table: holding, address: 0, encoding: float64}}",
        ]
    return "\n".join(lines) + "\n"


def opcua_plant(url: str) -> str:
    lines = ["connections:", f"  server: {{driver: opcua, settings: {{url: '{url}', security: none}}}}"]
    lines += ["assets:", "  load: {level: enterprise}", "  load/server: {level: equipment}", "points:"]
    lines += [
        f"  load/server/counter-{number}: {{type: float64, interval: 50ms, connection: server, "
        f"address: {{node: 'nsu=urn:headrace:simulator;s=Counter{number}'}}}}"
        for number in range(OPCUA_POINTS)
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def platform(plant: str) -> Iterator[tuple[Client, psutil.Process]]:
    with tempfile.TemporaryDirectory() as folder:
        home, declarations = Path(folder) / "home", Path(folder) / "plant.yaml"
        declarations.write_text(plant)
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "headrace",
                    "serve",
                    "--home",
                    str(home),
                    "--port",
                    "0",
                    "-f",
                    str(declarations),
                ],
                stdout=log,
                stderr=log,
            )
        try:
            deadline_s = time.monotonic() + 60
            while running(home) is None:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    sys.exit((Path(folder) / "log").read_text())
                time.sleep(0.05)
            client = connect(home, None)
            while client.get("/system")["process"] is None or not _all_connected(client):
                time.sleep(0.1)
            yield client, psutil.Process(process.pid)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _all_connected(client: Client) -> bool:
    links = client.get("/connections")
    return bool(links) and all(link["state"] == "connected" for link in links)


def throughput(client: Client, process: psutil.Process) -> tuple[float, float]:
    """(samples made durable per CPU second of the platform, per second of wall clock)."""
    time.sleep(SETTLE_S)
    before, cpu_s, began_s = _durable(client), sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(MEASURE_S)
    count, spent_s = _durable(client) - before, sum(process.cpu_times()[:2]) - cpu_s
    return count / spent_s, count / (time.monotonic() - began_s)


def _durable(client: Client) -> int:
    appended: int = client.get("/system")["history"]["appended"]
    return appended


@contextmanager
def watching(client: Client, points: int) -> Iterator[None]:
    """A client as a browser is, on a thread of this process: it takes every frame of so many points."""
    stop = threading.Event()

    async def watch() -> None:
        async for _ in _frames(client, _paths(client)[:points]):
            if stop.is_set():
                return

    thread = threading.Thread(target=lambda: asyncio.run(watch()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def _paths(client: Client) -> list[str]:
    found, cursor = [], None
    while True:
        page = client.get("/points", limit=1000, cursor=cursor)
        found += [point["path"] for point in page["points"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def _frames(client: Client, paths: list[str]) -> Any:
    from websockets.asyncio.client import connect as open_socket

    url = client.url.replace("http", "ws", 1) + "/api/v1/live"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with open_socket(url, additional_headers=headers, max_size=None, proxy=None, compression=None) as socket:
        await socket.send(json.dumps({"subscribe": paths, "alarms": False, "max_hz": 20}))
        async for text in socket:
            yield text


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAGE = """
([url, token, path, wanted]) => new Promise((done) => {
  const late = [], socket = new WebSocket(url);
  socket.onopen = () => {
    socket.send(JSON.stringify({token}));
    socket.send(JSON.stringify({subscribe: [path], alarms: false, max_hz: 20}));
  };
  socket.onmessage = (event) => {
    const frame = JSON.parse(event.data);
    if (frame.type !== 'changes') return;
    requestAnimationFrame(() => {
      late.push(performance.timeOrigin + performance.now() - 1000 * frame.v[0]);
      if (late.length >= wanted) { socket.close(); done(late); }
    });
  };
})
"""


def browser_latency_ms(client: Client, path: str, count: int) -> list[float]:
    """From the change in the device until the animation frame that would paint it, in a real Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        page = browser.new_page()
        page.goto(client.url + "/api/v1/health")
        url = client.url.replace("http", "ws", 1) + "/api/v1/live"
        late: list[float] = page.evaluate(PAGE, [url, client.token, path, count])
        browser.close()
    return late[20:]
