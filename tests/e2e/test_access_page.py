"""docs/access.md is true: its `sh` blocks run as they stand, and what the text promises comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.pages import RUNS_FOR_S, blocks, run_page
from tests.e2e.platform_process import ROOT

PAGE, CHINESE = ROOT / "docs" / "access.md", ROOT / "docs" / "access.zh-CN.md"


@pytest.mark.timeout(RUNS_FOR_S + 60)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path) -> None:
    people, lent, tokens, firms, shared, _closed = run_page(PAGE, tmp_path)
    assert "operator on acme/line-1" in people and "maintainer" in people
    assert people.count("shown only now") == 2
    assert "li is maintainer and operator on acme/line-1 until 2027-01-01T00:00:00Z" in lent
    assert "hr_" in tokens and "acme/line-1" in tokens and "local-command" in tokens
    for user in ("acme.admin", "acme.security", "acme.audit", "beta.owner"):
        assert user in firms
    assert "Acme Press Works" in firms and "the rest" in firms
    assert "nothing is shared" in shared
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8") + (tmp_path / "serve.log").read_text("utf-8")


def test_the_chinese_page_has_the_same_blocks() -> None:
    assert blocks(CHINESE) == blocks(PAGE) != []
