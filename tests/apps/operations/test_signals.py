"""From points to states, and from counters to quantities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.apps.operations.elements import Quantity
from headrace.apps.operations.quantities import Counter, increments
from headrace.apps.operations.series import Series
from headrace.apps.operations.signals import (
    MTCONNECT,
    PACKML,
    BitsRule,
    ExpressionRule,
    StatusRule,
    numbers_of,
    text_code,
    timeline,
)  # fmt: skip
from headrace.apps.operations.states import State
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError
from headrace.model.expressions import Variable

NAN = float("nan")


def columns(*values: list[float]) -> list[np.ndarray]:
    return [np.array(one, np.float64) for one in values]


def names(states: np.ndarray) -> list[str]:
    return [State(int(state)).name for state in states]


def test_a_status_by_numbers_and_by_texts() -> None:
    packml = StatusRule("s", PACKML)
    assert names(packml.states(columns([6, 11, 9, 99, NAN]))) == ["PRODUCING", "STOPPED", "FAULT", "UNKNOWN", "UNKNOWN"]
    batch = Batch.of(
        ValueKind.TEXT, [0, 0, 0], [1, 2, 3], np.array(["ACTIVE", "READY", "ACTIVE"], np.dtypes.StringDType()),
        np.array([q.GOOD, q.GOOD, q.BAD], np.uint32),
    )  # fmt: skip
    told = numbers_of(batch)
    assert told[:2].tolist() == [text_code("ACTIVE"), text_code("READY")] and np.isnan(told[2])
    assert names(StatusRule("e", MTCONNECT).states([told])) == ["PRODUCING", "IDLE", "UNKNOWN"]
    with pytest.raises(ConfigError, match="empty"):
        StatusRule("s", {})


def test_bits_fault_first_then_running_then_setup() -> None:
    rule = BitsRule("run", "trip", "tool", State.IDLE)
    states = rule.states(columns([1, 1, 0, 0, NAN, NAN], [0, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0]))
    assert names(states) == ["PRODUCING", "FAULT", "FAULT", "SETUP", "UNKNOWN", "FAULT"]


def test_conditions_in_order_and_what_is_not_known_is_unknown() -> None:
    kinds = {"load": Variable(ValueKind.FLOAT64, "%"), "door": Variable(ValueKind.BOOL)}
    rule = ExpressionRule.of([("door", State.STOPPED), ("load > 20[%]", State.PRODUCING)], kinds, State.IDLE)
    assert rule.inputs == ("door", "load")
    states = rule.states(columns([0, 0, 1, 0, NAN], [50, 10, 50, NAN, 50]))
    assert names(states) == ["PRODUCING", "IDLE", "STOPPED", "UNKNOWN", "UNKNOWN"]
    for text, said in (("load + 1[%]", "condition"), ("mean(load, 1min) > 3[%]", "looks back"), ("true", "no point")):
        with pytest.raises(ConfigError, match=said):
            ExpressionRule.of([(text, State.IDLE)], kinds, State.IDLE)


def test_a_state_of_two_points_changes_when_either_does() -> None:
    run, trip = Series(), Series()
    ids = np.arange(2, dtype=np.uint64)
    run.insert(np.array([10, 40]), np.array([1.0, 0.0]), ids, ids)
    trip.insert(np.array([30, 20]), np.array([0.0, 1.0]), ids, ids)
    times, states = timeline(BitsRule("run", "trip"), [run, trip], 0, 100)
    assert times.tolist() == [0, 10, 20, 30, 40]
    assert names(states) == ["UNKNOWN", "PRODUCING", "FAULT", "PRODUCING", "STOPPED"]


def test_counters_that_roll_over_are_reset_or_misread() -> None:
    word = Counter("c", Quantity.PQ, rollover=65536, increment_max=1000, factor=2)
    # 10 more; rolled over by 6 + 4; set to zero and 7 since; a misreading of 30000, and back
    values = np.array([65520, 65530, 4, 20000.0, 7, 30000, 30001])
    assert increments(word, values).tolist() == [20, 20, 0, 14, 0, 2]
    plain = Counter("c", Quantity.PQ)
    assert increments(plain, np.array([100.0, 130, 0, 5, 5])).tolist() == [30, 0, 5, 0]
    for wrong in ({"kind": Quantity.IDEAL}, {"kind": Quantity.PQ, "factor": 0}):
        with pytest.raises(ConfigError):
            Counter("c", **wrong)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 30_000), max_size=30), st.integers(0, 65_535))
def test_a_word_that_counts_up_and_over_loses_nothing(steps: list[int], start: int) -> None:
    total = start + np.cumsum([0, *steps])
    counted = increments(Counter("c", Quantity.PQ, rollover=65_536), (total % 65_536).astype(np.float64))
    assert counted.tolist() == steps
