"""Roll-up minutes as summary rows. Which points they cannot answer for is said, never guessed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history.catalog import Tombstone
from headrace.history.rollups import RUN_COLUMNS, KindTable, RealValues, columns_behind, encode_block
from headrace.history.rows import Rows
from headrace.model.batch import Handles, ValueKind
from headrace.model.time import HOUR_NS, MINUTE_NS

_BEHIND: Final = {
    "min": ("min",),
    "max": ("max",),
    "sum": ("sum",),
    "first": ("first",),
    "last": ("last",),
    "m2": ("sum", "square", "min"),
    "weight": (),
    "integral": ("sum", "last"),
    "nonzero": ("sum", "last", "min", "max"),
}
_VALUES_BEHIND: Final = {"m2": ("sum", "min"), "weight": ("sum", "last", "min", "max")}


def minute_columns(need: frozenset[str]) -> set[str]:
    """Stored columns behind the wanted columns of rows."""
    names = {"handle", "minute", "offset", "span", "count", "bad", "skipped"}
    for column in need:
        names.update(_BEHIND.get(column, ()))
    if "weight" in need:
        names.add("uneven")
    return columns_behind(sorted(names))


def from_minutes(
    kind: ValueKind,
    stored: dict[str, NDArray[np.int64]],
    hour: int,
    handles: Handles,
    need: frozenset[str],
    good_only: bool,
) -> tuple[Rows, Handles]:
    """Rows by (point, time) of `handles`, and the points whose samples must be asked instead."""
    columns = only(stored, handles)
    owner = np.repeat(columns["handle"].astype(np.uint32), columns["rows"])
    count, bad, skipped = columns["count"], columns["bad"], columns["skipped"]
    n = count - bad - skipped
    first_ns = hour * HOUR_NS + columns["minute"] * MINUTE_NS + columns["offset"]
    rows: Rows = {"handle": owner, "first_ns": first_ns, "last_ns": first_ns + columns["span"], "n": n}
    if "count" in need:
        rows["count"] = count
    if "good" in need:
        rows["good"] = count - bad
    real = RealValues(columns)
    wanted = need.intersection(("min", "max", "sum", "first", "last"))
    behind = wanted.union(*(_VALUES_BEHIND[name] for name in need.intersection(_VALUES_BEHIND)))
    values: Rows = {name: real[name] for name in behind}
    for name in wanted:
        rows[name] = values[name]
    if "m2" in need:
        # The square is stored as distance from the smallest value; the mean's own distance comes off.
        lift = values["sum"] / np.maximum(n, 1) - values["min"]
        rows["m2"] = np.maximum(real["square"] - n * lift * lift, 0.0)
    unfit = np.zeros(len(owner), np.bool_) if good_only else bad > 0
    if "weight" in need:
        unfit |= _time(kind, columns, values, n, rows)
    return rows, np.unique(owner[unfit])


def _time(
    kind: ValueKind, columns: dict[str, NDArray[np.int64]], values: Rows, n: NDArray[np.int64], rows: Rows
) -> NDArray[np.bool_]:
    """Weight, integral and time non-zero within each minute; true where they are an estimate."""
    span = columns["span"].astype(np.float64)
    step = span / np.maximum(n - 1, 1)
    rows["weight"] = np.where(n > 0, span, 0.0)
    rows["integral"] = np.where(n > 1, step * (values["sum"] - values["last"]), 0.0)
    never = (values["min"] == 0) & (values["max"] == 0)
    always = (values["min"] > 0) | (values["max"] < 0)
    rows["nonzero"] = rows["integral"] if kind is ValueKind.BOOL else np.where(never, 0.0, rows["weight"])
    rows["holds"] = n > 0
    mixed = ~(never | always) if kind is not ValueKind.BOOL else np.zeros(len(n), np.bool_)
    estimate: NDArray[np.bool_] = (columns["uneven"] != 0) | (columns["bad"] > 0) | (columns["skipped"] > 0) | mixed
    return estimate | ~np.isfinite(rows["integral"])  # ∞ − ∞: which of the values is infinite, only samples tell


def only(
    stored: dict[str, NDArray[np.int64]], handles: Handles, of_runs: Collection[str] = RUN_COLUMNS
) -> dict[str, NDArray[np.int64]]:
    """The runs of some points and their rows; `of_runs` are the columns with one element a run."""
    chosen = np.isin(stored["handle"], handles)
    if chosen.all():
        return stored
    runs = np.flatnonzero(chosen)
    ends = np.cumsum(stored["rows"])
    sizes = stored["rows"][runs]
    total = np.cumsum(sizes)
    rows = np.arange(int(total[-1]) if len(total) else 0) + np.repeat(
        (ends - stored["rows"])[runs] - (total - sizes), sizes
    )
    return {name: column[runs] if name in of_runs else column[rows] for name, column in stored.items()}


def rollups_without(
    kinds: Mapping[ValueKind, dict[str, NDArray[np.int64]]], hour: int, stones: Sequence[Tombstone]
) -> tuple[bytes, int]:
    """All columns of an hour's roll-ups as a block again, without the minutes that deletions touch, and the samples
    that are left; an empty block where nothing is."""
    tables, samples = {}, 0
    for kind, columns in kinds.items():
        handles = columns["handle"].astype(np.uint32)
        if kind is ValueKind.TEXT:  # runs without rows
            end_ns = (hour + 1) * HOUR_NS
            covering = [stone for stone in stones if stone.start_ns <= hour * HOUR_NS and stone.end_ns >= end_ns]
            gone = np.zeros(len(handles), np.bool_)
            for stone in covering:
                gone |= np.isin(handles, stone.handles)
            left = only(columns, handles[~gone])
        else:
            owner = np.repeat(handles, columns["rows"])
            first_ns = hour * HOUR_NS + columns["minute"] * MINUTE_NS + columns["offset"]
            keep = np.ones(len(owner), np.bool_)
            for stone in stones:
                touched = (first_ns + columns["span"] >= stone.start_ns) & (first_ns < stone.end_ns)
                keep &= ~(touched & np.isin(owner, stone.handles))
            run_of = np.repeat(np.arange(len(handles)), columns["rows"])[keep]
            rows = np.bincount(run_of, minlength=len(handles)).astype(np.int64)
            left = {
                name: column[rows > 0] if name in RUN_COLUMNS else column[keep] for name, column in columns.items()
            } | {"rows": rows[rows > 0]}
            samples += int(left["count"].sum())
        if len(left["handle"]):
            tables[kind] = KindTable()
            tables[kind].add(left)
    zstd = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=True)
    return (encode_block(tables, zstd) if tables else b""), samples
