"""`headrace ca`: the certificates of a platform, and how other machines come to trust them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table
from headrace.cli.trust import fetch_authority, in_pairs, plain, sha256_of
from headrace.model.errors import AccessError, ConfigError

app = typer.Typer(help="Certificates of the platform: show, export, renew.", no_args_is_help=True)


@app.command("show")
def show(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show the certificates of a platform, and when they end."""
    found = connect(home, server).get("/certificates")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["kind"], one["subject"], one["ends_at"][:10], "by itself" if one["own"] else "", in_pairs(one["sha256"]))
        for one in found
    ]
    print_table(("for", "subject", "ends", "renewed", "SHA-256"), rows, empty="this platform does no TLS")


@app.command("export")
def export(
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    fingerprint: Annotated[str, typer.Option(help="What the platform said at its start; with --server.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for it; else stdout.")] = None,
) -> None:
    """Write the authority of a platform's certificate, to be trusted by browsers, devices and this command."""
    if server is not None:
        if not fingerprint:
            raise ConfigError("give --fingerprint with --server: whoever is in between could show another authority")
        pem, shown = fetch_authority(server)
        if shown != plain(fingerprint):
            raise AccessError(f"{server} shows another authority: {in_pairs(shown)}. Somebody may be in between")
    else:
        pem = connect(home, None).get_bytes("/ca.pem")
        shown = sha256_of(pem)
        if fingerprint and shown != plain(fingerprint):
            raise AccessError(f"the platform has another authority: {in_pairs(shown)}")
    if output is None:
        typer.echo(pem.decode(), nl=False)
    else:
        output.write_bytes(pem)
        note(f"{output} is written: import it into browsers, or give it as --ca (or HEADRACE_CA)")


@app.command("renew")
def renew(
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    authority: Annotated[bool, typer.Option("--authority", help="A new authority too; all have to trust it anew.")] = (
        False
    ),
    as_json: JsonOption = False,
) -> None:
    """Make a new certificate for the console now; connections go on."""
    done: list[dict[str, Any]] = connect(home, server).post("/certificates/renew", {"authority": authority})
    if as_json:
        print_json(done)
        return
    for one in done:
        note(f"{one['kind']}: until {one['ends_at'][:10]}, SHA-256 {in_pairs(one['sha256'])}")
