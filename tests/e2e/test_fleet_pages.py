"""The pages on devices and edges are true: their blocks run as they stand, and do what the text says."""

from __future__ import annotations

import csv
import shutil
import socket
from pathlib import Path

import pytest
from tests.e2e.pages import RUNS_FOR_S, blocks, run_page
from tests.e2e.platform_process import ROOT
from tests.services import require_service

DEVICES, EDGES = ROOT / "docs" / "devices.md", ROOT / "docs" / "edges.md"


@pytest.mark.timeout(RUNS_FOR_S + 60)
@pytest.mark.service("mosquitto_pub")
def test_the_page_on_devices_keeps_its_promises(tmp_path: Path) -> None:
    require_service("mosquitto_pub", shutil.which("mosquitto_pub") is not None, "apt-get install mosquitto-clients")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    page = tmp_path / "devices.md"
    text = DEVICES.read_text("utf-8").replace("1883", port)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        text = text.replace("8883", str(probe.getsockname()[1]))
    page.write_text(text, "utf-8")
    _, added, certified, waiting, let_in, imported, daily = run_page(page, tmp_path)
    assert "press-9" in certified
    assert "press-7" in added and "approved" in added and "hall 2" in added
    assert "quarantined" in waiting and "meters/meter-12/power" in waiting and "41.5" in waiting
    assert "declared as acme/meter-12" in let_in and "42.5" in let_in
    assert "2 devices added" in imported and "acme/meter-21/power" in imported
    assert [row["name"] for row in csv.DictReader((tmp_path / "secrets.csv").open())] == ["meter-20", "meter-21"]
    assert "stranger" in daily and "unknown" in daily and "turned away" in daily
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8") + (tmp_path / "serve.log").read_text("utf-8")


@pytest.mark.timeout(RUNS_FOR_S + 60)
def test_the_page_on_edges_keeps_its_promises(tmp_path: Path) -> None:
    declared, invited, known, shown, removed = run_page(EDGES, tmp_path)
    assert "which nobody invited: it runs nowhere" in declared
    assert "suzhou" in invited and "invited" in invited
    assert "acme/suzhou" in known and "acme/suzhou" in shown
    assert "suzhou is revoked" in removed and "suzhou is removed" in removed
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8") + (tmp_path / "serve.log").read_text("utf-8")


def test_the_chinese_pages_have_the_same_blocks() -> None:
    for page in (DEVICES, EDGES):
        assert blocks(page.with_suffix(".zh-CN.md")) == blocks(page) != []
