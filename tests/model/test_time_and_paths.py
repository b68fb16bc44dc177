"""Times and durations as people write them; paths in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import DataError
from headrace.model.points import check_path
from headrace.model.time import format_duration, format_time, parse_duration_ns, parse_time_ns


@given(st.integers(-(2**62), 2**63 - 1))
def test_time_round_trip(time_ns: int) -> None:
    assert parse_time_ns(format_time(time_ns)) == time_ns


@given(st.integers(0, 10**18))
def test_duration_round_trip(duration_ns: int) -> None:
    assert parse_duration_ns(format_duration(duration_ns)) == duration_ns


def test_offset_and_nanoseconds() -> None:
    assert parse_time_ns("1970-01-01T08:00:00.123456789+08:00") == 123_456_789


@pytest.mark.parametrize("text", ["", "5", "1 s", "s", "-1s", "1x", "1s!", "1s5"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="duration"):
        parse_duration_ns(text)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22", "2026-11-22T10:00:00"])
def test_bad_times_are_refused(text: str) -> None:
    with pytest.raises(DataError):
        parse_time_ns(text)


@pytest.mark.parametrize("path", ["acme/suzhou/press-3/oil.temperature", "海川/苏州/压机-3/油温", "a"])
def test_good_paths(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "a b", ".a", "a/../b", "a/_x", "x" * 600, "a/" + "x" * 97])
def test_bad_paths_are_refused(path: str) -> None:
    with pytest.raises(DataError, match="path"):
        check_path(path)
