"""What customers get validates against the schemas of PACT 3.0 and Catena-X, and a bad document does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.energy.shared import reference

from headrace.apps.energy.completeness import Total
from headrace.apps.energy.completeness import given as document
from headrace.apps.energy.footprint import (
    Company,
    Footprint,
    Input,
    Place,
    Product,
    Quality,
    decimal,
    material_input,
    production_input,
)
from headrace.apps.energy.forms import catenax, pact
from headrace.model.errors import ConfigError, DataError

UUID = "8b26f3b8-f5d9-4adf-8a11-02e05d273e58"
INPUTS = (
    Input("press shop", fossil=1.25, primary=True),
    material_input("steel", 2.1, 3.0, primary=False, source="ecoinvent", source_version="3.11"),
    Input("wood pulp", fossil=0.1, land_use_change=0.02, land_management=0.01, land_removals=-0.03,
          biogenic_other=0.004, uptake=-1.5, source="ecoinvent", source_version="3.11"),
    Input("carton", fossil=0.2, stage="packaging", primary=True),
    Input("lorry", fossil=0.4, stage="distribution"),
)  # fmt: skip


def footprint(**changes: Any) -> Footprint:
    whole: dict[str, Any] = {
        "id": UUID,
        "company": Company("Acme Suzhou", ("urn:bpn:BPNL000000000DWF",)),
        "product": Product(
            "Bracket A-17", "Pressed bracket, galvanised", ("urn:gtin:4712345060507",), "piece", 1.0, 2.6,
            classifications=("urn:pact:productclassification:un-cpc:42999",), fossil_carbon_kg=0.001,
        ),
        "place": Place(subdivision="CN-JS"),
        "inputs": INPUTS,
        "start": datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=8))),
        "end": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8))),
        "created": datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        "rules": (("Catena-X", "PCF Rulebook 4"),),
        "packaging_included": True,
        "distribution_included": True,
        "quality": Quality(2.0, 1.5, 1.0),
    }  # fmt: skip
    return Footprint(**{**whole, **changes})


VARIANTS = {
    "whole": footprint(),
    "bare": footprint(
        inputs=INPUTS[:1], rules=(), packaging_included=False, distribution_included=False, quality=None,
        place=Place(), product=replace(footprint().product, classifications=()),
    ),
    "country": footprint(place=Place(country="DE"), exempted_percent=1.5, exempted_why="cut-off of screws"),
    "region": footprint(place=Place(region="Eastern Asia"), gwp="AR5", rules=(("PEF", "PEF 1.0"),)),
    "renewed": footprint().renewed(
        "12345678-9abc-def0-1234-567812345678", datetime(2026, 5, 1, tzinfo=UTC), INPUTS[:2], "grid factor of 2025"
    ),
    "deprecated": footprint().deprecated(),
    "litres": footprint(product=replace(footprint().product, unit="liter", amount=1e-7, mass_kg=1e-7)),
}  # fmt: skip


@pytest.fixture(scope="module")
def validate_pact() -> Callable[[Any], None]:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    spec = yaml.safe_load(reference("pact/openapi-v3.yaml").read_text(encoding="utf-8"))
    schema = {"$ref": "#/components/schemas/ProductFootprint", "components": spec["components"]}
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return lambda value: checker.validate(value)


@pytest.fixture(scope="module")
def validate_catenax() -> Callable[[Any], None]:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(reference("catenax/Pcf-9.0.0-schema.json").read_text(encoding="utf-8"))
    checker = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    return lambda value: checker.validate(value)


@pytest.mark.parametrize("name", VARIANTS)
def test_pact_documents_are_valid(name: str, validate_pact: Callable[[Any], None]) -> None:
    validate_pact(json.loads(json.dumps(pact(VARIANTS[name]))))


@pytest.mark.parametrize("name", VARIANTS)
def test_catenax_documents_are_valid(name: str, validate_catenax: Callable[[Any], None]) -> None:
    validate_catenax(json.loads(json.dumps(catenax(VARIANTS[name]))))


def test_the_schemas_take_their_own_examples_and_refuse_a_bad_document(
    validate_pact: Callable[[Any], None], validate_catenax: Callable[[Any], None]
) -> None:
    """Else they would prove nothing."""
    import jsonschema

    for number in range(1, 5):
        validate_pact(json.loads(reference(f"pact/example-{number}.json").read_text()))
    validate_catenax(json.loads(reference("catenax/Pcf-9.0.0-example.json").read_text()))
    bad = json.loads(reference("pact/invalid.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        validate_pact(bad)
    broken = pact(footprint())
    for name in broken["pcf"]:
        if name in ("fossilCarbonContent", "pcfExcludingBiogenicUptake", "declaredUnitAmount"):
            less = {**broken, "pcf": {key: value for key, value in broken["pcf"].items() if key != name}}
            with pytest.raises(jsonschema.ValidationError, match=name):
                validate_pact(less)


def test_the_footprint_adds_up() -> None:
    told = footprint()
    production = 1.25 + 6.3 + (0.1 + 0.02 + 0.01 - 0.03 + 0.004)
    assert told.excluding == pytest.approx(production + 0.2)
    assert told.including == pytest.approx(production + 0.2 - 1.5)
    assert told.primary_percent == pytest.approx(100 * 1.45 / (production + 0.2))
    without = footprint(packaging_included=False)
    assert without.excluding == pytest.approx(production)
    pcf = pact(told)["pcf"]
    parts = (
        "fossilGhgEmissions", "landUseChangeGhgEmissions", "landManagementBiogenicCO2Emissions",
        "landManagementBiogenicCO2Removals", "biogenicNonCO2Emissions",
    )  # fmt: skip
    assert float(sum(Decimal(pcf[name]) for name in parts)) == pytest.approx(float(pcf["pcfExcludingBiogenicUptake"]))
    assert float(pcf["pcfIncludingBiogenicUptake"]) - float(pcf["biogenicCO2Uptake"]) == pytest.approx(told.excluding)


def test_both_forms_say_the_same() -> None:
    told = footprint()
    pcf = pact(told)["pcf"]
    stages = catenax(told)["productLifeCycleStagesAndEmissions"][0]
    production, packaging = stages["productionStage"][0], stages["packagingStage"][0]
    assert production["pcfExcludingBiogenicUptake"] + packaging["packagingPcfExcludingBiogenicUptake"] == pytest.approx(
        float(pcf["pcfExcludingBiogenicUptake"])
    )
    assert stages["distributionStage"][0]["distributionStageFossilGhgEmissions"] == 0.4
    assert pcf["outboundLogisticsGhgEmissions"] == "0.4"
    assert pcf["referencePeriodStart"] == "2024-12-31T16:00:00Z"
    assert pact(told)["validityPeriodEnd"] == "2028-12-31T16:00:00Z"


def test_a_place_is_told_once_to_pact_and_whole_to_catenax() -> None:
    pcf = pact(footprint())["pcf"]
    assert [name for name in pcf if name.startswith("geography")] == ["geographyCountrySubdivision"]
    method = catenax(footprint())["pcfAssessmentAndMethodology"][0]
    assert method["pcfAssessmentInformation"][0]["geography"] == [
        {"geographyRegionOrSubregion": "Eastern Asia", "geographyCountry": "CN", "geographyCountrySubdivision": "CN-JS"}
    ]
    with pytest.raises(ConfigError, match="UN region of ZA"):
        catenax(footprint(place=Place(country="ZA")))


def test_a_renewed_footprint_names_those_before() -> None:
    renewed = VARIANTS["renewed"]
    assert pact(renewed)["precedingPfIds"] == [UUID]
    assert footprint().deprecated().status == "Deprecated"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "17"}, "no UUID"),
        ({"company": Company("Acme", ())}, "company needs"),
        ({"company": Company("Acme", ("DUNS 17",))}, "no URN"),
        ({"product": replace(footprint().product, unit="kg")}, "it can be liter"),
        ({"product": replace(footprint().product, amount=0.0)}, "above 0"),
        ({"inputs": ()}, "no inputs"),
        ({"inputs": (Input("x", fossil=-1.0),)}, "negative"),
        ({"inputs": (Input("x", uptake=1.0),)}, "0 or negative"),
        ({"inputs": (Input("x", fossil=float("nan")),)}, "no number"),
        ({"inputs": (Input("x", stage="use"),)}, "no stage use"),
        ({"end": datetime(2020, 1, 1, tzinfo=UTC)}, "ends before"),
        ({"created": datetime(2020, 1, 1)}, "no zone"),
        ({"exempted_percent": 11.0}, "10 %"),
        ({"exempted_percent": 2.0}, "say why"),
        ({"place": Place(subdivision="Jiangsu")}, "CN-JS"),
        ({"preceding": ("1",)}, "takes the place"),
    ],
)
def test_what_no_customer_could_take_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        footprint(**changes)


def test_what_is_not_known_has_no_footprint() -> None:
    whole = production_input("press shop", document(5.0, "t{CO2e}"), 4_000.0)
    assert (whole.fossil, whole.primary) == (1.25, True)
    half = Total(5.0, "t{CO2e}", 100.0, 80.0, 0.0, ("meter 7",))
    with pytest.raises(DataError, match=r"80.0% of its time.*meter 7"):
        production_input("press shop", half, 4_000.0)
    with pytest.raises(DataError, match="nothing made"):
        production_input("press shop", document(5.0, "t{CO2e}"), 0.0)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_without_exponent_and_read_back_the_same(value: float) -> None:
    text = decimal(value)
    assert float(text) == value
    assert set(text) <= set("-0123456789.") and not text.endswith(".")
