"""The small PromQL: what it means, and a clear no to what it does not speak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.api.promql import Matcher, Number, Series, parse, parse_selector
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, MINUTE_NS, SECOND_NS

TEMPERATURE = (Matcher("path", "=", "a/b"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("point", Series(())),
        ("point{}", Series(())),
        ('point{path="a/b"}', Series(TEMPERATURE)),
        (" { path = 'a/b' , } ", Series(TEMPERATURE)),
        ("point{path=`a/b`}", Series(TEMPERATURE)),
        ('point{asset=~"a/.*",unit!="Cel",name!~"x|y"}',
         Series((Matcher("asset", "=~", "a/.*"), Matcher("unit", "!=", "Cel"), Matcher("name", "!~", "x|y")))),
        (r'point{name="\"\\\n\u6e29\x41"}', Series((Matcher("name", "=", '"\\\n温A'),))),
        ('avg_over_time(point{path="a/b"}[5m])', Series(TEMPERATURE, "avg", 5 * MINUTE_NS, False)),
        ('last_over_time({path="a/b"}[1m30s])', Series(TEMPERATURE, "last", 90 * SECOND_NS)),
        ("max_over_time(point[2w])", Series((), "max", 14 * DAY_NS, False)),
        ("min_over_time(point[1y])", Series((), "min", 365 * DAY_NS, False)),
        ("count_over_time(point[500ms])", Series((), "count", SECOND_NS // 2, False)),
        ("1+1", Number(2.0)),
        ("2.5 * 2 - 1e0 / 4", Number(1.0)),
    ],
)  # fmt: skip
def test_what_is_understood(text: str, expected: Series | Number) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the query is empty"),
        ("up", "'up' is not part of the PromQL that Headrace speaks"),
        ("sum(point)", "'sum(…)' is not part"),
        ("sum by (asset) (point)", "is not part"),
        ("rate(point[5m])", "'rate(…)' is not part"),
        ("point + point", "'+' is not part"),
        ("point offset 5m", "'offset' is not part"),
        ("point @ 5", "'@' is not part"),
        ("point[5m]", "a range needs a function around it"),
        ("avg_over_time(point)", "avg_over_time needs a range"),
        ("avg_over_time(point[5])", "'5' is no range"),
        ("avg_over_time(point[0s])", "'0s' is no range"),
        ("avg_over_time(point[20y])", "is no range"),
        ("avg_over_time(point[5m:1m])", "is not closed by"),
        ("avg_over_time(point[5m]", "avg_over_time( is not closed"),
        ("point{path}", "after 'path' there is one of"),
        ("point{path=a}", "the value of 'path' is not in quotes"),
        ('point{path="a" unit="b"}', "there is a comma"),
        ('point{path="a"', "there is a comma|is not closed"),
        ("point{", "is not closed"),
        ('point{"path"="a"}', "is no label"),
        (r'point{path="\d"}', r"'\\d' is no escape"),
        (r'point{path="\U00110000"}', "is no escape"),
        ("point{path=\"a}", "is not understood"),
        ("x" * 9_000, "at most 8000"),
    ],
)  # fmt: skip
def test_what_is_not_is_said(text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+")):
        parse(text)


def test_selectors_of_match() -> None:
    assert parse_selector('{__name__="point"}') == (Matcher("__name__", "=", "point"),)
    for wrong in ("1", "avg_over_time(point[5m])"):
        with pytest.raises(DataError, match="is no selector"):
            parse_selector(wrong)


@given(st.text(alphabet="point{}()[]=\"~!,\\'`_over_time avgmx0159smh.+-*/ \n温", max_size=40) | st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except DataError as error:
        assert error.message
    else:
        assert isinstance(found, (Series, Number))
        if isinstance(found, Series):
            assert found.range_ns > 0 and found.named == (found.function == "last")


@given(st.text(max_size=30))
def test_any_value_can_be_quoted(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert parse(f'point{{path="{quoted}"}}') == Series((Matcher("path", "=", value),))
