"""Units: UCUM codes, checked, compared, converted and shown. Source: The Unified Code for Units of Measure, 2.1.

    code ──unit_table.py, the common ones──► (dimension, factor, offset)
      ├───products of these: kW.s, bar.L/min──────┤     si = value · factor + offset
      └───any other: ucumvert + pint──────────────┘

A plant that uses common units never loads the library (0.4 s, 40 MB). Annotations in braces count as 1: `{parts}/min`
is a frequency. Angles and information keep a dimension of their own, as in UCUM, so a percentage is never a degree.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.errors import DataError
from headrace.model.unit_product import factors
from headrace.model.unit_table import OFFSETS, read_base, read_meant, read_sheet, read_shown

CODE_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _Unit:
    """`dimension` in SI base units, such as `kg m-1 s-2`; a code that cannot be converted has itself."""

    dimension: str
    factor: float
    offset: float = 0.0


_TABLE: Final = {
    code: _Unit(dimension, factor, OFFSETS.get(code, 0.0)) for code, (dimension, factor) in read_sheet().items()
}
_MEANT: Final = read_meant()

_ANNOTATION = re.compile(r"\{[^{}]*\}")
_SUPERSCRIPT: Final = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_SHOWN: Final = read_shown()
_ATOM = re.compile(r"10\*[+-]?\d+|\[[^\[\]]*\]|\{[^{}]*\}|[A-Za-z_%'\"*]+|[+-]?\d+|[./()]")


@lru_cache(maxsize=4_096)
def check_unit(code: str) -> str:
    """The code itself. Raises: DataError for what is no UCUM code, naming the nearest one."""
    if code not in _TABLE:
        _lookup(code)
    return code


def same_dimension(a: str, b: str) -> bool:
    """Whether values can be converted: bar and kPa can, bar and Cel cannot. Raises: DataError for no UCUM code."""
    return _unit(a).dimension == _unit(b).dimension


def convert(values: ArrayLike, a: str, b: str) -> NDArray[np.float64]:
    """Values of unit `a` in unit `b`. Shape: as `values`, float64; NaN stays NaN; equal codes change nothing.

    Raises: DataError where a code is none, or the two measure different things.
    """
    column: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if a == b:
        check_unit(a)
        return column
    source, target = _unit(a), _unit(b)
    if source.dimension != target.dimension:
        raise DataError(
            f"{display(a) or '1'} cannot be converted to {display(b) or '1'}: they measure different things"
        )
    if source.offset == target.offset:
        converted: NDArray[np.float64] = np.asarray(column * (source.factor / target.factor))
        return converted
    return np.asarray((column * source.factor + (source.offset - target.offset)) / target.factor)


def definition(code: str) -> tuple[str, float, float]:
    """(dimension, factor, offset): SI = value · factor + offset. Equal dimensions convert. Raises: DataError.

    The dimension is in SI base units, such as `kg m-1 s-2`; a code that cannot be converted has itself.
    """
    unit = _unit(code)
    return unit.dimension, unit.factor, unit.offset


@lru_cache(maxsize=4_096)
def display(code: str) -> str:
    """How people read it: `Cel` is °C, `m3/h` is m³/h, `1` is nothing. Any text is shown, a wrong code as it is."""
    if code == "1":
        return ""
    if "".join(_ATOM.findall(code)) != code:
        return code
    shown = []
    for atom in _ATOM.findall(code):
        if atom in _SHOWN:
            shown.append(_SHOWN[atom])
        elif atom.startswith("10*"):
            shown.append("10" + atom[3:].translate(_SUPERSCRIPT))
        elif atom[0] == "{":
            shown.append(atom[1:-1])
        elif atom[0] == "[":
            shown.append(atom[1:-1].replace("_", " "))
        elif atom == ".":
            shown.append("·")
        elif atom[0] in "+-0123456789":
            shown.append(atom.translate(_SUPERSCRIPT) if shown and shown[-1] not in "·/(" else atom)
        elif atom.endswith("Ohm"):
            shown.append(atom[:-3].replace("u", "µ") + "Ω")
        else:
            shown.append(_micro(atom))
    text = "".join(shown)
    return f"1{text}" if text.startswith("/") else text


def common_units() -> tuple[str, ...]:
    """The codes that need no library, for pickers and completion."""
    return tuple(_TABLE)


def _micro(atom: str) -> str:
    return "µ" + atom[1:] if len(atom) > 1 and atom[0] == "u" else atom


def _unit(code: str) -> _Unit:
    known = _TABLE.get(code)
    return known if known is not None else _lookup(code)


@lru_cache(maxsize=4_096)
def _lookup(code: str) -> _Unit:
    """A code that the table lacks, by the library. Raises: DataError."""
    if code in _MEANT:
        raise _unknown(code)
    if not code or len(code) > CODE_LENGTH_MAX or not code.isascii() or not code.isprintable() or " " in code:
        raise _unknown(code)
    bare = _ANNOTATION.sub("", code)
    if "{" in bare or "}" in bare:
        raise _unknown(code)
    if bare.startswith("/"):
        bare = "1" + bare if len(bare) > 1 else bare
    if bare in ("", "1"):
        return _Unit("", 1.0)
    if _ANNOTATION.search(code) and bare.removeprefix("1") in _TABLE:
        return _TABLE[bare.removeprefix("1")]
    composed = _composed(bare)
    if composed is not None:
        return composed
    return _ask_library(code, _ANNOTATION.sub("{u}", code))


def _composed(code: str) -> _Unit | None:
    """A product of what the table has, scales of temperature and codes that cannot be converted left out."""
    found = factors(code)
    if found is None or (len(found) < 2 and code in found):
        return None
    factor, dimension = 1.0, dict.fromkeys(_ORDER, 0)
    for atom, power in found.items():
        unit = _TABLE.get(atom)
        if unit is None or unit.offset or (unit.dimension == atom and atom not in _ORDER):
            return None
        factor *= unit.factor**power
        for name, count in _exponents(unit.dimension).items():
            dimension[name] += count * power
    if not 0.0 < factor < float("inf"):
        return None
    return _Unit(" ".join(f"{n}{'' if c == 1 else c}" for n, c in dimension.items() if c), factor)


@cache
def _exponents(dimension: str) -> dict[str, int]:
    """`kg m-1 s-2` as {kg: 1, m: -1, s: -2}."""
    found = (_EXPONENT.fullmatch(part) for part in dimension.split())
    return {match[1]: int(match[2] or 1) for match in found if match is not None}


def _ask_library(code: str, asked: str) -> _Unit:
    from lark.exceptions import LarkError
    from pint.errors import PintError
    from ucumvert.parser import InvalidUcumError

    try:
        quantity = _registry().from_ucum(asked)
    except InvalidUcumError:
        raise _unknown(code) from None
    except (PintError, LarkError, ArithmeticError, ValueError) as error:
        if "offset unit" in str(error):
            raise DataError(f"'{code}' multiplies or divides a temperature scale; use K in its place") from None
        return _Unit(code, 1.0)  # valid UCUM that has no defined size, such as arbitrary units
    except RecursionError:
        raise _unknown(code) from None
    try:
        zero = quantity.to_base_units() if quantity._is_multiplicative else None
        if zero is None:
            units = quantity.units
            first, second = (float(_registry().Quantity(n, units).to_base_units().magnitude) for n in (0.0, 1.0))
            third = float(_registry().Quantity(2.0, units).to_base_units().magnitude)
            if abs((third - second) - (second - first)) > 1e-9 * abs(third):
                return _Unit(code, 1.0)  # a logarithm, such as dB: shown and compared, not converted
            base = _registry().Quantity(1.0, units).to_base_units().units
            return _Unit(_dimension(base), second - first, first)
        return _Unit(_dimension(zero.units), float(zero.magnitude))
    except (PintError, ArithmeticError, ValueError, TypeError):
        return _Unit(code, 1.0)


_BASE: Final = read_base()
_ORDER: Final = tuple(name for name in _BASE.values() if name)
_EXPONENT = re.compile(r"([A-Za-z]+)(-?\d+)?")


def _dimension(units: Any) -> str:
    exponents = {_BASE.get(name, name): power for name, power in units._units.items()}
    order = [*_BASE.values(), *sorted(name for name in exponents if name not in _BASE.values())]
    return " ".join(
        name + ("" if exponents[name] == 1 else f"{float(exponents[name]):g}")
        for name in order
        if name and exponents.get(name)
    )


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


def _unknown(code: str) -> DataError:
    shown = code if len(code) <= 40 else f"{code[:40]}…"
    meant = _MEANT.get(code) or _MEANT.get(code.strip())
    if meant is None:
        folded = {known.casefold(): known for known in _TABLE}
        found = difflib.get_close_matches(code[:CODE_LENGTH_MAX].casefold(), folded, n=1, cutoff=0.5)
        meant = folded[found[0]] if found else None
    hint = f"; did you mean '{meant}'?" if meant else "; see ucum.org"
    return DataError(f"'{shown}' is no UCUM unit{hint}")
