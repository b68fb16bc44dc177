"""The page on outcomes, in both languages: its examples are taken as they stand, and it names what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from headrace.apps.outcomes.app import app
from headrace.apps.outcomes.definition import definition_of
from headrace.apps.outcomes.evaluate import Target, Verdict
from headrace.apps.outcomes.measures import Quantity
from headrace.apps.outcomes.sources import How
from headrace.apps.outcomes.wire import factors_in, rows_in

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("outcomes-app.md", "outcomes-app.zh-CN.md")


@pytest.mark.parametrize("page", PAGES)
def test_examples_are_taken_as_they_stand(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    rows, definition = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S))
    assert len(rows_in(rows["rows"])) == 2 and definition_of(definition).paired
    (factors,) = re.findall(r"`(\{\"factors\".*?\]\})`", text)
    assert factors_in(json.loads(factors)["factors"])[0].value == 0.1229


@pytest.mark.parametrize("page", PAGES)
def test_it_names_all_that_there_is(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for word in (*Quantity, *Verdict, *Target, *How):
        assert f"`{word}`" in text, word
    routes = {(route.method, re.sub(r"\?.*", "", route.path)) for route in app.routes}
    named = {(method, path) for method, path in re.findall(r"`(GET|POST|PUT) (/[^`?\s]*)", text)}
    assert named <= routes and len(named) >= 8
