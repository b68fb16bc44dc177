"""Setpoints, as the people above see them: a write, its second person, what stands in its way, and the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.model.areas import Area
from headrace.model.batch import Value
from headrace.model.commands import Command, CommandState, WriteLock
from headrace.model.guards import Guard, Interlock
from headrace.sdk.access import Principal


@dataclass(frozen=True, slots=True)
class InterlockState:
    """`why` says in plain words why it does not hold; '' where it does."""

    interlock: Interlock
    value: Value | None
    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """What stands between a point and a write now. `waiting` is the command that already waits for approval."""

    guard: Guard
    interlocks: Sequence[InterlockState]
    locks: Sequence[WriteLock]
    waiting: Command | None


class CommandDesk(Protocol):
    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command:
        """Carry a write through its life and return it CONFIRMED, REFUSED, FAILED or AWAITING; each step audited.

        A refusal is an outcome, not an exception. Raises: NotFound for an unknown point.
        """
        ...

    async def list(
        self,
        *,
        path: str | None = None,
        state: CommandState | None = None,
        limit: int = 100,
        within: Area | None = None,
    ) -> Sequence[Command]:
        """Newest first."""
        ...

    async def conditions(self, path: str) -> WriteConditions:
        """Raises: NotFound for an unknown point."""
        ...

    async def approve(self, id: str, principal: Principal, reason: str) -> Command:
        """As the second person: every check is made again, then it is sent, once. Returned as `write` does.

        Raises: NotFound; Conflict where it waits no more, or a lock stands over it; AccessError for the person who
        asked, who may not, or who cannot be told apart.
        """
        ...

    async def reject(self, id: str, principal: Principal, reason: str) -> Command:
        """As the second person: it ends REFUSED. Raises: as `approve`; DataError without a reason."""
        ...

    async def withdraw(self, id: str, principal: Principal, reason: str = "") -> Command:
        """By the person who asked: it ends REFUSED. Raises: NotFound, Conflict, AccessError."""
        ...

    def locks(self) -> Sequence[WriteLock]:
        """Those that stand, the oldest first."""
        ...

    async def lock(self, path: str, principal: Principal, reason: str) -> WriteLock:
        """Stop all writes at and below `path`, '' for the whole tenant; on return none is under way to a device.

        Takes WRITE, MAINTAIN or LOCK there. Raises: AccessError; NotFound where nothing is below; DataError without a
        reason; Unavailable where it could not be recorded (it stands all the same until the platform restarts).
        """
        ...

    async def release(self, id: str, principal: Principal, reason: str) -> WriteLock:
        """Takes LOCK there. Raises: NotFound, AccessError, DataError without a reason, Unavailable (it stands on)."""
        ...
