"""The `headrace` command: one typer application, one module a group of commands, one place for errors.

    serve demo          cli/serve.py          plan apply export   cli/declarations.py
    hub edge            cli/roles.py
    points              cli/points.py         tail write          cli/live.py
    history             cli/history.py        doctor              cli/doctor.py
    sql                 cli/sql.py
    plant               cli/plant.py          user                cli/users.py
    device              cli/devices.py        edges               cli/edges.py

Commands that look at a running platform are clients of its HTTP interface, as the console is. Exit status: 0 done,
1 refused or failed (one line on stderr says why and what to do), 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer

from headrace import __version__
from headrace.cli import declarations, devices, doctor, edges, history, live, plant, points, roles, serve, sql, users
from headrace.cli.output import complain
from headrace.model.errors import HeadraceError

app = typer.Typer(
    name="headrace",
    help="Connect machines, remember and judge their data, and control them: an industrial internet platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"headrace {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it and stop."),
) -> None:
    """Shared options."""


app.command("demo")(serve.demo)
app.command("serve")(serve.serve)
app.command("hub")(roles.hub)
app.command("edge")(roles.edge)
app.command("plan")(declarations.plan)
app.command("apply")(declarations.apply)
app.command("export")(declarations.export)
app.add_typer(points.app, name="points")
app.command("tail")(live.tail)
app.command("write")(live.write)
app.command("sql")(sql.sql)
app.command("doctor")(doctor.doctor)
app.add_typer(history.app, name="history")
app.add_typer(devices.app, name="device")
app.add_typer(edges.app, name="edges")
app.add_typer(plant.app, name="plant")
app.add_typer(users.app, name="user")


def main() -> None:
    """Entry point of the `headrace` script."""
    try:
        app(prog_name="headrace")  # also as `python -m headrace`
    except HeadraceError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `headrace tail | head`
        sys.stderr.close()
        sys.exit(0)
