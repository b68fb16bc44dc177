"""Units: UCUM codes, checked, compared, converted and shown. Source: The Unified Code for Units of Measure, 2.1.

    code ──table of the common ones──► (dimension, factor, offset)
      └───any other: ucumvert + pint──────────────┘     si = value · factor + offset

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

CODE_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _Unit:
    """`dimension` in SI base units, such as `kg m-1 s-2`; a code that cannot be converted has itself."""

    dimension: str
    factor: float
    offset: float = 0.0


_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_LITRE = 1e-3
_GALLON = 3.785411784e-3

_COMMON: Final[dict[str, dict[str, float]]] = {
    "": {"1": 1, "%": 1e-2, "[ppth]": 1e-3, "[ppm]": 1e-6, "[ppb]": 1e-9},
    "m": {"m": 1, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "cm": 1e-2, "km": 1e3, "[in_i]": 0.0254, "[ft_i]": 0.3048},
    "m2": {"m2": 1, "mm2": 1e-6, "cm2": 1e-4},
    "m3": {
        "m3": 1,
        "dm3": 1e-3,
        "cm3": 1e-6,
        "L": _LITRE,
        "l": _LITRE,
        "mL": _LITRE / 1e3,
        "ml": _LITRE / 1e3,
        "[gal_us]": _GALLON,
    },
    "s": {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": _MINUTE, "h": _HOUR, "d": _DAY, "wk": 7 * _DAY},
    "s-1": {
        "Hz": 1,
        "kHz": 1e3,
        "MHz": 1e6,
        "GHz": 1e9,
        "/s": 1,
        "/min": 1 / _MINUTE,
        "/h": 1 / _HOUR,
        "/d": 1 / _DAY,
        "Bq": 1,
    },
    "m s-1": {
        "m/s": 1,
        "mm/s": 1e-3,
        "m/min": 1 / _MINUTE,
        "m/h": 1 / _HOUR,
        "km/h": 1e3 / _HOUR,
        "mm/min": 1e-3 / _MINUTE,
        "um/s": 1e-6,
    },
    "m s-2": {"m/s2": 1, "mm/s2": 1e-3},
    "kg": {"kg": 1, "g": 1e-3, "mg": 1e-6, "t": 1e3, "[lb_av]": 0.45359237},
    "kg s-1": {
        "kg/s": 1,
        "kg/min": 1 / _MINUTE,
        "kg/h": 1 / _HOUR,
        "g/s": 1e-3,
        "g/min": 1e-3 / _MINUTE,
        "t/h": 1e3 / _HOUR,
        "t/d": 1e3 / _DAY,
    },
    "m3 s-1": {
        "m3/s": 1,
        "m3/min": 1 / _MINUTE,
        "m3/h": 1 / _HOUR,
        "m3/d": 1 / _DAY,
        "L/s": _LITRE,
        "L/min": _LITRE / _MINUTE,
        "L/h": _LITRE / _HOUR,
        "l/s": _LITRE,
        "l/min": _LITRE / _MINUTE,
        "l/h": _LITRE / _HOUR,
        "mL/min": _LITRE / 1e3 / _MINUTE,
        "[gal_us]/min": _GALLON / _MINUTE,
    },
    "kg m-3": {"kg/m3": 1, "g/cm3": 1e3, "g/L": 1, "mg/L": 1e-3, "g/m3": 1e-3, "mg/m3": 1e-6, "ug/m3": 1e-9},
    "kg m s-2": {"N": 1, "mN": 1e-3, "kN": 1e3, "MN": 1e6},
    "kg m2 s-2": {
        "J": 1,
        "kJ": 1e3,
        "MJ": 1e6,
        "GJ": 1e9,
        "N.m": 1,
        "kN.m": 1e3,
        "cal": 4.184,
        "kcal": 4184,
        "W.h": _HOUR,
        "kW.h": 1e3 * _HOUR,
        "MW.h": 1e6 * _HOUR,
        "GW.h": 1e9 * _HOUR,
    },
    "kg m-1 s-2": {
        "Pa": 1,
        "hPa": 1e2,
        "kPa": 1e3,
        "MPa": 1e6,
        "GPa": 1e9,
        "N/mm2": 1e6,
        "bar": 1e5,
        "mbar": 1e2,
        "atm": 101325,
        "[psi]": 6894.757293168361,
        "mm[Hg]": 133.322387415,
        "m[H2O]": 9806.65,
        "kW.h/m3": 1e3 * _HOUR,
    },
    "K": {"K": 1, "Cel": 1, "[degF]": 5 / 9},
    "s-1 K": {"K/s": 1, "K/min": 1 / _MINUTE, "K/h": 1 / _HOUR},
    "kg m2 s-3": {
        "W": 1,
        "mW": 1e-3,
        "kW": 1e3,
        "MW": 1e6,
        "GW": 1e9,
        "V.A": 1,
        "kV.A": 1e3,
        "MV.A": 1e6,
    },
    "kg m2 s-3 A-1": {"V": 1, "uV": 1e-6, "mV": 1e-3, "kV": 1e3},
    "A": {"A": 1, "uA": 1e-6, "mA": 1e-3, "kA": 1e3},
    "kg m2 s-3 A-2": {"Ohm": 1, "mOhm": 1e-3, "kOhm": 1e3, "MOhm": 1e6},
    "kg-1 m-2 s3 A2": {"S": 1, "mS": 1e-3, "uS": 1e-6},
    "kg-1 m-3 s3 A2": {"S/m": 1, "mS/cm": 1e-1, "uS/cm": 1e-4},
    "kg-1 m-2 s4 A2": {"F": 1, "uF": 1e-6, "nF": 1e-9, "pF": 1e-12},
    "kg m2 s-2 A-2": {"H": 1, "mH": 1e-3, "uH": 1e-6},
    "s A": {"C": 1, "A.h": _HOUR},
    "kg s-2 A-1": {"T": 1, "mT": 1e-3},
    "rad": {"rad": 1, "mrad": 1e-3, "deg": 0.017453292519943295},
    "s-1 rad": {"rad/s": 1, "deg/s": 0.017453292519943295},
    "cd": {"cd": 1},
    "cd rad2": {"lm": 1},
    "m-2 cd rad2": {"lx": 1},
    "mol": {"mol": 1, "mmol": 1e-3},
    "m-3 mol": {"mol/L": 1e3, "mmol/L": 1},
    "kg m-1 s-1": {"Pa.s": 1, "mPa.s": 1e-3, "cP": 1e-3},
    "m2 s-1": {"m2/s": 1, "mm2/s": 1e-6},
    "m2 s-2": {"J/kg": 1, "kJ/kg": 1e3, "kW.h/t": _HOUR, "kW.h/kg": 1e3 * _HOUR},
    "m2 s-2 K-1": {"kJ/(kg.K)": 1e3},
    "m-2 s2": {"kg/(kW.h)": 1 / (1e3 * _HOUR), "g/(kW.h)": 1e-3 / (1e3 * _HOUR)},
    "kg s-3": {"W/m2": 1, "kW/m2": 1e3},
    "kg s-3 K-1": {"W/(m2.K)": 1},
    "kg m s-3 K-1": {"W/(m.K)": 1},
    "bit": {"bit": 1, "By": 8, "kBy": 8e3, "MBy": 8e6},
    "[pH]": {"[pH]": 1},
}
"""Dimension to code to factor, so that `si = value * factor` (temperatures have an offset as well)."""

_OFFSETS: Final = {"Cel": 273.15, "[degF]": 459.67 * 5 / 9}

_TABLE: Final = {
    code: _Unit(dimension, float(factor), _OFFSETS.get(code, 0.0))
    for dimension, codes in _COMMON.items()
    for code, factor in codes.items()
}

_MEANT: Final = {
    "": "1",
    "-": "1",
    "°C": "Cel",
    "℃": "Cel",
    "degC": "Cel",
    "celsius": "Cel",
    "°F": "[degF]",
    "℉": "[degF]",
    "degF": "[degF]",
    "°": "deg",
    "psi": "[psi]",
    "PSI": "[psi]",
    "ppm": "[ppm]",
    "ppb": "[ppb]",
    "pH": "[pH]",
    "rpm": "/min",
    "RPM": "/min",
    "1/min": "/min",
    "r/min": "/min",
    "cpm": "/min",
    "1/s": "/s",
    "sec": "s",
    "hr": "h",
    "hour": "h",
    "day": "d",
    "kWh": "kW.h",
    "MWh": "MW.h",
    "Wh": "W.h",
    "GWh": "GW.h",
    "kVA": "kV.A",
    "VA": "V.A",
    "MVA": "MV.A",
    "Ah": "A.h",
    "Nm": "N.m",
    "kNm": "kN.m",
    "m³": "m3",
    "m²": "m2",
    "m³/h": "m3/h",
    "kvar": "kV.A",
    "var": "V.A",
    "ohm": "Ohm",
    "Ω": "Ohm",
    "kΩ": "kOhm",
    "µm": "um",
    "μm": "um",
    "in": "[in_i]",
    "inch": "[in_i]",
    "ft": "[ft_i]",
    "lb": "[lb_av]",
    "lbs": "[lb_av]",
    "gal": "[gal_us]",
    "inHg": "[in_i'Hg]",
    "mmHg": "mm[Hg]",
    "mmH2O": "mm[H2O]",
    "mH2O": "m[H2O]",
    "Cel/min": "K/min",
    "Cel/s": "K/s",
    "Cel/h": "K/h",
    "°C/min": "K/min",
    "m/s²": "m/s2",
    "mm/s²": "mm/s2",
    "mPas": "mPa.s",
    "Pas": "Pa.s",
    "GPM": "[gal_us]/min",
    "gpm": "[gal_us]/min",
    "lpm": "L/min",
    "tons": "t",
    "percent": "%",
    "byte": "By",
    "Byte": "By",
    "kmh": "km/h",
    "kph": "km/h",
    "cSt": "mm2/s",
    "µS/cm": "uS/cm",
    "μS/cm": "uS/cm",
    "L/m": "L/min",
    "atu": "bar",
    "barg": "bar",
}
"""What people write, and the UCUM code for it."""

_ANNOTATION = re.compile(r"\{[^{}]*\}")
_SUPERSCRIPT: Final = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_SUBSCRIPT: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SHOWN: Final = {
    "Cel": "°C",
    "[degF]": "°F",
    "deg": "°",
    "Ohm": "Ω",
    "By": "B",
    "wk": "wk",
    "[psi]": "psi",
    "[pH]": "pH",
    "[ppm]": "ppm",
    "[ppb]": "ppb",
    "[ppth]": "‰",
    "[in_i]": "in",
    "[ft_i]": "ft",
    "[lb_av]": "lb",
    "[gal_us]": "gal",
    "[Hg]": "Hg",
    "[H2O]": "H₂O",
    "'": "′",
    "''": "″",
}
_ATOM = re.compile(r"10\*[+-]?\d+|\[[^\]]*\]|\{[^{}]*\}|[A-Za-z_%'\"*]+|[+-]?\d+|[./()]")


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
    return _ask_library(code, _ANNOTATION.sub("{u}", code))


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


_BASE: Final = {
    "kilogram": "kg",
    "meter": "m",
    "second": "s",
    "ampere": "A",
    "kelvin": "K",
    "mole": "mol",
    "candela": "cd",
    "radian": "rad",
    "bit": "bit",
    "count": "",
}


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
