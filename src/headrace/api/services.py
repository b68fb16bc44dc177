"""What the API stands on: one of each service, gathered by `platform/`. The API holds no other state of the plant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.sdk.access import AuditLog
from headrace.sdk.accounts import AccessDesk
from headrace.sdk.app_desk import AppDesk
from headrace.sdk.audit import AuditDesk
from headrace.sdk.bus import Bus
from headrace.sdk.certificates import Certificates
from headrace.sdk.clock import Clock
from headrace.sdk.commands import CommandDesk
from headrace.sdk.computing import Backtests, Calculations, Streams
from headrace.sdk.fleet import DeviceCertificateDesk, DeviceRegister, EdgeRegister
from headrace.sdk.notify import NotificationDesk
from headrace.sdk.posture import SettingInForce
from headrace.sdk.services import AlarmDesk, FeedCounters, HistoryCare, Ingest, Links, LiveValues, Outlets, Registry
from headrace.sdk.store import HistoryStore


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """The process as it stands. `queue_capacities` is in samples, by the names of `Bus.counters()`."""

    version: str
    started_ns: int
    rss_bytes: int
    cpu_percent: float
    threads: int
    samples_per_s: float
    queue_capacities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Services:
    """`registry.apply` must return once the running system has taken the new plant in hand."""

    registry: Registry
    store: HistoryStore
    live: LiveValues
    alarms: AlarmDesk
    commands: CommandDesk
    links: Links
    access: AccessDesk
    audit: AuditLog
    trail: AuditDesk
    bus: Bus
    clock: Clock
    feed: FeedCounters
    system: Callable[[], SystemInfo]
    care: HistoryCare
    devices: DeviceRegister
    edges: EdgeRegister
    ingest: Ingest
    outlets: Outlets
    certificates: Certificates
    device_certificates: DeviceCertificateDesk
    posture: Callable[[], Awaitable[Sequence[SettingInForce]]]
    calculations: Calculations
    backtests: Backtests
    notifications: NotificationDesk
    streams: Streams
    apps: AppDesk
