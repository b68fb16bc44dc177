"""`headrace device`: who may publish to a gateway, one by one or by the thousand."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, print_table, say
from headrace.model.errors import ConfigError, DataError, HeadraceError
from headrace.model.text import guarded, shown

app = typer.Typer(help="Devices that publish to a gateway: add, approve, block, import.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of a device.")]
PublishOption = Annotated[
    list[str] | None, typer.Option("--publish", help="Topic filter it may publish to; {device} is its login.")
]
SubscribeOption = Annotated[list[str] | None, typer.Option("--subscribe", help="Topic filter it may subscribe to.")]
RateOption = Annotated[float | None, typer.Option("--rate", help="Messages a second at most.")]
_FINGERPRINT = re.compile(r"[0-9A-Fa-f:]{64,95}")


@app.command("list")
def list_devices(
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    state: Annotated[str | None, typer.Option(help="quarantined, approved or blocked.")] = None,
    query: Annotated[str, typer.Option("--query", "-q", help="Only those in which these words occur.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Devices shown at most.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Show devices, and how many wait to be let in."""
    page = connect(home, server).get("/devices", state=state, q=query or None, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(
        ("name", "state", "online", "last seen", "messages", "refused", "gateway", "asset", "note"),
        [
            (
                one["name"], one["state"], "yes" if one["online"] else "", one["last_seen_at"] or "never",
                one["messages"], one["refused"] or "", one["gateway"], one["asset"], one["note"],
            )
            for one in page["devices"]
        ],
        empty="no devices",
    )  # fmt: skip
    if page["total"] > len(page["devices"]):
        note(f"{len(page['devices'])} of {page['total']} shown; see more with --limit, fewer with -q")
    if page["counts"]["quarantined"] and state is None:
        note(f"{page['counts']['quarantined']} wait to be let in: headrace device list --state quarantined")


@app.command("show")
def show(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Show a device, and what it sends while it waits."""
    found = connect(home, server).get(f"/devices/{name}")
    if as_json:
        print_json(found)
        return
    print_table(("", ""), [(key, _plain(value)) for key, value in found["device"].items() if value not in ("", None)])
    for one in found["previews"]:
        say(f"{one['received_at']}  {one['topic']}  {one['bytes']} bytes  {shown(one['payload'][:200])}")
    if found["suggested_publish"]:
        note(f"what it sends fits: --publish {' --publish '.join(map(repr, found['suggested_publish']))}")


@app.command("refused")
def refused(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show who was turned away at the door of late, and why."""
    found = connect(home, server).get("/device-refusals")
    if as_json:
        print_json(found)
        return
    rows = [(one["login"], one["peer"], one["reason"], one["count"], one["last_at"], one["gateway"]) for one in found]
    print_table(("shows", "from", "why", "times", "last", "gateway"), rows, empty="nobody was turned away")


@app.command("add")
def add(
    name: NameArgument,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    publish: PublishOption = None,
    subscribe: SubscribeOption = None,
    rate: RateOption = None,
    certificate: Annotated[str, typer.Option(help="Its certificate: a PEM file, or the SHA-256 of one.")] = "",
    remark: Annotated[str, typer.Option("--note", help="Anything worth knowing.")] = "",
    asset: Annotated[
        str, typer.Option(help="The asset that it is part of; an edge lets in those of its own part of the plant.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Add a device; its secret is printed once, and is its MQTT password."""
    body = {
        **_change(publish, subscribe, rate, remark or None),
        "name": name,
        **({"asset": asset} if asset else {}),
        **({"certificate": _certificate(certificate)} if certificate else {}),
    }
    made = connect(home, server).post("/devices", body)
    if as_json:
        print_json(made)
    elif made["secret"] is None:
        note(f"{name} may connect with its certificate")
    else:
        note(f"{name} may connect with this secret as its password. It is shown only now:")
        say(made["secret"])


@app.command("approve")
def approve(
    name: NameArgument,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    rename: Annotated[str | None, typer.Option("--name", help="What it is called from now on.")] = None,
    publish: PublishOption = None,
    subscribe: SubscribeOption = None,
    rate: RateOption = None,
    asset: Annotated[str, typer.Option(help="Declare this asset for it …")] = "",
    type_name: Annotated[str, typer.Option("--type", help="… of this type …")] = "",
    connection: Annotated[str, typer.Option(help="… whose points come over this connection …")] = "",
    parameter: Annotated[list[str] | None, typer.Option("--parameter", help="… with name=value.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Let a device in that waits or was blocked; with --asset its asset is declared too."""
    body: dict[str, Any] = _change(publish, subscribe, rate, None)
    if rename is not None:
        body["name"] = rename
    if asset:
        if not type_name or not connection:
            raise ConfigError("--asset needs --type and --connection")
        body["declare"] = {
            "path": asset, "type": type_name, "connection": connection,
            "parameters": dict(_parameter(one) for one in parameter or ()),
        }  # fmt: skip
    elif type_name or connection or parameter:
        raise ConfigError("--type, --connection and --parameter belong to --asset")
    done = connect(home, server).post(f"/devices/{name}/approve", body)
    _tell(done, as_json, f"{done['name']} is let in" + (f" and declared as {done['asset']}" if asset else ""))


@app.command("block")
def block(
    name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Close a device and keep it out until it is approved again."""
    done = connect(home, server).post(f"/devices/{name}/block", None)
    _tell(done, as_json, f"{name} is blocked")


@app.command("rename")
def rename(
    name: NameArgument,
    new: Annotated[str, typer.Argument(help="What it is called from now on.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a device something else; it goes on to connect as before."""
    done = connect(home, server).patch(f"/devices/{name}", {"name": new})
    _tell(done, as_json, f"{name} is called {new}; it still shows '{done['login']}'")


@app.command("rotate")
def rotate(
    name: NameArgument,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="The old one got out: it is good no more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a device a new secret; the old one is good until the new one is used."""
    done = connect(home, server).post(f"/devices/{name}/secret", {"at_once": at_once})
    if as_json:
        print_json(done)
        return
    note("The new secret is shown only now" + (":" if at_once else "; the old one is good until it is used:"))
    say(done["secret"])


@app.command("remove")
def remove(name: NameArgument, home: HomeOption = DEFAULT_HOME, server: ServerOption = None) -> None:
    """Forget a device; its history and its declared asset stay."""
    connect(home, server).delete(f"/devices/{name}")
    note(f"{name} is removed")


@app.command("import")
def import_devices(
    sheet: Annotated[Path, typer.Argument(help="*.csv or *.xlsx, a device a row.", exists=True, dir_okay=False)],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for the secrets; else stdout.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add many devices from a table; wrong rows are named, the others go in, secrets are written once."""
    if output is not None and output.exists():
        raise ConfigError(f"'{output}' exists; secrets are not written over anything: name another file")
    client = connect(home, server)
    done = client.send_file("/devices/import", sheet.read_bytes(), file=sheet.name)
    if as_json:
        print_json(done)
    else:
        text = _secrets(done["secrets"])
        if output is not None:
            _write_private(output, text)
        elif done["secrets"]:
            typer.echo(text, nl=False)
        where = f", their secrets in {output} (mode 600)" if output is not None else ""
        note(f"{done['devices']} devices added{where}; {done['assets']} assets declared")
    for error in done["errors"]:
        say(f"✗ {sheet.name}, row {error['row']}: {error['message']}", err=True, fg="red")
    if done["errors"]:
        raise typer.Exit(1)


@app.command("certificate")
def certificate(
    name: NameArgument,
    request: Annotated[
        Path | None, typer.Option("--request", help="PKCS #10 of the device, PEM; else the key is made here.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for NAME.pem, NAME.key and authority.pem.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="How long it lasts; 825 at most.")] = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="What was good before is good no more.")] = False,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a device a certificate; what it showed before is good until it shows this."""
    client = connect(home, server)
    key: bytes | None = None
    if request is not None:
        asked = request.read_text()
    else:
        key, asked = _new_request(name)
    body = {"request": asked, "at_once": at_once, **({"days": days} if days is not None else {})}
    made = client.post(f"/devices/{name}/certificate", body)
    if as_json:
        print_json({**made, **({"key": key.decode()} if key is not None else {})})
        return
    folder = output or Path()
    folder.mkdir(parents=True, exist_ok=True)
    if key is not None:
        _write_private(folder / f"{_file_name(name)}.key", key.decode())
    (folder / f"{_file_name(name)}.pem").write_text(made["certificate"])
    (folder / "authority.pem").write_text(made["authority"])
    note(f"{name} may connect with {folder / _file_name(name)}.pem until {made['ends_at'][:10]}")


@app.command("certificates")
def certificates(
    name: Annotated[str, typer.Argument(help="Name of a device; without one, those that end soon.")] = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the certificates of a device, or which ones end soon."""
    client = connect(home, server)
    found = client.get(f"/devices/{name}/certificates") if name else client.get("/device-certificates")
    if as_json:
        print_json(found)
        return
    rows = found if name else found["ending"]
    print_table(
        ("device", "state", "ends", "first shown", "reason", "SHA-256"),
        [
            (
                one["device"],
                one["state"],
                (one["ends_at"] or "")[:10],
                one["used_at"] or "",
                one["reason"],
                one["sha256"],
            )
            for one in rows
        ],
        empty="no certificates" if name else "no certificate ends within 30 days",
    )


@app.command("revoke")
def revoke(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="unspecified, keyCompromise, cessationOfOperation.")] = "unspecified",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back all certificates of a device: it is closed at once."""
    done = connect(home, server).post(f"/devices/{name}/certificate/revoke", {"reason": reason})
    _tell(done, as_json, f"the certificates of {name} open nothing any more")


def _new_request(name: str) -> tuple[bytes, str]:
    """A key made here, and a request for it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return private, request.public_bytes(serialization.Encoding.PEM).decode()


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.\-]", "_", name)


def _change(
    publish: Sequence[str] | None, subscribe: Sequence[str] | None, rate: float | None, remark: str | None
) -> dict[str, Any]:
    given = {"publish": publish or None, "subscribe": subscribe or None, "messages_per_s": rate, "note": remark}
    return {name: value for name, value in given.items() if value is not None}


def _parameter(text: str) -> tuple[str, Any]:
    """`base=4` to a number, `node=ns=2;s=T` to text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--parameter is name=value, not '{text}'")
    if value in ("true", "false"):
        return name, value == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _certificate(given: str) -> str:
    """The fingerprint that was given, or the certificate in the file that was named: it is taken as it is then."""
    if _FINGERPRINT.fullmatch(given):
        return given
    try:
        text = Path(given).read_text()
    except OSError as error:
        raise ConfigError(f"cannot read '{given}' ({error.strerror}); give a PEM file or 64 hex digits") from None
    except ValueError:
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise DataError(f"'{given}' holds no certificate in PEM")
    return text


def _secrets(secrets: Sequence[Mapping[str, str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("name", "secret"))
    writer.writerows((guarded(one["name"]), one["secret"]) for one in secrets)
    return out.getvalue()


def _write_private(path: Path, text: str) -> None:
    """Readable by its owner alone, from the first moment."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        typer.echo(text, nl=False)
        raise HeadraceError(f"cannot write '{path}' ({error.strerror}); the secrets are above, once") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _tell(done: Any, as_json: bool, words: str) -> None:
    if as_json:
        print_json(done)
    else:
        note(words)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
