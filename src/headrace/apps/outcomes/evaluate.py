"""What the plant gained since its baseline: figure, effect, interval and a verdict for each measure.

    baseline document ──► its sums by period ─┐
    rows of the report ─► sums by period ─────┴─► comparing.py ──► effect, intervals ──► verdict
    (at the frozen factors)

A gain is stated only where the simultaneous interval, which holds for all measures of the definition together, lies
wholly on the better side. Everything else is a result as well: no gain shown, worse, too early, too little data, or a
baseline that no longer matches its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.baseline import Baseline, Standing
from headrace.apps.outcomes.comparing import Computed, compute
from headrace.apps.outcomes.definition import Definition
from headrace.apps.outcomes.effects import Interval, Ratio, ratio_of
from headrace.apps.outcomes.facts import Facts, used_factors
from headrace.apps.outcomes.measures import MEASURES, Better, Kind, MeasureType, Quantity
from headrace.apps.outcomes.normalised import Normalised
from headrace.apps.outcomes.panel import Panel, panel_of, within
from headrace.apps.outcomes.reliability import Reliability
from headrace.apps.outcomes.said import Said
from headrace.model.errors import DataError
from headrace.model.time import format_time

KNOWN_SHARE_MIN: Final = 0.8
DOWNTIME_PERIODS_MIN: Final = 10
OUTSIDE_MAX: Final = 0.1
CV_RMSE_MAX: Final = 0.25  # ASHRAE Guideline 14-2014 table 4-2: 25 % of daily to monthly whole-plant models

_Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


class Verdict(StrEnum):
    GAIN = "gain"
    NO_GAIN_SHOWN = "no_gain_shown"
    WORSE = "worse"
    TOO_EARLY = "too_early"
    TOO_LITTLE_DATA = "too_little_data"
    BASELINE_BROKEN = "baseline_no_longer_matches"


class Target(StrEnum):
    """What the simultaneous interval says of the promised change: all at or beyond it, all short of it, or neither."""

    REACHED = "reached"
    OPEN = "open"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One measure. Effects are shares: 0.2 is 20 % more. `interval` holds alone, `simultaneous` with all the others;
    `check` is another method's, at the level of `interval`. `effective`: independent periods (failures, for a
    frequency) before and after. `detectable`: the smallest effect towards the better that these spans show with 80 %
    power at the simultaneous level. What could not be computed is None, and `reasons` say why."""

    measure: MeasureType
    before: Ratio
    after: Ratio
    verdict: Verdict
    target: Target | None = None
    effect: float | None = None
    interval: Interval | None = None
    simultaneous: Interval | None = None
    check: Interval | None = None
    method: str = ""
    effective: tuple[float, float] | None = None
    detectable: float | None = None
    overdispersion: float | None = None
    normalised: Normalised | None = None
    raw: tuple[float, Interval] | None = None
    reasons: tuple[Said, ...] = ()
    cautions: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`level` of each interval alone, `simultaneous_level` of each so that all hold together with `level`."""

    outcomes: tuple[Outcome, ...]
    level: float
    simultaneous_level: float
    seed: int
    paired: bool
    standing: Standing
    reliability: tuple[Reliability, Reliability] | None
    cautions: tuple[Said, ...]


def evaluate(
    baseline: Baseline, facts: Facts, factors: Mapping[str, float], *, now_ns: int, standing: Standing
) -> Evaluation:
    """The frozen definition applied to the report span. `factors`: those of today, for names that the baseline does not
    know. Raises: DataError for a row or factor of the report span that cannot be used."""
    definition = baseline.definition
    rows = within(definition, definition.report, facts)
    new = [name for name in used_factors(rows) if name not in baseline.factors]
    panel = panel_of(definition, definition.report, rows, {**factors, **baseline.factors})
    blocked = _blocked(panel, now_ns, standing)
    outcomes = [_outcome(definition, measure, baseline.panel, panel, blocked) for measure in definition.family]
    return Evaluation(
        tuple(outcomes),
        definition.level,
        definition.simultaneous_level,
        definition.seed,
        definition.paired,
        standing,
        _reliability(baseline.panel, panel) if _reliable(definition) else None,
        tuple(_cautions(baseline, new)),
    )


@dataclass(frozen=True, slots=True)
class _Blocked:
    """Why there is no verdict of the rows; `early`: nor any interval, which would be a second look."""

    verdict: Verdict
    reasons: tuple[Said, ...]
    early: bool


def _blocked(panel: Panel, now_ns: int, standing: Standing) -> _Blocked | None:
    early = now_ns < int(panel.edges_ns[-1])
    wait = (Said("too_early", until=format_time(int(panel.edges_ns[-1]))),) if early else ()
    if not standing.matches:
        return _Blocked(Verdict.BASELINE_BROKEN, (*standing.reasons(), *wait), early)
    return _Blocked(Verdict.TOO_EARLY, wait, early) if early else None


def _cautions(baseline: Baseline, new_factors: list[str]) -> list[Said]:
    said, definition = [], baseline.definition
    if baseline.frozen_ns > definition.edges_ns(definition.report)[0]:
        said.append(Said("frozen_late", at=format_time(baseline.frozen_ns)))
    if definition.season_differs_because:
        said.append(Said("season_differs", because=definition.season_differs_because))
    if new_factors:
        said.append(Said("new_factors", names=", ".join(new_factors[:20])))
    return said


def _outcome(
    definition: Definition,
    measure: MeasureType,
    first: Panel,
    second: Panel,
    blocked: _Blocked | None,
) -> Outcome:
    spans = first.pair(measure), second.pair(measure)
    before, after = ratio_of(*spans[0]), ratio_of(*spans[1])
    too_little = blocked.verdict if blocked else Verdict.TOO_LITTLE_DATA
    reasons = blocked.reasons if blocked else ()
    if blocked and blocked.early:
        return Outcome(measure, before, after, blocked.verdict, reasons=reasons)
    if lacking := _lacking(measure, spans, before, after):
        return Outcome(measure, before, after, too_little, reasons=(*reasons, *lacking))
    try:
        computed = compute(definition, measure, first, second, paired=definition.paired)
    except DataError as error:
        return Outcome(measure, before, after, too_little, reasons=(*reasons, Said("error", text=error.message)))
    verdict = blocked.verdict if blocked else _verdict(measure, computed.simultaneous)
    return Outcome(
        measure,
        before,
        after,
        verdict,
        None if blocked else _target(measure, computed.simultaneous),
        computed.effect,
        computed.interval,
        computed.simultaneous,
        computed.check,
        computed.method,
        computed.effective,
        computed.detectable,
        computed.overdispersion,
        computed.normalised,
        computed.raw,
        reasons,
        tuple(_doubts(measure, before, after, computed)),
    )


def _lacking(
    measure: MeasureType,
    spans: tuple[_Pair, _Pair],
    before: Ratio,
    after: Ratio,
) -> list[Said]:
    """Why there is too little to compare, or nothing."""
    said = []
    for name, ratio, (numerator, _) in (("baseline", before, spans[0]), ("report", after, spans[1])):
        known = 1.0 - ratio.missing / ratio.periods
        if known < KNOWN_SHARE_MIN:
            said.append(Said("known_share", span=name, known=f"{known:.0%}", needed=f"{KNOWN_SHARE_MIN:.0%}"))
        elif ratio.denominator <= 0:
            said.append(Said("no_denominator", span=name, quantity=str(measure.denominator)))
        elif measure.numerator == Quantity.FAILURE_DOWNTIME_H:
            stops = int((np.nan_to_num(numerator) > 0).sum())
            if stops < DOWNTIME_PERIODS_MIN:
                said.append(Said("few_stops", span=name, stops=stops, needed=DOWNTIME_PERIODS_MIN))
    return said


def _verdict(measure: MeasureType, interval: Interval) -> Verdict:
    rose, fell = interval.low > 0.0, interval.high < 0.0
    if not rose and not fell:
        return Verdict.NO_GAIN_SHOWN
    return Verdict.GAIN if rose == (measure.better is Better.MORE) else Verdict.WORSE


def _target(measure: MeasureType, interval: Interval) -> Target:
    above, below = interval.low >= measure.target, interval.high <= measure.target
    if not above and not below:
        return Target.OPEN
    return Target.REACHED if above == (measure.better is Better.MORE) else Target.MISSED


def _doubts(measure: MeasureType, before: Ratio, after: Ratio, computed: Computed) -> list[Said]:
    said = []
    for name, ratio in (("baseline", before), ("report", after)):
        if ratio.missing:
            said.append(Said("missing", span=name, missing=ratio.missing, periods=ratio.periods))
        if measure.kind is Kind.EVENTS and ratio.numerator == 0:
            said.append(Said("no_failures", span=name))
    if measure.id == "energy_intensity" and computed.normalised is None:
        said.append(Said("not_normalised"))
    if computed.overdispersion is not None and computed.overdispersion > 1.5:
        said.append(Said("clusters", overdispersion=f"{computed.overdispersion:.1f}"))
    if (fitted := computed.normalised) is not None:
        if fitted.outside > OUTSIDE_MAX:
            said.append(Said("outside", share=f"{fitted.outside:.0%}"))
        if fitted.cv_rmse > CV_RMSE_MAX:
            said.append(Said("unexplained", cv_rmse=f"{fitted.cv_rmse:.0%}"))
    return said


def _reliable(definition: Definition) -> bool:
    names = {name for measure in definition.family for name in (measure.numerator, measure.denominator)}
    return names >= {Quantity.FAILURES, Quantity.OPERATING_H, Quantity.FAILURE_DOWNTIME_H, Quantity.PLANNED_BUSY_H}


def _reliability(first: Panel, second: Panel) -> tuple[Reliability, Reliability]:
    def one(panel: Panel) -> Reliability:
        frequency = ratio_of(*panel.pair(MEASURES["failure_frequency"]))
        downtime = ratio_of(*panel.pair(MEASURES["failure_downtime"]))
        return Reliability(frequency.numerator, frequency.denominator, downtime.numerator, downtime.denominator)

    return one(first), one(second)
