"""Whatever comes in whatever order gives the same cells, and they are what the definitions say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.apps.operations.plant import HOURS, JOBS, REASONS, T0, S, Story, ledger, oracle
from tests.properties import examples

from headrace.apps.operations.calendar import Calendar, Timetable
from headrace.apps.operations.cells import Times
from headrace.apps.operations.elements import Element, Quantity
from headrace.apps.operations.kpis import BY_CODE, figure
from headrace.apps.operations.lane import AMOUNT, COUNTER, LEVEL, ORDER, REASON, STATE, Unit
from headrace.apps.operations.ledger import VOID, Facts, Ledger
from headrace.apps.operations.orders import Job
from headrace.apps.operations.states import MICRO, State, cause_of_state
from headrace.apps.operations.sums import Selection, order_execution_ns, summed, symbols
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS as H

END_S = HOURS * 3600
Row = tuple[int, int, int, float, int, int, int]
"""Unit, slot, second, value, number, recorded, number of what it replaces (0: nothing)."""
SECONDS = st.integers(0, END_S - 1) | st.integers(3_540, 3_660) | st.integers(10_740, 10_860)
STORIES = st.builds(
    Story,
    st.dictionaries(SECONDS, st.integers(0, len(State) - 1), max_size=25),
    st.dictionaries(SECONDS, st.integers(-1, len(JOBS) - 1), max_size=6),
    st.dictionaries(SECONDS, st.integers(-1, len(REASONS.all) - 1), max_size=8),
    st.dictionaries(SECONDS, st.integers(0, 99), max_size=12),
    st.lists(
        st.tuples(SECONDS, st.sampled_from([Quantity.SQ, Quantity.RQ, Quantity.CE]), st.integers(0, 9)), max_size=8
    ),
)


def rows_of(story: Story, unit: int) -> list[tuple[int, int, int, float]]:
    rows = [(unit, STATE, second, float(state)) for second, state in story.states.items()]
    rows += [(unit, ORDER, second, float(job)) for second, job in story.orders.items()]
    rows += [(unit, REASON, second, float(reason)) for second, reason in story.reasons.items()]
    if unit == 0:
        rows += [(unit, COUNTER, second, float(count)) for second, count in story.counts.items()]
    return rows + [(unit, AMOUNT + kind, second, float(value)) for second, kind, value in story.amounts]


def facts_of(rows: list[Row]) -> Facts:
    columns = np.array(rows, np.float64).reshape(-1, 7)
    unit, slot, second, value, number, recorded, replaces = columns.T
    ids = np.where(replaces > 0, 7, 0).astype(np.uint64), replaces.astype(np.uint64)
    recorded_ns, times = (T0 + one.astype(np.int64) * S for one in (recorded, second))
    slots = slot.astype(np.int16)
    return Facts.of(unit.astype(np.int32), slots, times, value, 7, number.astype(np.uint64), recorded_ns, ids)


def cells(book: Ledger) -> list[list[list[float]]]:
    return [[column.tolist() for column in table.columns] for table in [*book.times, *book.counts]]


def by_key(keys: list[Any], values: Any) -> dict[tuple[object, ...], float]:
    return dict(zip(zip(*(key.tolist() for key in keys), strict=True), values.tolist(), strict=True))


def at_once(rows: list[Row]) -> Ledger:
    book = ledger(T0 + END_S * S)
    book.add(facts_of(rows), T0)
    return book


@settings(max_examples=examples(100))
@given(STORIES, STORIES)
def test_cells_are_what_the_definitions_say(first: Story, second: Story) -> None:
    first.counts = first.counts or {}
    second.counts = {}
    given_rows = [*rows_of(first, 0), *rows_of(second, 1)]
    book = at_once([(*row, at + 1, 0, 0) for at, row in enumerate(given_rows)])
    for unit, story in enumerate((first, second)):
        times, counts = oracle(story, book.units[unit].counts, END_S)
        *keys, ns, _, _ = book.times[unit].columns
        assert by_key(keys, ns / S) == dict(times)
        *keys, value = book.counts[unit].columns
        found = by_key(keys, value)
        assert {key: v for key, v in found.items() if v} == pytest.approx({k: v for k, v in counts.items() if v})


@settings(max_examples=examples(400))
@given(STORIES, STORIES, st.data())
def test_late_duplicate_and_out_of_order_facts_and_corrections_give_what_a_recomputation_gives(
    first: Story, second: Story, data: st.DataObject
) -> None:
    rows: list[Row] = [(*row, at + 1, 0, 0) for at, row in enumerate([*rows_of(first, 0), *rows_of(second, 1)])]
    for _ in range(data.draw(st.integers(0, 6))):
        if rows:
            wrong = data.draw(st.sampled_from(rows))
            slot = data.draw(st.sampled_from([wrong[1], VOID])) if wrong[1] != VOID else VOID
            moved = data.draw(st.integers(0, END_S - 1))
            rows.append((wrong[0], slot, moved, wrong[3], len(rows) + 1, data.draw(st.integers(0, 3)), wrong[4]))
    told = data.draw(st.permutations(rows + rows[::3]))
    whole = at_once(rows)
    book, position, horizon_s = ledger(T0), 0, 0
    while position < len(told) or horizon_s < END_S:
        size = data.draw(st.integers(1, 12))
        horizon_s = min(horizon_s + data.draw(st.integers(0, 9_000)), END_S) if position < len(told) else END_S
        if data.draw(st.booleans()):
            book.advance(T0 + horizon_s * S)
        also_ns = T0 + horizon_s * S if data.draw(st.booleans()) else 0
        book.add(facts_of(told[position : position + size]), T0 + horizon_s * S, also_ns)
        book.close(T0 + data.draw(st.integers(0, END_S)) * S)
        position += size
    book.advance(T0 + END_S * S)
    assert cells(book) == cells(whole)
    assert book.tally["taken"] == len(rows)


# --- by hand ----------------------------------------------------------------------------------------------------------


def told(book: Ledger, element: Element) -> int:
    """Seconds of an element at the first unit."""
    times = Times(*book.times[0].columns)
    return int(times.ns[times.element == element].sum()) // S


def one(second: int, state: State, number: int, **more: Any) -> Facts:
    return Facts.of(0, STATE, T0 + second * S, float(state), 7, number, **more)


def test_a_closed_hour_keeps_what_it_said_first_and_when_that_changed() -> None:
    book = ledger(T0 + 4 * H)
    book.add(one(2 * 3600, State.PRODUCING, 1), T0 + 4 * H)
    book.close(T0 + 4 * H)
    was = summed(book, Selection([0], T0 // H, T0 // H + 4))
    assert was.stated is None and was.restated_ns is None
    book.add(one(2 * 3600 + 1800, State.FAULT, 2), T0 + 5 * H)
    book.add(one(2 * 3600 + 2400, State.PRODUCING, 3), T0 + 6 * H)
    now = summed(book, Selection([0], T0 // H, T0 // H + 4))
    assert now.restated_ns == T0 + 6 * H
    assert now.stated is not None and now.stated.ns == was.now.ns
    assert was.now.ns[Element.APT] - now.now.ns[Element.APT] == 600 * S
    before = summed(book, Selection([0], T0 // H, T0 // H + 2))
    assert before.stated is None, "hours that did not change say what they said"


def test_a_micro_stop_becomes_a_stop_when_it_lasts_and_the_hour_before_with_it() -> None:
    book = ledger(T0 + 3 * H)
    book.add(one(0, State.PRODUCING, 1), T0)
    book.add(one(3 * 3600 - 30, State.STOPPED, 2), T0)
    lane = book.lanes[0]
    assert lane.runs(T0, T0 + 3 * H, REASONS.columns).cause.tolist()[-1] == MICRO
    book.advance(T0 + 3 * H + 90 * S)
    times = Times(*book.times[0].columns)
    stopped = times.cause == cause_of_state(State.STOPPED)
    assert times.hour[stopped].tolist() == [T0 // H + 2, T0 // H + 3] and not np.any(times.cause == MICRO)


def test_a_late_fact_cuts_a_stop_and_what_is_left_of_it_in_the_next_hour_becomes_a_micro_stop() -> None:
    book = ledger(T0 + 8 * H)
    book.add(one(3 * 3600 - 40, State.STOPPED, 1), T0)
    book.add(one(3 * 3600 - 5, State.STOPPED, 2), T0)
    book.add(one(3 * 3600 + 50, State.PRODUCING, 3), T0)  # a stop of 90 s, over the hour
    book.add(one(3 * 3600 - 20, State.PRODUCING, 4), T0)  # it ended after 20 s; what followed lasted 55 s
    times = Times(*book.times[0].columns)
    assert times.hour[times.cause == MICRO].tolist() == [T0 // H + 2, T0 // H + 3]
    assert not np.any(times.cause == cause_of_state(State.STOPPED))


def test_of_two_corrections_the_later_recorded_counts_and_a_correction_may_come_first() -> None:
    book = ledger(T0 + 8 * H)
    fix = {"replaces": (7, 1)}
    book.add(one(7200, State.SETUP, 2, recorded_ns=T0 + 2, **fix), T0)
    book.add(one(7200, State.PRODUCING, 3, recorded_ns=T0 + 1, **fix), T0)
    assert told(book, Element.AUST) > 0 and told(book, Element.APT) == 0
    book.add(one(7200, State.FAULT, 1), T0)
    assert told(book, Element.APT) == told(book, Element.ADET) == 0
    book.add(Facts.of(0, VOID, T0, 0.0, 7, 4, T0, (7, 2)), T0)
    assert told(book, Element.AUST) == 0, "what replaced is taken back, and the first stays replaced"
    assert book.tally["corrections"] == 3


def test_a_job_that_is_corrected_is_worked_out_anew() -> None:
    book = ledger(T0 + 4 * H)
    book.add(Facts.of(0, ORDER, T0, 0.0, 7, 1), T0)
    book.add(Facts.of(0, COUNTER, T0 + np.array([1, 2]) * H, np.array([0.0, 30.0]), 7, np.array([2, 3])), T0)
    assert summed(book, Selection([0], T0 // H, T0 // H + 4)).now.quantities[Quantity.IDEAL] == 30 * 20 * S
    book.set_job(0, Job("A", "10", pri_ns=10 * S), T0)
    assert summed(book, Selection([0], T0 // H, T0 // H + 4)).now.quantities[Quantity.IDEAL] == 30 * 10 * S


def test_levels_capacity_and_maintenance_reach_their_kpis() -> None:
    unit = Unit("store", Timetable(Calendar("UTC")), T0, capacity_per_h=120)
    book = Ledger([unit], JOBS, REASONS, T0 + 8 * H)
    hours = T0 + np.array([0, 6, 3, 1, 2, 5, 1, 5]) * H
    slots = [LEVEL, LEVEL, AMOUNT + Quantity.TH, STATE, STATE, STATE, REASON, REASON]
    # level 100 for 6 h, then 300 for 2 h: 150 on average; a fault from 1 h to 2 h, and planned care from 5 h to the end
    values = [100.0, 300, 1200, State.FAULT, State.PRODUCING, State.STOPPED, 0, 2]
    book.add(Facts.of(0, slots, hours, values, 7, np.arange(8)), T0)
    told = symbols(summed(book, Selection([0], T0 // H, T0 // H + 8)).now)
    assert figure(BY_CODE["inventory-turns"], told).value == 8
    assert told["PBT"] == 5 and told["PDOT"] == 3 and told["EPC"] == 600
    assert figure(BY_CODE["corrective-maintenance-ratio"], told).value == 1 / (1 + 3)
    assert (told["FE"], told["TTR"], told["TTF"], told["TBF"]) == (1, 1, 3, 4)


def test_an_order_runs_from_its_first_begin_to_its_last_end_over_all_its_units() -> None:
    book = ledger(T0 + 8 * H)
    book.add(Facts.of([0, 0, 1, 1], ORDER, T0 + np.array([0, 1, 2, 3]) * H, [0, -1, 1, -1], 7, np.arange(4)), T0)
    both = frozenset({0, 1})
    assert order_execution_ns(book, both, T0, T0 + 8 * H) == 3 * H
    assert order_execution_ns(book, both, T0, T0 + 8 * H, [1]) == H
    assert order_execution_ns(book, both, T0 + H // 2, T0 + 5 * H // 2) == 2 * H


@pytest.mark.parametrize(
    ("unit", "slot", "value", "said"),
    [
        (2, STATE, 1.0, "name unit 2"),
        (0, 20, 1.0, "no kind of fact"),
        (0, STATE + 1, 1.0, "1 state inputs"),
        (1, COUNTER, 1.0, "0 counters"),
        (0, AMOUNT + Quantity.GQ, 1.0, "GQ follows"),
        (0, ORDER, 3.0, "a job that there is not"),
        (0, REASON, float("nan"), "a reason that there is not"),
        (0, COUNTER, float("inf"), "finite"),
    ],
)
def test_facts_that_make_no_sense_are_refused_and_nothing_of_them_is_kept(
    unit: int, slot: int, value: float, said: str
) -> None:
    book = ledger(T0 + H)
    with pytest.raises(DataError, match=said):
        book.add(Facts.of([0, unit], [STATE, slot], [T0, T0], [1.0, value], 7, [1, 2]), T0)
    assert book.tally["taken"] == 0 and told(book, Element.APT) == 0
