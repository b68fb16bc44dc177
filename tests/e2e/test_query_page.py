"""docs/query.md is true: its `sh` and `python` blocks run as they stand, and what the text promises comes out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.e2e.platform_process import ROOT, environment
from tests.services import require_service

PAGE, CHINESE = ROOT / "docs" / "query.md", ROOT / "docs" / "query.zh-CN.md"
MARK = "=====next block====="
RUNS_FOR_S = 100


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def script_of(page: Path) -> str:
    parts = [
        f"python - <<'PYTHON'\n{text}PYTHON\n" if kind == "python" else text for kind, text in blocks(page) if kind
    ]
    return "set -eu\n" + f"echo {MARK}\n".join(parts)


def run_page(folder: Path) -> list[str]:
    """What each block says, stdout and stderr, run in one shell that stops at the first failure."""
    binaries = folder / "bin"
    binaries.mkdir()
    for name, arguments in (("headrace", '-m headrace "$@"'), ("python", '"$@"')):
        command = binaries / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}\n')
        command.chmod(0o755)
    script = folder / "page.sh"
    script.write_text(script_of(PAGE), "utf-8")
    surroundings = {name: value for name, value in environment().items() if not name.startswith("HEADRACE_")}
    surroundings["PATH"] = f"{binaries}{os.pathsep}{surroundings['PATH']}"
    with (folder / "said").open("wb") as said:
        shell = subprocess.Popen(
            ["bash", str(script)], cwd=folder, env=surroundings, stdout=said, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = shell.wait(RUNS_FOR_S)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    text = (folder / "said").read_text("utf-8")
    assert status == 0, text[-3000:]
    return text.split(MARK + "\n")


@pytest.mark.timeout(RUNS_FOR_S + 60)
def test_the_page_runs_and_keeps_its_promises(tmp_path: Path) -> None:
    require_service("curl", shutil.which("curl") is not None, "install curl")
    _, imported, sql, files, _, client, http, range_query, infinity, _ = run_page(tmp_path)
    assert "oven.csv: 4320 samples of 3 points brought in" in imported
    assert re.search(r"acme/oven-1/temperature\s+1440\s+180.0\s+239.0", sql)
    assert "2026-01-01 06:00:00+08" in sql and "2026-01-01 07:00:00+08" in sql and "2026-01-01 08" not in sql
    assert "1440 rows" in files and "4320 rows" in files
    assert pq.read_table(tmp_path / "query" / "oven.parquet").num_rows == 1440
    assert (tmp_path / "query" / "all.csv").read_bytes().startswith(b"\xef\xbb\xbfpath,")
    assert "pandas 1440 209.5" in client and "polars [239.0, 239.0, 239.0, 239.0]" in client
    assert "sql [('idle', 240), ('run', 1200)]" in client
    assert "parquet 1440 1440" in http and "arrow (30, 9)" in http
    assert '[1767229200.0,"239"]' in range_query and '"resultType":"matrix"' in range_query
    assert '"mean":[209.5,209.5]' in infinity and '"rows":[["acme/oven-1/pieces","1"]' in infinity
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8")


def test_the_chinese_page_has_the_same_blocks() -> None:
    assert blocks(CHINESE) == blocks(PAGE) != []
