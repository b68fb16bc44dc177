"""docs/ingest.md is true: its `sh` blocks run as they stand, and what the text promises comes out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.e2e import test_query_page as pages
from tests.e2e.platform_process import ROOT
from tests.services import require_service

PAGE, CHINESE = ROOT / "docs" / "ingest.md", ROOT / "docs" / "ingest.zh-CN.md"


@pytest.mark.timeout(160)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_service("curl", shutil.which("curl") is not None, "install curl")
    monkeypatch.setattr(pages, "PAGE", PAGE)
    monkeypatch.setattr(pages, "blocks", lambda page: [one for one in found(page) if one[0] == "sh"])
    _, json_lines, lines, mapped, refused, sql = pages.run_page(tmp_path)
    assert '"lines":4,"samples":4' in json_lines
    assert lines == "" and mapped == ""
    assert "partial write: 1 samples are stored, 2 were refused; line 2: " in refused
    assert "is declared int64; 1.5 does not fit" in refused and "did you mean 'acme/press-3/oil'?" in refused
    for value in ("62.4", "63.1", "64.0", "4711", "4712", "4713", 'A7 "left"', "41.5"):
        assert value in sql, value


def test_both_languages_have_the_same_parts() -> None:
    english, chinese = PAGE.read_text("utf-8"), CHINESE.read_text("utf-8")
    assert len(re.findall(r"^## ", english, re.M)) - len(re.findall(r"^## ", chinese, re.M)) == 0
    assert re.findall(r"^\| (\d[\d, ]*) \|", english, re.M) == [
        one.replace("、", ", ") for one in re.findall(r"^\| (\d[\d、]*) \|", chinese, re.M)
    ]


def found(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
