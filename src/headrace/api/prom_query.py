"""Series over steps: a window before each step, put together from buckets of the store, so that roll-ups can answer.

    range 5m, step 1m ─► buckets of gcd(5m, 1m) ─► windows of five ─► every one

A window is [t − range, t): a sample at t itself belongs to the next step. Good samples only.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.api.promql import Series
from headrace.model.batch import Handles
from headrace.model.errors import DataError
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.store import Aggregate, HistoryReader

STEPS_MAX: Final = 11_000
SERIES_MAX: Final = 1_000
CELLS_MAX: Final = 20_000_000
CELLS_AT_ONCE: Final = 500_000

_NEEDED: Final = {
    "avg": (Aggregate.SUM, Aggregate.GOOD_COUNT),
    "sum": (Aggregate.SUM, Aggregate.GOOD_COUNT),
    "count": (Aggregate.GOOD_COUNT,),
    "min": (Aggregate.MIN,),
    "max": (Aggregate.MAX,),
    "last": (Aggregate.LAST,),
}


async def evaluate(
    store: HistoryReader, handles: Handles, series: Series, start_ns: int, step_ns: int, steps: int
) -> NDArray[np.float64]:
    """Shape: (series, steps) float64, NaN where a window is empty. Raises: DataError for too much at once."""
    if steps > STEPS_MAX:
        raise DataError(f"{steps} steps a series are more than {STEPS_MAX}; ask for a wider step or a shorter time")
    if len(handles) > SERIES_MAX:
        raise DataError(f"the selector matches {len(handles)} points, more than {SERIES_MAX}; narrow it")
    width_ns = math.gcd(series.range_ns, step_ns) if steps > 1 else series.range_ns
    window, stride = series.range_ns // width_ns, step_ns // width_ns if steps > 1 else 1
    buckets = (steps - 1) * stride + window
    if buckets * len(handles) > CELLS_MAX or buckets > CELLS_AT_ONCE:
        raise DataError(
            "the range and the step have no common measure that is not tiny; make one a multiple of the other"
        )
    answers = []
    for at in range(0, len(handles), max(1, CELLS_AT_ONCE // buckets)):
        group = handles[at : at + max(1, CELLS_AT_ONCE // buckets)]
        first_ns = start_ns - series.range_ns
        found = await store.downsample(
            group, first_ns, first_ns + buckets * width_ns, count=buckets, aggregates=_NEEDED[series.function]
        )
        columns = {name: np.asarray(column, np.float64) for name, column in found.columns.items()}
        answers.append(_windows(series.function, columns, window, stride))
    return np.concatenate(answers) if answers else np.empty((0, steps))


def _windows(function: str, columns: Any, window: int, stride: int) -> NDArray[np.float64]:
    def over(name: Aggregate) -> NDArray[np.float64]:
        view: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(columns[name], window, axis=1)[:, ::stride]
        return view

    with np.errstate(invalid="ignore", divide="ignore"):
        if function in ("min", "max"):
            name = Aggregate.MIN if function == "min" else Aggregate.MAX
            extreme: NDArray[np.float64] = (np.fmin if function == "min" else np.fmax).reduce(over(name), axis=2)
            return extreme
        if function == "last":
            newest: NDArray[np.float64] = _last(over(Aggregate.LAST))
            return newest
        count = np.nansum(over(Aggregate.GOOD_COUNT), axis=2)
        if function == "count":
            return np.where(count > 0, count, np.nan)
        total = np.nansum(over(Aggregate.SUM), axis=2)
        return np.where(count > 0, total / count if function == "avg" else total, np.nan)


def _last(view: NDArray[np.float64]) -> NDArray[np.float64]:
    """The last of each window that is a number, from the right, one bucket after the other."""
    newest = view[:, :, -1].copy()
    for back in range(2, view.shape[2] + 1):
        missing = np.isnan(newest)
        if not missing.any():
            break
        newest[missing] = view[:, :, -back][missing]
    return newest


def pairs(times_ns: NDArray[np.int64], values: NDArray[np.float64]) -> list[list[Any]]:
    """`[[seconds, "value"], …]` without the empty steps."""
    present = ~np.isnan(values)
    seconds = (times_ns[present] // MILLISECOND_NS) / 1000
    return [
        [second, number_text(value)] for second, value in zip(seconds.tolist(), values[present].tolist(), strict=True)
    ]


def number_text(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return repr(value).removesuffix(".0")


def steps_of(start_ns: int, end_ns: int, step_ns: int) -> tuple[int, NDArray[np.int64]]:
    """(how many, their times). Raises: DataError."""
    if step_ns <= 0:
        raise DataError("the step must be above zero")
    if end_ns < start_ns:
        raise DataError("the end must not be before the start")
    steps = (end_ns - start_ns) // step_ns + 1
    if steps > STEPS_MAX:
        raise DataError(f"{steps} steps a series are more than {STEPS_MAX}; ask for a wider step or a shorter time")
    return steps, start_ns + step_ns * np.arange(steps, dtype=np.int64)
