"""Definitions: what is refused and why, what a season is, and that nothing from outside breaks the reading."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.apps.outcomes.definition import Absent, Span, definition_of
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, parse_time_ns

GIVEN: dict[str, Any] = {
    "name": "press-shop",
    "zone": "Asia/Shanghai",
    "units": ["acme/suzhou", "acme/suzhou"],
    "baseline": {"first": "2024-01-01", "end": "2024-12-30"},
    "report": {"first": "2024-12-30", "end": "2025-12-29"},
    "covariates": {"weather:heating_degree_days": "missing", "pieces:p1": "zero"},
}


def test_a_definition_is_read_and_written_alike() -> None:
    read = definition_of(GIVEN)
    assert read.baseline == Span(date(2024, 1, 1), date(2024, 12, 30)) and read.baseline.days == 364
    assert read.units == ("acme/suzhou",) and len(read.family) == 5
    assert read.covariates == {"pieces:p1": Absent.ZERO, "weather:heating_degree_days": Absent.MISSING}
    assert read.simultaneous_level == pytest.approx(0.99) and read.paired and read.in_season
    assert definition_of(read.document()) == read


def test_periods_begin_at_midnight_of_the_plant_also_where_clocks_change() -> None:
    shanghai = definition_of(GIVEN)
    assert shanghai.edges_ns(shanghai.baseline)[0] == parse_time_ns("2024-01-01T00:00:00+08:00")
    berlin = definition_of({**GIVEN, "zone": "Europe/Berlin"})
    assert {int(width) // HOUR_NS for width in np.diff(berlin.edges_ns(berlin.baseline))} == {23, 24, 25}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": "x"}, "has no field 'names'"),
        ({"name": "Press shop"}, "a-z, 0-9"),
        ({"zone": "Shanghai"}, "Asia/Shanghai"),
        ({"zone": "../etc/passwd"}, "no time zone"),
        ({"units": []}, "list of 1 to"),
        ({"baseline": {"first": "2024-01-01", "end": "2024-01-29"}}, "56 days"),
        ({"baseline": {"first": "2024-01-01", "end": "2024-12-28"}}, "whole weeks"),
        ({"baseline": {"first": "2024-01-01", "end": "2025-01-06"}}, "must not overlap"),
        ({"baseline": {"first": "1.1.2024", "end": "2024-12-30"}}, "write it as"),
        ({"baseline": {"first": "2024-12-30", "end": "2024-01-01"}}, "end after it begins"),
        ({"report": {"first": "2025-03-03", "end": "2025-06-02"}}, "season_differs_because"),
        ({"period_days": 28}, "28 periods"),
        ({"period_days": 5}, "no whole number of periods"),
        ({"measures": ["profit"]}, "there are labour_productivity"),
        ({"measures": ["failure_frequency"]}, "covariates normalise energy_intensity"),
        ({"covariates": {"pieces:p1": "nought"}}, "'zero' or 'missing'"),
        ({"level": 95}, "between 0.8 and 0.999"),
        ({"replicates": -1}, "whole number"),
        ({"method": "headrace outcomes 0"}, "is not known here"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        definition_of({**GIVEN, **change})


def test_another_season_needs_a_reason_and_is_not_paired() -> None:
    report = {"first": "2025-03-03", "end": "2025-06-02"}
    read = definition_of({**GIVEN, "report": report, "season_differs_because": "no heating, one product"})
    assert not read.in_season and not read.paired
    a_day_off = {"first": "2024-12-31", "end": "2025-12-30"}
    assert definition_of({**GIVEN, "report": a_day_off}).in_season
    assert not definition_of({**GIVEN, "report": a_day_off}).paired  # Tuesdays beside Mondays


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*GIVEN, "measures", "period_days", "level", "seed", "replicates", "method"]), anything)
def test_anything_in_any_field_is_read_or_refused(field: str, value: Any) -> None:
    try:
        read = definition_of({**GIVEN, field: value})
    except DataError as error:
        assert error.message
    else:
        assert definition_of(read.document()) == read
