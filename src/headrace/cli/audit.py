"""`headrace audit`: read the audit trail, take it along, and check that nobody changed it.

verify   a platform runs ─► ask it        none runs ─► walk its database and files here        --file ─► an export alone

Status 1, and the first wrong entry named, where something is not as it was written.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect, running
from headrace.cli.output import note, print_json, print_table, say
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import format_time
from headrace.sdk.audit import AuditFormat, AuditHead

app = typer.Typer(help="The audit trail: read it, export it, check that it is whole.", no_args_is_help=True)

FOLLOW_S = 2.0
_PAGE_MAX = 1_000

KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Public key that has to have signed; a copy from another machine is best.")
]
ActorOption = Annotated[str, typer.Option(help="Who, exactly.")]
ActionOption = Annotated[str, typer.Option(help="What the action begins with, for example user.")]
SubjectOption = Annotated[str, typer.Option(help="What the subject begins with.")]
OutcomeOption = Annotated[str, typer.Option(help="Outcome, exactly.")]


@app.command("verify")
def verify(
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    head: Annotated[Path | None, typer.Option(help="A head noted earlier: what `verify --json` said then.")] = None,
    file: Annotated[Path | None, typer.Option(help="Check this export instead; no platform is needed.")] = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every entry, archive and signed head."""
    if file is not None:
        _verify_file(file, key, home, as_json)
        return
    known = None if head is None else _head(head)
    if server is not None or running(home) is not None:
        if key is not None:
            raise DataError("a running platform takes its own key; --key is for exports and for stopped platforms")
        params = {} if known is None else {"sequence": known.sequence, "hash": known.hash}
        found = connect(home, server).get("/audit/verify", **params)
    else:
        found = _verify_here(home, known, key)
    if as_json:
        print_json(found)
        if not found["whole"]:
            raise typer.Exit(1)
        return
    if not found["whole"]:
        raise DataError(found["problem"])
    signed = found["checkpoint"]
    say(f"whole: {found['entries']} entries, {found['archived']} of them in archives")
    if signed is None:
        note("no head is signed yet")
    else:
        say(f"signed: {found['checkpoints']} lines, the newest of entry {signed['sequence']}")
    say(f"head: {found['head']['sequence']} {found['head']['hash']}")


@app.command("export")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: *.ndjson or *.csv.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    start: Annotated[str, typer.Option(help="RFC 3339 time, or now-<duration>.")] = "",
    end: Annotated[str, typer.Option(help="The same; exclusive.")] = "",
    actor: ActorOption = "",
    action: ActionOption = "",
    subject: SubjectOption = "",
    outcome: OutcomeOption = "",
) -> None:
    """Write entries to a file, oldest first, archives included. NDJSON is signed; CSV is for spreadsheets."""
    form = _form_of(output)
    client = connect(home, server)
    asked = {"start": start, "end": end, "actor": actor, "action": action, "subject": subject, "outcome": outcome}
    params = {name: text for name, text in asked.items() if text} | {"format": form.value}
    size = client.download("/audit/export", output, params)
    if form is AuditFormat.NDJSON:
        from headrace.access.audit.export import verify_export

        entries = verify_export(output).entries
        note(f"{entries} entries, {size / 1e6:.2f} MB written to {output}, signed and checked")
    else:
        note(f"{size / 1e6:.2f} MB written to {output}")


@app.command("tail")
def tail(
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=_PAGE_MAX, help="How many of the newest.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones until Ctrl-C.")] = False,
    actor: ActorOption = "",
    action: ActionOption = "",
    subject: SubjectOption = "",
    outcome: OutcomeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show the newest entries. With --json one object a line."""
    client = connect(home, server)
    asked = {"actor": actor, "action": action, "subject": subject, "outcome": outcome}
    params: dict[str, Any] = {name: text for name, text in asked.items() if text}
    entries = client.get("/audit", limit=count, **params)["entries"][::-1]
    _print(entries, as_json)
    seen = entries[-1]["sequence"] if entries else 0
    while follow:
        time.sleep(FOLLOW_S)
        entries = _newer(client, params, seen)
        _print(entries, as_json)
        seen = entries[-1]["sequence"] if entries else seen


def _newer(client: Client, params: dict[str, Any], seen: int) -> list[dict[str, Any]]:
    """Oldest first; at most one page, the newest of them."""
    found = client.get("/audit", limit=_PAGE_MAX, **params)["entries"]
    return [entry for entry in found[::-1] if entry["sequence"] > seen]


def _print(entries: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for entry in entries:
            print_json(entry)
        return
    rows = [
        (one["sequence"], one["time"], one["actor"], one["action"], one["subject"], one["outcome"], _told(one["data"]))
        for one in entries
    ]
    if rows:
        print_table(("", "time", "who", "action", "on", "outcome", "details"), rows)


def _told(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False) if data else ""


def _verify_file(file: Path, key: Path | None, home: Path, as_json: bool) -> None:
    from headrace.access.audit.export import verify_export
    from headrace.access.audit.signing import PUBLIC_NAME, PublicKey

    own = home / "keys" / PUBLIC_NAME
    place = key or (own if own.exists() else None)
    try:
        found = verify_export(file, None if place is None else PublicKey.read(place))
    except OSError as error:
        raise ConfigError(f"cannot read '{file}' ({error.strerror})") from None
    if as_json:
        print_json(
            {
                "whole": True, "tenant": found.tenant, "filter": found.filter, "entries": found.entries,
                "first": found.first, "last": found.last, "gaps": found.gaps,
                "head": {"sequence": found.head.sequence, "hash": found.head.hash}, "key": found.key,
                "key_known": found.pinned,
            }
        )  # fmt: skip
        return
    span = "" if found.first is None else f" ({found.first} to {found.last}, {found.gaps} left out between)"
    say(f"whole: {found.entries} entries of tenant '{found.tenant}'{span}")
    say(f"made {format_time(found.made_ns)}, when the trail's head was {found.head.sequence} {found.head.hash}")
    say(f"signed by {found.key}")
    if place is None:
        note("that is the key in the file itself: compare it with the platform's (keys/audit.pub), or give --key")


def _verify_here(home: Path, known: AuditHead | None, key: Path | None) -> dict[str, Any]:
    from headrace.api.schemas.audit import AuditVerdictAnswer
    from headrace.platform.offline import verify_audit

    try:
        return AuditVerdictAnswer.of(verify_audit(home, known, key)).model_dump()
    except DataError as error:
        return AuditVerdictAnswer.altered(error.message).model_dump()


def _head(file: Path) -> AuditHead:
    try:
        document = json.loads(file.read_text("utf-8"))
        told = document.get("head", document)
        return AuditHead(int(told["sequence"]), str(told["hash"]))
    except OSError as error:
        raise ConfigError(f"cannot read '{file}' ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"'{file}' holds no head; keep what `headrace audit verify --json` prints") from None


def _form_of(output: Path) -> AuditFormat:
    try:
        return AuditFormat(output.suffix.lstrip(".").lower())
    except ValueError:
        raise DataError(f"'{output.name}' should end in .ndjson or .csv") from None
