"""The last retained message of each topic, found by filter: a tree of levels, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.connect.gateway.limits import MESSAGE_BYTES
from headrace.connect.mqtt.packets import NO_PROPERTIES, Properties


@dataclass(frozen=True, slots=True)
class Kept:
    """`expires_s` on the gateway's clock; None for never."""

    topic: str
    payload: bytes
    qos: int
    properties: Properties = NO_PROPERTIES
    expires_s: float | None = None

    @property
    def bytes(self) -> int:
        return len(self.payload) + MESSAGE_BYTES


class _Node:
    __slots__ = ("below", "kept")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.kept: Kept | None = None


class Retained:
    def __init__(self, count_max: int, bytes_max: int) -> None:
        self._root = _Node()
        self._count_max, self._bytes_max = count_max, bytes_max
        self.count = self.bytes = 0

    def put(self, kept: Kept) -> bool:
        """An empty payload forgets the topic [MQTT-3.3.1-6]. False where a bound keeps the message out."""
        if not kept.payload:
            self.forget(kept.topic)
            return True
        node = self._root
        old = self.get(kept.topic)
        count = self.count + (old is None)
        size = self.bytes + kept.bytes - (old.bytes if old is not None else 0)
        if count > self._count_max or size > self._bytes_max:
            return False
        for level in kept.topic.split("/"):
            following = node.below.get(level)
            if following is None:
                following = node.below[level] = _Node()
            node = following
        node.kept, self.count, self.bytes = kept, count, size
        return True

    def get(self, topic: str) -> Kept | None:
        node: _Node | None = self._root
        for level in topic.split("/"):
            node = node.below.get(level) if node is not None else None
        return node.kept if node is not None else None

    def forget(self, topic: str) -> None:
        way: list[tuple[_Node, str]] = []
        node = self._root
        for level in topic.split("/"):
            if level not in node.below:
                return
            way.append((node, level))
            node = node.below[level]
        if node.kept is None:
            return
        self.count -= 1
        self.bytes -= node.kept.bytes
        node.kept = None
        for above, level in reversed(way):
            below = above.below[level]
            if below.below or below.kept is not None:
                break
            del above.below[level]

    def matching(self, pattern: str, now_s: float) -> Iterator[Kept]:
        """What a valid filter takes in and has not expired."""
        for node in list(self._walk(self._root, pattern.split("/"), 0)):
            kept = node.kept
            if kept is None:
                continue
            if kept.expires_s is not None and kept.expires_s <= now_s:
                self.forget(kept.topic)
                continue
            yield kept

    def _walk(self, node: _Node, levels: list[str], depth: int) -> Iterator[_Node]:
        if depth == len(levels):
            yield node
            return
        level = levels[depth]
        if level == "#":
            yield from self._all(node, first=depth == 0)
        elif level == "+":
            for name, below in node.below.items():
                if depth or not name.startswith("$"):
                    yield from self._walk(below, levels, depth + 1)
        elif level in node.below:
            yield from self._walk(node.below[level], levels, depth + 1)

    def _all(self, node: _Node, *, first: bool) -> Iterator[_Node]:
        waiting = [below for name, below in node.below.items() if not (first and name.startswith("$"))]
        yield node
        while waiting:
            found = waiting.pop()
            yield found
            waiting += found.below.values()
