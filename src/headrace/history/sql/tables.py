"""The four tables of ad-hoc SQL: what they are called, what their columns mean, and how a piece becomes Arrow rows.

    samples   every sample as it is stored      minutes   a row for each minute of a point that is not text
    points    every point that has a path       assets    the equipment hierarchy

Times are TIMESTAMP WITH TIME ZONE, which DuckDB keeps to the microsecond; `time_ns` and `received_ns` are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from headrace.history.sql.frames import Minutes
from headrace.history.sql.plan import ALL_COLUMNS
from headrace.model import quality as q
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.plant import PlantModel
from headrace.sdk.store import Aggregate

if TYPE_CHECKING:
    import pyarrow as pa

_OF_POINT: Final = {"path": "VARCHAR", "asset": "VARCHAR", "name": "VARCHAR", "unit": "VARCHAR"}
SAMPLES: Final = {
    **_OF_POINT,
    "kind": "VARCHAR",  # float64, int64, bool or text
    "time": "TIMESTAMPTZ",
    "time_ns": "BIGINT",
    "value": "DOUBLE",  # any number, a bool as 0 or 1; NULL for NaN and text
    "float64": "DOUBLE",  # the value in the column of its kind, exactly
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "text": "VARCHAR",
    "quality": "UINTEGER",
    "good": "BOOLEAN",
    "received": "TIMESTAMPTZ",
    "received_ns": "BIGINT",
}
MINUTES: Final = {
    **_OF_POINT,
    "time": "TIMESTAMPTZ",  # when the minute begins
    "count": "BIGINT",
    "good_count": "BIGINT",
    "min": "DOUBLE",
    "max": "DOUBLE",
    "mean": "DOUBLE",
    "sum": "DOUBLE",
    "first": "DOUBLE",
    "last": "DOUBLE",
}
POINTS: Final = {
    "handle": "UINTEGER",
    **_OF_POINT,
    "kind": "VARCHAR",
    "title": "VARCHAR",  # English where there is one
    "titles": "JSON",  # by language
    "low": "DOUBLE",
    "high": "DOUBLE",
    "writable": "BOOLEAN",
    "connection": "VARCHAR",
    "declared": "BOOLEAN",  # false: it has history and is no longer part of the plant
}
ASSETS: Final = {
    "path": "VARCHAR",
    "parent": "VARCHAR",
    "level": "VARCHAR",
    "type": "VARCHAR",
    "title": "VARCHAR",
    "titles": "JSON",
}
#: Tables that are read from the store, and not sent along.
SCANNED: Final[Mapping[str, Mapping[str, str]]] = {"samples": SAMPLES, "minutes": MINUTES}
SENT: Final[Mapping[str, Mapping[str, str]]] = {"points": POINTS, "assets": ASSETS}


def describe(plant: PlantModel, paths: Mapping[int, str]) -> dict[str, list[list[Any]]]:
    """The rows of `points` and `assets`."""
    points: list[list[Any]] = []
    for handle, path in sorted(paths.items()):
        point, (asset, _, name) = plant.points.get(path), path.rpartition("/")
        row = [handle, path, asset, name]
        if point is None:
            points.append([*row, *(None,) * 8, False])
            continue
        span, source = point.range, point.source
        row += [point.unit, point.kind.label, _title(point.title), dict(point.title) or None]
        row += [span.low if span else None, span.high if span else None, point.writable]
        points.append([*row, source.connection if source else None, True])
    assets = [
        [path, asset.parent, asset.level.value, asset.type, _title(asset.title), dict(asset.title) or None]
        for path, asset in sorted(plant.assets.items())
    ]
    return {"points": points, "assets": assets}


def create_table(name: str, columns: Mapping[str, str]) -> str:
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    return f"CREATE TEMP TABLE {name} ({listed})"


class Rows:
    """Pieces of a scan as Arrow rows, in which a column that nobody reads is NULL."""

    def __init__(self, points: Sequence[Sequence[Any]]) -> None:
        import pyarrow as pa

        names = list(POINTS)
        by_name = {name: [row[names.index(name)] for row in points] for name in _OF_POINT}
        self._row_of = np.zeros(max((row[0] for row in points), default=0) + 1, np.int32)
        self._row_of[[row[0] for row in points]] = np.arange(len(points), dtype=np.int32)
        self._dictionaries = {}
        for name, values in by_name.items():
            array = pa.array(values, pa.string())
            self._dictionaries[name] = (array, np.array([value is None for value in values], np.bool_))

    def schema(self, table: str) -> pa.Schema:
        import pyarrow as pa

        arrow = {
            "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
            "BIGINT": pa.int64(),
            "DOUBLE": pa.float64(),
            "BOOLEAN": pa.bool_(),
            "VARCHAR": pa.string(),
            "UINTEGER": pa.uint32(),
        }
        names = pa.dictionary(pa.int32(), pa.string())
        return pa.schema(
            (name, names if name in _OF_POINT or name == "kind" else arrow[kind])
            for name, kind in SCANNED[table].items()
        )

    def samples(self, batch: Batch, needed: frozenset[str]) -> pa.RecordBatch:
        import pyarrow as pa

        count, kind = len(batch), batch.kind

        def column(name: str) -> Any:
            match name:
                case "kind":
                    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([kind.label]))
                case "time":
                    return _microseconds(batch.source_ns)
                case "time_ns":
                    return batch.source_ns
                case "value":
                    return _number(batch)
                case "quality":
                    return batch.quality
                case "good":
                    return q.is_good(batch.quality)
                case "received":
                    return _microseconds(batch.received_ns)
                case "received_ns":
                    return batch.received_ns
                case _ if name != kind.label:
                    return None
                case "text":
                    return pa.array(batch.values.tolist(), pa.string())
                case _:
                    return batch.values

        return self._batch("samples", batch.handles, needed, column)

    def minutes(self, minutes: Minutes, needed: frozenset[str]) -> pa.RecordBatch:
        import pyarrow as pa

        def column(name: str) -> Any:
            if name == "time":
                return _microseconds(minutes.start_ns)
            values = minutes.columns[Aggregate(name.replace("_", "-"))]
            return pa.array(values, from_pandas=True) if values.dtype.kind == "f" else values

        return self._batch("minutes", minutes.handles, needed, column)

    def _batch(self, table: str, handles: Handles, needed: frozenset[str], column: Any) -> pa.RecordBatch:
        import pyarrow as pa

        schema, rows, arrays = self.schema(table), None, []
        for field in schema:
            values = None
            if needed == ALL_COLUMNS or field.name in needed:
                if field.name in _OF_POINT:
                    rows = self._row_of[handles] if rows is None else rows
                    dictionary, missing = self._dictionaries[field.name]
                    values = pa.DictionaryArray.from_arrays(pa.array(rows, mask=missing[rows]), dictionary)
                else:
                    values = column(field.name)
            if values is None:
                arrays.append(pa.nulls(len(handles), field.type))
            else:
                arrays.append(values if isinstance(values, pa.Array) else pa.array(values, field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _number(batch: Batch) -> Any:
    import pyarrow as pa

    if batch.kind is ValueKind.TEXT:
        return None
    return pa.array(batch.values.astype(np.float64), from_pandas=True)


def _microseconds(time_ns: Any) -> Any:
    import pyarrow as pa

    return pa.array(time_ns // 1_000).view(pa.timestamp("us", tz="UTC"))


def _title(titles: Mapping[str, str]) -> str | None:
    return titles.get("en") or next(iter(titles.values()), None)
