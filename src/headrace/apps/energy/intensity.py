"""Energy for what was made: kg of standard coal per 10,000 yuan at constant prices, and per piece or tonne.

    output at constant prices = output at current prices ÷ (price index of the span ÷ price index of the base)

Only so are two years comparable: at current prices, a rise of prices looks like a saving. A span without a price index
has no figure at constant prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.apps.energy.completeness import Total
from headrace.model.errors import DataError

YUAN_OF_UNIT = 10_000.0


@dataclass(frozen=True, slots=True)
class Output:
    """What was made in a span (`period`, such as 2026 or 2026-03): its value in yuan at the prices of the span."""

    period: str
    value_yuan: float


@dataclass(frozen=True, slots=True)
class Intensity:
    """`value` in `unit`; None where energy is not known. The output at constant prices beside it, in 10,000 yuan."""

    energy: Total
    output: float
    value: float | None
    unit: str

    def told(self) -> dict[str, Any]:
        return {
            "energy": self.energy.told(),
            "output": self.output,
            "value": self.value,
            "unit": self.unit,
            "completeness": self.energy.completeness,
        }


def constant_yuan(outputs: Sequence[Output], indices: Mapping[str, float], base: str) -> float:
    """The value of outputs in yuan of the base. `indices`: producer prices of each period, any period 100.

    Raises: DataError for a period or base without an index.
    """
    reference = _index(indices, base)
    return math.fsum(output.value_yuan * reference / _index(indices, output.period) for output in outputs)


def per_10k_yuan(
    energy: Total, outputs: Sequence[Output], *, indices: Mapping[str, float] | None = None, base: str | None = None
) -> Intensity:
    """Energy (kg of standard coal, or kW.h) per 10,000 yuan; at constant prices of `base` where indices are given.

    Raises: DataError without any output, for without output there is no intensity.
    """
    if indices is None or base is None:
        yuan = math.fsum(output.value_yuan for output in outputs)
    else:
        yuan = constant_yuan(outputs, indices, base)
    if not yuan > 0:
        raise DataError("the output of the span is not known or nothing; enter its value in yuan")
    output = yuan / YUAN_OF_UNIT
    value = None if energy.value is None else energy.value / output
    return Intensity(energy, output, value, f"{energy.unit}/(10*4.{{CNY}})")


def per_unit(energy: Total, quantity: float, unit: str) -> Intensity:
    """Energy of a product for each of `unit`: `{piece}`, t, m2. Raises: DataError where nothing was made."""
    if not quantity > 0:
        raise DataError(f"nothing was made; energy for each {unit} needs a quantity above 0")
    value = None if energy.value is None else energy.value / quantity
    return Intensity(energy, quantity, value, f"{energy.unit}/{unit}")


def change(now: Intensity, before: Intensity) -> float | None:
    """How much lower (negative) or higher the intensity is, as a share; None where either is unknown."""
    if now.unit != before.unit:
        raise DataError(f"{now.unit} and {before.unit} cannot be compared")
    return now.value / before.value - 1.0 if now.value is not None and before.value else None


def _index(indices: Mapping[str, float], period: str) -> float:
    found = indices.get(period)
    if found is None or not found > 0:
        raise DataError(f"there is no price index of {period}; enter the producer price index of that period")
    return found
