"""Codes of units taken apart, multiplied and written again. Text only: what a unit measures says `units.py`.

    kJ/(kg.K) ──factors──► {kJ: 1, kg: -1, K: -1} ── · {kg: 1} ──► {kJ: 1, K: -1} ──code_of──► kJ/K

Source: The Unified Code for Units of Measure, 2.1, §7 to §9 (full syntax).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from headrace.model.errors import DataError

Factors = Mapping[str, int]
"""A unit or prefixed unit, and its power."""

_ATOM = re.compile(r"((?:\[[^\[\]]*\]|[A-Za-z%'\"_])+)([+-]?\d{1,2})?")
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_DEPTH_MAX = 8


def factors(code: str) -> Factors | None:
    """What a code is a product of; None for one with numbers in it (`10*3/uL`), or no product. `1` has no factors.

    Annotations count as 1.
    """
    text = _ANNOTATION.sub("", code)
    if text in ("", "1"):
        return {}
    found: dict[str, int] = {}
    signs, sign, at, wanted = [1], 1, 0, True  # of the brackets we are in; of the next factor
    if text.startswith("1/"):
        text = text[1:]
    if text.startswith("/"):
        sign, at = -1, 1
    while at < len(text):
        if wanted:
            atom = _ATOM.match(text, at)
            if text[at] == "(" and len(signs) < _DEPTH_MAX:
                signs.append(signs[-1] * sign)
                sign, at = 1, at + 1
            elif atom is not None:
                power = int(atom[2] or 1) * sign * signs[-1]
                found[atom[1]] = found.get(atom[1], 0) + power
                at, wanted = atom.end(), False
            else:
                return None
        elif text[at] == ")" and len(signs) > 1:
            signs.pop()
            at += 1
        elif text[at] in "./":
            sign, at, wanted = (1 if text[at] == "." else -1), at + 1, True
        else:
            return None
    return None if wanted or len(signs) > 1 else {atom: power for atom, power in found.items() if power}


def code_of(product: Factors) -> str:
    """The code: what multiplies first, in the order given; `1` for no factors."""
    above = [_power(atom, power) for atom, power in product.items() if power > 0]
    below = [_power(atom, -power) for atom, power in product.items() if power < 0]
    if not above and not below:
        return "1"
    bottom = "" if not below else f"/{below[0]}" if len(below) == 1 else f"/({'.'.join(below)})"
    return ".".join(above) + bottom


def multiplied(a: str, b: str, power: int = 1) -> str:
    """The code of `a` · `b` ** `power`. Raises: DataError for a code that is no plain product."""
    product = dict(_factors(a))
    for atom, count in _factors(b).items():
        product[atom] = product.get(atom, 0) + count * power
    return code_of({atom: count for atom, count in product.items() if count})


def raised(code: str, power: int) -> str:
    """The code of its power. Raises: DataError."""
    return code_of({atom: count * power for atom, count in _factors(code).items() if count * power})


def rooted(code: str) -> str | None:
    """The code of its square root; None where a power is odd. Raises: DataError."""
    product = _factors(code)
    if any(count % 2 for count in product.values()):
        return None
    return code_of({atom: count // 2 for atom, count in product.items()})


def _factors(code: str) -> Factors:
    found = factors(code)
    if found is None:
        raise DataError(f"'{code}' has a number in it and cannot be multiplied; convert it first")
    return found


def _power(atom: str, power: int) -> str:
    return atom if power == 1 else f"{atom}{power}"
