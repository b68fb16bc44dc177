"""How the command speaks: tables and colours for people, one JSON document for programs, errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import orjson
import typer

from headrace.model.errors import ConfigErrors, HeadraceError


def print_json(document: Any) -> None:
    """One line, so that the last line of any run with `--json` is the answer."""
    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "nothing") -> None:
    """A plain aligned table; `empty` is said where there are no rows."""
    if not rows:
        typer.echo(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def note(message: str) -> None:
    """A remark for the person, on stderr, so that stdout stays clean."""
    typer.secho(message, err=True, dim=True)


def complain(error: HeadraceError) -> None:
    """One error, or every error of a set of declarations, a line each."""
    if isinstance(error, ConfigErrors):
        for one in error.errors:
            typer.secho(f"✗ {one}", err=True, fg="red")
        typer.secho(f"{len(error.errors)} to mend; nothing was changed.", err=True)
    else:
        typer.secho(f"✗ {error}", err=True, fg="red")
