"""A works whose gains are known: machines, shifts, products, seasons, and days that resemble their neighbours.

One span is followed by another of the same season, in which labour earns `productivity` more standard hours in each
attended hour, every use of energy is `energy` less, and failures come `failures` less often. What else moves is chance:
demand and orders drift from day to day (autocorrelated), machines fail in clusters (a bad week), the weather differs
from year to year, the products change places. `mix` shifts the second span's products towards the dear and light one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.definition import Absent, Definition, Span
from headrace.apps.outcomes.facts import Facts
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS

FIRST: Final = date(2024, 1, 1)  # a Monday
WORKS: Final = "acme/suzhou"
PRODUCTS: Final = ("p1", "p2", "p3")
STANDARD_H: Final = np.array([0.10, 0.20, 0.25])  # a piece
PRICE_10K: Final = np.array([0.006, 0.011, 0.024])
VALUE_CNY: Final = np.array([25.0, 50.0, 65.0])
KWH: Final = np.array([3.0, 7.0, 5.0])
FACTORS: Final[Mapping[str, float]] = {
    **{f"price:{name}": float(price) for name, price in zip(PRODUCTS, PRICE_10K, strict=True)},
    **{f"value:{name}": float(value) for name, value in zip(PRODUCTS, VALUE_CNY, strict=True)},
    "coal:electricity": 0.1229,
    "coal:gas": 1.2143,
}
COVARIATES: Final = {
    **{f"pieces:{name}": Absent.ZERO for name in PRODUCTS},
    "plan:shifts": Absent.ZERO,
    "weather:heating_degree_days": Absent.MISSING,
}
REPAIR_H: Final = 1.5


@dataclass(frozen=True, slots=True)
class Works:
    """Effects are shares: 0.2 is 20 % more. `phi`: correlation of a day with the next; `clusters`: variance of a week's
    failure rate over its mean squared."""

    seed: int
    productivity: float = 0.20
    energy: float = -0.06
    failures: float = -0.50
    days: int = 364
    machines: int = 6
    phi: float = 0.5
    clusters: float = 0.3
    mix: float = 0.0
    failures_per_h: float = 1 / 120

    @property
    def truth(self) -> dict[str, float]:
        """By measure; energy is the effect at equal products and weather."""
        down = self.failures_per_h * REPAIR_H
        fewer = down * (1 + self.failures)
        return {
            "labour_productivity": self.productivity,
            "labour_productivity_physical": self.productivity,
            "energy_intensity": self.energy,
            "failure_downtime": fewer / (1 + fewer) / (down / (1 + down)) - 1,
            "failure_frequency": self.failures,
        }

    def definition(self, **other: Any) -> Definition:
        end, later = FIRST + timedelta(days=self.days), FIRST + timedelta(days=364)
        return Definition(
            **{
                "name": "works",
                "zone": "UTC",
                "units": (WORKS,),
                "baseline": Span(FIRST, end),
                "report": Span(later, later + timedelta(days=self.days)),
                "covariates": COVARIATES,
                "replicates": 0,
                **other,
            }
        )

    def facts(self) -> Facts:
        return _joined([*self._span(np.random.default_rng((self.seed, 0)), 0), *self._span_after()])

    def _span_after(self) -> list[_Column]:
        return self._span(np.random.default_rng((self.seed, 1)), 1)

    def _span(self, random: np.random.Generator, after: int) -> list[_Column]:
        first_day, n = 364 * after, self.days
        weekday = np.arange(n) % 7
        shifts = np.select([weekday == 6, weekday == 5], [0, 1], 2)
        season = np.sin(2 * np.pi * np.arange(n) / 364.0)
        return [
            *self._labour_and_energy(random, after, first_day, shifts, season),
            *self._machines(random, after, first_day, shifts),
        ]

    def _labour_and_energy(
        self, random: np.random.Generator, after: int, first: int, shifts: NDArray[Any], season: NDArray[Any]
    ) -> list[_Column]:
        n = self.days
        people = random.binomial(44, 0.93, (n, 2))
        present = np.where(np.arange(2) < shifts[:, None], people, 0)
        pace = 0.7 * (1 + self.productivity * after) * np.exp(0.05 * season + 0.08 * _drift(random, n, self.phi))
        earned_h = (8.0 * present * pace[:, None] * np.exp(0.05 * random.standard_normal((n, 2)))).sum(axis=1)
        leaning = np.stack([0.4 * _drift(random, n, 0.8) for _ in PRODUCTS], axis=1)
        leaning[:, 2] += self.mix * after
        share = np.exp(leaning) / np.exp(leaning).sum(axis=1, keepdims=True)
        pieces = earned_h[:, None] * share / STANDARD_H
        outside_c = 15.0 - 12.0 * np.cos(2 * np.pi * np.arange(n) / 364.0) + 3.0 * _drift(random, n, 0.7)
        heating = np.maximum(18.0 - outside_c, 0.0)
        saving = (1 + self.energy * after) * np.exp(0.03 * _drift(random, n, self.phi))
        kwh = (2500.0 + 700.0 * shifts + pieces @ KWH) * saving
        gas_m3 = (40.0 + 18.0 * heating) * saving
        columns = [
            _Column("person_days", first, present.sum(axis=1)),
            _Column("attended_h", first, 8.0 * present.sum(axis=1)),
            _Column("good_standard_h", first, earned_h),
            _Column("energy_kgce", first, kwh, "coal:electricity"),
            _Column("energy_kgce", first, gas_m3, "coal:gas"),
            _Column("weather:heating_degree_days", first, heating),
            _Column("plan:shifts", first, shifts),
        ]
        for k, name in enumerate(PRODUCTS):
            columns += [
                _Column("output_10k_cny", first, pieces[:, k], f"price:{name}"),
                _Column("value_added_cny", first, pieces[:, k], f"value:{name}"),
                _Column(f"pieces:{name}", first, pieces[:, k]),
            ]
        return columns

    def _machines(self, random: np.random.Generator, after: int, first: int, shifts: NDArray[Any]) -> list[_Column]:
        n, weeks = self.days, self.days // 7 + 1
        columns = []
        for k in range(self.machines):
            rate = self.failures_per_h * (1 + self.failures * after) * (0.5 + k / max(self.machines - 1, 1))
            bad_week = random.gamma(1 / self.clusters, self.clusters, weeks) if self.clusters else np.ones(weeks)
            operating_h = 7.0 * shifts * random.uniform(0.85, 1.0, n)
            failures = random.poisson(rate * operating_h * np.repeat(bad_week, 7)[:n])
            down_h = np.array([random.lognormal(np.log(REPAIR_H) - 0.32, 0.8, c).sum() if c else 0.0 for c in failures])
            unit = f"{WORKS}/press-{k + 1}"
            columns += [
                _Column("failures", first, failures, unit=unit, sporadic=True),
                _Column("failure_downtime_h", first, down_h, unit=unit, sporadic=True),
                _Column("operating_h", first, operating_h, unit=unit),
                _Column("planned_busy_h", first, operating_h + down_h, unit=unit),
            ]
        return columns


def _drift(random: np.random.Generator, n: int, phi: float) -> NDArray[np.float64]:
    """A stationary AR(1) of variance 1."""
    shocks = random.standard_normal(n) * np.sqrt(1 - phi**2)
    shocks[0] /= np.sqrt(1 - phi**2)
    made = np.empty(n)
    level = 0.0
    for day, shock in enumerate(shocks):
        made[day] = level = phi * level + shock
    return made


@dataclass(frozen=True, slots=True)
class _Column:
    """One quantity by day. A sporadic one has rows only where it is not zero."""

    quantity: str
    first_day: int
    amounts: NDArray[Any]
    factor: str = ""
    unit: str = WORKS
    sporadic: bool = False


def _joined(columns: list[_Column]) -> Facts:
    origin_ns = int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()) * SECOND_NS
    kept = [np.flatnonzero(column.amounts) if column.sporadic else np.arange(len(column.amounts)) for column in columns]
    starts = [origin_ns + DAY_NS * (column.first_day + days) for column, days in zip(columns, kept, strict=True)]
    counts = [len(days) for days in kept]
    names = [f"{column.quantity}|{column.factor}|{column.unit}" for column in columns]

    def text(of: list[str]) -> NDArray[np.str_]:
        return np.repeat(np.array(of, np.str_), counts)

    start_ns = np.concatenate(starts).astype(np.int64)
    ids = [f"{name}|{start // DAY_NS}" for name, start in zip(text(names).tolist(), start_ns.tolist(), strict=True)]
    return Facts(
        np.array(ids, np.str_),
        start_ns,
        start_ns + 24 * HOUR_NS,
        text([column.unit for column in columns]),
        text([column.quantity for column in columns]),
        np.concatenate([column.amounts[days] for column, days in zip(columns, kept, strict=True)]).astype(np.float64),
        text([column.factor for column in columns]),
    )
