"""docs/publishing.md is true: its `sh` blocks run as they stand, and its declarations are valid."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.e2e import test_query_page as pages
from tests.e2e.platform_process import ROOT
from tests.e2e.test_ingest_page import found
from tests.services import require_service

from headrace.connect import drivers, outlets
from headrace.registry.declared import parse
from headrace.registry.expand import expand
from headrace.registry.problems import Problems
from headrace.sdk.services import SourceFile

PAGE, CHINESE = ROOT / "docs" / "publishing.md", ROOT / "docs" / "publishing.zh-CN.md"


@pytest.mark.timeout(160)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_service("curl", shutil.which("curl") is not None, "install curl")
    monkeypatch.setattr(pages, "PAGE", PAGE)
    monkeypatch.setattr(pages, "blocks", lambda page: [one for one in found(page) if one[0] == "sh"])
    _, told, client, doctor = pages.run_page(tmp_path)
    assert '"type":"org.headrace.alarm.raised"' in told and '"subject":"acme/press-3/oil"' in told
    assert client.strip() == "80.5 °C Oil temperature"
    assert re.search(r"outlet erp +connected, 1 points", doctor)
    assert re.search(r"outlet scada +connected, 1 points", doctor)


@pytest.mark.parametrize("text", [text for kind, text in found(PAGE) if kind == "yaml"])
def test_every_declaration_is_valid(text: str) -> None:
    problems = Problems()
    whole = "assets:\n  acme: {level: site}\n  acme/suzhou: {level: area}\n" + text.replace("3F:0A:…:C2", "3f" * 32)
    plant = expand(parse([SourceFile("a.yaml", whole)], problems), drivers.load(), problems, outlets=outlets.load())
    assert problems.errors() == []
    assert plant.outlets


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in Path(outlets.__file__).parent.glob("*/manifest.toml"))
)
def test_an_outlet_folder_is_whole(folder: Path) -> None:
    for file in ("manifest.toml", "config.py", "outlet.py", "README.md"):
        assert (folder / file).exists(), f"{folder.name} lacks {file}"
    tests = (ROOT / "tests/connect/outlets" / f"test_{folder.name}.py").read_text("utf-8")
    assert "OutletContract" in tests, f"{folder.name} does not inherit OutletContract"


def test_both_languages_have_the_same_parts() -> None:
    english, chinese = PAGE.read_text("utf-8"), CHINESE.read_text("utf-8")
    assert len(re.findall(r"^## ", english, re.M)) == len(re.findall(r"^## ", chinese, re.M))
