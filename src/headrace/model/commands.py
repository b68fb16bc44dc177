"""Commands: a requested write and its life.

REQUESTED ─► AUTHORISED ─────────────────────────► SENT ─► CONFIRMED
    │            └─► AWAITING, a critical one ─► AUTHORISED by a second person ─► SENT …
    └────────────┴────────┴───────┴──► REFUSED (with the reason)   or FAILED (sent, not confirmed)

A lock keeps all writes below a path from being sent, whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.model.batch import Value


class CommandState(StrEnum):
    REQUESTED = "requested"
    AUTHORISED = "authorised"
    AWAITING = "awaiting-approval"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (CommandState.CONFIRMED, CommandState.REFUSED, CommandState.FAILED)


@dataclass(frozen=True, slots=True)
class Command:
    """A write. `detail` says why it was refused or failed; `read_back` is what the device held afterwards.

    `approver` is the second person of a critical one, who decided at `decided_ns` and said `decision`.
    """

    id: str
    point: str
    value: Value
    actor: str
    reason: str
    requested_ns: int
    expires_ns: int
    state: CommandState = CommandState.REQUESTED
    detail: str = ""
    read_back: Value | None = None
    finished_ns: int | None = None
    approver: str = ""
    decided_ns: int | None = None
    decision: str = ""


@dataclass(frozen=True, slots=True)
class WriteLock:
    """Nothing at or below `path` is written while it stands; '' is all that the tenant has."""

    id: str
    path: str
    tenant: str
    reason: str
    locked_by: str
    locked_ns: int
    released_by: str = ""
    released_ns: int | None = None
    release_reason: str = ""

    def covers(self, path: str) -> bool:
        """Whether it stands over a path of its tenant."""
        return not self.path or path == self.path or path.startswith(f"{self.path}/")
