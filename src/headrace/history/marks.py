"""How far each source has been taken: what makes a call that comes twice count once.

    append(batches, marks) ─► fresh? ─► log frame with marks, fdatasync ─► `take`
                                └ no: nothing is written, and the caller is told that it is durable, which it is
    flush ─► the changed ones, in the transaction that advances the log position

Data and marks are one frame of the log, so a crash keeps both or neither. Belongs to the commit thread.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Mapping
from typing import Final

from headrace.history import seal
from headrace.model.errors import DataError, LimitReached
from headrace.sdk.intake import Mark

Marks = Mapping[str, Mark]

TABLE: Final = (
    "create table marks (source text primary key, epoch integer not null, sequence integer not null) without rowid;"
)
KIND: Final = 0  # where a record of samples has its value kind
SOURCE_BYTES_MAX: Final = 1024
_HEAD: Final = struct.Struct("<BI")
_MARK: Final = struct.Struct("<qqH")
_LARGEST: Final = 2**63 - 1
NEVER: Final = Mark(-1, -1)


class MarkTable:
    def __init__(self, marks: Marks) -> None:
        """`marks` are those that the catalog has."""
        self._held, self._dirty = dict(marks), dict[str, Mark]()

    @property
    def held(self) -> dict[str, Mark]:
        """A copy; may be asked for from any thread."""
        return dict(self._held)

    def fresh(self, marks: Marks, before: Marks) -> bool:
        """Whether any of it is news after `before`, the earlier calls of the same group; without marks it always is."""
        return not marks or any(
            mark > max(self._held.get(source, NEVER), before.get(source, NEVER)) for source, mark in marks.items()
        )

    def take(self, marks: Marks) -> None:
        """They are durable. A mark never goes back."""
        for source, mark in marks.items():
            if source not in self._held or mark > self._held[source]:
                self._held[source] = self._dirty[source] = mark

    def take_dirty(self) -> dict[str, Mark]:
        """Those that changed since the last call, for the catalog.

        They may be newer than what is flushed: the log that holds their samples is durable, and stays.
        """
        dirty, self._dirty = self._dirty, {}
        return dirty

    def mark_dirty(self, marks: Marks) -> None:
        """The catalog could not take them."""
        self._dirty = {**marks, **self._dirty}


# --- in the catalog ---------------------------------------------------------------------------------------------------


def grow(db: sqlite3.Connection, format: int) -> None:
    """A catalog from before marks. Raises: sqlite3.Error."""
    db.execute("begin immediate")
    db.execute(TABLE)
    seal.install(db, ["marks"])
    db.execute("update meta set value = ? where key = 'format'", (format,))
    db.execute("commit")


def read(db: sqlite3.Connection) -> dict[str, Mark]:
    """Raises: sqlite3.Error."""
    rows = db.execute("select source, epoch, sequence from marks")
    return {source: Mark(epoch, sequence) for source, epoch, sequence in rows.fetchall()}


def readable(db: sqlite3.Connection) -> dict[str, Mark]:
    """Nothing where the table is damaged, or not there."""
    try:
        return {} if "marks" in seal.broken(db) else read(db)
    except (sqlite3.Error, ValueError, TypeError):
        return {}


def write(db: sqlite3.Connection, marks: Marks) -> None:
    """Within a transaction. Raises: sqlite3.Error."""
    rows = [(source, mark.epoch, mark.sequence) for source, mark in marks.items()]
    db.executemany("insert or replace into marks values (?, ?, ?)", rows)


# --- in the log -------------------------------------------------------------------------------------------------------


def check_marks(marks: Marks) -> None:
    """Raises: LimitReached, DataError for what no log could hold."""
    for source, mark in marks.items():
        if not 0 < len(source.encode()) <= SOURCE_BYTES_MAX:
            raise LimitReached(f"the name of a source has 1 to {SOURCE_BYTES_MAX} bytes, not {len(source.encode())}")
        if not (0 <= mark.epoch <= _LARGEST and 0 <= mark.sequence <= _LARGEST):
            raise DataError(f"{mark} of '{source}' is outside 0 to {_LARGEST}")


def encode_marks(marks: Marks) -> bytes:
    """A record of `records.py` with kind 0: count u32, then each epoch i64, sequence i64, length u16, UTF-8."""
    if not marks:
        return b""
    parts = [_HEAD.pack(KIND, len(marks))]
    for source, mark in marks.items():
        name = source.encode()
        parts += (_MARK.pack(mark.epoch, mark.sequence, len(name)), name)
    return b"".join(parts)


def decode_marks(payload: bytes) -> tuple[dict[str, Mark], bytes]:
    """The marks at the head of a payload, and the rest of it. Raises: DataError."""
    if not payload or payload[0] != KIND:
        return {}, payload
    try:
        _, count = _HEAD.unpack_from(payload)
        at, marks = _HEAD.size, {}
        for _ in range(count):
            epoch, sequence, length = _MARK.unpack_from(payload, at)
            at += _MARK.size + length
            if at > len(payload):
                raise DataError("marks are cut short")
            marks[payload[at - length : at].decode()] = Mark(epoch, sequence)
    except (struct.error, UnicodeDecodeError):
        raise DataError("marks are cut short or hold no names") from None
    return marks, payload[at:]
