"""One unit: its facts by kind, and the runs that follow from them.

    facts come, or go ─► runs anew where they fall ─► spans of time whose figures may differ now

A span is never wider than need be: it ends where everything is again as it was. `evaluate.py` works out the cells of
the hours that spans touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.calendar import Timetable
from headrace.apps.operations.quantities import Counter
from headrace.apps.operations.series import ALWAYS_NS, Ids, Series, Times, Values
from headrace.apps.operations.signals import StateRule, StatusRule, timeline
from headrace.apps.operations.states import ReasonColumns, Runs, State, judged
from headrace.model.errors import ConfigError
from headrace.model.time import HOUR_NS, MINUTE_NS

STATE: Final = 0
"""The slot of a rule's first input; the next inputs follow."""
INPUTS_MAX: Final = 16
ORDER: Final = 16
"""Values are job numbers, NO_JOB where the order ends."""
REASON: Final = 17
"""A reason's number, for the stop in which the fact's time lies; −1 takes it back."""
LEVEL: Final = 18
"""An inventory's level from that time on."""
COUNTER: Final = 32
"""The slot of a unit's first counter; the next ones follow."""
COUNTERS_MAX: Final = 32
AMOUNT: Final = 64
"""AMOUNT + a `Quantity`: so many more, at that time; a negative amount takes away."""

DIRECT: Final = StatusRule("state", {int(state): state for state in State})
"""The rule of a unit whose facts give `State` numbers themselves."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Unit:
    """A work unit as figures need it. Times in ns.

    `since_ns`: figures begin there. `pri_ns`: planned run time per item where the order does not say. `capacity_per_h`:
    for EPC, 0 where not known. `counts`: what is counted beside scrap and rework, from which the other follows:
    PQ = GQ + SQ + RQ. Raises: ConfigError.
    """

    path: str
    timetable: Timetable
    since_ns: int
    rule: StateRule = DIRECT
    counters: tuple[Counter, ...] = ()
    micro_stop_ns: int = 2 * MINUTE_NS
    pri_ns: float = 0.0
    capacity_per_h: float = 0.0
    counts: Literal["produced", "good"] = "produced"

    def __post_init__(self) -> None:
        if len(self.rule.inputs) > INPUTS_MAX:
            raise ConfigError(f"{self.path}: a state comes from at most {INPUTS_MAX} points")
        if len(self.counters) > COUNTERS_MAX:
            raise ConfigError(f"{self.path}: at most {COUNTERS_MAX} counters")
        wrong = "GQ" if self.counts == "produced" else "PQ"
        if any(counter.kind.name == wrong for counter in self.counters):
            raise ConfigError(f"{self.path} counts what is {self.counts}; a counter of {wrong} would count it twice")
        if self.micro_stop_ns < 0 or self.pri_ns < 0 or self.capacity_per_h < 0:
            raise ConfigError(f"{self.path}: micro_stop, ideal_cycle and capacity_per_h must not be negative")


class Lane:
    """Facts and runs of one unit. `horizon_ns`: how far anything is known; nothing later has figures."""

    def __init__(self, unit: Unit, horizon_ns: int) -> None:
        self.unit = unit
        self.horizon_ns = max(horizon_ns, unit.since_ns)
        self.series: dict[int, Series] = {}
        self._inputs = [self._at(STATE + at) for at in range(len(unit.rule.inputs))]
        self._starts: Times = np.array([unit.since_ns])
        self._states: NDArray[np.int8] = np.array([State.UNKNOWN], np.int8)

    @property
    def nbytes(self) -> int:
        return self._starts.nbytes + self._states.nbytes + sum(series.nbytes for series in self.series.values())

    def insert(
        self, slot: int, time_ns: Times, value: Values, high: Ids, low: Ids, reasons: ReasonColumns
    ) -> list[Span]:
        """Facts of one slot come, in any order: the spans that may differ now."""
        self._at(slot).insert(time_ns, value, high, low)
        return self._touched(slot, np.sort(time_ns), reasons)

    def remove(self, slot: int, time_ns: int, high: int, low: int, reasons: ReasonColumns) -> list[Span]:
        """One fact goes: the spans that may differ now."""
        if not self._at(slot).remove(time_ns, high, low):
            return []
        return self._touched(slot, np.array([time_ns]), reasons)

    def advance(self, horizon_ns: int, reasons: ReasonColumns) -> list[Span]:
        """Time goes on, and what stands goes on: the spans that may differ now."""
        if horizon_ns <= self.horizon_ns:
            return []
        was_ns = self.horizon_ns
        before = self._run_at(was_ns, reasons)
        self.horizon_ns = horizon_ns
        after = self._run_at(was_ns, reasons)
        return [(was_ns if _same(before, after) else int(after.start_ns[0]), horizon_ns)]

    def runs(self, start_ns: int, end_ns: int, reasons: ReasonColumns) -> Runs:
        """The runs that touch [start, end), each with its whole length up to the horizon."""
        first = max(int(np.searchsorted(self._starts, start_ns, "right")) - 1, 0)
        last = int(np.searchsorted(self._starts, min(end_ns, self.horizon_ns), "left"))
        return self._judged(first, max(last, first + 1), reasons)

    def jobs_between(self, start_ns: int, end_ns: int) -> list[tuple[int, int, int]]:
        """Which job ran from when to when, as far as facts say: (job, start, end)."""
        orders = self._at(ORDER)
        ends = np.minimum(np.append(orders.time_ns[1:], ALWAYS_NS)[: len(orders)], self.horizon_ns)
        rows = zip(orders.value.tolist(), orders.time_ns.tolist(), ends.tolist(), strict=True)
        return [
            (int(job), start, end)
            for job, start, end in rows
            if job >= 0 and start < min(end, end_ns) and end > start_ns
        ]

    def _at(self, slot: int) -> Series:
        return self.series.setdefault(slot, Series())

    def _touched(self, slot: int, times: Times, reasons: ReasonColumns) -> list[Span]:
        series, spans = self._at(slot), list[Span]()
        if slot == REASON:
            for time_ns in times.tolist():
                run = self._run_at(time_ns, reasons)
                spans.append((int(run.start_ns[0]), int(run.end_ns[0])))
            return spans
        for first_ns, last_ns in _clusters(times):
            after_ns = series.after(last_ns)
            if slot < INPUTS_MAX:
                spans += self._spliced(first_ns, after_ns, reasons)
            elif slot in (ORDER, LEVEL):
                spans.append((first_ns, after_ns))
            else:
                spans.append((first_ns, last_ns + 1))
                if slot < AMOUNT and after_ns != ALWAYS_NS:
                    spans.append((after_ns, after_ns + 1))
        return spans

    def _spliced(self, start_ns: int, end_ns: int, reasons: ReasonColumns) -> list[Span]:
        """Runs anew over [start, end], where inputs changed; at `end` they are as they were."""
        start_ns = max(start_ns, self.unit.since_ns)
        if end_ns <= start_ns:
            return []
        before, after = self._run_at(start_ns - 1, reasons), self._run_at(end_ns, reasons)
        times, states = timeline(self.unit.rule, self._inputs, start_ns, min(end_ns + 1, ALWAYS_NS))
        first = int(np.searchsorted(self._starts, start_ns, "left"))
        last = int(np.searchsorted(self._starts, end_ns, "right"))
        starts = np.concatenate([self._starts[:first], times, self._starts[last:]])
        states = np.concatenate([self._states[:first], states, self._states[last:]])
        keep = np.ones(len(starts), np.bool_)
        keep[1:] = states[1:] != states[:-1]
        self._starts, self._states = starts[keep], states[keep]
        now_before, now_after = self._run_at(start_ns - 1, reasons), self._run_at(end_ns, reasons)
        if not _same(before, now_before):
            start_ns = int(now_before.start_ns[0])
        if not _same(after, now_after):
            end_ns = int(max(after.end_ns[0], now_after.end_ns[0]))
        return [(start_ns, end_ns)]

    def _run_at(self, time_ns: int, reasons: ReasonColumns) -> Runs:
        at = max(int(np.searchsorted(self._starts, time_ns, "right")) - 1, 0)
        return self._judged(at, at + 1, reasons)

    def _judged(self, first: int, last: int, reasons: ReasonColumns) -> Runs:
        starts = self._starts[first:last]
        ends = np.append(self._starts[first + 1 : last + 1], ALWAYS_NS)[: last - first]
        ends = np.minimum(ends, np.maximum(self.horizon_ns, starts))
        given = self._at(REASON)
        reason = np.full(len(starts), -1, np.int32)
        if len(given):
            at = np.searchsorted(given.time_ns, ends, "left") - 1
            inside = (at >= 0) & (given.time_ns[np.maximum(at, 0)] >= starts)
            reason = np.where(inside, given.value[np.maximum(at, 0)], -1).astype(np.int32)
        return judged(starts, ends, self._states[first:last], reason, reasons, self.unit.micro_stop_ns)


def _same(one: Runs, other: Runs) -> bool:
    """Whether both say the same of the time that they share."""
    return bool(
        one.element[0] == other.element[0]
        and one.cause[0] == other.cause[0]
        and one.failure[0] == other.failure[0]
    )  # fmt: skip


def _clusters(times: Times) -> Iterator[Span]:
    """Sorted times in groups without a gap of an hour: the first and the last of each."""
    gaps = np.flatnonzero(np.diff(times) > HOUR_NS) + 1
    for part in np.split(times, gaps):
        yield int(part[0]), int(part[-1])
