"""A parsed expression to a checked one: every name known, every kind and unit fitting, constants worked out.

    nodes in order ──► point? known in scope · operator? rules.py · function? functions.py ──► Node, parts inside

One pass over the list, parts first: no recursion.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.expressions import rules
from headrace.model.expressions.charts import CHARTS, LENGTH
from headrace.model.expressions.elementwise import fold
from headrace.model.expressions.functions import NAMES, Function, named
from headrace.model.expressions.parser import Parsed, Shape
from headrace.model.expressions.problems import POINTS_MAX, SPAN_MAX_NS, ExpressionError, nearest
from headrace.model.expressions.scope import AssetScope, Scope
from headrace.model.expressions.tree import Node
from headrace.model.expressions.types import BOOL, FLOAT, INT, NUMBERS, TEXT, Type, of_unit
from headrace.model.time import format_duration
from headrace.model.units import check_unit, definition

_NAMES_TRIED_MAX: Final = 2_000
_WORDS: Final = {FLOAT: "a number", INT: "a number", BOOL: "true or false", TEXT: "a text"}
_LIKE: Final = {"==", "!="}
_ORDERED: Final = {"<", "<=", ">", ">="}


def check(nodes: Sequence[Parsed], scope: Scope) -> Node:
    """The whole, checked. Raises: ExpressionError."""
    checked: list[Node | Parsed] = []  # durations and units stay as parsed: only functions take them
    names: set[str] = set()
    for parsed in nodes:
        if parsed.shape in (Shape.SPAN, Shape.UNIT):
            checked.append(parsed)
            continue
        parts = [checked[at] for at in parsed.parts]
        if parsed.shape is Shape.CALL:
            node = _call(parsed, parts)
        elif parsed.shape is Shape.OPERATOR:
            node = _operator(parsed, [_value(part) for part in parts])
        elif parsed.shape is Shape.POINT:
            node = _point(parsed, scope)
            names.add(parsed.name)
            if len(names) > POINTS_MAX:
                raise ExpressionError(
                    f"an expression uses up to {POINTS_MAX} points; make calculated points of its parts",
                    parsed.start,
                    parsed.end,
                )
        else:
            node = _constant(parsed)
        checked.append(node)
    return rules.settled(_value(checked[-1])) if checked else _never()


def _never() -> Node:
    raise AssertionError("an expression has at least one part")


def _value(part: Node | Parsed) -> Node:
    if isinstance(part, Node):
        return part
    if part.shape is Shape.SPAN:
        raise ExpressionError(
            "a duration stands only in functions that take one, such as mean(x, 10min); "
            "as a number it has a unit in brackets, such as 600[s]",
            part.start,
            part.end,
        )
    raise ExpressionError("a unit stands behind a number, such as 15[kPa], or in to(x, [kPa])", part.start, part.end)


def _constant(parsed: Parsed) -> Node:
    if parsed.shape is Shape.TEXT:
        return Node(parsed.start, parsed.end, "const", Type(TEXT), detail=parsed.value)
    if parsed.shape is Shape.BOOL:
        return Node(parsed.start, parsed.end, "const", Type(BOOL), detail=parsed.value)
    kind = FLOAT if isinstance(parsed.value, float) else INT
    if parsed.unit is None:
        return Node(parsed.start, parsed.end, "const", Type(kind, bare=True), detail=parsed.value)
    return Node(
        parsed.start, parsed.end, "const", of_unit(kind, _unit(parsed.unit, *parsed.unit_at)), detail=parsed.value
    )


def _unit(code: str, start: int, end: int) -> str:
    try:
        return check_unit(code)
    except DataError as error:
        raise ExpressionError(error.message, start, end) from None


def _point(parsed: Parsed, scope: Scope) -> Node:
    try:
        variable = scope.get(parsed.name)
    except DataError as error:
        raise ExpressionError(error.message, parsed.start, parsed.end) from None
    if variable is None:
        near = scope.beside(parsed.name) if isinstance(scope, AssetScope) else iter(scope)
        hint = nearest(parsed.name, itertools.islice(near, _NAMES_TRIED_MAX))
        if not hint and parsed.name in NAMES:
            hint = f"; the function is written {parsed.name}(…)"
        shown = parsed.name if len(parsed.name) <= 80 else f"{parsed.name[:80]}…"
        raise ExpressionError(f"there is no point '{shown}'{hint}", parsed.start, parsed.end)
    try:
        of = of_unit(variable.kind, variable.unit)
    except DataError as error:
        raise ExpressionError(f"the unit of this point: {error.message}", parsed.start, parsed.end) from None
    return Node(parsed.start, parsed.end, "point", of, detail=parsed.name, names=frozenset([parsed.name]))


# --- operators ----------------------------------------------------------------------------------------------------


def _operator(parsed: Parsed, parts: list[Node]) -> Node:
    op = parsed.name
    if op in ("and", "or", "not"):
        for part in parts:
            _expect(part, BOOL, f"beside '{op}'")
        return _made(parsed, op, Type(BOOL), parts)
    if op in _LIKE and not parts[0].type.is_number:
        _expect(parts[1], parts[0].kind, f"beside '{op}'")
        return _made(parsed, op, Type(BOOL), parts)
    for part in parts:
        _expect(part, FLOAT, f"beside '{'-' if op == 'neg' else op}'")
    if op in _LIKE or op in _ORDERED:
        found, _ = rules.aligned(parts)
        return _made(parsed, op, Type(BOOL), found)
    return _ARITHMETIC[op](parsed, parts)


def _add(parsed: Parsed, parts: list[Node]) -> Node:
    left, right, of, factor = rules.added(parts[0], parts[1], 1 if parsed.name == "+" else -1)
    if factor == 1.0:
        return _made(parsed, parsed.name, of, [left, right])
    return rules.wrap(_made(parsed, parsed.name, of, [left, right]), "convert", Type(FLOAT, of.unit, weight=of.weight),
                      (factor, 0.0))  # fmt: skip


def _times(parsed: Parsed, parts: list[Node]) -> Node:
    of = rules.times(parts[0], parts[1], 1 if parsed.name == "*" else -1, (parsed.start, parsed.end))
    return _made(parsed, parsed.name, of, parts)


def _rest(parsed: Parsed, parts: list[Node]) -> Node:
    for part in parts:
        rules.unscaled(part)
    found, of = rules.aligned(parts)
    return _made(parsed, "%", of, found)


def _power(parsed: Parsed, parts: list[Node]) -> Node:
    left, right, of = rules.powered(parts[0], parts[1], (parsed.start, parsed.end))
    return _made(parsed, "^", of, [left, right])


def _negative(parsed: Parsed, parts: list[Node]) -> Node:
    of = parts[0].type
    weight = None if of.weight is None else -of.weight
    return _made(parsed, "neg", Type(of.kind, of.unit, of.bare, weight), parts)


_ARITHMETIC: Final[Mapping[str, Callable[[Parsed, list[Node]], Node]]] = {
    "+": _add,
    "-": _add,
    "*": _times,
    "/": _times,
    "%": _rest,
    "^": _power,
    "neg": _negative,
}


# --- functions ----------------------------------------------------------------------------------------------------


def _call(parsed: Parsed, parts: Sequence[Node | Parsed]) -> Node:
    forms = named(parsed.name)
    if not forms:
        raise ExpressionError(
            f"there is no function '{parsed.name[:80]}'{nearest(parsed.name, NAMES)}", parsed.start, parsed.name_end
        )
    spans = any(isinstance(part, Parsed) and part.shape is Shape.SPAN for part in parts)
    form = next((form for form in forms if form.window == spans), forms[0])
    takes = list(form.takes)
    if takes[-1].endswith("…") and len(parts) > len(takes):
        takes += [takes[-1]] * (len(parts) - len(takes))
    if len(parts) != len(takes):
        shown = " or ".join(each.signature for each in forms)
        raise ExpressionError(
            f"{parsed.name} is written {shown}; this has {len(parts)} in its brackets", parsed.start, parsed.end
        )
    values, span_ns, unit = [], 0, ""
    for part, take in zip(parts, takes, strict=True):
        if take == "span":
            span_ns = _span(part, form)
        elif take == "unit":
            if not isinstance(part, Parsed) or part.shape is not Shape.UNIT:
                raise ExpressionError(
                    f"{parsed.name} takes a unit in brackets here, such as [kPa]", part.start, part.end
                )
            unit = _unit(part.name, part.start, part.end)
        else:
            value = _value(part)
            wanted = {"number": FLOAT, "bool": BOOL, "text": TEXT}.get(take.rstrip("…"))
            if wanted is not None:
                _expect(value, wanted, f"in {parsed.name}(…)")
            values.append(value)
    return _give(parsed, form, values, span_ns, unit)


def _span(part: Node | Parsed, form: Function) -> int:
    if not isinstance(part, Parsed) or part.shape is not Shape.SPAN:
        raise ExpressionError(f"{form.name} takes a duration here, such as 30s, 10min or 1h30min", part.start, part.end)
    span_ns = int(part.value)
    if not 0 < span_ns <= SPAN_MAX_NS:
        raise ExpressionError(
            f"a window lasts more than 0s and up to {format_duration(SPAN_MAX_NS)}", part.start, part.end
        )
    return span_ns


def _times_true(parsed: Parsed, condition: Node, span_ns: int) -> Node:
    """`sum(if(c and not prev(c), 1, 0), span)`: one for each sample at which the condition had become true."""
    before = _made(parsed, "prev", Type(BOOL), [condition])
    became = _made(parsed, "and", Type(BOOL), [condition, _made(parsed, "not", Type(BOOL), [before])])
    one, zero = (Node(parsed.start, parsed.end, "const", Type(INT, "1"), detail=value) for value in (1, 0))
    counted = _made(parsed, "if", Type(INT, "1"), [became, one, zero])
    return _made(parsed, "sum", Type(FLOAT, "1"), [counted], span_ns)


def _chart(parsed: Parsed, op: str, values: list[Node]) -> Node:
    """The rule that the distances from the centre break, in sigma."""
    value, centre, sigma = values
    distance = _add(replace(parsed, name="-"), [value, centre])
    parts, _ = rules.aligned([distance, sigma])
    return _made(parsed, op, Type(INT, "1"), [_made(parsed, "/", Type(FLOAT, "1"), parts)])


def _give(parsed: Parsed, form: Function, values: list[Node], span_ns: int, unit: str) -> Node:
    """A call whose parts have the right kinds: units, and what comes out."""
    first, op = values[0], form.op or form.name
    if form.group in ("past", "window") and not first.names:
        raise ExpressionError(f"{form.name} needs a point: a constant has no past", first.start, first.end)
    if form.name == "times":
        return _times_true(parsed, first, span_ns)
    if form.name in CHARTS:
        return _chart(parsed, form.name, values)
    if form.name == "to":
        return rules.in_unit(_at(parsed, rules.settled(first)), unit)
    if form.gives in ("aligned", "choice"):
        chosen = values[1:] if form.gives == "choice" else values
        chosen, of = _alike(chosen, form)
        return _made(parsed, op, of, [*values[: len(values) - len(chosen)], *chosen])
    if first.type.is_number:
        rules.settled(first)
    of = first.type
    if form.gives in ("bool", "text"):
        of = Type(BOOL if form.gives == "bool" else TEXT)
    elif form.gives == "count":
        of = Type(INT, "1")
    elif form.gives == "age":
        of = Type(FLOAT, "s")
    elif form.gives == "sign":
        of = Type(first.kind, "1", first.type.bare)
    elif form.gives == "root":
        first, of = rules.root(first)
    elif form.gives == "plain":
        bare = first.type.bare
        first, of = rules.plain(first), Type(FLOAT, "1", bare)
    elif form.gives == "difference":
        of = rules.difference(first)
        of = Type(FLOAT if op == "stddev" else of.kind, of.unit, of.bare, of.weight)
    elif form.gives == "rate":
        of = rules.per_second(rules.difference(first), first, -1)
    elif form.gives == "integral":
        of = rules.per_second(rules.unscaled(first).type, first, 1)
    elif form.gives == "sum":
        of = Type(FLOAT, rules.unscaled(first).type.unit, first.type.bare, first.type.weight)
    elif op == "mean":
        of = Type(FLOAT, of.unit, of.bare, of.weight)
    factor = definition(first.unit)[1] if form.gives in ("difference", "rate") and first.type.on_scale else 1.0
    node = _made(parsed, op, of, [first, *values[1:]], span_ns)
    return node if factor == 1.0 else rules.wrap(node, "convert", of, (factor, 0.0))


def _alike(parts: list[Node], form: Function) -> tuple[list[Node], Type]:
    """All of one kind, numbers in one unit."""
    kind = parts[0].kind
    for part in parts[1:]:
        _expect(part, kind, f"in {form.name}(…), as the first is")
    if kind in NUMBERS:
        return rules.aligned(parts)
    return parts, Type(kind)


def _expect(part: Node, kind: ValueKind, where: str) -> None:
    numbers = kind in NUMBERS
    if part.kind is kind or (numbers and part.type.is_number):
        return
    hint = ""
    if numbers and part.kind is BOOL:
        hint = "; if(x, 1, 0) makes a number of it"
    elif kind is BOOL and part.type.is_number:
        hint = "; compare it, such as x > 0"
    raise ExpressionError(
        f"{_WORDS[part.kind]} stands where {_WORDS[kind]} is expected {where}{hint}",
        part.start,
        part.end,
    )


def _at(parsed: Parsed, node: Node) -> Node:
    """The part with the place of the call around it."""
    return Node(parsed.start, parsed.end, node.op, node.type, node.parts, node.detail, node.names, node.memory_ns,
                node.samples)  # fmt: skip


def _made(parsed: Parsed, op: str, of: Type, parts: Sequence[Node], span_ns: int = 0) -> Node:
    """The node; worked out at once where all its parts are constants."""
    memory_ns = max(part.memory_ns for part in parts) + span_ns
    if memory_ns > SPAN_MAX_NS:
        raise ExpressionError(
            f"windows within windows look back {format_duration(memory_ns)}; together up to "
            f"{format_duration(SPAN_MAX_NS)}",
            parsed.start,
            parsed.end,
        )
    names = frozenset().union(*(part.names for part in parts))
    samples = max(part.samples for part in parts) + (op in ("prev", "change", "rate"))
    if op in CHARTS:
        samples += LENGTH
    node = Node(parsed.start, parsed.end, op, of, tuple(parts), span_ns or None, names, memory_ns, samples)
    if names or any(not part.is_constant for part in parts):
        return node
    value, reason = fold(node)
    if reason:
        raise ExpressionError(f"{reason} in a constant; change the numbers", parsed.start, parsed.end)
    return Node(parsed.start, parsed.end, "const", of, detail=value)
