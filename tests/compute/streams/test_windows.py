"""Windows hold what a sample-at-a-time opinion says, however samples were cut, late or restarted in between."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given
from hypothesis import settings as checked
from hypothesis import strategies as st
from tests.compute.streams.slow import Slow
from tests.properties import examples

from headrace.compute.streams.engine import Engine, Made
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, LimitReached
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.columns_wire import decode, encode
from headrace.sdk.stream import StreamFunction, Window, count, reduced, session, sliding, stream, tumbling

T0 = 1_700_000_000 * SECOND_NS // HOUR_NS * HOUR_NS
OVER = T0 + 400 * SECOND_NS
POINTS = {number: f"a{number // 2}/{'xy'[number % 2]}" for number in range(6)}
Sample = tuple[int, int, float]  # handle, seconds, value

QUICK = [Phase.explicit, Phase.reuse, Phase.generate]
WINDOWS = [tumbling("10s"), sliding("20s", every="5s"), sliding("5s", every="5s"), session(gap="4s"), count(3)]


def listing(window: Window, lateness: str = "", idle: str = "8s", late: str = "drop") -> StreamFunction:
    """Its outputs tell what was in a window exactly: as a text of all rows would, in a number a window can have."""

    @stream(
        name="listing", inputs={"x": "x", "y": "y"}, outputs={"rows": "float64"}, window=window, join="window",
        lateness=lateness, idle=idle, late=late, keep="15s",
    )  # fmt: skip
    def told(columns: pa.RecordBatch) -> dict[str, float]:
        return {"rows": fingerprint(columns)}

    return told


def fingerprint(columns: pa.RecordBatch) -> float:
    rows = zip(
        columns["time"].cast("int64").to_pylist(),
        columns["input"].to_pylist(),
        columns["value"].to_pylist(),
        strict=True,
    )
    return score([((time - T0) // SECOND_NS, name, value) for time, name, value in rows])


def score(rows: Sequence[tuple[int, str, float]]) -> float:
    return float(hash(tuple((time, "xy".index(name), value) for time, name, value in rows)) % 2**50)


def batches(samples: Sequence[Sample]) -> list[Batch]:
    if not samples:
        return []
    handles, seconds, values = zip(*samples, strict=True)
    return [Batch.of(ValueKind.FLOAT64, handles, T0 + np.array(seconds) * SECOND_NS, np.array(values))]


def outcome(made: Sequence[Made], into: dict[tuple[str, int], Any] | None = None) -> dict[tuple[str, int], Any]:
    """By point and time, as a store would hold it."""
    found = {} if into is None else into
    for one in made:
        for which, time, value, quality in zip(one.which, one.time_ns, one.values, one.quality, strict=True):
            found[one.paths[which], int(time)] = (value.tobytes(), int(quality))
    return found


def run(
    function: StreamFunction, samples: Sequence[Sample], cuts: Sequence[int] = (), restarts: Sequence[int] = ()
) -> tuple[dict[tuple[str, int], Any], Engine]:
    """Cut before those places; a new engine takes up the state of the old one at those cuts."""
    engine, found = Engine(function), {}
    engine.bind(POINTS)
    edges = sorted({0, *cuts, len(samples)})
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        if number in restarts:
            kept = decode(encode(*engine.state()))
            engine = Engine(function)
            engine.restore(*kept)
            engine.bind(POINTS)
        outcome(engine.take(batches(samples[first:last])), found)
    outcome(engine.advance(OVER), found)
    return found, engine


def times(window: Window) -> st.SearchStrategy[list[Sample]]:
    del window
    return st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 60), st.sampled_from([0.5, 1.0, -2.0, 1e300])), max_size=60
    )


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("late", ["drop", "update"])
@checked(max_examples=examples(60), deadline=None, phases=QUICK)
@given(data=st.data())
def test_windows_hold_what_the_slow_one_says(window: Window, late: str, data: st.DataObject) -> None:
    if late == "update" and window.kind in ("session", "count"):
        with pytest.raises(ConfigError, match="late"):
            listing(window, late=late)
        return
    function = listing(window, data.draw(st.sampled_from(["", "3s", "12s"])), late=late)
    samples = data.draw(times(window))
    found, engine = run(
        function, samples, data.draw(st.lists(st.integers(0, 60))), data.draw(st.lists(st.integers(0, 9)))
    )
    slow = Slow(function)
    rows = [(POINTS[h][:2], POINTS[h][3], T0 + s * SECOND_NS, value) for h, s, value in samples]
    expected = {}
    for (key, _, end), held in slow.run(rows, OVER).items():
        told = [((time - T0) // SECOND_NS, name, value) for time, name, value in held]
        expected[f"{key}/rows", end] = (np.float64(score(told)).tobytes(), q.GOOD)
    if window.kind == "count":  # two windows may end at one moment: the last is what a store holds
        assert set(found) == set(expected)
    assert found == expected
    assert engine.counters.late == slow.late


JOINS = [("latest", ""), ("asof", ""), ("asof", "4s")]


@pytest.mark.parametrize(("join", "tolerance"), JOINS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@checked(max_examples=examples(40), deadline=None, phases=QUICK)
@given(data=st.data())
def test_cuts_order_within_lateness_and_restarts_change_nothing(
    window: Window, join: str, tolerance: str, data: st.DataObject
) -> None:
    """Joined by time and with state: every value of every window goes into the next one's outcome."""

    @stream(
        name="chained", inputs={"x": "x", "y": "y"}, outputs={"sum": "float64", "rows": "int64"}, window=window,
        join=join, tolerance=tolerance, lateness="10s", idle="10min",
    )  # fmt: skip
    def chained(columns: pa.RecordBatch, state: dict[str, Any]) -> dict[str, Any]:
        for name in ("x", "y"):
            for value in columns[name].to_pylist():
                state["sum"] = state.get("sum", 0.0) * 0.5 + (0.25 if value is None else value)
        state["list"] = [*state.get("list", [])[-3:], columns.num_rows]
        return {"sum": state["sum"], "rows": sum(state["list"])}

    chosen = data.draw(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=50))
    samples = [(handle, second, 0.5 + handle) for handle, second in sorted(chosen, key=lambda one: (one[1], one[0]))]
    shifts = data.draw(st.lists(st.integers(0, 10), min_size=len(samples), max_size=len(samples)))
    moved = [one for _, one in sorted(zip(shifts, samples, strict=True), key=lambda pair: pair[1][1] + pair[0])]
    plain, _ = run(chained, samples)
    found, engine = run(chained, moved, data.draw(st.lists(st.integers(0, 60))), data.draw(st.lists(st.integers(0, 9))))
    assert engine.counters.late == 0
    assert found == plain


@checked(max_examples=examples(40), deadline=None, phases=QUICK)
@given(data=st.data())
def test_reduced_values_are_the_same_to_the_last_bit_however_they_are_cut(data: st.DataObject) -> None:
    whats = ["mean", "min", "max", "sum", "count", "std", "first", "last"]
    function = reduced(
        "all", {what: ("x", what, "float64") for what in whats}, inputs={"x": "x"}, window=sliding("20s", every="10s"),
        lateness="60s",
    )  # fmt: skip
    values = st.floats(-1e6, 1e6)
    samples = data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), values), max_size=80))
    samples = list({(handle, second): (handle, second, value) for handle, second, value in samples}.values())
    plain, _ = run(function, samples)
    found, _ = run(
        function,
        data.draw(st.permutations(samples)),
        data.draw(st.lists(st.integers(0, 80))),
        data.draw(st.lists(st.integers(0, 9))),
    )
    assert found == plain
    for key in ("a0", "a1", "a2"):
        for end in range(10, 90, 10):
            held = [
                v
                for h, s, v in sorted(samples, key=lambda one: one[1])
                if POINTS[h] == f"{key}/x" and end - 20 <= s < end
            ]
            at = T0 + end * SECOND_NS
            if not held:
                assert (f"{key}/mean", at) not in found
                continue
            got = [np.frombuffer(found[f"{key}/{what}", at][0])[0] for what in whats]
            says = [np.mean(held), min(held), max(held), np.sum(held), len(held), np.std(held), held[0], held[-1]]
            np.testing.assert_allclose(got, says, rtol=1e-9, atol=1e-6)


def test_an_asof_join_takes_what_stood() -> None:
    seen: list[dict[str, list[Any]]] = []

    @stream(
        inputs={"speed": "x", "load": "y int64"}, outputs={"z": ""}, window="10s", join="asof", tolerance="5s",
        lateness="10s",
    )  # fmt: skip
    def both(columns: pa.RecordBatch, state: dict[str, Any], pane: Any) -> None:
        assert pane.key == "a0" and pane.end_ns - pane.start_ns == 10 * SECOND_NS
        seen.append(columns.select(["speed", "load"]).to_pydict())

    engine = Engine(both)
    engine.bind(POINTS)
    engine.take([Batch.of(ValueKind.INT64, [1, 1], [T0 + 8 * SECOND_NS, T0 + 17 * SECOND_NS], [2**60 + 1, 3])])
    engine.take(batches([(0, 9, 1.0), (0, 12, 2.0), (0, 14, 3.0), (0, 17, 4.0)]))
    engine.advance(OVER)
    assert seen == [{"speed": [1.0], "load": [2**60 + 1]}, {"speed": [2.0, 3.0, 4.0], "load": [2**60 + 1, None, 3]}]


def test_bad_samples_and_nan_are_left_out_and_uncertain_ones_show() -> None:
    function = reduced("m", {"mean": ("x", "mean", "")}, inputs={"x": "x"}, window="10s")
    engine = Engine(function)
    engine.bind(POINTS)
    values, quality = [1.0, np.nan, 99.0, 3.0], [q.GOOD, q.GOOD, q.BAD, q.UNCERTAIN]
    engine.take([Batch.of(ValueKind.FLOAT64, [0] * 4, T0 + np.arange(4), values, quality)])
    assert outcome(engine.advance(OVER)) == {
        ("a0/mean", T0 + 10 * SECOND_NS): (np.float64(2).tobytes(), q.UNCERTAIN_SUB_NORMAL)
    }
    assert engine.counters.unusable == 2


def test_a_wild_clock_counts_by_when_it_was_received() -> None:
    engine = Engine(reduced("m", {"n": ("x", "count", "")}, inputs={"x": "x"}, window="10s", idle="1s"))
    engine.bind(POINTS)
    wild = Batch.of(ValueKind.FLOAT64, [0, 0], [T0 + 90 * MINUTE_NS, 5], [1.0, 1.0], q.GOOD, [T0, T0 + 1])
    engine.take([wild])
    found = outcome(engine.take(batches([(2, 30, 1.0)])))
    assert list(found) == [("a0/n", T0 + 10 * SECOND_NS)] and engine.counters.late == 0


def test_an_edge_that_catches_up_is_not_late() -> None:
    """One asset is an hour behind the others: what it had begun is closed, what it brings then counts in full."""
    engine = Engine(reduced("m", {"n": ("x", "count", "")}, inputs={"x": "x"}, window="10s", idle="1min"))
    engine.bind(POINTS)
    found = outcome(engine.take(batches([(0, second, 1.0) for second in range(94)])))
    outcome(engine.take(batches([(2, second, 1.0) for second in range(0, 3600, 10)])), found)
    assert np.frombuffer(found["a0/n", T0 + 100 * SECOND_NS][0])[0] == 4
    for second in range(100, 205):
        outcome(engine.take(batches([(0, second, 1.0), (2, 3500 + second, 1.0)])), found)
    assert engine.counters.late == 0
    for end in range(110, 201, 10):
        assert np.frombuffer(found["a0/n", T0 + end * SECOND_NS][0])[0] == 10


def test_a_plant_that_fell_silent_gets_its_last_windows_and_nothing_after_is_late() -> None:
    engine = Engine(reduced("m", {"n": ("x", "count", "")}, inputs={"x": "x"}, window="10s", idle="1min"))
    engine.bind(POINTS)
    engine.take(batches([(0, second, 1.0) for second in range(5)]))
    assert engine.quiet(59 * SECOND_NS) == []
    found = outcome(engine.quiet(3600 * SECOND_NS))
    assert list(found) == [("a0/n", T0 + 10 * SECOND_NS)]
    engine.take(batches([(0, second, 1.0) for second in range(10, 31)]))
    assert engine.counters.late == 0


def test_a_function_that_raises_makes_bad_samples_of_its_window_and_goes_on() -> None:
    @stream(inputs={"x": "x"}, outputs={"half": "int64", "twice": ""}, window="10s")
    def picky(columns: pa.RecordBatch) -> dict[str, Any]:
        value = columns["x"][0].as_py()
        return {"half": 5 if value > 1 else 0.5, "twice": None if value > 1 else 3}

    found, engine = run(picky, [(0, 1, 1.0), (0, 11, 2.0)])
    assert (
        found["a0/half", T0 + 10 * SECOND_NS][1]
        == found["a0/twice", T0 + 10 * SECOND_NS][1]
        == q.BAD_CONFIGURATION_ERROR
    )
    assert found["a0/half", T0 + 20 * SECOND_NS] == (np.int64(5).tobytes(), q.GOOD)
    assert ("a0/twice", T0 + 20 * SECOND_NS) not in found
    assert engine.counters.failed == 1 and "float" in engine.error


def test_a_vectorised_function_gets_all_windows_and_a_table_may_have_its_own_times() -> None:
    @stream(inputs={"x": "x"}, outputs={"mean": ""}, window="10s", vectorized=True)
    def means(columns: pa.RecordBatch, state: dict[str, Any], panes: Any) -> pa.Table:
        assert len(panes.keys) == len(panes.end_ns)
        return (
            pa.Table.from_batches([columns])
            .group_by("window")
            .aggregate([("x", "mean")])
            .rename_columns(["window", "mean"])
        )

    @stream(inputs={"x": "x"}, outputs={"twice": ""}, window="10s")
    def twice(columns: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"time": columns["time"], "twice": pa.array(columns["x"].to_numpy() * 2)})

    samples = [(0, 1, 1.0), (0, 2, 2.0), (0, 11, 2.0), (2, 3, 8.0)]
    found, _ = run(means, samples)
    assert {path: np.frombuffer(value)[0] for (path, _), (value, _) in found.items()} == {
        "a0/mean": 2.0,
        "a1/mean": 8.0,
    }
    assert len(found) == 3
    found, _ = run(twice, samples)
    assert sorted((path, (time - T0) // SECOND_NS) for path, time in found) == [
        ("a0/twice", 1), ("a0/twice", 2), ("a0/twice", 11), ("a1/twice", 3),
    ]  # fmt: skip


def test_one_key_for_all_points_knows_which_is_which() -> None:
    seen: list[Any] = []

    @stream(inputs={"x": "a*/x"}, outputs={"total": ""}, window="10s", by="all", to="hall")
    def total(columns: pa.RecordBatch) -> dict[str, Any]:
        seen.append(columns["point"].to_pylist())
        return {"total": sum(columns["x"].to_pylist())}

    found, _ = run(total, [(0, 1, 1.0), (2, 2, 2.0), (4, 3, 4.0)])
    assert list(found) == [("hall/total", T0 + 10 * SECOND_NS)] and seen == [["a0/x", "a1/x", "a2/x"]]


def test_what_waits_is_bounded() -> None:
    function = reduced("m", {"n": ("x", "count", "")}, inputs={"x": "x"}, window="1h", samples_max=100)
    engine = Engine(function)
    engine.bind(POINTS)
    engine.take(batches([(0, second, 1.0) for second in range(100)]))
    with pytest.raises(LimitReached, match="samples_max"):
        engine.take(batches([(0, second, 1.0) for second in range(100, 200)]))


def test_a_state_that_is_not_json_is_refused_not_changed() -> None:
    with pytest.raises(TypeError):
        encode({"states": {"a": {"set": {1}}}}, {})
    with pytest.raises(TypeError, match="tuple"):
        encode({"states": {"a": {"pair": (1, 2)}}}, {})
    column = np.array([[1.5, np.nan]], np.float32)
    document, columns = decode(encode({"states": {"a": {"w": column, "n": np.float64(0.1)}}}, {"c": np.arange(3)}))
    held = document["states"]["a"]
    assert held["w"].dtype == np.float32 and held["w"].tobytes() == column.tobytes() and held["n"] == 0.1
    assert columns["c"].tolist() == [0, 1, 2]
    assert json.dumps(held["n"]) == "0.1"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"inputs": {}}, "no inputs"),
        ({"inputs": {"time": "x"}}, "cannot be the name"),
        ({"inputs": {"x": "x text"}}, "text"),
        ({"window": "10"}, "duration"),
        ({"window": "0s"}, "too short"),
        ({"by": "machine"}, "use asset, point, all"),
        ({"by": "all"}, "`to`"),
        ({"tolerance": "5s"}, "asof"),
        ({"name": "../up"}, "name"),
        ({"inputs": {"x": "x", "y": "y"}, "by": "point"}, "one input"),
        ({"outputs": {"z": "float32 [Cel]"}}, "kind and unit"),
    ],
)
def test_a_declaration_that_cannot_be_says_why(declared: dict[str, Any], said: str) -> None:
    whole: dict[str, Any] = {"inputs": {"x": "x"}, "outputs": {"z": ""}, "window": "10s", "name": "one"}
    with pytest.raises(ConfigError, match=said):
        stream(**{**whole, **declared})(lambda columns: None)
    with pytest.raises(ConfigError, match="step"):
        sliding("25s", every="10s")
