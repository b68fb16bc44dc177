"""Who may do what: the words. `access/` answers; every other room asks through `Authorizer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from headrace.model.areas import NOWHERE, Area

DEFAULT_TENANT: Final = "default"
"""The platform's own tenant: it owns every root that no other tenant owns."""


class Action(StrEnum):
    VIEW = "view"  # see assets, values, history, alarms
    ACKNOWLEDGE = "acknowledge"  # alarms: also shelve them, and reset latched ones
    WRITE = "write"  # change a setpoint, take an alarm out of service
    APPROVE = "approve"  # be the second person of a critical write
    LOCK = "lock"  # release the emergency lock
    MAINTAIN = "maintain"  # devices and connections from day to day
    CONFIGURE = "configure"  # plan and apply declarations, trust a server
    INGEST = "ingest"  # send samples for declared points
    SHARE = "share"  # let a partner see a part of the plant
    ADMINISTER = "administer"  # users and tokens
    SECURE = "secure"  # roles, policies, certificates, sessions of others
    AUDIT = "audit"  # read the audit trail
    OPERATE = "operate"  # the platform itself: its care, its tenants


@dataclass(frozen=True, slots=True)
class Shared:
    """What a partner lets a tenant see: points of a subtree, over a span of time, until the grant ends.

    `patterns` are glob patterns of what follows the subtree in a point's path; none is all of it.
    """

    grant: str
    owner: str
    subtree: str
    patterns: tuple[str, ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    expires_ns: int | None = None
    purpose: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Rights:
    """What somebody may do, and where: made anew with every change of the accounts, and compared by identity.

    `areas` has a row for each action that is theirs somewhere; `whole` are those that are theirs on all of the tenant,
    also where it has no asset yet. `until_ns` is when the first part of it ends by itself.
    """

    areas: Mapping[Action, Area] = field(default_factory=dict)
    whole: frozenset[Action] = frozenset()
    shared: tuple[Shared, ...] = ()
    until_ns: int | None = None

    def area(self, action: Action) -> Area:
        return self.areas.get(action, NOWHERE)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that has proved itself. `via` is `password`, `session`, `token` or `local`.

    `subject` is the account behind it (`user:anna`, `token:<id>`): what it may do is asked of that account each time,
    so that a right that was taken away is gone for who holds a principal, too. Without one the role counts, on the
    whole tenant.
    """

    name: str
    role: str
    via: str
    tenant: str = DEFAULT_TENANT
    subject: str = ""


class Authorizer(Protocol):
    def check(self, principal: Principal, action: Action, path: str) -> None:
        """Return, or raise AccessError that says which right on which path is missing; '' is the tenant as a whole."""
        ...

    def rights(self, principal: Principal) -> Rights:
        """What it may do now, and where."""
        ...


class Tenants(Protocol):
    """Whose a path is. A tenant owns first segments of paths."""

    def names(self) -> Sequence[str]:
        """`default` first."""
        ...

    def roots(self, tenant: str) -> tuple[str, ...]:
        """None for `default`, which has the rest. Raises: NotFound."""
        ...

    def tenant_of(self, path: str) -> str: ...


class AuditLog(Protocol):
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
        """Append one entry to a tenant's trail; durable on return."""
        ...


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`hash` covers all the rest and `previous_hash`, so an entry can be looked for in the whole chain later."""

    sequence: int
    time_ns: int
    actor: str
    action: str
    subject: str
    outcome: str
    data: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT
    previous_hash: str = ""
    hash: str = ""
