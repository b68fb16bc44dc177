"""Commands in SQL: a step is durable before the next one begins.

control_commands ─ each command as it stands
control_approvals ─ who asked for a critical one, and who decided        control_sends ─ the steps of the last minutes
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, Row, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from headrace.control.guard_tables import approvals, sends
from headrace.control.tables import commands
from headrace.model.areas import Area
from headrace.model.commands import Command, CommandState
from headrace.model.errors import Unavailable
from headrace.model.time import MINUTE_NS
from headrace.sdk.access import Principal
from headrace.sdk.area_sql import lies_in

Result = TypeVar("Result")
_SENDS_KEPT_NS: Final = MINUTE_NS


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits for a second person. `person` is behind `requester`, '' where nobody in particular is."""

    command: Command
    requester: Principal
    person: str


class CommandJournal:
    """Raises: Unavailable where the database does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, command: Command) -> None:
        await self._run(lambda: self._add(command))

    async def set(self, command: Command) -> None:
        await self._run(lambda: self._set(command))

    async def send(self, command: Command, person: str, moved: float, now_ns: int) -> None:
        """SENT, and the step that it makes, in one transaction."""
        await self._run(lambda: self._send(command, person, moved, now_ns))

    async def wait(self, waiting: Waiting) -> None:
        """AWAITING, and who asked, in one transaction."""
        await self._run(lambda: self._wait(waiting))

    async def decide(self, command: Command) -> bool:
        """What the second person, or the one who asked, made of a waiting command; False where it waited no more."""
        return await self._run(lambda: self._decide(command))

    async def get(self, id: str) -> Command | None:
        return await self._run(lambda: self._get(id))

    async def list(
        self, path: str | None, state: CommandState | None, limit: int, within: Area | None = None
    ) -> Sequence[Command]:
        """Newest first."""
        return await self._run(lambda: self._list(path, state, limit, within))

    async def waiting(self) -> Sequence[Waiting]:
        return await self._run(self._waiting)

    async def recent(self) -> Sequence[tuple[str, str, float, int]]:
        """(point, person, moved, sent_ns) of the last minute of each point that was ever written, the oldest first."""
        return await self._run(self._recent)

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

    def _send(self, command: Command, person: str, moved: float, now_ns: int) -> None:
        row = {"command": command.id, "point": command.point, "person": person, "moved": moved, "sent_ns": now_ns}
        with self._engine.begin() as connection:
            connection.execute(update(commands).where(commands.c.id == command.id).values(**_columns(command)))
            connection.execute(insert(sends).values(**row))
            old = (sends.c.point == command.point) & (sends.c.sent_ns < now_ns - _SENDS_KEPT_NS)
            connection.execute(delete(sends).where(old))  # the newest of each point stays, however old

    def _wait(self, waiting: Waiting) -> None:
        command, requester = waiting.command, waiting.requester
        row = {
            "command": command.id,
            "requester": json.dumps({name: getattr(requester, name) for name in Principal.__slots__}),
            "person": waiting.person,
            "approver": "",
            "decided_ns": None,
            "decision": "",
        }
        with self._engine.begin() as connection:
            connection.execute(update(commands).where(commands.c.id == command.id).values(**_columns(command)))
            connection.execute(insert(approvals).values(**row))

    def _decide(self, command: Command) -> bool:
        decided = {"approver": command.approver, "decided_ns": command.decided_ns, "decision": command.decision}
        waits = (commands.c.id == command.id) & (commands.c.state == CommandState.AWAITING.value)
        with self._engine.begin() as connection:
            if connection.execute(update(commands).where(waits).values(**_columns(command))).rowcount != 1:
                return False
            connection.execute(update(approvals).where(approvals.c.command == command.id).values(**decided))
        return True

    def _get(self, id: str) -> Command | None:
        with self._engine.connect() as connection:
            row = connection.execute(_COMMANDS.where(commands.c.id == id)).first()
        return None if row is None else _command(row)

    def _list(self, path: str | None, state: CommandState | None, limit: int, within: Area | None) -> Sequence[Command]:
        wanted = _COMMANDS.order_by(commands.c.sequence.desc()).limit(max(limit, 0))
        if path is not None:
            wanted = wanted.where(commands.c.point == path)
        if state is not None:
            wanted = wanted.where(commands.c.state == state.value)
        if within is not None:
            wanted = wanted.where(lies_in(commands.c.point, within))
        with self._engine.connect() as connection:
            return [_command(row) for row in connection.execute(wanted)]

    def _unfinished(self) -> Sequence[Command]:
        running = [state.value for state in CommandState if not state.final and state is not CommandState.AWAITING]
        wanted = _COMMANDS.where(commands.c.state.in_(running)).order_by(commands.c.sequence)
        with self._engine.connect() as connection:
            return [_command(row) for row in connection.execute(wanted)]

    def _waiting(self) -> Sequence[Waiting]:
        wanted = _COMMANDS.where(commands.c.state == CommandState.AWAITING.value).order_by(commands.c.sequence)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        return [Waiting(_command(row), Principal(**json.loads(row.requester)), row.person) for row in rows]

    def _recent(self) -> Sequence[tuple[str, str, float, int]]:
        wanted = select(sends.c.point, sends.c.person, sends.c.moved, sends.c.sent_ns).order_by(sends.c.sent_ns)
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(wanted)]


_COMMANDS: Final = select(
    commands, approvals.c.requester, approvals.c.person, approvals.c.approver, approvals.c.decided_ns,
    approvals.c.decision,
).select_from(commands.outerjoin(approvals, approvals.c.command == commands.c.id))  # fmt: skip


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
        row.approver or "",
        row.decided_ns,
        row.decision or "",
    )
