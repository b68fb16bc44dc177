"""Tenants: enterprises on one hub, their first accounts, their policy and the roles that they make themselves.

create_tenant ─► roots that nobody else owns ─► administrator, security officer, auditor with one-time passwords

The platform's own tenant (`default`) makes tenants and closes them; it does not see into them.
Source: IEC 62443-3-3 SR 2.1, SR 5.1 (partitioning); GB/T 22239-2019 8.1.5 (three duties in three hands).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from headrace.access.passwords import one_time_password
from headrace.access.roles import ROLES, check_apart, check_giving
from headrace.access.room import AccessRoom
from headrace.access.sessions import check_policy
from headrace.access.store import Account
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.points import check_path
from headrace.sdk.access import DEFAULT_TENANT, Action, Principal
from headrace.sdk.accounts import OwnRole, Tenant, TenantPolicy, User

#: The platform's own names, as tenants and as roots.
RESERVED: Final = frozenset((DEFAULT_TENANT, "headrace", "system"))
TENANT: Final = re.compile(r"[a-z][a-z0-9\-]{1,31}")
ROOTS_MAX: Final = 100
ROLES_MAX: Final = 100
TENANTS_MAX: Final = 10_000
_FIRST: Final = {"admin": "administrator", "security": "security-officer", "audit": "auditor"}
_ROLE: Final = re.compile(r"[a-z][a-z0-9\-]{1,63}")


InTheWay = Callable[[str, Sequence[str]], Awaitable[Sequence[str]]]
"""What stands where a new tenant (name, roots) would, in words."""


class Tenancy(AccessRoom):
    _in_the_way: InTheWay | None = None
    _tell_changed: Callable[[], Awaitable[None]] | None = None

    def watch_tenants(self, in_the_way: InTheWay, changed: Callable[[], Awaitable[None]]) -> None:
        """Whom to ask before a tenant is taken in, and whom to tell afterwards."""
        self._in_the_way, self._tell_changed = in_the_way, changed

    async def tenants(self) -> Sequence[Tenant]:
        await self._load()
        return [self.memory.tenant(name) for name in self.memory.names()]

    async def tenant(self, name: str) -> Tenant:
        await self._load()
        return self.memory.tenant(name)

    async def create_tenant(
        self, actor: Principal, name: str, title: str, roots: Sequence[str], *, separate_duties: bool = True
    ) -> tuple[Tenant, Mapping[str, str]]:
        await self._load()
        self.check(actor, Action.OPERATE, "")
        if not TENANT.fullmatch(name) or name in RESERVED:
            raise DataError(f"'{name[:80]}' is no tenant name: a small letter, then 1 to 31 of a-z, 0-9 and -")
        owned = self._check_roots(roots)
        if self._in_the_way is not None and (found := await self._in_the_way(name, owned)):
            more = f", and {len(found) - 3} more" if len(found) > 3 else ""
            raise Conflict(f"'{name}' would take what is declared already: {', '.join(found[:3])}{more}")
        first = _FIRST if separate_duties else {"owner": "owner"}
        passwords = {f"{name}.{who}": one_time_password() for who in first}
        now_ns = self._clock.now_ns()
        accounts = [
            Account(
                User(user, role, must_change_password=True, created_ns=now_ns, tenant=name),
                await self._hasher.hash(passwords[user]),
            )
            for user, role in zip(passwords, first.values(), strict=True)
        ]
        tenant = Tenant(name, title.strip()[:200] or name, owned, TenantPolicy(separate_duties), created_ns=now_ns)
        async with self._changing:
            if name in self.memory.known:
                raise Conflict(f"there is a tenant '{name}' already")
            if len(self.memory.known) >= TENANTS_MAX:
                raise Conflict(f"this hub has {TENANTS_MAX} tenants, as many as it takes")
            self._check_free(owned)
            clash = next((key for key in self.memory.accounts if key.startswith(f"{name}.")), None)
            if clash is not None:
                raise Conflict(f"the user '{clash}' would look like one of '{name}'; choose another name")
            await self._store.add_tenant(tenant, accounts)
            self.memory.known[name] = tenant
            self.memory.accounts |= {account.user.name: account for account in accounts}
            self.memory.changed()
        data = {"roots": owned, "users": sorted(passwords), "separate_duties": separate_duties}
        await self._record_for(actor, "tenant.create", name, data)
        if self._tell_changed is not None:
            await self._tell_changed()
        return tenant, passwords

    async def update_tenant(
        self, actor: Principal, name: str, *, title: str | None = None, disabled: bool | None = None
    ) -> Tenant:
        await self._load()
        self.check(actor, Action.OPERATE, "")
        if name == DEFAULT_TENANT:
            raise Conflict("the platform's own tenant stays as it is")
        async with self._changing:
            known = self.memory.tenant(name)
            changed = replace(
                known,
                title=known.title if title is None else title.strip()[:200],
                disabled=known.disabled if disabled is None else disabled,
            )
            await self._store.set_tenant(changed)
            self.memory.known[name] = changed
            self.memory.changed()
        data = {"title": changed.title, "disabled": changed.disabled}
        await self._record_for(actor, "tenant.change", name, data)
        return changed

    async def _record_for(self, actor: Principal, action: str, tenant: str, data: Mapping[str, Any]) -> None:
        """In the operator's trail and in the firm's own: it sees what is done to it (GB/T 22239-2019 8.2.3.3)."""
        await self.record(actor.name, action, tenant, "done", data)
        await self.record(actor.name, action, tenant, "done", data, tenant=tenant)

    async def set_policy(self, actor: Principal, policy: TenantPolicy) -> Tenant:
        await self._load()
        self.check(actor, Action.SECURE, "")
        check_policy(policy)
        policy = replace(policy, notice=policy.notice.strip())
        if policy.notice and actor.tenant != DEFAULT_TENANT:
            raise DataError("a notice is shown before anybody has signed in: only the platform's own tenant has one")
        async with self._changing:
            known = self.memory.tenant(actor.tenant)
            if policy.separate_duties:
                for account in self.memory.accounts.values():
                    if account.user.tenant == actor.tenant and not account.user.disabled:
                        check_apart(account.user.name, self._actions_of(account.user))
            changed = replace(known, policy=policy)
            await self._store.set_tenant(changed)
            self.memory.known[actor.tenant] = changed
            self.memory.changed()
        data = {field: getattr(policy, field) for field in policy.__slots__}
        await self.record(actor.name, "policy.change", actor.tenant, "done", data, tenant=actor.tenant)
        return changed

    async def own_roles(self, tenant: str) -> Sequence[OwnRole]:
        await self._load()
        return sorted(self.memory.roles.get(tenant, {}).values(), key=lambda role: role.name)

    async def set_role(self, actor: Principal, role: OwnRole) -> OwnRole:
        await self._load()
        self.check(actor, Action.SECURE, "")
        if not _ROLE.fullmatch(role.name) or role.name in ROLES:
            raise DataError(
                f"'{role.name[:80]}' is no name for a role of your own: a-z, 0-9 and -, and not a built-in one"
            )
        actions = frozenset(role.actions)
        check_giving(actor, self.rights(actor).whole, actions)
        made = OwnRole(role.name, role.title.strip()[:200] or role.name, tuple(sorted(actions)))
        async with self._changing:
            own = self.memory.roles.setdefault(actor.tenant, {})
            if role.name not in own and len(own) >= ROLES_MAX:
                raise Conflict(f"a tenant has at most {ROLES_MAX} roles of its own")
            before = own.get(made.name)
            own[made.name] = made
            try:
                if self.memory.tenant(actor.tenant).policy.separate_duties:
                    for account in self.memory.accounts.values():
                        if account.user.tenant == actor.tenant:
                            check_apart(account.user.name, self._actions_of(account.user))
                await self._store.set_role(actor.tenant, made)
            except BaseException:
                own.pop(made.name)
                if before is not None:
                    own[before.name] = before
                raise
            self.memory.changed()
        await self.record(actor.name, "role.set", made.name, "done", {"actions": made.actions}, tenant=actor.tenant)
        return made

    async def delete_role(self, actor: Principal, name: str) -> None:
        await self._load()
        self.check(actor, Action.SECURE, "")
        async with self._changing:
            own = self.memory.roles.get(actor.tenant, {})
            if name not in own:
                raise NotFound(f"there is no role '{name[:80]}' of your own")
            holder = next((one for one in self._holders(actor.tenant) if name in one[1]), None)
            if holder is not None:
                raise Conflict(f"'{holder[0]}' has the role '{name}'; take it away first")
            await self._store.delete_role(actor.tenant, name)
            del own[name]
            self.memory.changed()
        await self.record(actor.name, "role.delete", name, "done", tenant=actor.tenant)

    # --- within -------------------------------------------------------------------------------------------------

    def _actions_of(self, user: User) -> frozenset[Action]:
        roles = (user.role, *(part.role for part in user.parts))
        return frozenset().union(*(self.memory.actions(user.tenant, role) for role in roles))

    def _holders(self, tenant: str) -> list[tuple[str, set[str]]]:
        people = [
            (user.name, {user.role, *(part.role for part in user.parts)})
            for user in (account.user for account in self.memory.accounts.values())
            if user.tenant == tenant
        ]
        return people + [(f"token {one.name}", {one.role}) for one in self._keys.tokens() if one.tenant == tenant]

    def _check_roots(self, roots: Sequence[str]) -> tuple[str, ...]:
        owned = tuple(sorted({check_path(root) for root in roots}))
        if not owned or len(owned) > ROOTS_MAX or any("/" in root or root in RESERVED for root in owned):
            raise DataError(f"a tenant owns 1 to {ROOTS_MAX} roots: first segments of paths, such as 'acme'")
        return owned

    def _check_free(self, roots: Sequence[str]) -> None:
        for root in roots:
            owner = self.memory.tenant_of(root)
            if owner != DEFAULT_TENANT:
                raise Conflict(f"'{root}' belongs to another tenant")
