"""The page for whoever looks after a platform is true: its blocks run as they stand, and do what the text says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.pages import RUNS_FOR_S, blocks, run_page
from tests.e2e.platform_process import ROOT

PAGE, CHINESE = ROOT / "docs" / "operations.md", ROOT / "docs" / "operations.zh-CN.md"


@pytest.mark.timeout(RUNS_FOR_S + 60)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path) -> None:
    _, backed_up, restored, as_it_was, kept, checked, repaired, shown, renewed = run_page(PAGE, tmp_path)
    assert "MB copied" in backed_up or "kB copied" in backed_up
    assert backed_up.count("Z ") >= 2  # the scheduled one and the one asked for
    assert "later samples" in restored and "sound:" in restored
    assert "later samples" in as_it_was
    assert "3 created" in kept
    assert "sound:" in checked and "DAMAGED" not in checked
    assert repaired.count("nothing is damaged") == 2
    assert "SHA-256" in shown or "sha256" in shown.lower()
    assert "BEGIN CERTIFICATE" in (tmp_path / "headrace-ca.pem").read_text("utf-8") and renewed.strip()
    assert (tmp_path / "as-it-was" / "history" / "catalog.db").exists()
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8") + (tmp_path / "serve.log").read_text("utf-8")


def test_the_chinese_page_has_the_same_blocks() -> None:
    assert blocks(CHINESE) == blocks(PAGE) != []
