"""A sum over the rows of every table of the catalog, so that a flipped bit is an error and never a wrong answer.

    row added or gone ─► trigger ─► sum of the table in `seal`, in the same transaction
    open ─► every row read and summed again ─► compared

SQLite checks the shape of its pages but not the numbers and texts in them. The sum does not depend on the order of the
rows, so a change costs as much as its own rows.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any


def attach(db: sqlite3.Connection) -> None:
    """Every connection that writes needs the function that the triggers call."""
    db.create_function("row_sum", -1, _row_sum, deterministic=True)
    db.execute("pragma recursive_triggers=on")  # else `insert or replace` would not tell of the row that it removes


def install(db: sqlite3.Connection, added: Sequence[str] = ()) -> None:
    """Within the transaction that makes the tables; `added` are tables of a later format, where a seal exists."""
    names = added or _tables(db)
    if not added:
        db.execute(
            "create table seal (name text primary key, total integer not null, rows integer not null) without rowid"
        )
    for table in names:
        new, old = (", ".join(f"{side}.{column}" for column in _columns(db, table)) for side in ("new", "old"))
        add = f"update seal set total = total + row_sum('{table}', {new}), rows = rows + 1 where name = '{table}';"
        take = f"update seal set total = total - row_sum('{table}', {old}), rows = rows - 1 where name = '{table}';"
        for event, steps in (("insert", add), ("delete", take), ("update", take + add)):
            db.execute(f"create trigger seal_{table}_{event} after {event} on {table} begin {steps} end")
        db.execute("insert into seal values (?, ?, ?)", (table, *_sum(db, table)))


def broken(db: sqlite3.Connection) -> list[str]:
    """Tables whose rows do not add up. Raises: sqlite3.DatabaseError where they cannot be read."""
    sums = {name: (total, rows) for name, total, rows in db.execute("select name, total, rows from seal")}
    return sorted(table for table in {*_tables(db), *sums} if table not in sums or _sum(db, table) != sums[table])


def _tables(db: sqlite3.Connection) -> list[str]:
    rows = db.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'").fetchall()
    return sorted(name for (name,) in rows if name != "seal")


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"pragma table_info({table})")]


def _sum(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    total = rows = 0
    for row in db.execute(f"select {', '.join(_columns(db, table))} from {table}"):
        total += _row_sum(table, *row)
        rows += 1
    return total, rows


def _row_sum(*values: Any) -> int:
    if bytes not in map(type, values):
        return zlib.crc32("\x00".join(map(str, values)).encode())
    crc = 0
    for value in values:
        crc = zlib.crc32(value if isinstance(value, bytes) else str(value).encode(), zlib.crc32(b"\x00", crc))
    return crc
