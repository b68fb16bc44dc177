"""A text becomes a program: parsed, checked, its units fitted.

text ──lexer──► tokens ──parser──► nodes ──checker + rules──► tree ──► Program ──evaluator──► values
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.expressions import rules
from headrace.model.expressions.checker import check
from headrace.model.expressions.parser import Shape, parse
from headrace.model.expressions.problems import ExpressionError
from headrace.model.expressions.scope import Scope
from headrace.model.expressions.tree import Node
from headrace.model.units import check_unit


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An expression that can be worked out.

    `inputs`: the names that it uses, as written, with their kinds. `memory_ns`: how far it looks back; to be right from
    a moment on it needs samples from so long before, and `samples` more of each input that are older still (one, for
    the value that stood then, and one for each `prev`, `change` or `rate` within another). `tree` has a place
    (`text[start:end]`), kind and unit for every part.
    """

    text: str
    tree: Node
    inputs: Mapping[str, ValueKind]

    @property
    def kind(self) -> ValueKind:
        return self.tree.kind

    @property
    def unit(self) -> str:
        """UCUM; empty for text and bool."""
        return self.tree.unit

    @property
    def memory_ns(self) -> int:
        return self.tree.memory_ns

    @property
    def samples(self) -> int:
        return self.tree.samples


def names_of(text: str) -> tuple[str, ...]:
    """The points that a text names, in their order, each once; whether there are such is not asked. Raises:
    ExpressionError where it cannot be read.
    """
    return tuple(dict.fromkeys(one.name for one in parse(text) if one.shape is Shape.POINT))


def compile(text: str, scope: Scope, *, unit: str | None = None) -> Program:
    """The program of a text, its result in `unit` if one is given. Raises: ExpressionError, DataError for the unit."""
    tree = check(parse(text), scope)
    if unit is not None:
        check_unit(unit)
        if not tree.type.is_number:
            raise ExpressionError(
                f"the result is {tree.kind.label}, which has no unit, and {unit} is asked for", 0, len(text)
            )
        try:
            tree = rules.in_unit(tree, unit, difference=tree.type.is_difference)
        except DataError as error:
            raise ExpressionError(f"the result: {error}", 0, len(text)) from None
    kinds: dict[str, ValueKind] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        if node.op == "point":
            kinds[node.detail] = node.kind
        stack.extend(node.parts)
    return Program(text, tree, dict(sorted(kinds.items())))
