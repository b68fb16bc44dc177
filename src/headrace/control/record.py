"""What happens to commands, written down: journal, audit trail, events, in this order.

step ─► journal (durable) ─► audit trail (durable) ─► event on the bus
Where one of the first two fails nothing goes on: `Unavailable`, and what was not sent is closed as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

from headrace.control.checks import REASON_LENGTH_MAX
from headrace.control.journal import CommandJournal
from headrace.model.commands import Command, CommandState
from headrace.model.errors import DataError, Unavailable
from headrace.model.events import Event
from headrace.sdk.access import AuditLog
from headrace.sdk.clock import Clock

Emit = Callable[[Sequence[Event]], Awaitable[None]]
Result = TypeVar("Result")


class Record:
    def __init__(
        self,
        journal: CommandJournal,
        audit: AuditLog,
        clock: Clock,
        emit: Emit | None,
        tenant_of: Callable[[str], str],
    ) -> None:
        self.journal, self._audit = journal, audit
        self._clock, self._emit, self._tenant_of = clock, emit, tenant_of
        self._running: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._running:
            await asyncio.wait(self._running)

    async def to_the_end(self, work: Coroutine[Any, Any, Result], name: str) -> Result:
        """A caller that goes away stops nothing half-way."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def abandon(self, command: Command, *, unsent: bool = False) -> None:
        """What could not be written down was not sent: say so if the database is back."""
        kept = None
        with suppress(Unavailable):
            kept = await self.journal.get(command.id)
        if kept is None or kept.state.final or (kept.state is CommandState.SENT and not unsent):
            return  # SENT: the device may have heard of it; the next start says that nobody knows
        with suppress(Unavailable):
            await self.journal.set(
                replace(kept, state=CommandState.REFUSED, detail="not sent: it could not be recorded",
                        finished_ns=self._clock.now_ns())
            )  # fmt: skip

    async def step(self, command: Command, state: CommandState, detail: str = "") -> Command:
        finished_ns = self._clock.now_ns() if state.final else None
        command = replace(command, state=state, detail=detail, finished_ns=finished_ns)
        await self.journal.set(command)
        await self.tell(command)
        return command

    async def tell(self, command: Command) -> None:
        data: dict[str, Any] = {"command": command.id, "value": command.value, "reason": command.reason}
        if command.approver:
            data |= {"approver": command.approver}
        if command.state.final:
            data |= {"detail": command.detail, "read_back": command.read_back}
        await self.note(command.actor, "write", command.point, command.state.value, data)
        await self.publish(f"command.{command.state.value}", command.point, data, command.finished_ns)

    async def note(
        self, actor: str, action: str, path: str, outcome: str, data: Mapping[str, Any], tenant: str | None = None
    ) -> None:
        """One entry in the trail of the tenant whose the path is, or of `tenant`. Raises: Unavailable."""
        await self._audit.record(actor, action, path, outcome, data, tenant=tenant or self._tenant_of(path))

    async def publish(self, kind: str, subject: str, data: Mapping[str, Any], time_ns: int | None = None) -> None:
        if self._emit is None:
            return
        with suppress(Unavailable):  # the bus closes before us on the way down; the journal has it
            at_ns = time_ns or self._clock.now_ns()
            await self._emit([Event(str(uuid4()), "control", kind, subject, at_ns, {**data})])


def kept(reason: str) -> str:
    """A reason as it is kept."""
    return reason.replace("\0", "").strip()[:REASON_LENGTH_MAX]


def given_reason(reason: str, wanted: str) -> str:
    """Raises: DataError for none, or one that is too long."""
    if not reason.strip():
        raise DataError(f"this needs a reason; {wanted}")
    if len(reason) > REASON_LENGTH_MAX:
        raise DataError(f"the reason has {len(reason)} characters; at most {REASON_LENGTH_MAX} are kept")
    return kept(reason)
