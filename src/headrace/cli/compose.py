"""Where the running rooms meet the HTTP surface: the one place that knows both `platform/` and `api/`."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from headrace import __version__
from headrace.api.services import Services, SystemInfo
from headrace.api.settings import ApiSettings
from headrace.platform.platform import Platform
from headrace.platform.posture import posture
from headrace.platform.settings import Settings
from headrace.sdk.services import FeedCounters

RATE_OVER_S = 5.0


def services(platform: Platform) -> Services:
    """What the API stands on."""
    return Services(
        registry=platform.registry,
        store=platform.store,
        live=platform.live,
        alarms=platform.alarms,
        calculations=platform.calculations,
        backtests=platform.backtests,
        notifications=platform.notifications,
        streams=platform.streams,
        apps=platform.apps,
        commands=platform.commands,
        links=platform.links,
        access=platform.access,
        audit=platform.access,
        trail=platform.trail,
        bus=platform.bus,
        clock=platform.clock,
        feed=FeedCounters(),
        system=_system(platform),
        care=platform.care,
        ingest=platform.ingest,
        outlets=platform.outlets,
        devices=platform.devices,
        edges=platform.edges,
        certificates=platform.certificates,
        device_certificates=platform.devices.certificates,
        posture=lambda: posture(platform),
    )


def api_settings(settings: Settings) -> ApiSettings:
    return ApiSettings(
        host=settings.host,
        port=settings.port,
        tls=settings.secure,
        behind_tls=settings.behind_tls,
        hosts=settings.hosts,
    )


def _system(platform: Platform) -> Callable[[], SystemInfo]:
    """Rates are over at least five seconds, whoever asks how often."""
    process = psutil.Process()
    process.cpu_percent()
    seen_s, seen_samples = time.monotonic(), platform.pipeline.stored + platform.pipeline.taken
    rate, cpu_percent = 0.0, 0.0

    def now() -> SystemInfo:
        nonlocal seen_s, seen_samples, rate, cpu_percent
        at_s = time.monotonic()
        if at_s - seen_s >= RATE_OVER_S or rate == 0.0:
            stored = platform.pipeline.stored + platform.pipeline.taken
            rate = (stored - seen_samples) / max(at_s - seen_s, 1e-3)
            cpu_percent = process.cpu_percent()
            seen_s, seen_samples = at_s, stored
        return SystemInfo(
            version=__version__,
            started_ns=platform.started_ns,
            rss_bytes=process.memory_info().rss,
            cpu_percent=cpu_percent,
            threads=process.num_threads(),
            samples_per_s=rate,
            queue_capacities=platform.bus.capacities(),
        )

    return now
