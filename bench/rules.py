"""What rules and calculated points cost in the flow, and how fast history goes through them again.

    calculated   10,000 assets of one type: head = discharge − suction, power = head × flow       a batch a second
    back-test    10,000 points × 2 h at 1 Hz in a real history, 1,000 threshold rules, hour by hour

CPU time of one process, medians of three. Back-tests read from disk: reading is part of it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from bench.harness import Measure, cpu_s
from headrace.compute.backtests.run import backtest
from headrace.compute.points.calculator import Calculator
from headrace.history import HistorySettings, open_history
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.calculations import Calculation
from headrace.model.expressions import Variable, compile
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock

ASSETS: Final = 10_000
POINTS: Final = 10_000
RULES: Final = 1_000
SECONDS: Final = 7_200
RUNS: Final = 3
T0: Final = 1_795_334_400 * SECOND_NS
FLOAT: Final = ValueKind.FLOAT64


def measures() -> Iterator[Measure]:
    rate = statistics.median(_calculated() for _ in range(RUNS))
    yield Measure("calculated points: 2 on each of 10,000 assets, samples in", rate, "samples/CPU-s")
    rates = asyncio.run(_backtests())
    wall = statistics.median(wall for wall, _ in rates)
    cpu = statistics.median(cpu for _, cpu in rates)
    yield Measure("back-test, 1,000 rules over 7.2 M samples of theirs", wall, "samples/s", target=">= 5000000")
    yield Measure("… by CPU time", cpu, "samples/CPU-s")


def _calculated() -> float:
    read = ("suction", "discharge", "flow")
    points, handles = {}, {}
    made: dict[str, Calculation] = {}
    head = compile("discharge - suction", dict.fromkeys(read, Variable(FLOAT)))
    power = compile("head * flow", {"head": Variable(FLOAT), "flow": Variable(FLOAT)})
    for at in range(ASSETS):
        for name in (*read, "head", "power"):
            path = f"p{at}/{name}"
            points[path], handles[path] = Point(path, FLOAT), len(handles)
        made[f"p{at}/head"] = Calculation(head, {name: f"p{at}/{name}" for name in ("discharge", "suction")})
        made[f"p{at}/power"] = Calculation(power, {name: f"p{at}/{name}" for name in ("head", "flow")})
    calculator = Calculator(made, points, handles)
    numbers = np.array([handles[f"p{at}/{name}"] for at in range(ASSETS) for name in read], np.uint32)
    rng = np.random.default_rng(1)
    values = rng.normal(5, 1, len(numbers))

    def second(at: int) -> Batch:
        return Batch.of(FLOAT, numbers, np.full(len(numbers), T0 + at * SECOND_NS), values)

    for at in range(5):
        calculator.take([second(at)])
    batches = [second(at) for at in range(5, 35)]
    begun = cpu_s()
    for batch in batches:
        calculator.take([batch])
    return len(batches) * len(numbers) / (cpu_s() - begun)


async def _backtests() -> list[tuple[float, float]]:
    """(samples a second, samples a CPU second)"""
    paths = [f"p{at}" for at in range(POINTS)]
    rules = {
        f"p{at}:high": AlarmRule(f"p{at}:high", f"p{at}", AlarmCondition.HIGH, 78.0, 2.0, 5 * SECOND_NS)
        for at in range(RULES)
    }
    model = PlantModel(points={path: Point(path, FLOAT) for path in paths})
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        store = await open_history(Path(folder), HistorySettings(), clock)
        numbers = await store.register(paths)
        handles = dict(zip(paths, numbers.tolist(), strict=True))
        rng = np.random.default_rng(2)
        level = rng.normal(65, 5, POINTS)
        for at in range(0, SECONDS, 20):
            steps = np.round(level[:, None] + np.cumsum(rng.normal(0, 0.3, (POINTS, 20)), axis=1), 2)
            level = 65 + 0.98 * (steps[:, -1] - 65)
            times = np.tile(T0 + np.arange(at, at + 20) * SECOND_NS, POINTS)
            await store.append([Batch.of(FLOAT, np.repeat(numbers, 20), times, steps.ravel())])
        await store.compact()  # as history is that is a few hours old
        found = []
        for _ in range(RUNS):
            begun_s, begun_cpu_s, samples = clock.monotonic_s(), cpu_s(), 0
            async for outcome in backtest(store, model, rules, handles, T0, T0 + SECONDS * SECOND_NS):
                samples = outcome.samples
            assert samples == RULES * SECONDS
            found.append((samples / (clock.monotonic_s() - begun_s), samples / (cpu_s() - begun_cpu_s)))
        await store.close()
    return found
