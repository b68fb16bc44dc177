"""What a part of an expression is: its kind, its unit, and for temperatures whether they have a zero of their own.

A temperature on a scale (°C, °F) is not a plain number: 20 °C is not twice 10 °C, and 30 °C − 20 °C is 10 K. `weight`
counts scales: a point in °C has 1, a difference 0, a sum of two 2, half of it 1 again, so `(a + b) / 2` is a
temperature and `a + b` alone is nothing that could be shown or compared. Weights are exact fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from headrace.model.batch import ValueKind
from headrace.model.units import definition

FLOAT, INT, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
NUMBERS: Final = (FLOAT, INT)
KELVIN: Final = "K"


@dataclass(frozen=True, slots=True)
class Type:
    """`unit` is empty where there is none; `bare` is a number that takes the unit of whatever it meets.

    `weight` is None for what has no scale: everything but °C, °F and differences of these.
    """

    kind: ValueKind
    unit: str = ""
    bare: bool = False
    weight: Fraction | None = None

    @property
    def is_number(self) -> bool:
        return self.kind in NUMBERS

    @property
    def on_scale(self) -> bool:
        """In °C or °F; a difference of these is in K and not on a scale."""
        return self.weight is not None and self.weight != 0

    @property
    def is_difference(self) -> bool:
        return self.weight is not None and self.weight == 0


def of_unit(kind: ValueKind, unit: str) -> Type:
    """The type of a point or a number with a unit. Raises: DataError for no UCUM code."""
    if kind not in NUMBERS:
        return Type(kind)
    return Type(kind, unit, weight=Fraction(1) if definition(unit)[2] else None)


def is_kelvin(of: Type) -> bool:
    return not of.bare and of.unit != "" and definition(of.unit)[0] == KELVIN and not of.on_scale


def both(a: ValueKind, b: ValueKind) -> ValueKind:
    """The kind of a number made of two."""
    return INT if a is INT and b is INT else FLOAT


def snapped(weight: Fraction) -> Fraction:
    """Thirds written as decimals still add up to one."""
    whole = Fraction(round(weight))
    return whole if whole and abs(weight - whole) < Fraction(1, 10**9) else weight
