"""Headrace as a Sparkplug B host application: what edge nodes publish, to batches; requests and commands back.

    messages in order ─┬─ NDATA, DDATA ──gathered──► shapes.decode ─► sequence ─► slots ─► values ─► batches
                       ├─ births, deaths ──► what was gathered first, then the node's state
                       └─ STATE of ours, saying offline ──► said again: online
    tick ──► messages that waited too long for those before them; births that were asked for and did not come

Source: Sparkplug 3.0.0; `docs/conformance/sparkplug.md` has every assertion and its test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from headrace.connect.payload.config import SparkplugSettings
from headrace.connect.payload.contract import Decoded, Message, Publish
from headrace.connect.sparkplug.asking import Asking
from headrace.connect.sparkplug.births import BDSEQ, entries, find
from headrace.connect.sparkplug.browsing import browse
from headrace.connect.sparkplug.commands import command_payload
from headrace.connect.sparkplug.metrics import HAS_ALIAS, Metrics
from headrace.connect.sparkplug.nodes import Held, Node, Source
from headrace.connect.sparkplug.reading import Reader, Taken
from headrace.connect.sparkplug.shapes import Shapes
from headrace.connect.sparkplug.slots import Index, Table
from headrace.connect.sparkplug.topics import NAMESPACE, Topic, Verb
from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import DataError, Refused
from headrace.model.time import MILLISECOND_NS, SECOND_NS
from headrace.sdk.driver import BrowseNode, PointBinding

_TOPICS_MAX: Final = 65_536
#: How long after an NBIRTH its devices may take to be born again.
_DEVICES_DUE_NS: Final = 30 * SECOND_NS

_Bound = dict[tuple[str, str], dict[str | None, dict[str, list[PointBinding]]]]


class SparkplugHost:
    """One for each MQTT server: its STATE and what it knows belong to that server alone."""

    def __init__(self, settings: SparkplugSettings, bytes_max: int) -> None:
        self._settings, self._bytes_max = settings, bytes_max
        self._state_topic = str(Topic(Verb.STATE, "", settings.host))
        self._state_ms: int | None = None
        self._online = False
        self._counts: Counter[str] = Counter()
        self._shapes, self._table = Shapes(), Table()
        self._reader = Reader(self._table, self._counts)
        self._asking = Asking(settings.rebirth_interval_ns, self._counts)
        self._nodes: dict[tuple[str, str], Node] = {}
        self._bound: _Bound = {}
        self._topics: dict[str, tuple[Topic, Node]] = {}
        self._birth_bytes = 0
        self._gaps: dict[Node, None] = {}
        self._due: dict[Node, None] = {}
        self._said: set[str] = set()

    # --- what a connection does -----------------------------------------------------------------------------------

    def bind(self, points: Sequence[PointBinding]) -> None:
        bound: _Bound = {}
        for point in points:
            address = point.address
            of_node = bound.setdefault((address.group, address.node), {})
            of_node.setdefault(address.device, {}).setdefault(address.metric, []).append(point)
        self._bound = bound
        for key, known in self._nodes.items():
            ours = bound.get(key, {})
            for device in ours:
                if device is not None:
                    known.devices.setdefault(device, Source(device))
            for source in known.sources():
                source.bound = ours.get(source.device, {})
                if source.birth is not None:
                    self._index(source, entries(source.birth))
                elif source.born:
                    source.born = False  # its birth was too large to keep: the next data asks for another

    def filters(self) -> list[str]:
        if not self._settings.groups:
            return [f"{NAMESPACE}/#"]
        return [*(f"{NAMESPACE}/{group}/#" for group in self._settings.groups), self._state_topic]

    def will(self, now_ns: int) -> Publish:
        self._state_ms, self._online = now_ns // MILLISECOND_NS, False
        return self._state(False, self._state_ms)

    def opening(self, now_ns: int) -> list[Publish]:
        if self._state_ms is None:
            self._state_ms = now_ns // MILLISECOND_NS
        self._online = True
        return [self._state(True, self._state_ms)]

    def closing(self, now_ns: int) -> list[Publish]:
        self._online = False
        return [self._state(False, max(now_ns // MILLISECOND_NS, self._state_ms or 0))]

    def _state(self, online: bool, timestamp_ms: int) -> Publish:
        payload = orjson.dumps({"online": online, "timestamp": timestamp_ms})
        return Publish(self._state_topic, payload, qos=1, retain=True)

    def browse(self, parent: Mapping[str, Any] | None) -> Iterator[BrowseNode]:
        return browse(self._nodes, parent)

    def counters(self) -> dict[str, int]:
        return dict(self._counts)

    # --- messages -------------------------------------------------------------------------------------------------

    def decode(self, messages: Sequence[tuple[int, Message]], into: Decoded) -> None:
        """Adds to `into`; messages come with their places in the call."""
        data: list[tuple[int, Message, Node, str | None]] = []
        for place, message in messages:
            try:
                topic, node = self._addressee(message, into)
            except DataError as error:
                into.refused.append((place, error))
                continue
            if node is None:
                continue
            if topic.verb in (Verb.NDATA, Verb.DDATA):
                data.append((place, message, node, topic.device))
                continue
            self._data(data, into)
            data = []
            self._certificate(place, message, topic, node, into)
        self._data(data, into)

    def _addressee(self, message: Message, into: Decoded) -> tuple[Topic, Node | None]:
        """Topic and node of a message; no node for one that is not for us. Raises: DataError."""
        known = self._topics.get(message.topic)
        if known is None:
            topic = Topic.parse(message.topic)
            if topic.verb is Verb.STATE:
                self._hear_state(topic, message, into)
                return topic, None
            if topic.verb in (Verb.NCMD, Verb.DCMD) or (
                self._settings.groups and topic.group not in self._settings.groups
            ):
                into.ignored += 1
                return topic, None
            if len(self._topics) >= _TOPICS_MAX:
                self._topics.clear()
            known = self._topics[message.topic] = topic, self._node(topic)
        if message.retained:  # what a node once said is not what it says; the specification forbids it
            self._counts["retained messages of nodes"] += 1
            return known[0], None
        if len(message.payload) > self._bytes_max:
            raise DataError(
                f"'{message.topic}': it has {len(message.payload)} bytes; {self._bytes_max} are possible "
                "(payload setting 'bytes_max')"
            )
        return known

    def _node(self, topic: Topic) -> Node:
        key = topic.group, topic.node
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= self._settings.nodes_max:
                self._forget_one(topic)
            node = self._nodes[key] = Node(topic.group, topic.node)
            ours = self._bound.get(key, {})
            node.own.bound = ours.get(None, {})
            node.devices = {name: Source(name, its) for name, its in ours.items() if name is not None}
        return node

    def _forget_one(self, topic: Topic) -> None:
        """A node that has never been born makes room. Raises: DataError where all have."""
        for key, node in self._nodes.items():
            if not any(source.born for source in node.sources()) and key not in self._bound:
                node.drop(self._table)
                del self._nodes[key]
                self._topics = {text: known for text, known in self._topics.items() if known[1] is not node}
                self._birth_bytes -= sum(len(source.birth or b"") for source in node.sources())
                self._let_go(node)
                return
        raise DataError(
            f"'{topic}': {self._settings.nodes_max} edge nodes are known and no more can be remembered "
            "(payload setting 'sparkplug.nodes_max')"
        )

    def _hear_state(self, topic: Topic, message: Message, into: Decoded) -> None:
        """Somebody, often the will of our own earlier session, says that we are offline: we are not."""
        if topic.node != self._settings.host or not self._online:
            return
        try:
            said = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            said = None
        if not (isinstance(said, dict) and said.get("online") is True):
            into.replies.append(self._state(True, self._state_ms or 0))
            self._counts["own STATE said again"] += 1

    # --- data -----------------------------------------------------------------------------------------------------

    def _data(self, messages: Sequence[tuple[int, Message, Node, str | None]], into: Decoded) -> None:
        if not messages:
            return
        metrics = self._shapes.decode([message.payload for _, message, _, _ in messages])
        seqs = metrics.seq.tolist()
        taken: list[Taken] = []
        later: list[Held] = []
        for at, (place, message, node, device) in enumerate(messages):
            error = metrics.errors.get(at)
            if error is not None:
                into.refused.append((place, DataError(f"'{message.topic}': {error.message}", detail=error.detail)))
                continue
            node.origin = message.origin
            source = node.source(device)
            if not node.own.born or source is None or not source.born:
                self._counts["messages before a birth"] += 1
                self._asking.ask(node, message.received_ns, into)
                if node.own.born:
                    later += self._in_sequence(node, seqs[at], Held(None, None), message.received_ns, into) or ()
                continue
            ready = self._in_sequence(node, seqs[at], Held(message, source), message.received_ns, into)
            if ready is not None:
                taken.append(Taken(at, message, node, source))
                later += ready
        self._take(metrics, taken, into)
        self._held(later, into)

    def _in_sequence(self, node: Node, seq: int, held: Held, now_ns: int, into: Decoded) -> Sequence[Held] | None:
        ready = node.follow(seq, held, now_ns)
        if node.gap_ns is None:
            self._gaps.pop(node, None)
            return ready
        if node not in self._gaps:
            self._gaps[node] = None
            self._counts["gaps in a sequence"] += 1
        if not self._settings.reorder_timeout_ns or node.overfull:
            self._give_up(node, now_ns, into)
        return ready

    def _give_up(self, node: Node, now_ns: int, into: Decoded) -> None:
        self._gaps.pop(node, None)
        self._counts["gaps that did not close"] += 1
        held = node.give_up()
        self._asking.ask(node, now_ns, into)
        self._held(held, into)

    def _held(self, held: Sequence[Held], into: Decoded) -> None:
        """Messages whose turn has come, perhaps long after they did."""
        ready = [(one.message, one.source) for one in held if one.message is not None and one.source is not None]
        if not ready:
            return
        metrics = self._shapes.decode([message.payload for message, _ in ready])
        taken = [
            Taken(at, message, self._topics_node(message), source)
            for at, (message, source) in enumerate(ready)
            if at not in metrics.errors
        ]
        self._take(metrics, taken, into)

    def _topics_node(self, message: Message) -> Node:
        known = self._topics.get(message.topic)
        return known[1] if known is not None else self._node(Topic.parse(message.topic))

    def _take(self, metrics: Metrics, taken: Sequence[Taken], into: Decoded) -> None:
        batches, strangers = self._reader.take(metrics, taken)
        into.batches += batches
        for node, now_ns in strangers.items():  # an alias that no birth has told: the node and we do not mean the same
            self._counts["messages with an unknown alias"] += 1
            self._asking.ask(node, now_ns, into)

    # --- births and deaths ----------------------------------------------------------------------------------------

    def _certificate(self, place: int, message: Message, topic: Topic, node: Node, into: Decoded) -> None:
        metrics = self._shapes.decode([message.payload])
        error = metrics.errors.get(0)
        if error is not None:
            into.refused.append((place, DataError(f"'{message.topic}': {error.message}", detail=error.detail)))
            return
        now_ns, seq = message.received_ns, int(metrics.seq[0])
        if topic.verb is Verb.NDEATH:
            self._node_death(node, _bd_seq(metrics), now_ns, into)
            return
        node.origin = message.origin
        if topic.verb is Verb.NBIRTH:
            self._node_birth(node, message, metrics, into)
            return
        if not node.own.born:
            self._counts["messages before a birth"] += 1
            self._asking.ask(node, now_ns, into)
            return
        ready = self._in_sequence(node, seq, Held(None, None), now_ns, into)
        assert topic.device is not None
        if topic.verb is Verb.DBIRTH:
            source = node.devices.setdefault(topic.device, Source(topic.device))
            self._birth(node, source, message, metrics, into)
        else:
            died = node.devices.get(topic.device)
            if died is not None and (died.born or died.due_ns is not None):
                sent_ns = int(metrics.sent_ms[0]) * MILLISECOND_NS if metrics.has_sent[0] else now_ns
                into.batches += died.bad(min(sent_ns, now_ns), now_ns, q.BAD_NO_COMMUNICATION)
                died.born, died.due_ns = False, None
        self._held(ready or (), into)

    def _node_birth(self, node: Node, message: Message, metrics: Metrics, into: Decoded) -> None:
        now_ns = message.received_ns
        if node.held:  # of the session before, by whose aliases they are read
            self._gaps.pop(node, None)
            self._held(node.give_up(), into)
        node.begin(_bd_seq(metrics), int(metrics.seq[0]))
        self._asking.answered(node)
        for device in node.devices.values():
            if device.born:
                device.born, device.due_ns = False, now_ns + _DEVICES_DUE_NS
                self._due[node] = None
        self._birth(node, node.own, message, metrics, into)

    def _birth(self, node: Node, source: Source, message: Message, metrics: Metrics, into: Decoded) -> None:
        self._counts["births"] += 1
        told = [
            (name, int(metrics.alias[row]) if metrics.flags[row] & HAS_ALIAS else None, int(metrics.datatype[row]))
            for row, name in metrics.names.items()
        ]
        self._index(source, told)
        self._keep(source, message, into)
        source.born, source.due_ns = True, None
        self._take(metrics, [Taken(0, message, node, source)], into)
        missing = source.bound.keys() - {name for name, _, _ in told}
        if missing:
            into.batches += source.bad(message.received_ns, message.received_ns, q.BAD_NODE_ID_UNKNOWN, sorted(missing))

    def _index(self, source: Source, told: Sequence[tuple[str, int | None, int]]) -> None:
        source.index.drop(self._table)
        source.index = Index.build(self._table, told, source.bound)

    def _keep(self, source: Source, message: Message, into: Decoded) -> None:
        """The birth itself, for browsing and for other points, within the bound."""
        self._birth_bytes += len(message.payload) - len(source.birth or b"")
        source.birth = message.payload
        if self._birth_bytes > self._settings.birth_bytes_max:
            self._birth_bytes -= len(message.payload)
            source.birth = None
            self._notice(
                into,
                f"births have more than {self._settings.birth_bytes_max} bytes together: further ones are read but "
                "cannot be browsed (payload setting 'sparkplug.birth_bytes_max')",
            )

    def _node_death(self, node: Node, bd_seq: int | None, now_ns: int, into: Decoded) -> None:
        if bd_seq is not None and node.bd_seq is not None and bd_seq != node.bd_seq:
            self._counts["deaths of an earlier session"] += 1
            return
        self._counts["deaths"] += 1
        self._bury(node, now_ns, into)

    def _bury(self, node: Node, now_ns: int, into: Decoded) -> None:
        if node.held:
            self._held(node.give_up(), into)
        into.batches += node.die(now_ns)
        self._let_go(node)

    def _let_go(self, node: Node) -> None:
        """Nothing is expected of it any more."""
        self._gaps.pop(node, None)
        self._due.pop(node, None)
        self._asking.answered(node)

    def gone(self, origin: str, now_ns: int) -> list[Batch]:
        """The MQTT session that nodes came by has ended, and no NDEATH said so."""
        gone = Decoded()
        for node in self._nodes.values():
            if node.origin == origin and node.own.born:
                self._bury(node, now_ns, gone)
        return gone.batches

    # --- time and commands ----------------------------------------------------------------------------------------

    def tick(self, now_ns: int, into: Decoded) -> None:
        for node in list(self._gaps):
            if node.gap_ns is not None and now_ns - node.gap_ns >= self._settings.reorder_timeout_ns:
                self._give_up(node, now_ns, into)
        self._asking.tick(now_ns, into)
        for node in list(self._due):
            for device in node.devices.values():
                if device.due_ns is not None and now_ns >= device.due_ns:
                    device.due_ns = None
                    into.batches += device.bad(now_ns, now_ns, q.BAD_NO_COMMUNICATION)
            if all(device.due_ns is None for device in node.devices.values()):
                del self._due[node]

    def command(self, point: PointBinding, value: Value, now_ns: int) -> Publish:
        """Raises: DataError where the value does not fit; Refused before a birth, or for a type that takes none."""
        address = point.address
        node = self._nodes.get((address.group, address.node))
        source = None if node is None else node.source(address.device)
        if node is None or source is None or not source.born or source.birth is None:
            raise Refused(
                f"'{point.path}': its source has not been born, so the type of '{address.metric}' is not known"
            )
        offer = find(source.birth, address.metric)
        if offer is None:
            raise Refused(f"'{point.path}': the birth of its source has no metric '{address.metric}'")
        verb = Verb.NCMD if address.device is None else Verb.DCMD
        payload = command_payload(point, offer, value, now_ns)
        topic = str(Topic(verb, address.group, address.node, address.device))
        return Publish(topic, payload, qos=0, origin=node.origin or None)

    def _notice(self, into: Decoded, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            into.notices.append(text)


def _bd_seq(metrics: Metrics) -> int | None:
    return next((int(metrics.bits[row]) for row, name in metrics.names.items() if name == BDSEQ), None)
