"""MTBF and MTTR by both definitions: a case worked by hand, and the golden one where it is at hand.

By hand: runs of 120, 80 and 100 h, each ended by a failure, repaired in 2, 5 and 2 h.
operating 300 h, repair 9 h, 3 failures: 300/3 = 100, 300/4 = 75, 9/3 = 3, 9/4 = 2.25, 9/309, 1000 · 3/300 = 10.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.apps.outcomes.reliability import Reliability

GOLDEN = next(
    (path for parent in Path(__file__).parents if (path := parent / "shared/data/ops/kpi/golden.json").is_file()), None
)


def test_the_case_worked_by_hand() -> None:
    of = Reliability(3, 300.0, 9.0)
    assert (of.mtbf_per_failure_h, of.mtbf_iso_22400_h, of.mttr_per_failure_h, of.mttr_iso_22400_h) == (
        100,
        75,
        3,
        2.25,
    )
    assert of.downtime_rate == pytest.approx(9 / 309, abs=1e-15) and of.failures_per_1000_h == 10.0
    assert Reliability(3, 300.0, 9.0, 400.0).downtime_rate == 9 / 400


def test_without_failures_or_time_there_is_no_figure() -> None:
    none = Reliability(0, 300.0, 0.0)
    assert none.mtbf_per_failure_h is None and none.mttr_per_failure_h is None
    assert (none.mtbf_iso_22400_h, none.mttr_iso_22400_h, none.failures_per_1000_h) == (300.0, 0.0, 0.0)
    never = Reliability(0, 0.0, 0.0)
    assert never.downtime_rate is None and never.failures_per_1000_h is None


@pytest.mark.skipif(GOLDEN is None, reason="the shared golden cases are not here")
def test_the_golden_case() -> None:
    assert GOLDEN is not None
    case = json.loads(GOLDEN.read_text())["reliability"]
    of = Reliability(case["FE"], sum(case["TBF"]), sum(case["TTR"]))
    for name, value in {
        "MTBF_FE": of.mtbf_per_failure_h,
        "MTBF_ISO": of.mtbf_iso_22400_h,
        "MTTR_FE": of.mttr_per_failure_h,
        "MTTR_ISO": of.mttr_iso_22400_h,
        "failure_downtime_rate": of.downtime_rate,
        "failures_per_1000h": of.failures_per_1000_h,
    }.items():
        assert value == pytest.approx(case[name], abs=1e-9), name
