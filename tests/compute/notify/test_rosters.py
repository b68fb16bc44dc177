"""Every moment of two years is whose the declaration says: over midnight, over weeks, over both ends of summer time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.compute.notify.rosters import covers, is_quiet, on_call, people_on_call, wall_clock
from headrace.model.notifications import Hours, Override, Quiet, Roster, Shift
from headrace.model.time import SECOND_NS

MINUTE = timedelta(minutes=1)
DAY_NIGHT = (
    Shift("day", Hours(6 * 60, 18 * 60), (("li",), ("wang",), ("zhao",))),
    Shift("night", Hours(18 * 60, 6 * 60), (("wang",), ("zhao", "sun"), ("li",))),
)


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * SECOND_NS


ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [*((zone, 15) for zone in ZONES), *(pytest.param(zone, 1, marks=pytest.mark.soak) for zone in ZONES)],
)
def test_every_moment_of_two_years(zone: str, minutes: int) -> None:
    """Day and night follow each other without a gap, and change people on Monday morning: counted by so many minutes.

    All that changes does so on a quarter of an hour of every zone, so minutes show no more than quarters should.
    """
    roster = Roster("leaders", zone, DAY_NIGHT, rotation_from=date(2026, 11, 25))
    first_monday, local = date(2026, 11, 23), ZoneInfo(zone)
    moment, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    step = timedelta(minutes=minutes)
    while moment < end:
        there = moment.astimezone(local)
        by_day = 6 <= there.hour < 18
        began = there.date() if there.hour >= 6 else there.date() - timedelta(days=1)
        week = (began - timedelta(days=began.weekday()) - first_monday).days // 7 % 3
        expected = DAY_NIGHT[0 if by_day else 1].weeks[week]
        (shift,) = on_call(roster, ns(moment))
        assert (shift.began, shift.people) == (began, expected), there
        moment += step


@pytest.mark.parametrize(
    ("clock", "minutes"),
    [("2026-03-29", 7 * 60), ("2026-10-25", 9 * 60), ("2026-06-01", 8 * 60)],  # spring, autumn, and any day
)
def test_a_night_is_as_long_as_the_clock_makes_it(clock: str, minutes: int) -> None:
    night = Roster("r", "Europe/Berlin", (Shift("night", Hours(22 * 60, 6 * 60), (("li",),)),))
    noon = datetime.fromisoformat(f"{clock}T12:00").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    start = noon.astimezone(UTC) - timedelta(hours=24)
    assert sum(bool(people_on_call(night, ns(start + at * MINUTE))) for at in range(24 * 60)) == minutes


days = st.frozensets(st.integers(0, 6))
minutes = st.integers(0, 24 * 60 - 1)


@settings(max_examples=examples(300), deadline=None)
@given(days, minutes, st.integers(0, 24 * 60), st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)))
def test_hours_are_what_a_list_of_them_says(on: frozenset[int], start: int, end: int, local: datetime) -> None:
    """Against the plain reading: write each stretch down from its day on, and look whether the moment is in one."""
    hours = Hours(start, end, on)
    today = datetime.combine(local.date(), datetime.min.time())
    stretches = []
    for back in (0, 1):
        day = today - timedelta(days=back)
        until = day + timedelta(minutes=end) + (timedelta(days=1) if end <= start else timedelta())
        if day.weekday() in on:
            stretches.append((day + timedelta(minutes=start), until))
    assert covers(hours, local) == any(first <= local < last for first, last in stretches)


def test_overrides_count_by_the_day_on_which_a_shift_begins() -> None:
    holiday = (
        Override(date(2027, 2, 15), date(2027, 2, 16)),
        Override(date(2027, 2, 16), date(2027, 2, 16), ("chief",), "night"),
    )
    roster = Roster("r", "Asia/Shanghai", DAY_NIGHT, holiday, date(2027, 2, 15))

    def at(text: str) -> tuple[str, ...]:
        return people_on_call(roster, ns(datetime.fromisoformat(f"2027-02-{text}+08:00")))

    assert at("15T05:59") == ("li",)  # the night of Sunday, of the week before
    assert at("15T06:00") == at("15T23:00") == at("16T05:59") == at("16T12:00") == ()
    assert at("16T18:00") == at("17T05:59") == ("chief",)
    assert at("17T06:00") == ("li",)


def test_quiet_hours_and_the_wall_clock() -> None:
    quiet = Quiet((Hours(22 * 60, 6 * 60),))
    there = ns(datetime.fromisoformat("2027-02-15T23:00+08:00"))
    assert is_quiet(quiet, "Asia/Shanghai", there) and not is_quiet(quiet, "UTC", there)
    assert not is_quiet(Quiet(), "UTC", there)
    assert f"{wall_clock(there, 'Asia/Shanghai'):%H:%M}" == "23:00"
