"""The gateway keeps what every driver promises whose peers come to it: with devices of its own simulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headrace.connect.drivers.gateway.config import Address, Settings
from headrace.connect.drivers.gateway.driver import DRIVER, GatewayDriver
from headrace.connect.drivers.gateway.simulator import Device
from headrace.connect.mqtt.packets import Version
from headrace.model.batch import Value, ValueKind
from headrace.sdk.clock import Clock
from headrace.sdk.devices import DeviceDoor
from headrace.sdk.driver import Driver, DriverContext, PointBinding
from headrace.sdk.testing.listening import ContractPeer, ListeningDriverContract

PAYLOAD = {"topic": "devices/{device}/state", "command": "devices/{device}/set"}
VALUES: dict[str, tuple[ValueKind, Value]] = {
    "oil": (ValueKind.FLOAT64, 41.5),
    "strokes": (ValueKind.INT64, 2**53 + 1),
    "running": (ValueKind.BOOL, True),
    "recipe": (ValueKind.TEXT, "油压机 3"),
}


class TestGateway(ListeningDriverContract):
    version = Version.V5

    @property
    def points(self) -> Mapping[str, tuple[PointBinding, Value]]:
        return {
            name: (
                PointBinding(at, f"acme/{name}", kind, Address(device="dev-1", value=f"/{name}"), 10**9, True),
                value,
            )
            for at, (name, (kind, value)) in enumerate(VALUES.items(), 1)
        }

    @property
    def setpoint(self) -> tuple[str, Value]:
        return "oil", 50.25

    def open(self, clock: Clock, state_dir: Path, door: DeviceDoor | None, port: int = 0) -> Driver:
        settings = Settings.model_validate({"listen": f"127.0.0.1:{port}", "payload": PAYLOAD})
        return DRIVER.open(settings, DriverContext("floor", clock, state_dir, None, door))

    def port_of(self, driver: Driver) -> int:
        assert isinstance(driver, GatewayDriver)
        return driver.port

    def peer(self, port: int, values: Mapping[str, Value]) -> ContractPeer:
        return Device("dev-1", port, values, version=self.version)


class TestGatewayWith311(TestGateway):
    version = Version.V311
