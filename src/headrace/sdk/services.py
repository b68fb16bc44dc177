"""What each room offers to the people above it: `platform/` builds one of each, `api/` and `cli/` use them.

Registry    the plant as declared           registry/
LiveValues  the newest sample of each point compute/live.py
AlarmDesk   alarms and their history        compute/alarms/
CommandDesk setpoints                       control/  (in commands.py)
Links       sessions with devices           connect/supervisor.py
AccessDesk  people, sessions, tokens        access/  (in accounts.py)
HistoryCare check and backup of the store   platform/history_care.py
Ingest      samples that others send        connect/ingest/
Outlets     who is told                     connect/outlets/
NotificationDesk  who is told of alarms     compute/notify/  (in notify.py)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.model.alarm_kpis import AlarmKpis, Flood
from headrace.model.alarms import AlarmRule, AlarmState, AlarmTransition
from headrace.model.areas import Area
from headrace.model.batch import Batch, Handles
from headrace.model.errors import ConfigError
from headrace.model.plant import PlantModel
from headrace.sdk.access import DEFAULT_TENANT, Principal
from headrace.sdk.driver import BrowseNode
from headrace.sdk.field import LinkStatus
from headrace.sdk.outlet import OutletStatus

# --- registry -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One declaration file: a name relative to its folder, and its text."""

    name: str
    text: str


class ChangeAction(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class FieldChange:
    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change:
    """`kind` is retention, type, connection, alarm-class, asset, point, alarm, ingest, outlet, channel, contact, roster
    or notification; `key` is its name or path."""

    action: ChangeAction
    kind: str
    key: str
    details: Sequence[FieldChange] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying would do to revision `revision`. With `errors` nothing can be applied."""

    revision: int
    changes: Sequence[Change]
    errors: Sequence[ConfigError] = ()


class Registry(Protocol):
    """Without a tenant each method is about the platform's own. Raises: NotFound for a tenant that is not one."""

    async def model(self) -> PlantModel:
        """The plant of all tenants; its revision grows with each change of any."""
        ...

    async def model_of(self, tenant: str) -> PlantModel:
        """What a tenant declared; its revision is the one that `apply` compares."""
        ...

    async def plan(self, files: Sequence[SourceFile], *, prune: bool = True, tenant: str = DEFAULT_TENANT) -> Plan:
        """Compare a folder with what is declared; `prune` removes what the folder lacks. Never raises ConfigError."""
        ...

    async def preview(
        self, files: Sequence[SourceFile], *, prune: bool = False, tenant: str = DEFAULT_TENANT
    ) -> PlantModel:
        """The plant as it would be with these files; nothing changes. Raises: ConfigErrors."""
        ...

    async def apply(
        self,
        files: Sequence[SourceFile],
        *,
        actor: str,
        prune: bool = True,
        revision: int | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[Plan, PlantModel]:
        """All or nothing; the model is the tenant's. Raises: ConfigErrors; Conflict where `revision` is no longer the
        current one."""
        ...

    async def export(self, *, tenant: str = DEFAULT_TENANT) -> Sequence[SourceFile]:
        """Text that plans to no change."""
        ...


# --- live values --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveColumns:
    """Newest samples, one row a point, mixed kinds. Shape: (points,) each; `values` object dtype (Python scalars)."""

    handles: Handles
    source_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    values: NDArray[Any]
    quality: NDArray[np.uint32]
    version: int


class LiveValues(Protocol):
    """`version` grows with every update; `changed` gives what moved since a version, vectorised."""

    version: int

    def update(self, batches: Sequence[Batch]) -> None:
        """Take newer samples; an older source time than the one held is ignored."""
        ...

    def get(self, handles: Handles) -> LiveColumns:
        """Points never seen are BadWaitingForInitialData."""
        ...

    def changed(self, handles: Handles, since_version: int) -> LiveColumns: ...


# --- alarms -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm that is not normal, as it stands.

    `active` is its condition, also beneath a state that is quiet; `raised_ns` is None where that has not held yet.
    `quiet_by` and `quiet_reason` are of who shelved it or took it out of service.
    """

    rule: AlarmRule
    state: AlarmState
    value: float | None
    raised_ns: int | None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    comment: str = ""
    active: bool = True
    shelved_until_ns: int | None = None
    shelved_once: bool = False
    quiet_by: str = ""
    quiet_reason: str = ""


@dataclass(frozen=True, slots=True)
class TransitionPage:
    transitions: Sequence[AlarmTransition]
    next_cursor: str | None = None


class AlarmDesk(Protocol):
    def current(self) -> Sequence[AlarmRecord]:
        """Everything not normal, by priority then newest first."""
        ...

    def needs_proof(self, rules: Sequence[str]) -> bool:
        """Whether one of them is acknowledged only by a person who proves anew who they are."""
        ...

    async def acknowledge(
        self, rules: Sequence[str], principal: Principal, comment: str, *, proven: bool = False
    ) -> Sequence[AlarmTransition]:
        """Those that can be are; durable on return. Raises: NotFound where a rule does not exist; AccessError;
        DataError where a class asks for a comment. So do the others of what people do, each all or none."""
        ...

    async def reset(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]:
        """Latched alarms whose condition is gone."""
        ...

    async def shelve(
        self, rules: Sequence[str], principal: Principal, reason: str, *, duration_ns: int | None = None,
        once: bool = False,
    ) -> Sequence[AlarmTransition]:  # fmt: skip
        """As long as the class allows unless given; `once`: at most until it next clears."""
        ...

    async def unshelve(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]: ...

    async def remove_from_service(
        self, rules: Sequence[str], principal: Principal, reason: str
    ) -> Sequence[AlarmTransition]:
        """Until they are returned."""
        ...

    async def return_to_service(
        self, rules: Sequence[str], principal: Principal, comment: str
    ) -> Sequence[AlarmTransition]: ...

    async def history(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        point: str | None = None,
        limit: int = 500,
        cursor: str | None = None,
        within: Area | None = None,
    ) -> TransitionPage:
        """Newest first."""
        ...

    async def kpis(
        self, start_ns: int, end_ns: int, *, operators: float = 1.0, within: Area | None = None
    ) -> AlarmKpis:
        """Figures of a stretch, of one area and its operators."""
        ...

    def flood(self, within: Area | None = None) -> Flood | None:
        """The flood that goes on now, if one does."""
        ...

    def transitions(self) -> AsyncIterator[Sequence[AlarmTransition]]:
        """Each transition from now on; a slow reader loses the oldest, counted."""
        ...


# --- connections --------------------------------------------------------------------------------------------------


class Links(Protocol):
    def status(self) -> Sequence[LinkStatus]:
        """By connection name."""
        ...

    def browse(self, connection: str, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        """Raises: NotFound; Unavailable where the link is down or its driver cannot browse; DeviceError."""
        ...

    async def fingerprint(self, connection: str) -> str:
        """What the peer shows now, for a person to compare. Raises: NotFound, Unavailable, DeviceError."""
        ...

    async def trust(self, connection: str, fingerprint: str) -> None:
        """Remember the peer's certificate; durable. Raises: Conflict where the peer now shows another one."""
        ...


# --- the feed counters that `api/` reports ------------------------------------------------------------------------


@dataclass(slots=True)
class FeedCounters:
    clients: int = 0
    frames: int = 0
    coalesced: int = 0
    slow_closed: int = 0
    extra: dict[str, int] = field(default_factory=dict)


# --- care of the historian ----------------------------------------------------------------------------------------


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HistoryJob:
    """A check or a backup: how far it is, and what it came to. `kind` is `check` or `backup`."""

    id: int
    kind: str
    actor: str
    state: JobState
    started_ns: int
    ended_ns: int | None = None
    at: str = ""  # what is being read or copied
    done_bytes: int = 0
    total_bytes: int = 0
    error: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


class HistoryCare(Protocol):
    def start(self, kind: str, actor: str, *, target: str | None = None, keep: int | None = None) -> HistoryJob:
        """Begin one; one at a time. `target` defaults to the declared backup folder.

        Raises: Conflict while another runs, ConfigError for a target that cannot be, Unavailable where the store
        looks after itself.
        """
        ...

    def job(self, id: int) -> HistoryJob:
        """Raises: NotFound."""
        ...

    def jobs(self) -> Sequence[HistoryJob]:
        """The newest first."""
        ...


# --- samples that others send -------------------------------------------------------------------------------------


class IngestDialect(StrEnum):
    JSON_LINES = "json-lines"
    LINE_PROTOCOL = "line-protocol"


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """`line` counts from 1."""

    line: int
    message: str


@dataclass(slots=True)
class IngestReceipt:
    """What one request came to. `refused` counts samples and lines that were wrong; the first of them are in `details`.

    `ignored` counts fields of series that a declaration leaves out on purpose.
    """

    lines: int = 0
    samples: int = 0
    refused: int = 0
    ignored: int = 0
    details: list[RefusedLine] = field(default_factory=list)

    def refuse(self, line: int, message: str) -> None:
        self.refused += 1
        if len(self.details) < 100:
            self.details.append(RefusedLine(line, message))


@dataclass(slots=True)
class IngestCounters:
    """Since start."""

    requests: int = 0
    samples: int = 0
    refused: int = 0
    ignored: int = 0


class Ingest(Protocol):
    counters: IngestCounters

    async def receive(
        self,
        chunks: AsyncIterator[bytes],
        dialect: IngestDialect,
        *,
        unit_ns: int = 1,
        bucket: str | None = None,
        within: Area | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> IngestReceipt:
        """Returns when every sample of the receipt is on disk; lines that are wrong are in it and cost nobody else.

        Only points and maps of `tenant`, who sends, are there; and of these points those `within` which it has a right.
        `unit_ns` is what a time that is a number counts.
        Raises: Unavailable, LimitReached; what was taken before stays, and sending all of it again changes nothing.
        """
        ...


# --- who is told --------------------------------------------------------------------------------------------------


class Outlets(Protocol):
    def status(self) -> Sequence[OutletStatus]:
        """By outlet name."""
        ...
