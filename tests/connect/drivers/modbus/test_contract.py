"""The Modbus driver keeps the driver contract, with both framings and with requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.connect.drivers.modbus import plant

from headrace.connect.drivers.modbus.config import Framing
from headrace.model.batch import Value
from headrace.sdk.clock import Clock
from headrace.sdk.driver import Driver, PointBinding
from headrace.sdk.testing.driver import ContractPoint, ContractServer, DriverContract


class TestModbusTcp(DriverContract):
    framing = Framing.TCP
    settings: dict[str, Any] = {"max_batch": 20}  # noqa: RUF012

    @property
    def points(self) -> Sequence[ContractPoint]:
        return [ContractPoint(point, value) for point, value in plant.KNOWN]

    @property
    def setpoint(self) -> tuple[PointBinding, Value]:
        return plant.SETPOINT, 123.5

    @property
    def unknown(self) -> PointBinding:
        return plant.UNKNOWN

    async def start(self, port: int) -> ContractServer:
        server = plant.server(port, self.framing)
        await server.start()
        return server

    def open(self, port: int, clock: Clock, state_dir: Path) -> Driver:
        return plant.driver(port, clock, state_dir, framing=self.framing, **self.settings)


class TestModbusTcpInFlight(TestModbusTcp):
    settings: dict[str, Any] = {"in_flight": 8, "max_gap": 0}  # noqa: RUF012


class TestModbusRtuOverTcp(TestModbusTcp):
    framing = Framing.RTU
