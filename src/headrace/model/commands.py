"""Commands: a requested write and its life.

REQUESTED ─► AUTHORISED ─► SENT ─► CONFIRMED
    └────────────┴───────────┴──► REFUSED (with the reason)   or FAILED (sent, not confirmed)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.model.batch import Value


class CommandState(StrEnum):
    REQUESTED = "requested"
    AUTHORISED = "authorised"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (CommandState.CONFIRMED, CommandState.REFUSED, CommandState.FAILED)


@dataclass(frozen=True, slots=True)
class Command:
    """A write. `detail` says why it was refused or failed; `read_back` is what the device held afterwards."""

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
