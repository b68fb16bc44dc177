"""Connections and the state of the system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, KindLabel, Request, Time, Title, kind_label, time_text
from headrace.model.time import format_time
from headrace.sdk.driver import BrowseNode
from headrace.sdk.field import LinkStatus
from headrace.sdk.outlet import OutletStatus
from headrace.sdk.posture import Judged, SettingInForce
from headrace.sdk.services import FeedCounters, IngestCounters
from headrace.sdk.store import DiskOutlook, StoreStats


class SecuritySetting(Answer):
    """`differs` is to be mended; at `look` a person has to decide: right in one plant, wrong in another."""

    name: str = Field(examples=["second-factor"])
    value: str
    advised: str
    judged: Judged
    clause: str = Field(description="Who asks for it.", examples=["62443-3-3 SR 1.1 RE 2"])

    @classmethod
    def of(cls, setting: SettingInForce) -> Self:
        return cls(**asdict(setting))


class ConnectionCounters(Answer):
    """Since the connection was declared."""

    connects: int
    losses: int
    requests: int
    failures: int
    samples: int
    bad_samples: int
    overruns: int
    dropped: int
    unstorable: int = Field(description="Samples that history refuses as they are.")
    own: dict[str, float] = Field(description="What the driver itself counts, by name.", examples=[{"connections": 7}])
    last_sample_at: Time | None
    round_trip_ms: float


class ConnectionAnswer(Answer):
    name: str
    driver: str = Field(examples=["modbus"])
    title: Title
    state: Literal["disabled", "connecting", "connected", "waiting", "refused"]
    since: Time
    points: int
    error: str
    next_try_s: float | None
    counters: ConnectionCounters

    @classmethod
    def of(cls, status: LinkStatus, title: Mapping[str, str]) -> Self:
        counters = asdict(status.counters)
        last_ns = counters.pop("last_sample_ns")
        return cls(
            name=status.connection,
            driver=status.driver,
            title=dict(title),
            state=status.state.value,
            since=format_time(status.since_ns),
            points=status.points,
            error=status.error,
            next_try_s=status.next_try_s,
            counters=ConnectionCounters(**counters, last_sample_at=time_text(last_ns or None)),
        )


class OutletCountersAnswer(Answer):
    """Since it was declared. `samples` and `events` were taken by the other side; `given_up` are dead letters."""

    connects: int
    losses: int
    sends: int
    failures: int
    samples: int
    events: int
    dropped: int
    dropped_events: int
    given_up: int
    waiting: int
    waiting_bytes: int
    last_sent_at: Time | None
    round_trip_ms: float


class OutletAnswer(Answer):
    name: str
    protocol: str = Field(examples=["mqtt"])
    title: Title
    state: Literal["disabled", "connecting", "connected", "waiting", "refused"]
    since: Time
    points: int
    error: str
    next_try_s: float | None
    counters: OutletCountersAnswer

    @classmethod
    def of(cls, status: OutletStatus, title: Mapping[str, str]) -> Self:
        counters = asdict(status.counters)
        last_ns = counters.pop("last_sent_ns")
        return cls(
            name=status.outlet,
            protocol=status.protocol,
            title=dict(title),
            state=status.state.value,
            since=format_time(status.since_ns),
            points=status.points,
            error=status.error,
            next_try_s=status.next_try_s,
            counters=OutletCountersAnswer(**counters, last_sent_at=time_text(last_ns or None)),
        )


class BrowseNodeAnswer(Answer):
    """Something a device offers. `address` can be pasted into a declaration; `kind` is null for a folder."""

    name: str
    address: Mapping[str, Any]
    kind: KindLabel | None
    has_children: bool
    writable: bool
    unit: str | None
    description: str

    @classmethod
    def of(cls, node: BrowseNode) -> Self:
        return cls(
            name=node.name,
            address=dict(node.address),
            kind=kind_label(node.kind) if node.kind else None,
            has_children=node.has_children,
            writable=node.writable,
            unit=node.unit,
            description=node.description,
        )


class BrowseAnswer(Answer):
    nodes: list[BrowseNodeAnswer]
    truncated: bool = Field(description="More than the API lists of one folder.")


class Fingerprint(Answer):
    """What the server shows now: SHA-256 of its certificate. Compare it with what its maker or screen says."""

    fingerprint: str = Field(examples=["3F:0A:…:C2"])


class TrustRequest(Request):
    fingerprint: str = Field(min_length=1, max_length=200)


class ProcessState(Answer):
    rss_mb: float
    cpu_percent: float
    threads: int


class QueueState(Answer):
    """In samples (events for an event queue)."""

    capacity: int | None
    depth: int
    depth_max: int
    published: int
    delivered: int
    dropped: int


class DiskAnswer(Answer):
    """The disk of the history. Below `needed_bytes` free, samples are refused."""

    state: Literal["enough", "low", "full"]
    free_bytes: int
    needed_bytes: int
    full_in_s: float | None = Field(
        description="At the rate of late; null where it does not fill up, or nobody knows yet."
    )

    @classmethod
    def of(cls, disk: DiskOutlook) -> Self:
        return cls(
            state=disk.state.value,
            free_bytes=disk.free_bytes,
            needed_bytes=disk.needed_bytes,
            full_in_s=None if disk.full_in_s is None else round(disk.full_in_s),
        )


class HistoryState(Answer):
    points: int
    samples: int
    appended: int
    disk_bytes: int
    memory_bytes: int
    segments: int
    oldest_at: Time | None
    newest_at: Time | None
    disk: DiskAnswer | None
    extra: Mapping[str, float]

    @classmethod
    def of(cls, stats: StoreStats) -> Self:
        return cls(
            points=stats.points,
            samples=stats.samples,
            appended=stats.appended,
            disk_bytes=stats.disk_bytes,
            memory_bytes=stats.memory_bytes,
            segments=stats.segments,
            oldest_at=time_text(stats.oldest_ns),
            newest_at=time_text(stats.newest_ns),
            disk=DiskAnswer.of(stats.disk) if stats.disk else None,
            extra=dict(stats.extra),
        )


class FeedState(Answer):
    """The live feed: `coalesced` frames were merged into later ones because a client was still taking the last."""

    clients: int
    frames: int
    coalesced: int
    slow_closed: int

    @classmethod
    def of(cls, counters: FeedCounters) -> Self:
        return cls(
            clients=counters.clients,
            frames=counters.frames,
            coalesced=counters.coalesced,
            slow_closed=counters.slow_closed,
        )


class IngestState(Answer):
    """What others sent by HTTP since the start: `refused` samples and lines were wrong, `ignored` as declared."""

    requests: int
    samples: int
    refused: int
    ignored: int

    @classmethod
    def of(cls, counters: IngestCounters) -> Self:
        return cls(**asdict(counters))


class SystemAnswer(Answer):
    version: str
    started_at: Time
    uptime_s: float
    revision: int
    process: ProcessState
    queues: Mapping[str, QueueState]
    history: HistoryState
    samples_per_s: float
    feed: FeedState
    ingest: IngestState


class Health(Answer):
    status: Literal["ok"] = "ok"
