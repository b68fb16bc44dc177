"""Units: the table of common ones agrees with the library, and the library knows the rest."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.model import units
from headrace.model.errors import DataError


def test_the_table_agrees_with_the_library() -> None:
    from headrace.model.units import _TABLE, _ask_library

    for code, ours in _TABLE.items():
        theirs = _ask_library(code, code)
        assert theirs.dimension == ours.dimension, code
        assert theirs.factor == pytest.approx(ours.factor, rel=1e-12), code
        assert theirs.offset == pytest.approx(ours.offset, rel=1e-12), code


@pytest.mark.parametrize(
    ("value", "a", "b", "expected"),
    [
        (1.0, "bar", "kPa", 100.0),
        (100.0, "Cel", "[degF]", 212.0),
        (-40.0, "[degF]", "Cel", -40.0),
        (0.0, "Cel", "K", 273.15),
        (3.6, "MJ", "kW.h", 1.0),
        (60.0, "m3/h", "L/s", 16.666666666666668),
        (1.0, "mm[H2O]", "Pa", 9.80665),  # by the library
        (10.0, "[degRe]", "Cel", 12.5),  # by the library, with an offset
        (1.0, "{parts}/min", "/h", 60.0),
        (50.0, "%", "1", 0.5),
    ],
)
def test_conversion(value: float, a: str, b: str, expected: float) -> None:
    assert units.same_dimension(a, b)
    assert float(units.convert(value, a, b)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_arrays_keep_their_shape_and_their_gaps() -> None:
    values = np.array([[0.0, np.nan], [100.0, np.inf]])
    converted = units.convert(values, "Cel", "K")
    assert converted.shape == (2, 2)
    np.testing.assert_array_equal(np.isnan(converted), np.isnan(values))
    assert np.shares_memory(units.convert(values, "Cel", "Cel"), values)


@pytest.mark.parametrize(("a", "b"), [("bar", "Cel"), ("deg", "%"), ("kW", "kW.h"), ("dB", "1"), ("[pH]", "1")])
def test_what_measures_different_things_is_not_converted(a: str, b: str) -> None:
    assert not units.same_dimension(a, b)
    with pytest.raises(DataError, match="measure different things"):
        units.convert(1.0, a, b)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("°C", "Cel"),
        ("kWh", "kW.h"),
        ("rpm", "/min"),
        ("psi", "[psi]"),
        ("m³/h", "m3/h"),
        ("kpa", "kPa"),
        ("Cel/min", "K/min"),
        ("", "1"),
        ("mbarr", "mbar"),
    ],
)
def test_a_wrong_code_names_the_right_one(wrong: str, meant: str) -> None:
    with pytest.raises(DataError, match="is no UCUM unit") as caught:
        units.check_unit(wrong)
    assert f"did you mean '{meant}'?" in caught.value.message


@pytest.mark.parametrize("code", ["Cel", "10*3/uL", "bar{g}", "{parts}", "[iU]", "dB", "uOhm", "/{shift}", "[pH]"])
def test_codes_that_are_valid(code: str) -> None:
    assert units.check_unit(code) == code


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("Cel", "°C"),
        ("[degF]", "°F"),
        ("m3/h", "m³/h"),
        ("1", ""),
        ("kW.h", "kW·h"),
        ("uS/cm", "µS/cm"),
        ("kOhm", "kΩ"),
        ("W/(m2.K)", "W/(m²·K)"),
        ("m[H2O]", "mH₂O"),
        ("10*3/uL", "10³/µL"),
        ("{parts}/min", "parts/min"),
        ("/min", "1/min"),
        ("m.s-2", "m·s⁻²"),
        ("what?", "what?"),
    ],
)
def test_how_a_unit_is_shown(code: str, shown: str) -> None:
    assert units.display(code) == shown


def test_common_units_load_no_library() -> None:
    program = (
        "import sys; from headrace.model.units import *;"
        "[check_unit(code) for code in common_units()]; convert(1, 'bar', 'kPa');"
        "assert not {'pint', 'ucumvert', 'lark'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_a_data_error(code: str) -> None:
    units.display(code)
    try:
        units.check_unit(code)
        units.convert(1.0, code, code)
        units.same_dimension(code, "1")
    except DataError:
        return


@settings(deadline=None)
@given(st.text("mkgsAKuhd0129./*[](){}'^-+%", max_size=8))
def test_anything_like_a_unit_is_one_or_a_data_error(code: str) -> None:
    try:
        units.check_unit(code)
    except DataError:
        return
    units.convert(1.0, code, code)


@settings(deadline=None)
@given(st.sampled_from(units.common_units()), st.floats(-1e9, 1e9))
def test_there_and_back(code: str, value: float) -> None:
    base = next(other for other in units.common_units() if units.same_dimension(code, other))
    back = units.convert(units.convert(value, code, base), base, code)
    assert float(back) == pytest.approx(value, rel=1e-9, abs=1e-6)
