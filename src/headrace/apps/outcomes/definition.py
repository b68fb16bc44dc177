"""What is going to be compared, and how: settled in full before anything of it is seen, and frozen with the baseline.

Both spans, the units, the measures, the covariates, the level and the seed are part of it. Whoever could pick one of
them afterwards could pick the answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.measures import MEASURES, MeasureType
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS

#: Another way to compute is another name: a baseline keeps the one that it was frozen with.
METHOD: Final = "headrace outcomes 1"
PERIODS_MIN: Final = 28
WEEKS_MIN: Final = 8
PERIODS_MAX: Final = 1500
COVARIATES_MAX: Final = 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_SEASON_SLACK_DAYS: Final = 3
_YEAR_DAYS: Final = 365.2425


class Absent(StrEnum):
    """What a period without a row says of a covariate: none was made (a product), or nobody knows (the weather)."""

    ZERO = "zero"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days of the plant's calendar, [first, end)."""

    first: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.first).days


@dataclass(frozen=True, slots=True)
class Definition:
    """`units`: paths; a row counts where its unit is one of them or lies beneath. `covariates`: what energy is
    normalised for. `season_differs_because` is empty where both spans lie in the same season.

    `level` is what each interval promises alone; the family of all measures keeps the same level together.
    """

    name: str
    zone: str
    units: tuple[str, ...]
    baseline: Span
    report: Span
    measures: tuple[str, ...] = tuple(MEASURES)
    covariates: Mapping[str, Absent] | None = None
    period_days: int = 1
    level: float = 0.95
    seed: int = 20_260_101
    replicates: int = 999
    season_differs_because: str = ""
    method: str = METHOD

    @property
    def family(self) -> tuple[MeasureType, ...]:
        return tuple(MEASURES[name] for name in self.measures)

    @property
    def simultaneous_level(self) -> float:
        """Bonferroni: at this level each, all intervals hold together with probability `level` or more."""
        return 1.0 - (1.0 - self.level) / len(self.measures)

    @property
    def in_season(self) -> bool:
        """Whole years apart, within three days, and of one length: the same weather, as a rule."""
        apart = (self.report.first - self.baseline.first).days
        years = round(apart / _YEAR_DAYS)
        near = abs(apart - years * _YEAR_DAYS) <= _SEASON_SLACK_DAYS
        return years >= 1 and near and self.report.days == self.baseline.days

    @property
    def paired(self) -> bool:
        """Whether period k of one span lies beside period k of the other: same season and same day of the week."""
        return self.in_season and (self.report.first - self.baseline.first).days % 7 == 0

    def edges_ns(self, span: Span) -> NDArray[np.int64]:
        """Where periods begin and the last one ends: midnights of the plant's zone. Shape: (periods + 1,)."""
        zone = ZoneInfo(self.zone)
        days = range(0, span.days + 1, self.period_days)
        moments = [datetime.combine(span.first + timedelta(days=day), time(), zone) for day in days]
        return np.array([int(moment.timestamp()) * SECOND_NS for moment in moments], np.int64)

    def document(self) -> dict[str, Any]:
        """As `definition_of` reads it."""
        return {
            **{key: value for key, value in asdict(self).items() if key not in ("baseline", "report")},
            "units": list(self.units),
            "measures": list(self.measures),
            "covariates": {name: str(absent) for name, absent in (self.covariates or {}).items()},
            "baseline": {"first": self.baseline.first.isoformat(), "end": self.baseline.end.isoformat()},
            "report": {"first": self.report.first.isoformat(), "end": self.report.end.isoformat()},
        }


def definition_of(given: object) -> Definition:
    """From outside. Raises: DataError that names the field, what is wrong and what would do."""
    if not isinstance(given, Mapping):
        raise DataError("a definition is an object with name, zone, units, baseline, report, …")
    fields = {
        "name", "zone", "units", "baseline", "report", "measures", "covariates", "period_days", "level", "seed",
        "replicates", "season_differs_because", "method",
    }  # fmt: skip
    if unknown := sorted(given.keys() - fields):
        raise DataError(f"a definition has no field '{str(unknown[0])[:60]}'; it has {', '.join(sorted(fields))}")
    for field in ("name", "zone", "units", "baseline", "report"):
        if field not in given:
            raise DataError(f"the definition needs '{field}'")
    definition = Definition(
        name=_name(given["name"]),
        zone=_zone(given["zone"]),
        units=_texts("units", given["units"]),
        baseline=_span("baseline", given["baseline"]),
        report=_span("report", given["report"]),
        measures=_measures(given.get("measures", list(MEASURES))),
        covariates=_covariates(given.get("covariates", {})),
        period_days=_whole("period_days", given.get("period_days", 1), 1, 31),
        level=_level(given.get("level", 0.95)),
        seed=_whole("seed", given.get("seed", 20_260_101), 0, 2**63 - 1),
        replicates=_whole("replicates", given.get("replicates", 999), 0, 9_999),
        season_differs_because=str(given.get("season_differs_because", "")).strip()[:500],
        method=str(given.get("method", METHOD)),
    )
    _whole_sense(definition)
    return definition


def _whole_sense(definition: Definition) -> None:
    """What no field shows alone. Raises: DataError."""
    if definition.method != METHOD:
        raise DataError(f"method '{definition.method[:60]}' is not known here; this version computes '{METHOD}'")
    if definition.report.first < definition.baseline.end:
        raise DataError("the report span begins before the baseline has ended: they must not overlap")
    for name, span in (("baseline", definition.baseline), ("report", definition.report)):
        periods, rest = divmod(span.days, definition.period_days)
        if rest:
            raise DataError(f"the {name} has {span.days} days, no whole number of periods of {definition.period_days}")
        if span.days % 7:
            raise DataError(f"the {name} has {span.days} days: take whole weeks, so that no weekday counts more")
        if span.days < 7 * WEEKS_MIN or periods < PERIODS_MIN:
            raise DataError(
                f"the {name} has {span.days} days in {periods} periods; an interval needs {7 * WEEKS_MIN} days and "
                f"{PERIODS_MIN} periods at least"
            )
        if periods > PERIODS_MAX:
            raise DataError(f"the {name} has {periods} periods, more than {PERIODS_MAX}: take longer periods")
    if not definition.in_season and not definition.season_differs_because:
        raise DataError(
            "the report span is not the baseline's season, whole years later and as long: move it (364 days keep the "
            "weekdays), or say in 'season_differs_because' why the season does not matter here"
        )
    if definition.covariates and "energy_intensity" not in definition.measures:
        raise DataError("covariates normalise energy_intensity, which is not among the measures")


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DataError("'name' must be 1 to 60 of a-z, 0-9 and '-', such as press-shop-2025: it is in the address")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 200 or not value.isprintable():
        raise DataError(f"'{field}' must be 1 to 200 printable characters")
    return value.strip()


def _texts(field: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= 1000:
        raise DataError(f"'{field}' must be a list of 1 to 1000 texts")
    return tuple(sorted({_text(field, item) for item in value}))


def _whole(field: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise DataError(f"'{field}' must be a whole number from {low} to {high}")
    return value


def _level(value: object) -> float:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not 0.8 <= number <= 0.999:
        raise DataError("'level' must be between 0.8 and 0.999, for example 0.95")
    return number


def _zone(value: object) -> str:
    try:
        ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DataError(f"'{str(value)[:60]}' is no time zone; write one such as Asia/Shanghai") from None
    return str(value)


def _span(field: str, value: object) -> Span:
    if not isinstance(value, Mapping) or value.keys() != {"first", "end"}:
        raise DataError(
            f"'{field}' must have 'first' and 'end', dates such as 2025-01-06; 'end' is the day after the last"
        )
    try:
        first, end = date.fromisoformat(str(value["first"])), date.fromisoformat(str(value["end"]))
    except ValueError:
        raise DataError(f"'{field}' has a date that is none; write it as 2025-01-06") from None
    if not date(1990, 1, 1) <= first < end <= date(2200, 1, 1):
        raise DataError(f"'{field}' runs from {first} to {end}: it must end after it begins, between 1990 and 2200")
    return Span(first, end)


def _measures(value: object) -> tuple[str, ...]:
    names = _texts("measures", value)
    if unknown := [name for name in names if name not in MEASURES]:
        raise DataError(f"no measure '{unknown[0][:60]}'; there are {', '.join(MEASURES)}")
    return tuple(name for name in MEASURES if name in names)


def _covariates(value: object) -> Mapping[str, Absent]:
    if not isinstance(value, Mapping) or len(value) > COVARIATES_MAX:
        raise DataError(
            f"'covariates' must be an object of at most {COVARIATES_MAX} quantities, each 'zero' or 'missing'"
        )
    covariates = {}
    for name, absent in value.items():
        if absent not in tuple(Absent):
            raise DataError(
                f"covariate '{str(name)[:60]}' must be 'zero' or 'missing': what a period without a row means"
            )
        covariates[_text("covariates", name)] = Absent(absent)
    return dict(sorted(covariates.items()))
