"""All accounts in memory, as the tables have them, and what each may do: asked with every request, so never computed
twice for the same state.

a change ─► durable in the tables ─► here ─► version + 1 ─► rights are made anew when next asked for
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from headrace.access.rights import land_of, rights_of
from headrace.access.roles import ENROLLING, NEWCOMER, actions_of
from headrace.access.store import Account, Loaded
from headrace.model.areas import Area
from headrace.model.errors import NotFound
from headrace.sdk.access import DEFAULT_TENANT, Action, Rights
from headrace.sdk.accounts import OwnRole, Part, PartnerGrant, Tenant, Token
from headrace.sdk.clock import Clock

_KEPT_MAX: Final = 20_000
NO_RIGHTS: Final = Rights()

Key = tuple[object, ...]


class AccessMemory:
    """Implements `sdk.access.Tenants`."""

    def __init__(self, clock: Clock, told: Callable[[], None] = lambda: None) -> None:
        """`told` is called with every change."""
        self._clock = clock
        self._told = told
        self.accounts: dict[str, Account] = {}
        self.known: dict[str, Tenant] = {}
        self.roles: dict[str, dict[str, OwnRole]] = {}
        self.grants: dict[str, PartnerGrant] = {}
        self.version = 0
        self._rights: dict[Key, Rights] = {}
        self._lands: dict[str, Area] = {}
        self._owners: dict[str, str] = {}

    def load(self, loaded: Loaded) -> None:
        self.accounts = {account.user.name: account for account in loaded.accounts}
        self.known = {one.name: one for one in loaded.tenants}
        self.roles = {}
        for tenant, role in loaded.roles:
            self.roles.setdefault(tenant, {})[role.name] = role
        self.grants = {grant.id: grant for grant in loaded.partner_grants}
        self.changed()

    def changed(self) -> None:
        """Whatever somebody may do is to be computed anew."""
        self.version += 1
        self._owners = {root: one.name for one in self.known.values() for root in one.roots}
        self._rights.clear()
        self._lands.clear()
        self._told()

    # --- tenants ------------------------------------------------------------------------------------------------

    def names(self) -> Sequence[str]:
        return [DEFAULT_TENANT, *sorted(name for name in self.known if name != DEFAULT_TENANT)]

    def roots(self, tenant: str) -> tuple[str, ...]:
        return self.tenant(tenant).roots

    def tenant_of(self, path: str) -> str:
        return self._owners.get(path.partition("/")[0], DEFAULT_TENANT)

    def tenant(self, name: str) -> Tenant:
        """Raises: NotFound."""
        found = self.known.get(name)
        if found is None:
            if name != DEFAULT_TENANT:
                raise NotFound(f"there is no tenant '{name[:80]}'")
            return Tenant(DEFAULT_TENANT)
        return found

    def land(self, tenant: str) -> Area:
        """All that is a tenant's own."""
        found = self._lands.get(tenant)
        if found is None:
            found = self._lands[tenant] = land_of(tenant, self.known)
        return found

    # --- rights -------------------------------------------------------------------------------------------------

    def role_actions(self, tenant: str) -> Mapping[str, frozenset[Action]]:
        """Of the roles that a tenant made itself."""
        return {name: frozenset(role.actions) for name, role in self.roles.get(tenant, {}).items()}

    def actions(self, tenant: str, role: str) -> frozenset[Action]:
        """OPERATE means something in the platform's own tenant only."""
        allowed = actions_of(role, self.role_actions(tenant))
        return allowed if tenant == DEFAULT_TENANT else allowed - {Action.OPERATE}

    def of_account(self, account: Account) -> Rights:
        user = account.user
        if user.must_change_password:
            return NO_RIGHTS
        return self._kept(("user", user.name), user.tenant, (Part(user.role), *user.parts))

    def of_token(self, token: Token) -> Rights:
        parts = tuple(Part(token.role, path) for path in token.paths) or (Part(token.role),)
        return self._kept(("token", token.id), token.tenant, parts, frozenset(token.actions) or None)

    def of_role(self, tenant: str, role: str) -> Rights:
        """For somebody who is known by a role alone."""
        return NO_RIGHTS if role in (NEWCOMER, ENROLLING) else self._kept(("role", tenant, role), tenant, (Part(role),))

    def _kept(self, key: Key, tenant: str, parts: Sequence[Part], only: frozenset[Action] | None = None) -> Rights:
        found = self._rights.get(key)
        if found is not None and (found.until_ns is None or self._clock.now_ns() < found.until_ns):
            return found
        known = self.known.get(tenant)
        if tenant != DEFAULT_TENANT and (known is None or known.disabled):
            return NO_RIGHTS
        made = rights_of(
            parts,
            self.land(tenant),
            self.role_actions(tenant),
            [grant for grant in self.grants.values() if grant.partner == tenant and not self._gone(grant.owner)],
            operates=tenant == DEFAULT_TENANT,
            only=only,
            now_ns=self._clock.now_ns(),
        )
        if len(self._rights) >= _KEPT_MAX:
            self._rights.clear()
        self._rights[key] = made
        return made

    def _gone(self, owner: str) -> bool:
        known = self.known.get(owner)
        return owner != DEFAULT_TENANT and (known is None or known.disabled)
