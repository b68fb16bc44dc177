"""What a gateway asks of the platform; in its own process, or over a socket from a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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


class Upstream(Protocol):
    async def admit(self, claim: Claim) -> Admission:
        """Raises: as `sdk.devices.DeviceDoor.admit`."""
        ...

    async def take(self, messages: Sequence[Message], gone: Sequence[Gone]) -> Outcome:
        """Returns when everything that could be understood is durable. Raises: Unavailable where nothing was."""
        ...

    def preview(self, device: str, preview: Preview) -> None:
        """Never blocks, never raises."""
        ...

    def seen(self, device: str, online: bool, messages: int = 0, refused: int = 0) -> None:
        """A device came, went, or still sends: messages since this was last told. Never blocks, never raises."""
        ...
