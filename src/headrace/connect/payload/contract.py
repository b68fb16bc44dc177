"""The seam between whoever receives publishes (the gateway, the client of a broker) and what they mean.

    messages of one wake-up, many devices ──► Payload.decode ──► batches, refusals by message, publishes back
    a write of control ──► Payload.command ──► one publish

Codecs apart from sockets: nothing here waits, reads a clock or keeps a message. A message that cannot be understood
costs itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.model.batch import Batch, Value
from headrace.model.errors import DataError
from headrace.sdk.driver import PointBinding


@dataclass(frozen=True, slots=True)
class Message:
    """One publish as it came. `origin` is who sent it: an admitted device, or the connection to a broker."""

    origin: str
    topic: str
    payload: bytes
    received_ns: int
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    """One publish to send. `origin` limits it to that device's session; None leaves it to who has subscribed."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    origin: str | None = None


@dataclass(slots=True)
class Decoded:
    """`refused` by the message's place in the call; `ignored` counts messages that no declared point asks for."""

    batches: list[Batch] = field(default_factory=list)
    refused: list[tuple[int, DataError]] = field(default_factory=list)
    replies: list[Publish] = field(default_factory=list)
    ignored: int = 0


class Payload(Protocol):
    def bind(self, points: Sequence[PointBinding]) -> None:
        """From now on these points; what is known of their sources stays."""
        ...

    def filters(self) -> Sequence[str]:
        """MQTT topic filters under which the bound points are published, the fewest that cover them."""
        ...

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """In order; never raises for what a peer sent."""
        ...

    def gone(self, origin: str, now_ns: int) -> Sequence[Batch]:
        """The session of `origin` ended without a will that says so: bad samples for what it brought."""
        ...

    def command(self, point: PointBinding, value: Value, now_ns: int) -> Publish:
        """Raises: DataError where the value does not fit; Refused where the address takes no commands."""
        ...

    def tick(self, now_ns: int) -> Decoded:
        """Called about once a second: what time alone brings, such as a birth that was asked for and did not come."""
        ...
