"""What energy accounting costs, and how exact it is: one core, CPU time, medians of three.

    golden       the largest error against the worked cases of others, beside 1e-9 (left out where they are not there)
    flows        a month of meters at one reading a minute: counters that wrap, dips and gaps, into quarters of an hour
    allocation   a month of one meter shared by overlapping orders
    demand       the highest of all 15 min windows that slide by a minute, over a year
    baseline     a regression with its statistics

The peer of flows is pandas (difference, positive steps alone, resampled to quarters), which neither splits a step over
the edges of quarters nor knows how much was seen; that of the baseline is statsmodels. Those that are not installed are
left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from bench.harness import Measure, cpu_s, median_of
from headrace.apps.energy.allocation import Claim, allocate
from headrace.apps.energy.baseline import Baseline, fit, perform
from headrace.apps.energy.carbon import inventory
from headrace.apps.energy.coal import comprehensive
from headrace.apps.energy.completeness import given
from headrace.apps.energy.demand import maximum_demand
from headrace.apps.energy.flows import Flow
from headrace.apps.energy.library import areas_of, shipped
from headrace.apps.energy.readings import Readings, Register, counter_flow
from headrace.apps.energy.uses import Use
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS

DATA = Path(os.environ.get("HEADRACE_DATA") or Path(__file__).parents[2] / "shared" / "data") / "ops"
T0 = 1_767_196_800_000_000_000
METERS = 100
MINUTES = 31 * 24 * 60


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    if (DATA / "kpi" / "golden.json").exists():
        for name, error in _golden().items():
            yield Measure(f"golden {name}: largest relative error", error, "", target="<= 1e-9")
    _READINGS.extend(_counter(meter) for meter in range(METERS))
    rate = METERS * MINUTES / median_of(3, lambda: _timed(_flows))
    peer = _pandas()
    yield Measure(
        f"a month of {METERS} meters at one a minute, into quarters", rate, "samples/CPU-s", peer,
        "pandas, diff and resample" if peer else "", target=">= 2000000",
    )  # fmt: skip
    claims = _claims(100_000)
    flow = _flow(MINUTES)
    yield Measure(
        "a month of a meter shared by 100,000 orders",
        median_of(3, lambda: _timed(lambda: allocate(flow, claims, T0, T0 + 31 * DAY_NS))),
        "CPU-s",
        target="<= 5",
    )
    year = _flow(365 * 24 * 60)
    yield Measure(
        "demand of a year, 15 min windows sliding by 1 min",
        median_of(3, lambda: _timed(lambda: maximum_demand(year, T0, T0 + 365 * DAY_NS, slide_min=1))),
        "CPU-s",
        target="<= 2",
    )
    x, y = _regression()
    ours = median_of(5, lambda: _timed(lambda: fit("b", "kW.h", y, x), 20)) * 1e3 / 20
    yield Measure("a baseline of 365 days, 4 variables", ours, "CPU-ms", _statsmodels(x, y), "statsmodels OLS")


def _golden() -> dict[str, float]:
    cases = json.loads((DATA / "kpi" / "golden.json").read_text())
    asked = cases["energy"]["input"]
    amounts = (
        ("electricity", asked["kWh"], "kW.h"), ("natural_gas_high", asked["gas_m3"], "m3"),
        ("diesel", asked["diesel_kg"], "kg"), ("heat", asked["steam_MJ"], "MJ"),
    )  # fmt: skip
    uses = [Use(name, name, date(2022, 1, 1), date(2023, 1, 1), given(value, unit)) for name, value, unit in amounts]
    coal = comprehensive(uses, shipped()).total.value or np.nan
    carbon = inventory(uses, shipped(), areas=areas_of("CN-JS"))
    told = cases["carbon_2022_jiangsu"]
    one = cases["enpi"]
    seen = perform(Baseline("b", "kW.h", ("P",), one["a"], (one["b"],)), one["E"], {"P": one["P"]})
    return {
        "comprehensive energy": abs(coal / cases["energy"]["kgce"] - 1),
        "carbon": max(
            abs((carbon.sum().value or np.nan) / told["tCO2"] - 1),
            abs((carbon.totals["1"].value or np.nan) / told["scope1"] - 1),
            abs((carbon.totals["2-location"].value or np.nan) / told["scope2"] - 1),
        ),
        "performance indicator": max(
            abs(seen.saving / one["savings"] - 1), abs(seen.enpi_ratio / one["enpi_ratio"] - 1)
        ),
    }


def _timed(work: Callable[[], object], times: int = 1) -> float:
    began_s = cpu_s()
    for _ in range(times):
        work()
    return cpu_s() - began_s


def _counter(meter: int) -> Readings:
    """A reading a minute that is a second off at most, wraps once, dips now and then, and is silent for an hour."""
    random = np.random.default_rng(meter)
    times = T0 + MINUTE_NS * np.arange(MINUTES, dtype=np.int64) + random.integers(0, 1_000_000_000, MINUTES)
    values = (990_000 + np.cumsum(random.exponential(1.0, MINUTES))) % 1_000_000
    values[random.integers(1, MINUTES, 20)] = 0.0
    keep = np.ones(MINUTES, bool)
    keep[20_000:20_060] = False
    return Readings.of(times[keep], values[keep])


_READINGS: list[Readings] = []


def _flows() -> None:
    edges = np.arange(T0, T0 + 31 * DAY_NS + 1, HOUR_NS // 4, dtype=np.int64)
    register = Register("m", "kW.h", 3 * MINUTE_NS, modulus=1_000_000.0, rate_max=10_000.0)
    for readings in _READINGS:
        counter_flow(readings, register)[0].over(edges)


def _pandas() -> float | None:
    try:
        import pandas as pd
    except ModuleNotFoundError:
        return None

    def once() -> None:
        for readings in _READINGS:
            column = pd.Series(readings.value, index=pd.to_datetime(readings.time_ns, utc=True))
            column.diff().clip(lower=0).resample("15min").sum()

    return METERS * MINUTES / median_of(3, lambda: _timed(once))


def _flow(minutes: int) -> Flow:
    starts = T0 + MINUTE_NS * np.arange(minutes, dtype=np.int64)
    amount = np.random.default_rng(1).exponential(1.0, minutes)
    return Flow("m", "kW.h", starts, starts + MINUTE_NS, amount, np.zeros(minutes, np.uint8))


def _claims(count: int) -> list[Claim]:
    random = np.random.default_rng(2)
    starts = T0 + random.integers(0, 31 * DAY_NS, count)
    ends = starts + random.integers(MINUTE_NS, 8 * HOUR_NS, count)
    weights = random.uniform(1, 100, count)
    return [
        Claim(int(start), int(end), {"order": str(at)}, float(weight))
        for at, (start, end, weight) in enumerate(zip(starts, ends, weights, strict=True))
    ]


def _regression() -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(3)
    x = {name: random.uniform(0, 1_000, 365) for name in "abcd"}
    return x, 5_000 + sum((at + 1) * column for at, column in enumerate(x.values())) + random.normal(0, 50, 365)


def _statsmodels(x: dict[str, np.ndarray], y: np.ndarray) -> float | None:
    try:
        import statsmodels.api as sm
    except ModuleNotFoundError:
        return None
    table = sm.add_constant(np.column_stack(list(x.values())))

    def once() -> None:
        told = sm.OLS(y, table).fit()
        _ = (told.rsquared_adj, told.tvalues, told.pvalues, told.fvalue, told.f_pvalue)

    once()
    return median_of(5, lambda: _timed(once, 20)) * 1e3 / 20
