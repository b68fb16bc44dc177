"""docs/energy-app.md is true, in both languages: its settings are taken, its code prints what it says, routes exist."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from headrace.model.batch import ValueKind
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_plant import FakePlant

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "energy-app.md", DOCS / "energy-app.zh-CN.md"]
BOTH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@BOTH
def test_python_prints_what_the_page_says(page: Path) -> None:
    space: dict[str, object] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for block in blocks(page, "python"):
            exec(block, space)
    first, coal, *years = said.getvalue().splitlines()
    text = page.read_text("utf-8")
    assert f"`{first}`" in text and f"{coal} kg" in text
    assert [line.split()[2] for line in years] == ["True", "False"]
    assert all(f"{line.split()[1]} t" in text for line in years)


@BOTH
async def test_the_settings_make_an_app(page: Path) -> None:
    [block] = blocks(page, "json")
    settings = json.loads(block)
    plant = FakePlant()
    for meter in settings["meters"]:
        if "point" in meter:
            plant.point(meter["point"], ValueKind.FLOAT64)
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=settings) as app:
        assert [one["name"] for one in await app.get("/meters")] == [one["name"] for one in settings["meters"]]


@BOTH
def test_every_route_is_told(page: Path) -> None:
    told = set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", page.read_text("utf-8")))
    app = AppUnderTest.of("headrace.apps.energy")
    there = {f"{route.method} {route.path}" for route in app.app.routes}
    assert there - told == set()
    assert {one for one in told if not one.endswith(("/pact", "/catenax"))} - there == set()


def test_both_languages_show_the_same() -> None:
    for language in ("python", "json"):
        assert blocks(PAGES[0], language) == blocks(PAGES[1], language)
    words = [re.findall(r"^\| `([\w`、, -]+)` ?\|", page.read_text("utf-8"), re.MULTILINE) for page in PAGES]
    assert len(words[0]) == len(words[1])
