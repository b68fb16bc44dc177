"""The audit trail: append-only, each entry carrying the hash of the one before, so that a change anywhere shows.

record ─► waiting ─► one transaction for all that wait ─► durable ─► the callers go on
                     hash = SHA-256(previous hash, entry)

The chain proves that nothing between two known entries was altered. It cannot prove that the newest were not cut
off, nor stop one who rewrites all of it: keep the head that `verify` returns somewhere else, and give it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.access.tables import audit
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.access import AuditEntry
from headrace.sdk.clock import Clock

_FIRST_HASH: Final = "0" * 64
_TRIES: Final = 5
_CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest entry of a whole trail; sequence 0 where there is none."""

    sequence: int
    hash: str


@dataclass(slots=True)
class _Waiting:
    time_ns: int
    texts: tuple[str, str, str, str]
    data: str
    done: asyncio.Future[None]


class AuditTrail:
    """Implements `sdk.access.AuditLog`."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None
    ) -> None:
        """Raises: Unavailable where the database does not take it."""
        done = asyncio.get_running_loop().create_future()
        texts = (_clean(actor), _clean(action), _clean(subject), _clean(outcome))
        self._waiting.append(_Waiting(self._clock.now_ns(), texts, _canonical(data or {}), done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="audit")
        await done

    async def page(self, *, limit: int = 200, cursor: str | None = None) -> tuple[Sequence[AuditEntry], str | None]:
        """Newest first. Raises: DataError for a cursor that we never gave."""
        before = None if cursor is None else _sequence_of(cursor)
        return await asyncio.to_thread(self._page, max(limit, 1), before)

    async def verify(self, known: AuditHead | None = None) -> AuditHead:
        """Walk the chain; the head is returned. `known` is a head from earlier that must still be part of it.

        Raises: DataError that names the first entry which does not fit.
        """
        return await asyncio.to_thread(self._verify, known)

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await asyncio.to_thread(self._append, batch)
            except SQLAlchemyError as failure:
                error = Unavailable("the audit trail cannot be written now; try again", detail=str(failure))
            except Exception as failure:
                error = failure
            for one in batch:
                if one.done.done():
                    continue
                if error is None:
                    one.done.set_result(None)
                else:
                    one.done.set_exception(error)

    def _append(self, batch: Sequence[_Waiting]) -> None:
        for attempt in range(_TRIES):
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(audit), _chained(connection, batch))
                return
            except IntegrityError:  # another process appended meanwhile
                if attempt == _TRIES - 1:
                    raise

    def _page(self, limit: int, before: int | None) -> tuple[Sequence[AuditEntry], str | None]:
        wanted = select(audit).order_by(audit.c.sequence.desc()).limit(limit + 1)
        if before is not None:
            wanted = wanted.where(audit.c.sequence < before)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        entries = [_entry(row) for row in rows[:limit]]
        return entries, str(entries[-1].sequence) if len(rows) > limit else None

    def _verify(self, known: AuditHead | None) -> AuditHead:
        head = AuditHead(0, _FIRST_HASH)
        found = known is None or known.sequence == 0
        with self._engine.connect() as connection:
            while True:
                wanted = select(audit).where(audit.c.sequence > head.sequence).order_by(audit.c.sequence)
                rows = connection.execute(wanted.limit(_CHUNK)).all()
                for row in rows:
                    head = _next_head(head, row)
                    if known is not None and head.sequence == known.sequence:
                        found = head.hash == known.hash
                if len(rows) < _CHUNK:
                    break
        if not found and known is not None:
            raise DataError(f"audit entry {known.sequence} is no longer the one that was noted; the trail was cut off")
        return head


def _chained(connection: Connection, batch: Sequence[_Waiting]) -> list[dict[str, Any]]:
    newest = select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    last = connection.execute(newest).first()
    sequence, previous = (0, _FIRST_HASH) if last is None else (last.sequence, last.hash)
    rows = []
    for one in batch:
        sequence += 1
        digest = _digest(previous, sequence, one.time_ns, *one.texts, one.data)
        actor, action, subject, outcome = one.texts
        rows.append(
            {
                "sequence": sequence,
                "time_ns": one.time_ns,
                "actor": actor,
                "action": action,
                "subject": subject,
                "outcome": outcome,
                "data": one.data,
                "previous_hash": previous,
                "hash": digest,
            }
        )
        previous = digest
    return rows


def _next_head(head: AuditHead, row: Row[Any]) -> AuditHead:
    fields = (row.sequence, row.time_ns, row.actor, row.action, row.subject, row.outcome, row.data)
    fits = row.sequence == head.sequence + 1 and row.previous_hash == head.hash
    if not fits or row.hash != _digest(head.hash, *fields):
        raise DataError(f"the audit trail was altered at entry {head.sequence + 1}; entries before it are whole")
    return AuditHead(row.sequence, row.hash)


def _digest(previous: str, *fields: int | str) -> str:
    return hashlib.sha256(json.dumps([previous, *fields]).encode()).hexdigest()


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.sequence, row.time_ns, row.actor, row.action, row.subject, row.outcome, json.loads(row.data))


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)


def _clean(text: str) -> str:
    """What every database takes: no NUL, no lone surrogate."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")


def _sequence_of(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise DataError(f"'{cursor[:40]}' is no cursor of the audit trail")
    return int(cursor)
