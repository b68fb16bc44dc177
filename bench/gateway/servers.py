"""The processes that are measured; each prints a line of JSON when it is ready, and its count after each line on stdin.

    python -m bench.gateway.servers ours DEVICES [--store]      our gateway, in a session as the platform runs it
    python -m bench.gateway.servers sink DEVICES PORT QOS       gmqtt behind a broker, with the same payload code

Behind both: JSON by declared mapping into batches. `--store` puts our historian behind ours: appended and fsynced.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.gateway.load import name, topic
from headrace.connect.drivers.gateway.config import Address
from headrace.connect.drivers.gateway.driver import DRIVER
from headrace.connect.payload import payload_of
from headrace.connect.payload.config import PayloadSettings
from headrace.connect.payload.contract import Message
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.plant import Connection
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import PointBinding
from headrace.sdk.testing.devices import MemoryDoor

JSON_FORMAT: dict[str, Any] = {"time": "/ts", "time_unit": "ms"}
MEMBERS = (("temperature", ValueKind.FLOAT64), ("pressure", ValueKind.FLOAT64), ("running", ValueKind.BOOL))


def points(devices: int) -> list[PointBinding]:
    return [
        PointBinding(
            len(MEMBERS) * number + at, f"fleet/{name(number)}/{member}", kind,
            Address(device=name(number), topic=topic(number), value=f"/{member}"), 1_000_000_000,
        )
        for number in range(devices)
        for at, (member, kind) in enumerate(MEMBERS)
    ]  # fmt: skip


class Intake:
    """Counts; with a store, makes durable first."""

    def __init__(self) -> None:
        self.samples = 0
        self.calls = 0
        self.store: Any = None

    async def take(self, batches: Sequence[Batch], marks: Mapping[str, Any] | None = None) -> None:
        del marks
        if self.store is not None:
            await self.store.append(batches)
        self.calls += 1
        self.samples += sum(map(len, batches))


async def ours(devices: int, store: bool, processes: int) -> None:
    intake, clock, door = Intake(), SystemClock(), MemoryDoor(open_to_all=True)
    with tempfile.TemporaryDirectory() as folder:
        bound = points(devices)
        if store:
            from headrace.history import open_history
            from headrace.history.settings import HistorySettings

            intake.store = await open_history(Path(folder) / "history", HistorySettings(), clock)
            numbers = await intake.store.register([point.path for point in bound])
            bound = [
                PointBinding(int(number), point.path, point.kind, point.address, point.interval_ns)
                for number, point in zip(numbers, bound, strict=True)
            ]
        around = Surroundings(clock, _nowhere, _nowhere, Path(folder), intake=intake, devices=door)
        opened: list[Any] = []

        def open_driver(settings: Any, context: Any) -> Any:
            opened.append(DRIVER.open(settings, context))
            return opened[-1]

        from dataclasses import replace

        links = Supervisor({"gateway": replace(DRIVER, open=open_driver)}, around, TrustStore(Path(folder) / "t.json"))
        running = asyncio.create_task(links.run())
        settings = {
            "listen": "127.0.0.1:0", "processes": processes, "payload": {"json": JSON_FORMAT},
            "limits": {"messages_per_s": 1e6},
        }  # fmt: skip
        await links.reconcile({"fleet": Connection("fleet", "gateway", settings)}, {"fleet": bound})
        while links.status()[0].state.value != "connected":
            await asyncio.sleep(0.01)
        await answer({"port": opened[0].port}, lambda: _told(intake, links))
        links.stop()
        await running
        if store:
            await intake.store.close()


def _told(intake: Intake, links: Supervisor) -> dict[str, Any]:
    own = links.status()[0].counters.own
    return {"count": intake.samples // len(MEMBERS), "calls": intake.calls, "connections": own.get("connections", 0)}


async def sink(devices: int, port: int, qos: int) -> None:
    """The fastest Python subscriber there is, gathering as we do, for 25 ms."""
    from gmqtt import Client

    payload = payload_of(PayloadSettings.model_validate({"json": JSON_FORMAT}))
    payload.bind(points(devices))
    waiting: list[Message] = []
    counted = {"count": 0}
    loop = asyncio.get_running_loop()

    def flush() -> None:
        nonlocal waiting
        taken, waiting = waiting, []
        counted["count"] += sum(len(batch) for batch in payload.decode(taken).batches) // len(MEMBERS)

    def on_message(client: Any, where: str, data: bytes, qos: int, properties: Any) -> int:
        if not waiting:
            loop.call_later(0.025, flush)
        waiting.append(Message("sink", where, data, time.time_ns()))
        return 0

    client = Client("sink")
    client.on_message = on_message
    subscribed = asyncio.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect("127.0.0.1", port, version=4)  # amqtt knows no other, and it is what the load speaks
    client.subscribe("fleet/#", qos=qos)
    await subscribed.wait()
    await answer({"port": port}, lambda: dict(counted))


async def answer(first: dict[str, Any], told: Any) -> None:
    """Until stdin ends."""
    print(json.dumps({**first, "pid": os.getpid()}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps(told()), flush=True)


async def _nowhere(_: Any) -> None:
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["ours", "sink"])
    parser.add_argument("devices", type=int)
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("qos", type=int, nargs="?", default=0)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    if asked.what == "ours":
        asyncio.run(ours(asked.devices, asked.store, asked.processes))
    else:
        asyncio.run(sink(asked.devices, asked.port, asked.qos))


if __name__ == "__main__":
    main()
