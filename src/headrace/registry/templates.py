"""Templates: `"{base+4}"` in a type's address becomes 304 for an asset whose `base` is 300.

A text that is one brace pair takes the parameter's value, number or text; braces within a longer text are filled in
as text; `{{` and `}}` are braces. Only addresses are templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from headrace.model.errors import DataError
from headrace.registry.problems import did_you_mean

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_EXPRESSION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:([+-])\s*(\d{1,18})\s*)?")

Fill = Callable[[Mapping[str, Any]], Any]
"""Parameters to a value. Raises: DataError."""


def compile_template(value: Any, known: Collection[str]) -> Fill | None:
    """How to fill a value in, or None where nothing in it is a template; `known` are the parameters.

    Raises: DataError for a lone brace or an unknown parameter.
    """
    if isinstance(value, str):
        return _compile_text(value, known) if "{" in value or "}" in value else None
    if isinstance(value, dict):
        fills = {key: compile_template(part, known) for key, part in value.items()}
        if not any(fills.values()):
            return None
        return lambda parameters: {
            key: part if (fill := fills[key]) is None else fill(parameters) for key, part in value.items()
        }
    if isinstance(value, list):
        items = [compile_template(part, known) for part in value]
        if not any(items):
            return None
        return lambda parameters: [
            part if fill is None else fill(parameters) for part, fill in zip(value, items, strict=True)
        ]
    return None


def _compile_text(text: str, known: Collection[str]) -> Fill:
    pieces: list[str | Fill] = []
    position = 0
    for found in _PART.finditer(text):
        pieces.append(text[position : found.start()])
        position = found.end()
        if found.group() in ("{{", "}}"):
            pieces.append(found.group()[0])
        elif found.group(1) is None:
            raise DataError(f"'{text}' has a lone '{found.group()}'; write '{found.group() * 2}' for a brace")
        else:
            pieces.append(_compile_expression(found.group(1), known))
    pieces.append(text[position:])
    kept = [piece for piece in pieces if piece != ""]
    if len(kept) == 1 and callable(kept[0]):
        return kept[0]
    return lambda parameters: "".join(piece if isinstance(piece, str) else _shown(piece(parameters)) for piece in kept)


def _compile_expression(expression: str, known: Collection[str]) -> Fill:
    found = _EXPRESSION.fullmatch(expression)
    if found is None:
        raise DataError(f"'{{{expression}}}' is no template; write {{parameter}}, {{parameter+4}} or {{parameter-1}}")
    name, sign, digits = found.groups()
    shift = int(digits) * (-1 if sign == "-" else 1) if digits else None

    if name not in known:
        raise DataError(f"'{{{expression}}}' names no parameter of the type{did_you_mean(name, known)}")

    def fill(parameters: Mapping[str, Any]) -> Any:
        value = parameters[name]
        if shift is None:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"'{{{expression}}}' adds to '{name}', which is '{value}' and no number")
        return value + shift

    return fill


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
