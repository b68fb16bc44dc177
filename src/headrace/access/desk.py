"""People and programs prove who they are here, and every other room asks here what they may do.

sign_in ─► throttle (user, peer) ─► Argon2id in a thread ─► second factor? ─► session secret ─► cookie
by_session, by_token ─► memory ─► Principal ─► check(principal, action, path) ─► yes, or AccessError
users and tokens ─► administrators only, each change durable and in the audit trail
tenants, own roles, policy ─► tenancy.py        what partners see ─► partners.py
second factors ─► proofs.py, entering.py, enrolment.py        those of others ─► officers.py
providers of identities ─► outside.py

All accounts are in memory, so a request costs microseconds and a change counts from the next request on. One
process owns the tables. A password that somebody else chose makes a `newcomer`, who may only change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Engine

from headrace.access.audit import AuditTrail
from headrace.access.keys import KeySettings
from headrace.access.officers import Officers
from headrace.access.oidc import Providers
from headrace.access.outside import Outside
from headrace.access.partners import Partners
from headrace.access.passwords import Hasher, check_strength, one_time_password
from headrace.access.roles import ENROLLING, NEWCOMER, check_apart, check_giving, check_role
from headrace.access.room import check_name, lookup, plain_name
from headrace.access.store import Account, Session
from headrace.model.errors import AccessError, Conflict, DataError, LimitReached, NotFound
from headrace.model.points import check_path
from headrace.sdk.access import DEFAULT_TENANT, Action, Principal
from headrace.sdk.accounts import Part, Token, User
from headrace.sdk.clock import Clock
from headrace.sdk.entry import Seen
from headrace.sdk.seal import Sealer

FIRST_USER: Final = "admin"
FIRST_ROLE: Final = "owner"
PARTS_MAX: Final = 200


class AccessDesk(Outside, Officers, Partners):
    """Implements `sdk.services.AccessDesk`, `sdk.access.Authorizer` and `sdk.access.AuditLog`."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        trail: AuditTrail | None = None,
        hasher: Hasher | None = None,
        keys: KeySettings | None = None,
        sealer: Sealer | None = None,
        providers: Providers | None = None,
    ) -> None:
        super().__init__(engine, clock, trail, hasher, keys, sealer, providers)

    async def bootstrap(self) -> tuple[str, str] | None:
        await self._load()
        async with self._changing:
            if self.memory.accounts:
                return None
            password = await self._add_account(User(FIRST_USER, FIRST_ROLE))
        await self.record("local", "user.create", FIRST_USER, "done", {"role": FIRST_ROLE, "first": True})
        return FIRST_USER, password

    # --- proving who one is -------------------------------------------------------------------------------------

    async def sign_in(self, user: str, password: str, *, peer: str, seen: Seen | None = None) -> tuple[str, User]:
        await self._load()
        name = lookup(user)
        account = await self._refresh(await self._prove(name, password, peer), password)
        return await self._enter(account, "password", seen or Seen(peer)), account.user

    async def sign_out(self, session: str) -> None:
        await self._load()
        user = await self._keys.end_session(session)
        if user is not None:
            account = self.memory.accounts.get(user)
            tenant = DEFAULT_TENANT if account is None else account.user.tenant
            await self.record(user, "sign-out", user, "done", tenant=tenant)

    async def by_session(self, session: str, *, quiet: bool = False) -> Principal:
        """The role is the user's of this moment; `newcomer` while a one-time password must be changed, `enrolling`
        while a second factor is missing. `quiet`: this look is no use of the session by a person."""
        if not self._loaded:
            await self._load()
        return self._session_principal(await self._keys.use_session(session, quiet=quiet))

    async def by_session_id(self, id: str) -> Principal:
        """As `by_session`, and always quiet: for what was let in with a session; its secret may have changed since."""
        if not self._loaded:
            await self._load()
        return self._session_principal(await self._keys.use_named(id))

    def _session_principal(self, session: Session) -> Principal:
        user = self._live_account(session.user).user
        if user.must_change_password:
            return Principal(user.name, NEWCOMER, "session", user.tenant, f"user:{user.name}")
        if self._must_enrol(user, session):
            return Principal(user.name, ENROLLING, "session", user.tenant)  # no account behind it: it may do nothing
        return Principal(user.name, user.role, "session", user.tenant, f"user:{user.name}")

    async def by_token(self, token: str) -> Principal:
        if not self._loaded:
            await self._load()
        return self._token_principal(await self._keys.token_of(token))

    def by_known_token(self, token: str) -> Principal:
        """As `by_token`, for those who cannot wait: from memory. Raises: AccessError(authenticated=False)."""
        if not self._loaded:
            raise AccessError("the platform is starting; try again", authenticated=False)
        return self._token_principal(self._keys.known_token(token))

    def _token_principal(self, known: Token) -> Principal:
        if self._closed(known.tenant):
            raise AccessError("the token is not known here, or was withdrawn", authenticated=False)
        return Principal(f"token:{known.name}", known.role, "token", known.tenant, f"token:{known.id}")

    async def change_password(self, user: str, old: str, new: str, *, session: str | None = None) -> None:
        """Ends every session of the user but `session`. Raises: AccessError, DataError, LimitReached."""
        await self._load()
        name = lookup(user)
        account = await self._prove(name, old, None)
        if new == old:
            raise DataError("the new password is the old one")
        check_strength(new, name)
        hashed = await self._hasher.hash(new)
        async with self._changing:
            if self.memory.accounts.get(name) is not account:
                raise Conflict("the user was changed meanwhile; try again")
            changed = replace(account, user=replace(account.user, must_change_password=False), password_hash=hashed)
            await self._set_account(changed)
            await self._keys.end_sessions(name, keep=session)
        await self.record(name, "password.change", name, "done", tenant=account.user.tenant)

    # --- users --------------------------------------------------------------------------------------------------

    async def users(self, tenant: str = DEFAULT_TENANT) -> Sequence[User]:
        await self._load()
        accounts = self.memory.accounts
        return [accounts[name].user for name in sorted(accounts) if accounts[name].user.tenant == tenant]

    async def user(self, name: str, *, tenant: str | None = None) -> User:
        await self._load()
        return self._account(name, tenant).user

    async def create_user(
        self, actor: Principal, name: str, role: str, *, parts: Sequence[Part] = ()
    ) -> tuple[User, str]:
        await self._load()
        self.check(actor, Action.ADMINISTER, "")
        key = check_name(name, actor.tenant)
        async with self._changing:
            if key in self.memory.accounts:
                raise Conflict(f"there is a user '{key}' already")
            if actor.tenant == DEFAULT_TENANT and key.partition(".")[0] in self.memory.known and "." in key:
                raise DataError(f"'{key}' would look like one of the tenant '{key.partition('.')[0]}'")
            user = User(key, role, tenant=actor.tenant, parts=self._checked(parts, actor))
            self._may_give(actor, user)
            password = await self._add_account(user)
        await self.record(actor.name, "user.create", key, "done", _told(user), tenant=actor.tenant)
        return self.memory.accounts[key].user, password

    async def update_user(
        self,
        actor: Principal,
        name: str,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        parts: Sequence[Part] | None = None,
    ) -> User:
        await self._load()
        self.check(actor, Action.ADMINISTER, "")
        async with self._changing:
            account = self._account(name, actor.tenant)
            user = account.user
            changed = replace(
                user,
                role=user.role if role is None else role,
                disabled=user.disabled if disabled is None else disabled,
                parts=user.parts if parts is None else self._checked(parts, actor),
            )
            if (changed.role, changed.parts) != (user.role, user.parts):
                self._may_give(actor, changed)
            if changed.disabled or Action.ADMINISTER not in self.memory.actions(user.tenant, changed.role):
                self._keep_one_administrator(user)
            if changed != user:
                await self._set_account(replace(account, user=changed))
            if changed.disabled:
                await self._keys.end_sessions(user.name)
        if changed != user:
            await self.record(actor.name, "user.change", user.name, "done", _told(changed), tenant=actor.tenant)
        return changed

    async def reset_password(self, actor: Principal, name: str) -> str:
        """A new one-time password for somebody who lost theirs; ends their sessions. Raises: NotFound, AccessError."""
        await self._load()
        self.check(actor, Action.ADMINISTER, "")
        password = one_time_password()
        hashed = await self._hasher.hash(password)
        async with self._changing:
            account = self._account(name, actor.tenant)
            user = replace(account.user, must_change_password=True)
            await self._set_account(Account(user, hashed))
            await self._keys.end_sessions(user.name)
        self._by_user.forgive(user.name)
        await self.record(actor.name, "password.reset", user.name, "done", tenant=actor.tenant)
        return password

    async def delete_user(self, actor: Principal, name: str) -> None:
        await self._load()
        self.check(actor, Action.ADMINISTER, "")
        async with self._changing:
            user = self._account(name, actor.tenant).user
            self._keep_one_administrator(user)
            await self._store.delete_account(user.name)
            del self.memory.accounts[user.name]
            self.memory.changed()
            self._keys.forget_sessions(user.name)
            self._factors.forget(user.name)
        await self.record(actor.name, "user.delete", user.name, "done", tenant=actor.tenant)

    # --- tokens -------------------------------------------------------------------------------------------------

    async def tokens(self, tenant: str = DEFAULT_TENANT) -> Sequence[Token]:
        await self._load()
        return [one for one in self._keys.tokens() if one.tenant == tenant]

    async def create_token(
        self,
        actor: Principal,
        name: str,
        role: str,
        expires_ns: int | None = None,
        *,
        paths: Sequence[str] = (),
        actions: Sequence[Action] = (),
    ) -> tuple[Token, str]:
        await self._load()
        self.check(actor, Action.ADMINISTER, "")
        if not plain_name(name):
            raise DataError(f"'{name[:80]}' is no token name: a letter or digit, then at most 63 of these or . - _ @")
        if expires_ns is not None and expires_ns <= self._clock.now_ns():
            raise DataError("the token would have expired already")
        parts = self._checked([Part(role, path) for path in paths] or [Part(role)], actor)
        self._may_give(actor, User(f"token:{name}", role, tenant=actor.tenant, parts=parts))
        token, secret = await self._keys.add_token(
            name, role, actor.name, expires_ns, tenant=actor.tenant,
            paths=tuple(part.path for part in parts if part.path), actions=tuple(sorted(set(actions))),
        )  # fmt: skip
        data = {"name": name, "role": role, "paths": token.paths, "actions": token.actions}
        await self.record(actor.name, "token.create", token.id, "done", data, tenant=actor.tenant)
        return token, secret

    async def delete_token(self, actor: Principal, id: str) -> None:
        await self._load()
        self.check(actor, Action.ADMINISTER, "")
        known = self._keys.token(id, expired=True)
        if known is None or known.tenant != actor.tenant:
            raise NotFound("there is no such token")
        await self._keys.delete_token(id)
        self.memory.changed()
        await self.record(actor.name, "token.delete", id, "done", {"name": known.name}, tenant=actor.tenant)

    # --- within -------------------------------------------------------------------------------------------------

    async def _prove(self, name: str, password: str, peer: str | None, *, counted: str | None = None) -> Account:
        """The account, if the password is right; the same work, words and time for names that do not exist. Tries are
        counted against the name, or against what `counted` says."""
        key = counted or name
        self._by_user.check(key)
        if peer is not None:
            self._by_peer.check(peer)
        locks = self._by_user.begin(key)
        if peer is not None:
            locks = self._by_peer.begin(peer) or locks
        account = self.memory.accounts.get(name)
        try:
            known = None if account is None else account.password_hash or None  # none where a provider opens it
            right = await self._hasher.verify(known, password)
        except LimitReached:  # not even looked at
            self._by_user.take_back(key)
            if peer is not None:
                self._by_peer.take_back(peer)
            raise
        closed = account is None or account.user.disabled or self._closed(account.user.tenant)
        if account is None or not right or closed or self.memory.accounts.get(name) is not account:
            outcome = "locked" if locks else "refused"
            action = "password.change" if peer is None else "sign-in"
            tenant = DEFAULT_TENANT if account is None else account.user.tenant
            await self.record(name[:64], action, name[:64], outcome, {"peer": peer}, tenant=tenant)
            raise AccessError("wrong user name or password", authenticated=False)
        self._by_user.forgive(key)
        if peer is not None:
            self._by_peer.take_back(peer)
        return account

    async def _refresh(self, account: Account, password: str) -> Account:
        """Hash again where today's costs are other than those of the stored hash."""
        if not self._hasher.outdated(account.password_hash):
            return account
        renewed = replace(account, password_hash=await self._hasher.hash(password))
        async with self._changing:
            if self.memory.accounts.get(account.user.name) is not account:
                raise AccessError("wrong user name or password", authenticated=False)
            await self._set_account(renewed)
        return renewed

    async def _add_account(self, user: User) -> str:
        password = one_time_password()
        fresh = replace(user, must_change_password=True, created_ns=self._clock.now_ns())
        account = Account(fresh, await self._hasher.hash(password))
        await self._store.add_account(account)
        self.memory.accounts[user.name] = account
        self.memory.changed()
        return password

    async def _set_account(self, account: Account) -> None:
        await self._store.set_account(account)
        self.memory.accounts[account.user.name] = account
        self.memory.changed()

    def _checked(self, parts: Sequence[Part], actor: Principal) -> tuple[Part, ...]:
        """As they are kept. Raises: DataError for roles, paths and ends that cannot be."""
        if len(parts) > PARTS_MAX:
            raise DataError(f"at most {PARTS_MAX} roles beside the first")
        kept: dict[tuple[str, str], Part] = {}
        for part in parts:
            path = check_path(part.path) if part.path else ""
            if path and not self.memory.land(actor.tenant).covers(path):
                raise DataError(f"'{path}' is not below what '{actor.tenant}' owns")
            if part.expires_ns is not None and part.expires_ns <= self._clock.now_ns():
                raise DataError(f"the role '{part.role}' would have ended already")
            kept[part.role, path] = replace(part, path=path)
        return tuple(kept.values())

    def _may_give(self, actor: Principal, user: User) -> None:
        """Raises: DataError, AccessError, Conflict where these roles may not be given, or not together."""
        own = self.memory.role_actions(actor.tenant)
        for role in (user.role, *(part.role for part in user.parts)):
            check_role(role, own)
        actions = self._actions_of(user)
        check_giving(actor, self.rights(actor).whole, actions)
        if self.memory.tenant(actor.tenant).policy.separate_duties:
            if f"user:{user.name}" == actor.subject:
                raise Conflict("nobody changes their own roles here; ask another administrator")
            check_apart(user.name, actions)

    def _keep_one_administrator(self, leaving: User) -> None:
        def administers(user: User) -> bool:
            return not user.disabled and Action.ADMINISTER in self.memory.actions(user.tenant, user.role)

        if not administers(leaving):
            return
        users = (account.user for account in self.memory.accounts.values())
        if not any(administers(one) for one in users if one.tenant == leaving.tenant and one.name != leaving.name):
            raise Conflict(f"'{leaving.name}' is the last administrator; make another one first")


def _told(user: User) -> dict[str, Any]:
    parts = [{"role": part.role, "path": part.path, "expires_ns": part.expires_ns} for part in user.parts]
    return {"role": user.role, "parts": parts, "disabled": user.disabled}
