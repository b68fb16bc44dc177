"""A total and how much of it was really seen: no figure of energy travels without its completeness.

    readings ──► flow ──► Total(value, expected, measured, bridged, missing) ──together()──► Total of many

A source that should have been seen for an hour, and was for 54 minutes, is 90 % complete. `bridged` is time whose
amount is known in sum but not how it was spread: a counter that went on while nobody read it. Of the rest nothing is
known, and nothing is made up: where no part is known, the value is None, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from headrace.model.errors import DataError
from headrace.model.units import check_unit, convert, display


@dataclass(frozen=True, slots=True)
class Total:
    """An amount over a span. `value` in `unit` (UCUM), None where nothing is known; the three times in seconds of
    sources.

    `missing` names, in order, each source of which some time is unknown.
    """

    value: float | None
    unit: str
    expected_s: float
    measured_s: float
    bridged_s: float = 0.0
    missing: tuple[str, ...] = ()

    @property
    def completeness(self) -> float | None:
        """Share of the expected time that was measured, 0 … 1; None where nothing was expected."""
        return self.measured_s / self.expected_s if self.expected_s else None

    @property
    def covered(self) -> float | None:
        """Share of the expected time whose amount is in the value: measured or bridged."""
        return (self.measured_s + self.bridged_s) / self.expected_s if self.expected_s else None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing from the value."""
        return self.value is not None and not self.missing

    def times(self, factor: float, unit: str) -> Total:
        """The value by a factor, in another unit: 3 m3 of gas times 1.33 is 3.99 kg{ce}."""
        return replace(self, value=None if self.value is None else self.value * factor, unit=check_unit(unit))

    def within(self, unit: str) -> Total:
        """The same amount in a unit of the same kind. Raises: DataError where they measure different things."""
        return self if unit == self.unit else replace(self, value=_converted(self.value, self.unit, unit), unit=unit)

    def minus(self, other: Total) -> Total:
        """What is left: None where either is unknown, for a difference of halves is no difference."""
        taken = other.within(self.unit)
        known = self.value is not None and taken.value is not None
        value = self.value - taken.value if self.value is not None and taken.value is not None else None
        whole = together((self, taken), self.unit)
        return replace(whole, value=value if known else None)

    def told(self) -> dict[str, Any]:
        """As people and programs get it: the completeness always beside the value."""
        return {
            "value": self.value,
            "unit": self.unit,
            "completeness": self.completeness,
            "covered": self.covered,
            "expected_s": self.expected_s,
            "measured_s": self.measured_s,
            "bridged_s": self.bridged_s,
            "missing": list(self.missing),
        }


def given(value: float, unit: str, *, span_s: float = 1.0) -> Total:
    """An amount from a document, such as an invoice of a month: whole, and weighing as much as `span_s` of a meter.

    Raises: DataError for what is no number or no unit, and for a span that is none.
    """
    if not math.isfinite(value):
        raise DataError(f"an amount in {display(unit) or '1'} has to be a number, not {value}")
    if not span_s > 0:
        raise DataError(f"an amount of {value} {display(unit)} needs a span of some seconds, not {span_s}")
    return Total(float(value), check_unit(unit), span_s, span_s)


def unknown(source: str, unit: str, *, span_s: float = 1.0) -> Total:
    """What should be there and is not."""
    return Total(None, check_unit(unit), span_s, 0.0, 0.0, (source,))


def together(totals: Iterable[Total], unit: str) -> Total:
    """The sum. What is known adds up; what is not is named in `missing` and counts in the completeness.

    Raises: DataError where one cannot be converted to `unit`.
    """
    parts = [total.within(unit) for total in totals]
    known = [part.value for part in parts if part.value is not None]
    return Total(
        math.fsum(known) if known else None,
        check_unit(unit),
        math.fsum(part.expected_s for part in parts),
        math.fsum(part.measured_s for part in parts),
        math.fsum(part.bridged_s for part in parts),
        tuple(sorted({name for part in parts for name in part.missing})),
    )


def _converted(value: float | None, a: str, b: str) -> float | None:
    found = float(convert(0.0 if value is None else value, a, b))
    return None if value is None else found
