"""What whoever secures a tenant sees of its accounts, and does for and against them; their own part is in enrolment.py.

safeguards ─► who has which factors, who is locked out until when, who is signed in
a lost phone ─► reset_factors ─► sessions end, the password alone opens until a new factor is there
too many wrong tries ─► unlock_user ─► at once, not after the quarter of an hour

Source: IEC 62443-3-3 SR 1.3 (accounts), SR 1.5 (authenticators), SR 1.11 (unlocked by an administrator).
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.access.enrolment import Enrolment
from headrace.access.entering import Entering
from headrace.model.time import SECOND_NS
from headrace.sdk.access import DEFAULT_TENANT, Action, Principal
from headrace.sdk.accounts import Safeguards, TenantPolicy


class Officers(Entering, Enrolment):
    async def safeguards(self, tenant: str = DEFAULT_TENANT) -> Sequence[Safeguards]:
        await self._load()
        accounts = self.memory.accounts
        own = [accounts[name].user for name in sorted(accounts) if accounts[name].user.tenant == tenant]
        return [
            Safeguards(
                user,
                await self.factors(user.name),
                self._relied_on(user),
                self._locked_until_ns(user.name),
                tuple(await self.sessions(user.name)),
            )
            for user in own
        ]

    async def reset_factors(self, actor: Principal, user: str) -> None:
        await self._load()
        self.check(actor, Action.SECURE, "")
        async with self._changing:
            name = self._account(user, actor.tenant).user.name
            await self._factors.forget_factors(name)
            await self._keys.end_sessions(name)
            self.memory.changed()
        self._by_code.forgive(name)
        await self.record(actor.name, "factor.reset", name, "done", tenant=actor.tenant)

    async def unlock_user(self, actor: Principal, name: str) -> None:
        await self._load()
        self.check(actor, Action.SECURE, "")
        user = self._account(name, actor.tenant).user.name
        if self._locked_until_ns(user) is None:
            return
        self._by_user.forgive(user)
        self._by_code.forgive(user)
        await self.record(actor.name, "lockout.end", user, "done", tenant=actor.tenant)

    def platform_policy(self) -> TenantPolicy:
        settings = self._key_settings
        return TenantPolicy(
            session_idle_s=settings.session_idle_ns // SECOND_NS,
            session_life_s=settings.session_life_ns // SECOND_NS,
            sessions_max=settings.sessions_per_user,
        )

    def _locked_until_ns(self, user: str) -> int | None:
        """By wrong passwords, or by wrong codes."""
        locked_s = max(self._by_user.locked_s(user), self._by_code.locked_s(user))
        return self._clock.now_ns() + int(locked_s * SECOND_NS) if locked_s > 0 else None
