"""The tutorial of apps is true: every `sh` block runs as it stands, from an empty folder to an app on a platform."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from tests.e2e.pages import blocks, run_page
from tests.e2e.platform_process import ROOT
from tests.services import require_service

RUNS_FOR_S = 300  # some twenty commands, each a process
PAGE, CHINESE = ROOT / "docs" / "apps-tutorial.md", ROOT / "docs" / "apps-tutorial.zh-CN.md"


@pytest.mark.timeout(RUNS_FOR_S + 60)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path) -> None:
    require_service("bash", shutil.which("bash") is not None, "install bash")
    begun, _, _, tested, packed, installed, running, updated = run_page(PAGE, tmp_path, RUNS_FOR_S)
    assert "1 passed" in begun and "1 passed" in tested
    assert re.search(r"acme\.pump-hours 1\.0\.0, signed by [0-9a-f]{32}", packed)
    assert "acme.pump-hours 1.0.0" in installed
    assert "replay/cellar has been running for" in running
    answer = json.loads(running[running.index("{") : running.rindex("}\n{") + 1])
    assert answer["pumps"][0]["asset"] == "replay/cellar" and answer["total"] >= 6
    assert re.search(r"acme\.pump-hours +Pump hours +1\.0\.0 +1\.0\.0 +running", running)
    assert "1.1.0" in updated and "1.0.0" in updated
    with zipfile.ZipFile(tmp_path / "app-tutorial" / "pump-hours.zip") as archive:
        assert "before/1.0.0.db" in archive.namelist()
        archive.extract("tables.db", tmp_path)
    held = sqlite3.connect(tmp_path / "tables.db")
    assert held.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
    held.close()
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8")


def test_the_chinese_page_has_the_same_blocks() -> None:
    assert blocks(CHINESE) == blocks(PAGE) != []


@pytest.mark.parametrize("page", [PAGE, CHINESE])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^):#]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
