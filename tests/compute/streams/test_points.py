"""What a function is said to make of some points is what its engine makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.compute.streams.engine import Engine
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS
from headrace.sdk.stream import StreamFunction, reduced
from headrace.sdk.stream_points import made_points

NAMES = ["oil", "speed", "a", "b", "oil.b"]
ASSETS = ["hall", "hall/press-1", "hall/press-2", "yard/pump"]
PATHS = [f"{asset}/{name}" for asset in ASSETS for name in NAMES]
INPUTS = st.sampled_from([*NAMES[:3], "hall/*", "*/oil", "hall/press-1/speed", "yard/*/b", "*"])


@st.composite
def functions(draw: Any, name: str = "f") -> StreamFunction:
    by = draw(st.sampled_from(["asset", "point", "all"]))
    count = 1 if by == "point" else draw(st.integers(1, 2))
    inputs = {f"x{at}": draw(INPUTS) for at in range(count)}
    outputs = draw(st.lists(st.sampled_from(["a", "b", "c", "oil"]), min_size=1, max_size=2, unique=True))
    return reduced(
        name, dict.fromkeys(outputs, ("x0", "count", "int64")), inputs=inputs, by=by, window="10s",
        to=draw(st.sampled_from(ASSETS)) if by == "all" else "", assets=draw(st.sampled_from(["*", "hall/*", "hall"])),
    )  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(functions(), st.lists(st.sampled_from(PATHS), unique=True, max_size=8))
def test_they_are_those_that_the_engine_makes(function: StreamFunction, paths: list[str]) -> None:
    engine = Engine(function)
    engine.bind(dict(enumerate(paths)))
    handles = np.arange(len(paths), dtype=np.uint32)
    made = engine.take([Batch.of(ValueKind.FLOAT64, handles, 1_700_000_000 * SECOND_NS, np.ones(len(paths)))])
    made += engine.advance(1_800_000_000 * SECOND_NS)
    found, declared = {path for one in made for path in one.paths}, made_points([function], paths).keys()
    assert found <= declared
    if len(function.inputs) == 1:  # else a key may have no sample of the one that is reduced
        assert found == declared


def test_what_one_makes_another_reads() -> None:
    late = reduced("late", {"c": ("x", "mean", "[Cel]")}, inputs={"x": "b"}, window="10s")
    early = reduced("early", {"b": ("x", "mean", "[Cel]")}, inputs={"x": "oil"}, window="10s")
    found = made_points([late, early], ["hall/oil", "yard/speed"])
    assert {path: one.function for path, one in found.items()} == {"hall/b": "early", "hall/c": "late"}
    assert found["hall/c"].output.unit == "Cel"


def test_two_that_feed_each_other_come_to_an_end() -> None:
    one = reduced("one", {"b": ("x", "mean", "")}, inputs={"x": "*/a"}, window="10s")
    other = reduced("other", {"a": ("x", "mean", "")}, inputs={"x": "*/b"}, window="10s")
    assert made_points([one, other], ["hall/a"]).keys() == {"hall/b", "hall/a"}
