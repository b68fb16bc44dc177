"""Calculated points as samples come: what is made, in which order, whatever the cuts; what stays when plants change."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compute.points.plant import PLANT, T0, Plant, S
from tests.properties import examples

from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind

GOOD, WAITING, EXCEEDED = q.GOOD, q.BAD_WAITING_FOR_INITIAL_DATA, q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED


def test_one_call_goes_through_all_levels() -> None:
    plant = Plant()
    calculator = plant.calculator()
    made = plant.shown(calculator.take(plant.batch([("a/p1/oil", 0, 60.0), ("a/p1/coolant", 0, 40.0)])))
    assert made["a/p1/excess"] == [(0, 20.0, GOOD)]
    assert [value for _, value, _ in made["a/p1/mean"]] == [20.0]
    assert "a/p2/excess" not in made
    made = plant.shown(calculator.take(plant.batch([("a/p1/oil", 3, 61.0)])))
    assert made["a/p1/hot"] == [(3, True, GOOD)]


def test_points_of_several_assets_meet() -> None:
    plant = Plant()
    calculator = plant.calculator()
    made = plant.shown(calculator.take(plant.batch([("a/p1/pieces", 0, 3), ("a/p2/pieces", 0, 4)])))
    (first,) = made["a/total"]
    assert first[2] == WAITING  # press 3 has not told
    made = plant.shown(calculator.take(plant.batch([("a/p3/pieces", 1, 5)])))
    assert made["a/total"] == [(1, 12.0, GOOD)]


def test_a_result_outside_the_range_is_flagged_and_received_with_its_newest_input() -> None:
    plant = Plant()
    calculator = plant.calculator()
    batches = calculator.take(plant.batch([("a/p1/oil", 0, 99.0), ("a/p1/coolant", 0, 40.0)], late_s=2.5))
    assert plant.shown(batches)["a/p1/excess"] == [(0, 59.0, EXCEEDED)]
    (excess,) = [one for one in batches if plant.handles["a/p1/excess"] in one.handles]
    assert excess.received_ns.tolist() == [T0 + round(2.5 * S)]


def test_time_alone_is_told_once_where_it_changes_something() -> None:
    plant = Plant()
    calculator = plant.calculator()
    calculator.take(plant.batch([("a/p1/oil", 0, 60.0), ("a/p1/coolant", 0, 40.0)], late_s=5.0))
    told: list[Any] = []
    for second in range(1, 60):
        made = calculator.tick(T0 + second * S)
        told += plant.shown(made).get("a/p1/silent", [])
        assert all((one.received_ns - one.source_ns == 5 * S).all() for one in made)
    # our clock is 5 s ahead of the source
    assert told == [(31.0, True, GOOD)]
    made = plant.shown(calculator.take(plant.batch([("a/p1/oil", 58, 60.0)], late_s=5.0)))
    assert made["a/p1/silent"] == [(58, False, GOOD)]


def test_what_has_told_just_now_is_not_asked_by_a_quiet_tick() -> None:
    plant = Plant()
    calculator = plant.calculator()
    calculator.take(plant.batch([("a/p1/oil", 0, 60.0), ("a/p1/coolant", 0, 40.0)]))
    calculator.take(plant.batch([("a/p1/oil", 1, 62.0)]))
    assert "a/p1/mean" not in plant.shown(calculator.tick(T0 + round(1.5 * S), quiet_ns=S))
    assert "a/p1/mean" in plant.shown(calculator.tick(T0 + 2 * S, quiet_ns=S))


def test_a_wild_clock_counts_by_received_time() -> None:
    plant = Plant()
    calculator = plant.calculator()
    wild = Batch.of(ValueKind.FLOAT64, [plant.handles["a/p1/oil"]], [5], [50.0], received_ns=[T0])
    calculator.take(plant.batch([("a/p1/coolant", -1, 40.0)]))
    assert plant.shown(calculator.take([wild]))["a/p1/excess"] == [(0, 10.0, GOOD)]


def test_a_sample_of_another_kind_is_counted_and_left_out() -> None:
    plant = Plant()
    calculator = plant.calculator()
    text = Batch.of(ValueKind.TEXT, [plant.handles["a/p1/oil"]], [T0], ["hot"])
    assert calculator.take([text]) == []
    assert calculator.counters.wrong_kind > 0


def test_late_samples_are_noted_with_their_stretch() -> None:
    plant = Plant()
    calculator = plant.calculator()
    calculator.take(plant.batch([("a/p1/oil", 10, 60.0), ("a/p1/coolant", 10, 40.0)]))
    calculator.take(plant.batch([("a/p1/oil", 4, 50.0), ("a/p1/oil", 7, 51.0)]))
    late = calculator.late["a/p1/excess"]
    assert (late.first_ns, late.last_ns) == (T0 + 4 * S, T0 + 7 * S)
    assert "a/p2/excess" not in calculator.late


def test_what_stays_keeps_its_past_when_the_plant_changes() -> None:
    plant = Plant()
    before = plant.calculator()
    before.take(plant.batch([("a/p1/oil", 0, 60.0), ("a/p1/coolant", 0, 40.0), ("a/p2/coolant", 0, 30.0)]))
    grown = Plant(
        PLANT.replace("  a/p3:", "  a/p4: {type: press, connection: plc}\n  a/p3:")
        + "  a/p2/excess: {expression: coolant - oil}\n"
    )
    grown.handles = {**{path: 100 + at for at, path in enumerate(grown.model.points)}, **plant.handles}
    grown.paths = {handle: path for path, handle in grown.handles.items()}
    after = grown.calculator(before)
    assert sorted(after.fresh) == ["a/p2/excess", *(f"a/p4/{name}" for name in ("excess", "hot", "mean", "silent"))]
    made = grown.shown(after.take(grown.batch([("a/p1/oil", 5, 62.0), ("a/p4/oil", 5, 62.0), ("a/p2/oil", 5, 60.0)])))
    assert made["a/p1/excess"] == [(5, 22.0, GOOD)]
    assert [value for _, value, _ in made["a/p1/mean"]] == [20.0]
    assert made["a/p4/excess"] == [(5, made["a/p4/excess"][0][1], WAITING)]
    assert made["a/p2/excess"][0][2] == WAITING  # another expression: it begins anew


SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["a/p1/oil", "a/p1/coolant", "a/p2/oil", "a/p2/coolant", "a/p1/pieces", "a/p3/pieces"]),
        st.integers(0, 40),
    ),
    min_size=1, max_size=40, unique=True,
)  # fmt: skip


@settings(max_examples=examples(80))
@given(samples=SAMPLES, seed=st.integers(0, 2**32))
def test_however_samples_are_cut_the_results_are_the_same(samples: list[tuple[str, int]], seed: int) -> None:
    rng = random.Random(seed)
    rows = sorted(
        ((path, at, rng.randint(0, 9) if path.endswith("pieces") else rng.uniform(20, 80)) for path, at in samples),
        key=lambda row: row[1],
    )
    plant = Plant()
    whole = plant.shown(plant.calculator().take(plant.batch(rows)))
    calculator, parts = plant.calculator(), []
    at = 0
    while at < len(rows):
        end = at + rng.randint(1, 5)
        while end < len(rows) and rows[end][1] == rows[end - 1][1]:
            end += 1  # a moment is not cut: its first half would be corrected by the second
        parts += calculator.take(plant.batch(rows[at:end]))
        at = end
        if rng.random() < 0.2:
            calculator = plant.calculator(calculator)
    assert plant.shown(parts) == whole
