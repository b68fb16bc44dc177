"""Downsampling in the cluster: what IoTDB answers exactly is asked of it, the rest is computed from samples.

    which kinds has each point? ─┬─ float64 or int64 alone, plain aggregates ─► GROUP BY on the servers ─┐
                                 └─ bool, two kinds, times in state, deviations ─► samples, by pages ────┴─► `buckets`

Exact are count, minimum, maximum, sum, first and last, over good numbers (see `schema`). Mean is sum by count. A
standard deviation of the servers would come from another formula, and what holds between samples they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.buckets import (
    LOOK_BACK_NS,
    Before,
    Grid,
    buckets_of,
    cells_of,
    columns_needed,
    held_before,
    refuse_text,
)
from headrace.history.iotdb.connection import Answer, Connection
from headrace.history.iotdb.pool import Pool
from headrace.history.iotdb.schema import BY_KIND, FIELDS, GOOD_BELOW, NAN, Fields, Names, device_blocks, during
from headrace.history.reader import LATEST_NS
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.sdk.store import Aggregate, Buckets, Interpolation

_PUSHED: Final = {"min": "min_value", "max": "max_value", "sum": "sum", "first": "first_value", "last": "last_value"}
_EXACT: Final = frozenset({"handle", "first_ns", "last_ns", "n", "count", "good", *_PUSHED})
_PUSHED_KINDS: Final = (ValueKind.FLOAT64, ValueKind.INT64)

LatestAt = Callable[[Handles, int, int], Sequence[Batch]]
Pages = Callable[[Handles, int, int], Iterator[Sequence[Batch]]]


class Pushdown:
    """`latest_at(handles, at, earliest)` and `pages(handles, start, end)` are the store's own ways to read samples."""

    def __init__(self, pool: Pool, names: Names, devices: int, latest_at: LatestAt, pages: Pages) -> None:
        self._pool, self._names, self._devices = pool, names, devices
        self._latest_at, self._pages = latest_at, pages

    def run(
        self,
        asked: Handles,
        grid: Grid,
        aggregates: Sequence[Aggregate],
        interpolation: Interpolation,
        good_only: bool,
    ) -> Buckets:
        with np.errstate(all="ignore"):  # sums of infinities are infinite or no number, as they should be
            return self._run(asked, grid, aggregates, interpolation, good_only)

    def _run(
        self,
        asked: Handles,
        grid: Grid,
        aggregates: Sequence[Aggregate],
        interpolation: Interpolation,
        good_only: bool,
    ) -> Buckets:
        handles, need = np.unique(asked), columns_needed(aggregates, interpolation)
        parts: list[r.Rows] = []
        for group in groups(handles, self._devices):
            kinds = self._kinds(group, grid)
            unfit = group[[len(kinds.get(handle, ())) > 0 for handle in group.tolist()]]
            if need <= _EXACT and grid.origin_ns + grid.width_ns * grid.count < LATEST_NS:
                for kind in _PUSHED_KINDS:
                    fit = group[[kinds.get(handle) == [kind] for handle in group.tolist()]]
                    if len(fit):
                        parts.append(self._grouped(BY_KIND[kind], fit, grid, need, good_only))
                        unfit = np.setdiff1d(unfit, fit)
            if len(unfit):
                for batches in self._pages(unfit, grid.start_ns, grid.end_ns):
                    refuse_text(batches)
                    found = [r.from_samples(batch, need, good_only) for batch in batches]
                    if found:
                        rows = r.in_time_order(r.concat(found, need))
                        parts.append(r.combine(rows, cells_of(rows, handles, grid)))
        before: Before = {}
        if "holds" in need or "last" in need:
            before = held_before(self._latest_at(handles, grid.start_ns - 1, grid.start_ns - LOOK_BACK_NS), good_only)
        filled = [part for part in parts if len(part["n"])]
        return buckets_of(filled, asked, grid, aggregates, interpolation, before)

    def _kinds(self, handles: Handles, grid: Grid) -> dict[int, list[ValueKind]]:
        """What kinds of samples each point has in the span. Raises: DataError for text."""
        counts = ",".join(f"count({fields.quality})" for fields in FIELDS)
        statement = (
            f"SELECT {counts} FROM {self._names.sources(handles)}{during(grid.start_ns, grid.end_ns)} ALIGN BY DEVICE"
        )
        kinds: dict[int, list[ValueKind]] = {}

        def read(connection: Connection) -> None:
            kinds.clear()
            for owners, _, columns in device_blocks(connection.query(statement)):
                for fields in FIELDS:
                    column = columns[f"count({fields.quality})"]
                    for handle in owners[column.present & (column.values > 0)].tolist():
                        kinds.setdefault(handle, []).append(fields.kind)

        self._pool.call(read)
        for handle, found in kinds.items():
            if ValueKind.TEXT in found:
                raise DataError(f"point number {handle} is text, which has no mean; ask for its raw samples")
        return kinds

    def _grouped(self, fields: Fields, handles: Handles, grid: Grid, need: frozenset[str], good_only: bool) -> r.Rows:
        """One row a bucket that has samples."""
        value, quality, size = fields.value, fields.quality, len(handles) * grid.count
        numbers = f"{quality} < {GOOD_BELOW if good_only else NAN}"
        selected = {f"count({value})": "n"} | {
            f"{_PUSHED[name]}({value})": name for name in sorted(need & set(_PUSHED))
        }
        table = {"n": np.zeros(size, np.int64), **{name: np.full(size, np.nan) for name in need & set(_PUSHED)}}
        self._ask(list(selected), numbers, handles, grid, {column: table[name] for column, name in selected.items()})
        count = f"count({quality})"
        if "count" in need:
            table["count"] = np.zeros(size, np.int64)
            self._ask([count], None, handles, grid, {count: table["count"]})
        if "good" in need:
            table["good"] = np.zeros(size, np.int64)
            good = f"({quality} < {GOOD_BELOW} OR ({quality} >= {NAN} AND {quality} < {NAN + GOOD_BELOW}))"
            self._ask([count], good, handles, grid, {count: table["good"]})
        filled = np.flatnonzero(sum(table[name] for name in ("n", "count", "good") if name in table))
        rows: r.Rows = {name: column[filled] for name, column in table.items()}
        rows["handle"] = handles[filled // grid.count]
        rows["first_ns"] = rows["last_ns"] = grid.origin_ns + grid.width_ns * (filled % grid.count)
        return rows

    def _ask(
        self,
        columns: Sequence[str],
        condition: str | None,
        handles: Handles,
        grid: Grid,
        into: dict[str, NDArray[np.int64] | NDArray[np.float64]],
    ) -> None:
        """Fill tables of points × buckets from one statement."""
        end_ns = grid.origin_ns + grid.width_ns * grid.count
        where = during(grid.start_ns, grid.end_ns, *([condition] if condition else []))
        statement = (
            f"SELECT {','.join(columns)} FROM {self._names.sources(handles)}{where} "
            f"GROUP BY ([{grid.origin_ns}, {end_ns}), {grid.width_ns}ns) ALIGN BY DEVICE"
        )
        self._pool.call(lambda connection: _fill(connection.query(statement), handles, grid, into))


def _fill(
    answer: Answer, handles: Handles, grid: Grid, into: dict[str, NDArray[np.int64] | NDArray[np.float64]]
) -> None:
    for owners, block, columns in device_blocks(answer):
        cells = np.searchsorted(handles, owners) * grid.count + grid.bucket(block.time_ns)
        for name, table in into.items():
            here = columns[name].present
            table[cells[here]] = columns[name].values[here]


def groups(handles: Handles, size: int) -> list[Handles]:
    return [handles[at : at + size] for at in range(0, len(handles), size)]
