"""Devices and edges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from headrace.api.schemas.base import Answer, Request, Time, Title, time_text
from headrace.model.time import format_time
from headrace.sdk.devices import Preview
from headrace.sdk.edges import LinkQuality
from headrace.sdk.fleet import (
    DeviceChange,
    DevicePage,
    DeviceRecord,
    EdgeRecord,
    ImportedDevices,
    NewAsset,
    NewDevice,
    Refusal,
)

State = Literal["quarantined", "approved", "blocked"]
DeviceName = Annotated[str, Field(min_length=1, max_length=96, examples=["press-7"])]
Filters = Annotated[
    list[Annotated[str, Field(max_length=512)]],
    Field(
        max_length=32, description="MQTT topic filters; `{device}` stands for the login.", examples=[["a/{device}/#"]]
    ),
]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Certificate = Annotated[
    str, Field(max_length=32_768, description="The client certificate in PEM, or its SHA-256, hex.")
]
Parameter = StrictBool | StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)] | StrictStr


class DeviceAnswer(Answer):
    """`login` is what the device shows; `rotating`: a new secret waits to be used, until then the old one is good."""

    name: str
    login: str
    state: State
    credential: Literal["secret", "certificate"]
    certificate: str | None
    rotating: bool
    publish: list[str]
    subscribe: list[str]
    messages_per_s: float | None
    asset: str
    note: str
    gateway: str
    peer: str
    online: bool
    created_by: str
    created_at: Time
    first_seen_at: Time | None
    last_seen_at: Time | None
    messages: int
    refused: int

    @classmethod
    def of(cls, record: DeviceRecord) -> Self:
        return cls(
            name=record.name,
            login=record.login,
            state=record.state.value,
            credential="secret" if record.certificate is None else "certificate",
            certificate=record.certificate,
            rotating=record.rotating,
            publish=list(record.publish),
            subscribe=list(record.subscribe),
            messages_per_s=record.messages_per_s,
            asset=record.asset,
            note=record.note,
            gateway=record.gateway,
            peer=record.peer,
            online=record.online,
            created_by=record.created_by,
            created_at=format_time(record.created_ns),
            first_seen_at=time_text(record.first_seen_ns),
            last_seen_at=time_text(record.last_seen_ns),
            messages=record.messages,
            refused=record.refused,
        )


class DeviceCounts(Answer):
    quarantined: int
    approved: int
    blocked: int
    online: int


class DevicesAnswer(Answer):
    """`total` are those that fit; `counts` are of all devices."""

    devices: list[DeviceAnswer]
    total: int
    counts: DeviceCounts
    next_cursor: str | None

    @classmethod
    def of(cls, page: DevicePage) -> Self:
        return cls(
            devices=[DeviceAnswer.of(record) for record in page.devices],
            total=page.total,
            counts=DeviceCounts(**page.counts),
            next_cursor=page.next_cursor,
        )


class PreviewAnswer(Answer):
    """What a device in quarantine sent last on a topic: its first bytes as text, or as hex where they are no text."""

    topic: str
    payload: str
    form: Literal["text", "hex"]
    bytes: int
    received_at: Time

    @classmethod
    def of(cls, preview: Preview) -> Self:
        payload, form = _readable(preview.payload)
        return cls(
            topic=preview.topic,
            payload=payload,
            form=form,
            bytes=preview.bytes,
            received_at=format_time(preview.received_ns),
        )


class DeviceDetail(Answer):
    """`suggested_publish` covers what a device in quarantine sends."""

    device: DeviceAnswer
    previews: list[PreviewAnswer]
    suggested_publish: list[str]


class NewDeviceRequest(Request):
    """Without `certificate` and `secret` a secret is made. Filters default to `devices/{device}/#`."""

    name: DeviceName
    publish: Filters | None = None
    subscribe: Filters | None = None
    messages_per_s: Rate | None = None
    certificate: Certificate | None = None
    secret: Annotated[str, Field(max_length=1024)] | None = None
    note: Annotated[str, Field(max_length=1000)] = ""
    asset: Annotated[
        str, Field(max_length=512, description="What it is part of; an edge lets in those of its own part.")
    ] = ""

    def wanted(self) -> NewDevice:
        return NewDevice(
            self.name,
            _tuple(self.publish),
            _tuple(self.subscribe),
            self.messages_per_s,
            self.certificate,
            self.secret,
            self.note,
            self.asset,
        )


class CreatedDevice(Answer):
    """`secret` is shown once; null where the device brings its own credential."""

    device: DeviceAnswer
    secret: str | None


class NewSecret(Answer):
    """Shown once."""

    secret: str


class RotateRequest(Request):
    at_once: bool = Field(False, description="The old secret is good no more from now on, not from the first use on.")


class DeviceChangeRequest(Request):
    """What is absent stays; `messages_per_s` null takes the device's own limit away."""

    name: DeviceName | None = None
    publish: Filters | None = None
    subscribe: Filters | None = None
    messages_per_s: Rate | None = None
    note: Annotated[str, Field(max_length=1000)] | None = None
    asset: Annotated[str, Field(max_length=512)] | None = None

    def wanted(self) -> DeviceChange:
        return DeviceChange(
            _tuple(self.publish),
            _tuple(self.subscribe),
            self.messages_per_s,
            "messages_per_s" in self.model_fields_set and self.messages_per_s is None,
            self.note,
            self.asset,
        )


class NewAssetRequest(Request):
    """Declared with the approval, in `devices.yaml`."""

    path: Annotated[str, Field(min_length=1, max_length=512)]
    type: Annotated[str, Field(min_length=1, max_length=96)]
    connection: Annotated[str, Field(min_length=1, max_length=96)]
    parameters: Annotated[dict[str, Parameter], Field(max_length=100, default_factory=dict)]
    title: Annotated[Title, Field(default_factory=dict)]

    def wanted(self) -> NewAsset:
        return NewAsset(self.path, self.type, self.connection, self.parameters, self.title)


class ApproveRequest(DeviceChangeRequest):
    """`name` is what the device is called from now on."""

    declare: NewAssetRequest | None = None


class RefusalAnswer(Answer):
    """Somebody who was turned away at the door."""

    login: str
    gateway: str
    peer: str
    reason: str = Field(examples=["unknown", "wrong credential", "blocked", "quarantine full"])
    count: int
    first_at: Time
    last_at: Time

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        return cls(
            login=refusal.login,
            gateway=refusal.gateway,
            peer=refusal.peer,
            reason=refusal.reason,
            count=refusal.count,
            first_at=format_time(refusal.first_ns),
            last_at=format_time(refusal.last_ns),
        )


class DeviceSecret(Answer):
    name: str
    secret: str


class WrongRow(Answer):
    """`row` counts from 1, the header included."""

    row: int
    message: str


class DeviceImportAnswer(Answer):
    """Wrong rows say why; the others are in. Secrets that were made are shown once."""

    devices: int
    assets: int
    secrets: list[DeviceSecret]
    errors: list[WrongRow]

    @classmethod
    def of(cls, done: ImportedDevices) -> Self:
        return cls(
            devices=len(done.names),
            assets=done.assets,
            secrets=[DeviceSecret(name=name, secret=secret) for name, secret in done.secrets.items()],
            errors=[WrongRow(row=error.row, message=error.message) for error in done.errors],
        )


# --- edges ------------------------------------------------------------------------------------------------------------


class LinkAnswer(Answer):
    """The last second of a link. Times are of a round trip; `loss` is a share; null where it is not known."""

    latency_ms: float | None
    jitter_ms: float | None
    loss: float | None
    received_bytes_per_s: float | None
    samples_per_s: float | None
    backlog_samples: int
    backlog_bytes: int
    backlog_s: float | None
    late_ms: float | None
    spool_used: float | None
    dropped_samples: int

    @classmethod
    def of(cls, link: LinkQuality) -> Self:
        return cls(
            latency_ms=_finite(link.latency_ms),
            jitter_ms=_finite(link.jitter_ms),
            loss=_finite(link.loss),
            received_bytes_per_s=_finite(link.received_bytes_per_s),
            samples_per_s=_finite(link.samples_per_s),
            backlog_samples=link.backlog_samples,
            backlog_bytes=link.backlog_bytes,
            backlog_s=_finite(link.backlog_s),
            late_ms=_finite(link.late_ms),
            spool_used=_finite(link.spool_used),
            dropped_samples=link.dropped_samples,
        )


class ActualAnswer(Answer):
    """What the edge says that it runs; `error` tells why it could not become what was desired."""

    revision: int
    error: str
    version: str
    facts: Mapping[str, Any]


class EdgeAnswer(Answer):
    """`desired` is null while nothing is declared for it. `asset` has the points of its link."""

    name: str
    prefix: str
    state: Literal["invited", "enrolled", "revoked"]
    asset: str
    connected: bool
    created_by: str
    created_at: Time
    enrolled_at: Time | None
    certificate: str
    certificate_ends_at: Time | None
    token_ends_at: Time | None
    last_contact_at: Time | None
    desired: int | None
    points: int
    left_out: list[str]
    actual: ActualAnswer | None
    link: LinkAnswer | None

    @classmethod
    def of(cls, record: EdgeRecord) -> Self:
        actual = record.actual
        return cls(
            name=record.name,
            prefix=record.prefix,
            state=record.state.value,
            asset=f"system/edges/{record.name}",
            connected=record.connected,
            created_by=record.created_by,
            created_at=format_time(record.created_ns),
            enrolled_at=time_text(record.enrolled_ns),
            certificate=record.certificate,
            certificate_ends_at=time_text(record.certificate_ends_ns),
            token_ends_at=time_text(record.token_ends_ns),
            last_contact_at=time_text(record.last_contact_ns),
            desired=record.desired,
            points=record.points,
            left_out=list(record.left_out),
            actual=None
            if actual is None
            else ActualAnswer(
                revision=actual.revision, error=actual.error, version=actual.version, facts=dict(actual.facts)
            ),
            link=None if record.quality is None else LinkAnswer.of(record.quality),
        )


class EdgesAnswer(Answer):
    """`strangers` are connections that are declared to run on an edge nobody invited: they run nowhere."""

    edges: list[EdgeAnswer]
    strangers: Mapping[str, str] = Field(examples=[{"press-plc": "suzou"}])


class Invitation(Request):
    """`prefix` is the part of the plant that the edge may bring samples for."""

    name: Annotated[str, Field(min_length=1, max_length=60, examples=["suzhou"])]
    prefix: Annotated[str, Field(min_length=1, max_length=512, examples=["acme/suzhou"])]
    valid_s: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False, description="From a minute to 30 days.")] = 3_600


class InvitedEdge(Answer):
    """`token` is good once, and shown once."""

    edge: EdgeAnswer
    token: str


def _tuple(filters: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if filters is None else tuple(filters)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _readable(payload: bytes) -> tuple[str, Literal["text", "hex"]]:
    """A cut character at the end is no reason to show hex."""
    for cut in range(4):
        try:
            text = payload[: len(payload) - cut].decode()
        except UnicodeDecodeError:
            continue
        if all(one.isprintable() or one in "\n\r\t" for one in text) and (text or not payload):
            return text, "text"
        break
    return payload.hex(" "), "hex"
