"""`headrace demo` as a newcomer starts it, headless: the whole works, and the numbers it reports of itself."""

import json
import sqlite3
from pathlib import Path

import pytest
from tests.e2e.platform_process import headrace


@pytest.mark.clause("GB/T 22239-2019 8.4.3.4")
def test_demo_runs_headless_and_reports(tmp_path: Path) -> None:
    run = headrace("demo", "--for", "12", "--report", "json", "--port", "0", "--home", str(tmp_path / "demo"))
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert set(report) == {
        "first_sample_s", "points", "samples", "samples_per_s", "alarms", "rss_mb", "lost", "history_ok",
    }  # fmt: skip
    assert report["lost"] == 0
    assert report["history_ok"] is True
    assert 550 <= report["points"] <= 700
    assert report["samples"] > 5 * report["points"]
    assert "one-time password" in run.stderr
    assert "Traceback" not in run.stderr and "does without" not in run.stderr
    tables = sqlite3.connect(tmp_path / "demo" / "apps" / "operations" / "data" / "default" / "tables.db")
    assert tables.execute("SELECT count(DISTINCT unit) FROM facts").fetchone()[0] == 10
    tables.close()


def test_demo_remembers_between_runs(tmp_path: Path) -> None:
    home = str(tmp_path / "demo")
    first = headrace("demo", "--for", "4", "--report", "json", "--port", "0", "--home", home)
    again = headrace("demo", "--for", "4", "--report", "json", "--port", "0", "--home", home)
    assert first.returncode == again.returncode == 0, again.stderr
    assert "one-time password" not in again.stderr
    assert json.loads(again.stdout.splitlines()[-1])["history_ok"] is True
