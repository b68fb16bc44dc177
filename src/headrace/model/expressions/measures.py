"""What windows measure. See `windows.py` for R, F and the parts of a window.

    Moments   mean, stddev, integral     values weighted by the time that they stood
    Extremes  min, max, held, first, last     over the values that stood
    Sums      sum, count                 over the samples

Moments count from a value near by, so that a constant has exactly itself as its mean and no deviation: F from the first
of its block, R from the last, for these are always in the window; a spike that has left it is in no number. The two
parts of a window are merged by their means. Source: Chan, Golub, LeVeque 1983, eq. 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headrace.model.expressions.columns import scan_back
from headrace.model.expressions.tree import Node
from headrace.model.expressions.windows import Ahead, Columns, Ending, Measure, Parts, seeded
from headrace.model.time import SECOND_NS

_FLOAT: Final = np.dtype(np.float64)
_LAST: Final = np.iinfo(np.int64).max


class Moments:
    def __init__(self, op: str) -> None:
        self._op, self._squares = op, op == "stddev"
        self.dtype: np.dtype[Any] = _FLOAT
        self.rest: Mapping[str, DTypeLike] = {"mean": _FLOAT} | ({"square": _FLOAT} if self._squares else {})
        self.ahead: Mapping[str, tuple[DTypeLike, Any]] = {"near": (_FLOAT, np.nan), "sum": (_FLOAT, 0.0)} | (
            {"squares": (_FLOAT, 0.0)} if self._squares else {}
        )

    def go(self, rows: Ahead, kept: Mapping[str, NDArray[Any]]) -> Columns:
        near = self._near(rows, kept)
        stood = rows.stood_ns > 0
        away = np.where(stood, rows.before - near, 0.0)
        weight = rows.stood_ns.astype(np.float64)
        found = {"near": near, "sum": seeded(np.add, away * weight, rows, kept["sum"])}
        if self._squares:
            found["squares"] = seeded(np.add, away * away * weight, rows, kept["squares"])
        return found

    def _near(self, rows: Ahead, kept: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """What each row's block counts from, as known before the row: the value that stood at its beginning, or the
        first usable one. NaN where there is none yet: nothing has been added then either.
        """
        heads = np.flatnonzero(rows.heads)
        kept_near = kept["near"][rows.instance[heads]]
        going = np.where(np.isnan(kept_near) & rows.within[heads], rows.before[heads], kept_near)
        stood = np.where(rows.stood_ns[heads] > 0, rows.before[heads], np.nan)
        lengths = np.diff(np.append(heads, len(rows.values)))
        near = np.repeat(np.where(rows.seeds[heads], going, stood), lengths)
        if np.isnan(near).any():
            place = np.arange(len(near))
            first = np.repeat(np.minimum.reduceat(np.where(rows.flag > 0, place, _LAST), heads), lengths)
            known = np.isnan(near) & (first < place)
            near[known] = rows.values[first[known]]
        return near

    def close(self, rows: Ending) -> Columns:
        heads = np.flatnonzero(rows.heads)
        lengths = np.diff(np.append(heads, len(rows.values)))
        last = np.maximum.reduceat(np.where(rows.flag > 0, np.arange(len(rows.values)), -1), heads)
        near = np.repeat(np.where(last >= 0, rows.values[last], 0.0), lengths)
        away = np.where(rows.flag > 0, rows.values - near, 0.0)
        weight = rows.stood_ns.astype(np.float64)
        whole = scan_back(np.add, weight, rows.heads)
        total = scan_back(np.add, away * weight, rows.heads)
        some = whole > 0
        mean = np.where(some, total / np.where(some, whole, 1.0), 0.0)
        found = {"mean": near + mean}
        if self._squares:
            squares = scan_back(np.add, away * away * weight, rows.heads)
            found["square"] = np.maximum(squares - total * mean, 0.0)
        return found

    def result(self, parts: Parts) -> NDArray[Any]:
        behind, ahead = parts.behind_ns.astype(np.float64), parts.ahead_ns.astype(np.float64)
        edge_ns = parts.edge_ns.astype(np.float64)
        rest_ns = behind - edge_ns
        share = edge_ns / np.where(behind > 0, behind, 1.0)
        rest = np.where(rest_ns > 0, parts.rest["mean"], parts.edge)
        apart = np.where(edge_ns > 0, parts.edge - rest, 0.0)
        mean_behind = rest + apart * share
        near = np.where(parts.going, parts.ahead["near"], np.nan)
        near = np.where(np.isnan(near), parts.newest, near)
        last_ns = parts.newest_ns.astype(np.float64)
        away = np.where(parts.newest_usable, parts.newest - near, 0.0)
        total = np.where(parts.going, parts.ahead["sum"], 0.0) + away * last_ns
        off = total / np.where(ahead > 0, ahead, 1.0)
        mean_ahead = near + off
        whole = behind + ahead
        step = np.where(behind > 0, mean_ahead - mean_behind, 0.0)
        share_ahead = ahead / np.where(whole > 0, whole, 1.0)
        mean = np.where(behind > 0, mean_behind + step * share_ahead, np.where(ahead > 0, mean_ahead, parts.newest))
        if self._op == "mean":
            return mean
        if self._op == "integral":
            return np.asarray(mean * (whole / SECOND_NS))
        squares = np.where(rest_ns > 0, parts.rest["square"], 0.0) + apart * apart * share * rest_ns
        squares += np.where(parts.going, parts.ahead["squares"], 0.0) + away * away * last_ns - total * off
        squares += np.where(ahead > 0, step * step * share_ahead * behind, 0.0)
        return np.sqrt(np.maximum(squares / np.where(whole > 0, whole, 1.0), 0.0))


class Extremes:
    """The smallest or largest of the values, or for `first` and `last` of the numbers of the rows."""

    def __init__(self, op: str, dtype: np.dtype[Any]) -> None:
        self._by_row = op in ("first", "last")
        self.dtype = dtype
        self._ufunc = np.minimum if op in ("lowest", "first", "held") else np.maximum
        key = np.dtype(np.int64) if self._by_row else dtype
        self._none: Any = _furthest(key, smallest=self._ufunc is np.minimum)
        self.rest: Mapping[str, DTypeLike] = {"extreme": key}
        self.ahead: Mapping[str, tuple[DTypeLike, Any]] = {"extreme": (key, self._none)}

    def go(self, rows: Ahead, kept: Mapping[str, NDArray[Any]]) -> Columns:
        key = np.where(rows.stood_ns > 0, rows.before_seq if self._by_row else rows.before, self._none)
        return {"extreme": seeded(self._ufunc, key.astype(self.ahead["extreme"][0], copy=False), rows, kept["extreme"])}

    def close(self, rows: Ending) -> Columns:
        key = np.where(rows.flag > 0, rows.seq if self._by_row else rows.values, self._none)
        return {"extreme": scan_back(self._ufunc, key.astype(self.ahead["extreme"][0], copy=False), rows.heads)}

    def result(self, parts: Parts) -> NDArray[Any]:
        edge, newest = (parts.edge_seq, parts.newest_seq) if self._by_row else (parts.edge, parts.newest)
        key = np.where(parts.edge_ns > 0, edge, self._none)
        key = self._ufunc(key, np.where(parts.has_rest, parts.rest["extreme"], self._none))
        key = self._ufunc(key, np.where(parts.going, parts.ahead["extreme"], self._none))
        key = self._ufunc(key, np.where(parts.newest_usable, newest, self._none))
        if not self._by_row:
            return np.asarray(key)
        known = key != self._none
        return parts.lookup(np.where(known, key, parts.newest_seq))


class Sums:
    def __init__(self, op: str) -> None:
        self._counts = op == "count"
        self.dtype: np.dtype[Any] = np.dtype(np.bool_) if self._counts else _FLOAT
        self._sum: np.dtype[Any] = np.dtype(np.int64) if self._counts else _FLOAT
        self.rest: Mapping[str, DTypeLike] = {"sum": self._sum}
        self.ahead: Mapping[str, tuple[DTypeLike, Any]] = {"sum": (self._sum, 0)}

    def go(self, rows: Ahead, kept: Mapping[str, NDArray[Any]]) -> Columns:
        return {"sum": seeded(np.add, self._part(rows.within, rows.before), rows, kept["sum"])}

    def close(self, rows: Ending) -> Columns:
        return {"sum": scan_back(np.add, self._part(rows.flag > 0, rows.values), rows.heads)}

    def result(self, parts: Parts) -> NDArray[Any]:
        ahead = np.where(parts.going, parts.ahead["sum"], 0) + self._part(parts.newest_within, parts.newest)
        return np.asarray(np.where(parts.has_rest, parts.rest["sum"], 0) + ahead)

    def _part(self, counts: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[Any]:
        return counts.astype(np.int64) if self._counts else np.where(counts, values, 0.0)


def measure_of(node: Node) -> Measure:
    op, kind = node.op, node.parts[0].kind
    if op in ("mean", "stddev", "integral"):
        return Moments(op)
    if op in ("sum", "count"):
        return Sums(op)
    return Extremes(op, kind.dtype)


def _furthest(dtype: np.dtype[Any], *, smallest: bool) -> Any:
    """What every value beats."""
    if dtype.kind == "b":
        return smallest
    if dtype.kind == "f":
        return np.inf if smallest else -np.inf
    limits = np.iinfo(dtype)
    return limits.max if smallest else limits.min
