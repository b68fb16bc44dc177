"""Rows and results as JSON: times in ISO 8601, texts in the reader's language, no bound where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.effects import Interval, Ratio
from headrace.apps.outcomes.evaluate import Evaluation, Outcome
from headrace.apps.outcomes.facts import Facts, factors_of, facts_of
from headrace.apps.outcomes.measures import MEASURES, MeasureType
from headrace.apps.outcomes.normalised import Normalised
from headrace.apps.outcomes.reliability import Reliability
from headrace.apps.outcomes.said import Said
from headrace.apps.outcomes.store import Factor
from headrace.model.errors import DataError
from headrace.model.time import format_time, parse_time_ns
from headrace.sdk.apps import Context


def rows_in(given: object) -> Facts:
    """`[{"id", "start", "end", "unit", "quantity", "amount", "factor"?}]`. Raises: DataError."""
    if not isinstance(given, list):
        raise DataError("'rows' is a list of objects with id, start, end, unit, quantity, amount and, maybe, factor")
    return facts_of([_with_ns(number, row) for number, row in enumerate(given)])


def _with_ns(number: int, row: object) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise DataError(f"row {number} is no object")
    found = {key: value for key, value in row.items() if key not in ("start", "end")}
    if clash := found.keys() & {"start_ns", "end_ns"}:
        raise DataError(f"row {number} has '{sorted(clash)[0]}': write 'start' and 'end', ISO 8601 with an offset")
    for field in ("start", "end"):
        try:
            found[f"{field}_ns"] = parse_time_ns(str(row.get(field, "")))
        except DataError as error:
            raise DataError(f"row {number}, '{field}': {error.message}") from None
    return found


def factors_in(given: object) -> list[Factor]:
    """`[{"name", "value", "source"}]`. Raises: DataError."""
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise DataError("'factors' is a list of objects with name, value and source")
    found = []
    for each in given:
        if each.keys() != {"name", "value", "source"}:
            raise DataError(f"a factor has name, value and source, not {', '.join(sorted(map(str, each)))[:100]}")
        ((name, value),) = factors_of({each["name"]: each["value"]}).items()
        source = each["source"]
        if not isinstance(source, str) or not 0 < len(source.strip()) <= 500:
            raise DataError(f"factor '{name}' needs a source: a standard's clause, a price list and its date")
        found.append(Factor(name, value, source.strip()))
    if len({each.name for each in found}) < len(found):
        raise DataError("a factor is named twice")
    return found


def rows_out(facts: Facts, amounts: NDArray[np.float64], counted: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """`value`: the amount at its factor; `counted`: whether its period counts in the figure."""
    return [
        {
            "id": row["id"],
            "start": format_time(row["start_ns"]),
            "end": format_time(row["end_ns"]),
            "unit": row["unit"],
            "quantity": row["quantity"],
            "amount": row["amount"],
            "factor": row["factor"],
            "value": value,
            "counted": counts,
        }
        for row, value, counts in zip(facts.rows(), amounts.tolist(), counted.tolist(), strict=True)
    ]


def said(context: Context, language: str, what: Sequence[Said]) -> list[dict[str, Any]]:
    """Each with its key, for programs, and its text, for people."""
    return [
        {
            "key": each.key,
            "text": context.say(
                f"said.{each.key}",
                language,
                **{
                    name: context.say(f"span.{value}", language) if name == "span" else value
                    for name, value in each.values.items()
                },
            ),
        }
        for each in what
    ]


def measures_out(context: Context, language: str) -> list[dict[str, Any]]:
    return [{**_measure(context, language, each), "scale": each.scale} for each in MEASURES.values()]


def evaluation_out(context: Context, language: str, evaluation: Evaluation) -> dict[str, Any]:
    before_after = evaluation.reliability
    return {
        "outcomes": [_outcome(context, language, each) for each in evaluation.outcomes],
        "level": evaluation.level,
        "simultaneous_level": evaluation.simultaneous_level,
        "family": len(evaluation.outcomes),
        "seed": evaluation.seed,
        "paired": evaluation.paired,
        "baseline_matches": evaluation.standing.matches,
        "reliability": None
        if before_after is None
        else {"baseline": _reliability(before_after[0]), "report": _reliability(before_after[1])},
        "cautions": said(context, language, evaluation.cautions),
    }


def _outcome(context: Context, language: str, outcome: Outcome) -> dict[str, Any]:
    measure = outcome.measure
    return {
        **_measure(context, language, measure),
        "verdict": outcome.verdict,
        "verdict_text": context.say(f"verdict.{outcome.verdict}", language),
        "target_verdict": outcome.target,
        "baseline": _figure(outcome.before, measure),
        "report": _figure(outcome.after, measure),
        "effect": outcome.effect,
        "interval": _interval(outcome.interval),
        "simultaneous": _interval(outcome.simultaneous),
        "bootstrap": _interval(outcome.check),
        "method": outcome.method or None,
        "effective": None if outcome.effective is None else list(outcome.effective),
        "detectable": _finite(outcome.detectable),
        "overdispersion": outcome.overdispersion,
        "normalised": None if outcome.normalised is None else _normalised(outcome.normalised),
        "raw": None if outcome.raw is None else {"effect": outcome.raw[0], "interval": _interval(outcome.raw[1])},
        "reasons": said(context, language, outcome.reasons),
        "cautions": said(context, language, outcome.cautions),
    }


def _measure(context: Context, language: str, measure: MeasureType) -> dict[str, Any]:
    return {
        "measure": measure.id,
        "title": context.say(f"measure.{measure.id}", language),
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unit": measure.unit,
        "better": measure.better,
        "target": measure.target,
    }


def _figure(ratio: Ratio, measure: MeasureType) -> dict[str, Any]:
    return {
        "figure": ratio.figure(measure.scale),
        "numerator": ratio.numerator,
        "denominator": ratio.denominator,
        "periods": ratio.periods,
        "missing": ratio.missing,
    }


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"low": _finite(interval.low), "high": _finite(interval.high), "level": interval.level}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _normalised(fitted: Normalised) -> dict[str, Any]:
    return {
        "actual_kgce": fitted.actual,
        "expected_kgce": fitted.expected,
        "coefficients": list(fitted.coefficients),
        "r_squared": fitted.r_squared,
        "cv_rmse": fitted.cv_rmse,
        "outside": fitted.outside,
    }


def _reliability(of: Reliability) -> dict[str, Any]:
    return {
        "failures": of.failures,
        "operating_h": of.operating_h,
        "repair_h": of.repair_h,
        "planned_busy_h": of.planned_busy_h,
        "mtbf_per_failure_h": of.mtbf_per_failure_h,
        "mtbf_iso_22400_h": of.mtbf_iso_22400_h,
        "mttr_per_failure_h": of.mttr_per_failure_h,
        "mttr_iso_22400_h": of.mttr_iso_22400_h,
        "downtime_rate": of.downtime_rate,
        "failures_per_1000_h": of.failures_per_1000_h,
    }
