"""`headrace package`: keys for publishers, and packages signed, looked at and judged. No platform needs to run."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption
from headrace.cli.output import note, print_json, print_table
from headrace.fleet.packages import (
    Kind,
    Manifest,
    Package,
    Publisher,
    Publishers,
    build,
    countersign,
    new_key,
    read_signing_key,
)
from headrace.fleet.packages.keys import check_pattern, check_title
from headrace.model.errors import ConfigError, Conflict, DataError
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock

app = typer.Typer(help="Signed packages of apps and updates (docs/packages.md).", no_args_is_help=True)

_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)

PassphraseOption = Annotated[
    str | None, typer.Option("--passphrase", metavar="env:NAME|file:PATH", help="Where the key's passphrase is.")
]
PackageArgument = Annotated[Path, typer.Argument(help="A .hrpkg file.", show_default=False)]


@app.command("new-key")
def new(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; its public half goes to FILE.pub.")],
    publisher: Annotated[str, typer.Option(help="Who signs, as people shall read it.")],
    name: Annotated[list[str], typer.Option(help="Names it may sign: 'oee', 'acme.*' or '*'; repeatable.")],
    kind: Annotated[list[Kind] | None, typer.Option(help="Kinds it may sign; repeatable. Default: app.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="For how many days its signatures count.")] = 730,
    passphrase: PassphraseOption = None,
) -> None:
    """Make an Ed25519 key for a publisher."""
    public = file.with_name(file.name + ".pub")
    check_title(publisher)
    for each in name:
        check_pattern(each)
    key = new_key()
    until = _today() + datetime.timedelta(days=days)
    trusted = Publisher(publisher, key.public, frozenset(kind or [Kind.APP]), tuple(name), until)
    for path, text, mode in (
        (file, key.pem(passphrase_of(passphrase)), 0o600),
        (public, trusted.text().encode(), 0o644),
    ):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise Conflict(f"{path} exists; keys are never written over, so choose another name") from None
        except OSError as error:
            raise ConfigError(f"cannot write {path} ({error.strerror})") from None
        with os.fdopen(descriptor, "wb") as out:
            out.write(text)
            os.fsync(out.fileno())
    typer.echo(f"{key.key_id}  {publisher}, until {until}")
    note(f"Keep {file} to yourself. Who trusts you puts {public.name} into <home>/keys/publishers/.")


@app.command("sign")
def sign(
    source: Annotated[Path, typer.Argument(help="A folder with a package.toml, or a package to sign once more.")],
    key: Annotated[list[Path], typer.Option(help="A private key; repeatable.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: NAME-VERSION.hrpkg here.")] = None,
    passphrase: PassphraseOption = None,
) -> None:
    """Pack and sign a folder, or add a signature to a package."""
    keys = [read_signing_key(path, passphrase_of(passphrase)) for path in key]
    try:
        if source.is_dir():
            partial = output or Path(f".{source.resolve().name}.hrpkg")
            manifest = build(source, partial, keys, made_on())
            target = output or Path(f"{manifest.name}-{manifest.version}.hrpkg")
            partial.replace(target)
        else:
            target = output or source
            for number, one in enumerate(keys):
                manifest = countersign(target if number else source, target, one)
    except OSError as error:
        raise ConfigError(f"cannot read or write '{error.filename}' ({error.strerror})") from None
    signers = ", ".join(one.key_id for one in keys)
    typer.echo(f"{target}: {manifest.kind} {manifest.name} {manifest.version}, signed by {signers}")


@app.command("verify")
def verify(file: PackageArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Say whether this home would install a package: its publishers, its dates, and every byte."""
    publishers = Publishers.load(home / "keys" / "publishers")
    try:
        with file.open("rb") as opened:
            verified = Package.open(opened).verify(publishers, _today())
            verified.check(opened)
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror})") from None
    if as_json:
        signers = [{"publisher": one.title, "key": one.key_id} for one in verified.signers]
        print_json({**_described(verified.manifest), "sha256": verified.package.sha256, "signers": signers})
        return
    manifest = verified.manifest
    typer.echo(f"✓ {manifest.kind} {manifest.name} {manifest.version}: {len(manifest.files)} files, none altered")
    for one in verified.signers:
        typer.echo(f"  signed by {one.title} ({one.key_id}), whose key counts until {one.until}")


@app.command("show")
def show(file: PackageArgument, as_json: JsonOption = False) -> None:
    """What a package says of itself; nobody has judged whether it is true."""
    try:
        with file.open("rb") as opened:
            package = Package.open(opened)
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror})") from None
    claims = package.claims
    if as_json:
        files = [{"path": each.path, "bytes": each.size, "sha256": each.sha256} for each in claims.files]
        print_json(
            {**_described(claims), "sha256": package.sha256, "files": files, "signatures": list(package.signatures)}
        )
        return
    typer.echo(f"{claims.kind} {claims.name} {claims.version}  {claims.title}")
    typer.echo(f"made {claims.created}, to be installed until {claims.expires or 'whenever'}")
    typer.echo(f"needs {', '.join(map(str, claims.needs)) or 'nothing'}")
    print_table(["file", "bytes", "SHA-256"], [(each.path, f"{each.size:,}", each.sha256) for each in claims.files])
    typer.echo(f"signatures, not judged: {', '.join(package.signatures) or 'none'}")
    note("`headrace package verify` says whether this home trusts them.")


def _described(manifest: Manifest) -> dict[str, object]:
    return {
        "kind": manifest.kind.value, "name": manifest.name, "version": str(manifest.version), "title": manifest.title,
        "created": manifest.created.isoformat(), "expires": manifest.expires and manifest.expires.isoformat(),
        "needs": [str(need) for need in manifest.needs],
    }  # fmt: skip


def _today() -> datetime.date:
    return datetime.datetime.fromtimestamp(SystemClock().now_ns() // SECOND_NS, datetime.UTC).date()


def made_on() -> datetime.date:
    """Today, or the day of `SOURCE_DATE_EPOCH` (s), so that a build can be the same anywhere. Nobody judges by it."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.datetime.fromtimestamp(int(text), datetime.UTC).date() if _SECONDS.fullmatch(text) else _today()


def passphrase_of(reference: str | None) -> bytes | None:
    if reference is None:
        return None
    scheme, _, rest = reference.partition(":")
    if scheme == "env" and rest:
        value = os.environ.get(rest)
        if value is None:
            raise ConfigError(f"--passphrase names {reference}, and that variable is not set")
        return value.encode()
    if scheme == "file" and rest:
        try:
            return Path(rest).read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigError(f"--passphrase names {reference}, which cannot be read ({error.strerror})") from None
    raise ConfigError("a passphrase is never written here; refer to it with env:NAME or file:PATH")
