"""Factors by day, by area and by what was known; and the tables that we ship, held against others."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.apps.energy.shared import reference

from headrace.apps.energy.factors import Factor, FactorBook, of_unit
from headrace.apps.energy.library import area_names, areas_of, carriers, shipped
from headrace.model.errors import ConfigError, DataError, NotFound


def factor(
    value: float,
    since: date,
    until: date | None = None,
    *,
    published: date | None = None,
    area: str = "",
    **changes: Any,
) -> Factor:
    told = {"kind": "grid", "carrier": "electricity", "unit": "kg{CO2}", "per": "kW.h", "source": "test", **changes}
    return Factor(value=value, since=since, until=until, published=published or since, area=area, **told)


YEARS = FactorBook(
    [
        factor(0.6, date(2021, 1, 1), date(2022, 1, 1), published=date(2024, 4, 12)),
        factor(0.5, date(2022, 1, 1), date(2023, 1, 1), published=date(2024, 12, 23)),
    ]
)


@pytest.mark.parametrize(
    ("on", "known", "value", "carried"),
    [
        (date(2021, 12, 31), None, 0.6, False),
        (date(2022, 1, 1), None, 0.5, False),
        (date(2022, 1, 1), date(2024, 6, 1), 0.6, True),
        (date(2026, 5, 5), None, 0.5, True),
        (date(2022, 1, 1), date(2024, 12, 23), 0.5, False),
    ],
)
def test_by_day_and_by_what_was_known(on: date, known: date | None, value: float, carried: bool) -> None:
    found = YEARS.find("grid", "electricity", on, known=known)
    assert (found.factor.value, found.carried) == (value, carried)


@pytest.mark.parametrize(("on", "known"), [(date(2020, 1, 1), None), (date(2022, 1, 1), date(2024, 1, 1))])
def test_what_is_not_there_is_said(on: date, known: date | None) -> None:
    with pytest.raises(NotFound, match="enter one with its source"):
        YEARS.find("grid", "electricity", on, known=known)


def test_a_correction_wins_from_its_publication_on() -> None:
    book = YEARS.plus([factor(0.59, date(2020, 7, 1), date(2022, 1, 1), published=date(2025, 1, 1))])
    assert book.find("grid", "electricity", date(2021, 5, 1)).factor.value == 0.59
    assert book.find("grid", "electricity", date(2021, 5, 1), known=date(2024, 12, 31)).factor.value == 0.6
    assert YEARS.find("grid", "electricity", date(2021, 5, 1)).factor.value == 0.6


def test_the_nearest_area_comes_first() -> None:
    book = YEARS.plus([factor(0.4, date(2021, 1, 1), date(2022, 1, 1), area="CN-JS")])
    assert book.find("grid", "electricity", date(2021, 5, 1), areas=("CN-JS", "")).factor.value == 0.4
    assert book.find("grid", "electricity", date(2021, 5, 1), areas=("CN-ZJ", "")).factor.value == 0.6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([factor(-1.0, date(2021, 1, 1))], "from 0 on"),
        ([factor(float("nan"), date(2021, 1, 1))], "from 0 on"),
        ([factor(1.0, date(2021, 1, 1), date(2021, 1, 1))], "before it begins"),
        ([factor(1.0, date(2021, 1, 1), unit="kWh")], "kW.h"),
        ([factor(1.0, date(2021, 1, 1), source="")], "needs a kind"),
        ([factor(1.0, date(2021, 1, 1)), factor(2.0, date(2021, 1, 1))], "own day of publication"),
    ],
)
def test_a_book_that_cannot_be_is_refused(wrong: list[Factor], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FactorBook(wrong)


DAYS = st.dates(date(2019, 1, 1), date(2027, 1, 1))


@st.composite
def books(draw: st.DrawFn) -> FactorBook:
    made: dict[str, Factor] = {}
    for _ in range(draw(st.integers(0, 8))):
        since = draw(DAYS)
        until = draw(st.none() | st.integers(1, 900).map(lambda days, since=since: since + timedelta(days)))
        one = factor(draw(st.floats(0, 2)), since, until, published=draw(DAYS), area=draw(st.sampled_from(["", "CN"])))
        made.setdefault(one.key, one)
    return FactorBook(made.values())


@given(books(), DAYS, st.integers(1, 1500), st.none() | DAYS)
def test_pieces_cover_each_day_once_with_the_factor_of_that_day(
    book: FactorBook, start: date, length: int, known: date | None
) -> None:
    end = start + timedelta(length)
    pieces = book.pieces("grid", "electricity", start, end, known=known, areas=("CN", ""))
    assert [piece.start for piece in pieces] == [start, *[piece.end for piece in pieces[:-1]]]
    assert pieces[-1].end == end
    for piece in pieces:
        for day in (piece.start, piece.end - timedelta(1)):
            try:
                found = book.find("grid", "electricity", day, known=known, areas=("CN", ""))
            except NotFound:
                assert piece.found is None and piece.problem
            else:
                assert piece.found == found
                assert known is None or found.factor.published <= known


@given(books(), DAYS, DAYS, DAYS)
def test_what_was_known_does_not_change_with_what_comes(
    book: FactorBook, on: date, known: date, published: date
) -> None:
    newer = factor(9.0, on, published=max(known + timedelta(1), published), area="CN")
    assume(newer.key not in {one.key for one in book})
    later = book.plus([newer])

    def find(one: FactorBook) -> object:
        try:
            return one.find("grid", "electricity", on, known=known, areas=("CN", ""))
        except NotFound:
            return None

    assert find(later) == find(book)


def test_a_value_for_other_units() -> None:
    diesel = shipped().find("combustion", "diesel", date(2026, 1, 1)).factor
    assert of_unit(diesel, "kg{CO2}", "kg") == pytest.approx(diesel.value)
    with pytest.raises(DataError, match="not"):
        of_unit(diesel, "kg{CO2}", "kW.h")


# ---- the tables that we ship


def test_coal_values_are_their_heat_by_7000() -> None:
    from headrace.apps.energy import library

    checked = 0
    for table in library._read("coal")["table"]:
        for row in table["rows"]:
            if "heat" in row and row["carrier"] != "lng":  # the standard rounds LNG from 51,498 kJ
                assert row["value"] == pytest.approx(row["heat"] / 7000, abs=6e-5), row["carrier"]
                checked += 1
    assert checked == 22
    lng = shipped().find("coal", "lng", date(2026, 1, 1)).factor.value
    assert lng == pytest.approx(51_498 / 29_307.6, abs=5e-5)
    for carrier, megajoule in {"electricity": 3.6, "heat": 1.0, "fresh_water": 7.535}.items():
        found = shipped().find("coal", carrier, date(2026, 1, 1)).factor.value
        assert found == pytest.approx(megajoule / 29.3076, abs=1e-4), carrier


def test_no_equivalent_of_electricity_is_shipped() -> None:
    with pytest.raises(NotFound, match="coal-equivalent"):
        shipped().find("coal-equivalent", "electricity", date(2026, 1, 1))


def test_fresh_water_is_that_of_its_edition() -> None:
    assert shipped().find("coal", "fresh_water", date(2021, 3, 31)).factor.value == 0.0857
    assert shipped().find("coal", "fresh_water", date(2021, 4, 1)).factor.value == 0.2571


def test_every_factor_says_where_it_is_from() -> None:
    for one in shipped():
        assert one.edition and one.source and one.clause and one.checked, one.key
        assert one.kind.startswith("gwp") or one.carrier in carriers(), one.key
    assert all({"en", "zh"} <= entry.keys() for entry in [*carriers().values(), *area_names().values()])


def rows(name: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(reference(f"kpi/{name}").read_text(encoding="utf-8").splitlines())


def by_chinese_name() -> dict[str, str]:
    return {entry["zh"].split("(")[0].replace("用作燃料", ""): name for name, entry in carriers().items()}


def test_coal_agrees_with_the_reference() -> None:
    held = 0
    for name in ("kgce_gbt2589_2020_annexA.csv", "kgce_gbt2589_2020_annexB_media.csv"):
        for row in rows(name):
            try:
                value = float(row["kgce_per_unit"])
            except ValueError:
                assert "never hard-code" in row["checked"]
                continue
            found = [one for one in shipped() if one.kind == "coal" and one.until is None and _meant(one, row)]
            assert [one.value for one in found] == [value], row
            held += 1
    assert held == 35


def _meant(one: Factor, row: dict[str, str]) -> bool:
    """By name, unit and value's order: the reference names carriers in English and Chinese of its own."""
    english = {
        "cleaned coal": "cleaned_coal",
        "coke": "coke",
        "electricity, calorific": "electricity",
        "heat, calorific": "heat",
        "natural gas low": "natural_gas_low",
        "natural gas high": "natural_gas_high",
        "CO2 gas": "carbon_dioxide",
        "nitrogen by-product": "nitrogen_by_product",
        "nitrogen main product": "nitrogen_main_product",
    }
    name = english.get(row["name"], row["name"].replace(" ", "_").lower())
    return one.carrier == name and one.per == row["unit"].replace("kWh", "kW.h")


def test_fuels_agree_with_the_reference() -> None:
    alias = {"天然气": "natural_gas_high", "焦炉煤气": "coke_oven_gas_high", "一般煤油": "kerosene"}
    names = {**by_chinese_name(), **alias}
    for row in rows("cn_fuel_tco2.csv"):
        if row["fuel"] == "外购热力":
            assert shipped().find("bought", "heat", date(2026, 1, 1)).factor.value == float(row["tCO2_per_unit"])
            continue
        found = shipped().find("combustion", names[row["fuel"]], date(2026, 1, 1)).factor
        many = 10_000 if row["unit"] == "1e4m3" else 1
        assert found.value * many == pytest.approx(float(row["tCO2_per_unit"]), abs=5e-5), row
        product = float(row["NCV_GJ_per_unit"]) * float(row["carbon_tC_per_GJ"]) * float(row["oxidation"]) * 44 / 12
        assert found.value * many == pytest.approx(product, rel=1e-12), row


def test_grid_factors_agree_with_the_reference() -> None:
    codes = {names["zh"]: code for code, names in area_names().items()}
    kinds = {
        "national_average": "grid",
        "regional_average": "grid",
        "provincial_average": "grid",
        "national_excl_traded_nonfossil": "grid-residual",
        "national_fossil": "grid-fossil",
    }
    held = 0
    for row in rows("cn_grid_kgco2_per_kwh.csv"):
        year = date(int(row["data_year"]), 7, 1)
        found = shipped().find(kinds[row["kind"]], "electricity", year, areas=(codes[row["area"]],))
        assert (found.factor.value, found.carried) == (float(row["kgCO2_per_kWh"]), False), row
        held += 1
    assert held == sum(1 for one in shipped() if one.kind.startswith("grid"))


def test_where_to_look_for_a_province() -> None:
    assert areas_of("CN-JS") == ("CN-JS", "CN.east", "CN")
    assert areas_of("CN.east") == ("CN.east", "CN") and areas_of("CN") == ("CN",)
    with pytest.raises(NotFound, match="CN-JS"):
        areas_of("Jiangsu")
    assert (
        shipped().find("grid", "electricity", date(2022, 1, 1), areas=areas_of("CN-XZ")).factor.area == "CN.southwest"
    )
