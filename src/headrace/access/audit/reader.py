"""Reads the trail from its first entry to its newest: archives, then the table, as one.

        archive 1-20000 │ archive 20001-40000 │ table 40001 … newest
An archive may be closed while somebody reads: what left the table meanwhile is then read from its file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, func, select

from headrace.access.audit import archive as archive_file
from headrace.access.audit.archive import Archive
from headrace.access.audit.chain import START, Record
from headrace.access.audit_tables import archives
from headrace.access.tables import audit
from headrace.model.errors import DataError
from headrace.sdk.audit import AuditFilter, AuditHead

CHUNK: Final = 5_000
_COLUMNS: Final = tuple(audit.c[name] for name in Record.__slots__)
ENTRIES: Final = select(*_COLUMNS)


class TrailReader:
    """All methods block. `folder` is that of the archives."""

    def __init__(self, engine: Engine, folder: Path | None) -> None:
        self._engine, self._folder = engine, folder

    def head(self) -> AuditHead:
        with self._engine.connect() as connection:
            return newest(connection)

    def archives(self) -> list[Archive]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(archives).order_by(archives.c.last_sequence)).all()
        return [_archive(row) for row in rows]

    def at(self, sequence: int) -> Record | None:
        """One entry of the table."""
        with self._engine.connect() as connection:
            row = connection.execute(ENTRIES.where(audit.c.sequence == sequence)).first()
        return None if row is None else Record(*row)

    def page(self, tenant: str, wanted: AuditFilter, limit: int, before: int | None) -> list[Record]:
        """Newest first, of the table."""
        query = _narrowed(ENTRIES, tenant, wanted).order_by(audit.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.sequence < before)
        with self._engine.connect() as connection:
            return [Record(*row) for row in connection.execute(query)]

    def all(self) -> Iterator[Sequence[Record]]:
        """Every entry, oldest first. Raises: DataError for an archive that is not as it was written."""
        return self._walk(ENTRIES, lambda _archive: True, lambda _record: True)

    def wanted(self, tenant: str, wanted: AuditFilter) -> Iterator[Sequence[Record]]:
        """A tenant's, oldest first."""

        def may_hold(one: Archive) -> bool:
            return (wanted.start_ns is None or one.last_ns >= wanted.start_ns) and (
                wanted.end_ns is None or one.first_ns < wanted.end_ns
            )

        query = _narrowed(ENTRIES, tenant, wanted)
        return self._walk(query, may_hold, lambda record: record.wanted(tenant, wanted))

    def _walk(self, query: Select[Any], may_hold: Any, wants: Any) -> Iterator[Sequence[Record]]:
        at = 0
        while True:
            with self._engine.connect() as connection:
                table = query.where(audit.c.sequence > at).order_by(audit.c.sequence).limit(CHUNK)
                rows = connection.execute(table).all()
                # Asked after the rows were read: what an archive has taken from between them is found in it.
                row = connection.execute(
                    select(archives).where(archives.c.last_sequence > at).order_by(archives.c.last_sequence).limit(1)
                ).first()
            if row is not None:
                one = _archive(row)
                if may_hold(one):
                    for records in self._read(one):
                        yield [record for record in records if record.sequence > at and wants(record)]
                at = one.last
                continue
            if rows:
                yield [Record(*row) for row in rows]
                at = rows[-1].sequence
            if len(rows) < CHUNK:
                return

    def _read(self, one: Archive) -> Iterator[list[Record]]:
        if self._folder is None:
            raise DataError(f"entries {one.first} to {one.last} are in archives, whose folder is not here")
        return archive_file.read(self._folder / one.name, one.sha256)


def newest(connection: Connection) -> AuditHead:
    row = connection.execute(select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)).first()
    return START if row is None else AuditHead(row.sequence, row.hash)


def _narrowed(query: Select[Any], tenant: str, by: AuditFilter) -> Select[Any]:
    """By what is equal: LIKE means another thing in each database."""
    query = query.where(audit.c.tenant == tenant)
    if by.actor:
        query = query.where(audit.c.actor == by.actor)
    if by.action:
        query = query.where(func.substr(audit.c.action, 1, len(by.action)) == by.action)
    if by.subject:
        query = query.where(func.substr(audit.c.subject, 1, len(by.subject)) == by.subject)
    if by.outcome:
        query = query.where(audit.c.outcome == by.outcome)
    if by.start_ns is not None:
        query = query.where(audit.c.time_ns >= by.start_ns)
    if by.end_ns is not None:
        query = query.where(audit.c.time_ns < by.end_ns)
    return query


def _archive(row: Row[Any]) -> Archive:
    return Archive(
        row.first_sequence, row.last_sequence, row.first_ns, row.last_ns, row.previous_hash, row.last_hash, row.sha256,
        row.bytes, row.archived_ns,
    )  # fmt: skip
