"""Evaluation means what the slow, plain evaluator says, and does not depend on how samples were cut into calls."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.model.expressions.reference import Reference, Sample, bad
from tests.properties import examples

from headrace.model import quality as q
from headrace.model.batch import TEXT_DTYPE, ValueKind
from headrace.model.expressions import Evaluator, ExpressionError, Program, Samples, Variable, compile

FLOAT, INT, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
SCOPE = {
    "a": Variable(FLOAT),
    "b": Variable(FLOAT),
    "n": Variable(INT),
    "on": Variable(BOOL),
    "state": Variable(TEXT),
}
VALUES: dict[str, list[Any]] = {
    "a": [*map(float, range(-8, 9)), 0.1, -0.0, 1e6, math.nan],
    "b": [*map(float, range(-3, 4))],
    "n": [*range(-5, 6), 2**62, -(2**63)],
    "on": [True, True, False],
    "state": ["", "run", "Running", "停机"],
}
QUALITIES = [0, 0, 0, 0, 0, 0, q.UNCERTAIN_SENSOR_NOT_ACCURATE, q.BAD_TIMEOUT, q.BAD_SENSOR_FAILURE]
SPANS = ("1s", "3s", "4s", "7s", "20s")
INSTANCES = 3
STEP_NS = 500_000_000


ARGUMENTS = st.sampled_from(["a", "b", "n % 100", "a - b", "prev(b)", "if(on, a, b)", "max(b, 2s)", "coalesce(b, a)"])


def exact(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What both evaluators work out to the same float: it may be rounded, compared or divided by."""
    window = st.sampled_from(["min", "max", "count", "first", "last", "ago"])
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*%"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["abs", "sign", "round", "floor", "ceil", "-"]), inner).map("{0[0]}({0[1]})".format),
        st.tuples(st.sampled_from(["prev", "change"]), ARGUMENTS).map("{0[0]}({0[1]})".format),
        st.tuples(window, ARGUMENTS, st.sampled_from(SPANS)).map("{0[0]}({0[1]}, {0[2]})".format),
        st.tuples(st.deferred(lambda: conditions()), inner, inner).map("if({0[0]}, {0[1]}, {0[2]})".format),
        st.sampled_from(["length(state)", "clamp(a, -1, 7)", "count(state, 4s)"]),
        st.tuples(st.sampled_from(["nelson", "western_electric"]), ARGUMENTS, st.sampled_from(["0", "b"])).map(
            "{0[0]}({0[1]}, {0[2]}, 2)".format
        ),
        st.tuples(st.sampled_from(["on", "a > b", "prev(b) > 0"]), st.sampled_from(SPANS)).map(
            "times({0[0]}, {0[1]})".format
        ),
    )


EXACT = st.recursive(st.sampled_from(["a", "b", "n", "2", "0.5", "3"]), exact, max_leaves=4)


def near(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What comes out equal but for rounding."""
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["min", "max", "coalesce"]), inner, inner).map("{0[0]}({0[1]}, {0[2]})".format),
        st.tuples(st.deferred(lambda: conditions()), inner, inner).map("if({0[0]}, {0[1]}, {0[2]})".format),
    )


NEAR = st.recursive(
    st.one_of(
        EXACT,
        st.tuples(EXACT, st.sampled_from("/^"), EXACT).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["sqrt", "ln", "log10"]), EXACT).map("{0[0]}({0[1]})".format),
        st.just("exp(b)"),
        ARGUMENTS.map("rate({}) * 1[s]".format),
        ARGUMENTS.map("age({}) / 1[s]".format),
        st.tuples(st.sampled_from(["mean", "sum", "stddev"]), ARGUMENTS, st.sampled_from(SPANS)).map(
            "{0[0]}({0[1]}, {0[2]})".format
        ),
        st.tuples(ARGUMENTS, st.sampled_from(SPANS)).map("integral({0[0]}, {0[1]}) / 1[s]".format),
    ),
    near,
    max_leaves=4,
)


def conditions() -> st.SearchStrategy[str]:
    plain = st.sampled_from(["a", "b", "n", "prev(n)", "min(b, 3s)", "last(a, 4s)", "count(a, 4s)", "ago(b, 3s)"])
    simple = st.one_of(
        st.tuples(plain, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), plain).map(" ".join),
        st.sampled_from(["on", "prev(on)", "good(a)", "true", 'state == "run"', 'starts(lower(state), "run")']),
        st.sampled_from(['contains(state, "停")', "ends(state, prev(state))", "last(state, 3s) != state"]),
        st.tuples(st.sampled_from(["on", "b > 0", "a > 0 or on"]), st.sampled_from(SPANS)).map(
            lambda t: f"held({t[0]}, {t[1]})"
        ),
    )
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            inner.map(lambda c: f"not ({c})"),
        ),
        max_leaves=4,
    )


PROGRAMS = st.one_of(
    NEAR,
    EXACT,
    conditions(),
    st.sampled_from(["state", "prev(state)", "first(state, 3s)", 'if(on, state, "x")', "coalesce(state, prev(state))"]),
)


def plant_of(seed: int, samples: int, good: bool) -> dict[str, list[list[Sample]]]:
    """Samples by name and instance, on a grid of half seconds."""
    random = Random(seed)
    found: dict[str, list[list[Sample]]] = {}
    for name, values in VALUES.items():
        found[name] = []
        for _ in range(INSTANCES):
            steps = sorted(random.sample(range(61), random.randint(0, samples)))
            qualities = [0] if good else QUALITIES
            found[name].append([(step * STEP_NS, random.choice(values), random.choice(qualities)) for step in steps])
    return found


PLANTS = st.builds(plant_of, st.integers(0, 2**32), st.sampled_from([3, 12, 40]), st.booleans())


def columns(name: str, rows: list[tuple[int, Sample]]) -> Samples:
    kind = SCOPE[name].kind
    values = [{FLOAT: math.nan, INT: 0, BOOL: False, TEXT: ""}[kind] if bad(s[2]) else s[1] for _, s in rows]
    return Samples(
        np.array([instance for instance, _ in rows], np.intp),
        np.array([sample[0] for _, sample in rows], np.int64),
        np.array(values, TEXT_DTYPE if kind is TEXT else kind.dtype),
        np.array([sample[2] for _, sample in rows], np.uint32),
    )


def compiled(text: str) -> Program:
    try:
        return compile(text, SCOPE)
    except ExpressionError as error:
        assume("in a constant" not in error.message)
        raise


def taken(evaluator: Evaluator, rows: list[tuple[int, str, Sample]]) -> Samples:
    names = {name for _, name, _ in rows}
    return evaluator.take({name: columns(name, [(i, s) for i, n, s in rows if n == name]) for name in names})


def by_moment(results: list[Samples]) -> dict[tuple[int, int], tuple[bytes | str, int]]:
    """The last result of each (instance, moment): its bits and quality."""
    found = {}
    for result in results:
        for instance, time_ns, value, quality in zip(
            result.instances.tolist(), result.source_ns.tolist(), result.values, result.quality.tolist(), strict=True
        ):
            found[instance, time_ns] = (value if isinstance(value, str) else value.tobytes(), quality)
    return found


def flat(program: Program, plant: dict[str, list[list[Sample]]]) -> list[tuple[int, str, Sample]]:
    return [
        (instance, name, sample) for name in program.inputs for instance in range(INSTANCES)
        for sample in plant[name][instance]
    ]  # fmt: skip


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(PROGRAMS, PLANTS)
def test_it_means_what_the_plain_evaluator_says(text: str, plant: dict[str, list[list[Sample]]]) -> None:
    program = compiled(text)
    assume(program.inputs)
    result = taken(Evaluator(program, INSTANCES), flat(program, plant))
    at = 0
    for instance in range(INSTANCES):
        reference = Reference(program, {name: plant[name][instance] for name in program.inputs})
        for now_ns in reference.times():
            value, quality = reference.at(now_ns)
            assert (int(result.instances[at]), int(result.source_ns[at])) == (instance, now_ns)
            assert (now_ns, int(result.quality[at])) == (now_ns, quality)
            if not bad(quality):
                ours = result.values[at]
                if program.kind is FLOAT:
                    assert float(ours) == pytest.approx(float(value), rel=1e-9, abs=1e-6), now_ns
                else:
                    assert ours == value, now_ns
            at += 1
    assert at == len(result.source_ns)


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(PROGRAMS, PLANTS, st.data())
def test_any_cut_gives_the_same_bits(text: str, plant: dict[str, list[list[Sample]]], data: st.DataObject) -> None:
    program = compiled(text)
    assume(program.inputs)
    random = Random(data.draw(st.integers(0, 2**32)))
    rows = []
    for instance, name, sample in sorted(flat(program, plant), key=lambda row: row[2][0]):
        while random.random() < 0.2:  # what another sample of the same moment takes the place of
            rows.append((instance, name, (sample[0], random.choice(VALUES[name]), random.choice(QUALITIES))))
        rows.append((instance, name, sample))
    whole = by_moment([taken(Evaluator(program, INSTANCES), rows)])
    density = data.draw(st.sampled_from([0.02, 0.3, 1.0]))
    cuts = [at for at in range(1, len(rows)) if random.random() < density]
    evaluator, parts = Evaluator(program, INSTANCES), []
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        parts.append(taken(evaluator, rows[start:end]))
        if random.random() < 0.1:
            state = evaluator.state()
            evaluator = Evaluator(program, INSTANCES)
            evaluator.restore(state)
    assert by_moment(parts) == whole
