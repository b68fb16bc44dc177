"""Control charts: each rule on a line that breaks it alone, and on long random lines beside a plain reading of them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from tests.model.expressions.reference import NELSON, WESTERN_ELECTRIC

from headrace.model.batch import ValueKind
from headrace.model.expressions import Evaluator, ExpressionError, Samples, Series, Variable, compile, evaluate

SCOPE = {
    "x": Variable(ValueKind.FLOAT64, "mm"),
    "on": Variable(ValueKind.BOOL),
    "t": Variable(ValueKind.FLOAT64, "Cel"),
}
S = 1_000_000_000


def rules_of(z: list[float], chart: str = "nelson") -> list[int]:
    """Of each sample; the centre line at 10 mm, sigma 0.5 mm."""
    program = compile(f"{chart}(x, 10[mm], 500[um])", SCOPE)
    values = 10 + 0.5 * np.array(z)
    result = evaluate(program, {"x": Series(np.arange(len(z)) * S, values, np.zeros(len(z), np.uint32))})
    assert not result.quality.any()
    return [int(value) for value in result.values]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (1, [0.1, -0.2, 3.1]),
        (2, [-0.1, 0.1, 1.2, 0.2, 0.3, 1.1, 0.2, 0.4, 1.3, 0.2]),
        (3, [-1.5, 0.2, -0.4, -0.2, -0.1, 0.3, 0.7, 1.4]),
        (4, [0.5, -0.5] * 7),
        (5, [0.2, 2.1, -0.3, 2.2]),
        (6, [-0.1, 1.2, 1.3, 0.2, 1.4, 1.1]),
        (7, [1.2, *[0.3, 0.4, -0.2, -0.6, 0.1] * 3]),
        (8, [0.2, 1.2, -1.2, -1.4, 1.3, -1.1, 1.2, 1.6, -1.5]),
    ],
)
def test_a_line_that_breaks_one_rule(rule: int, line: list[float]) -> None:
    found = rules_of(line)
    assert found == [0] * (len(line) - 1) + [rule]
    assert rules_of([-value for value in line])[-1] == rule  # mirrored it is as wrong


def test_the_rules_of_western_electric() -> None:
    assert rules_of([0.2, 2.1, -0.3, 2.2], "western_electric") == [0, 0, 0, 2]
    assert rules_of([-0.1, 1.2, 1.3, 0.2, 1.4, 1.1], "western_electric")[-1] == 3
    assert rules_of([0.2, 0.4] * 4, "western_electric")[-1] == 4


@pytest.mark.parametrize("seed", range(6))
def test_many_instances_in_any_cut_are_what_the_rules_say(seed: int) -> None:
    rng = Random(seed)
    print("seed", seed)
    chart, rules = rng.choice([("nelson", NELSON), ("western_electric", WESTERN_ELECTRIC)])
    lines = [[rng.choice([rng.gauss(0, 1), rng.gauss(1, 0.5), 0.4 * at]) for at in range(120)] for _ in range(4)]
    wanted = [
        [next((n for n, rule in enumerate(rules, 1) if rule(line[: at + 1])), 0) for at in range(120)] for line in lines
    ]
    program = compile(f"{chart}(x, 0[mm], 1[mm])", SCOPE)
    evaluator, found = Evaluator(program, 4), [[] for _ in lines]
    at = 0
    while at < 120:
        end = min(at + rng.randint(1, 25), 120)
        instance = np.repeat(np.arange(4), end - at)
        values = np.array([line[n] for line in lines for n in range(at, end)])
        times = np.tile(np.arange(at, end) * S, 4)
        result = evaluator.take({"x": Samples(instance, times, values, np.zeros(len(values), np.uint32))})
        for one, value in zip(result.instances.tolist(), result.values.tolist(), strict=True):
            found[one].append(value)
        if rng.random() < 0.3:
            state = evaluator.state()
            evaluator = Evaluator(program, 4)
            evaluator.restore(state)
        at = end
    assert found == wanted


def test_twice_in_ten_minutes() -> None:
    program = compile("times(held(on, 30s), 10min) >= 2", SCOPE)
    changes = [(0, False), (60, True), (80, False), (100, True), (140, False), (300, True), (400, False), (900, False)]
    times = np.array([at * S for at, _ in changes] + [at * S for at in range(0, 1300, 10)])
    order = np.argsort(times, kind="stable")
    shown, now = [], False
    values = dict(changes)
    for at in (times[order] // S).tolist():
        now = values.get(at, now)
        shown.append(now)
    result = evaluate(program, {"on": Series(times[order], np.array(shown), np.zeros(len(times), np.uint32))})
    true = [int(at) // S for at, value in zip(result.source_ns, result.values, strict=True) if value]
    assert (min(true), max(true)) == (330, 720)  # held from 130 and from 330; the first leaves the window at 730


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nelson(x, 10[mm], 1[K])", "they measure different things"),
        ("nelson(x, 10[bar], 1[mm])", "they measure different things"),
        ("nelson(x, 10[mm])", "nelson is written nelson"),
        ("times(true, 10s)", "times needs a point"),
        ("nelson(1, 2, 3)", "nelson needs a point"),
        ("nelson(t, 60[Cel], 2[Cel])", "different|zero of its own|difference"),
    ],
)
def test_what_makes_no_sense_is_told(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        compile(text, SCOPE)


def test_sigma_of_a_temperature_is_in_kelvin() -> None:
    program = compile("nelson(t, 60[Cel], 2[K])", SCOPE)
    result = evaluate(program, {"t": Series(np.arange(2) * S, np.array([61.0, 67.0]), np.zeros(2, np.uint32))})
    assert result.values.tolist() == [0, 1]
    assert (program.kind, program.unit, program.samples) == (ValueKind.INT64, "1", 16)
