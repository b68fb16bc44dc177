"""The tables of an app in one file of SQLite: what `Tables` does, once, for the platform and for the test kit.

    migrations/0001-orders.sql ─► applied in order, each once and whole, its digest kept
    query ─► a connection that only reads      ┐ each statement judged before it is prepared: nothing but tables of this
    write ─► a connection with one transaction ┘ file; a time limit; a size limit; durable when it returns

The SQL is an app's, so a stranger's. It reaches no other file (ATTACH), no setting (PRAGMA), no code (load_extension),
not the bookkeeping, and it ends. Sources: SQLite "Defense Against The Dark Arts", "Run-Time Limits",
sqlite3_set_authorizer.
"""

from __future__ import annotations

import hashlib
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.model.errors import ConfigError, Conflict, DataError, HeadraceError, LimitReached, Unavailable
from headrace.sdk.apps.context import Cell, Rows, Statement

BOOKS: Final = "_headrace_migrations"
CELLS_MAX: Final = 1_000_000
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
STATEMENTS_MAX: Final = 10_000
MIGRATION_CHARACTERS_MAX: Final = 1_000_000
_PAGE_BYTES: Final = 4096
_STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock
_MIGRATION: Final = re.compile(r"(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.sql", re.ASCII)
_OWN: Final = "_headrace"

_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: 32 * 1024 * 1024, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200, sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000, sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 60, sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000, sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 10_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 20, sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}  # fmt: skip
_READS: Final = {
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
}  # fmt: skip
_WRITES: Final = _READS | {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_MIGRATES: Final = _WRITES | {
    sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_VIEW, sqlite3.SQLITE_DROP_TRIGGER,
    sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_REINDEX,
}  # fmt: skip
_NO_FUNCTIONS: Final = {"load_extension", "fts3_tokenizer"}
_ACTIONS: Final = (
    "ATTACH", "DETACH", "PRAGMA", "TRANSACTION", "SAVEPOINT", "INSERT", "UPDATE", "DELETE", "ANALYZE", "ALTER_TABLE",
    "REINDEX", "FUNCTION", "CREATE_TABLE", "CREATE_INDEX", "CREATE_VIEW", "CREATE_TRIGGER", "CREATE_VTABLE",
    "CREATE_TEMP_TABLE", "CREATE_TEMP_INDEX", "CREATE_TEMP_VIEW", "CREATE_TEMP_TRIGGER", "DROP_TABLE", "DROP_INDEX",
    "DROP_VIEW", "DROP_TRIGGER", "DROP_VTABLE",
)  # fmt: skip
_NAMED: Final[dict[int, str]] = {getattr(sqlite3, f"SQLITE_{name}"): name.replace("_", " ") for name in _ACTIONS}


@dataclass(frozen=True, slots=True)
class TableLimits:
    """`call_s` for all statements of one call. `bytes` of the file; what is being written beside it is not counted."""

    bytes: int = 200_000_000
    call_s: float = 10.0


class SqliteTables:
    """One file, one app, one tenant. Calls come from one thread at a time, whichever it is."""

    def __init__(self, file: Path, migrations: Mapping[str, str], limits: TableLimits | None = None) -> None:
        """Opens it, and applies what was not yet. `migrations` are texts by file name.

        Raises: ConfigError for migrations that do not fit each other, the file, or SQLite; Unavailable.
        """
        self.file, self._limits = file, limits or TableLimits()
        self._allowed: frozenset[int] | set[int] | None = None  # None: our own statements
        self._refused = ""
        self._deadline_s = math.inf
        try:
            self._writer = self._connected(read_only=False)
            try:
                self._migrate(migrations)
                self._reader = self._connected(read_only=True)
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise Unavailable(f"the tables of the app cannot be opened: {error}", detail=str(file)) from None

    def query(self, sql: str, values: Sequence[Cell] = ()) -> Rows:
        """Raises: as `Tables`."""
        given = _checked(values)
        with self._judged(_READS):
            cursor = self._reader.execute(sql, given)
            columns = tuple(one[0] for one in cursor.description or ())
            rows: list[tuple[Cell, ...]] = []
            left = ANSWER_BYTES_MAX
            for row in cursor:
                rows.append(row)
                left -= sum(len(cell) if isinstance(cell, str | bytes) else 8 for cell in row)
                if len(rows) * len(columns) > CELLS_MAX or left < 0:
                    cursor.close()
                    raise LimitReached(
                        f"a query answers at most {CELLS_MAX:,} cells and {ANSWER_BYTES_MAX >> 20} MiB; "
                        "ask for less at a time"
                    )
        return Rows(columns, rows)

    def write(self, statements: Sequence[Statement | str]) -> list[int]:
        """All or none; durable on return. How many rows each changed. Raises: as `Tables`."""
        if not 0 < len(statements) <= STATEMENTS_MAX:
            raise DataError(f"a write has 1 to {STATEMENTS_MAX:,} statements; this has {len(statements):,}")
        asked = [one if isinstance(one, Statement) else Statement(one) for one in statements]
        for one in asked:
            if one.many is not None and one.values:
                raise DataError("a statement has values or many rows of them, not both")
        counts = []
        with self._transaction():
            for one in asked:
                with self._judged(_WRITES):
                    if one.many is not None:
                        cursor = self._writer.executemany(one.sql, map(_checked, one.many))
                    else:
                        cursor = self._writer.execute(one.sql, _checked(one.values))
                        while cursor.fetchmany(1_000):  # of RETURNING: only counted
                            pass
                    counts.append(max(cursor.rowcount, 0))
        return counts

    def bytes(self) -> int:
        """Of the file and what was written beside it."""
        return sum(
            path.stat().st_size
            for suffix in ("", "-wal")
            if (path := self.file.with_name(self.file.name + suffix)).exists()
        )

    def export(self, target: Path) -> None:
        """A consistent copy. Raises: OSError, Unavailable."""
        try:
            copy = sqlite3.connect(target)
            try:
                self._reader.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
            finally:
                copy.close()
        except sqlite3.Error as error:
            raise Unavailable(f"the tables cannot be copied: {error}") from None

    def close(self) -> None:
        for connection in (self._reader, self._writer):
            with suppress(sqlite3.Error):
                connection.close()

    # --- how it is held ----------------------------------------------------------------------------------------------

    def _connected(self, *, read_only: bool) -> sqlite3.Connection:
        # No statement is kept prepared: one that was ours would pass unjudged when an app says the same words.
        connection = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False, cached_statements=0)
        for name, value in _LIMITS.items():
            connection.setlimit(name, value)
        pages = max(1, self._limits.bytes // _PAGE_BYTES)
        for pragma in (
            f"page_size={_PAGE_BYTES}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF",
            "temp_store=MEMORY", "cell_size_check=ON", f"max_page_count={pages}", "busy_timeout=10000",
            "recursive_triggers=OFF", f"query_only={'ON' if read_only else 'OFF'}",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
        connection.set_authorizer(self._judge)
        connection.set_progress_handler(self._late, _STEPS)
        return connection

    def _judge(self, action: int, first: str | None, second: str | None, *_: Any) -> int:
        if self._allowed is None:
            return sqlite3.SQLITE_OK
        if action not in self._allowed:
            self._refused = f"{_NAMED.get(action, 'this')} is nothing that an app may do here"
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _NO_FUNCTIONS:
            self._refused = f"{second}() is nothing that an app may call"
            return sqlite3.SQLITE_DENY
        if any((name or "").lower().startswith(_OWN) for name in (first, second)):
            self._refused = f"names that begin with {_OWN} are the platform's"
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _late(self) -> int:
        return int(time.monotonic() > self._deadline_s)

    @contextmanager
    def _judged(self, allowed: set[int]) -> Iterator[None]:
        """Statements of the app; what SQLite says of them becomes one of our errors."""
        self._allowed, self._refused = allowed, ""
        if self._deadline_s == math.inf:
            self._deadline_s = time.monotonic() + self._limits.call_s
            ends = True
        else:
            ends = False
        try:
            yield
        except sqlite3.Error as error:
            raise self._said(error) from None
        except (OverflowError, UnicodeError):
            raise DataError("a table holds whole numbers of 64 bits and text that is Unicode") from None
        finally:
            self._allowed = None
            if ends:
                self._deadline_s = math.inf

    def _said(self, error: sqlite3.Error) -> HeadraceError:
        name = getattr(error, "sqlite_errorname", "")
        if self._refused:
            return DataError(f"SQL: {self._refused}")
        if name == "SQLITE_INTERRUPT":
            return LimitReached(
                f"SQL: it took longer than {self._limits.call_s:g} s; ask for less at a time, or add an index"
            )
        if name == "SQLITE_FULL":
            return LimitReached(f"the tables have reached {self._limits.bytes / 1e6:g} MB, all that was granted")
        if name.startswith("SQLITE_CONSTRAINT"):
            return Conflict(f"SQL: {error}")
        if name in (
            "SQLITE_CORRUPT",
            "SQLITE_NOTADB",
            "SQLITE_IOERR",
            "SQLITE_CANTOPEN",
            "SQLITE_BUSY",
            "SQLITE_NOMEM",
        ):
            return Unavailable(f"the tables cannot be used: {error}", detail=str(self.file))
        return DataError(f"SQL: {str(error)[:500]}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._deadline_s = time.monotonic() + self._limits.call_s
        try:
            self._own("BEGIN IMMEDIATE")
            try:
                yield
                self._own("COMMIT")
            except BaseException:
                self._deadline_s = math.inf
                with suppress(sqlite3.Error, HeadraceError):
                    self._own("ROLLBACK")
                raise
        finally:
            self._deadline_s = math.inf

    def _own(self, sql: str, *values: Cell) -> list[tuple[Cell, ...]]:
        try:
            return self._writer.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._said(error) from None

    # --- migrations --------------------------------------------------------------------------------------------------

    def _migrate(self, migrations: Mapping[str, str]) -> None:
        names = check_migrations(migrations)
        self._own(f"CREATE TABLE IF NOT EXISTS {BOOKS} (number INTEGER PRIMARY KEY, name TEXT, sha256 TEXT) STRICT")
        applied = self._own(f"SELECT number, name, sha256 FROM {BOOKS}")
        done = {int(number or 0): (str(name), str(digest)) for number, name, digest in applied}
        if len(done) > len(names):
            last = done[max(done)][0]
            raise ConfigError(
                f"the tables are of a newer version, which had {last}; put that version back, or its tables of before"
            )
        for number, name in enumerate(names, 1):
            digest = hashlib.sha256(migrations[name].encode()).hexdigest()
            if number in done:
                if done[number] != (name, digest):
                    raise ConfigError(
                        f"migration {name} is not what was applied ({done[number][0]}); a migration is never changed: "
                        "add another one",
                        file=f"migrations/{name}",
                    )
                continue
            with self._transaction():
                self._apply(name, migrations[name])
                self._own(f"INSERT INTO {BOOKS} VALUES (?, ?, ?)", number, name, digest)

    def _apply(self, name: str, text: str) -> None:
        for line, statement in statements_of(text):
            try:
                with self._judged(_MIGRATES):
                    self._writer.execute(statement)
            except HeadraceError as error:
                raise ConfigError(error.message, file=f"migrations/{name}", line=line) from None


def check_migrations(migrations: Mapping[str, str]) -> list[str]:
    """Their names in order: `0001-orders.sql`, `0002-…`, none left out. Raises: ConfigError."""
    names = sorted(migrations)
    for number, name in enumerate(names, 1):
        matched = _MIGRATION.fullmatch(name)
        if matched is None or int(matched[1]) != number:
            raise ConfigError(
                f"'{name[:60]}' is no name of migration {number}; they are called {number:04d}-<words>.sql, one after "
                "the other",
                file="migrations",
            )
        if len(migrations[name]) > MIGRATION_CHARACTERS_MAX:
            raise ConfigError(f"it has more than {MIGRATION_CHARACTERS_MAX:,} characters", file=f"migrations/{name}")
    return names


def statements_of(text: str) -> list[tuple[int, str]]:
    """Each statement and the line on which it begins; triggers are whole. Comments alone are no statement."""
    found: list[tuple[int, str]] = []
    start = 0
    for at in _ends(text):
        part = text[start:at]
        if sqlite3.complete_statement(part):
            _add(found, text, start, part)
            start = at
    _add(found, text, start, text[start:])
    return found


def _ends(text: str) -> Iterator[int]:
    at = text.find(";")
    while at >= 0:
        yield at + 1
        at = text.find(";", at + 1)


_COMMENT: Final = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)


def _add(found: list[tuple[int, str]], text: str, start: int, part: str) -> None:
    skip = 0
    while matched := _COMMENT.match(part, skip):
        skip = matched.end()
    if part[skip:].strip("; \t\r\n"):
        found.append((text.count("\n", 0, start + skip) + 1, part[skip:]))


def _checked(values: Sequence[Cell]) -> tuple[Cell, ...]:
    """Raises: DataError for what a column cannot hold as it is."""
    for value in values:
        if isinstance(value, float) and math.isnan(value):
            raise DataError("a table holds no NaN, which SQLite would make NULL; give None where there is no value")
        if value is not None and not isinstance(value, int | float | str | bytes):
            raise DataError(f"a table holds numbers, text and bytes, no {type(value).__name__}")
    return tuple(values)
