"""Means, extremes and counts of many windows at once, over columns: no Python for each window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams.closing import Closed, Places
from headrace.compute.streams.rows import Ints
from headrace.model.batch import ValueKind
from headrace.sdk.stream import Reduce, StreamFunction

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """Of one output: the windows that have one, and their values. Shape: (windows,) each."""

    windows: Places
    values: NDArray[Any]


def reduce(function: StreamFunction, closed: Closed, input_of: Ints) -> dict[str, Column]:
    """By output. A window without a sample of an input has none of what is made of it."""
    found: dict[str, Column] = {}
    whose = input_of[closed.rows.series[closed.index]] if len(function.inputs) > 1 else None
    for number, (name, declared) in enumerate(function.inputs.items()):
        wanted = {output: what for output, (of, what) in function.reduce.items() if of == name}
        if not wanted or not len(closed):
            continue
        index, offsets, windows = closed.index, closed.offsets, np.arange(len(closed))
        if whose is not None:
            chosen = whose == number
            index = index[chosen]
            lengths = np.bincount(closed.row_windows()[chosen], minlength=len(closed))
            windows = np.flatnonzero(lengths)
            offsets = np.append(0, np.cumsum(lengths[windows]))
        if not len(windows):
            continue
        bits = closed.rows.bits[index]
        values = bits.view(np.float64) if declared.kind is ValueKind.FLOAT64 else bits.astype(np.float64)
        for output, what in wanted.items():
            found[output] = Column(windows, _REDUCING[what](values, offsets))
    return found


def reduce_runs(what: Reduce, values: Floats, offsets: Places) -> NDArray[Any]:
    """Of runs of values, none empty: `values[offsets[r]:offsets[r + 1]]`. Shape: (runs,)."""
    return _REDUCING[what](values, offsets)


def _mean(values: Floats, offsets: Places) -> Floats:
    mean: Floats = np.add.reduceat(values, offsets[:-1]) / np.diff(offsets)
    return mean


def _std(values: Floats, offsets: Places) -> Floats:
    apart = values - np.repeat(_mean(values, offsets), np.diff(offsets))
    return np.sqrt(_mean(apart * apart, offsets))


_REDUCING: Final[dict[Reduce, Callable[[Floats, Places], NDArray[Any]]]] = {
    Reduce.MEAN: _mean,
    Reduce.MIN: lambda values, offsets: np.minimum.reduceat(values, offsets[:-1]),
    Reduce.MAX: lambda values, offsets: np.maximum.reduceat(values, offsets[:-1]),
    Reduce.SUM: lambda values, offsets: np.add.reduceat(values, offsets[:-1]),
    Reduce.COUNT: lambda _, offsets: np.diff(offsets).astype(np.float64),
    Reduce.STD: _std,
    Reduce.FIRST: lambda values, offsets: values[offsets[:-1]],
    Reduce.LAST: lambda values, offsets: values[offsets[1:] - 1],
}
