"""`headrace tenant`: the firms of this hub. `headrace share`: what they let each other see."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table

tenant_app = typer.Typer(help="Firms of this hub, for who operates it: take in, close, reopen.", no_args_is_help=True)
share_app = typer.Typer(help="What partners may see of your plant, and you of theirs.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of a firm: a-z, 0-9 and -.")]


@tenant_app.command("list")
def list_tenants(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show the firms of this hub and what they own."""
    found = connect(home, server).get("/tenants")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["name"], one["title"], ", ".join(one["roots"]) or "the rest", "closed" if one["disabled"] else "")
        for one in found
    ]
    print_table(("name", "title", "owns", ""), rows)


@tenant_app.command("add")
def add_tenant(
    name: NameArgument,
    root: Annotated[list[str] | None, typer.Option("--root", help="First segment of its paths; else its name.")] = None,
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    one_owner: Annotated[
        bool, typer.Option("--one-owner", help="One account for everything, instead of three with separate duties.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a firm in. Its first accounts are shown once; hand them over."""
    body = {"name": name, "title": title, "roots": root or [name], "separate_duties": not one_owner}
    made = connect(home, server).post("/tenants", body)
    if as_json:
        print_json(made)
        return
    note(f"{name} owns {', '.join(made['tenant']['roots'])}. One-time passwords, shown only now:")
    for user, password in made["one_time_passwords"].items():
        typer.echo(f"{user} {password}")


@tenant_app.command("close")
def close_tenant(name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None) -> None:
    """Let nobody of a firm in any more; nothing of it is lost."""
    connect(home, server).patch(f"/tenants/{name}", {"disabled": True})
    note(f"{name} is closed")


@tenant_app.command("reopen")
def reopen_tenant(name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None) -> None:
    """Let a firm in again."""
    connect(home, server).patch(f"/tenants/{name}", {"disabled": False})
    note(f"{name} is open")


@share_app.command("list")
def list_grants(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show what is shared, in both directions."""
    found = connect(home, server).get("/grants")
    if as_json:
        print_json(found)
        return
    rows = [("to", one["partner"], *_row(one)) for one in found["given"]]
    rows += [("from", one["owner"], *_row(one)) for one in found["received"]]
    print_table(("", "partner", "asset", "points", "samples", "ends", "for", "id"), rows, empty="nothing is shared")


@share_app.command("add")
def add_grant(
    partner: Annotated[str, typer.Argument(help="Name of the firm that may see it.")],
    asset: Annotated[str, typer.Argument(help="An asset of yours; all below it counts.")],
    purpose: Annotated[str, typer.Option("--for", help="What it may be used for.")],
    points: Annotated[
        list[str] | None, typer.Option("--points", help="Glob of what follows the asset, such as '*/oil.*'; else all.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Samples from this time on, RFC 3339 or now-1d.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="Samples before this time.")] = None,
    expires: Annotated[str | None, typer.Option("--ends", help="When the grant ends by itself.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a partner see a part of the plant. It only reads, and each read is in the audit trails of both."""
    body = {
        "partner": partner, "asset": asset, "purpose": purpose, "points": points or [],
        "start": start, "end": end, "expires_at": expires,
    }  # fmt: skip
    made = connect(home, server).post("/grants", body)
    if as_json:
        print_json(made)
        return
    note(f"{partner} may see it from now on; end it with: headrace share end {made['id']}")
    typer.echo(made["id"])


@share_app.command("end")
def end_grant(
    id: Annotated[str, typer.Argument(help="Id of a grant that you gave.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """End a grant, from the partner's next request on."""
    done = connect(home, server).post(f"/grants/{id}/end", None)
    note(f"{done['partner']} sees {done['asset']} no more")


def _row(grant: dict[str, Any]) -> tuple[str, ...]:
    span = "" if not (grant["start"] or grant["end"]) else f"{grant['start'] or ''} – {grant['end'] or ''}"
    ends = f"ended {grant['ended_at']}" if grant["ended_at"] else grant["expires_at"] or ""
    return (grant["asset"], ", ".join(grant["points"]) or "all", span, ends, grant["purpose"], grant["id"])
