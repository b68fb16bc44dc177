"""A platform as a process of its own, to be killed: history, pipeline and a gateway. Prints its port when it is open.

python -m tests.connect.gateway.killed HOME PORT DEVICES
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.compute.live import LiveTable
from headrace.connect.drivers.gateway.config import Address
from headrace.connect.drivers.gateway.driver import DRIVER, GatewayDriver
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.exchange.local import LocalBus
from headrace.history import open_history
from headrace.history.settings import HistorySettings
from headrace.model.batch import Batch, ValueKind
from headrace.model.plant import Connection
from headrace.platform.pipeline import Pipeline
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import DriverContext, PointBinding
from headrace.sdk.testing.devices import MemoryDoor


class Nobody:
    """Judges nothing."""

    async def take(self, batches: Sequence[Batch]) -> None:
        return None

    async def tick(self, now_ns: int) -> None:
        return None


def path_of(device: int) -> str:
    return f"acme/dev-{device}/count"


async def main(home: Path, port: int, devices: int) -> None:
    clock, bus = SystemClock(), LocalBus()
    store = await open_history(home / "history", HistorySettings(), clock)
    numbers = await store.register([path_of(device) for device in range(devices)])
    pipeline = Pipeline(bus, store, LiveTable(), Nobody(), clock, capacity=100_000, commit_interval_s=0.1, tick_s=1)
    around = Surroundings(
        clock, bus.publish, bus.publish_events, home, intake=pipeline, devices=MemoryDoor(open_to_all=True)
    )
    opened: list[GatewayDriver] = []

    def open_driver(settings: Any, context: DriverContext) -> GatewayDriver:
        opened.append(GatewayDriver(settings, context))
        return opened[-1]

    links = Supervisor({"gateway": replace(DRIVER, open=open_driver)}, around, TrustStore(home / "trust.json"))
    bindings = [
        PointBinding(
            int(number),
            path_of(device),
            ValueKind.INT64,
            Address(device=f"dev-{device}", topic="count", value="/n"),
            10**9,
        )
        for device, number in enumerate(numbers)
    ]
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        group.create_task(links.run())
        settings = {"listen": f"127.0.0.1:{port}", "payload": {"json": {"time": "/ts", "time_unit": "ns"}}}
        settings["limits"] = {"messages_per_s": 1e6}
        await links.reconcile({"gate": Connection("gate", "gateway", settings)}, {"gate": bindings})
        while links.status()[0].state.value != "connected":
            await asyncio.sleep(0.01)
        print(opened[-1].port, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
