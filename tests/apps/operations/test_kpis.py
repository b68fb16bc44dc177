"""The 34 KPIs against golden cases, and by hand, each with its working."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.apps.operations.capability import c4, capability
from headrace.apps.operations.inspection import first_pass
from headrace.apps.operations.kpis import BY_CODE, KPIS, figure
from headrace.apps.operations.personnel import Spans, attendance_ns, work_ns
from headrace.model.errors import DataError

SHARED = [folder / "shared/data/ops/kpi" for folder in Path(__file__).parents]
EXACT = 1e-9

WORKED: dict[str, tuple[dict[str, float], float]] = {
    # 7 h of work in 8 h of attendance
    "worker-efficiency": ({"APWT": 7, "APAT": 8}, 0.875),
    # two units busy 6 h and 3 h for an order that took 12 h
    "allocation-ratio": ({"AUBT": 6 + 3, "AOET": 12}, 0.75),
    # 600 pieces in an order of 12 h
    "throughput-rate": ({"PQ": 600, "AOET": 12}, 50),
    # 360 + 30 + 50 = 440 min busy of 480 planned
    "allocation-efficiency": ({"AUBT": 440, "PBT": 480}, 440 / 480),
    # 360 of 440 min
    "utilization-efficiency": ({"APT": 360, "AUBT": 440}, 360 / 440),
    # 0.75 · 0.9 · 629/648: PRI·PQ = 0.5 · 648 = 324; 324/480 · 629/648 = 0.65520833…
    "oee": ({"IDEAL": 324, "PQ": 648, "GQ": 629, "PBT": 480, "APT": 360}, 324 / 480 * 629 / 648),
    # (360 + 30)/480 · 324/360 · 629/648
    "nee": ({"AUPT": 390, "IDEAL": 324, "PQ": 648, "GQ": 629, "PBT": 480, "APT": 360}, 390 / 480 * 0.9 * 629 / 648),
    "availability": ({"APT": 360, "PBT": 480}, 0.75),
    # planned 0.5 min a piece, made in 0.4: 125 %, and not 100 %
    "effectiveness": ({"IDEAL": 0.5 * 800, "APT": 0.4 * 800}, 1.25),
    "quality-ratio": ({"GQ": 629, "PQ": 648}, 629 / 648),
    # 30 of 390 min
    "setup-ratio": ({"AUST": 30, "AUPT": 390}, 30 / 390),
    # 360 of 360 + 50
    "technical-efficiency": ({"APT": 360, "ADET": 50}, 360 / 410),
    # two units produce 5 h and 2.5 h for an order of 12 h
    "production-process-ratio": ({"APT": 7.5, "AOET": 12}, 0.625),
    # 15 scrapped of 500 made; 2 % were planned: 10
    "actual-to-planned-scrap": ({"SQ": 15, "PSQ": 500 * 0.02}, 1.5),
    # 188 of 200 parts were good at once
    "first-pass-yield": ({"GP": 188, "IP": 200}, 0.94),
    "scrap-ratio": ({"SQ": 15, "PQ": 500}, 0.03),
    "rework-ratio": ({"RQ": 20, "PQ": 500}, 0.04),
    # three operations scrap 4 + 3 + 5 of 400 begun
    "fall-off-ratio": ({"SQ": 4 + 3 + 5, "PQ1": 400}, 0.03),
    # ±0.3 mm, s 0.05: 0.6 / 0.3
    "cm": ({"USL": 10.3, "LSL": 9.7, "S": 0.05}, 2.0),
    # mean 10.05: the nearer limit is 0.25 away; 0.25 / 0.15
    "cmk": ({"USL": 10.3, "LSL": 9.7, "S": 0.05, "XBAR": 10.05}, 0.25 / 0.15),
    # R̄ 0.1163 of fives: σ̂ = 0.1163/2.326 = 0.05
    "cp": ({"USL": 10.3, "LSL": 9.7, "SIGMA": 0.1163 / 2.326}, 2.0),
    # mean 9.9: the nearer limit is 0.2 away; 0.2 / 0.15
    "cpk": ({"USL": 10.3, "LSL": 9.7, "SIGMA": 0.05, "XBARBAR": 9.9}, 0.2 / 0.15),
    # 1000 kWh · 0.1229 + 100 m³ · 1.33 = 122.9 + 133 = 255.9 kgce, less 5.9 of heat given away, for 500 pieces
    "energy": ({"CE": 255.9, "CEQ": -5.9, "PQ": 500}, 0.5),
    # 1200 out; level 100 for 6 h, then 300 for 2 h: (600 + 600)/8 = 150
    "inventory-turns": ({"TH": 1200, "INV": 100 * 6 + 300 * 2, "INVT": 8}, 8.0),
    # of 1000 kg of material: 850 finished, 100 more integrated, 30, 15 and 5 lost
    "finished-goods-ratio": ({"GQ": 850, "CM": 1000}, 0.85),
    "integrated-goods-ratio": ({"IGQ": 950, "CM": 1000}, 0.95),
    "production-loss-ratio": ({"PL": 30, "CM": 1000}, 0.03),
    "storage-loss-ratio": ({"STL": 15, "CM": 1000}, 0.015),
    "other-loss-ratio": ({"OL": 5, "CM": 1000}, 0.005),
    # 120 pieces an hour can be made: 960 in 8 h
    "equipment-load-ratio": ({"PQ": 648, "EPC": 120 * 8}, 0.675),
    # (120 + 80 + 100) h and three failures; four intervals, as the standard counts
    "mtbf": ({"TBF": 300, "FE": 3}, 75.0),
    "mttf": ({"TTF": 291, "FE": 3}, 72.75),
    # 2 + 5 + 2 h
    "mttr": ({"TTR": 9, "FE": 3}, 2.25),
    # 9 h of repair, 3 h of care
    "corrective-maintenance-ratio": ({"CMT": 9, "PMT": 3}, 0.75),
}


def shared(name: str) -> Path:
    for folder in SHARED:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is not here: golden cases come with the shared data")


def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shared("golden.json").read_text())
    return found


def value(code: str, symbols: dict[str, float]) -> float:
    told = figure(BY_CODE[code], symbols)
    assert told.value is not None and told.denominator
    assert told.value == told.numerator / told.denominator  # type: ignore[operator]
    return told.value


@pytest.mark.parametrize("kpi", KPIS, ids=lambda kpi: kpi.code)
def test_each_of_the_34_is_what_it_is_by_hand(kpi: Any) -> None:
    symbols, wanted = WORKED[kpi.code]
    assert value(kpi.code, symbols) == pytest.approx(wanted, rel=EXACT, abs=0)


def test_there_are_34_and_they_are_those_of_the_standard() -> None:
    with shared("iso22400_2_kpis.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [kpi.number for kpi in KPIS] == [int(row["no"]) for row in rows] == list(range(1, 35))
    for kpi, row in zip(KPIS, rows, strict=True):
        assert kpi.better == {"+": "higher", "-": "lower"}[row["better"]], row
        assert row["unit"] in {"%": ("%",), "1": ("-",), "1/h": ("unit/h",)}.get(kpi.unit, (kpi.unit,)), row


def test_the_golden_cases_of_oee() -> None:
    case = golden()["oee"]
    given = case["input"]
    symbols = {
        **given,
        "IDEAL": given["PRI"] * given["PQ"],
        "AUPT": given["APT"] + given["AUST"],
    }
    for code, name in {
        "availability": "Availability",
        "effectiveness": "Effectiveness",
        "quality-ratio": "Quality",
        "oee": "OEE",
        "nee": "NEE",
        "technical-efficiency": "TechnicalEfficiency",
        "setup-ratio": "SetupRatio",
    }.items():
        assert value(code, symbols) == pytest.approx(case[name], rel=EXACT, abs=0), code


def test_oee_of_two_units_is_of_their_sums() -> None:
    case = golden()["oee_two_units_trap"]
    symbols = {name: float(sum(unit[name] for unit in case["units"])) for name in ("PBT", "APT", "PQ", "GQ")}
    symbols["IDEAL"] = float(sum(unit["PRI"] * unit["PQ"] for unit in case["units"]))
    assert value("oee", symbols) == pytest.approx(case["aggregated"], rel=EXACT)
    assert value("oee", symbols) != pytest.approx(case["mean_of_OEE_wrong"])


def test_the_golden_cases_of_reliability_and_energy() -> None:
    case = golden()["reliability"]
    symbols = {"TBF": sum(case["TBF"]), "TTR": sum(case["TTR"]), "FE": case["FE"], "OT": sum(case["TBF"])}
    for code, name in {
        "mtbf": "MTBF_ISO",
        "mtbf-fe": "MTBF_FE",
        "mttr": "MTTR_ISO",
        "mttr-fe": "MTTR_FE",
        "failure-downtime-rate": "failure_downtime_rate",
        "failures-per-1000h": "failures_per_1000h",
    }.items():
        assert value(code, symbols) == pytest.approx(case[name], rel=EXACT), code
    case = golden()["energy"]
    energy = {"CE": case["kgce"], "PQ": case["output_10k_yuan"]}
    assert value("energy", energy) == pytest.approx(case["kgce_per_10k_yuan"], rel=EXACT)


def test_no_planned_scrap_is_no_figure_and_what_nobody_measures_says_so() -> None:
    none = figure(BY_CODE["actual-to-planned-scrap"], {"SQ": 3.0, "PSQ": 0.0})
    assert none.value is None and none.numerator == 3 and "denominator is 0" in none.why
    unknown = figure(BY_CODE["energy"], {"PQ": 10.0})
    assert unknown.value is None and unknown.why == "nobody measures CE"


def test_a_shift_in_which_nothing_was_made_has_an_oee_of_zero_and_no_quality() -> None:
    symbols = {"PBT": 8.0, "APT": 0.0, "IDEAL": 0.0, "PQ": 0.0, "GQ": 0.0}
    assert figure(BY_CODE["oee"], symbols).value == 0
    assert figure(BY_CODE["quality-ratio"], symbols).value is None
    assert figure(BY_CODE["effectiveness"], symbols).value is None


def test_capability_from_subgroups() -> None:
    # ranges 0.2, 0.2, 0.4: R̄ = 0.8/3; of threes d2 = 1.693
    values = np.array([10.0, 10.1, 9.9, 10.0, 10.2, 10.1, 9.8, 10.2, 10.0, 99.0])
    told = capability(values, 3, 9.4, 10.6)
    assert told["SIGMA"] == pytest.approx(0.8 / 3 / 1.693, rel=EXACT)
    assert told["XBARBAR"] == pytest.approx(90.3 / 9, rel=EXACT)
    assert told["S"] == pytest.approx(float(np.std(values[:9], ddof=1)), rel=EXACT)
    assert value("cp", told) == pytest.approx(1.2 / (6 * told["SIGMA"]), rel=EXACT)
    assert value("pp", told) != value("cp", told)
    # single values: moving ranges 1, 2, 1: 4/3 over 1.128
    assert capability(np.array([1.0, 2.0, 4.0, 3.0]), 1, 0, 9)["SIGMA"] == pytest.approx(4 / 3 / 1.128, rel=EXACT)
    assert c4(5) == pytest.approx(0.9399856, abs=1e-7)  # as tables have it
    for wrong in ((values, 6, 0, 1), (values, 3, 1, 1)):
        with pytest.raises(DataError):
            capability(*wrong)


def test_work_at_several_units_at_once_is_split_and_attendance_counts_once() -> None:
    person, unit = np.array([1, 1, 1, 2]), np.array([0, 1, 1, 1])
    starts, ends = np.array([0, 4, 5, 0]), np.array([8, 8, 7, 2])
    # person 1: 4 alone at unit 0, then 4 at both (the third row repeats the second): 4 + 2 and 2; person 2: 2 more
    spans = Spans(person, unit, starts, ends)
    assert work_ns(spans, 0, 10) == {0: 6.0, 1: 4.0}
    assert work_ns(spans, 6, 10) == {0: 1.0, 1: 1.0}
    assert attendance_ns(spans, 0, 10) == 8 + 2


def test_a_part_passes_first_or_not_at_all() -> None:
    serial, at = np.array([1, 2, 2, 3, 4, 4]), np.array([5, 6, 9, 20, 8, 8])
    good = np.array([True, False, True, True, True, False])
    # 1 passed, 2 failed first, 3 is outside, 4 has two results at once of which one failed
    assert first_pass(serial, at, good, 0, 10) == (1, 3)
    assert first_pass(serial, at, good, 9, 30) == (1, 1)
