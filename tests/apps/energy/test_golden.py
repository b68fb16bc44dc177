"""Cases worked out by others, to 1e-9: comprehensive energy, carbon of a year in Jiangsu, and an indicator."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.apps.energy.shared import reference, use

from headrace.apps.energy.baseline import Baseline, perform
from headrace.apps.energy.carbon import inventory
from headrace.apps.energy.coal import comprehensive
from headrace.apps.energy.intensity import Output, per_10k_yuan
from headrace.apps.energy.library import areas_of, shipped
from headrace.apps.energy.uses import Use


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reference("kpi/golden.json").read_text())
    return found


def uses(golden: dict[str, Any]) -> list[Use]:
    given = golden["energy"]["input"]
    return [
        use("electricity", given["kWh"]),
        use("natural_gas_high", given["gas_m3"], "m3"),
        use("diesel", given["diesel_kg"], "kg"),
        use("heat", given["steam_MJ"], "MJ"),
    ]


def test_comprehensive_energy_and_intensity(golden: dict[str, Any]) -> None:
    case = golden["energy"]
    told = comprehensive(uses(golden), shipped())
    assert told.total.value == pytest.approx(case["kgce"], abs=1e-9 * case["kgce"])
    assert told.total.completeness == 1.0
    intensity = per_10k_yuan(told.total, [Output("2022", case["output_10k_yuan"] * 10_000)])
    assert intensity.value == pytest.approx(case["kgce_per_10k_yuan"], abs=1e-9)


def test_carbon_of_2022_in_jiangsu(golden: dict[str, Any]) -> None:
    case = golden["carbon_2022_jiangsu"]
    told = inventory(uses(golden), shipped(), areas=areas_of("CN-JS"))
    assert told.totals["1"].value == pytest.approx(case["scope1"], abs=1e-9)
    assert told.totals["2-location"].value == pytest.approx(case["scope2"], abs=1e-9)
    assert told.sum().value == pytest.approx(case["tCO2"], abs=1e-9)
    assert not any(found.carried for line in told.lines if line.scope == "2-location" for found in line.factors)


def test_indicator_against_a_frozen_baseline(golden: dict[str, Any]) -> None:
    case = golden["enpi"]
    baseline = Baseline("press shop", "kW.h", ("P",), case["a"], (case["b"],))
    told = perform(baseline, case["E"], {"P": case["P"]})
    np.testing.assert_allclose(told.expected, case["expected"], rtol=0, atol=1e-9)
    assert told.saving == pytest.approx(case["savings"], abs=1e-9)
    assert told.enpi_ratio == pytest.approx(case["enpi_ratio"], abs=1e-9)
    assert told.cusum[-1] == pytest.approx(case["savings"], abs=1e-9)
    assert told.uncertainty is None  # the baseline was given, not fitted
