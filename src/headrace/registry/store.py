"""Declared objects of a tenant in a database: load all, replace some in one transaction, keep what was.

Every change inserts the next revision number first. Tenant and number are the primary key, so of two writers who both
saw revision 7 one commits 8 and the other is told of a conflict, on SQLite and PostgreSQL alike; a writer for another
tenant never is. Blocking: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from headrace.model.errors import Conflict, Unavailable
from headrace.registry import tables
from headrace.registry.declared import Declared, Key, same
from headrace.registry.problems import Where
from headrace.sdk.access import DEFAULT_TENANT

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


def newest_revisions(engine: Engine) -> Mapping[str, int]:
    """The newest revision of each tenant that ever declared something."""
    number = func.max(tables.revisions.c.number)
    with engine.connect() as connection:
        rows = connection.execute(select(tables.revisions.c.tenant, number).group_by(tables.revisions.c.tenant))
        return {tenant: int(newest) for tenant, newest in rows}


def classes_besides(engine: Engine, tenant: str) -> int:
    """How many retention classes others than this tenant have declared."""
    theirs = (tables.objects.c.kind == "retention") & (tables.objects.c.tenant != tenant)
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(tables.objects).where(theirs)).scalar_one())


class ObjectStore:
    """Of one tenant: no statement here is without its name."""

    def __init__(self, engine: Engine, tenant: str = DEFAULT_TENANT) -> None:
        self._engine, self._tenant = engine, tenant

    def revision(self) -> int:
        """The newest revision's number, 0 for an empty database."""
        with self._engine.connect() as connection:
            return self._newest(connection)

    def load(self) -> Stored:
        """Everything declared. Raises: Unavailable where writers never leave a moment between two reads."""
        for _ in range(_READ_TRIES):
            with self._engine.connect() as connection:
                before = self._newest(connection)
                rows = connection.execute(select(tables.objects).where(tables.objects.c.tenant == self._tenant)).all()
                if self._newest(connection) == before:
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
                    connection.execute(insert(tables.revisions), {"tenant": self._tenant, **row})
                self._write(connection, old, revision, removed, written, changed)
                if moved:
                    rows = [_bound(self._row(one, revision), place=True) for one in moved]
                    connection.execute(_UPDATE_PLACE, rows)
        except IntegrityError as error:
            raise Conflict("somebody else changed the declarations meanwhile; plan again", detail=str(error)) from None
        except OperationalError as error:
            raise Unavailable("the database did not take the declarations; try again", detail=str(error)) from None
        return revision

    def history(self, limit: int) -> Sequence[Revision]:
        """Newest first."""
        ours = select(tables.revisions).where(tables.revisions.c.tenant == self._tenant)
        query = ours.order_by(tables.revisions.c.number.desc()).limit(limit)
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
            connection.execute(
                _DELETE, [{"b_tenant": self._tenant, "b_kind": kind, "b_key": key} for kind, key in removed]
            )
        if written:
            connection.execute(insert(tables.objects), [self._row(one, revision) for one in written])
        if changed:
            connection.execute(_UPDATE, [_bound(self._row(one, revision)) for one in changed])
        log = [
            *(self._change(revision, key, old.objects[key].spec, None) for key in removed),
            *(self._change(revision, (one.kind, one.key), None, one.spec) for one in written),
            *(
                self._change(revision, (one.kind, one.key), old.objects[one.kind, one.key].spec, one.spec)
                for one in changed
            ),
        ]
        if log:
            connection.execute(insert(tables.changes), log)

    def _newest(self, connection: Connection) -> int:
        ours = select(func.coalesce(func.max(tables.revisions.c.number), 0)).where(
            tables.revisions.c.tenant == self._tenant
        )
        return int(connection.execute(ours).scalar_one())

    def _row(self, one: Declared, revision: int) -> dict[str, Any]:
        return {
            "tenant": self._tenant,
            "kind": one.kind,
            "key": one.key,
            "spec": _json(one.spec),
            "file": one.where.file,
            "line": one.where.line,
            "column_": one.where.column,
            "ordinal": one.ordinal,
            "revision": revision,
        }

    def _change(self, revision: int, key: Key, old: Any, new: Any) -> dict[str, Any]:
        return {
            "tenant": self._tenant,
            "revision": revision,
            "kind": key[0],
            "key": key[1],
            "old_spec": None if old is None else _json(old),
            "new_spec": None if new is None else _json(new),
        }


_KEY: Final = ("tenant", "kind", "key")
_SAME_OBJECT: Final = and_(*(tables.objects.c[name] == bindparam(f"b_{name}") for name in _KEY))
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


def _declared(row: Any) -> Declared:
    where = Where(row.file, row.line, row.column_)
    return Declared(row.kind, row.key, orjson.loads(row.spec), where, row.ordinal)


def _bound(row: Mapping[str, Any], *, place: bool = False) -> dict[str, Any]:
    names: Iterable[str] = (*_KEY, *_PLACE) if place else row
    return {f"b_{name}": row[name] for name in names}


def _json(spec: Any) -> str:
    return orjson.dumps(spec).decode()
