"""How the command speaks: tables and colours for people, one JSON document for programs, errors on stderr.

Names, values and messages may come from a device: none of them steers the terminal (`model/text.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import orjson
import typer

from headrace.model.errors import ConfigErrors, HeadraceError
from headrace.model.text import shown, shown_json


def print_json(document: Any) -> None:
    """One line, so that the last line of any run with `--json` is the answer."""
    sys.stdout.write(shown_json(orjson.dumps(document).decode()) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "nothing") -> None:
    """A plain aligned table; `empty` is said where there are no rows."""
    if not rows:
        say(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else shown(str(cell))) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def say(
    message: str = "", *, err: bool = False, nl: bool = True, fg: str | None = None, dim: bool | None = None
) -> None:
    """A line, or more; in colour where a terminal shows it."""
    typer.secho(shown(message, lines=True), err=err, nl=nl, fg=fg, dim=dim)


def note(message: str) -> None:
    """A remark for the person, on stderr, so that stdout stays clean."""
    say(message, err=True, dim=True)


def complain(error: HeadraceError) -> None:
    """One error, or every error of a set of declarations, a line each."""
    if isinstance(error, ConfigErrors):
        for one in error.errors:
            say(f"✗ {one}", err=True, fg="red")
        say(f"{len(error.errors)} to mend; nothing was changed.", err=True)
    else:
        say(f"✗ {error}", err=True, fg="red")
