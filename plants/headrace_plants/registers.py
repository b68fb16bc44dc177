"""Where each point of a machine type is in Modbus, worked out from the data sheet alone.

    read-only bool ─► discrete input    setpoint bool ─► coil    anything else ─► holding registers
    a sheet's rows follow each other without gaps, so a reader fetches a machine in one or two requests

A press and its meter share one PLC: the press from register 0, the meter from 200.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace_plants.layout import Machine
from headrace_plants.sheets import Row, Sheet

WIDTHS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "float64": 4, "text": 8}
BASES = {"hydraulic-press": 0, "energy-meter": 200}
UNIT = 1


@dataclass(frozen=True, slots=True)
class Place:
    """`address` is relative to the machine's base; `length` in registers or bits."""

    table: str
    address: int
    length: int


def register_map(sheet: Sheet) -> dict[str, Place]:
    """By row name."""
    places: dict[str, Place] = {}
    ends = {"holding": 0, "coil": 0, "discrete": 0}
    for row in sheet.rows:
        table, length = _table(row), WIDTHS.get(row.wire, 1)
        places[row.name] = Place(table, ends[table], length)
        ends[table] += length
    return places


def base_of(machine: Machine) -> int:
    return BASES[machine.sheet.name]


def _table(row: Row) -> str:
    if row.wire != "bool":
        return "holding"
    return "coil" if row.writable else "discrete"
