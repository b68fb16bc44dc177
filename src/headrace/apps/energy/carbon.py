"""Greenhouse gases by scope: burning and processes, electricity and heat bought, and what suppliers tell.

    scope 1   fuel × (calorific value × carbon × burnt × 44/12)      process: material × factor      leaks: kg × GWP
    scope 2   electricity × factor of the grid (location)            heat × factor
              certificates and contracts first, the rest by the residual mix (market)
    scope 3   as given, with its source

Source: GHG Protocol Corporate Standard ch. 4 and 8, Scope 2 Guidance ch. 6; ISO 14064-1 §5. Both forms of scope 2 are
told beside each other and never added. CO2 of biomass is told apart. Electricity that is sold or made inside is no
scope 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from headrace.apps.energy.coal import applied
from headrace.apps.energy.completeness import Total, given, together, unknown
from headrace.apps.energy.factors import EVERYWHERE, FactorBook, Found, Piece
from headrace.apps.energy.uses import Role, Use
from headrace.model.errors import DataError, NotFound

UNIT = "t{CO2e}"
GWP_SETS = ("AR4", "AR5", "AR6")
SCOPES = ("1", "2-location", "2-market", "3", "biogenic")
#: What is bought as heat of another: steam and hot water count by their heat.
BOUGHT_HEAT = ("heat",)
#: What a contract weighs in completeness: the time is that of the meters, which the rest of the electricity has
#: already.
_NO_TIME_S = 1e-9


@dataclass(frozen=True, slots=True)
class Emission:
    """One line: `emitted` in t of CO2 equivalent, of `quantity`, by the factors of its days."""

    scope: str
    category: str
    source: str
    carrier: str
    quantity: Total
    emitted: Total
    factors: tuple[Found, ...] = ()
    problems: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        return {
            "scope": self.scope,
            "category": self.category,
            "source": self.source,
            "carrier": self.carrier,
            "quantity": self.quantity.told(),
            "emitted": self.emitted.told(),
            "factors": [{**found.factor.told(), "carried": found.carried} for found in self.factors],
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Process:
    """Not from burning: `amount` of a material or gas times `factor` (t CO2e a `factor_per`).

    Source: e.g. calcination, 0.4397 t of CO2 a tonne of CaCO3 (44.01 by 100.09). `scope` 1, or 3 as given.
    """

    source: str
    amount: Total
    factor: float
    factor_per: str
    reference: str
    scope: str = "1"
    biogenic: bool = False


@dataclass(frozen=True, slots=True)
class Leak:
    """Gas that went out, in a unit of mass: refrigerant, SF6 of switchgear, methane."""

    source: str
    gas: str
    amount: Total


@dataclass(frozen=True, slots=True)
class Contract:
    """Electricity bought with its origin: green certificates, a power purchase agreement. `factor` in kg of CO2 a
    kW.h."""

    source: str
    amount_kwh: float
    factor: float
    reference: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All lines, and a total for each scope, in t of CO2 equivalent, as known on `known`."""

    known: date | None
    gwp: str
    lines: tuple[Emission, ...]
    totals: Mapping[str, Total]

    def sum(self, form: str = "location") -> Total:
        """Scopes 1 and 2 together, scope 2 by one of its forms. Raises: DataError for another form."""
        if form not in ("location", "market"):
            raise DataError(f"scope 2 is told by location or market, not by '{form}'")
        return together((self.totals["1"], self.totals[f"2-{form}"]), UNIT)

    def told(self) -> dict[str, Any]:
        return {
            "known": None if self.known is None else str(self.known),
            "gwp": self.gwp,
            "lines": [line.told() for line in self.lines],
            "totals": {scope: total.told() for scope, total in self.totals.items()},
            "location": self.sum("location").told(),
            "market": self.sum("market").told(),
        }


def inventory(
    uses: Sequence[Use],
    book: FactorBook,
    *,
    areas: Sequence[str],
    known: date | None = None,
    processes: Sequence[Process] = (),
    leaks: Sequence[Leak] = (),
    contracts: Sequence[Contract] = (),
    gwp: str = "AR6",
    biomass: Sequence[str] = ("ethanol",),
) -> Inventory:
    """The inventory of a span. `areas`: where the electricity is from, the nearest first, as `library.areas_of` tells.

    `biomass` carriers are told apart. A use without a factor is unknown and named. Raises: DataError for more contracts
    than electricity, a set of GWP that is none, or units that do not fit.
    """
    if gwp not in GWP_SETS:
        raise DataError(f"there is no set of warming potentials '{gwp}'; there are {', '.join(GWP_SETS)}")
    lines: list[Emission] = []
    bought: list[tuple[Use, list[Piece]]] = []
    for use in uses:
        if use.carrier == "electricity":
            if use.role is Role.BOUGHT:
                places = book.pieces("grid", "electricity", use.start, use.end, known=known, areas=areas)
                bought.append((use, places))
                lines.append(_emission("2-location", "electricity", use, places))
        elif use.carrier in BOUGHT_HEAT:
            if use.role is Role.BOUGHT:
                pieces = book.pieces("bought", use.carrier, use.start, use.end, known=known, areas=[*areas, EVERYWHERE])
                lines += [_emission(f"2-{form}", "heat", use, pieces) for form in ("location", "market")]
        elif use.role in (Role.BOUGHT, Role.DRAWN, Role.STORED, Role.SOLD) and _burns(use.carrier):
            scope = "biogenic" if use.carrier in biomass else "1"
            pieces = book.pieces("combustion", use.carrier, use.start, use.end, known=known, areas=[*areas, EVERYWHERE])
            lines.append(_emission(scope, "combustion", use, pieces))
    lines += _market(bought, book, contracts, known, areas)
    lines += [_process(process) for process in processes]
    lines += [_leak(leak, book, gwp, known) for leak in leaks]
    totals = {scope: together([line.emitted for line in lines if line.scope == scope], UNIT) for scope in SCOPES}
    return Inventory(known, gwp, tuple(lines), totals)


def _burns(carrier: str) -> bool:
    """Water, air and the like have no carbon to burn; what might, and has no factor, is told as unknown."""
    media = {"fresh_water", "softened_water", "deaerated_water", "compressed_air", "oxygen", "hydrogen"}
    return carrier not in media and not carrier.startswith("nitrogen")


def _emission(scope: str, category: str, use: Use, pieces: Sequence[Piece]) -> Emission:
    emitted, found, problems = applied(use, pieces, UNIT)
    return Emission(
        scope, category, use.source, use.carrier, use.total, emitted.times(float(use.role.sign), UNIT), found, problems
    )


def _market(
    bought: Sequence[tuple[Use, list[Piece]]],
    book: FactorBook,
    contracts: Sequence[Contract],
    known: date | None,
    areas: Sequence[str],
) -> list[Emission]:
    """What contracts cover has their factor; of the rest each use has its share, by the residual mix of the country.

    Where no residual mix is known, the factor of the grid stands in, as the Scope 2 Guidance §6.5 has it, and says so.
    """
    lines: list[Emission] = []
    covered = math.fsum(contract.amount_kwh for contract in contracts)
    whole = together([use.total for use, _ in bought], "kW.h")
    if whole.is_whole and covered > (whole.value or 0.0) * (1 + 1e-9):
        raise DataError(
            f"contracts cover {covered:g} kWh of electricity, but {whole.value or 0.0:g} kWh were bought; "
            "give the contracts of this span alone"
        )
    rest = max(0.0, 1.0 - covered / whole.value) if whole.value else 1.0
    for contract in contracts:
        quantity = given(contract.amount_kwh, "kW.h", span_s=_NO_TIME_S)
        emitted = quantity.times(contract.factor / 1000, UNIT)
        lines.append(Emission("2-market", "contract", contract.source, "electricity", quantity, emitted))
    for use, places in bought:
        pieces = book.pieces(
            "grid-residual", "electricity", use.start, use.end, known=known, areas=[*areas, EVERYWHERE]
        )
        stand_in = any(piece.found is None for piece in pieces)
        line = _emission("2-market", "residual mix", use, places if stand_in else pieces)
        problems = (*line.problems, "no residual mix is known; the factor of the grid stands in") if stand_in else ()
        lines.append(
            Emission(
                "2-market",
                "residual mix",
                use.source,
                "electricity",
                line.quantity.times(rest, line.quantity.unit),
                line.emitted.times(rest, UNIT),
                line.factors,
                problems,
            )
        )
    return lines


def _process(process: Process) -> Emission:
    amount = process.amount.within(process.factor_per)
    scope = "biogenic" if process.biogenic else process.scope
    if scope not in SCOPES:
        raise DataError(f"{process.source} is of scope '{scope}'; a process is of scope 1 or 3")
    category = "process" if process.scope == "1" else "value chain"
    return Emission(scope, category, process.source, process.reference, amount, amount.times(process.factor, UNIT))


def _leak(leak: Leak, book: FactorBook, gwp: str, known: date | None) -> Emission:
    try:
        found = book.find(f"gwp-{gwp}", leak.gas, date.max, known=known)
    except NotFound as error:
        emitted = unknown(f"GWP of {leak.gas}", UNIT, span_s=leak.amount.expected_s or 1.0)
        return Emission("1", "leak", leak.source, leak.gas, leak.amount, emitted, (), (str(error),))
    return Emission("1", "leak", leak.source, leak.gas, leak.amount, found.apply(leak.amount).within(UNIT), (found,))
