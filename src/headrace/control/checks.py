"""What a write must be before anything is sent, and when a device holds what was written. Pure."""

from __future__ import annotations

import math
from typing import Final

from headrace.model.batch import TEXT_BYTES_MAX, Value, ValueKind
from headrace.model.points import Point

REASON_LENGTH_MAX: Final = 500
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

#: A float32 register keeps 24 bits: 6e-8 of the value. A little more covers a device's own scaling.
RELATIVE_TOLERANCE: Final = 1e-6

_WANTED: Final = {
    ValueKind.FLOAT64: "a number",
    ValueKind.INT64: "a whole number",
    ValueKind.BOOL: "true or false",
    ValueKind.TEXT: "text",
}


def why_not(point: Point, value: Value, reason: str) -> str | None:
    """Why this write must not be sent, for the person who asked; None where nothing is wrong."""
    if not reason.strip():
        return "a write needs a reason; say why the value changes"
    if len(reason) > REASON_LENGTH_MAX:
        return f"the reason has {len(reason)} characters; at most {REASON_LENGTH_MAX} are kept"
    if not point.writable:
        return f"'{point.path}' is declared read-only"
    return _wrong_kind(point, value) or _out_of_range(point, value)


def as_kind(kind: ValueKind, value: Value) -> Value:
    """A whole number for a float64 point becomes a float; everything else stays as it is."""
    return float(value) if kind is ValueKind.FLOAT64 and type(value) is int else value


def confirms(point: Point, wanted: Value, held: Value) -> bool:
    """Whether the device holds what was written, as far as its register can say."""
    if point.kind is not ValueKind.FLOAT64:
        return held == wanted
    difference = abs(float(held) - float(wanted))
    return difference <= max(RELATIVE_TOLERANCE * abs(float(wanted)), resolution(point))


def resolution(point: Point) -> float:
    """The smallest step of a scaled integer register, from its address; 0 where the device holds floats."""
    address = point.source.address if point.source is not None else {}
    scale, encoding = address.get("scale"), address.get("encoding", "")
    if "float" in str(encoding):
        return 0.0
    if isinstance(scale, int | float) and not isinstance(scale, bool) and math.isfinite(scale):
        return abs(float(scale)) * (1 + RELATIVE_TOLERANCE)
    return 1.0 + RELATIVE_TOLERANCE if "int" in str(encoding) else 0.0


def _wrong_kind(point: Point, value: Value) -> str | None:
    accepted: dict[ValueKind, tuple[type, ...]] = {
        ValueKind.FLOAT64: (float, int),
        ValueKind.INT64: (int,),
        ValueKind.BOOL: (bool,),
        ValueKind.TEXT: (str,),
    }
    if type(value) not in accepted[point.kind]:  # an exact type: bool is an int to Python, not to a plant
        return f"'{point.path}' takes {_WANTED[point.kind]}, not {_shown(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no setpoint"
    if type(value) is int and not INT64_MIN <= value <= INT64_MAX:
        return f"{_shown(value)} does not fit 64 bits"
    if isinstance(value, str) and len(value.encode(errors="replace")) > TEXT_BYTES_MAX:
        return f"the text is longer than {TEXT_BYTES_MAX} bytes"
    return None


def _out_of_range(point: Point, value: Value) -> str | None:
    bounds = point.write_range or point.range
    if bounds is None or isinstance(value, str | bool) or value in bounds:
        return None
    return f"{value:g} {point.unit} is outside {bounds.low:g} to {bounds.high:g} {point.unit}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
