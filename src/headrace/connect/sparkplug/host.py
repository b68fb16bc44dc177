"""Headrace as a Sparkplug B host application: what edge nodes publish, to batches; requests and commands back.

    messages in order ─┬─ NDATA, DDATA ──gathered──► shapes.decode ─► sequence ─► slots ─► values ─► batches
                       ├─ births, deaths ──► what was gathered first, then the node's state
                       └─ STATE of ours, saying offline ──► said again: online
    tick ──► messages that waited too long for those before them; births that were asked for and did not come

Source: Sparkplug 3.0.0; `docs/conformance/sparkplug.md` has every assertion and its test.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headrace.connect.payload.config import SparkplugSettings
from headrace.connect.payload.contract import Decoded, Message, Publish
from headrace.connect.sparkplug.asking import Asking
from headrace.connect.sparkplug.births import bd_seq_of, find
from headrace.connect.sparkplug.browsing import browse
from headrace.connect.sparkplug.commands import command_payload
from headrace.connect.sparkplug.compressed import is_plain, opened
from headrace.connect.sparkplug.metrics import HAS_ALIAS, SEQUENCE_MAX, Metrics
from headrace.connect.sparkplug.nodes import Held, Node, Source
from headrace.connect.sparkplug.presence import Presence
from headrace.connect.sparkplug.reading import Reader, Taken
from headrace.connect.sparkplug.register import Known, Register
from headrace.connect.sparkplug.shapes import Shapes
from headrace.connect.sparkplug.slots import Table
from headrace.connect.sparkplug.topics import NAMESPACE, Topic, Verb
from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import DataError, Refused
from headrace.model.time import MILLISECOND_NS, SECOND_NS
from headrace.sdk.driver import BrowseNode, PointBinding

#: How long after an NBIRTH its devices may take to be born again.
_DEVICES_DUE_NS: Final = 30 * SECOND_NS

_Data = tuple[int, Message, Node, str | None]
"""Place in the call, message, node and device."""


class SparkplugHost:
    """One for each MQTT server: its STATE and what it knows belong to that server alone."""

    def __init__(self, settings: SparkplugSettings, bytes_max: int) -> None:
        self._settings, self._bytes_max = settings, bytes_max
        self._presence = Presence(settings.host)
        self._counts: Counter[str] = Counter()
        self._shapes, self._table = Shapes(), Table()
        self._reader = Reader(self._table, self._counts)
        self._asking = Asking(settings.rebirth_interval_ns, self._counts)
        self._register = Register(settings, self._table)
        self._gaps: dict[Node, None] = {}
        self._due: dict[Node, None] = {}
        self._said: set[str] = set()

    # --- what a connection does -----------------------------------------------------------------------------------

    def bind(self, points: Sequence[PointBinding]) -> None:
        self._register.bind(points)

    def filters(self) -> list[str]:
        if not self._settings.groups:
            return [f"{NAMESPACE}/#"]
        return [*(f"{NAMESPACE}/{group}/#" for group in self._settings.groups), self._presence.topic]

    def will(self, now_ns: int) -> Publish:
        return self._presence.will(now_ns)

    @property
    def online(self) -> bool:
        return self._presence.online

    def opening(self, now_ns: int) -> Publish:
        return self._presence.opening(now_ns)

    def closing(self, now_ns: int) -> Publish:
        return self._presence.closing(now_ns)

    def browse(self, parent: Mapping[str, Any] | None) -> Iterator[BrowseNode]:
        return browse(self._register.nodes, parent)

    def counters(self) -> dict[str, int]:
        return dict(self._counts)

    # --- messages -------------------------------------------------------------------------------------------------

    def decode(self, messages: Sequence[tuple[int, Message]], into: Decoded) -> None:
        """Adds to `into`; messages come with their places in the call."""
        data: list[_Data] = []
        topics, bytes_max = self._register.topics, self._bytes_max
        for place, message in messages:
            known = topics.get(message.topic)
            payload = message.payload
            if (
                known is not None
                and known.is_data
                and not known.node.is_forgotten
                and not message.retained
                and is_plain(payload, bytes_max)
            ):
                data.append((place, message, known.node, known.topic.device))
                continue
            try:
                known = self._addressee(message, into)
                if known is None:
                    continue
                plain = dataclasses.replace(message, payload=opened(payload, bytes_max))
            except DataError as error:
                into.refused.append((place, _of(message, error)))
                continue
            if known.is_data:
                data.append((place, plain, known.node, known.topic.device))
                continue
            self._data(data, into)
            data = []
            self._certificate(place, plain, known.topic, known.node, into)
        self._data(data, into)

    def _addressee(self, message: Message, into: Decoded) -> Known | None:
        """Topic and node of a message; None for one that is not for us. Raises: DataError."""
        known = self._register.topics.get(message.topic)
        if known is None or known.node.is_forgotten:
            topic = Topic.parse(message.topic)
            if topic.verb is Verb.STATE:
                again = self._presence.hear(topic.node, message.payload)
                if again is not None:
                    into.replies.append(again)
                    self._counts["own STATE said again"] += 1
                return None
            groups = self._settings.groups
            if topic.verb in (Verb.NCMD, Verb.DCMD) or (groups and topic.group not in groups):
                into.ignored += 1
                return None
            known = self._register.find(topic, message.topic)
        if message.retained:  # what a node once said is not what it says; the specification forbids it
            self._counts["retained messages of nodes"] += 1
            return None
        return known

    # --- data -----------------------------------------------------------------------------------------------------

    def _data(self, messages: Sequence[_Data], into: Decoded) -> None:
        if not messages:
            return
        metrics = self._shapes.decode([message.payload for _, message, _, _ in messages])
        seqs, errors = metrics.seq.tolist(), metrics.errors
        taken: list[Taken] = []
        later: list[Held] = []
        for at, (place, message, node, device) in enumerate(messages):
            if at in errors:
                into.refused.append((place, _of(message, errors[at])))
                continue
            node.origin = message.origin
            source = node.own if device is None else node.devices.get(device)
            if source is None or not source.born or not node.own.born:
                self._unborn(node, seqs[at], message, into)
            elif seqs[at] == node.expected and not node.held and not node.doubtful:  # as it should be
                node.expected = (seqs[at] + 1) & SEQUENCE_MAX
                taken.append((at, message, node, source))
            else:
                ready = self._in_sequence(node, seqs[at], Held(message, source), message.received_ns, into)
                if ready is not None:
                    taken.append((at, message, node, source))
                    later += ready
        self._take(metrics, taken, into)
        self._held(later, into)

    def _unborn(self, node: Node, seq: int, message: Message, into: Decoded) -> None:
        """Data before a birth means nothing; that of a device counts in the sequence of its node all the same."""
        self._counts["messages before a birth"] += 1
        self._asking.ask(node, message.received_ns, into)
        if node.own.born:
            self._held(self._in_sequence(node, seq, Held(None, None), message.received_ns, into) or (), into)

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
            (at, message, self._register.find(Topic.parse(message.topic), message.topic).node, source)
            for at, (message, source) in enumerate(ready)
            if at not in metrics.errors
        ]
        self._take(metrics, taken, into)

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
            into.refused.append((place, _of(message, error)))
            return
        now_ns, seq = message.received_ns, int(metrics.seq[0])
        if topic.verb is Verb.NDEATH:
            self._node_death(node, bd_seq_of(metrics), now_ns, into)
            return
        node.origin = message.origin
        if topic.verb is Verb.NBIRTH:
            self._node_birth(node, message, metrics, place, into)
            return
        if not node.own.born:
            self._counts["messages before a birth"] += 1
            self._asking.ask(node, now_ns, into)
            return
        ready = self._in_sequence(node, seq, Held(None, None), now_ns, into)
        assert topic.device is not None
        if topic.verb is Verb.DBIRTH:
            try:
                source = self._register.device(node, topic.device)
            except DataError as refusal:
                into.refused.append((place, _of(message, refusal)))
                return
            self._birth(node, source, message, metrics, place, into)
        else:
            died = node.devices.get(topic.device)
            if died is not None and (died.born or died.due_ns is not None):
                sent_ns = int(metrics.sent_ms[0]) * MILLISECOND_NS if metrics.has_sent[0] else now_ns
                into.batches += died.bad(min(sent_ns, now_ns), now_ns, q.BAD_NO_COMMUNICATION)
                died.born, died.due_ns = False, None
        self._held(ready or (), into)

    def _node_birth(self, node: Node, message: Message, metrics: Metrics, place: int, into: Decoded) -> None:
        now_ns = message.received_ns
        if node.held:  # of the session before, by whose aliases they are read
            self._gaps.pop(node, None)
            self._held(node.give_up(), into)
        node.begin(bd_seq_of(metrics), int(metrics.seq[0]))
        self._asking.answered(node)
        for device in node.devices.values():
            if device.born:
                device.born, device.due_ns = False, now_ns + _DEVICES_DUE_NS
                self._due[node] = None
        self._birth(node, node.own, message, metrics, place, into)

    def _birth(self, node: Node, source: Source, message: Message, metrics: Metrics, place: int, into: Decoded) -> None:
        self._counts["births"] += 1
        told = [
            (name, int(metrics.alias[row]) if metrics.flags[row] & HAS_ALIAS else None, int(metrics.datatype[row]))
            for row, name in metrics.names.items()
        ]
        try:
            is_kept = self._register.learn(node, source, told, message.payload)
        except DataError as error:
            into.refused.append((place, _of(message, error)))
            return
        if not is_kept:
            self._notice(
                into,
                f"births have more than {self._settings.birth_bytes_max} bytes together: further ones are read but "
                "cannot be browsed (payload setting 'sparkplug.birth_bytes_max')",
            )
        self._take(metrics, [(0, message, node, source)], into)
        missing = source.bound.keys() - {name for name, _, _ in told}
        if missing:
            into.batches += source.bad(message.received_ns, message.received_ns, q.BAD_NODE_ID_UNKNOWN, sorted(missing))

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
        for node in self._register.nodes.values():
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
        node = self._register.nodes.get((address.group, address.node))
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


def _of(message: Message, error: DataError) -> DataError:
    return DataError(f"'{message.topic}': {error.message}", detail=error.detail)
