"""The part of `FakeAccess` that proves people: nobody here has a second factor, and no provider is set up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.model.errors import AccessError, Conflict, DataError, NotFound
from headrace.sdk.access import Principal
from headrace.sdk.accounts import Safeguards, TenantPolicy
from headrace.sdk.entry import (
    Departure,
    Factors,
    Json,
    PasskeyInfo,
    Pending,
    Proof,
    ProviderInfo,
    Seen,
    SessionInfo,
    TotpOffer,
)


class FakeEntry:
    _sessions: dict[str, str]

    async def complete(self, pending: str, proof: Proof, seen: Seen) -> tuple[str, str]:
        raise AccessError("no sign-in waits for this", authenticated=False)

    async def pending(self, secret: str, seen: Seen) -> Pending:
        raise AccessError("no sign-in waits for this", authenticated=False)

    async def passkey_options(self, seen: Seen) -> tuple[str, Json]:
        return "question", {"challenge": "AAAA"}

    async def passkey_sign_in(self, challenge: str, answer: Json, seen: Seen) -> tuple[str, str]:
        raise AccessError("the passkey was not accepted", authenticated=False)

    def check_fresh(self, session: str) -> None:
        self.session(session)

    async def proof_options(self, session: str, seen: Seen) -> Json | None:
        return None

    async def prove_again(self, session: str, proof: Proof, seen: Seen) -> str:
        return await self.renew(session)

    async def renew(self, session: str) -> str:
        user = self._sessions.pop(session)
        self._sessions[f"{session}-new"] = user
        return f"{session}-new"

    async def sessions(self, user: str) -> Sequence[SessionInfo]:
        return [self.session(secret) for secret, name in self._sessions.items() if name == user]

    def session(self, secret: str) -> SessionInfo:
        if secret not in self._sessions:
            raise AccessError("sign in first", authenticated=False)
        name = secret.removesuffix("-new")
        return SessionInfo(name, self._sessions[secret], 0, 0, "127.0.0.1", "test", "password", 0)

    async def by_session_id(self, id: str) -> Principal:
        known = next((secret for secret in self._sessions if secret.removesuffix("-new") == id), "")
        return await self.by_session(known)  # type: ignore[attr-defined,no-any-return]

    async def end_session(self, actor: Principal, user: str, id: str) -> None:
        raise NotFound("there is no such session")

    async def end_sessions(self, actor: Principal, user: str, *, keep: str | None = None) -> int:
        gone = [secret for secret, name in self._sessions.items() if name == user and secret != keep]
        for secret in gone:
            del self._sessions[secret]
        return len(gone)

    async def factors(self, user: str) -> Factors:
        return Factors(True, None, (), 0, (), False)

    async def offer_totp(self, session: str) -> TotpOffer:
        return TotpOffer("JBSWY3DPEHPK3PXP", "otpauth://totp/x", "<svg/>")

    async def confirm_totp(self, session: str, code: str) -> Sequence[str]:
        raise DataError("this code is not right")

    async def remove_totp(self, session: str) -> None:
        raise NotFound("there is no authenticator app")

    async def new_recovery_codes(self, session: str) -> Sequence[str]:
        raise Conflict("add a second factor first")

    async def offer_passkey(self, session: str, seen: Seen) -> Json:
        return {"challenge": "AAAA"}

    async def add_passkey(self, session: str, name: str, answer: Json, seen: Seen) -> tuple[PasskeyInfo, Sequence[str]]:
        raise AccessError("the answer of the passkey cannot be taken")

    async def remove_passkey(self, session: str, id: str) -> None:
        raise NotFound("there is no such passkey")

    async def reset_factors(self, actor: Principal, user: str) -> None:
        await self.user(user)  # type: ignore[attr-defined]

    async def safeguards(self, tenant: str = "default") -> Sequence[Safeguards]:
        return [
            Safeguards(user, await self.factors(user.name), False, None, tuple(await self.sessions(user.name)))
            for user in await self.users(tenant)  # type: ignore[attr-defined]
        ]

    async def unlock_user(self, actor: Principal, name: str) -> None:
        await self.user(name)  # type: ignore[attr-defined]

    def platform_policy(self) -> TenantPolicy:
        return TenantPolicy(session_idle_s=43_200, session_life_s=604_800, sessions_max=50)

    def providers(self) -> Sequence[ProviderInfo]:
        return []

    async def depart(
        self, provider: str, seen: Seen, *, link: str | None = None, again: str | None = None
    ) -> Departure:
        raise NotFound("there is no such provider")

    async def arrive(self, provider: str, answer: Mapping[str, str], browser: str, seen: Seen) -> tuple[str, str]:
        raise NotFound("there is no such provider")

    async def remove_identity(self, session: str, provider: str) -> None:
        raise NotFound("no account of that provider opens yours")

    def way_out(self, session: str, seen: Seen) -> str | None:
        return None

    async def changed(self, since: int | None = None) -> Any:
        if since is None:
            return 0
        await asyncio.Event().wait()
        return None
