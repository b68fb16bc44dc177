"""Edges seen from their hub: who may connect, what each should run, what it says it runs, and how good its link is.

    edge ──token, key──► EdgeDoor.enrol ──► certificate             once
    edge ──certificate─► EdgeDoor.admit ──► Edge                    at each connection; fences the older one
    EdgeDesk.desired ──document, revision──► edge ──Actual──► EdgeDesk.reported
    the hub's end of the link ──LinkQuality, once a second──► EdgeDesk.measured

The wire is `exchange/`'s, the register is `fleet/`'s; `platform/` brings them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Edge:
    """`prefix` is the part of the model that is this edge's: it may bring samples for paths under it, and no others."""

    name: str
    prefix: str
    certificate: str  # SHA-256 of it, hex


@dataclass(frozen=True, slots=True)
class Desired:
    """What an edge should run: declarations as text, by file name. `revision` only grows."""

    revision: int
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Actual:
    """What an edge says it runs. `error` tells why it could not become what was desired; it then runs what it ran."""

    revision: int
    error: str = ""
    version: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """One second of a link as its hub sees it; times are ns UTC, latencies the round trip of a heartbeat.

    `loss` is the share of segments that TCP sent again (0 to 1), NaN where the system does not tell. `backlog_*` is
    what waits at the edge; `late_ms` is the age of the newest live sample when it was durable here.
    """

    measured_ns: int
    connected: bool
    latency_ms: float
    jitter_ms: float
    loss: float
    received_bytes_per_s: float
    samples_per_s: float
    backlog_samples: int
    backlog_bytes: int
    backlog_s: float
    late_ms: float
    last_contact_ns: int
    spool_used: float = 0.0  # share of its bound, 0 to 1
    dropped_samples: int = 0  # by the edge's declared policy, since it was enrolled


class EdgeDoor(Protocol):
    async def enrol(self, token: str, request: bytes, peer: str) -> tuple[Edge, bytes]:
        """Spend a one-time token; `request` is a PKCS #10 request, PEM. Gives the certificate chain, PEM.

        Raises: AccessError for a token that is unknown, spent or expired, the same for each; DataError; LimitReached.
        """
        ...

    async def admit(self, certificate: str) -> Edge:
        """By the SHA-256 of the certificate that TLS has verified. Raises: AccessError once it was revoked."""
        ...


class EdgeDesk(Protocol):
    def desired(self, edge: str) -> Desired | None:
        """None while nothing was declared for it."""
        ...

    def reported(self, edge: str, actual: Actual) -> None: ...

    def measured(self, edge: str, quality: LinkQuality) -> None:
        """Never blocks, never raises."""
        ...
