"""What an outlet is: one session with one taker of what Headrace knows. It never retries, never sleeps, drops nothing.

    bus ──► queue of the outlet ──► Outlet.send(batches) ──► taken: gone from the queue
                                └─► raises DeviceError ──► closed, a pause, a new one, the same batches again

The supervisor (`connect/outlets/supervisor.py`) owns the queue, back-off, state and counters. Abilities are small and
optional: an outlet implements `Outlet` and any of `TakesEvents`, `Mirrors`. Its folder is `connect/outlets/<name>/` and
its module `outlet.py` exposes `OUTLET: OutletType`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from headrace.model.assets import Asset
from headrace.model.batch import Batch, Value
from headrace.model.commands import Command
from headrace.model.events import Event
from headrace.model.outlets import Outlet as Declaration
from headrace.model.points import Point
from headrace.sdk.access import Principal
from headrace.sdk.clock import Clock
from headrace.sdk.field import LinkState
from headrace.sdk.reach import Reach
from headrace.sdk.references import References
from headrace.sdk.secret_files import PLAIN, SecretFiles


@dataclass(frozen=True, slots=True)
class View:
    """The part of the plant that an outlet publishes: points by handle, and the assets above them by path."""

    points: Mapping[int, Point] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)


class Outlet(Protocol):
    async def open(self, view: View) -> None:
        """Begin the session. Raises: Unreachable, Refused, Garbled; ConfigError for settings that cannot work here."""
        ...

    async def send(self, batches: Sequence[Batch]) -> int:
        """Returns when the taker has them, as far as its protocol can say so: how many it will never take, mostly 0.

        Raises: DeviceError; all are sent again, in the next session.
        """
        ...

    async def close(self) -> None:
        """Release everything; called exactly once, also after a failed open; never raises."""
        ...


@runtime_checkable
class TakesEvents(Protocol):
    """An outlet that also wants alarms, commands and what happens to connections."""

    async def send_events(self, events: Sequence[Event]) -> int:
        """As `Outlet.send`."""
        ...


@runtime_checkable
class Mirrors(Protocol):
    """An outlet that shows the plant itself. Others are closed and opened where their part of the plant changes."""

    async def change(self, view: View) -> None:
        """The plant is now this. Raises: DeviceError."""
        ...


@runtime_checkable
class Ends(Protocol):
    """An outlet whose session can end while nothing is sent."""

    async def ended(self) -> None:
        """Waits until the session is over. Raises: DeviceError that says why."""
        ...


@dataclass(frozen=True, slots=True)
class OutletContext:
    """What an outlet is given beside its settings.

    `state_dir` is its own and kept across restarts; it may not exist yet. `newest` gives the newest sample of points
    by handle. `authenticate` tells who holds a token and `may_view` whether somebody may look; both raise AccessError.
    `write` carries a setpoint through its whole life (see `CommandDesk`). `secrets` is how a private key is kept,
    `reach` where it may connect to and listen, `references` reads the secrets that its settings refer to.
    """

    outlet: str
    clock: Clock
    state_dir: Path
    newest: Callable[[Sequence[int]], Sequence[Batch]]
    authenticate: Callable[[str], Principal]
    may_view: Callable[[Principal], None]
    write: Callable[[str, Value, Principal, str], Awaitable[Command]]
    secrets: SecretFiles = PLAIN
    reach: Reach = field(default_factory=Reach)
    references: References = field(default_factory=References)


@dataclass(frozen=True, slots=True)
class OutletType:
    """What `connect/outlets/<name>/outlet.py` exposes as `OUTLET`.

    `settings` is a pydantic model with `extra="forbid"`. With `newest_only` the taker wants what is, not what was:
    after an outage it is sent the newest sample of each point, and what waited is dropped; such an outlet needs no
    disk. `check(declaration)` says in words what settings alone cannot; it raises ConfigError.
    """

    name: str
    title: str
    settings: type[BaseModel]
    open: Callable[[Any, OutletContext], Outlet]
    """`open(settings, context)`; does no I/O."""
    newest_only: bool = False
    quiet_open: bool = False
    """Opening calls nobody: only what was sent tells that the other side is there."""
    samples: Callable[[Any], bool] = lambda _settings: True
    """Whether an outlet with these settings wants samples at all."""
    events: bool = False
    wants: Callable[[Any, Event], bool] = lambda _settings, _event: True
    """Whether an outlet with these settings wants this event."""
    check: Callable[[Any, Declaration], None] = lambda _settings, _declaration: None


@dataclass(slots=True)
class OutletCounters:
    """Since the outlet was declared. `samples` and `events` were taken by the other side.

    `dropped` counts samples, and `dropped_events` events, for which there was no more room; `given_up` the dead
    letters, what the other side will never take; `waiting` and `waiting_bytes` are what waits now.
    """

    connects: int = 0
    losses: int = 0
    sends: int = 0
    failures: int = 0
    samples: int = 0
    events: int = 0
    dropped: int = 0
    dropped_events: int = 0
    given_up: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    last_sent_ns: int = 0
    round_trip_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class OutletStatus:
    """`points` is how many are published."""

    outlet: str
    protocol: str
    state: LinkState
    since_ns: int
    points: int
    error: str
    next_try_s: float | None
    counters: OutletCounters
