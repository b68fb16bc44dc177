"""Every bound of a gateway, and everything that it counts. What meets a bound waits, or is dropped and counted."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum


class Overload(StrEnum):
    """What happens to messages of QoS 0 when more comes than can be stored. QoS 1 and 2 always wait."""

    WAIT = "wait"  # sockets are not read: devices feel it
    DROP = "drop"  # what is not promised goes, and is counted; sockets are read until memory is half full


@dataclass(frozen=True, slots=True)
class Limits:
    """`pending_bytes_max` bounds what has been read and is not stored yet, of all devices together."""

    connections_max: int = 20_000
    connections_per_device_max: int = 8
    admissions_max: int = 64  # devices whose credentials are being checked at one moment
    connect_timeout_s: float = 10.0
    keep_alive_s_max: int = 3600
    session_expiry_s_max: int = 7 * 86_400
    packet_bytes_max: int = 256 * 1024
    client_id_bytes_max: int = 256
    receive_max: int = 100  # messages of QoS 1 and 2 of one connection that are not acknowledged yet
    topic_alias_max: int = 32
    subscriptions_max: int = 100  # of one session
    queue_max: int = 1000  # messages that wait for one session
    queue_bytes_max: int = 4 << 20
    slow_s_max: float = 60.0  # how long a device may not read what it is sent
    retained_max: int = 100_000
    retained_bytes_max: int = 64 << 20
    messages_per_s: float = 1000.0  # of one connection; beyond it the socket is not read for a while
    pending_bytes_max: int = 64 << 20
    gather_s: float = 0.025
    gather_max: int = 512
    overload: Overload = Overload.WAIT


#: What a message costs in memory beside its payload, about.
MESSAGE_BYTES = 400


@dataclass(slots=True)
class Counters:
    """Since the gateway was opened; the first three are what is now."""

    connections: int = 0
    sessions: int = 0
    pending_bytes: int = 0
    connects: int = 0
    refused_connects: int = 0
    taken_over: int = 0
    lost_connections: int = 0  # ended without goodbye
    garbled_connections: int = 0
    timed_out: int = 0
    messages: int = 0
    message_bytes: int = 0
    stored_messages: int = 0
    refused_messages: int = 0  # could not be understood
    denied_messages: int = 0  # on topics that the device may not publish to
    quarantined_messages: int = 0
    unstored_messages: int = 0  # the platform took nothing for the moment; QoS 1 and 2 come again
    dropped_messages: int = 0  # QoS 0 under overload
    ignored_messages: int = 0  # no declared point asks for them
    throttled: int = 0  # times that a device was too fast
    halts: int = 0  # times that no socket was read
    delivered: int = 0  # messages sent to devices
    undelivered: int = 0  # dropped because a device was slow or away, or takes only smaller ones
    expired: int = 0
    wills: int = 0

    def as_mapping(self) -> dict[str, float]:
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}
