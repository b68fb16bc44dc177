"""A few presses, declared as an engineer would, and what their calculated points are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.registry.plants import expanded

from headrace.compute.points.calculator import Calculator
from headrace.model.batch import Batch, ValueKind
from headrace.model.plant import PlantModel

S = 1_000_000_000
T0 = 1_750_000_000 * S
PLANT = """\
types:
  press:
    points:
      oil: {unit: Cel, address: {table: holding, address: 2}}
      coolant: {unit: Cel, address: {table: holding, address: 4}}
      pieces: {type: int64, address: {table: holding, address: 6}}
      excess: {unit: K, range: [-20, 40], expression: oil - coolant}
      mean: {unit: K, expression: "mean(excess, 10s)"}
      hot: {type: bool, expression: "excess > 15 and held(excess > 10, 2s)"}
      silent: {type: bool, expression: "age(oil) > 30[s]"}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets:
  a: {level: site}
  a/p1: {type: press, connection: plc}
  a/p2: {type: press, connection: plc}
  a/p3: {type: press, connection: plc}
points:
  a/total: {expression: "`p1/pieces` + `p2/pieces` + `p3/pieces`"}
"""


class Plant:
    def __init__(self, text: str = PLANT) -> None:
        self.model: PlantModel
        self.model, problems = expanded(text)
        assert problems == []
        self.handles = {path: at for at, path in enumerate(sorted(self.model.points), 10)}
        self.paths = {handle: path for path, handle in self.handles.items()}

    def calculator(self, previous: Calculator | None = None) -> Calculator:
        return Calculator(self.model.calculations, self.model.points, self.handles, previous)

    def batch(self, samples: Iterable[tuple[str, float, Any]], late_s: float = 0.0) -> list[Batch]:
        """(path, seconds, value), in one batch a kind."""
        by_kind: dict[ValueKind, list[tuple[str, float, Any]]] = {}
        for one in samples:
            by_kind.setdefault(self.model.points[one[0]].kind, []).append(one)
        return [
            Batch.of(
                kind,
                [self.handles[path] for path, _, _ in some],
                [T0 + round(at * S) for _, at, _ in some],
                [value for _, _, value in some],
                received_ns=[T0 + round((at + late_s) * S) for _, at, _ in some],
            )
            for kind, some in by_kind.items()
        ]

    def shown(self, batches: Sequence[Batch]) -> dict[str, list[tuple[float, Any, int]]]:
        """By path: (seconds, value or None for NaN, quality), in order of time."""
        found: dict[str, list[tuple[float, Any, int]]] = {}
        for batch in batches:
            columns = (batch.handles, batch.source_ns, batch.values, batch.quality)
            for handle, time_ns, value, quality in zip(*(column.tolist() for column in columns), strict=True):
                told = None if value != value else value  # a bad number is NaN, which equals nothing
                found.setdefault(self.paths[handle], []).append(((time_ns - T0) / S, told, quality))
        return {path: sorted(some, key=lambda one: one[0]) for path, some in found.items()}
