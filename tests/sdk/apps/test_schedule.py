"""When jobs are due: each day has each of its times once, whatever a clock is put to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import ConfigError
from headrace.model.time import SECOND_NS, parse_time_ns
from headrace.sdk.apps import Schedule

ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")


def shown(schedule: Schedule, after: str, count: int, zone: str = "UTC") -> list[str]:
    where = ZoneInfo(schedule.zone or zone)
    times = islice(schedule.after(parse_time_ns(after), zone), count)
    return [datetime.fromtimestamp(at // SECOND_NS, where).strftime("%m-%d %H:%M %a") for at in times]


def test_multiples_of_a_duration() -> None:
    assert shown(Schedule.of(every="6h"), "2026-11-26T05:59:59Z", 3) == [
        "11-26 06:00 Thu",
        "11-26 12:00 Thu",
        "11-26 18:00 Thu",
    ]


def test_a_time_that_is_now_is_past() -> None:
    assert shown(Schedule.of(at="06:00"), "2026-11-26T06:00:00Z", 1) == ["11-27 06:00 Fri"]


def test_shifts_of_a_plant_in_its_own_zone() -> None:
    schedule = Schedule.of(at="06:00,14:00,22:00", days="mon-fri", zone="Asia/Shanghai")
    assert shown(schedule, "2026-11-27T10:00:00Z", 3) == ["11-27 22:00 Fri", "11-30 06:00 Mon", "11-30 14:00 Mon"]


def test_days_that_a_month_may_not_have() -> None:
    assert shown(Schedule.of(at="08:00", days="31"), "2026-03-31T08:00:00Z", 2) == [
        "05-31 08:00 Sun",
        "07-31 08:00 Fri",
    ]
    assert shown(Schedule.of(at="00:00", days="29,30"), "2027-02-01T00:00:00Z", 1) == ["03-29 00:00 Mon"]


def test_weekends_may_go_over_the_end_of_a_week() -> None:
    assert shown(Schedule.of(at="00:00", days="sun-mon"), "2026-11-26T00:00:00Z", 3) == [
        "11-29 00:00 Sun", "11-30 00:00 Mon", "12-06 00:00 Sun",
    ]  # fmt: skip


def test_clocks_that_are_put_forward_and_back() -> None:
    schedule = Schedule.of(at="02:30", zone="Europe/Berlin")
    assert shown(schedule, "2026-03-28T12:00:00Z", 2) == ["03-29 03:00 Sun", "03-30 02:30 Mon"]  # 02:00 became 03:00
    times = list(islice(schedule.after(parse_time_ns("2026-10-24T12:00:00Z")), 2))
    assert times == [parse_time_ns("2026-10-25T00:30:00Z"), parse_time_ns("2026-10-26T01:30:00Z")]  # the first 02:30


@given(
    st.sampled_from(ZONES),
    st.integers(int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())),
    st.sets(st.integers(0, 1439), min_size=1, max_size=4),
)
def test_each_day_has_each_time_once(zone: str, after_s: int, minutes: set[int]) -> None:
    schedule = Schedule(minutes=tuple(sorted(minutes)), zone=zone)
    times = list(islice(schedule.after(after_s * SECOND_NS), 12 * len(minutes)))
    assert times == sorted(times) and times[0] > after_s * SECOND_NS
    where = ZoneInfo(zone)
    days = [datetime.fromtimestamp(at // SECOND_NS, where).date() for at in times]
    whole = set(days) - {days[0], days[-1]}
    assert whole == {days[0] + timedelta(days=n) for n in range(1, (days[-1] - days[0]).days)}
    assert all(days.count(day) == len(minutes) for day in whole)


@pytest.mark.parametrize(
    "said",
    [{}, {"every": "1h", "at": "06:00"}, {"every": "1ms"}, {"every": "soon"}, {"every": "1h", "days": "mon"},
     {"at": "24:00"}, {"at": "6:00"}, {"at": "06:00", "days": "someday"}, {"at": "06:00", "days": "0"},
     {"at": "06:00", "days": "mon,1"}, {"at": "06:00", "zone": "Mars/Olympus"}],
)  # fmt: skip
def test_what_is_no_schedule(said: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Schedule.of(**said)
