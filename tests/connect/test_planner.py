"""The read planner: rates, deadlines, overruns; on plain numbers, no clock at all."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.connect.fakes import points

from headrace.connect.planner import SPREAD_S_MAX, Schedule, TimedRequest, plan_reads
from headrace.sdk.driver import PointBinding, ReadRequest


def timed(name: str, period_s: float, offset_s: float = 0.0) -> TimedRequest:
    return TimedRequest(ReadRequest([], name), period_s, offset_s)


def taken(schedule: Schedule, now_s: float) -> list[str]:
    names = []
    while (due := schedule.take(now_s)) is not None:
        names.append(due.request.token)
    return names


class ByTen:
    def plan(self, points: list[PointBinding]) -> list[ReadRequest]:
        return [ReadRequest([p.handle for p in points[at : at + 10]], None) for at in range(0, len(points), 10)]


def test_points_are_grouped_by_interval_and_reads_spread_over_it() -> None:
    plan = plan_reads(ByTen(), points(20, interval_s=0.5) + points(30, first=20, interval_s=60))  # type: ignore[arg-type]
    assert [(t.period_s, round(t.offset_s, 3)) for t in plan] == [
        (0.5, 0.0),
        (0.5, 0.25),
        (60.0, 0.0),
        (60.0, 0.333),
        (60.0, 0.667),
    ]
    assert max(t.offset_s for t in plan) < SPREAD_S_MAX


def test_each_request_comes_once_a_period() -> None:
    schedule = Schedule([timed("fast", 1.0), timed("slow", 2.0)], start_s=100.0)
    assert taken(schedule, 99.9) == []
    assert taken(schedule, 100.0) == ["fast", "slow"]
    assert schedule.next_s() == 101.0
    assert taken(schedule, 101.0) == ["fast"]
    assert taken(schedule, 102.0) == ["fast", "slow"]


def test_the_earliest_deadline_goes_first() -> None:
    schedule = Schedule([timed("slow", 10.0), timed("fast", 0.1)], start_s=0.0)
    assert taken(schedule, 0.0) == ["fast", "slow"]


def test_missed_periods_are_counted_and_never_made_up_for() -> None:
    schedule = Schedule([timed("r", 1.0)], start_s=0.0)
    assert taken(schedule, 0.0) == ["r"]
    late = schedule.take(5.5)  # released at 1.0; 2, 3, 4 and 5 have passed as well
    assert late is not None and late.overruns == 4
    assert schedule.take(5.5) is None
    assert schedule.next_s() == 6.0


def test_a_session_without_reads_never_has_one_due() -> None:
    schedule = Schedule([], 0.0)
    assert schedule.take(1e9) is None and schedule.next_s() is None


@given(
    periods=st.lists(st.sampled_from([0.1, 0.25, 1.0, 5.0]), min_size=1, max_size=8),
    costs=st.lists(st.floats(0.001, 0.6), min_size=20, max_size=60),
)
def test_under_overload_every_period_is_read_or_counted_and_nobody_starves(
    periods: list[float], costs: list[float]
) -> None:
    schedule = Schedule([timed(str(index), period) for index, period in enumerate(periods)], 0.0)
    now_s, reads, overruns = 0.0, Counter[str](), Counter[str]()
    for cost in costs * 4:
        now_s = max(now_s, schedule.next_s() or 0.0)
        due = schedule.take(now_s)
        assert due is not None
        reads[due.request.token] += 1
        overruns[due.request.token] += due.overruns
        now_s += cost
    for index, period in enumerate(periods):
        passed = now_s / period
        seen = reads[str(index)] + overruns[str(index)]
        # What is neither read nor counted yet is at most the wait since this request was last taken.
        assert seen <= passed + 2
        assert reads[str(index)] >= 1 or now_s < 0.6 * len(periods) + period * 2
