"""Patterns that a hostile text makes slow: our own regular expressions, and what users give us to match with.

Judged by CPU time from one length to four times that length, in a process that is ended if it does not end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from fnmatch import translate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties import drawn_seed
from tests.security.regexes import Found, found_in, growth, slow

from headrace.api.plant_index import PlantIndex
from headrace.api.prom_labels import LabelTable
from headrace.api.promql import parse_selector
from headrace.api.sight import Sight, narrow
from headrace.connect.gateway.retained import Kept, Retained
from headrace.connect.gateway.subscriptions import Granted, Subscriptions
from headrace.connect.mqtt.topics import covers, matches
from headrace.model.areas import NOWHERE
from headrace.model.batch import ValueKind
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.access import Shared
from headrace.sdk.tenancy import OneTenant

pytestmark = pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.4")

SOURCE = Path(__file__).parents[2] / "src" / "headrace"
#: Made while the program runs, so not read here: digits of one escape; globs of a grant, which are below; globs of a
#: stream function, by the same way; a field of a widget or none, which is read as a field.
MADE = {"api/promql.py", "api/sight.py", "sdk/stream_points.py", "sdk/apps/widgets.py"}


@pytest.mark.seeded
def test_no_regular_expression_of_ours_is_slow() -> None:
    seed = drawn_seed()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "tests.security.regexes", str(SOURCE), str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
        said, errors = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        said, errors = (late.stdout or b"").decode(), "it did not end"
    lines = said.splitlines()
    assert lines and lines[-1] == "done", f"seed {seed}: {lines[-1:]} {errors[-2000:]}"
    assert [line for line in lines if line.startswith("slow")] == [], f"seed {seed}"


def test_every_regular_expression_is_looked_at() -> None:
    found = found_in(SOURCE)
    assert {one.place.partition(":")[0] for one in found if one.pattern is None} == MADE
    written = sum(
        len(re.findall(r"\bre\.(?:compile|match|search|fullmatch|sub|split|findall|finditer)\(|\bpattern=", text))
        for text in (file.read_text("utf-8") for file in SOURCE.rglob("*.py"))
    )
    assert len(found) >= 90 and len(found) >= written - 2, "`re.sub` is also a word in a docstring"


@pytest.mark.parametrize(
    ("pattern", "use"),
    [
        (r"(a+)+b", "fullmatch"),
        (r"(\d+)*x", "match"),
        (r"\s+$", "search"),
        (r"(\d+)y", "sub"),
        (r"(?:\w+\s?)+!", "fullmatch"),
        (r"\d+\.?\d*x", "match"),
    ],
)
def test_what_is_slow_is_found(pattern: str, use: str) -> None:
    """Those with nested repeats would not end: they are cut short."""
    one = Found("here", pattern, 0, {use})
    code = f"from tests.security.regexes import Found, slow\nprint(slow({one!r}, 1))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=5)
    except subprocess.TimeoutExpired:
        return
    assert done.stdout.startswith(use), done.stdout + done.stderr
    assert slow(Found("here", r"[a-z]{1,20}\d++", 0, {use}), 1) is None


# --- patterns of users ------------------------------------------------------------------------------------------------


def plant_of(*paths: str) -> PlantModel:
    return PlantModel(1, points={path: Point(path, ValueKind.FLOAT64, "1") for path in paths})


def granted(pattern: str, path: str) -> Callable[[], Any]:
    plant, grant = plant_of(f"acme/{path}"), Shared("g", "acme", "acme", (pattern,))
    sight = Sight("beta", NOWHERE, False, (grant,))
    return lambda: narrow(plant, list(plant.points), sight, OneTenant(), {})


def prometheus(expression: str, path: str) -> Callable[[], Any]:
    table, selector = LabelTable(PlantIndex(plant_of(path), {path: 0})), parse_selector(f"{{path=~`{expression}`}}")
    return lambda: table.select(selector)


def searched(words: list[str], path: str) -> Callable[[], Any]:
    index = PlantIndex(plant_of(path), {})
    return lambda: index.search(words, slice(None))


def retained(pattern: str, topic: str) -> Callable[[], Any]:
    kept = Retained(10, 1 << 20)
    kept.put(Kept(topic, b"x", 0))
    return lambda: list(kept.matching(pattern, 0.0))


def subscribed(pattern: str, topic: str) -> Callable[[], Any]:
    def find() -> Any:
        tree: Subscriptions[Any] = Subscriptions()
        tree.add("session", pattern, Granted(0))
        return tree.match(topic)

    return find


GIVEN: dict[str, Callable[[int], Callable[[], Any]]] = {
    "glob of a grant": lambda size: granted("*a" * 200 + "*b", "a" * size),
    "glob with classes": lambda size: granted("*[!b-z]" * 60 + "?" * 20 + "b", "a" * size),
    "expression in PromQL": lambda size: prometheus("(a+)+" * 20 + "b", "a" * size),
    "expression with alternatives": lambda size: prometheus("(a|aa|a?)*" * 20 + "b", "a" * size),
    "words of a search": lambda size: searched(["a" * 50 + "b"] * 20, "a" * size),
    "topic filter": lambda size: lambda: matches("+/" * 100 + "#", "a/" * size),
    "topic filter of a filter": lambda size: lambda: covers("+/" * size + "b", "+/" * size + "c"),
    "retained by filter": lambda size: retained("+/" * 60 + "b", "a/" * 60 + "a" * size),
    "subscription": lambda size: subscribed("+/" * 60 + "b", "a/" * size),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(GIVEN))
def test_what_users_match_with_costs_in_proportion(what: str) -> None:
    assert growth(GIVEN[what]) is None


@given(st.text(st.sampled_from("[]!-^&~|*?ab\\\n()"), max_size=40) | st.text(max_size=40))
def test_every_text_is_a_glob(text: str) -> None:
    """Else a grant would break every page of the partner."""
    re.compile(translate(text))
