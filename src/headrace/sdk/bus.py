"""How batches and events travel between rooms: publish to all subscribers, each with its own bounded queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from headrace.model.batch import Batch
from headrace.model.events import Event


class Overflow(StrEnum):
    """What happens to a subscriber whose queue is full."""

    BLOCK = "block"  # `publish` waits: the source slows down
    DROP_OLDEST = "drop-oldest"  # the oldest batch goes, and is counted


@dataclass(slots=True)
class QueueCounters:
    """All in samples (events for an event queue)."""

    published: int = 0
    delivered: int = 0
    dropped: int = 0
    depth: int = 0
    depth_max: int = 0


class Subscription(Protocol):
    """Iterate to receive; each step gives everything queued at that moment, oldest first, never an empty list."""

    name: str
    counters: QueueCounters

    def __aiter__(self) -> AsyncIterator[Sequence[Batch]]: ...

    async def __anext__(self) -> Sequence[Batch]: ...

    async def close(self) -> None:
        """Stop; iteration ends after what is queued."""
        ...


class EventSubscription(Protocol):
    name: str
    counters: QueueCounters

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]: ...

    async def __anext__(self) -> Sequence[Event]: ...

    async def close(self) -> None: ...


class Bus(Protocol):
    async def publish(self, batches: Sequence[Batch], *, stored: bool = False) -> None:
        """Give batches to every subscriber; waits only for full BLOCK queues. Raises: Unavailable once closed.

        `stored` says that they are in history already: a subscriber that asked only for what is not is left out.
        """
        ...

    async def publish_events(self, events: Sequence[Event]) -> None: ...

    def subscribe(self, name: str, *, capacity: int, overflow: Overflow, stored: bool = True) -> Subscription:
        """`capacity` in samples, at least one batch is always taken. Raises: Conflict for a name in use.

        With `stored=False` what was published as stored does not come.
        """
        ...

    def subscribe_events(self, name: str, *, capacity: int, overflow: Overflow) -> EventSubscription: ...

    async def close(self) -> None:
        """No more publishing; subscribers end once they have drained."""
        ...

    def counters(self) -> dict[str, QueueCounters]:
        """By subscriber name."""
        ...
