"""What rules would have raised over a stretch of history is what they raise when it happens; told beside what was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
from tests.compute.points.plant import T0, S
from tests.properties import seeds
from tests.registry.plants import expanded

from headrace.compute.alarms.crossing import Crossing
from headrace.compute.alarms.engine import AlarmEngine
from headrace.compute.alarms.episodes import Episode
from headrace.compute.backtests.desk import BacktestDesk, beside
from headrace.compute.backtests.run import backtest
from headrace.compute.points import past as module
from headrace.compute.points.calculator import Calculator
from headrace.history import HistorySettings, open_history
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, NotFound
from headrace.model.plant import PlantModel
from headrace.sdk.clock import SystemClock
from headrace.sdk.services import TransitionPage
from headrace.sdk.store import HistoryStore

HOUR = 3600
Row = tuple[int, str, float]
PLANT = """\
types:
  press:
    points:
      oil: {unit: Cel, range: [0, 120], address: {table: holding, address: 2}}
      coolant: {unit: Cel, range: [0, 120], address: {table: holding, address: 4}}
      excess: {unit: K, expression: oil - coolant}
      hot: {type: bool, expression: "held(excess > 15, 60s)"}
    alarms:
      oil:high: {condition: high, limit: 75, hysteresis: 2, on_delay: 20s, off_delay: 10s, priority: high}
      oil:fast: {condition: rate, limit: 2, off_delay: 5s}
      oil:silent: {condition: stale, limit: 90s}
      oil:off: {condition: deviation, limit: 20, reference: coolant}
      excess:far: {condition: high, limit: 25, on_delay: 45s}
      hot:long: {condition: equals, limit: true}
      oil:both: {when: "held(oil - coolant > 10[K], 20s)", on_delay: 5s}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
"""


def signals(seed: int, model: PlantModel, hours: float) -> list[Row]:
    """(ns, path, value), by time, with silences."""
    rng = Random(seed)
    rows = []
    for path in ("a/p1/oil", "a/p1/coolant", "a/p2/oil", "a/p2/coolant"):
        at, value = rng.uniform(0, 5), 60.0 if path.endswith("oil") else 45.0
        while at < hours * HOUR:
            value += rng.gauss(0, 2.5) + 0.03 * ((65.0 if path.endswith("oil") else 45.0) - value)
            rows.append((T0 + round(at * S), path, value))
            at += 400 if rng.random() < 0.002 else rng.uniform(2, 8)
    return sorted(rows)


@asynccontextmanager
async def history(folder: Path, model: PlantModel, rows: Sequence[Row]) -> AsyncIterator[HistoryStore]:
    store = await open_history(folder, HistorySettings(), SystemClock())
    try:
        paths = [path for path in model.points if path.endswith(("oil", "coolant"))]
        handles = dict(zip(paths, (await store.register(paths)).tolist(), strict=True))
        times = np.array([at for at, _, _ in rows])
        await store.append(
            [
                Batch.of(
                    ValueKind.FLOAT64, [handles[path] for _, path, _ in rows], times, [value for _, _, value in rows],
                    received_ns=times + S,
                )
            ]
        )  # fmt: skip
        yield store
    finally:
        await store.close()


def as_it_happens(model: PlantModel, rows: Sequence[Row], end_ns: int) -> list[Crossing]:
    """Sample by sample, with a tick every second."""
    handles = {path: at for at, path in enumerate(model.points)}
    calculator, engine = Calculator(model.calculations, model.points, handles), AlarmEngine()
    engine.configure(model.alarms, handles)
    crossings: list[Crossing] = []
    now = T0
    for at, path, value in rows:
        while now + S <= at:
            now += S
            crossings += engine.take(calculator.tick(now)) + engine.tick(now)
        batch = Batch.of(ValueKind.FLOAT64, [handles[path]], at, [value])
        crossings += engine.take([batch, *calculator.take([batch])])
    while now < end_ns:
        now += S
        crossings += engine.take(calculator.tick(now)) + engine.tick(now)
    return [one for one in crossings if one.time_ns < end_ns]


def episodes_of(crossings: Sequence[Crossing]) -> list[tuple[str, int, int | None]]:
    running: dict[str, int] = {}
    found: list[tuple[str, int, int | None]] = []
    for one in crossings:
        if one.active:
            running[one.rule] = one.time_ns
        elif one.rule in running:
            found.append((one.rule, running.pop(one.rule), one.time_ns))
    found += [(rule, at, None) for rule, at in running.items()]
    return sorted(found)


async def over(
    store: HistoryStore, model: PlantModel, start_ns: int, end_ns: int, rules: Sequence[str] = ()
) -> list[tuple[str, int, int | None]]:
    handles = {path: at for at, path in store.paths().items()}
    chosen = {name: model.alarms[name] for name in rules} if rules else model.alarms
    episodes: list[Episode] = []
    async for outcome in backtest(store, model, chosen, handles, start_ns, end_ns):
        episodes = outcome.episodes
    return sorted((one.rule, one.raised_ns, one.cleared_ns) for one in episodes)


@pytest.mark.parametrize("seed", seeds(3, 1))
async def test_it_raises_what_would_have_been_raised(tmp_path: Path, seed: int) -> None:
    print("seed", seed)
    model, problems = expanded(PLANT)
    assert problems == []
    rows = signals(seed, model, 1)
    end_ns = T0 + HOUR * S
    wanted = episodes_of(as_it_happens(model, rows, end_ns))
    assert {rule.rpartition(":")[2] for rule, _, _ in wanted} >= {
        "high",
        "fast",
        "silent",
        "off",
        "far",
        "long",
        "both",
    }
    async with history(tmp_path, model, rows) as store:
        assert await over(store, model, T0, end_ns) == wanted


QUIET = """\
types:
  press:
    points:
      oil: {unit: Cel, range: [0, 120], address: {table: holding, address: 2}}
      off: {type: bool, address: {table: coil, address: 4}}
    alarms:
      oil:high: {condition: high, limit: 75, suppressed_by: off}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}}
"""


async def test_what_is_suppressed_by_design_tells_nobody(tmp_path: Path) -> None:
    model, problems = expanded(QUIET)
    assert problems == []
    hot = [(T0 + at * S, "a/p1/oil", value) for at, value in ((0, 60.0), (20, 90.0), (60, 60.0), (80, 90.0))]
    async with history(tmp_path, model, hot) as store:
        (off,) = await store.register(["a/p1/off"])
        times = np.array([T0, T0 + 10 * S, T0 + 40 * S])
        await store.append([Batch.of(ValueKind.BOOL, [off] * 3, times, [False, True, False])])
        found = await over(store, model, T0, T0 + 100 * S)
    assert found == [("a/p1/oil:high", T0 + 40 * S, T0 + 60 * S), ("a/p1/oil:high", T0 + 80 * S, None)]


async def test_before_there_was_a_history_nothing_was_silent(tmp_path: Path) -> None:
    model, problems = expanded(PLANT)
    assert problems == []
    rule = "a/p1/oil:silent"
    rows = [(T0 + at * S, "a/p1/oil", 60.0) for at in (0, 60, 120, 300)]
    async with history(tmp_path, model, rows) as store:
        found = await over(store, model, T0 - 24 * HOUR * S, T0 + 330 * S, [rule])
    assert found == [(rule, T0 + 210 * S, T0 + 300 * S)]


PHASES = """\
types:
  press:
    points:
      on: {type: bool, address: {table: coil, address: 4}}
      phase: {type: text, machine: {initial: idle, transitions: [{from: idle, to: stuck, when: on, for: 30s}]}}
    alarms:
      phase:stuck: {when: 'phase == "stuck"'}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}}
"""


async def test_what_was_so_long_before_still_stands(tmp_path: Path) -> None:
    """Points that send only changes."""
    model, problems = expanded(QUIET)
    assert problems == []
    async with history(tmp_path, model, [(T0, "a/p1/oil", 90.0), (T0 + 3 * HOUR * S, "a/p1/oil", 60.0)]) as store:
        assert await over(store, model, T0 + HOUR * S, T0 + 4 * HOUR * S) == [("a/p1/oil:high", T0, T0 + 3 * HOUR * S)]


async def test_a_state_machine_stands_where_it_stood(tmp_path: Path) -> None:
    model, problems = expanded(PHASES)
    assert problems == []
    async with history(tmp_path, model, []) as store:
        on, phase = await store.register(["a/p1/on", "a/p1/phase"])
        times = np.array([T0, T0 + 40 * S, T0 + 7200 * S])
        await store.append([Batch.of(ValueKind.BOOL, [on] * 3, times, [True, False, False])])
        stood = (T0 + HOUR * S, T0 + 2 * HOUR * S)
        assert await over(store, model, *stood) == []  # nobody knows of the state
        await store.append([Batch.of(ValueKind.TEXT, [phase], T0 + 30 * S, ["stuck"])])
        ((rule, raised_ns, cleared_ns),) = await over(store, model, *stood)
        assert (rule, cleared_ns) == ("a/p1/phase:stuck", None) and raised_ns < stood[0]
        assert await over(store, model, T0, T0 + 60 * S) == [(rule, T0 + 30 * S, None)]


async def test_the_width_of_slices_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = expanded(PLANT)
    rows = signals(7, model, 2)
    async with history(tmp_path, model, rows) as store:
        wanted = await over(store, model, T0, T0 + 2 * HOUR * S)
        monkeypatch.setattr(module, "SLICE_NS", 17 * 60 * S)
        monkeypatch.setattr(module, "AT_ONCE", 500)
        assert await over(store, model, T0, T0 + 2 * HOUR * S) == wanted


async def test_what_stood_at_the_beginning_is_told_and_what_ended_before_is_not(tmp_path: Path) -> None:
    model, _ = expanded(PLANT)
    rows = [(T0 + at * S, "a/p1/oil", 80.0 if 100 <= at < 200 or at >= 300 else 50.0) for at in range(0, 1000, 5)]
    async with history(tmp_path, model, rows) as store:
        found = await over(store, model, T0 + 400 * S, T0 + 900 * S, ["a/p1/oil:high"])
        assert [(rule, cleared) for rule, _, cleared in found] == [("a/p1/oil:high", None)]
        assert found[0][1] <= T0 + 400 * S
        assert await over(store, model, T0 + 40 * S, T0 + 250 * S, ["a/p1/oil:high"]) == [
            ("a/p1/oil:high", T0 + 120 * S, T0 + 210 * S)
        ]


async def test_a_point_without_history_is_silent(tmp_path: Path) -> None:
    model, problems = expanded(PLANT.replace("assets: {", "assets: {a/p3: {type: press, connection: plc}, "))
    assert problems == []
    async with history(tmp_path, model, [(T0, "a/p1/oil", 50.0)]) as store:
        found = await over(store, model, T0, T0 + 30 * S)
        assert found == []


class Journal:
    """The one question that a back-test asks of the alarms."""

    def __init__(self, steps: Sequence[AlarmTransition]) -> None:
        self.steps = sorted(steps, key=lambda step: -step.time_ns)

    async def history(self, start_ns: int, end_ns: int, *, limit: int, cursor: str | None = None) -> TransitionPage:
        found = [step for step in self.steps if start_ns <= step.time_ns < end_ns]
        at = int(cursor or 0)
        return TransitionPage(found[at : at + 1], str(at + 1) if at + 1 < len(found) else None)


async def test_it_is_told_beside_what_people_did(tmp_path: Path) -> None:
    model, _ = expanded(PLANT)
    rows = [(T0 + at * S, "a/p1/oil", 80.0 if 100 <= at < 200 or at >= 500 else 50.0) for at in range(0, 1000, 5)]
    name = "a/p1/oil:high"
    steps = [
        AlarmTransition(name, AlarmAction.RAISED, AlarmState.UNACK_ACTIVE, T0 + 121 * S, 80.0),
        AlarmTransition(name, AlarmAction.ACKNOWLEDGED, AlarmState.ACK_ACTIVE, T0 + 150 * S, 80.0, "li", "pump on"),
        AlarmTransition(name, AlarmAction.CLEARED, AlarmState.NORMAL, T0 + 211 * S, 50.0),
    ]
    async with history(tmp_path, model, rows) as store:
        handles = {path: at for at, path in store.paths().items()}
        desk = BacktestDesk(store, Journal(steps), lambda: handles, SystemClock())  # type: ignore[arg-type]
        with pytest.raises(NotFound, match="no alarm 'x:y'"):
            desk.start(model, ["x:y"], T0, T0 + S, "li", "default")
        with pytest.raises(DataError, match="ends after it begins"):
            desk.start(model, [], T0, T0, "li", "default")
        job = desk.start(model, [name], T0, T0 + 1000 * S, "li", "default")
        running = asyncio.create_task(desk.run())
        async with asyncio.timeout(30):
            while (job := desk.job(job.id)).finished_ns is None:
                await asyncio.sleep(0.01)
        running.cancel()
    assert (job.error, job.upto_ns, job.raised) == ("", T0 + 1000 * S, 2)
    (rule,) = job.rules
    assert (rule.raised, rule.really_raised, rule.really_acknowledged, rule.median_acknowledge_s) == (2, 1, 1, 29.0)
    assert rule.longest_s == 480.0
    first, second = job.episodes
    assert (first.really_raised_ns, first.acknowledged_by, first.comment) == (T0 + 121 * S, "li", "pump on")
    assert (second.really_raised_ns, second.acknowledged_ns, second.cleared_ns) == (None, None, None)


async def test_it_can_be_cancelled_while_it_waits_and_while_it_runs(tmp_path: Path) -> None:
    model, _ = expanded(PLANT)
    rows = [(T0 + at * S, "a/p1/oil", 50.0) for at in range(0, 100, 5)]
    async with history(tmp_path, model, rows) as store:
        handles = {path: at for at, path in store.paths().items()}
        desk = BacktestDesk(store, Journal([]), lambda: handles, SystemClock())  # type: ignore[arg-type]
        long = desk.start(model, [], T0, T0 + 20_000 * HOUR * S, "li", "default")
        waiting = desk.start(model, [], T0, T0 + S, "li", "default")
        after = desk.start(model, [], T0, T0 + S, "li", "default")
        assert desk.cancel(waiting.id, "anna").error == "cancelled by anna"
        running = asyncio.create_task(desk.run())
        async with asyncio.timeout(60):
            while desk.job(long.id).upto_ns == T0:
                await asyncio.sleep(0.01)
            ended = desk.cancel(long.id, "anna")
            while desk.job(after.id).finished_ns is None:
                await asyncio.sleep(0.01)
        running.cancel()
        assert desk.job(long.id) == ended and ended.upto_ns < ended.end_ns
        assert (desk.job(waiting.id).rules, desk.job(after.id).error) == ((), "")
        assert desk.cancel(after.id, "anna").error == ""
        with pytest.raises(NotFound):
            desk.cancel(99, "anna")


def test_a_rule_that_was_raised_and_would_not_be_is_told_too() -> None:
    model, _ = expanded(PLANT)
    name = "a/p1/oil:fast"
    steps = [AlarmTransition(name, AlarmAction.RAISED, AlarmState.UNACK_ACTIVE, T0 + 5, 80.0)]
    rules, episodes = beside({name: model.alarms[name]}, [], steps, T0, T0 + 10)
    assert ([(one.rule, one.raised, one.really_raised) for one in rules], episodes) == ([(name, 0, 1)], [])
