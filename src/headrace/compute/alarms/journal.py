"""Alarms in SQL: transitions and the states that they lead to, in one transaction, before anybody hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, Row, and_, bindparam, delete, insert, or_, select
from sqlalchemy.exc import SQLAlchemyError

from headrace.compute.alarms.states import Held
from headrace.compute.tables import alarms, transitions
from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.services import TransitionPage

Result = TypeVar("Result")
_PAGE_MAX = 10_000


class AlarmJournal:
    """Raises: Unavailable where the database does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self) -> dict[str, Held]:
        return await self._run(self._load)

    async def write(
        self, made: Sequence[AlarmTransition], points: Mapping[str, str], held: Mapping[str, Held | None]
    ) -> None:
        """`points` by rule; `held` is what the touched rules have become. Durable on return."""
        await self._run(lambda: self._write(made, points, held))

    async def page(
        self, start_ns: int | None, end_ns: int | None, point: str | None, limit: int, cursor: str | None
    ) -> TransitionPage:
        """Newest event time first. Raises: DataError for a cursor that we never gave."""
        before = None if cursor is None else _position(cursor)
        return await self._run(lambda: self._page(start_ns, end_ns, point, min(max(limit, 1), _PAGE_MAX), before))

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            raise Unavailable("alarms cannot be recorded or read now; try again", detail=str(error)) from error

    def _load(self) -> dict[str, Held]:
        with self._engine.connect() as connection:
            return {
                row.rule: Held(
                    AlarmState(row.state),
                    row.value,
                    row.raised_ns,
                    row.cleared_ns,
                    row.acknowledged_ns,
                    row.acknowledged_by,
                    row.comment,
                )
                for row in connection.execute(select(alarms))
            }

    def _write(
        self, made: Sequence[AlarmTransition], points: Mapping[str, str], held: Mapping[str, Held | None]
    ) -> None:
        history = [{**_columns(one), "point": points[one.rule]} for one in made]
        gone = [{"touched": rule} for rule in held]
        standing = [_standing(rule, one) for rule, one in held.items() if one is not None]
        with self._engine.begin() as connection:
            connection.execute(insert(transitions), history)
            connection.execute(delete(alarms).where(alarms.c.rule == bindparam("touched")), gone)
            if standing:
                connection.execute(insert(alarms), standing)

    def _page(
        self, start_ns: int | None, end_ns: int | None, point: str | None, limit: int, before: tuple[int, int] | None
    ) -> TransitionPage:
        time_ns, sequence = transitions.c.time_ns, transitions.c.sequence
        wanted = select(transitions).order_by(time_ns.desc(), sequence.desc()).limit(limit + 1)
        if start_ns is not None:
            wanted = wanted.where(time_ns >= start_ns)
        if end_ns is not None:
            wanted = wanted.where(time_ns < end_ns)
        if point is not None:
            wanted = wanted.where(transitions.c.point == point)
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
    return {
        "rule": rule,
        "state": held.state.value,
        "value": held.value,
        "raised_ns": held.raised_ns,
        "cleared_ns": held.cleared_ns,
        "acknowledged_ns": held.acknowledged_ns,
        "acknowledged_by": held.acknowledged_by,
        "comment": held.comment,
    }


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
