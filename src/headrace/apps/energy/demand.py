"""Maximum demand: the highest mean power of a window, in fixed blocks or sliding.

A meter of the grid measures 15 min windows that slide by a minute, or blocks of 15 or 30 min on the clock. A window of
which anything is unknown has no demand: it is counted, not guessed; the maximum is then a lower bound, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.apps.energy.flows import Flow
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, MINUTE_NS, format_time
from headrace.model.units import convert

WINDOWS_MAX: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Demand:
    """The maximum in kW, None where no window is known; its window; how many windows there are, and how many
    unknown."""

    kw: float | None
    start_ns: int | None
    window_min: int
    windows: int
    unknown: int
    bridged: int

    @property
    def completeness(self) -> float | None:
        return (self.windows - self.unknown - self.bridged) / self.windows if self.windows else None

    @property
    def is_lower_bound(self) -> bool:
        """Whether an unknown window may have been higher."""
        return self.unknown > 0

    def told(self) -> dict[str, Any]:
        return {
            "kw": self.kw,
            "start": None if self.start_ns is None else format_time(self.start_ns),
            "window_min": self.window_min,
            "windows": self.windows,
            "unknown": self.unknown,
            "bridged": self.bridged,
            "completeness": self.completeness,
            "is_lower_bound": self.is_lower_bound,
        }


def maximum_demand(
    flow: Flow, start_ns: int, end_ns: int, *, window_min: int = 15, slide_min: int | None = None
) -> Demand:
    """The maximum of a flow of energy. `slide_min` None: fixed blocks, which begin at `start_ns`.

    A window spread over a bridged stretch has the mean of that stretch: it is counted in `bridged`.
    Raises: DataError for windows that are none, or more than two million of them.
    """
    step = window_min if slide_min is None else slide_min
    if window_min <= 0 or step <= 0:
        raise DataError(f"a demand needs windows of some minutes, not {window_min} every {step}")
    window_ns, step_ns = window_min * MINUTE_NS, step * MINUTE_NS
    count = max(0, (end_ns - start_ns - window_ns) // step_ns + 1)
    if count > WINDOWS_MAX:
        raise DataError(f"{count} windows of demand are more than {WINDOWS_MAX}; ask for less time")
    starts = start_ns + step_ns * np.arange(count, dtype=np.int64)
    spread = flow.between(starts, starts + window_ns)
    known = spread.measured_ns + spread.bridged_ns == window_ns
    bridged = int((known & (spread.bridged_ns > 0)).sum())
    if not known.any():
        return Demand(None, None, window_min, count, count, 0)
    power = convert(spread.amount, flow.unit, "kW.h") / (window_ns / HOUR_NS)
    highest = int(np.argmax(np.where(known, power, -np.inf)))
    return Demand(float(power[highest]), int(starts[highest]), window_min, count, int((~known).sum()), bridged)
