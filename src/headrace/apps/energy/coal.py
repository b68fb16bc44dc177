"""Comprehensive energy by GB/T 2589: everything that was consumed, once, as standard coal.

    E = Σ (bought + drawn from stock + generated - stored - sold) × kgce a unit
        energy made inside (steam of the own boiler) is shown, and not counted: its fuel was

Two methods. Calorific (当量值): a kW.h is its heat, 0.1229 kg. Equivalent (等价值): a kW.h is the coal that a power
station burnt for it, which is another figure each year and has to be entered with its source; other carriers keep their
calorific value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from headrace.apps.energy.completeness import Total, together, unknown
from headrace.apps.energy.factors import EVERYWHERE, FactorBook, Found, Piece
from headrace.apps.energy.uses import Role, Use
from headrace.model.errors import DataError

COAL = "coal"
EQUIVALENT = "coal-equivalent"
METHODS = ("calorific", "equivalent")
UNIT = "kg{ce}"


@dataclass(frozen=True, slots=True)
class Line:
    """One use and what it counts for: `quantity` as measured, `counted` with its sign in kg of standard coal.

    `factors` are those of its days, in order; `problems` say what is not there.
    """

    use: Use
    quantity: Total
    counted: Total
    factors: tuple[Found, ...]
    problems: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        return {
            "source": self.use.source,
            "carrier": self.use.carrier,
            "role": self.use.role.value,
            "quantity": self.quantity.told(),
            "counted": self.counted.told(),
            "factors": [{**found.factor.told(), "carried": found.carried} for found in self.factors],
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Comprehensive:
    """Comprehensive energy by one method, as known on `known` (None: with all that is known)."""

    method: str
    known: date | None
    lines: tuple[Line, ...]
    total: Total

    def told(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "known": None if self.known is None else str(self.known),
            "lines": [line.told() for line in self.lines],
            "total": self.total.told(),
        }


def comprehensive(
    uses: Sequence[Use],
    book: FactorBook,
    *,
    method: str = "calorific",
    known: date | None = None,
    areas: Sequence[str] = (EVERYWHERE,),
) -> Comprehensive:
    """Comprehensive energy of uses, in kg of standard coal. A use without factor is unknown, and named; not zero.

    `areas` are asked in order: a firm's own measured values first, then what holds everywhere.
    Raises: DataError for another method, or a use in a unit that its factor is not for.
    """
    if method not in METHODS:
        raise DataError(f"comprehensive energy is worked out by {' or '.join(METHODS)}, not '{method}'")
    lines = tuple(_line(use, book, method, known, areas) for use in uses)
    counted = [line.counted for line in lines if line.use.role.sign]
    return Comprehensive(method, known, lines, together(counted, UNIT))


def kind_of(carrier: str, method: str) -> str:
    """The kind of factor: the equivalent method has its own for electricity alone."""
    return EQUIVALENT if method == "equivalent" and carrier == "electricity" else COAL


def applied(use: Use, pieces: Sequence[Piece], unit: str) -> tuple[Total, tuple[Found, ...], tuple[str, ...]]:
    """A use by the factors of its days. What has no factor is unknown: its time counts, its amount does not."""
    parts: list[Total] = []
    for piece in pieces:
        amount = use.between(piece.start, piece.end)
        if piece.found is None:
            parts.append(unknown(f"factor of {use.carrier}", unit, span_s=amount.expected_s or 1.0))
        else:
            parts.append(piece.found.apply(amount).within(unit))
    found = tuple(piece.found for piece in pieces if piece.found is not None)
    return together(parts, unit), found, tuple(piece.problem for piece in pieces if piece.problem)


def _line(use: Use, book: FactorBook, method: str, known: date | None, areas: Sequence[str]) -> Line:
    kind = kind_of(use.carrier, method)
    places = [*dict.fromkeys([*areas, EVERYWHERE])]
    pieces = book.pieces(kind, use.carrier, use.start, use.end, known=known, areas=places)
    worth, found, problems = applied(use, pieces, UNIT)
    sign = use.role.sign if use.role is not Role.INTERNAL else 1
    return Line(use, use.total, worth.times(float(sign), UNIT), found, problems)
