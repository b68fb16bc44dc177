"""What waits for its turn to go out: first in, first out, bounded, and forgotten only once it was taken.

    put ──► [ oldest … newest ] ──take──► a portion, in hand ──done──► forgotten
                │                            └──undo──► first again
                └─ full: the oldest that is not in hand goes, and is counted

`MemoryLine` here; `disk.py` has the one that survives a restart.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from headrace.model.batch import Batch, ValueKind
from headrace.model.events import Event
from headrace.sdk.outlet import OutletCounters

PORTION_SAMPLES: Final = 20_000
PORTION_EVENTS: Final = 200
EVENTS_MAX: Final = 10_000


@dataclass(slots=True)
class Portion:
    """What goes out at once: either samples, one batch a kind, or events."""

    batches: Sequence[Batch] = ()
    events: Sequence[Event] = ()

    @property
    def samples(self) -> int:
        return sum(map(len, self.batches))


class Line(Protocol):
    """One task puts, one takes; `something` is set while there is something to take."""

    something: asyncio.Event

    def put(self, batches: Sequence[Batch]) -> None: ...

    def put_events(self, events: Sequence[Event]) -> None: ...

    def take(self) -> Portion | None:
        """The oldest, which stay until `done` or `undo`; None where nothing waits."""
        ...

    def done(self) -> None: ...

    def undo(self) -> None: ...

    def clear(self) -> int:
        """Forget all samples; how many."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Hand:
    batches: list[Batch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class MemoryLine:
    """Implements `Line`. `capacity` in samples; events have room of their own."""

    def __init__(self, counters: OutletCounters, capacity: int) -> None:
        self.something = asyncio.Event()
        self._counters, self._capacity = counters, capacity
        self._batches: deque[Batch] = deque()
        self._events: deque[Event] = deque()
        self._hand = _Hand()

    def put(self, batches: Sequence[Batch]) -> None:
        counters = self._counters
        for batch in batches:
            if len(batch):
                self._batches.append(batch)
                counters.waiting += len(batch)
        while counters.waiting > self._capacity and len(self._batches) > 1:
            oldest = self._batches.popleft()
            counters.waiting -= len(oldest)
            counters.dropped += len(oldest)
        self._tell()

    def put_events(self, events: Sequence[Event]) -> None:
        self._events += events
        while len(self._events) > EVENTS_MAX:
            self._events.popleft()
            self._counters.dropped_events += 1
        self._tell()

    def take(self) -> Portion | None:
        """Events go first: they are few, and somebody waits for them."""
        hand = self._hand = _Hand()
        if self._events:
            while self._events and len(hand.events) < PORTION_EVENTS:
                hand.events.append(self._events.popleft())
            return Portion(events=tuple(hand.events))
        size = 0
        while self._batches and (not size or size + len(self._batches[0]) <= PORTION_SAMPLES):
            hand.batches.append(self._batches.popleft())
            size += len(hand.batches[-1])
        return Portion(merged(hand.batches)) if size else None

    def done(self) -> None:
        self._counters.waiting -= sum(map(len, self._hand.batches))
        self._hand = _Hand()
        self._tell()

    def undo(self) -> None:
        self._batches.extendleft(reversed(self._hand.batches))
        self._events.extendleft(reversed(self._hand.events))
        self._hand = _Hand()
        self._tell()

    def clear(self) -> int:
        gone = sum(map(len, self._batches))
        self._batches.clear()
        self._counters.waiting -= gone
        self._tell()
        return gone

    async def close(self) -> None:
        pass

    def _tell(self) -> None:
        if self._batches or self._events:
            self.something.set()
        else:
            self.something.clear()


def merged(batches: Sequence[Batch]) -> list[Batch]:
    """One batch a kind, each in order: whoever sends pays per batch."""
    kinds: dict[ValueKind, list[Batch]] = {}
    for batch in batches:
        kinds.setdefault(batch.kind, []).append(batch)
    return [Batch.concat(group) for group in kinds.values()]
