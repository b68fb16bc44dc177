"""The table of requirements is what the tests say; a claim without a test, and a mark without a requirement, fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import security_clauses as clauses
from tools.security_clauses import Row

HEADING = Row("", 0, "", "", ("FR 1", "FR 1"), ("", ""))
TABLES = {standard: list(clauses.rows(standard)) for standard in clauses.STANDARDS}


def row(clause: str, status: str, same: str = "") -> Row:
    return Row(f"62443-3-3 {clause}", 1, status, same, ("says", "要求"), ("why", "原因"))


@pytest.mark.clause("62443-3-3 SR 3.3", "62443-3-3 SR 3.3 RE 1")
def test_the_pages_say_what_the_tests_say() -> None:
    table = clauses.told(TABLES, clauses.marked())
    for language, path in clauses.PAGES.items():
        assert path.read_text("utf-8") == clauses.page(language, table), "run `make docs`"


def test_every_requirement_of_the_standards_has_its_row() -> None:
    """How many system and component requirements there are, enhancements apart, by foundational requirement."""
    for standard, counts in (("62443-3-3", (13, 12, 9, 3, 4, 2, 8)), ("62443-4-2", (14, 13, 14, 3, 4, 2, 8))):
        bases = {r.clause.removeprefix(f"{standard} ").split(" RE ")[0] for r in TABLES[standard] if r.clause}
        for number, count in enumerate(counts, 1):
            found = {base.split()[1] for base in bases if base.split()[1].startswith(f"{number}.")}
            assert found == {f"{number}.{n}" for n in range(1, count + 1)}, standard
    sections = [("8.1.2", 3), ("8.1.3", 6), ("8.1.4", 11), ("8.1.5", 4)]
    gb = {r.clause.split()[-1] for r in TABLES["GB/T 22239-2019"] if r.clause}
    for section, count in sections:
        assert {number for number in gb if number.startswith(f"{section}.")} == {
            f"{section}.{n}" for n in range(1, count + 1)
        }


def test_both_languages_say_something_everywhere() -> None:
    for table in TABLES.values():
        for each in table:
            assert all(each.text) and bool(each.why[0]) == bool(each.why[1]), each.clause
            assert any("\u4e00" <= letter <= "\u9fff" for letter in each.text[1]), each.clause


def test_a_claim_must_be_borne_out() -> None:
    marks = {"62443-3-3 SR 1.1": ["a/test_a.py::test_a"]}
    for wrong, said in (
        ([row("SR 1.1", "proved"), row("SR 1.2", "proved")], "SR 1.2 says proved, and no test carries it"),
        ([row("SR 1.2", "planned")], "names '62443-3-3 SR 1.1', which is no requirement"),
        ([row("SR 1.1", "n/a")], "says not applicable, and a/test_a.py::test_a carries it"),
        ([row("SR 1.1", "proved"), row("SR 1.1", "planned")], "is there twice"),
        ([row("SR 1.1", "proved"), row("SR 1.2", "same", "62443-3-3 SR 9")], "no requirement of its own"),
    ):
        with pytest.raises(ValueError, match=said):
            clauses.told({"62443-3-3": [HEADING, *wrong]}, marks)


def test_what_becomes_of_a_row() -> None:
    rows = [
        row("SR 1.1", "planned"), row("SR 1.2", "same", "62443-3-3 SR 1.1"), row("SR 1.3", "planned"),
        row("SR 1.4", "same", "62443-3-3 SR 1.3"), row("SR 1.5", "deployment"),
        row("SR 1.6", "same", "62443-3-3 SR 1.5"),
    ]  # fmt: skip
    marks = {f"62443-3-3 SR {n}": ["a/test_a.py::test_a"] for n in ("1.1", "1.5")}
    told = clauses.told({"62443-3-3": rows}, marks)["62443-3-3"]
    assert [each.status for each in told] == ["proved", "proved", "planned", "planned", "deployment", "deployment"]


def test_marks_are_found_wherever_pytest_takes_them(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "pytestmark = [pytest.mark.browser, pytest.mark.clause('m')]\n"
        "SHORT = pytest.mark.clause('s1', 's2')\n"
        "@SHORT\n@pytest.mark.clause('d')\nasync def test_a(): ...\n"
        "@pytest.mark.clause('c')\nclass TestB:\n    pytestmark = pytest.mark.clause('k')\n"
        "    @pytest.mark.parametrize('n', [pytest.param(1, marks=pytest.mark.clause('p')), 2])\n"
        "    def test_b(self, n): ...\n"
        "def helper(): ...\n"
        "@pytest.mark.soak\n@pytest.mark.clause('long')\ndef test_long(): ...\n"
    )
    a, b = "test_x.py::test_a", "test_x.py::TestB::test_b"
    assert clauses.marked(tmp_path) == {"m": [a, b], "s1": [a], "s2": [a], "d": [a], "c": [b], "k": [b], "p": [b]}
    (tmp_path / "test_x.py").write_text("import pytest\n@pytest.mark.clause(f'{1}')\ndef test_a(): ...\n")
    with pytest.raises(ValueError, match=r"test_x\.py:2"):
        clauses.marked(tmp_path)


def test_only_so_many_tests_are_shown_and_from_many_files() -> None:
    tests = [f"a.py::test_{n}" for n in range(9)] + ["b.py::test_b", "c.py::test_c"]
    page = clauses.page(
        "en", clauses.told({"62443-3-3": [HEADING, row("SR 1.1", "proved")]}, {"62443-3-3 SR 1.1": tests})
    )
    assert "`a.py::test_0`, `a.py::test_1`, `b.py::test_b`, `c.py::test_c`, and 7 more" in page
