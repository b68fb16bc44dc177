"""The page on installing apps says what is so: its commands exist with these options, in both languages alike."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from headrace.cli.main import app
from headrace.hosting.desk import VERSIONS_MAX
from headrace.hosting.runner import ENDS_MAX

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "app-store.md", DOCS / "app-store.zh-CN.md")


def lines(page: Path) -> list[str]:
    found = re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return [line for block in found for line in block.splitlines()]


def test_the_commands_are_there_with_their_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        Path(f"press-view-{version}.hrpkg").touch()
    group = typer.main.get_command(app).commands["app"]  # type: ignore[attr-defined]
    assert len(lines(PAGES[0])) == 13
    for line in lines(PAGES[0]):
        program, app_word, name, *arguments = shlex.split(line)
        assert (program, app_word) == ("headrace", "app")
        group.commands[name].make_context(name, arguments, resilient_parsing=False)


def test_both_languages_have_the_same_commands() -> None:
    assert lines(PAGES[0]) == lines(PAGES[1])


def test_the_numbers_are_those_of_the_code() -> None:
    text = PAGES[0].read_text("utf-8")
    assert "Five versions are kept" in text and VERSIONS_MAX == 5
    assert "failed five times in a row" in text and ENDS_MAX == 5
