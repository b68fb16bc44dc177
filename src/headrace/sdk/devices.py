"""Who a device is and what it may publish: asked by gateways, decided by the register of devices.

CONNECT ──► Claim ──► DeviceDoor.admit ──► Admission      approved: its samples are stored
                                      ├──► Admission      quarantined: an engineer sees what it sends, nothing is stored
                                      └──► AccessError    unknown, wrong credential, blocked
an engineer approves, blocks, limits ──► DeviceDoor.changes ──► the gateway closes that device, which comes again

A device is found by the certificate that it shows, else by its *login*: the user name, or the client identifier where
it gives none. The login is what gateways, topics and declarations call it; people may give it another name to read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from headrace.model.errors import ConfigError

ENROLMENT_KEY_BYTES_MIN: Final = 16
GATEWAY: Final = "gateway"
"""The driver that lets devices in; where a connection of it runs, the register of devices has to be."""


class DeviceState(StrEnum):
    QUARANTINED = "quarantined"  # has shown a credential and waits for an engineer
    APPROVED = "approved"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A gateway's declared policy for devices that nobody knows: those that show `key` may wait in quarantine.

    Such a device gives as its password the key, a colon, and at least eight characters of its own; with a client
    certificate the key alone. What it showed is from then on its credential. `waiting_max` bounds the quarantine.
    Raises: ConfigError for a key that could be guessed.
    """

    key: bytes = field(repr=False)
    waiting_max: int = 100

    def __post_init__(self) -> None:
        if len(self.key) < ENROLMENT_KEY_BYTES_MIN:
            raise ConfigError(f"an enrolment key has at least {ENROLMENT_KEY_BYTES_MIN} bytes; take random ones")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a device shows at the door. `certificate`: SHA-256, hex, of a client certificate that TLS verified.

    `gateway` is the name of the connection. Without `enrolment` unknown devices are refused.
    """

    gateway: str
    client_id: str
    peer: str
    user: str | None = None
    password: bytes | None = field(default=None, repr=False)
    certificate: str | None = None
    enrolment: Enrolment | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """`device` is the login. `publish` and `subscribe` are MQTT topic filters; limits are None where the gateway's own
    apply.

    A gateway keeps sessions by device and client identifier together: one device cannot take over another's.
    """

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

    def seen(self, device: str, now_ns: int, online: bool, *, messages: int = 0, refused: int = 0) -> None:
        """A device came, went, or still sends: messages since this was last told, and how many of them were refused
        (topic not allowed, too fast, not understood). Once a few seconds is enough. Never blocks, never raises."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Logins of devices whose admission is no longer what it was, until the platform stops."""
        ...
