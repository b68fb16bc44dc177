"""Shifts by the clock on the wall, with the nights on which it is changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from headrace.apps.operations.calendar import Calendar, Closure, PlannedStop, Shift, Status, Timetable
from headrace.model.errors import ConfigError

H = 3600 * 10**9
NIGHT = Calendar("Europe/Berlin", (Shift("night", time(22), time(6)),))


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def spans(calendar: Calendar, start: str, end: str) -> list[tuple[float, int, Status]]:
    """Hours since `start`, shift and status of each stretch that begins in [start, end)."""
    first, last = ns(start), ns(end)
    parts = Timetable(calendar).between(first, last)
    rows = zip(parts.start_ns.tolist(), parts.shift.tolist(), parts.status.tolist(), strict=True)
    return [((at - first) / H, shift, Status(status)) for at, shift, status in rows if at >= first]


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 7), ((2026, 10, 24), 9), ((2026, 6, 1), 8)])
def test_a_night_on_which_the_clock_is_changed_is_shorter_or_longer(day: tuple[int, int, int], hours: int) -> None:
    ((start, end, _),) = NIGHT.spans(date(*day))
    assert (end - start) / H == hours


def test_breaks_count_within_shifts_and_closures_wherever_they_are() -> None:
    shift, tea = Shift("day", time(6), time(14)), PlannedStop("tea", time(13), time(15))
    calendar = Calendar("UTC", (shift,), (tea,), (Closure("care", ns("2026-06-01T08:00"), ns("2026-06-01T09:30")),))
    number = date(2026, 6, 1).toordinal() * 64
    assert spans(calendar, "2026-06-01T00:00", "2026-06-02T00:00") == [
        (6, number, Status.BUSY),
        (8, number, Status.STOP),
        (9.5, number, Status.BUSY),
        (13, number, Status.STOP),
        (14, -1, Status.OFF),
        (15, -1, Status.OFF),
    ]
    assert calendar.shift_of(number) == (date(2026, 6, 1), "day")
    assert calendar.shift_span(number) == (ns("2026-06-01T06:00"), ns("2026-06-01T14:00"))


def test_holidays_weekdays_bounds_and_rotations() -> None:
    weekdays = frozenset(range(5))
    cycle = Shift("a", time(6), time(14), cycle_days=4, cycle_first=date(2026, 6, 1), cycle_on=frozenset({0, 1}))
    assert [cycle.on(date(2026, 6, day)) for day in range(1, 7)] == [True, True, False, False, True, True]
    assert cycle.on(date(2026, 5, 29)) is True  # three days before it began: day 1 of the cycle before
    shift = Shift("b", time(6), time(14), weekdays, first=date(2026, 6, 2))
    assert [shift.on(date(2026, 6, day)) for day in (1, 2, 6)] == [False, True, False]
    calendar = Calendar("UTC", (Shift("b", time(6), time(14)),), holidays=frozenset({date(2026, 10, 1)}))
    assert list(calendar.spans(date(2026, 10, 1))) == []


def test_before_the_first_shift_nothing_is_planned() -> None:
    shift = Shift("b", time(6), time(14), first=date(2026, 6, 2))
    parts = Timetable(Calendar("UTC", (shift,))).between(ns("2026-05-30T00:00"), ns("2026-05-31T00:00"))
    assert parts.status.tolist() == [Status.OFF] and parts.shift.tolist() == [-1]


def test_without_shifts_it_is_round_the_clock_and_days_are_its_shifts() -> None:
    (stretch,) = spans(Calendar("UTC"), "2026-06-01T00:00", "2026-06-02T00:00")
    assert stretch == (0, date(2026, 6, 1).toordinal() * 64, Status.BUSY)


def test_a_timetable_grows_both_ways_and_says_the_same() -> None:
    whole = Timetable(NIGHT).between(ns("2020-01-01T00:00"), ns("2030-01-01T00:00"))
    grown = Timetable(NIGHT)
    for year in (2025, 2029, 2021):
        grown.between(ns(f"{year}-01-01T00:00"), ns(f"{year}-02-01T00:00"))
    again = grown.between(ns("2020-01-01T00:00"), ns("2030-01-01T00:00"))
    assert again.start_ns.tolist() == whole.start_ns.tolist() and again.shift.tolist() == whole.shift.tolist()


def test_shifts_that_overlap_and_zones_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="'a' and 'b' overlap on 2026-06-0"):
        Calendar("UTC", (Shift("a", time(6), time(14)), Shift("b", time(13), time(22)))).check(date(2026, 6, 1))
    with pytest.raises(ConfigError, match="no time zone"):
        Calendar("Mars/Olympus")
    with pytest.raises(ConfigError, match="no longer has"):
        NIGHT.shift_of(5)
