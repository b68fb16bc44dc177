"""One rule walks through its samples, one by one: the plain meaning of every condition. Used where something happens.

sample at t ─► what was pending and is due by now crosses first ─► measure ─► opposite of `active`? ─► pending since t
                                                                                 └─ no ─► nothing is pending

A crossing is dated when its delay ran out, not when we noticed. Between two samples the value is the last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.compute.alarms.rules import (
    DEVIATION,
    EQUALS,
    EXPRESSION,
    MAIN_ROW,
    NEVER,
    NONE,
    RATE,
    STALE,
    RuleTable,
    rule_of,
)
from headrace.model.time import SECOND_NS


@dataclass(frozen=True, slots=True)
class Crossing:
    """A condition began (`active`) or ended. `value` is what the rule measures: the point's value for HIGH, LOW and
    EQUALS, units per second for RATE, the distance for DEVIATION, None for STALE and EXPRESSION.

    With `by_design` it is the rule's suppression that began or ended, not its condition.
    """

    rule: str
    active: bool
    time_ns: int
    value: float | None
    by_design: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A sample as one rule sees it. `time_ns` is its event time."""

    time_ns: int
    value: float
    lag_ns: int
    role: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples of a condition that looks at one value, none NaN, by time. Shape: (samples,) each.

    `up`: it would raise an alarm that is not there; `down`: it would clear one that is.
    """

    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    lag_ns: NDArray[np.int64]
    up: NDArray[np.bool_]
    down: NDArray[np.bool_]


class _Turns:
    """Where something that is true or not begins and ends to be so."""

    def __init__(self, holds: NDArray[np.bool_]) -> None:
        self._holds, self._count = np.flatnonzero(holds), len(holds)
        self._rests: NDArray[np.intp] | None = None
        self._mask = holds

    def begins(self, at: int) -> int:
        """The first place from `at` on where it is true; one behind the last where there is none."""
        place = int(np.searchsorted(self._holds, at))
        return int(self._holds[place]) if place < len(self._holds) else self._count

    def ends(self, at: int) -> int:
        """The first place from `at` on where it is not."""
        if self._rests is None:
            self._rests = np.flatnonzero(~self._mask)
        place = int(np.searchsorted(self._rests, at))
        return int(self._rests[place]) if place < len(self._rests) else self._count


class Walk:
    """The state of rule number `at`, taken out of the table; `done` puts it back."""

    def __init__(self, table: RuleTable, at: int) -> None:
        self._table, self.at = table, at
        self._code = int(table.code[at])
        self._on_ns, self._off_ns = int(table.on_delay_ns[at]), int(table.off_delay_ns[at])
        self._stale_ns = int(table.stale_ns[at])
        self._active = bool(table.active[at])
        self._since = int(table.since_ns[at])
        self._moved = int(table.moved_ns[at])
        self._at_ns = int(table.at_ns[at])
        self._seen, self._value = int(table.seen_ns[at]), float(table.value[at])
        self._reference_seen = int(table.reference_seen_ns[at])
        self._reference = float(table.reference_value[at])
        self._lag = int(table.lag_ns[at])
        self._alive = int(table.alive_ns[at])
        self._gone = int(table.gone_ns[at])
        self._measured = float(table.measured[at])
        self.crossings: list[Crossing] = []

    def take(self, rows: Sequence[Row]) -> None:
        """Usable samples that are not late, by time."""
        for at, row in enumerate(rows):
            if self._code == STALE:
                self._take_stale(row)
            elif self._code == DEVIATION:
                last_of_moment = at + 1 == len(rows) or rows[at + 1].time_ns != row.time_ns
                self._take_deviation(row, last_of_moment)
            elif self._code == RATE:
                self._take_rate(row)
            else:
                self._keep(row)
                self._evaluate(row.time_ns, row.value)

    def leap(self, rows: Stretch) -> None:
        """`take` for conditions that look at one value: from change to change, however many samples lie between."""
        times = np.maximum(rows.time_ns, max(self._at_ns, self._moved))
        turns = {False: _Turns(rows.up), True: _Turns(rows.down)}
        at, count = 0, len(times)
        while at < count:
            turn = turns[self._active]
            if self._since == NONE:
                at = turn.begins(at)
                if at < count:
                    self._since, self._measured = int(times[at]), float(rows.value[at])
                    self._settle(self._since)
                at += 1
                continue
            due = self._since + (self._off_ns if self._active else self._on_ns)
            over, ripe = turn.ends(at), at + int(np.searchsorted(times[at:], due))
            if ripe <= over and ripe < count:
                self._cross(due, float(rows.value[ripe - 1]) if ripe > at else self._measured)
                at = ripe
            elif over < count:
                self._since, at = NONE, over + 1
            else:
                break
        self._at_ns, self._measured = int(times[-1]), float(rows.value[-1])
        self._seen, self._value, self._lag = int(rows.time_ns[-1]), float(rows.value[-1]), int(rows.lag_ns[-1])

    def advance(self, event_ns: int) -> None:
        """Time has passed without a sample."""
        if self._code == STALE:
            if self._alive == NONE:
                self._alive = event_ns
            self._settle_stale(event_ns)
            return
        if self._code == RATE:
            self._slow_down(event_ns)
        self._settle(event_ns)

    def done(self) -> list[Crossing]:
        table, at = self._table, self.at
        table.active[at] = self._active
        table.since_ns[at] = self._since
        table.moved_ns[at] = self._moved
        table.at_ns[at] = self._at_ns
        table.seen_ns[at], table.value[at] = self._seen, self._value
        table.reference_seen_ns[at], table.reference_value[at] = self._reference_seen, self._reference
        table.lag_ns[at] = self._lag
        table.alive_ns[at] = self._alive
        table.gone_ns[at] = self._gone
        table.measured[at] = self._measured
        return self.crossings

    def _keep(self, row: Row) -> None:
        self._seen, self._value, self._lag = row.time_ns, row.value, row.lag_ns

    def _evaluate(self, time_ns: int, measure: float) -> None:
        now = max(time_ns, self._at_ns, self._moved)
        self._at_ns = now
        self._settle(now)
        if math.isnan(measure):
            return
        self._measured = measure
        opposite = self._holds(measure) != self._active
        if not opposite:
            self._since = NONE
        elif self._since == NONE:
            self._since = now
        self._settle(now)

    def _holds(self, measure: float) -> bool:
        table, at = self._table, self.at
        if self._code == EXPRESSION:
            return measure > 0.5
        if self._code == EQUALS:
            return measure == float(table.limit[at])
        threshold = table.clear_at[at] if self._active else table.raise_at[at]
        return bool(table.sign[at] * measure > threshold)

    def _settle(self, until_ns: int) -> None:
        if self._since == NONE:
            return
        due = self._since + (self._off_ns if self._active else self._on_ns)
        if due <= until_ns:
            self._cross(due, self._measured)

    def _cross(self, time_ns: int, value: float | None) -> None:
        self._active = not self._active
        self._moved, self._since = time_ns, NONE
        by_design = bool(self._table.by_design[self.at])
        name = self._table.names[self.at]
        told = (rule_of(name), None) if by_design else (name, None if self._code == EXPRESSION else value)
        self.crossings.append(Crossing(told[0], self._active, time_ns, told[1], by_design))

    def _take_rate(self, row: Row) -> None:
        """|change| per second between neighbours; two samples of one time have no rate, and the later one counts."""
        before_ns, before = self._seen, self._value
        self._slow_down(row.time_ns)
        self._keep(row)
        if before_ns == NONE or row.time_ns == before_ns:
            return
        change = abs(row.value - before)
        self._gone = gone_ns(row.time_ns, change, float(self._table.clear_at[self.at]))
        self._evaluate(row.time_ns, change / ((row.time_ns - before_ns) / SECOND_NS))

    def _slow_down(self, until_ns: int) -> None:
        """The last change, spread over the time since, has become slow, whether a tick or a sample finds that out."""
        if self._active and self._since == NONE and self._gone <= until_ns:
            self._since = max(self._gone, self._at_ns, self._moved)
            self._measured = 0.0

    def _take_deviation(self, row: Row, last_of_moment: bool) -> None:
        if row.role == MAIN_ROW:
            self._keep(row)
        else:
            self._reference_seen, self._reference = row.time_ns, row.value
        if last_of_moment:  # both points may move at one moment; their distance in between is nobody's
            self._evaluate(row.time_ns, abs(self._value - self._reference))

    def _take_stale(self, row: Row) -> None:
        if self._seen != NONE:
            self._settle_stale(row.time_ns)
        self._keep(row)
        self._alive = row.time_ns
        now = max(row.time_ns, self._moved)
        if self._active and self._since == NONE:
            self._since = now
        self._settle_stale(now)

    def _settle_stale(self, until_ns: int) -> None:
        onset = self._alive + self._stale_ns
        if self._active and self._since != NONE:
            due = self._since + self._off_ns
            if onset < min(due, until_ns):
                self._since = NONE  # silent again before it could clear
                return
            if due > until_ns:
                return
            self._cross(due, None)
        if not self._active and onset + self._on_ns < until_ns:
            self._cross(onset + self._on_ns, None)


def gone_ns(newest_ns: int, change: float, threshold: float) -> int:
    """When the last change, which was there at `newest_ns`, has become slower than `threshold` per second, with nothing
    after it: as much later as it may last at the threshold. A device that samples steadily, however rarely, and changes
    faster than that has told its next sample by then; so its alarm stands and does not come and go.
    """
    if math.isnan(change):
        return NEVER
    if threshold <= 0:
        return newest_ns if change == 0 else NEVER
    return newest_ns + int(min(change / threshold * SECOND_NS, float(NEVER // 2)))
