"""What the platform lends to the apps of one tenant, and what it is told of each of them.

`platform/` fills in an `Abilities` for a tenant; `answers.py` gives an app what it was granted of that, and nothing
else. Whatever is here may do more than any app may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from headrace.model.areas import Area
from headrace.model.batch import Value
from headrace.model.commands import Command
from headrace.model.plant import PlantModel
from headrace.sdk.access import Principal
from headrace.sdk.apps import Action
from headrace.sdk.apps.app import find_route
from headrace.sdk.apps.context import Identifiers
from headrace.sdk.bus import Bus
from headrace.sdk.reach import Reach
from headrace.sdk.services import AlarmRecord, LiveValues, TransitionPage
from headrace.sdk.store import HistoryStore


class Plants(Protocol):
    """A `sdk.services.Registry` is one."""

    async def model(self) -> PlantModel:
        """As declared now, of all tenants."""
        ...


class AlarmBook(Protocol):
    """What apps may know of alarms; a `sdk.services.AlarmDesk` is one."""

    def current(self) -> Sequence[AlarmRecord]: ...

    async def history(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        point: str | None = None,
        limit: int = 500,
        cursor: str | None = None,
        within: Area | None = None,
    ) -> TransitionPage: ...


class Writer(Protocol):
    """A `sdk.commands.CommandDesk` is one."""

    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command: ...


class PlatformKey(Protocol):
    """An Ed25519 key that is the platform's; `signing.py` has the one of its home."""

    @property
    def public(self) -> str:
        """In hex."""
        ...

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Abilities:
    """Of one tenant: `owns` says of a path whether it is that tenant's, `owns_event` of an event's source and subject
    (`sdk.tenancy.tenant_of_event`). `principal` is made of an app's name, and writes."""

    plants: Plants
    live: LiveValues
    history: HistoryStore
    bus: Bus
    alarms: AlarmBook
    commands: Writer
    reach: Reach
    key: PlatformKey
    owns: Callable[[str], bool]
    owns_event: Callable[[str, str], bool]
    principal: Callable[[str], Principal]
    identifiers: Identifiers | None = None


class AppState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"  # it ended, and is started again after a while
    HALTED = "halted"  # it ended too often in a row; started again only when somebody says so
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    method: str
    path: str
    action: Action


@dataclass(frozen=True, slots=True)
class DeclaredJob:
    """`due_ns` is when it comes next, None where it does not."""

    name: str
    due_ns: int | None = None
    last_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """What an app says of itself once it is loaded."""

    routes: tuple[DeclaredRoute, ...] = ()
    jobs: tuple[DeclaredJob, ...] = ()
    samples: tuple[tuple[str, ...], ...] = ()
    events: tuple[tuple[str, ...], ...] = ()

    def find(self, method: str, path: str) -> DeclaredRoute | None:
        """The route that a request is for."""
        found = find_route(self.routes, method, path)
        return None if found is None else found[0]


@dataclass(frozen=True, slots=True)
class CallFigures:
    """Of one kind of call: `start`, `samples`, `events`, `job <name>`, `GET /path`. Times in seconds of the wall."""

    calls: int = 0
    failures: int = 0
    seconds: float = 0.0
    seconds_max: float = 0.0


@dataclass(frozen=True, slots=True)
class AppHealth:
    """`reason` says why it does not run; `failure` what went wrong last, with `failed_ns`. `fences`: whether the kernel
    holds it. `cpu_s` and `memory_bytes` are those of its process, now; `log` the newest lines, `(time_ns, text)`."""

    state: AppState
    reason: str = ""
    failure: str = ""
    failed_ns: int | None = None
    started_ns: int | None = None
    fences: bool = False
    restarts: int = 0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    calls: Mapping[str, CallFigures] = field(default_factory=dict)
    samples_given: int = 0
    samples_from_history: int = 0
    events_given: int = 0
    events_dropped: int = 0
    asks: int = 0
    asks_refused: int = 0
    tables_bytes: int = 0
    documents_bytes: int = 0
    log: Sequence[tuple[int, str]] = ()
