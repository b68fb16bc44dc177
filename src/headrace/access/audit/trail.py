"""The audit trail: append-only, each entry carrying the hash of the one before, so that a change anywhere shows.

record ─► waiting ─► one transaction for all that wait ─► durable ─► the callers go on
                     hash = SHA-256(previous hash, entry)               chain.py
table guarded by the database                                           ../audit_tables.py
head signed, old entries in closed files                                keeper.py, checkpoints.py, archive.py

The chain proves that nothing between two known entries was altered; the signed heads, that it was not cut off or
written anew as a whole. Where the database takes no entry, what had to be recorded is refused (`ready`).
Source: IEC 62443-3-3 SR 2.8 to 2.12, SR 3.9, SR 6.1; GB/T 22239-2019 8.1.4.3.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.access.audit.chain import FORM, START, canonical, clean, digest
from headrace.access.audit.export import export
from headrace.access.audit.folder import AuditFolder
from headrace.access.audit.reader import TrailReader, newest
from headrace.access.audit.trouble import ALTERED, FAILING, Troubles
from headrace.access.audit.verify import verify
from headrace.access.tables import audit
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.access import DEFAULT_TENANT, AuditEntry
from headrace.sdk.audit import AuditCounters, AuditFilter, AuditFormat, AuditHead, AuditState, AuditVerdict
from headrace.sdk.clock import Clock

_TRIES: Final = 5
_BATCH_MAX: Final = 1_000
_ALL: Final = AuditFilter()


@dataclass(slots=True)
class _Waiting:
    time_ns: int
    tenant: str
    texts: tuple[str, str, str, str]
    data: str
    done: asyncio.Future[None]


class AuditTrail:
    """Implements `sdk.access.AuditLog` and `sdk.audit.AuditDesk`. Without a folder there are no signed heads."""

    def __init__(self, engine: Engine, clock: Clock, folder: AuditFolder | None = None) -> None:
        self.engine, self.clock, self.folder = engine, clock, folder
        self.counters = AuditCounters()
        self.troubles = Troubles()
        self.reader = TrailReader(engine, None if folder is None else folder.archive)
        self.head = START
        self.archived_until = 0
        self.space: tuple[int, float] | None = None  # free bytes, percent used
        self._failing_since_ns: int | None = None
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._trying = asyncio.Lock()
        self._verifying: asyncio.Task[AuditVerdict] | None = None

    async def record(
        self,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        data: Mapping[str, Any] | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        """Raises: Unavailable where the database does not take it."""
        done = asyncio.get_running_loop().create_future()
        texts = (clean(actor), clean(action), clean(subject), clean(outcome))
        self._waiting.append(_Waiting(self.clock.now_ns(), tenant, texts, canonical(data or {}), done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="audit")
        await done

    async def ready(self) -> None:
        """Return where the trail can be written; after a failure the first to ask tries, and that is on record."""
        if self._failing_since_ns is None:
            return
        async with self._trying:
            since_ns = self._failing_since_ns
            if since_ns is not None:
                await self.record("platform", "audit.resume", "audit", "done", {"failed_since_ns": since_ns})

    async def page(
        self, tenant: str, wanted: AuditFilter = _ALL, *, limit: int = 200, cursor: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        before = None if cursor is None else _sequence_of(cursor)
        limit = max(limit, 1)
        records = await asyncio.to_thread(self.reader.page, tenant, wanted, limit + 1, before)
        entries = [record.entry() for record in records[:limit]]
        return entries, str(entries[-1].sequence) if len(records) > limit else None

    async def export(
        self, tenant: str, wanted: AuditFilter = _ALL, form: AuditFormat = AuditFormat.NDJSON
    ) -> AsyncIterator[bytes]:
        key = None if self.folder is None else self.folder.key
        pieces = export(self.reader, tenant, wanted, form, key, self.clock.now_ns())
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    async def verify(self, known: AuditHead | None = None) -> AuditVerdict:
        """One walk at a time; who asks meanwhile waits. Raises: DataError that names what does not fit."""
        while self._verifying is not None:
            with contextlib.suppress(DataError):
                await asyncio.shield(self._verifying)
        folder, key = (None, None) if self.folder is None else (self.folder.path, self.folder.key.public)
        task = asyncio.create_task(asyncio.to_thread(verify, self.reader, folder, key, known), name="audit-verify")
        self._verifying = task
        task.add_done_callback(self._verified)
        return await asyncio.shield(task)

    def state(self) -> AuditState:
        folder = self.folder
        free_bytes, used_percent = self.space or (None, None)
        return AuditState(
            head=self.head,
            counters=self.counters,
            failing_since_ns=self._failing_since_ns,
            checkpoint=None if folder is None else folder.checkpoints.newest,
            checkpoint_ns=None if folder is None else folder.checkpoints.newest_ns,
            archived_until=self.archived_until,
            keep_days=None if folder is None else folder.settings.keep_days,
            free_bytes=free_bytes,
            used_percent=used_percent,
            warn_percent=None if folder is None else folder.settings.warn_percent,
            key="" if folder is None else folder.key.public.fingerprint,
            trouble=self.troubles.texts(),
        )

    def _verified(self, task: asyncio.Task[AuditVerdict]) -> None:
        self._verifying = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DataError):
            self.troubles.begin(ALTERED, error.message)

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
            error: Exception | None = None
            try:
                self.head = await asyncio.to_thread(self._append, batch)
            except SQLAlchemyError as failure:
                error = Unavailable("the audit trail cannot be written now; try again", detail=str(failure))
            except Exception as failure:
                error = failure
            self._count(len(batch), error)
            for one in batch:
                if one.done.done():
                    continue
                if error is None:
                    one.done.set_result(None)
                else:
                    one.done.set_exception(error)

    def _count(self, entries: int, error: Exception | None) -> None:
        if error is None:
            self.counters.entries += entries
            self._failing_since_ns = None
            self.troubles.end(FAILING)
            return
        self.counters.failures += entries
        if self._failing_since_ns is None:
            self._failing_since_ns = self.clock.now_ns()
        text = (
            "the audit trail cannot be written: what has to be recorded is refused. Look at the database and its disk"
        )
        self.troubles.begin(FAILING, text, getattr(error, "detail", None) or str(error))

    def _append(self, batch: Sequence[_Waiting]) -> AuditHead:
        for attempt in range(_TRIES):
            try:
                with self.engine.begin() as connection:
                    rows, head = _chained(connection, batch)
                    connection.execute(insert(audit), rows)
                return head
            except IntegrityError:  # another process appended meanwhile
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError


def _chained(connection: Connection, batch: Sequence[_Waiting]) -> tuple[list[dict[str, Any]], AuditHead]:
    head = newest(connection)
    sequence, previous = head.sequence, head.hash
    rows = []
    for one in batch:
        sequence += 1
        actor, action, subject, outcome = one.texts
        made = digest(previous, sequence, one.time_ns, FORM, one.tenant, actor, action, subject, outcome, one.data)
        rows.append(
            {
                "sequence": sequence,
                "time_ns": one.time_ns,
                "form": FORM,
                "tenant": one.tenant,
                "actor": actor,
                "action": action,
                "subject": subject,
                "outcome": outcome,
                "data": one.data,
                "previous_hash": previous,
                "hash": made,
            }
        )
        previous = made
    return rows, AuditHead(sequence, previous)


def _sequence_of(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise DataError(f"'{cursor[:40]}' is no cursor of the audit trail")
    return int(cursor)
