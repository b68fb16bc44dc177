"""Commands in SQL: a step is durable before the next one begins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from headrace.control.tables import commands
from headrace.model.commands import Command, CommandState
from headrace.model.errors import Unavailable

Result = TypeVar("Result")


class CommandJournal:
    """Raises: Unavailable where the database does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, command: Command) -> None:
        await self._run(lambda: self._add(command))

    async def set(self, command: Command) -> None:
        await self._run(lambda: self._set(command))

    async def list(self, path: str | None, limit: int) -> Sequence[Command]:
        """Newest first."""
        return await self._run(lambda: self._list(path, limit))

    async def unfinished(self) -> Sequence[Command]:
        return await self._run(self._unfinished)

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            raise Unavailable("commands cannot be recorded now; try again", detail=str(error)) from error

    def _add(self, command: Command) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert(commands).values(**_columns(command)))

    def _set(self, command: Command) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(commands).where(commands.c.id == command.id).values(**_columns(command)))

    def _list(self, path: str | None, limit: int) -> Sequence[Command]:
        wanted = select(commands).order_by(commands.c.sequence.desc()).limit(max(limit, 0))
        if path is not None:
            wanted = wanted.where(commands.c.point == path)
        with self._engine.connect() as connection:
            return [_command(row) for row in connection.execute(wanted)]

    def _unfinished(self) -> Sequence[Command]:
        running = [state.value for state in CommandState if not state.final]
        wanted = select(commands).where(commands.c.state.in_(running)).order_by(commands.c.sequence)
        with self._engine.connect() as connection:
            return [_command(row) for row in connection.execute(wanted)]


def _columns(command: Command) -> dict[str, Any]:
    return {
        "id": command.id,
        "point": command.point,
        "value": json.dumps(command.value),
        "actor": command.actor,
        "reason": command.reason,
        "requested_ns": command.requested_ns,
        "expires_ns": command.expires_ns,
        "state": command.state.value,
        "detail": command.detail,
        "read_back": None if command.read_back is None else json.dumps(command.read_back),
        "finished_ns": command.finished_ns,
    }


def _command(row: Row[Any]) -> Command:
    return Command(
        row.id,
        row.point,
        json.loads(row.value),
        row.actor,
        row.reason,
        row.requested_ns,
        row.expires_ns,
        CommandState(row.state),
        row.detail,
        None if row.read_back is None else json.loads(row.read_back),
        row.finished_ns,
    )
