"""Bounds and patience of the link, for each end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The edge's end. `queue_delay_s` is how long backlog may make others wait on the link."""

    connect_timeout_s: float = 1.0  # short, so that a link that is back is noticed within a second …
    tls_timeout_s: float = 2.0
    patient_timeout_s: float = 10.0  # … but every fourth try waits longer, for links where that is not enough
    answer_timeout_s: float = 10.0
    pause_s_max: float = 1.0
    beat_s: float = 1.0
    silence_s: float = 5.0
    frame_bytes: int = 64 * 1024
    live_bytes: int = 4 * 1024 * 1024  # on the way and not acknowledged
    window_bytes_min: int = 16 * 1024
    window_bytes_max: int = 2 * 1024 * 1024
    queue_delay_s: float = 0.3
    late_s: float = 1.0  # live frames older than this, of which there are more, become backlog
    plan_s: float = 5.0  # the least time between two plans on one connection
    congestion: str = "bbr"  # where the system has it


@dataclass(frozen=True, slots=True)
class HubSettings:
    """The hub's end; `strangers_max` bounds connections that have shown no certificate yet."""

    connections_max: int = 2_000
    strangers_max: int = 50
    handshake_timeout_s: float = 10.0
    beat_s: float = 1.0
    silence_s: float = 10.0
    ack_s: float = 0.05  # acknowledgements are cumulative: one for all that became durable in this time
    queue_bytes: int = 4 * 1024 * 1024  # received and not yet taken, of one edge
    take_samples: int = 32_768  # at once, of one lane
    retry_s: float = 1.0  # until the store is asked again
    fenced_retry_s: float = 1.0  # two machines with one identity end each other's connection no faster
    points_max: int = 100_000  # of one edge
    commands_max: int = 64  # under way at one edge
    congestion: str = "bbr"
