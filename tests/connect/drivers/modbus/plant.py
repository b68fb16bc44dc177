"""A simulated Modbus device with known values, shared by the tests of the driver."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from headrace.connect.drivers.modbus.config import Address, Framing, Settings, Table
from headrace.connect.drivers.modbus.driver import ModbusDriver
from headrace.connect.drivers.modbus.simulator import Banks, ModbusServer
from headrace.model.batch import Value, ValueKind
from headrace.sdk.clock import Clock
from headrace.sdk.driver import DriverContext, PointBinding

SECOND = 1_000_000_000


def address(table: str, at: int, encoding: str | None = None, **more: Any) -> Address:
    given = {"table": table, "address": at, **more}
    if encoding is not None:
        given["encoding"] = encoding
    return Address.model_validate(given)


def binding(handle: int, kind: ValueKind, where: Address, writable: bool = False, **more: Any) -> PointBinding:
    return PointBinding(handle, f"acme/p{handle}", kind, where, SECOND, writable, **more)


FLOAT, INT, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT

#: Every encoding, every order, every table.
KNOWN: list[tuple[PointBinding, Value]] = [
    (binding(number, kind, where, where.table.writable), value)
    for number, (kind, where, value) in enumerate(
        [
            (FLOAT, address("input", 0, "float32"), 41.5),
            (FLOAT, address("input", 2, "float32", order="CDAB"), -0.0),
            (FLOAT, address("input", 4, "float32", order="BADC"), 1.401298464324817e-45),
            (FLOAT, address("input", 6, "float32", order="DCBA"), 3.4028234663852886e38),
            (FLOAT, address("input", 8, "float64"), math.pi),
            (FLOAT, address("input", 12, "float64", order="CDAB"), -math.e),
            (FLOAT, address("input", 16, "float64", order="BADC"), 5e-324),
            (FLOAT, address("input", 20, "float64", order="DCBA"), 1e300),
            (INT, address("input", 24, "int16"), -32768),
            (INT, address("input", 25, "uint16"), 65535),
            (INT, address("input", 26, "int16", order="BADC"), -2),
            (INT, address("input", 27, "int32"), -(2**31)),
            (INT, address("input", 29, "uint32", order="CDAB"), 2**32 - 1),
            (INT, address("input", 31, "int64", order="DCBA"), -(2**63)),
            (INT, address("input", 35, "uint64"), 2**63 - 1),
            (FLOAT, address("input", 39, "int16", scale=0.1, offset=-40.0), 250 * 0.1 - 40.0),
            (FLOAT, address("input", 40, "uint16"), 12.0),
            (BOOL, address("input", 41, bit=15), True),
            (BOOL, address("input", 41, bit=0), False),
            (TEXT, address("input", 50, "text", length=8), "油压机 3"),
            (TEXT, address("input", 58, "text", length=4, order="BADC"), "PRESS-3"),
            (BOOL, address("coil", 3), True),
            (BOOL, address("coil", 17), False),
            (BOOL, address("discrete", 1999), True),
            (FLOAT, address("holding", 100, "float32"), 180.25),
            (INT, address("holding", 65_535, "uint16"), 7),
        ]
    )
]

SETPOINT = binding(900, FLOAT, address("holding", 110, "float32"), writable=True)
UNKNOWN = binding(901, INT, address("input", 45, "uint16"))


def banks() -> Banks:
    held = Banks()
    for point, value in KNOWN:
        held.put(point.address, value)
    held.hide(Table.INPUT, 45, 2)
    return held


def server(port: int = 0, framing: Framing = Framing.TCP, **more: Any) -> ModbusServer:
    return ModbusServer({1: banks()}, port=port, framing=framing, **more)


def driver(port: int, clock: Clock, state_dir: Path, **settings: Any) -> ModbusDriver:
    given = {"host": "127.0.0.1", "port": port, "timeout_s": 0.4, **settings}
    return ModbusDriver(Settings.model_validate(given), DriverContext("press-plc-1", clock, state_dir))
