"""The tables of one app and tenant, on a thread of their own: one statement after the other, and the loop goes on.

What an app may do with them: `sdk/apps/sqlite_tables.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from headrace.model.errors import AccessError, ConfigError, Unavailable
from headrace.sdk.apps import Rows, Statement
from headrace.sdk.apps.context import Cell
from headrace.sdk.apps.sqlite_tables import SqliteTables, TableLimits

FILE: Final = "tables.db"
_FOLDER: Final = "migrations/"
_T = TypeVar("_T")


def migrations_of(sources: Mapping[str, bytes]) -> dict[str, str]:
    """The text of each, by file name. Raises: ConfigError."""
    found = {}
    for file, data in sources.items():
        if file.startswith(_FOLDER) and file.endswith(".sql"):
            try:
                found[file.removeprefix(_FOLDER)] = data.decode()
            except UnicodeDecodeError:
                raise ConfigError("this is no text in UTF-8", file=file) from None
    return found


class AppTables:
    """Implements what `Tables` asks, for one app. `open` before anything else, `close` at the end."""

    def __init__(self, folder: Path, migrations: Mapping[str, str], *, megabytes: int, call_s: float) -> None:
        self._file, self._migrations = folder / FILE, migrations
        self._limits = TableLimits(megabytes * 1_000_000, min(call_s, TableLimits().call_s))
        self._granted = megabytes > 0
        self._thread = ThreadPoolExecutor(1, "app-tables")
        self._tables: SqliteTables | None = None

    async def open(self) -> None:
        """Applies migrations. Raises: ConfigError; Unavailable."""
        if not self._granted:
            if self._migrations:
                raise ConfigError("the app has migrations and was granted no tables: `tables_mb = 200` asks for them")
            return
        if self._tables is None:
            self._tables = await self._on_thread(self._opened)

    def _opened(self) -> SqliteTables:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteTables(self._file, self._migrations, self._limits)

    async def query(self, sql: str, values: Sequence[Cell]) -> Rows:
        tables = self._held()
        return await self._on_thread(lambda: tables.query(sql, values))

    async def write(self, statements: Sequence[Statement | str]) -> list[int]:
        """Whoever is cancelled meanwhile does not know whether it was written; it was, or not, as a whole."""
        tables = self._held()
        return await self._on_thread(lambda: tables.write(statements))

    async def export(self, target: Path) -> bool:
        """A consistent copy; False where the app has no tables. Raises: OSError, Unavailable."""
        if not self._granted:
            return False
        tables = self._held()
        await self._on_thread(lambda: tables.export(target))
        return True

    @property
    def held_bytes(self) -> int:
        return 0 if self._tables is None else self._tables.bytes()

    async def close(self) -> None:
        tables, self._tables = self._tables, None
        if tables is not None:
            await self._on_thread(tables.close)
        self._thread.shutdown(wait=False)

    def _held(self) -> SqliteTables:
        if not self._granted:
            raise AccessError("the app has no tables; its manifest would say how many MB: `tables_mb = 200`")
        if self._tables is None:
            raise Unavailable("the tables of the app are not open")
        return self._tables

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:
            if "shutdown" in str(error):
                raise Unavailable("the app is being stopped") from None
            raise
