"""Notifications from the command line: what was told to whom, who is on call, whether a channel reaches somebody."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table
from headrace.model.errors import Refused

app = typer.Typer(name="notify", help="Notifications: what was told, who is on call, tests.", no_args_is_help=True)


@app.command("log")
def log(
    alarm: Annotated[str | None, typer.Argument(help="Only of this alarm, `<point>:<rule>`; all if none.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="How many, the newest first.")] = 50,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was told to whom, when, by which channel, what came of it, and when the next step is."""
    found = connect(home, server).get("/notifications", alarm=alarm, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["made_at"], one["state"], one["kind"], one["channel"], ", ".join(one["people"]), one["title"],
         one["next_step_at"] or "", one["error"])
        for one in found["notifications"]
    ]  # fmt: skip
    print_table(
        ("when", "state", "what", "channel", "whom", "message", "next step", "error"), rows, empty="nothing told"
    )


@app.command("on-call")
def on_call(
    at: Annotated[
        str | None, typer.Option("--at", help="RFC 3339, such as 2027-02-15T23:00:00+08:00; now if none.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who is on call, by roster."""
    found = connect(home, server).get("/notifications/on-call", at=at)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["roster"], one["shift"], f"{one['began_on']} {one['time_zone']}", _people(one["people"]))
        for one in found["shifts"]
    ]
    print_table(("roster", "shift", "began", "who"), rows, empty="nobody is on call")


@app.command("test")
def test(
    channel: Annotated[str, typer.Argument(help="The channel, as declared.")],
    contact: Annotated[str, typer.Argument(help="The contact, as declared.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a message that says that it is a test."""
    done = connect(home, server).post("/notifications/test", {"channel": channel, "contact": contact})
    if as_json:
        print_json(done)
    if done["state"] != "sent":
        raise Refused(f"'{channel}' did not take it: {done['error']}")
    if not as_json:
        note(f"'{channel}' has taken a test message for {', '.join(done['people'])}")


def _people(people: list[dict[str, Any]]) -> str:
    if not people:
        return "nobody"
    return "; ".join(f"{one['name']} ({', '.join(one['addresses'].values())})" for one in people)
