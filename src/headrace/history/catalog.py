"""What exists: the one place whose transactions decide what a restart will see.

Flush, compaction, retention and deletion each end in a single transaction here (SQLite, synchronous=FULL) that adds
segment sections, removes others and advances the log position. A file that is not in here does not exist.

    points      number of every path             files       segment files
    sections    one hour of samples in a file    tombstones  deleted spans
    latest      newest samples, in shards        meta        format, log position, next file number
    classes     how long each keeps what         members     points that are not of the default class
    marks       how far each source has been taken, as of the log position or later

Every table is sealed (`seal.py`): a row that changed by itself is found when the catalog is opened.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from headrace.history import marks, seal
from headrace.history.records import decode_batches, encode_batches
from headrace.model.batch import Batch, Handles
from headrace.model.errors import DataError, HeadraceError, Unavailable
from headrace.model.retention import DEFAULT_CLASS, Retention
from headrace.model.time import DAY_NS
from headrace.sdk.intake import Mark

FORMAT: Final = 3
_READABLE: Final = (2, 3)  # format 2 grows into 3 when it is opened for writing
DAY_HOURS: Final = 24

_SCHEMA: Final = f"""
create table meta (key text primary key, value integer not null) without rowid;
create table points (handle integer primary key, path text not null unique);
create table files (number integer primary key, name text not null unique, bytes integer not null);
create table sections (
    file integer not null references files, hour integer not null, generation integer not null,
    applied integer not null, raw integer not null, samples integer not null,
    first_ns integer not null, last_ns integer not null, position integer not null,
    index_offset integer not null, index_length integer not null,
    rollup_offset integer not null, rollup_length integer not null,
    retention integer not null, days integer not null, sole integer not null,
    primary key (file, hour)
) without rowid;
create table tombstones (
    id integer primary key, generation integer not null, start_ns integer not null, end_ns integer not null,
    handles blob not null
);
create table latest (shard integer primary key, record blob not null);
create table classes (
    number integer primary key, name text not null unique,
    raw_ns integer, rollups_ns integer, summaries_ns integer, give_up integer
);
create table members (handle integer primary key, class integer not null);
{marks.TABLE}
insert into meta values ('format', 3), ('position', 1), ('file', 1), ('tombstone', 1),
    ('committed', 0);
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One hour of samples in a file. Of two sections the higher `generation` was written later.

    `applied` is the newest tombstone that its samples were already cleaned of; `raw` is false once only roll-ups
    are left. `position` is where its chunks begin in the file; the offsets count from there.

    A *summary* holds hours as rows instead (`summaries.py`), of days from `hour` on: of `days` (bits, the first is the
    day of `hour`) it says all that is known of its class, and of those of `sole` nobody else says anything any more.
    """

    file: int
    hour: int
    generation: int
    applied: int
    raw: bool
    samples: int
    first_ns: int
    last_ns: int
    position: int
    index_offset: int
    index_length: int
    rollup_offset: int
    rollup_length: int
    retention: int = 0
    days: int = 0
    sole: int = 0

    @property
    def summary(self) -> bool:
        return self.days != 0

    @property
    def day(self) -> int:
        """The day of its hour, counted from 1970."""
        return self.hour // DAY_HOURS

    def covered(self) -> Iterator[int]:
        """Days of which a summary speaks."""
        return (self.day + bit for bit in range(self.days.bit_length()) if self.days >> bit & 1)

    def is_sole(self, day: int) -> bool:
        return bool(self.sole >> (day - self.day) & 1)

    @property
    def flags(self) -> int:
        """As the footer of a file has it: raw 1, summary 2, class from bit 16 on."""
        return int(self.raw) | int(self.summary) << 1 | self.retention << 16

    @property
    def length(self) -> int:
        """Bytes from `position` to the end of its roll-ups."""
        return self.rollup_offset + self.rollup_length


@dataclass(frozen=True, slots=True)
class SegmentFile:
    number: int
    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Samples of `handles` (sorted) in `[start_ns, end_ns)` written up to `generation` are gone."""

    id: int
    generation: int
    start_ns: int
    end_ns: int
    handles: Handles

    def hides(self, generation: int, applied: int) -> bool:
        return self.id > applied and self.generation >= generation

    def touches(self, section: Section) -> bool:
        """Whether it may still hide something of a section."""
        return (
            self.hides(section.generation, section.applied)
            and section.first_ns < self.end_ns
            and section.last_ns >= self.start_ns
        )

    def touches_day(self, summary: Section, day: int) -> bool:
        """Whether it may still hide something that a summary says of a day."""
        begin_ns = day * DAY_NS
        return self.touches(summary) and begin_ns < self.end_ns and begin_ns + DAY_NS > self.start_ns

    def keep(self, batch: Batch) -> Batch:
        hidden = (batch.source_ns >= self.start_ns) & (batch.source_ns < self.end_ns)
        if hidden.any():
            hidden &= np.isin(batch.handles, self.handles)
        return batch.take(~hidden) if hidden.any() else batch


_ADVICE: Final = "run `headrace history check`, then `headrace history repair`"


@dataclass(slots=True)
class Edit:
    """What one transaction changes."""

    add_files: Sequence[SegmentFile] = ()
    add_sections: Sequence[Section] = ()
    drop_sections: Sequence[Section] = ()
    drop_files: Sequence[int] = ()
    position: int | None = None
    committed_ns: int = 0
    latest: Mapping[int, Sequence[Batch]] = field(default_factory=dict)
    add_tombstone: Tombstone | None = None
    drop_tombstones: Sequence[int] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)


class Catalog:
    """Open one; every method may be called from any thread. Raises: Unavailable where SQLite cannot write."""

    def __init__(self, path: Path) -> None:
        # Held for every statement: SQLite calls back into Python for the seal, and a second thread would deadlock.
        self._path, self._lock = path, threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        try:
            self._db.executescript("pragma journal_mode=wal; pragma synchronous=full; pragma cache_size=-1024;")
            seal.attach(self._db)
            if self._db.execute("select 1 from sqlite_master").fetchone() is None:
                self._create()
            self._check()
            self._next_file = self._meta("file")
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:  # what SQLite says may be no text
            self._db.close()
            raise DataError(f"history catalog {path} cannot be read: {error}; {_ADVICE}") from None
        except HeadraceError:
            self._db.close()
            raise

    def _create(self) -> None:
        self._db.execute("begin immediate")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self._db.execute(statement)
        seal.install(self._db)
        self._db.execute("commit")

    def _check(self) -> None:
        """Raises: DataError, sqlite3.DatabaseError."""
        found = self._db.execute("pragma quick_check(1)").fetchone()[0]
        wrong = found if found != "ok" else ", ".join(seal.broken(self._db))
        if wrong:
            raise DataError(f"history catalog {self._path} is damaged ({wrong}); {_ADVICE}")
        if self._meta("format") == 2:
            marks.grow(self._db, FORMAT)
        if self._meta("format") != FORMAT:
            raise DataError(f"{self._path} has history format {self._meta('format')}; this version reads {FORMAT}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @property
    def position(self) -> int:
        """The oldest log that is still needed."""
        return self._meta("position")

    @property
    def committed_ns(self) -> int:
        """No commit up to the log position was later; logs tell of those after it."""
        return self._meta("committed")

    def points(self) -> list[tuple[int, str]]:
        with self._lock:
            return self._db.execute("select handle, path from points order by handle").fetchall()

    def add_points(self, points: Iterable[tuple[int, str]]) -> None:
        with self._transaction() as db:
            db.executemany("insert into points values (?, ?)", points)

    def files(self) -> list[SegmentFile]:
        with self._lock:
            return [SegmentFile(*row) for row in self._db.execute("select number, name, bytes from files")]

    def sections(self) -> list[Section]:
        names = [column.name for column in fields(Section)]
        with self._lock:
            rows: list[Any] = self._db.execute(
                f"select {', '.join(names)} from sections order by hour, generation"
            ).fetchall()
        return [Section(**{**dict(zip(names, row, strict=True)), "raw": bool(row[4])}) for row in rows]

    def tombstones(self) -> list[Tombstone]:
        with self._lock:
            rows = self._db.execute("select id, generation, start_ns, end_ns, handles from tombstones order by id")
            return [
                Tombstone(id, generation, start_ns, end_ns, np.frombuffer(handles, np.uint32))
                for id, generation, start_ns, end_ns, handles in rows
            ]

    def next_tombstone(self) -> int:
        return self._meta("tombstone")

    def classes(self) -> tuple[dict[str, int], dict[int, Retention]]:
        """Numbers of the classes but the default, and how long each class keeps what, where that was declared."""
        with self._lock:
            rows = self._db.execute("select number, name, raw_ns, rollups_ns, summaries_ns, give_up from classes")
            held = rows.fetchall()
        return {row[1]: row[0] for row in held if row[0]}, {row[0]: Retention(*row[2:]) for row in held}

    def members(self) -> dict[int, int]:
        """Class of each point that is not of the default."""
        with self._lock:
            return dict(self._db.execute("select handle, class from members").fetchall())

    def set_classes(
        self, numbers: Mapping[str, int], retention: Mapping[int, Retention], members: Mapping[int, int]
    ) -> None:
        with self._transaction() as db:
            db.execute("delete from classes")
            names = {number: name for name, number in numbers.items()} | {0: DEFAULT_CLASS}
            db.executemany(
                "insert into classes values (?, ?, ?, ?, ?, ?)",
                [
                    (number, names[number], kept.raw_ns, kept.rollups_ns, kept.summaries_ns, kept.give_up)
                    for number, kept in retention.items()
                ],
            )
            db.execute("delete from members")
            db.executemany("insert into members values (?, ?)", members.items())

    def marks(self) -> dict[str, Mark]:
        with self._lock:
            return marks.read(self._db)

    def latest(self) -> list[Batch]:
        with self._lock:
            rows = self._db.execute("select record from latest").fetchall()
        return [batch for (record,) in rows for batch in decode_batches(record)]

    def take_file_number(self) -> int:
        """A number never used before; numbers of files that came to nothing are free again after a restart."""
        with self._lock:
            self._next_file += 1
            return self._next_file - 1

    def commit(self, edit: Edit) -> None:
        """All of it durably, or nothing."""
        with self._transaction() as db:
            db.executemany(
                "insert into files values (?, ?, ?)", [(file.number, file.name, file.bytes) for file in edit.add_files]
            )
            db.executemany(
                "delete from sections where file = ? and hour = ?",
                [(section.file, section.hour) for section in edit.drop_sections],
            )
            db.executemany(
                f"insert into sections values ({', '.join('?' * len(fields(Section)))})",
                [tuple(_plain(getattr(section, f.name)) for f in fields(Section)) for section in edit.add_sections],
            )
            db.executemany("delete from files where number = ?", [(number,) for number in edit.drop_files])
            db.executemany(
                "insert or replace into latest values (?, ?)",
                [(shard, encode_batches(batches)) for shard, batches in edit.latest.items()],
            )
            marks.write(db, edit.marks)
            db.executemany("delete from tombstones where id = ?", [(number,) for number in edit.drop_tombstones])
            if edit.add_tombstone is not None:
                stone = edit.add_tombstone
                db.execute(
                    "insert into tombstones values (?, ?, ?, ?, ?)",
                    (stone.id, stone.generation, stone.start_ns, stone.end_ns, stone.handles.tobytes()),
                )
                db.execute("update meta set value = ? where key = 'tombstone'", (stone.id + 1,))
            if edit.position is not None:
                db.execute("update meta set value = ? where key = 'position'", (edit.position,))
                db.execute("update meta set value = max(value, ?) where key = 'committed'", (edit.committed_ns,))
            if edit.add_files:
                after = max(file.number for file in edit.add_files) + 1
                db.execute("update meta set value = max(value, ?) where key = 'file'", (after,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("begin immediate")
                yield self._db
                self._db.execute("commit")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                if isinstance(error, sqlite3.Error):
                    raise Unavailable(f"history catalog {self._path} cannot be written: {error}") from error
                raise

    def _meta(self, key: str) -> int:
        with self._lock:
            row = self._db.execute("select value from meta where key = ?", (key,)).fetchone()
        if row is None:
            raise DataError(f"history catalog {self._path} lacks '{key}'; {_ADVICE}")
        return int(row[0])


class CatalogReader(Catalog):
    """For reading only. From `hold` on it sees the catalog as it was then, whatever is committed meanwhile."""

    def __init__(self, path: Path, *, immutable: bool = False) -> None:
        """`immutable` where nobody writes it and nothing may be written beside it. Raises: sqlite3.DatabaseError."""
        self._path, self._lock = path, threading.RLock()
        address = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if immutable else ''}"
        self._db = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)

    def hold(self) -> None:
        self._db.execute("begin")
        self._db.execute("select 1 from meta").fetchone()

    def copy_to(self, path: Path) -> None:
        """The catalog as it is seen from here, as a file of its own. Raises: sqlite3.Error."""
        with closing(sqlite3.connect(path)) as target:
            self._db.backup(target)

    def readable_points(self) -> list[tuple[int, str]]:
        """Names as far as they can be read, from both ends of a damaged table."""
        found: dict[int, str] = {}
        for order in ("asc", "desc"):
            try:
                for row in self._db.execute(f"select handle, path from points order by handle {order}"):
                    found.update([row])
            except sqlite3.Error:
                continue
        return sorted(row for row in found.items() if isinstance(row[0], int) and isinstance(row[1], str))

    def readable_classes(self) -> tuple[dict[str, int], dict[int, Retention], dict[int, int]]:
        """Retention classes and their points, or nothing where they cannot be trusted."""
        try:
            if not {"classes", "members"} & set(seal.broken(self._db)):
                return (*self.classes(), self.members())
        except (sqlite3.Error, HeadraceError, ValueError, TypeError):
            pass
        return {}, {}, {}

    def readable_marks(self) -> dict[str, Mark]:
        """Nothing where they cannot be trusted: the sources then send again what they still have."""
        return marks.readable(self._db)

    def damage(self) -> list[str]:
        """What is wrong with the file or its rows, a few lines at most. Raises: sqlite3.DatabaseError."""
        found = [str(row[0]) for row in self._db.execute("pragma integrity_check(5)") if row[0] != "ok"]
        found = found or [f"the rows of '{table}' do not add up" for table in seal.broken(self._db)]
        if not found and self._meta("format") not in _READABLE:
            found = [f"it has format {self._meta('format')}; this version reads {FORMAT}"]
        return found


def _plain(value: int | bool) -> int:
    return int(value)
