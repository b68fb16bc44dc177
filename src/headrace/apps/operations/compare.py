"""What changed between two spans: the change of OEE, attributed without a rest.

    by factor   availability, effectiveness, quality: Shapley values of the product A · E · Q
    by reason   the availability part, in the proportion of each reason's change of its share of planned busy time
    by unit     Bennet's decomposition: a unit that became better, and a unit that ran more or less of the time;
                and what OEE of all is more than the sum of its units, the mix of products

Each of the three lists adds up to the change (the reasons to the part of availability), but for rounding of floats.
Shapley's is the only attribution that does not depend on the order of the factors, gives nothing to one that did not
change, and leaves no rest; unlike logarithmic ones it stands zeros. Source: Shapley 1953; Bennet 1920.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.apps.operations.elements import Element, Quantity
from headrace.apps.operations.losses import cause_name
from headrace.apps.operations.reasons import Reasons
from headrace.apps.operations.sums import Sums
from headrace.model.errors import DataError

_LOST = (Element.AUST, Element.ADET, Element.ADOT, Element.NO_DATA)


@dataclass(frozen=True, slots=True)
class Change:
    """All in points of OEE: 0.02 is 2 %. `mix`: by unit, what its share of planned busy time did."""

    before: float
    after: float
    by_factor: Mapping[str, float]
    by_reason: Mapping[str, float]
    by_unit: Mapping[str, float]
    by_mix: Mapping[str, float]
    product_mix: float

    @property
    def change(self) -> float:
        return self.after - self.before


def compare(before: Mapping[str, Sums], after: Mapping[str, Sums], reasons: Reasons) -> Change:
    """Sums by unit of two spans. A unit that had no planned busy time in one of them brings its share alone.

    Raises: DataError where a span has no planned busy time at all.
    """
    first, second = _total(before), _total(after)
    for name, sums in (("first", first), ("second", second)):
        if not sums.pbt_ns:
            raise DataError(f"the {name} span has no planned busy time; choose one in which a shift was planned")
    (a0, e0, q0), (a1, e1, q1) = _factors(first, second)
    of_availability = (e0 * q0 + e1 * q1) / 3 + (e0 * q1 + e1 * q0) / 6
    by_factor = {
        "availability": (a1 - a0) * of_availability,
        "effectiveness": (e1 - e0) * ((a0 * q0 + a1 * q1) / 3 + (a0 * q1 + a1 * q0) / 6),
        "quality": (q1 - q0) * ((a0 * e0 + a1 * e1) / 3 + (a0 * e1 + a1 * e0) / 6),
    }
    # Pieces that were counted without production time have no effectiveness; what they add is speed all the same.
    by_factor["effectiveness"] += _oee(second) - _oee(first) - sum(by_factor.values())
    lost0, lost1 = _lost(first), _lost(second)
    by_reason = {
        cause_name(cause, reasons): -of_availability * (lost1.get(cause, 0.0) - lost0.get(cause, 0.0))
        for cause in sorted(lost0.keys() | lost1.keys())
    }
    by_unit, by_mix = _by_unit(before, after, _oee(first), _oee(second))
    rest = _oee(second) - _oee(first) - sum(by_unit.values()) - sum(by_mix.values())
    return Change(_oee(first), _oee(second), by_factor, by_reason, by_unit, by_mix, rest)


def _by_unit(
    before: Mapping[str, Sums], after: Mapping[str, Sums], oee0: float, oee1: float
) -> tuple[dict[str, float], dict[str, float]]:
    pbt0, pbt1 = (sum(sums.pbt_ns for sums in span.values()) for span in (before, after))
    own, mix = dict[str, float](), dict[str, float]()
    middle = (oee0 + oee1) / 2
    for unit in sorted(before.keys() | after.keys()):
        was, is_ = before.get(unit, Sums()), after.get(unit, Sums())
        share0 = was.pbt_ns / pbt0 if pbt0 else 0.0
        share1 = is_.pbt_ns / pbt1 if pbt1 else 0.0
        good0, good1 = _oee(was), _oee(is_)
        if not was.pbt_ns:
            good0 = good1
        if not is_.pbt_ns:
            good1 = good0
        own[unit] = (share0 + share1) / 2 * (good1 - good0)
        mix[unit] = (share1 - share0) * ((good0 + good1) / 2 - middle)
    return own, mix


def _factors(before: Sums, after: Sums) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """A, E, Q of both. One that has no value in one span (nothing ran, nothing was made) is taken from the other: what
    made OEE zero there is another factor.
    """
    found = []
    for at in range(3):
        left, right = _ratio(before, at), _ratio(after, at)
        known = left if left is not None else right if right is not None else 1.0
        found.append((known if left is None else left, known if right is None else right))
    (a0, a1), (e0, e1), (q0, q1) = found
    return (a0, e0, q0), (a1, e1, q1)


def _ratio(sums: Sums, at: int) -> float | None:
    made, good = sums.quantities.get(Quantity.PQ, 0.0), sums.quantities.get(Quantity.GQ, 0.0)
    parts = (
        (sums.ns[Element.APT], sums.pbt_ns),
        (sums.quantities.get(Quantity.IDEAL, 0.0), sums.ns[Element.APT]),
        (good, made),
    )
    numerator, denominator = parts[at]
    return numerator / denominator if denominator else None


def _oee(sums: Sums) -> float:
    made, good = sums.quantities.get(Quantity.PQ, 0.0), sums.quantities.get(Quantity.GQ, 0.0)
    if not made or not sums.pbt_ns:
        return 0.0
    return sums.quantities.get(Quantity.IDEAL, 0.0) * good / made / sums.pbt_ns


def _lost(sums: Sums) -> dict[int, float]:
    found: dict[int, float] = {}
    for (element, cause), ns in sums.by_cause.items():
        if element in _LOST and sums.pbt_ns:
            found[cause] = found.get(cause, 0.0) + ns / sums.pbt_ns
    return found


def _total(span: Mapping[str, Sums]) -> Sums:
    total = Sums()
    for sums in span.values():
        for element in Element:
            total.ns[element] += sums.ns[element]
        for key, ns in sums.by_cause.items():
            total.by_cause[key] += ns
        for kind, value in sums.quantities.items():
            total.quantities[kind] = total.quantities.get(kind, 0.0) + value
    return total
