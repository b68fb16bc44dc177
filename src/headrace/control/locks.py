"""The emergency lock: while one stands over a path, nothing below is written, whoever asks.

lock ─► stands in memory at once ─► durable ─► writes on their way to devices have ended ─► answered
release ─► durable ─► stands no more

A lock that cannot be recorded stands all the same: of two mistakes the one that stops writes is the smaller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from headrace.control import guard_tables
from headrace.model.commands import WriteLock
from headrace.model.errors import LimitReached, NotFound, Unavailable

LOCKS_MAX: Final = 1_000
_TABLE: Final = guard_tables.locks


class LockBook:
    """All locks that stand. One event loop; `load` before anything else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._standing: dict[str, WriteLock] = {}

    async def load(self) -> None:
        """Raises: Unavailable."""
        self._standing = {one.id: one for one in await self._run(self._read)}

    def standing(self) -> Sequence[WriteLock]:
        return sorted(self._standing.values(), key=lambda one: (one.locked_ns, one.id))

    def get(self, id: str) -> WriteLock:
        """Raises: NotFound for one that does not stand."""
        lock = self._standing.get(id)
        if lock is None:
            raise NotFound("no such lock stands; `headrace locks` shows those that do")
        return lock

    def over(self, path: str, tenant: str) -> Sequence[WriteLock]:
        """Those that keep a point of a tenant from being written."""
        return [one for one in self.standing() if one.tenant == tenant and one.covers(path)]

    def why_not(self, path: str, tenant: str) -> str | None:
        for lock in self.over(path, tenant):
            where = f"'{lock.path}' is" if lock.path else "all writes are"
            return f"{where} locked by {lock.locked_by}: {lock.reason}"
        return None

    def add(self, path: str, tenant: str, reason: str, actor: str, now_ns: int) -> WriteLock:
        """It stands from here on. Raises: LimitReached."""
        if len(self._standing) >= LOCKS_MAX:
            raise LimitReached(f"{LOCKS_MAX} locks stand already; lock an asset higher up, or release some")
        lock = WriteLock(str(uuid4()), path, tenant, reason, actor, now_ns)
        self._standing[lock.id] = lock
        return lock

    async def record(self, lock: WriteLock) -> None:
        """Raises: Unavailable; the lock stands on."""
        await self._run(lambda: self._write(lock))

    async def release(self, lock: WriteLock, actor: str, reason: str, now_ns: int) -> WriteLock:
        """Raises: Unavailable; the lock stands on then."""
        released = replace(lock, released_by=actor, released_ns=now_ns, release_reason=reason)
        await self._run(lambda: self._close(released))
        self._standing.pop(lock.id, None)
        return released

    async def _run(self, work: Any) -> Any:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            raise Unavailable("locks cannot be recorded now; try again", detail=str(error)) from error

    def _read(self) -> Sequence[WriteLock]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(_TABLE).where(_TABLE.c.released_ns.is_(None)))
            return [_lock(row) for row in rows]

    def _write(self, lock: WriteLock) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert(_TABLE).values(**_columns(lock)))

    def _close(self, lock: WriteLock) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(_TABLE).where(_TABLE.c.id == lock.id).values(**_columns(lock)))


def _columns(lock: WriteLock) -> dict[str, Any]:
    return {name: getattr(lock, name) for name in WriteLock.__slots__}


def _lock(row: Row[Any]) -> WriteLock:
    return WriteLock(**{name: getattr(row, name) for name in WriteLock.__slots__})
