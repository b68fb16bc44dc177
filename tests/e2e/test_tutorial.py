"""The tutorial is true: every `sh` block of the page runs as it stands, and what the text promises comes out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.e2e.pages import RUNS_FOR_S, blocks, run_page
from tests.e2e.platform_process import ROOT
from tests.services import require_service

PAGE, CHINESE = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "tutorial.zh-CN.md"


@pytest.mark.timeout(RUNS_FOR_S + 60)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path) -> None:
    require_service("curl", shutil.which("curl") is not None, "install curl")
    _, declared, _, applied, slip, tail, alarms, history, doctor, _ = run_page(PAGE, tmp_path)
    assert "opc.tcp://127.0.0.1:" in declared
    assert "+ alarm replay/tank/level:high" in applied
    assert "applied as revision" in applied
    assert "alarms.yaml:5:5" in slip and "hysteresis" in slip
    levels = [float(line.split()[2]) for line in tail.splitlines() if "replay/tank/level" in line]
    assert len(levels) == 15 and max(levels) > 90
    assert "Tank nearly full" in alarms and "液位接近满罐" in alarms
    assert '"rule":"replay/tank/level:high"' in alarms
    assert "97.5" in history and "Good" in history and "mean" in history
    assert "✓ replay-tank" in doctor and "✗" not in doctor
    exported = pq.read_table(tmp_path / "tutorial" / "tank.parquet")
    assert set(exported["path"].to_pylist()) == {"replay/tank/level", "replay/tank/pump"}
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8")
    assert "one-time password" in (tmp_path / "tutorial" / "serve.log").read_text("utf-8")


def test_the_chinese_page_has_the_same_blocks() -> None:
    assert blocks(CHINESE) == blocks(PAGE) != []


@pytest.mark.parametrize("page", [PAGE, CHINESE])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^):#]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
