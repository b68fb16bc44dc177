"""Roll-ups of one hour from several places as one row a minute, without looking at samples.

    flush 1   p: 12:03   59 samples, a hole at 7 s   ─┐
    flush 2   p: 12:03   one that came late, at 7 s  ─┴─► p: 12:03   60 samples, even

Numbers are added up as `rollups.summarise` would have found them: integers at the point's scale, or doubles. Where rows
overlap and nobody can say that no moment is in both (`presence.py`), the point is told, and its samples must be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import starts_of
from headrace.history.numbers import PLAIN
from headrace.history.presence import Presence, together
from headrace.history.rollups import ROW_COLUMNS, coded, factor_of, is_exact
from headrace.model.batch import Handles
from headrace.model.time import MINUTE_NS

Whole = NDArray[np.int64]
Columns = dict[str, Whole]
Table = dict[str, NDArray[Any]]
_VALUES: Final = ("min", "max", "first", "last", "sum", "square")
_COUNTS: Final = ("count", "bad", "skipped")
_LOSS_MAX: Final = 1e-11  # of a sum of squares; beyond, samples are asked
_KEPT: Final = ("minute", "offset", "span", "uneven", *_COUNTS)
JOINED: Final = frozenset({"handle", "rows", "scale", *_KEPT})
"""What is always needed to put rows together."""


def join(parts: Sequence[Columns], names: Collection[str] = ROW_COLUMNS) -> tuple[Columns, Handles]:
    """One run a point with the named row columns, by point and minute; and the points that need their samples.

    `parts` have all columns behind `names`, and are of one kind and hour. A point that is told has no run.
    """
    values = [name for name in _VALUES if name in names]
    rows: Table = {name: np.concatenate([part[name] for part in parts]) for name in (*_KEPT, *values)}
    rows["owner"] = np.concatenate([np.repeat(part["handle"], part["rows"]) for part in parts])
    rows["scale"] = np.concatenate([np.repeat(part["scale"], part["rows"]) for part in parts])
    rows = _take(rows, _order(rows))
    unfit = np.empty(0, np.int64)
    with np.errstate(all="ignore"):  # infinities are values like others
        if values:
            _to_common_scale(rows, values)
        starts = starts_of(rows["owner"], rows["minute"])
        if len(starts) < len(rows["owner"]):
            rows, unfit = _one_a_minute(rows, starts, values)
        if len(unfit):
            rows = _take(rows, ~np.isin(rows["owner"], unfit))
        return _columns(rows, values), unfit.astype(np.uint32)


def _order(rows: Table) -> NDArray[np.int64]:
    """By point and minute; of a minute's rows the fullest first, for it knows the period best."""
    key = rows["owner"] << 6 | rows["minute"]
    order = np.argsort(key, kind="stable")
    key, count = key[order], rows["count"][order]
    starts = starts_of(key)
    lengths = np.diff(np.append(starts, len(key)))
    most = np.flatnonzero(count == np.repeat(np.maximum.reduceat(count, starts), lengths)) if len(key) else starts
    fullest = most[np.searchsorted(most, starts)]
    order[starts], order[fullest] = order[fullest], order[starts]
    return order


def _to_common_scale(rows: Table, values: Sequence[str]) -> None:
    """Values as doubles at the largest scale of their point, or as they were meant where one row of it has no scale.

    Integers of an exact run are below 2^36, and so are doubles without loss at any scale.
    """
    scale, low = rows["scale"], rows["min"]
    n = rows["count"] - rows["bad"] - rows["skipped"]
    points = starts_of(rows["owner"])
    lengths = np.diff(np.append(points, len(scale)))
    common = np.maximum.reduceat(scale, points) if len(points) else scale
    exact, factor = scale != PLAIN, factor_of(scale)
    for name in values:
        column = rows[name]
        whole: Whole = (
            column + low if name in ("max", "first", "last") else column + low * n if name == "sum" else column
        )
        number = whole.astype(np.float64)
        rows[name] = number if exact.all() else np.where(exact, number, column.view(np.float64))
    if "max" in values:
        grow = np.where(exact, factor_of(np.repeat(common, lengths)) / factor, 1.0)
        least = np.minimum.reduceat(np.where(n > 0, rows["min"] * grow, np.inf), points)
        most = np.maximum.reduceat(np.where(n > 0, rows["max"] * grow, -np.inf), points)
        common = np.where((common == PLAIN) | is_exact(least, most), common, PLAIN)
    wide = np.repeat(common, lengths)
    change = np.where(exact, np.where(wide == PLAIN, 1.0, factor_of(wide)) / factor, 1.0)
    rows["scale"] = wide
    if (change == 1).all():
        return
    meant = exact & (wide == PLAIN)
    for name in values:
        power, by = (2, factor * factor) if name == "square" else (1, factor)
        rows[name] = np.where(meant, rows[name] / by, rows[name] * change**power)


def _one_a_minute(rows: Table, starts: NDArray[np.int64], values: Sequence[str]) -> tuple[Table, NDArray[np.int64]]:
    """Each minute's rows as one, and the points of which that cannot be said."""
    ends = np.append(starts[1:], len(rows["owner"]))
    several = np.flatnonzero(ends - starts > 1)
    joined = _take(rows, starts)
    made, unfit = _take(joined, several), np.zeros(len(several), np.bool_)
    at, end = starts[several] + 1, ends[several]
    while (left := np.flatnonzero(at < end)).size:
        both, unknown = _added(_take(made, left), _take(rows, at[left]), values)
        for name, column in both.items():
            made[name][left] = column
        unfit[left] |= unknown
        at[left] += 1
    for name, column in made.items():
        joined[name][several] = column
    return joined, np.unique(made["owner"][unfit])


def _added(one: Table, two: Table, values: Sequence[str]) -> tuple[Table, NDArray[np.bool_]]:
    """Two rows of one minute each as one, and where that cannot be said."""
    begin, other = _first_ns(one), _first_ns(two)
    first, last = np.minimum(begin, other), np.maximum(begin + one["span"], other + two["span"])
    n, m = (row["count"] - row["bad"] - row["skipped"] for row in (one, two))
    uneven, unknown = together(
        Presence(begin, one["span"], one["count"], one["uneven"]),
        Presence(other, two["span"], two["count"], two["uneven"]),
    )
    apart = (begin + one["span"] < other) | (other + two["span"] < begin)
    # Which good value is first cannot be said where rows overlap and some samples do not count.
    unknown |= ~apart & ((one["count"] != n) | (two["count"] != m))
    both: Table = {name: one[name] + two[name] for name in _COUNTS}
    both |= {"offset": first % MINUTE_NS, "span": last - first, "uneven": uneven}
    if not values:
        return both, unknown
    only_one, only_two = m == 0, n == 0

    def pick(name: str, of_two: NDArray[np.bool_]) -> NDArray[np.float64]:
        chosen: NDArray[np.float64] = np.where((of_two | only_two) & ~only_one, two[name], one[name])
        return chosen

    low = pick("min", two["min"] < one["min"])
    for name in values:
        match name:
            case "min":
                both[name] = low
            case "max":
                both[name] = pick(name, two[name] > one[name])
            case "first":
                both[name] = pick(name, other < begin)
            case "last":
                both[name] = pick(name, other + two["span"] > begin + one["span"])
            case "sum":
                both[name] = one[name] + two[name]
            case _:
                (ours, lost), (theirs, also) = _squares(one, n, low), _squares(two, m, low)
                both[name] = ours + theirs
                unknown |= lost + also > _LOSS_MAX * (ours + theirs)
    return both, unknown


def _squares(row: Table, n: Whole, low: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of (value − low)² from that of (value − min)², and how wrong it may be: a sum of large numbers is rounded."""
    lift = np.where(n > 0, row["min"] - low, 0.0)
    twice = 2 * lift * (row["sum"] - n * row["min"])
    rounded = np.where(row["scale"] == PLAIN, 2 * lift * np.abs(row["sum"]) * np.finfo(np.float64).eps, 0.0)
    return np.where(n > 0, row["square"] + twice + n * lift * lift, 0.0), rounded


def _take(rows: Table, selection: Any) -> Table:
    return {name: column[selection] for name, column in rows.items()}


def _first_ns(rows: Table) -> Whole:
    """Counted from the hour."""
    begin: Whole = rows["minute"] * MINUTE_NS + rows["offset"]
    return begin


def _columns(rows: Table, values: Sequence[str]) -> Columns:
    """As `rollups.summarise` gives them."""
    points = starts_of(rows["owner"])
    columns: Columns = {
        "handle": rows["owner"][points],
        "rows": np.diff(np.append(points, len(rows["owner"]))),
        "scale": rows["scale"][points],
    }
    columns |= {name: rows[name] for name in _KEPT}
    n, exact = rows["count"] - rows["bad"] - rows["skipped"], rows["scale"] != PLAIN
    numbers: dict[str, NDArray[np.float64]] = {name: rows[name] for name in values}
    for name in values:
        columns[name] = np.where(n > 0, coded(name, numbers, exact, n), 0)
    return columns
