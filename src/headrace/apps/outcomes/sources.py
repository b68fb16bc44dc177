"""Rows from points: what a counter, a running bit or a fault bit says of a day.

    samples of a day, and the one before it ──► a step function ──► increase | hours | rises | mean ──► a row

A value holds until the next sample; a bad sample says that nothing is known until a good one. A day of which more than
5 % is not known has no row: it stays unknown, and is not taken for zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.apps import Context

UNKNOWN_SHARE_MAX: Final = 0.05


class How(StrEnum):
    INCREASE = "increase"  # of a counter; a smaller value is a new start from zero
    HOURS = "hours"  # in which it was true, or not 0
    RISES = "rises"  # how often it became so
    MEAN = "mean"  # over time


@dataclass(frozen=True, slots=True)
class Source:
    """As a row of the setting `sources`."""

    quantity: str
    unit: str
    point: str
    how: How
    factor: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Samples of one point by time; the first may lie before what is asked about. Shapes: (samples,)."""

    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    good: NDArray[np.bool_]


def amount_of(how: How, held: Held, start_ns: int, end_ns: int) -> float | None:
    """What the samples say of [start_ns, end_ns); None where too much of it is not known."""
    if not len(held.times_ns):
        return None
    begins = np.clip(held.times_ns, start_ns, end_ns)
    widths = np.diff(begins, append=end_ns).astype(np.float64)
    known_ns = float(widths[held.good].sum())
    if known_ns < (1.0 - UNKNOWN_SHARE_MAX) * (end_ns - start_ns):
        return None
    values = held.values[held.good]
    match how:
        case How.HOURS:
            return float(widths[held.good][values != 0].sum()) / HOUR_NS
        case How.MEAN:
            return float((values * widths[held.good]).sum()) / known_ns
        case How.RISES:
            return float(np.count_nonzero(np.diff((values != 0).astype(np.int8)) > 0))
        case How.INCREASE:
            steps = np.diff(values)
            return float(np.where(steps < 0, values[1:], steps).sum())


async def held_of(ctx: Context, point: str, start_ns: int, end_ns: int) -> Held:
    """Raises: DataError for a point of text."""
    parts: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []

    def take(samples: Any) -> None:
        for batch in samples.batches:
            if batch.kind is ValueKind.TEXT:
                raise DataError(f"{point} is text: rows are made from numbers and from true or false")
            parts.append((batch.source_ns, batch.values.astype(np.float64), q.is_good(batch.quality)))

    take(await ctx.history.latest([point], start_ns - 1))
    async for samples in ctx.history.samples([point], start_ns, end_ns):
        take(samples)
    if not parts:
        return Held(np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_))
    times_ns, values, good = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times_ns, kind="stable")
    return Held(times_ns[order], values[order], good[order] & np.isfinite(values[order]))


async def rows_of(ctx: Context, source: Source, day: date, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The row that a source makes of a day of the plant's calendar, as `facts_of` takes it, or none."""
    start_ns, end_ns = (
        int(datetime.combine(day + timedelta(days=ahead), time(), zone).timestamp()) * SECOND_NS for ahead in (0, 1)
    )
    amount = amount_of(source.how, await held_of(ctx, source.point, start_ns, end_ns), start_ns, end_ns)
    if amount is None:
        return []
    return [
        {
            "id": f"{source.quantity} {source.how} {source.point} for {source.unit} {day.isoformat()}",
            "start_ns": start_ns,
            "end_ns": end_ns,
            "unit": source.unit,
            "quantity": source.quantity,
            "amount": amount,
            "factor": source.factor,
        }
    ]
