"""`headrace keys`: the keys that seal what is secret on disk."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, connect, running
from headrace.cli.output import note, print_json
from headrace.cli.serve import SealKeyOption

app = typer.Typer(help="Keys that seal secrets on disk: make one for a vault, rotate.", no_args_is_help=True)


@app.command("make")
def make() -> None:
    """Print a new key, for a vault or a credential of systemd (--seal-key)."""
    from headrace.access.seal import as_line, new_key

    typer.echo(as_line(new_key()))


@app.command("rotate")
def rotate(
    home: HomeOption = DEFAULT_HOME,
    seal_key: SealKeyOption = "",
    forget_old: Annotated[
        bool, typer.Option("--forget-old", help="Older keys open nothing any more: not even an older backup.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Seal everything with a new key, whether the platform runs or not."""
    if running(home) is not None:
        done = connect(home, None).post("/keys/rotate", {"forget_old": forget_old})
    else:
        done = _offline(home, seal_key, forget_old)
    if as_json:
        print_json(done)
        return
    note(f"{done['files']} files and {done['rows']} rows are sealed with key {done['key']}")
    if done["keys"] > 1:
        note(f"{done['keys'] - 1} older keys still open what was copied away before; --forget-old ends that")


def _offline(home: Any, seal_key: str, forget_old: bool) -> Any:
    from dataclasses import asdict

    from headrace.platform.offline import rotate_keys

    return asdict(rotate_keys(home, seal_key, forget_old))
