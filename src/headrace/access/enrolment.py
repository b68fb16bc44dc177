"""The factors of one's own: added and removed with a proof of the last five minutes.

offer_totp ─► secret (shown once) ─► confirm_totp(code) ─► sealed in the table ─┐
offer_passkey ─► browser ─► add_passkey(answer) ─► public key in the table ─────┴─► the first one: ten recovery codes,
                                                                                   and every other session ends
Source: IEC 62443-3-3 SR 1.3, SR 1.4, SR 1.5; GB/T 22239-2019 8.1.4.1.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from headrace.access.factor_store import Totp
from headrace.access.passkeys import Passkey, creation_options, registered
from headrace.access.proofs import Proofs
from headrace.access.recovery import code_fingerprint, new_codes
from headrace.access.room import lookup
from headrace.access.sessions import plain_text
from headrace.access.store import Session
from headrace.access.totp import accepted_step, new_secret, svg, uri
from headrace.model.errors import AccessError, Conflict, DataError, NotFound, Unavailable
from headrace.sdk.entry import Factors, Identity, Json, PasskeyInfo, Seen, TotpOffer

PASSKEYS_MAX: Final = 20


class Enrolment(Proofs):
    async def factors(self, user: str) -> Factors:
        await self._load()
        account = self._account(lookup(user))
        name = account.user.name
        totp = self._factors.totp.get(name)
        return Factors(
            bool(account.password_hash),
            None if totp is None else totp.created_ns,
            tuple(info_of(key) for key in self._factors.keys_of(name)),
            len(self._factors.recovery.get(name, ())),
            tuple(
                Identity(link.provider, link.subject, link.email, link.created_ns)
                for link in self._factors.links_of(name)
            ),
            self._factor_needed(account.user),
        )

    # --- codes --------------------------------------------------------------------------------------------------

    async def offer_totp(self, session: str) -> TotpOffer:
        found = await self._fresh(session)
        if self._sealer is None:
            raise Unavailable("codes cannot be used yet: the platform has no key to seal secrets with; use a passkey")
        if found.user in self._factors.totp:
            raise Conflict("there is an authenticator app already; remove it first")
        secret = new_secret()
        self._offers.put(found.id, secret)
        address = uri(secret, found.user)
        return TotpOffer(secret, address, svg(address))

    async def confirm_totp(self, session: str, code: str) -> Sequence[str]:
        found = await self._fresh(session)
        secret = self._offers.look(found.id)
        if secret is None or self._sealer is None:
            raise Conflict("no authenticator app waits to be confirmed, or no longer; begin again")
        self._by_code.check(found.user)
        self._by_code.begin(found.user)
        now_ns = self._clock.now_ns()
        step = accepted_step(secret, code, now_ns, 0)
        if step is None:
            raise DataError("this code is not right; compare the clock of the phone with that of the platform")
        if self._offers.take(found.id) != secret or found.user in self._factors.totp:
            raise Conflict("the authenticator app was confirmed already")
        self._by_code.forgive(found.user)
        first = not self._has_factor(found.user)
        sealed = self._sealer.seal(secret.encode(), f"totp:{found.user}")
        await self._factors.set_totp(Totp(found.user, sealed, step, now_ns))
        return await self._added(found, session, "totp", first)

    async def remove_totp(self, session: str) -> None:
        found = await self._fresh(session)
        if found.user not in self._factors.totp:
            raise NotFound("there is no authenticator app")
        await self._factors.delete_totp(found.user)
        await self._removed(found.user, "totp")

    async def new_recovery_codes(self, session: str) -> Sequence[str]:
        found = await self._fresh(session)
        if not self._has_factor(found.user):
            raise Conflict("recovery codes stand in for a second factor; add one first")
        codes = await self._make_codes(found.user)
        await self.record(found.user, "recovery.new", found.user, "done", tenant=self._tenant_of(found.user))
        return codes

    # --- passkeys -----------------------------------------------------------------------------------------------

    async def offer_passkey(self, session: str, seen: Seen) -> Json:
        found = await self._fresh(session)
        known = self._factors.keys_of(found.user)
        if len(known) >= PASSKEYS_MAX:
            raise Conflict(f"there are {PASSKEYS_MAX} passkeys, as many as one may have; remove one first")
        handle = known[0].handle if known else secrets.token_bytes(32)
        challenge = secrets.token_bytes(32)
        here = [key for key in known if key.host == seen.host]
        options = creation_options(found.user, handle, challenge, here, seen)
        self._challenges.put(f"new:{found.id}", challenge + handle)
        return options

    async def add_passkey(self, session: str, name: str, answer: Json, seen: Seen) -> tuple[PasskeyInfo, Sequence[str]]:
        found = await self._fresh(session)
        kept = self._challenges.take(f"new:{found.id}")
        if kept is None:
            raise Conflict("no passkey waits to be added, or no longer; begin again")
        key = registered(
            answer, kept[:32], seen,
            user=found.user, name=plain_text(name, 64) or "passkey", handle=kept[32:], now_ns=self._clock.now_ns(),
        )  # fmt: skip
        if key.id in self._factors.passkeys:
            raise Conflict("this passkey is known already")
        first = not self._has_factor(found.user)
        await self._factors.add_passkey(key)
        return info_of(key), await self._added(found, session, "passkey", first, key.name)

    async def remove_passkey(self, session: str, id: str) -> None:
        found = await self._fresh(session)
        key = self._factors.passkeys.get(id)
        if key is None or key.user != found.user:
            raise NotFound("there is no such passkey")
        await self._factors.delete_passkey(id)
        await self._removed(found.user, "passkey", key.name)

    async def remove_identity(self, session: str, provider: str) -> None:
        found = await self._fresh(session)
        links = [link for link in self._factors.links_of(found.user) if link.provider == provider]
        if not links:
            raise NotFound("no account of that provider opens yours")
        if not self._live_account(found.user).password_hash:
            raise Conflict("this is the only way into your account")
        await self._factors.delete_links(found.user, provider)
        data = {"provider": provider}
        await self.record(found.user, "identity.remove", found.user, "done", data, tenant=self._tenant_of(found.user))

    # --- within -------------------------------------------------------------------------------------------------

    async def _fresh(self, session: str) -> Session:
        """Raises: FreshProofNeeded, AccessError."""
        await self._load()
        found = self._keys.check_fresh(session)
        if self._live_account(found.user).user.must_change_password:
            raise AccessError("change your one-time password first; until then nothing else is open")
        return found

    async def _added(self, found: Session, session: str, kind: str, first: bool, name: str = "") -> Sequence[str]:
        """Recovery codes, with the first factor: what was open without it ends."""
        codes = await self._make_codes(found.user) if first else ()
        if first:
            await self._keys.end_sessions(found.user, keep=session)
        self.memory.changed()
        data = {"kind": kind, "name": name}
        await self.record(found.user, "factor.add", found.user, "done", data, tenant=self._tenant_of(found.user))
        return codes

    async def _removed(self, user: str, kind: str, name: str = "") -> None:
        if not self._has_factor(user):
            await self._factors.set_recovery(user, ())
        self.memory.changed()
        await self.record(
            user, "factor.remove", user, "done", {"kind": kind, "name": name}, tenant=self._tenant_of(user)
        )

    async def _make_codes(self, user: str) -> Sequence[str]:
        codes = new_codes()
        await self._factors.set_recovery(user, [code_fingerprint(user, code) for code in codes])
        return codes


def info_of(key: Passkey) -> PasskeyInfo:
    return PasskeyInfo(
        key.id, key.name, key.host, key.created_ns, key.last_used_ns, key.backed_up, key.blocked_ns is not None
    )
