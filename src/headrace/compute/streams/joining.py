"""Rows of closed windows become the columns that a function gets.

one input          time, <input>, quality                    (by="all": point)
join="window"      time, input, value, quality               a row a sample
join="latest"      time, <input> …                           a row a moment of any input
join="asof"        time, <input> …                           a row a sample of the first input

What stood before a window began is known: the last sample of each input that was let go is kept (`Stood`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams.closing import Closed, Places
from headrace.compute.streams.rows import NEVER, Bools, Ints, Rows
from headrace.model.batch import TimesNs, ValueKind
from headrace.sdk.stream import By, Input, Join, StreamFunction

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Stood:
    """The last sample let go, of each (key, input), row-major; `NEVER` where there was none."""

    inputs: int
    time_ns: TimesNs
    bits: NDArray[np.int64]

    @classmethod
    def none(cls, inputs: int) -> Stood:
        return cls(inputs, np.empty(0, np.int64), np.empty(0, np.int64))

    def grow(self, keys: int) -> None:
        missing = keys * self.inputs - len(self.time_ns)
        if missing > 0:
            self.time_ns = np.append(self.time_ns, np.full(missing, NEVER, np.int64))
            self.bits = np.append(self.bits, np.zeros(missing, np.int64))

    def take(self, rows: Rows, keys: Ints, inputs: Ints) -> None:
        """Rows let go, by (key, time)."""
        slots = keys.astype(np.int64) * self.inputs + inputs
        self.time_ns[slots], self.bits[slots] = rows.time_ns, rows.bits  # of equal slots the last stays


@dataclass(frozen=True, slots=True)
class Columns:
    """Shape: (rows,) each; rows of window w: `offsets[w]:offsets[w + 1]`."""

    record: pa.RecordBatch
    offsets: Places


def columns_of(function: StreamFunction, closed: Closed, input_of: Ints, stood: Stood, paths: Sequence[str]) -> Columns:
    """`input_of` and `paths` by series."""
    import pyarrow as pa

    rows, index = closed.rows, closed.index
    if function.joins:
        return _joined(function, closed, input_of, stood)
    series = rows.series[index]
    names = list(function.inputs)
    found: dict[str, Any] = {"time": _times(rows.time_ns[index])}
    if len(names) == 1:
        found[names[0]] = _values(function.inputs[names[0]], rows.bits[index])
    else:
        whose = input_of[series]
        found["input"] = pa.DictionaryArray.from_arrays(pa.array(whose), pa.array(names))
        found["value"] = _as_floats(function, rows.bits[index], whose)
    found["quality"] = pa.array(rows.quality[index])
    if function.by is By.ALL:
        found["point"] = pa.DictionaryArray.from_arrays(pa.array(series), pa.array(list(paths)))
    return Columns(pa.record_batch(found), closed.offsets)


def _joined(function: StreamFunction, closed: Closed, input_of: Ints, stood: Stood) -> Columns:
    import pyarrow as pa

    rows, keys = closed.rows, closed.row_keys
    inputs = input_of[rows.series]
    ends = np.ones(len(rows), np.bool_)  # of a moment: where everything of it is known
    ends[:-1] = (keys[1:] != keys[:-1]) | (rows.time_ns[1:] != rows.time_ns[:-1])
    end_of = np.flatnonzero(ends)[np.cumsum(ends) - ends]
    shown = ends if function.join is Join.LATEST else _last_of_moment(inputs == 0, end_of)
    starts = np.zeros(len(rows), np.int64)
    heads = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(rows) else np.empty(0, np.int64)
    starts[heads] = heads
    starts = np.maximum.accumulate(starts)

    chosen = shown[closed.index]
    index = closed.index[chosen]
    lengths = np.bincount(closed.row_windows()[chosen], minlength=len(closed))
    at = end_of[index]
    found: dict[str, Any] = {"time": _times(rows.time_ns[index])}
    for number, (name, declared) in enumerate(function.inputs.items()):
        latest = np.maximum.accumulate(np.where(inputs == number, np.arange(len(rows)), -1))[at]
        here = latest >= starts[at]
        slot = keys[at].astype(np.int64) * len(function.inputs) + number
        time = np.where(here, rows.time_ns[latest], stood.time_ns[slot])
        bits = np.where(here, rows.bits[latest], stood.bits[slot])
        known = time > NEVER
        if function.tolerance_ns:
            known &= rows.time_ns[index] - time <= function.tolerance_ns
        found[name] = _values(declared, bits, known)
    return Columns(pa.record_batch(found), np.append(0, np.cumsum(lengths)))


def _last_of_moment(wanted: Bools, end_of: Places) -> Bools:
    """One row a moment: the last that is wanted."""
    last = np.full(len(wanted) + 1, -1, np.int64)
    places = np.flatnonzero(wanted)
    last[end_of[places]] = places
    shown = np.zeros(len(wanted), np.bool_)
    shown[last[last >= 0]] = True
    return shown


def _times(time_ns: TimesNs) -> pa.Array:
    import pyarrow as pa

    return pa.array(time_ns).view(pa.timestamp("ns", tz="UTC"))


def _values(declared: Input, bits: NDArray[np.int64], known: Bools | None = None) -> pa.Array:
    import pyarrow as pa

    values: Any = bits
    if declared.kind is ValueKind.FLOAT64:
        values = bits.view(np.float64)
    elif declared.kind is ValueKind.BOOL:
        values = bits != 0
    return pa.array(values) if known is None or known.all() else pa.array(values, mask=~known)


def _as_floats(function: StreamFunction, bits: NDArray[np.int64], whose: Ints) -> NDArray[np.float64]:
    floats = np.array([one.kind is ValueKind.FLOAT64 for one in function.inputs.values()])
    return np.where(floats[whose], bits.view(np.float64), bits.astype(np.float64))
