"""Critical writes that wait for a second person: who that may be, and that each is decided once.

add ─► waits, durable ─┬─ second_person ─► decide ─► sent by the desk, or refused
                       ├─ same_person ─► decide ─► withdrawn
                       └─ expired ─► decide

A decision is one conditional update of the row: of two at the same time one finds that it waits no more.
Source: IEC 62443-3-3 SR 2.1 RE 4 (dual approval); GB/T 22239-2019 8.1.4.2 (separation of duties).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from headrace.control.journal import CommandJournal, Waiting
from headrace.model.commands import Command
from headrace.model.errors import AccessError, Conflict, NotFound
from headrace.sdk.access import Action, Authorizer, Principal
from headrace.sdk.clock import Clock

WAITING_MAX: Final = 1_000

PersonOf = Callable[[Principal], Awaitable[str]]
"""Who is behind a principal: of a token, whoever made it. '' where that is nobody in particular."""


class Approvals:
    """At most one waits for each point."""

    def __init__(self, journal: CommandJournal, authorizer: Authorizer, clock: Clock, person_of: PersonOf) -> None:
        self._journal, self._authorizer, self._clock, self.person = journal, authorizer, clock, person_of
        self._waiting: dict[str, Waiting] = {}  # by point

    async def load(self) -> None:
        self._waiting = {one.command.point: one for one in await self._journal.waiting()}

    def at(self, path: str) -> Command | None:
        waiting = self._waiting.get(path)
        return None if waiting is None else waiting.command

    def full(self) -> str | None:
        if len(self._waiting) < WAITING_MAX:
            return None
        return f"{WAITING_MAX} writes wait for approval already; decide on some of them first"

    def expired(self) -> Sequence[Waiting]:
        now_ns = self._clock.now_ns()
        return [one for one in self._waiting.values() if now_ns >= one.command.expires_ns]

    async def add(self, waiting: Waiting) -> None:
        """Raises: Unavailable; it does not wait then."""
        await self._journal.wait(waiting)
        self._waiting[waiting.command.point] = waiting

    async def find(self, id: str, theirs: Callable[[str], bool]) -> Waiting:
        """`theirs` says whether a path is the asker's.

        Raises: NotFound, for another tenant's as for one that never was; Conflict for one that waits no more.
        """
        for waiting in self._waiting.values():
            if waiting.command.id == id and theirs(waiting.command.point):
                return waiting
        command = await self._journal.get(id)
        if command is None or not theirs(command.point):
            raise NotFound(f"there is no write '{id[:40]}'; `headrace writes` shows those there are")
        said = f": {command.detail}" if command.detail else ""
        raise Conflict(f"this write waits no more; it is {command.state}{said}")

    async def decide(self, waiting: Waiting, command: Command) -> bool:
        """Make `command` of it; False where somebody was first. Raises: Unavailable; it waits on then."""
        won = await self._journal.decide(command)
        if self._waiting.get(command.point) is waiting:
            del self._waiting[command.point]
        return won

    async def second_person(self, waiting: Waiting, principal: Principal) -> None:
        """Raises: AccessError for somebody who may not be the second person of this write."""
        person = await self.person(principal)
        if not person:
            raise AccessError(
                f"'{principal.name}' is nobody in particular; a second person signs in, or uses a token of theirs"
            )
        if person == waiting.person or principal.name == waiting.command.actor:
            raise AccessError("the person who asked for a critical write cannot approve it; ask somebody else")
        self._authorizer.check(principal, Action.APPROVE, waiting.command.point)

    async def same_person(self, waiting: Waiting, principal: Principal) -> None:
        """Raises: AccessError for anybody but the one who asked."""
        if principal.name == waiting.command.actor:
            return
        person = await self.person(principal)
        if not person or person != waiting.person:
            raise AccessError("only the person who asked can withdraw a write; to stop it, reject it")
