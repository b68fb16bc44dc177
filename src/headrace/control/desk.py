"""The one way to a device: a write is asked for, checked, sent, read back, and written down at each step.

write ─► REQUESTED ─ all checks ─► AUTHORISED ─┬──────────────────────► SENT ─ the last look ─► device ─► read back
              │                                └─ critical ─► AWAITING ─┘ │                                  │
              │                         a second person ─► all checks     │          CONFIRMED, or FAILED ◄──┘
              └───────────── no: REFUSED, nothing sent ───────────────────┘

All checks: right (of both persons), reason, kind, range; how far, how fast, how often; interlocks; no lock over it.
The last look makes those that need no waiting once more, after SENT is durable and in the same step of the event loop
in which the device is called: so no lock, no lost right and no change in the plant comes between.

SENT is durable before the device hears of it, so after a crash the commands found in SENT are exactly those whose
outcome nobody knows. A caller that goes away does not stop a write half-way. AWAITING outlives a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy import Engine

from headrace.control.approvals import Approvals, PersonOf
from headrace.control.checks import as_kind, why_not
from headrace.control.interlocks import Interlocks
from headrace.control.journal import CommandJournal, Waiting
from headrace.control.lock_desk import LockDesk
from headrace.control.locks import LockBook
from headrace.control.record import Emit, Record, given_reason, kept
from headrace.control.sending import Sender, SendSettings
from headrace.control.window import SendWindow
from headrace.model.areas import Area
from headrace.model.batch import TEXT_BYTES_MAX, Value
from headrace.model.commands import Command, CommandState, WriteLock
from headrace.model.errors import AccessError, Conflict, NotFound, Unavailable
from headrace.model.points import Point
from headrace.model.time import SECOND_NS
from headrace.sdk.access import DEFAULT_TENANT, Action, AuditLog, Authorizer, Principal
from headrace.sdk.clock import Clock
from headrace.sdk.commands import WriteConditions
from headrace.sdk.field import DeviceWriter, PlantReader


@dataclass(frozen=True, slots=True)
class ControlSettings(SendSettings):
    """`interval_s` is the least time between two writes that are sent to a point that declares none; `expiry_s` how
    long a write may take from its last permission to the device."""

    expiry_s: float = 10.0
    interval_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _Case:
    """Whose write it is. `approver` is None where it needs none."""

    requester: Principal
    person: str
    approver: Principal | None = None


class ControlDesk:
    """Implements `sdk.commands.CommandDesk`. `start` before the first write, `close` after the last.

    `person_of` tells who is behind a principal, '' for nobody in particular; `tenant_of`, whose a point is.
    """

    def __init__(
        self,
        points: Callable[[], Mapping[str, Point]],
        writer: DeviceWriter,
        authorizer: Authorizer,
        audit: AuditLog,
        engine: Engine,
        clock: Clock,
        settings: ControlSettings | None = None,
        emit: Emit | None = None,
        *,
        plant: PlantReader,
        person_of: PersonOf,
        tenant_of: Callable[[str], str] = lambda _: DEFAULT_TENANT,
    ) -> None:
        self._points = points
        self._authorizer = authorizer
        self._journal = CommandJournal(engine)
        self._record = Record(self._journal, audit, clock, emit, tenant_of)
        self._clock = clock
        self._settings = settings or ControlSettings()
        self._tenant_of = tenant_of
        self._sender = Sender(writer, clock, self._settings)
        self._window = SendWindow(clock, self._settings.interval_s)
        self._interlocks = Interlocks(plant, clock)
        self._locks = LockBook(engine)
        self._approvals = Approvals(self._journal, authorizer, clock, person_of)
        self._locking = LockDesk(self._locks, self._record, self._sender, authorizer, clock, points, tenant_of)
        self._busy: dict[str, str] = {}  # point -> who writes to it now

    async def start(self) -> None:
        """Close what a crash left open: sent means nobody knows, anything earlier was never sent. What waits, waits."""
        await self._locks.load()
        self._window.load(await self._journal.recent())
        for command in await self._journal.unfinished():
            if command.state is CommandState.SENT:
                await self._record.step(
                    command, CommandState.FAILED, "outcome unknown: platform restarted; read the device"
                )
            else:
                await self._refuse(command, "not sent: platform restarted")
        await self._approvals.load()
        await self.expire()

    async def run(self) -> None:
        """End what waited too long, until cancelled."""
        while True:
            await self._clock.sleep(1.0)
            with suppress(Unavailable):  # the database is away: the next second tries again
                await self.expire()

    async def close(self) -> None:
        """Wait for writes that are under way."""
        await self._record.close()

    # --- writes -------------------------------------------------------------------------------------------------

    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command:
        """Raises: NotFound for an unknown point; Unavailable where nothing can be recorded (nothing is sent then)."""
        point = self._points().get(path)
        if point is None:
            raise NotFound(f"there is no point '{path}'")
        return await self._record.to_the_end(self._carry(point, value, principal, reason), f"write {path}")

    async def list(
        self,
        *,
        path: str | None = None,
        state: CommandState | None = None,
        limit: int = 100,
        within: Area | None = None,
    ) -> Sequence[Command]:
        await self.expire()
        return await self._journal.list(path, state, limit, within)

    async def conditions(self, path: str) -> WriteConditions:
        point = self._points().get(path)
        if point is None:
            raise NotFound(f"there is no point '{path}'")
        await self.expire()
        return WriteConditions(
            point.guard,
            await self._interlocks.states(point),
            self._locks.over(path, self._tenant_of(path)),
            self._approvals.at(path),
        )

    async def _carry(self, point: Point, value: Value, principal: Principal, reason: str) -> Command:
        command = self._request(point, value, principal, reason)
        await self._journal.add(command)
        await self._record.tell(command)
        try:
            case = _Case(principal, await self._approvals.person(principal))
            no = self._not_allowed(point.path, case) or why_not(point, value, reason) or self._not_now(command)
            if no is not None:
                return await self._refuse(command, no)
            self._busy[point.path] = principal.name
            try:
                command = replace(command, value=as_kind(point.kind, value))
                no, moved = await self._look(point, command, case)
                if no is not None:
                    return await self._refuse(command, no)
                command = await self._record.step(command, CommandState.AUTHORISED)
                if point.guard.critical:
                    return await self._wait(point, command, case)
                return await self._send(command, case, moved)
            finally:
                del self._busy[point.path]
        except Unavailable:
            await self._record.abandon(command)
            raise

    # --- the second person --------------------------------------------------------------------------------------

    async def approve(self, id: str, principal: Principal, reason: str) -> Command:
        await self.expire()
        waiting = await self._waiting(id, principal)
        await self._second_person(waiting, principal, "write.approve")
        path = waiting.command.point
        locked = self._locks.why_not(path, self._tenant_of(path))
        if locked is not None:
            raise Conflict(f"{locked}; it waits on, and can be approved once the lock is released")
        return await self._record.to_the_end(self._approved(waiting, principal, reason), f"approve {id}")

    async def reject(self, id: str, principal: Principal, reason: str) -> Command:
        reason = given_reason(reason, "say why it is rejected")
        await self.expire()
        waiting = await self._waiting(id, principal)
        await self._second_person(waiting, principal, "write.reject")
        detail = f"rejected by {principal.name}: {reason}"
        return await self._record.to_the_end(
            self._ended(waiting, principal, "write.reject", reason, detail), f"reject {id}"
        )

    async def withdraw(self, id: str, principal: Principal, reason: str = "") -> Command:
        reason = given_reason(reason or "no longer wanted", "")
        await self.expire()
        waiting = await self._waiting(id, principal)
        await self._approvals.same_person(waiting, principal)
        detail = f"withdrawn by {principal.name}: {reason}"
        ended = self._ended(waiting, principal, "write.withdraw", reason, detail)
        return await self._record.to_the_end(ended, f"withdraw {id}")

    async def _waiting(self, id: str, principal: Principal) -> Waiting:
        return await self._approvals.find(id, lambda path: self._tenant_of(path) == principal.tenant)

    async def expire(self) -> None:
        """End what waited too long. Raises: Unavailable; it is tried again then."""
        for waiting in self._approvals.expired():
            command = replace(
                waiting.command,
                state=CommandState.REFUSED,
                detail="expired: no second person approved it in time",
                finished_ns=self._clock.now_ns(),
            )
            if await self._approvals.decide(waiting, command):
                await self._record.tell(command)

    async def _second_person(self, waiting: Waiting, principal: Principal, action: str) -> None:
        try:
            await self._approvals.second_person(waiting, principal)
        except AccessError as error:
            data = {"command": waiting.command.id, "detail": error.message}
            await self._record.note(principal.name, action, waiting.command.point, "refused", data)
            raise

    async def _wait(self, point: Point, command: Command, case: _Case) -> Command:
        if self._approvals.at(point.path) is not None:
            other = f"another write to '{point.path}' waits for approval already; withdraw it, or wait for its outcome"
            return await self._refuse(command, other)
        full = self._approvals.full()
        if full is not None:
            return await self._refuse(command, full)
        expires_ns = self._clock.now_ns() + point.guard.approval_ns
        command = replace(command, state=CommandState.AWAITING, expires_ns=expires_ns)
        await self._approvals.add(Waiting(command, case.requester, case.person))
        await self._record.tell(command)
        return command

    async def _approved(self, waiting: Waiting, principal: Principal, reason: str) -> Command:
        now_ns = self._clock.now_ns()
        command = replace(
            waiting.command,
            state=CommandState.AUTHORISED,
            approver=principal.name,
            decided_ns=now_ns,
            decision=kept(reason),
            expires_ns=now_ns + int(self._settings.expiry_s * SECOND_NS),
        )
        if now_ns >= waiting.command.expires_ns:
            await self.expire()
            raise Conflict("this write waited too long; ask for it again")
        other = self._busy.get(command.point)
        if other is not None:
            raise Conflict(f"another write to '{command.point}', by {other}, is under way; look at its outcome first")
        self._busy[command.point] = waiting.command.actor
        try:
            if not await self._approvals.decide(waiting, command):
                raise Conflict("somebody decided on this write already; look at its outcome")
            try:
                data = {"command": command.id, "value": command.value, "reason": command.decision}
                await self._record.note(principal.name, "write.approve", command.point, "done", data)
                await self._record.tell(command)
                case = _Case(waiting.requester, waiting.person, principal)
                point = self._points().get(command.point)
                if point is None:
                    return await self._record.step(
                        command, CommandState.REFUSED, f"'{command.point}' is no longer declared"
                    )
                no, moved = await self._look(point, command, case)
                if no is not None:
                    return await self._refuse(command, no)
                return await self._send(command, case, moved)
            except Unavailable:
                await self._record.abandon(command)
                raise
        finally:
            del self._busy[command.point]

    async def _ended(self, waiting: Waiting, principal: Principal, action: str, reason: str, detail: str) -> Command:
        now_ns = self._clock.now_ns()
        command = replace(
            waiting.command,
            state=CommandState.REFUSED,
            detail=detail,
            finished_ns=now_ns,
            approver=principal.name if action == "write.reject" else "",
            decided_ns=now_ns,
            decision=reason,
        )
        if not await self._approvals.decide(waiting, command):
            raise Conflict("somebody decided on this write already; look at its outcome")
        data = {"command": command.id, "value": command.value, "reason": reason}
        await self._record.note(principal.name, action, command.point, "done", data)
        await self._record.tell(command)
        return command

    # --- locks --------------------------------------------------------------------------------------------------

    def locks(self) -> Sequence[WriteLock]:
        return self._locks.standing()

    async def lock(self, path: str, principal: Principal, reason: str) -> WriteLock:
        return await self._locking.lock(path, principal, reason)

    async def release(self, id: str, principal: Principal, reason: str) -> WriteLock:
        return await self._locking.release(id, principal, reason)

    # --- checks -------------------------------------------------------------------------------------------------

    def _not_allowed(self, path: str, case: _Case) -> str | None:
        try:
            self._authorizer.check(case.requester, Action.WRITE, path)
            if case.approver is not None:
                self._authorizer.check(case.approver, Action.APPROVE, path)
        except AccessError as error:
            return error.message
        return None

    def _not_now(self, command: Command) -> str | None:
        other = self._busy.get(command.point)
        if other is not None:
            return f"another write to '{command.point}', by {other}, is under way; look at its outcome first"
        return self._locks.why_not(command.point, self._tenant_of(command.point))

    async def _look(self, point: Point, command: Command, case: _Case) -> tuple[str | None, float]:
        """All checks, those that must wait for device and history first; and how far the write moves the point."""
        moved, no = 0.0, None
        if point.guard.limits.needs_present_value:
            present, no = await self._sender.present(point)
            moved = abs(float(command.value) - present)
        no = no or await self._interlocks.why_not_before(point)
        return no or self._hindrance(command, case, moved), moved

    def _hindrance(self, command: Command, case: _Case, moved: float) -> str | None:
        """Why it must not be sent at this very moment; None where nothing is in its way. Waits for nothing."""
        point = self._points().get(command.point)
        if point is None:
            return f"'{command.point}' is no longer declared"
        if command.state is CommandState.SENT and point.guard.critical and case.approver is None:
            return f"'{point.path}' takes a second person since this moment; ask again"
        return (
            self._not_allowed(point.path, case)
            or why_not(point, command.value, command.reason)
            or self._window.why_not(point, case.person or case.requester.name, moved)
            or self._interlocks.why_not(point)
            or self._locks.why_not(point.path, self._tenant_of(point.path))
        )

    # --- steps --------------------------------------------------------------------------------------------------

    async def _send(self, command: Command, case: _Case, moved: float) -> Command:
        if self._clock.now_ns() >= command.expires_ns:
            return await self._refuse(command, "expired before it could be sent")
        person = case.person or case.requester.name
        command = replace(command, state=CommandState.SENT)
        try:
            await self._journal.send(command, person, moved, self._clock.now_ns())
            await self._record.tell(command)
        except Unavailable:
            await self._record.abandon(command, unsent=True)
            raise
        point = self._points().get(command.point)
        no = self._hindrance(command, case, moved)
        if no is not None or point is None:
            return await self._refuse(command, f"not sent: {no}")
        self._window.add(point.path, person, moved)
        try:
            state, detail, held = await self._sender.send(point, command.value)  # nothing waits before the device does
        except Exception:
            await self._record.step(command, CommandState.FAILED, "outcome unknown: an internal error; read the device")
            raise
        return await self._record.step(replace(command, read_back=held), state, detail)

    async def _refuse(self, command: Command, why: str) -> Command:
        return await self._record.step(command, CommandState.REFUSED, why)

    def _request(self, point: Point, value: Value, principal: Principal, reason: str) -> Command:
        now_ns = self._clock.now_ns()
        return Command(
            str(uuid4()),
            point.path,
            value[:TEXT_BYTES_MAX] if isinstance(value, str) else value,
            principal.name,
            kept(reason),
            now_ns,
            now_ns + int(self._settings.expiry_s * SECOND_NS),
        )
