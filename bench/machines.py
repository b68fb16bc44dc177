"""State machines: rows of conditions into states, where every row moves something and where none does.

    at once     10,000 assets, a row each a call                       as samples come in
    a day       one asset, a day of 1 Hz                               as back-fills and late samples do
    …, for      beside transitions that wait 10 s and 60 s, which never end before the state is left

CPU time, medians. Conditions are worked out already; what expressions cost is in `compute`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Final

import numpy as np

from bench.harness import Measure, cpu_s
from headrace.compute.points.machines import Machines
from headrace.model.expressions import Samples
from headrace.model.machines import Machine, Transition
from headrace.model.time import SECOND_NS

ASSETS: Final = 10_000
DAY: Final = 86_400
RUNS: Final = 15
PLAIN: Final = Machine(
    "idle",
    (
        Transition("idle", "starting", "on"),
        Transition("starting", "running", "fast"),
        Transition("running", "idle", "off"),
        Transition("", "open", "door"),
        Transition("open", "idle", "shut"),
    ),
)
WAITING: Final = Machine(
    "idle",
    (
        Transition("idle", "running", "on"),
        Transition("running", "idle", "off"),
        Transition("running", "overrun", "fast", 10 * SECOND_NS),
        Transition("running", "stuck", "", 60 * SECOND_NS),
        Transition("", "open", "door"),
    ),
)
ROUND: Final = {"plain": (PLAIN, (1, 2, 4)), "for": (WAITING, (5, 2))}
"""Conditions that lead once round."""


def measures() -> Iterator[Measure]:
    for name, (machine, turn) in ROUND.items():
        told = "" if name == "plain" else ", for"
        yield Measure(f"state machine, every row moves, at once{told}", _rate(machine, turn, ASSETS, 1),
                      "rows/CPU-s", target=">= 2000000")  # fmt: skip
        yield Measure(f"state machine, every row moves, a day{told}", _rate(machine, turn, 1, DAY),
                      "rows/CPU-s", target=">= 2000000")  # fmt: skip
    yield Measure("state machine, nothing moves, at once", _rate(PLAIN, (0,), ASSETS, 1), "rows/CPU-s")


def _rate(machine: Machine, turn: tuple[int, ...], assets: int, rows: int) -> float:
    machines, spent = Machines(machine, assets), []
    whose, quality = np.repeat(np.arange(assets), rows), np.zeros(assets * rows, np.uint32)
    for call in range(RUNS + 1):
        second = np.tile(np.arange(rows), assets) + call * rows
        given = Samples(whose, second * SECOND_NS, np.array(turn)[second % len(turn)], quality)
        begun_s = cpu_s()
        made = machines.take(given)
        spent.append(cpu_s() - begun_s)
        if rows > 1 and len(turn) > 1:
            assert (made.values[1:] != made.values[:-1]).all()
    return len(whose) / statistics.median(spent[1:])


if __name__ == "__main__":
    for measure in measures():
        print(measure.line())
