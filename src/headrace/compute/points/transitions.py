"""What a machine's transitions make of a moment: where conditions and ended times lead, and when time alone leads on.

For one asset in whole numbers, for many in columns.

state, what leads on now as bits ─► on, through each state at most once ─► state, remembered for each pair that was met

A condition without `for` leads on at a moment at which some condition changed, or its state was entered. One with `for`
is due once both have held for so long, the condition and the state, so it can only be the first step of a moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.model.machines import Machine

LONG_AGO_NS: Final = -(1 << 62)
NOT: Final = 1 << 62
"""A condition that does not hold: since a time that never comes."""
_KNOWN_MAX: Final = 10_000
"""Pairs of a state and bits that are remembered; machines meet a few dozen."""

Times = NDArray[np.int64]


class Wait(NamedTuple):
    """A transition with `for`, out of one state. `row`: of `since`, the last one where it waits for time alone."""

    bit: int
    row: int
    dwell_ns: int


@dataclass(frozen=True, slots=True)
class _Way:
    to: int
    bit: int
    waits: bool


class Transitions:
    """`lasting`: the bits of conditions with `for`; `since` has a row for each and one of `LONG_AGO_NS`. `instant`: the
    bits of those without. `known`: by state what was worked out before, by bits that lead on, twice, and `changed`.

    States are numbers, in the order of `Machine.states`.
    """

    def __init__(self, machine: Machine) -> None:
        states, steps = machine.states, machine.transitions
        self.lasting = [1 << at for at, one in enumerate(steps) if one.when and one.dwell_ns]
        self.instant = sum(1 << at for at, one in enumerate(steps) if one.when and not one.dwell_ns)
        self._always = sum(1 << at for at, one in enumerate(steps) if not one.when and not one.dwell_ns)
        self._ways: list[list[_Way]] = []
        self.waits: list[list[Wait]] = []
        for state in states:
            out = [(at, one) for at, one in enumerate(steps) if one.to != state and one.source in ("", state)]
            self._ways.append([_Way(states.index(one.to), 1 << at, one.dwell_ns > 0) for at, one in out])
            self.waits.append(
                [Wait(1 << at, self._row(1 << at, one.when), one.dwell_ns) for at, one in out if one.dwell_ns]
            )
        self.known: list[dict[int, int]] = [{} for _ in states]
        self._columns: list[tuple[NDArray[np.int64], NDArray[np.intp]] | None] = [None] * len(states)

    def _row(self, bit: int, when: str) -> int:
        return self.lasting.index(bit) if when else len(self.lasting)

    # --- one asset --------------------------------------------------------------------------------------------------

    def on(self, state: int, entered_ns: int, since: Sequence[int], bits: int, time_ns: int, changed: bool) -> int:
        """The state after this moment. `changed`: a condition did, or the state was entered just now; then what was due
        before and not taken is due anew."""
        leads = bits & self.instant
        for wait in self.waits[state]:
            due_ns = max(since[wait.row], entered_ns) + wait.dwell_ns
            if due_ns == time_ns or (changed and due_ns < time_ns):
                leads |= wait.bit
        return self._known(state, leads << 1 | changed)

    def due_ns(self, state: int, entered_ns: int, since: Sequence[int], after_ns: int) -> int:
        """When time alone leads on next, after a moment; `NOT` if never."""
        found = NOT
        for wait in self.waits[state]:
            due_ns = max(since[wait.row], entered_ns) + wait.dwell_ns
            if after_ns < due_ns < found:
                found = due_ns
        return found

    def held_since(
        self, since: Sequence[int], bits: NDArray[np.int64], time_ns: NDArray[np.int64]
    ) -> Iterator[tuple[int, ...]]:
        """From when on each lasting condition holds at each of these moments, which come after `since`."""
        columns = []
        for row, bit in enumerate(self.lasting):
            holds = (bits & bit) != 0
            begins = np.append(holds[0] and since[row] == NOT, holds[1:] & ~holds[:-1])
            at = np.maximum.accumulate(np.where(begins, np.arange(len(bits)), -1))
            began_ns = np.where(at < 0, since[row], time_ns[at])
            columns.append(np.where(holds, began_ns, NOT).tolist())
        return zip(*columns, repeat(LONG_AGO_NS, len(bits)), strict=True)

    # --- many, in columns -------------------------------------------------------------------------------------------

    def on_all(
        self, states: NDArray[np.intp], entered_ns: Times, since: Times, bits: Times, time_ns: Times,
        changed: NDArray[np.bool_],
    ) -> NDArray[np.intp]:  # fmt: skip
        """As `on`. Shape: (assets,) each, `since` (lasting + 1, assets)."""
        result = states.copy()
        for state, of in self._by_state(states):
            leads, moment = bits[of] & self.instant, changed[of].astype(np.int64)
            for wait in self.waits[state]:
                left_ns = np.maximum(since[wait.row, of], entered_ns[of]) + wait.dwell_ns - time_ns[of]
                leads |= wait.bit * ((left_ns == 0) | ((left_ns < 0) & (moment > 0)))
            result[of] = self._look_up(state, leads << 1 | moment)
        return result

    def due_all(self, states: NDArray[np.intp], entered_ns: Times, since: Times, after_ns: Times) -> Times:
        """As `due_ns`."""
        found = np.full(len(states), NOT)
        if any(self.waits):
            for state, of in self._by_state(states):
                for wait in self.waits[state]:
                    due_ns = np.maximum(since[wait.row, of], entered_ns[of]) + wait.dwell_ns
                    found[of] = np.where(due_ns > after_ns[of], np.minimum(due_ns, found[of]), found[of])
        return found

    def held_all(self, since: Times, bits: Times, time_ns: Times) -> None:
        """From when on each lasting condition holds, with those of this moment; in place."""
        for row, bit in enumerate(self.lasting):
            known = since[row]
            since[row] = np.where(bits & bit, np.where(known == NOT, time_ns, known), NOT)

    def _by_state(self, states: NDArray[np.intp]) -> list[tuple[int, Any]]:
        if not len(states):
            return []
        first = int(states[0])
        if (states == first).all():
            return [(first, slice(None))]
        return [(state, of) for state in range(len(self.waits)) if len(of := np.flatnonzero(states == state))]

    def _look_up(self, state: int, codes: NDArray[np.int64]) -> NDArray[np.intp]:
        columns = self._columns[state]
        if columns is not None:
            known, to = columns
            at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
            if (known[at] == codes).all():
                return to[at]
        met, whose = np.unique(codes, return_inverse=True)
        found = np.array([self._known(state, code) for code in met.tolist()], np.intp)
        order = sorted(self.known[state])
        self._columns[state] = (
            np.array(order, np.int64), np.array([self.known[state][code] for code in order], np.intp),
        )  # fmt: skip
        return found[whose]

    def _known(self, state: int, code: int) -> int:
        to = self.known[state].get(code)
        return self.learn(state, code) if to is None else to

    def learn(self, state: int, code: int) -> int:
        """The state that a pair leads to, which is remembered. `code`: bits that lead on, twice, and `changed`."""
        if len(self.known[state]) >= _KNOWN_MAX:
            self.known[state].clear()
        leads, changed = (code >> 1) | self._always, bool(code & 1)
        now, been, first = state, {state}, True
        while True:
            for way in self._ways[now]:
                ready = first if way.waits else changed or not first
                if ready and leads & way.bit and way.to not in been:
                    now, first = way.to, False
                    been.add(now)
                    break
            else:
                self.known[state][code] = now
                return now
