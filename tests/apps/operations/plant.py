"""A small works for tests: two machines, two shifts with a break in summer time, orders; and a slow oracle of its own.

The oracle walks second by second with plain Python, from the definitions: nothing of the app's arithmetic is in it.
"""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass, field
from datetime import datetime, time
from zoneinfo import ZoneInfo

from headrace.apps.operations.calendar import Calendar, PlannedStop, Shift, Timetable
from headrace.apps.operations.elements import Element, Quantity
from headrace.apps.operations.lane import Unit
from headrace.apps.operations.ledger import Ledger
from headrace.apps.operations.orders import Job
from headrace.apps.operations.quantities import Counter
from headrace.apps.operations.reasons import Reason, Reasons
from headrace.apps.operations.states import MEANINGS, MICRO, State

S = 1_000_000_000
ZONE = "Europe/Berlin"
T0 = int(datetime(2026, 10, 25, 0, 0, tzinfo=ZoneInfo(ZONE)).timestamp()) * S
"""Midnight of the day that has 25 hours."""
CALENDAR = Calendar(
    ZONE,
    (Shift("early", time(1, 30), time(4, 0)), Shift("late", time(4, 0), time(6, 30))),
    (PlannedStop("break", time(2, 15), time(2, 45)), PlannedStop("tea", time(5, 0), time(5, 10))),
)
REASONS = Reasons(
    [
        Reason("breakdown", "broken", "Broken", "坏", failure=True, maintenance="corrective"),
        Reason("setup", "changeover", "Changeover", "换型", Element.AUST),
        Reason("planned", "service", "Service", "保养", Element.PDOT, maintenance="preventive"),
    ]
)
JOBS = (
    Job("A", "10", pri_ns=20 * S, quantity=100, scrap=5),
    Job("A", "20", pri_ns=30 * S, quantity=100, scrap=2, first=False),
    Job("B", "10", quantity=50),
)
MICRO_S = 90
PRI_S = 25
"""Of the units, where an order does not say."""
HOURS = 8


def units() -> list[Unit]:
    table = Timetable(CALENDAR)
    counter = Counter("parts", Quantity.PQ, rollover=100, increment_max=40)
    rest = {"micro_stop_ns": MICRO_S * S, "pri_ns": float(PRI_S * S)}
    return [Unit("press-1", table, T0, counters=(counter,), **rest), Unit("press-2", table, T0, counts="good", **rest)]


def ledger(horizon_ns: int = 0) -> Ledger:
    return Ledger(units(), JOBS, REASONS, horizon_ns)


@dataclass
class Story:
    """What happened at one unit, seconds since T0, in any order and each second once."""

    states: dict[int, int] = field(default_factory=dict)
    orders: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    amounts: list[tuple[int, Quantity, float]] = field(default_factory=list)


def oracle(story: Story, counts: str, until_s: int) -> tuple[Tally[tuple[object, ...]], Tally[tuple[object, ...]]]:
    """Seconds by (hour, shift, job, element, cause), quantities by (hour, shift, job, quantity)."""
    state, runs = int(State.UNKNOWN), list[list[int]]()
    for second in range(until_s):
        state = story.states.get(second, state)
        if not runs or runs[-1][0] != state:
            runs.append([state, second, second])
        runs[-1][2] = second + 1
    times: Tally[tuple[object, ...]] = Tally()
    for state, start, end in runs:
        element, cause = _judge(story, state, start, end)
        for second in range(start, end):
            shift, status = _plan(second)
            what, why = element, cause
            if element not in (Element.APT, Element.AUST) and status != "busy":
                what = Element.PDOT if status == "stop" else Element.OFF
                if what != element and why < 0:
                    why = -101 if status == "stop" else -102
            times[(T0 // S + second) // 3600, shift, _job(story, second), what, why] += 1
    quantities: Tally[tuple[object, ...]] = Tally()
    for second, kind, value in _made(story):
        if second < until_s:
            key = (T0 // S + second) // 3600, _plan(second)[0], _job(story, second)
            quantities[*key, kind] += value
            if kind in (Quantity.PQ, Quantity.GQ, Quantity.SQ, Quantity.RQ):
                if counts == "produced":
                    quantities[*key, Quantity.GQ] += value if kind == Quantity.PQ else -value
                else:
                    quantities[*key, Quantity.PQ] += value
    for (*key, kind), value in list(quantities.items()):
        if kind == Quantity.PQ:
            job = JOBS[key[2]] if key[2] >= 0 else None
            quantities[*key, Quantity.IDEAL] = value * ((job.pri_ns if job else 0) or PRI_S * S)
            if job:
                quantities[*key, Quantity.PSQ] = value * job.scrap / job.quantity
                if job.first:
                    quantities[*key, Quantity.PQ1] = value
    return times, quantities


def _judge(story: Story, state: int, start: int, end: int) -> tuple[int, int]:
    meaning = MEANINGS[State(state)]
    given = [reason for second, reason in sorted(story.reasons.items()) if start <= second < end]
    if meaning.stop and given and given[-1] >= 0:
        return REASONS.all[given[-1]].element, given[-1]
    if meaning.stop and end - start < MICRO_S:
        return Element.ADET, MICRO
    return meaning.element, -1 - state


def _job(story: Story, second: int) -> int:
    begun = [at for at in story.orders if at <= second]
    return story.orders[max(begun)] if begun else -1


def _plan(second: int) -> tuple[int, str]:
    """By the clock on the wall, with the hour that comes twice: its second pass belongs to what went on then."""
    wall = datetime.fromtimestamp(T0 / S + second, ZoneInfo(ZONE))
    day, minute = wall.toordinal(), wall.hour * 60 + wall.minute
    passed = 60 * wall.fold + minute  # minutes, so that the break is in the first pass alone
    if not 90 <= minute < 390:
        return -1, "off"
    shift = day * 64 + (0 if minute < 240 else 1)
    return shift, "stop" if 135 <= passed < 165 or 300 <= minute < 310 else "busy"


def _made(story: Story) -> list[tuple[int, Quantity, float]]:
    made, before = list(story.amounts), None
    for second, count in sorted(story.counts.items()):
        if before is not None:
            step = count - before
            if step < 0:
                around = step + 100
                step = around if around <= 50 else count
            made.append((second, Quantity.PQ, step if step <= 40 else 0))
        before = count
    return made
