"""Rows added up by period: a table of periods by quantities, in which what nobody reported stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.definition import Absent, Definition, Span
from headrace.apps.outcomes.facts import Facts, values
from headrace.apps.outcomes.measures import MeasureType, Quantity
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS

#: A day without a failure has no row that says so.
_SPORADIC: Final = (Quantity.FAILURES, Quantity.FAILURE_DOWNTIME_H)


@dataclass(frozen=True, slots=True)
class Panel:
    """`sums` (periods, quantities) float64, NaN where no row was; `edges_ns` (periods + 1,) int64."""

    edges_ns: NDArray[np.int64]
    quantities: tuple[str, ...]
    sums: NDArray[np.float64]

    def column(self, quantity: str) -> NDArray[np.float64]:
        """Shape: (periods,); all NaN for a quantity of which there is no row."""
        if quantity not in self.quantities:
            return np.full(len(self.edges_ns) - 1, np.nan)
        return self.sums[:, self.quantities.index(quantity)]

    def pair(self, measure: MeasureType) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Numerator and denominator by period. A period counts in both or in neither (NaN); a sporadic numerator is 0
        where only the denominator was reported. Shapes: (periods,)."""
        numerator, denominator = self.column(measure.numerator).copy(), self.column(measure.denominator).copy()
        if measure.numerator in _SPORADIC:
            numerator[np.isnan(numerator) & ~np.isnan(denominator)] = 0.0
        unknown = np.isnan(numerator) | np.isnan(denominator)
        numerator[unknown] = denominator[unknown] = np.nan
        return numerator, denominator

    def covariates(self, wanted: Mapping[str, Absent]) -> NDArray[np.float64]:
        """Shape: (periods, covariates)."""
        columns = []
        for name, absent in wanted.items():
            column = self.column(name)
            columns.append(np.where(np.isnan(column), 0.0, column) if absent is Absent.ZERO else column)
        return np.stack(columns, axis=1) if columns else np.empty((len(self.edges_ns) - 1, 0))


def quantities_of(definition: Definition) -> tuple[str, ...]:
    """Every quantity that the definition needs, sorted."""
    wanted = {str(name) for measure in definition.family for name in (measure.numerator, measure.denominator)}
    return tuple(sorted(wanted | set(definition.covariates or {})))


def within(definition: Definition, span: Span, facts: Facts) -> Facts:
    """The rows that the definition counts in a span, sorted by id: of its units, of its quantities, begun in it."""
    edges_ns = definition.edges_ns(span)
    units, places = np.unique(facts.unit, return_inverse=True)
    ours = np.array(
        [any(unit == top or unit.startswith(f"{top}/") for top in definition.units) for unit in units.tolist()],
        np.bool_,
    )
    mask = (facts.start_ns >= edges_ns[0]) & (facts.start_ns < edges_ns[-1])
    if len(facts):
        mask &= ours[places] & np.isin(facts.quantity, quantities_of(definition))
    chosen = facts.pick(mask)
    return chosen.pick(np.argsort(chosen.id, kind="stable"))


def panel_of(definition: Definition, span: Span, facts: Facts, factors: Mapping[str, float]) -> Panel:
    """`facts` as `within` gives them. Raises: DataError for a row that does not lie in one period, a factor that is
    missing, or a negative amount of what cannot be negative."""
    edges_ns, quantities = definition.edges_ns(span), quantities_of(definition)
    place = period_of(definition, edges_ns, facts)
    amounts = values(facts, factors)
    if (below := (amounts < 0) & np.isin(facts.quantity, [q for q in Quantity if q != Quantity.VALUE_ADDED])).any():
        first = int(np.argmax(below))
        raise DataError(f"row '{facts.id[first]}' has a negative {facts.quantity[first]}: correct it under its id")
    periods = len(edges_ns) - 1
    column = np.searchsorted(np.array(quantities), facts.quantity)
    flat = place * len(quantities) + column
    sums = np.bincount(flat, amounts, periods * len(quantities)).astype(np.float64)
    sums[np.bincount(flat, minlength=periods * len(quantities)) == 0] = np.nan
    return Panel(edges_ns, quantities, sums.reshape(periods, len(quantities)))


def period_of(definition: Definition, edges_ns: NDArray[np.int64], facts: Facts) -> NDArray[np.int64]:
    """The period of each row. Shape: (rows,). Raises: DataError for a row that reaches into the next one."""
    place = np.searchsorted(edges_ns, facts.start_ns, "right") - 1
    over = facts.end_ns > edges_ns[place + 1]
    if over.any():
        first = int(np.argmax(over))
        raise DataError(
            f"row '{facts.id[first]}' reaches beyond its period, that of {_day(definition, edges_ns[place[first]])}: "
            f"split it at midnight, or define periods longer than {definition.period_days} days"
        )
    return place


def _day(definition: Definition, edge_ns: np.int64) -> str:
    moment = datetime.fromtimestamp(int(edge_ns) / SECOND_NS, UTC).astimezone(ZoneInfo(definition.zone))
    return moment.date().isoformat()


def days_of(definition: Definition, edges_ns: NDArray[np.int64]) -> list[str]:
    """The first day of each period, ISO. Shape: (periods,)."""
    return [_day(definition, edge) for edge in edges_ns[:-1]]
