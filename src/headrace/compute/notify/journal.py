"""Notifications in SQL: cases, notices and how far alarms were followed, in one transaction, before anything is sent.

Raises: Unavailable where the database does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import Connection, Engine, Row, bindparam, delete, exists, func, insert, not_, select, update
from sqlalchemy.exc import SQLAlchemyError

from headrace.compute.notify.cases import Case, Numbered
from headrace.compute.notify.notices import Notice, State
from headrace.compute.tables import cases, notice_alarms, notices, notify_marks, transitions
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.model.areas import Area
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.area_sql import lies_in

Result = TypeVar("Result")
#: So many notices are kept; beyond that the oldest that are done go.
KEPT_MAX: Final = 200_000
READ_MAX: Final = 1_000
JOURNAL_MARK: Final = "journal"
_FLOOD_MARK: Final = "flood:"
_PRUNE_EVERY: Final = 500


@dataclass(frozen=True, slots=True)
class Loaded:
    """`position` is None where nothing was ever followed. `floods` says when a flood was last told, by notification."""

    cases: Mapping[str, Case]
    pending: Mapping[str, Notice]
    position: int | None
    floods: Mapping[str, int]


@dataclass(slots=True)
class Change:
    """What one round did; empty where nothing."""

    cases: dict[str, Case | None] = field(default_factory=dict)
    added: list[Notice] = field(default_factory=list)
    done: list[Notice] = field(default_factory=list)
    position: int | None = None
    floods: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.cases or self.added or self.done or self.position is not None or self.floods)


class NotifyJournal:
    def __init__(self, engine: Engine, tenant_of: Callable[[str], str], kept_max: int = KEPT_MAX) -> None:
        """`tenant_of` says whose a notification or channel is."""
        self._engine, self._tenant_of, self._kept_max = engine, tenant_of, kept_max
        self._added = 0

    async def load(self) -> Loaded:
        return await self._run(self._load)

    async def newest(self) -> int:
        """The place of the newest transition of any alarm."""
        return await self._run(self._newest)

    async def after(self, position: int) -> Sequence[Numbered]:
        """The next transitions, at most `READ_MAX`."""
        return await self._run(lambda: self._after(position))

    async def write(self, change: Change) -> None:
        """All or nothing; durable on return. A notice that is there already is not made again."""
        if change:
            await self._run(lambda: self._write(change))

    async def page(
        self, tenant: str, rule: str | None, within: Area | None, limit: int, cursor: str | None
    ) -> tuple[Sequence[Notice], str | None]:
        """Newest first. Raises: DataError for a cursor that we never gave."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise DataError(f"'{cursor[:40]}' is no cursor of the list of notifications")
        before = None if cursor is None else int(cursor)
        return await self._run(lambda: self._page(tenant, rule, within, limit, before))

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            raise Unavailable("notifications cannot be recorded or read now; try again", detail=str(error)) from error

    def _load(self) -> Loaded:
        with self._engine.connect() as connection:
            held = [_case(row.body) for row in connection.execute(select(cases))]
            rows = connection.execute(select(notices).where(notices.c.state == State.PENDING.value)).all()
            pending = _notices(connection, rows)
            marks = {row.name: row.position for row in connection.execute(select(notify_marks))}
        floods = {name[len(_FLOOD_MARK) :]: at for name, at in marks.items() if name.startswith(_FLOOD_MARK)}
        return Loaded({one.key: one for one in held}, {one.key: one for one in pending}, marks.get("journal"), floods)

    def _newest(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(transitions.c.sequence))).scalar() or 0

    def _after(self, position: int) -> Sequence[Numbered]:
        wanted = select(transitions).where(transitions.c.sequence > position)
        wanted = wanted.order_by(transitions.c.sequence).limit(READ_MAX)
        with self._engine.connect() as connection:
            return [_numbered(row) for row in connection.execute(wanted)]

    def _write(self, change: Change) -> None:
        marks = {f"{_FLOOD_MARK}{name}": at for name, at in change.floods.items()}
        if change.position is not None:
            marks[JOURNAL_MARK] = change.position
        with self._engine.begin() as connection:
            if change.cases:
                gone = [{"touched": key} for key in change.cases]
                connection.execute(delete(cases).where(cases.c.key == bindparam("touched")), gone)
                held = [{"key": one.key, "body": _body(one)} for one in change.cases.values() if one is not None]
                if held:
                    connection.execute(insert(cases), held)
            self._add(connection, change.added)
            for one in change.done:
                done = {"state": one.state.value, "attempts": one.attempts, "due_ns": one.due_ns,
                        "done_ns": one.done_ns, "error": one.error}  # fmt: skip
                connection.execute(update(notices).where(notices.c.key == one.key).values(**done))
            for name, position in marks.items():
                connection.execute(delete(notify_marks).where(notify_marks.c.name == name))
                connection.execute(insert(notify_marks).values(name=name, position=position))
            if self._added >= _PRUNE_EVERY:
                self._prune(connection)

    def _add(self, connection: Connection, added: Sequence[Notice]) -> None:
        if not added:
            return
        keys = [one.key for one in added]
        known = set(connection.execute(select(notices.c.key).where(notices.c.key.in_(keys))).scalars())
        new = {one.key: one for one in added if one.key not in known}
        if not new:
            return
        connection.execute(insert(notices), [self._columns(one) for one in new.values()])
        told = [
            {"notice": one.key, "rule": rule, "point": point} for one in new.values() for rule, point in set(one.told)
        ]
        if told:
            connection.execute(insert(notice_alarms), told)
        self._added += len(new)

    def _prune(self, connection: Connection) -> None:
        self._added = 0
        newest = connection.execute(select(func.max(notices.c.sequence))).scalar() or 0
        old = select(notices.c.key).where(
            notices.c.sequence <= newest - self._kept_max, notices.c.state != State.PENDING.value
        )
        connection.execute(delete(notice_alarms).where(notice_alarms.c.notice.in_(old)))
        connection.execute(
            delete(notices).where(notices.c.sequence <= newest - self._kept_max, notices.c.state != State.PENDING.value)
        )

    def _page(
        self, tenant: str, rule: str | None, within: Area | None, limit: int, before: int | None
    ) -> tuple[Sequence[Notice], str | None]:
        told = notice_alarms.c
        wanted = select(notices).where(notices.c.tenant == tenant)
        if rule is not None:
            wanted = wanted.where(exists().where(told.notice == notices.c.key, told.rule == rule))
        if within is not None:  # all that it tells lies there: a message is not cut in two
            wanted = wanted.where(
                exists().where(told.notice == notices.c.key),
                not_(exists().where(told.notice == notices.c.key, not_(lies_in(told.point, within)))),
            )
        if before is not None:
            wanted = wanted.where(notices.c.sequence < before)
        wanted = wanted.order_by(notices.c.sequence.desc()).limit(limit + 1)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
            found = _notices(connection, rows[:limit])
        return found, str(rows[limit - 1].sequence) if len(rows) > limit else None

    def _columns(self, one: Notice) -> dict[str, Any]:
        return {
            "key": one.key, "telling": one.telling, "tenant": self._tenant_of(one.notification or one.channel),
            "notification": one.notification, "kind": one.kind, "step": one.step, "cases": _dumps(one.cases),
            "contacts": _dumps(one.contacts), "channel": one.channel, "rest": _dumps(one.rest),
            "message": _dumps(one.message), "made_ns": one.made_ns, "due_ns": one.due_ns, "state": one.state.value,
            "attempts": one.attempts, "done_ns": one.done_ns, "error": one.error, "actor": one.actor,
        }  # fmt: skip


def _notices(connection: Connection, rows: Sequence[Row[Any]]) -> list[Notice]:
    told: dict[str, list[tuple[str, str]]] = {}
    keys = [row.key for row in rows]
    for at in range(0, len(keys), 500):
        wanted = select(notice_alarms).where(notice_alarms.c.notice.in_(keys[at : at + 500]))
        for row in connection.execute(wanted.order_by(notice_alarms.c.rule)):
            told.setdefault(row.notice, []).append((row.rule, row.point))
    return [_notice(row, told.get(row.key, ())) for row in rows]


def _notice(row: Row[Any], told: Iterable[tuple[str, str]]) -> Notice:
    return Notice(
        row.key, row.telling, row.notification, row.kind, row.step, tuple(orjson.loads(row.cases)), tuple(told),
        tuple(orjson.loads(row.contacts)), row.channel, tuple(orjson.loads(row.rest)), orjson.loads(row.message),
        row.made_ns, row.due_ns, State(row.state), row.attempts, row.done_ns, row.error, row.actor,
    )  # fmt: skip


def _numbered(row: Row[Any]) -> Numbered:
    step = AlarmTransition(
        row.rule, AlarmAction(row.action), AlarmState(row.state), row.time_ns, row.value, row.actor, row.comment
    )
    return Numbered(row.sequence, step)


def _case(body: str) -> Case:
    said = orjson.loads(body)
    return Case(**{**said, "told": tuple((person, channel) for person, channel in said["told"])})


def _body(case: Case) -> str:
    return _dumps(asdict(case))


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
