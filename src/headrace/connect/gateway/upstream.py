"""What a gateway asks of the platform; in its own process, or over a socket from a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.connect.gateway.limits import Counters
from headrace.connect.gateway.retained import Kept
from headrace.connect.mqtt.packets import Publish as Packet
from headrace.connect.payload.contract import Message, Publish
from headrace.sdk.devices import Admission, Claim, Preview


@dataclass(slots=True)
class Outcome:
    """What became of messages: `refused` by their place in the call, with the reason; all others are durable."""

    refused: Mapping[int, str] = field(default_factory=dict)
    replies: Sequence[Publish] = ()
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """A device went without saying so, before the message at `before`."""

    before: int
    device: str


Owed = tuple[int, Any, Packet]
"""A message that is not done with when it is stored: its place in the call, who sent it, and how it came."""


class Upstream(Protocol):
    async def admit(self, claim: Claim, *, clean_start: bool) -> Admission:
        """Raises: as `sdk.devices.DeviceDoor.admit`."""
        ...

    async def take(self, messages: Sequence[Message], gone: Sequence[Gone], owed: Sequence[Owed]) -> Outcome:
        """Returns when everything that could be understood is durable. Raises: Unavailable where nothing was."""
        ...

    def preview(self, device: str, preview: Preview) -> None:
        """Never blocks, never raises."""
        ...

    def seen(self, device: str, online: bool, messages: int = 0, refused: int = 0) -> None:
        """A device came, went, or still sends: messages since this was last told. Never blocks, never raises."""
        ...

    def ended(self, device: str, client_id: str) -> None:
        """A session is forgotten. Never blocks, never raises."""
        ...


class Front(Protocol):
    """What the platform asks of a gateway: of the hub in its own process, or of several in workers."""

    @property
    def counters(self) -> Counters: ...

    def open(self) -> None: ...

    async def close(self) -> None:
        """Store and acknowledge what has come, say goodbye, and let go of every socket."""
        ...

    def is_online(self, device: str) -> bool: ...

    def say(self, said: Publish) -> None:
        """To one device (`origin`), or to everybody who asked."""
        ...

    def order(self, said: Publish, timeout_s: float) -> list[asyncio.Future[int | None]]:
        """As `say`, for a command: a future for each who has asked; the reason of its answer, None where it is lost.

        Whoever gives up cancels them: what was not sent by then never is.
        """
        ...

    def keep(self, kept: Kept) -> None:
        """A retained message."""
        ...

    def recheck(self, device: str) -> None:
        """What this device may is no longer what it was: it has to come again."""
        ...
