"""What the command says of itself: help, version, completion, and wrong usage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.shell import headrace

import headrace as package
from headrace.cli.main import app
from headrace.cli.main import main as entry_point


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))
# These hand everything over to the plant's own parser, in a process of its own; tests/plants asks them.
PASSED_ON = {path for path in ALL if path[:1] == ("plant",) and len(path) == 2}
TYPERS_OWN = {"install_completion", "show_completion"}
OURS = [path for path in ALL if path not in PASSED_ON]


@pytest.mark.parametrize("path", OURS, ids=" ".join)
def test_help_tells_what_each_command_and_option_does(path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        said = headrace(*path, flag)
        assert said.status == 0
        assert said.out.startswith("Usage: headrace")
        assert said.err == ""
    assert ALL[path].help, path
    silent = [p.name for p in ALL[path].params if p.name not in TYPERS_OWN and not getattr(p, "help", None)]
    assert not silent, f"{' '.join(path)}: no help for {silent}"


def test_all_commands_are_known() -> None:
    assert {" ".join(path) for path in ALL if not hasattr(ALL[path], "commands")} == {
        "demo", "serve", "plan", "apply", "export", "points list", "points import", "points export", "tail", "write",
        "writes", "approve", "reject", "withdraw", "lock", "unlock", "locks",
        "history show", "history export", "history import", "history migrate", "sql",
        "history check", "history repair", "history backup", "history restore", "history backups",
        "doctor", "plant run", "plant replay", "plant fault", "plant clear", "plant declare",
        "user reset", "user list", "user add", "user set", "token list", "token add", "token withdraw", "sbom",
        "audit verify", "audit export", "audit tail",
        "points backfill", "backtest",
        "alarms list", "alarms ack", "alarms reset", "alarms shelve", "alarms unshelve", "alarms remove",
        "alarms return", "alarms kpis", "alarms export", "alarms import",
        "stream add", "stream promote", "stream rollback", "stream retire", "stream place", "stream list",
        "stream journal", "stream worker", "stream backtest", "notify log", "notify on-call", "notify test",
        "tenant list", "tenant add", "tenant close", "tenant reopen", "share list", "share add", "share end",
        "app list", "app show", "app install", "app update", "app rollback", "app enable", "app disable",
        "app settings", "app uninstall", "app export", "app log",
        "app new", "app test", "app pack", "app sign", "app call",
        "package new-key", "package sign", "package verify", "package show",
        "ca show", "ca export", "ca renew", "keys make", "keys rotate",
        "device certificate", "device certificates", "device revoke",
        "device list", "device show", "device refused", "device add", "device approve", "device block",
        "device rename", "device rotate", "device remove", "device import",
        "edge", "hub", "edges list", "edges show", "edges token", "edges revoke", "edges remove",
    }  # fmt: skip


def test_nothing_said_shows_the_help() -> None:
    said = headrace()
    assert "demo" in said.out + said.err and "doctor" in said.out + said.err


def test_version() -> None:
    said = headrace("--version")
    assert (said.status, said.out) == (0, f"headrace {package.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("plan",),
        ("plan", "-f"),
        ("history", "show"),
        ("serve", "--port", "many"),
        ("write", "a/b", "1"),
        ("points", "import", "nowhere.csv", "-f", "x"),
        ("tail", "--no-such-option"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_no_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    said = headrace(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert "Error: " in said.err and "Traceback" not in said.err
    assert "Usage: " not in said.err or "Usage: headrace" in said.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_it(shell: str) -> None:
    script = headrace(_HEADRACE_COMPLETE=f"source_{shell}")
    assert script.status == 0 and "_HEADRACE_COMPLETE" in script.out


def test_completion_offers_the_commands() -> None:
    said = headrace(_HEADRACE_COMPLETE="complete_bash", COMP_WORDS="headrace p", COMP_CWORD="1")
    assert set(said.out.split()) == {"package", "plan", "points", "plant"}


def test_the_entry_point_is_the_one_that_is_installed() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="headrace")
    assert script.load().__qualname__ == entry_point.__qualname__
    assert sys.version_info >= (3, 11)
