"""The page on notifications says what is so: its declaration is accepted, its commands exist with these options."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from headrace.cli.main import app
from headrace.compute.notify.rosters import people_on_call
from headrace.connect.messengers import all_messengers
from headrace.model.time import SECOND_NS
from headrace.registry.declared import parse
from headrace.registry.expand import expand
from headrace.registry.problems import Problems
from headrace.sdk.services import SourceFile

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "notifications.md", DOCS / "notifications.zh-CN.md")


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_declaration_is_one(page: Path) -> None:
    (example,) = blocks(page, "yaml")
    problems = Problems()
    model = expand(parse([SourceFile("a.yaml", example)], problems), {}, problems, messengers=all_messengers())
    assert [str(one) for one in problems.errors()] == []
    assert model.notifications["works"].alarms.takes(model.alarms["works/air/pressure:low"])

    def on_call(text: str) -> tuple[str, ...]:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return people_on_call(model.rosters["shift-leaders"], round(moment.timestamp()) * SECOND_NS)

    assert on_call("2026-11-23T07:00+08:00") == ("li",) and on_call("2026-11-30T07:00+08:00") == ("wang",)
    assert on_call("2027-05-01T23:00+08:00") == ("chief",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_are_there_with_their_options(page: Path) -> None:
    group = typer.main.get_command(app).commands["notify"]  # type: ignore[attr-defined]
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        program, name, command, *arguments = shlex.split(line)
        assert (program, name) == ("headrace", "notify")
        group.commands[command].make_context(command, arguments)


def test_every_kind_of_channel_is_on_the_page() -> None:
    for page in PAGES:
        for kind in all_messengers():
            assert f"`{kind}`" in page.read_text("utf-8"), f"{page.name} lacks {kind}"


def test_both_languages_have_the_same_parts() -> None:
    english, chinese = (page.read_text("utf-8") for page in PAGES)
    assert len(re.findall(r"^## ", english, re.M)) == len(re.findall(r"^## ", chinese, re.M))
    assert blocks(PAGES[0], "yaml") == blocks(PAGES[1], "yaml") and blocks(PAGES[0], "sh") == blocks(PAGES[1], "sh")
