"""Prometheus text exposition format 0.0.4, written by hand: families in a table, one line a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from headrace.api.services import Services
from headrace.model.alarms import Priority
from headrace.model.time import SECOND_NS
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.field import LinkState
from headrace.sdk.store import DiskState, StoreStats
from headrace.sdk.tenancy import Ground

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Iterable[tuple[Labels, float]]


def render(services: Services, history: StoreStats) -> str:
    """Of the process, and by name of what is the platform's own: other tenants' names are theirs."""
    ground = Ground(services.access.tenancy)
    families = [
        *_process(services),
        *_queues(services, ground),
        *_links(services, ground),
        *_outlets(services, ground),
        *_history(history),
        *_feed(services),
        *_audit(services),
    ]
    families += [*_fleet(services), _certificates(services), _device_certificates(services), _alarms(services, ground)]
    families += _notifications(services)
    return "".join(_text(family) for family in families)


def _process(services: Services) -> Iterator[Family]:
    info = services.system()
    yield Family("headrace_info", "gauge", "Always 1; the version.", [({"version": info.version}, 1.0)])
    yield _single("headrace_start_time_seconds", "gauge", "When the process started.", info.started_ns / SECOND_NS)
    yield _single("headrace_resident_memory_bytes", "gauge", "Resident memory.", info.rss_bytes)
    yield _single("headrace_cpu_percent", "gauge", "Share of one core.", info.cpu_percent)
    yield _single("headrace_threads", "gauge", "Threads.", info.threads)
    yield _single("headrace_samples_per_second", "gauge", "Samples taken in.", info.samples_per_s)


def _device_certificates(services: Services) -> Family:
    samples = [({"state": name}, float(count)) for name, count in services.device_certificates.counts().items()]
    return Family("headrace_device_certificates", "gauge", "Certificates of devices; some are ending.", samples)


def _certificates(services: Services) -> Family:
    samples = [
        ({"kind": one.kind, "subject": one.subject}, one.ends_ns / SECOND_NS) for one in services.certificates.status()
    ]
    return Family("headrace_certificate_ends_seconds", "gauge", "When a certificate ends, Unix time.", samples)


def _queues(services: Services, ground: Ground) -> Iterator[Family]:
    counters = {
        name: one for name, one in services.bus.counters().items() if ground.owns_name(name.removeprefix("outlet "))
    }
    for field, kind, text in (
        ("published", "counter", "Samples given to a queue."),
        ("delivered", "counter", "Samples taken from a queue."),
        ("dropped", "counter", "Samples that a full queue dropped."),
        ("depth", "gauge", "Samples waiting."),
        ("depth_max", "gauge", "Most samples that ever waited."),
    ):
        samples = [({"queue": name}, float(getattr(queue, field))) for name, queue in counters.items()]
        name = f"headrace_queue_{field}_samples" + ("_total" if kind == "counter" else "")
        yield Family(name, "counter" if kind == "counter" else "gauge", text, samples)


def _links(services: Services, ground: Ground) -> Iterator[Family]:
    status = [one for one in services.links.status() if ground.owns_name(one.connection)]
    yield Family(
        "headrace_connection_state",
        "gauge",
        "1 for the state that a connection is in.",
        [
            ({"connection": one.connection, "driver": one.driver, "state": state.value}, float(one.state is state))
            for one in status
            for state in LinkState
        ],
    )
    for field, text in (
        ("connects", "Sessions opened."),
        ("losses", "Sessions lost."),
        ("requests", "Round trips."),
        ("failures", "Round trips that failed."),
        ("samples", "Samples received."),
        ("bad_samples", "Samples received with bad quality."),
        ("overruns", "Reads that were late for their rate."),
        ("dropped", "Samples dropped."),
        ("unstorable", "Samples that history refuses as they are."),
    ):
        samples = [({"connection": one.connection}, float(getattr(one.counters, field))) for one in status]
        yield Family(f"headrace_connection_{field}_total", "counter", text, samples)
    own = [
        ({"connection": one.connection, "name": name}, value)
        for one in status
        for name, value in one.counters.own.items()
    ]
    yield Family("headrace_connection_own", "gauge", "What the driver itself counts.", own)
    trips = [({"connection": one.connection}, one.counters.round_trip_ms / 1_000) for one in status]
    yield Family("headrace_connection_round_trip_seconds", "gauge", "The last round trip.", trips)


def _outlets(services: Services, ground: Ground) -> Iterator[Family]:
    status = [one for one in services.outlets.status() if ground.owns_name(one.outlet)]
    yield Family(
        "headrace_outlet_state",
        "gauge",
        "1 for the state that an outlet is in.",
        [
            ({"outlet": one.outlet, "protocol": one.protocol, "state": state.value}, float(one.state is state))
            for one in status
            for state in LinkState
        ],
    )
    for field, kind, text in (
        ("connects", "counter", "Sessions opened."),
        ("losses", "counter", "Sessions lost."),
        ("failures", "counter", "Sends that failed."),
        ("samples", "counter", "Samples that the other side took."),
        ("events", "counter", "Events that the other side took."),
        ("dropped", "counter", "Samples for which there was no more room."),
        ("dropped_events", "counter", "Events for which there was no more room."),
        ("given_up", "counter", "Samples and events that the other side will never take."),
        ("waiting", "gauge", "Samples waiting."),
        ("waiting_bytes", "gauge", "Bytes waiting on disk."),
    ):
        samples = [({"outlet": one.outlet}, float(getattr(one.counters, field))) for one in status]
        name = f"headrace_outlet_{field}" + ("_total" if kind == "counter" else "")
        yield Family(name, "counter" if kind == "counter" else "gauge", text, samples)
    ingest = services.ingest.counters
    yield _single("headrace_ingest_requests_total", "counter", "Requests that sent samples.", ingest.requests)
    yield _single("headrace_ingest_samples_total", "counter", "Samples sent by others and stored.", ingest.samples)
    yield _single("headrace_ingest_refused_total", "counter", "Samples and lines that were wrong.", ingest.refused)


def _history(stats: StoreStats) -> Iterator[Family]:
    yield _single("headrace_history_appended_samples_total", "counter", "Samples stored.", stats.appended)
    yield _single("headrace_history_samples", "gauge", "Samples held.", stats.samples)
    yield _single("headrace_history_points", "gauge", "Points held.", stats.points)
    yield _single("headrace_history_segments", "gauge", "Segments on disk.", stats.segments)
    yield _single("headrace_history_disk_bytes", "gauge", "Bytes on disk.", stats.disk_bytes)
    yield _single("headrace_history_memory_bytes", "gauge", "Bytes in memory.", stats.memory_bytes)
    if stats.newest_ns is not None:
        newest_s = stats.newest_ns / SECOND_NS
        yield _single("headrace_history_newest_sample_time_seconds", "gauge", "Newest source time.", newest_s)
    if stats.disk is not None:
        yield _single("headrace_history_disk_free_bytes", "gauge", "Free on its disk.", stats.disk.free_bytes)
        yield _single(
            "headrace_history_disk_needed_bytes", "gauge", "Below it samples are refused.", stats.disk.needed_bytes
        )
        states = [({"state": state.value}, float(state is stats.disk.state)) for state in DiskState]
        yield Family("headrace_history_disk_state", "gauge", "1 for the state that the disk is in.", states)
        if stats.disk.full_in_s is not None:
            yield _single(
                "headrace_history_disk_full_in_seconds", "gauge", "At the present rate.", stats.disk.full_in_s
            )
    extra = [({"name": name}, float(value)) for name, value in sorted(stats.extra.items())]
    yield Family("headrace_history_detail", "gauge", "The store's own figures.", extra)


def _feed(services: Services) -> Iterator[Family]:
    feed = services.feed
    yield _single("headrace_feed_clients", "gauge", "Live feed clients.", feed.clients)
    yield _single("headrace_feed_frames_total", "counter", "Frames sent.", feed.frames)
    yield _single("headrace_feed_coalesced_frames_total", "counter", "Frames merged for slow clients.", feed.coalesced)
    yield _single("headrace_feed_slow_closed_total", "counter", "Clients closed for taking nothing.", feed.slow_closed)


def _audit(services: Services) -> Iterator[Family]:
    state = services.trail.state()
    counters = state.counters
    yield _single("headrace_audit_entries_total", "counter", "Entries recorded.", counters.entries)
    yield _single("headrace_audit_failures_total", "counter", "Entries that could not be.", counters.failures)
    failing = float(state.failing_since_ns is not None)
    yield _single("headrace_audit_failing", "gauge", "1 while the trail cannot be written.", failing)
    yield _single("headrace_audit_troubles", "gauge", "What a person has to see to.", len(state.trouble))
    yield _single("headrace_audit_head_sequence", "gauge", "The newest entry.", state.head.sequence)
    if state.checkpoint is not None:
        signed = state.checkpoint.sequence
        yield _single("headrace_audit_checkpoint_sequence", "gauge", "The newest entry that was signed.", signed)
    if state.checkpoint_ns is not None:
        at_s = state.checkpoint_ns / SECOND_NS
        yield _single("headrace_audit_checkpoint_time_seconds", "gauge", "When that was.", at_s)
    yield _single("headrace_audit_archived_sequence", "gauge", "The newest entry in archives.", state.archived_until)
    if state.free_bytes is not None:
        yield _single("headrace_audit_disk_free_bytes", "gauge", "Free on the disk of its files.", state.free_bytes)


def _fleet(services: Services) -> Iterator[Family]:
    counts = dict(services.devices.page(limit=1, tenant=DEFAULT_TENANT).counts)
    yield _single("headrace_devices_online", "gauge", "Devices that are connected.", counts.pop("online"))
    states = [({"state": state}, float(count)) for state, count in counts.items()]
    yield Family("headrace_devices", "gauge", "Devices by state.", states)
    edges = services.edges.edges(tenant=DEFAULT_TENANT)
    for name, text, value in (
        ("connected", "1 where the link stands.", [float(edge.connected) for edge in edges]),
        ("desired_revision", "What it should run.", [float(edge.desired or 0) for edge in edges]),
        (
            "actual_revision",
            "What it says it runs.",
            [float(edge.actual.revision if edge.actual else 0) for edge in edges],
        ),
        ("backlog_seconds", "Age of what waits.", [edge.quality.backlog_s if edge.quality else 0.0 for edge in edges]),
    ):
        samples: list[tuple[Labels, float]] = [
            ({"edge": edge.name}, one) for edge, one in zip(edges, value, strict=True)
        ]
        yield Family(f"headrace_edge_{name}", "gauge", text, samples)


def _notifications(services: Services) -> Iterator[Family]:
    """Of all who are told on this platform: a channel that fails is in the log and in `/api/v1/notifications`."""
    counters = services.notifications.counters
    for field, kind, text in (
        ("sent", "counter", "Messages that a channel has taken."),
        ("failed", "counter", "Messages that no channel has taken."),
        ("retried", "counter", "Tries that were put off, for the channel was away or busy."),
        ("lost", "counter", "Alarms for whose telling there was no more room."),
        ("open_cases", "gauge", "Alarms of which somebody is to be told, or was."),
        ("pending", "gauge", "Messages waiting to be sent."),
    ):
        name = f"headrace_notifications_{field}" + ("_total" if kind == "counter" else "")
        yield _single(name, "counter" if kind == "counter" else "gauge", text, float(getattr(counters, field)))


def _alarms(services: Services, ground: Ground) -> Family:
    counts = Counter(
        (one.rule.priority.value, one.state.value) for one in services.alarms.current() if ground.owns(one.rule.point)
    )
    for priority in Priority:
        counts.setdefault((priority.value, "unack-active"), 0)
    samples = [({"priority": p, "state": s}, float(count)) for (p, s), count in sorted(counts.items())]
    return Family("headrace_alarms", "gauge", "Alarms that are not normal.", samples)


def _single(name: str, kind: Literal["counter", "gauge"], text: str, value: float) -> Family:
    return Family(name, kind, text, [({}, float(value))])


def _text(family: Family) -> str:
    lines = [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
    for labels, value in family.samples:
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        lines.append(f"{family.name}{{{inside}}} {_number(value)}" if inside else f"{family.name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**63 else repr(value)
