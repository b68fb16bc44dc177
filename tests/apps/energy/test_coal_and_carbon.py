"""Comprehensive energy counts once, carbon has scopes; factors change within a span; nothing unknown becomes zero."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import flow, use

from headrace.apps.energy.carbon import Contract, Leak, Process, inventory
from headrace.apps.energy.coal import comprehensive
from headrace.apps.energy.completeness import given as document
from headrace.apps.energy.completeness import unknown
from headrace.apps.energy.factors import Factor
from headrace.apps.energy.intensity import Output, change, constant_yuan, per_10k_yuan, per_unit
from headrace.apps.energy.library import areas_of, shipped
from headrace.apps.energy.uses import Role, metered
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS

EQUIVALENT = Factor(
    "coal-equivalent", "electricity", 0.3, "kg{ce}", "kW.h", date(2022, 1, 1), date(2022, 3, 1), date(2023, 1, 1),
    source="yearly report of the grid",
)  # fmt: skip


def test_secondary_energy_made_inside_is_not_counted_twice() -> None:
    told = comprehensive(
        [use("natural_gas_high", 100.0, "m3"), use("heat", 3_000.0, "MJ", role=Role.INTERNAL)], shipped()
    )
    assert told.total.value == pytest.approx(133.0)
    assert told.lines[1].counted.value == pytest.approx(3_000 * 0.03412)  # shown


def test_what_is_sold_or_stored_is_taken_off() -> None:
    told = comprehensive(
        [
            use("diesel", 100.0, "kg"),
            use("diesel", 40.0, "kg", role=Role.STORED),
            use("diesel", 10.0, "kg", role=Role.DRAWN),
            use("electricity", 20.0, role=Role.GENERATED),
            use("electricity", 5.0, role=Role.SOLD),
        ],
        shipped(),
    )
    assert told.total.value == pytest.approx(70 * 1.4571 + 15 * 0.1229)


def test_the_equivalent_of_electricity_has_to_be_entered() -> None:
    uses = [use("electricity", 1_000.0), use("diesel", 10.0, "kg")]
    told = comprehensive(uses, shipped(), method="equivalent")
    assert told.total.value == pytest.approx(14.571)
    assert told.total.completeness == 0.5 and told.total.missing == ("factor of electricity",)
    assert "enter one with its source" in told.lines[0].problems[0]
    entered = comprehensive(uses, shipped().plus([EQUIVALENT]), method="equivalent")
    assert entered.total.value == pytest.approx(314.571) and entered.total.is_whole


def test_a_firm_s_own_calorific_value_comes_first() -> None:
    own = Factor(
        "coal", "raw_coal", 0.65, "kg{ce}", "kg", date(2022, 1, 1), date(2022, 1, 5), area="acme/suzhou", source="lab"
    )
    told = comprehensive([use("raw_coal", 2.0, "t")], shipped().plus([own]), areas=("acme/suzhou",))
    assert told.total.value == pytest.approx(1_300.0)


def test_a_span_over_two_editions_is_cut() -> None:
    water = use("fresh_water", 365.0, "t", start=date(2021, 1, 1), end=date(2022, 1, 1))
    told = comprehensive([water], shipped())
    assert told.total.value == pytest.approx(90 * 0.0857 + 275 * 0.2571)
    assert [found.factor.edition for found in told.lines[0].factors] == ["GB/T 2589-2008", "GB/T 2589-2020"]


def test_a_meter_is_cut_by_what_went_by_not_by_days() -> None:
    start, end = date(2021, 12, 31), date(2022, 1, 2)
    zone_start = metered(flow([0.0]), "electricity", start, end, "Asia/Shanghai")
    assert zone_start.total.value is None
    hours = [10.0] * 24 + [0.0] * 24
    from headrace.apps.energy.uses import midnight_ns

    seen = flow(hours, width_ns=HOUR_NS, start=midnight_ns(start, "Asia/Shanghai"))
    told = inventory([metered(seen, "electricity", start, end, "Asia/Shanghai")], shipped(), areas=areas_of("CN-JS"))
    assert told.totals["2-location"].value == pytest.approx(240 * 0.6451 / 1000)


def test_an_unknown_quantity_is_told_and_not_zero() -> None:
    uses = [use("electricity", unknown("meter 7", "kW.h", span_s=86_400.0)), use("diesel", 1.0, "t")]
    coal = comprehensive(uses, shipped()).total
    assert coal.value == pytest.approx(1457.1) and coal.completeness == 0.5 and coal.missing == ("meter 7",)
    carbon = inventory(uses, shipped(), areas=("CN",))
    assert carbon.totals["2-location"].value is None
    assert carbon.sum().value == pytest.approx(3.1451, abs=1e-4) and carbon.sum().missing == ("meter 7",)


def test_another_method_or_unit_is_refused() -> None:
    with pytest.raises(DataError, match="calorific or equivalent"):
        comprehensive([], shipped(), method="both")
    with pytest.raises(DataError, match="different things"):
        comprehensive([use("diesel", 1.0, "kW.h")], shipped())


@given(st.lists(st.dates(date(2019, 1, 1), date(2024, 1, 1)), min_size=2, max_size=8, unique=True))
def test_splitting_a_span_changes_no_sum(cuts: list[date]) -> None:
    days = sorted(cuts)
    per_day = 24.0
    whole = use("electricity", per_day * (days[-1] - days[0]).days, start=days[0], end=days[-1])
    parts = [
        use("electricity", per_day * (last - first).days, start=first, end=last)
        for first, last in itertools.pairwise(days)
    ]
    for areas in (areas_of("CN-JS"), ("CN",)):
        one, many = (inventory(uses, shipped(), areas=areas).totals["2-location"] for uses in ([whole], parts))
        if one.value is None or many.value is None:  # of before 2021 there are no factors
            assert one.value is many.value is None and days[0] < date(2021, 1, 1)
        else:
            assert one.value == pytest.approx(many.value, rel=1e-9)
    assert comprehensive([whole], shipped()).total.value == pytest.approx(
        comprehensive(parts, shipped()).total.value, rel=1e-9
    )


def test_scope_2_is_told_twice() -> None:
    told = inventory(
        [use("electricity", 100_000.0)],
        shipped(),
        areas=areas_of("CN-JS"),
        contracts=[Contract("green certificates 2022", 40_000.0, 0.0, "GEC")],
    )
    assert told.totals["2-location"].value == pytest.approx(59.78)
    assert told.totals["2-market"].value == pytest.approx(60 * 0.5856)
    assert told.sum("market").value == pytest.approx(60 * 0.5856)


def test_without_a_residual_mix_the_grid_stands_in_and_says_so() -> None:
    told = inventory([use("electricity", 1_000.0)], shipped(), areas=("CN",), known=date(2024, 4, 11))
    assert told.totals["2-location"].value is None
    book_of_one = shipped()
    only = [one for one in book_of_one if one.kind == "grid"]
    from headrace.apps.energy.factors import FactorBook

    told = inventory([use("electricity", 1_000.0)], FactorBook(only), areas=("CN",))
    assert told.totals["2-market"].value == pytest.approx(0.5366)
    assert any("stands in" in problem for line in told.lines for problem in line.problems)


def test_more_contracts_than_electricity_are_refused() -> None:
    with pytest.raises(DataError, match="contracts of this span alone"):
        inventory([use("electricity", 10.0)], shipped(), areas=("CN",), contracts=[Contract("c", 11.0, 0.0, "GEC")])


def test_processes_leaks_and_biomass() -> None:
    told = inventory(
        [use("ethanol", 1.0, "t")],
        shipped(),
        areas=("CN",),
        processes=[
            Process("kiln", document(10.0, "t"), 0.4397, "t", "CaCO3 to CaO"),
            Process("steel bought", document(2_000.0, "kg"), 2.0, "t", "supplier", scope="3"),
        ],
        leaks=[Leak("chiller", "HFC-134a", document(2.0, "kg")), Leak("pipe", "unobtainium", document(1.0, "kg"))],
    )
    assert told.totals["3"].value == pytest.approx(4.0)
    assert told.totals["1"].value == pytest.approx(4.397 + 2 * 1530 / 1000)
    assert told.totals["1"].missing == ("GWP of unobtainium",)
    assert told.totals["biogenic"].value is None  # no factor for ethanol: told as unknown
    assert inventory([], shipped(), areas=("CN",), gwp="AR5", leaks=[Leak("l", "CH4", document(1.0, "t"))]).totals[
        "1"
    ].value == pytest.approx(28.0)
    with pytest.raises(DataError, match="AR4, AR5, AR6"):
        inventory([], shipped(), areas=("CN",), gwp="AR7")


def test_electricity_of_the_own_roof_is_no_scope_2() -> None:
    told = inventory([use("electricity", 10.0, role=Role.GENERATED)], shipped(), areas=("CN",))
    assert told.lines == ()


def test_intensity_at_constant_prices() -> None:
    coal = document(53_000.0, "kg{ce}")
    outputs = [Output("2024", 5_000_000.0)]
    indices = {"2020": 100.0, "2024": 125.0}
    assert constant_yuan(outputs, indices, "2020") == pytest.approx(4_000_000.0)
    now = per_10k_yuan(coal, outputs, indices=indices, base="2020")
    assert now.value == pytest.approx(53_000 / 400) and now.output == pytest.approx(400.0)
    before = per_10k_yuan(document(60_000.0, "kg{ce}"), [Output("2020", 4_000_000.0)], indices=indices, base="2020")
    assert change(now, before) == pytest.approx(53 / 60 - 1)
    assert per_unit(coal, 100.0, "t").value == pytest.approx(530.0)


def test_intensity_without_output_or_index_is_refused() -> None:
    coal = document(1.0, "kg{ce}")
    with pytest.raises(DataError, match="enter its value"):
        per_10k_yuan(coal, [])
    with pytest.raises(DataError, match="price index of 2021"):
        per_10k_yuan(coal, [Output("2021", 1.0)], indices={"2020": 100.0}, base="2020")
    with pytest.raises(DataError, match="cannot be compared"):
        change(per_10k_yuan(coal, [Output("2021", 1.0)]), per_unit(coal, 1.0, "t"))
    assert per_10k_yuan(unknown("m", "kg{ce}"), [Output("2021", 1.0)]).value is None


def test_days_outside_of_a_use_are_refused() -> None:
    one = use("diesel", 31.0, "kg", start=date(2022, 1, 1), end=date(2022, 2, 1))
    assert one.between(date(2022, 1, 1), date(2022, 1, 2)).value == pytest.approx(1.0)
    with pytest.raises(DataError, match="is told for"):
        one.between(date(2022, 1, 1), date(2022, 2, 1) + timedelta(1))
