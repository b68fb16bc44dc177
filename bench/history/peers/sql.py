"""The questions as SQL, for the peers that speak it; each in the form that suits the peer best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.history.dataset import Dataset
from bench.history.questions import Question
from headrace.model.batch import ValueKind

TABLES = {ValueKind.FLOAT64: "floats", ValueKind.INT64: "ints", ValueKind.BOOL: "bools", ValueKind.TEXT: "texts"}
_GOOD = f"quality < {1 << 30}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """`divide` takes numerator and width; `newest` is the aggregate for the value at the newest source time."""

    divide: str = "({0}) // {1}"
    newest: str = "arg_max(value, source)"
    number: str = "DOUBLE"
    kinds_apart: bool = True  # a table a kind; otherwise one table `samples`


class Sql:
    def __init__(self, dataset: Dataset, dialect: Dialect, sources: Mapping[str, str] | None = None) -> None:
        """`sources` replaces table names, for files that are scanned."""
        self._dialect, self._sources = dialect, sources or {}
        numeric = (ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL)
        self._of_kind = {TABLES[kind]: dataset.handles(kind) for kind in numeric}

    def statement(self, question: Question) -> str:
        d = self._dialect
        span = f"source >= {question.start_ns} AND source < {question.end_ns}"
        tables = self._tables(question.handles)
        if question.ask == "raw":
            (table, handles), *_ = tables
            return (
                f"SELECT source, value, quality FROM {self._source(table)} "
                f"WHERE handle = {handles[0]} AND {span} ORDER BY source"
            )
        parts = []
        good = "" if question.ask == "latest" else f" AND {_GOOD}"
        for table, handles in tables:
            everyone = "" if d.kinds_apart else " AND typeof(value) <> 'text'"
            where = everyone if question.everyone else f" AND handle IN ({', '.join(map(str, handles.tolist()))})"
            value = "value" if table == "floats" else f"CAST(value AS {d.number})"
            parts.append(
                f"SELECT handle, source, {value} AS value FROM {self._source(table)} WHERE {span}{good}{where}"
            )
        rows = f"({' UNION ALL '.join(parts)}) AS rows_of_kinds"
        if question.ask == "latest":
            return f"SELECT handle, max(source), {d.newest} AS value FROM {rows} GROUP BY handle"
        what = "avg(value) AS mean" + (", min(value) AS low, max(value) AS high" if question.ask == "buckets" else "")
        if question.buckets == 1:
            return f"SELECT handle, {what} FROM {rows} GROUP BY handle"
        bucket = d.divide.format(f"source - {question.start_ns}", question.width_ns)
        return f"SELECT handle, {bucket} AS bucket, {what} FROM {rows} GROUP BY 1, 2"

    def _tables(self, handles: NDArray[np.uint32]) -> Sequence[tuple[str, NDArray[np.uint32]]]:
        if not self._dialect.kinds_apart:
            return [("samples", handles)]
        found = [(table, handles[np.isin(handles, of_kind)]) for table, of_kind in self._of_kind.items()]
        return [(table, held) for table, held in found if len(held)]

    def _source(self, table: str) -> str:
        return self._sources.get(table, table)
