"""Devices that a gateway can be shown: they connect, report their values as JSON, and obey commands.

    Device ── devices/<name>/state  {"temperature": 41.5, …} ─────► gateway
           ◄── devices/<name>/set    {"setpoint": 180.0} ──────────
           ── devices/<name>/state  {"setpoint": 180.0, …} ───────►     so that a write is read back

Each is a client session as any other; a device that is refused, or cut off, raises and is done.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import orjson

from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.packets import Subscription
from headrace.model.batch import Value
from headrace.model.errors import DeviceError
from headrace.sdk.clock import Clock, SystemClock

STATE, COMMAND = "devices/{device}/state", "devices/{device}/set"


class Device:
    """`async with` it to have it connected and obeying; `values` is what it holds."""

    def __init__(
        self,
        name: str,
        port: int,
        values: Mapping[str, Value],
        *,
        host: str = "127.0.0.1",
        password: bytes | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self.name, self.values = name, dict(values)
        self._options = ClientOptions(host, port, name, user=name, password=password, **options)
        self._client = MqttClient(self._options, clock or SystemClock())
        self._obeying: asyncio.Task[None] | None = None

    async def report(self, **changed: Value) -> None:
        """Say everything it holds, after these changes; returns when the gateway has stored it. Raises: DeviceError."""
        self.values.update(changed)
        await self._client.publish(STATE.format(device=self.name), orjson.dumps(self.values), qos=1)

    async def __aenter__(self) -> Self:
        """Raises: DeviceError."""
        await self._client.__aenter__()
        await self._client.subscribe([Subscription(COMMAND.format(device=self.name), 1)])
        self._obeying = asyncio.create_task(self._obey(), name=f"device {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._obeying is not None:
            self._obeying.cancel()
            await asyncio.wait({self._obeying})
        await self._client.close()

    async def _obey(self) -> None:
        while True:
            try:
                commands = await self._client.receive()
                for command in commands:
                    asked = orjson.loads(command.payload)
                    self._client.acknowledge([command])
                    await self.report(**{key: asked[key] for key in self.values if key in asked})
            except orjson.JSONDecodeError:
                continue
            except DeviceError:
                return


def swing(at_s: float, number: int) -> dict[str, Value]:
    """What a device of a fleet holds at a moment: temperatures that rise and fall, each device at its own time."""
    phase = at_s / 60 * math.tau + number
    return {"temperature": round(40 + 10 * math.sin(phase), 2), "running": math.sin(phase / 7) > -0.5}


async def run_fleet(
    port: int,
    names: Mapping[str, bytes | None],
    *,
    interval_s: float = 1.0,
    clock: Clock | None = None,
    values: Callable[[float, int], Mapping[str, Value]] = swing,
) -> None:
    """Devices by name with their passwords, each reporting at its interval, until cancelled. Raises: DeviceError."""
    time = clock or SystemClock()

    async def live(name: str, password: bytes | None, number: int) -> None:
        async with Device(name, port, values(time.monotonic_s(), number), password=password, clock=time) as device:
            while True:
                await device.report(**values(time.monotonic_s(), number))
                await time.sleep(interval_s)

    async with asyncio.TaskGroup() as group:
        for number, (name, password) in enumerate(names.items()):
            group.create_task(live(name, password, number))
