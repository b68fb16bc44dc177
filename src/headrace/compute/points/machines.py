"""State machines of a group of points: what conditions were at each moment becomes the state that an asset was in.

conditions as bits, a moment a row ─► what had to hold for a while has, between two rows ─► a row at that very moment
                                   ─► this row: what holds now ─► on, through each state at most once ─► the state

Event time alone counts: a dwell ends at its own moment, whether a sample or a tick comes then or not, so the results
are the same however samples are cut. A row at the time of the last one takes its place, as everywhere in expressions.

Rows where nothing can move are told at once. Of the others many assets go together, the first row of each, then the
second, in columns; what is left, many rows of a few, goes row by row in whole numbers. Both say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.points.transitions import LONG_AGO_NS, NOT, Transitions
from headrace.model.batch import ValueKind
from headrace.model.expressions import Samples
from headrace.model.machines import Machine

STEPS_MAX: Final = 10_000
"""Dwells that end between two rows; a machine that goes round faster stands still until the next row."""
KEPT_MAX: Final = 200_000
TOGETHER_MIN: Final = 24
"""Assets that are done in columns; fewer are faster one after the other."""

Row = tuple[int, int, int]
"""Time, conditions, quality."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a machine stands. `since`: from when on each lasting condition holds without a break, `NOT` where it does
    not, and one more of long ago. `due_ns`: when time alone moves it."""

    begun: bool
    state: int
    entered_ns: int
    time_ns: int
    bits: int
    since: tuple[int, ...]
    due_ns: int


Stands = tuple[Standing, Standing]
"""Where it stands, and where before its last row."""


class _Standings:
    """Of each instance one, in columns. One that has not begun is due always, so that no row of it is quiet."""

    def __init__(self, instances: int, lasting: int) -> None:
        self.begun = np.zeros(instances, np.bool_)
        self.state = np.zeros(instances, np.intp)
        self.entered_ns = np.full(instances, LONG_AGO_NS)
        self.time_ns = np.full(instances, LONG_AGO_NS)
        self.bits = np.zeros(instances, np.int64)
        self.since = np.full((lasting + 1, instances), NOT)
        self.since[-1] = LONG_AGO_NS
        self.due_ns = np.full(instances, LONG_AGO_NS)

    def read(self, at: int) -> Standing:
        return Standing(
            bool(self.begun[at]), int(self.state[at]), int(self.entered_ns[at]), int(self.time_ns[at]),
            int(self.bits[at]), tuple(self.since[:, at].tolist()), int(self.due_ns[at]),
        )  # fmt: skip

    def write(self, at: int, one: Standing) -> None:
        self.begun[at], self.state[at], self.entered_ns[at], self.time_ns[at], self.bits[at] = (
            one.begun, one.state, one.entered_ns, one.time_ns, one.bits,
        )  # fmt: skip
        self.since[:, at], self.due_ns[at] = one.since, one.due_ns

    def copy(self, other: _Standings, at: NDArray[np.intp] | slice) -> None:
        """As `other` has them."""
        for name in ("begun", "state", "entered_ns", "time_ns", "bits", "due_ns"):
            getattr(self, name)[at] = getattr(other, name)[at]
        self.since[:, at] = other.since[:, at]


class _Told:
    """Rows that were told, in the order in which they were worked out."""

    def __init__(self) -> None:
        self.parts: list[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp], NDArray[np.uint32]]] = []

    def add(
        self, at: NDArray[np.intp], time_ns: NDArray[np.int64], state: NDArray[np.intp], quality: NDArray[np.uint32]
    ) -> None:
        self.parts.append((at, time_ns, state, quality))


class Machines:
    """Of one group, an instance each."""

    def __init__(self, machine: Machine, instances: int) -> None:
        self.machine = machine
        self._names = np.array(machine.states, ValueKind.TEXT.dtype)
        self._transitions = Transitions(machine)
        lasting = len(self._transitions.lasting)
        self._now, self._before = _Standings(instances, lasting), _Standings(instances, lasting)
        self._begins_ns = np.full(instances, LONG_AGO_NS)
        self._kept: dict[int, list[Row]] = {}

    def begin(self, instance: int, state: str, entered_ns: int, from_ns: int) -> None:
        """It is in this state, the first where that is unknown; rows before `from_ns` only tell what holds."""
        names, known = self.machine.states, state in self.machine.states
        number, entered_ns = (names.index(state), entered_ns) if known else (0, from_ns)
        since = (*[NOT] * len(self._transitions.lasting), LONG_AGO_NS)
        due_ns = self._transitions.due_ns(number, entered_ns, since, entered_ns)
        self._now.write(instance, Standing(True, number, entered_ns, LONG_AGO_NS, 0, since, due_ns))
        self._begins_ns[instance] = from_ns

    def begin_at(self, instance: int, from_ns: int) -> None:
        """It is in its initial state from then on."""
        self.begin(instance, self.machine.initial, from_ns, from_ns)

    def stands(self, instance: int) -> Stands:
        return self._now.read(instance), self._before.read(instance)

    def take_over(self, before: Machines) -> None:
        """Instances that stay stand where they stood."""
        for own, other in ((self._now, before._now), (self._before, before._before)):
            own.copy(other, slice(0, len(other.state)))
        self._begins_ns[: len(before._begins_ns)] = before._begins_ns
        self._kept = before._kept

    def take(self, given: Samples) -> Samples:
        """Conditions become states. Both by instance and time."""
        at, time_ns, now = given.instances, given.source_ns, self._now
        quiet = (given.values == now.bits[at]) & (time_ns > now.time_ns[at]) & (time_ns < now.due_ns[at])
        if self._kept:
            quiet &= ~np.isin(at, list(self._kept))
        if quiet.all():
            return Samples(at, time_ns, self._names[now.state[at]], given.quality)
        told = _Told()
        if quiet.any():
            moving = np.zeros(len(now.state), np.bool_)
            moving[at[~quiet]] = True
            busy = moving[at]
            rest = ~busy
            told.add(at[rest], time_ns[rest], now.state[at[rest]], given.quality[rest])
            self._move(at[busy], time_ns[busy], given.values[busy], given.quality[busy], told)
        else:
            self._move(at, time_ns, given.values, given.quality, told)
        return self._samples(told)

    def watch(self, instance: int) -> None:
        """Remember the rows from now on, until `resume`."""
        self._kept[instance] = []

    def forget(self, instance: int) -> None:
        self._kept.pop(instance, None)

    def resume(self, instance: int, stands: Stands, from_ns: int) -> Samples | None:
        """It stood so at `from_ns`, after all: the rows since, once more. None where that is not remembered."""
        kept = self._kept.pop(instance, None)
        if kept is None or len(kept) >= KEPT_MAX:
            return None
        self._now.write(instance, stands[0])
        self._before.write(instance, stands[1])
        told = _Told()
        rows = np.array([row for row in kept if row[0] >= from_ns], np.int64).reshape(-1, 3)
        self._one_by_one(instance, rows[:, 0], rows[:, 1], rows[:, 2].astype(np.uint32), told)
        return self._samples(told)

    def _move(
        self, at: NDArray[np.intp], time_ns: NDArray[np.int64], bits: NDArray[np.int64], quality: NDArray[np.uint32],
        told: _Told,
    ) -> None:  # fmt: skip
        """Together while there are enough of them: the first row of each, the second, …; the rest one by one."""
        starts = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
        ends = np.append(starts[1:], len(at))
        whose = at[starts]
        alone = (time_ns[starts] < self._begins_ns[whose]) | (time_ns[starts] < self._now.time_ns[whose])
        if self._kept:
            alone |= np.isin(whose, list(self._kept))
        first = starts.copy()
        together = np.flatnonzero(~alone)
        while len(together) >= TOGETHER_MIN:
            rows = first[together]
            self._together(at[rows], time_ns[rows], bits[rows], quality[rows], told)
            first[together] += 1
            together = together[first[together] < ends[together]]
        for number in np.flatnonzero(first < ends).tolist():
            part = slice(int(first[number]), int(ends[number]))
            self._one_by_one(int(whose[number]), time_ns[part], bits[part], quality[part], told)

    # --- many instances, a row each -----------------------------------------------------------------------------------

    def _together(
        self, at: NDArray[np.intp], time_ns: NDArray[np.int64], bits: NDArray[np.int64], quality: NDArray[np.uint32],
        told: _Told,
    ) -> None:  # fmt: skip
        now, ways = self._now, self._transitions
        replaced = at[time_ns == now.time_ns[at]]
        if len(replaced):
            now.copy(self._before, replaced)
        fresh = at[~now.begun[at]]
        if len(fresh):
            now.entered_ns[fresh] = time_ns[~now.begun[at]]
            now.due_ns[fresh], now.begun[fresh] = NOT, True
        self._before.copy(now, at)
        state, entered_ns, since, was = now.state[at], now.entered_ns[at], now.since[:, at], now.bits[at]
        due_ns = now.due_ns[at]
        of = np.flatnonzero(due_ns < time_ns)
        for _ in range(STEPS_MAX):
            if not len(of):
                break
            moment = due_ns[of]
            held, never = since[:, of], np.zeros(len(of), np.bool_)
            state[of] = ways.on_all(state[of], entered_ns[of], held, was[of], moment, never)
            entered_ns[of] = moment
            told.add(at[of], moment, state[of], quality[of])
            due_ns[of] = ways.due_all(state[of], moment, held, moment)
            of = of[due_ns[of] < time_ns[of]]
        changed = (bits != was) | (entered_ns == time_ns)
        if ways.lasting:
            ways.held_all(since, bits, time_ns)
        moved = ways.on_all(state, entered_ns, since, bits, time_ns, changed)
        entered_ns = np.where(moved != state, time_ns, entered_ns)
        told.add(at, time_ns, moved, quality)
        now.state[at], now.entered_ns[at], now.time_ns[at], now.bits[at] = moved, entered_ns, time_ns, bits
        now.since[:, at], now.due_ns[at] = since, ways.due_all(moved, entered_ns, since, time_ns)

    # --- one instance, many rows --------------------------------------------------------------------------------------

    def _one_by_one(
        self, instance: int, time_ns: NDArray[np.int64], conditions: NDArray[np.int64], quality: NDArray[np.uint32],
        told: _Told,
    ) -> None:  # fmt: skip
        if not len(time_ns):
            return
        last = np.append(time_ns[1:] != time_ns[:-1], True)  # of equal times the last one counts
        time_ns, conditions, quality = time_ns[last], conditions[last], quality[last]
        times, rows = time_ns.tolist(), conditions.tolist()
        kept = self._kept.get(instance)
        if kept is not None and len(kept) < KEPT_MAX:
            kept += zip(times, rows, quality.tolist(), strict=True)
        ways, begins_ns = self._transitions, int(self._begins_ns[instance])
        waits, known, instant = ways.waits, ways.known, ways.instant
        before = _parts(self._before.read(instance))
        begun, state, entered_ns, at_ns, bits, since, due_ns = _parts(self._now.read(instance))
        states: list[int] = []
        between: list[tuple[int, int, int]] = []  # rows of ended times: before which row, when, state
        holds = ways.held_since(before[5] if times[0] == at_ns else since, conditions, time_ns)
        for now_ns, held, since_now in zip(times, rows, holds, strict=True):
            if now_ns == at_ns:
                begun, state, entered_ns, at_ns, bits, since, due_ns = before
            if not begun:
                begun, entered_ns, due_ns = True, now_ns, NOT
            before = (begun, state, entered_ns, at_ns, bits, since, due_ns)
            if now_ns < begins_ns:
                since = since_now
                due_ns = ways.due_ns(state, entered_ns, since, max(now_ns, entered_ns))
            elif held != bits or due_ns <= now_ns or entered_ns >= now_ns:
                for _ in range(STEPS_MAX):
                    if due_ns >= now_ns:
                        break
                    state, entered_ns = ways.on(state, entered_ns, since, bits, due_ns, False), due_ns
                    between.append((len(states), entered_ns, state))
                    due_ns = ways.due_ns(state, entered_ns, since, entered_ns)
                since, changed, leads = since_now, held != bits or entered_ns == now_ns, held & instant
                for bit, row, dwell_ns in waits[state]:
                    ends_ns = (entered_ns if entered_ns > since[row] else since[row]) + dwell_ns
                    if ends_ns <= now_ns and (changed or ends_ns == now_ns):
                        leads |= bit
                to = known[state].get(leads << 1 | changed, -1)
                if to < 0:
                    to = ways.learn(state, leads << 1 | changed)
                if to != state:
                    state, entered_ns = to, now_ns
                due_ns = NOT
                for _, row, dwell_ns in waits[state]:
                    ends_ns = (entered_ns if entered_ns > since[row] else since[row]) + dwell_ns
                    if now_ns < ends_ns < due_ns:
                        due_ns = ends_ns
            at_ns, bits = now_ns, held
            states.append(state)
        self._now.write(instance, Standing(begun, state, entered_ns, at_ns, bits, since, due_ns))
        self._before.write(instance, Standing(*before))
        if between:
            row, moment, entered = np.array(between, np.int64).T
            told.add(np.full(len(row), instance), moment, entered.astype(np.intp), quality[row])
        told.add(np.full(len(times), instance), time_ns, np.array(states, np.intp), quality)

    def _samples(self, told: _Told) -> Samples:
        """By instance and time; of the same time in the order in which they were told."""
        if not told.parts:
            none = np.zeros(0, np.int64)
            return Samples(none.astype(np.intp), none, self._names[:0], none.astype(np.uint32))
        at, time_ns, state, quality = (
            told.parts[0] if len(told.parts) == 1 else tuple(map(np.concatenate, zip(*told.parts, strict=True)))
        )
        if len(told.parts) > 1:
            order = np.lexsort((time_ns, at))
            at, time_ns, state, quality = at[order], time_ns[order], state[order], quality[order]
        return Samples(at, time_ns, self._names[state], quality)


def _parts(one: Standing) -> tuple[bool, int, int, int, int, tuple[int, ...], int]:
    return one.begun, one.state, one.entered_ns, one.time_ns, one.bits, one.since, one.due_ns
