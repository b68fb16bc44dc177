"""Is the trail what was written? Archives and table are walked as one chain and held against the checkpoints.

checkpoints: signatures, links ─► archives: SHA-256 as signed ─► entries: hash, link, number ─► heads as signed

What it cannot find: that the newest entries and the newest checkpoints were cut off together. Against that keep a
head elsewhere (an export has one, `headrace audit verify` prints one) and give it back as `known`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headrace.access.audit.archive import Archive, digest_of
from headrace.access.audit.chain import START, Record, altered, follow
from headrace.access.audit.checkpoints import Checkpoints, read_all
from headrace.access.audit.folder import ARCHIVE, CHECKPOINTS
from headrace.access.audit.reader import TrailReader
from headrace.access.audit.signing import PublicKey
from headrace.model.errors import DataError
from headrace.sdk.audit import AuditHead, AuditVerdict


def verify(
    reader: TrailReader, folder: Path | None, key: PublicKey | None, known: AuditHead | None = None
) -> AuditVerdict:
    """Blocks. Raises: DataError that names the first entry, or the file, which is not as it was written."""
    # In this order: an archive is listed after it was signed, a head is signed after its entry is there.
    listed = reader.archives()
    signed = Checkpoints() if folder is None or key is None else read_all(folder / CHECKPOINTS, key)
    archived = _check(listed, folder, signed if key is not None else None)
    head, entries = START, 0
    for records in reader.all():
        for record in records:
            head = follow(head, record)
            _compare(record, signed, known)
        entries += len(records)
    newest = signed.newest
    if newest is not None and newest.sequence > head.sequence:
        raise DataError(
            f"the audit trail was cut off after entry {head.sequence}: {newest.sequence} was signed as its newest"
        )
    if known is not None and known.sequence > head.sequence:
        raise _other(known)
    return AuditVerdict(head, entries, archived, signed.count, newest, signed.newest_ns)


def _check(listed: Sequence[Archive], folder: Path | None, signed: Checkpoints | None) -> int:
    """How many entries are in archives; each file is the one that was signed."""
    last = 0
    for one in listed:
        if one.first != last + 1:
            raise altered(last + 1, " (in the list of archives)")
        if signed is not None and signed.archives.get(one.last) != one:
            raise altered(one.first, f" (the archive {one.name} is not the one that was signed)")
        if folder is not None and digest_of(folder / ARCHIVE / one.name) != one.sha256:
            raise altered(one.first, f" or after it, within the archive {one.name}")
        last = one.last
    return last


def _compare(record: Record, signed: Checkpoints, known: AuditHead | None) -> None:
    told = signed.heads.get(record.sequence)
    if told is not None and told != record.hash:
        raise DataError(
            f"entry {record.sequence} is not the one that was signed: the audit trail was written anew from there or "
            "before. Compare with a backup or an export"
        )
    if known is not None and record.sequence == known.sequence and record.hash != known.hash:
        raise _other(known)


def _other(known: AuditHead) -> DataError:
    return DataError(f"audit entry {known.sequence} is no longer the one that was noted; the trail was cut off")
