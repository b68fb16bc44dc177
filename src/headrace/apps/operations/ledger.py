"""The book of facts and the aggregates over it: whatever comes, in whatever order, gives the same cells.

    Facts ─► known? ─► what replaces what ─► lanes (runs) ─► spans that differ ─► their hours, evaluated anew ─► cells
              │                                                                        │
              └─ counted as duplicate                             an hour that was closed keeps what it said first

- A fact has an identity of 128 bits: that of its event, or its source and number. The same again is a duplicate.
- Nothing is ever changed: a correction is a fact of its own that names what it replaces. It may come before what it
  replaces, and be replaced in turn; of several that name the same, the one recorded last counts. A correction whose
  `slot` is VOID takes back, and puts nothing in its place.
- `close` says that figures up to a time have been told. When a closed hour changes after that, what it said is kept
  beside what it says, with the time of the change: figures say that they were restated, from what to what.

Why so: docs/decisions/0048-operations.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.cells import Counts, Table, Times, no_counts, no_times
from headrace.apps.operations.elements import GIVEN, Quantity
from headrace.apps.operations.evaluate import evaluate
from headrace.apps.operations.identities import Identities
from headrace.apps.operations.lane import AMOUNT, COUNTER, INPUTS_MAX, LEVEL, ORDER, REASON, Lane, Span, Unit
from headrace.apps.operations.orders import Job, JobColumns
from headrace.apps.operations.reasons import STANDARD, Reasons
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS

VOID: Final = -1
"""The slot of a correction that takes back."""
_TIME_MAX_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Facts:
    """Shape: (facts,) each. `slot` says of what kind: see `lane.py`. `replaces_high`, `replaces_low`: 0 and 0 for none.

    `recorded_ns`: when it was entered; of two corrections of the same fact the later counts.
    """

    unit: NDArray[np.int32]
    slot: NDArray[np.int16]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    recorded_ns: NDArray[np.int64]
    replaces_high: NDArray[np.uint64]
    replaces_low: NDArray[np.uint64]

    @classmethod
    def of(
        cls, unit: Any, slot: Any, time_ns: Any, value: Any, high: Any, low: Any, recorded_ns: Any = None,
        replaces: tuple[Any, Any] = (0, 0),
    ) -> Facts:  # fmt: skip
        """Scalars are spread over the length of `time_ns`; `recorded_ns` is the time where it is not given.

        Raises: DataError where lengths do not fit.
        """
        times = np.atleast_1d(np.asarray(time_ns, np.int64))
        recorded = times if recorded_ns is None else recorded_ns
        given = (unit, slot, times, value, high, low, recorded, *replaces)
        try:
            columns = [
                np.broadcast_to(np.asarray(one, dtype), times.shape) for one, dtype in zip(given, _FACTS, strict=True)
            ]
        except (ValueError, OverflowError, TypeError) as error:
            raise DataError(f"columns do not make facts: {error}") from None
        return cls(*columns)

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, at: Any) -> Facts:
        """Those that a mask, an index array or a slice selects."""
        return Facts(*(getattr(self, name)[at] for name in self.__slots__))


_FACTS: Final = (np.int32, np.int16, np.int64, np.float64, np.uint64, np.uint64, np.int64, np.uint64, np.uint64)


@dataclass(frozen=True, slots=True)
class Restated:
    """What a closed hour of a unit said when it was closed, and when that last changed."""

    at_ns: int
    times: Times
    counts: Counts


class Ledger:
    """Facts and cells of many units. `horizon_ns`: up to where there are figures; see `advance`."""

    def __init__(
        self, units: Sequence[Unit], jobs: Sequence[Job] = (), reasons: Reasons = STANDARD, horizon_ns: int = 0
    ) -> None:
        self.units = tuple(units)
        self.reasons = reasons
        self.horizon_ns, self.closed_ns = horizon_ns, -_TIME_MAX_NS
        self.tally: Counter[str] = Counter()
        self.lanes = [Lane(unit, horizon_ns) for unit in units]
        self.times = [Table(no_times()) for _ in units]
        self.counts = [Table(no_counts()) for _ in units]
        self.restated: list[dict[int, Restated]] = [{} for _ in units]
        self._jobs = list(jobs)
        self._job_columns = JobColumns.of(self._jobs)
        self._known = Identities()
        self._facts: list[NDArray[Any]] = [np.empty(64, dtype) for dtype in (np.int32, np.int16, np.int64)]
        self._winners: dict[tuple[int, int], tuple[int, int, int]] = {}
        for at, unit in enumerate(units):
            self._again(at, [(unit.since_ns, self.horizon_ns)], horizon_ns)

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(self._jobs)

    @property
    def nbytes(self) -> int:
        """What the facts and cells take."""
        tables = sum(table.nbytes for table in [*self.times, *self.counts])
        return (
            tables + self._known.nbytes + sum(lane.nbytes for lane in self.lanes) + sum(c.nbytes for c in self._facts)
        )

    def add(self, facts: Facts, now_ns: int, horizon_ns: int = 0) -> int:
        """Take facts in; how many were new. `now_ns`: when, for what is restated by them. `horizon_ns`: as `advance`,
        and cheaper than that before.

        Raises: DataError for a unit, slot or job that there is not; then nothing is taken.
        """
        self.check(facts)
        facts = self._new(facts)
        spans = self._advanced(horizon_ns)
        alive = self._corrected(facts, spans)
        # one lane and slot at a time, so that each is inserted and its runs are worked out once
        live = facts.take(alive & (facts.slot != VOID))
        order = np.lexsort((live.slot, live.unit))
        live = live.take(order)
        edges = np.flatnonzero((np.diff(live.unit) != 0) | (np.diff(live.slot) != 0)) + 1
        for part in np.split(np.arange(len(live)), edges):
            if len(part):
                at = slice(int(part[0]), int(part[-1]) + 1)
                unit, slot = int(live.unit[at.start]), int(live.slot[at.start])
                columns = live.time_ns[at], live.value[at], live.high[at], live.low[at]
                touched = self.lanes[unit].insert(slot, *columns, self.reasons.columns)
                spans.setdefault(unit, []).extend(touched)
        for unit, touched in spans.items():
            self._again(unit, touched, now_ns)
        return len(facts)

    def advance(self, horizon_ns: int) -> None:
        """Figures reach up to this time from now on: what stood last goes on until then. It never goes back."""
        for unit, spans in self._advanced(horizon_ns).items():
            self._again(unit, spans, horizon_ns)

    def close(self, until_ns: int) -> None:
        """Figures up to this time, as far as the horizon, are told; whole hours alone. It never goes back."""
        self.closed_ns = max(self.closed_ns, min(until_ns, self.horizon_ns) // HOUR_NS * HOUR_NS)

    def set_job(self, number: int, job: Job, now_ns: int) -> None:
        """A new job, or an old one corrected: figures of it are worked out anew. Raises: DataError for a gap."""
        if number == len(self._jobs):
            self._jobs.append(job)
            self._job_columns = JobColumns.of(self._jobs)
            return
        if not 0 <= number < len(self._jobs):
            raise DataError(f"job {number} would leave a gap; the next is {len(self._jobs)}")
        self._jobs[number] = job
        self._job_columns = JobColumns.of(self._jobs)
        for unit, lane in enumerate(self.lanes):
            ran = lane.jobs_between(lane.unit.since_ns, self.horizon_ns)
            self._again(unit, [(start, end) for one, start, end in ran if one == number], now_ns)

    def _advanced(self, horizon_ns: int) -> dict[int, list[Span]]:
        """By unit, what a later horizon touches."""
        if horizon_ns <= self.horizon_ns:
            return {}
        self.horizon_ns = horizon_ns
        return {unit: lane.advance(horizon_ns, self.reasons.columns) for unit, lane in enumerate(self.lanes)}

    def check(self, facts: Facts) -> None:
        """Raises: DataError for what `add` would refuse."""
        unit, slot = facts.unit, facts.slot
        if len(facts) and not (int(unit.min()) >= 0 and int(unit.max()) < len(self.units)):
            raise DataError(f"facts name unit {int(unit.max())}; there are {len(self.units)}, counted from 0")
        for one in np.unique(slot).tolist():
            if not self._is_slot(one):
                raise DataError(f"{one} is no kind of fact; see the slots of a lane")
        pairs = np.unique(np.stack([unit, slot.astype(np.int32)]), axis=1).T.tolist()
        for at, one in pairs:
            lane = self.units[at]
            if one < INPUTS_MAX and one >= len(lane.rule.inputs):
                raise DataError(f"{lane.path} has {len(lane.rule.inputs)} state inputs, facts are for number {one}")
            if COUNTER <= one < AMOUNT and one - COUNTER >= len(lane.counters):
                raise DataError(f"{lane.path} has {len(lane.counters)} counters, facts are for number {one - COUNTER}")
            derived = Quantity.GQ if lane.counts == "produced" else Quantity.PQ
            if one == AMOUNT + derived:
                raise DataError(f"{lane.path} counts what is {lane.counts}; {derived.name} follows, give none")
        if np.any(np.abs(facts.time_ns) >= _TIME_MAX_NS):
            raise DataError("facts are of times more than 146 years from 1970; check their clock")
        orders, why = facts.value[slot == ORDER], facts.value[slot == REASON]
        if np.any(~(orders < len(self._jobs)) | (orders < -1)):
            raise DataError(f"facts name a job that there is not; there are {len(self._jobs)}, counted from 0")
        if np.any(~(why < len(self.reasons.all)) | (why < -1)):
            raise DataError(f"facts name a reason that there is not; there are {len(self.reasons.all)}")
        numbers = facts.value[(slot >= LEVEL)]
        if not np.all(np.isfinite(numbers)):
            raise DataError("counts and amounts must be finite numbers; leave out what was not read")

    @staticmethod
    def _is_slot(slot: int) -> bool:
        amount = slot >= AMOUNT and slot - AMOUNT in {int(kind) for kind in GIVEN}
        return slot in (VOID, ORDER, REASON, LEVEL) or 0 <= slot < INPUTS_MAX or COUNTER <= slot < AMOUNT or amount

    def _new(self, facts: Facts) -> Facts:
        """Those that are not here yet, each once."""
        fresh = facts.take(self._known.find(facts.high, facts.low) < 0)
        order = np.lexsort((fresh.low, fresh.high))
        high, low = fresh.high[order], fresh.low[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        fresh = fresh.take(np.sort(order[first]))
        self.tally["taken"] += len(fresh)
        self.tally["duplicates"] += len(facts) - len(fresh)
        rows = self._known.add(fresh.high, fresh.low)
        total = len(self._known)
        if total > len(self._facts[0]):
            self._facts = [np.concatenate([column, np.empty(total, column.dtype)]) for column in self._facts]
        for column, new in zip(self._facts, (fresh.unit, fresh.slot, fresh.time_ns), strict=True):
            column[rows] = new
        return fresh

    def _corrected(self, facts: Facts, spans: dict[int, list[Span]]) -> NDArray[np.bool_]:
        """Settle what replaces what; whether each of `facts` counts. What no longer does leaves its lane."""
        naming = np.flatnonzero((facts.replaces_high != 0) | (facts.replaces_low != 0))
        gone: set[tuple[int, int]] = set()
        for at in naming.tolist():
            target = int(facts.replaces_high[at]), int(facts.replaces_low[at])
            new = int(facts.recorded_ns[at]), int(facts.high[at]), int(facts.low[at])
            old = self._winners.get(target)
            self._winners[target] = new if old is None else max(new, old)
            gone.add(target)
            if old is not None:
                gone.add(min(new, old)[1:])
            self.tally["corrections"] += 1
        if naming.size:
            self._leave(gone, spans)
        alive = np.ones(len(facts), np.bool_)
        if self._winners:
            lows = np.fromiter((low for _, low in self._winners), np.uint64, len(self._winners))
            for at in np.union1d(naming, np.flatnonzero(np.isin(facts.low, lows))).tolist():
                alive[at] = not self._replaced(facts, at)
        return alive

    def _replaced(self, facts: Facts, at: int) -> bool:
        own = int(facts.high[at]), int(facts.low[at])
        target = int(facts.replaces_high[at]), int(facts.replaces_low[at])
        beaten = target != (0, 0) and self._winners[target][1:] != own
        return beaten or own in self._winners

    def _leave(self, gone: set[tuple[int, int]], spans: dict[int, list[Span]]) -> None:
        for high, low in gone:
            row = int(self._known.find(np.array([high], np.uint64), np.array([low], np.uint64))[0])
            if row >= 0 and self._facts[1][row] != VOID:
                unit, slot, time_ns = (int(column[row]) for column in self._facts)
                touched = self.lanes[unit].remove(slot, time_ns, high, low, self.reasons.columns)
                spans.setdefault(unit, []).extend(touched)

    def _again(self, unit: int, spans: list[Span], now_ns: int) -> None:
        """Work out the hours that spans touch."""
        lane = self.lanes[unit]
        for first, last in _hours(spans, lane.unit.since_ns, lane.horizon_ns):
            times, counts = evaluate(lane, first, last, self._job_columns, self.reasons.columns)
            self.tally["hours"] += last - first
            if first * HOUR_NS < self.closed_ns:
                self._keep(unit, first, min(last, self.closed_ns // HOUR_NS), times, counts, now_ns)
            self.times[unit].replace(first, last, times)
            self.counts[unit].replace(first, last, counts)

    def _keep(self, unit: int, first: int, last: int, times: Times, counts: Counts, now_ns: int) -> None:
        """Before closed hours change, what they said is kept; the first time alone."""
        for hour in range(first, last):
            old = [*self.times[unit].hours(hour, hour + 1)], [*self.counts[unit].hours(hour, hour + 1)]
            new = [column[times.hour == hour] for column in times], [column[counts.hour == hour] for column in counts]
            if all(np.array_equal(one, other) for was, is_ in zip(old, new, strict=True)
                   for one, other in zip(was, is_, strict=True)):  # fmt: skip
                continue
            known = self.restated[unit].get(hour)
            said = (known.times, known.counts) if known else (Times(*old[0]), Counts(*old[1]))
            self.restated[unit][hour] = Restated(now_ns, *said)
            self.tally["restated"] += known is None


def _hours(spans: list[Span], since_ns: int, horizon_ns: int) -> list[tuple[int, int]]:
    """Spans as ranges of hours [first, last), merged."""
    found: list[tuple[int, int]] = []
    for start_ns, end_ns in sorted(spans):
        start_ns, end_ns = max(start_ns, since_ns), min(end_ns, horizon_ns)
        if end_ns <= start_ns:
            continue
        first, last = start_ns // HOUR_NS, -(-end_ns // HOUR_NS)
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found
