"""docs/streams.md is true, in both languages: its functions run, its commands work, its tables name what there is."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sqlite3
from pathlib import Path

import pytest
from tests.cli.shell import headrace

from headrace.sdk.stream import Reduce, StreamFunction, stream

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "streams.md", DOCS / "streams.zh-CN.md"]
BOTH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@BOTH
def test_python_runs(page: Path) -> None:
    space: dict[str, object] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for block in blocks(page, "python"):
            exec(block, space)
    assert isinstance(space["wear"], StreamFunction) and f"`{said.getvalue().strip()}`" in page.read_text("utf-8")


@BOTH
def test_commands_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wear.py").write_text(blocks(page, "python")[0])
    (lines,) = blocks(page, "sh")
    told = {}
    for line in lines.splitlines():
        _, *arguments = shlex.split(line)
        done = headrace(*arguments, "--home", tmp_path)
        assert done.status == 0, done.err
        told[arguments[1]] = done.out + done.err
    assert "shadow" in told["add"] and "wear" in told["list"] and "active" in told["promote"]
    assert "first" in told["journal"] and "retire" in told["journal"]
    assert headrace("stream", "rollback", "wear", "--home", tmp_path).status == 1
    missing = headrace("stream", "promote", "wear", "9", "--home", tmp_path)
    assert missing.status == 1 and "known: 1" in missing.err
    (rows,) = [headrace("stream", "list", "--json", "--home", tmp_path).json]
    assert [(one["name"], one["stage"]) for one in rows] == [("wear", "retired")]
    with sqlite3.connect(
        tmp_path / "database.db"
    ) as database:  # nobody runs the home, and the trail has it all the same
        trail = database.execute(
            "select actor, action, subject from access_audit where action like 'stream.%' order by 1"
        )
        assert sorted(trail) == [("local", f"stream.{act}", "wear") for act in ("add", "promote", "retire")]


@BOTH
def test_every_word_is_told(page: Path) -> None:
    text = page.read_text("utf-8")
    words = set(stream.__kwdefaults__ or {}) - {"name", "version", "assets", "to", "keep"}
    assert {*words, "inputs", "outputs"} <= set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) | {"window"}
    assert all(f"`{what}`" in text for what in Reduce)


def test_both_languages_show_the_same() -> None:
    for language in ("python", "sh"):
        assert blocks(PAGES[0], language) == blocks(PAGES[1], language)
