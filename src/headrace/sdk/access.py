"""Who may do what: the words. `access/` answers; every other room asks through `Authorizer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Action(StrEnum):
    VIEW = "view"  # see assets, values, history, alarms
    ACKNOWLEDGE = "acknowledge"
    WRITE = "write"  # change a setpoint
    CONFIGURE = "configure"  # plan and apply declarations, trust a server
    ADMINISTER = "administer"  # users and tokens
    AUDIT = "audit"  # read the audit trail
    INGEST = "ingest"  # send samples for declared points


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that has proved itself. `via` is `password`, `session`, `token` or `local`."""

    name: str
    role: str
    via: str
    tenant: str = "default"


class Authorizer(Protocol):
    def check(self, principal: Principal, action: Action, path: str) -> None:
        """Return, or raise AccessError that says which right on which path is missing."""
        ...


class AuditLog(Protocol):
    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None
    ) -> None:
        """Append one entry; durable on return."""
        ...


@dataclass(frozen=True, slots=True)
class AuditEntry:
    sequence: int
    time_ns: int
    actor: str
    action: str
    subject: str
    outcome: str
    data: Mapping[str, Any] = field(default_factory=dict)
