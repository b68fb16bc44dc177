"""The page on writes says what is so: its declaration is accepted, its commands exist with these options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from tests.registry.plants import expanded

from headrace.cli.main import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "writing.md", DOCS / "writing.zh-CN.md")
REST = """
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {}, a/p: {type: press, connection: plc}}
"""


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_declaration_is_one(page: Path) -> None:
    (example,) = blocks(page, "yaml")
    others = "guard.closed: {type: bool, address: {table: coil, address: 1}}\noil.temperature: {unit: Cel}\n"
    points = "".join(f"      {line}\n" for line in (others + example).splitlines())
    model, problems = expanded(f"types:\n  press:\n    points:\n{points}{REST}")
    assert problems == []
    guard = model.points["a/p/setpoint.speed"].guard
    assert guard.critical and len(guard.interlocks) == 2 and guard.limits.writes_each == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_are_there_with_their_options(page: Path) -> None:
    root = typer.main.get_command(app)
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        program, name, *arguments = shlex.split(line, comments=True)
        assert program == "headrace"
        command = root.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, arguments, resilient_parsing=False)
