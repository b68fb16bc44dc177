"""Who a device is and what it may publish: asked by gateways, decided by the register of devices.

CONNECT ──► Claim ──► DeviceDoor.admit ──► Admission      approved: its samples are stored
                                      ├──► Admission      quarantined: an engineer sees what it sends, nothing is stored
                                      └──► AccessError    unknown, wrong credential, blocked
an engineer approves, blocks, renames ──► DeviceDoor.changes ──► the gateway closes that device, which comes again
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class DeviceState(StrEnum):
    QUARANTINED = "quarantined"  # has shown a credential and waits for an engineer
    APPROVED = "approved"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a device shows at the door. `certificate`: SHA-256, hex, of a client certificate that TLS verified."""

    gateway: str
    client_id: str
    peer: str
    user: str | None = None
    password: bytes | None = None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """`publish` and `subscribe` are MQTT topic filters; limits are None where the gateway's own apply."""

    device: str
    state: DeviceState
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    messages_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a quarantined device sends, for whoever is to approve it. `payload` is its first bytes."""

    topic: str
    payload: bytes
    bytes: int
    received_ns: int


class DeviceDoor(Protocol):
    async def admit(self, claim: Claim) -> Admission:
        """Takes the same time for an unknown device as for a wrong password.

        Raises: AccessError; LimitReached for a peer that tries too often, or a full quarantine; Unavailable.
        """
        ...

    def preview(self, device: str, preview: Preview) -> None:
        """Never blocks, never raises; keeps the newest few topics of each quarantined device."""
        ...

    def seen(self, device: str, now_ns: int, online: bool) -> None:
        """A device came or went. Never blocks, never raises."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Names of devices whose admission is no longer what it was, until the platform stops."""
        ...
