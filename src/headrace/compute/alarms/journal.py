"""Alarms in SQL: transitions and the states that they lead to, in one transaction, before anybody hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, Row, and_, bindparam, delete, insert, or_, select
from sqlalchemy.exc import SQLAlchemyError

from headrace.compute.alarms.kpis import Steps
from headrace.compute.alarms.states import Held, OutOfService, Shelf
from headrace.compute.tables import alarms, transitions
from headrace.model.alarms import ANNUNCIATING, AlarmAction, AlarmState, AlarmTransition
from headrace.model.areas import Area
from headrace.model.errors import DataError, LimitReached, Unavailable
from headrace.sdk.area_sql import lies_in
from headrace.sdk.services import TransitionPage

Result = TypeVar("Result")
_PAGE_MAX = 10_000
STEPS_MAX = 1_000_000
_TIME_MIN = -(2**63)


class AlarmJournal:
    """Raises: Unavailable where the database does not answer."""

    def __init__(self, engine: Engine, steps_max: int = STEPS_MAX) -> None:
        """`steps_max`: how many transitions figures are made of at most."""
        self._engine, self._steps_max = engine, steps_max

    async def load(self) -> dict[str, Held]:
        return await self._run(self._load)

    async def write(
        self, made: Sequence[AlarmTransition], points: Mapping[str, str], held: Mapping[str, Held | None]
    ) -> None:
        """`points` by rule; `held` is what the touched rules have become. Durable on return."""
        await self._run(lambda: self._write(made, points, held))

    async def page(
        self,
        start_ns: int | None,
        end_ns: int | None,
        point: str | None,
        limit: int,
        cursor: str | None,
        within: Area | None = None,
    ) -> TransitionPage:
        """Newest event time first. Raises: DataError for a cursor that we never gave."""
        before = None if cursor is None else _position(cursor)
        return await self._run(
            lambda: self._page(start_ns, end_ns, point, min(max(limit, 1), _PAGE_MAX), before, within)
        )

    async def steps(self, start_ns: int, end_ns: int, within: Area | None = None) -> Steps:
        """Transitions in [start_ns, end_ns) as columns, and where the whole journal begins. Raises: LimitReached."""
        return await self._run(lambda: self._steps(max(start_ns, _TIME_MIN), end_ns, within))

    async def told(self, start_ns: int, end_ns: int) -> list[tuple[int, str]]:
        """Time and point of what was annunciated, by time."""
        return await self._run(lambda: self._told(start_ns, end_ns))

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            raise Unavailable("alarms cannot be recorded or read now; try again", detail=str(error)) from error

    def _load(self) -> dict[str, Held]:
        with self._engine.connect() as connection:
            return {row.rule: _held(row) for row in connection.execute(select(alarms))}

    def _write(
        self, made: Sequence[AlarmTransition], points: Mapping[str, str], held: Mapping[str, Held | None]
    ) -> None:
        history = [{**_columns(one), "point": points[one.rule]} for one in made]
        gone = [{"touched": rule} for rule in held]
        standing = [_standing(rule, one) for rule, one in held.items() if one is not None]
        with self._engine.begin() as connection:
            connection.execute(insert(transitions), history)
            if gone:
                connection.execute(delete(alarms).where(alarms.c.rule == bindparam("touched")), gone)
            if standing:
                connection.execute(insert(alarms), standing)

    def _steps(self, start_ns: int, end_ns: int, within: Area | None) -> Steps:
        columns = transitions.c
        wanted = select(columns.rule, columns.action, columns.state, columns.time_ns)
        wanted = wanted.where(columns.time_ns >= start_ns, columns.time_ns < end_ns)
        wanted = wanted.order_by(columns.time_ns, columns.sequence).limit(self._steps_max + 1)
        if within is not None:
            wanted = wanted.where(lies_in(columns.point, within))
        first = select(columns.time_ns).order_by(columns.time_ns).limit(1)
        with self._engine.connect() as connection:
            rows = [(row[0], row[1], row[2], row[3]) for row in connection.execute(wanted)]
            if len(rows) > self._steps_max:
                raise LimitReached(
                    f"more than {self._steps_max:,} transitions lie there; ask for less time, or a smaller area"
                )
            return Steps.of(rows, connection.execute(first).scalar())

    def _told(self, start_ns: int, end_ns: int) -> list[tuple[int, str]]:
        columns = transitions.c
        active = [state.value for state in AlarmState if state.active]
        wanted = select(columns.time_ns, columns.point).where(
            columns.time_ns >= start_ns, columns.time_ns < end_ns, columns.state.in_(active),
            columns.action.in_([action.value for action in ANNUNCIATING]),
        ).order_by(columns.time_ns.desc()).limit(_PAGE_MAX)  # fmt: skip
        with self._engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(wanted)][::-1]

    def _page(
        self,
        start_ns: int | None,
        end_ns: int | None,
        point: str | None,
        limit: int,
        before: tuple[int, int] | None,
        within: Area | None,
    ) -> TransitionPage:
        time_ns, sequence = transitions.c.time_ns, transitions.c.sequence
        wanted = select(transitions).order_by(time_ns.desc(), sequence.desc()).limit(limit + 1)
        if start_ns is not None:
            wanted = wanted.where(time_ns >= start_ns)
        if end_ns is not None:
            wanted = wanted.where(time_ns < end_ns)
        if point is not None:
            wanted = wanted.where(transitions.c.point == point)
        if within is not None:
            wanted = wanted.where(lies_in(transitions.c.point, within))
        if before is not None:
            wanted = wanted.where(or_(time_ns < before[0], and_(time_ns == before[0], sequence < before[1])))
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        more = len(rows) > limit
        rows = rows[:limit]
        return TransitionPage(
            [_transition(row) for row in rows], f"{rows[-1].time_ns}.{rows[-1].sequence}" if more else None
        )


def _columns(one: AlarmTransition) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "action": one.action.value,
        "state": one.state.value,
        "time_ns": one.time_ns,
        "value": one.value,
        "actor": one.actor,
        "comment": one.comment,
    }


def _standing(rule: str, held: Held) -> dict[str, Any]:
    shelf, out = held.shelf, held.out
    return {
        "rule": rule,
        "state": held.state.value,
        "value": held.value,
        "raised_ns": held.raised_ns,
        "cleared_ns": held.cleared_ns,
        "acknowledged_ns": held.acknowledged_ns,
        "acknowledged_by": held.acknowledged_by,
        "comment": held.comment,
        "active": held.active,
        "latched": held.latched,
        "shelved_ns": shelf and shelf.since_ns,
        "shelved_until_ns": shelf and shelf.until_ns,
        "shelved_once": shelf and shelf.once,
        "shelved_by": shelf and shelf.by,
        "shelved_reason": shelf and shelf.reason,
        "suppressed_ns": held.suppressed_ns,
        "out_ns": out and out.since_ns,
        "out_by": out and out.by,
        "out_reason": out and out.reason,
    }


def _held(row: Row[Any]) -> Held:
    shelf = out = None
    if row.shelved_ns is not None:
        shelf = Shelf(row.shelved_ns, row.shelved_until_ns, row.shelved_by, row.shelved_reason, row.shelved_once)
    if row.out_ns is not None:
        out = OutOfService(row.out_ns, row.out_by, row.out_reason)
    return Held(
        AlarmState(row.state), row.value, row.raised_ns, row.cleared_ns, row.acknowledged_ns, row.acknowledged_by,
        row.comment, row.active, row.latched, shelf, row.suppressed_ns, out,
    )  # fmt: skip


def _transition(row: Row[Any]) -> AlarmTransition:
    return AlarmTransition(
        row.rule, AlarmAction(row.action), AlarmState(row.state), row.time_ns, row.value, row.actor, row.comment
    )


def _position(cursor: str) -> tuple[int, int]:
    time_ns, _, sequence = cursor.partition(".")
    try:
        if len(cursor) > 40 or not sequence.isdigit():
            raise ValueError
        return int(time_ns), int(sequence)
    except ValueError:
        raise DataError(f"'{cursor[:40]}' is no cursor of the alarm history") from None
