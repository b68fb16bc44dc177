"""ONNX models, made here, as stream functions: right values, a pinned file, shapes that fit, a budget that is kept."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compute.streams.test_windows import OVER, POINTS, T0, batches, outcome

from headrace.compute.streams.engine import Engine
from headrace.compute.streams.models import model
from headrace.model.errors import ConfigError

pytest.importorskip("onnxruntime", reason="models need headrace[models]")
onnx = pytest.importorskip("onnx", reason="the test makes its own models")

WEIGHTS = np.array([[2.0], [0.5]], np.float32)


def linear(path: Path, weights: np.ndarray = WEIGHTS, kind: int = 1, rows: Any = "batch") -> dict[str, Any]:
    """y = x·W + 1, as a file and its pin."""
    from onnx import TensorProto, helper, numpy_helper

    given = helper.make_tensor_value_info("x", kind, [rows, len(weights)])
    told = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, weights.shape[1]])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "one"], ["y"])]
    if kind != TensorProto.FLOAT:
        nodes = [helper.make_node("Cast", ["x"], ["f"], to=1), helper.make_node("MatMul", ["f", "w"], ["m"]), nodes[1]]
    held = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.ones(1, np.float32), "one")]
    graph = helper.make_graph(nodes, "linear", [given], [told], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return {"file": path, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


DECLARED: dict[str, Any] = {
    "inputs": {"x": "x", "y": "y"}, "window": "10s", "features": [("x", "mean"), ("y", "max")],
    "outputs": {"z": "float64"},
}  # fmt: skip


def test_a_model_scores_windows_of_many_keys(tmp_path: Path) -> None:
    made = model(**linear(tmp_path / "wear.onnx"), **DECLARED)
    assert made.function.name == "wear"
    engine, found = Engine(made.function), {}
    engine.bind(POINTS)
    samples = [(handle, second, float(second * (1 + handle))) for second in range(10) for handle in (0, 1, 2, 3)]
    outcome(engine.take(batches([*samples, (4, 5, 1.0)])), found)  # a2 has no y: it is not guessed
    outcome(engine.advance(OVER), found)
    values = {path: float(np.frombuffer(value)[0]) for (path, _), (value, _) in found.items()}
    assert values == {"a0/z": 2 * 4.5 + 0.5 * 18 + 1, "a1/z": 2 * 13.5 + 0.5 * 36 + 1}
    assert (made.scoring.scored, made.scoring.incomplete, made.scoring.skipped) == (2, 1, 0)


def test_what_does_not_fit_the_budget_is_skipped_and_counted(tmp_path: Path) -> None:
    ticks = itertools.count()
    made = model(
        **linear(tmp_path / "wear.onnx"), **DECLARED, batch_max=2, budget_s=3.0, clock_s=lambda: float(next(ticks))
    )
    engine = Engine(made.function)
    engine.bind({2 * number + part: f"a{number}/{'xy'[part]}" for number in range(10) for part in (0, 1)})
    engine.take(batches([(handle, 5, 1.0) for handle in range(20)]))
    found = outcome(engine.advance(T0 + 10_000_000_000))
    assert (made.scoring.scored, made.scoring.skipped, len(found)) == (4, 6, 4)
    assert engine.counters.failed == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "another than declared"),
        ({"features": [("x", "mean")]}, "1 features are declared"),
        ({"features": [("x", "mean"), ("w", "max")]}, "'w' is not one of its inputs"),
        ({"outputs": {"z": "float64", "v": "float64"}}, "2 outputs are declared"),
        ({"outputs": {"z": "int64"}}, "float64"),
        ({"file": Path("nowhere.onnx")}, "cannot be read"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_when_it_is_declared(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        model(**{**linear(tmp_path / "wear.onnx"), **DECLARED, **change})


def test_models_of_other_shapes_and_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="first axis"):
        model(**linear(tmp_path / "fixed.onnx", rows=1), **DECLARED)
    with pytest.raises(ConfigError, match=r"tensor\(float\)"):
        model(**linear(tmp_path / "whole.onnx", kind=onnx.TensorProto.INT64), **DECLARED)
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"not a model")
    with pytest.raises(ConfigError, match="does not load"):
        model(junk, sha256=hashlib.sha256(b"not a model").hexdigest(), **DECLARED)
