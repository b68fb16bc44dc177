"""What alarms cost: conditions over many points, a sample's way to a durable alarm, and a flood.

    rules      1,000 threshold rules on 10,000 points, a sample a point a call; CPU time of one core
    latency    a sample into the desk until its transition is on disk: calls of 10,000 samples with a transition each,
               as many as keep the desk half busy
    flood      10,000 alarms within 10 s, in calls of 50 ms; lost, worst time until durable, then list and figures

The desk writes to SQLite in a file, as the platform does. Latencies are wall-clock: the disk is part of them.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine

from bench.harness import Measure, cpu_s
from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.alarms.engine import AlarmEngine
from headrace.compute.alarms.grouping import Sign, group
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.platform.database import open_database
from headrace.sdk.access import Action, Principal
from headrace.sdk.clock import SystemClock

POINTS: Final = 10_000
RULES: Final = 1_000
FLOOD: Final = 10_000
FLOOD_S: Final = 10.0
CALL_S: Final = 0.05
WARM: Final = 50
PROBES: Final = 400


class _Open:
    """Nobody is refused, and nothing is kept."""

    def check(self, principal: Principal, action: Action, path: str) -> None: ...

    async def record(self, *_: Any, **__: Any) -> None: ...


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    yield Measure("1,000 threshold rules on 10,000 points", _rules_rate(), "samples/CPU-s", target=">= 1000000")
    yield Measure("… on each point a rule", _rules_rate(POINTS), "samples/CPU-s")
    yield from asyncio.run(_latency())
    yield from asyncio.run(_flood())


def _rules(count: int, points: int) -> dict[str, AlarmRule]:
    step = points // count
    return {
        f"works/line-{n % 40}/m{n}/x:hi": AlarmRule(
            f"works/line-{n % 40}/m{n}/x:hi", f"p{n * step}", AlarmCondition.HIGH, 90.0, 2.0
        )
        for n in range(count)
    }


def _rules_rate(count: int = RULES, calls: int = 60) -> float:
    """Samples a CPU second; one in ten thousand crosses, as in a plant that is well."""
    engine, random = AlarmEngine(), np.random.default_rng(1)
    engine.configure(_rules(count, POINTS), {f"p{n}": n for n in range(POINTS)})
    handles, spent = np.arange(POINTS, dtype=np.uint32), []
    for second in range(calls):
        values = random.uniform(0, 80, POINTS)
        values[random.random(POINTS) < 1e-4] = 95.0
        batch = Batch.of(ValueKind.FLOAT64, handles, 1_800_000_000 * SECOND_NS + second * SECOND_NS, values)
        began_s = cpu_s()
        engine.take([batch])
        spent.append(cpu_s() - began_s)
    return POINTS / statistics.median(spent)


async def _desk(engine: Engine, rules: Mapping[str, AlarmRule], handles: Mapping[str, int]) -> AlarmDesk:
    desk = AlarmDesk(engine, SystemClock(), _Open(), _Open())
    await desk.start()
    await desk.configure(rules, handles)
    return desk


async def _latency() -> Iterator[Measure]:
    """The first calls follow each other at once and say how long one takes; the others come half as often."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'alarms.db'}")
        handles = {f"p{n}": n for n in range(POINTS)}
        desk = await _desk(engine, _rules(RULES, POINTS), handles)
        random, took_s, all_handles = np.random.default_rng(2), [], np.arange(POINTS, dtype=np.uint32)
        every_s = next_s = 0.0
        for call in range(WARM + PROBES):
            values = random.uniform(0, 80, POINTS)
            values[(call % RULES) * (POINTS // RULES)] = 95.0
            batch = Batch.of(ValueKind.FLOAT64, all_handles, time.time_ns(), values)
            began_s = time.perf_counter()
            await desk.take([batch])
            took_s.append(time.perf_counter() - began_s)
            if call < WARM:
                every_s, next_s = 2 * statistics.median(took_s), time.perf_counter()
            next_s += every_s
            if call >= WARM:
                await asyncio.sleep(max(next_s - time.perf_counter(), 0))
        engine.dispose()
    took_ms = 1e3 * np.array(took_s[WARM:])
    return iter(
        [
            Measure("sample to durable transition, p99, at half load", float(np.percentile(took_ms, 99)), "ms",
                    target="<= 50"),
            Measure("… median", float(np.median(took_ms)), "ms"),
            Measure("… load that flowed by", POINTS / every_s, "samples/s"),
        ]
    )  # fmt: skip


async def _flood() -> Iterator[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'alarms.db'}")
        rules = {
            f"works/line-{n % 40}/m{n}/x:hi": AlarmRule(
                f"works/line-{n % 40}/m{n}/x:hi", f"works/line-{n % 40}/m{n}/x", AlarmCondition.HIGH, 90.0
            )
            for n in range(FLOOD)
        }
        handles = {rule.point: n for n, rule in enumerate(rules.values())}
        desk = await _desk(engine, rules, handles)
        began_s, worst_s, busy_s = time.perf_counter(), 0.0, 0.0
        start_ns = time.time_ns()
        for call, some in enumerate(np.array_split(np.arange(FLOOD, dtype=np.uint32), round(FLOOD_S / CALL_S))):
            due_s = began_s + call * CALL_S
            await asyncio.sleep(max(due_s - time.perf_counter(), 0))
            await desk.take([Batch.of(ValueKind.FLOAT64, some, time.time_ns(), 95.0)])
            ended_s = time.perf_counter()
            worst_s = max(worst_s, ended_s - due_s)  # from when it was due: what waits counts
            busy_s += ended_s - max(due_s, began_s)
        kept = {one.rule for one in (await desk.history(limit=FLOOD)).transitions}
        at_s = time.perf_counter()
        current = desk.current()
        list_s = time.perf_counter() - at_s
        feeds = {"works/line-0": [f"works/line-{n}" for n in range(1, 40)]}
        at_s = time.perf_counter()
        places = group((Sign(one.rule.name, one.rule.asset, one.raised_ns) for one in current), feeds)
        group_s = time.perf_counter() - at_s
        at_s = time.perf_counter()
        kpis = await desk.kpis(start_ns - HOUR_NS, time.time_ns())
        kpis_s = time.perf_counter() - at_s
        assert kpis.annunciated == len(places) == FLOOD
        engine.dispose()
    return iter(
        [
            Measure("10,000 alarms in 10 s: lost", float(FLOOD - len(kept) + desk.lost), "alarms", target="<= 0"),
            Measure("… worst from sample to durable", 1e3 * worst_s, "ms"),
            Measure("… list of 10,000, sorted", 1e3 * list_s, "ms"),
            Measure("… 10,000 folded into groups", 1e3 * group_s, "ms"),
            Measure("… figures of 10,000 transitions", 1e3 * kpis_s, "ms"),
        ]
    )
