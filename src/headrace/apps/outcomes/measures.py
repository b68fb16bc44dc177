"""What is measured: each outcome is a ratio of two quantities that are summed over a span, never a mean of ratios.

| outcome | numerator / denominator |
|---|---|
| labour productivity, value | value added at constant prices / person-days: average headcount times days |
| labour productivity, physical | standard hours earned by good parts / attended hours |
| energy per 10,000 yuan | comprehensive energy (kgce, GB/T 2589) / output at constant prices |
| failure downtime | downtime by failures / planned busy time (ISO 22400-2 PBT) |
| failure frequency | failures / operating hours, for 1,000 h |

The two figures of a failure rate answer different questions, how much time is lost and how often, so both are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Quantity(StrEnum):
    """What a row may say of its span; all are extensive: rows of parts add up to the whole."""

    VALUE_ADDED = "value_added_cny"
    PERSON_DAYS = "person_days"
    GOOD_STANDARD_H = "good_standard_h"
    ATTENDED_H = "attended_h"
    ENERGY = "energy_kgce"
    OUTPUT = "output_10k_cny"
    FAILURE_DOWNTIME_H = "failure_downtime_h"
    PLANNED_BUSY_H = "planned_busy_h"
    FAILURES = "failures"
    OPERATING_H = "operating_h"


class Kind(StrEnum):
    RATIO = "ratio"  # of two sums that vary together from day to day
    EVENTS = "events"  # a count over an exposure


class Better(StrEnum):
    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class MeasureType:
    """`scale` times numerator over denominator is the figure, in `unit`; `target` is the change that was promised."""

    id: str
    numerator: Quantity
    denominator: Quantity
    scale: float
    unit: str
    better: Better
    target: float
    kind: Kind = Kind.RATIO


_ALL: Final = (
    MeasureType(
        "labour_productivity", Quantity.VALUE_ADDED, Quantity.PERSON_DAYS, 1.0, "CNY/person-day", Better.MORE, 0.20
    ),
    MeasureType(
        "labour_productivity_physical", Quantity.GOOD_STANDARD_H, Quantity.ATTENDED_H, 1.0, "h/h", Better.MORE, 0.20
    ),
    MeasureType("energy_intensity", Quantity.ENERGY, Quantity.OUTPUT, 1.0, "kgce/10k CNY", Better.LESS, -0.06),
    MeasureType(
        "failure_downtime", Quantity.FAILURE_DOWNTIME_H, Quantity.PLANNED_BUSY_H, 1.0, "h/h", Better.LESS, -0.50
    ),
    MeasureType(
        "failure_frequency", Quantity.FAILURES, Quantity.OPERATING_H, 1000.0, "/1000 h", Better.LESS, -0.50, Kind.EVENTS
    ),
)
MEASURES: Final[Mapping[str, MeasureType]] = {measure.id: measure for measure in _ALL}
