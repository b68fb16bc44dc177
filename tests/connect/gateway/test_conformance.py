"""The table of the standards' statements is whole: none is missing, and every test that it names exists."""

from __future__ import annotations

import pytest
from tools.conformance import PAGE, TITLES, expected, page, rows


@pytest.mark.parametrize("version", TITLES)
def test_no_statement_is_missing_and_none_is_there_twice(version: str) -> None:
    assert [row.number for row in rows(version)] == expected(version)


@pytest.mark.parametrize("version", TITLES)
def test_every_statement_has_a_test_or_a_reason(version: str) -> None:
    assert [row.number for row in rows(version) if not row.tests and not row.reasons] == []


def test_the_page_says_what_the_tables_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make docs`"
