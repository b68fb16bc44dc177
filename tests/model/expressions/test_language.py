"""What is an expression and what is none: kinds, units, places of errors, bounds. Any text is one or the other."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.expressions import FUNCTIONS, AssetScope, ExpressionError, Variable, compile
from headrace.model.expressions.problems import DEPTH_MAX, LENGTH_MAX, NODES_MAX, POINTS_MAX
from headrace.model.points import Point
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS

FLOAT, INT, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
SCOPE = {
    "oil.temperature": Variable(FLOAT, "Cel"),
    "coolant.temperature": Variable(FLOAT, "Cel"),
    "ambient": Variable(FLOAT, "[degF]"),
    "kelvin": Variable(FLOAT, "K"),
    "pressure": Variable(FLOAT, "bar"),
    "back.pressure": Variable(FLOAT, "kPa"),
    "power": Variable(FLOAT, "kW"),
    "level": Variable(FLOAT, "m"),
    "fill": Variable(FLOAT, "%"),
    "x": Variable(FLOAT),
    "pieces": Variable(INT),
    "running": Variable(BOOL),
    "state": Variable(TEXT),
    "温度": Variable(FLOAT, "Cel"),
    "../press-2/level": Variable(FLOAT, "m"),
}


@pytest.mark.parametrize(
    ("text", "kind", "unit"),
    [
        ('mean(oil.temperature, 10min) - coolant.temperature > 15[K] and state == "running"', BOOL, ""),
        ("1 + 2 * 3", INT, "1"),
        ("1 / 2", FLOAT, "1"),
        ("pieces + 1", INT, "1"),
        ("pieces * 1.5", FLOAT, "1"),
        ("pieces / 2", FLOAT, "1"),
        ("pieces % 2 == 0", BOOL, ""),
        ("2 ^ pieces", FLOAT, "1"),
        ("pressure + 5", FLOAT, "bar"),
        ("pressure + back.pressure", FLOAT, "bar"),
        ("back.pressure + pressure", FLOAT, "kPa"),
        ("5[kPa] + pressure", FLOAT, "kPa"),
        ("pressure / back.pressure", FLOAT, "bar/kPa"),
        ("power * 2[h]", FLOAT, "kW.h"),
        ("power / level", FLOAT, "kW/m"),
        ("1 / level", FLOAT, "/m"),
        ("level * level", FLOAT, "m2"),
        ("level ^ 3", FLOAT, "m3"),
        ("(level ^ 2) ^ 0.5", FLOAT, "m"),
        ("sqrt(2 * 9.81[m/s2] * level)", FLOAT, "m/s"),
        ("sqrt(2 * pressure / 1000[kg/m3])", FLOAT, "m/s"),
        ("fill * level", FLOAT, "%.m"),
        ("exp(fill)", FLOAT, "1"),
        ("oil.temperature - coolant.temperature", FLOAT, "K"),
        ("ambient - ambient", FLOAT, "K"),
        ("oil.temperature + 5[K]", FLOAT, "Cel"),
        ("5[K] + oil.temperature", FLOAT, "Cel"),
        ("oil.temperature - 5[K]", FLOAT, "Cel"),
        ("kelvin - oil.temperature", FLOAT, "K"),
        ("(oil.temperature + coolant.temperature) / 2", FLOAT, "Cel"),
        ("(oil.temperature + coolant.temperature + 温度) / 3", FLOAT, "Cel"),
        ("0.3 * oil.temperature + 0.7 * coolant.temperature", FLOAT, "Cel"),
        ("(oil.temperature - coolant.temperature) * 2", FLOAT, "K"),
        ("power / (oil.temperature - coolant.temperature)", FLOAT, "kW/K"),
        ("max(oil.temperature, 300[K])", FLOAT, "Cel"),
        ("to(oil.temperature, [K]) * 2", FLOAT, "K"),
        ("to(ambient, [Cel])", FLOAT, "Cel"),
        ("rate(oil.temperature)", FLOAT, "K/s"),
        ("change(pieces)", INT, "1"),
        ("prev(state)", TEXT, ""),
        ("mean(pieces, 1h)", FLOAT, "1"),
        ("max(pieces, 1h)", INT, "1"),
        ("stddev(oil.temperature, 1h)", FLOAT, "K"),
        ("integral(power, 1h)", FLOAT, "kW.s"),
        ("integral(oil.temperature - 20[Cel], 1h)", FLOAT, "K.s"),
        ("count(state, 1h30min)", INT, "1"),
        ("age(state)", FLOAT, "s"),
        ('if(running, "on", state)', TEXT, ""),
        ("if(running, 1, 0)", INT, "1"),
        ("if(running, level, 0)", FLOAT, "m"),
        ("coalesce(`../press-2/level`, level)", FLOAT, "m"),
        ("not running or running and true", BOOL, ""),
        ("- level", FLOAT, "m"),
        ("72[[degF]] < ambient", BOOL, ""),
        ("1e3", FLOAT, "1"),
        ("9223372036854775807", INT, "1"),
        ("9223372036854775808", FLOAT, "1"),
        ('length("\\"停\\\\")', INT, "1"),
    ],
)
def test_kinds_and_units(text: str, kind: ValueKind, unit: str) -> None:
    program = compile(text, SCOPE)
    assert (program.kind, program.unit) == (kind, unit)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("pressure + oil.temperature", "pressure + oil.temperature", "bar beside °C: they measure different things"),
        ("level > 5[kPa]", "level > 5[kPa]", "m beside kPa"),
        ("x + level", "x + level", "a number without unit beside m"),
        ("oil.temperature * 2 > 5", "oil.temperature * 2", "divide by how many there are"),
        ("oil.temperature + coolant.temperature", "oil.temperature + coolant.temperature", "adds up °C"),
        ("oil.temperature * level", "oil.temperature", "a zero of its own"),
        ("1 / oil.temperature", "oil.temperature", "to(x, [K])"),
        ("integral(oil.temperature, 1h)", "oil.temperature", "a zero of its own"),
        ("oil.temperature - coolant.temperature > 15[Cel]", "15[Cel]", "write differences in K"),
        ("exp(level)", "level", "cannot be converted to 1"),
        ("level ^ x", "x", "a constant"),
        ("level ^ 1.5", "1.5", "a whole number"),
        ("sqrt(level)", "level", "has no square root"),
        ("to(level, [kPa])", "to(level, [kPa])", "cannot be converted to kPa"),
        ("5[kWh]", "[kWh]", "did you mean 'kW.h'"),
        ("5[°C]", "[°C]", "did you mean 'Cel'"),
        ("levle + 1", "levle", "did you mean 'level'?"),
        ("oil.temprature", "oil.temprature", "did you mean 'oil.temperature'?"),
        ("`../press-3/level`", "`../press-3/level`", "did you mean '../press-2/level'?"),
        ("means(level, 1h)", "means", "there is no function 'means'; did you mean 'mean'?"),
        ("mean", "mean", "the function is written mean(…)"),
        ("mean(level)", "mean(level)", "written mean(x, span); this has 1"),
        ("mean(level, 600)", "600", "takes a duration here"),
        ("mean(level, 32d)", "32d", "up to 31d"),
        ("mean(level, 0s)", "0s", "more than 0s"),
        ("mean(mean(level, 20d), 20d)", "mean(mean(level, 20d), 20d)", "look back 40d"),
        ("mean(5, 1h)", "5", "a constant has no past"),
        ("clamp(level, 1)", "clamp(level, 1)", "written clamp(x, low, high)"),
        ("to(level, 5)", "5", "a unit in brackets"),
        ("level + 10min", "10min", "600[s]"),
        ("level [m]", "[m]", "a unit stands behind a number"),
        ("[m]", "[m]", "a unit stands behind a number"),
        ("running + 1", "running", "if(x, 1, 0)"),
        ("level and running", "level", "compare it"),
        ("state > 5", "state", "a text stands where a number is expected beside '>'"),
        ("state == 5", "5", "a number stands where a text is expected"),
        ('state + "x"', "state", "a text stands where a number"),
        ("if(level, 1, 2)", "level", "compare it"),
        ('if(running, 1, "x")', '"x"', "as the first is"),
        ("1 < x < 2", "<", "one comparison after the other"),
        ("1 +", "+", "ends where a value is expected"),
        ("", "", "there is no expression"),
        ("(1 + 2", "(", "never closed"),
        ("mean(level, 1h", "(", "mean( are never closed"),
        ("1 + 2)", ")", "closes nothing"),
        ("x level", "level", "an operator is missing"),
        ("(x level)", "level", "an operator or ) is missing"),
        ("x = 1", "=", "write =="),
        ("x && running", "&&", "write and"),
        ("x ** 2", "**", "written with ^"),
        ("x > 1，", "，", "write ,"),
        ("（x）", "（", "write ("),
        ("x ≥ 1", "≥", "write >="),
        ("state == 'run'", "'", 'write "'),
        ('state == "run', '"run', 'add "'),
        ('"\\q"', "\\q", "write \\\\"),
        ("`level", "`level", "add `"),
        ("5[m", "[m", "add ]"),
        ("5kPa", "5kPa", "15[kPa]"),
        ("5.", "5.", "is no number"),
        (".5", ".", "a number begins with a digit"),
        ("1e999", "1e999", "too large"),
        ("1 / 0 + x", "1 / 0", "division by zero in a constant"),
        ("sqrt(0 - 1)", "sqrt(0 - 1)", "outside the domain in a constant"),
        ("9223372036854775807 + 1", "9223372036854775807 + 1", "too large in a constant"),
        ("x\x00", "\x00", "U+0000 means nothing"),
        ("1h30x", "1h30x", "this is no duration"),
    ],
)
def test_errors_say_where_and_what_to_do(text: str, place: str, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile(text, SCOPE)
    error = caught.value
    assert isinstance(error, DataError)
    assert (text[error.start : error.end], says in error.message) == (place, True), error.pointed(text)


def test_both_sides_of_what_does_not_fit_are_named() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile("1 + (pressure + level)", SCOPE)
    text = "1 + (pressure + level)"
    assert [text[start:end] for start, end in caught.value.also] == ["pressure", "level"]


def test_an_error_points_at_its_line() -> None:
    text = "level +\n  levle * 2"
    with pytest.raises(ExpressionError) as caught:
        compile(text, SCOPE)
    assert caught.value.pointed(text).splitlines() == [
        "  levle * 2",
        "  ^^^^^ there is no point 'levle'; did you mean 'level'?",
    ]


def test_a_program_says_what_it_needs() -> None:
    program = compile("mean(prev(level) - ago(level, 30s), 10min) > 5 and running", SCOPE)
    assert program.inputs == {"level": FLOAT, "running": BOOL}
    assert program.memory_ns == 10 * MINUTE_NS + 30 * SECOND_NS
    assert program.samples == 2
    assert compile("level", SCOPE).memory_ns == 0
    assert compile("held(running, 1h30min)", SCOPE).memory_ns == HOUR_NS + 30 * MINUTE_NS


def test_every_part_has_its_place_kind_and_unit() -> None:
    text = "power * 2[h] > 5[kW.h]"
    tree = compile(text, SCOPE).tree
    seen = []
    stack = [tree]
    while stack:
        node = stack.pop()
        seen.append((text[node.start : node.end], node.kind.label, node.unit))
        stack += node.parts
    assert ("power * 2[h]", "float64", "kW.h") in seen
    assert ("power", "float64", "kW") in seen
    assert ("5[kW.h]", "int64", "kW.h") in seen


def test_a_result_is_asked_for_in_a_unit() -> None:
    assert compile("integral(power, 1h)", SCOPE, unit="kW.h").unit == "kW.h"
    assert compile("5 + 5", SCOPE, unit="bar").unit == "bar"
    assert compile("oil.temperature", SCOPE, unit="[degF]").unit == "[degF]"
    for text, unit in (("power", "bar"), ("running", "bar"), ("state == state", "1")):
        with pytest.raises(ExpressionError):
            compile(text, SCOPE, unit=unit)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1" + " " * LENGTH_MAX, "an expression has up to"),
        ("(" * (DEPTH_MAX + 1) + "1" + ")" * (DEPTH_MAX + 1), "deep"),
        ("-" * 3000 + "1", "deep"),
        ("not " * 900 + "true", "deep"),
        ("abs(" * 900, "deep"),
        ("1^" * 900 + "1", "deep"),
        ("+".join(["1"] * (NODES_MAX + 1)), "parts"),
        ("+".join(f"p{number}" for number in range(POINTS_MAX + 1)), "points"),
        ('"' + "x" * 2000 + '"', "characters"),
        ("t" + " * 1e-300" * 200, "too many or too small"),
        ("`" + "x" * 2000 + "`", "backquotes"),
    ],
)
def test_bounds(text: str, says: str) -> None:
    scope = {f"p{number}": Variable(FLOAT) for number in range(POINTS_MAX + 1)} | {"t": Variable(FLOAT, "Cel")}
    with pytest.raises(ExpressionError, match=says):
        compile(text, scope)


def test_what_is_within_bounds_is_no_trouble() -> None:
    nested = "(" * (DEPTH_MAX - 1) + "x" + ")" * (DEPTH_MAX - 1)
    long = " + ".join(["x"] * (NODES_MAX // 2))
    assert compile(nested, SCOPE).kind is FLOAT
    assert compile(long, SCOPE).kind is FLOAT


SIGNS = ["(", ")", ",", "+", "-", "*", "/", "%", "^", "<", "==", "and", "or", "not", " ", "[", "]", '"', "`", "\\", "="]
WORDS = [*SCOPE, *(function.name for function in FUNCTIONS), "1", "2.5", "10min", "5[K]", "[bar]", "true", '"x"', "é"]


@settings(max_examples=examples(2000), deadline=None)
@given(st.one_of(st.lists(st.sampled_from(SIGNS + WORDS * 2), max_size=25).map("".join), st.text(max_size=60)))
def test_any_text_is_a_program_or_an_error_with_a_place(text: str) -> None:
    try:
        program = compile(text, SCOPE)
    except ExpressionError as error:
        assert 0 <= error.start <= error.end <= len(text)
        assert error.start < error.end or not text.strip() or error.start == len(text)
        assert error.message and error.pointed(text)
    else:
        assert program.kind in ValueKind


def test_names_are_of_the_asset_or_of_the_plant() -> None:
    points = {
        path: Point(path, FLOAT, unit)
        for path, unit in {
            "acme/hall/press-1/level": "m",
            "acme/hall/press-2/level": "cm",
            "acme/hall/压机/液位": "mm",
            "acme/boiler/pressure": "bar",
        }.items()
    }
    scope = AssetScope(points, "acme/hall/press-1")
    for text, unit in {
        "level": "m",
        "`level`": "m",
        "`../press-2/level`": "cm",
        "`../压机/液位`": "mm",
        "`../../boiler/pressure`": "bar",
        "`/acme/boiler/pressure`": "bar",
    }.items():
        assert compile(text, scope).unit == unit
    assert scope.path("../../boiler/pressure") == "acme/boiler/pressure"
    assert list(scope) == ["level"]
    for text, says in {
        "`../press-2/levle`": "did you mean '../press-2/level'",
        "`/acme/boiler/presure`": "did you mean '/acme/boiler/pressure'",
        "`../../../../level`": "there is no point",
        "`../ /level`": "is not a name",
        "levl": "did you mean 'level'",
    }.items():
        with pytest.raises(ExpressionError, match=says.replace(".", r"\.")):
            compile(text, scope)


def test_units_of_a_plant_load_no_library() -> None:
    code = (
        "import sys\n"
        "from headrace.model.expressions import Variable, compile\n"
        "from headrace.model.batch import ValueKind\n"
        "scope = {'p': Variable(ValueKind.FLOAT64, 'kW'), 't': Variable(ValueKind.FLOAT64, 'Cel')}\n"
        "compile('to(integral(p, 1h), [kW.h]) / 5[t] > 3[kW.h/t] and rate(t) > 2[K/min]', scope)\n"
        "assert 'pint' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
