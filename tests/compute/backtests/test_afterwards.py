"""Samples that come late change what the history says of alarms, and nothing that people were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from tests.compute.alarms.test_desk import FakeAccess, FakeClock
from tests.compute.backtests.test_backtests import HOUR, Row, as_it_happens, episodes_of, history, signals
from tests.compute.points.plant import T0, S
from tests.properties import seeds
from tests.registry.plants import expanded

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.alarms.episodes import FOUND_LATE, Episode, LateStretches, unknown
from headrace.compute.backtests.afterwards import Afterwards, together
from headrace.compute.tables import metadata
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.model.batch import Batch, ValueKind
from headrace.model.plant import PlantModel
from headrace.sdk.store import HistoryStore

PLANT = """\
types:
  press:
    points:
      oil: {unit: Cel, range: [0, 120], address: {table: holding, address: 2}}
      coolant: {unit: Cel, range: [0, 120], address: {table: holding, address: 4}}
    alarms:
      oil:high: {condition: high, limit: 72, hysteresis: 2, on_delay: 10s, off_delay: 10s}
      oil:off: {condition: deviation, limit: 24, reference: coolant}
      oil:silent: {condition: stale, limit: 90s}
      oil:both: {when: "held(oil - coolant > 14[K], 20s)"}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
"""
JUDGED = ("oil:high", "oil:off", "oil:both")


class Clock(FakeClock):
    """Our time is the plant's."""

    at_ns = T0

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_s(self) -> float:
        return self.at_ns / S


class World:
    """A desk, a history, and samples that reach both."""

    def __init__(self, folder: Path, model: PlantModel, store: HistoryStore, handles: Mapping[str, int]) -> None:
        engine = create_engine(f"sqlite:///{folder}/alarms.db")
        metadata.create_all(engine)
        access = FakeAccess()
        self.clock, self.store, self.model, self.handles = Clock(), store, model, handles
        self.desk = AlarmDesk(engine, self.clock, access, access)
        self.afterwards = Afterwards(
            self.desk, store, lambda: model, lambda: handles, self.settled, self.clock, quiet_s=0.0
        )

    async def settled(self) -> None: ...

    async def happen(self, rows: Sequence[Row]) -> None:
        """Each at its time, with a tick every second."""
        await self.store.append([self.batch(rows)])
        for row in rows:
            while self.clock.at_ns + S <= row[0]:
                self.clock.at_ns += S
                await self.desk.tick(self.clock.at_ns)
            await self.desk.take([self.batch([row])])

    async def arrive(self, rows: Sequence[Row]) -> None:
        """Now, a handful at a time."""
        for at in range(0, len(rows), 40):
            batch = self.batch(rows[at : at + 40])
            await self.store.append([batch])
            await self.desk.take([batch])
            await self.desk.tick(self.clock.at_ns)

    def batch(self, rows: Sequence[Row]) -> Batch:
        times = np.array([one[0] for one in rows])
        return Batch.of(
            ValueKind.FLOAT64, [self.handles[path] for _, path, _ in rows], times, [one[2] for one in rows],
            received_ns=np.maximum(times, self.clock.at_ns),
        )  # fmt: skip

    async def steps(self) -> list[AlarmTransition]:
        page = await self.desk.history(limit=10_000)
        assert page.next_cursor is None
        return list(page.transitions)[::-1]


def spans_of(steps: Sequence[AlarmTransition]) -> dict[str, list[tuple[int, int]]]:
    begun: dict[str, int] = {}
    found: dict[str, list[tuple[int, int]]] = {}
    for one in steps:
        if one.action in (AlarmAction.RAISED, AlarmAction.FOUND):
            begun[one.rule] = one.time_ns
        elif one.action in (AlarmAction.CLEARED, AlarmAction.PASSED):
            found.setdefault(one.rule, []).append((begun.pop(one.rule), one.time_ns))
    for rule, at in begun.items():
        found.setdefault(rule, []).append((at, 1 << 62))
    return found


def meets(one: tuple[int, int], others: Sequence[tuple[int, int]], near_ns: int = 0) -> bool:
    return any(one[0] <= last + near_ns and first <= one[1] + near_ns for first, last in others)


@pytest.mark.parametrize("seed", seeds(2, 1))
async def test_an_outage_that_comes_later_is_in_the_history_of_alarms(tmp_path: Path, seed: int) -> None:
    """Twenty minutes of a press come when it is live again: no alarm of then is missing, and none is made up."""
    print("seed", seed)
    model, problems = expanded(PLANT)
    assert problems == []
    rows = signals(seed, model, 1)
    first, last = T0 + 20 * 60 * S, T0 + 40 * 60 * S
    late = [one for one in rows if first <= one[0] < last and one[1].startswith("a/p1/")]
    live = [one for one in rows if one not in late]
    truth: dict[str, list[tuple[int, int]]] = {}
    for rule, begun, ended in episodes_of(as_it_happens(model, rows, T0 + HOUR * S)):
        if rule.endswith(JUDGED):
            truth.setdefault(rule, []).append((begun, ended or 1 << 62))
    async with history(tmp_path / "history", model, []) as store:
        handles = {path: at for at, path in store.paths().items()}
        world = World(tmp_path, model, store, handles)
        await world.desk.start()
        await world.desk.configure(model.alarms, handles)
        await world.happen(live)
        told, standing = await world.steps(), world.desk.current()
        before = await world.desk.kpis(T0, T0 + HOUR * S)
        await world.arrive(late)
        await world.afterwards.look()
        steps = await world.steps()
        spans = spans_of(steps)
        missed = [one for rule, every in truth.items() for one in every if not meets(one, spans.get(rule, []), S)]
        assert missed == []
        found = [one for one in steps if one.action in (AlarmAction.FOUND, AlarmAction.PASSED)]
        assert len(found) == 2 * world.afterwards.found > 0
        for rule, every in spans_of(found).items():
            assert "a/p1/" in rule and not rule.endswith("silent")
            assert all(meets(one, truth[rule]) for one in every), rule
        assert {(one.state, one.actor, one.comment) for one in found} == {(AlarmState.NORMAL, "", FOUND_LATE)}
        assert not any(one.annunciates for one in found)
        assert [one for one in steps if one not in found] == told and world.desk.current() == standing
        assert (await world.desk.kpis(T0, T0 + HOUR * S)).annunciated == before.annunciated
        await world.arrive(late)  # sent again: there is nothing new in it
        await world.afterwards.look()
        assert await world.steps() == steps


async def test_a_backlog_is_judged_when_it_has_come_to_its_end() -> None:
    clock = Clock()
    late = LateStretches(clock)
    late.note({"r": (T0, T0 + 10 * S)})
    clock.at_ns += 20 * S
    late.note({"r": (T0 - 5 * S, T0 + 8 * S)})
    assert late.due(30, 900) == {}
    clock.at_ns += 30 * S
    assert late.due(30, 900) == {"r": (T0 - 5 * S, T0 + 10 * S)}
    assert late.due(30, 900) == {}
    for _ in range(90):
        late.note({"r": (T0, T0 + S)})
        clock.at_ns += 10 * S
    assert late.due(30, 900) == {"r": (T0, T0 + S)}  # it never ends: so now and then


TIMES = st.lists(st.integers(0, 50), min_size=1, max_size=12, unique=True).map(sorted)


@given(TIMES, TIMES)
def test_what_is_known_is_not_found_again(ours: list[int], theirs: list[int]) -> None:
    """Against each second looked at alone."""
    actions = (AlarmAction.RAISED, AlarmAction.CLEARED)
    steps = [AlarmTransition("r", actions[at % 2], AlarmState.NORMAL, one, None) for at, one in enumerate(theirs)]
    pairs = list(zip(ours[::2], [*ours[1::2], None], strict=False))
    episodes = [Episode("r", begun, None, ended) for begun, ended in pairs]
    known = {
        at for begun, ended in zip(theirs[::2], [*theirs[1::2], 60], strict=False) for at in range(begun, ended + 1)
    }
    expected = [one for one in episodes if known.isdisjoint(range(one.raised_ns, (one.cleared_ns or 60) + 1))]
    assert unknown(episodes, steps, 0) == expected
    assert unknown(episodes, [AlarmTransition("other", *actions[:1], AlarmState.NORMAL, 0, None)], 0) == episodes


def test_rules_whose_stretches_meet_are_judged_together() -> None:
    assert together({"c": (90, 99), "a": (0, 10), "b": (5, 30), "d": (30, 31)}) == [
        (["a", "b", "d"], 0, 31),
        (["c"], 90, 99),
    ]
