"""The MQTT driver keeps the driver contract, with MQTT 5 and 3.1.1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.connect.drivers.mqtt import floor
from tests.connect.drivers.mqtt.floor import binding

from headrace.model.batch import Value, ValueKind
from headrace.sdk.clock import Clock
from headrace.sdk.driver import Driver, PointBinding
from headrace.sdk.testing.driver import ContractPoint, ContractServer, DriverContract


class TestMqtt5(DriverContract):
    settings: dict[str, Any] = {}  # noqa: RUF012

    @property
    def points(self) -> Sequence[ContractPoint]:
        return [
            ContractPoint(binding(1, ValueKind.FLOAT64, device="press-3", value="/oil/temperature"), 0.1),
            ContractPoint(binding(2, ValueKind.INT64, device="press-3", value="/strokes"), 2**62 + 1),
            ContractPoint(binding(3, ValueKind.BOOL, device="press-3", value="/running"), True),
            ContractPoint(binding(4, ValueKind.TEXT, device="press-3", value="/recipe"), "油温 °C"),
            ContractPoint(
                binding(5, ValueKind.FLOAT64, topic="sensors/+/rms", encoding="float32", order="little"),
                0.10000000149011612,
            ),
            ContractPoint(binding(6, ValueKind.BOOL, topic="sensors/8/open", encoding="text"), True),
        ]

    @property
    def setpoint(self) -> tuple[PointBinding, Value]:
        return binding(7, ValueKind.FLOAT64, True, device="press-3", value="/setpoint/pressure"), 123.456

    @property
    def unknown(self) -> PointBinding:
        return binding(8, ValueKind.FLOAT64, topic="office/#", value="/coffee")

    async def start(self, port: int) -> ContractServer:
        server = floor.broker(port)
        await server.start()
        return server

    def open(self, port: int, clock: Clock, state_dir: Path) -> Driver:
        return floor.driver(port, clock, state_dir, **self.settings)


class TestMqtt311(TestMqtt5):
    settings: dict[str, Any] = {"version": "3.1.1"}  # noqa: RUF012
