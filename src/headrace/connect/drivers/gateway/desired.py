"""What devices are to become: the last retained command of each topic, kept across restarts.

    write ──► put (fsynced) ──► retained on the gateway ──► the device, now or when it comes back

One small SQLite file for all gateways; writes are rare, for persons and programs make them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from headrace.connect.gateway.retained import Kept
from headrace.model.errors import Unavailable

Answer = TypeVar("Answer")


class DesiredStates:
    def __init__(self, folder: Path, gateway: str) -> None:
        self._file, self._gateway = folder / "desired.sqlite", gateway

    async def load(self) -> list[Kept]:
        """Raises: Unavailable where the file cannot be read."""

        def read(database: sqlite3.Connection) -> list[Kept]:
            rows = database.execute("SELECT topic, payload, qos FROM desired WHERE gateway = ?", (self._gateway,))
            return [Kept(topic, payload, qos) for topic, payload, qos in rows]

        return await self._with(read)

    async def put(self, topic: str, payload: bytes, qos: int, now_ns: int) -> None:
        """Durable on return; an empty payload forgets the topic. Raises: Unavailable."""

        def write(database: sqlite3.Connection) -> None:
            if payload:
                database.execute(
                    "INSERT OR REPLACE INTO desired VALUES (?, ?, ?, ?, ?)",
                    (self._gateway, topic, payload, qos, now_ns),
                )
            else:
                database.execute("DELETE FROM desired WHERE gateway = ? AND topic = ?", (self._gateway, topic))

        await self._with(write)

    async def _with(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        def run() -> Answer:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=5.0)) as database:
                database.execute("PRAGMA synchronous = FULL")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS desired (gateway TEXT, topic TEXT, payload BLOB, qos INTEGER, "
                    "at_ns INTEGER, PRIMARY KEY (gateway, topic))"
                )
                with database:
                    return work(database)

        try:
            return await asyncio.to_thread(run)
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"desired states of '{self._gateway}' cannot be kept: {error}") from None
