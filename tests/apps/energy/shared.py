"""Where reference data stands, if it is there, and small makers of flows and uses."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.apps.energy.completeness import Total, given
from headrace.apps.energy.flows import Flow
from headrace.apps.energy.uses import Role, Use
from headrace.model.time import MINUTE_NS

DATA = Path(os.environ.get("HEADRACE_DATA") or Path(__file__).parents[4] / "shared" / "data") / "ops"
T0 = 1_767_196_800_000_000_000  # 2025-12-31T16:00Z, the new year of 2026 in China


def reference(name: str) -> Path:
    """A file of the reference data. Skips the test where it is not there."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"reference data ops/{name} is not here; set HEADRACE_DATA")
    return path


def flow(amounts: Any, *, source: str = "m", unit: str = "kW.h", width_ns: int = MINUTE_NS, start: int = T0) -> Flow:
    """Stretches of equal width; NaN is a gap."""
    column = np.asarray(amounts, np.float64)
    starts = start + width_ns * np.arange(len(column), dtype=np.int64)
    known = np.isfinite(column)
    return Flow(
        source, unit, starts[known], starts[known] + width_ns, column[known], np.zeros(int(known.sum()), np.uint8)
    )


def use(
    carrier: str,
    value: float | Total,
    unit: str = "kW.h",
    *,
    start: date = date(2022, 1, 1),
    end: date = date(2023, 1, 1),
    role: Role = Role.BOUGHT,
) -> Use:
    """A use from a document."""
    total = value if isinstance(value, Total) else given(value, unit, span_s=86_400.0)
    return Use(f"{carrier} invoice", carrier, start, end, total, role)
