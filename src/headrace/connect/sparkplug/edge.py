"""Headrace as a Sparkplug B edge node: what to publish when. No I/O: whoever owns the MQTT session does what it says.

    will ──► CONNECT ──► filters: subscribed ──► opened ─┬─ no primary host ──► NBIRTH, a DBIRTH for each device
                                                         └─ else wait ─ STATE online ─► births
    batches ──► report ──► NDATA, DDATA            hear: NCMD rebirth ──► births again      DCMD, NCMD ──► writes
    STATE offline, not older than online ──► NDEATH, go, come again elsewhere              leave ──► NDEATH, go

    node = EdgeNode(EdgeSettings("suzhou", "headrace"), metrics, bd_seq=remembered)
    will = node.will(now_ns)            # before each CONNECT; then remember node.bd_seq, durably
    said = node.opened(now_ns)          # once subscribed

Source: Sparkplug 3.0.0 §5.4 to §5.10, §6.4; `docs/conformance/sparkplug.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError

from headrace.connect.payload.contract import Publish
from headrace.connect.sparkplug.births import REBIRTH
from headrace.connect.sparkplug.report import (
    METRICS_MAX,
    TYPE_OF_KIND,
    Change,
    EdgeMetric,
    Report,
    birth_payload,
    by_device,
    data_payload,
    death_payload,
)
from headrace.connect.sparkplug.schema import DataType, Payload
from headrace.connect.sparkplug.topics import Topic, Verb
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS

_MODULUS: Final = 256
#: Births again are asked for by hosts; more often than this they would only tell the same.
_REBIRTH_INTERVAL_NS: Final = SECOND_NS


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """`primary_host` is the host id to wait for; None publishes at once. Some hosts cannot do with `aliases`.

    `walk`: there are other servers to go to, so a server where the primary host is offline is left, not waited at.
    """

    group: str
    node: str
    primary_host: str | None = None
    aliases: bool = True
    walk: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A host asks for a value; whether it may is for `control/` to say."""

    handle: int
    value: Value


@dataclass(slots=True)
class Heard:
    """What came of a message. `leave`: publish what is given, disconnect, and connect again (to another server)."""

    publishes: list[Publish] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    leave: bool = False


class EdgeNode:
    """One session after another with one server at a time. `online` while births have been published."""

    def __init__(self, settings: EdgeSettings, metrics: Sequence[EdgeMetric], bd_seq: int = -1) -> None:
        """`bd_seq` is the last one used, −1 for a node that never was. Raises: DataError for names used twice."""
        self.settings = settings
        self.bd_seq = bd_seq
        self.online = False
        self.counts: Counter[str] = Counter()
        self._report = _report_of(metrics)
        self._seq = 0
        self._connected = False
        self._host_ms: int | None = None
        self._host_online = False
        self._born_ns: int | None = None
        self._dead: set[str] = set()

    # --- a session ------------------------------------------------------------------------------------------------

    def will(self, now_ns: int) -> Publish:
        """For CONNECT: the NDEATH of the session that it begins, with the next bdSeq."""
        self.bd_seq = (self.bd_seq + 1) % _MODULUS
        self.online = self._connected = False
        self._host_ms, self._host_online = None, False
        return Publish(self._topic(Verb.NDEATH), death_payload(now_ns, self.bd_seq, None), qos=1)

    def filters(self) -> list[str]:
        """With QoS 1, before `opened`."""
        settings = self.settings
        commands = [self._topic(Verb.NCMD), str(Topic(Verb.DCMD, settings.group, settings.node, "+"))]
        if settings.primary_host is None:
            return commands
        return [*commands, str(Topic(Verb.STATE, "", settings.primary_host))]

    def opened(self, now_ns: int) -> list[Publish]:
        """Subscribed: births, or nothing until the primary host is there."""
        self._connected = True
        if self.settings.primary_host is not None and not self._host_online:
            return []
        return self._births(now_ns)

    def leave(self, now_ns: int) -> list[Publish]:
        """The NDEATH to publish before disconnecting on purpose; nothing where nobody knows of the session."""
        was_online, self.online, self._connected = self.online, False, False
        if not was_online:
            return []
        return [Publish(self._topic(Verb.NDEATH), death_payload(now_ns, self.bd_seq, None), qos=1)]

    # --- the plant ------------------------------------------------------------------------------------------------

    def know(self, batches: Sequence[Batch]) -> None:
        """What is so now, so that births tell it: the newest samples, before `opened`."""
        self._report.learn(batches)

    def data(self, batches: Sequence[Batch], now_ns: int) -> list[Publish]:
        """NDATA and DDATA of what has changed. While offline it is only remembered, for the births."""
        changes = self._report.changes(batches)
        if not self.online:
            return []
        publishes = []
        for device, members in by_device(changes).items():
            if device in self._dead:
                continue
            verb = Verb.NDATA if device is None else Verb.DDATA
            for first in range(0, len(members), METRICS_MAX):
                part = members[first : first + METRICS_MAX]
                payload = data_payload(part, now_ns, self._next_seq(), self.settings.aliases)
                publishes.append(Publish(self._topic(verb, device), payload, qos=0))
        return publishes

    def change(self, metrics: Sequence[EdgeMetric], newest: Sequence[Batch], now_ns: int) -> list[Publish]:
        """Other metrics from now on: births again. Raises: DataError, and nothing has changed."""
        self._report = _report_of(metrics)
        self._report.learn(newest)
        self._dead &= set(self._report.devices)
        return self._births(now_ns) if self.online else []

    def device_gone(self, device: str, now_ns: int) -> list[Publish]:
        """A DDEATH; its data is not told until `device_back`."""
        if device in self._dead or device not in self._report.devices:
            return []
        self._dead.add(device)
        if not self.online:
            return []
        return [Publish(self._topic(Verb.DDEATH, device), death_payload(now_ns, None, self._next_seq()), qos=0)]

    def device_back(self, device: str, now_ns: int) -> list[Publish]:
        """A DBIRTH."""
        if device not in self._dead:
            return []
        self._dead.discard(device)
        return [self._device_birth(device, now_ns)] if self.online else []

    # --- what comes -----------------------------------------------------------------------------------------------

    def hear(self, topic: str, payload: bytes, now_ns: int) -> Heard:
        """A message on one of `filters`; what makes no sense is counted and left."""
        try:
            parsed = Topic.parse(topic)
        except DataError:
            self.counts["messages that make no sense"] += 1
            return Heard()
        if parsed.verb is Verb.STATE:
            return self._hear_state(parsed, payload, now_ns)
        if (parsed.group, parsed.node) == (self.settings.group, self.settings.node):
            return self._hear_command(parsed, payload, now_ns)
        return Heard()

    def _hear_state(self, topic: Topic, payload: bytes, now_ns: int) -> Heard:
        if topic.node != self.settings.primary_host:
            return Heard()
        try:
            said = orjson.loads(payload)
            is_online, timestamp = said["online"], said["timestamp"]
            if type(is_online) is not bool or type(timestamp) is not int:
                raise TypeError
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self.counts["messages that make no sense"] += 1
            return Heard()
        if self._host_ms is not None and timestamp < self._host_ms:
            self.counts["STATE messages of an earlier session"] += 1
            return Heard()
        was_online, self._host_online, self._host_ms = self._host_online, is_online, timestamp
        if is_online and not was_online and self._connected and not self.online:
            return Heard(self._births(now_ns))
        if not is_online and self.online:
            return Heard(self.leave(now_ns), leave=True)
        if not is_online and self._connected and self.settings.walk:
            return Heard(leave=True)
        return Heard()

    def _hear_command(self, topic: Topic, payload: bytes, now_ns: int) -> Heard:
        heard = Heard()
        try:
            metrics = Payload.FromString(payload).metrics
        except DecodeError:
            self.counts["messages that make no sense"] += 1
            return heard
        for metric in metrics:
            if topic.verb is Verb.NCMD and metric.name == REBIRTH:
                if metric.boolean_value and self.online and self._may_be_born(now_ns):
                    heard.publishes += self._births(now_ns)
                continue
            write = self._write_of(topic.device, metric)
            if write is None:
                self.counts["commands that were not taken"] += 1
            else:
                heard.writes.append(write)
        return heard

    def _write_of(self, device: str | None, metric: Any) -> Write | None:
        for one in self._report.metrics:
            named = metric.alias == self._report.alias_of[one.handle] if metric.HasField("alias") else False
            if one.device == device and (named or (metric.name and metric.name == one.name)):
                value = _value_of(one.kind, metric)
                return Write(one.handle, value) if one.writable and value is not None else None
        return None

    # --- births ---------------------------------------------------------------------------------------------------

    def _may_be_born(self, now_ns: int) -> bool:
        return self._born_ns is None or abs(now_ns - self._born_ns) >= _REBIRTH_INTERVAL_NS

    def _births(self, now_ns: int) -> list[Publish]:
        self._seq, self.online, self._born_ns = 0, True, now_ns
        own = birth_payload(
            self._report.state(None, now_ns), now_ns, self._next_seq(), self.bd_seq, self.settings.aliases
        )
        alive = [device for device in self._report.devices if device not in self._dead]
        return [
            Publish(self._topic(Verb.NBIRTH), own, qos=0),
            *(self._device_birth(device, now_ns) for device in alive),
        ]

    def _device_birth(self, device: str, now_ns: int) -> Publish:
        changes = self._report.state(device, now_ns)
        payload = birth_payload(changes, now_ns, self._next_seq(), None, self.settings.aliases)
        return Publish(self._topic(Verb.DBIRTH, device), payload, qos=0)

    def _next_seq(self) -> int:
        seq, self._seq = self._seq, (self._seq + 1) % _MODULUS
        return seq

    def _topic(self, verb: Verb, device: str | None = None) -> str:
        return str(Topic(verb, self.settings.group, self.settings.node, device))


def _report_of(metrics: Sequence[EdgeMetric]) -> Report:
    seen: set[tuple[str | None, str]] = set()
    for metric in metrics:
        key = metric.device, metric.name
        if key in seen:
            raise DataError(f"'{metric.name}' of {metric.device or 'the node'} is declared twice")
        seen.add(key)
    return Report(metrics)


def _value_of(kind: ValueKind, metric: Any) -> Value | None:
    """The value of a command, None where it is null or of another kind."""
    which = metric.WhichOneof("value")
    if which is None or metric.is_null:
        return None
    value = getattr(metric, which)
    if kind is ValueKind.BOOL:
        return bool(value) if which == "boolean_value" else None
    if kind is ValueKind.TEXT:
        return value if which == "string_value" and isinstance(value, str) else None
    if which in ("int_value", "long_value"):
        datatype = DataType(metric.datatype) if metric.datatype in DataType.__members__.values() else TYPE_OF_KIND[kind]
        number = _signed(int(value), which, datatype)
        return float(number) if kind is ValueKind.FLOAT64 else number
    if which in ("float_value", "double_value"):
        if kind is ValueKind.FLOAT64:
            return float(value)
        return int(value) if value % 1 == 0 else None
    return None


def _signed(number: int, which: str, datatype: DataType) -> int:
    if datatype in (DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.UINT64):
        return number
    bits = 32 if which == "int_value" else 64
    return number - (1 << bits) if number >> (bits - 1) else number


__all__ = ["Change", "EdgeMetric", "EdgeNode", "EdgeSettings", "Heard", "Write"]
