"""What the tests of the trail do to it, from outside: fill, archive, tamper, break the disk, kill."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, select
from tests.access.conftest import FakeClock

from headrace.access.audit import AuditFolder, AuditKeeper, AuditSettings, AuditTrail
from headrace.access.audit_tables import guard, unguard
from headrace.access.tables import audit
from headrace.sdk.disk import Disk

DAY_S = 86_400
SETTINGS = AuditSettings(archive_entries=10, checkpoint_entries=5)


class Killed(BaseException):
    """The process ends here: nobody catches it."""


class BreakingDisk(Disk):
    """Each touch of the disk is a step; `at` is the one that breaks, with `error`."""

    def __init__(self, at: int | None = None, error: BaseException | None = None) -> None:
        self.at, self.error, self.steps = at, error or Killed(), 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise self.error

    def open(self, path: Path, *, create: bool = False) -> int:
        self._step()
        return super().open(path, create=create)

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        half = len(data) // 2
        super().write(descriptor, data[:half])
        self._step()
        super().write(descriptor, data[half:])

    def datasync(self, descriptor: int) -> None:
        self._step()
        super().datasync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        super().replace(source, target)

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)


class AuditWorld:
    def __init__(self, engine: Engine, clock: FakeClock, home: Path) -> None:
        self.engine, self.clock, self.home = engine, clock, home
        self.told: list[str] = []
        self.open()

    def open(self, disk: Disk | None = None, settings: AuditSettings = SETTINGS, **options: Any) -> None:
        """As a start of the platform does; also after a kill."""
        self.folder = AuditFolder(self.home / "audit", self.home / "keys", settings, disk, **options)
        self.trail = AuditTrail(self.engine, self.clock, self.folder)
        self.keeper = AuditKeeper(self.trail, self.folder, self._emit)

    async def _emit(self, events: Any) -> None:
        self.told += [one.type for one in events]

    async def fill(self, count: int, *, tenant: str = "default", every_s: int = 1) -> None:
        for number in range(count):
            self.clock.seconds += every_s
            await self.trail.record("wang", "write", f"acme/press-{number}", "confirmed", {"n": number}, tenant=tenant)

    async def archived(self, count: int = 25) -> None:
        """`count` entries, all old but the last five; two archives of ten."""
        await self.fill(count - 5)
        self.clock.seconds += 400 * DAY_S
        await self.fill(5)
        await self.keeper.archive()

    def sequences(self) -> list[int]:
        return [record.sequence for records in self.trail.reader.all() for record in records]

    def in_table(self) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(audit.c.sequence).order_by(audit.c.sequence)).scalars())

    @contextlib.contextmanager
    def round_the_guards(self) -> Iterator[Connection]:
        """What the owner of the database may do."""
        with self.engine.begin() as connection:
            unguard(connection)
            yield connection
            guard(connection)


@contextlib.contextmanager
def failing_inserts(engine: Engine, error: Exception) -> Iterator[None]:
    """A database whose disk is full, as far as the trail is concerned."""

    def break_it(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO access_audit "):
            raise error

    event.listen(engine, "before_cursor_execute", break_it)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", break_it)


def run(work: Any) -> Any:
    return asyncio.run(work)
