"""Looks after the trail by the clock: signs its head, moves what is old to archives, watches the disk.

start    finish what a crash left half ─► is the last signed head still there? ─► sign the head
tick     head due? ─► sign       disk, once a minute       archive due, once a minute:
         1 oldest entries, all before the cutoff, checked ─► 2 file ─► 3 signed line ─► 4 one transaction: row in
           access_audit_archives, entries leave the table

A crash after 2 leaves a file that nobody signed: it is removed, its entries are still in the table. After 3 the
file is signed: 4 is done at the next start. Only 4 makes readers look into the file, so nothing is there twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from headrace.access.audit import archive as archive_file
from headrace.access.audit.archive import Archive
from headrace.access.audit.chain import Record, altered, follow
from headrace.access.audit.checkpoints import archives_told
from headrace.access.audit.folder import AuditFolder
from headrace.access.audit.reader import ENTRIES
from headrace.access.audit.trail import AuditTrail
from headrace.access.audit.trouble import ALTERED, ARCHIVE, CHECKPOINT, SPACE
from headrace.access.audit_tables import archives
from headrace.access.tables import audit
from headrace.model.errors import DataError, HeadraceError
from headrace.model.events import Event
from headrace.model.time import SECOND_NS
from headrace.sdk.audit import AuditHead

DAY_NS: Final = 86_400 * SECOND_NS
MONTH_NS: Final = 30 * DAY_NS
CARE_EVERY_S: Final = 60.0

Emit = Callable[[Sequence[Event]], Awaitable[None]]


class AuditKeeper:
    """`start` before the first entry, `close` after the last."""

    def __init__(self, trail: AuditTrail, folder: AuditFolder, emit: Emit | None = None) -> None:
        self._trail, self._folder, self._emit = trail, folder, emit
        self._engine, self._clock, self._troubles = trail.engine, trail.clock, trail.troubles
        self._signed_s = self._cared_s = self._clock.monotonic_s()

    async def start(self) -> None:
        await asyncio.to_thread(self._begin)
        await self._tell()

    async def run(self) -> None:
        while True:
            await self._clock.sleep(self._folder.settings.tick_s)
            await self.tick()

    async def tick(self) -> None:
        """What is due now."""
        await asyncio.to_thread(self._sign_where_due)
        now_s = self._clock.monotonic_s()
        if now_s - self._cared_s >= CARE_EVERY_S:
            self._cared_s = now_s
            await asyncio.to_thread(self._look_at_space)
            await self.archive()
        await self._tell()

    async def archive(self) -> None:
        """All that is due; each archive is on record."""
        while (done := await asyncio.to_thread(self._archive_where_due)) is not None:
            data = {"entries": done.last - done.first + 1, "bytes": done.size, "sha256": done.sha256}
            try:
                await self._trail.record("platform", "audit.archive", done.name, "done", data)
            except HeadraceError:
                return  # the trail says so itself

    async def close(self) -> None:
        """Sign the last head."""
        await asyncio.to_thread(self._sign)
        self._folder.close()

    # --- signed heads -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        trail, checkpoints = self._trail, self._folder.checkpoints
        trail.head = trail.reader.head()
        held = trail.reader.archives()
        trail.archived_until = held[-1].last if held else 0
        if checkpoints.trouble:
            self._troubles.begin(ALTERED, checkpoints.trouble)
        signed = checkpoints.newest
        if signed is not None and signed.sequence > trail.archived_until:
            now = trail.reader.at(signed.sequence)
            if now is None or now.hash != signed.hash:
                text = f"audit entry {signed.sequence} is not the one that was signed; run `headrace audit verify`"
                self._troubles.begin(ALTERED, text)
        try:
            self._finish()
        except DataError as error:
            self._troubles.begin(ALTERED, error.message)
        except (OSError, SQLAlchemyError) as error:
            self._troubles.begin(ARCHIVE, "an archive of the trail cannot be finished; look at its disk", str(error))
        self._look_at_space()
        self._sign()

    def _sign_where_due(self) -> None:
        signed, settings = self._folder.checkpoints.newest, self._folder.settings
        ahead = self._trail.head.sequence - (0 if signed is None else signed.sequence)
        waited_s = self._clock.monotonic_s() - self._signed_s
        if ahead >= settings.checkpoint_entries or (ahead > 0 and waited_s >= settings.checkpoint_s):
            self._sign()

    def _sign(self) -> None:
        self._signed_s = self._clock.monotonic_s()
        try:
            head = self._trail.reader.head()
            newest = self._folder.checkpoints.newest
            if head.sequence == 0 or head == newest or (newest is not None and head.sequence < newest.sequence):
                return
            self._folder.checkpoints.head(head, self._clock.now_ns())
        except (OSError, SQLAlchemyError) as error:
            text = "the head of the audit trail cannot be signed; look at the disk and the database"
            self._troubles.begin(CHECKPOINT, text, str(error))
            return
        self._trail.counters.checkpoints += 1
        self._troubles.end(CHECKPOINT)

    # --- space --------------------------------------------------------------------------------------------------

    def _look_at_space(self) -> None:
        try:
            free_bytes, total_bytes = self._folder.use(self._folder.path)
        except OSError:
            return
        used_percent = 100.0 * (1 - free_bytes / max(total_bytes, 1))
        self._trail.space = free_bytes, used_percent
        warn = self._folder.settings.warn_percent
        if used_percent >= warn:
            text = (
                f"the disk of the audit trail is {used_percent:.0f} % full, {free_bytes / 1e9:.1f} GB are free "
                f"(told from {warn:g} % on); make room, or move the data folder to a larger disk"
            )
            self._troubles.begin(SPACE, text)
        else:
            self._troubles.end(SPACE)

    # --- archives -----------------------------------------------------------------------------------------------

    def _archive_where_due(self) -> Archive | None:
        """One archive, None where none is due or it cannot be made now."""
        try:
            if ALTERED in self._troubles:
                return None  # evidence stays where it is
            self._finish()
            records = self._oldest()
            if not records:
                return None
            made = archive_file.write(self._folder.archive, records, self._folder.disk, self._clock.now_ns())
            self._folder.checkpoints.archive(made)
            self._commit(made)
        except (OSError, SQLAlchemyError) as error:
            text = "old entries of the audit trail cannot be archived and stay in the database; look at its disk"
            self._troubles.begin(ARCHIVE, text, str(error))
            return None
        except DataError as error:
            self._troubles.begin(ALTERED, error.message)
            return None
        self._troubles.end(ARCHIVE)
        return made

    def _oldest(self) -> list[Record]:
        """Entries for one archive, checked; none where none is due. The newest of all stays in the table."""
        settings, now_ns = self._folder.settings, self._clock.now_ns()
        cutoff_ns = now_ns - settings.keep_days * DAY_NS
        query = ENTRIES.order_by(audit.c.sequence).limit(settings.archive_entries + 1)
        with self._engine.connect() as connection:
            before = connection.execute(select(func.max(archives.c.last_sequence))).scalar() or 0
            hashed = connection.execute(select(archives.c.last_hash).where(archives.c.last_sequence == before)).scalar()
            rows = [Record(*row) for row in connection.execute(query)][:-1]
        old = 0
        while old < len(rows) and rows[old].time_ns < cutoff_ns:
            old += 1
        month_old = old > 0 and rows[0].time_ns < cutoff_ns - MONTH_NS
        if old < settings.archive_entries and not month_old:
            return []
        records = rows[:old]
        head = AuditHead(before, hashed or records[0].previous_hash)
        for record in records:
            head = follow(head, record)
        return records

    def _finish(self) -> None:
        """Files that a crash left: signed ones are committed, others removed while the table has their entries."""
        folder = self._folder.archive
        committed = {(one.first, one.last) for one in self._trail.reader.archives()}
        left: dict[tuple[int, int], Path] = {}
        for path in folder.iterdir():
            span = archive_file.span_of(path.name)
            if path.name.endswith(".partial"):
                self._folder.disk.unlink(path)
            elif span is not None and span not in committed:
                left[span] = path
        if not left:
            return
        told = archives_told(self._folder.checkpoints.path)
        for (first, last), path in sorted(left.items()):
            with self._engine.connect() as connection:
                query = ENTRIES.where(audit.c.sequence.between(first, last)).order_by(audit.c.sequence)
                records = [Record(*row) for row in connection.execute(query)]
            if len(records) != last - first + 1:
                raise altered(first, f" (the archive {path.name} is not in the list of archives)")
            made = told.get(last)
            if made is None or made.first != first:
                self._folder.disk.unlink(path)
                continue
            if archive_file.digest_of(path) != made.sha256 or records[-1].hash != made.last_hash:
                raise altered(first, f" or after it, within the archive {path.name}")
            self._commit(made)

    def _commit(self, made: Archive) -> None:
        """The moment at which these entries change their place. The database refuses it for any that are young."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(archives).values(
                    last_sequence=made.last,
                    first_sequence=made.first,
                    first_ns=made.first_ns,
                    last_ns=made.last_ns,
                    previous_hash=made.previous_hash,
                    last_hash=made.last_hash,
                    sha256=made.sha256,
                    bytes=made.size,
                    archived_ns=made.archived_ns,
                )
            )
            connection.execute(delete(audit).where(audit.c.sequence <= made.last))
        self._trail.archived_until = made.last
        self._trail.counters.archives += 1
        self._trail.counters.archived += made.last - made.first + 1

    async def _tell(self) -> None:
        """Troubles that began or ended, as events."""
        changes = self._troubles.changes
        events = []
        while changes:
            code, text, began = changes.popleft()
            kind = f"audit.{code}" if began else f"audit.{code}.over"
            events.append(Event(str(uuid4()), "/access/audit", kind, "audit", self._clock.now_ns(), {"message": text}))
        if events and self._emit is not None:
            await self._emit(events)
