"""`headrace user` and `headrace token` against a running platform: who is there, and what each may do where."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table
from headrace.model.errors import DataError

token_app = typer.Typer(help="Tokens of programs: no more than they need.", no_args_is_help=True)

PartsOption = Annotated[
    list[str] | None,
    typer.Option("--on", help="A role on a part of the plant: ASSET=ROLE, or ASSET=ROLE@TIME to lend it until then."),
]


def list_users(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show the people of your tenant, and what each may do where."""
    found = connect(home, server).get("/users")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["name"],
            one["role"],
            "; ".join(_part(part) for part in one["parts"]),
            "disabled" if one["disabled"] else "one-time password" if one["must_change_password"] else "",
        )
        for one in found
    ]
    print_table(("name", "role", "on parts of the plant", ""), rows)


def add_user(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: Annotated[str, typer.Option(help="On the whole plant; 'member' for none.")] = "member",
    on: PartsOption = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account. Its one-time password is shown once."""
    made = connect(home, server).post("/users", {"name": name, "role": role, "parts": _parts(on or [])})
    if as_json:
        print_json(made)
        return
    note(f"{made['user']['name']} must choose a password after signing in with this one, which is shown only now:")
    typer.echo(made["one_time_password"])


def set_user(
    name: Annotated[str, typer.Argument(help="Name of an account.")],
    role: Annotated[str | None, typer.Option(help="On the whole plant; 'member' for none.")] = None,
    on: PartsOption = None,
    nowhere: Annotated[bool, typer.Option("--nowhere", help="Take all roles on parts away.")] = False,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Keep out, or let in again.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """Change what somebody may do; it counts from their next request on. `--on` replaces all roles on parts."""
    body: dict[str, Any] = {"role": role, "disabled": disable}
    if on or nowhere:
        body["parts"] = [] if nowhere else _parts(on or [])
    wanted = {key: value for key, value in body.items() if value is not None}
    changed = connect(home, server).patch(f"/users/{name}", wanted)
    parts = "; ".join(_part(part) for part in changed["parts"])
    note(f"{changed['name']} is {changed['role']}{' and ' + parts if parts else ''}")


@token_app.command("list")
def list_tokens(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show the tokens of your tenant."""
    found = connect(home, server).get("/tokens")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["name"],
            one["role"],
            ", ".join(one["paths"]),
            ", ".join(one["actions"]),
            one["expires_at"] or "",
            one["last_used_at"] or "never",
            one["id"],
        )
        for one in found
    ]
    print_table(("name", "role", "on", "only", "ends", "last used", "id"), rows)


@token_app.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="What it may do.")] = "viewer",
    on: Annotated[list[str] | None, typer.Option("--on", help="An asset that it is good for; else all.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="A scope, such as view; else all.")] = None,
    ends: Annotated[str | None, typer.Option(help="When it expires, RFC 3339.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """Make a token for a program. Its secret is shown once."""
    body = {"name": name, "role": role, "paths": on or [], "actions": only or [], "expires_at": ends}
    made = connect(home, server).post("/tokens", body)
    note("Send it as 'Authorization: Bearer …'. Shown only now:")
    typer.echo(made["secret"])


@token_app.command("withdraw")
def withdraw_token(
    id: Annotated[str, typer.Argument(help="Id of a token.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """Take a token back; it opens nothing from now on."""
    connect(home, server).delete(f"/tokens/{id}")
    note("withdrawn")


def _parts(texts: list[str]) -> list[dict[str, Any]]:
    parts = []
    for text in texts:
        path, sign, role = text.partition("=")
        role, _, until = role.partition("@")
        if not sign or not path or not role:
            raise DataError(f"'{text}' is not ASSET=ROLE; for example acme/line-1=operator")
        parts.append({"path": path, "role": role, "expires_at": until or None})
    return parts


def _part(part: dict[str, Any]) -> str:
    until = f" until {part['expires_at']}" if part["expires_at"] else ""
    return f"{part['role']} on {part['path'] or 'all'}{until}"
