"""People and programs prove who they are here, and every other room asks here what they may do.

sign_in ─► throttle (user, peer) ─► Argon2id in a thread ─► session secret ─► cookie
by_session, by_token ─► memory ─► Principal ─► check(principal, action, path) ─► yes, or AccessError
users and tokens ─► administrators only, each change durable and in the audit trail

All accounts are in memory, so a request costs microseconds and a change counts from the next request on. One
process owns the tables. A password that somebody else chose makes a `newcomer`, who may only change it.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Engine

from headrace.access.audit import AuditTrail
from headrace.access.keys import KeyRing, KeySettings
from headrace.access.passwords import Hasher, check_strength, one_time_password
from headrace.access.roles import NEWCOMER, check_right, check_role, exceeds
from headrace.access.store import AccessStore, Account
from headrace.model.errors import AccessError, Conflict, DataError, LimitReached, NotFound
from headrace.sdk.access import Action, AuditEntry, Principal
from headrace.sdk.clock import Clock
from headrace.sdk.services import Token, User
from headrace.sdk.throttle import Throttle, ThrottleLimits

FIRST_USER: Final = "admin"
USER_LIMITS: Final = ThrottleLimits(free=3, locked_after=10)
#: Behind one address there may be a whole shift.
PEER_LIMITS: Final = ThrottleLimits(free=20, locked_after=50)
_NAME: Final = re.compile(r"[^\W_][\w.\-@]{0,63}")


class AccessDesk:
    """Implements `sdk.services.AccessDesk`, `sdk.access.Authorizer` and `sdk.access.AuditLog`."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        trail: AuditTrail | None = None,
        hasher: Hasher | None = None,
        keys: KeySettings | None = None,
    ) -> None:
        self.trail = trail or AuditTrail(engine, clock)
        self._clock = clock
        self._store = AccessStore(engine)
        self._keys = KeyRing(self._store, clock, keys or KeySettings())
        self._hasher = hasher or Hasher()
        self._by_user = Throttle(USER_LIMITS, clock)
        self._by_peer = Throttle(PEER_LIMITS, clock)
        self._accounts: dict[str, Account] = {}
        self._loaded = False
        self._changing = asyncio.Lock()

    async def bootstrap(self) -> tuple[str, str] | None:
        await self._load()
        async with self._changing:
            if self._accounts:
                return None
            password = await self._add_account(FIRST_USER, "administrator")
        await self.record("local", "user.create", FIRST_USER, "done", {"role": "administrator", "first": True})
        return FIRST_USER, password

    # --- proving who one is -------------------------------------------------------------------------------------

    async def sign_in(self, user: str, password: str, *, peer: str) -> tuple[str, User]:
        await self._load()
        name = _lookup(user)
        account = await self._refresh(await self._prove(name, password, peer), password)
        secret = await self._keys.open_session(name)
        await self.record(name, "sign-in", name, "done", {"peer": peer})
        return secret, account.user

    async def sign_out(self, session: str) -> None:
        await self._load()
        user = await self._keys.end_session(session)
        if user is not None:
            await self.record(user, "sign-out", user, "done")

    async def by_session(self, session: str) -> Principal:
        """The role is the user's of this moment; `newcomer` while a one-time password must be changed."""
        if not self._loaded:
            await self._load()
        name = await self._keys.session_user(session)
        account = self._accounts.get(name)
        if account is None or account.user.disabled:
            raise AccessError("sign in first", authenticated=False)
        role = NEWCOMER if account.user.must_change_password else account.user.role
        return Principal(name, role, "session")

    async def by_token(self, token: str) -> Principal:
        if not self._loaded:
            await self._load()
        known = await self._keys.token_of(token)
        return Principal(f"token:{known.name}", known.role, "token")

    def by_known_token(self, token: str) -> Principal:
        """As `by_token`, for those who cannot wait: from memory. Raises: AccessError(authenticated=False)."""
        if not self._loaded:
            raise AccessError("the platform is starting; try again", authenticated=False)
        known = self._keys.known_token(token)
        return Principal(f"token:{known.name}", known.role, "token")

    async def change_password(self, user: str, old: str, new: str, *, session: str | None = None) -> None:
        """Ends every session of the user but `session`. Raises: AccessError, DataError, LimitReached."""
        await self._load()
        name = _lookup(user)
        account = await self._prove(name, old, None)
        if new == old:
            raise DataError("the new password is the old one")
        check_strength(new, name)
        hashed = await self._hasher.hash(new)
        async with self._changing:
            if self._accounts.get(name) is not account:
                raise Conflict("the user was changed meanwhile; try again")
            changed = replace(account, user=replace(account.user, must_change_password=False), password_hash=hashed)
            await self._set_account(changed)
            await self._keys.end_sessions(name, keep=session)
        await self.record(name, "password.change", name, "done")

    # --- users --------------------------------------------------------------------------------------------------

    async def users(self) -> Sequence[User]:
        await self._load()
        return [self._accounts[name].user for name in sorted(self._accounts)]

    async def user(self, name: str) -> User:
        await self._load()
        return self._account(name).user

    async def create_user(self, actor: Principal, name: str, role: str) -> tuple[User, str]:
        await self._load()
        self.check(actor, Action.ADMINISTER, "users")
        check_role(role)
        key = _lookup(name)
        if not _NAME.fullmatch(key):
            raise DataError(f"'{name[:80]}' is no user name: a letter or digit, then at most 63 of these or . - _ @")
        async with self._changing:
            if key in self._accounts:
                raise Conflict(f"there is a user '{key}' already")
            password = await self._add_account(key, role)
        await self.record(actor.name, "user.create", key, "done", {"role": role})
        return self._accounts[key].user, password

    async def update_user(
        self, actor: Principal, name: str, *, role: str | None = None, disabled: bool | None = None
    ) -> User:
        await self._load()
        self.check(actor, Action.ADMINISTER, "users")
        if role is not None:
            check_role(role)
        async with self._changing:
            account = self._account(name)
            user = account.user
            changed = replace(
                user,
                role=user.role if role is None else role,
                disabled=user.disabled if disabled is None else disabled,
            )
            if changed.disabled or changed.role != "administrator":
                self._keep_one_administrator(user)
            if changed != user:
                await self._set_account(replace(account, user=changed))
            if changed.disabled:
                await self._keys.end_sessions(user.name)
        if changed != user:
            data = {"role": changed.role, "disabled": changed.disabled}
            await self.record(actor.name, "user.change", user.name, "done", data)
        return changed

    async def reset_password(self, actor: Principal, name: str) -> str:
        """A new one-time password for somebody who lost theirs; ends their sessions. Raises: NotFound, AccessError."""
        await self._load()
        self.check(actor, Action.ADMINISTER, "users")
        password = one_time_password()
        hashed = await self._hasher.hash(password)
        async with self._changing:
            account = self._account(name)
            user = replace(account.user, must_change_password=True)
            await self._set_account(Account(user, hashed))
            await self._keys.end_sessions(user.name)
        self._by_user.forgive(user.name)
        await self.record(actor.name, "password.reset", user.name, "done")
        return password

    async def delete_user(self, actor: Principal, name: str) -> None:
        await self._load()
        self.check(actor, Action.ADMINISTER, "users")
        async with self._changing:
            user = self._account(name).user
            self._keep_one_administrator(user)
            await self._store.delete_account(user.name)
            del self._accounts[user.name]
            self._keys.forget_sessions(user.name)
        await self.record(actor.name, "user.delete", user.name, "done")

    # --- tokens -------------------------------------------------------------------------------------------------

    async def tokens(self) -> Sequence[Token]:
        await self._load()
        return self._keys.tokens()

    async def create_token(
        self, actor: Principal, name: str, role: str, expires_ns: int | None = None
    ) -> tuple[Token, str]:
        await self._load()
        self.check(actor, Action.ADMINISTER, "tokens")
        check_role(role)
        if exceeds(role, actor.role):
            raise AccessError(f"a token may not do more than you; your role is {actor.role}")
        if not _NAME.fullmatch(name):
            raise DataError(f"'{name[:80]}' is no token name: a letter or digit, then at most 63 of these or . - _ @")
        if expires_ns is not None and expires_ns <= self._clock.now_ns():
            raise DataError("the token would have expired already")
        token, secret = await self._keys.add_token(name, role, actor.name, expires_ns)
        await self.record(actor.name, "token.create", token.id, "done", {"name": name, "role": role})
        return token, secret

    async def delete_token(self, actor: Principal, id: str) -> None:
        await self._load()
        self.check(actor, Action.ADMINISTER, "tokens")
        token = await self._keys.delete_token(id)
        if token is None:
            raise NotFound("there is no such token")
        await self.record(actor.name, "token.delete", id, "done", {"name": token.name})

    # --- rights and audit ---------------------------------------------------------------------------------------

    def check(self, principal: Principal, action: Action, path: str) -> None:
        check_right(principal, action, path)

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None
    ) -> None:
        await self.trail.record(actor, action, subject, outcome, data)

    async def audit(self, *, limit: int = 200, cursor: str | None = None) -> tuple[Sequence[AuditEntry], str | None]:
        return await self.trail.page(limit=limit, cursor=cursor)

    # --- within -------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        if not self._loaded:
            async with self._changing:
                await self._load_once()

    async def _load_once(self) -> None:
        if self._loaded:  # by another task, while this one waited
            return
        accounts, sessions, grants = await self._store.load()
        self._accounts = {account.user.name: account for account in accounts}
        self._keys.load(sessions, grants)
        self._loaded = True

    async def _prove(self, name: str, password: str, peer: str | None) -> Account:
        """The account, if the password is right; the same work, words and time for names that do not exist."""
        self._by_user.check(name)
        if peer is not None:
            self._by_peer.check(peer)
        locks = self._by_user.begin(name)
        if peer is not None:
            locks = self._by_peer.begin(peer) or locks
        account = self._accounts.get(name)
        try:
            right = await self._hasher.verify(None if account is None else account.password_hash, password)
        except LimitReached:  # not even looked at
            self._by_user.take_back(name)
            if peer is not None:
                self._by_peer.take_back(peer)
            raise
        if account is None or not right or account.user.disabled or self._accounts.get(name) is not account:
            outcome = "locked" if locks else "refused"
            action = "password.change" if peer is None else "sign-in"
            await self.record(name[:64], action, name[:64], outcome, {"peer": peer})
            raise AccessError("wrong user name or password", authenticated=False)
        self._by_user.forgive(name)
        if peer is not None:
            self._by_peer.take_back(peer)
        return account

    async def _refresh(self, account: Account, password: str) -> Account:
        """Hash again where today's costs are other than those of the stored hash."""
        if not self._hasher.outdated(account.password_hash):
            return account
        renewed = replace(account, password_hash=await self._hasher.hash(password))
        async with self._changing:
            if self._accounts.get(account.user.name) is not account:
                raise AccessError("wrong user name or password", authenticated=False)
            await self._set_account(renewed)
        return renewed

    def _account(self, name: str) -> Account:
        account = self._accounts.get(_lookup(name))
        if account is None:
            raise NotFound(f"there is no user '{name[:80]}'")
        return account

    async def _add_account(self, name: str, role: str) -> str:
        password = one_time_password()
        user = User(name, role, must_change_password=True, created_ns=self._clock.now_ns())
        account = Account(user, await self._hasher.hash(password))
        await self._store.add_account(account)
        self._accounts[name] = account
        return password

    async def _set_account(self, account: Account) -> None:
        await self._store.set_account(account)
        self._accounts[account.user.name] = account

    def _keep_one_administrator(self, leaving: User) -> None:
        others = (account.user for account in self._accounts.values() if account.user.name != leaving.name)
        if leaving.role != "administrator" or leaving.disabled:
            return
        if not any(user.role == "administrator" and not user.disabled for user in others):
            raise Conflict(f"'{leaving.name}' is the last administrator; make another one first")


def _lookup(name: str) -> str:
    """As names are stored: NFKC and without case, so that `Wang` and `wang` are one person."""
    return unicodedata.normalize("NFKC", name).casefold().strip()[:128]
