"""Exactly once over any series of connections, crashes and lanes that overtake each other; copies of a spool, too."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties import drawn_seed

from headrace.exchange.spool.ranges import Ranges
from headrace.exchange.spool.state import SPANS_MAX, Held, Plan, State

spans = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=8)


@given(spans, st.integers(0, 61), st.integers(0, 61))
def test_ranges_are_the_sets_that_they_stand_for(given_spans: list[tuple[int, int]], number: int, other: int) -> None:
    ranges = Ranges(given_spans)
    members = {n for first, last in given_spans for n in range(first, last + 1)}

    def of(ranges: Ranges) -> set[int]:
        listed = [n for first, last in ranges for n in range(first, last + 1)]
        assert len(listed) == len(set(listed)) == ranges.numbers
        return set(listed)

    assert of(ranges) == members
    assert of(ranges.after(number)) == {n for n in members if n > number}
    assert of(ranges.within(number, other)) == {n for n in members if number <= n <= other}
    assert of(ranges.joined(number, other)) == members | set(range(number, other + 1))
    assert ranges.next_from(number) == min((n for n in members if n >= number), default=None)
    assert ranges.touches(number, other) == any(number <= n <= other for n in members)
    assert all(b + 1 < c for (_, b), (c, _) in zip(list(ranges), list(ranges)[1:], strict=False))


class Hub:
    """What the store does with marks: a frame of an epoch that is not the newest, or that was taken, is no news."""

    def __init__(self) -> None:
        self.held = Held()
        self.taken: list[int] = []

    def begin(self, plan: Plan) -> bool:
        if plan.epoch <= self.held.epoch:
            return False
        self.held = Held(plan.epoch, 0, plan.live_from - 1, plan.urgent_from - 1)
        return True

    def take(self, epoch: int, lane: str, sequence: int) -> None:
        if epoch != self.held.epoch or sequence <= getattr(self.held, lane):
            return
        self.taken.append(sequence)
        self.held = Held(**{**{n: getattr(self.held, n) for n in Held.__slots__}, lane: sequence})


def run(seed: int) -> None:
    """An edge that is cut off and killed at any step, between any two of which more is appended."""
    rng = random.Random(seed)
    hub, state, last, first = Hub(), State(), 0, 1
    for _ in range(rng.randrange(3, 30)):
        last += rng.randrange(4)
        after = state.next(hub.held, (first, last), (1, 0), rng)
        if rng.random() < 0.1:
            continue  # killed before the plan was durable
        state = after
        plan = state.plans[-1]
        if rng.random() < 0.15:
            continue  # … or before the hub heard of it
        assert hub.begin(plan)
        if rng.random() < 0.15:
            continue  # … or before its answer came
        backlog = [n for a, b in plan.backlog for n in range(a, b + 1)]
        assert all(n < plan.live_from for n in backlog)
        live = plan.live_from
        for _ in range(rng.randrange(12)):
            last += rng.randrange(3)
            if backlog and rng.random() < 0.5:
                hub.take(plan.epoch, "backlog", backlog.pop(0))
            elif live <= last:
                hub.take(plan.epoch, "live", live)
                live += 1
        pending = plan.pending(hub.held, last).within(first, last)
        while first <= last and rng.random() < 0.5 and not pending.touches(first, first):
            first += 1  # trimmed
    plan = state.next(hub.held, (first, last), (1, 0), rng).plans[-1]
    assert hub.begin(plan)
    for a, b in plan.backlog:
        for n in range(a, b + 1):
            hub.take(plan.epoch, "backlog", n)
    assert sorted(hub.taken) == list(range(1, last + 1)), f"seed {seed}"


@pytest.mark.seeded
def test_each_frame_is_taken_once_whatever_happens() -> None:
    seed = drawn_seed()
    for number in range(600):
        run(seed + number)


def test_a_hub_that_knows_nothing_gets_everything() -> None:
    state = State().next(Held(), (5, 90), (1, 0), random.Random(1))
    again = state.next(Held(), (5, 95), (1, 0), random.Random(2))
    assert [list(plan.backlog) for plan in again.plans] == [[(5, 95)]]


def test_of_two_copies_of_a_spool_neither_loses_what_the_other_did_not_have() -> None:
    rng, hub = random.Random(3), Hub()
    state = State().next(hub.held, (1, 10), (1, 0), rng)
    hub.begin(state.plans[-1])
    hub.take(state.plans[-1].epoch, "backlog", 10)
    twin = state  # the disk is copied; both go on, each with its own samples under the same numbers
    for _ in range(3):
        state = state.next(hub.held, (1, 12), (1, 0), rng)
        assert state.plans[-1].backlog.touches(11, 12)
        hub.begin(state.plans[-1])
        hub.take(state.plans[-1].epoch, "backlog", 12)
        twin = twin.next(hub.held, (1, 12), (1, 0), rng)
        assert list(twin.plans[-1].backlog) == [(1, 12)]  # the epoch at the hub is not one of its own
        assert hub.begin(twin.plans[-1])
        hub.take(twin.plans[-1].epoch, "backlog", 12)


def test_a_spool_that_was_put_back_sends_what_it_has() -> None:
    rng, hub = random.Random(4), Hub()
    state = State().next(hub.held, (1, 10), (1, 0), rng)
    hub.begin(state.plans[-1])
    hub.take(state.plans[-1].epoch, "live", 40)
    assert list(state.next(hub.held, (1, 12), (1, 0), rng).plans[-1].backlog) == [(1, 12)]


def test_a_backlog_in_too_many_pieces_is_sent_in_order() -> None:
    plan = Plan(1 << 31, Ranges((n, n) for n in range(1, 4 * SPANS_MAX, 2)), 5 * SPANS_MAX, 1)
    state = State("x", (plan,)).next(Held(plan.epoch, 0, 6 * SPANS_MAX), (1, 7 * SPANS_MAX), (1, 0), random.Random(1))
    after = state.plans[-1]
    assert after.live_from == 6 * SPANS_MAX + 1
    assert after.pending(Held(after.epoch, 0, after.live_from - 1), 7 * SPANS_MAX) == plan.backlog.joined(
        6 * SPANS_MAX + 1, 7 * SPANS_MAX
    )
