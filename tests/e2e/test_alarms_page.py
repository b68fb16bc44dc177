"""The page on alarms says what is so: its declaration is accepted, its commands exist with these options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from tests.registry.plants import expanded

from headrace.cli.main import app
from headrace.model.alarms import Priority

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "alarms.md", DOCS / "alarms.zh-CN.md")


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_declaration_is_one(page: Path) -> None:
    (example,) = blocks(page, "yaml")
    model, problems = expanded(example)
    assert problems == []
    rule = model.alarms["works/air/pressure:low"]
    assert rule.latched and rule.priority is Priority.CRITICAL and rule.handling.proof
    assert rule.suppressed_by == "works/air/stopped" and rule.rationale is not None
    assert model.assets["works/air"].feeds == ("works/line-1",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_are_there_with_their_options(page: Path) -> None:
    group = typer.main.get_command(app).commands["alarms"]  # type: ignore[attr-defined]
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(lines) == 10
    for line in lines:
        program, name, command, *arguments = shlex.split(line)
        assert (program, name) == ("headrace", "alarms")
        group.commands[command].make_context(command, arguments, resilient_parsing=command == "import")
