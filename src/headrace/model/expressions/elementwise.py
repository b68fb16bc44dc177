"""What is worked out row by row, from columns to a column. Quality goes along: the worst of what a result rests on.

`and` and `or` know three answers: false and bad is false, true or bad is true, whatever else is bad is bad.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import TEXT_DTYPE, ValueKind
from headrace.model.expressions.columns import (
    DIVISION,
    DOMAIN,
    GOOD_BELOW,
    TOO_LARGE,
    Bools,
    Column,
    Qualities,
    Tally,
    failing,
    usable,
    worst,
)
from headrace.model.expressions.tree import Node

Array = NDArray[Any]
Kernel = Callable[[Sequence[Column], Tally], Column]

_INT_MIN: Final = np.iinfo(np.int64).min
_NEAR: Final = 9.2e18
"""Products below this surely fit into int64, whatever float64 rounds away."""


def constant(node: Node) -> Column:
    dtype = TEXT_DTYPE if node.kind is ValueKind.TEXT else node.kind.dtype
    return Column(np.array(node.detail, dtype))


def fold(node: Node) -> tuple[float | int | bool | str, str]:
    """The value of a node whose parts are constants, and why there is none."""
    tally: Tally = Counter()
    with np.errstate(all="ignore"):
        column = work_out(node, [constant(part) for part in node.parts], tally)
    value: float | int | bool | str = np.asarray(column.values, node.kind.dtype).tolist()
    return value, next(iter(tally), "")


def finite(values: Array, quality: Qualities | None, tally: Tally) -> Column:
    """The column, bad where a float ran over or there is no such number."""
    finite = np.isfinite(values)
    if not finite.all():
        quality = failing(np.isnan(values), quality, DOMAIN, tally)
        quality = failing(~finite, quality, TOO_LARGE, tally)
    return Column(values, quality)


def _is_int(*columns: Column) -> bool:
    return all(column.values.dtype.kind == "i" for column in columns)


def _add(parts: Sequence[Column], tally: Tally) -> Column:
    (a, qa), (b, qb) = parts
    total = a + b
    if _is_int(*parts):
        return Column(total, failing(((a ^ total) & (b ^ total)) < 0, worst(qa, qb), TOO_LARGE, tally))
    return finite(total, worst(qa, qb), tally)


def _subtract(parts: Sequence[Column], tally: Tally) -> Column:
    (a, qa), (b, qb) = parts
    rest = a - b
    if _is_int(*parts):
        return Column(rest, failing(((a ^ b) & (a ^ rest)) < 0, worst(qa, qb), TOO_LARGE, tally))
    return finite(rest, worst(qa, qb), tally)


def _multiply(parts: Sequence[Column], tally: Tally) -> Column:
    (a, qa), (b, qb) = parts
    product = np.asarray(a * b)
    quality = worst(qa, qb)
    if not _is_int(*parts):
        return finite(product, quality, tally)
    near = np.abs(a.astype(np.float64) * b.astype(np.float64)) >= _NEAR
    if near.any():
        left, right = np.broadcast_to(a, product.shape)[near], np.broadcast_to(b, product.shape)[near]
        over = np.zeros(product.shape, np.bool_)
        over[near] = [not _INT_MIN <= x * y < -_INT_MIN for x, y in zip(left.tolist(), right.tolist(), strict=True)]
        quality = failing(over, quality, TOO_LARGE, tally)
    return Column(product, quality)


def _divide(parts: Sequence[Column], tally: Tally) -> Column:
    (a, qa), (b, qb) = parts
    quality, zero = worst(qa, qb), b == 0
    if zero.any():
        quality = failing(np.broadcast_to(zero, np.broadcast_shapes(a.shape, b.shape)), quality, DIVISION, tally)
    return finite(np.asarray(np.true_divide(a, b)), quality, tally)


def _rest(parts: Sequence[Column], tally: Tally) -> Column:
    (a, qa), (b, qb) = parts
    quality, zero = worst(qa, qb), b == 0
    if zero.any():
        quality = failing(np.broadcast_to(zero, np.broadcast_shapes(a.shape, b.shape)), quality, DIVISION, tally)
    rest = np.asarray(np.mod(a, b))
    return Column(rest, quality) if _is_int(*parts) else finite(rest, quality, tally)


def _power(parts: Sequence[Column], tally: Tally) -> Column:
    (a, qa), (b, qb) = parts
    quality = failing(np.asarray((a == 0) & (b < 0)), worst(qa, qb), DIVISION, tally)
    return finite(np.asarray(np.power(a.astype(np.float64), b.astype(np.float64))), quality, tally)


def _negative(parts: Sequence[Column], tally: Tally) -> Column:
    ((a, quality),) = parts
    if _is_int(*parts):
        quality = failing(np.asarray(a == _INT_MIN), quality, TOO_LARGE, tally)
    return Column(np.asarray(-a), quality)


def _absolute(parts: Sequence[Column], tally: Tally) -> Column:
    ((a, quality),) = parts
    if _is_int(*parts):
        quality = failing(np.asarray(a == _INT_MIN), quality, TOO_LARGE, tally)
    return Column(np.asarray(np.abs(a)), quality)


def converted(part: Column, detail: tuple[float, float], tally: Tally) -> Column:
    """In another unit: value · factor + shift."""
    values, quality = part
    factor, shift = detail
    found = values * factor if factor != 1.0 else values.astype(np.float64)
    return finite(np.asarray(found + shift if shift else found), quality, tally)


def _compared(compare: Callable[[Array, Array], Any]) -> Kernel:
    def kernel(parts: Sequence[Column], _tally: Tally) -> Column:
        (a, qa), (b, qb) = parts
        return Column(np.asarray(compare(a, b)), worst(qa, qb))

    return kernel


def _decided(a: Column, b: Column, deciding: bool) -> Column:
    """`and` (false decides) or `or` (true decides)."""
    if a.quality is None and b.quality is None:
        return Column(np.asarray(a.values | b.values if deciding else a.values & b.values))
    by_a = usable(a.quality, a.values) & (a.values == deciding)
    by_b = usable(b.quality, b.values) & (b.values == deciding)
    good = np.uint32(0)
    qa = good if a.quality is None else a.quality
    qb = good if b.quality is None else b.quality
    quality = np.where(
        by_a & by_b, np.minimum(qa, qb), np.where(by_a, qa, np.where(by_b, qb, np.maximum(qa, qb)))
    ).astype(np.uint32)
    decided = by_a | by_b
    return Column(np.asarray(decided if deciding else ~decided), quality)


def _and(parts: Sequence[Column], _tally: Tally) -> Column:
    return _decided(parts[0], parts[1], False)


def _or(parts: Sequence[Column], _tally: Tally) -> Column:
    return _decided(parts[0], parts[1], True)


def _choice(parts: Sequence[Column], _tally: Tally) -> Column:
    (c, qc), (a, qa), (b, qb) = parts
    chosen: Qualities | None = None
    if qa is not None or qb is not None:
        good = np.uint32(0)
        chosen = np.where(c, good if qa is None else qa, good if qb is None else qb).astype(np.uint32)
        if qc is not None:
            chosen = np.where(qc < 0x8000_0000, chosen, good)
    return Column(np.where(c, a, b), worst(qc, chosen))


def _coalesce(parts: Sequence[Column], _tally: Tally) -> Column:
    values, quality = parts[-1]
    first = parts[0].quality
    if first is None:
        return parts[0]
    for part in reversed(parts[:-1]):
        use = usable(part.quality, part.values)
        values = np.where(use, part.values, values)
        mine = np.uint32(0) if part.quality is None else part.quality
        quality = np.where(use, mine, np.uint32(0) if quality is None else quality).astype(np.uint32)
    assert quality is not None
    return Column(values, np.where(quality < 0x8000_0000, quality, first))


def _good(parts: Sequence[Column], _tally: Tally) -> Column:
    ((values, quality),) = parts
    return Column(np.ones(values.shape, np.bool_) if quality is None else quality < GOOD_BELOW)


def _each(work: Callable[..., Any]) -> Kernel:
    """For what never fails: the values by NumPy, the worst quality."""

    def kernel(parts: Sequence[Column], _tally: Tally) -> Column:
        return Column(np.asarray(work(*(part.values for part in parts))), worst(*(part.quality for part in parts)))

    return kernel


def _many(work: np.ufunc) -> Kernel:
    def kernel(parts: Sequence[Column], _tally: Tally) -> Column:
        values = parts[0].values
        for part in parts[1:]:
            values = work(values, part.values)
        return Column(np.asarray(values), worst(*(part.quality for part in parts)))

    return kernel


def _float(work: Callable[[Array], Any], inside: Callable[[Array], Bools] | None = None) -> Kernel:
    """For functions of floats; `inside` says where they have a value."""

    def kernel(parts: Sequence[Column], tally: Tally) -> Column:
        ((a, quality),) = parts
        a = a.astype(np.float64)
        if inside is not None:
            quality = failing(~inside(a), quality, DOMAIN, tally)
        return finite(np.asarray(work(a)), quality, tally)

    return kernel


def _whole(work: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda a: a if a.dtype.kind == "i" else work(a)


def _rounded(a: Array) -> Array:
    whole = np.trunc(a)
    return np.asarray(whole + np.copysign(np.abs(a - whole) >= 0.5, a))


KERNELS: Final[Mapping[str, Kernel]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _rest,
    "^": _power,
    "neg": _negative,
    "abs": _absolute,
    "==": _compared(np.equal),
    "!=": _compared(np.not_equal),
    "<": _compared(np.less),
    "<=": _compared(np.less_equal),
    ">": _compared(np.greater),
    ">=": _compared(np.greater_equal),
    "and": _and,
    "or": _or,
    "not": _each(np.logical_not),
    "if": _choice,
    "coalesce": _coalesce,
    "good": _good,
    "sign": _each(np.sign),
    "round": _each(_whole(_rounded)),
    "floor": _each(_whole(np.floor)),
    "ceil": _each(_whole(np.ceil)),
    "min": _many(np.minimum),
    "max": _many(np.maximum),
    "clamp": _each(lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "sqrt": _float(np.sqrt, lambda a: a >= 0),
    "exp": _float(np.exp),
    "ln": _float(np.log, lambda a: a > 0),
    "log10": _float(np.log10, lambda a: a > 0),
    "contains": _each(lambda text, part: np.strings.find(text, part) >= 0),
    "starts": _each(np.strings.startswith),
    "ends": _each(np.strings.endswith),
    "lower": _each(np.strings.lower),
    "length": _each(np.strings.str_len),
}


def work_out(node: Node, parts: Sequence[Column], tally: Tally) -> Column:
    """One part of an expression that has no past."""
    if node.op == "convert":
        return converted(parts[0], node.detail, tally)
    return KERNELS[node.op](parts, tally)
