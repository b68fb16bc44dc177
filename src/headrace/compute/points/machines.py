"""State machines of a group of points: what conditions were at each moment becomes the state that an asset was in.

conditions as bits, a moment a row ─► what had to hold for a while has, between two rows ─► a row at that very moment
                                   ─► this row: what holds now ─► on, through each state at most once ─► the state

Event time alone counts: a dwell ends at its own moment, whether a sample or a tick comes then or not, so the results
are the same however samples are cut. A row at the time of the last one takes its place, as everywhere in expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from headrace.model.batch import ValueKind
from headrace.model.expressions import Samples
from headrace.model.machines import Machine

LONG_AGO_NS: Final = -(1 << 62)
NOT: Final = 1 << 62
"""A condition that does not hold: since a time that never comes."""
STEPS_MAX: Final = 10_000
"""Dwells that end between two rows; a machine that goes round faster stands still until the next row."""
KEPT_MAX: Final = 200_000

Row = tuple[int, int, int]
"""Time, conditions, quality."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a machine stands. `since`: from when on each condition holds without a break, `NOT` where it does not."""

    state: int
    entered_ns: int
    time_ns: int
    bits: int
    since: tuple[int, ...]


Stands = tuple[Standing | None, Standing | None]
"""Where it stands, and where before its last row."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A transition out of a state. `bit` is 0 where it waits for time alone."""

    at: int
    to: int
    bit: int
    dwell_ns: int


class Machines:
    """Of one group, an instance each."""

    def __init__(self, machine: Machine, instances: int) -> None:
        self.machine = machine
        states = machine.states
        self._names = np.array(states, ValueKind.TEXT.dtype)
        self._ways = [
            [
                _Way(at, states.index(one.to), 1 << at if one.when else 0, one.dwell_ns)
                for at, one in enumerate(machine.transitions)
                if one.to != state and one.source in ("", state)
            ]
            for state in states
        ]
        self._bits = [1 << at for at in range(len(machine.transitions))]
        fresh = Standing(0, LONG_AGO_NS, LONG_AGO_NS, 0, (NOT,) * len(machine.transitions))
        self._standing: list[Standing | None] = [None] * instances
        self._before: list[Standing | None] = [None] * instances
        self._fresh = fresh
        self._begins_ns = [LONG_AGO_NS] * instances
        self._kept: dict[int, list[Row]] = {}
        # Of the last row that moved something: as long as bits are these and the time is between, nothing moves.
        self._state = np.zeros(instances, np.intp)
        self._same_bits = np.full(instances, -1, np.int64)
        self._after_ns = np.full(instances, LONG_AGO_NS, np.int64)
        self._due_at_ns = np.full(instances, LONG_AGO_NS, np.int64)

    def begin(self, instance: int, state: str, entered_ns: int, from_ns: int) -> None:
        """It is in this state, the first where that is unknown; rows before `from_ns` only tell what holds."""
        names = self.machine.states
        known = state in names
        self._standing[instance] = replace(
            self._fresh, state=names.index(state) if known else 0, entered_ns=entered_ns if known else from_ns
        )
        self._begins_ns[instance] = from_ns
        self._due_at_ns[instance] = LONG_AGO_NS

    def begin_at(self, instance: int, from_ns: int) -> None:
        """It is in its initial state from then on."""
        self.begin(instance, self.machine.initial, from_ns, from_ns)

    def stands(self, instance: int) -> Stands:
        return self._standing[instance], self._before[instance]

    def take_over(self, before: Machines) -> None:
        """Instances that stay stand where they stood."""
        count = len(before._standing)
        self._standing[:count], self._before[:count] = before._standing, before._before
        self._begins_ns[:count] = before._begins_ns
        self._kept = before._kept
        for name in ("_state", "_same_bits", "_after_ns", "_due_at_ns"):
            getattr(self, name)[:count] = getattr(before, name)

    def take(self, given: Samples) -> Samples:
        """Conditions become states. Both by instance and time."""
        at, time_ns = given.instances, given.source_ns
        quiet = (given.values == self._same_bits[at]) & (time_ns > self._after_ns[at]) & (time_ns < self._due_at_ns[at])
        if quiet.all():
            return Samples(at, time_ns, self._names[self._state[at]], given.quality)
        busy = np.isin(at, at[~quiet])
        moved = self._moved(Samples(at[busy], time_ns[busy], given.values[busy], given.quality[busy]))
        if busy.all():
            return moved
        at = np.append(moved.instances, at[~busy])
        time_ns = np.append(moved.source_ns, time_ns[~busy])
        values = np.append(moved.values, self._names[self._state[given.instances[~busy]]])
        order = np.lexsort((time_ns, at))
        quality = np.append(moved.quality, given.quality[~busy])
        return Samples(at[order], time_ns[order], values[order], quality[order])

    def watch(self, instance: int) -> None:
        """Remember the rows from now on, until `resume`."""
        self._kept[instance] = []
        self._due_at_ns[instance] = LONG_AGO_NS  # each row is looked at meanwhile

    def forget(self, instance: int) -> None:
        self._kept.pop(instance, None)

    def resume(self, instance: int, stands: Stands, from_ns: int) -> Samples | None:
        """It stood so at `from_ns`, after all: the rows since, once more. None where that is not remembered."""
        kept = self._kept.pop(instance, None)
        if kept is None or len(kept) >= KEPT_MAX:
            return None
        self._standing[instance], self._before[instance] = stands
        times: list[int] = []
        states: list[int] = []
        quality: list[int] = []
        self._run(instance, [row for row in kept if row[0] >= from_ns], times, states, quality)
        return self._samples([instance] * len(times), times, states, quality)

    def _moved(self, given: Samples) -> Samples:
        columns = (given.instances, given.source_ns, given.values, given.quality)
        times: list[int] = []
        states: list[int] = []
        quality: list[int] = []
        instances: list[int] = []
        numbers, *rows = (column.tolist() for column in columns)
        for instance, start, end in _runs(numbers):
            count = len(times)
            self._run(instance, list(zip(*(one[start:end] for one in rows), strict=True)), times, states, quality)
            instances += [instance] * (len(times) - count)
        return self._samples(instances, times, states, quality)

    # --- one instance -----------------------------------------------------------------------------------------------

    def _run(
        self, instance: int, rows: Sequence[Row], times: list[int], states: list[int], quality: list[int]
    ) -> None:  # fmt: skip
        kept = self._kept.get(instance)
        if kept is not None and len(kept) < KEPT_MAX:
            kept += rows
        now, before, begins_ns = self._standing[instance], self._before[instance], self._begins_ns[instance]
        due_ns = LONG_AGO_NS  # nothing of time happens before; not known yet
        for time_ns, bits, how in rows:
            if now is not None and now.time_ns < time_ns < due_ns and bits == now.bits:  # as most are
                before, now = now, Standing(now.state, now.entered_ns, time_ns, bits, now.since)
                times.append(time_ns)
                states.append(now.state)
                quality.append(how)
                continue
            if now is not None and time_ns == now.time_ns:
                now = before
            if now is None:
                now = replace(self._fresh, entered_ns=time_ns)
            before = now
            if time_ns < begins_ns:
                now = self._hold(now, time_ns, bits)
            else:
                for passed in self._meanwhile(now, time_ns):
                    now = passed
                    times.append(now.entered_ns)
                    states.append(now.state)
                    quality.append(how)
                changed = bits != now.bits
                now = self._settle(self._hold(now, time_ns, bits), time_ns, changed=changed)
                due_ns = self._next_ns(now)
            times.append(time_ns)
            states.append(now.state)
            quality.append(how)
        self._standing[instance], self._before[instance] = now, before
        if now is not None and rows:
            watched = kept is not None or rows[-1][0] < begins_ns
            self._state[instance], self._same_bits[instance] = now.state, now.bits
            self._after_ns[instance] = now.time_ns
            self._due_at_ns[instance] = LONG_AGO_NS if watched else self._next_ns(now)

    def _hold(self, now: Standing, time_ns: int, bits: int) -> Standing:
        """The conditions of this moment."""
        since = now.since
        if bits != now.bits:
            since = tuple(
                NOT if not bits & bit else time_ns if known == NOT else known
                for bit, known in zip(self._bits, since, strict=True)
            )
        return Standing(now.state, now.entered_ns, time_ns, bits, since)

    def _meanwhile(self, now: Standing, before_ns: int) -> Iterator[Standing]:
        """Each state that was entered before this moment because time passed."""
        for _ in range(STEPS_MAX):
            due_ns = self._next_ns(now)
            if due_ns >= before_ns:
                return
            now = self._settle(now, due_ns, changed=False)
            yield now

    def _settle(self, now: Standing, time_ns: int, *, changed: bool) -> Standing:
        """On, through what leads on at this very moment; in no state twice. One that would go round stays where it is
        until a condition has changed: what was due before and not taken is not due anew."""
        seen = {now.state}
        while True:
            for way in self._ways[now.state]:
                due_ns = self._due_ns(now, way)
                if way.to not in seen and (due_ns == time_ns or (changed and due_ns < time_ns)):
                    now = replace(now, state=way.to, entered_ns=time_ns)
                    seen.add(way.to)
                    break
            else:
                return now

    def _next_ns(self, now: Standing) -> int:
        """When time alone moves it next, if nothing changes."""
        moved_ns = max(now.time_ns, now.entered_ns)
        return min(
            (due_ns for way in self._ways[now.state] if (due_ns := self._due_ns(now, way)) > moved_ns), default=NOT
        )

    def _due_ns(self, now: Standing, way: _Way) -> int:
        return max(now.since[way.at] if way.bit else LONG_AGO_NS, now.entered_ns) + way.dwell_ns

    def _samples(self, instances: list[int], times: list[int], states: list[int], quality: list[int]) -> Samples:
        return Samples(
            np.array(instances, np.intp), np.array(times, np.int64), self._names[np.array(states, np.intp)],
            np.array(quality, np.uint32),
        )  # fmt: skip


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(value, start, end) of each run of equal numbers."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[start]:
            yield numbers[start], start, at
            start = at
