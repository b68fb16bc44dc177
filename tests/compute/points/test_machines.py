"""State machines: as a plain reference says, however samples are cut, over restarts, with late samples."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compute.points.plant import T0, Plant, S
from tests.compute.points.test_desk import bench

from headrace.compute.points.machines import Machines
from headrace.model.expressions import Samples
from headrace.model.machines import Machine, Transition

PRESS = """\
assets: {a: {level: site}}
points:
  a/on: {type: bool}
  a/speed: {unit: "1"}
  a/door: {type: bool}
  a/phase:
    type: text
    machine:
      initial: idle
      transitions:
        - {from: idle, to: starting, when: on}
        - {from: starting, to: running, when: speed > 100, for: 2s}
        - {from: starting, to: stuck, for: 10s}
        - {from: running, to: idle, when: not on}
        - {from: stuck, to: idle, when: not on, for: 1s}
        - {to: open, when: on and door}
        - {from: open, to: idle, when: not door}
  a/bad: {type: bool, expression: 'phase == "stuck" or phase == "open"'}
alarms:
  a/bad:state: {condition: equals, limit: true}
"""
PHASE = "a/phase"


def phases(plant: Plant, batches: Sequence[Any]) -> list[tuple[float, str]]:
    return changes(plant.shown(batches).get(PHASE, []))


def changes(rows: Sequence[tuple[float, Any, int]]) -> list[tuple[float, str]]:
    """Where it changed."""
    found: list[tuple[float, str]] = []
    for at, state, _ in rows:
        if not found or found[-1][1] != state:
            found.append((at, state))
    return found


def test_a_press_starts_gets_stuck_and_is_opened() -> None:
    plant = Plant(PRESS)
    samples = [
        ("a/on", 0.0, False), ("a/speed", 0.0, 0.0), ("a/door", 0.0, False),
        ("a/on", 1.0, True),
        ("a/speed", 3.0, 120.0), ("a/speed", 4.5, 90.0), ("a/speed", 5.0, 130.0), ("a/speed", 9.0, 140.0),
        ("a/on", 10.0, False), ("a/on", 20.0, True),
        ("a/door", 50.0, True), ("a/door", 60.0, False), ("a/on", 60.0, False), ("a/speed", 61.0, 0.0),
    ]  # fmt: skip
    made = plant.calculator().take(plant.batch(samples))
    assert phases(plant, made) == [
        (0.0, "idle"), (1.0, "starting"),
        (7.0, "running"),  # two seconds after 5.0, though no sample came then
        (10.0, "idle"), (20.0, "starting"), (22.0, "running"),
        (50.0, "open"), (60.0, "idle"),
    ]  # fmt: skip
    assert (50.0, True, 0) in plant.shown(made)["a/bad"]


def test_time_alone_moves_it_when_nothing_comes() -> None:
    plant = Plant(PRESS)
    calculator = plant.calculator()
    made = calculator.take(plant.batch([("a/on", 0.0, True), ("a/speed", 0.0, 0.0), ("a/door", 0.0, False)]))
    for second in range(1, 14):
        made += calculator.tick(T0 + second * S)
    assert phases(plant, made) == [(0.0, "starting"), (10.0, "stuck")]
    assert next(at for at, state, _ in plant.shown(made)[PHASE] if state == "stuck") == 10.0


# --- against a reference ----------------------------------------------------------------------------------------------


def reference(machine: Machine, rows: Sequence[tuple[int, tuple[bool, ...]]]) -> list[tuple[int, str]]:
    """One row after another, looking back as far as it takes. `rows`: time, and what holds, by transition."""
    told: list[tuple[int, str]] = []
    state, entered = machine.initial, rows[0][0]

    def due(number: int, at: int) -> int | None:
        one = machine.transitions[number]
        if one.to == state or one.source not in ("", state):
            return None
        since = entered
        if one.when:
            if not rows[at][1][number]:
                return None
            first = at
            while first > 0 and rows[first - 1][1][number]:
                first -= 1
            since = max(since, rows[first][0])
        return since + one.dwell_ns

    def settle(time_ns: int, at: int, changed: bool) -> None:
        nonlocal state, entered
        been = {state}
        moved = True
        while moved:
            moved = False
            for number, one in enumerate(machine.transitions):
                found = due(number, at)
                if found is not None and (found <= time_ns if changed else found == time_ns) and one.to not in been:
                    state, entered, moved = one.to, time_ns, True
                    been.add(state)
                    break

    for at, (time_ns, _) in enumerate(rows):
        while at:
            waiting = [
                found
                for number in range(len(machine.transitions))
                if (found := due(number, at - 1)) is not None and found > max(rows[at - 1][0], entered)
            ]
            if not waiting or min(waiting) >= time_ns:
                break
            moment = min(waiting)
            settle(moment, at - 1, False)
            told.append((moment, state))
        settle(time_ns, at, at == 0 or rows[at][1] != rows[at - 1][1])
        told.append((time_ns, state))
    return told


def declared(machine: Machine) -> str:
    lines = [
        f"        - {{to: {one.to}"
        + (f", from: {one.source}" if one.source else "")
        + (f', when: "{one.when}"' if one.when else "")
        + (f", for: {one.dwell_ns // 10**6}ms" if one.dwell_ns else "")
        + "}"
        for one in machine.transitions
    ]
    points = "\n".join(f"  a/c{number}: {{type: bool}}" for number in range(4))
    return (
        f"assets: {{a: {{level: site}}}}\npoints:\n{points}\n  a/phase:\n    type: text\n    machine:\n"
        f"      initial: {machine.initial}\n      transitions:\n" + "\n".join(lines) + "\n"
    )


def drawn(chance: random.Random) -> Machine:
    """Any machine all of whose states can be reached."""
    states = ["s0"]
    made: list[Transition] = []
    for number in range(1, chance.randint(2, 5)):
        made.append(step(chance, chance.choice(["", *states]), f"s{number}"))
        states.append(f"s{number}")
    for _ in range(chance.randint(1, 6)):
        source, to = chance.sample(states, 2)
        made.append(step(chance, source, to))
    if not any(one.when for one in made):
        made.append(Transition(states[-1], "s0", "c0"))
    chance.shuffle(made)
    return Machine("s0", tuple(made))


def step(chance: random.Random, source: str, to: str) -> Transition:
    when = chance.choice(["", "c0", "c1", "not c1", "c2", "c2 and c3", "not c3"])
    dwell = chance.choice([0, 0, S, 3 * S, 5 * S // 2]) if when else chance.choice([2 * S, 7 * S])
    return Transition(source, to, when, dwell)


HOLDS = {
    "c0": lambda c: c[0], "c1": lambda c: c[1], "not c1": lambda c: not c[1], "c2": lambda c: c[2],
    "c2 and c3": lambda c: c[2] and c[3], "not c3": lambda c: not c[3], "": lambda c: True,
}  # fmt: skip


def stretch(chance: random.Random, machine: Machine) -> tuple[list[tuple[str, float, Any]], list[tuple[int, str]]]:
    """Samples in order, and what the reference makes of them."""
    held = [chance.random() < 0.5 for _ in range(4)]
    samples: list[tuple[str, float, Any]] = [(f"a/c{at}", 0.0, value) for at, value in enumerate(held)]
    rows = [(T0, tuple(HOLDS[one.when](held) for one in machine.transitions))]
    read = [at for at in range(4) if any(f"c{at}" in one.when for one in machine.transitions)]
    second = 0.0
    for _ in range(chance.randint(5, 60)):
        second += chance.choice([0.5, 1.0, 1.0, 2.0, 9.0])
        at = chance.choice(read)
        held[at] = chance.random() < 0.5
        samples.append((f"a/c{at}", second, held[at]))
        rows.append((T0 + round(second * S), tuple(HOLDS[one.when](held) for one in machine.transitions)))
    return samples, reference(machine, rows)


@pytest.mark.parametrize("seed", range(60))
def test_as_the_reference_says_however_samples_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    machine = drawn(chance)
    plant = Plant(declared(machine))
    samples, expected = stretch(chance, machine)
    whole = plant.calculator().take(plant.batch(samples))
    assert phases(plant, whole) == changes([((at - T0) / S, state, 0) for at, state in expected]), seed
    calculator, made, at = plant.calculator(), [], 4
    made += calculator.take(plant.batch(samples[:4]))
    while at < len(samples):
        size = chance.randint(1, 5)
        made += calculator.take(plant.batch(samples[at : at + size]))
        at += size
        if at < len(samples) and chance.random() < 0.3:  # time passes, and nothing comes
            between = (samples[at - 1][1] + samples[at][1]) / 2
            made += calculator.tick(T0 + round(between * S))
    assert phases(plant, made) == phases(plant, whole), seed


@pytest.mark.parametrize("seed", range(24))
def test_many_assets_at_once_are_each_as_the_reference_says(seed: int) -> None:
    """Rows in batches of any number, some at the time of the row before, which they replace."""
    chance = random.Random(seed)
    machine = drawn(chance)
    count = chance.choice([1, 5, 40, 70])
    machines, rows, told = (
        Machines(machine, count),
        [dict[int, int]() for _ in range(count)],
        [{} for _ in range(count)],
    )
    bits = sum(1 << at for at, one in enumerate(machine.transitions) if one.when)
    for _ in range(12):
        given: list[tuple[int, int, int]] = []
        for asset, before in enumerate(rows):
            for number in range(chance.choice([0, 1, 1, 1, 2, 30])):
                newest = max(before, default=T0)
                again = number == 0 and bool(before) and chance.random() < 0.2
                time_ns = newest if again else newest + chance.choice([S // 2, S, S, 2 * S, 9 * S])
                held = chance.getrandbits(60) & bits if chance.random() < 0.6 else before.get(newest, 0)
                before[time_ns] = held
                given.append((asset, time_ns, held))
        if not given:
            continue
        columns = np.array(given, np.int64).T
        made = machines.take(Samples(columns[0].astype(np.intp), columns[1], columns[2], columns[0].astype(np.uint32)))
        order = list(zip(made.instances.tolist(), made.source_ns.tolist(), strict=True))
        assert order == sorted(order)
        assert (made.quality == made.instances).all()
        for (asset, time_ns), state in zip(order, made.values.tolist(), strict=True):
            told[asset][time_ns] = state
    for asset, held_at in enumerate(rows):
        whole = [(at, tuple(bool(held >> n & 1) for n in range(60))) for at, held in held_at.items()]
        wanted = dict(reference(machine, whole)) if whole else {}
        # A row that is replaced may have told of a time that has not ended, after all: what is told of then stands.
        assert {at: told[asset].get(at) for at in wanted} == wanted, (seed, asset)


# --- beside a history -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_a_restart_and_late_samples_change_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    machine = drawn(chance)
    text = declared(machine)
    samples, expected = stretch(chance, machine)
    wanted = changes([((time_ns - T0) / S, state, 0) for time_ns, state in expected])
    async with bench(tmp_path, text) as one:
        late = sorted(chance.sample(range(4, len(samples) - 1), min(2, len(samples) - 5)))
        for at, sample in enumerate(samples):
            if at not in late:
                await one.send([sample])
            if at in (len(samples) // 3, len(samples) // 2):  # as after kill -9: nothing but history is left
                one.desk = one.new_desk()
                await one.configure()
        for at in late:
            await one.send([samples[at]])
        mending = asyncio.create_task(one.desk.run())
        try:
            async with asyncio.timeout(60):
                while changes(await one.kept(PHASE)) != wanted:
                    await asyncio.sleep(0.05)
        finally:
            mending.cancel()
