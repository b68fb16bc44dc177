"""Is this code, or this answer of a passkey, good? What the ways in and the care of factors both ask.

code     ─► throttle (user) ─► TOTP step, later than the last ─► or a recovery code, spent
passkey  ─► challenge taken ─► key of this user, not blocked ─► signature ─► counter grew? : blocked, told

Source: IEC 62443-3-3 SR 1.1 RE 2, SR 1.5, SR 1.11; RFC 6238 §5.2; W3C WebAuthn §7.2 step 22 (counter).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Engine

from headrace.access.audit import AuditTrail
from headrace.access.factor_store import FactorStore
from headrace.access.keys import KeySettings
from headrace.access.oidc import Providers
from headrace.access.once import Once
from headrace.access.passkeys import Cloned, Passkey, answer_handle, answer_id, checked_count, request_options
from headrace.access.passwords import Hasher
from headrace.access.recovery import code_fingerprint, looks_like_one
from headrace.access.room import AccessRoom
from headrace.access.store import Account, Session
from headrace.access.totp import accepted_step
from headrace.model.errors import AccessError, DataError, Unavailable
from headrace.sdk.access import Action
from headrace.sdk.accounts import User
from headrace.sdk.clock import Clock
from headrace.sdk.entry import Factor, Json, Proof, Seen
from headrace.sdk.seal import Sealer
from headrace.sdk.throttle import Throttle, ThrottleLimits

WAIT_S: Final = 300.0
USER_LIMITS: Final = ThrottleLimits(free=3, locked_after=10)
#: Behind one address there may be a whole shift.
PEER_LIMITS: Final = ThrottleLimits(free=20, locked_after=50)
#: Of codes alone, and forgiven by a whole sign-in alone: whoever has the password cannot begin anew with it.
CODE_LIMITS: Final = ThrottleLimits(free=5, locked_after=10)
#: Whoever may do one of these is an administrator to a policy of second factors.
WEIGHTY: Final = frozenset({Action.ADMINISTER, Action.SECURE, Action.AUDIT, Action.OPERATE, Action.APPROVE})


@dataclass(slots=True)
class Waiting:
    """A right first proof. `password_hash` binds it to the account as it was."""

    user: str
    password_hash: str
    proved: str
    tries: int = 0
    challenge: bytes | None = None


class Proofs(AccessRoom):
    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        trail: AuditTrail | None,
        hasher: Hasher | None,
        keys: KeySettings | None,
        sealer: Sealer | None,
        providers: Providers | None,
    ) -> None:
        super().__init__(engine, clock, trail, hasher, keys)
        self._factors = FactorStore(engine)
        self._sealer = sealer
        self._outside = providers or Providers((), clock)
        self._by_user = Throttle(USER_LIMITS, clock)
        self._by_peer = Throttle(PEER_LIMITS, clock)
        self._by_code = Throttle(CODE_LIMITS, clock)
        self._waiting: Once[Waiting] = Once(clock, WAIT_S)
        self._challenges: Once[bytes] = Once(clock, WAIT_S)
        self._strangers: Once[bytes] = Once(clock, WAIT_S)  # apart: a flood at the door costs nobody inside their own
        self._offers: Once[str] = Once(clock, 2 * WAIT_S)
        self._keys.limits_of = self._limits_of
        self._key_settings = keys or KeySettings()

    # --- what is asked of whom ----------------------------------------------------------------------------------

    def _live_account(self, user: str) -> Account:
        """Raises: AccessError(authenticated=False)."""
        account = self.memory.accounts.get(user)
        if account is None or account.user.disabled or self._closed(account.user.tenant):
            raise AccessError("sign in first", authenticated=False)
        return account

    def _has_factor(self, user: str) -> bool:
        return user in self._factors.totp or any(key.blocked_ns is None for key in self._factors.keys_of(user))

    def _factor_needed(self, user: User) -> bool:
        """Whether the tenant asks for a second factor of this account."""
        policy = self.memory.tenant(user.tenant).policy.second_factor
        if policy == "everyone":
            return True
        return policy == "administrators" and self._relied_on(user)

    def _relied_on(self, user: User) -> bool:
        """Whether a policy of `administrators` means this account."""
        roles = (user.role, *(part.role for part in user.parts))
        return any(WEIGHTY & self.memory.actions(user.tenant, role) for role in roles)

    def _must_enrol(self, user: User, session: Session) -> bool:
        """Not where a provider has asked for two factors itself."""
        return (
            not session.proved.endswith("+provider") and self._factor_needed(user) and not self._has_factor(user.name)
        )

    def _limits_of(self, name: str) -> KeySettings:
        """What the tenant's policy says of sessions; what it does not say is ours."""
        account = self.memory.accounts.get(name)
        if account is None:
            return self._key_settings
        policy, settings = self.memory.tenant(account.user.tenant).policy, self._key_settings
        if policy.session_idle_s is None and policy.session_life_s is None and policy.sessions_max is None:
            return settings
        second = 1_000_000_000
        return replace(
            settings,
            session_idle_ns=settings.session_idle_ns
            if policy.session_idle_s is None
            else policy.session_idle_s * second,
            session_life_ns=settings.session_life_ns
            if policy.session_life_s is None
            else policy.session_life_s * second,
            sessions_per_user=policy.sessions_max or settings.sessions_per_user,
        )

    # --- looking at proofs --------------------------------------------------------------------------------------

    def _kinds(self, user: str, seen: Seen) -> tuple[Factor, ...]:
        kinds = []
        if any(key.blocked_ns is None for key in self._factors.keys_of(user, seen.host)):
            kinds.append(Factor.PASSKEY)
        if user in self._factors.totp:
            kinds.append(Factor.TOTP)
        if self._factors.recovery.get(user):
            kinds.append(Factor.RECOVERY)
        return tuple(kinds)

    async def _check_code(self, user: str, code: str) -> Factor:
        """Raises: AccessError(authenticated=False), LimitReached, Unavailable."""
        self._by_code.check(user)
        locks = self._by_code.begin(user)
        kind = await self._kind_of(user, code)
        if kind is not None:
            return kind
        if locks:
            await self.record(user, "second-factor", user, "locked", tenant=self._tenant_of(user))
        raise AccessError("this code is not right, or was used already", authenticated=False)

    async def _kind_of(self, user: str, code: str) -> Factor | None:
        known = self._factors.totp.get(user)
        if known is not None and not looks_like_one(code):
            step = accepted_step(self._open_totp(user, known.sealed), code, self._clock.now_ns(), known.last_step)
            if step is not None:
                await self._factors.spend_step(user, step)
                return Factor.TOTP
        if looks_like_one(code) and await self._factors.spend_recovery(user, code_fingerprint(user, code)):
            left = len(self._factors.recovery.get(user, ()))
            await self.record(user, "recovery.use", user, "done", {"left": left}, tenant=self._tenant_of(user))
            return Factor.RECOVERY
        return None

    async def _check_passkey(
        self, user: str | None, challenge: bytes | None, answer: Json, seen: Seen, *, person: bool
    ) -> Passkey:
        """The key that answered, its use noted; `user` None: whosever it is. Each challenge is to be given once.

        Raises: AccessError(authenticated=False), DataError, Unavailable.
        """
        key = self._factors.passkeys.get(answer_id(answer))
        strange = key is None or key.host != seen.host or (user is not None and key.user != user)
        if key is None or strange or challenge is None:
            raise AccessError("the passkey was not accepted", authenticated=False)
        if user is None and answer_handle(answer) != key.handle:
            raise AccessError("the passkey was not accepted", authenticated=False)
        if key.blocked_ns is not None:
            raise AccessError(f"the passkey '{key.name}' is blocked; sign in another way", authenticated=False)
        now_ns = self._clock.now_ns()
        try:
            count = checked_count(answer, challenge, key, seen, person=person)
        except Cloned:
            await self._factors.change_passkey(replace(key, blocked_ns=now_ns))
            self.memory.changed()
            data = {"passkey": key.name, "peer": seen.peer}
            await self.record(key.user, "passkey.cloned", key.user, "blocked", data, tenant=self._tenant_of(key.user))
            raise
        used = replace(key, count=count, last_used_ns=now_ns)
        await self._factors.change_passkey(used)
        return used

    def _passkey_question(self, key: str, user: str, seen: Seen) -> Json | None:
        """Options for one of the user's keys, whose challenge is kept under `key`; None where there is none here."""
        own = [one for one in self._factors.keys_of(user, seen.host) if one.blocked_ns is None]
        if not own:
            return None
        challenge = secrets.token_bytes(32)
        self._challenges.put(key, challenge)
        return request_options(challenge, own, seen)

    async def _check_second(self, user: str, challenge: bytes | None, proof: Proof, seen: Seen) -> Factor:
        if proof.passkey is not None:
            await self._check_passkey(user, challenge, proof.passkey, seen, person=False)
            return Factor.PASSKEY
        if proof.code is not None:
            return await self._check_code(user, proof.code)
        raise DataError("give a code, or the answer of a passkey")

    def _open_totp(self, user: str, sealed: bytes) -> str:
        """Raises: Unavailable."""
        if self._sealer is None:
            raise Unavailable("codes cannot be checked now: the platform has no key to open its secrets with")
        try:
            return self._sealer.open(sealed, f"totp:{user}").decode()
        except DataError as error:
            raise Unavailable(
                "codes cannot be checked: the secret does not open; use a recovery code, or let somebody reset it",
                detail=str(error),
            ) from None

    def _tenant_of(self, user: str) -> str:
        account = self.memory.accounts.get(user)
        return "default" if account is None else account.user.tenant

    async def _load_once(self) -> None:
        if not self._loaded:
            await self._factors.load()
        await super()._load_once()


TRIES_MAX: Final = 5
