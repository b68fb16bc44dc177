"""Models taken up as versions: they run in a cell like every function, and what a spent budget left out is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from tests.compute.streams.test_models import linear
from tests.compute.streams.test_windows import OVER, batches

from headrace.cli.stream_models import ModelOptions, source_of
from headrace.compute.streams.cell import Cell
from headrace.compute.streams.engine import Engine
from headrace.compute.streams.register import Register
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Conflict, DataError
from headrace.platform.platform import running
from headrace.platform.settings import Settings
from headrace.sdk.services import SourceFile

pytest.importorskip("onnxruntime", reason="models need headrace[models]")
pytest.importorskip("onnx", reason="the test makes its own models")

WEAR = ModelOptions(
    inputs="x=x [Cel], y=y", features="x:mean,y:max", outputs="z=[Cel]", window="10s", batch=2, budget="20ms"
)
POINTS = {2 * number + part: f"a{number}/{'xy'[part]}" for number in range(5) for part in (0, 1)}


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    linear(tmp_path / "wear.onnx")
    return (tmp_path / "wear.onnx").read_bytes()


def scored(cell: Cell, missing: int = 9) -> dict[str, float]:
    """Of windows of five assets, in one call; the point of this number has no samples."""
    engine = Engine(cell.function, cell)
    engine.bind(POINTS)
    engine.take(batches([(handle, 5, float(handle)) for handle in POINTS if handle != missing]))
    made = engine.advance(OVER)
    assert engine.counters.failed == 0
    return {one.paths[at]: value for one in made for at, value in zip(one.which, one.values.tolist(), strict=True)}


def test_a_model_runs_in_a_cell(model: bytes) -> None:
    cell = Cell(source_of(Path("wear.onnx"), model, WEAR), "", model=model)
    try:
        assert cell.function.name == "wear" and cell.function.inputs["x"].unit == "Cel"
        assert scored(cell) == {f"a{n}/z": 2.0 * 2 * n + 0.5 * (2 * n + 1) + 1 for n in range(4)}
        assert cell.counts == {"scored": 4, "incomplete": 1, "skipped": 0}
    finally:
        cell.close()


def test_what_a_spent_budget_left_out_is_counted(model: bytes) -> None:
    cell = Cell(source_of(Path("wear.onnx"), model, ModelOptions(**{**options(), "budget": "1ns"})), "", model=model)
    try:
        assert scored(cell) == {}
        assert cell.counts == {"scored": 0, "incomplete": 1, "skipped": 4}
        assert scored(cell, missing=-1) == {} and cell.counts["skipped"] == 9
    finally:
        cell.close()


def options() -> dict[str, object]:
    return {name: getattr(WEAR, name) for name in ModelOptions.__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": ""}, "a model needs --inputs"),
        ({"window": ""}, "a model needs --window"),
        ({"inputs": "oil"}, "'oil' of --inputs is no name=point"),
        ({"outputs": "z="}, "'z=' of --outputs"),
        ({"features": "x:middle"}, "'x:middle' is no feature; write input:what, of mean, min"),
        ({"budget": "soon"}, "soon"),
    ],
)
def test_what_is_missing_is_named(model: bytes, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source_of(Path("wear.onnx"), model, ModelOptions(**{**options(), **change}))  # type: ignore[arg-type]


def test_another_model_than_the_source_was_written_for_does_not_load(model: bytes, tmp_path: Path) -> None:
    linear(tmp_path / "other.onnx", np.array([[1.0], [1.0]], np.float32))
    source = source_of(Path("wear.onnx"), model, WEAR)
    with pytest.raises(ConfigError, match="is another than declared"):
        Cell(source, "", model=(tmp_path / "other.onnx").read_bytes())
    with pytest.raises(ConfigError, match="MODEL"):
        Cell(source, "")


def test_a_model_is_kept_with_its_version(model: bytes, tmp_path: Path) -> None:
    register = Register(tmp_path / "streams")
    one = register.add("wear", "1", "source", who="mei", now_ns=0, model=model)
    assert register.model(one) == model
    with pytest.raises(Conflict, match="another model"):
        register.add("wear", "1", "source", who="mei", now_ns=0, model=b"other")
    (tmp_path / "streams" / "wear" / "1.onnx").write_bytes(b"other")
    with pytest.raises(DataError, match="changed on disk"):
        register.model(one)


async def test_a_platform_scores_and_shows_it(model: bytes, tmp_path: Path) -> None:
    async with running(Settings(home=tmp_path / "home", commit_interval_s=0.01)) as platform:
        plant = "assets: {a0: {level: site}}\npoints: {a0/x: {}, a0/y: {}}\n"
        await platform.registry.apply([SourceFile("plant.yaml", plant)], actor="wang")
        given = ModelOptions(**{**options(), "window": "1s", "budget": "5s"})  # type: ignore[arg-type]
        await platform.streams.add("wang", source_of(Path("wear.onnx"), model, given), model=model)
        await platform.streams.promote("wang", "wear", "1")
        point = (await platform.registry.model()).points["a0/z"]
        assert (point.unit, point.function) == ("Cel", "wear")
        handles = np.array([platform.reconciler.directory.handles[path] for path in ("a0/x", "a0/y")], np.uint32)
        async with asyncio.timeout(60):
            while (run := (await platform.streams.versions())[0].run) is None or not run.counters.get("scored"):
                now_ns = platform.clock.now_ns()
                await platform.pipeline.take([Batch.of(ValueKind.FLOAT64, handles, now_ns, np.array([3.0, 4.0]))])
                await asyncio.sleep(0.2)
        assert run.counters["skipped"] == 0
