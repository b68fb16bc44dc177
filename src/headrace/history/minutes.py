"""Roll-up minutes as summary rows. Which points they cannot answer for is said, never guessed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.rollups import RealValues, columns_behind
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
    columns = _only(stored, handles)
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
    rows["integral"] = np.where(n > 0, step * (values["sum"] - values["last"]), 0.0)
    never = (values["min"] == 0) & (values["max"] == 0)
    always = (values["min"] > 0) | (values["max"] < 0)
    rows["nonzero"] = rows["integral"] if kind is ValueKind.BOOL else np.where(never, 0.0, rows["weight"])
    rows["holds"] = n > 0
    mixed = ~(never | always) if kind is not ValueKind.BOOL else np.zeros(len(n), np.bool_)
    estimate: NDArray[np.bool_] = (columns["uneven"] != 0) | (columns["bad"] > 0) | (columns["skipped"] > 0) | mixed
    return estimate


def _only(stored: dict[str, NDArray[np.int64]], handles: Handles) -> dict[str, NDArray[np.int64]]:
    """The runs of some points and their rows."""
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
    return {
        name: column[runs] if name in ("handle", "rows", "scale") else column[rows] for name, column in stored.items()
    }
