"""Who may stop all writes, and who lets them go on.

lock ─ WRITE, MAINTAIN or LOCK there? ─► stands ─► nothing on its way to a device any more ─► recorded ─► answered
release ─ LOCK there? ─► in the audit trail ─► recorded ─► stands no more

To stop takes little, to go on takes the right of somebody who answers for it.
Source: IEC 62443-3-3 SR 2.1 (authorisation enforcement).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.control.locks import LockBook
from headrace.control.record import Record, given_reason
from headrace.control.sending import Sender
from headrace.model.commands import WriteLock
from headrace.model.errors import AccessError, NotFound, Unavailable
from headrace.model.points import Point
from headrace.sdk.access import Action, Authorizer, Principal
from headrace.sdk.clock import Clock


class LockDesk:
    def __init__(
        self,
        book: LockBook,
        record: Record,
        sender: Sender,
        authorizer: Authorizer,
        clock: Clock,
        points: Callable[[], Mapping[str, Point]],
        tenant_of: Callable[[str], str],
    ) -> None:
        self._locks, self._record, self._sender = book, record, sender
        self._authorizer, self._clock = authorizer, clock
        self._points, self._tenant_of = points, tenant_of

    async def lock(self, path: str, principal: Principal, reason: str) -> WriteLock:
        reason = given_reason(reason, "say why writes must stop")
        self._may_lock(path, principal)
        tenant = self._tenant_of(path) if path else principal.tenant
        return await self._record.to_the_end(self._lock(path, tenant, principal, reason), f"lock {path}")

    async def release(self, id: str, principal: Principal, reason: str) -> WriteLock:
        reason = given_reason(reason, "say why writes may go on")
        lock = self._locks.get(id)
        if lock.tenant != principal.tenant:
            raise NotFound("no such lock stands; `headrace locks` shows those that do")
        try:
            self._authorizer.check(principal, Action.LOCK, lock.path)
        except AccessError as error:
            data = {"lock": lock.id, "detail": error.message}
            await self._record.note(principal.name, "write.unlock", lock.path, "refused", data, lock.tenant)
            raise
        data = {"lock": lock.id, "reason": reason}
        await self._record.note(principal.name, "write.unlock", lock.path, "asked", data, lock.tenant)
        released = await self._locks.release(lock, principal.name, reason, self._clock.now_ns())
        await self._record.note(principal.name, "write.unlock", lock.path, "done", data, lock.tenant)
        await self._record.publish(
            "lock.released", lock.path, {"lock": lock.id, "actor": principal.name, "reason": reason}
        )
        return released

    async def _lock(self, path: str, tenant: str, principal: Principal, reason: str) -> WriteLock:
        lock = self._locks.add(path, tenant, reason, principal.name, self._clock.now_ns())
        await self._sender.drained(lambda at: self._tenant_of(at) == tenant and lock.covers(at))
        try:
            await self._locks.record(lock)
            data = {"lock": lock.id, "reason": reason}
            await self._record.note(principal.name, "write.lock", path, "done", data, lock.tenant)
        except Unavailable as error:
            raise Unavailable(
                "the lock stands, and could not be recorded: it would be gone after a restart; lock once more",
                detail=error.detail,
            ) from None
        await self._record.publish("lock.set", path, {"lock": lock.id, "reason": reason, "actor": principal.name})
        return lock

    def _may_lock(self, path: str, principal: Principal) -> None:
        missing: AccessError | None = None
        for action in (Action.WRITE, Action.MAINTAIN, Action.LOCK):
            try:
                self._authorizer.check(principal, action, path)
                break
            except AccessError as error:
                missing = missing or error
        else:
            assert missing is not None
            raise missing
        if path and not any(at == path or at.startswith(f"{path}/") for at in self._points()):
            raise NotFound(f"there is no point at or below '{path}'; nothing would be locked")
