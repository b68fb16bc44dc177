"""Declared objects in a database: load all, replace some in one transaction, keep what was.

Every change inserts the next revision number first. The number is the primary key, so of two writers who both saw
revision 7 one commits 8 and the other is told of a conflict, on SQLite and PostgreSQL alike. Blocking: call it in a
thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from headrace.model.errors import Conflict, Unavailable
from headrace.registry import tables
from headrace.registry.declared import Declared, Key, same
from headrace.registry.problems import Where

_READ_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Revision:
    """One applied change: who, when, and a line of what."""

    number: int
    time_ns: int
    actor: str
    summary: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What is declared as of a revision."""

    revision: int
    objects: Mapping[Key, Declared]


class ObjectStore:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def revision(self) -> int:
        """The newest revision's number, 0 for an empty database."""
        with self._engine.connect() as connection:
            return _newest(connection)

    def load(self) -> Stored:
        """Everything declared. Raises: Unavailable where writers never leave a moment between two reads."""
        for _ in range(_READ_TRIES):
            with self._engine.connect() as connection:
                before = _newest(connection)
                rows = connection.execute(select(tables.objects)).all()
                if _newest(connection) == before:
                    return Stored(before, {(row.kind, row.key): _declared(row) for row in rows})
        raise Unavailable("the declarations change faster than they can be read; try again")

    def replace(self, old: Stored, new: Mapping[Key, Declared], *, time_ns: int, actor: str, summary: str) -> int:
        """Make `new` what is declared; the new revision's number. Raises: Conflict, Unavailable.

        Where only places in files differ, they are noted and the revision stays.
        """
        removed = [key for key in old.objects if key not in new]
        written = [one for key, one in new.items() if key not in old.objects]
        changed = [one for key, one in new.items() if key in old.objects and not same(old.objects[key].spec, one.spec)]
        untouched = {(one.kind, one.key) for one in (*written, *changed)}
        moved = [
            one
            for key, one in new.items()
            if key not in untouched and (one.where, one.ordinal) != (old.objects[key].where, old.objects[key].ordinal)
        ]
        revision = old.revision + (1 if removed or written or changed else 0)
        try:
            with self._engine.begin() as connection:
                if revision > old.revision:
                    row = {"number": revision, "time_ns": time_ns, "actor": actor, "summary": summary}
                    connection.execute(insert(tables.revisions), row)
                self._write(connection, old, revision, removed, written, changed)
                if moved:
                    connection.execute(_UPDATE_PLACE, [_bound(_row(one, revision), place=True) for one in moved])
        except IntegrityError as error:
            raise Conflict("somebody else changed the declarations meanwhile; plan again", detail=str(error)) from None
        except OperationalError as error:
            raise Unavailable("the database did not take the declarations; try again", detail=str(error)) from None
        return revision

    def history(self, limit: int) -> Sequence[Revision]:
        """Newest first."""
        query = select(tables.revisions).order_by(tables.revisions.c.number.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [Revision(row.number, row.time_ns, row.actor, row.summary) for row in connection.execute(query)]

    def _write(
        self,
        connection: Connection,
        old: Stored,
        revision: int,
        removed: Sequence[Key],
        written: Sequence[Declared],
        changed: Sequence[Declared],
    ) -> None:
        if removed:
            connection.execute(_DELETE, [{"b_kind": kind, "b_key": key} for kind, key in removed])
        if written:
            connection.execute(insert(tables.objects), [_row(one, revision) for one in written])
        if changed:
            connection.execute(_UPDATE, [_bound(_row(one, revision)) for one in changed])
        log = [
            *(_change(revision, key, old.objects[key].spec, None) for key in removed),
            *(_change(revision, (one.kind, one.key), None, one.spec) for one in written),
            *(_change(revision, (one.kind, one.key), old.objects[one.kind, one.key].spec, one.spec) for one in changed),
        ]
        if log:
            connection.execute(insert(tables.changes), log)


_SAME_OBJECT: Final = (tables.objects.c.kind == bindparam("b_kind")) & (tables.objects.c.key == bindparam("b_key"))
_DELETE: Final = delete(tables.objects).where(_SAME_OBJECT)
_PLACE: Final = ("file", "line", "column_", "ordinal")
_UPDATE: Final = (
    update(tables.objects)
    .where(_SAME_OBJECT)
    .values({name: bindparam(f"b_{name}") for name in ("spec", *_PLACE, "revision")})
)
_UPDATE_PLACE: Final = (
    update(tables.objects).where(_SAME_OBJECT).values({name: bindparam(f"b_{name}") for name in _PLACE})
)


def _newest(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(tables.revisions.c.number), 0))).scalar_one())


def _declared(row: Any) -> Declared:
    where = Where(row.file, row.line, row.column_)
    return Declared(row.kind, row.key, orjson.loads(row.spec), where, row.ordinal)


def _row(one: Declared, revision: int) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "key": one.key,
        "spec": _json(one.spec),
        "file": one.where.file,
        "line": one.where.line,
        "column_": one.where.column,
        "ordinal": one.ordinal,
        "revision": revision,
    }


def _bound(row: Mapping[str, Any], *, place: bool = False) -> dict[str, Any]:
    names: Iterable[str] = ("kind", "key", *_PLACE) if place else row
    return {f"b_{name}": row[name] for name in names}


def _change(revision: int, key: Key, old: Any, new: Any) -> dict[str, Any]:
    return {
        "revision": revision,
        "kind": key[0],
        "key": key[1],
        "old_spec": None if old is None else _json(old),
        "new_spec": None if new is None else _json(new),
    }


def _json(spec: Any) -> str:
    return orjson.dumps(spec).decode()
