"""Alarm conditions over whole batches. Pure: the same rules, batches and ticks give the same crossings.

take(batches) ─► usable samples × rules that watch them, by (rule, time) ─► scores ─┬─ no side changes: columns only
                                                                                    └─ one does: Walk ─► crossings
tick(now)     ─► rules whose delay or silence has run out ─────────────────────────────────► Walk ─► crossings

Time is event time: the source time of a sample, or the received time where the source's clock is wild. A tick is
our clock; a rule turns it into event time by the lag of its newest sample. What follows from that:

- A bad sample, and a NaN, says nothing: the last usable value holds. So STALE counts through them, nothing else
  starts or stops. Uncertain samples are usable.
- A sample older than the newest of its point that the rule has seen is late: it neither raises nor clears. `late` tells
  which stretches of the past that concerns.
- A sample that is newer than that, but older than a crossing which a tick has already made, counts from the crossing.
- A bad sample of a point that suppresses by design is one that is false: what cannot be known hides no alarm.
- Of one moment, a suppression begins before the conditions of that moment, and ends after them.
- Batches may be split anywhere. Samples of one `take` are first put in order of time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.alarms.crossing import Crossing, Row, Stretch, Walk, gone_ns
from headrace.compute.alarms.expressed import Expressed
from headrace.compute.alarms.rules import (
    DEVIATION,
    EQUALS,
    EXPRESSION,
    HIGH,
    LOW,
    MAIN_ROW,
    NEVER,
    NONE,
    RATE,
    REFERENCE_ROW,
    STALE,
    RuleTable,
    rule_of,
    shadow_of,
    with_shadows,
)
from headrace.model import quality as q
from headrace.model.alarms import AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS, SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS

_OF_ONE_VALUE: Final = frozenset({HIGH, LOW, EQUALS, EXPRESSION})
_FEW: Final = 16
"""Samples of a rule up to which a walk is quicker than a look at columns."""


class AlarmEngine:
    """Belongs to one caller at a time."""

    def __init__(self) -> None:
        self._table = RuleTable({}, {})
        self.expressed = Expressed({}, {})

    def configure(
        self,
        rules: Mapping[str, AlarmRule],
        handles: Mapping[str, int],
        active: Collection[str] = (),
        suppressed: Collection[str] = (),
    ) -> set[str]:
        """Rules in place of those before; each keeps what it knows. `active` and `suppressed` say which new ones begin
        so.

        Returns the names that are new or changed: a look at the newest sample of their points is due.
        """
        self.expressed = Expressed(rules, handles, self.expressed)
        table = RuleTable(with_shadows(rules), {**handles, **self.expressed.numbers})
        changed = table.remember(self._table, {*active, *map(shadow_of, suppressed)})
        self._table = table
        return {rule_of(row) for row in changed}

    def take(self, batches: Sequence[Batch], moments_ns: NDArray[np.int64] | None = None) -> list[Crossing]:
        """Crossings by event time, then by rule. Of the past, what looks at time is asked at `moments_ns`."""
        return self._take([*batches, *self.expressed.take(batches, moments_ns)])

    def late(self) -> dict[str, tuple[int, int]]:
        """Of rules whose samples came late since the last call: from the oldest of these to the newest that the rule
        knows. A silence is none afterwards either: nobody knew better then.
        """
        table, found = self._table, self.expressed.late()
        told = np.flatnonzero((table.late_ns != NEVER) & (table.code != STALE))
        first = {table.names[at]: int(table.late_ns[at]) for at in told.tolist()}
        table.late_ns[:] = NEVER
        stretches: dict[str, tuple[int, int]] = {}
        for row, first_ns in [*first.items(), *found.items()]:
            at, rule = table.index[row], rule_of(row)
            last_ns = max(int(table.seen_ns[at]), int(table.reference_seen_ns[at]), first_ns)
            known = stretches.get(rule, (first_ns, last_ns))
            stretches[rule] = min(known[0], first_ns), max(known[1], last_ns)
        return stretches

    def _take(self, batches: Sequence[Batch]) -> list[Crossing]:
        table = self._table
        rows = _rows(table, batches) if len(table) else None
        if rows is None:
            return []
        scores = _scores(table, rows)
        holds = scores > np.where(table.active[rows.rule], table.clear_at[rows.rule], table.raise_at[rows.rule])
        opposite = (holds != table.active[rows.rule]) & ~np.isnan(scores)
        busy = np.zeros(len(table), np.bool_)
        busy[rows.rule[opposite]] = True
        busy[rows.rule[_silences(table, rows)]] = True
        busy |= (table.since_ns != NONE) | (((table.code == STALE) | (table.code == RATE)) & table.active)
        starts = np.flatnonzero(rows.starts)
        is_busy = busy[rows.rule[starts]]
        crossings: list[Crossing] = []
        ends = np.append(starts[1:], len(rows.rule))
        for start, end in zip(starts[is_busy].tolist(), ends[is_busy].tolist(), strict=True):
            walk = Walk(table, int(rows.rule[start]))
            if end - start > _FEW and int(table.code[walk.at]) in _OF_ONE_VALUE:
                walk.leap(_stretch(table, rows, scores, slice(start, end)))
            else:
                walk.take(rows.some(start, end))
            crossings += walk.done()
        _remember_quiet(table, rows, ~busy[rows.rule])
        return _in_order(crossings)

    def tick(self, now_ns: int) -> list[Crossing]:
        """Delays run out and silences grow, also of points that send nothing. `now_ns` is our clock."""
        table = self._table
        if not len(table):
            return []
        made = self.expressed.tick(now_ns)
        if made:
            return _in_order([*self._take(made), *self._tick(now_ns)])
        return self._tick(now_ns)

    def _tick(self, now_ns: int) -> list[Crossing]:
        table = self._table
        event_ns = now_ns - table.lag_ns
        pending = table.since_ns != NONE
        due = pending & (np.where(pending, table.since_ns, 0) + table.delay_ns() <= event_ns)
        stale = table.code == STALE
        begun = table.alive_ns != NONE
        onset = np.where(begun, table.alive_ns, 0) + table.stale_ns
        silent = (
            stale & begun & np.where(table.active, pending & (onset < event_ns), onset + table.on_delay_ns < event_ns)
        )
        gone = (table.code == RATE) & table.active & ~pending & (table.gone_ns <= event_ns)
        crossings: list[Crossing] = []
        for at in np.flatnonzero(due | silent | gone | (stale & ~begun)).tolist():
            walk = Walk(table, at)
            walk.advance(int(event_ns[at]))
            crossings += walk.done()
        return _in_order(crossings)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Samples as rules see them, by (rule, time, arrival). Shape: (rows,) each; `starts` marks each rule's first."""

    rule: NDArray[np.intp]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    lag_ns: NDArray[np.int64]
    role: NDArray[np.int8]
    starts: NDArray[np.bool_]

    def some(self, start: int, end: int) -> list[Row]:
        columns = (self.time_ns, self.value, self.lag_ns, self.role)
        return [Row(*row) for row in zip(*(column[start:end].tolist() for column in columns), strict=True)]


def _rows(table: RuleTable, batches: Sequence[Batch]) -> _Rows | None:
    parts = [part for part in (_watched(table, batch) for batch in batches) if part is not None]
    if not parts:
        return None
    rule, time_ns, value, lag_ns, role = (
        columns[0] if len(columns) == 1 else np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    order = _by_rule_and_time(rule, time_ns)
    rule = rule[order]
    starts = np.append(True, rule[1:] != rule[:-1])
    return _Rows(rule, time_ns[order], value[order], lag_ns[order], role[order], starts)


def _by_rule_and_time(rule: NDArray[np.intp], time_ns: NDArray[np.int64]) -> NDArray[np.intp]:
    """The order of rows; one key instead of two where it fits, and samples come in long runs."""
    first_ns, last_ns = int(time_ns.min()), int(time_ns.max())
    bits = (last_ns - first_ns).bit_length()
    if bits + int(rule.max()).bit_length() < 63:
        return np.argsort((rule.astype(np.int64) << bits) | (time_ns - first_ns), kind="stable")
    return np.lexsort((time_ns, rule))


_Part = tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int8]]


def _watched(table: RuleTable, batch: Batch) -> _Part | None:
    """Usable samples that some rule watches, not late for it. Text has no number: only STALE sees it."""
    sample, rule, role = table.rows_of(batch.handles)
    if not len(sample):
        return None
    is_text = batch.kind is ValueKind.TEXT
    number = np.full(len(batch), np.nan) if is_text else batch.values.astype(np.float64)
    usable = ~q.is_bad(batch.quality) & (is_text | ~np.isnan(number))
    received = batch.received_ns
    wild = (batch.source_ns < SOURCE_TIME_MIN_NS) | (batch.source_ns > received + SOURCE_AHEAD_MAX_NS)
    time_ns = np.where(wild, received, batch.source_ns)
    seen_ns = np.where(role == REFERENCE_ROW, table.reference_seen_ns[rule], table.seen_ns[rule])
    by_design = table.by_design[rule]
    keep = usable[sample] | by_design
    if is_text:
        keep &= table.code[rule] == STALE
    late = keep & (time_ns[sample] < seen_ns)
    if late.any():
        np.minimum.at(table.late_ns, rule[late], time_ns[sample[late]])
        keep &= ~late
    sample, rule, role, by_design = sample[keep], rule[keep], role[keep], by_design[keep]
    if not len(sample):
        return None
    value = number[sample]
    value[by_design & ~usable[sample]] = 0.0
    return rule, time_ns[sample], value, (received - time_ns)[sample], role


def _scores(table: RuleTable, rows: _Rows) -> NDArray[np.float64]:
    """What is compared with the limits; NaN where there is nothing to compare. Shape: (rows,)."""
    code = table.code[rows.rule]
    scores = table.sign[rows.rule] * rows.value
    equals = code == EQUALS
    scores[equals] = rows.value[equals] == table.limit[rows.rule[equals]]
    scores[code == STALE] = np.nan
    rate = np.flatnonzero(code == RATE)
    if len(rate):
        before_ns, before = _before(table, rows, rate)
        known = (before_ns != NONE) & (rows.time_ns[rate] > before_ns)
        elapsed_ns = np.where(known, rows.time_ns[rate] - np.where(known, before_ns, 0), 1)
        with np.errstate(invalid="ignore", over="ignore"):
            scores[rate] = np.where(known, np.abs(rows.value[rate] - before) / (elapsed_ns / SECOND_NS), np.nan)
    deviation = np.flatnonzero(code == DEVIATION)
    if len(deviation):
        with np.errstate(invalid="ignore", over="ignore"):
            scores[deviation] = _distances(table, rows)[deviation]
    return scores


def _before(table: RuleTable, rows: _Rows, at: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Time and value of the sample before each of these rows: in the batch, or as remembered."""
    first, rule = rows.starts[at], rows.rule[at]
    before_ns = np.where(first, table.seen_ns[rule], rows.time_ns[at - 1])
    return before_ns, np.where(first, table.value[rule], rows.value[at - 1])


def _distances(table: RuleTable, rows: _Rows) -> NDArray[np.float64]:
    """|value − reference| at the last row of each moment, NaN at others and where one of both is not known yet."""
    order = np.arange(len(rows.rule))
    start = np.maximum.accumulate(np.where(rows.starts, order, 0))
    newest = []
    for role, held in ((MAIN_ROW, table.value), (REFERENCE_ROW, table.reference_value)):
        last = np.maximum.accumulate(np.where(rows.role == role, order, -1))
        newest.append(np.where(last >= start, rows.value[last], held[rows.rule]))
    same_moment = (rows.time_ns[1:] == rows.time_ns[:-1]) & ~rows.starts[1:]
    last_of_moment = np.append(~same_moment, True)
    return np.where(last_of_moment, np.abs(newest[0] - newest[1]), np.nan)


def _silences(table: RuleTable, rows: _Rows) -> NDArray[np.bool_]:
    """Rows of STALE rules that end a silence long enough to raise."""
    silences = np.zeros(len(rows.rule), np.bool_)
    at = np.flatnonzero(table.code[rows.rule] == STALE)
    if len(at):
        rule = rows.rule[at]
        before_ns = _before(table, rows, at)[0]
        known = before_ns != NONE
        since = np.where(known, before_ns, rows.time_ns[at])
        silences[at] = rows.time_ns[at] - since > table.stale_ns[rule] + table.on_delay_ns[rule]
    return silences


def _stretch(table: RuleTable, rows: _Rows, scores: NDArray[np.float64], part: slice) -> Stretch:
    rule, score = int(rows.rule[part.start]), scores[part]
    return Stretch(
        rows.time_ns[part], rows.value[part], rows.lag_ns[part],
        score > table.raise_at[rule], ~(score > table.clear_at[rule]),
    )  # fmt: skip


def _remember_quiet(table: RuleTable, rows: _Rows, quiet: NDArray[np.bool_]) -> None:
    """What rules keep of samples that changed nothing: the last of each column."""
    for role in (MAIN_ROW, REFERENCE_ROW):
        at = np.flatnonzero(quiet & (rows.role == role))
        if not len(at):
            continue
        if role == MAIN_ROW:
            _remember_rates(table, rows, at)
            last = _last_of_each(rows.rule[at])
            table.value[rows.rule[at[last]]] = rows.value[at[last]]
            table.seen_ns[rows.rule[at[last]]] = rows.time_ns[at[last]]
            table.alive_ns[rows.rule[at[last]]] = rows.time_ns[at[last]]
            table.lag_ns[rows.rule[at[last]]] = rows.lag_ns[at[last]]
        else:
            last = _last_of_each(rows.rule[at])
            table.reference_value[rows.rule[at[last]]] = rows.value[at[last]]
            table.reference_seen_ns[rows.rule[at[last]]] = rows.time_ns[at[last]]
    at = np.flatnonzero(quiet)
    if len(at):
        last = at[_last_of_each(rows.rule[at])]
        rule = rows.rule[last]
        table.at_ns[rule] = np.maximum(table.at_ns[rule], rows.time_ns[last])


def _remember_rates(table: RuleTable, rows: _Rows, at: NDArray[np.intp]) -> None:
    """For active RATE rules: when the last change will have become slow, should nothing follow."""
    rate = at[(table.code[rows.rule[at]] == RATE) & table.active[rows.rule[at]]]
    if not len(rate):
        return
    before_ns, before = _before(table, rows, rate)
    known = (before_ns != NONE) & (rows.time_ns[rate] > before_ns)
    rate, before = rate[known], before[known]
    if not len(rate):
        return
    last = _last_of_each(rows.rule[rate])
    for row, value in zip(rate[last].tolist(), before[last].tolist(), strict=True):
        rule = int(rows.rule[row])
        table.gone_ns[rule] = gone_ns(
            int(rows.time_ns[row]), abs(float(rows.value[row]) - value), float(table.clear_at[rule])
        )


def _last_of_each(rule: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of rows sorted by rule: the index of each rule's last."""
    return np.flatnonzero(np.append(rule[1:] != rule[:-1], True))


def _in_order(crossings: list[Crossing]) -> list[Crossing]:
    """By time; a rule's own crossings are in order of time already, and stay so."""
    return sorted(_without_blinks(crossings), key=lambda crossing: (crossing.time_ns, _turn(crossing), crossing.rule))


def _without_blinks(crossings: list[Crossing]) -> list[Crossing]:
    """A suppression that ends and begins within one moment has not ended: of such, at most the last is left."""
    last: dict[tuple[str, int], int] = {}
    gone: set[int] = set()
    for at, crossing in enumerate(crossings):
        if not crossing.by_design:
            continue
        before = last.pop((crossing.rule, crossing.time_ns), None)
        if before is None:
            last[crossing.rule, crossing.time_ns] = at
        else:
            gone |= {before, at}
    return [crossing for at, crossing in enumerate(crossings) if at not in gone] if gone else crossings


def _turn(crossing: Crossing) -> int:
    return (-1 if crossing.active else 1) if crossing.by_design else 0
