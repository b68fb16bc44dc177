"""What tenants let each other see: a part of the plant, some of its points, a span of time, a purpose and an end.

share ─► durable ─► version + 1 ─► the partner's next request sees it        end_grant: the same, and is gone

A grant only ever reads. Who reads through it is written into both trails by the one who answers (`api/`).
Source: IEC 62443-3-3 SR 2.1; GB/T 22239-2019 8.1.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from headrace.access.room import AccessRoom
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.points import PATH_LENGTH_MAX, check_path
from headrace.sdk.access import Action, Principal
from headrace.sdk.accounts import PartnerGrant

PATTERNS_MAX: Final = 50
GRANTS_MAX: Final = 1_000
PURPOSE_LENGTH_MAX: Final = 500


class Partners(AccessRoom):
    async def partner_grants(self, tenant: str) -> tuple[Sequence[PartnerGrant], Sequence[PartnerGrant]]:
        """Given and received, newest first."""
        await self._load()
        newest = sorted(self.memory.grants.values(), key=lambda grant: (-grant.created_ns, grant.id))
        return [one for one in newest if one.owner == tenant], [one for one in newest if one.partner == tenant]

    async def share(
        self,
        actor: Principal,
        partner: str,
        subtree: str,
        purpose: str,
        *,
        patterns: Sequence[str] = (),
        start_ns: int | None = None,
        end_ns: int | None = None,
        expires_ns: int | None = None,
    ) -> PartnerGrant:
        await self._load()
        asset = check_path(subtree)
        self.check(actor, Action.SHARE, asset)
        now_ns = self._clock.now_ns()
        globs = tuple(dict.fromkeys(pattern.strip() for pattern in patterns if pattern.strip()))
        if not purpose.strip() or len(purpose) > PURPOSE_LENGTH_MAX:
            raise DataError(f"say what the partner may use it for, in 1 to {PURPOSE_LENGTH_MAX} characters")
        if len(globs) > PATTERNS_MAX or any(len(glob) > PATH_LENGTH_MAX for glob in globs):
            raise DataError(f"at most {PATTERNS_MAX} patterns, of at most {PATH_LENGTH_MAX} characters")
        if start_ns is not None and end_ns is not None and start_ns >= end_ns:
            raise DataError("the span begins before it ends")
        if expires_ns is not None and expires_ns <= now_ns:
            raise DataError("the grant would have ended already")
        grant = PartnerGrant(
            str(uuid4()), actor.tenant, partner, asset, globs, start_ns, end_ns, expires_ns, purpose.strip(),
            actor.name, now_ns,
        )  # fmt: skip
        async with self._changing:
            if partner == actor.tenant:
                raise DataError("that is your own tenant; give roles to your own people")
            self.memory.tenant(partner)
            if (
                sum(one.owner == actor.tenant and one.revoked_ns is None for one in self.memory.grants.values())
                >= GRANTS_MAX
            ):
                raise Conflict(f"{GRANTS_MAX} grants are open, as many as a tenant may give; end some first")
            await self._store.add_grant(grant)
            self.memory.grants[grant.id] = grant
            self.memory.changed()
        await self._tell(actor.name, "grant.create", grant)
        return grant

    async def end_grant(self, actor: Principal, id: str) -> PartnerGrant:
        await self._load()
        async with self._changing:
            grant = self.memory.grants.get(id)
            if grant is None or grant.owner != actor.tenant:
                raise NotFound("there is no such grant")
            self.check(actor, Action.SHARE, grant.subtree)
            if grant.revoked_ns is not None:
                return grant
            ended = replace(grant, revoked_ns=self._clock.now_ns(), revoked_by=actor.name)
            self.memory.grants[id] = ended  # closed before it is durable: a crash in between asks for it once more
            self.memory.changed()
            await self._store.end_grant(ended)
        await self._tell(actor.name, "grant.end", ended)
        return ended

    async def _tell(self, actor: str, action: str, grant: PartnerGrant) -> None:
        data: dict[str, Any] = {
            "partner": grant.partner,
            "owner": grant.owner,
            "subtree": grant.subtree,
            "patterns": grant.patterns,
            "purpose": grant.purpose,
            "start_ns": grant.start_ns,
            "end_ns": grant.end_ns,
            "expires_ns": grant.expires_ns,
        }
        for tenant in (grant.owner, grant.partner):
            await self.record(actor, action, grant.id, "done", data, tenant=tenant)
