"""Setpoints from the command line: write, wait for a second person, decide, stop all writes and let them go on.

write ─► confirmed, refused, failed        └► waits ─► approve or reject, by somebody else ─► its end
lock ─► nothing below is written ─► unlock
"""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table
from headrace.model.errors import HeadraceError

WAITS = "awaiting-approval"
_POLL_S = 1.0

Id = Annotated[str, typer.Argument(help="Its id, or how that begins; `headrace writes` shows it.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the audit trail.")]


def write(
    path: Annotated[str, typer.Argument(help="Path of a point.")],
    value: Annotated[str, typer.Argument(help="The new value, in the point's unit.")],
    reason: Reason,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the second person of a critical write.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Change a setpoint, and wait until the device confirms it by read-back.

    A critical one waits for somebody else first; Ctrl-C leaves it waiting.
    """
    client = connect(home, server)
    point = client.get(f"/points/{path}")
    command = client.post("/writes", {"path": path, "value": typed(value, point["kind"]), "reason": reason})
    if command["state"] == WAITS:
        until = command["expires_at"]
        note(f"'{path}' is critical: waiting until {until} for somebody else to approve {command['id']}")
        if wait:
            command = _decided(client, command)
    _tell(command, point["unit"], as_json)


def writes(
    path: Annotated[str | None, typer.Argument(help="Path of a point; all if none is named.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for approval.")] = False,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="How many.")] = 20,
) -> None:
    """Writes, the newest first."""
    found = connect(home, server).get("/writes", path=path, state=WAITS if waiting else None, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"][:8], one["requested_at"], one["state"], one["path"], str(one["value"]), one["actor"],
         one["approver"], one["detail"] or one["reason"])
        for one in found
    ]  # fmt: skip
    print_table(("id", "asked", "state", "point", "value", "by", "approver", "why"), rows, empty="no writes")


def approve(
    id: Id,
    reason: Annotated[str, typer.Option("--reason", "-r", help="What was looked at; kept in the audit trail.")] = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a critical write as its second person: all is checked again, then it is sent."""
    client = connect(home, server)
    command = _waiting(client, id)
    _tell(client.post(f"/writes/{command['id']}/approve", {"reason": reason}), None, as_json)


def reject(
    id: Id, reason: Reason, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Reject a critical write as its second person."""
    client = connect(home, server)
    ended = client.post(f"/writes/{_waiting(client, id)['id']}/reject", {"reason": reason})
    print_json(ended) if as_json else typer.echo(ended["detail"])


def withdraw(
    id: Id,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the audit trail.")] = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a critical write of your own that still waits."""
    client = connect(home, server)
    ended = client.post(f"/writes/{_waiting(client, id)['id']}/withdraw", {"reason": reason})
    print_json(ended) if as_json else typer.echo(ended["detail"])


def lock(
    reason: Reason,
    path: Annotated[str, typer.Argument(help="An asset with all below it, or a point; everything if none.")] = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop all writes below a path at once. When this returns, none is on its way to a device."""
    made = connect(home, server).post("/locks", {"path": path, "reason": reason})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"locked: {_where(made)}; `headrace unlock {made['id'][:8]}` lets writes go on")


def unlock(
    id: Annotated[str, typer.Argument(help="The lock's id, or how that begins; `headrace locks` shows it.")],
    reason: Reason,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let writes go on."""
    client = connect(home, server)
    known = _one_of(client.get("/locks"), id, "lock stands", "headrace locks")
    released = client.post(f"/locks/{known['id']}/release", {"reason": reason})
    print_json(released) if as_json else typer.echo(f"released: {_where(released)}")


def locks(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Locks of writes that stand."""
    found = connect(home, server).get("/locks")
    if as_json:
        print_json(found)
        return
    rows = [(one["id"][:8], _where(one), one["locked_at"], one["locked_by"], one["reason"]) for one in found]
    print_table(("id", "where", "since", "by", "why"), rows, empty="no lock stands")


def typed(text: str, kind: str) -> Any:
    """A value as its point's kind wants it. Raises: HeadraceError."""
    if kind == "text":
        return text
    if kind == "bool":
        known = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
        if text.lower() not in known:
            raise HeadraceError(f"'{text}' is neither true nor false")
        return known[text.lower()]
    try:
        number = int(text) if kind == "int64" else float(text)
    except ValueError:
        raise HeadraceError(f"'{text}' is not a {kind} value") from None
    if isinstance(number, float) and not math.isfinite(number):
        raise HeadraceError(f"'{text}' cannot be written: it is no number")
    return number


def _decided(client: Client, command: dict[str, Any]) -> dict[str, Any]:
    """The command once it waits no more; the platform ends it when its time is up."""
    while command["state"] == WAITS or command["finished_at"] is None:
        time.sleep(_POLL_S)
        found = client.get("/writes", path=command["path"], limit=100)
        command = next((one for one in found if one["id"] == command["id"]), command)
    return command


def _waiting(client: Client, id: str) -> dict[str, Any]:
    found = client.get("/writes", state=WAITS, limit=1000)
    if len(id) == 36 and not any(one["id"] == id for one in found):
        return {"id": id}  # the platform says what became of it
    return _one_of(found, id, "write waits", "headrace writes --waiting")


def _one_of(found: list[dict[str, Any]], id: str, noun: str, command: str) -> dict[str, Any]:
    matching = [one for one in found if id and one["id"].startswith(id)]
    if len(matching) != 1:
        said = f"no {noun} whose id begins so" if not matching else f"{len(matching)} ids begin so"
        raise HeadraceError(f"'{id}': {said}; `{command}` shows them")
    return matching[0]


def _where(lock: dict[str, Any]) -> str:
    return lock["path"] or "everything"


def _tell(command: dict[str, Any], unit: str | None, as_json: bool) -> None:
    if as_json:
        print_json(command)
    elif command["state"] == "confirmed":
        typer.echo(f"confirmed: {command['path']} is {command['read_back']} {unit or ''}".rstrip())
    if command["state"] not in ("confirmed", WAITS):
        raise HeadraceError(f"{command['state']}: {command['detail']}")
