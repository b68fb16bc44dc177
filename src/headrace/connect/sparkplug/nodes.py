"""What a host knows of one edge node and its devices: born or not, aliases, the sequence of its messages.

             NBIRTH                        DATA in sequence
    unknown ───────► born ◄──────────────────────────────────────┐
       ▲  │           │ └─ a number is missing ─► what comes is held ─ the missing one comes ─┘
       │  │ DATA:     │                              │ reorder timeout
       │  └ ask for   │ NDEATH of this session       ▼
       │    a birth   ▼                           doubtful: a birth is asked for, and until it comes what is told by
       └───────────  dead                         alias alone is uncertain (a birth may be what was missed)

Nothing that came is thrown away for being out of order. Source: Sparkplug 3.0.0 §5.3 to §5.8, §6.4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.connect.payload.contract import Message
from headrace.connect.sparkplug.metrics import NO_SEQUENCE, SEQUENCE_MAX
from headrace.connect.sparkplug.slots import Index
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SOURCE_AHEAD_MAX_NS
from headrace.sdk.driver import PointBinding

HELD_MAX: Final = 64
HELD_BYTES_MAX: Final = 4 * 2**20
_MODULUS: Final = SEQUENCE_MAX + 1


@dataclass(slots=True, eq=False)
class Source:
    """A node's own metrics, or those of a device. `bound`: points by name of metric."""

    device: str | None
    bound: dict[str, list[PointBinding]] = field(default_factory=dict)
    index: Index = field(default_factory=Index)
    born: bool = False
    birth: bytes | None = None
    newest_ns: int = 0
    due_ns: int | None = None  # a device that its node has not born again by then is dead

    def bad(self, time_ns: int, now_ns: int, quality: int, names: Iterable[str] | None = None) -> list[Batch]:
        """A bad sample for its points (of some metrics), dated after what they had so that it is the newest."""
        if self.newest_ns <= now_ns + SOURCE_AHEAD_MAX_NS:
            time_ns = max(time_ns, self.newest_ns + 1)
        handles: dict[ValueKind, list[int]] = defaultdict(list)
        for name in self.bound if names is None else names:
            for point in self.bound[name]:
                handles[point.kind].append(point.handle)
        return [Batch.bad(kind, column, time_ns, quality) for kind, column in handles.items()]


@dataclass(slots=True)
class Held:
    """A message that waits for those before it; None where it was done with at once (a birth, a death)."""

    message: Message | None
    source: Source | None


@dataclass(slots=True, eq=False)
class Node:
    """`asked_ns` is when a rebirth may be asked for again; `asks` counts since the last birth.

    `is_known` once it has been born; `is_forgotten` once it had to make room for another.
    """

    group: str
    name: str
    origin: str = ""
    own: Source = field(default_factory=lambda: Source(None))
    devices: dict[str, Source] = field(default_factory=dict)
    bd_seq: int | None = None
    expected: int | None = None
    held: dict[int, Held] = field(default_factory=dict)
    held_bytes: int = 0
    gap_ns: int | None = None
    doubtful: bool = False
    asked_ns: int = 0
    asks: int = 0
    is_known: bool = False
    is_forgotten: bool = False

    def source(self, device: str | None) -> Source | None:
        return self.own if device is None else self.devices.get(device)

    def sources(self) -> Iterable[Source]:
        return (self.own, *self.devices.values())

    def begin(self, bd_seq: int | None, seq: int) -> None:
        """An NBIRTH: a new sequence, a new session."""
        self.bd_seq = bd_seq
        self.expected = (seq + 1) % _MODULUS if 0 <= seq <= SEQUENCE_MAX else None
        self.doubtful = False
        self.asks = 0
        self._forget()

    def follow(self, seq: int, held: Held, now_ns: int) -> Sequence[Held] | None:
        """What may be read now after this message, which itself may; None where it has to wait.

        A message without a number that could be one is taken as it comes.
        """
        if self.expected is None or self.doubtful or seq == NO_SEQUENCE or seq > SEQUENCE_MAX:
            return ()
        if seq != self.expected:
            self.gap_ns = now_ns if self.gap_ns is None else self.gap_ns
            self.held[seq] = held
            self.held_bytes += len(held.message.payload) if held.message is not None else 0
            return None
        self.expected = (seq + 1) % _MODULUS
        ready = []
        while self.held and (following := self.held.pop(self.expected, None)) is not None:
            ready.append(following)
            self.held_bytes -= len(following.message.payload) if following.message is not None else 0
            self.expected = (self.expected + 1) % _MODULUS
        if not self.held:
            self.gap_ns = None
        return ready

    @property
    def overfull(self) -> bool:
        return len(self.held) > HELD_MAX or self.held_bytes > HELD_BYTES_MAX

    def give_up(self) -> list[Held]:
        """The missing ones do not come: what was held, in order; from now on nothing is sure until a birth."""
        start = self.expected or 0
        ready = [self.held[seq] for seq in sorted(self.held, key=lambda seq: (seq - start) % _MODULUS)]
        self.doubtful = True
        self._forget()
        return ready

    def _forget(self) -> None:
        self.held.clear()
        self.held_bytes, self.gap_ns = 0, None

    def die(self, now_ns: int) -> list[Batch]:
        """The session is over: all of its points are bad."""
        batches = []
        for source in self.sources():
            if source.born or source.due_ns is not None:
                batches += source.bad(now_ns, now_ns, q.BAD_NO_COMMUNICATION)
            source.born, source.due_ns = False, None
        self.expected, self.doubtful = None, False
        self._forget()
        return batches


Bound = dict[tuple[str, str], dict[str | None, dict[str, list[PointBinding]]]]
"""Points by (group, node), device and name of metric."""


def by_source(points: Iterable[PointBinding]) -> Bound:
    bound: Bound = {}
    for point in points:
        address = point.address
        of_node = bound.setdefault((address.group, address.node), {})
        of_node.setdefault(address.device, {}).setdefault(address.metric, []).append(point)
    return bound
