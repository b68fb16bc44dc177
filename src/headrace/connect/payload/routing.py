"""Who listens to a topic: filters declared once, answers remembered for each topic that comes.

    add(filter, origin, target) … ──► find(origin, topic) ──remembered──► targets
                                          └─ new topic: exact name, then the tree of filters with wildcards

Filters as in MQTT 5.0 §4.7: `+` one level, `#` all below; neither matches a first level that begins with `$`.
What is remembered is bounded: topics are chosen by peers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from headrace.connect.mqtt.topics import covers

T = TypeVar("T")
REMEMBERED_MAX: Final = 65_536
REMEMBERED_LENGTH_MAX: Final = 512


def is_wild(topic: str) -> bool:
    return "+" in topic or "#" in topic


def fewest(filters: Iterable[str]) -> list[str]:
    """Without those that another one covers, in order."""
    unique = list(dict.fromkeys(filters))
    wild = [one for one in unique if is_wild(one)]
    if not wild:
        return unique
    tree: _Node[str] = _Node()
    for one in wild:
        tree.add(one.split("/"), one)
    return [
        one
        for one in unique
        if not (
            any(other != one and covers(other, one) for other in wild)
            if is_wild(one)
            else any(True for _ in tree.matches(one.split("/"), 0, top=True))
        )
    ]


class _Node(Generic[T]):
    __slots__ = ("below", "here", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Node[T]] = {}
        self.here: list[T] = []
        self.rest: list[T] = []  # of filters that end in '#' here

    def add(self, levels: list[str], target: T) -> None:
        node = self
        for level in levels:
            if level == "#":
                node.rest.append(target)
                return
            node = node.below.setdefault(level, _Node())
        node.here.append(target)

    def matches(self, levels: list[str], at: int, *, top: bool = False) -> Iterable[T]:
        hidden = top and levels[0].startswith("$")
        if not hidden:
            yield from self.rest
        if at == len(levels):
            yield from self.here
            return
        for key in (levels[at],) if hidden else (levels[at], "+"):
            node = self.below.get(key)
            if node is not None:
                yield from node.matches(levels, at + 1)


class Routes(Generic[T]):
    """Targets of (origin, topic). A target added for an origin is found by that origin only; None is anybody's.

    `remembered` has answers of `find`, for those who ask very often.
    """

    def __init__(self, *, by_origin: bool) -> None:
        self._by_origin = by_origin
        self._exact: dict[str, list[tuple[str | None, T]]] = {}
        self._wild: _Node[tuple[str | None, T]] = _Node()
        self.remembered: dict[tuple[str, str], tuple[T, ...]] = {}
        self.filters: list[str] = []

    def add(self, topic: str, origin: str | None, target: T) -> None:
        self.filters.append(topic)
        if is_wild(topic):
            self._wild.add(topic.split("/"), (origin, target))
        else:
            self._exact.setdefault(topic, []).append((origin, target))
        self.remembered.clear()

    def find(self, origin: str, topic: str) -> tuple[T, ...]:
        key = (origin, topic)
        found = self.remembered.get(key)
        return self._find(key) if found is None else found

    def _find(self, key: tuple[str, str]) -> tuple[T, ...]:
        origin, topic = key
        candidates = [*self._exact.get(topic, ()), *self._wild.matches(topic.split("/"), 0, top=True)]
        found = tuple(target for owner, target in candidates if owner is None or not self._by_origin or owner == origin)
        if len(topic) <= REMEMBERED_LENGTH_MAX:
            if len(self.remembered) >= REMEMBERED_MAX:
                self.remembered.clear()
            self.remembered[key] = found
        return found
