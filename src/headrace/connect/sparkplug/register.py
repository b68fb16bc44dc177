"""The nodes that a host knows, within bounds: by name, by topic, with their births and the points bound to them.

topic ──find──► node         a new node takes the place of one that nobody asks for and that was never born
birth ──learn──► slots for its metrics, and the birth itself for browsing and other points
points ──bind──► the sources they are of, known or not yet
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from headrace.connect.payload.config import SparkplugSettings
from headrace.connect.sparkplug.births import entries
from headrace.connect.sparkplug.nodes import Node, Source, by_source
from headrace.connect.sparkplug.slots import Index, Table
from headrace.connect.sparkplug.topics import Topic, Verb
from headrace.model.errors import DataError
from headrace.sdk.driver import PointBinding

DEVICES_MAX: Final = 10_000
_TOPICS_MAX: Final = 65_536


class Known(NamedTuple):
    """What a topic is about."""

    topic: Topic
    node: Node
    is_data: bool


class Register:
    """`nodes` by (group, node); `topics` as they came, remembered."""

    def __init__(self, settings: SparkplugSettings, table: Table) -> None:
        self.nodes: dict[tuple[str, str], Node] = {}
        self.topics: dict[str, Known] = {}
        self._settings, self._table = settings, table
        self._bound = by_source(())
        self._strangers: dict[tuple[str, str], Node] = {}
        self._birth_bytes = 0

    def bind(self, points: Sequence[PointBinding]) -> None:
        """From now on these; what births have told stays."""
        bound = self._bound = by_source(points)
        self._strangers = {key: node for key, node in self.nodes.items() if key not in bound and not node.is_known}
        for key, known in self.nodes.items():
            ours = bound.get(key, {})
            for device in ours:
                if device is not None:
                    known.devices.setdefault(device, Source(device))
            for source in known.sources():
                source.bound = ours.get(source.device, {})
                # A birth that was too large to keep, or to look up: the next data asks for another.
                has_birth = source.birth is not None and self._index(source, entries(source.birth))
                source.born = source.born and has_birth

    def find(self, topic: Topic, text: str) -> Known:
        """Raises: DataError where no more nodes can be remembered."""
        known = Known(topic, self._node(topic), topic.verb in (Verb.NDATA, Verb.DDATA))
        if len(self.topics) >= _TOPICS_MAX:
            self.topics.clear()
        self.topics[text] = known
        return known

    def device(self, node: Node, name: str) -> Source:
        """A device that is being born. Raises: DataError where its node has too many."""
        source = node.devices.get(name)
        if source is None:
            if len(node.devices) >= DEVICES_MAX:
                raise DataError(f"its node has {DEVICES_MAX} devices already, and no more can be remembered")
            source = node.devices[name] = Source(name)
        return source

    def learn(self, node: Node, source: Source, told: Sequence[tuple[str, int | None, int]], birth: bytes) -> bool:
        """A birth; False where it is too large to be kept beside all others. Raises: DataError for too many metrics."""
        source.born, source.due_ns = self._index(source, told), None
        if not source.born:
            raise DataError("no more metrics can be remembered, of all nodes together")
        node.is_known = True
        self._strangers.pop((node.group, node.name), None)
        self._birth_bytes += len(birth) - len(source.birth or b"")
        source.birth = birth
        if self._birth_bytes > self._settings.birth_bytes_max:
            self._birth_bytes -= len(birth)
            source.birth = None
        return source.birth is not None

    def _index(self, source: Source, told: Sequence[tuple[str, int | None, int]]) -> bool:
        """False where the table is full."""
        source.index.drop(self._table)
        built = Index.build(self._table, told, source.bound)
        source.index = built or Index()
        return built is not None

    def _node(self, topic: Topic) -> Node:
        key = topic.group, topic.node
        node = self.nodes.get(key)
        if node is None:
            if len(self.nodes) >= self._settings.nodes_max:
                self._forget_one()
            node = self.nodes[key] = Node(topic.group, topic.node)
            ours = self._bound.get(key, {})
            node.own.bound = ours.get(None, {})
            node.devices = {name: Source(name, its) for name, its in ours.items() if name is not None}
            if not ours:
                self._strangers[key] = node
        return node

    def _forget_one(self) -> None:
        if not self._strangers:
            raise DataError(
                f"{self._settings.nodes_max} edge nodes are known and no more can be remembered "
                "(payload setting 'sparkplug.nodes_max')"
            )
        key = next(iter(self._strangers))
        self._strangers.pop(key).is_forgotten = True
        del self.nodes[key]
