"""Pages of widgets: read strictly, told to whoever draws them."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import ConfigErrors
from headrace.sdk.apps import widgets
from headrace.sdk.apps.widgets import ColumnKind, WidgetKind, read_page

PAGE = """
refresh = "30s"

[[inputs]]
name = "day"
kind = "date"
title = { en = "Day", zh = "日期" }

[[rows]]
[[rows.widgets]]
kind = "number"
title = { en = "Running", zh = "运行" }
source = "/hours"
value = "total.hours"
unit = "h"
decimals = 1

[[rows.widgets]]
kind = "trend"
points = ["acme/*/power"]
span = "8h"

[[rows]]
[[rows.widgets]]
kind = "table"
source = "/hours"
rows = "machines"
[[rows.widgets.columns]]
field = "asset"
kind = "asset"
title = { en = "Machine", zh = "设备" }

[[rows.widgets]]
kind = "form"
call = "POST /targets"
button = { en = "Keep", zh = "保存" }
[rows.widgets.fields.hours]
kind = "number"
low = 0

[[rows.widgets]]
kind = "button"
call = "DELETE /targets"
button = "Forget"
confirm = "Forget all targets?"
"""


def test_everything_that_a_page_says() -> None:
    page = read_page(PAGE, "pages/hours.toml")
    assert page.refresh_s == 30 and [one.name for one in page.inputs] == ["day"]
    (number, trend), (table, form, button) = page.rows
    assert (number.kind, number.source, number.value, number.unit, number.decimals) == (
        WidgetKind.NUMBER, "/hours", "total.hours", "h", 1,
    )  # fmt: skip
    assert (trend.points, trend.span_s) == (("acme/*/power",), 8 * 3600)
    assert (table.rows, table.columns[0].kind) == ("machines", ColumnKind.ASSET)
    assert (form.call, form.fields[0].name) == ("POST /targets", "hours")
    assert button.confirm == {"en": "Forget all targets?"}
    assert json.loads(json.dumps(page.described()))["rows"][0][0]["kind"] == "number"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('source = "/hours"\nvalue', 'sources = "/hours"\nvalue'), r"rows 1, widget 1: sources'; did you mean source"),
        (('value = "total.hours"\n', ""), "rows 1, widget 1: a widget of kind 'number' says 'value'"),
        (('kind = "trend"', 'kind = "graph"'), "rows 1, widget 2: kind is one of"),
        (('span = "8h"', 'span = "8"'), "rows 1, widget 2: span"),
        (('call = "POST /targets"', 'call = "GET /targets"'), "rows 2, widget 2: call"),
        (('call = "POST /targets"', 'call = "POST https://elsewhere.com/"'), "rows 2, widget 2: call"),
        (('source = "/hours"\nrows', 'source = "../hours"\nrows'), "rows 2, widget 1: source"),
        (('kind = "asset"', 'kind = "html"'), "columns 1: kind is one of"),
        (('kind = "date"', 'kind = "choice"'), "inputs 1: choices"),
        (('refresh = "30s"', 'refresh = "1ms"'), "refresh is from 1 s"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(change: tuple[str, str], said: str) -> None:
    assert change[0] in PAGE
    with pytest.raises(ConfigErrors, match=said) as found:
        read_page(PAGE.replace(change[0], change[1], 1), "pages/hours.toml")
    assert {error.file for error in found.value.errors} == {"pages/hours.toml"}


@given(st.text(max_size=300))
def test_any_text_is_a_page_or_an_error_of_ours(text: str) -> None:
    try:
        read_page(text, "pages/x.toml")
    except ConfigErrors:
        pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.integers(0, 1), st.integers(0, 2), st.sampled_from(sorted(widgets.Widget.__dataclass_fields__)), _JSON)
def test_any_value_in_any_widget_is_taken_or_an_error_of_ours(row: int, at: int, key: str, value: Any) -> None:
    table = tomllib.loads(PAGE)
    placed = table["rows"][row]["widgets"]
    placed[at % len(placed)][key] = value
    widgets._Reader("pages/x.toml").page(table)  # raises nothing
