"""Values in columns with their quality, and the sums along them that do not depend on how a column was cut.

A float sum depends on its order. `scan` adds strictly from left to right within each run and takes what came before as
its beginning, so the end of one call carried into the next gives bit for bit what one call gives.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import ValueKind

Ints = NDArray[np.intp]
Times = NDArray[np.int64]
Bools = NDArray[np.bool_]
Qualities = NDArray[np.uint32]
Tally = Counter[str]

DIVISION, DOMAIN, TOO_LARGE = "division by zero", "outside the domain", "too large"
_FAILED: Final = np.uint32(q.BAD_OUT_OF_RANGE)
BAD: Final = np.uint32(q.BAD)
GOOD_BELOW: Final = np.uint32(q.UNCERTAIN)


class Column(NamedTuple):
    """Shape: (rows,), or () for what is the same in all. `quality` None is good everywhere. Bad values mean nothing."""

    values: NDArray[Any]
    quality: Qualities | None = None


def worst(*qualities: Qualities | None) -> Qualities | None:
    """The worse status code of each row: by severity, then by number."""
    found: Qualities | None = None
    for quality in qualities:
        if quality is not None:
            found = quality if found is None else np.maximum(found, quality)
    return found


def usable(quality: Qualities | None, like: NDArray[Any]) -> Bools:
    """Which rows are not bad. Shape: that of `like` where all are good."""
    return np.ones(like.shape, np.bool_) if quality is None else quality < BAD


def failing(failed: Bools, quality: Qualities | None, reason: str, tally: Tally) -> Qualities | None:
    """`quality`, bad where a usable row failed; these are counted."""
    new = failed if quality is None else failed & (quality < BAD)
    count = int(np.count_nonzero(new))
    if not count:
        return quality
    tally[reason] += count
    return np.where(new, _FAILED, np.uint32(q.GOOD) if quality is None else quality)


def blank(kind: ValueKind) -> Any:
    """What stands in a row that nobody should use."""
    return {ValueKind.FLOAT64: np.nan, ValueKind.INT64: 0, ValueKind.BOOL: False}.get(kind, "")


def starts_of(*keys: NDArray[Any]) -> Bools:
    """Which rows begin a run of equal keys. Shape: (rows,)."""
    starts = np.ones(len(keys[0]), np.bool_)
    if len(starts) > 1:
        np.not_equal(keys[0][1:], keys[0][:-1], out=starts[1:])
        for key in keys[1:]:
            starts[1:] |= key[1:] != key[:-1]
    return starts


def scan(ufunc: np.ufunc, values: NDArray[Any], starts: Bools) -> NDArray[Any]:
    """`ufunc` accumulated from left to right within each run. Shape: (rows,); `starts[0]` is true.

    Runs of similar length (up to twice) go as rows of one matrix.
    """
    rows = len(values)
    first = np.flatnonzero(starts)
    if len(first) == rows:
        return values
    if len(first) == 1:
        return np.asarray(ufunc.accumulate(values))
    length = np.diff(np.append(first, rows))
    size = np.frexp(length - 0.5)[1]  # 2 ** (size - 1) < length <= 2 ** size
    result = values.copy()
    for each in np.unique(size[length > 1]).tolist():
        chosen = size == each
        heads, counts = first[chosen, None], length[chosen, None]
        step = np.arange(int(counts.max()))
        place, inside = heads + step, step < counts
        if inside.all():
            result[place] = ufunc.accumulate(values[place], axis=1)
        else:
            result[place[inside]] = ufunc.accumulate(values[np.minimum(place, rows - 1)], axis=1)[inside]
    return result


def scan_back(ufunc: np.ufunc, values: NDArray[Any], starts: Bools) -> NDArray[Any]:
    """The same from the end of each run to its beginning."""
    ends = np.append(starts[1:], True)
    return scan(ufunc, values[::-1], ends[::-1])[::-1]
