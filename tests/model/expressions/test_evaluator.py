"""What the generated programs of `test_meaning.py` do not reach: late samples, reasons, long and many series, state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.expressions.reference import Reference
from tests.properties import examples

from headrace.model import quality as q
from headrace.model.batch import TEXT_DTYPE, ValueKind
from headrace.model.errors import DataError
from headrace.model.expressions import FUNCTIONS, Evaluator, Samples, Series, Variable, compile, evaluate
from headrace.model.time import SECOND_NS
from headrace.model.units import convert

FLOAT, INT, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
SCOPE = {
    "a": Variable(FLOAT),
    "b": Variable(FLOAT),
    "n": Variable(INT),
    "m": Variable(INT),
    "on": Variable(BOOL),
    "state": Variable(TEXT),
    "t": Variable(FLOAT, "Cel"),
    "u": Variable(FLOAT, "Cel"),
    "p": Variable(FLOAT, "bar"),
    "w": Variable(FLOAT, "kW"),
}


def series(values: Any, kind: ValueKind = FLOAT, quality: Any = 0, step_s: float = 1.0) -> Series:
    """A sample a second from 0 on."""
    column = np.array(values, TEXT_DTYPE if kind is TEXT else kind.dtype)
    times = (np.arange(len(column)) * step_s * SECOND_NS).astype(np.int64)
    return Series(times, column, np.broadcast_to(np.uint32(quality), times.shape).copy())


def some(*rows: tuple[int, float, Any], quality: int = 0, kind: ValueKind = FLOAT) -> Samples:
    """(instance, seconds, value)."""
    return Samples(
        np.array([row[0] for row in rows], np.intp),
        np.array([row[1] * SECOND_NS for row in rows], np.int64),
        np.array([row[2] for row in rows], TEXT_DTYPE if kind is TEXT else kind.dtype),
        np.full(len(rows), quality, np.uint32),
    )


def shown(samples: Samples) -> list[tuple[int, float, Any]]:
    return [
        (int(i), int(t) / SECOND_NS, v if int(c) < q.BAD else None)
        for i, t, v, c in zip(
            samples.instances, samples.source_ns, samples.values.tolist(), samples.quality, strict=True
        )
    ]


def test_a_point_holds_its_newest_sample_for_the_others() -> None:
    evaluator = Evaluator(compile("a + b", SCOPE), 2)
    assert shown(evaluator.take({"a": some((0, 1, 1.0), (1, 1, 10.0))})) == [(0, 1.0, None), (1, 1.0, None)]
    assert shown(evaluator.take({"b": some((0, 2, 5.0))})) == [(0, 2.0, 6.0)]
    assert shown(evaluator.take({"a": some((0, 3, 2.0), (0, 4, 3.0)), "b": some((0, 4, 7.0))})) == [
        (0, 3.0, 7.0),
        (0, 4.0, 10.0),
    ]


def test_a_moment_that_comes_again_is_corrected() -> None:
    evaluator = Evaluator(compile("change(a) + b", SCOPE), 1)
    evaluator.take({"a": some((0, 1, 1.0)), "b": some((0, 1, 0.0))})
    assert shown(evaluator.take({"a": some((0, 2, 4.0))})) == [(0, 2.0, 3.0)]
    assert shown(evaluator.take({"a": some((0, 2, 5.0))})) == [(0, 2.0, 4.0)]
    assert shown(evaluator.take({"b": some((0, 2, 10.0))})) == [(0, 2.0, 14.0)]
    assert not evaluator.counts


def test_late_samples_are_counted_and_never_go_back_in_time() -> None:
    evaluator = Evaluator(compile("a + b", SCOPE), 1)
    evaluator.take({"a": some((0, 10, 1.0)), "b": some((0, 10, 1.0))})
    assert shown(evaluator.take({"a": some((0, 9, 100.0))})) == []
    evaluator.take({"a": some((0, 20, 2.0))})
    assert shown(evaluator.take({"b": some((0, 15, 5.0))})) == [(0, 20.0, 7.0)]
    assert evaluator.counts == {"late": 2}


def test_impossible_times_are_left_out_and_counted() -> None:
    for text in ("mean(a, 31d)", "ago(a, 31d)", "rate(a)", "age(a)", "a"):
        evaluator = Evaluator(compile(text, SCOPE), 1)
        times = np.array([-(2**63), 0, SECOND_NS, 2**63 - 1])
        found = evaluator.take({"a": Samples(np.zeros(4, np.intp), times, np.ones(4), np.zeros(4, np.uint32))})
        assert found.source_ns.tolist() == [0, SECOND_NS]
        assert evaluator.counts["wild"] == 2
    before_1970 = Evaluator(compile("mean(a, 10s)", SCOPE), 1)
    found = before_1970.take({"a": some(*((0, second, float(second)) for second in range(-30, 0)))})
    assert shown(found)[-1] == (0, -1.0, -6.5)


def test_moments_without_a_sample() -> None:
    evaluator = Evaluator(compile("held(a > 5, 1min)", SCOPE), 2)
    evaluator.take({"a": some((0, 0, 9.0), (1, 0, 1.0))})
    asked = np.array([0, 0, 1]), np.array([59, 60, 60]) * SECOND_NS
    assert shown(evaluator.take({}, asked)) == [(0, 59.0, None), (0, 60.0, True), (1, 60.0, False)]
    age = Evaluator(compile("age(a)", SCOPE), 1)
    age.take({"a": some((0, 3, 1.0))})
    assert shown(age.take({}, (np.array([0]), np.array([5 * SECOND_NS])))) == [(0, 5.0, 2.0)]
    assert shown(age.take({}, (np.array([], np.intp), np.array([], np.int64)))) == []


def test_what_cannot_be_worked_out_is_bad_and_counted() -> None:
    evaluator = Evaluator(compile("sqrt(a) / b", SCOPE), 1)
    a = some((0, 1, 4.0), (0, 2, -4.0), (0, 3, 4.0), (0, 4, 1e300))
    found = evaluator.take({"a": a, "b": some((0, 1, 2.0), (0, 3, 0.0), (0, 4, 1e-300))})
    assert shown(found) == [(0, 1.0, 1.0), (0, 2.0, None), (0, 3.0, None), (0, 4.0, None)]
    assert set(found.quality[1:].tolist()) == {q.BAD_OUT_OF_RANGE}
    assert evaluator.counts == {"outside the domain": 1, "division by zero": 1, "too large": 1}


@pytest.mark.parametrize(
    ("text", "n", "m", "expected"),
    [
        ("n + m", 2**63 - 1, 1, None),
        ("n + m", -(2**63), 2**63 - 1, -1),
        ("n - m", -(2**63), 1, None),
        ("n * m", 2**32, 2**31, None),
        ("n * m", 2**32, -(2**31), -(2**63)),
        ("n * m", 3037000500, 3037000500, None),
        ("n * m", 3037000499, 3037000499, 3037000499**2),
        ("-n", -(2**63), 0, None),
        ("abs(n)", -(2**63), 0, None),
        ("change(n)", 5, 0, None),
        ("n % m", -7, 3, 2),
        ("n % m", -7, 0, None),
        ("n / m", 1, 4, 0.25),
        ("sum(n, 1s)", 3, 0, 3.0),
    ],
)
def test_whole_numbers_do_not_run_over(text: str, n: int, m: int, expected: Any) -> None:
    found = evaluate(compile(text, SCOPE), {"n": series([n], INT), "m": series([m], INT)})
    assert (found.values[0] if found.quality[0] < q.BAD else None) == expected


def test_quality_is_the_worst_of_what_counts() -> None:
    uncertain, timeout = q.UNCERTAIN_SENSOR_NOT_ACCURATE, q.BAD_TIMEOUT
    inputs = {"a": series([1.0], quality=uncertain), "b": series([2.0], quality=timeout), "on": series([True], BOOL)}
    for text, quality in {
        "a + 1": uncertain,
        "a + b": timeout,
        "if(on, a, b)": uncertain,
        "if(not on, a, b)": timeout,
        "on or b > 1": 0,
        "on and b > 1": timeout,
        "a > 5 and b > 1": uncertain,
        "coalesce(b, a)": uncertain,
        "coalesce(b, 7)": 0,
        "good(b) or good(a)": 0,
    }.items():
        assert int(evaluate(compile(text, SCOPE), inputs).quality[0]) == quality, text


def test_a_spike_leaves_no_trace() -> None:
    values = [60.1, 1e15, *[60.1] * 40]
    for text, expected in (("mean(a, 10s)", 60.1), ("stddev(a, 10s)", 0.0), ("integral(a, 10s)", 601.0)):
        found = evaluate(compile(text, SCOPE), {"a": series(values)})
        assert found.values[12:].tolist() == [pytest.approx(expected, rel=1e-15, abs=0)] * 30, text
        assert not found.quality[12:].any()


def test_a_window_that_is_not_full_is_uncertain() -> None:
    quality = np.array([0, 0, 0, 0, q.BAD_TIMEOUT, 0, 0, 0, 0], np.uint32)
    given_ = series([1.0] * 9)
    found = evaluate(compile("mean(a, 2s)", SCOPE), {"a": Series(given_.source_ns, given_.values, quality)})
    partly = q.UNCERTAIN_SUB_NORMAL
    assert found.quality.tolist() == [partly, partly, 0, 0, partly, partly, partly, 0, 0]
    assert set(found.values.tolist()) == {1.0}


def test_long_and_uneven_series_agree_with_the_plain_evaluator() -> None:
    """One instance has thousands of samples within a window, others a few: all ways through `scan` and `find`."""
    random = np.random.default_rng(7)
    lengths = [4_000, 900, 40, 40, 40, 3, 1, 0]
    times = [np.sort(random.choice(600_000, length, replace=False)) * 1_000_000 for length in lengths]
    values = [random.integers(-5, 50, length).astype(np.float64) for length in lengths]
    whose = np.repeat(np.arange(len(lengths)), lengths)
    columns = Samples(whose, np.concatenate(times), np.concatenate(values), np.zeros(len(whose), np.uint32))
    for text in ("mean(a, 1min)", "min(a, 7s)", "sum(a, 1min)", "ago(a, 30s)", "stddev(a, 20s)", "last(a, 1s)"):
        program = compile(text, SCOPE)
        found = Evaluator(program, len(lengths)).take({"a": columns})
        moved = Samples(whose + 3, columns.source_ns, columns.values, columns.quality)
        other = Evaluator(program, len(lengths) + 3).take({"a": moved})  # another number, other blocks
        np.testing.assert_array_equal(found.quality, other.quality)
        np.testing.assert_allclose(found.values, other.values, rtol=1e-12, atol=1e-9)
        for instance, length in enumerate(lengths):
            mine = np.flatnonzero(found.instances == instance)
            assert len(mine) == length
            samples = [(int(t), float(v), 0) for t, v in zip(times[instance], values[instance], strict=True)]
            reference = Reference(program, {"a": samples})
            for at in random.choice(mine, min(length, 12), replace=False).tolist():
                value, quality = reference.at(int(found.source_ns[at]))
                assert int(found.quality[at]) == quality
                if quality < q.BAD:
                    assert float(found.values[at]) == pytest.approx(float(value), rel=1e-12, abs=1e-9), text


def test_what_is_remembered_does_not_grow() -> None:
    program = compile("mean(a, 1min) + ago(b, 30s) + prev(a)", SCOPE)
    evaluator, sizes = Evaluator(program, 100), []
    whose = np.arange(100)
    for second in range(600):
        times = np.full(100, second * SECOND_NS, np.int64)
        column = Samples(whose, times, np.full(100, float(second)), np.zeros(100, np.uint32))
        evaluator.take({"a": column, "b": column})
        sizes.append(sum(array.nbytes for array in evaluator.state().values()))
    assert max(sizes[300:]) <= max(sizes[100:200])


def test_what_is_remembered_is_bounded() -> None:
    evaluator = Evaluator(compile("mean(a, 1h) + ago(b, 1h)", SCOPE), 2, kept_max=50)
    for second in range(200):
        found = evaluator.take({"a": some((0, second, 7.0), (1, second, 7.0)), "b": some((0, second, 1.0))})
        assert evaluator.kept <= 150
    assert evaluator.counts["forgotten"] == 3 * 150
    mean = Evaluator(compile("mean(a, 1min)", SCOPE), 1, kept_max=50)
    for second in range(200):
        found = mean.take({"a": some((0, second, 7.0))})
    assert shown(found) == [(0, 199.0, 7.0)]
    assert found.quality.tolist() == [q.UNCERTAIN_SUB_NORMAL]


def test_state_belongs_to_one_program() -> None:
    one, other = Evaluator(compile("mean(a, 1min)", SCOPE), 2), Evaluator(compile("prev(a)", SCOPE), 2)
    with pytest.raises(DataError, match="another expression"):
        other.restore(one.state())
    with pytest.raises(DataError, match="another expression"):
        Evaluator(one.program, 1).restore(one.state())


def test_instances_that_are_new_begin_with_nothing() -> None:
    program = compile("mean(a, 5s) + prev(a) + ago(b, 2s) + age(a) / 1[s]", SCOPE)
    random = np.random.default_rng(3)

    def second(at: int, instances: int) -> dict[str, Samples]:
        whose, times = np.arange(instances), np.full(instances, at * SECOND_NS)
        quality = np.zeros(instances, np.uint32)
        return {name: Samples(whose, times, random.random(instances), quality) for name in "ab"}

    calls = [second(at, 2) for at in range(20)] + [second(at, 3) for at in range(20, 40)]
    small, whole, large = Evaluator(program, 2), Evaluator(program, 3), Evaluator(program, 3)
    for call in calls[:20]:
        small.take(call)
        whole.take(call)
    large.restore(small.state())
    for call in calls[20:]:
        expected, found = whole.take(call), large.take(call)
        np.testing.assert_array_equal(expected.values, found.values)
        np.testing.assert_array_equal(expected.quality, found.quality)


@pytest.mark.parametrize(
    "given_",
    [
        Samples(np.array([0]), np.array([1, 2]), np.array([1.0]), np.array([0], np.uint32)),
        Samples(np.array([0]), np.array([1]), np.array([1]), np.array([0], np.uint32)),
        Samples(np.array([2]), np.array([1]), np.array([1.0]), np.array([0], np.uint32)),
        Samples(np.array([-1]), np.array([1]), np.array([1.0]), np.array([0], np.uint32)),
        Samples(np.array([0.0]), np.array([1]), np.array([1.0]), np.array([0], np.uint32)),
        Samples(np.array([0]), np.array([1.5]), np.array([1.0]), np.array([0], np.uint32)),
    ],
)
def test_columns_that_do_not_fit_are_refused(given_: Samples) -> None:
    with pytest.raises(DataError, match="samples of 'a'"):
        Evaluator(compile("a", SCOPE), 2).take({"a": given_})


def test_all_inputs_are_needed_for_a_stretch() -> None:
    with pytest.raises(DataError, match="needs samples of b"):
        evaluate(compile("a + b", SCOPE), {"a": series([1.0])})


def test_a_stretch_may_be_long_and_in_any_order() -> None:
    random = np.random.default_rng(5)
    count = 600_000
    times = np.arange(count) // 2 * SECOND_NS  # each moment twice: the one that stands later counts
    order = random.permutation(count)
    times, values, quality = times[order], random.random(count), np.zeros(count, np.uint32)
    program = compile("mean(a, 1h) + prev(a)", SCOPE)
    found = evaluate(program, {"a": Series(times, values, quality)})
    whole = Evaluator(program).take({"a": Samples(np.zeros(count, np.intp), times, values, quality)})
    assert len(found.source_ns) == count // 2
    for ours, theirs in (
        (found.source_ns, whole.source_ns), (found.values, whole.values), (found.quality, whole.quality)
    ):  # fmt: skip
        np.testing.assert_array_equal(ours, theirs)


def test_no_samples_make_no_results() -> None:
    found = evaluate(compile("a + 1", SCOPE), {"a": series([])})
    assert len(found.source_ns) == len(found.values) == len(found.quality) == 0
    assert found.values.dtype == np.float64


def test_given_columns_are_left_as_they_are() -> None:
    column = some((0, 1, 1.0), (0, 2, np.nan), (0, 2, 3.0))
    before = [part.copy() for part in (column.instances, column.source_ns, column.values, column.quality)]
    found = Evaluator(compile("a", SCOPE), 1).take({"a": column})
    found.values[:] = 7.0
    for part, was in zip((column.instances, column.source_ns, column.values, column.quality), before, strict=True):
        np.testing.assert_array_equal(part, was)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t + 5[K]", 25.0),
        ("5[K] + t", 25.0),
        ("t - 5[K]", 15.0),
        ("t - 9[[degF]]", 20.0 - (9 - 32) / 1.8),
        ("to(t, [[degF]]) - to(u, [[degF]])", -10.0),
        ("to(t, [K]) - u", -10.0),
        ("to(t, [K])", 293.15),
        ("(t + u) / 2", 25.0),
        ("max(t, 300[K])", 26.85),
        ("max(t, 80)", 80.0),
        ("change(to(t, [[degF]]))", 5.0),
        ("p + 50[kPa]", 2.5),
        ("50[kPa] + p", 250.0),
        ("5[min] / 1[s] * 1[s]", 5.0),
        ("5[min] + 1[s] * p / 1[bar]", 5.0 + 2 / 60),
        ("to(p * 3[L/min], [W])", 10.0),
        ("2[bar] * 3", 6.0),
    ],
)
def test_values_in_units(text: str, expected: float) -> None:
    inputs = {"t": series([15.0, 20.0]), "u": series([30.0, 30.0]), "p": series([2.0, 2.0])}
    program = compile(text, SCOPE)
    if not program.inputs:
        assert float(program.tree.detail) == pytest.approx(expected)
        return
    found = evaluate(program, {name: inputs[name] for name in program.inputs})
    assert float(found.values[-1]) == pytest.approx(expected, rel=1e-12, abs=1e-10)


UNITS = {"t": "[degF]", "u": "K", "p": "kPa", "w": "MW"}
CONVERTIBLE = [
    ("t - u > 1.5[K]", None),
    ("(t + u) / 2", "Cel"),
    ("t - u", "K"),
    ("max(t, 30[Cel])", "Cel"),
    ("p * 2[L/min]", "kW"),
    ("mean(t, 5s)", "Cel"),
    ("stddev(t, 5s)", "K"),
    ("integral(w, 5s)", "kW.h"),
    ("rate(t)", "K/s"),
    ("change(p) / p", "1"),
    ("sqrt(p / 850[kg/m3])", "m/s"),
    ("p ^ 2", "bar2"),
    ("if(t > 20[Cel], p, 0)", "bar"),
    ("clamp(p, 1[bar], 200[kPa])", "bar"),
    ("w / (t - u)", "kW/K"),
]


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(CONVERTIBLE))
def test_converted_points_give_the_converted_result(seed: int, case: tuple[str, str | None]) -> None:
    text, unit = case
    random = np.random.default_rng(seed)
    inputs = {name: series(random.uniform(-5, 60, 30) + (0 if name in "tu" else 10)) for name in UNITS}
    scope = dict(SCOPE)
    other = {}
    for name, theirs in UNITS.items():
        kelvin = theirs == "K"  # a point in K is no scale: °C stays °C for differences to be such
        scope[name] = SCOPE[name] if kelvin else Variable(FLOAT, theirs)
        given_ = inputs[name]
        values = given_.values if kelvin else convert(given_.values, SCOPE[name].unit, theirs)
        other[name] = Series(given_.source_ns, values, given_.quality)
    ours, theirs_ = compile(text, SCOPE, unit=unit), compile(text, scope, unit=unit)
    a = evaluate(ours, {name: inputs[name] for name in ours.inputs})
    b = evaluate(theirs_, {name: other[name] for name in theirs_.inputs})
    np.testing.assert_array_equal(a.quality, b.quality)
    usable = a.quality < q.BAD
    if ours.kind is FLOAT:
        np.testing.assert_allclose(a.values[usable], b.values[usable], rtol=1e-8, atol=1e-8)
    else:
        assert (a.values[usable] == b.values[usable]).all()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.signature)
def test_the_example_of_every_function_is_a_program(function: Any) -> None:
    scope = {
        "a": Variable(FLOAT),
        "b": Variable(FLOAT),
        "level": Variable(FLOAT, "m"),
        "oil.temperature": Variable(FLOAT, "Cel"),
        "power": Variable(FLOAT, "kW"),
        "pieces": Variable(INT),
        "running": Variable(BOOL),
        "state": Variable(TEXT),
    }
    program = compile(function.example, scope)
    assert f"{function.name}(" in function.example
    values = {FLOAT: [1.0, 2.0], INT: [1, 2], BOOL: [True, True], TEXT: ["running", "run"]}
    found = evaluate(program, {name: series(values[kind], kind) for name, kind in program.inputs.items()})
    assert len(found.values) == 2
