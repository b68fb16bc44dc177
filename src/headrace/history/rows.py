"""Summary rows: the common coin of downsampling. A sample is a row, a roll-up minute is a row, a bucket is a row.

    samples ──► rows ┐
    roll-ups ─► rows ┴─► combine by (point, bucket) ─► rows, now one a bucket ─► aggregates

A row covers the samples of one point in `[first_ns, last_ns]`:

    count, good   all samples, and those of good quality        n   values that count: good (if asked) and not NaN
    min max sum first last   of those values                    m2  their sum of squared distances from their mean
    weight        ns in which the value is known, each value held until the next; a sample that does not count ends it
    integral      value × ns over that time                     nonzero  ns of it in which the value was not 0
    holds         whether the last sample counts, so that `last` goes on after the row
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import starts_of
from headrace.model.batch import Batch
from headrace.model.quality import is_good
from headrace.sdk.store import Aggregate

Column = NDArray[Any]
Rows = dict[str, Column]

BASE: Final = ("handle", "first_ns", "last_ns", "n")
TIMED: Final = ("last", "weight", "integral", "nonzero", "holds")
NEEDS: Final[dict[Aggregate, tuple[str, ...]]] = {
    Aggregate.COUNT: ("count",),
    Aggregate.GOOD_COUNT: ("good",),
    Aggregate.MIN: ("min",),
    Aggregate.MAX: ("max",),
    Aggregate.MEAN: ("sum",),
    Aggregate.SUM: ("sum",),
    Aggregate.FIRST: ("first",),
    Aggregate.LAST: ("last",),
    Aggregate.TIME_WEIGHTED_MEAN: TIMED,
    Aggregate.STANDARD_DEVIATION: ("sum", "m2"),
    Aggregate.TIME_IN_STATE: TIMED,
}


def columns_for(aggregates: Sequence[Aggregate]) -> frozenset[str]:
    return frozenset(BASE).union(*(NEEDS[aggregate] for aggregate in aggregates))


def from_samples(batch: Batch, need: frozenset[str], good_only: bool) -> Rows:
    """One row a sample. The batch is not text."""
    values = batch.values.astype(np.float64, copy=False)
    good = is_good(batch.quality)
    counts = ~np.isnan(values)
    if good_only:
        counts &= good
    rows: Rows = {
        "handle": batch.handles,
        "first_ns": batch.source_ns,
        "last_ns": batch.source_ns,
        "n": counts.astype(np.int64),
    }
    for name in need.intersection(("min", "max", "sum", "first", "last")):
        rows[name] = values
    nothing = np.zeros(len(values))
    for name in need.intersection(("m2", "weight", "integral", "nonzero")):
        rows[name] = nothing
    if "count" in need:
        rows["count"] = np.ones(len(values), np.int64)
    if "good" in need:
        rows["good"] = good.astype(np.int64)
    if "holds" in need:
        rows["holds"] = counts
    return rows


def concat(parts: Sequence[Rows], need: frozenset[str]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return _each_once({name: tuple(part[name] for part in parts) for name in need}, np.concatenate)


def take(rows: Rows, selection: Any) -> Rows:
    return _each_once({name: (column,) for name, column in rows.items()}, lambda held: held[0][selection])


def _each_once(columns: dict[str, tuple[Column, ...]], work: Callable[[tuple[Column, ...]], Column]) -> Rows:
    """Columns that are one and the same array, as several of a sample are, cost the work of one."""
    done: dict[tuple[int, ...], Column] = {}
    rows: Rows = {}
    for name, held in columns.items():
        key = tuple(map(id, held))
        if key not in done:
            done[key] = work(held)
        rows[name] = done[key]
    return rows


def in_time_order(rows: Rows) -> Rows:
    """By (point, time)."""
    handles, first = rows["handle"], rows["first_ns"]
    same = handles[1:] == handles[:-1]
    if ((handles[1:] > handles[:-1]) | (same & (first[1:] >= first[:-1]))).all():
        return rows
    return take(rows, np.lexsort((first, handles)))


def combine(rows: Rows, cell: NDArray[np.int64]) -> Rows:
    """One row for each run of equal `cell`; rows by (point, time). Shape of `cell`: (rows,), non-decreasing."""
    starts = starts_of(cell)
    if len(starts) == len(cell):
        return rows
    out: Rows = {"handle": rows["handle"][starts], "first_ns": rows["first_ns"][starts]}
    ends = np.append(starts[1:], len(cell)) - 1
    out["last_ns"] = rows["last_ns"][ends]
    for name in ("n", "count", "good", "weight", "integral", "nonzero"):
        if name in rows:
            out[name] = np.add.reduceat(rows[name], starts)
    _combine_values(rows, cell, starts, out)
    if "holds" in rows:
        out["holds"] = rows["holds"][ends]
        inner = np.flatnonzero((cell[1:] == cell[:-1]) & rows["holds"][:-1])
        if len(inner):
            group = np.searchsorted(starts, inner, "right") - 1
            gap = (rows["first_ns"][inner + 1] - rows["last_ns"][inner]).astype(np.float64)
            held = rows["last"][inner]
            size = len(starts)
            out["weight"] = out["weight"] + np.bincount(group, gap, size)
            out["integral"] = out["integral"] + np.bincount(group, gap * held, size)
            out["nonzero"] = out["nonzero"] + np.bincount(group, gap * (held != 0), size)
    return out


def _combine_values(rows: Rows, cell: NDArray[np.int64], starts: NDArray[np.int64], out: Rows) -> None:
    names = [name for name in ("min", "max", "sum", "first", "last", "m2") if name in rows]
    if not names:
        return
    valid = rows["n"] > 0
    if valid.all():
        chosen, part = slice(None), starts
        part_rows = rows
        count = len(cell)
    else:
        part_rows = take({name: rows[name] for name in [*names, "n"]}, valid)
        inner = cell[valid]
        part = starts_of(inner) if len(inner) else np.empty(0, np.int64)
        chosen = np.searchsorted(cell[starts], inner[part])  # type: ignore[assignment]
        count = len(inner)
    for name in names:
        column = part_rows[name]
        result = np.full(len(starts), np.nan)
        if len(part):
            if name == "first":
                result[chosen] = column[part]
            elif name == "last":
                result[chosen] = column[np.append(part[1:], count) - 1]
            elif name == "m2":
                result[chosen] = _pooled_squares(part_rows, part, count)
            else:
                reduce = {"min": np.minimum, "max": np.maximum, "sum": np.add}[name]
                result[chosen] = reduce.reduceat(column, part)
        out[name] = result


def _pooled_squares(rows: Rows, starts: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979."""
    n, total = rows["n"], rows["sum"]
    mean = np.add.reduceat(total, starts) / np.add.reduceat(n, starts)
    spread = np.repeat(mean, np.diff(np.append(starts, count)))
    squares: NDArray[np.float64] = np.add.reduceat(rows["m2"] + n * (total / n - spread) ** 2, starts)
    return squares
