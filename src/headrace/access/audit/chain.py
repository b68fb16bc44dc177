"""Entries and the chain they make; no database and no file here.

entry n:  hash = SHA-256(JSON [form, hash of n-1, sequence, time, tenant, actor, action, subject, outcome, data])

`form` tells how the hash is made. Form 1 is of before tenants: it hashes no form and no tenant, so an entry of form 1
has to be of the platform's own tenant. Whoever changes the form of an entry changes what its hash has to be.
In a file an entry is a line of JSON; its data stands there as an object where that says exactly the same as the text
that was hashed, else as that text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.errors import DataError
from headrace.model.time import format_time
from headrace.sdk.access import DEFAULT_TENANT, AuditEntry
from headrace.sdk.audit import AuditFilter, AuditHead

FIRST_HASH: Final = "0" * 64
START: Final = AuditHead(0, FIRST_HASH)
FORM: Final = 2
LINE_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One entry, exactly as it is kept. `data` is JSON text."""

    sequence: int
    time_ns: int
    form: int
    tenant: str
    actor: str
    action: str
    subject: str
    outcome: str
    data: str
    previous_hash: str
    hash: str

    def digest(self, previous: str) -> str:
        return digest(
            previous, self.sequence, self.time_ns, self.form, self.tenant, self.actor, self.action, self.subject,
            self.outcome, self.data,
        )  # fmt: skip

    def whole(self) -> bool:
        """Whether the hash is that of what it says of itself."""
        return self.hash == self.digest(self.previous_hash) and self.fits_form()

    def fits_form(self) -> bool:
        return self.form == FORM or (self.form == 1 and self.tenant == DEFAULT_TENANT)

    def wanted(self, tenant: str, by: AuditFilter) -> bool:
        return (
            self.tenant == tenant
            and (not by.actor or self.actor == by.actor)
            and self.action.startswith(by.action)
            and self.subject.startswith(by.subject)
            and (not by.outcome or self.outcome == by.outcome)
            and (by.start_ns is None or self.time_ns >= by.start_ns)
            and (by.end_ns is None or self.time_ns < by.end_ns)
        )

    def entry(self) -> AuditEntry:
        return AuditEntry(
            self.sequence, self.time_ns, self.actor, self.action, self.subject, self.outcome, json.loads(self.data),
            self.tenant, self.previous_hash, self.hash,
        )  # fmt: skip


def digest(
    previous: str, sequence: int, time_ns: int, form: int, tenant: str, actor: str, action: str, subject: str,
    outcome: str, data: str,
) -> str:  # fmt: skip
    told: list[Any] = [previous, sequence, time_ns]
    told = [*told, actor, action, subject, outcome, data] if form == 1 else [form, *told, tenant, actor, action]
    if form != 1:
        told += [subject, outcome, data]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def follow(head: AuditHead, record: Record) -> AuditHead:
    """The head after `record`. Raises: DataError where it is not the next entry of this chain."""
    fits = record.sequence == head.sequence + 1 and record.previous_hash == head.hash and record.fits_form()
    if not fits or record.hash != record.digest(head.hash):
        raise altered(head.sequence + 1)
    return AuditHead(record.sequence, record.hash)


def altered(sequence: int, where: str = "") -> DataError:
    return DataError(
        f"the audit trail was altered at entry {sequence}{where}; entries before it are whole. Keep the files as they "
        "are, and compare with a backup or an export"
    )


def canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)


def clean(text: str) -> str:
    """What every database takes: no NUL, no lone surrogate."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")


# --- lines of files -----------------------------------------------------------------------------------------------

_TEXTS: Final = ("tenant", "actor", "action", "subject", "outcome", "previous_hash", "hash")


def line(record: Record) -> bytes:
    """With its newline."""
    document = {
        "sequence": record.sequence,
        "time": format_time(record.time_ns),
        "time_ns": record.time_ns,
        "form": record.form,
        "tenant": record.tenant,
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "outcome": record.outcome,
        "data": _exact(record.data),
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def record_of(text: bytes) -> Record:
    """Raises: DataError for a line that is no entry."""
    try:
        document = json.loads(text)
        data = document["data"]
        texts = {name: document[name] for name in _TEXTS}
        numbers = {name: document[name] for name in ("sequence", "time_ns", "form")}
        told = document["time"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError("this line is no entry of an audit trail") from None
    if not all(type(one) is int and abs(one) < 2**63 for one in numbers.values()):
        raise DataError("this line is no entry of an audit trail: its numbers are none")
    if not all(isinstance(one, str) for one in texts.values()) or told != format_time(numbers["time_ns"]):
        raise DataError(f"entry {numbers['sequence']} is not as it was written")
    if isinstance(data, dict):
        data = canonical(data)
    elif not isinstance(data, str):
        raise DataError(f"entry {numbers['sequence']} is not as it was written")
    return Record(**numbers, data=data, **texts)


def _exact(text: str) -> Any:
    """The object, where its canonical text is this one; else the text."""
    try:
        found = json.loads(text)
        same = json.dumps(found, sort_keys=True, separators=(",", ":"), allow_nan=False) == text
    except (ValueError, RecursionError):
        return text
    return found if same and isinstance(found, dict) else text
