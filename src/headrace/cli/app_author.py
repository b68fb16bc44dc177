"""`headrace app new|test|pack|sign|call`: what authors of apps do. Only `call` needs a platform that runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headrace.cli.app_scaffold import scaffold
from headrace.cli.client import DEFAULT_HOME, HomeOption, ServerOption, connect
from headrace.cli.output import note, print_json
from headrace.cli.packages import PassphraseOption, made_on, passphrase_of
from headrace.fleet.packages import build, countersign, read_signing_key
from headrace.hosting.releases import read_folder
from headrace.model.errors import ConfigError, ConfigErrors, Unavailable
from headrace.sdk.apps import read_manifest
from headrace.sdk.apps.checking import problems_of
from headrace.sdk.apps.manifest import FILE, AppManifest

FolderArgument = Annotated[Path, typer.Argument(help="The folder of the app.", exists=True, file_okay=False)]
KeyOption = Annotated[list[Path] | None, typer.Option("--key", "-k", help="A publisher's private key; repeatable.")]


def author_commands(app: typer.Typer) -> None:
    """Add them to the group of apps."""
    app.command("new")(new)
    app.command("test")(test)
    app.command("pack")(pack)
    app.command("sign")(sign)
    app.command("call")(call)


def new(
    name: Annotated[str, typer.Argument(help="Lower case; what stands before a '.' is whose it is: acme.hours.")],
    folder: Annotated[Path | None, typer.Option(help="Where. Default: a folder of the app's name, here.")] = None,
    title: Annotated[str, typer.Option(help="As people shall read it.")] = "",
) -> None:
    """A small app that works, for you to change."""
    where = folder or Path(name.rpartition(".")[2])
    for path in scaffold(where, name, title or name.rpartition(".")[2].replace("-", " ").capitalize()):
        typer.echo(f"  {where / path}")
    note(f"Now: headrace app test {where}. docs/apps-tutorial.md goes on from here.")


def test(
    folder: FolderArgument = Path(),
    only: Annotated[str, typer.Option("-k", help="Only tests whose names have this.")] = "",
) -> None:
    """Whether its files fit together, and its tests."""
    manifest = _checked(folder)
    typer.echo(f"✓ {manifest.name} {manifest.version}: manifest, texts, pages and migrations fit together")
    tests = folder / "tests"
    if not tests.is_dir():
        note(f"There are no tests in {tests}; `headrace app new` shows how they look.")
        return
    for needed in ("pytest", "pytest_asyncio"):
        if importlib.util.find_spec(needed) is None:
            raise Unavailable("tests are run by pytest, which is not here: pip install pytest pytest-asyncio")
    asked = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        "asyncio_mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "-p",
        "no:cacheprovider",
        "--rootdir",
    ]
    asked += [str(folder), "--import-mode=importlib", str(tests), *(["-k", only] if only else [])]
    if subprocess.run(asked, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, check=False).returncode:
        raise typer.Exit(1)


def pack(
    folder: FolderArgument = Path(),
    key: KeyOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: NAME-VERSION.hrpkg here.")] = None,
    passphrase: PassphraseOption = None,
) -> None:
    """One file of it, signed where a key is given."""
    manifest = _checked(folder)
    keys = [read_signing_key(path, passphrase_of(passphrase)) for path in key or ()]
    target = output or Path(f"{manifest.name}-{manifest.version}.hrpkg")
    try:
        build(folder, target, keys, made_on(), described=_described(manifest))
    except OSError as error:
        raise ConfigError(f"cannot read or write '{error.filename}' ({error.strerror})") from None
    signers = ", ".join(one.key_id for one in keys)
    typer.echo(f"{target}: {manifest.name} {manifest.version}, {f'signed by {signers}' if keys else 'not signed'}")
    if not keys:
        note(f"Nobody installs it like this: headrace app sign {target} -k publisher.key")


def sign(
    package: Annotated[Path, typer.Argument(help="A .hrpkg file.", exists=True, dir_okay=False)],
    key: Annotated[list[Path], typer.Option("--key", "-k", help="A publisher's private key; repeatable.")],
    passphrase: PassphraseOption = None,
) -> None:
    """Add signatures to a package."""
    try:
        for path in key:
            signer = read_signing_key(path, passphrase_of(passphrase))
            manifest = countersign(package, package, signer)
            typer.echo(f"{package}: {manifest.name} {manifest.version}, signed by {signer.key_id}")
    except OSError as error:
        raise ConfigError(f"cannot read or write '{error.filename}' ({error.strerror})") from None


def call(
    name: Annotated[str, typer.Argument(help="Name of the app.")],
    route: Annotated[str, typer.Argument(help="'/hours', or 'POST /targets'.")],
    data: Annotated[str, typer.Option("--data", "-d", help="A JSON body.")] = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:
    """Ask a route of an app that runs, and print what it answers."""
    method, _, path = route.rpartition(" ")
    where = f"/apps/{quote(name, safe='')}/call{quote(path, safe='/?=&')}"
    if not path.startswith("/"):
        raise ConfigError(f"'{route[:60]}' is no route; write '/hours', or 'POST /targets'")
    try:
        body = json.loads(data) if data else None
    except ValueError as error:
        raise ConfigError(f"--data is no JSON: {error}") from None
    client = connect(home, server)
    match method or ("POST" if data else "GET"):
        case "GET":
            answer = client.get(where)
        case "POST":
            answer = client.post(where, body)
        case "PUT":
            answer = client.put(where, body)
        case "PATCH":
            answer = client.patch(where, body)
        case "DELETE":
            client.delete(where)
            answer = None
        case other:
            raise ConfigError(f"'{other}' is no method; use GET, POST, PUT, PATCH or DELETE")
    if answer is not None:
        print_json(answer)


def _checked(folder: Path) -> AppManifest:
    """Raises: ConfigErrors with all that is wrong."""
    files = read_folder(folder)
    problems = problems_of(files)
    if problems:
        raise ConfigErrors(problems)
    return read_manifest(files[FILE].decode("utf-8"))


def _described(manifest: AppManifest) -> dict[str, Any]:
    """As a package.toml would."""
    return {
        "kind": "app", "name": manifest.name, "version": manifest.version,
        "title": manifest.title.get("en") or next(iter(manifest.title.values())),
    }  # fmt: skip
