"""The points of a plant as Prometheus series: labels from the model, matchers answered a column at a time.

path · asset · name · unit, and the names of the assets above by level: enterprise, site, area, line, cell, equipment.
Text points have no series. Regular expressions are RE2, as in Prometheus, which no pattern can make slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from headrace.api.plant_index import PlantIndex
from headrace.api.promql import METRIC, Matcher
from headrace.model.assets import Level
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError

LEVELS: Final = (Level.ENTERPRISE, Level.SITE, Level.AREA, Level.LINE, Level.CELL, Level.EQUIPMENT)
LABELS: Final = ("__name__", "path", "asset", "name", "unit", *(level.value for level in LEVELS))


class LabelTable:
    """Made once for an index; an empty value is a label that a series does not have."""

    def __init__(self, index: PlantIndex) -> None:
        import pyarrow as pa

        plant = index.plant
        self.paths = [p for p in index.paths if index.knows(p) and plant.points[p].kind is not ValueKind.TEXT]
        above: dict[str, dict[str, str]] = {}
        rows = []
        for path in self.paths:
            point = plant.points[path]
            asset = point.asset_path
            if asset not in above:
                above[asset] = _ancestors(asset, index)
            rows.append((METRIC, path, asset, point.name, point.unit, above[asset]))
        self._columns: dict[str, Any] = {
            label: pa.array([row[at] for row in rows], pa.string()) for at, label in enumerate(LABELS[:5])
        }
        for level in LEVELS:
            self._columns[level.value] = pa.array([row[5].get(level.value, "") for row in rows], pa.string())

    def select(self, matchers: Sequence[Matcher]) -> list[int]:
        """Rows that every matcher takes. Raises: DataError for an expression that is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        chosen = np.ones(len(self.paths), np.bool_)
        for matcher in matchers:
            column = self._columns.get(matcher.label)
            if column is None:
                column = pa.array([""] * len(self.paths), pa.string())
            if matcher.operator in ("=", "!="):
                found = pc.equal(column, matcher.value)
            else:
                try:
                    found = pc.match_substring_regex(column, f"^(?s:{matcher.value})$")
                except pa.ArrowInvalid as error:
                    raise DataError(f"'{matcher.value[:100]}' is no regular expression: {str(error)[:200]}") from None
            mask = found.to_numpy(zero_copy_only=False).astype(np.bool_)
            chosen &= ~mask if matcher.operator.startswith("!") else mask
        rows: list[int] = np.flatnonzero(chosen).tolist()
        return rows

    def labels(self, row: int, *, named: bool = True) -> dict[str, str]:
        found = {label: self._columns[label][row].as_py() for label in LABELS if named or label != "__name__"}
        return {label: value for label, value in found.items() if value}

    def values(self, label: str, rows: Sequence[int]) -> list[str]:
        column = self._columns.get(label)
        return [] if column is None else sorted({column[row].as_py() for row in rows} - {""})


def _ancestors(asset: str, index: PlantIndex) -> dict[str, str]:
    """The names of an asset and those above it, by level; of several on one level the nearest."""
    found: dict[str, str] = {}
    parts = asset.split("/")
    for depth in range(1, len(parts) + 1):
        node = index.plant.assets.get("/".join(parts[:depth]))
        if node is not None:
            found[node.level.value] = parts[depth - 1]
    return found
