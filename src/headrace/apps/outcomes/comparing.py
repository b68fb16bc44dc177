"""One measure, two spans: which method of the frozen definition compares them, and what it says.

| measure | method | source |
|---|---|---|
| productivity, failure downtime | ratio of sums, long-run error | effects.py |
| energy, with covariates | expected by the baseline's equation; the raw ratio beside | normalised.py |
| failure frequency | exact rate ratio, overdispersed | counts.py |
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headrace.apps.outcomes.counts import RateEffect, rate_effect
from headrace.apps.outcomes.definition import Definition
from headrace.apps.outcomes.effects import Interval, LogEffect, bootstrap_interval, ratio_effect
from headrace.apps.outcomes.measures import Better, Kind, MeasureType
from headrace.apps.outcomes.normalised import Normalised, normalised_effect
from headrace.apps.outcomes.panel import Panel
from headrace.model.errors import DataError


@dataclass(frozen=True, slots=True)
class Computed:
    """As in `evaluate.Outcome`. `interval` is at the level of the definition, `simultaneous` at that of its family."""

    effect: float | None
    interval: Interval
    simultaneous: Interval
    method: str
    effective: tuple[float, float]
    detectable: float | None
    check: Interval | None = None
    overdispersion: float | None = None
    normalised: Normalised | None = None
    raw: tuple[float, Interval] | None = None


def compute(
    definition: Definition, measure: MeasureType, first: Panel, second: Panel, *, paired: bool, checked: bool = True
) -> Computed:
    """Raises: DataError where the figures cannot be compared."""
    before, after = first.pair(measure), second.pair(measure)
    if measure.kind is Kind.EVENTS:
        return _events(definition, measure, rate_effect(before, after))
    raw = ratio_effect(before, after, paired=paired)
    if measure.id == "energy_intensity" and definition.covariates:
        fitted = normalised_effect(
            (before[0], first.covariates(definition.covariates)),
            (after[0], second.covariates(definition.covariates)),
            tuple(definition.covariates),
            paired=paired,
        )
        return _logged(
            definition, measure, fitted.effect, "normalised", normalised=fitted,
            raw=(raw.effect, raw.interval(definition.level)),
        )  # fmt: skip
    check = None
    if checked and definition.replicates:
        check = bootstrap_interval(
            before,
            after,
            paired=paired,
            level=definition.level,
            seed=definition.seed,
            replicates=definition.replicates,
        )
    return _logged(definition, measure, raw, "ratio of sums", check=check)


def planned(definition: Definition, panel: Panel) -> dict[str, float | None]:
    """By measure: the smallest effect towards the better that a report span as long and as unsteady as the baseline,
    not paired with it, would show with 80 % power at the simultaneous level. None where there is too little to say.

    It is the baseline compared with itself, so nothing of the report span is looked at.
    """
    found: dict[str, float | None] = {}
    for measure in definition.family:
        try:
            smallest = compute(definition, measure, panel, panel, paired=False, checked=False).detectable
        except DataError:
            smallest = None
        found[measure.id] = smallest if smallest is not None and math.isfinite(smallest) else None
    return found


def _logged(
    definition: Definition,
    measure: MeasureType,
    effect: LogEffect,
    method: str,
    *,
    check: Interval | None = None,
    normalised: Normalised | None = None,
    raw: tuple[float, Interval] | None = None,
) -> Computed:
    level = definition.simultaneous_level
    return Computed(
        effect.effect,
        effect.interval(definition.level),
        effect.interval(level),
        method,
        effect.effective,
        _towards(measure, effect.detectable(level)),
        check,
        None,
        normalised,
        raw,
    )


def _events(definition: Definition, measure: MeasureType, rate: RateEffect) -> Computed:
    level, detectable = definition.simultaneous_level, rate.detectable(definition.simultaneous_level)
    return Computed(
        rate.effect,
        rate.interval(definition.level),
        rate.interval(level),
        "exact rate ratio",
        rate.effective,
        _towards(measure, detectable) if detectable else None,
        overdispersion=rate.overdispersion,
    )


def _towards(measure: MeasureType, detectable: tuple[float, float]) -> float:
    fall, rise = detectable
    return rise if measure.better is Better.MORE else fall
