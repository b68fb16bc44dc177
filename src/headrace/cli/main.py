"""The `headrace` command: one typer application, one module a group of commands, one place for errors.

    serve demo          cli/serve.py          plan apply export   cli/declarations.py
    hub edge            cli/roles.py
    points              cli/points.py         tail                cli/live.py
    write writes approve reject withdraw lock unlock locks        cli/writes.py
    history             cli/history.py        doctor              cli/doctor.py
    sql                 cli/sql.py            backtest            cli/backtest.py
    plant               cli/plant.py          user reset          cli/users.py
    user token          cli/people.py         tenant share        cli/tenants.py
    device              cli/devices.py        edges               cli/edges.py
    package             cli/packages.py       sbom                cli/sbom.py
    ca                  cli/ca.py             keys                cli/keys.py
    audit               cli/audit.py          alarms              cli/alarms.py
    stream              cli/streams.py        notify              cli/notify.py
    app                 cli/apps.py

Commands that look at a running platform are clients of its HTTP interface, as the console is. Exit status: 0 done,
1 refused or failed (one line on stderr says why and what to do), 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from headrace import __version__
from headrace.cli import (
    alarms,
    apps,
    audit,
    backtest,
    ca,
    declarations,
    devices,
    doctor,
    edges,
    history,
    keys,
    live,
    notify,
    packages,
    people,
    plant,
    points,
    roles,
    sbom,
    serve,
    sql,
    streams,
    tenants,
    users,
    writes,
)
from headrace.cli.output import complain
from headrace.cli.trust import VARIABLE
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
    trusted: Path | None = typer.Option(
        None, "--ca", envvar=VARIABLE, exists=True, dir_okay=False, help="Authority to trust over TLS, PEM."
    ),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it and stop."),
) -> None:
    """Shared options."""
    del version
    if trusted is not None:
        os.environ[VARIABLE] = str(trusted)


app.command("demo")(serve.demo)
app.command("serve")(serve.serve)
app.command("hub")(roles.hub)
app.command("edge")(roles.edge)
app.command("plan")(declarations.plan)
app.command("apply")(declarations.apply)
app.command("export")(declarations.export)
app.add_typer(points.app, name="points")
app.command("backtest")(backtest.backtest)
app.command("tail")(live.tail)
app.command("write")(writes.write)
app.command("writes")(writes.writes)
app.command("approve")(writes.approve)
app.command("reject")(writes.reject)
app.command("withdraw")(writes.withdraw)
app.command("lock")(writes.lock)
app.command("unlock")(writes.unlock)
app.command("locks")(writes.locks)
app.command("sql")(sql.sql)
app.command("doctor")(doctor.doctor)
app.command("sbom")(sbom.sbom)
app.add_typer(history.app, name="history")
app.add_typer(devices.app, name="device")
app.add_typer(edges.app, name="edges")
app.add_typer(packages.app, name="package")
app.add_typer(plant.app, name="plant")
users.app.command("list")(people.list_users)
users.app.command("add")(people.add_user)
users.app.command("set")(people.set_user)
app.add_typer(users.app, name="user")
app.add_typer(people.token_app, name="token")
app.add_typer(tenants.tenant_app, name="tenant")
app.add_typer(tenants.share_app, name="share")
app.add_typer(ca.app, name="ca")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(alarms.app, name="alarms")
app.add_typer(streams.app, name="stream")
app.add_typer(notify.app, name="notify")
app.add_typer(apps.app, name="app")


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
