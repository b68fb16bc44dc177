"""What an edge node tells: metrics with their last values, reported by exception, encoded as payloads.

    batches ──known handles──► by (point, time) ──same value and quality as before? left out──► changes by device
    older than what was told ──► is_historical        bad ──► is_null, Quality 0        uncertain ──► Quality 500
    changes ──chronological──► at most `METRICS_MAX` a payload

| point   | metric  | its value           |
|---------|---------|---------------------|
| float64 | Double  | bit for bit         |
| int64   | Int64   | bit for bit         |
| bool    | Boolean |                     |
| text    | String  |                     |

Source: Sparkplug 3.0.0 §6.4.6, §6.4.11, §6.4.16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.sparkplug.schema import DataType, Payload, PropertySet
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.time import MILLISECOND_NS

METRICS_MAX: Final = 500
TYPE_OF_KIND: Final = {
    ValueKind.FLOAT64: DataType.DOUBLE,
    ValueKind.INT64: DataType.INT64,
    ValueKind.BOOL: DataType.BOOLEAN,
    ValueKind.TEXT: DataType.STRING,
}
_BAD, _STALE = 0, 500


@dataclass(frozen=True, slots=True)
class EdgeMetric:
    """A point as the node offers it. `device` None is the node itself; `unit` and `range` become properties."""

    handle: int
    name: str
    kind: ValueKind
    device: str | None = None
    unit: str | None = None
    range: tuple[float, float] | None = None
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One value to tell."""

    metric: EdgeMetric
    alias: int
    source_ns: int
    value: Value | None
    quality: int
    historical: bool = False


class Report:
    """Metrics by handle, their aliases, and what was told of each last."""

    def __init__(self, metrics: Sequence[EdgeMetric]) -> None:
        self.metrics = tuple(metrics)
        self.alias_of = {metric.handle: alias for alias, metric in enumerate(self.metrics, 1)}
        self._columns = {kind: _Column(kind, self.metrics) for kind in ValueKind}

    @property
    def devices(self) -> list[str]:
        return sorted({metric.device for metric in self.metrics if metric.device is not None})

    def learn(self, batches: Iterable[Batch]) -> None:
        """What is so now, for births; nothing is told by it."""
        for batch in batches:
            self._columns[batch.kind].changes(batch, self.alias_of)

    def changes(self, batches: Iterable[Batch]) -> list[Change]:
        """What is not as it was told last, in the order of time."""
        found = [change for batch in batches for change in self._columns[batch.kind].changes(batch, self.alias_of)]
        found.sort(key=lambda change: change.source_ns)
        return found

    def state(self, device: str | None, now_ns: int) -> Iterator[Change]:
        """Every metric of the node or a device as it is, null where nothing is known."""
        for metric in self.metrics:
            if metric.device == device:
                yield self._columns[metric.kind].state(metric, self.alias_of[metric.handle], now_ns)


class _Column:
    """Metrics of one kind, sorted by handle. Values by their bits, texts as they are."""

    def __init__(self, kind: ValueKind, metrics: Sequence[EdgeMetric]) -> None:
        self.kind = kind
        self._metrics = sorted((one for one in metrics if one.kind is kind), key=lambda one: one.handle)
        self._handles = np.array([one.handle for one in self._metrics], np.uint32)
        count = len(self._metrics)
        self._values: NDArray[Any] = np.zeros(count, kind.dtype)
        self._quality = np.full(count, q.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._newest_ns = np.zeros(count, np.int64)
        self._told_ns = np.zeros(count, np.int64)

    def changes(self, batch: Batch, alias_of: dict[int, int]) -> list[Change]:
        if not len(self._handles):
            return []
        rows = np.minimum(np.searchsorted(self._handles, batch.handles), len(self._handles) - 1)
        known = np.flatnonzero(self._handles[rows] == batch.handles)
        if not len(known):
            return []
        order = known[np.lexsort((batch.source_ns[known], rows[known]))]
        rows = rows[order]
        values, quality, source_ns = batch.values[order], batch.quality[order], batch.source_ns[order]
        same = _equal(values, np.concatenate((values[:1], values[:-1])))
        same &= quality == np.concatenate((quality[:1], quality[:-1]))
        told = _equal(values, self._values[rows]) & (quality == self._quality[rows])
        historical = source_ns < self._newest_ns[rows]
        # The first of a metric that is news is compared with what was told last, each further one with that before it.
        first = np.concatenate(([True], (rows[1:] != rows[:-1]) | historical[:-1]))
        told_now = np.where(first, told, same) & ~historical
        told_now &= self._newest_ns[rows] > 0
        last = np.concatenate((rows[1:] != rows[:-1], [True])) & ~historical
        at = rows[last]
        self._values[at], self._quality[at], self._newest_ns[at] = values[last], quality[last], source_ns[last]
        # What comes late, but after what was told last, would hide that nothing has changed since: say it again.
        hiding = rows[historical & (source_ns >= self._told_ns[rows])]
        news = ~told_now & ~historical
        self._told_ns[rows[news]] = source_ns[news]
        found = [
            Change(metric, alias_of[metric.handle], time_ns, value, status, late)
            for row, time_ns, value, status, late in _rows_of(rows, source_ns, values, quality, historical, ~told_now)
            for metric in (self._metrics[row],)
        ]
        for row in sorted(set(hiding.tolist())):
            metric = self._metrics[row]
            found.append(self.state(metric, alias_of[metric.handle], 0))
            self._told_ns[row] = self._newest_ns[row]
        return found

    def state(self, metric: EdgeMetric, alias: int, now_ns: int) -> Change:
        row = int(np.searchsorted(self._handles, metric.handle))
        newest_ns = int(self._newest_ns[row])
        value = self._values[row : row + 1].tolist()[0] if newest_ns else None
        return Change(metric, alias, newest_ns or now_ns, value, int(self._quality[row]))


def _rows_of(*columns: NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows that the last column selects, as Python values."""
    keep = columns[-1].nonzero()[0]
    return zip(*(column[keep].tolist() for column in columns[:-1]), strict=True)


def _equal(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """Bit for bit: −0.0 is not 0.0, and NaN is NaN."""
    if left.dtype == np.float64:
        left, right = left.view(np.int64), right.view(np.int64)
    equal: NDArray[np.bool_] = left == right
    return equal


# --- payloads -----------------------------------------------------------------------------------------------------


def birth_payload(changes: Iterable[Change], now_ns: int, seq: int, bd_seq: int | None, aliases: bool) -> bytes:
    """An NBIRTH where `bd_seq` is given, else a DBIRTH. §6.4.19, §6.4.24."""
    sent_ms = now_ns // MILLISECOND_NS
    payload = Payload(timestamp=sent_ms, seq=seq)
    if bd_seq is not None:
        payload.metrics.add(name="bdSeq", timestamp=sent_ms, datatype=DataType.INT64, long_value=bd_seq)
        payload.metrics.add(
            name="Node Control/Rebirth", timestamp=sent_ms, datatype=DataType.BOOLEAN, boolean_value=False
        )
    for change in changes:
        metric = payload.metrics.add(
            name=change.metric.name, timestamp=_ms(change.source_ns), datatype=TYPE_OF_KIND[change.metric.kind]
        )
        if aliases:
            metric.alias = change.alias
        _put_value(metric, change, _properties(change.metric))
    return _bytes(payload)


def data_payload(changes: Sequence[Change], now_ns: int, seq: int, aliases: bool) -> bytes:
    """NDATA or DDATA. §6.4.21, §6.4.25."""
    payload = Payload(timestamp=now_ns // MILLISECOND_NS, seq=seq)
    for change in changes:
        metric = payload.metrics.add(timestamp=_ms(change.source_ns))
        if aliases:
            metric.alias = change.alias
        else:
            metric.name, metric.datatype = change.metric.name, TYPE_OF_KIND[change.metric.kind]
        if change.historical:
            metric.is_historical = True
        _put_value(metric, change, {})
    return _bytes(payload)


def death_payload(now_ns: int, bd_seq: int | None, seq: int | None) -> bytes:
    """NDEATH with `bd_seq`, DDEATH with `seq`. §6.4.27, §6.4.28."""
    payload = Payload(timestamp=now_ns // MILLISECOND_NS)
    if seq is not None:
        payload.seq = seq
    if bd_seq is not None:
        payload.metrics.add(
            name="bdSeq", timestamp=now_ns // MILLISECOND_NS, datatype=DataType.INT64, long_value=bd_seq
        )
    return _bytes(payload)


def by_device(changes: Sequence[Change]) -> dict[str | None, list[Change]]:
    """The node's own first."""
    groups: dict[str | None, list[Change]] = defaultdict(list)
    for change in changes:
        groups[change.metric.device].append(change)
    return dict(sorted(groups.items(), key=lambda group: group[0] or ""))


def _ms(time_ns: int) -> int:
    return max(time_ns, 0) // MILLISECOND_NS


def _put_value(metric: Any, change: Change, properties: dict[str, Any]) -> None:
    severity = q.severity(change.quality)
    if severity == "bad" or change.value is None:
        metric.is_null = True
    elif change.metric.kind is ValueKind.FLOAT64:
        metric.double_value = change.value
    elif change.metric.kind is ValueKind.INT64:
        metric.long_value = int(change.value) & 0xFFFF_FFFF_FFFF_FFFF
    elif change.metric.kind is ValueKind.BOOL:
        metric.boolean_value = change.value
    else:
        metric.string_value = change.value
    if severity != "good":
        properties = {**properties, "Quality": _BAD if severity == "bad" else _STALE}
    if properties:
        metric.properties = _serialized(properties)


def _properties(metric: EdgeMetric) -> dict[str, Any]:
    found: dict[str, Any] = {"readOnly": not metric.writable}
    if metric.unit is not None and metric.unit != "1":
        found["engUnit"] = metric.unit
    if metric.range is not None:
        found["engLow"], found["engHigh"] = (float(bound) for bound in metric.range)
    return found


def _serialized(properties: dict[str, Any]) -> bytes:
    made = PropertySet()
    for name, value in properties.items():
        made.keys.append(name)
        held = made.values.add()
        if isinstance(value, bool):
            held.type, held.boolean_value = DataType.BOOLEAN, value
        elif isinstance(value, int):
            held.type, held.int_value = DataType.INT32, value
        elif isinstance(value, float):
            held.type, held.double_value = DataType.DOUBLE, value
        else:
            held.type, held.string_value = DataType.STRING, value
    return _bytes(made)


def _bytes(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
