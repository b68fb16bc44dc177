"""UNECE Recommendation 20 common codes, which OPC UA servers use for units, as UCUM. Source: OPC 10000-8 §5.6.3.3.

A UnitId is the code's characters as a big-endian number: "CEL" is 0x43454C. Units that are not listed are not guessed.
"""

from __future__ import annotations

from typing import Final

_UCUM_OF_CODE: Final = {
    "CEL": "Cel", "KEL": "K", "FAH": "[degF]",
    "PAL": "Pa", "KPA": "kPa", "MPA": "MPa", "BAR": "bar", "MBR": "mbar", "HBA": "hbar", "PS": "[psi]",
    "MTR": "m", "MMT": "mm", "CMT": "cm", "4H": "um", "KMT": "km",
    "MTK": "m2", "MTQ": "m3", "LTR": "L", "MLT": "mL",
    "KGM": "kg", "GRM": "g", "TNE": "t",
    "SEC": "s", "C26": "ms", "MIN": "min", "HUR": "h", "DAY": "d",
    "HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "RPM": "{rev}/min",
    "MTS": "m/s", "2X": "m/min", "C16": "mm/s", "MSK": "m/s2", "KMH": "km/h",
    "NEW": "N", "B47": "kN", "NU": "N.m",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "D46": "V.A", "KVA": "kV.A", "WHR": "W.h", "KWH": "kW.h", "JOU": "J",
    "AMP": "A", "4K": "mA", "VLT": "V", "2Z": "mV", "KVT": "kV", "OHM": "Ohm",
    "P1": "%", "C62": "1", "DD": "deg", "C81": "rad",
    "MQH": "m3/h", "L2": "L/min", "E32": "L/h", "KMQ": "kg/m3", "E93": "kg/h", "M1": "mg/L",
}  # fmt: skip


def ucum_of(unit_id: int | None) -> str | None:
    """None for an absent or unlisted unit."""
    if unit_id is None or unit_id <= 0:
        return None
    code = unit_id.to_bytes(4, "big").lstrip(b"\0").decode("ascii", "replace")
    return _UCUM_OF_CODE.get(code)


def unit_id_of(ucum: str) -> int | None:
    """The inverse; None for a unit that is not listed."""
    code = _CODE_OF_UCUM.get(ucum)
    return None if code is None else int.from_bytes(code.encode("ascii"), "big")


_CODE_OF_UCUM: Final = {ucum: code for code, ucum in _UCUM_OF_CODE.items()}
