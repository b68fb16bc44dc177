"""What figures of production cost on one core: a million state events into cells by hour, shift, order and cause.

    golden            of the 34 KPIs of ISO 22400-2, how many the golden cases of the shared data and our own confirm
    streamed          events as they come: 3 % late by up to two hours, 2 % twice, out of order, figures after each call
    at once           the same events recomputed in one go; and that both give the same cells
    beside pandas     the bare part that pandas can do as well: durations by unit, hour and state, without calendar,
                      orders, reasons, micro-stops, identities or corrections
    late correction   one fact of a week ago is corrected: until the figures are right again

200 units, 5,000 events each over 31 days, in calls of 10,000. CPU time; memory is the peak of the process. Behind it
come energy (energy.py) and outcomes (outcomes.py, 200 simulated works: some minutes).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench import energy, outcomes
from bench.harness import Measure, cpu_s, median_of

if TYPE_CHECKING:
    from headrace.apps.operations.ledger import Facts, Ledger

SECOND: Final = 1_000_000_000
HOUR: Final = 3600 * SECOND
T0: Final = 1_788_220_800 * SECOND
UNITS: Final = 200
EVENTS: Final = 1_000_000
DAYS: Final = 31
CALL: Final = 10_000
GOLDEN: Final = Path(__file__).parents[1] / "tests/apps/operations/test_kpis.py"


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    yield Measure("KPIs of ISO 22400-2 as worked by hand, to 1e-9", _golden(), "of 34", target=">= 34")
    facts = _facts()
    book, streamed_s = _streamed(facts)
    yield Measure("1 M state events, streamed: late, twice, out of order", streamed_s, "s CPU", target="<= 30")
    yield Measure("… cells kept up to date", _cells(book), "cells")
    whole, at_once_s = _at_once(facts)
    yield Measure("1 M state events, recomputed at once", at_once_s, "s CPU", target="<= 30")
    yield Measure("streamed equals recomputed, cell by cell", float(_same(book, whole)), "of 1", target=">= 1")
    del whole
    yield Measure("a late correction, until figures are right", _correction(book), "ms CPU")
    yield Measure("figures of all units over a month", _figures(book), "ms CPU")
    yield Measure("what facts and cells take", book.nbytes / EVENTS, "bytes/event")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Measure("peak memory, two ledgers and the events", peak_mb, "MB")
    bare_s, peer_s = _bare(facts), _pandas(facts)
    yield Measure(
        "durations by unit, hour, state at once: all that we do", bare_s, "s CPU", peer_s, "pandas, bare part"
    )
    yield from energy.measures()
    yield from outcomes.measures(["200"])


def _golden() -> float:
    """In a process of its own: the tests, one for each KPI."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(GOLDEN), "-k", "each_of_the_34"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(done.stdout.split("[100%]")[0].count("."))


def _facts() -> Facts:
    """In the order of their coming."""
    from headrace.apps.operations.ledger import Facts
    from headrace.apps.operations.states import State

    random = np.random.default_rng(7)
    unit = random.integers(0, UNITS, EVENTS).astype(np.int32)
    times = T0 + random.integers(0, DAYS * 24 * HOUR // 1_000_000, EVENTS) * 1_000_000
    states = np.array([State.PRODUCING, State.STOPPED, State.FAULT, State.SETUP, State.IDLE, State.STARVED])
    state = random.choice(states, EVENTS, p=[0.5, 0.2, 0.08, 0.07, 0.1, 0.05]).astype(np.float64)
    late = np.where(
        random.random(EVENTS) < 0.03, random.integers(0, 2 * HOUR, EVENTS), random.integers(0, SECOND, EVENTS)
    )
    came = np.argsort(times + late)
    twice = np.sort(np.concatenate([np.arange(EVENTS), random.integers(0, EVENTS - 200, EVENTS // 50)]))
    at = came[twice]
    return Facts.of(unit[at], 0, times[at], state[at], unit[at].astype(np.uint64), at.astype(np.uint64))


def _ledger(horizon_ns: int) -> Ledger:
    from headrace.apps.operations.calendar import Calendar, PlannedStop, Shift, Timetable
    from headrace.apps.operations.lane import ORDER, Unit
    from headrace.apps.operations.ledger import Facts, Ledger
    from headrace.apps.operations.orders import Job

    shifts = (Shift("early", time(6), time(14)), Shift("late", time(14), time(22)), Shift("night", time(22), time(6)))
    calendar = Calendar("Asia/Shanghai", shifts, (PlannedStop("lunch", time(11, 30), time(12)),))
    table = Timetable(calendar)
    book = Ledger([Unit(f"unit-{at}", table, T0) for at in range(UNITS)], horizon_ns=horizon_ns)
    jobs = UNITS * DAYS
    for number in range(jobs):
        book.set_job(number, Job(f"order-{number}", pri_ns=30e9), T0)
    unit = np.repeat(np.arange(UNITS), DAYS)
    starts = T0 + np.tile(np.arange(DAYS), UNITS) * 24 * HOUR
    book.add(Facts.of(unit, ORDER, starts, np.arange(jobs, dtype=np.float64), 1 << 40, np.arange(jobs)), T0)
    return book


def _streamed(facts: Facts) -> tuple[Ledger, float]:
    book, began_s = _ledger(T0), cpu_s()
    for first in range(0, len(facts), CALL):
        part = facts.take(slice(first, first + CALL))
        now_ns = int(part.time_ns.max())
        book.add(part, now_ns, now_ns)
        book.close(now_ns - HOUR)
    book.advance(T0 + DAYS * 24 * HOUR)
    return book, cpu_s() - began_s


def _at_once(facts: Facts) -> tuple[Ledger, float]:
    book, began_s = _ledger(T0 + DAYS * 24 * HOUR), cpu_s()
    book.add(facts, T0)
    return book, cpu_s() - began_s


def _cells(book: Ledger) -> float:
    return float(sum(len(table.columns[0]) for table in book.times))


def _same(book: Ledger, other: Ledger) -> bool:
    tables = zip([*book.times, *book.counts], [*other.times, *other.counts], strict=True)
    return all(
        np.array_equal(one, two) for left, right in tables for one, two in zip(left.columns, right.columns, strict=True)
    )


def _correction(book: Ledger) -> float:
    from headrace.apps.operations.ledger import Facts

    numbers = iter(range(1, 100))

    def once() -> float:
        number = next(numbers)
        at = T0 + (DAYS - 7) * 24 * HOUR + number * HOUR
        fact = Facts.of(number, 0, at, 1.0, 5, number)
        book.add(fact, at)
        began_s = cpu_s()
        book.add(Facts.of(number, 0, at, 5.0, 6, number, at + HOUR, (5, number)), at + HOUR)
        return 1000 * (cpu_s() - began_s)

    return median_of(31, once)


def _figures(book: Ledger) -> float:
    from headrace.apps.operations.kpis import figures
    from headrace.apps.operations.sums import Selection, summed, symbols

    def once() -> float:
        began_s = cpu_s()
        told = summed(book, Selection(range(UNITS), T0 // HOUR, T0 // HOUR + DAYS * 24))
        figures(symbols(told.now))
        return 1000 * (cpu_s() - began_s)

    return median_of(3, once)


def _bare(facts: Facts) -> float:
    return median_of(1, lambda: _at_once(facts)[1])


def _pandas(facts: Facts) -> float | None:
    """Durations of states by unit and hour, each event once; split at hours by a row at each hour of each unit."""
    try:
        import pandas as pd
    except ImportError:
        return None

    def once() -> float:
        began_s = cpu_s()
        frame: Any = pd.DataFrame({"unit": facts.unit, "ns": facts.time_ns, "state": facts.value, "id": facts.low})
        frame = frame.drop_duplicates("id")
        hours = pd.DataFrame({"ns": T0 + np.arange(DAYS * 24) * HOUR})
        grid = pd.DataFrame({"unit": np.arange(UNITS, dtype=np.int32)}).merge(hours, how="cross")
        frame = pd.concat([frame, grid]).sort_values(["unit", "ns"], kind="stable")
        frame["state"] = frame.groupby("unit")["state"].ffill()
        ends = frame.groupby("unit")["ns"].shift(-1).fillna(T0 + DAYS * 24 * HOUR)
        frame["length"], frame["hour"] = ends - frame["ns"], frame["ns"] // HOUR
        frame.groupby(["unit", "hour", "state"])["length"].agg(["sum", "count"])
        return cpu_s() - began_s

    return median_of(3, once)


if __name__ == "__main__":
    for measure in measures():
        print(json.dumps(measure.line(), ensure_ascii=False), flush=True)
