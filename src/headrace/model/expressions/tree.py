"""A checked expression: a tree in which every part knows its place, kind and unit. What evaluation and editors read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.model.batch import ValueKind
from headrace.model.expressions.types import Type


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """`op` is what works it out: `const`, `point`, `convert`, an operator such as `+`, or a function.

    `detail`: the value of a `const`, the name of a `point`, (factor, offset) of a `convert`, ns of a window.
    `memory_ns` is how far it looks back; `samples` how many samples of its points it needs, the newest included.
    """

    start: int
    end: int
    op: str
    type: Type
    parts: tuple[Node, ...] = ()
    detail: Any = None
    names: frozenset[str] = field(default_factory=frozenset)
    memory_ns: int = 0
    samples: int = 1

    @property
    def kind(self) -> ValueKind:
        return self.type.kind

    @property
    def unit(self) -> str:
        """UCUM; `1` for a number without one, empty for text and bool."""
        return ("1" if self.type.bare else self.type.unit) if self.type.is_number else ""

    @property
    def is_constant(self) -> bool:
        return self.op == "const"
