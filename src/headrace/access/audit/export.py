"""The trail as a file for another program, and the check of such a file where no platform is.

NDJSON   one entry a line (chain.py), then one line {"export": …, "key", "signature"}: how many, the head of the whole
         trail then, and the SHA-256 of all lines before, signed. A file without that line is not whole.
CSV      for spreadsheets (RFC 4180), not signed; cells that one would compute are guarded (model/text.py).

Source: IEC 62443-3-3 SR 6.1, SR 6.1 RE 1.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.access.audit.chain import LINE_BYTES_MAX, altered, line, record_of
from headrace.access.audit.reader import TrailReader
from headrace.access.audit.signing import PublicKey, SigningKey
from headrace.model.errors import DataError
from headrace.model.text import guarded
from headrace.model.time import format_time
from headrace.sdk.audit import AuditFilter, AuditFormat, AuditHead

_COLUMNS: Final = (
    "sequence", "time", "tenant", "actor", "action", "subject", "outcome", "data", "form", "previous_hash", "hash",
)  # fmt: skip
_SIGNED_MARK: Final = b'{"export":'


@dataclass(frozen=True, slots=True)
class ExportVerdict:
    """A file that is whole. `head` is that of the whole trail when it was written; `gaps` are entries left out."""

    tenant: str
    filter: dict[str, Any]
    entries: int
    gaps: int
    first: int | None
    last: int | None
    head: AuditHead
    made_ns: int
    key: str  # fingerprint
    pinned: bool  # whether the key was known beforehand


def export(
    reader: TrailReader, tenant: str, wanted: AuditFilter, form: AuditFormat, key: SigningKey | None, now_ns: int
) -> Iterator[bytes]:
    """Pieces of the file. Blocks. Raises: DataError for an entry or archive that is not as it was written."""
    head = reader.head()
    if form is AuditFormat.CSV:
        yield from _csv(reader, tenant, wanted, head)
        return
    digest, count, first, last = hashlib.sha256(), 0, None, None
    for records in reader.wanted(tenant, wanted):
        kept = [record for record in records if record.sequence <= head.sequence]
        if not kept:
            continue
        for record in kept:
            if not record.whole():
                raise altered(record.sequence)
        piece = b"".join(map(line, kept))
        digest.update(piece)
        count += len(kept)
        first, last = kept[0].sequence if first is None else first, kept[-1].sequence
        yield piece
    told = {
        "tenant": tenant, "filter": wanted.told(), "entries": count, "first": first, "last": last,
        "head_sequence": head.sequence, "head_hash": head.hash, "made": format_time(now_ns), "made_ns": now_ns,
        "sha256": digest.hexdigest(),
    }  # fmt: skip
    document: dict[str, Any] = {"export": told}
    if key is not None:
        document = key.sign(document | {"key": key.public.text()})
    yield json.dumps(document, separators=(",", ":")).encode() + b"\n"


def verify_export(path: Path, key: PublicKey | None = None) -> ExportVerdict:
    """Blocks. `key` is the one that has to have signed; without it the file's own is taken and told.

    Raises: DataError that names the first wrong entry, or what else is wrong with the file.
    """
    digest, count, gaps, first, last = hashlib.sha256(), 0, 0, None, None
    previous_hash = ""
    with path.open("rb") as file:
        while (text := file.readline(LINE_BYTES_MAX)) and not text.startswith(_SIGNED_MARK):
            expected = "the first entry" if last is None else f"the entry after {last}"
            try:
                record = record_of(text)
            except DataError as error:
                raise DataError(f"{path.name} was altered at {expected}: {error.message}") from None
            follows = last is None or record.sequence > last
            linked = last is None or record.sequence != last + 1 or record.previous_hash == previous_hash
            if not record.whole() or not follows or not linked or line(record) != text:
                raise DataError(f"{path.name} was altered at entry {record.sequence}; those before it are as exported")
            gaps += 0 if last is None else record.sequence - last - 1
            first, last = record.sequence if first is None else first, record.sequence
            previous_hash = record.hash
            digest.update(text)
            count += 1
        rest = file.readline()
    told, used = _signed(text, rest, path, key)
    if (told["entries"], told["first"], told["last"], told["sha256"]) != (count, first, last, digest.hexdigest()):
        raise DataError(
            f"{path.name} was altered: it has {count} entries, and others than the {told['entries']} signed"
        )
    head = AuditHead(told["head_sequence"], told["head_hash"])
    return ExportVerdict(
        told["tenant"], told["filter"], count, gaps, first, last, head, told["made_ns"],
        "" if used is None else used.fingerprint, key is not None,
    )  # fmt: skip


def _signed(text: bytes, rest: bytes, path: Path, key: PublicKey | None) -> tuple[dict[str, Any], PublicKey | None]:
    if not text:
        raise DataError(f"{path.name} is not whole: its last, signed line is missing; export it again")
    try:
        document = json.loads(text)
        told = document["export"]
        fields = {name: told[name] for name in ("tenant", "filter", "entries", "first", "last", "sha256", "made_ns")}
        fields |= {name: told[name] for name in ("head_sequence", "head_hash")}
        own = document.get("key")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path.name} was altered in its last line") from None
    if rest or json.dumps(document, separators=(",", ":")).encode() + b"\n" != text:
        raise DataError(f"{path.name} was altered in or after its last line")
    used = key or (None if own is None else PublicKey.of_text(str(own)))
    if used is None:
        raise DataError(f"{path.name} is not signed")
    if key is not None and own != key.text():
        raise DataError(f"{path.name} was signed by another key than the one that was named")
    used.check(document)
    return fields, used


def _csv(reader: TrailReader, tenant: str, wanted: AuditFilter, head: AuditHead) -> Iterator[bytes]:
    yield (",".join(_COLUMNS) + "\r\n").encode()
    for records in reader.wanted(tenant, wanted):
        text = io.StringIO()
        rows = csv.writer(text)
        for one in records:
            if one.sequence > head.sequence:
                break
            if not one.whole():
                raise altered(one.sequence)
            told = (one.tenant, one.actor, one.action, one.subject, one.outcome, one.data)
            end = (one.form, one.previous_hash, one.hash)
            rows.writerow([one.sequence, format_time(one.time_ns), *map(guarded, told), *end])
        if text.tell():
            yield text.getvalue().encode()
