"""Who used it: the flow of a meter to orders, products, shifts or machines, by who was there and with what weight.

    flow          ████████████████████████
    order A       |------ weight 1 ------|
    order B                 |-- weight 3 --|
                  A alone   A ¼, B ¾     B alone     nobody: unallocated

Each moment of the flow goes to the claims that hold at that moment, in proportion to their weights; what nobody claims
is kept by name, not spread. The parts and what is unallocated add up to the meter exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.energy.completeness import Total, together
from headrace.apps.energy.flows import Floats, Flow, Times, as_total, settled
from headrace.model.errors import DataError
from headrace.model.time import format_time

UNALLOCATED: Final = ""
#: Beyond this the smaller weight would be lost in the rounding of the larger.
WEIGHT_RATIO_MAX: Final = 1e6


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody ran from `start_ns` to `end_ns`. `tags` name it by dimension: {"order": "4711", "product": "A-17"}.

    `weight` shares the meter with others of the same time: 1 each, or rated kW, or planned pieces.
    """

    start_ns: int
    end_ns: int
    tags: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Allocation:
    """The meter over a span, and a total for each claim, in their order. `unallocated` is what no claim held."""

    meter: str
    whole: Total
    parts: tuple[Total, ...]
    unallocated: Total

    def by(self, claims: Sequence[Claim], dimension: str) -> dict[str, Total]:
        """Sums by one tag; the key `""` is what is unallocated, with claims that lack the tag."""
        groups: dict[str, list[Total]] = {}
        for claim, part in zip(claims, self.parts, strict=True):
            groups.setdefault(claim.tags.get(dimension, UNALLOCATED), []).append(part)
        if self.unallocated.expected_s or self.unallocated.value:
            groups.setdefault(UNALLOCATED, []).append(self.unallocated)
        return {key: together(parts, self.whole.unit) for key, parts in sorted(groups.items())}


def allocate(flow: Flow, claims: Sequence[Claim], start_ns: int, end_ns: int) -> Allocation:
    """Shares the flow of one span among claims; parts of claims outside of it are not counted.

    Cost: of sorting, whatever overlaps. Raises: DataError for a claim that ends before it begins or weighs nothing.
    """
    whole = flow.total(start_ns, end_ns)
    if not claims:
        return Allocation(flow.source, whole, (), whole)
    starts = np.clip(np.array([claim.start_ns for claim in claims], np.int64), start_ns, end_ns)
    ends = np.clip(np.array([claim.end_ns for claim in claims], np.int64), start_ns, end_ns)
    weights = np.array([claim.weight for claim in claims], np.float64)
    _check(claims, weights)
    edges = np.unique(np.concatenate((starts, ends, np.array([start_ns, end_ns], np.int64))))
    first, last = np.searchsorted(edges, starts), np.searchsorted(edges, ends)
    weight, free = _held(first, last, weights, len(edges) - 1)
    spread = flow.over(edges)
    by_weight = np.concatenate(([0.0], np.cumsum(np.where(free, 0.0, spread.amount / np.where(free, 1.0, weight)))))
    each = weights * (by_weight[last] - by_weight[first])
    amounts = settled(np.append(each, math.fsum(spread.amount[free])), whole.value or 0.0)
    known = flow.between(starts, ends)
    parts = tuple(
        as_total(flow.source, flow.unit, float(amount), int(length), int(measured), int(bridged))
        for amount, length, measured, bridged in zip(
            amounts[:-1], ends - starts, known.measured_ns, known.bridged_ns, strict=True
        )
    )
    lengths = np.diff(edges)
    left = as_total(
        flow.source,
        flow.unit,
        float(amounts[-1]),
        int(lengths[free].sum()),
        int(spread.measured_ns[free].sum()),
        int(spread.bridged_ns[free].sum()),
    )
    return Allocation(flow.source, whole, parts, left)


def _held(first: Times, last: Times, weights: Floats, cells: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The sum of weights that hold in each cell between edges, and where nobody holds."""
    gained, count = np.zeros(cells + 1), np.zeros(cells + 1, np.int64)
    np.add.at(gained, first, weights)
    np.add.at(gained, last, -weights)
    np.add.at(count, first, 1)
    np.add.at(count, last, -1)
    free = np.cumsum(count)[:-1] == 0
    return np.cumsum(gained)[:-1], free


def _check(claims: Sequence[Claim], weights: Floats) -> None:
    for claim in claims:
        if claim.end_ns < claim.start_ns:
            raise DataError(f"a claim of {dict(claim.tags)} ends before it begins, at {format_time(claim.start_ns)}")
    if not np.all(np.isfinite(weights)) or not np.all(weights > 0):
        raise DataError("a claim weighs nothing or no number; leave out what shares nothing")
    if weights.max() > WEIGHT_RATIO_MAX * weights.min():
        raise DataError(f"weights from {weights.min():g} to {weights.max():g} are too far apart to share one meter")
