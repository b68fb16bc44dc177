"""Time of use by wall clock, through changes of the clocks; maximum demand in blocks and sliding."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import T0, flow

from headrace.apps.energy.demand import maximum_demand
from headrace.apps.energy.tariffs import HOLIDAY, Rule, Tariff, costs, cut, demand_charge
from headrace.apps.energy.uses import midnight_ns
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS

SUMMER = frozenset({7, 8})
JIANGSU = Tariff(
    "Jiangsu, two-part",
    "Asia/Shanghai",
    date(2025, 1, 1),
    (
        Rule("flat"),
        Rule("peak", 8 * 60, 11 * 60),
        Rule("peak", 17 * 60, 22 * 60),
        Rule("sharp", 14 * 60, 15 * 60, months=SUMMER),
        Rule("valley", 0, 8 * 60),
        Rule("valley", days=frozenset({HOLIDAY})),
    ),
    {"sharp": 1.44, "peak": 1.2, "flat": 0.7, "valley": 0.3},
    holidays=frozenset({date(2026, 1, 1)}),
    demand_price=48.0,
    contract_kw=1_000.0,
)


def berlin(name: str = "Berlin", since: date = date(2020, 1, 1)) -> Tariff:
    return Tariff(
        name, "Europe/Berlin", since, (Rule("day"), Rule("night", 0, 150), Rule("night", 1320, 1440)),
        {"day": 0.3, "night": 0.2}, currency="EUR",
    )  # fmt: skip


def test_a_day_by_its_periods() -> None:
    start = midnight_ns(date(2026, 1, 5), "Asia/Shanghai")
    told = costs(flow([1.0] * 24, width_ns=HOUR_NS, start=start), [JIANGSU], start, start + 24 * HOUR_NS)
    assert {cost.period: cost.energy.value for cost in told} == pytest.approx({"valley": 8, "peak": 8, "flat": 8})
    assert sum(cost.amount or 0.0 for cost in told) == pytest.approx(8 * 0.3 + 8 * 1.2 + 8 * 0.7)
    assert all(cost.energy.completeness == 1.0 for cost in told)


def test_seasons_and_holidays() -> None:
    assert [name for _, name in JIANGSU.pieces(date(2026, 7, 6))].count("sharp") == 1
    assert JIANGSU.pieces(date(2026, 1, 1)) == [(0, "valley")]


def test_what_is_not_known_costs_nothing_known() -> None:
    start = midnight_ns(date(2026, 1, 5), "Asia/Shanghai")
    told = costs(flow([1.0] * 8, width_ns=HOUR_NS, start=start), [JIANGSU], start, start + 24 * HOUR_NS)
    assert {cost.period: cost.amount for cost in told} == {"valley": pytest.approx(2.4), "peak": None, "flat": None}


def test_a_new_tariff_holds_from_its_day_on() -> None:
    later = berlin("Berlin 2026", date(2026, 1, 1))
    start, end = midnight_ns(date(2025, 12, 31), "Europe/Berlin"), midnight_ns(date(2026, 1, 2), "Europe/Berlin")
    told = costs(flow([1.0] * 48, width_ns=HOUR_NS, start=start), [later, berlin()], start, end)
    assert {(cost.tariff, cost.period): cost.energy.value for cost in told} == pytest.approx(
        {("Berlin", "night"): 4.5, ("Berlin", "day"): 19.5, ("Berlin 2026", "night"): 4.5, ("Berlin 2026", "day"): 19.5}
    )


@pytest.mark.parametrize(("day", "hours", "night"), [(date(2026, 3, 29), 23, 4.0), (date(2026, 10, 25), 25, 4.5)])
def test_days_on_which_the_clocks_change(day: date, hours: int, night: float) -> None:
    """Night ends at 02:30: in spring that is not shown, so it ends as the clocks change; in autumn it is shown
    twice."""
    start, end = midnight_ns(day, "Europe/Berlin"), midnight_ns(day + timedelta(days=1), "Europe/Berlin")
    assert (end - start) == hours * HOUR_NS
    edges, names = cut([berlin()], start, end)
    lengths = np.diff(edges) / HOUR_NS
    assert sum(length for length, (_, name) in zip(lengths, names, strict=True) if name == "night") == night


@given(st.integers(0, 3 * 365 * 24 * 60), st.integers(1, 10 * 24 * 60))
def test_each_moment_has_the_period_of_its_wall_clock(start_min: int, length_min: int) -> None:
    tariff, zone = berlin(), ZoneInfo("Europe/Berlin")
    start = midnight_ns(date(2024, 1, 1), "Europe/Berlin") + start_min * MINUTE_NS
    edges, names = cut([tariff], start, start + length_min * MINUTE_NS)
    assert (edges[0], edges[-1]) == (start, start + length_min * MINUTE_NS)
    assert (np.diff(edges) > 0).all()
    for at, (_, name) in zip(edges[:-1], names, strict=True):
        shown = datetime.fromtimestamp(int(at) // SECOND_NS, UTC).astimezone(zone)
        if shown.fold:  # an hour that is shown twice: its periods are those of the first time
            continue
        minute = shown.hour * 60 + shown.minute
        assert name == [period for begins, period in tariff.pieces(shown.date()) if begins <= minute][-1]


@pytest.mark.parametrize(
    ("rules", "prices", "zone", "message"),
    [
        ((Rule("peak", 480, 660),), {"peak": 1.0}, "UTC", "no period at 00:00"),
        ((Rule("flat"),), {}, "UTC", "no price"),
        ((Rule("flat"),), {"flat": 1.0}, "Mars/Base", "Asia/Shanghai"),
        ((Rule("flat", 600, 500),), {"flat": 1.0}, "UTC", "ends before"),
    ],
)
def test_a_tariff_that_cannot_be_is_refused(
    rules: tuple[Rule, ...], prices: dict[str, float], zone: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Tariff("t", zone, date(2026, 1, 1), rules, prices)


def test_before_the_first_tariff_there_is_no_cost() -> None:
    with pytest.raises(DataError, match="no tariff holds"):
        cut([JIANGSU], midnight_ns(date(2024, 6, 1), "Asia/Shanghai"), midnight_ns(date(2024, 6, 2), "Asia/Shanghai"))


def test_sliding_demand_finds_what_blocks_cut_in_two() -> None:
    minutes = np.full(60, 1.0)
    minutes[8:23] = 5.0  # 15 minutes of 300 kW, across two blocks
    blocks = maximum_demand(flow(minutes), T0, T0 + HOUR_NS)
    sliding = maximum_demand(flow(minutes), T0, T0 + HOUR_NS, slide_min=1)
    assert sliding.kw == pytest.approx(300.0) and sliding.start_ns == T0 + 8 * MINUTE_NS
    assert blocks.kw == pytest.approx((8 * 5 + 7) * 4) and blocks.windows == 4
    assert not sliding.is_lower_bound


def test_a_window_with_a_gap_has_no_demand() -> None:
    minutes = np.full(60, 1.0)
    minutes[20] = math.nan
    told = maximum_demand(flow(minutes), T0, T0 + HOUR_NS)
    assert (told.windows, told.unknown, told.is_lower_bound) == (4, 1, True)
    nothing = maximum_demand(flow([math.nan]), T0, T0 + HOUR_NS)
    assert nothing.kw is None and nothing.completeness == 0.0


def test_demand_above_the_contract_is_charged_twice() -> None:
    assert demand_charge(JIANGSU, 1_040.0) == pytest.approx(1_040 * 48)
    assert demand_charge(JIANGSU, 1_150.0) == pytest.approx((1_050 + 2 * 100) * 48)


def test_too_many_windows_are_refused() -> None:
    with pytest.raises(DataError, match="ask for less time"):
        maximum_demand(flow([1.0]), T0, T0 + 10 * 366 * 24 * HOUR_NS, slide_min=1)
