"""What people ask of the registers of devices and edges; `fleet/` answers, `api/` and `cli/` ask.

What machines ask of them is in `devices.py` and `edges.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.devices import DeviceState, Preview
from headrace.sdk.edges import Actual, LinkQuality

# --- devices ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device as the register knows it. `login` is what it shows; `certificate` is None where it shows a secret.

    `publish` and `subscribe` are MQTT topic filters in which `{device}` stands for the login. `rotating`: a new secret
    waits to be shown for the first time; until then the old one is good too. `online`, `peer`, `messages` and
    `refused` are as of the last few seconds; times are ns UTC, None for never.
    """

    name: str
    login: str
    state: DeviceState
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    messages_per_s: float | None = None
    certificate: str | None = None
    rotating: bool = False
    asset: str = ""
    note: str = ""
    gateway: str = ""
    peer: str = ""
    online: bool = False
    created_by: str = ""
    created_ns: int = 0
    first_seen_ns: int | None = None
    last_seen_ns: int | None = None
    messages: int = 0
    refused: int = 0
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class NewDevice:
    """Filters default to `devices/{device}/#`. With `certificate` (SHA-256, hex) no secret is made; `secret` is one
    that the device has already, at least 16 characters; `asset` is the one, declared or not, that it is part of."""

    name: str
    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None
    messages_per_s: float | None = None
    certificate: str | None = None
    secret: str | None = field(default=None, repr=False)
    note: str = ""
    asset: str = ""


@dataclass(frozen=True, slots=True)
class NewAsset:
    """What approving a device declares: an asset of a type, whose points come over a connection."""

    path: str
    type: str
    connection: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    title: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What is None stays."""

    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None
    messages_per_s: float | None = None
    unlimited: bool = False  # no rate of its own any more
    note: str | None = None
    asset: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody who was turned away at the door, and how often since `first_ns`."""

    login: str
    gateway: str
    peer: str
    reason: str
    count: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class DevicePage:
    """`total` are those that fit; `counts` are all devices by state, and those `online`."""

    devices: Sequence[DeviceRecord]
    total: int
    counts: Mapping[str, int]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RowError:
    """`row` counts from 1, the header included."""

    row: int
    message: str


@dataclass(frozen=True, slots=True)
class ImportedDevices:
    """`secrets` by name: those that were made, shown this once. Wrong rows are in `errors`; the others are in."""

    names: Sequence[str]
    secrets: Mapping[str, str] = field(repr=False)
    errors: Sequence[RowError]
    assets: int = 0


class DeviceRegister(Protocol):
    """Each change is durable and in the audit trail on return; `actor` is who made it.

    With `tenant` only that tenant's devices are there; None is all of them.
    """

    def page(
        self,
        *,
        state: DeviceState | None = None,
        query: str = "",
        limit: int = 200,
        cursor: str | None = None,
        tenant: str | None = None,
    ) -> DevicePage:
        """By name. Raises: DataError for a cursor that we never gave."""
        ...

    def get(self, name: str, *, tenant: str | None = None) -> DeviceRecord:
        """Raises: NotFound."""
        ...

    def previews(self, name: str, *, tenant: str | None = None) -> Sequence[Preview]:
        """What a quarantined device sends, newest first. Raises: NotFound."""
        ...

    def suggested(self, name: str, *, tenant: str | None = None) -> tuple[str, ...]:
        """Topic filters that cover what a quarantined device sends. Raises: NotFound."""
        ...

    def refusals(self, *, tenant: str | None = None) -> Sequence[Refusal]:
        """Newest first, a bounded number; of a tenant those that its gateways turned away."""
        ...

    async def add(
        self, actor: str, device: NewDevice, *, tenant: str = DEFAULT_TENANT
    ) -> tuple[DeviceRecord, str | None]:
        """An approved device, and its secret, shown this once. Its name, asset and topics are the tenant's own.

        Raises: Conflict, DataError, LimitReached."""
        ...

    async def approve(
        self,
        actor: str,
        name: str,
        *,
        rename: str | None = None,
        change: DeviceChange,
        asset: NewAsset | None = None,
        tenant: str | None = None,
    ) -> DeviceRecord:
        """Let a device in, and declare its asset. Raises: NotFound, Conflict, DataError, ConfigErrors (all or none)."""
        ...

    async def block(self, actor: str, name: str, *, tenant: str | None = None) -> DeviceRecord:
        """It is closed and kept out until somebody approves it again."""
        ...

    async def change(
        self, actor: str, name: str, change: DeviceChange, *, tenant: str | None = None
    ) -> DeviceRecord: ...

    async def rename(self, actor: str, name: str, new: str, *, tenant: str | None = None) -> DeviceRecord:
        """What people read; it goes on to show its login, by which declarations know it. Raises: NotFound, Conflict,
        DataError."""
        ...

    async def rotate(self, actor: str, name: str, *, at_once: bool = False, tenant: str | None = None) -> str:
        """A new secret, shown this once. The old one is good until the new one is used, unless `at_once`."""
        ...

    async def remove(self, actor: str, name: str, *, tenant: str | None = None) -> None: ...

    async def import_rows(
        self, actor: str, rows: Iterable[tuple[int, Sequence[Any]]], *, tenant: str = DEFAULT_TENANT
    ) -> ImportedDevices:
        """Many devices from the rows of a table, a header first. Raises: DataError where it cannot be read at all."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """`state` is `in use`, `waiting` (issued, not shown yet), `ended` or `revoked`, for a `reason` of RFC 5280. `own`:
    the authority of devices signed it. Times are ns UTC, None for never or not known."""

    device: str
    sha256: str
    serial: str
    state: str
    own: bool
    issued_ns: int
    ends_ns: int | None = None
    used_ns: int | None = None
    revoked_ns: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """PEM: the device's certificate, and the authority that signed it."""

    device: str
    certificate: bytes
    authority: bytes
    sha256: str
    ends_ns: int
    tenant: str = DEFAULT_TENANT


class DeviceCertificateDesk(Protocol):
    """Each change is durable and in the audit trail on return."""

    async def issue(
        self, actor: str, name: str, request: bytes, *, days: float | None = None, at_once: bool = False,
        tenant: str | None = None,
    ) -> IssuedCertificate:  # fmt: skip
        """For the key that signed `request` (PKCS #10); what the request says of its subject does not count.

        What the device showed before is good until it shows this, unless `at_once`. Raises: NotFound; DataError for a
        request or key that is none; Conflict for the key of another device; LimitReached.
        """
        ...

    async def enrol(self, login: str, secret: bytes, request: bytes, peer: str) -> IssuedCertificate:
        """As `issue`, asked for by the device itself, by its secret. Raises: AccessError; LimitReached."""
        ...

    async def renew(self, certificate: bytes, request: bytes, signature: bytes, peer: str) -> IssuedCertificate:
        """As `issue`, asked for by the device itself: `signature` over the request (DER) is by the key of its
        `certificate` (PEM). Raises: AccessError; LimitReached."""
        ...

    async def revoke(
        self, actor: str, name: str, reason: str = "unspecified", *, tenant: str | None = None
    ) -> Sequence[DeviceCertificate]:
        """All of its certificates, at once: it is closed. Raises: NotFound; Conflict where it has none; DataError."""
        ...

    def of(self, name: str, *, tenant: str | None = None) -> Sequence[DeviceCertificate]:
        """Newest first. Raises: NotFound."""
        ...

    def counts(self, *, tenant: str | None = None) -> Mapping[str, int]:
        """`good`, of these `ending` within 30 days; `ended` while in use; `revoked` for cause and not forgotten yet."""
        ...

    def ending(self, *, tenant: str | None = None) -> Sequence[DeviceCertificate]:
        """Those in use that end within 30 days or have ended, the first to end first; a hundred at most."""
        ...

    async def authority(self) -> bytes:
        """PEM; made at first need."""
        ...

    async def revocations(self) -> bytes:
        """The signed list of what is good no more (CRL, DER)."""
        ...


# --- edges --------------------------------------------------------------------------------------------------------


class EdgeState(StrEnum):
    INVITED = "invited"  # a token was made; nobody has come yet
    ENROLLED = "enrolled"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """An edge as its hub knows it. `desired` is the revision that it should run, None where nothing is declared for it.

    `left_out` are points of its connections that it may not bring. `token_ends_ns` tells of a token not spent yet.
    """

    name: str
    prefix: str
    state: EdgeState
    created_ns: int
    created_by: str = ""
    enrolled_ns: int | None = None
    certificate: str = ""
    certificate_ends_ns: int | None = None
    token_ends_ns: int | None = None
    connected: bool = False
    last_contact_ns: int | None = None
    desired: int | None = None
    points: int = 0
    left_out: Sequence[str] = ()
    actual: Actual | None = None
    quality: LinkQuality | None = None
    tenant: str = DEFAULT_TENANT


class EdgeRegister(Protocol):
    """Each change is durable and in the audit trail on return; `actor` is who made it.

    With `tenant` only that tenant's edges are there; None is all of them.
    """

    def edges(self, *, tenant: str | None = None) -> Sequence[EdgeRecord]:
        """By name."""
        ...

    def get(self, name: str, *, tenant: str | None = None) -> EdgeRecord:
        """Raises: NotFound."""
        ...

    async def invite(
        self, actor: str, name: str, prefix: str, *, valid_s: float = 3_600.0, tenant: str = DEFAULT_TENANT
    ) -> tuple[EdgeRecord, str]:
        """A one-time token for a new edge, or for a machine that takes the place of an old one; shown this once.

        A token of this edge that was not spent is good no more. Name and prefix are the tenant's own.
        Raises: DataError, Conflict.
        """
        ...

    async def revoke(self, actor: str, name: str, *, tenant: str | None = None) -> EdgeRecord:
        """Its certificate and tokens are good no more; it is closed at once. Raises: NotFound."""
        ...

    async def remove(self, actor: str, name: str, *, tenant: str | None = None) -> None:
        """Forget it; its samples stay. Raises: NotFound; Conflict while connections are declared to run there."""
        ...
