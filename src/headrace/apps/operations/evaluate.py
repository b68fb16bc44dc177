"""The cells of some hours of a unit, from its facts: a pure function, asked for all hours or for those that changed.

runs, jobs, calendar, hours ─► their edges, merged ─► stretches in which nothing changes ─► added up by cell
counters, amounts ─► at their time's hour, shift and job                               ─► added up by cell
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.calendar import Stretches
from headrace.apps.operations.cells import COUNTS_KEYS, TIMES_KEYS, Counts, Times, grouped, no_counts, no_times
from headrace.apps.operations.elements import Element, Quantity
from headrace.apps.operations.lane import AMOUNT, COUNTER, LEVEL, ORDER, Lane
from headrace.apps.operations.orders import NO_JOB, JobColumns
from headrace.apps.operations.quantities import increments
from headrace.apps.operations.series import Series
from headrace.apps.operations.states import ReasonColumns, on_calendar
from headrace.model.time import HOUR_NS

PLANNED_STOP: Final = -101
"""The cause of planned down time that the calendar says."""
NOT_PLANNED: Final = -102
"""The cause of time outside planned operation."""

_NONE: Final = Series()


def evaluate(
    lane: Lane, first_hour: int, last_hour: int, jobs: JobColumns, reasons: ReasonColumns
) -> tuple[Times, Counts]:
    """The cells of [first, last), hours since 1970. Units: ns, and each quantity's own.

    Raises: ConfigError where the calendar's shifts overlap.
    """
    start_ns = max(first_hour * HOUR_NS, lane.unit.since_ns)
    end_ns = min(last_hour * HOUR_NS, lane.horizon_ns)
    if end_ns <= start_ns:
        return no_times(), no_counts()
    plan = lane.unit.timetable.between(start_ns, end_ns)
    orders = lane.series.get(ORDER, _NONE)
    runs = lane.runs(start_ns, end_ns, reasons)
    level = lane.series.get(LEVEL, _NONE)
    hours = np.arange(start_ns // HOUR_NS + 1, -(-end_ns // HOUR_NS)) * HOUR_NS
    edges = [runs.start_ns, plan.start_ns, orders.slice(start_ns, end_ns)[0], level.slice(start_ns, end_ns)[0], hours]
    inner = np.sort(np.concatenate(edges))
    inner = inner[np.searchsorted(inner, start_ns, "right") : np.searchsorted(inner, end_ns, "left")]
    starts = np.concatenate([[start_ns], inner])
    lengths = np.concatenate([starts[1:], [end_ns]]) - starts
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    run = np.searchsorted(runs.start_ns, starts, "right") - 1
    part, job = _part(plan, starts), _jobs(orders, starts)
    element = on_calendar(runs.element[run], plan.status[part])
    cause = runs.cause[run]
    by_calendar = (element != runs.element[run]) & (cause < 0)
    outside = np.where(element == Element.OFF, NOT_PLANNED, PLANNED_STOP)
    cause = np.where(by_calendar, outside, cause).astype(np.int32)
    begun = starts == runs.start_ns[run]
    hour = starts // HOUR_NS
    where = [hour, plan.shift[part], job]
    sums = [lengths, begun.astype(np.int64), (begun & runs.failure[run]).astype(np.int64)]
    times = Times(*grouped([*where, element, cause, *sums], TIMES_KEYS))
    counts = _counted(lane, start_ns, end_ns, plan, orders)
    if len(level):
        held = level.at(starts)
        known = ~np.isnan(held)
        hours_long = lengths[known] / HOUR_NS
        for kind, value in ((Quantity.INV, held[known] * hours_long), (Quantity.INVT, hours_long)):
            counts.append([*(column[known] for column in where), _kind(kind, len(value)), value])
    return times, _finished(lane, counts, jobs)


def _counted(lane: Lane, start_ns: int, end_ns: int, plan: Stretches, orders: Series) -> list[list[NDArray[Any]]]:
    """Quantities that facts give in [start, end): (hour, shift, job, kind, value), one list a series."""
    found: list[list[NDArray[Any]]] = []
    for slot, series in sorted(lane.series.items()):
        if slot >= AMOUNT:
            times, values = series.slice(start_ns, end_ns)
            kind = Quantity(slot - AMOUNT)
        elif slot >= COUNTER:
            counter = lane.unit.counters[slot - COUNTER]
            first, last = np.searchsorted(series.time_ns, (start_ns, end_ns))
            first = max(int(first), 1)  # the very first sample only says where counting begins
            times, kind = series.time_ns[first:last], counter.kind
            values = increments(counter, series.value[first - 1 : last]) if len(times) else np.empty(0)
        else:
            continue
        if len(times):
            where: list[NDArray[Any]] = [times // HOUR_NS, plan.shift[_part(plan, times)], _jobs(orders, times)]
            found.append([*where, _kind(kind, len(times)), values])
    return found


def _finished(lane: Lane, counts: list[list[NDArray[Any]]], jobs: JobColumns) -> Counts:
    """Added up by cell, with what follows from them: the quantity that is not counted, IDEAL, PSQ and PQ1."""
    if not counts:
        return no_counts()
    joined = [np.concatenate(columns) for columns in zip(*counts, strict=True)]
    hour, shift, job, kind, value = joined
    piece = np.isin(kind, (Quantity.PQ, Quantity.GQ, Quantity.SQ, Quantity.RQ))
    if lane.unit.counts == "produced":
        sign = np.where(kind == Quantity.PQ, 1.0, -1.0)
        keep, other = piece, Quantity.GQ
    else:
        sign, keep, other = np.ones(len(kind)), piece, Quantity.PQ
    extra = [[hour[keep], shift[keep], job[keep], _kind(other, int(keep.sum())), (sign * value)[keep]]]
    cells = grouped([np.concatenate(columns) for columns in zip(joined, *extra, strict=True)], COUNTS_KEYS)
    hour, shift, job, kind, value = cells
    made = kind == Quantity.PQ
    pri = np.where(jobs.pri_ns[job] > 0, jobs.pri_ns[job], lane.unit.pri_ns)
    followed = [
        (Quantity.IDEAL, made & (pri > 0), pri),
        (Quantity.PSQ, made & (job != NO_JOB), jobs.scrap_share[job]),
        (Quantity.PQ1, made & jobs.first[job], np.ones(len(job))),
    ]
    rows = [[hour[at], shift[at], job[at], _kind(what, int(at.sum())), (value * by)[at]] for what, at, by in followed]
    return Counts(*grouped([np.concatenate(columns) for columns in zip(cells, *rows, strict=True)], COUNTS_KEYS))


def _part(plan: Stretches, times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.maximum(np.searchsorted(plan.start_ns, times, "right") - 1, 0)


def _jobs(orders: Series, times: NDArray[np.int64]) -> NDArray[np.int32]:
    if not len(orders):
        return np.full(len(times), NO_JOB, np.int32)
    found = orders.at(times)
    return np.where(np.isnan(found), NO_JOB, found).astype(np.int32)


def _kind(kind: Quantity, count: int) -> NDArray[np.int8]:
    return np.full(count, kind, np.int8)
