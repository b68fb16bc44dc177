"""Places of notifications: paths with all that lies below, or globs of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.places import lies_at


@pytest.mark.parametrize(
    ("place", "path", "lies"),
    [
        ("works", "works", True),
        ("works", "works/line-1/oil", True),
        ("works", "workshop", False),
        ("works/*/oil", "works/press-1/oil", True),
        ("works/*/oil", "works/line-1/press-1/oil", False),
        ("works/**/oil", "works/line-1/press-1/oil", True),
        ("**/press-*/oil*", "a/b/press-7/oil.temperature", True),
        ("**/press-*/oil*", "a/b/press-7/oil/level", True),
        ("**b*c", "b/bc", True),
        ("*", "works/line-1", True),
        ("*b*c", "bcc", True),
        ("*.x", "y.xz", False),
    ],
)
def test_where_a_path_lies(place: str, path: str, lies: bool) -> None:
    assert lies_at(path, place) is lies


def plainly(path: str, place: str) -> bool:
    parts = [".*" if one == "**" else "[^/]*" if one == "*" else re.escape(one) for one in re.split(r"(\*+)", place)]
    return re.fullmatch("".join(parts) + "(?:/.*)?", path, re.DOTALL) is not None


@given(st.text("ab/*", max_size=8).filter(lambda place: "***" not in place), st.text("ab/", max_size=10))
def test_it_is_what_the_pattern_means(place: str, path: str) -> None:
    if "*" in place:
        assert lies_at(path, place) == plainly(path, place)


def test_a_hostile_place_takes_no_longer() -> None:
    """As a pattern this would not end."""
    assert not lies_at("a" * 512, "**a" * 60 + "b")
    assert not lies_at("a" * 512, "*a" * 60 + "b")
