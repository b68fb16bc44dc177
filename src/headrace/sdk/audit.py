"""The audit trail as those above the rooms read it; who writes to it knows `sdk.access.AuditLog` alone.

Source: IEC 62443-3-3 SR 2.8 (what an entry tells), SR 6.1 (who may read), SR 6.1 RE 1 (by programs).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from headrace.sdk.access import AuditEntry


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest entry of a whole trail; sequence 0 where there is none."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What somebody wants to see. `action` and `subject` are what it begins with; `start_ns` ≤ time < `end_ns`."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    outcome: str = ""
    start_ns: int | None = None
    end_ns: int | None = None

    def told(self) -> dict[str, Any]:
        """What of it was set, for the trail itself."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) not in ("", None)}


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """A trail that is whole. `entries` were walked, `archived` of them in files; `checkpoints` were all right."""

    head: AuditHead
    entries: int
    archived: int
    checkpoints: int
    checkpoint: AuditHead | None = None  # the newest
    checkpoint_ns: int | None = None


@dataclass(slots=True)
class AuditCounters:
    """Since start. `entries` are durable, `failures` are entries that the database did not take."""

    entries: int = 0
    failures: int = 0
    checkpoints: int = 0
    archives: int = 0
    archived: int = 0


@dataclass(frozen=True, slots=True)
class AuditState:
    """The trail as it stands. `failing_since_ns` is set while it cannot be written: what must be recorded is refused.

    `used_percent` is of the disk of archives and checkpoints; `trouble` says in words what a person has to see to.
    `keep_days` and all of files is None where the trail has no folder.
    """

    head: AuditHead
    counters: AuditCounters
    failing_since_ns: int | None = None
    checkpoint: AuditHead | None = None
    checkpoint_ns: int | None = None
    archived_until: int = 0  # newest entry in archives
    keep_days: int | None = None
    free_bytes: int | None = None
    used_percent: float | None = None
    warn_percent: float | None = None
    key: str = ""  # fingerprint of the key that signs
    trouble: tuple[str, ...] = ()


class AuditFormat(StrEnum):
    NDJSON = "ndjson"
    CSV = "csv"


class AuditDesk(Protocol):
    """A tenant sees its own entries alone; `verify` walks all and tells counts."""

    async def page(
        self, tenant: str, wanted: AuditFilter, *, limit: int = 200, cursor: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        """Newest first, of what is not in archives yet. Raises: DataError for a cursor that we never gave."""
        ...

    def export(self, tenant: str, wanted: AuditFilter, form: AuditFormat) -> AsyncIterator[bytes]:
        """A file, oldest first, archives included; NDJSON ends with a signed line."""
        ...

    async def verify(self, known: AuditHead | None = None) -> AuditVerdict:
        """Raises: DataError that names the first entry which does not fit."""
        ...

    async def ready(self) -> None:
        """Return where the trail can be written. Raises: Unavailable."""
        ...

    def state(self) -> AuditState: ...
