"""The meaning of an expression, a value at a time and with exact arithmetic: slow, plain, and written on its own."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.expressions import Node, Program

Sample = tuple[int, Any, int]
"""(source ns, value, quality)"""
WAITING = q.BAD_WAITING_FOR_INITIAL_DATA
FAILED = q.BAD_OUT_OF_RANGE
PARTLY = q.UNCERTAIN_SUB_NORMAL


def bad(quality: int) -> bool:
    return quality >= q.BAD


class Reference:
    """One instance. `at(ns)` is the value and quality; a bad one has no value."""

    def __init__(self, program: Program, samples: Mapping[str, Sequence[Sample]]) -> None:
        self._tree = program.tree
        self._samples = {name: sorted(given, key=lambda sample: sample[0]) for name, given in samples.items()}
        self._known: dict[tuple[int, int], tuple[Any, int]] = {}

    def times(self) -> list[int]:
        return self._times(frozenset(self._samples))

    def at(self, now_ns: int) -> tuple[Any, int]:
        return self._value(self._tree, now_ns)

    def _times(self, names: frozenset[str]) -> list[int]:
        return sorted({time_ns for name in names for time_ns, _, _ in self._samples.get(name, ())})

    def _value(self, node: Node, now_ns: int) -> tuple[Any, int]:
        key = (id(node), now_ns)
        if key not in self._known:
            value, quality = self._work_out(node, now_ns)
            if node.kind is ValueKind.FLOAT64 and value is not None:
                value = float(value)
            self._known[key] = (None, quality) if bad(quality) else (value, quality)
        return self._known[key]

    def _past(self, node: Node, now_ns: int) -> list[tuple[int, Any, int]]:
        return [(t, *self._value(node, t)) for t in self._times(node.names) if t <= now_ns]

    def _work_out(self, node: Node, now_ns: int) -> tuple[Any, int]:
        if node.op == "const":
            return node.detail, q.GOOD
        if node.op == "point":
            samples = self._samples.get(node.detail, [])
            at = bisect_right([t for t, _, _ in samples], now_ns)
            if not at:
                return None, WAITING
            _, value, quality = samples[at - 1]
            if isinstance(value, float) and not math.isfinite(value) and not bad(quality):
                return None, FAILED
            return value, quality
        past = getattr(self, f"_{node.op}", None) if node.op.isidentifier() else None
        if past is not None and (node.detail is not None or node.op in PAST):
            return past(node, now_ns)
        return self._plain(node, [self._value(part, now_ns) for part in node.parts])

    # --- row by row ---------------------------------------------------------------------------------------------

    def _plain(self, node: Node, parts: list[tuple[Any, int]]) -> tuple[Any, int]:
        op = node.op
        if op == "good":
            return parts[0][1] < q.UNCERTAIN, q.GOOD
        if op in ("and", "or"):
            deciding = op == "or"
            decides = [quality for value, quality in parts if not bad(quality) and value == deciding]
            return (deciding, min(decides)) if decides else (not deciding, max(quality for _, quality in parts))
        if op == "if":
            (condition, quality), left, right = parts
            if bad(quality):
                return None, quality
            value, chosen = left if condition else right
            return value, max(quality, chosen)
        if op == "coalesce":
            return next((part for part in parts if not bad(part[1])), parts[0])
        quality = max(quality for _, quality in parts)
        if bad(quality):
            return None, quality
        value = plain(node, [value for value, _ in parts])
        return (None, FAILED) if value is None else (value, quality)

    # --- the past -----------------------------------------------------------------------------------------------

    def _prev(self, node: Node, now_ns: int) -> tuple[Any, int]:
        earlier = self._past(node.parts[0], now_ns)[:-1]
        usable = [(value, quality) for _, value, quality in earlier if not bad(quality)]
        return usable[-1] if usable else (None, WAITING)

    def _change(self, node: Node, now_ns: int) -> tuple[Any, int]:
        past = self._past(node.parts[0], now_ns)
        if not past:
            return None, WAITING
        before, before_quality = self._prev(node, now_ns)
        quality = max(past[-1][2], before_quality)
        return (None, quality) if bad(quality) else (past[-1][1] - before, quality)

    def _rate(self, node: Node, now_ns: int) -> tuple[Any, int]:
        change, quality = self._change(node, now_ns)
        if bad(quality):
            return None, quality
        past = self._past(node.parts[0], now_ns)
        before_ns = [t for t, _, quality in past[:-1] if not bad(quality)][-1]
        return change / ((past[-1][0] - before_ns) / 1e9), quality

    def _age(self, node: Node, now_ns: int) -> tuple[Any, int]:
        usable = [t for t, _, quality in self._past(node.parts[0], now_ns) if not bad(quality)]
        return ((now_ns - usable[-1]) / 1e9, q.GOOD) if usable else (None, WAITING)

    def _ago(self, node: Node, now_ns: int) -> tuple[Any, int]:
        past = self._past(node.parts[0], now_ns - node.detail)
        return past[-1][1:] if past else (None, WAITING)

    def _nelson(self, node: Node, now_ns: int) -> tuple[Any, int]:
        return self._chart(node, now_ns, NELSON)

    def _western_electric(self, node: Node, now_ns: int) -> tuple[Any, int]:
        return self._chart(node, now_ns, WESTERN_ELECTRIC)

    def _chart(self, node: Node, now_ns: int, rules: Sequence[Any]) -> tuple[Any, int]:
        past = self._past(node.parts[0], now_ns)
        if not past:
            return None, WAITING
        if bad(past[-1][2]):
            return None, past[-1][2]
        z = [value for _, value, quality in past if not bad(quality)]
        return next((number for number, rule in enumerate(rules, 1) if rule(z)), 0), past[-1][2]

    def _window(self, node: Node, now_ns: int) -> tuple[list[tuple[int, Any]], list[Any], int, int]:
        """(ns, value) that stood usable, values of samples inside, quality, and usable ns."""
        begin_ns = now_ns - node.detail
        past = self._past(node.parts[0], now_ns)
        stood, inside, good_ns = [], [], 0
        for at, (t, value, quality) in enumerate(past):
            end_ns = past[at + 1][0] if at + 1 < len(past) else now_ns
            last = at + 1 == len(past)
            if bad(quality) or (end_ns <= begin_ns and not last):
                continue
            length_ns = end_ns - max(t, begin_ns)
            stood.append((length_ns, value))
            good_ns += length_ns if quality < q.UNCERTAIN else 0
            if t > begin_ns:
                inside.append(value)
        now = self._value(node.parts[0], now_ns)[1]
        if good_ns == node.detail and now < q.UNCERTAIN:
            quality = q.GOOD
        elif stood:
            quality = PARTLY if bad(now) else max(PARTLY, now)
        else:
            quality = now if bad(now) else WAITING
        return stood, inside, quality, sum(length for length, _ in stood)

    def _mean(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        return (None if not stood else float(weighted(stood)), quality)

    def _stddev(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        if not stood:
            return None, quality
        mean = weighted(stood)
        return math.sqrt(weighted([(length, (Fraction(value) - mean) ** 2) for length, value in stood])), quality

    def _integral(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        return float(sum(length * Fraction(value) for length, value in stood) / 10**9), quality

    def _lowest(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        return min((value for _, value in stood), default=None), quality

    def _highest(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        return max((value for _, value in stood), default=None), quality

    def _first(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        return (stood[0][1] if stood else None), quality

    def _last(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, _ = self._window(node, now_ns)
        return (stood[-1][1] if stood else None), quality

    def _sum(self, node: Node, now_ns: int) -> tuple[Any, int]:
        _, inside, quality, _ = self._window(node, now_ns)
        return math.fsum(inside), quality

    def _count(self, node: Node, now_ns: int) -> tuple[Any, int]:
        _, inside, quality, _ = self._window(node, now_ns)
        seen = bool(self._past(node.parts[0], now_ns))
        return len(inside), PARTLY if seen and bad(quality) else quality

    def _held(self, node: Node, now_ns: int) -> tuple[Any, int]:
        stood, _, quality, usable_ns = self._window(node, now_ns)
        if any(not value for _, value in stood):
            return False, quality
        if usable_ns < node.detail and not bad(quality):
            return None, WAITING
        return True, quality


PAST = ("prev", "change", "rate", "age", "nelson", "western_electric")


def one_side(z: list[float], count: int, needed: int, beyond: float) -> bool:
    last = z[-count:]
    return any(
        sign * z[-1] > beyond and sum(sign * value > beyond for value in last) >= needed for sign in (1, -1)
    )  # fmt: skip


def in_a_row(z: list[float], count: int, holds: Any) -> bool:
    return len(z) >= count and holds(z[-count:])


def steps(z: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(z)]


NELSON = [
    lambda z: abs(z[-1]) > 3,
    lambda z: one_side(z, 9, 9, 0),
    lambda z: in_a_row(z, 6, lambda w: all(d > 0 for d in steps(w)) or all(d < 0 for d in steps(w))),
    lambda z: in_a_row(z, 14, lambda w: all(a * b < 0 for a, b in pairwise(steps(w)))),
    lambda z: one_side(z, 3, 2, 2),
    lambda z: one_side(z, 5, 4, 1),
    lambda z: in_a_row(z, 15, lambda w: all(abs(value) < 1 for value in w)),
    lambda z: in_a_row(z, 8, lambda w: all(abs(value) > 1 for value in w) and min(w) < 0 < max(w)),
]
WESTERN_ELECTRIC = [NELSON[0], NELSON[4], NELSON[5], lambda z: one_side(z, 8, 8, 0)]


def weighted(stood: list[tuple[int, Any]]) -> Fraction:
    whole = sum(length for length, _ in stood)
    if not whole:
        return Fraction(stood[-1][1])
    return sum((length * Fraction(value) for length, value in stood), Fraction(0)) / whole


def plain(node: Node, values: list[Any]) -> Any:
    """None where there is no such number."""
    try:
        found = PLAIN[node.op](*values) if node.op != "convert" else values[0] * node.detail[0] + node.detail[1]
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    if isinstance(found, complex) or (isinstance(found, float) and not math.isfinite(found)):
        return None
    if isinstance(found, int) and not isinstance(found, bool) and not -(2**63) <= found < 2**63:
        return None
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, int):
        return value
    return math.copysign(float(math.floor(abs(Fraction(value)) + Fraction(1, 2))), value)


PLAIN: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "^": lambda a, b: float(a) ** float(b),
    "neg": lambda a: -a,
    "abs": abs,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "not": lambda a: not a,
    "sign": lambda a: (a > 0) - (a < 0),
    "round": rounded,
    "floor": lambda a: a if isinstance(a, int) else float(math.floor(a)),
    "ceil": lambda a: a if isinstance(a, int) else float(math.ceil(a)),
    "min": min,
    "max": max,
    "clamp": lambda x, low, high: min(max(x, low), high),
    "sqrt": math.sqrt,
    "exp": math.exp,
    "ln": math.log,
    "log10": math.log10,
    "contains": lambda text, part: part in text,
    "starts": str.startswith,
    "ends": str.endswith,
    "lower": str.lower,
    "length": len,
}
