"""Copies of an app's tables from before it took a new version, and how they come back.

    update 1.0 ─► 1.1       tables ──copy──► before/1.0.db
    roll back 1.1 ─► 1.0    tables ──copy──► before/1.1.going.db;  before/1.0.db ─► tables;  going ─► before/1.1.left.db

Migrations go forward only, so an older version may not be able to read what a newer one made of the tables. What was
written since the update is in the file that is left, and in the export; nobody deletes it but who deletes the data.

Source: SQLite online backup API; a copy is consistent whatever a killed process left in its log. All of it blocks.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from headrace.hosting.register import Register, TenantRecord
from headrace.hosting.tables import FILE as TABLES
from headrace.model.errors import Unavailable
from headrace.sdk.secret_files import FOLDER_MODE, sync_folder


class TableCopies:
    def __init__(self, register: Register) -> None:
        self._register = register

    def keep(self, one: TenantRecord) -> None:
        """As its version leaves them. Raises: Unavailable."""
        tables = self._tables(one)
        if tables.exists():
            copy(tables, self._register.before(one.app, one.tenant, one.version or "0"))

    def bring_back(self, one: TenantRecord, version: str) -> None:
        """Tables as that version left them; none where it never had any. May be done again. Raises: Unavailable."""
        tables, going = self._tables(one), self._going(one)
        kept = self._register.before(one.app, one.tenant, version)
        if tables.exists() and not going.exists():  # a crash may have put the old ones there already
            copy(tables, going)
        _put(kept, tables)

    def finish(self, one: TenantRecord) -> None:
        """What a move left to do, once the record says the version that is wanted; nothing runs meanwhile. Tables of
        that version which were on their way out, and are wanted again, come back. Raises: Unavailable."""
        folder, own = self._register.before(one.app, one.tenant), self._going(one)
        if own.exists():
            _put(own, self._tables(one))
            own.unlink()
        for going in folder.glob("*.going.db"):
            going.replace(folder / f"{going.name.removesuffix('.going.db')}.left.db")

    def _tables(self, one: TenantRecord) -> Path:
        return self._register.data(one.app, one.tenant) / TABLES

    def _going(self, one: TenantRecord) -> Path:
        return self._register.before(one.app, one.tenant) / f"{one.version}.going.db"


def _put(kept: Path, tables: Path) -> None:
    """In the place of the tables; none where there is none. Raises: Unavailable."""
    try:
        for suffix in ("-wal", "-shm"):
            tables.with_name(TABLES + suffix).unlink(missing_ok=True)
        if kept.exists():
            copy(kept, tables)
        else:
            tables.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"the tables of before cannot be brought back ({error.strerror})") from None


def copy(source: Path, target: Path) -> None:
    """A consistent one, of a file that is in use too: whole and durable, or not there. Raises: Unavailable."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(f"file:{_quoted(source)}?mode=ro", uri=True)) as old,
            contextlib.closing(sqlite3.connect(partial)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(target)
        sync_folder(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            "the tables of the app cannot be copied; see whether the disk is full", detail=f"{source}: {error}"
        ) from None


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
