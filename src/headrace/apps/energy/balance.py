"""A meter against its children: what they do not explain, and whether that can be so.

    unexplained = parent - (child 1 + child 2 + …)

The tolerance comes of the classes of accuracy: independent errors add as squares. Children that say more than their
parent by more than that are a fault (a wrong transformer ratio, a meter in the wrong place), not a loss. A balance of
meters that were not seen is none: its verdict is `unknown`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.apps.energy.completeness import Total, together
from headrace.apps.energy.flows import Flow
from headrace.apps.energy.meters import Meter, MeterTree
from headrace.model.errors import DataError


@dataclass(frozen=True, slots=True)
class Balance:
    """One meter of the tree over one span. `unexplained` and `tolerance` in the unit of the meter.

    `verdict`: `balanced`, `unexplained` (more is missing than `allowed_share` and the tolerance), `exceeded` (children
    say more than the parent), or `unknown` (too little was seen).
    """

    meter: str
    parent: Total
    children: Total
    unexplained: Total
    share: float | None
    tolerance: float
    verdict: str

    def told(self) -> dict[str, Any]:
        return {
            "meter": self.meter,
            "parent": self.parent.told(),
            "children": self.children.told(),
            "unexplained": self.unexplained.told(),
            "share": self.share,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
        }


def balance(
    tree: MeterTree,
    flows: Mapping[str, Flow],
    name: str,
    start_ns: int,
    end_ns: int,
    *,
    allowed_share: float = 0.05,
    completeness_min: float = 0.98,
) -> Balance:
    """The balance of one meter that has children. Raises: NotFound, and DataError for a meter without any."""
    meter, below = tree[name], tree.children(name)
    if not below:
        raise DataError(f"meter {name} has no children to balance it against")
    whole = flows[name].total(start_ns, end_ns)
    parts = [flows[child.name].total(start_ns, end_ns) for child in below]
    children = together(parts, meter.unit)
    unexplained = whole.minus(children)
    seen = min(total.covered or 0.0 for total in (whole, *parts))
    tolerance = _tolerance([(meter, whole), *zip(below, parts, strict=True)])
    share = None
    if unexplained.value is not None and whole.value:
        share = unexplained.value / whole.value
    return Balance(
        name,
        whole,
        children,
        unexplained,
        share,
        tolerance,
        _verdict(whole, unexplained, tolerance, seen, allowed_share, completeness_min),
    )


def balances(
    tree: MeterTree, flows: Mapping[str, Flow], start_ns: int, end_ns: int, *, allowed_share: float = 0.05
) -> list[Balance]:
    """The balance of every meter that has children."""
    return [
        balance(tree, flows, meter.name, start_ns, end_ns, allowed_share=allowed_share)
        for meter in tree
        if tree.children(meter.name)
    ]


def _tolerance(meters: list[tuple[Meter, Total]]) -> float:
    """Of independent errors, each as large as its class allows."""
    return math.hypot(*(meter.accuracy_percent / 100 * (total.value or 0.0) for meter, total in meters))


def _verdict(
    whole: Total, unexplained: Total, tolerance: float, seen: float, allowed_share: float, completeness_min: float
) -> str:
    if whole.value is None or unexplained.value is None or seen < completeness_min:
        return "unknown"
    if unexplained.value < -tolerance:
        return "exceeded"
    if unexplained.value > tolerance + allowed_share * abs(whole.value):
        return "unexplained"
    return "balanced"
