"""The table of the test kit's assertions is whole, and every test that it names is there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "conformance" / "sparkplug.md"
ROW = re.compile(r"^\| (tck-id-\S+) \| ([a-z ]+) \| (?:`([^`]+)`)? ?\| ?(.*?) ?\|$", re.MULTILINE)

#: Every `tck-id-…` of the specification's text, 3.0.0.
ASSERTIONS = (Path(__file__).parent / "assertions.txt").read_text("utf-8").split()
ROWS = ROW.findall(PAGE.read_text("utf-8"))


def test_no_assertion_is_missing_and_none_stands_twice() -> None:
    assert sorted(row[0] for row in ROWS) == sorted(ASSERTIONS) and len(ASSERTIONS) == 303


def test_every_verdict_has_a_test_or_a_reason_and_they_are_counted_rightly() -> None:
    for name, verdict, test, remark in ROWS:
        assert verdict in ("pass", "fail", "not applicable"), name
        assert bool(test) == (verdict != "not applicable"), name
        assert remark or verdict == "pass", name
    counts = Counter(verdict for _, verdict, _, _ in ROWS)
    said = f"{counts['pass']} pass, {counts['fail']} fail, {counts['not applicable']} not applicable."
    assert said in PAGE.read_text("utf-8")


def test_every_test_that_is_named_exists() -> None:
    for name, _, test, _ in ROWS:
        if test:
            file, _, function = test.partition("::")
            assert re.search(rf"^\s*(async )?def {function}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), name
