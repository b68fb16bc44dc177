"""`headrace app`: apps of a running platform, as its client.

    install, update FILE.hrpkg ─► the platform judges who signed it
    install, update FOLDER|WHEEL ─► left in the home's own run/apps ─► the platform takes it from there: no signature,
                                    so only on its own machine, by who owns the home
    enable ─► shows what the app asks for, and asks ─► accepted

The commands of authors (new, test, pack, sign, call) join the same group from `app_author.py`.
"""

from __future__ import annotations

import json
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headrace.cli.app_author import author_commands
from headrace.cli.client import (
    DEFAULT_HOME,
    Client,
    HomeOption,
    JsonOption,
    ServerOption,
    connect,
    running,
)
from headrace.cli.output import note, print_json, print_table, say
from headrace.model.errors import AccessError, ConfigError
from headrace.sdk.secret_files import FOLDER_MODE, put_private

app = typer.Typer(help="Apps: installed, taken in, updated, rolled back (docs/app-store.md).", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the app.", show_default=False)]
SourceArgument = Annotated[
    Path, typer.Argument(help="A .hrpkg; or, on the platform's own machine, a folder or a wheel.", exists=True)
]
WhyOption = Annotated[str, typer.Option("--why", help="For the audit trail.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting; JSON where it is no text; repeatable."),
]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="Settings as a TOML file; it may hold secrets.", exists=True)
]
DeleteOption = Annotated[bool, typer.Option("--delete-data", help="Tables, documents and settings go too.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


@app.command("list")
def list_apps(
    home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False,
    every: Annotated[bool, typer.Option("--all", help="As the platform's operator: whosever they are.")] = False,
) -> None:  # fmt: skip
    """Apps, and what of them the tenant has taken in."""
    found = connect(home, server).get("/apps/shelf" if every else "/apps")
    if as_json:
        print_json(found)
    elif every:
        rows = [[one["name"], one["offered"], one["owner"], one["tenants"], one["trouble"]] for one in found]
        print_table(["app", "offered", "whose", "tenants", "trouble"], rows, empty="no apps")
    else:
        rows = [
            [one["name"], _title(one), one["version"], one["offered"], one["state"], one["origin"], one["trouble"]]
            for one in found
        ]
        print_table(["app", "title", "version", "offered", "state", "from", "trouble"], rows, empty="no apps")


@app.command("show")
def show(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """One app: what it asks for, its versions, and how it fares."""
    client = connect(home, server)
    one = client.get(_route(name))
    one["health"] = client.get(_route(name, "health"))
    if as_json:
        print_json(one)
        return
    say(f"{one['name']} {one['version']}  {_title(one)}")
    say(f"state      {_state(one)}")
    say(f"licence    {one['licence'] or 'none said'}")
    say(f"offered    {one['offered']}, {one['origin']}")
    for line in _asked(one["permissions"]):
        say(f"asks for   {line}")
    for line in one["asks"]:
        say(f"not accepted yet: {line}")
    health = one["health"]
    if health["memory_bytes"] is not None:
        used = f"{health['memory_bytes'] / 1e6:.0f} MB, {health['cpu_s']:.1f} s of CPU"
        say(f"uses       {used}; {health['calls']:,} calls, {health['failures']:,} failed")
    columns = ["version", "from", "added", "by", "signed by"]
    rows = [[v["version"], v["origin"], v["added_at"], v["added_by"], ", ".join(v["signers"])] for v in one["versions"]]
    print_table(columns, rows)


@app.command("install")
def install(source: SourceArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None) -> None:
    """Install an app for all tenants; each enables it for itself."""
    client = connect(home, server)
    if source.suffix == ".hrpkg":
        _offered(client.send_file("/apps", source.read_bytes()))
    else:
        _offered(_leave(client, source, home, server))


@app.command("update")
def update(
    name: NameArgument, source: SourceArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None
) -> None:
    """Install a newer version; tenants whom it asks for more stay on theirs until they enable it again."""
    client = connect(home, server)
    if source.suffix == ".hrpkg":
        _offered(client.send_file(_route(name, "update"), source.read_bytes()))
        return
    _offered(_leave(client, source, home, server, name))


@app.command("rollback")
def rollback(
    name: NameArgument,
    restore: Annotated[
        bool, typer.Option("--restore-tables", help="Also the tables; what was written since is set aside.")
    ] = False,
    why: WhyOption = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """Go back to the version before, for all tenants."""
    body = {"tables": "restore" if restore else "keep", "why": why}
    _offered(connect(home, server).post(_route(name, "rollback"), body))


@app.command("enable")
def enable(
    name: NameArgument, values: SetOption = None, file: FileOption = None, yes: YesOption = False,
    home: HomeOption = DEFAULT_HOME, server: ServerOption = None,
) -> None:  # fmt: skip
    """Accept what an app asks for, and let it run for your tenant."""
    client = connect(home, server)
    one = client.get(_route(name))
    lines = one["asks"] or _asked(one["permissions"])
    if not yes:
        say(f"{one['name']} {one['offered']} asks for:")
        for line in lines or ["nothing"]:
            say(f"  {line}")
        typer.confirm("Accept that?", abort=True, err=True)
    body: dict[str, Any] = {"version": one["offered"]}
    if values or file:
        body["settings"] = {**_kept(client, name), **_filled(values, file)}
    _stands(client.post(_route(name, "enable"), body))


@app.command("disable")
def disable(
    name: NameArgument, delete: DeleteOption = False, yes: YesOption = False, home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:  # fmt: skip
    """Stop an app for your tenant."""
    if delete and not yes:
        typer.confirm(f"Delete all that {name} keeps? `headrace app export` writes it out first.", abort=True, err=True)
    _stands(connect(home, server).post(_route(name, "disable"), {"data": "delete" if delete else "keep"}))


@app.command("settings")
def settings(
    name: NameArgument, values: SetOption = None, file: FileOption = None, home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """What an app is set to; with --set or --file, set it anew: the rest stays."""
    client = connect(home, server)
    form = client.get(_route(name, "settings"))
    if values or file:
        merged = {**form["values"], **_filled(values, file)}
        form = client.put(_route(name, "settings"), {"values": merged})
    if as_json:
        print_json(form)
        return
    rows = []
    for one in form["form"]:
        value = form["values"].get(one["name"], one["default"])
        shown = "(secret)" if one["name"] in form["secrets"] else json.dumps(value, ensure_ascii=False)
        rows.append([one["name"], one["kind"], shown if value is not None or "(" in shown else "", _title(one)])
    print_table(["setting", "kind", "value", "title"], rows, empty="it has none")


@app.command("uninstall")
def uninstall(
    name: NameArgument, delete: DeleteOption = False, yes: YesOption = False, home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:  # fmt: skip
    """Take an app from all tenants; what it keeps stays unless it is to be deleted."""
    if not yes:
        what = "and delete all that it keeps, of every tenant" if delete else "and keep its data"
        typer.confirm(f"Uninstall {name} {what}?", abort=True, err=True)
    connect(home, server).delete(f"{_route(name)}?data={'delete' if delete else 'keep'}")
    note(f"{name} is uninstalled")


@app.command("export")
def export(
    name: NameArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: NAME.zip here.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """Write what an app keeps for your tenant into a zip: tables as SQLite, documents, settings without secrets."""
    target = output or Path(f"{name}.zip")
    size = connect(home, server).download(_route(name, "export"), target, {})
    note(f"{target}: {size:,} bytes")


@app.command("log")
def log(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """What an app said, oldest first."""
    lines = connect(home, server).get(_route(name, "log"))
    if as_json:
        print_json(lines)
        return
    for line in lines:
        say(f"{line['time']}  {line['text']}")


# --- parts -----------------------------------------------------------------------------------------------------------


def _leave(client: Client, source: Path, home: Path, server: str | None, name: str = "") -> Any:
    """An unsigned app for the platform of this machine. Raises: AccessError, ConfigError."""
    from headrace.hosting.releases import from_path

    there = next((one for one in (home, home / "demo") if running(one) is not None), None)
    if server is not None or there is None:
        raise AccessError(
            f"{source} is not signed, so it is installed on the platform's own machine only; sign it with "
            "`headrace app sign`, or run this there, without --server"
        )
    release = from_path(source)
    if name and release.manifest.name != name:
        raise ConfigError(f"{source} is {release.manifest.name}, not {name}")
    folder = there / "run" / "apps"
    ticket = f"{secrets.token_hex(16)}.{release.origin.value}"
    try:
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        put_private(folder / ticket, release.kept)
    except OSError as error:
        raise AccessError(f"cannot write into {folder} ({error.strerror}); run this as who owns the home") from None
    try:
        return client.post("/apps/local", {"ticket": ticket, "source": str(source.resolve())[-500:]})
    finally:
        (folder / ticket).unlink(missing_ok=True)


def _filled(values: list[str] | None, file: Path | None) -> dict[str, Any]:
    """Raises: ConfigError."""
    found: dict[str, Any] = {}
    if file is not None:
        try:
            found = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"this cannot be read as TOML: {error}", file=str(file)) from None
    for one in values or []:
        name, equals, text = one.partition("=")
        if not equals:
            raise ConfigError(f"'{one[:60]}' is no setting; write NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _kept(client: Client, name: str) -> dict[str, Any]:
    return dict(client.get(_route(name, "settings"))["values"])


def _asked(permissions: dict[str, Any]) -> list[str]:
    """What an app asks for, a line each."""
    found = []
    for what, given in permissions.items():
        if isinstance(given, list):
            found += [f"{what}: {one}" for one in given]
        elif given is True:
            found.append(what)
        elif given:
            found.append(f"{what}: {given}")
    return found


def _title(one: dict[str, Any]) -> str:
    titles: dict[str, str] = one["title"]
    return titles.get("en") or next(iter(titles.values()), "")


def _offered(one: dict[str, Any]) -> None:
    note(f"{one['name']} {one['offered']} is offered; enabled for {one['tenants']} of the tenants")


def _state(one: dict[str, Any]) -> str:
    return f"{one['state']}: {one['trouble']}" if one["trouble"] else str(one["state"])


def _stands(one: dict[str, Any]) -> None:
    note(f"{one['name']} {one['version']} is {_state(one)}")


def _route(name: str, act: str = "") -> str:
    return f"/apps/{quote(name, safe='')}{f'/{act}' if act else ''}"


author_commands(app)
