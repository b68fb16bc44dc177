"""Which units fit, and what comes out. Every rule takes checked parts and gives parts in one unit, or a type.

a + b   b in the unit of a; two temperatures make a weight of two      a * b   units multiply
a - b   °C − °C is a difference in K                                   a ^ n   units to the power of n
a > b   b in the unit of a; a difference is no temperature             bare    takes the unit of the other side
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, cast

from headrace.model.errors import DataError
from headrace.model.expressions.problems import ExpressionError
from headrace.model.expressions.tree import Node
from headrace.model.expressions.types import FLOAT, INT, KELVIN, Type, both, is_kelvin, snapped
from headrace.model.unit_product import multiplied, raised, rooted
from headrace.model.units import definition, display

POWER_MAX: Final = 9
_WEIGHT_BITS_MAX: Final = 4_096


def wrap(node: Node, op: str, of: Type, detail: object = None) -> Node:
    """A part that does something to a whole part, at the same place; a constant is converted at once."""
    if op == "convert" and node.is_constant:
        factor, shift = cast("tuple[float, float]", detail)
        return Node(node.start, node.end, "const", of, detail=float(node.detail) * factor + shift)
    return Node(node.start, node.end, op, of, (node,), detail, node.names, node.memory_ns, node.samples)


def settled(node: Node) -> Node:
    """The part, if it is one temperature and not a sum of several."""
    if node.type.on_scale and node.type.weight != 1:
        raise ExpressionError(
            f"this adds up {_shown(node)} to no temperature: divide by how many there are, such as (a + b) / 2, "
            "or work with differences",
            node.start,
            node.end,
        )
    return node


def in_unit(node: Node, unit: str, *, difference: bool = False, beside: Node | None = None) -> Node:
    """The part in that unit; `difference` leaves zeros of scales out. Raises: ExpressionError where it measures
    something else; `beside` is the part that wants the unit.
    """
    if node.type.bare:
        return _typed(node, Type(node.kind, unit, weight=Fraction(1) if definition(unit)[2] else None))
    if node.unit == unit:
        return node
    dimension, factor, offset = definition(node.unit)
    wanted, wanted_factor, wanted_offset = definition(unit)
    if dimension != wanted:
        if beside is None:
            raise ExpressionError(f"{_shown(node)} cannot be converted to {display(unit) or '1'}", node.start, node.end)
        raise _unlike(beside, node)
    if difference:
        offset = wanted_offset = 0.0
    of = Type(FLOAT, unit, weight=Fraction(1) if wanted_offset else None)
    scale, shift = factor / wanted_factor, (offset - wanted_offset) / wanted_factor
    if (scale, shift) == (1.0, 0.0):
        return _typed(node, Type(node.kind, unit, weight=of.weight))
    return wrap(node, "convert", of, (scale, shift))


def aligned(parts: Sequence[Node]) -> tuple[list[Node], Type]:
    """Numbers in the unit of the first that has one, to be compared or chosen from; and the type of any of them."""
    kind = parts[0].kind
    for part in parts[1:]:
        kind = both(kind, part.kind)
    lead = next((part for part in parts if not part.type.bare), None)
    if lead is None:
        return list(parts), Type(kind, bare=True)
    settled(lead)
    found = [_beside(lead, part) for part in parts]
    if any(part.kind is not INT for part in found):
        kind = FLOAT
    differs = any(part.type.is_difference for part in found)
    weight = Fraction(0) if lead.type.weight is None and differs else lead.type.weight
    return found, Type(kind, lead.unit, weight=weight)


def _beside(lead: Node, part: Node) -> Node:
    """`part` in the unit of `lead`, where both mean a temperature or both a difference."""
    if part is lead or part.type.bare:
        return part if part is lead else in_unit(part, lead.unit)
    settled(part)
    if (lead.type.is_difference and part.type.on_scale) or (lead.type.on_scale and part.type.is_difference):
        raise ExpressionError(
            f"{_shown(lead)} beside {_shown(part)}: one is a difference of temperatures, the other a temperature; "
            "write differences in K, such as 15[K]",
            part.start,
            part.end,
            also=((lead.start, lead.end),),
        )
    return in_unit(part, lead.unit, beside=lead)


def added(left: Node, right: Node, sign: int) -> tuple[Node, Node, Type, float]:
    """Both sides as they are added, the type, and what the result is multiplied by (1 but for °F − °F in K)."""
    kind = both(left.kind, right.kind)
    if left.type.bare or right.type.bare:
        if left.type.bare and right.type.bare:
            return left, right, Type(kind, bare=True), 1.0
        other = right if left.type.bare else left
        return left, right, Type(kind, other.unit, weight=other.type.weight), 1.0
    if left.type.on_scale and right.type.on_scale:
        if left.unit != right.unit:
            settled(left)
            right = in_unit(settled(right), left.unit, beside=left)
        assert left.type.weight is not None
        weight = _weight(left.type.weight + sign * (right.type.weight or 0), left)
        if weight == 0:
            factor = definition(left.unit)[1]
            return left, right, Type(both(kind, right.kind), KELVIN, weight=weight), factor
        return left, right, Type(both(kind, right.kind), left.unit, weight=weight), 1.0
    if left.type.on_scale and is_kelvin(right.type):
        right = in_unit(right, left.unit, difference=True, beside=left)
        return left, right, Type(both(kind, right.kind), left.unit, weight=left.type.weight), 1.0
    if is_kelvin(left.type) and right.type.on_scale:
        if sign > 0:
            left = in_unit(left, right.unit, difference=True, beside=right)
            return left, right, Type(both(kind, left.kind), right.unit, weight=right.type.weight), 1.0
        right = _beside(left, right)
        return left, right, Type(both(kind, right.kind), left.unit, weight=Fraction(0)), 1.0
    right = in_unit(right, left.unit, beside=left)
    weights = {left.type.weight, right.type.weight} - {None}
    return left, right, Type(both(kind, right.kind), left.unit, weight=Fraction(0) if weights else None), 1.0


def times(left: Node, right: Node, power: int, node: tuple[int, int]) -> Type:
    """The type of left · right ** power."""
    kind = both(left.kind, right.kind) if power == 1 else FLOAT
    scaled = _scaled(left, right, power)
    if scaled is not None:
        return Type(kind, left.unit if left.type.on_scale else right.unit, weight=scaled)
    if left.type.bare and right.type.bare:
        return Type(kind, bare=True)
    try:
        unit = multiplied(left.unit, right.unit, power)
        definition(unit)
    except DataError as error:
        raise ExpressionError(error.message, *node) from None
    weights = {left.type.weight, right.type.weight}
    keeps = 0 in weights and unit == KELVIN and (right.unit == "1" or (power == 1 and left.unit == "1"))
    return Type(kind, unit, weight=Fraction(0) if keeps else None)


def _scaled(left: Node, right: Node, power: int) -> Fraction | None:
    """The weight of a temperature times or divided by a constant; None where no scale is involved."""
    scale, other = (left, right) if left.type.on_scale else (right, left)
    if not scale.type.on_scale:
        return None
    if other.is_constant and other.unit == "1" and (power == 1 or scale is left):
        value = Fraction(repr(float(other.detail)))
        if value:
            assert scale.type.weight is not None
            return _weight(scale.type.weight * value**power, scale)
    raise ExpressionError(
        f"{_shown(scale)} is a scale with a zero of its own and cannot be multiplied; "
        f"take the difference, such as x - 0[{scale.unit}], or write to(x, [K])",
        scale.start,
        scale.end,
    )


def _weight(weight: Fraction, node: Node) -> Fraction:
    if weight.numerator.bit_length() + weight.denominator.bit_length() > _WEIGHT_BITS_MAX:
        raise ExpressionError("these factors of a temperature are too many or too small", node.start, node.end)
    return snapped(weight)


def powered(left: Node, right: Node, node: tuple[int, int]) -> tuple[Node, Node, Type]:
    """The type of left ^ right: a number without unit takes any power, others a whole constant or 0.5."""
    right = in_unit(unscaled(right), "1")
    if left.type.bare or left.unit == "1":
        return left, right, Type(FLOAT, "" if left.type.bare else "1", bare=left.type.bare)
    unscaled(left)
    if not right.is_constant:
        raise ExpressionError(
            f"the power of {_shown(left)} decides the unit, so it is a constant, such as x ^ 2", right.start, right.end
        )
    power = float(right.detail)
    if power == 0.5:
        left, of = root(left)
        return left, right, of
    if power != int(power) or not 0 < abs(power) <= POWER_MAX:
        raise ExpressionError(
            f"the power of {_shown(left)} is a whole number from -{POWER_MAX} to {POWER_MAX} or 0.5",
            right.start,
            right.end,
        )
    try:
        unit = raised(left.unit, int(power))
        definition(unit)
    except DataError as error:
        raise ExpressionError(error.message, *node) from None
    return left, right, Type(FLOAT, unit)


def root(node: Node) -> tuple[Node, Type]:
    """The part in a unit that has a square root, and the type of the root."""
    unscaled(node)
    if node.type.bare:
        return node, Type(FLOAT, bare=True)
    try:
        unit = rooted(node.unit)
        if unit is not None:
            definition(unit)
            return node, Type(FLOAT, unit)
        base = definition(node.unit)[0].replace(" ", ".") or "1"
        unit = rooted(base)
        if unit is not None:
            return in_unit(node, base), Type(FLOAT, unit)
    except DataError:
        pass
    raise ExpressionError(f"{_shown(node)} has no square root", node.start, node.end)


def difference(node: Node) -> Type:
    """The type of the difference of two values of this."""
    if node.type.on_scale:
        return Type(FLOAT, KELVIN, weight=Fraction(0))
    return Type(node.kind, node.type.unit, node.type.bare, node.type.weight)


def per_second(of: Type, node: Node, power: int) -> Type:
    """The type divided by (−1) or multiplied with (1) seconds."""
    try:
        unit = multiplied(of.unit or "1", "s", power)
        definition(unit)
    except DataError as error:
        raise ExpressionError(error.message, node.start, node.end) from None
    return Type(FLOAT, unit)


def unscaled(node: Node) -> Node:
    """The part, if it is on no scale of temperature."""
    if node.type.on_scale:
        raise ExpressionError(
            f"{_shown(node)} is a scale with a zero of its own and makes no sense here; write to(x, [K])",
            node.start,
            node.end,
        )
    return node


def plain(node: Node) -> Node:
    """The part as a number without unit."""
    return in_unit(unscaled(node), "1")


def _typed(node: Node, of: Type) -> Node:
    return Node(node.start, node.end, node.op, of, node.parts, node.detail, node.names, node.memory_ns, node.samples)


def _unlike(lead: Node, node: Node) -> ExpressionError:
    return ExpressionError(
        f"{_shown(lead)} beside {_shown(node)}: they measure different things",
        min(lead.start, node.start),
        max(lead.end, node.end),
        also=((lead.start, lead.end), (node.start, node.end)),
    )


def _shown(node: Node) -> str:
    return display(node.unit) or "a number without unit"
