"""What routes and reports show: figures with what they rest on, losses, stops, shifts; as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import numpy as np

from headrace.apps.operations.book import Book
from headrace.apps.operations.calendar import Status
from headrace.apps.operations.capability import capability
from headrace.apps.operations.compare import compare
from headrace.apps.operations.elements import Element
from headrace.apps.operations.inspection import first_pass
from headrace.apps.operations.kpis import BESIDE, BY_CODE, KPIS, Figure, figure, figures
from headrace.apps.operations.lane import ORDER, Unit
from headrace.apps.operations.losses import cause_name, pareto, waterfall
from headrace.apps.operations.orders import NO_JOB
from headrace.apps.operations.personnel import Spans, attendance_ns, work_ns
from headrace.apps.operations.reasons import GROUPS
from headrace.apps.operations.signals import numbers_of
from headrace.apps.operations.states import MEANINGS, MICRO, State
from headrace.apps.operations.sums import Selection, Sums, order_execution_ns, summed, symbols
from headrace.model.errors import DataError, LimitReached
from headrace.model.quality import is_good
from headrace.model.time import DAY_NS, HOUR_NS, format_time
from headrace.sdk.apps import Context

SPAN_HOURS_MAX: Final = 24 * 366 * 3
MEASUREMENTS_MAX: Final = 1_000_000
_MAIN: Final = ("oee", "availability", "effectiveness", "quality-ratio")
_STATES: Final = {"en": {s: s.name.lower() for s in State}, "zh": {s: MEANINGS[s].zh for s in State}}


def selection(
    book: Book, units: Sequence[int], start_ns: int, end_ns: int, shift: int | None = None, order: str = ""
) -> Selection:
    """Whole hours, and a shift by itself. Raises: DataError."""
    shifts = None
    if shift is not None:
        start_ns, end_ns = book.config.calendar.shift_span(shift)
        shifts = frozenset({shift})
        end_ns = -(-end_ns // HOUR_NS) * HOUR_NS
        start_ns = start_ns // HOUR_NS * HOUR_NS
    if start_ns % HOUR_NS or end_ns % HOUR_NS:
        raise DataError("figures are of whole hours; begin and end on one, or name a shift")
    if not 0 < (end_ns - start_ns) // HOUR_NS <= SPAN_HOURS_MAX:
        raise DataError(f"a span is of 1 to {SPAN_HOURS_MAX} hours; its end comes after its beginning")
    jobs = None
    if order:
        jobs = frozenset(at for at, job in enumerate(book.jobs) if job.order == order)
        if not jobs:
            raise DataError(f"there is no order '{order[:60]}'")
    return Selection(units, start_ns // HOUR_NS, end_ns // HOUR_NS, shifts, jobs)


async def told(ctx: Context, book: Book, chosen: Selection) -> dict[str, Any]:
    """All KPIs of a selection, their sums, and what was said of it before where that has changed."""
    found = summed(book.ledger, chosen)
    extra = await _beside(ctx, book, chosen)
    before = None if found.stated is None else figures(symbols(found.stated, extra))
    asset = book.config.units[chosen.units[0]].path if len(chosen.units) == 1 else ""
    rows = []
    for at, one in enumerate(figures(symbols(found.now, extra))):
        target = book.config.target(one.kpi.code, asset)
        row = {**_figure(one), "target": target, "met": _met(one, target)}
        if before is not None and before[at].value != one.value:
            row["stated"] = before[at].value
            row["restated_at"] = format_time(found.restated_ns or 0)
        rows.append(row)
    restated = None if found.restated_ns is None else format_time(found.restated_ns)
    return {"kpis": rows, "sums": symbols(found.now, extra), "restated_at": restated}


async def overview(ctx: Context, book: Book, chosen: Selection, language: str) -> dict[str, Any]:
    """All machines together (in %), each of them (as fractions), and where the time went (h): for a page."""
    whole = await told(ctx, book, chosen)
    rows = []
    for unit in chosen.units:
        one = await told(ctx, book, replace(chosen, units=(unit,)))
        now = current(book, unit, language)
        made = {name: one["sums"].get(symbol) for name, symbol in (("good", "GQ"), ("scrap", "SQ"), ("busy_h", "PBT"))}
        rows.append({"unit": now["unit"], "state": now["says"], **_main(one, 1), **made})
    fall = lost(book, chosen)
    losses = [
        {"loss": ctx.say(f"loss.{one['code']}", language), "h": one["lost_h"]} for one in fall["steps"] if one["lost_h"]
    ]
    return {"whole": _main(whole, 100), "units": rows, "losses": losses, "restated_at": whole["restated_at"]}


def _main(figures_told: Mapping[str, Any], scale: int) -> dict[str, float | None]:
    values = {one["code"]: one["value"] for one in figures_told["kpis"] if one["code"] in _MAIN}
    return {code: None if value is None else scale * value for code, value in values.items()}


def lost(book: Book, chosen: Selection) -> dict[str, Any]:
    """Waterfall and Pareto. Units: h."""
    sums = summed(book.ledger, chosen).now
    fall = waterfall(sums, book.config.reasons)
    return {
        "planned_busy_h": fall.pbt_ns / HOUR_NS,
        "steps": [
            {"code": one.code, "group": one.group, "lost_h": one.ns / HOUR_NS, "left_h": one.left_ns / HOUR_NS}
            for one in fall.steps
        ],
        "effective_h": fall.effective_ns / HOUR_NS,
        "pareto": [
            {"cause": one.code, "h": one.ns / HOUR_NS, "count": one.count, "share": one.share, "running": one.running}
            for one in pareto(sums, book.config.reasons)
        ],
    }


def compared(book: Book, before: Selection, after: Selection) -> dict[str, Any]:
    """What changed between two selections of the same units."""
    first, second = (
        {book.config.units[unit].path: _alone(book, chosen, unit) for unit in chosen.units}
        for chosen in (before, after)
    )
    change = compare(first, second, book.config.reasons)
    return {
        "method": "Shapley by factor and reason; Bennet by unit",
        "before": change.before, "after": change.after, "change": change.change,
        "by_factor": dict(change.by_factor), "by_reason": dict(change.by_reason), "by_unit": dict(change.by_unit),
        "by_mix": dict(change.by_mix), "product_mix": change.product_mix,
    }  # fmt: skip


async def capable(
    ctx: Context, point: str, start_ns: int, end_ns: int, size: int, limits: tuple[float, float]
) -> dict[str, Any]:
    """Capability of a measured point: good samples in order of time. Raises: DataError, LimitReached."""
    parts, count = [], 0
    async for samples in ctx.history.samples([point], start_ns, end_ns):
        for batch in samples.batches:
            good = numbers_of(batch)[is_good(batch.quality)]
            parts.append(good)
            count += len(good)
        if count > MEASUREMENTS_MAX:
            raise LimitReached(f"more than {MEASUREMENTS_MAX:,} measurements; ask for a shorter span")
    values = np.concatenate(parts) if parts else np.empty(0)
    found = capability(values, size, *limits)
    told = [figure(BY_CODE[code], found) for code in ("cm", "cmk", "cp", "cpk", "pp", "ppk")]
    return {"kpis": [_figure(one) for one in told], "values": count, "elements": found}


def stops(
    book: Book, units: Sequence[int], start_ns: int, end_ns: int, *, pending: bool = False
) -> list[dict[str, Any]]:
    """Stops that touch a span, the newest first, without micro-stops. `lost_s`: how much of it was planned busy time.
    `pending`: those alone that cost such time and have no reason.
    """
    found = []
    for unit in units:
        lane = book.ledger.lanes[unit]
        runs = lane.runs(start_ns, end_ns, book.config.reasons.columns)
        shown = runs.pending if pending else runs.stop & (runs.cause != MICRO)
        for at in np.flatnonzero(shown & (runs.start_ns < end_ns) & (runs.end_ns > start_ns)).tolist():
            cause, end = int(runs.cause[at]), int(runs.end_ns[at])
            lost_ns = _busy_ns(lane.unit, int(runs.start_ns[at]), end)
            if pending and not lost_ns:
                continue  # it stood still as planned
            found.append(
                {
                    "unit": lane.unit.path,
                    "state": State(int(runs.state[at])).name.lower(),
                    "start": format_time(int(runs.start_ns[at])),
                    "end": None if end >= book.ledger.horizon_ns else format_time(end),
                    "seconds": (end - int(runs.start_ns[at])) / 1e9,
                    "reason": book.config.reasons.all[cause].code if cause >= 0 else None,
                    "element": Element(int(runs.element[at])).name,
                    "lost_s": lost_ns / 1e9,
                }
            )
    return sorted(found, key=lambda one: str(one["start"]), reverse=True)


def stands(book: Book, unit: int, at_ns: int) -> bool:
    """Whether a machine stood still then, however briefly."""
    runs = book.ledger.lanes[unit].runs(at_ns, at_ns + 1, book.config.reasons.columns)
    return bool(runs.stop[-1] and runs.start_ns[-1] <= at_ns)


def current(book: Book, unit: int, language: str) -> dict[str, Any]:
    """What a unit does now."""
    lane, now_ns = book.ledger.lanes[unit], book.ledger.horizon_ns
    runs = lane.runs(now_ns - 1, now_ns, book.config.reasons.columns)
    state, cause = State(int(runs.state[-1])), int(runs.cause[-1])
    orders = lane.series.get(ORDER)
    number = NO_JOB if orders is None else int(np.nan_to_num(orders.at(np.array([now_ns]))[0], nan=NO_JOB))
    job = book.jobs[number] if number >= 0 else None
    return {
        "unit": lane.unit.path,
        "state": state.name.lower(),
        "says": _STATES.get(language, _STATES["en"])[state],
        "since": format_time(int(runs.start_ns[-1])),
        "cause": cause_name(cause, book.config.reasons),
        "needs_reason": bool(runs.pending[-1]) and _busy_ns(lane.unit, int(runs.start_ns[-1]), now_ns) > 0,
        "order": job and {"order": job.order, "operation": job.operation, "product": job.product},
    }


def shifts(book: Book, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    """Shifts that begin in a span, in order."""
    calendar, found = book.config.calendar, []
    day = calendar.day_of(start_ns - DAY_NS)
    while day <= calendar.day_of(end_ns):
        for begin_ns, finish_ns, number in calendar.spans(day):
            if start_ns <= begin_ns < end_ns:
                closed = finish_ns <= book.ledger.closed_ns
                span = {"start": format_time(begin_ns), "end": format_time(finish_ns)}
                found.append({"shift": number, "name": calendar.shift_of(number)[1], "day": str(day), **span,
                              "closed": closed})  # fmt: skip
        day += timedelta(1)
    return found


def tree(book: Book, language: str) -> list[dict[str, Any]]:
    """Groups, each with its reasons: two taps."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for reason in book.config.reasons.all:
        title = reason.zh if language == "zh" else reason.en
        groups.setdefault(reason.group, []).append(
            {"code": reason.code, "title": title, "element": reason.element.name}
        )
    names = GROUPS if language == "zh" else {}
    return [{"group": name, "title": names.get(name, name), "reasons": rows} for name, rows in groups.items()]


def definitions(language: str) -> list[dict[str, Any]]:
    """The table of KPIs."""
    return [
        {
            "number": kpi.number or None, "code": kpi.code, "title": kpi.zh if language == "zh" else kpi.en,
            "formula": kpi.formula, "unit": kpi.unit, "better": kpi.better, "note": kpi.note,
        }
        for kpi in (*KPIS, *BESIDE)
    ]  # fmt: skip


def _busy_ns(unit: Unit, start_ns: int, end_ns: int) -> int:
    """How much of a span is planned busy time of a unit."""
    if end_ns <= start_ns:
        return 0
    parts = unit.timetable.between(start_ns, end_ns)
    lengths = np.diff(np.append(np.maximum(parts.start_ns, start_ns), end_ns))
    return int(lengths[parts.status == Status.BUSY].sum())


def _figure(one: Figure) -> dict[str, Any]:
    return {
        "number": one.kpi.number or None, "code": one.kpi.code, "value": one.value, "unit": one.kpi.unit,
        "numerator": one.numerator, "denominator": one.denominator, "why": one.why,
    }  # fmt: skip


def _met(one: Figure, target: float | None) -> bool | None:
    if target is None or one.value is None:
        return None
    return one.value >= target if one.kpi.better == "higher" else one.value <= target


def _alone(book: Book, chosen: Selection, unit: int) -> Sums:
    one = Selection((unit,), chosen.first_hour, chosen.last_hour, chosen.shifts, chosen.jobs)
    return summed(book.ledger, one).now


async def _beside(ctx: Context, book: Book, chosen: Selection) -> Mapping[str, float]:
    """Elements that cells do not hold: AOET, hours of people, first passes."""
    start_ns, end_ns = chosen.first_hour * HOUR_NS, chosen.last_hour * HOUR_NS
    if chosen.shifts is not None and len(chosen.shifts) == 1:
        start_ns, end_ns = book.config.calendar.shift_span(next(iter(chosen.shifts)))
    extra: dict[str, float] = {}
    jobs = chosen.jobs if chosen.jobs is not None else frozenset(range(len(book.jobs)))
    executed = order_execution_ns(book.ledger, jobs, start_ns, min(end_ns, book.ledger.horizon_ns), chosen.units)
    if executed:
        extra["AOET"] = executed / HOUR_NS
    extra |= await _people(ctx, book, chosen.units, start_ns, end_ns)
    serials: dict[tuple[str, str], int] = {}
    wanted = {book.config.units[unit].path for unit in chosen.units}
    found = await ctx.tables.query(
        "SELECT unit, serial, time_ns, good FROM inspections WHERE (unit, serial) IN"
        " (SELECT unit, serial FROM inspections WHERE time_ns >= ? AND time_ns < ?)", start_ns, end_ns,
    )  # fmt: skip
    rows = [row for row in found.rows if row[0] in wanted]
    if rows:
        codes = [serials.setdefault((str(row[0]), str(row[1])), len(serials)) for row in rows]
        times, good = np.array([row[2] for row in rows], np.int64), np.array([bool(row[3]) for row in rows])
        passed, inspected = first_pass(np.array(codes, np.int64), times, good, start_ns, end_ns)
        extra |= {"GP": float(passed), "IP": float(inspected)}
    return extra


async def _people(ctx: Context, book: Book, units: Sequence[int], start_ns: int, end_ns: int) -> dict[str, float]:
    found = await ctx.tables.query(
        "SELECT person, unit, start_ns, end_ns FROM hours WHERE start_ns < ? AND end_ns > ?", end_ns, start_ns
    )
    if not len(found):
        return {}
    paths = {unit.path: at for at, unit in enumerate(book.config.units)}
    people = {person: at for at, person in enumerate(sorted({str(row[0]) for row in found.rows}))}
    table = np.array([(people[str(p)], paths.get(str(u), -1), s, e) for p, u, s, e in found.rows], np.int64).T
    at_units = table[1] >= 0
    work = work_ns(Spans(*(column[at_units] for column in table)), start_ns, end_ns)
    attended = Spans(*(column[~at_units] for column in table))
    mine = set(units)
    told = {"APWT": sum(ns for unit, ns in work.items() if unit in mine) / HOUR_NS}
    if len(attended.person) and mine == set(range(len(book.config.units))):
        told["APAT"] = attendance_ns(attended, start_ns, end_ns) / HOUR_NS
    return told
