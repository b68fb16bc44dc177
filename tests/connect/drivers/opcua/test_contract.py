"""The driver contract, against our simulator over the relay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headrace.connect.drivers.opcua.config import Address, Settings
from headrace.connect.drivers.opcua.driver import DRIVER
from headrace.connect.drivers.opcua.simulator import SimulatedServer
from headrace.model.batch import Value, ValueKind
from headrace.sdk.clock import Clock
from headrace.sdk.driver import Driver, DriverContext, PointBinding
from headrace.sdk.testing.driver import ContractPoint, ContractServer, DriverContract

SECOND_NS = 1_000_000_000


def binding(
    handle: int, node: str, kind: ValueKind, *, index: int | None = None, writable: bool = False
) -> PointBinding:
    address = Address(node=f"nsu=urn:headrace:simulator;s={node}", index=index)
    return PointBinding(handle, f"simulator/{node}", kind, address, SECOND_NS // 10, writable)


class TestOpcUa(DriverContract):
    @property
    def points(self) -> Sequence[ContractPoint]:
        return [
            ContractPoint(binding(1, "Boolean", ValueKind.BOOL), True),
            ContractPoint(binding(2, "SByte", ValueKind.INT64), -128),
            ContractPoint(binding(3, "UInt32", ValueKind.INT64), 2**32 - 1),
            ContractPoint(binding(4, "Int64", ValueKind.INT64), -(2**63)),
            ContractPoint(binding(5, "UInt64", ValueKind.INT64), 2**63 - 1),
            ContractPoint(binding(6, "Float", ValueKind.FLOAT64), 0.10000000149011612),
            ContractPoint(binding(7, "Double", ValueKind.FLOAT64), -0.1),
            ContractPoint(binding(8, "String", ValueKind.TEXT), "油温 °C"),
            ContractPoint(binding(9, "LocalizedText", ValueKind.TEXT), "Pump running"),
            ContractPoint(binding(10, "DateTime", ValueKind.INT64), 1_767_323_045_678_901_000),
            ContractPoint(binding(11, "Doubles", ValueKind.FLOAT64, index=2), -3.5),
            ContractPoint(binding(12, "Strings", ValueKind.TEXT, index=1), "乙"),
            ContractPoint(binding(13, "Int16", ValueKind.FLOAT64), -32768.0),
        ]

    @property
    def setpoint(self) -> tuple[PointBinding, Value] | None:
        return binding(20, "Setpoint", ValueKind.FLOAT64, writable=True), 123.456

    @property
    def unknown(self) -> PointBinding:
        return binding(21, "NoSuchNode", ValueKind.FLOAT64)

    async def start(self, port: int) -> ContractServer:
        server = SimulatedServer(port)
        await server.start()
        return server

    def open(self, port: int, clock: Clock, state_dir: Path) -> Driver:
        settings = {
            "url": f"opc.tcp://127.0.0.1:{port}/",
            "security": "none",
            "timeout": "1s",
            "keep_alive": "300ms",
        }
        # A second, not half: both ends share a loop here, and the server builds its codecs at the first request.
        settings |= {"items_per_subscription": 5}  # several subscriptions, and answers that fit into a slow line's time
        return DRIVER.open(Settings.model_validate(settings), DriverContext("cell", clock, state_dir))
