"""Rules over a stretch of history, faster than it was: the same engine, the same calculated points, no clock.

    history, hour by hour ─► calculated points ─► alarm engine ─► crossings in [start, end) ─► episodes
                                                   ▲
                            end of the hour ─ tick ┘      a crossing is dated when it was due, so hours do not show

Before the stretch the rules see as much of the past as they look back, so an alarm that stood at its beginning stands.
Time begins with the first sample: before there was a history, nothing was silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from headrace.compute.alarms.crossing import Crossing
from headrace.compute.alarms.engine import AlarmEngine
from headrace.compute.alarms.episodes import Episode
from headrace.compute.points.calculator import Calculator
from headrace.compute.points.past import Past, begin_machine, need_of, older, slices
from headrace.compute.points.routes import Times
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.batch import Batch
from headrace.model.calculations import Calculation
from headrace.model.plant import PlantModel
from headrace.model.time import HOUR_NS, SECOND_NS

TICK_NS: Final = SECOND_NS
"""What looks at time is asked so often between samples, as it is when it happens."""


@dataclass(slots=True)
class Outcome:
    """What would have been, so far."""

    upto_ns: int
    samples: int = 0
    episodes: list[Episode] = field(default_factory=list)


async def backtest(
    past: Past,
    model: PlantModel,
    rules: Mapping[str, AlarmRule],
    handles: Mapping[str, int],
    start_ns: int,
    end_ns: int,
) -> AsyncIterator[Outcome]:
    """What `rules` of `model` would have raised in [start, end): the same object, further with each slice.

    `handles` are those of the points that have history; others are worked out where the model says so, else silent.
    """
    watched = points_of(rules.values())
    made = _closure(watched, model.calculations)
    numbers = _numbered(watched | made.keys() | _inputs(made), handles)
    read_from = np.array(sorted({numbers[path] for path in (watched | _inputs(made)) - made.keys()}), np.uint32)
    known = np.isin(read_from, np.fromiter(handles.values(), np.uint32, len(handles)))
    read_from = read_from[known]
    calculator = Calculator(made, model.points, numbers)
    engine = AlarmEngine()
    engine.configure(rules, numbers)
    needs = [need_of(path, made) for path in made]
    expressed = {rule.name: rule.calculation for rule in rules.values() if rule.calculation is not None}
    needs += [need_of(name, {**made, name: one}) for name, one in expressed.items()]
    begin_ns = start_ns - max([_looks_back(rules.values()), *(need.memory_ns for need in needs)])
    for path, machine in made.items():
        if machine.machine is not None and path in handles:
            await begin_machine(past, calculator.group_of(path), path, machine, handles[path], begin_ns)
    outcome = Outcome(start_ns)
    told = _Told(outcome.episodes, end_ns)
    begun = False
    if len(read_from):
        before = await older(past, read_from, begin_ns, max((need.samples for need in needs), default=1))
        for crossing in _take(engine, calculator, before):
            told.follow(crossing)
        begun = bool(before)
    for first, last in ((begin_ns, start_ns), (start_ns, end_ns)):
        async for at, upto, batches in slices(past, read_from, first, last):
            begun = begun or bool(batches)
            if begun:
                for crossing in await asyncio.to_thread(_slice, engine, calculator, batches, at, upto):
                    told.follow(crossing)
            outcome.samples += sum(map(len, batches))
            outcome.upto_ns = max(upto, start_ns)
            if last == start_ns:  # what ended before does not belong to it
                outcome.episodes[:] = list(told.running.values())
            yield outcome


def points_of(rules: Collection[AlarmRule]) -> set[str]:
    """Every point that these rules look at."""
    suppressing = {rule.suppressed_by for rule in rules if rule.suppressed_by is not None}
    return {path for rule in rules for path in rule.watches} | suppressing


def _slice(
    engine: AlarmEngine, calculator: Calculator, batches: Sequence[Batch], start_ns: int, upto_ns: int
) -> list[Crossing]:
    first = -(-start_ns // TICK_NS) * TICK_NS
    crossings = _take(engine, calculator, batches, np.arange(first, upto_ns, TICK_NS))
    return [*crossings, *engine.tick(upto_ns)]


def _take(
    engine: AlarmEngine, calculator: Calculator, batches: Sequence[Batch], moments_ns: Times | None = None
) -> list[Crossing]:
    """Received when the source says: nobody waited for a line that was down then."""
    told = [Batch(one.kind, one.handles, one.source_ns, one.source_ns, one.values, one.quality) for one in batches]
    return engine.take([*told, *calculator.take(told, moments_ns=moments_ns)], moments_ns)


class _Told:
    """What people would have been told: a condition that holds, while nothing suppresses it by design."""

    def __init__(self, episodes: list[Episode], end_ns: int) -> None:
        self._episodes, self._end_ns = episodes, end_ns
        self._holding: dict[str, float | None] = {}
        self._suppressed: set[str] = set()
        self.running: dict[str, Episode] = {}

    def follow(self, crossing: Crossing) -> None:
        rule = crossing.rule
        if crossing.time_ns >= self._end_ns:
            return
        if crossing.by_design:
            (self._suppressed.add if crossing.active else self._suppressed.discard)(rule)
        elif crossing.active:
            self._holding[rule] = crossing.value
        else:
            self._holding.pop(rule, None)
        told = rule in self._holding and rule not in self._suppressed
        if told and rule not in self.running:
            self.running[rule] = Episode(rule, crossing.time_ns, self._holding[rule])
            self._episodes.append(self.running[rule])
        elif not told and rule in self.running:
            self.running.pop(rule).cleared_ns = crossing.time_ns


def _looks_back(rules: Iterable[AlarmRule]) -> int:
    """How long something may have to last before a rule crosses."""
    found = 0
    for rule in rules:
        stale_ns = int(rule.limit * SECOND_NS) if rule.condition is AlarmCondition.STALE else 0
        found = max(found, stale_ns + rule.on_delay_ns, rule.off_delay_ns)
    return min(found, 31 * 24 * HOUR_NS)


def _closure(paths: Iterable[str], calculations: Mapping[str, Calculation]) -> dict[str, Calculation]:
    """The calculated ones among these points, and those that they are made of."""
    found: dict[str, Calculation] = {}
    stack = list(paths)
    while stack:
        path = stack.pop()
        one = calculations.get(path)
        if one is not None and path not in found:
            found[path] = one
            stack.extend(one.inputs.values())
    return found


def _inputs(calculations: Mapping[str, Calculation]) -> set[str]:
    return {path for one in calculations.values() for path in one.inputs.values()}


def _numbered(paths: Iterable[str], handles: Mapping[str, int]) -> dict[str, int]:
    """Numbers for these points: those of history, and new ones for points that have none there."""
    free = max(handles.values(), default=-1) + 1
    numbers: dict[str, int] = {}
    for path in sorted(paths):
        known = handles.get(path)
        if known is None:
            known, free = free, free + 1
        numbers[path] = known
    return numbers
