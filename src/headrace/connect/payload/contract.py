"""The seam between whoever receives publishes (the gateway, the client of a broker) and what they mean.

    connect ──will, opening──► broker                    what a host application says of itself
    messages of one wake-up, many devices ──► decode ──► batches, refusals by message, publishes back
    a write of control ──► command ──► one publish
    an engineer ──► browse ──► what births told
    about once a second ──► tick                         what time alone brings

Codecs apart from sockets: nothing here waits, reads a clock or opens a file. A message that cannot be understood
costs itself alone; a value that cannot be understood is a bad sample, and the rest of its message goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.model.batch import Batch, Value
from headrace.model.errors import ConfigError, DataError
from headrace.sdk.driver import BrowseNode, PointBinding


@dataclass(slots=True)
class Message:
    """One publish as it came. `origin` is who sent it: an admitted device, or the connection to a broker.

    Nobody changes one; that it is not frozen makes it four times as quick to make, and there is one a publish.
    """

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
    """What came of some messages.

    `refused` by the message's place in the call (−1 where it came with an earlier one); `ignored` counts messages that
    no declared point asks for; `notices` are for the log, each said once in the life of a payload.
    """

    batches: list[Batch] = field(default_factory=list)
    refused: list[tuple[int, DataError]] = field(default_factory=list)
    replies: list[Publish] = field(default_factory=list)
    ignored: int = 0
    notices: list[str] = field(default_factory=list)


class Payload(Protocol):
    """One a connection or gateway; used from one task. Make it with `payload_of`."""

    @property
    def clean_start(self) -> bool:
        """Whether a broker must forget what it queued for us: a Sparkplug host must ask so, others must not."""
        ...

    def bind(self, points: Sequence[PointBinding]) -> Mapping[int, ConfigError]:
        """From now on these points; what is known of their sources stays.

        Points whose address and these settings do not go together are answered by handle, the others are served.
        """
        ...

    def filters(self) -> Sequence[str]:
        """MQTT topic filters under which the bound points are published, the fewest that cover them."""
        ...

    def topic_of(self, point: PointBinding) -> str | None:
        """The filter under which a bound point is published; None for one that is not served."""
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

    def will(self, now_ns: int) -> Publish | None:
        """What a broker is to say when we vanish; asked before each connect, answered anew each time."""
        ...

    def opening(self, now_ns: int) -> Sequence[Publish]:
        """Said first, once subscribed. A gateway, the broker itself, calls `will` and then this when it starts."""
        ...

    def closing(self, now_ns: int) -> Sequence[Publish]:
        """Said before going on purpose."""
        ...

    def browse(self, parent: Mapping[str, Any] | None) -> Iterator[BrowseNode]:
        """What births told. Raises: Refused for an address that is none or that nobody has shown."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What was skipped, asked for, missed, since the start; names are for a person."""
        ...
