"""Figures begin as sums: the cells of any units, hours, shifts and orders added up, as they are and as they were told.

cells ─► Selection ─► Sums (ns by element and cause, quantities) ─► symbols of the standard ─► kpis.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.cells import Counts, Times
from headrace.apps.operations.elements import BUSY, Element, Quantity
from headrace.apps.operations.lane import Unit
from headrace.apps.operations.ledger import Ledger, Restated
from headrace.apps.operations.reasons import Reasons
from headrace.apps.operations.states import IS_STOP
from headrace.model.time import HOUR_NS

_STOP_CAUSES: Final = frozenset({-1 - int(state) for state in np.flatnonzero(IS_STOP)})


@dataclass(frozen=True, slots=True)
class Selection:
    """`first_hour`, `last_hour`: [first, last), hours since 1970. `shifts`, `jobs`: numbers; None for all of them."""

    units: Sequence[int]
    first_hour: int
    last_hour: int
    shifts: frozenset[int] | None = None
    jobs: frozenset[int] | None = None


@dataclass(slots=True)
class Sums:
    """What adds up. Units: ns for `ns` and `by_cause`; each quantity's own. `epc`: equipment production capacity.

    `by_cause`: of busy time and planned down time, by element and cause. `counted`: which quantities anybody counts.
    """

    ns: dict[Element, int] = field(default_factory=lambda: dict.fromkeys(Element, 0))
    by_cause: dict[tuple[Element, int], int] = field(default_factory=lambda: defaultdict(int))
    stops: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    quantities: dict[Quantity, float] = field(default_factory=dict)
    failures: int = 0
    repair_ns: int = 0
    corrective_ns: int = 0
    preventive_ns: int = 0
    epc: float | None = None

    @property
    def pbt_ns(self) -> int:
        return sum(self.ns[element] for element in BUSY)

    @property
    def pot_ns(self) -> int:
        return self.pbt_ns + self.ns[Element.PDOT]

    def take(self, times: Times, counts: Counts, unit: Unit, reasons: Reasons) -> None:
        """Add the cells of one unit."""
        busy_ns = 0
        for element in Element:
            of = times.element == element
            ns = int(times.ns[of].sum())
            self.ns[element] += ns
            busy_ns += ns if element in BUSY else 0
            if element == Element.OFF:
                continue
            causes, at = np.unique(times.cause[of], return_inverse=True)
            lengths = np.zeros(len(causes), np.int64)
            np.add.at(lengths, at, times.ns[of])
            for cause, length in zip(causes.tolist(), lengths.tolist(), strict=True):
                self.by_cause[element, cause] += length
        busy = np.isin(times.element, BUSY)
        self.failures += int(times.failures.sum())
        self.repair_ns += int(times.ns[busy & reasons.failing(times.cause)].sum())
        self.corrective_ns += int(times.ns[reasons.maintained(times.cause, "corrective")].sum())
        self.preventive_ns += int(times.ns[reasons.maintained(times.cause, "preventive")].sum())
        for cause in np.unique(times.cause[times.runs > 0]).tolist():
            self.stops[cause] += int(times.runs[times.cause == cause].sum())
        for kind in np.unique(counts.kind).tolist():
            value = float(counts.value[counts.kind == kind].sum())
            self.quantities[Quantity(kind)] = self.quantities.get(Quantity(kind), 0.0) + value
        if unit.capacity_per_h:
            self.epc = (self.epc or 0.0) + unit.capacity_per_h * busy_ns / HOUR_NS


@dataclass(frozen=True, slots=True)
class Told:
    """`stated`: what the same figures said when they were told; None where they say it still."""

    now: Sums
    stated: Sums | None
    restated_ns: int | None


def summed(ledger: Ledger, selection: Selection) -> Told:
    """The sums of a selection. Where closed hours in it have changed since, what they said as well."""
    now = Sums()
    changed: dict[int, dict[int, Restated]] = {}
    for unit in selection.units:
        times, counts = _cells(ledger, unit, selection)
        now.take(_chosen(times, selection), _chosen(counts, selection), ledger.units[unit], ledger.reasons)
        hours = {
            hour: was
            for hour, was in ledger.restated[unit].items()
            if selection.first_hour <= hour < selection.last_hour
        }
        if hours:
            changed[unit] = hours
    if not changed:
        return Told(now, None, None)
    stated = _stated(ledger, selection, changed)
    if stated == now:
        return Told(now, None, None)
    return Told(now, stated, max(was.at_ns for hours in changed.values() for was in hours.values()))


def _stated(ledger: Ledger, selection: Selection, changed: Mapping[int, Mapping[int, Restated]]) -> Sums:
    """The sums with each hour that changed as it was told."""
    stated = Sums()
    for unit in selection.units:
        times, counts = _cells(ledger, unit, selection)
        if hours := changed.get(unit):
            times = Times(*_swapped(times, [was.times for was in hours.values()], list(hours)))
            counts = Counts(*_swapped(counts, [was.counts for was in hours.values()], list(hours)))
        stated.take(_chosen(times, selection), _chosen(counts, selection), ledger.units[unit], ledger.reasons)
    return stated


def order_execution_ns(
    ledger: Ledger, jobs: frozenset[int], start_ns: int, end_ns: int, units: Sequence[int] | None = None
) -> int:
    """Σ AOET: of each order, from where its first operation begins to where its last ends, within the span; as far as
    it ran at these units.
    """
    spans: dict[str, tuple[int, int]] = {}
    for lane in ledger.lanes if units is None else [ledger.lanes[unit] for unit in units]:
        for job, begun, ended in lane.jobs_between(start_ns, end_ns):
            if job in jobs:
                first, last = spans.get(ledger.jobs[job].order, (begun, ended))
                spans[ledger.jobs[job].order] = min(first, begun), max(last, ended)
    return sum(min(last, end_ns) - max(first, start_ns) for first, last in spans.values())


def symbols(sums: Sums, extra: Mapping[str, float] | None = None) -> dict[str, float]:
    """The elements of the standard by their symbols. Units: h for times. What nobody counts is not there.

    `extra` brings what cells do not hold: APWT, APAT, AOET, measurements.
    """
    hours = {element.name: sums.ns[element] / HOUR_NS for element in Element}
    processed = hours["APT"] + hours["AUST"]
    operating_ns = sums.ns[Element.APT] + sums.ns[Element.AUST]
    told: dict[str, float] = {
        **hours,
        "PBT": sums.pbt_ns / HOUR_NS,
        "POT": sums.pot_ns / HOUR_NS,
        "AUPT": processed,
        "AUBT": (operating_ns + sums.ns[Element.ADET]) / HOUR_NS,
        "FE": float(sums.failures),
        "TTF": operating_ns / HOUR_NS,
        "TTR": sums.repair_ns / HOUR_NS,
        "TBF": (operating_ns + sums.repair_ns) / HOUR_NS,
        "OT": operating_ns / HOUR_NS,
        "CMT": sums.corrective_ns / HOUR_NS,
        "PMT": sums.preventive_ns / HOUR_NS,
    }
    for kind, value in sums.quantities.items():
        told[kind.name] = value / HOUR_NS if kind == Quantity.IDEAL else value
    made = "PQ" in told
    for name in ("SQ", "RQ") if made else ():
        told.setdefault(name, 0.0)
    if sums.epc is not None:
        told["EPC"] = sums.epc
    told.update(extra or {})
    return told


def stop_causes(sums: Sums) -> dict[int, int]:
    """How many stops began, by cause: reasons, and states that are stops."""
    return {cause: count for cause, count in sums.stops.items() if cause >= 0 or cause in _STOP_CAUSES}


def _cells(ledger: Ledger, unit: int, selection: Selection) -> tuple[Times, Counts]:
    span = selection.first_hour, selection.last_hour
    return Times(*ledger.times[unit].hours(*span)), Counts(*ledger.counts[unit].hours(*span))


def _chosen(cells: Any, selection: Selection) -> Any:
    keep = np.ones(len(cells.hour), np.bool_)
    if selection.shifts is not None:
        keep &= np.isin(cells.shift, list(selection.shifts))
    if selection.jobs is not None:
        keep &= np.isin(cells.job, list(selection.jobs))
    return type(cells)(*(column[keep] for column in cells))


def _swapped(cells: Any, parts: Sequence[Any], hours: list[int]) -> list[NDArray[Any]]:
    """Cells with some hours as they were."""
    keep = ~np.isin(cells.hour, hours)
    kept = [column[keep] for column in cells]
    return [np.concatenate([column, *(part[at] for part in parts)]) for at, column in enumerate(kept)]
