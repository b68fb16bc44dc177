"""Times in query strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.api.times import TIME_NS_MAX, TIME_NS_MIN, span_ns_of, time_ns_of
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, format_time

NOW = 1_795_334_400_000_000_000


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("now", NOW),
        ("now-1h30m", NOW - HOUR_NS * 3 // 2),
        ("now+1s", NOW + 1_000_000_000),
        ("now 1s", NOW + 1_000_000_000),
        ("1795334400000", NOW),
        ("1795334400000.25", NOW + 250_000),
        ("-1", -1_000_000),
        ("2026-11-22T08:00:00.000000001Z", NOW + 1),
        ("2026-11-22T16:00:00+08:00", NOW),
        ("2026-11-22T16:00:00 08:00", NOW),
    ],
)
def test_the_forms_of_a_time(text: str, time_ns: int) -> None:
    assert time_ns_of(text, NOW) == time_ns


@given(st.integers(TIME_NS_MIN, TIME_NS_MAX))
def test_what_we_write_we_read(time_ns: int) -> None:
    assert time_ns_of(format_time(time_ns), 0) == time_ns


@given(
    st.one_of(st.text(max_size=40), st.from_regex(r"now[-+ ]\d{1,40}[a-z]{1,2}"), st.from_regex(r"-?\d{1,20}\.?\d*"))
)
def test_anything_else_is_a_data_error(text: str) -> None:
    try:
        assert TIME_NS_MIN <= time_ns_of(text, NOW) <= TIME_NS_MAX
    except DataError:
        pass


def test_a_span_defaults_to_the_last_hour() -> None:
    assert span_ns_of(None, None, NOW) == (NOW - HOUR_NS, NOW)
    assert span_ns_of(None, "now-1h", NOW) == (NOW - 2 * HOUR_NS, NOW - HOUR_NS)
    for start, end in (("now", "now"), ("now", "now-1s")):
        with pytest.raises(DataError, match="before"):
            span_ns_of(start, end, NOW)


@pytest.mark.parametrize("text", ["9999999999999999", "-9999999999999999", "now+300000d", "9999-12-31T00:00:00Z"])
def test_a_time_that_64_bits_cannot_tell_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"2262|is not a time|292 years"):
        time_ns_of(text, NOW)
