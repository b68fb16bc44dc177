"""Where the time went: from planned busy time, loss by loss, to the time that made good pieces at the planned pace.

    PBT ─ no data ─ down ─ breakdowns ─ waiting ─ micro-stops ─ setup ─► APT ─ speed ─► PRI·PQ ─ quality ─► effective

Steps are whole nanoseconds and add up exactly. The speed step is negative where pieces came faster than planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from headrace.apps.operations.elements import Element, Quantity
from headrace.apps.operations.reasons import Reasons
from headrace.apps.operations.states import MEANINGS, MICRO, State, cause_of_state
from headrace.apps.operations.sums import Sums, stop_causes

Group = Literal["availability", "effectiveness", "quality"]
_NAMES: Final = {cause_of_state(state): state.name.lower() for state in State}


@dataclass(frozen=True, slots=True)
class Step:
    """`code`: what was lost. `ns` of it, and what is left."""

    code: str
    group: Group
    ns: int
    left_ns: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """`pbt_ns` less all steps is `effective_ns`."""

    pbt_ns: int
    steps: tuple[Step, ...]
    effective_ns: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One reason of a Pareto chart. `share` of all that is lost, `running` with those before it."""

    code: str
    ns: int
    count: int
    share: float
    running: float


def waterfall(sums: Sums, reasons: Reasons) -> Waterfall:
    """The losses of one selection. Units: ns."""
    left, steps = sums.pbt_ns, list[Step]()
    delays = {cause: ns for (element, cause), ns in sums.by_cause.items() if element == Element.ADET}
    causes = np.array(list(delays), np.int32)
    failing = dict(zip(delays, reasons.failing(causes).tolist(), strict=True))
    micro = delays.get(MICRO, 0)
    broken = sum(ns for cause, ns in delays.items() if failing[cause])
    waiting = sums.ns[Element.ADET] - micro - broken
    ideal = round(sums.quantities.get(Quantity.IDEAL, 0.0))
    made, good = sums.quantities.get(Quantity.PQ, 0.0), sums.quantities.get(Quantity.GQ, 0.0)
    effective = round(sums.quantities.get(Quantity.IDEAL, 0.0) * good / made) if made else 0
    for code, group, ns in (
        ("no-data", "availability", sums.ns[Element.NO_DATA]),
        ("down", "availability", sums.ns[Element.ADOT]),
        ("breakdowns", "availability", broken),
        ("waiting", "availability", waiting),
        ("micro-stops", "availability", micro),
        ("setup", "availability", sums.ns[Element.AUST]),
        ("speed", "effectiveness", sums.ns[Element.APT] - ideal),
        ("quality", "quality", ideal - effective),
    ):
        left -= ns
        steps.append(Step(code, group, ns, left))  # type: ignore[arg-type]
    return Waterfall(sums.pbt_ns, tuple(steps), left)


def pareto(
    sums: Sums, reasons: Reasons,
    elements: Sequence[Element] = (Element.AUST, Element.ADET, Element.ADOT, Element.NO_DATA),
) -> list[Bar]:  # fmt: skip
    """What cost how much time, the worst first; what was not explained stands under the state's own name."""
    lost: dict[int, int] = {}
    for (element, cause), ns in sums.by_cause.items():
        if element in elements and ns:
            lost[cause] = lost.get(cause, 0) + ns
    counts = {**stop_causes(sums), MICRO: sums.stops.get(MICRO, 0), **_setups(sums)}
    total, running, bars = sum(lost.values()), 0, list[Bar]()
    for cause, ns in sorted(lost.items(), key=lambda one: (-one[1], one[0])):
        running += ns
        bars.append(Bar(cause_name(cause, reasons), ns, counts.get(cause, 0), ns / total, running / total))
    return bars


def cause_name(cause: int, reasons: Reasons) -> str:
    """The code of a reason, or what stands for time without one."""
    if 0 <= cause < len(reasons.all):
        return reasons.all[cause].code
    return {MICRO: "micro-stop", -101: "planned-stop", -102: "not-planned", **_NAMES}.get(cause, "unknown")


def _setups(sums: Sums) -> dict[int, int]:
    quiet = [cause_of_state(state) for state in State if not MEANINGS[state].stop]
    return {cause: sums.stops.get(cause, 0) for cause in quiet}
