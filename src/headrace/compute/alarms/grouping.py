"""One line for an outage, its consequences folded under it. Pure; for display only: nothing is left out.

An asset *leads to* another where one stands above the other in the hierarchy, or where what it supplies leads there:
from any asset on its line of ancestors and descendants along `feeds` to an asset and all below it, and on from there.

    alarms in order: raised first, of one moment the one whose asset supplies more, then the higher asset, then by name
        │
        ▼ each in turn
    is there a root, raised within the window before it, whose asset leads to its own? ─┬─ yes: folded under the first
                                                                                       └─ no: it is a root itself

So each alarm is in one group; a root is not later than what is under it; the answer is the same whatever the order in
which alarms are given; and what is under a root is led to by the root itself, never by way of another alarm, so that
groups do not creep over the plant. First-out is the order within a group. Quiet alarms, and those whose condition has
not held, stand alone. A consequence that was sampled before its cause stands alone, too: time is all we have.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from headrace.model.time import MINUTE_NS

WINDOW_NS: Final = 10 * MINUTE_NS
#: How many tops of supplied assets are looked at, nearest first: a plant that feeds everything from everywhere ends.
SUPPLIED_MAX: Final = 200

Feeds = Mapping[str, Sequence[str]]
"""By asset path: the assets that it feeds."""


@dataclass(frozen=True, slots=True)
class Sign:
    """An alarm as grouping sees it. `raised_ns` is None for one that stands alone."""

    name: str
    asset: str
    raised_ns: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """In which group an alarm is, by the name of its root, and the how-manieth of it was raised; the root is 0."""

    root: str
    first_out: int


def group(signs: Iterable[Sign], feeds: Feeds, window_ns: int = WINDOW_NS) -> dict[str, Place]:
    """By name of the alarm; names are unique."""
    topology = Topology(feeds)
    places: dict[str, Place] = {}
    timed: list[tuple[int, int, int, str, str]] = []
    for sign in signs:
        if sign.raised_ns is None:
            places[sign.name] = Place(sign.name, 0)
        else:
            supplied = len(topology.supplied(sign.asset))
            timed.append((sign.raised_ns, -supplied, sign.asset.count("/"), sign.name, sign.asset))
    roots = _Roots(topology)
    sizes: dict[str, int] = {}
    for raised_ns, _, _, name, asset in sorted(timed):
        root = roots.first_leading_to(asset, raised_ns - window_ns)
        if root is None:
            root = name
            roots.add(name, asset, raised_ns)
        places[name] = Place(root, sizes.get(root, 0))
        sizes[root] = sizes.get(root, 0) + 1
    return places


class Topology:
    """Which assets are supplied from where."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = {path: tuple(to) for path, to in feeds.items() if to}
        self._below: dict[str, list[str]] = {}
        for path in sorted(self._feeds):
            for above in lineage(path):
                self._below.setdefault(above, []).append(path)
        self._supplied: dict[str, frozenset[str]] = {}

    def supplied(self, asset: str) -> frozenset[str]:
        """Tops of what an asset's line supplies, however far; cycles end where they began."""
        known = self._supplied.get(asset)
        if known is None:
            known = self._supplied[asset] = frozenset(self._walk(asset)) if self._feeds else frozenset()
        return known

    def leads(self, asset: str, other: str) -> bool:
        return _on_line(asset, other) or any(above in self.supplied(asset) for above in lineage(other))

    def _walk(self, asset: str) -> Iterator[str]:
        seen: set[str] = set()
        waiting = deque([asset])
        while waiting:
            here = waiting.popleft()
            for source in chain(lineage(here), self._below.get(here, ())):
                for target in self._feeds.get(source, ()):
                    if target in seen:
                        continue
                    if len(seen) == SUPPLIED_MAX:
                        return
                    seen.add(target)
                    waiting.append(target)
                    yield target


@dataclass(slots=True)
class _Bucket:
    """Roots in the order in which they were raised."""

    raised_ns: list[int] = field(default_factory=list)
    order: list[tuple[int, str]] = field(default_factory=list)  # the how-manieth root, and its name

    def first_since(self, since_ns: int) -> tuple[int, str] | None:
        at = bisect_left(self.raised_ns, since_ns)
        return self.order[at] if at < len(self.order) else None


class _Roots:
    """Roots where they can be found from the asset of a consequence, in a few look-ups each."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._count = 0
        self._at: dict[str, _Bucket] = {}  # by the asset
        self._below: dict[str, _Bucket] = {}  # by each asset above it
        self._supplied: dict[str, _Bucket] = {}  # by each asset that it supplies

    def add(self, name: str, asset: str, raised_ns: int) -> None:
        placed = (self._count, name)
        self._count += 1
        homes = [(self._at, asset), *((self._below, above) for above in lineage(asset))]
        homes += [(self._supplied, target) for target in self._topology.supplied(asset)]
        for buckets, path in homes:
            bucket = buckets.setdefault(path, _Bucket())
            bucket.raised_ns.append(raised_ns)
            bucket.order.append(placed)

    def first_leading_to(self, asset: str, since_ns: int) -> str | None:
        found = [self._below.get(asset)]
        for above in lineage(asset):
            found += [self._at.get(above), self._supplied.get(above)]
        first = [one for bucket in found if bucket is not None and (one := bucket.first_since(since_ns)) is not None]
        return min(first)[1] if first else None


def lineage(path: str) -> Iterator[str]:
    """An asset and all above it, nearest first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _on_line(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
