"""Edges seen from their hub: who may connect, what each should run, what it says it runs, and how good its link is.

    edge ──EdgeToken──► EdgeDoor.enrol ──► certificate              once; the token's digest proves the hub before that
    edge ──certificate─► EdgeDoor.admit ──► Edge                    at each connection; fences the older one
    edge ──new key────► EdgeDoor.renew ──► certificate              over the link, when its certificate grows old
    EdgeDesk.desired ──document, revision──► edge ──Actual──► EdgeDesk.reported
    the hub's end of the link ──LinkQuality, once a second──► EdgeDesk.measured
    an engineer applies, revokes ──► EdgeDesk.changes ──► the hub's end sends what is desired, or closes

The wire is `exchange/`'s, the register is `fleet/`'s; `platform/` brings them together.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from headrace.model.errors import DataError
from headrace.model.points import check_path
from headrace.sdk.access import DEFAULT_TENANT

#: The one name in the certificate of every hub: edges ask TLS for it, whatever address they dialled.
HUB_NAME: Final = "headrace-hub"
EDGE_NAME_LENGTH_MAX: Final = 60  # it is a common name too: RFC 5280 appendix A.1, ub-common-name
TOKEN_MARK: Final = "hre_"
_TOKEN_TEXT_MAX: Final = 1_000
_DIGEST_BYTES: Final = 32
_SECRET_BYTES: Final = 32


def check_edge_name(name: str) -> str:
    """One segment of a path, because an edge stands in the plant as `system/edges/<name>`. Raises: DataError."""
    if "/" in name or len(name) > EDGE_NAME_LENGTH_MAX:
        raise DataError(f"'{name[:80]}' is no name of an edge: at most {EDGE_NAME_LENGTH_MAX} characters, without '/'")
    return check_path(name)


@dataclass(frozen=True, slots=True)
class EdgeToken:
    """A one-time permission to enrol. `authority`: SHA-256 of the hub's CA certificate (DER), so that the very first
    connection knows its hub. `secret`: 32 random bytes.

    As text: `hre_` and base64url of authority, secret, name (UTF-8) and CRC-32 of these, big-endian.
    """

    edge: str
    authority: bytes
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        body = self.authority + self.secret + self.edge.encode()
        whole = body + zlib.crc32(body).to_bytes(4, "big")
        return TOKEN_MARK + base64.urlsafe_b64encode(whole).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> EdgeToken:
        """Raises: DataError, also where a part was cut off when it was copied."""
        text = text.strip()
        if not text.startswith(TOKEN_MARK) or len(text) > _TOKEN_TEXT_MAX:
            raise DataError(f"this is no enrolment token; one begins with '{TOKEN_MARK}' and is made on the hub")
        coded = text.removeprefix(TOKEN_MARK)
        try:
            whole = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
            body, check = whole[:-4], whole[-4:]
            edge = body[_DIGEST_BYTES + _SECRET_BYTES :].decode()
        except (binascii.Error, ValueError):
            raise DataError("the enrolment token is damaged; copy it again, all of it") from None
        if not edge or len(whole) <= 4 or zlib.crc32(body).to_bytes(4, "big") != check:
            raise DataError("the enrolment token is damaged or not whole; copy it again, all of it")
        return cls(edge, body[:_DIGEST_BYTES], body[_DIGEST_BYTES : _DIGEST_BYTES + _SECRET_BYTES])


@dataclass(frozen=True, slots=True)
class HubIdentity:
    """What the hub's listener needs, PEM: its CA, and its own chain and key."""

    authority: bytes
    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Edge:
    """`prefix` is the part of the model that is this edge's: it may bring samples for paths under it, and no others."""

    name: str
    prefix: str
    certificate: str  # SHA-256 of it, hex
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Desired:
    """What an edge should run: declarations as text, by file name. `revision` only grows.

    `devices` is what its gateways know devices by, as `fleet/` on the hub wrote it for `fleet/` on the edge.
    """

    revision: int
    files: Mapping[str, str]
    devices: str = field(default="", repr=False)


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
    async def identity(self) -> HubIdentity:
        """The hub's own certificate, made at first need and again before it ends. Raises: ConfigError."""
        ...

    async def enrol(self, token: str, request: bytes, peer: str) -> tuple[Edge, bytes]:
        """Spend a one-time token; `request` is a PKCS #10 request, PEM. Gives the certificate chain, PEM.

        An edge that lost the answer may ask again with the same key, until it first connects.
        Raises: AccessError for a token that is unknown, spent or expired, the same for each; DataError; LimitReached.
        """
        ...

    async def renew(self, edge: Edge, request: bytes) -> bytes:
        """A new chain for an edge that is connected; the old certificate is good until the new one is used.

        Raises: AccessError once it was revoked; DataError.
        """
        ...

    async def admit(self, certificate: str) -> Edge:
        """By the SHA-256 of the certificate that TLS has verified. Raises: AccessError once it was revoked."""
        ...


class EdgeDesk(Protocol):
    def desired(self, edge: str) -> Desired | None:
        """None while nothing was declared for it."""
        ...

    def reported(self, edge: str, actual: Actual) -> None:
        """Never blocks, never raises."""
        ...

    def measured(self, edge: str, quality: LinkQuality) -> None:
        """Never blocks, never raises."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Names of edges whose desired state or admission is no longer what it was, until the platform stops."""
        ...


class Declarations(Protocol):
    """What `fleet/` asks of the registry."""

    async def shares(self, prefixes: Mapping[str, str]) -> Mapping[str, Share]:
        """The part of the plant that each edge (name to prefix) should run."""
        ...


@dataclass(frozen=True, slots=True)
class Share:
    """An edge's part of the plant: text that stands on its own. `left_out` are points that its connections have
    outside its prefix, or that no edge can run; `drivers` are those of its own connections."""

    files: Mapping[str, str] = field(default_factory=dict)
    points: int = 0
    left_out: Sequence[str] = ()
    drivers: frozenset[str] = frozenset()
