"""People, programs and firms: what `access/` keeps, and what it offers to the people above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.sdk.access import DEFAULT_TENANT, Action, Principal, Rights, Tenants
from headrace.sdk.entry import EntryDesk, Factors, Seen, SessionInfo


@dataclass(frozen=True, slots=True)
class Part:
    """A role on an asset and all below it, '' for the whole tenant; until a time, where that is set."""

    role: str
    path: str = ""
    expires_ns: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    """`role` counts on the whole tenant (`member`: none does), `parts` beside it."""

    name: str
    role: str
    disabled: bool = False
    must_change_password: bool = False
    created_ns: int = 0
    tenant: str = DEFAULT_TENANT
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Safeguards:
    """How an account is guarded, for whoever secures it. `relied_on`: a policy of `administrators` means it.
    `locked_until_ns`: wrong passwords or codes were too many, and until then no right one is looked at either."""

    user: User
    factors: Factors
    relied_on: bool
    locked_until_ns: int | None
    sessions: tuple[SessionInfo, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """`paths` are assets that its role counts on, none for the whole tenant; `actions` narrow the role, where given."""

    id: str
    name: str
    role: str
    created_by: str
    created_ns: int
    expires_ns: int | None
    last_used_ns: int | None = None
    tenant: str = DEFAULT_TENANT
    paths: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """What holds for all accounts of a tenant. `separate_duties`: nobody is two of administrator, security officer and
    auditor. `second_factor`: who needs one: `off`, `administrators` (whoever administers, secures, audits, operates or
    approves) or `everyone`. A session ends after `session_idle_s` without use and `session_life_s` in all; a user has
    at most `sessions_max`. None: what the platform's settings say. `notice` is shown to whoever is about to sign in;
    only that of the platform's own tenant is, for nobody's tenant is known then (IEC 62443-3-3 SR 1.12)."""

    separate_duties: bool = False
    second_factor: str = "off"
    session_idle_s: int | None = None
    session_life_s: int | None = None
    sessions_max: int | None = None
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An enterprise on the hub. `roots` are the first segments of its paths."""

    name: str
    title: str = ""
    roots: tuple[str, ...] = ()
    policy: TenantPolicy = field(default_factory=TenantPolicy)
    disabled: bool = False
    created_ns: int = 0


@dataclass(frozen=True, slots=True)
class OwnRole:
    """A role that a tenant made for itself."""

    name: str
    title: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class PartnerGrant:
    """`owner` lets `partner` see points of a subtree. `patterns` are globs of what follows the subtree in a path.

    Samples from `start_ns` on and before `end_ns` are seen, and the newest while now is between them. `expires_ns` is
    when the grant ends by itself.
    """

    id: str
    owner: str
    partner: str
    subtree: str
    patterns: tuple[str, ...]
    start_ns: int | None
    end_ns: int | None
    expires_ns: int | None
    purpose: str
    created_by: str
    created_ns: int
    revoked_ns: int | None = None
    revoked_by: str = ""


class AccessDesk(EntryDesk, Protocol):
    """Password and token checks take constant time for unknown names; failures are counted and slowed, then locked.

    Whatever an actor changes is in the actor's tenant; of another tenant's nothing is there. `version` grows with every
    change of what somebody may do.
    """

    @property
    def version(self) -> int: ...

    @property
    def tenancy(self) -> Tenants:
        """Whose a path is."""
        ...

    async def changed(self, since: int | None = None) -> int:
        """Wait until somebody may do other things than before, or a session has ended; for the next call. Without
        `since` at once."""
        ...

    async def bootstrap(self) -> tuple[str, str] | None:
        """On an empty database create an owner and return (name, one-time password); else None."""
        ...

    async def sign_in(self, user: str, password: str, *, peer: str, seen: Seen | None = None) -> tuple[str, User]:
        """(session secret, user). Raises: AccessError, the same for a wrong name and a wrong password; LimitReached;
        SecondFactorNeeded for a right password of somebody who has a second factor."""
        ...

    async def sign_out(self, session: str) -> None: ...

    async def by_session(self, session: str, *, quiet: bool = False) -> Principal:
        """`quiet`: this look is no use of the session. Raises: AccessError(authenticated=False)."""
        ...

    async def by_session_id(self, id: str) -> Principal:
        """For what was let in with a session; quiet. Raises: AccessError(authenticated=False)."""
        ...

    async def by_token(self, token: str) -> Principal:
        """Raises: AccessError(authenticated=False)."""
        ...

    async def change_password(self, user: str, old: str, new: str, *, session: str | None = None) -> None:
        """Ends every session of the user but `session`. Raises: AccessError, DataError for a weak password."""
        ...

    async def users(self, tenant: str = DEFAULT_TENANT) -> Sequence[User]: ...

    async def user(self, name: str, *, tenant: str | None = None) -> User:
        """Of a tenant, where one is said. Raises: NotFound."""
        ...

    async def create_user(
        self, actor: Principal, name: str, role: str, *, parts: Sequence[Part] = ()
    ) -> tuple[User, str]:
        """(user, one-time password). Raises: Conflict, DataError, AccessError."""
        ...

    async def update_user(
        self,
        actor: Principal,
        name: str,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        parts: Sequence[Part] | None = None,
    ) -> User:
        """Raises: Conflict for the last administrator."""
        ...

    async def reset_password(self, actor: Principal, name: str) -> str:
        """A new one-time password; ends the user's sessions."""
        ...

    async def delete_user(self, actor: Principal, name: str) -> None: ...

    async def safeguards(self, tenant: str = DEFAULT_TENANT) -> Sequence[Safeguards]:
        """Of each user, by name."""
        ...

    async def unlock_user(self, actor: Principal, name: str) -> None:
        """Let somebody try again who was locked out. Raises: AccessError, NotFound."""
        ...

    async def tokens(self, tenant: str = DEFAULT_TENANT) -> Sequence[Token]: ...

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
        """(token, secret shown once)."""
        ...

    async def delete_token(self, actor: Principal, id: str) -> None: ...

    def check(self, principal: Principal, action: Action, path: str) -> None: ...

    def rights(self, principal: Principal) -> Rights: ...

    # --- tenants, their roles and policy, and what they let each other see

    async def tenants(self) -> Sequence[Tenant]:
        """The platform's own first."""
        ...

    async def tenant(self, name: str) -> Tenant:
        """Raises: NotFound."""
        ...

    async def create_tenant(
        self, actor: Principal, name: str, title: str, roots: Sequence[str], *, separate_duties: bool = True
    ) -> tuple[Tenant, Mapping[str, str]]:
        """The tenant, and its first accounts with their one-time passwords. Raises: Conflict, DataError."""
        ...

    async def update_tenant(
        self, actor: Principal, name: str, *, title: str | None = None, disabled: bool | None = None
    ) -> Tenant:
        """A tenant that is disabled lets nobody in and owns its roots all the same."""
        ...

    async def set_policy(self, actor: Principal, policy: TenantPolicy) -> Tenant:
        """Of the actor's tenant. Raises: Conflict where it does not fit who holds which duties."""
        ...

    def platform_policy(self) -> TenantPolicy:
        """What holds where a tenant's policy says nothing; every limit of sessions is there."""
        ...

    async def own_roles(self, tenant: str) -> Sequence[OwnRole]: ...

    async def set_role(self, actor: Principal, role: OwnRole) -> OwnRole: ...

    async def delete_role(self, actor: Principal, name: str) -> None:
        """Raises: Conflict while somebody has it."""
        ...

    async def partner_grants(self, tenant: str) -> tuple[Sequence[PartnerGrant], Sequence[PartnerGrant]]:
        """Given and received, newest first."""
        ...

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
    ) -> PartnerGrant: ...

    async def end_grant(self, actor: Principal, id: str) -> PartnerGrant:
        """By its owner; counts from the next request on. Raises: NotFound."""
        ...
