"""The doors between `connect/` and the rooms that watch or command devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from headrace.model.batch import Batch, Value


class LinkState(StrEnum):
    DISABLED = "disabled"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"  # lost; the next try is scheduled
    REFUSED = "refused"  # needs a person: credentials, trust, configuration


@dataclass(slots=True)
class LinkCounters:
    """Since the connection was declared. Times are the last seen, ns.

    `overruns` counts periods in which a read was due and not made; `dropped` samples that found a full buffer;
    `stalls` reads that waited because the rooms behind could not keep up; `wild_clocks` samples whose source time
    could not be true; `unstorable` samples that history refuses as they are. `own` is what the driver itself counts.
    """

    connects: int = 0
    losses: int = 0
    requests: int = 0
    failures: int = 0
    samples: int = 0
    bad_samples: int = 0
    overruns: int = 0
    dropped: int = 0
    stalls: int = 0
    wild_clocks: int = 0
    unstorable: int = 0
    last_sample_ns: int = 0
    round_trip_ms: float = 0.0
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkStatus:
    connection: str
    driver: str
    state: LinkState
    since_ns: int
    points: int
    error: str
    next_try_s: float | None
    counters: LinkCounters


class DeviceWriter(Protocol):
    """How `control/` reaches a device; nobody else may hold one."""

    async def write(self, path: str, value: Value) -> None:
        """Raises: NotFound, Unavailable (link down), Refused, Unreachable, DataError."""
        ...

    async def read_back(self, path: str) -> Batch:
        """Raises: as `write`."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest sample of a point. `value` is None where it has none yet."""

    value: Value | None
    source_ns: int
    received_ns: int
    quality: int


class PlantReader(Protocol):
    """What the plant says of itself, for conditions of writes."""

    def newest(self, path: str) -> Reading | None:
        """At once, from memory; None for a point that nobody declares."""
        ...

    async def span(self, path: str, start_ns: int, end_ns: int) -> Sequence[Batch]:
        """All samples with a source time in [start, end). Raises: LimitReached for too many, Unavailable."""
        ...
