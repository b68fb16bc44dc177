"""The tree is checked when it is made; its flows balance, or say why not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.apps.energy.shared import T0

from headrace.apps.energy.balance import balance, balances
from headrace.apps.energy.meters import Meter, MeterTree
from headrace.apps.energy.readings import Readings
from headrace.model.errors import ConfigError, DataError, NotFound
from headrace.model.time import MINUTE_NS

END = T0 + 10 * MINUTE_NS


def counter(step: float, *, missing: int = 0) -> Readings:
    """One reading a minute for ten minutes, but for the last `missing`."""
    count = 11 - missing
    return Readings.of(T0 + MINUTE_NS * np.arange(count, dtype=np.int64), step * np.arange(count))


def tree(**changes: object) -> MeterTree:
    return MeterTree(
        [
            Meter("main", "electricity", point="p/main", accuracy_percent=0.5),
            Meter("press", "electricity", point="p/press", parent="main"),
            Meter("oven", "electricity", point="p/oven", parent="main", **changes),  # type: ignore[arg-type]
            Meter("rest", "electricity", parts=((1.0, "main"), (-1.0, "press"), (-1.0, "oven"))),
        ]
    )


def test_a_virtual_meter_is_a_signed_sum() -> None:
    flows, _ = tree().flows({"p/main": counter(10.0), "p/press": counter(3.0), "p/oven": counter(4.0)})
    assert flows["rest"].total(T0, END).value == pytest.approx(30.0)


def test_a_virtual_meter_does_not_take_what_is_missing_for_zero() -> None:
    flows, _ = tree().flows({"p/main": counter(10.0), "p/press": counter(3.0), "p/oven": counter(4.0, missing=4)})
    total = flows["rest"].total(T0, END)
    assert total.value == pytest.approx(18.0) and total.completeness == 0.6 and total.missing == ("rest",)
    none, _ = tree().flows({"p/main": counter(10.0)})
    assert none["rest"].total(T0, END).value is None


@pytest.mark.parametrize(
    ("press", "oven", "missing", "verdict"),
    [
        (4.0, 5.8, 0, "balanced"),
        (3.0, 4.0, 0, "unexplained"),
        (6.0, 6.0, 0, "exceeded"),
        (4.0, 5.8, 5, "unknown"),
    ],
)
def test_a_balance_says_what_is_so(press: float, oven: float, missing: int, verdict: str) -> None:
    flows, _ = tree().flows(
        {"p/main": counter(10.0), "p/press": counter(press), "p/oven": counter(oven, missing=missing)}
    )
    told = balance(tree(), flows, "main", T0, END)
    assert told.verdict == verdict
    assert [one.meter for one in balances(tree(), flows, T0, END)] == ["main"]
    if not missing:
        assert told.unexplained.value == pytest.approx(100.0 - 10 * (press + oven))
        assert told.share == pytest.approx(1.0 - (press + oven) / 10)


def test_children_within_the_classes_of_accuracy_do_not_exceed() -> None:
    flows, _ = tree().flows({"p/main": counter(10.0), "p/press": counter(5.0), "p/oven": counter(5.05)})
    told = balance(tree(), flows, "main", T0, END)
    assert told.tolerance == pytest.approx(np.sqrt(0.5**2 + 0.5**2 + 0.505**2))
    assert told.unexplained.value == pytest.approx(-0.5) and told.verdict == "balanced"


def test_a_leaf_has_no_balance() -> None:
    with pytest.raises(DataError, match="no children"):
        balance(tree(), {}, "press", T0, END)


def test_points_in_other_units_are_converted() -> None:
    plant = MeterTree(
        [
            Meter("gas", "natural_gas_high", "m3", "p/gas", "rate", "L/min"),
            Meter("heat", "heat", "MJ", "p/heat", "counter", "kW.h", ratio=2.0),
        ]
    )
    steady = Readings.of(T0 + MINUTE_NS * np.arange(61, dtype=np.int64), np.full(61, 500.0))
    flows, _ = plant.flows({"p/gas": steady, "p/heat": counter(1.0)})
    assert flows["gas"].total(T0, T0 + 60 * MINUTE_NS).value == pytest.approx(30.0)
    assert flows["heat"].total(T0, END).value == pytest.approx(10 * 3.6 * 2)


@pytest.mark.parametrize(
    ("meters", "message"),
    [
        ([Meter("a", "electricity")], "needs a point or parts"),
        ([Meter("a", "electricity", point="p", parts=((1.0, "a"),))], "needs a point or parts"),
        ([Meter("a", "electricity", point="p"), Meter("a", "electricity", point="q")], "two meters are named a"),
        ([Meter("a", "electricity", point="p", parent="b")], "which is not there"),
        ([Meter("a", "electricity", parts=((1.0, "b"),)), Meter("b", "electricity", parts=((1.0, "a"),))], "circle"),
        (
            [Meter("a", "electricity", point="p", parent="b"), Meter("b", "electricity", point="q", parent="a")],
            "circle",
        ),
        ([Meter("a", "electricity", point="p", reads="level")], "it can be counter"),
        ([Meter("a", "electricity", point="p", reads="rate", point_unit="kW.h")], "by time"),
        ([Meter("a", "electricity", point="p", point_unit="bar")], "differ in kind"),
        ([Meter("a", "electricity", point="p", unit="kWh")], "kW.h"),
        ([Meter("a", "electricity", point="p", ratio=0.0)], "more than 0"),
        (
            [Meter("a", "electricity", point="p"), Meter("b", "heat", "kW.h", "q", parent="a")],
            "only meters of one carrier",
        ),
        ([Meter("a", "electricity", point="p"), Meter("b", "electricity", "MJ", "q", parent="a")], "one unit"),
    ],
)
def test_a_tree_that_cannot_be_is_refused(meters: list[Meter], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MeterTree(meters)


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(NotFound, match="there are main, oven"):
        tree()["hall"]
    assert [meter.name for meter in tree().roots()] == ["main"]


def test_a_long_chain_of_sums_is_no_circle() -> None:
    chain = [Meter("m0", "electricity", point="p")]
    chain += [Meter(f"m{at}", "electricity", parts=((1.0, f"m{at - 1}"),)) for at in range(1, 2_000)]
    flows, _ = MeterTree(list(reversed(chain))).flows({"p": counter(1.0)})
    assert flows["m1999"].total(T0, END).value == pytest.approx(10.0)
