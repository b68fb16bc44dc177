"""The master alarm database goes to a spreadsheet and comes back as it was; what is wrong has a row and a column."""

from __future__ import annotations

import pytest
from tests.registry.plants import PRESS, expanded
from tests.registry.test_alarm_model import PLANT

from headrace.model.errors import ConfigError, DataError
from headrace.registry.alarm_sheets import read_alarms, write_alarms


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("plant", [PLANT, PRESS], ids=["works", "press"])
def test_out_and_in_again_is_the_same(form: str, plant: str) -> None:
    model, _ = expanded(plant)
    back = read_alarms(write_alarms(model.alarms.values(), form), f"alarms.{form}")
    assert back.errors == () and list(back.alarms) == sorted(model.alarms)
    without = plant[: plant.rindex("\nalarms:\n") + 1]
    again, problems = expanded(without + back.file.text)
    assert problems == []
    assert again.alarms == model.alarms


def test_what_looks_like_a_formula_stays_a_text() -> None:
    model, _ = expanded(PLANT.replace("presses need 5.5 bar", '"=1+1"'))
    for form in ("csv", "xlsx"):
        assert "=1+1" in read_alarms(write_alarms(model.alarms.values(), form), f"a.{form}").file.text


def test_wrong_rows_are_told_and_the_good_ones_go_on() -> None:
    rows = (
        b"alarm,condition,limit,time_to_respond,reviewed.on,reviewed.by,cause.en\n"
        b"a/x:one,high,5,10m,2026-05-01,Li,a leak\n"
        b"a/x:two,higher,5,,,,\n"
        b"a/x:three,high,5,8,,,\n"
        b"a/x:four,high,5,,soon,Li,\n"
        b"a/x,high,5,,,,\n"
        b"a/x:one,high,6,,,,\n"
        b"a/x:five,low,1,,,,,,more\n"
    )
    told = read_alarms(rows, "alarms.csv")
    assert told.alarms == ("a/x:one",)
    assert [(one.line, one.column) for one in told.errors] == [(3, 2), (4, 4), (5, 5), (6, 1), (7, 1), (8, 8)]
    model, problems = expanded(f"assets: {{a: {{}}}}\npoints: {{a/x: {{}}}}\n{told.file.text}")
    assert problems == []
    why = model.alarms["a/x:one"].rationale
    assert why is not None and (why.cause, why.reviewed_on) == ({"en": "a leak"}, "2026-05-01")


@pytest.mark.parametrize("header", ["rule,limit", "alarm,limits", "alarm,limit,limit", "alarm,cause"])
def test_a_header_that_is_none(header: str) -> None:
    with pytest.raises(ConfigError):
        read_alarms(f"{header}\na/x:one,5,5\n".encode(), "alarms.csv")


def test_other_formats_are_refused() -> None:
    with pytest.raises(DataError):
        write_alarms([], "pdf")
