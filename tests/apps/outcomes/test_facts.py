"""Rows and their sums: what is refused, what a digest sees, and what stays unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.outcomes.works import FACTORS, WORKS, Works

from headrace.apps.outcomes.facts import digest, factors_of, facts_of, values
from headrace.apps.outcomes.measures import MEASURES
from headrace.apps.outcomes.panel import panel_of, within
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS

PLANT = Works(seed=1, days=56)
ALL = PLANT.facts()
DEFINITION = PLANT.definition()
ROW: dict[str, Any] = {
    "id": "a", "start_ns": 0, "end_ns": DAY_NS, "unit": "acme", "quantity": "attended_h", "amount": 8.0, "factor": ""
}  # fmt: skip


def sums(rows: Any, factors: dict[str, float] | None = None) -> Any:
    chosen = within(DEFINITION, DEFINITION.baseline, rows)
    return panel_of(DEFINITION, DEFINITION.baseline, chosen, factors or dict(FACTORS))


def test_sums_are_those_of_the_rows_at_their_factors() -> None:
    panel = sums(ALL)
    mine = (ALL.quantity == "energy_kgce") & (ALL.start_ns < panel.edges_ns[-1])
    expected = float((ALL.amount[mine] * [FACTORS[name] for name in ALL.factor[mine]]).sum())
    assert panel.column("energy_kgce").sum() == pytest.approx(expected, rel=1e-12) and expected > 0
    assert np.isnan(panel.column("unheard:of")).all()


def test_the_order_of_rows_is_of_no_account() -> None:
    mixed = ALL.pick(np.random.default_rng(1).permutation(len(ALL)))
    assert (sums(mixed).sums[~np.isnan(sums(mixed).sums)] == sums(ALL).sums[~np.isnan(sums(ALL).sums)]).all()
    assert digest(mixed) == digest(ALL)


@pytest.mark.parametrize("field", ["id", "start_ns", "end_ns", "unit", "quantity", "amount", "factor"])
def test_a_digest_sees_every_bit_of_every_field(field: str) -> None:
    changed = {"amount": float(np.nextafter(8.0, 9.0)), "start_ns": 1, "end_ns": DAY_NS + 1, "quantity": "person_days"}
    assert digest(facts_of([{**ROW, field: changed.get(field, "other")}])) != digest(facts_of([ROW]))


def test_a_day_without_rows_is_unknown_and_one_without_failures_is_not() -> None:
    frequency, labour = MEASURES["failure_frequency"], MEASURES["labour_productivity"]
    third = (ALL.start_ns - ALL.start_ns.min()) // DAY_NS == 2
    panel = sums(ALL.pick(~(third & np.isin(ALL.quantity, ["failures", "person_days"]))))
    failures, hours = panel.pair(frequency)
    assert failures[2] == 0 and hours[2] > 0
    added, days = panel.pair(labour)
    assert np.isnan(added[2]) and np.isnan(days[2]) and np.isnan(added).sum() == 1
    no_output = sums(ALL.pick(~(third & (ALL.quantity == "value_added_cny"))))
    added, days = no_output.pair(labour)
    assert np.isnan(added[2]) and np.isnan(days[2]) and no_output.column("person_days")[2] > 0


def test_only_rows_of_the_units_count() -> None:
    other = facts_of([{**row, "id": f"other {row['id']}", "unit": f"{WORKS}2"} for row in ALL.rows()[:200]])
    assert len(within(DEFINITION, DEFINITION.baseline, other)) == 0
    assert len(within(DEFINITION, DEFINITION.baseline, ALL)) > 1000


def test_a_row_that_reaches_into_the_next_day_is_refused_by_name() -> None:
    row = {**ALL.rows()[0], "id": "a long one"}
    with pytest.raises(DataError, match="'a long one' reaches beyond its period, that of 2024-01-01"):
        sums(facts_of([{**row, "end_ns": row["end_ns"] + 1}]))


def test_a_factor_that_nobody_gave_and_a_negative_amount_are_refused() -> None:
    with pytest.raises(DataError, match="no factor 'coal:electricity'"):
        sums(ALL, {name: value for name, value in FACTORS.items() if name != "coal:electricity"})
    row = next(row for row in ALL.rows() if row["quantity"] == "person_days")
    with pytest.raises(DataError, match="negative person_days"):
        sums(facts_of([{**row, "amount": -1.0}]))


def test_value_added_may_be_negative() -> None:
    row = next(row for row in ALL.rows() if row["quantity"] == "value_added_cny")
    assert sums(facts_of([{**row, "amount": -1.0}])).column("value_added_cny")[0] < 0


anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.just([]))


@given(st.lists(st.dictionaries(st.sampled_from([*ROW, "other"]), anything) | anything, max_size=3))
def test_arbitrary_rows_are_read_or_refused(rows: list[Any]) -> None:
    try:
        read = facts_of(rows)
    except DataError as error:
        assert error.message
    else:
        assert facts_of(read.rows()).rows() == read.rows()


@given(st.dictionaries(st.text(max_size=5), anything, max_size=3))
def test_arbitrary_factors_are_read_or_refused(given_factors: dict[str, Any]) -> None:
    try:
        read = factors_of(given_factors)
    except DataError:
        return
    assert all(value > 0 for value in read.values())


def test_a_value_is_the_amount_at_its_factor() -> None:
    rows = facts_of([{**ROW, "factor": "x"}, {**ROW, "id": "b"}])
    assert values(rows, {"x": 3.0}).tolist() == [24.0, 8.0] and values(facts_of([]), {}).size == 0
