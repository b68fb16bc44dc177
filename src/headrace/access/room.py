"""What the parts of the access desk share: the accounts in memory, the tables behind them, and the trail."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from headrace.access.audit import AuditTrail
from headrace.access.keys import KeyRing, KeySettings
from headrace.access.memory import NO_RIGHTS, AccessMemory
from headrace.access.notice import Notice
from headrace.access.passwords import Hasher
from headrace.access.roles import refusal
from headrace.access.store import AccessStore, Account
from headrace.model.errors import DataError, NotFound
from headrace.sdk.access import DEFAULT_TENANT, Action, Principal, Rights, Tenants
from headrace.sdk.clock import Clock

_NAME: Final = re.compile(r"[^\W_][\w.\-@]{0,63}")


class AccessRoom:
    def __init__(
        self, engine: Engine, clock: Clock, trail: AuditTrail | None, hasher: Hasher | None, keys: KeySettings | None
    ) -> None:
        self.trail = trail or AuditTrail(engine, clock)
        self.notice = Notice()
        self.memory = AccessMemory(clock, self.notice.tell)
        self._clock = clock
        self._store = AccessStore(engine)
        self._keys = KeyRing(self._store, clock, keys or KeySettings())
        self._keys.notice = self.notice
        self._hasher = hasher or Hasher()
        self._loaded = False
        self._changing = asyncio.Lock()

    @property
    def version(self) -> int:
        """Grows with every change of what somebody may do."""
        return self.memory.version

    @property
    def tenancy(self) -> Tenants:
        """Whose a path is."""
        return self.memory

    async def changed(self, since: int | None = None) -> int:
        """Wait until rights changed or a session ended; without `since` at once. Returns the next `since`."""
        return self.notice.version if since is None else await self.notice.after(since)

    def check(self, principal: Principal, action: Action, path: str) -> None:
        """Raises: AccessError that names the right and the path; '' asks for the tenant as a whole."""
        rights = self.rights(principal)
        if rights.area(action).covers(path) if path else action in rights.whole:
            return
        raise refusal(principal, action, path)

    def rights(self, principal: Principal) -> Rights:
        """What it may do now, and where."""
        kind, _, key = principal.subject.partition(":")
        if kind == "user":
            account = self.memory.accounts.get(key)
            return NO_RIGHTS if account is None or account.user.disabled else self.memory.of_account(account)
        if kind == "token":
            token = self._keys.token(key)
            return NO_RIGHTS if token is None else self.memory.of_token(token)
        return self.memory.of_role(principal.tenant, principal.role)

    async def record(
        self,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        data: Mapping[str, Any] | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        await self.trail.record(actor, action, subject, outcome, data, tenant=tenant)

    def _closed(self, tenant: str) -> bool:
        known = self.memory.known.get(tenant)
        return tenant != DEFAULT_TENANT and (known is None or known.disabled)

    async def _load(self) -> None:
        if not self._loaded:
            async with self._changing:
                await self._load_once()

    async def _load_once(self) -> None:
        if self._loaded:  # by another task, while this one waited
            return
        loaded = await self._store.load()
        self.memory.load(loaded)
        self._keys.load(loaded.sessions, loaded.tokens)
        self._loaded = True

    def _account(self, name: str, tenant: str | None = None) -> Account:
        """Raises: NotFound, for another tenant's as for one that never was."""
        account = self.memory.accounts.get(lookup(name))
        if account is None or (tenant is not None and account.user.tenant != tenant):
            raise NotFound(f"there is no user '{name[:80]}'")
        return account


def lookup(name: str) -> str:
    """As names are stored: NFKC and without case, so that `Wang` and `wang` are one person."""
    return unicodedata.normalize("NFKC", name).casefold().strip()[:128]


def check_name(name: str, tenant: str, what: str = "user") -> str:
    """As it is stored. Raises: DataError for what is no name, or not one of the tenant's."""
    key = lookup(name)
    if not _NAME.fullmatch(key):
        raise DataError(f"'{name[:80]}' is no {what} name: a letter or digit, then at most 63 of these or . - _ @")
    if tenant != DEFAULT_TENANT and not key.startswith(f"{tenant}."):
        raise DataError(f"names of a tenant's users begin with its own; write '{tenant}.{key[:40]}'")
    return key


def plain_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None
