"""The threat model names tests and requirements that exist, the same ones in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools import security_clauses

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / name).read_text("utf-8") for name in ("security.md", "security.zh-CN.md")}


def proofs(text: str) -> list[str]:
    return re.findall(r"`([\w/]+\.py::test_\w+)`|\b(SR \d+\.\d+(?: RE \d)?)", text)


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES.keys())
def test_what_shows_a_defence_exists(text: str) -> None:
    clauses = {row.clause for row in security_clauses.rows("62443-3-3")}
    named = proofs(text)
    assert len(named) > 50
    for test, clause in named:
        if test:
            path, _, name = test.partition("::")
            assert re.search(rf"def {name}\(", (ROOT / "tests" / path).read_text("utf-8")), test
        else:
            assert f"62443-3-3 {clause}" in clauses, clause


def test_every_threat_has_a_defence_and_what_shows_it() -> None:
    for text in PAGES.values():
        rows = re.findall(r"^\| [STRIDE](?:, [STRIDE])* \|(.*)\|$", text, re.M)
        assert len(rows) > 40
        for row in rows:
            assert len(row.split("|")) == 3 and proofs(row), row


def test_both_languages_tell_the_same() -> None:
    english, chinese = PAGES.values()
    assert proofs(english) == proofs(chinese)
    for pattern in (r"^#+ ", r"^\| ", r"^\d+\. ", r"^- "):
        assert len(re.findall(pattern, english, re.M)) == len(re.findall(pattern, chinese, re.M)), pattern
