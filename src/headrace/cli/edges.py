"""`headrace edges`: the edges of this hub. (`headrace edge` runs one.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table
from headrace.model.time import SECOND_NS, parse_duration_ns

app = typer.Typer(help="Edges of this hub: invite, look at their links, revoke.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of an edge.")]


@app.command("list")
def list_edges(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show edges, their links, and what they should run and do."""
    found = connect(home, server).get("/edges")
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "state", "link", "latency", "loss", "backlog", "last contact", "desired", "runs", "part of the plant"),
        [_row(edge) for edge in found["edges"]],
        empty="no edges",
    )
    for connection, edge in found["strangers"].items():
        note(f"connection '{connection}' is declared to run on '{edge}', which nobody invited")


@app.command("show")
def show(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Show all that is known of an edge."""
    edge = connect(home, server).get(f"/edges/{name}")
    if as_json:
        print_json(edge)
        return
    rows = [
        (key, value) for key, value in edge.items() if not isinstance(value, dict | list) and value not in ("", None)
    ]
    actual = dict(edge["actual"] or {})
    for group, found in (("link", edge["link"] or {}), ("actual", actual.pop("facts", {}) | actual)):
        rows += [(f"{group} {key}", value) for key, value in _flat(found) if value not in ("", None)]
    print_table(("", ""), rows)
    for path in edge["left_out"]:
        note(f"left out: {path} is not below {edge['prefix']}")


@app.command("token")
def token(
    name: NameArgument,
    prefix: Annotated[str, typer.Option("--prefix", help="The part of the plant that it may bring samples for.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    valid: Annotated[str, typer.Option(help="How long the token may be used, from 1m to 30d.")] = "1h",
    as_json: JsonOption = False,
) -> None:
    """Make a one-time token for an edge, or for a machine that takes its place."""
    body = {"name": name, "prefix": prefix, "valid_s": parse_duration_ns(valid) / SECOND_NS}
    made = connect(home, server).post("/edges", body)
    if as_json:
        print_json(made)
        return
    note(f"Good once, until {made['edge']['token_ends_at']}, and shown only now. On the machine of the edge:")
    note("    headrace edge --hub <this hub>:8472 --token …")
    typer.echo(made["token"])


@app.command("revoke")
def revoke(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Close an edge and keep it out until it enrols anew with a new token."""
    done = connect(home, server).post(f"/edges/{name}/revoke", None)
    if as_json:
        print_json(done)
    else:
        note(f"{name} is revoked")


@app.command("remove")
def remove(name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None) -> None:
    """Forget an edge; its samples stay."""
    connect(home, server).delete(f"/edges/{name}")
    note(f"{name} is removed")


def _row(edge: dict[str, Any]) -> tuple[Any, ...]:
    link, actual = edge["link"] or {}, edge["actual"] or {}
    runs = actual.get("revision", "")
    if actual.get("error"):
        runs = f"{runs} ({actual['error'][:60]})"
    latency, loss, backlog = link.get("latency_ms"), link.get("loss"), link.get("backlog_s")
    return (
        edge["name"],
        edge["state"],
        "connected" if edge["connected"] else "",
        "" if latency is None else f"{latency:.0f} ms",
        "" if loss is None else f"{100 * loss:.1f} %",
        "" if backlog is None else f"{backlog:.1f} s",
        edge["last_contact_at"] or "never",
        edge["desired"],
        runs,
        edge["prefix"],
    )


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is nested by the names on the way to it: `devices online`."""
    for key, value in found.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            yield from ((f"{name} {inner}", one) for inner, one in _flat(value))
        else:
            yield name, value
