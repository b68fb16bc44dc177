"""Samples on their way through a stream function, in columns.

series    int32    which of the function's points, dense
time_ns   int64    event time: source time, received time where the source's clock is wild
bits      int64    the value: float64 as its bits, int64 and bool as they are
quality   uint32   OPC UA StatusCode
past_ns   int64    windows that end by then were closed when it came
fresh     bool     no window that holds it has been worked out since it came
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import Batch, TimesNs, ValueKind
from headrace.model.time import SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
NEVER: Final = np.iinfo(np.int64).min // 4
"""Before any time; sums with it do not overflow."""
ALWAYS: Final = np.iinfo(np.int64).max // 4

_DTYPES: Final = {
    "series": np.int32, "time_ns": np.int64, "bits": np.int64, "quality": np.uint32, "past_ns": np.int64,
    "fresh": np.bool_,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """Shape: (rows,) each."""

    series: Ints
    time_ns: TimesNs
    bits: NDArray[np.int64]
    quality: NDArray[np.uint32]
    past_ns: TimesNs
    fresh: Bools

    def __len__(self) -> int:
        return len(self.series)

    def take(self, chosen: Any) -> Rows:
        return Rows(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def columns(self) -> dict[str, NDArray[Any]]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return EMPTY
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


EMPTY: Final = Rows(*(np.empty(0, dtype) for dtype in _DTYPES.values()))


@dataclass(frozen=True, slots=True)
class Arrived:
    """Samples of one call as they came. `usable`: not bad, not NaN, of a kind that the input takes."""

    series: Ints
    time_ns: TimesNs
    bits: NDArray[np.int64]
    quality: NDArray[np.uint32]
    usable: Bools

    def by_time(self) -> Arrived:
        order = np.argsort(self.time_ns, kind="stable")
        return Arrived(*(getattr(self, one.name)[order] for one in fields(self)))


def arrived(batches: Sequence[Batch], series_of: Ints, floats: Bools) -> Arrived:
    """Those samples of the batches that the function reads. `series_of` by handle, −1 for none; `floats` by series."""
    parts: list[tuple[Any, ...]] = []
    for batch in batches:
        known = batch.handles < len(series_of)
        series = series_of[np.where(known, batch.handles, 0)] if len(series_of) else np.full(len(batch), -1, np.int32)
        wanted = known & (series >= 0)
        if not wanted.any():
            continue
        if not wanted.all():
            batch, series = batch.take(wanted), series[wanted]
        bits, fit = _bits(batch, floats[series])
        parts.append((series, event_times(batch), bits, batch.quality, fit & ~q.is_bad(batch.quality)))
    if not parts:
        return Arrived(EMPTY.series, EMPTY.time_ns, EMPTY.bits, EMPTY.quality, EMPTY.fresh)
    return Arrived(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def event_times(batch: Batch) -> TimesNs:
    """Source times, but received times where the clock is wild. Source: docs/decisions/0011-alarms-in-event-time.md."""
    source = batch.source_ns
    wild = (source < SOURCE_TIME_MIN_NS) | (source > batch.received_ns + SOURCE_AHEAD_MAX_NS)
    return np.where(wild, batch.received_ns, source) if wild.any() else source


def _bits(batch: Batch, floats: Bools) -> tuple[NDArray[np.int64], Bools]:
    if batch.kind is ValueKind.TEXT:
        return np.zeros(len(batch), np.int64), np.zeros(len(batch), np.bool_)
    if batch.kind is ValueKind.FLOAT64:
        return batch.values.view(np.int64), floats & ~np.isnan(batch.values)  # a float is no whole number
    whole = batch.values.astype(np.int64)
    if floats.any():
        whole = np.where(floats, whole.astype(np.float64).view(np.int64), whole)
    return whole, np.ones(len(batch), np.bool_)
